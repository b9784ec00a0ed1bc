"""Tables of texts that come again."""

from benchmarks import record
from embed_onnx_export.report import markdown


def repeats() -> str:
    """Requests a second and processor time with and without a cache, in Markdown."""
    file = record.read("repeats")
    results = file["results"]
    head = ["all-MiniLM-L6-v2", "requests/s: no cache, cache", "CPU ms a text: no cache, cache", "ratio"]
    rows = (
        [case, _both(row["requests/s"]), _both(row["CPU ms a text"]), f"{row['CPU ratio'][1]:.2f}"]
        for case, row in results["cases"].items()
    )
    return (
        f"{markdown.table(head, rows)}\n\n`{file['command']}` on {record.machine(file)}, the client among "
        f"them; a cache of {results['cache bytes'] >> 20} MiB; medians of rounds in turns, and of the ratio "
        "of processor time in each."
    )


def _both(row: dict[str, float]) -> str:
    return f"{row['without']:g}, {row['with']:g}"
