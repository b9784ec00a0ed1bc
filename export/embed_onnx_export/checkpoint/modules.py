"""The chain of modules that a checkpoint is, read and checked before anything of it is loaded.

modules.json lists them in order. What is served: a Transformer and a Pooling, or a StaticEmbedding, which
pools itself; then any of Dense, LayerNorm, Dropout and Normalize. Everything else is refused by its name.
"""

import json
import re
from pathlib import Path, PurePosixPath
from typing import Any, TypeVar

import msgspec
import safetensors
import tokenizers

from embed_onnx.artifact.schema import Positive
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES, Checkpoint
from embed_onnx_export.checkpoint.tensors import INDEX, SINGLE, Index
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph.head_graph import ACTIVATIONS, SLOPED

KIND = re.compile(
    r"(?:sentence_transformers\.(?:models|(?:base|(?:sentence_transformer|(?:cross|sparse|multi_vector)_encoder))\.(?:modules|models))|pylate\.models)(?:\.\w+)?\.(\w+)"
)
"""The types in modules.json: their paths have changed over the years, the last names have not."""
FIRST = ("Transformer", "StaticEmbedding")
AFTER = ("Dense", "LayerNorm", "Dropout", "Normalize")
WEIGHED = (*FIRST, "Dense", "LayerNorm")
"""Modules with weights of their own."""
WAYS_OUT = {
    "CLIPModel": "images are not served; export a model of texts",
    "Router": "save the route that you need as a model of its own, with SentenceTransformer(modules=[...])",
    "Asym": "save the route that you need as a model of its own, with SentenceTransformer(modules=[...])",
    "WordEmbeddings": "StaticEmbedding is the table of words that is served",
    "BoW": "it gives counts of words, which need no model server",
    "LogitScore": "it scores by the logit of a word; export a reranker with a classifier",
}
MASKED, SPLADE = ("Transformer", "MLMTransformer"), "SpladePooling"
"""The modules of a sparse model: what scores the vocabulary, and what makes weights of scores."""
SPARSE_STATIC = "SparseStaticEmbedding"
"""The table that weighs the tokens of queries."""
BY_TOKEN = ("Dense", "MultiVectorMask", "Normalize", "Dropout")
"""The modules of a model of token vectors, after its Transformer."""
TOKENS = "token_embeddings"
"""What they read and write."""
SENTENCE = "sentence_embedding"
"""What modules after the pooling read and write."""
SCORES = "scores"
"""What the last Dense of a CrossEncoder writes."""
SENTENCE_TRANSFORMER, CROSS_ENCODER = "SentenceTransformer", "CrossEncoder"
SPARSE_ENCODER = "SparseEncoder"
MULTI_VECTOR_ENCODERS = ("MultiVectorEncoder", "ColBERT")
"""Types of models; of the last two, the second is what PyLate writes."""
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


class SparseChain(msgspec.Struct, frozen=True):
    """The modules of a sparse model; none where it is a plain model of transformers.

    ``query`` is the folder of the table that weighs queries, inside the checkpoint, where there is one.
    """

    modules: tuple[Module, ...]
    query: str | None = None


class _Listed(msgspec.Struct):
    """An entry of modules.json."""

    type: str
    path: str = ""


class _RouterParameters(msgspec.Struct, frozen=True):
    """Which route texts take; mappings are by task and modality."""

    default_route: str | None = None
    route_mappings: dict[str, str] | None = None


class _Router(msgspec.Struct):
    """router_config.json: the class of each module by its folder, and the folders of each route."""

    types: dict[str, str]
    structure: dict[str, list[str]]
    parameters: _RouterParameters = _RouterParameters()


class Settings(msgspec.Struct, frozen=True):
    """What config_sentence_transformers.json says; of the whole model, where modules say their own."""

    model_type: str = SENTENCE_TRANSFORMER
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    truncate_dim: Positive | None = None
    matryoshka_dimensions: tuple[Positive, ...] | None = None


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
    """What is asked of the config.json of a transformer, before transformers reads all of it."""

    auto_map: dict[str, Any] = {}
    matryoshka_dimensions: tuple[Positive, ...] | None = None


def read(checkpoint: Checkpoint) -> tuple[Module, ...]:
    """The modules of a checkpoint in order; none where it has no modules.json, a plain transformers model.

    Raises:
        ExportError: One of them is not served, lacks its weights, or would run code or a pickle of its own.
    """
    folder = checkpoint.folder
    chain = _chain(folder) if (folder / MODULES).is_file() else ()
    settings = read_settings(folder)
    if settings.model_type != SENTENCE_TRANSFORMER:
        raise ExportError(
            f"{folder.name} is a {settings.model_type}; only models that are a SentenceTransformer are served"
        )
    for module in chain or (Module("Transformer", ""),):
        _check(module, checkpoint)
    return chain


def read_scoring(checkpoint: Checkpoint) -> tuple[Module, ...]:
    """The same of a model that scores; none where its transformer has a classifier of its own.

    Raises:
        ExportError: As of ``read``, or what comes last does not give the scores.
    """
    folder = checkpoint.folder
    listed = decode(folder / MODULES, list[_Listed]) if (folder / MODULES).is_file() else []
    if not listed or (len(listed) == 1 and _kind(listed[0]) == "Transformer" and not listed[0].path):
        _check(Module("Transformer", ""), checkpoint)
        return ()
    chain = _chain(folder)
    for module in chain:
        _check(module, checkpoint, last=SCORES if module is chain[-1] else SENTENCE)
    if chain[0].kind != "Transformer" or chain[-1].kind != "Dense":
        raise ExportError(
            f"{folder.name} is a CrossEncoder of {', '.join(module.kind for module in chain)}; served is a "
            "Transformer with a classifier of its own, or with a Pooling and a Dense that gives the scores"
        )
    return chain


def read_sparse(checkpoint: Checkpoint) -> SparseChain:
    """The modules of a sparse model.

    Raises:
        ExportError: As of ``read``.
    """
    folder = checkpoint.folder
    listed = decode(folder / MODULES, list[_Listed]) if (folder / MODULES).is_file() else []
    query = None
    if [_kind(module) for module in listed] == ["Router"]:
        listed, query = _routes(folder / _path(folder, listed[0]))
    kinds = [_kind(module) for module in listed]
    if kinds and not (len(kinds) == 2 and kinds[0] in MASKED and kinds[1] == SPLADE):
        raise ExportError(
            f"{folder.name} is a SparseEncoder of {', '.join(kinds)}; served is a masked language model, of "
            f"{' or '.join(MASKED)}, and a {SPLADE}, alone or as the document route of a Router"
        )
    chain = tuple(Module(_kind(module), _path(folder, module)) for module in listed)
    _check(Module("Transformer", chain[0].path if chain else ""), checkpoint)
    if query is not None:
        _check_tokenizer(folder / query)
    return SparseChain(chain, query)


def _routes(folder: Path) -> tuple[list[_Listed], str]:
    """The modules of a Router's documents, and the folder of the table that weighs its queries.

    Raises:
        ExportError: Its routes are others.
    """
    router = decode(folder / "router_config.json", _Router)
    routes = {
        name: [_Listed(router.types.get(path, ""), path) for path in paths]
        for name, paths in router.structure.items()
    }
    kinds = {name: [_kind(module) for module in route] for name, route in routes.items()}
    parameters = router.parameters
    if (
        kinds.keys() != {"query", "document"}
        or kinds["query"] != [SPARSE_STATIC]
        or parameters.default_route not in (None, "document")
        or parameters.route_mappings
    ):
        described = "; ".join(f"{name}: {', '.join(route)}" for name, route in kinds.items())
        raise ExportError(
            f"{folder.name} has a Router of {described}; served is one of query and document whose queries "
            f"are a {SPARSE_STATIC} alone, with document as its default route"
        )
    return routes["document"], _path(folder, routes["query"][0])


def read_by_token(checkpoint: Checkpoint) -> tuple[Module, ...]:
    """The same of a model of token vectors; none of Stanford's ColBERT, which has no modules.json.

    Raises:
        ExportError: As of ``read``.
    """
    folder = checkpoint.folder
    listed = decode(folder / MODULES, list[_Listed]) if (folder / MODULES).is_file() else []
    kinds = [_kind(module) for module in listed]
    others = [kind for kind in kinds[1:] if kind not in BY_TOKEN]
    if listed and (kinds[0] != "Transformer" or others):
        raise ExportError(
            f"{folder.name} has the module {others[0] if others else kinds[0]}, which is not served in a "
            "model of token vectors; save it without that, or serve it with sentence-transformers. Served is "
            f"a Transformer, and then any of {', '.join(BY_TOKEN)}"
        )
    chain = tuple(Module(_kind(module), _path(folder, module)) for module in listed)
    for module in chain or (Module("Transformer", ""),):
        _check(module, checkpoint, reads=TOKENS, last=TOKENS)
    return chain


def read_settings(folder: Path) -> Settings:
    """config_sentence_transformers.json, or the defaults where it is absent."""
    path = folder / "config_sentence_transformers.json"
    return decode(path, Settings) if path.is_file() else Settings()


def matryoshka(folder: Path, chain: tuple[Module, ...], dimensions: int) -> tuple[int, ...]:
    """The dimensions that a model says it was trained to be cut to, ascending, if it does."""
    declared = read_settings(folder).matryoshka_dimensions
    config = folder / (chain[0].path if chain else "") / CONFIG
    if declared is None and config.is_file():
        declared = decode(config, _TransformerConfig).matryoshka_dimensions
    return tuple(sorted({number for number in declared or () if number <= dimensions}))


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


def _chain(folder: Path) -> tuple[Module, ...]:
    chain = []
    for listed in decode(folder / MODULES, list[_Listed]):
        path = _path(folder, listed)
        name = _kind(listed)
        if name not in (*FIRST, "Pooling", *AFTER):
            way_out = WAYS_OUT.get(name, "export a model without it, or serve it with sentence-transformers")
            raise ExportError(
                f"{folder.name} has the module {listed.type}, which is not served; {way_out}. Served are "
                f"{', '.join((*FIRST, 'Pooling', *AFTER))}"
            )
        chain.append(Module(name, path))
    names = [module.kind for module in chain]
    start = 2 if names[:2] == ["Transformer", "Pooling"] else 1
    if names[:start] not in (["Transformer", "Pooling"], ["StaticEmbedding"]) or set(names[start:]) - set(
        AFTER
    ):
        raise ExportError(
            f"{folder.name} chains {', '.join(names) or 'nothing'}; served is Transformer and Pooling, or "
            f"StaticEmbedding alone, and then any of {', '.join(AFTER)}"
        )
    return tuple(chain)


def _path(folder: Path, listed: _Listed) -> str:
    """A module's folder inside the checkpoint, "" for that itself."""
    if _leaves(listed.path):
        raise ExportError(f"{folder / MODULES} has the path {listed.path!r}, which leaves the folder")
    path = PurePosixPath(listed.path)
    return "" if path == PurePosixPath() else str(path)


def _leaves(name: str) -> bool:
    """Whether the path of a file or folder inside a checkpoint leads out of it."""
    path = PurePosixPath(name)
    return path.is_absolute() or ".." in path.parts


def _kind(listed: _Listed) -> str:
    """The class of a module by its last name, or all of its path where that is not known."""
    kind = KIND.fullmatch(listed.type)
    return kind[1] if kind else listed.type


def _check(module: Module, checkpoint: Checkpoint, *, reads: str = SENTENCE, last: str = SENTENCE) -> None:
    """Refuse a module that is damaged, or is more than data; a Dense writes ``last``."""
    folder = checkpoint.folder / module.path
    if module.kind != "Normalize" and not folder.is_dir():
        raise ExportError(
            f"{checkpoint.folder} lacks the folder {module.path} of its {module.kind}; get it again"
        )
    for path in (folder / name for name in CONFIGS):
        if path.is_file():
            decode(path, Any)
    if module.kind in FIRST:
        _check_tokenizer(folder)
    if module.kind == "Transformer":
        _check_transformer(folder)
    if module.kind in WEIGHED:
        _check_weights(module, checkpoint)
    if module.kind == "Dense":
        _check_dense(folder, reads, last)
    if module.kind == "Normalize" and (folder / CONFIG).is_file() and module.path:
        _check_names(folder, reads, reads)


def _check_tokenizer(folder: Path) -> None:
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
        if _leaves(name):
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
