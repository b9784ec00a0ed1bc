"""From a checkpoint to the original in PyTorch, the facts of its modules, and a float32 ONNX graph."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import tokenizers
from optimum.exporters.onnx import onnx_export_from_model
from sentence_transformers import SentenceTransformer

from embed_onnx.manifest import MODEL, TOKENIZER, PoolingMode
from export.errors import ExportError
from export.functions import OPSET
from export.sources import Checkpoint

PACKAGE = "sentence_transformers."
MODULES = ("Transformer", "Pooling", "Normalize")
"""What is served; the module paths have changed over the years, these names have not."""


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The model in PyTorch, and what the manifest has to say of it."""

    torch: Any
    dimensions: int
    max_tokens: int
    pooling: tuple[PoolingMode, ...]
    normalize: bool
    prompts: dict[str, str]
    default_prompt: str | None


def load(checkpoint: Checkpoint, *, attention: str | None = "eager") -> Original:
    """Load a checkpoint with sentence-transformers itself, which is what parity is measured against.

    Only eager attention can be traced for export; None is the fastest that the architecture has.

    Raises:
        ExportError: It has a module or a setting that would be served wrongly, or cannot be loaded.
    """
    kinds = _modules(checkpoint.folder)
    _check_weights(checkpoint)
    try:
        model = SentenceTransformer(
            str(checkpoint.folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"use_safetensors": True, "attn_implementation": attention},
        )
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err
    _check_tokenizer(model, checkpoint)
    pooling = model[1]
    modes = (pooling.pooling_mode,) if isinstance(pooling.pooling_mode, str) else tuple(pooling.pooling_mode)
    unknown = set(modes) - set(get_args(PoolingMode))
    if unknown or not pooling.include_prompt:
        what = f"pooling mode {', '.join(unknown)}" if unknown else "include_prompt=false"
        raise ExportError(f"{checkpoint.source.repo} uses {what}, which is not supported yet")
    return Original(
        torch=model.eval(),
        dimensions=len(modes) * pooling.embedding_dimension,
        max_tokens=_max_tokens(model),
        pooling=msgspec.convert(modes, tuple[PoolingMode, ...]),
        normalize="Normalize" in kinds,
        prompts={name: text or "" for name, text in model.prompts.items()},
        default_prompt=model.default_prompt_name,
    )


def to_onnx(original: Original, folder: Path) -> Path:
    """Write the transformer as float32 ONNX, through optimum: token ids and a mask to token states."""
    onnx_export_from_model(
        original.torch[0].auto_model,
        folder,
        task="feature-extraction",
        opset=OPSET,
        do_validation=False,  # parity compares the whole artifact with the whole original
    )
    return folder / MODEL


def write_tokenizer(original: Original, folder: Path) -> None:
    """Write the tokenizer as sentence-transformers has set it up, lower-casing included."""
    backend: tokenizers.Tokenizer = original.torch.tokenizer.backend_tokenizer
    backend.no_padding()
    backend.no_truncation()
    backend.save(str(folder / TOKENIZER))


def _modules(folder: Path) -> list[str]:
    """The module chain, checked before anything of it is loaded."""
    kinds = [str(module["type"]) for module in json.loads((folder / "modules.json").read_text())]
    names = [kind.rpartition(".")[2] for kind in kinds]
    foreign = [
        kind for kind in kinds if not kind.startswith(PACKAGE) or kind.rpartition(".")[2] not in MODULES
    ]
    if foreign:
        raise ExportError(
            f"{folder.name} has the module {foreign[0]}, which is not supported yet; "
            f"supported are {', '.join(MODULES)}"
        )
    if names not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]):
        raise ExportError(
            f"{folder.name} chains {', '.join(names)}; supported is Transformer, Pooling, perhaps Normalize"
        )
    return names


def _check_weights(checkpoint: Checkpoint) -> None:
    """Safetensors only: an index may name pickles as its shards, and a file elsewhere is not the weights."""
    chain = json.loads((checkpoint.folder / "modules.json").read_text())
    folder = checkpoint.folder / str(chain[0].get("path", ""))
    indices = folder.rglob("*.safetensors.index.json")
    shards = [str(name) for path in indices for name in json.loads(path.read_text())["weight_map"].values()]
    if not any(folder.glob("*.safetensors")) or not all(name.endswith(".safetensors") for name in shards):
        raise ExportError(
            f"{checkpoint.source.repo} has no .safetensors weights, and pickles are never read; load it "
            "where you trust it and save it again with safe_serialization=True"
        )


def _check_tokenizer(model: SentenceTransformer, checkpoint: Checkpoint) -> None:
    tokenizer = model.tokenizer
    if not getattr(tokenizer, "is_fast", False):
        raise ExportError(
            f"{checkpoint.source.repo} has no fast tokenizer (tokenizer.json); save one with its "
            "checkpoint, made by transformers' AutoTokenizer"
        )
    if tokenizer.truncation_side != "right":
        raise ExportError(f"{checkpoint.source.repo} cuts long texts at the left, which is not supported yet")


def _max_tokens(model: SentenceTransformer) -> int:
    """The limit of sentence-transformers, or less where the position embeddings end before it.

    RoBERTa's positions start after the padding id, so that 514 of them take 512 tokens.
    """
    config = model[0].auto_model.config
    positions = getattr(config, "max_position_embeddings", None) or model.max_seq_length
    if config.model_type in ("roberta", "xlm-roberta", "camembert", "mpnet"):
        positions -= config.pad_token_id + 1
    return min(int(model.max_seq_length or positions), int(positions))
