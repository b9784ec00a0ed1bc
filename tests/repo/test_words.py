"""Names are nouns and sentences are plain: words that were used here in a sense of their own stay out."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from harness import ROOT

WRITTEN = {".cpp", ".h", ".html", ".js"}
CODE = sorted(
    path
    for folder in ("embed_onnx", "export", "benchmarks", "tests", "deploy", "examples")
    for path in (ROOT / folder).rglob("*.py")
)
PROSE = [
    *CODE,
    *sorted(path for path in (ROOT / "embed_onnx").rglob("*") if path.suffix in WRITTEN),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
    *sorted(path for path in (ROOT / "deploy").iterdir() if path.is_file()),
]
PARTICIPLES = {
    "found",
    "given",
    "made",
    "told",
    "tell",
    "shown",
    "wanted",
    "chosen",
    "begun",
    "aside",
    "whoever",
}
"""A participle says that something happened to a thing, not what the thing is: `manifest`, not `found`."""
OF_OTHERS = {"_not_found", "connection_made"}
"""HTTP's 404, and a method of asyncio's protocols."""
DIALECT = re.compile(
    r"\b(told|whoever|mends?|mended|gone on with|of late|(?<!there )is no (?:text|number|list|name|JSON))\b",
    re.IGNORECASE,
)


def names(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Every name that a file binds, and its line."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id=name, ctx=ast.Store()) | ast.arg(arg=name):
                yield node.lineno, name
            case ast.Attribute(attr=name, ctx=ast.Store(), lineno=line):
                yield line, name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name


def test_names() -> None:
    """Those of tests are sentences, and so may have any word."""
    assert [] == [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in CODE
        for line, name in names(ast.parse(path.read_text()))
        if PARTICIPLES & set(name.lower().split("_"))
        and name not in OF_OTHERS
        and not name.startswith("test_")
    ]


def test_sentences() -> None:
    assert [] == [
        f"{path.relative_to(ROOT)}:{number}: {line}"
        for path in PROSE
        if path != Path(__file__)
        for number, line in enumerate(path.read_text().splitlines(), start=1)
        if DIALECT.search(line)
    ]
