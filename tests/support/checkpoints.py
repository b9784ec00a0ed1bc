"""Saved checkpoints as exporting meets them: loaded, refused, or with a pickle that must not be read."""

from pathlib import Path

import pytest

from embed_onnx.artifact.models_txt import Entry
from embed_onnx_export.checkpoint import sources
from embed_onnx_export.checkpoint.original import Original, load_original
from embed_onnx_export.errors import ExportError


def load(folder: Path) -> Original:
    return load_original(sources.find(Entry(name=folder.name, repo=folder.name, folder=folder)))


def refusal(folder: Path) -> str:
    """The sentence with which a checkpoint is refused before it is exported."""
    with pytest.raises(ExportError) as refused:
        load(folder)
    return str(refused.value)


class Bomb:
    """What unpickles by running: it leaves a file behind."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return open, (str(self.path), "w")
