"""Which prompt is put before the texts of a request."""

from embed_onnx.artifact.manifest import Manifest
from embed_onnx.errors import InvalidRequest
from embed_onnx.models.options import InputType, Options

ROLES: dict[str, tuple[str, ...]] = {"query": ("query",), "document": ("document", "passage", "corpus")}
"""The prompts that ``encode_query`` and ``encode_document`` of Sentence-Transformers look for, in order."""
INPUT_TYPES: dict[InputType, tuple[str, ...]] = {
    "search_query": ROLES["query"],
    "search_document": ROLES["document"],
    "query": ROLES["query"],
    "document": ROLES["document"],
    "passage": ("passage", "document", "corpus"),
    "classification": ("classification",),
    "clustering": ("clustering",),
}
"""The same for the words of other APIs."""


def resolve(manifest: Manifest, options: Options) -> str:
    """What is put before each text: the literal prompt, else the named one, else the default.

    Raises:
        InvalidRequest: The model has no prompt of that name.
    """
    if options.prompt is not None:
        return options.prompt
    name = _name(manifest, options)
    return "" if name is None else manifest.prompts[name]


def are_queries(options: Options) -> bool:
    """Whether a request says that its texts are queries."""
    if options.input_type is not None:
        return INPUT_TYPES[options.input_type] == ROLES["query"]
    return options.prompt_name == "query"


def has(manifest: Manifest, name: str) -> bool:
    """Whether ``prompt_name`` may be that."""
    return name in manifest.prompts or name in ROLES


def _name(manifest: Manifest, options: Options) -> str | None:
    """The prompt to use; for a role or an input type that the model has no prompt for, the default."""
    name, prompts = options.prompt_name, manifest.prompts
    candidates: tuple[str, ...] = ()
    if options.input_type is not None:
        candidates = INPUT_TYPES[options.input_type]
    elif name in ROLES:
        candidates = ROLES[name]
    elif name in prompts:
        return name
    elif name is not None:
        known = f"{', '.join(prompts)}; send one of them, or" if prompts else "no prompts;"
        raise InvalidRequest(
            f"prompt_name {name[:80]!r} is unknown; this model has {known} leave it out", param="prompt_name"
        )
    return next((known for known in candidates if known in prompts), manifest.default_prompt)
