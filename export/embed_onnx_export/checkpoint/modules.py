"""The chain of modules that a checkpoint is.

modules.json lists them in order. What is served: a Transformer and a Pooling, or a StaticEmbedding, which
pools itself; then any of Dense, LayerNorm, Dropout and Normalize. Everything else is refused by its name.
"""

import re
from pathlib import Path, PurePosixPath

import msgspec

from embed_onnx.artifact.schema import Positive
from embed_onnx_export.checkpoint import module_files
from embed_onnx_export.checkpoint.module_files import FIRST, SENTENCE, TOKENS, Module, decode
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES, Checkpoint
from embed_onnx_export.errors import ExportError

KIND = re.compile(
    r"(?:sentence_transformers\.(?:models|(?:base|(?:sentence_transformer|(?:cross|sparse|multi_vector)_encoder))\.(?:modules|models))|pylate\.models)(?:\.\w+)?\.(\w+)"
)
"""The types in modules.json: their paths have changed over the years, the last names have not."""
AFTER = ("Dense", "LayerNorm", "Dropout", "Normalize")
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
SCORES = "scores"
"""What the last Dense of a CrossEncoder writes."""
SENTENCE_TRANSFORMER, CROSS_ENCODER = "SentenceTransformer", "CrossEncoder"
SPARSE_ENCODER = "SparseEncoder"
MULTI_VECTOR_ENCODERS = ("MultiVectorEncoder", "ColBERT")
"""Types of models; of the last two, the second is what PyLate writes."""


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


class _Trained(msgspec.Struct):
    """What the config.json of a transformer says of Matryoshka."""

    matryoshka_dimensions: tuple[Positive, ...] | None = None


class Settings(msgspec.Struct, frozen=True):
    """What config_sentence_transformers.json says; of the whole model, where modules say their own."""

    model_type: str = SENTENCE_TRANSFORMER
    prompts: dict[str, str | None] = {}
    default_prompt_name: str | None = None
    truncate_dim: Positive | None = None
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
        module_files.check(module, checkpoint)
    return chain


def read_scoring(checkpoint: Checkpoint) -> tuple[Module, ...]:
    """The same of a model that scores; none where its transformer has a classifier of its own.

    Raises:
        ExportError: As of ``read``, or what comes last does not give the scores.
    """
    folder = checkpoint.folder
    listed = decode(folder / MODULES, list[_Listed]) if (folder / MODULES).is_file() else []
    if not listed or (len(listed) == 1 and _kind(listed[0]) == "Transformer" and not listed[0].path):
        module_files.check(Module("Transformer", ""), checkpoint)
        return ()
    chain = _chain(folder)
    for module in chain:
        module_files.check(module, checkpoint, last=SCORES if module is chain[-1] else SENTENCE)
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
    module_files.check(Module("Transformer", chain[0].path if chain else ""), checkpoint)
    if query is not None:
        module_files.check_tokenizer(folder / query)
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
        module_files.check(module, checkpoint, reads=TOKENS, last=TOKENS)
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
        declared = decode(config, _Trained).matryoshka_dimensions
    return tuple(sorted({number for number in declared or () if number <= dimensions}))


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
    if module_files.leaves(listed.path):
        raise ExportError(f"{folder / MODULES} has the path {listed.path!r}, which leaves the folder")
    path = PurePosixPath(listed.path)
    return "" if path == PurePosixPath() else str(path)


def _kind(listed: _Listed) -> str:
    """The class of a module by its last name, or all of its path where that is not known."""
    kind = KIND.fullmatch(listed.type)
    return kind[1] if kind else listed.type
