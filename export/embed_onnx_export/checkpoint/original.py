"""From a checkpoint to the original in PyTorch, and the facts of its modules."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import sentence_transformers.sentence_transformer.modules as st
import torch
import transformers
from sentence_transformers import SentenceTransformer

from embed_onnx.artifact.outputs import PoolingMode
from embed_onnx_export.checkpoint import (
    config,
    description,
    files,
    head,
    module_files,
    modules,
    static,
    tokenizer,
    weights,
)
from embed_onnx_export.checkpoint.description import Description, First
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError, is_exhausted

TRANSFORMER = {"use_safetensors": True, "dtype": torch.float32}
"""How transformers is to load a model."""
M = TypeVar("M", bound=torch.nn.Module)
NOT_POOLED = "pooler."
"""Parameters that last_hidden_state does not depend on, and that many checkpoints lack."""


class Original(Description, frozen=True, kw_only=True):
    """The model in PyTorch, and what the manifest has to say of it.

    ``folder`` is that of its first module, the weights and tokenizer.
    """

    torch: Any
    folder: Path


def load_original(checkpoint: Checkpoint, *, attention: str | None = "eager") -> Original:
    """Load a checkpoint with the modules of sentence-transformers, which is what parity is measured against.

    Only eager attention can be traced for export; None is the fastest that the architecture has.

    Raises:
        ExportError: It has a module or a setting that would be served wrongly, or cannot be loaded.
    """
    # Its bars would stand among those of the export.
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    chain = modules.read(checkpoint)
    first_folder = checkpoint.folder / (chain[0].path if chain else "")
    tokenizer.check_readable(first_folder)
    if not files.is_static(chain):
        config.check_known(first_folder, checkpoint.source.repo)
    try:
        with weights.readable(checkpoint.folder) as folder:
            model = _assembled(folder, chain, attention).eval().float()
    except ExportError:
        raise
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        if is_exhausted(err):
            raise
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err
    if files.is_static(chain):
        _, first = static.read(first_folder)
    else:
        first = _first(model, checkpoint, chain)
    return Original(
        torch=model,
        folder=first_folder,
        **msgspec.structs.asdict(description.read(checkpoint.folder, chain, first)),
    )


def load_whole(kind: type[M], checkpoint: Checkpoint, *, attention: str | None = None) -> M:
    """A model of some kind as sentence-transformers loads it, in float32.

    Only eager attention can be traced for export; None is the fastest that the architecture has.

    Raises:
        ExportError: It cannot be loaded.
    """
    # Its bars would stand among those of the export.
    transformers.utils.logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with weights.readable(checkpoint.folder) as folder:
            return kind(
                str(folder),
                device="cpu",
                local_files_only=True,
                trust_remote_code=False,
                model_kwargs={**TRANSFORMER, "attn_implementation": attention},
            ).eval()
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        if is_exhausted(err):
            raise
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err


def _first(model: Any, checkpoint: Checkpoint, chain: Sequence[module_files.Module]) -> First:
    """What the loaded transformer is, whose limit becomes that of the model."""
    transformer = model[0]
    _check_transformer(transformer, checkpoint, chain)
    config.check(transformer.auto_model, checkpoint.source.repo)
    tokenizer.check_ids(transformer, checkpoint.source.repo)
    model.max_seq_length = tokenizer.max_tokens(transformer)
    return First(
        text=f"Transformer ({type(transformer.auto_model).__name__})",
        width=transformer.get_embedding_dimension(),
        max_tokens=model.max_seq_length,
        tokenizer=model.tokenizer.backend_tokenizer,
        truncation_side=model.tokenizer.truncation_side,
        plain_modes=("mean",) if chain else _modes(model[1]),
    )


def _assembled(
    folder: Path, chain: Sequence[module_files.Module], attention: str | None
) -> SentenceTransformer:
    """The model: of a plain transformers folder, as sentence-transformers makes one of it."""
    transformer = {**TRANSFORMER, "attn_implementation": attention}
    if not chain:
        return SentenceTransformer(
            str(folder),
            device="cpu",
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs=transformer,
        )
    settings = modules.read_settings(folder)
    return SentenceTransformer(
        modules=[_module(folder, module, transformer) for module in chain],
        prompts=settings.prompts,
        default_prompt_name=settings.default_prompt_name,
        truncate_dim=settings.truncate_dim,
        local_files_only=True,
        device="cpu",
    )


def _module(folder: Path, module: module_files.Module, transformer: dict[str, Any]) -> Any:
    match module.kind:
        case "StaticEmbedding":
            table, first = static.read(folder / module.path)
            return st.StaticEmbedding(first.tokenizer, embedding_weights=torch.tensor(table))
        case "Dense":
            return head.load_dense(folder, module.path)
        case "Normalize":
            return st.Normalize()
        case "Transformer":
            options = {"trust_remote_code": False, "model_kwargs": dict(transformer)}
        case _:
            options = {}
    kind = getattr(st, module.kind)
    return kind.load(str(folder), subfolder=module.path, local_files_only=True, **options)


def _check_transformer(
    transformer: Any, checkpoint: Checkpoint, chain: Sequence[module_files.Module]
) -> None:
    """Refuse what gives no states of tokens, or would have been given random weights."""
    if transformer.module_output_name != "token_embeddings" or "message" in transformer.modality_config:
        raise ExportError(
            f"{checkpoint.source.repo} makes {transformer.module_output_name} of "
            f"{', '.join(map(str, transformer.modality_config))}, and only the states of texts' tokens are "
            "served; export a Sentence-Transformers model with a pooling, without a chat template"
        )
    with weights.readable(checkpoint.folder) as folder:
        _, info = type(transformer.auto_model).from_pretrained(
            folder,
            subfolder=chain[0].path if chain else "",
            local_files_only=True,
            output_loading_info=True,
            **TRANSFORMER,
        )
    check_parameters(transformer.auto_model, info, checkpoint.source.repo, unused=NOT_POOLED)


def check_parameters(model: Any, info: dict[str, Any], repo: str, *, unused: str | None = None) -> None:
    """Refuse weights that are not those of a model's parameters, but for the part that is ``unused``.

    Raises:
        ExportError: They are not.
    """
    missing = [name for name in info["missing_keys"] if unused is None or not name.startswith(unused)]
    if missing:
        raise ExportError(
            f"the weights of {repo} lack {len(missing)} parameters, {missing[0]} among them, which would be "
            "random; get the checkpoint again"
        )
    prefix = f"{model.base_model_prefix}."
    parts = tuple(f"{name}." for name, _ in model.named_children() if f"{name}." != unused)
    spare = [name for name in sorted(info["unexpected_keys"]) if name.removeprefix(prefix).startswith(parts)]
    if spare:
        raise ExportError(
            f"the weights of {repo} have {len(spare)} parameters that its config.json has no place for, "
            f"{spare[0]} among them, and states would be computed without them; get the checkpoint again, or "
            "correct config.json or the weights"
        )


def _modes(pooling: Any) -> tuple[PoolingMode, ...]:
    modes = (pooling.pooling_mode,) if isinstance(pooling.pooling_mode, str) else pooling.pooling_mode
    return msgspec.convert(tuple(modes), tuple[PoolingMode, ...])
