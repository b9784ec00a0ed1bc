"""The artifact of a model of token vectors, its original and its other precision: the figures of a card."""

import contextlib
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch
from sentence_transformers import MultiVectorEncoder

from embed_onnx.artifact.manifest import Manifest, Precision
from embed_onnx.engine.vectors import Vector
from embed_onnx.models.model import Model
from embed_onnx.models.options import Options
from embed_onnx.system import cpu
from embed_onnx_export import similarity, token_parity
from embed_onnx_export.checkpoint import original_token_vectors
from embed_onnx_export.progress import Show
from embed_onnx_export.report import subject, texts, timing, token_measure
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.subject import ORIGINAL, Engine, Subject
from embed_onnx_export.report.timing import Run
from embed_onnx_export.report.token_card import (
    SmallerTokens,
    TokenCard,
    TokenFacts,
    TokenMeasured,
    TokenRow,
    TokenType,
)
from embed_onnx_export.report.token_measure import Embed, Tables, Task

BYTES: dict[TokenType, int] = {"float32": 4, "float16": 2}


def card_of(about: Subject, data: Datasets, show: Show) -> TokenCard:
    """Run the texts through every engine, in this process, and score and time them."""
    show("loading")
    torch.set_num_threads(cpu.usable_cores())
    described = about.manifest
    original = original_token_vectors.load(about.checkpoint, described.max_tokens)
    cases = token_parity.cases(subject.tokenizer(about))
    task = token_measure.task(data)
    show.expect((len(cases.texts) + task.count) * (1 + len(about.folders)))
    with contextlib.ExitStack() as stack:
        models = {name: stack.enter_context(Model.load(path)) for name, path in about.folders.items()}
        engines = _engines(about, original, models)
        vectors: dict[str, list[Vector]] = {}
        tables: dict[str, Tables] = {}
        for name, engine in engines.items():
            show(f"embedding, {name}")
            vectors[name] = token_measure.vectors(engine.run, cases)
            show.advance(len(cases.texts))
            types: list[TokenType] = [*BYTES] if name == described.precision else ["float32"]
            tables[name] = token_measure.tables(engine.run, task, types, show.advance)
        show("timing")
        this = models[described.precision]
        documents = {name: partial(engine.run, "document") for name, engine in engines.items()}
        timed = timing.timed(documents, ORIGINAL, texts.mixed, partial(_num_tokens, this))
    show("scoring")
    expected = tables[ORIGINAL].scores["float32"]
    rows = {}
    for name, engine in engines.items():
        rows[name] = TokenRow(
            runs_on=engine.runs_on,
            megabytes=engine.megabytes,
            speed=timed.speeds[name],
            cosines=_cosines(vectors[name], vectors[ORIGINAL]),
            parity=token_parity.compared(cases, vectors[name], vectors[ORIGINAL]),
            scores=token_measure.score(tables[name].scores["float32"], expected, task),
        )
    return TokenCard(
        **subject.report_fields(about, data),
        model=_facts(described),
        measured=TokenMeasured(
            **subject.conditions(data, len(cases.texts), timed),
            neighbours=task.neighbours,
            query_vectors=tables[ORIGINAL].query_vectors,
            document_vectors=tables[ORIGINAL].document_vectors,
        ),
        original=rows.pop(ORIGINAL),
        artifacts={name: rows[name] for name in about.folders},
        types=_types(tables[described.precision], described.token_vectors.dimensions, expected, task),
    )


def _facts(described: Manifest) -> TokenFacts:
    output = described.token_vectors
    expansion = output.query.expansion
    return TokenFacts(
        **subject.model_facts(described),
        dimensions=output.dimensions,
        similarity=output.similarity,
        query_tokens=output.query.max_tokens,
        document_tokens=output.document.max_tokens,
        expanded_tokens=None if expansion is None else expansion.length,
        prompts=described.prompts,
    )


def _engines(
    about: Subject, original: MultiVectorEncoder, models: Mapping[Precision, Model]
) -> dict[str, Engine[Embed]]:
    """The original, and every precision."""

    def of_batch(batch: int) -> Run[str]:
        return partial(token_measure.of_original(original, batch), "document")

    batch = timing.best_batch(of_batch, texts.mixed(timing.SAMPLE))
    run = token_measure.of_original(original, batch)
    pytorch = subject.in_pytorch(about, original, batch, run)
    return subject.engines(about, pytorch, models, token_measure.of_artifact)


def _types(tables: Tables, dimensions: int, expected: Vector, task: Task) -> list[SmallerTokens]:
    """What the same vectors find in every type of numbers."""
    return [
        SmallerTokens(
            dtype=name,
            bytes=tables.document_vectors * dimensions * BYTES[name],
            scores=token_measure.score(table, expected, task),
        )
        for name, table in tables.scores.items()
    ]


def _num_tokens(model: Model, documents: list[str]) -> int:
    """Tokens of all documents together, with their prompts and special tokens."""
    options = Options(prompt_name="document")
    return sum(item.num_tokens for item in model.tokenize(list(documents), options))


def _cosines(vectors: list[Vector], originals: list[Vector]) -> list[float]:
    """The mean cosine of the token vectors of each text that has some."""
    return [
        float(np.mean(similarity.cosines(*pair)))
        for pair in zip(vectors, originals, strict=True)
        if len(pair[0])
    ]
