"""The documentation as pages: every page is reached from the first, and every link leads somewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from harness import ROOT

HREF = re.compile(r'href="([^"#:?]+)(?:#[^"]*)?"')


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The built site; a page that no other lists, or a link to nothing, is a warning and so an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    done = subprocess.run(
        [
            *command,
            "--doctree-dir",
            str(folder / "doctrees"),
            "--conf-dir",
            "docs",
            ".",
            str(folder / "html"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder / "html"


def test_every_link_leads_to_a_file(site: Path) -> None:
    """Those to the reference and to files of the repository among them."""
    missing = [
        f"{page.relative_to(site)}: {link}"
        for page in site.rglob("*.html")
        for link in HREF.findall(page.read_text(encoding="utf-8"))
        if not (page.parent / link).exists()
    ]

    assert [] == missing


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = {page.name: page.read_text(encoding="utf-8") for page in site.rglob("*.html")}

    assert [] == [
        name for name, text in pages.items() if re.search(r'(?:src|<link[^>]* href)="https?:', text)
    ]


def test_the_reference_is_the_servers(site: Path) -> None:
    reference = (site / "reference" / "openapi.json").read_text(encoding="utf-8")

    assert "/v1/embeddings" in reference
