"""Long texts: what the mean of windows finds, beside a cut at either end, and windows that are kept apart.

    python -m benchmarks.windows --retrieval FOLDER [--artifact FOLDER]

The folder is in BEIR's layout, with a passage for each question. Passages are joined to documents: at random,
so that a document has as many subjects as passages, or each with the one that is most like the last. A
question is answered if the document with its passage is among the five nearest. There are as many documents
whatever their length, so that figures can be compared.
"""

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import peers, record, stats
from embed_onnx import Model
from embed_onnx.engine.vectors import Vector
from embed_onnx.models import windows
from embed_onnx.models.options import Options
from embed_onnx_export.report import datasets
from embed_onnx_export.report.datasets import Retrieval

PASSAGES = (1, 2, 4, 8)
NEAREST = 5
END, START, MEAN, APART = "cut at the end", "cut at the start", "mean of windows", "windows apart, the best"
Order = list[int]


def main() -> None:
    """Measure, and write results/windows.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--retrieval", type=Path, required=True)
    parser.add_argument("--artifact", type=Path, default=peers.artifact(peers.SMALL))
    arguments = parser.parse_args()

    task = datasets.read_retrieval(arguments.retrieval)
    with Model.load(arguments.artifact) as model:
        questions = model.encode(task.queries, prompt_name="query")
        orders: dict[str, Order] = {
            "any subject": np.random.default_rng(0).permutation(len(task.documents)).tolist(),
            "one subject": _chain(model.encode(task.documents, long_texts="mean")),
        }
        rows = {
            name: {str(count): _measure(model, task, questions, order, count) for count in PASSAGES}
            for name, order in orders.items()
        }
        described = {"model": model.manifest.name, "max_tokens": model.manifest.max_tokens}
    documents = len(task.documents) // max(PASSAGES)
    record.write("windows", {**described, "documents": documents, "nearest": NEAREST, "orders": rows})


def _chain(vectors: Vector) -> Order:
    """All passages, each of them the nearest to the last one of those that are left."""
    order, left = [0], set(range(1, len(vectors)))
    while left:
        candidates = sorted(left)
        order.append(candidates[int(np.argmax(vectors[candidates] @ vectors[order[-1]]))])
        left.remove(order[-1])
    return order


def _measure(model: Model, task: Retrieval, questions: Vector, order: Order, count: int) -> dict[str, Any]:
    """Parts of the questions that each way answers, by the place of their passage, and tokens a document."""
    documents = [
        order[start : start + count]
        for start in range(0, len(task.documents) // max(PASSAGES) * count, count)
    ]
    texts = [" ".join(task.documents[passage] for passage in passages) for passages in documents]
    embedded = model.embed_now(texts, Options(long_texts="mean", prompt_name="document"))
    parts = [windows.of(tokens) for tokens in embedded.tokens]
    apart = model.encode([part.ids for each in parts for part in each])
    owners = np.repeat(np.arange(len(parts)), [len(each) for each in parts])
    right = _places(task, documents)
    asked = questions[list(right)]
    cosines = {
        END: asked @ _cut(model, texts, "right").T,
        START: asked @ _cut(model, texts, "left").T,
        MEAN: asked @ embedded.vectors.T,
        APART: np.stack(
            [(asked @ apart[owners == place].T).max(axis=1) for place in range(len(parts))], axis=1
        ),
    }
    answered = {
        way: _answered(each, [document for document, _ in right.values()]) for way, each in cosines.items()
    }
    first, last = (np.array([place == end for _, place in right.values()]) for end in (0, count - 1))
    row: dict[str, Any] = {
        way: {
            name: stats.rounded(float(hits[where].mean()))
            for name, where in (("first", first), ("last", last), ("all", first | True))
        }
        for way, hits in answered.items()
    }
    print(count, row)
    tokens = float(np.mean([tokens.num_tokens for tokens in embedded.tokens]))
    return {
        "tokens": round(tokens),
        "windows": stats.rounded(float(np.mean([*map(len, parts)]))),
        "ways": row,
    }


def _cut(model: Model, texts: list[str], side: Any) -> Vector:
    return model.embed_now(texts, Options(truncation_side=side, prompt_name="document")).vectors


def _places(task: Retrieval, documents: list[Order]) -> dict[int, tuple[int, int]]:
    """Of each question whose passage is in a document: which one, and where in it."""
    places = {
        passage: (number, place)
        for number, passages in enumerate(documents)
        for place, passage in enumerate(passages)
    }
    passages = {query: next(iter(gains)) for query, gains in enumerate(task.gains)}
    return {query: places[passage] for query, passage in passages.items() if passage in places}


def _answered(cosines: Vector, right: list[int]) -> np.ndarray:
    """Whether the right document of each question is among the nearest, bool [questions]."""
    nearest = np.argsort(-cosines, axis=1, kind="stable")[:, :NEAREST]
    return np.any(nearest == np.array(right)[:, None], axis=1)


if __name__ == "__main__":
    main()
