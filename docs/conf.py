"""The site of the documentation: the README, every page, and the reference as a server shows it.

    make site

The source is the repository's root, so that a link leads to the same page on the site as in the repository.
"""

import shutil
from pathlib import Path

from embed_onnx import __version__
from embed_onnx.http import app, docs, playground
from embed_onnx.settings import Settings

project = "embed-onnx"
author = "the embed-onnx authors"
version = release = __version__
root_doc = "docs/index"
include_patterns = [
    "README.md",
    "CHANGELOG.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "deploy/README.md",
    "docs/**.md",
    "examples/README.md",
]

extensions = ["myst_parser"]
myst_heading_anchors = 3

html_theme = "furo"
html_title = "embed-onnx"
html_copy_source = False
html_show_copyright = False
html_extra_path = ["../build/site-files"]
linkcheck_ignore = [r"http://127\.0\.0\.1", r"https://[a-z.]*example\."]


def _write_reference(folder: Path) -> None:
    """The page that a server has at /docs, for a server that has keys."""
    files = folder / "docs" / "files"
    files.mkdir(parents=True, exist_ok=True)
    for name in docs.SWAGGER_UI:
        shutil.copyfile(docs.swagger_file(name), files / name)
    (folder / "page").mkdir(exist_ok=True)
    shutil.copyfile(playground.FOLDER / "icon.svg", folder / "page" / "icon.svg")
    (folder / "index.html").write_text(docs.PAGE.format(root=""), encoding="utf-8")
    service = app.compose([], Settings())
    (folder / "openapi.json").write_bytes(docs.schema(service.app, with_keys=True))
    service.registry.close()


def _write_extra_files(folder: Path) -> None:
    """What of the site is not a page: the reference, and the way from its top to the first page."""
    _write_reference(folder / "reference")
    first = '<!doctype html><meta http-equiv="refresh" content="0; url=docs/index.html">\n'
    (folder / "index.html").write_text(first, encoding="utf-8")


_write_extra_files(Path(__file__).parent.parent / "build" / "site-files")
