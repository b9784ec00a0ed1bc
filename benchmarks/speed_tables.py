"""Tables of the speed in process: engines over the grid, and the closest engine of each cell."""

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks import peers, record
from benchmarks.engines import AVX2, MODEL2VEC, OURS, PLAIN
from benchmarks.speed import MIXED
from embed_onnx_export.report import markdown

Results = dict[str, Any]

SIZES = {peers.SMALL: "", peers.BASE: " of mpnet-base's size"}
COLUMNS = (
    *((peers.SMALL, cell) for cell in ("1x8", "1x32", "1x128", "16x16", "16x64", "32x128", MIXED)),
    *((peers.BASE, cell) for cell in ("1x8", "1x32", "1x128", "16x64")),
)
"""Without mixed lengths of the second: so few texts that padding one long one decides."""
HEADLINE = ((peers.SMALL, MIXED), (peers.SMALL, "1x8"), (peers.BASE, "16x64"))
LEGEND = (
    "1x8 is one text of 8 tokens, 16x64 a list of 16 texts of 64, mixed a list of texts of all lengths; "
    "`avx512_vnni` and `avx2` in brackets are sentence-transformers' presets for quantising"
)
AVX2_ONLY = "speed_avx2"
"""Results of another machine, at a commit before the present kernels."""
OTHER = {OURS, PLAIN, AVX2, MODEL2VEC}
"""Not other engines with the same vectors."""


def speed(results: Results, columns: Sequence[tuple[str, str]]) -> str:
    """Milliseconds for single texts, thousands of tokens a second for lists, an engine a row, in Markdown."""
    measured = {(model, cell): engines for model, cell, engines in _cells(results)}
    cells = [(model, cell, measured[model, cell]) for model, cell in columns if (model, cell) in measured]
    head = [f"{cell}{SIZES[model]}, {'ms' if _alone(cell) else 'k tokens/s'}" for model, cell, _ in cells]
    engines = results["models"][peers.SMALL]["cells"][MIXED]["engines"]
    rows = ([name, *(_figure(cell, rows.get(name)) for _, cell, rows in cells)] for name in engines)
    return markdown.table(["in process", *head], rows)


def closest(results: Results) -> str:
    """The fastest other engine of each cell, and how many times as long as ours it takes, in Markdown."""
    rows = []
    for model, cell, engines in _cells(results):
        if (model, cell) not in COLUMNS:
            continue
        others = {name: row["ratio"] for name, row in engines.items() if name not in OTHER}
        name = min(others, key=lambda other: others[other][1])
        low, median, high = others[name]
        rows.append([f"{cell}{SIZES[model]}", name, f"{median:.2f} ({low:.2f} to {high:.2f})"])
    return markdown.table(["cell", "fastest other engine", "its time, of ours: median (quartiles)"], rows)


def avx2_only() -> str:
    """The engines on a processor without VNNI, in Markdown."""
    file = record.read(AVX2_ONLY)
    return (
        f"On {record.machine_and_instructions(file)}, an older processor without AVX512 and VNNI, at commit "
        f"{file['commit']}, before the present kernels and with the peers of that time:\n\n"
        f"{speed(file['results'], COLUMNS)}\n\n`{file['command']}`."
    )


def _cells(results: Results) -> Iterator[tuple[str, str, Results]]:
    """Model, cell, and the engines' figures."""
    for model, rows in results["models"].items():
        for cell, row in rows["cells"].items():
            yield model, cell, row["engines"]


def _alone(cell: str) -> bool:
    return cell.startswith("1x")


def _figure(cell: str, row: Results | None) -> str:
    if row is None:
        return ""
    return f"{row['ms'][1]:.2f}" if _alone(cell) else f"{row['tokens_per_second'][1] / 1000:.1f}"
