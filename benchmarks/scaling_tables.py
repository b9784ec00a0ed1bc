"""The table of docs/scaling.md: what texts cost."""

from benchmarks import record, speed_tables
from embed_onnx_export.report import markdown


def cost() -> str:
    """Core-seconds of a million tokens, computed and measured, in Markdown."""
    file = record.read("cost")
    head = ["model", "texts of tokens", "lanes", "core-seconds a million tokens, computed", "measured"]
    rows = (
        [
            f"{row['model']}{speed_tables.SIZES[row['model']]}",
            f"{row['texts']} of {row['tokens'] / row['texts']:.0f}",
            row["lanes"],
            f"{row['computed']:.0f}",
            f"{row['measured']:.0f} ({row['ratio']:.2f} of it)",
        ]
        for row in file["results"]["cases"]
    )
    where = f"on {record.machine(file)}"
    return f"{markdown.table(head, rows)}\n\n`{file['command']}` {where}; medians."
