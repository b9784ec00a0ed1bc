"""Tables of docs/scaling.md: what texts cost, what memory models take, and what more cores give."""

from typing import Any

from benchmarks import record, speed_tables
from benchmarks.speed import MIXED
from embed_onnx_export.report import markdown

Results = dict[str, Any]


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


def memory() -> str:
    """A server's megabytes by its models and processes, in Markdown."""
    file = record.read("memory")
    head = ["models", "processes", "their files, MB", "the server when ready, MB", "after long texts, MB"]
    rows = (
        [
            " and ".join(f"{model}{speed_tables.SIZES[model]}" for model in row["models"]),
            row["workers"],
            row["files"],
            row["ready"],
            row["after"],
        ]
        for row in file["results"]["cases"]
    )
    return f"{markdown.table(head, rows)}\n\n`{file['command']}` on {record.machine(file)}."


def cores() -> str:
    """One and two cores measured, more computed, a table a model, in Markdown."""
    file = record.read("cores")
    parts = [_cores(model, row) for model, row in file["results"]["models"].items()]
    parts.append(f"`{file['command']}` on {record.machine(file)}; medians.")
    return "\n\n".join(parts)


def _cores(model: str, row: Results) -> str:
    measured, computed = row["measured"], row["computed"]
    one = next(iter(measured.values()))
    head = ["cores", "mixed, k tokens/s", "of one core", "16x64, k tokens/s", "1x8, ms", "memory, GB/s"]
    lines = [
        [
            f"{setting}: measured",
            f"{figures['rates'][MIXED] / 1000:.1f}",
            f"{figures['rates'][MIXED] / one['rates'][MIXED]:.2f}",
            f"{figures['rates']['16x64'] / 1000:.1f}",
            f"{figures['1x8, ms']:.2f}",
            f"{figures['bandwidth, GB/s']:.1f} there are",
        ]
        for setting, figures in measured.items()
    ]
    lines += [
        [
            f"{figures['cores']} cores: computed",
            f"{figures['tokens/s'] / 1000:.1f}",
            f"{figures['of one core']:.2f}",
            "",
            "",
            f"{figures['weights, GB/s']:.1f} for the weights",
        ]
        for figures in computed
    ]
    pack, serial = one["tokens a pack"], one["interpreter, s a pack"]
    heading = (
        f"{model}{speed_tables.SIZES[model]}, weights of {row['weights, MB']:.0f} MB; a pack of {pack:.0f} "
        f"tokens takes a core {pack / one['rates'][MIXED] * 1000:.1f} ms, at most {serial * 1000:.2f} of "
        "them in the interpreter:"
    )
    return f"{heading}\n\n{markdown.table(head, lines)}"
