"""What the files of a model of token vectors say of its queries and documents, in each of their layouts.

A ``MultiVectorEncoder`` of Sentence-Transformers has its lengths and its expansion beside the transformer,
its skip list in a module, and its prefixes among the prompts. PyLate up to version 3 has all of them in
config_sentence_transformers.json, and Stanford's ColBERT in artifact.metadata. They are read here as
``MultiVectorEncoder`` itself reads them.
"""

import string
from pathlib import Path
from typing import Any, Literal

import msgspec

from embed_onnx.artifact.schema import Positive
from embed_onnx_export.checkpoint import module_files, modules, tokenizer_file
from embed_onnx_export.checkpoint.sources import CONFIG, MODULES

SETTINGS, METADATA = "config_sentence_transformers.json", "artifact.metadata"
STANFORD = "HF_ColBERT"
"""The architecture in config.json of a model of Stanford's ColBERT."""
ROLES = ("query", "document")
EXPANDED = 32
"""How long the queries of both older layouts become, where they do not say."""
OLD_FIELDS = (
    "query_prefix", "document_prefix", "query_length", "document_length", "skiplist_words", "query_expansion",
    "do_query_expansion", "attend_to_expansion_tokens", "attend_to_mask_tokens",
)  # fmt: skip
"""Of config_sentence_transformers.json, by any of which PyLate's models are known."""
KNOBS = ("query_length", "document_length", "query_expansion")
"""The fields beside the transformer."""


class Expansion(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """query_expansion. ``strategy``: "fixed" cuts queries at the length as well, "min" does not."""

    strategy: Literal["fixed", "min"]
    length: Positive
    attend: bool = False
    token: str | None = None


class Mask(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """config.json of a MultiVectorMask."""

    skiplist_words: list[str] | None = None
    skiplist_tasks: list[str] | str | None = None
    keep_only_token_ids: list[int] | None = None

    def skips(self, role: str) -> bool:
        """Whether the skip list is for such texts."""
        tasks = ["document"] if self.skiplist_tasks is None else self.skiplist_tasks
        return role in ([tasks] if isinstance(tasks, str) else tasks)


class MultiVectorSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What a model says of its texts. ``prefixes`` are those of older layouts, each to be one token.

    ``mask`` is None where no module says which tokens count. ``normalize``: a Normalize is added at the end.
    """

    query_length: Positive | None = None
    document_length: Positive | None = None
    query_expansion: Expansion | None = None
    prefixes: dict[str, str] = {}
    mask: Mask | None = None
    normalize: bool = False
    similarity: str | None = None


def is_stanford(folder: Path) -> bool:
    """Whether it is a model of Stanford's ColBERT, which has no modules.json."""
    if (folder / MODULES).is_file() or not (folder / CONFIG).is_file():
        return False
    return STANFORD in (module_files.decode(folder / CONFIG, dict[str, Any]).get("architectures") or ())


def is_one(folder: Path) -> bool:
    """Whether a checkpoint's files say that it makes token vectors."""
    if not (folder / MODULES).is_file():
        return is_stanford(folder)
    settings = _settings(folder)
    named = settings.get("model_type")
    return named in modules.MULTI_VECTOR_ENCODERS or (named is None and _is_old(settings))


def read(folder: Path, chain: tuple[module_files.Module, ...]) -> MultiVectorSettings:
    """The settings of a model of checked modules; no chain is Stanford's.

    Raises:
        ExportError: A file cannot be read, or holds what is not known.
    """
    if not chain:
        return _stanford(folder)
    settings = _settings(folder)
    fields = _pylate(settings) if _is_old(settings) else {}
    own = tokenizer_file.own_fields(folder / chain[0].path)
    fields |= {name: own[name] for name in KNOBS if name in own}
    paths = [folder / module.path / CONFIG for module in chain if module.kind == "MultiVectorMask"]
    if paths:
        fields["mask"] = module_files.decode(paths[-1], dict[str, Any])
    elif settings.get("model_type") != modules.MULTI_VECTOR_ENCODERS[0]:
        words = settings.get("skiplist_words")
        fields["mask"] = {"skiplist_words": list(string.punctuation) if words is None else words}
        fields["normalize"] = True
    return msgspec.convert({**fields, "similarity": settings.get("similarity_fn_name")}, MultiVectorSettings)


def prompts(settings: MultiVectorSettings, saved: dict[str, str]) -> dict[str, str]:
    """A checkpoint's prompts with the prefixes of older layouts before them."""
    composed = {
        role: prefix + saved.get(role, "").removeprefix(prefix) for role, prefix in settings.prefixes.items()
    }
    return saved | composed


def _settings(folder: Path) -> dict[str, Any]:
    path = folder / SETTINGS
    return module_files.decode(path, dict[str, Any]) if path.is_file() else {}


def _is_old(settings: dict[str, Any]) -> bool:
    return any(name in settings for name in OLD_FIELDS)


def _pylate(settings: dict[str, Any]) -> dict[str, Any]:
    """The fields of ``MultiVectorSettings`` that PyLate's layout says."""
    fields: dict[str, Any] = {
        name: settings[name] for name in ("query_length", "document_length") if settings.get(name)
    }
    fields["prefixes"] = {
        role: settings[f"{role}_prefix"] or "" for role in ROLES if f"{role}_prefix" in settings
    }
    if "query_expansion" in settings:
        fields["query_expansion"] = settings["query_expansion"]
    elif settings.get("do_query_expansion") is not False:
        attend = settings.get("attend_to_expansion_tokens", settings.get("attend_to_mask_tokens"))
        length = fields.pop("query_length", EXPANDED)
        fields["query_expansion"] = {"strategy": "fixed", "length": length, "attend": bool(attend)}
    return fields


def _stanford(folder: Path) -> MultiVectorSettings:
    """Those of Stanford's layout, with its defaults."""
    path = folder / METADATA
    saved = module_files.decode(path, dict[str, Any]) if path.is_file() else {}
    return MultiVectorSettings(
        document_length=saved.get("doc_maxlen"),
        query_expansion=Expansion(
            strategy="fixed",
            length=saved.get("query_maxlen") or EXPANDED,
            attend=bool(saved.get("attend_to_mask_tokens")),
        ),
        prefixes={
            "query": (saved.get("query_token_id") or "[unused0]") + " ",
            "document": (saved.get("doc_token_id") or "[unused1]") + " ",
        },
        mask=Mask(skiplist_words=list(string.punctuation) if saved.get("mask_punctuation", True) else []),
        normalize=True,
    )
