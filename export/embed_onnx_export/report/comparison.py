"""An artifact, its original and its other precision, measured side by side: the figures of a card."""

import contextlib
import os
import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec
import torch

from embed_onnx.artifact.manifest import SHORT_TOKENS, Manifest, Precision, model_bytes
from embed_onnx.models.model import Model
from embed_onnx.system import cpu
from embed_onnx_export import parity, similarity
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.progress import Show
from embed_onnx_export.report import environment, measure, texts
from embed_onnx_export.report.card import Card, Facts, Measured, Row
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.measure import Embed, Scorer, Vectors, Workload

ORIGINAL = "original"
MB = 1_000_000


class Engine(msgspec.Struct, frozen=True):
    """One way to run the model, and what a row says of it besides its figures."""

    embed: Embed
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
            vectors[name] = measure.vectors(engine.embed, work, show.advance)
        show("timing")
        timed = measure.timed_texts(engines[ORIGINAL].embed)
        this = models[subject.manifest.precision]
        num_tokens = sum(measure.num_tokens(this, timed))
        speeds = measure.speeds({name: engine.embed for name, engine in engines.items()}, timed, num_tokens)
        lengths = measure.num_tokens(this, work.texts["bare"])
        long = parity.counted(lengths, SHORT_TOKENS, subject.manifest)
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
        created=int(time.time()),
        command=_command(subject.manifest, data),
        machine=environment.describe(),
        versions=environment.versions(),
        model=_facts(subject, original),
        measured=_measured(data, work, timed, num_tokens),
        precision=subject.manifest.precision,
        original=rows.pop(ORIGINAL),
        artifacts={name: rows[name] for name in subject.folders},
        refused=subject.refused,
    )


def _engines(subject: Subject, original: Original, models: Mapping[Precision, Model]) -> dict[str, Engine]:
    """The original, and every precision in the order of their names."""
    batch = measure.best_batch(original, texts.mixed(32))
    weights = [name for name in subject.checkpoint.source.files if name.endswith(".safetensors")]
    size = sum((subject.checkpoint.folder / name).stat().st_size for name in weights)
    how = ", ".join(filter(None, ["PyTorch", measure.attention(original), f"batches of {batch}"]))
    artifacts: dict[str, Engine] = {
        name: Engine(
            measure.of_artifact(models[name]),
            models[name].kernels.runs_on,
            model_bytes(subject.folders[name]) / MB,
        )
        for name in sorted(models)
    }
    return {ORIGINAL: Engine(measure.of_original(original, batch), how, size / MB), **artifacts}


def _cuts(manifest: Manifest) -> list[int]:
    """The dimensions to score at, all of them first: also a half, a quarter, and those trained for."""
    parts = {manifest.dense.dimensions // part for part in (1, 2, 4)}
    return sorted((parts | set(manifest.dense.matryoshka)) - {0}, reverse=True)


def _similarity(original: Original) -> str:
    """What its makers rank by, as far as it matters here: the others rank unit vectors as cosine does."""
    return "dot" if str(original.torch.similarity_fn_name) == "dot" else "cosine"


def _facts(subject: Subject, original: Original) -> Facts:
    manifest = subject.manifest
    return Facts(
        name=manifest.name,
        repo=manifest.source.repo,
        revision=manifest.source.revision,
        license=manifest.source.license,
        dimensions=manifest.dense.dimensions,
        max_tokens=manifest.max_tokens,
        modules=[module.text for module in manifest.modules],
        pooling=list(manifest.dense.pooling),
        prompts=manifest.prompts,
        default_prompt=manifest.default_prompt,
        similarity=_similarity(original),
    )


def _measured(data: Datasets, work: Workload, timed: Sequence[str], num_tokens: int) -> Measured:
    pairs, task = data.pairs, data.retrieval
    return Measured(
        parity=len(work.texts["bare"]),
        neighbours=work.neighbours,
        pairs=None if pairs is None else pairs.name,
        num_pairs=0 if pairs is None else len(pairs.scores),
        retrieval=None if task is None else task.name,
        num_documents=0 if task is None else len(task.documents),
        num_queries=0 if task is None else len(task.queries),
        judgements_left_out=0 if task is None else task.unmatched,
        load=os.getloadavg()[0],
        timed_texts=len(timed),
        timed_tokens=num_tokens,
    )


def _command(manifest: Manifest, data: Datasets) -> str:
    """What makes this report again; files by their names only."""
    words = ["embed-onnx", "report", manifest.name]
    if data.pairs is not None:
        words += ["--sts", data.pairs.name]
    if data.retrieval is not None:
        words += ["--beir", data.retrieval.name]
    return shlex.join(words)
