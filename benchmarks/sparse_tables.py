"""The table of docs/sparse.md."""

from typing import Any

from benchmarks import engines, record
from embed_onnx_export.report import markdown

Results = dict[str, Any]


def speed() -> str:
    """Milliseconds by engine and cell, and how near each is to PyTorch, in Markdown."""
    file = record.read("sparse")
    cells, cosines = file["results"]["cells"], file["results"]["cosine"]
    head = ["", *(f"{cell}: ms, times ours" for cell in cells), "cosine to PyTorch's"]
    rows = (
        [name, *(figures(cell[name]) for cell in cells.values()), f"{cosine:.4f}"]
        for name, cosine in cosines.items()
    )
    where = f"`{file['command']}`, in turns, on {record.machine_and_instructions(file)}"
    batch = f"{engines.OURS} takes lists as they come; the others have the batch that is fastest for them."
    return f"{markdown.table(head, rows)}\n\nMedians; {where}. {batch}"


def figures(row: Results) -> str:
    """The median of an engine in a cell, and how many times as long as ours that is."""
    return f"{row['ms'][1]:,.1f}, {row['ratio'][1]:.1f}"
