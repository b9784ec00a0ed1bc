"""report.md of an embedder, for people. First what to pick and why, then what was measured."""

import json
from collections.abc import Callable

import numpy as np

from embed_onnx.artifact.manifest import SHORT_TOKENS, Fidelity
from embed_onnx.engine.dtypes import DType
from embed_onnx_export.report import histogram, sections
from embed_onnx_export.report.card import Card, Row, Scores
from embed_onnx_export.report.markdown import literal, table
from embed_onnx_export.report.sections import LARGEST_LOSS, Quality, points

LEAST_NEIGHBOURS = 0.9
"""The share of nearest neighbours that int8 must keep where nothing else was measured."""

FORMULAS = (
    "Spearman: of cosines with people's scores. nDCG and recall: as trec_eval has them. Queries and "
    "documents have the prompts of `encode_query` and `encode_document`."
)
NAMES = {"spearman": "Spearman", "ndcg": "nDCG@10", "recall": "recall@10"}

TYPES: dict[DType, str] = {
    "float32": "float32",
    "float16": "float16",
    "int8": "int8, in the artifact's ranges",
    "uint8": "uint8, compared without taking 128 away",
    "ubinary": "binary and ubinary, by Hamming distance",
}
NO_RANGES = " This artifact has no ranges for int8 and uint8: export it again."


def markdown(card: Card) -> str:
    """The whole report."""
    parts = [
        f"# Report card of {literal(card.model.name)}",
        advice(card),
        *sections.caution(card),
        table(*summary(card), numbers=True),
        _data(card),
        "## Fewer dimensions",
        _cuts(card),
        "## Smaller numbers",
        _types(card),
        "## The model",
        _model(card),
        "## How it was measured",
        sections.how(card, "made-up texts of mixed length", FORMULAS),
        "## Distance to the original",
        _distance(card),
    ]
    return "\n\n".join(parts) + "\n"


def advice(card: Card) -> str:
    """Which precision to pick on this machine, and why."""
    more = "" if _judged(card) else " `--sts` and `--beir` measure it on texts of your own."
    if card.refused is not None:
        return sections.advice(card, None, more)
    int8 = card.artifacts["int8"]
    quality = Quality(_is_faithful(card, int8), _losses(card.original.scores[0], int8.scores[0]))
    return sections.advice(card, quality, more)


def _judged(card: Card) -> bool:
    """Whether there were datasets of people's judgements."""
    return card.measured.pairs is not None or card.measured.retrieval is not None


def _is_faithful(card: Card, int8: Row) -> bool:
    expected, actual = card.original.scores[0], int8.scores[0]
    losses = [
        loss for loss in (_loss(expected, actual, name) for name in ("spearman", "ndcg")) if loss is not None
    ]
    return max(losses) <= LARGEST_LOSS if losses else actual.neighbours >= LEAST_NEIGHBOURS


def _loss(expected: Scores, actual: Scores, name: str) -> float | None:
    return sections.loss(getattr(expected, name), getattr(actual, name))


def _losses(expected: Scores, actual: Scores) -> str:
    words = []
    for name, label in NAMES.items():
        loss = _loss(expected, actual, name)
        if loss is not None:
            words.append(sections.change(label, loss))
    words.append(f"{10 * actual.neighbours:.1f} of the ten nearest neighbours are the original's")
    return ", ".join(words)


def ways(card: Card) -> dict[str, Row]:
    """Every row, by what a person calls it; the original comes first."""
    rows = {label: card.artifacts[name] for name, label in sections.columns(card).items()}
    return {"original in PyTorch": card.original, **rows}


def summary(card: Card) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the first table."""
    rows = ways(card)
    measured = card.measured
    lines: dict[str, Callable[[Row], str]] = {
        "tokens a second": lambda row: f"{row.speed.median:,.0f}",
        "model, MB": lambda row: f"{row.megabytes:.1f}",
        "cosine to the original: mean": lambda row: f"{row.parity.cosine_mean:.5f}",
        "cosine to the original: least": lambda row: f"{row.parity.cosine_min:.5f}",
        "short texts, cosine: mean": lambda row: _cosine(row.parity.short, "cosine_mean"),
        "short texts, cosine: least": lambda row: _cosine(row.parity.short, "cosine_min"),
        "nearest ten that are the original's, %": lambda row: f"{100 * row.scores[0].neighbours:.1f}",
    }
    if measured.pairs is not None:
        lines[f"Spearman x 100, {literal(measured.pairs)}"] = lambda row: points(row.scores[0].spearman)
    if measured.retrieval is not None:
        lines[f"nDCG@10 x 100, {literal(measured.retrieval)}"] = lambda row: points(row.scores[0].ndcg)
        lines[f"recall@10 x 100, {literal(measured.retrieval)}"] = lambda row: points(row.scores[0].recall)
    lines["runs on"] = lambda row: literal(row.runs_on)
    return ["", *rows], [[name, *(cell(row) for row in rows.values())] for name, cell in lines.items()]


def _cosine(fidelity: Fidelity | None, name: str) -> str:
    return "" if fidelity is None else f"{getattr(fidelity, name):.5f}"


def _data(card: Card) -> str:
    """What the figures of the first table stand for."""
    measured, model = card.measured, card.model
    lines = [
        f"Cosines are over {card.original.parity.texts} texts written for this; short texts are "
        f"{measured.parity - card.original.parity.texts} more, of fewer than {SHORT_TOKENS} tokens.",
        f"Nearest neighbours are looked for among {literal(measured.neighbours)}, by {model.similarity}.",
    ]
    lines += sections.task(card)
    return " ".join(lines)


def _cuts(card: Card) -> str:
    """What is lost with fewer dimensions, by the original and by this artifact."""
    pairs = list(zip(card.original.scores, card.artifacts[card.precision].scores, strict=True))
    present = _columns(pairs[0][0])
    lines = [
        [
            str(expected.dimensions),
            f"{4 * expected.dimensions:,}",
            *(f"{points(getattr(expected, name))} / {points(getattr(actual, name))}" for name in present),
        ]
        for expected, actual in pairs
    ]
    words = (
        "With `dimensions` in a request, a vector is cut to its first numbers and normalised again. Figures "
        f"are of the original / of {card.precision}; neighbours are those that the original finds with all."
    )
    head = ["dimensions", "bytes as float32", *present.values()]
    return f"{words}\n\n{table(head, lines, numbers=True)}"


def _columns(measured: Scores) -> dict[str, str]:
    """The scores that were measured, by the name of their field, as a table calls them."""
    labels = {"neighbours": "nearest ten, %", **{name: f"{label} x 100" for name, label in NAMES.items()}}
    return {name: column for name, column in labels.items() if getattr(measured, name) is not None}


def _types(card: Card) -> str:
    """What is lost with smaller numbers, by this artifact."""
    present = _columns(card.types[0].scores)
    lines = [
        [TYPES[row.dtype], f"{row.bytes:,}", *(points(getattr(row.scores, name)) for name in present)]
        for row in card.types
    ]
    absent = "" if any(row.dtype == "int8" for row in card.types) else NO_RANGES
    words = (
        f"Vectors of {card.precision} as `output_dtype` has them in a request. Neighbours are those that the "
        f"original finds in float32.{absent}"
    )
    return f"{words}\n\n{table(['type', 'bytes', *present.values()], lines, numbers=True)}"


def _model(card: Card) -> str:
    model = card.model
    prompts = [
        f"{literal(name)} {literal(json.dumps(text, ensure_ascii=False))}"
        for name, text in model.prompts.items()
        if text
    ]
    rows = {
        **sections.origin(card),
        "dimensions": f"{model.dimensions:,}",
        "pooling": literal(", ".join(model.pooling)),
        "prompts": "; ".join(prompts) or "none",
        "default prompt": literal(model.default_prompt or "none"),
    }
    return table(["", literal(model.name)], rows.items())


def _distance(card: Card) -> str:
    cosines = card.artifacts[card.precision].cosines
    title = f"{card.model.name}, {card.precision}: {len(cosines)} texts by their cosine to the original"
    names = ("least", "5th percentile", "median", "greatest")
    values = np.percentile(cosines, [0, 5, 50, 100])
    figures = ", ".join(f"{name} {value:.5f}" for name, value in zip(names, values, strict=True))
    words = f"All {len(cosines)} texts, the short ones as well: {figures}."
    return f"{words}\n\n{histogram.svg(title, cosines)}"
