"""What the files of a checkpoint say of a model beside its first module: pooling, head and prompts."""

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import tokenizers
from msgspec.structs import replace

from embed_onnx.artifact.manifest import HEAD, MODEL, Module, TruncationSide
from embed_onnx.artifact.outputs import PoolingMode
from embed_onnx.artifact.schema import Positive
from embed_onnx_export.checkpoint import module_files, modules, tensors
from embed_onnx_export.checkpoint.module_files import DenseConfig
from embed_onnx_export.checkpoint.sources import CONFIG
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph.head_graph import SLOPED, Dense, LayerNorm, Normalize, Step

PLAIN = (module_files.Module("Transformer", ""), module_files.Module("Pooling", ""))
"""What sentence-transformers makes of a plain transformers model."""
PROMPTS = {"query": "", "document": ""}
"""Those that sentence-transformers gives every model, unless it has others of these names."""
OLD_MODES: dict[str, PoolingMode] = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}
"""Fields of older files, in the order in which their modes follow one another."""


class First(msgspec.Struct, frozen=True, kw_only=True):
    """What the first module says: its numbers a token, its limit, and its tokenizer as it is served.

    ``text`` is for people. ``plain_modes``: how a plain transformers model is pooled.
    """

    text: str
    width: int
    max_tokens: int | None
    tokenizer: tokenizers.Tokenizer
    truncation_side: TruncationSide = "right"
    plain_modes: tuple[PoolingMode, ...] = ("mean",)


class Description(msgspec.Struct, frozen=True, kw_only=True):
    """What the manifest has to say of a model, and what is written for it besides its states.

    ``head`` are the steps between the pooling, which gives ``pooled`` numbers, and a last Normalize.
    ``tokenizer`` is as it is served.
    """

    tokenizer: tokenizers.Tokenizer
    dimensions: int
    matryoshka: tuple[int, ...]
    max_tokens: int | None
    truncation_side: TruncationSide
    modules: tuple[Module, ...]
    static: bool
    pooling: tuple[PoolingMode, ...]
    pooled: int
    include_prompt: bool
    head: tuple[Step, ...]
    normalize: bool
    prompts: dict[str, str]
    default_prompt: str | None


def with_quadratic(chain: tuple[Module, ...], reason: str) -> tuple[Module, ...]:
    """The modules with a note that long texts need much memory, and why."""
    first, *others = chain
    note = f"attention needs memory in proportion to the square of a text's tokens, as {reason}"
    return (replace(first, note=note), *others)


class _PoolingConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.json of a Pooling, of any age."""

    embedding_dimension: Positive | None = None
    word_embedding_dimension: Positive | None = None
    pooling_mode: PoolingMode | tuple[PoolingMode, ...] | None = None
    include_prompt: bool = True
    pooling_mode_cls_token: bool = False
    pooling_mode_max_tokens: bool = False
    pooling_mode_mean_tokens: bool = False
    pooling_mode_mean_sqrt_len_tokens: bool = False
    pooling_mode_weightedmean_tokens: bool = False
    pooling_mode_lasttoken: bool = False

    def modes(self) -> tuple[PoolingMode, ...]:
        """The mean where it names none."""
        if isinstance(self.pooling_mode, str):
            return (self.pooling_mode,)
        old = tuple(mode for field, mode in OLD_MODES.items() if getattr(self, field))
        return self.pooling_mode or old or ("mean",)


class _NormConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.json of a LayerNorm."""

    dimension: Positive


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A module: the numbers that it takes, None for any, and gives; ``step`` if it could be of the head."""

    kind: str
    takes: int | None
    gives: int
    text: str
    step: Step | None = None
    modes: tuple[PoolingMode, ...] = ()
    include_prompt: bool = True


def read(folder: Path, chain: Sequence[module_files.Module], first: First) -> Description:
    """The description of a checkpoint whose modules were checked; no chain is a plain transformers model.

    Raises:
        ExportError: A module cannot be read, or takes another number of numbers than that before it gives.
    """
    parts = _parts(folder, chain or PLAIN, first, plain=not chain)
    for before, part in itertools.pairwise(parts):
        if part.takes not in (None, before.gives):
            raise ExportError(
                f"{folder.name} does not fit together: its {part.kind} takes {part.takes} numbers, and the "
                f"{before.kind} before it gives {before.gives}; correct the config.json of one of them"
            )
    static = parts[0].kind == "StaticEmbedding"
    start = 1 if static else 2
    pooling = None if static else parts[1]
    idle = itertools.takewhile(lambda part: part.kind in ("Normalize", "Dropout"), reversed(parts[start:]))
    end = len(parts) - len(list(idle))
    settings = modules.read_settings(folder)
    width = parts[-1].gives
    dimensions = min(width, settings.truncate_dim or width) if chain else width
    return Description(
        tokenizer=first.tokenizer,
        dimensions=dimensions,
        matryoshka=modules.matryoshka(folder, tuple(chain), dimensions),
        max_tokens=first.max_tokens,
        truncation_side=first.truncation_side,
        modules=_described(parts, start, end, dimensions, plain=not chain),
        static=static,
        pooling=pooling.modes if pooling else ("mean",),
        pooled=parts[start - 1].gives,
        include_prompt=pooling is None or pooling.include_prompt,
        head=tuple(part.step for part in parts[start:end] if part.step is not None),
        normalize=any(part.kind == "Normalize" for part in parts[end:]),
        prompts=read_prompts(folder),
        default_prompt=settings.default_prompt_name,
    )


def read_prompts(folder: Path) -> dict[str, str]:
    """The prompts of a checkpoint by name, with those that every model has.

    Raises:
        ExportError: Its default prompt is not one of them.
    """
    settings = modules.read_settings(folder)
    prompts = PROMPTS | {name: text or "" for name, text in settings.prompts.items()}
    if settings.default_prompt_name not in (None, *prompts):
        raise ExportError(
            f"{folder.name} has the default prompt {settings.default_prompt_name!r}, which is not one of its "
            f"prompts, {', '.join(prompts)}; correct config_sentence_transformers.json"
        )
    return prompts


def _parts(folder: Path, chain: Sequence[module_files.Module], first: First, *, plain: bool) -> list[Part]:
    parts = [Part(kind=chain[0].kind, takes=None, gives=first.width, text=first.text)]
    for module in chain[1:]:
        width = parts[-1].gives
        match module.kind:
            case "Pooling" if plain:
                parts.append(_pooling(_PoolingConfig(width, pooling_mode=first.plain_modes)))
            case "Pooling":
                parts.append(_pooling(module_files.decode(folder / module.path / CONFIG, _PoolingConfig)))
            case "Dense":
                parts.append(dense(folder / module.path))
            case "LayerNorm":
                parts.append(_norm(folder / module.path))
            case kind:
                step = Normalize() if kind == "Normalize" else None
                parts.append(Part(kind=kind, takes=None, gives=width, text=kind, step=step))
    return parts


def _pooling(config: _PoolingConfig) -> Part:
    width = config.embedding_dimension or config.word_embedding_dimension
    if width is None:
        raise ExportError(
            "the config.json of its Pooling lacks embedding_dimension; get the checkpoint again"
        )
    modes = config.modes()
    prompt = "" if config.include_prompt else ", without the prompt"
    return Part(
        kind="Pooling",
        takes=width,
        gives=width * len(modes),
        text=f"Pooling ({', '.join(modes)}{prompt})",
        modes=modes,
        include_prompt=config.include_prompt,
    )


def dense(folder: Path) -> Part:
    """The Dense in a folder that was checked."""
    config = module_files.decode(folder / CONFIG, DenseConfig)
    arrays = tensors.read(folder)
    activation = config.activation()
    residual = ", residual" if config.use_residual else ""
    return Part(
        kind="Dense",
        takes=config.in_features,
        gives=config.out_features,
        text=f"Dense ({config.in_features} -> {config.out_features}, {activation}{residual})",
        step=Dense(
            weight=arrays["linear.weight"],
            bias=arrays["linear.bias"] if config.bias else None,
            activation=activation,
            slope=arrays["activation_function.weight"] if activation == SLOPED else None,
            residual=config.use_residual,
            residual_weight=arrays.get("residual.weight"),
        ),
    )


def _norm(folder: Path) -> Part:
    width = module_files.decode(folder / CONFIG, _NormConfig).dimension
    arrays = tensors.read(folder)
    for name in ("norm.weight", "norm.bias"):
        shape = arrays[name].shape if name in arrays else "none"
        if shape != (width,):
            raise ExportError(
                f"the LayerNorm in {folder} has {name} of the shape {shape}, and its {CONFIG} says "
                f"{(width,)}; correct dimension, or save it again"
            )
    step = LayerNorm(arrays["norm.weight"], arrays["norm.bias"])
    return Part(kind="LayerNorm", takes=width, gives=width, text="LayerNorm", step=step)


def _described(
    parts: Sequence[Part], start: int, end: int, dimensions: int, *, plain: bool
) -> tuple[Module, ...]:
    """The chain for the manifest: ``start`` is after the pooling, ``end`` after the head."""
    described = [Module(parts[0].text, MODEL)]
    if start == 1:
        described.append(Module("mean of its rows", "numpy"))
    for index, part in enumerate(parts[1:], start=1):
        runs_in: Any = HEAD if start <= index < end else "numpy"
        note = ""
        if part.kind == "Pooling" and plain:
            modes = ", ".join(part.modes)
            note = f"a plain transformers model: {modes} pooling, as sentence-transformers takes it to have"
        described.append(Module(part.text, None if part.kind == "Dropout" else runs_in, note))
    if dimensions < parts[-1].gives:
        described.append(Module(f"cut to {dimensions} dimensions (truncate_dim)", "numpy"))
    return tuple(described)
