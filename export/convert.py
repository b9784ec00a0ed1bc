"""From a checkpoint to the original in PyTorch, and the facts of its modules."""

import json
from pathlib import Path
from typing import Any, get_args

import msgspec
import torch
from sentence_transformers import SentenceTransformer

from embed_onnx.manifest import PoolingMode, TruncationSide
from export import tokenizer
from export.errors import ExportError
from export.sources import Checkpoint

PACKAGE = "sentence_transformers."
MODULES = ("Transformer", "Pooling", "Normalize")
"""What is served; the module paths have changed over the years, these names have not."""


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The model in PyTorch, and what the manifest has to say of it."""

    torch: Any
    dimensions: int
    max_tokens: int
    truncation_side: TruncationSide
    pooling: tuple[PoolingMode, ...]
    normalize: bool
    prompts: dict[str, str]
    default_prompt: str | None


def load(checkpoint: Checkpoint) -> Original:
    """Load a checkpoint with sentence-transformers itself, which is what parity is measured against.

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
            model_kwargs={"use_safetensors": True, "attn_implementation": "eager", "dtype": torch.float32},
        )
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err
    pooling = model[1]
    modes = (pooling.pooling_mode,) if isinstance(pooling.pooling_mode, str) else tuple(pooling.pooling_mode)
    unknown = set(modes) - set(get_args(PoolingMode))
    if unknown or not pooling.include_prompt:
        what = f"pooling mode {', '.join(unknown)}" if unknown else "include_prompt=false"
        raise ExportError(f"{checkpoint.source.repo} uses {what}, which is not supported yet")
    return Original(
        torch=model.eval(),
        dimensions=len(modes) * pooling.embedding_dimension,
        max_tokens=tokenizer.max_tokens(model[0]),
        truncation_side=model.tokenizer.truncation_side,
        pooling=msgspec.convert(modes, tuple[PoolingMode, ...]),
        normalize="Normalize" in kinds,
        prompts={name: text or "" for name, text in model.prompts.items()},
        default_prompt=model.default_prompt_name,
    )


def transformer_folder(checkpoint: Checkpoint) -> Path:
    """Where the transformer's weights and tokenizer are."""
    chain = json.loads((checkpoint.folder / "modules.json").read_text())
    return checkpoint.folder / str(chain[0].get("path", ""))


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
    folder = transformer_folder(checkpoint)
    indices = folder.rglob("*.safetensors.index.json")
    shards = [str(name) for path in indices for name in json.loads(path.read_text())["weight_map"].values()]
    if not any(folder.glob("*.safetensors")) or not all(name.endswith(".safetensors") for name in shards):
        raise ExportError(
            f"{checkpoint.source.repo} has no .safetensors weights, and pickles are never read; load it "
            "where you trust it and save it again with safe_serialization=True"
        )
