"""An embedder's artifact, its original and its other precision, side by side: the figures of a card."""

import contextlib
from collections.abc import Mapping
from functools import partial

import numpy as np
import torch

from embed_onnx.artifact.manifest import RANGES, Manifest, Precision
from embed_onnx.artifact.parity import SHORT_TOKENS
from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Ranges
from embed_onnx.models.model import Model
from embed_onnx.system import cpu
from embed_onnx_export import parity, similarity
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.progress import Show
from embed_onnx_export.report import measure, subject, texts, timing, workload
from embed_onnx_export.report.card import Card, Facts, Measured, Row, Smaller
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.measure import Embed, Vectors
from embed_onnx_export.report.scores import Floats
from embed_onnx_export.report.subject import ORIGINAL, Engine, Subject
from embed_onnx_export.report.timing import Run
from embed_onnx_export.report.workload import Scorer


def card_of(about: Subject, data: Datasets, show: Show) -> Card:
    """Run the texts through every engine, in this process, and score and time them."""
    show("loading")
    torch.set_num_threads(cpu.usable_cores())
    original = load_original(about.checkpoint, attention=None)
    work = workload.workload(data, parity.messages(original.tokenizer))
    show.expect(work.count * (1 + len(about.folders)))
    with contextlib.ExitStack() as stack:
        models = {name: stack.enter_context(Model.load(path)) for name, path in about.folders.items()}
        engines = _engines(about, original, models)
        vectors: dict[str, Vectors] = {}
        for name, engine in engines.items():
            show(f"embedding, {name}")
            vectors[name] = workload.vectors(engine.run, work, show.advance, np.concatenate)
        show("timing")
        bare = {name: partial(engine.run, "bare") for name, engine in engines.items()}
        this = models[about.manifest.precision]
        timed = timing.timed(bare, ORIGINAL, texts.mixed, lambda items: sum(workload.num_tokens(this, items)))
        lengths = workload.num_tokens(this, work.texts["bare"])
        long = parity.counted(lengths, SHORT_TOKENS, about.manifest)
        ranges = this.ranges() if RANGES in about.manifest.sha256 else None
    show("scoring")
    ranks_by = subject.similarity_of(original.torch)
    scorer = measure.scorer(data, work, vectors[ORIGINAL], ranks_by)
    rows = {}
    for name, engine in engines.items():
        cosines = similarity.cosines(vectors[name]["bare"], vectors[ORIGINAL]["bare"])
        rows[name] = Row(
            runs_on=engine.runs_on,
            megabytes=engine.megabytes,
            speed=timed.speeds[name],
            cosines=cosines.tolist(),
            parity=parity.recorded(cosines, long),
            scores=[measure.cut(scorer, vectors[name], dimensions) for dimensions in _cuts(about.manifest)],
        )
    return Card(
        **subject.report_fields(about, data),
        model=_facts(about.manifest, ranks_by),
        measured=Measured(
            **subject.conditions(data, len(work.texts["bare"]), timed),
            neighbours=work.neighbours,
        ),
        original=rows.pop(ORIGINAL),
        artifacts={name: rows[name] for name in about.folders},
        types=_types(vectors[about.manifest.precision], ranges, scorer),
    )


def _facts(described: Manifest, ranks_by: str) -> Facts:
    return Facts(
        **subject.model_facts(described),
        dimensions=described.dense.dimensions,
        pooling=list(described.dense.pooling),
        prompts=described.prompts,
        default_prompt=described.default_prompt,
        similarity=ranks_by,
    )


def _types(vectors: Vectors, ranges: Ranges | None, scorer: Scorer[Floats]) -> list[Smaller]:
    """The same vectors in every type of numbers, scored; binary has the bits of ubinary."""
    dimensions = next(iter(vectors.values())).shape[1]
    names: list[DType] = [
        name
        for name in dtypes.NUMPY
        if name != "binary" and (ranges is not None or name not in dtypes.RANGED)
    ]
    return [
        Smaller(
            dtype=name,
            bytes=dtypes.width(name, dimensions) * dtypes.NUMPY[name].itemsize,
            scores=measure.cut(scorer, measure.in_type(vectors, name, ranges), dimensions),
        )
        for name in names
    ]


def _engines(
    about: Subject, original: Original, models: Mapping[Precision, Model]
) -> dict[str, Engine[Embed]]:
    """The original, and every precision."""

    def of_batch(batch: int) -> Run[str]:
        return partial(measure.of_original(original, batch), "bare")

    batch = timing.best_batch(of_batch, texts.mixed(timing.SAMPLE))
    run = measure.of_original(original, batch)
    pytorch = subject.in_pytorch(about, original.torch, batch, run)
    return subject.engines(about, pytorch, models, measure.of_artifact)


def _cuts(manifest: Manifest) -> list[int]:
    """The dimensions to score at, all of them first: also a half, a quarter, and those trained for."""
    parts = {manifest.dense.dimensions // part for part in (1, 2, 4)}
    return sorted((parts | set(manifest.dense.matryoshka)) - {0}, reverse=True)
