"""A sparse model's artifact, its original and its other precision: the figures of a card."""

import contextlib
from collections.abc import Mapping
from functools import partial

import torch
from sentence_transformers import SparseEncoder

from embed_onnx.artifact.manifest import Manifest, Precision
from embed_onnx.artifact.parity import SHORT_TOKENS
from embed_onnx.models.model import Model
from embed_onnx.system import cpu
from embed_onnx_export import parity, similarity, sparse_parity
from embed_onnx_export.checkpoint import original_sparse
from embed_onnx_export.progress import Show
from embed_onnx_export.report import sparse_measure, subject, texts, timing, workload
from embed_onnx_export.report.card import Measured
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.sparse_card import SparseCard, SparseFacts, SparseRow
from embed_onnx_export.report.sparse_measure import Embed, Vectors
from embed_onnx_export.report.subject import ORIGINAL, Engine, Subject
from embed_onnx_export.report.timing import Run

CUTS = (256, 128, 64, 32)
"""Weights that a request may keep, of which those are measured that are fewer than the mean of a text."""


def card_of(about: Subject, data: Datasets, show: Show) -> SparseCard:
    """Run the texts through every engine, in this process, and score and time them."""
    show("loading")
    torch.set_num_threads(cpu.usable_cores())
    original = original_sparse.load(about.checkpoint, about.manifest.max_tokens)
    with contextlib.ExitStack() as stack:
        models = {name: stack.enter_context(Model.load(path)) for name, path in about.folders.items()}
        this = models[about.manifest.precision]
        work = workload.workload(data, parity.messages(subject.tokenizer(about)))
        show.expect(work.count * (1 + len(about.folders)))
        engines = _engines(about, original, models)
        vectors: dict[str, Vectors] = {}
        for name, engine in engines.items():
            show(f"embedding, {name}")
            vectors[name] = workload.vectors(engine.run, work, show.advance, sparse_measure.join)
        show("timing")
        documents = {name: partial(engine.run, "bare") for name, engine in engines.items()}
        timed = timing.timed(
            documents, ORIGINAL, texts.mixed, lambda items: sum(workload.num_tokens(this, items))
        )
        lengths = workload.num_tokens(this, work.texts["bare"])
    show("scoring")
    long = parity.counted(lengths, SHORT_TOKENS, about.manifest)
    ranks_by = subject.similarity_of(original)
    scorer = sparse_measure.scorer(data, work, vectors[ORIGINAL], ranks_by)
    expected = vectors[ORIGINAL]["bare"].toarray()
    rows = {}
    for name, engine in engines.items():
        actual = vectors[name]["bare"].toarray()
        rows[name] = SparseRow(
            runs_on=engine.runs_on,
            megabytes=engine.megabytes,
            speed=timed.speeds[name],
            cosines=similarity.cosines(actual, expected).tolist(),
            parity=sparse_parity.compared(actual, expected, long),
            scores=[sparse_measure.cut(scorer, vectors[name], count) for count in _cuts(vectors[ORIGINAL])],
        )
    return SparseCard(
        **subject.report_fields(about, data),
        model=_facts(about.manifest, ranks_by),
        measured=Measured(
            **subject.conditions(data, len(work.texts["bare"]), timed), neighbours=work.neighbours
        ),
        original=rows.pop(ORIGINAL),
        artifacts={name: rows[name] for name in about.folders},
    )


def _facts(described: Manifest, ranks_by: str) -> SparseFacts:
    output = described.sparse
    return SparseFacts(
        **subject.model_facts(described),
        entries=output.entries,
        pooling=output.pooling,
        activation=output.activation,
        query_table=output.query_tokens is not None,
        prompts=described.prompts,
        default_prompt=described.default_prompt,
        similarity=ranks_by,
    )


def _engines(
    about: Subject, original: SparseEncoder, models: Mapping[Precision, Model]
) -> dict[str, Engine[Embed]]:
    """The original, and every precision."""
    entries = about.manifest.sparse.entries

    def of_batch(batch: int) -> Run[str]:
        return partial(sparse_measure.of_original(original, entries, batch), "bare")

    batch = timing.best_batch(of_batch, texts.mixed(timing.SAMPLE))
    run = sparse_measure.of_original(original, entries, batch)
    pytorch = subject.in_pytorch(about, original, batch, run)
    return subject.engines(about, pytorch, models, sparse_measure.of_artifact)


def _cuts(vectors: Vectors) -> list[int | None]:
    """The numbers of weights to score at, all of them first."""
    rows = vectors.get("document", vectors.get("text"))
    assert rows is not None  # noqa: S101 - a workload has one of them
    return [None, *(count for count in CUTS if count < rows.nnz / rows.shape[0])]
