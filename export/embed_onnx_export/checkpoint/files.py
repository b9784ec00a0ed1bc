"""A model of its checkpoint's files alone, without PyTorch: BERT's relatives, ModernBERT and tables."""

from pathlib import Path
from typing import Any

import msgspec

from embed_onnx import install
from embed_onnx.models.tokenizer import num_ids
from embed_onnx_export.checkpoint import description, module_files, static, tensors, tokenizer_file
from embed_onnx_export.checkpoint.description import Description, First
from embed_onnx_export.checkpoint.sources import CONFIG, Checkpoint
from embed_onnx_export.checkpoint.tokenizer_classes import UnknownTokenizer
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import encoders
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.encoders import Encoder
from embed_onnx_export.graph.int8 import Floats

Chain = tuple[module_files.Module, ...]
COMPARED = "; where PyTorch is installed, models with other fields in config.json are compared with it"
"""A way out for those whose graph is written without PyTorch in any case."""


class Files(msgspec.Struct, frozen=True):
    """A model: what it computes its states with, a transformer or a table [tokens, width]; and all else."""

    states: Encoder | Floats
    description: Description


def way_out() -> str:
    """What to do about a checkpoint that is not read without PyTorch."""
    return (
        f"export it with PyTorch, by `{install.command('export')}`, or on another machine whose artifacts "
        "folder is copied here"
    )


def read(checkpoint: Checkpoint, chain: Chain) -> Files:
    """The model that checked modules are.

    Raises:
        ExportError: It is not one that is read without PyTorch, or its parts do not fit together.
    """
    folder = _folder(checkpoint, chain)
    if is_static(chain):
        table, first = static.read(folder)
        return Files(table, description.read(checkpoint.folder, chain, first))
    try:
        encoder = read_encoder(checkpoint, chain, strict=True)
        first = _first(folder, encoder, plain=not chain)
    except (UnknownFamily, UnknownTokenizer) as err:
        raise ExportError(
            f"{checkpoint.source.repo} cannot be exported without PyTorch: {err}; {way_out()}"
        ) from None
    _check_ids(first, encoder, checkpoint.source.repo)
    return Files(encoder, description.read(checkpoint.folder, chain, first))


def is_static(chain: Chain) -> bool:
    """Whether a model is a table of embeddings."""
    return bool(chain) and chain[0].kind == "StaticEmbedding"


def read_encoder(checkpoint: Checkpoint, chain: Chain, *, strict: bool) -> Encoder:
    """The transformer of checked modules; ``strict`` is that of ``encoders.read``.

    Raises:
        UnknownFamily: It has no graph that is written from weights.
    """
    folder = _folder(checkpoint, chain)
    config = _config(folder)
    encoders.class_name(config)  # before the weights are read
    return encoders.read(config, tensors.read(folder), strict=strict)


def _folder(checkpoint: Checkpoint, chain: Chain) -> Path:
    return checkpoint.folder / (chain[0].path if chain else "")


def _config(folder: Path) -> dict[str, Any]:
    return module_files.decode(folder / CONFIG, dict[str, Any])


def _first(folder: Path, encoder: Encoder, *, plain: bool) -> First:
    config = _config(folder)
    own = tokenizer_file.Own() if plain else tokenizer_file.read_own(folder)
    tokenizer, settings = tokenizer_file.read(folder, own, config)
    if plain and any(name.endswith("ForCausalLM") for name in config.get("architectures") or ()):
        raise UnknownFamily("it was saved as a model that generates text")
    return First(
        text=f"Transformer ({encoders.class_name(config)})",
        width=encoder.words.shape[1],
        max_tokens=tokenizer_file.max_tokens(own, settings, encoders.max_positions(config, encoder)),
        tokenizer=tokenizer,
        truncation_side=settings.truncation_side or (tokenizer.truncation or {}).get("direction", "right"),
    )


def _check_ids(first: First, encoder: Encoder, repo: str) -> None:
    rows, ids = len(encoder.words), num_ids(first.tokenizer)
    if ids > rows:
        raise ExportError(
            f"{repo} has a tokenizer with ids up to {ids - 1}, and a table of embeddings of {rows} rows; add "
            "rows with resize_token_embeddings(len(tokenizer)) and train them, or take these tokens out of "
            "its tokenizer, and save the two together"
        )
    special = first.tokenizer.num_special_tokens_to_add(is_pair=False)
    if first.max_tokens is not None and first.max_tokens <= special:
        raise ExportError(
            f"{repo} has a limit of {first.max_tokens} tokens, and {special} special ones are put around a "
            "text, which leaves none for it; raise max_seq_length in sentence_bert_config.json"
        )
