"""What every report card is about: an artifact, its original and its other precision, and their facts."""

import os
import shlex
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Generic, TypeVar

import msgspec
import tokenizers
import torch
import transformers

from embed_onnx.artifact.manifest import TOKENIZER, Manifest, Precision, model_bytes
from embed_onnx.models.model import Model
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.report import environment
from embed_onnx_export.report.datasets import Datasets
from embed_onnx_export.report.timing import Timing

R = TypeVar("R")
ORIGINAL = "original"
MB = 1_000_000


class Engine(msgspec.Struct, Generic[R], frozen=True):
    """One way to run the model, and what a row says of it besides its figures."""

    run: R
    runs_on: str
    megabytes: float


class Subject(msgspec.Struct, frozen=True):
    """An artifact, what it was made of, and the folder of each precision that could be made.

    ``artifacts`` is the folder of all artifacts.
    """

    manifest: Manifest
    checkpoint: Checkpoint
    folders: Mapping[Precision, Path]
    refused: str | None
    artifacts: Path


def engines(
    subject: Subject,
    original: Engine[R],
    models: Mapping[Precision, Model],
    run_of: Callable[[Model], R],
) -> dict[str, Engine[R]]:
    """The original, and every precision in the order of their names; ``run_of`` has a model do its work."""
    artifacts: dict[str, Engine[R]] = {
        name: Engine(
            run_of(models[name]), models[name].kernels.runs_on, model_bytes(subject.folders[name]) / MB
        )
        for name in sorted(models)
    }
    return {ORIGINAL: original, **artifacts}


def in_pytorch(subject: Subject, original: torch.nn.Module, batch: int, run: R) -> Engine[R]:
    """The original, which runs in batches of so many."""
    runs_on = ", ".join(filter(None, ["PyTorch", _attention(original), f"batches of {batch}"]))
    return Engine(run, runs_on, _checkpoint_megabytes(subject.checkpoint))


def tokenizer(subject: Subject) -> tokenizers.Tokenizer:
    """That of the artifact, as its library reads it."""
    return tokenizers.Tokenizer.from_file(str(subject.folders[subject.manifest.precision] / TOKENIZER))


def similarity_of(original: Any) -> str:
    """What its makers rank by, as far as it matters here: the others rank unit vectors as cosine does."""
    return "dot" if str(original.similarity_fn_name) == "dot" else "cosine"


def report_fields(subject: Subject, data: Datasets) -> dict[str, Any]:
    """The fields of a ``Report`` that are not figures."""
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


def conditions(data: Datasets, compared: int, timing: Timing) -> dict[str, Any]:
    """The fields of ``Conditions``; so many items were compared."""
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
        "timed_texts": timing.items,
        "timed_tokens": timing.tokens,
    }


def _attention(original: torch.nn.Module) -> str:
    """The name of the attention that the original runs with; empty for one without."""
    models = (module for module in original.modules() if isinstance(module, transformers.PreTrainedModel))
    return next((str(module.config._attn_implementation) for module in models), "")


def _checkpoint_megabytes(checkpoint: Checkpoint) -> float:
    """The size of the original's weights."""
    weights = [name for name in checkpoint.source.files if name.endswith(".safetensors")]
    return sum((checkpoint.folder / name).stat().st_size for name in weights) / MB


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
