"""What was exported and how near it is to its original, as tables in Markdown."""

from collections.abc import Sequence
from typing import Any

from embed_onnx_export.report import markdown

Results = dict[str, Any]


def architectures(file: Results) -> str:
    """An architecture a row, those with kernels first, those without an artifact last; in Markdown."""
    rows = sorted(
        file["results"].items(), key=lambda item: ("refused" in item[1], not item[1].get("kernels"))
    )
    head = [
        "architecture", "exporter", "int8 by", "float32: cosine, least", "int8: cosine, mean and least",
        "CPU seconds",
    ]  # fmt: skip
    return markdown.table(head, ([name, *_exported(row)] for name, row in rows))


def _exported(row: Results) -> list[str]:
    if "refused" in row:
        return [f"refused: {row['refused']}", "", "", "", ""]
    products = "native kernels and ONNX Runtime" if row.get("products") else "ONNX Runtime"
    by = "native kernels" if row["kernels"] else products
    seconds = f"{row['seconds']:.1f}"
    return [row["exporter"], by, f"{row['float32']:.6f}", _mean_and_least(row["int8"]), seconds]


def _mean_and_least(cosines: Sequence[float]) -> str:
    return ", ".join(f"{cosine:.4f}" for cosine in cosines)


def forms(file: Results) -> str:
    """A form of checkpoints a row, in Markdown."""
    head = ["like", "architecture", "exporter", "token ids", "float32: cosine, least", "int8: mean and least"]
    rows = [
        [
            name,
            row["architecture"],
            row["exporter"],
            "equal" if row["equal ids"] else "differ",
            f"{row['float32'][1]:.6f}",
            _mean_and_least(row["int8"]),
        ]
        for name, row in file["results"].items()
    ]
    return markdown.table(head, rows)


def exporters(file: Results) -> str:
    """An exporter a row, in Markdown."""
    head = ["exporter", "CPU seconds: quartiles", "int8: cosine, mean and least"]
    rows = [
        [name, ", ".join(f"{seconds:.1f}" for seconds in row["seconds"]), _mean_and_least(row["cosine"])]
        for name, row in file["results"].items()
    ]
    return markdown.table(head, rows)


def calibration(file: Results) -> str:
    """A way of making int8 a row, in Markdown."""
    rows = file["results"]
    first = next(iter(rows.values()))
    head = [
        "all-MiniLM-L6-v2",
        f"{next(iter(first['cosine']))}: Spearman",
        *(f"{name}: nDCG@10" for name in first["ndcg@10"]),
        *(f"{name}: cosine, mean and least" for name in first["cosine"]),
    ]
    lines = [
        [
            way,
            f"{row['spearman']:.2f}",
            *(f"{score:.2f}" for score in row["ndcg@10"].values()),
            *(_mean_and_least([cosines["mean"], cosines["min"]]) for cosines in row["cosine"].values()),
        ]
        for way, row in rows.items()
    ]
    return markdown.table(head, lines)


def models(file: Results) -> str:
    """A real model a row, in Markdown."""
    head = [
        "model", "dimensions or entries", "float32, int8: MB", "cosine, mean and least", "STS: float32, int8",
        "1x8: ms", "as fast as PyTorch", "mixed: as fast as PyTorch",
    ]  # fmt: skip
    return markdown.table(head, ([name, *_real(row)] for name, row in file["results"].items()))


def _real(row: Results) -> list[str]:
    megabytes = ", ".join(f"{size:.1f}" for size in row["megabytes"])
    spearman = ", ".join(f"{score:.2f}" for score in row.get("spearman", {}).values())
    cells = row["milliseconds"]
    ratios = ["{1:.1f} ({0:.1f} to {2:.1f}) x".format(*cell["ratio"]) for cell in cells.values()]
    short = f"{cells['1x8']['embed-onnx']:.2f}"
    width = f"{row.get('dimensions') or row['entries']:,}"
    return [width, megabytes, _mean_and_least(row["cosine"]), spearman, short, *ratios]
