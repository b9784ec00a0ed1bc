"""Where an artifact lies: what may be replaced there, and the folder beside it that is filled first."""

from pathlib import Path

from embed_onnx.artifact.manifest import MANIFEST


def fault(target: Path) -> str:
    """Why an artifact must not be put there, as the beginning of a sentence; empty if it may.

    What is replaced must be an artifact, and an artifact holds no other one.
    """
    if target.exists() and not (target / MANIFEST).is_file():
        return f"{target} exists and is not an artifact"
    inside = next((folder for folder in target.parents if (folder / MANIFEST).exists()), None)
    return "" if inside is None else f"{target} lies inside the artifact {inside}"


def workspace(target: Path) -> Path:
    """The folder in which exports and pulls to the same place take turns."""
    return target.with_name(f".{target.name}-export")
