"""Tables of texts that come again, and of long ones."""

from typing import Any

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


def windows() -> str:
    """What questions find of long documents, a table for each way to join passages, in Markdown."""
    file = record.read("windows")
    results = file["results"]
    parts = []
    for name, lengths in results["orders"].items():
        head = [f"documents of {name}", *(_length(int(count), row) for count, row in lengths.items())]
        ways = next(iter(lengths.values()))["ways"]
        rows = ([way, *(_shares(row["ways"][way]) for row in lengths.values())] for way in ways)
        parts.append(markdown.table(head, rows))
    parts.append(
        "Of questions whose passage stands first in a document, last, and anywhere, those that find the "
        f"document among the {results['nearest']} nearest of {results['documents']}, in percent. "
        f"{results['model']}, {results['max_tokens']} tokens; passages are abstracts of PubMedQA, joined at "
        f"random (any subject) or each with the nearest to the last (one subject). `{file['command']}`."
    )
    return "\n\n".join(parts)


def _length(count: int, row: dict[str, Any]) -> str:
    passages = f"{count} passages" if count > 1 else "a passage"
    return f"{passages}, {row['tokens']:,} tokens"


def _shares(row: dict[str, float]) -> str:
    return ", ".join(f"{100 * row[place]:.0f}" for place in ("first", "last", "all"))


def _both(row: dict[str, float]) -> str:
    return f"{row['without']:g}, {row['with']:g}"
