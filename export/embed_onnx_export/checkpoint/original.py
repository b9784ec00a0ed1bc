"""From a checkpoint to the original in PyTorch, and the facts of its modules."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import sentence_transformers.sentence_transformer.modules as st
import torch
from sentence_transformers import SentenceTransformer

from embed_onnx.artifact.manifest import HEAD, MODEL, Module, PoolingMode, TruncationSide
from embed_onnx_export.checkpoint import config, head, modules, static, tokenizer, weights
from embed_onnx_export.checkpoint.sources import Checkpoint
from embed_onnx_export.errors import ExportError, is_exhausted

TRANSFORMER = {"use_safetensors": True, "dtype": torch.float32}
"""How transformers is to load a model."""
NOT_POOLED = "pooler."
"""Parameters that last_hidden_state does not depend on, and that many checkpoints lack."""
PLAIN = ("Transformer", "Pooling")
"""What sentence-transformers makes of a plain transformers model."""
INPUTS = {"Pooling": "embedding_dimension", "Dense": "in_features", "LayerNorm": "dimension"}
"""Where a module says how many numbers it takes."""


class Original(msgspec.Struct, frozen=True, kw_only=True):
    """The model in PyTorch, and what the manifest has to say of it.

    ``head`` are the modules between the pooling, which gives ``pooled`` numbers, and a last Normalize.
    """

    torch: Any
    folder: Path
    """Of its first module, the weights and tokenizer."""
    dimensions: int
    matryoshka: tuple[int, ...]
    max_tokens: int | None
    truncation_side: TruncationSide
    modules: tuple[Module, ...]
    static: bool
    pooling: tuple[PoolingMode, ...]
    pooled: int
    include_prompt: bool
    head: tuple[Any, ...]
    normalize: bool
    prompts: dict[str, str]
    default_prompt: str | None


def load_original(checkpoint: Checkpoint, *, attention: str | None = "eager") -> Original:
    """Load a checkpoint with the modules of sentence-transformers, which is what parity is measured against.

    Only eager attention can be traced for export; None is the fastest that the architecture has.

    Raises:
        ExportError: It has a module or a setting that would be served wrongly, or cannot be loaded.
    """
    chain = modules.read(checkpoint)
    try:
        with weights.readable(checkpoint.folder) as folder:
            model = _assembled(folder, chain, attention).eval().float()
    except ExportError:
        raise
    except Exception as err:  # whatever transformers raises for a folder it cannot read
        if is_exhausted(err):
            raise
        raise ExportError(f"{checkpoint.source.repo} cannot be loaded: {err}") from err
    kinds = [module.kind for module in chain] or PLAIN[: len(model)]
    is_static = kinds[0] == "StaticEmbedding"
    if is_static:
        max_tokens = static.max_tokens(model[0])
    else:
        _check_transformer(model[0], checkpoint, chain)
        config.check(model[0].auto_model, checkpoint.source.repo)
        tokenizer.check_ids(model[0], checkpoint.source.repo)
        max_tokens = model.max_seq_length = tokenizer.max_tokens(model[0])
    stack = _Stack(kinds, model)
    stack.check(checkpoint.folder)
    dimensions = min(stack.widths[-1], model.truncate_dim or stack.widths[-1])
    return Original(
        torch=model,
        folder=checkpoint.folder / (chain[0].path if chain else ""),
        dimensions=dimensions,
        matryoshka=modules.matryoshka(checkpoint.folder, chain, dimensions),
        max_tokens=max_tokens,
        truncation_side="right" if is_static else model.tokenizer.truncation_side,
        modules=stack.described(dimensions, plain=not chain),
        static=is_static,
        pooling=("mean",) if is_static else _modes(model[1]),
        pooled=stack.pooled,
        include_prompt=is_static or bool(model[1].include_prompt),
        head=tuple(stack.head),
        normalize=stack.normalize,
        prompts={name: text or "" for name, text in model.prompts.items()},
        default_prompt=model.default_prompt_name,
    )


def _assembled(folder: Path, chain: Sequence[modules.Module], attention: str | None) -> SentenceTransformer:
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


def _module(folder: Path, module: modules.Module, transformer: dict[str, Any]) -> Any:
    match module.kind:
        case "StaticEmbedding":
            return static.load(folder / module.path)
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


def _check_transformer(transformer: Any, checkpoint: Checkpoint, chain: Sequence[modules.Module]) -> None:
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
    missing = [name for name in info["missing_keys"] if not name.startswith(NOT_POOLED)]
    if missing:
        raise ExportError(
            f"the weights of {checkpoint.source.repo} lack {len(missing)} parameters, {missing[0]} among "
            "them, which would be random; get the checkpoint again"
        )


def _modes(pooling: Any) -> tuple[PoolingMode, ...]:
    modes = (pooling.pooling_mode,) if isinstance(pooling.pooling_mode, str) else pooling.pooling_mode
    return msgspec.convert(tuple(modes), tuple[PoolingMode, ...])


class _Stack:
    """The loaded modules by kind, what each gives, and where each will run."""

    def __init__(self, kinds: Sequence[str], loaded: Sequence[Any]) -> None:
        self._chain = list(zip(kinds, loaded, strict=True))
        self._first = 2 if kinds[0] == "Transformer" else 1
        """The first module after the pooling."""
        idle = itertools.takewhile(lambda kind: kind in ("Normalize", "Dropout"), reversed(kinds))
        self._end = len(kinds) - len(list(idle))
        """After the last module of the head: a Normalize from here on runs in numpy."""
        self.normalize = "Normalize" in kinds[self._end :]
        self.head = [module for kind, module in self._chain[self._first : self._end] if kind != "Dropout"]
        self.widths: list[int] = []
        """How many numbers each module gives a token or a text."""
        for _, module in self._chain:
            gives = getattr(module, "get_embedding_dimension", None)
            self.widths.append(self.widths[-1] if gives is None else gives())
        self.pooled = self.widths[self._first - 1]

    def check(self, folder: Path) -> None:
        """Make sure that modules fit together.

        Raises:
            ExportError: One takes another number of numbers than that before it gives.
        """
        for (before, _), width, (kind, module) in zip(
            self._chain, self.widths, self._chain[1:], strict=False
        ):
            takes = getattr(module, INPUTS[kind]) if kind in INPUTS else width
            if takes != width:
                raise ExportError(
                    f"{folder.name} does not fit together: its {kind} takes {takes} numbers, and the "
                    f"{before} before it gives {width}; correct the config.json of one of them"
                )
        dimensions = head.dimensions(self.head, self.pooled)
        if dimensions != self.widths[-1]:
            raise ExportError(
                f"{folder.name} does not fit together: vectors have {dimensions} numbers after an activation "
                f"that changes how many there are, and its Dense says {self.widths[-1]}; use another "
                "activation"
            )

    def described(self, dimensions: int, *, plain: bool) -> tuple[Module, ...]:
        """The chain for the manifest."""
        described = [self._described(index, plain=plain) for index in range(len(self._chain))]
        if self._first == 1:
            described.insert(1, Module("mean of its rows", "numpy"))
        if dimensions < self.widths[-1]:
            described.append(Module(f"cut to {dimensions} dimensions (truncate_dim)", "numpy"))
        return tuple(described)

    def _described(self, index: int, *, plain: bool) -> Module:
        kind, module = self._chain[index]
        match kind:
            case "Transformer":
                return Module(f"Transformer ({type(module.auto_model).__name__})", MODEL)
            case "StaticEmbedding":
                return Module("StaticEmbedding", MODEL)
            case "Pooling":
                modes = ", ".join(_modes(module))
                prompt = "" if module.include_prompt else ", without the prompt"
                note = (
                    f"a plain transformers model: {modes} pooling, as sentence-transformers takes it to have"
                )
                return Module(f"Pooling ({modes}{prompt})", "numpy", note if plain else "")
            case "Dropout":
                return Module(kind, None)
            case "Dense":
                activation = type(module.activation_function).__name__
                residual = ", residual" if isinstance(module, head.Residual) else ""
                text = f"Dense ({module.in_features} -> {module.out_features}, {activation}{residual})"
                return Module(text, HEAD)
            case _:
                return Module(kind, HEAD if index < self._end else "numpy")
