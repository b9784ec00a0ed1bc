"""The files of one module of a checkpoint, checked before anything of it is loaded: whole, and data alone."""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec
import safetensors
import tokenizers

from embed_onnx.artifact.schema import Positive
from embed_onnx_export.checkpoint.sources import CONFIG, Checkpoint
from embed_onnx_export.checkpoint.tensors import INDEX, SINGLE, Index
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph.head_graph import ACTIVATIONS, SLOPED

FIRST = ("Transformer", "StaticEmbedding")
WEIGHED = (*FIRST, "Dense", "LayerNorm")
"""Modules with weights of their own."""
TOKENS = "token_embeddings"
"""What the modules of a model of token vectors read and write."""
SENTENCE = "sentence_embedding"
"""What modules after the pooling read and write."""
CONFIGS = (
    CONFIG, "sentence_bert_config.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json",
)  # fmt: skip
"""What sentence-transformers and transformers read of a module besides its weights and tokenizer.json."""
ACTIVATION = re.compile(rf"torch\.nn\.(?:modules\.(?:\w+\.)?)?({'|'.join(ACTIVATIONS)})")
"""The class of an activation, by the paths that it has in torch."""
PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
T = TypeVar("T")


class Module(msgspec.Struct, frozen=True):
    """One module: its class by its last name, and its folder inside the checkpoint, "" for that itself."""

    kind: str
    path: str


class DenseConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.json of a Dense; an unknown field would be an unknown computation."""

    in_features: Positive
    out_features: Positive
    bias: bool = True
    activation_function: str = "torch.nn.modules.activation.Tanh"
    module_input_name: str = SENTENCE
    module_output_name: str | None = None
    use_residual: bool = False

    def activation(self) -> str:
        """Its name in ``ACTIVATIONS``.

        Raises:
            ExportError: It is not one of them.
        """
        known = ACTIVATION.fullmatch(self.activation_function)
        if known is None:
            raise ExportError(
                f"a Dense has the activation {self.activation_function}, which is not served; save it with "
                f"one of torch.nn's {', '.join(ACTIVATIONS)}"
            )
        return known[1]


class _Names(msgspec.Struct):
    """What the config.json of a Dense or a Normalize says that it reads and writes; older ones do not."""

    module_input_name: str | None = None
    module_output_name: str | None = None


class _TransformerConfig(msgspec.Struct):
    """What is read of the config.json of a transformer, before transformers reads all of it."""

    auto_map: dict[str, Any] = {}


def decode(path: Path, kind: type[T]) -> T:
    """A JSON file as a struct.

    Raises:
        ExportError: It cannot be read, or is not that.
    """
    try:
        # As transformers parses them, NaN and long numbers included.
        return msgspec.convert(json.loads(path.read_text(encoding="utf-8")), kind)
    except (OSError, ValueError, RecursionError) as err:  # msgspec's errors are ValueErrors
        raise ExportError(f"{path} cannot be read: {err}; get the checkpoint again, or correct it") from None


def leaves(name: str) -> bool:
    """Whether the path of a file or folder inside a checkpoint leads out of it."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def check(module: Module, checkpoint: Checkpoint, *, reads: str = SENTENCE, last: str = SENTENCE) -> None:
    """Refuse a module that is damaged, or is more than data; a Dense writes ``last``.

    Raises:
        ExportError: It is.
    """
    folder = checkpoint.folder / module.path
    if module.kind != "Normalize" and not folder.is_dir():
        raise ExportError(
            f"{checkpoint.folder} lacks the folder {module.path} of its {module.kind}; get it again"
        )
    for path in (folder / name for name in CONFIGS):
        if path.is_file():
            decode(path, Any)
    if module.kind in FIRST:
        check_tokenizer(folder)
    if module.kind == "Transformer":
        _check_transformer(folder)
    if module.kind in WEIGHED:
        _check_weights(module, checkpoint)
    if module.kind == "Dense":
        _check_dense(folder, reads, last)
    if module.kind == "Normalize" and (folder / CONFIG).is_file() and module.path:
        _check_names(folder, reads, reads)


def check_tokenizer(folder: Path) -> None:
    """Refuse a damaged tokenizer.json.

    Raises:
        ExportError: It is.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        return  # transformers may make one of the vocabulary
    try:
        tokenizers.Tokenizer.from_file(str(path))
    except Exception as err:  # the library raises bare Exception
        raise ExportError(f"{path} is damaged: {err}; get the checkpoint again") from None


def _check_transformer(folder: Path) -> None:
    if (folder / "adapter_config.json").is_file():
        raise ExportError(
            f"{folder} holds a PEFT adapter (adapter_config.json) and not a whole model; merge it with "
            "PEFT's merge_and_unload(), save that with save_pretrained(), and export what was saved"
        )
    tasks = sorted(path.parent.name for path in folder.glob("*/adapter_config.json"))
    if tasks:
        raise ExportError(
            f"{folder} holds a PEFT adapter for each of {', '.join(tasks)}, which would not be used; merge "
            "the one that you need with PEFT's merge_and_unload(), save that with save_pretrained(), and "
            "export what was saved, one model a task"
        )
    if not (folder / CONFIG).is_file():
        raise ExportError(
            f"{folder} holds no {CONFIG}, so it is not a model of transformers; get the checkpoint again"
        )
    foreign = [
        name for name in decode(folder / CONFIG, _TransformerConfig).auto_map if name.startswith("Auto")
    ]
    if foreign:
        raise ExportError(
            f"{folder / CONFIG} names code of its own for {', '.join(foreign)} (auto_map), and remote code "
            "is never run; export a model whose architecture is part of transformers"
        )


def _check_weights(module: Module, checkpoint: Checkpoint) -> None:
    """Safetensors only: an index may name pickles as its shards, and a file elsewhere is not the weights."""
    folder = checkpoint.folder / module.path
    files = [SINGLE]
    if module.kind == "Transformer" and (folder / INDEX).is_file() and not (folder / SINGLE).is_file():
        files = sorted(set(decode(folder / INDEX, Index).weight_map.values()))
    for name in files:
        if leaves(name):
            raise ExportError(f"{folder / INDEX} names the file {name!r}, which leaves the folder")
    if not all(name.endswith(".safetensors") and (folder / name).is_file() for name in files):
        raise _no_weights(module, checkpoint)
    for name in files:
        try:
            safetensors.safe_open(folder / name, "np")
        except Exception as err:
            raise ExportError(f"{folder / name} is damaged: {err}; get the checkpoint again") from None


def _no_weights(module: Module, checkpoint: Checkpoint) -> ExportError:
    folder, source = checkpoint.folder / module.path, checkpoint.source
    downloaded = source.revision is not None
    model = source.repo if downloaded else str(checkpoint.folder)
    pickles = any(path for pattern in PICKLES for path in folder.glob(pattern))
    missing = f"{model} has no .safetensors weights of its {module.kind} in {module.path or 'its folder'}"
    if not pickles and not downloaded:
        return ExportError(f"{missing}; get it again, or save it again with save_pretrained()")
    target = f"./{source.repo.rpartition('/')[2]}-safetensors"
    return ExportError(
        f"{missing}, and pickles are never read; if you trust them, convert them and export ./{target[2:]}: "
        f'python -c "from sentence_transformers import SentenceTransformer as S; '
        f'S({json.dumps(model)[1:-1]!r}).save_pretrained({target!r}, safe_serialization=True)"'
    )


def _check_dense(folder: Path, reads: str, last: str) -> None:
    config = decode(folder / CONFIG, DenseConfig)
    _check_names(folder, reads, last)
    expected: dict[str, tuple[int, ...]] = {"linear.weight": (config.out_features, config.in_features)}
    if config.bias:
        expected["linear.bias"] = (config.out_features,)
    if config.activation() == SLOPED:
        expected["activation_function.weight"] = (1,)
    if config.use_residual and config.in_features != config.out_features:
        expected["residual.weight"] = (config.out_features, config.in_features)
    with safetensors.safe_open(folder / SINGLE, "np") as file:
        shapes = {name: tuple(file.get_slice(name).get_shape()) for name in file.keys()}  # noqa: SIM118
    for name, shape in expected.items():
        if shapes.get(name) != shape:
            raise ExportError(
                f"the Dense in {folder} has {name} of the shape {shapes.get(name, 'none')}, and its {CONFIG} "
                f"says {shape}; correct in_features and out_features, or save it again"
            )


def _check_names(folder: Path, reads: str, last: str) -> None:
    config = decode(folder / CONFIG, _Names)
    read = config.module_input_name or reads
    written = config.module_output_name or read
    for name, served in ((read, reads), (written, last)):
        if name != served:
            raise ExportError(
                f"the module in {folder} reads or writes {name}, and only {served} is served in a model of "
                "its type; save it as the model that it is, such as a MultiVectorEncoder"
            )
