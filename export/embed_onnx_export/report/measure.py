"""What an embedder's report card is made of: the same texts through the original and its artifacts."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, TypeVar

import msgspec
import numpy as np
import torch
import transformers

from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Ranges
from embed_onnx.engine.vectors import normalize
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx_export import parity, similarity
from embed_onnx_export.checkpoint.original import Original
from embed_onnx_export.report import scores, texts
from embed_onnx_export.report.card import Scores
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.scores import Floats, Places

T = TypeVar("T")
Kind = Literal["bare", "text", "query", "document"]
"""How a text is meant: without any prompt, with the default one, or as retrieval has it."""
Embed = Callable[[Kind, Sequence[str]], Floats]
Vectors = Mapping[Kind, Floats]
"""A row for each text of a ``Workload``."""

ITEMS_A_STEP = 128
OWN_SENTENCES = 300
"""Besides those of parity, where there is no dataset to rank."""


class Workload(msgspec.Struct, frozen=True):
    """The texts that are embedded, and where neighbours are looked for."""

    texts: dict[Kind, list[str]]
    neighbours: str

    @property
    def count(self) -> int:
        """Of all kinds together."""
        return sum(len(some) for some in self.texts.values())


def workload(data: Datasets, messages: list[str]) -> Workload:
    """The texts of parity, and those of the datasets or, without any, more sentences of our own."""
    kinds: dict[Kind, list[str]] = {"bare": [*parity.sentences(), *messages]}
    neighbours = "these and others made up"
    if data.sts is not None:
        kinds["text"] = list(dict.fromkeys([*data.sts.first, *data.sts.second]))
        neighbours = f"the sentences of {data.sts.name}"
    if data.retrieval is not None:
        kinds |= {"query": data.retrieval.queries, "document": data.retrieval.documents}
        neighbours = f"the documents of {data.retrieval.name}, for its queries"
    if len(kinds) == 1:
        kinds["text"] = [*parity.sentences(), *texts.sentences(OWN_SENTENCES)]
    return Workload(kinds, neighbours)


def of_original(original: Original, batch: int) -> Embed:
    """PyTorch, as a user of sentence-transformers calls it."""
    model = original.torch
    ways: dict[Kind, Callable[..., Any]] = {
        "bare": partial(model.encode, prompt=""),
        "text": model.encode,
        "query": model.encode_query,
        "document": model.encode_document,
    }

    def embed(kind: Kind, inputs: Sequence[str]) -> Floats:
        vectors = ways[kind](list(inputs), batch_size=batch, show_progress_bar=False)
        return np.asarray(vectors, np.float32)

    return embed


def of_artifact(model: Model) -> Embed:
    """An artifact, with prompts as ``encode_query`` and ``encode_document`` choose them."""
    options: dict[Kind, dict[str, Any]] = {
        "bare": {"prompt": ""},
        "text": {},
        "query": {"prompt_name": "query"},
        "document": {"prompt_name": "document"},
    }
    return lambda kind, inputs: model.encode(list(inputs), **options[kind])


def attention(original: torch.nn.Module) -> str:
    """The name of the attention that the original runs with; empty for one without."""
    models = (module for module in original.modules() if isinstance(module, transformers.PreTrainedModel))
    return next((str(module.config._attn_implementation) for module in models), "")


def vectors(embed: Embed, work: Workload, advance: Callable[[int], None]) -> Vectors:
    """Embed a workload, long texts first; calls ``advance`` with the number of each step."""
    return {kind: in_steps(partial(embed, kind), inputs, len, advance) for kind, inputs in work.texts.items()}


def in_steps(
    run: Callable[[Sequence[T]], Floats],
    items: Sequence[T],
    length: Callable[[T], int],
    advance: Callable[[int], None],
) -> Floats:
    """The rows of some items, computed a step at a time, long ones first; calls ``advance`` after each."""
    order = sorted(range(len(items)), key=lambda place: -length(items[place]))
    parts = []
    for first in range(0, len(order), ITEMS_A_STEP):
        part = [items[place] for place in order[first : first + ITEMS_A_STEP]]
        parts.append(run(part))
        advance(len(part))
    return np.concatenate(parts)[np.argsort(order)]


def in_type(vectors: Vectors, dtype: DType, ranges: Ranges | None) -> Vectors:
    """Vectors as their numbers are when they are compared in a type: of bits, -1 and 1.

    So that products of bits are in the order of Hamming distances.
    """
    return {kind: _compared(rows, dtype, ranges) for kind, rows in vectors.items()}


def _compared(rows: Floats, dtype: DType, ranges: Ranges | None) -> Floats:
    stored = dtypes.convert(rows, dtype, ranges if dtype in dtypes.RANGED else None)
    if dtype == "ubinary":
        stored = 2 * np.unpackbits(stored, axis=-1, count=rows.shape[1]).astype(np.int8) - 1
    return stored.astype(np.float32)


class Scorer:
    """Scores vectors of a workload by the datasets, and by the neighbours that the original finds."""

    def __init__(self, data: Datasets, work: Workload, original: Vectors, similarity: str) -> None:
        self._data, self._dot = data, similarity == "dot"
        places = {text: place for place, text in enumerate(work.texts.get("text", []))}
        self._pairs = (
            None
            if data.sts is None
            else [[places[text] for text in side] for side in (data.sts.first, data.sts.second)]
        )
        self._expected = self._ranked(original)

    def score(self, vectors: Vectors, dimensions: int) -> Scores:
        """Scores of vectors cut to so many dimensions."""
        short = {kind: rows[:, :dimensions] for kind, rows in vectors.items()}
        ranked = self._ranked(short)
        spearman = None
        if self._data.sts is not None and self._pairs is not None:
            first, second = (short["text"][places] for places in self._pairs)
            spearman = scores.spearman(similarity.cosines(first, second), self._data.sts.scores)
        task = self._data.retrieval
        return Scores(
            dimensions=dimensions,
            neighbours=scores.overlap(self._expected, ranked),
            spearman=spearman,
            ndcg=None if task is None else scores.ndcg(ranked, task.gains),
            recall=None if task is None else scores.recall(ranked, task.gains),
        )

    def _ranked(self, vectors: Vectors) -> Places:
        """Ten documents a query or, without a retrieval task, ten other sentences a sentence."""
        task = self._data.retrieval
        if task is not None:
            return scores.nearest(
                self._comparable(vectors["query"]), self._comparable(vectors["document"]), task.same
            )
        rows = self._comparable(vectors["text"])
        return scores.nearest(rows, rows, range(len(rows)))

    def _comparable(self, rows: Floats) -> Floats:
        return rows if self._dot else normalize(rows)


def num_tokens(model: Model, inputs: Sequence[str]) -> list[int]:
    """Tokens of each text, special ones included, without a prompt."""
    return [item.num_tokens for item in model.tokenize(list(inputs), Options(prompt=""))]
