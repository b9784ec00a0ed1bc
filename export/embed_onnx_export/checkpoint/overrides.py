"""What a line of models.txt says in place of the checkpoint: written into a copy of its small files.

What loads the copy, and what it is compared with, have the same prompts, limit, dimensions and pooling.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from embed_onnx.artifact.manifest import NO_OVERRIDES, TOKENIZER, Overrides
from embed_onnx_export.checkpoint import cross_encoder, mirror, multi_vector_settings, sparse_encoder
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES, Checkpoint
from embed_onnx_export.errors import ExportError

SETTINGS, LIMIT = "config_sentence_transformers.json", "sentence_bert_config.json"
"""Of the whole model; of its transformer."""
POOLING = "1_Pooling"
PLAIN = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": POOLING, "type": "sentence_transformers.models.Pooling"},
]
"""modules.json of a plain model of transformers."""
WIDTHS = ("hidden_size", "d_model", "n_embd", "dim")
"""What architectures call the length of a token's state in config.json."""


@contextlib.contextmanager
def applied(checkpoint: Checkpoint, overrides: Overrides) -> Iterator[Checkpoint]:
    """The checkpoint with the overrides in its files; itself, where there are none.

    Raises:
        ExportError: An override does not fit the checkpoint, or a file that it changes cannot be read.
    """
    if overrides == NO_OVERRIDES:
        yield checkpoint
        return
    if cross_encoder.is_one(checkpoint) and overrides.task != "embed":
        _check_scoring(overrides, checkpoint.source.repo)
        yield checkpoint
        return
    sparse = sparse_encoder.is_one(checkpoint, overrides)
    by_token = multi_vector_settings.is_one(checkpoint.folder)
    if sparse:
        _check_sparse(overrides, checkpoint.source.repo)
    elif by_token:
        _check_by_token(overrides, checkpoint)
    else:
        _check_task(overrides, checkpoint)
    if overrides.pooling and (checkpoint.folder / MODULES).is_file():
        raise ExportError(
            f"pooling={','.join(overrides.pooling)} is for plain models of transformers, and "
            f"{checkpoint.source.repo} has a {MODULES} that says its pooling; take pooling= away"
        )
    with tempfile.TemporaryDirectory(prefix="embed-onnx-overrides-") as scratch:
        folder = Path(scratch) / checkpoint.folder.name
        mirror.link_files(checkpoint.folder, folder)
        if not (folder / MODULES).is_file() and not sparse:
            _make_chain(folder, overrides, checkpoint.source.repo)
        _change_settings(folder, overrides, checkpoint.source.repo)
        if overrides.max_tokens is not None:
            _change_limit(folder, overrides.max_tokens, checkpoint.source.repo, by_token=by_token)
        yield replace(checkpoint, folder=folder)


def _check_scoring(overrides: Overrides, repo: str) -> None:
    """Refuse options that a model which scores texts has no place for."""
    if replace(overrides, task=None) != NO_OVERRIDES:
        raise ExportError(
            f"{repo} scores texts, and of prompts, max_tokens=, dimensions= and pooling= it takes none; take "
            "them away, or write task=embed to have the vectors of its transformer"
        )


def _check_sparse(overrides: Overrides, repo: str) -> None:
    """Refuse options that a sparse model has no place for."""
    if overrides.task not in (None, "sparse"):
        raise ExportError(
            f"task={overrides.task}: {repo} is a SparseEncoder, which makes sparse vectors alone; take task= "
            "away"
        )
    if overrides.dimensions is not None or overrides.pooling:
        raise ExportError(
            f"{repo} makes sparse vectors, and takes neither dimensions= nor pooling=; take them away"
        )


def _check_by_token(overrides: Overrides, checkpoint: Checkpoint) -> None:
    """Refuse options that a model of token vectors has no place for."""
    repo = checkpoint.source.repo
    if overrides.task is not None:
        raise ExportError(
            f"task={overrides.task}: {repo} makes token vectors, by which it ranks as well, and nothing "
            "else; take task= away"
        )
    if overrides.dimensions is not None or overrides.pooling:
        raise ExportError(
            f"{repo} makes token vectors, and takes neither dimensions= nor pooling=; take them away"
        )
    if multi_vector_settings.is_stanford(checkpoint.folder):
        raise ExportError(
            f"{repo} is a model of Stanford's ColBERT, whose files have no place for options; take them "
            "away, or save it with the MultiVectorEncoder of sentence-transformers and export that"
        )


def _check_task(overrides: Overrides, checkpoint: Checkpoint) -> None:
    """Refuse a task that is not what a checkpoint can be exported for."""
    repo, scores = checkpoint.source.repo, cross_encoder.is_one(checkpoint)
    if scores and (checkpoint.folder / MODULES).is_file():
        raise ExportError(f"task=embed: {repo} is a CrossEncoder, which makes no vectors; take task= away")
    if not scores and overrides.task not in (None, "embed"):
        raise ExportError(
            f"task={overrides.task}: {repo} is not a CrossEncoder or a {cross_encoder.CLASSIFIER} of "
            "transformers, so it does not score texts; take task= away"
        )


def check(overrides: Overrides, *, max_tokens: int | None, dimensions: int, repo: str) -> None:
    """Compare overrides with the limits of a model that was loaded with them.

    Raises:
        ExportError: The model has a lower limit.
    """
    limits = {"max_tokens": max_tokens, "dimensions": dimensions}
    for key, limit in limits.items():
        value = getattr(overrides, key)
        if value is not None and limit is not None and value > limit:
            raise _too_much(key, value, limit, repo)


def _too_much(key: str, value: int, limit: int, repo: str) -> ExportError:
    return ExportError(
        f"{key}={value} is more than {repo} takes, which is {limit}; write a number up to that, "
        f"or take {key}= away"
    )


def _make_chain(folder: Path, overrides: Overrides, repo: str) -> None:
    """Write the modules of a plain model: as sentence-transformers takes them, but for the pooling."""
    config = _read(folder / CONFIG)
    width = next((config[name] for name in WIDTHS if name in config), None)
    if width is None:
        raise ExportError(
            f"the options of {repo} need the width of its states, and its {CONFIG} has none of "
            f"{', '.join(WIDTHS)}; save it with sentence-transformers, with a modules.json"
        )
    causal = str((config.get("architectures") or [""])[0]).endswith("ForCausalLM")
    default = "lasttoken" if causal and config.get("is_causal", True) else "mean"
    modes = list(overrides.pooling or (default,))
    (folder / POOLING).mkdir(exist_ok=True)
    _write(folder / MODULES, PLAIN)
    pooling = {
        "embedding_dimension": width,
        "pooling_mode": modes if len(modes) > 1 else modes[0],
        "include_prompt": True,
    }
    _write(folder / POOLING / CONFIG, pooling)


def _change_settings(folder: Path, overrides: Overrides, repo: str) -> None:
    """Write prompts and dimensions into the settings of the whole model."""
    path = folder / SETTINGS
    settings = _read(path) if path.is_file() else {}
    prompts = {**(settings.get("prompts") or {}), **overrides.prompts}
    settings["prompts"] = prompts
    if overrides.default_prompt is not None:
        if overrides.default_prompt not in prompts:
            raise ExportError(
                f"default_prompt={overrides.default_prompt} is not a prompt of {repo}, which has "
                f"{', '.join(prompts) or 'none'}; add prompt.{overrides.default_prompt}="
            )
        settings["default_prompt_name"] = overrides.default_prompt
    if overrides.dimensions is not None:
        declared = settings.get("truncate_dim")
        if declared is not None and declared < overrides.dimensions:
            raise _too_much("dimensions", overrides.dimensions, declared, repo)
        settings["truncate_dim"] = overrides.dimensions
    _write(path, settings)


def _change_limit(folder: Path, max_tokens: int, repo: str, *, by_token: bool) -> None:
    """Write the limit of tokens: of the transformer, or of the tokenizer of a table of embeddings.

    ``by_token``: documents of a model of token vectors may have one of their own.
    """
    kind, path = _first(folder)
    module = folder / path
    if kind.endswith("StaticEmbedding"):
        tokenizer = _read(module / TOKENIZER)
        whole = tokenizer.get("truncation") or {"direction": "Right", "strategy": "LongestFirst", "stride": 0}
        tokenizer["truncation"] = {**whole, "max_length": max_tokens}
        _write(module / TOKENIZER, tokenizer)
        return
    positions = _read(module / CONFIG).get("max_position_embeddings")
    if isinstance(positions, int) and 0 < positions < max_tokens:
        raise _too_much("max_tokens", max_tokens, positions, repo)
    limit = _read(module / LIMIT) if (module / LIMIT).is_file() else {}
    of_documents = {"document_length": max_tokens} if by_token else {}
    _write(module / LIMIT, {**limit, "max_seq_length": max_tokens, **of_documents})


def _first(folder: Path) -> tuple[str, str]:
    """The class and the folder of what reads the texts; of a Router, those of documents."""
    if not (folder / MODULES).is_file():
        return "Transformer", ""
    first = _read(folder / MODULES)[0]
    if not first["type"].endswith("Router"):
        return first["type"], first.get("path", "")
    router = _read(folder / first.get("path", "") / "router_config.json")
    path = router["structure"]["document"][0]
    return router["types"][path], path


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as err:
        raise ExportError(
            f"{path.name} cannot be read: {err}; get the checkpoint again, or correct it"
        ) from None


def _write(path: Path, content: object) -> None:
    path.unlink(missing_ok=True)  # it may be a link to the checkpoint's own file
    path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")
