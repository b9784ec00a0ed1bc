"""An embedder's artifact, its original and its other precision, side by side: the figures of a card."""

import contextlib
import os
import shlex
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import torch

from embed_onnx.artifact.manifest import RANGES, SHORT_TOKENS, Manifest, Precision, model_bytes
from embed_onnx.engine import dtypes
from embed_onnx.engine.dtypes import DType, Ranges
from embed_onnx.models.model import Model
from embed_onnx.system import cpu
from embed_onnx_export import parity, similarity
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.progress import Show
from embed_onnx_export.report import environment, measure, texts, timing
from embed_onnx_export.report.card import Card, Facts, Measured, Row, Smaller
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.measure import Embed, Scorer, Vectors
from embed_onnx_export.report.timing import Run

R = TypeVar("R")
ORIGINAL = "original"
MB = 1_000_000


class Engine(msgspec.Struct, Generic[R], frozen=True):
    """One way to run the model, and what a row says of it besides its figures."""

    run: R
    runs_on: str
    megabytes: float


class Subject(msgspec.Struct, frozen=True):
    """An artifact, what it was made of, and the folder of each precision that could be made."""

    manifest: Manifest
    checkpoint: Checkpoint
    folders: Mapping[Precision, Path]
    refused: str | None


def card_of(subject: Subject, data: Datasets, show: Show) -> Card:
    """Run the texts through every engine, in this process, and score and time them."""
    show("loading")
    torch.set_num_threads(cpu.usable_cores())
    original = load_original(subject.checkpoint, attention=None)
    work = measure.workload(data, parity.messages(original.tokenizer))
    show.expect(work.count * (1 + len(subject.folders)))
    with contextlib.ExitStack() as stack:
        models = {name: stack.enter_context(Model.load(path)) for name, path in subject.folders.items()}
        engines = _engines(subject, original, models)
        vectors: dict[str, Vectors] = {}
        for name, engine in engines.items():
            show(f"embedding, {name}")
            vectors[name] = measure.vectors(engine.run, work, show.advance)
        show("timing")
        bare = {name: partial(engine.run, "bare") for name, engine in engines.items()}
        timed = timing.timed_items(bare[ORIGINAL], texts.mixed)
        this = models[subject.manifest.precision]
        num_tokens = sum(measure.num_tokens(this, timed))
        speeds = timing.speeds(bare, timed, num_tokens)
        lengths = measure.num_tokens(this, work.texts["bare"])
        long = parity.counted(lengths, SHORT_TOKENS, subject.manifest)
        ranges = this.ranges() if RANGES in subject.manifest.sha256 else None
    show("scoring")
    scorer = Scorer(data, work, vectors[ORIGINAL], _similarity(original))
    rows = {}
    for name, engine in engines.items():
        cosines = similarity.cosines(vectors[name]["bare"], vectors[ORIGINAL]["bare"])
        rows[name] = Row(
            runs_on=engine.runs_on,
            megabytes=engine.megabytes,
            speed=speeds[name],
            cosines=cosines.tolist(),
            parity=parity.recorded(cosines, long),
            scores=[scorer.score(vectors[name], dimensions) for dimensions in _cuts(subject.manifest)],
        )
    return Card(
        **report_fields(subject, data),
        model=Facts(
            **model_facts(subject.manifest),
            dimensions=subject.manifest.dense.dimensions,
            pooling=list(subject.manifest.dense.pooling),
            prompts=subject.manifest.prompts,
            default_prompt=subject.manifest.default_prompt,
            similarity=_similarity(original),
        ),
        measured=Measured(
            **conditions(data, len(work.texts["bare"]), len(timed), num_tokens),
            neighbours=work.neighbours,
        ),
        original=rows.pop(ORIGINAL),
        artifacts={name: rows[name] for name in subject.folders},
        types=_types(vectors[subject.manifest.precision], ranges, scorer),
    )


def _types(vectors: Vectors, ranges: Ranges | None, scorer: Scorer) -> list[Smaller]:
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
            scores=scorer.score(measure.in_type(vectors, name, ranges), dimensions),
        )
        for name in names
    ]


def _engines(
    subject: Subject, original: Original, models: Mapping[Precision, Model]
) -> dict[str, Engine[Embed]]:
    """The original, and every precision in the order of their names."""

    def of_batch(batch: int) -> Run[str]:
        return partial(measure.of_original(original, batch), "bare")

    batch = timing.best_batch(of_batch, texts.mixed(timing.SAMPLE))
    pytorch = Engine(
        measure.of_original(original, batch),
        in_pytorch(original.torch, batch),
        checkpoint_megabytes(subject.checkpoint),
    )
    artifacts: dict[str, Engine[Embed]] = {
        name: Engine(
            measure.of_artifact(models[name]),
            models[name].kernels.runs_on,
            model_bytes(subject.folders[name]) / MB,
        )
        for name in sorted(models)
    }
    return {ORIGINAL: pytorch, **artifacts}


def _cuts(manifest: Manifest) -> list[int]:
    """The dimensions to score at, all of them first: also a half, a quarter, and those trained for."""
    parts = {manifest.dense.dimensions // part for part in (1, 2, 4)}
    return sorted((parts | set(manifest.dense.matryoshka)) - {0}, reverse=True)


def _similarity(original: Original) -> str:
    """What its makers rank by, as far as it matters here: the others rank unit vectors as cosine does."""
    return "dot" if str(original.torch.similarity_fn_name) == "dot" else "cosine"


def in_pytorch(original: torch.nn.Module, batch: int) -> str:
    """What the original runs on, in words."""
    return ", ".join(filter(None, ["PyTorch", measure.attention(original), f"batches of {batch}"]))


def checkpoint_megabytes(checkpoint: Checkpoint) -> float:
    """The size of the original's weights."""
    weights = [name for name in checkpoint.source.files if name.endswith(".safetensors")]
    return sum((checkpoint.folder / name).stat().st_size for name in weights) / MB


def report_fields(subject: Subject, data: Datasets) -> dict[str, Any]:
    """The fields of a ``Report`` that are no figures."""
    return {
        "created": int(time.time()),
        "command": _command(subject.manifest, data),
        "machine": environment.describe(),
        "versions": environment.versions(),
        "precision": subject.manifest.precision,
        "refused": subject.refused,
    }


def model_facts(manifest: Manifest) -> dict[str, Any]:
    """The fields of ``ModelFacts``."""
    return {
        "name": manifest.name,
        "repo": manifest.source.repo,
        "revision": manifest.source.revision,
        "license": manifest.source.license,
        "max_tokens": manifest.max_tokens,
        "modules": [module.text for module in manifest.modules],
    }


def conditions(data: Datasets, compared: int, timed: int, num_tokens: int) -> dict[str, Any]:
    """The fields of ``Conditions``, of so many items that were compared, and timed, and their tokens."""
    pairs, task = data.sts or data.pairs, data.retrieval
    return {
        "parity": compared,
        "pairs": None if pairs is None else pairs.name,
        "num_pairs": 0 if pairs is None else len(pairs.scores),
        "retrieval": None if task is None else task.name,
        "num_documents": 0 if task is None else len(task.documents),
        "num_queries": 0 if task is None else len(task.queries),
        "judgements_left_out": 0 if task is None else task.unmatched,
        "load": os.getloadavg()[0],
        "timed_texts": timed,
        "timed_tokens": num_tokens,
    }


def _command(manifest: Manifest, data: Datasets) -> str:
    """What makes this report again; files by their names only."""
    options = {
        "--sts": data.sts and data.sts.name,
        "--pairs": data.pairs and data.pairs.name,
        "--beir": data.retrieval and data.retrieval.name,
        "--first-stage": data.first_stage,
    }
    words = [word for option, value in options.items() if value for word in (option, value)]
    return shlex.join(["embed-onnx", "report", manifest.name, *words])
