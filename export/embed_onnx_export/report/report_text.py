"""report.md: a report card for people. First what to pick and why, then what was measured."""

import json
import time
from collections.abc import Callable

import numpy as np

from embed_onnx.artifact.manifest import SHORT_TOKENS, Fidelity, Precision
from embed_onnx_export.report import histogram
from embed_onnx_export.report.card import Card, Row, Scores
from embed_onnx_export.report.markdown import literal, table

LARGEST_LOSS = 0.5
"""Points of Spearman or nDCG@10 that int8 may lose and still be the one to pick."""
LEAST_NEIGHBOURS = 0.9
"""The share that it must keep where nothing else was measured."""
LEAST_GAIN = 1.1
"""Times as fast as float32 below which int8 counts as no faster."""

BUSY = 2.0
"""Times the cores; the measuring itself comes near to their number."""

NAMES = {"spearman": "Spearman", "ndcg": "nDCG@10", "recall": "recall@10"}


def markdown(card: Card) -> str:
    """The whole report."""
    parts = [
        f"# Report card of {literal(card.model.name)}",
        advice(card),
        *_caution(card),
        table(*summary(card), numbers=True),
        _data(card),
        "## Fewer dimensions",
        _cuts(card),
        "## The model",
        _model(card),
        "## How it was measured",
        _how(card),
        "## Distance to the original",
        _distance(card),
    ]
    return "\n\n".join(parts) + "\n"


def advice(card: Card) -> str:
    """Which precision to pick on this machine, and why."""
    if card.refused is not None:
        other = "int8" if card.precision == "float32" else "float32"
        return f"**Keep {card.precision}.** {other} could not be made: {literal(card.refused)}."
    picked, reason = _picked(card, card.artifacts["int8"], card.artifacts["float32"])
    switch = f"This artifact is {card.precision}"
    if picked != card.precision:
        switch += f"; set `precision={picked}` on its line of models.txt, and export again"
    more = "" if _scored(card) else " `--sts` and `--beir` measure it on texts of your own."
    return f"**Pick {picked}.** {reason} {switch}.{more}"


def _picked(card: Card, int8: Row, float32: Row) -> tuple[Precision, str]:
    faster, than_pytorch = (int8.speed.median / row.speed.median for row in (float32, card.original))
    speed = (
        f"On this machine int8 runs {faster:.1f} times as fast as float32 and {than_pytorch:.1f} times as "
        f"fast as PyTorch, in {int8.megabytes / float32.megabytes:.0%} of float32's size."
    )
    quality = _losses(card.original.scores[0], int8.scores[0])
    if not _faithful(card, int8):
        return "float32", f"int8 loses too much: {quality}. {speed}"
    if faster < LEAST_GAIN:
        return "float32", f"{speed} Pick int8 where memory is short: its quality would do ({quality})."
    return "int8", f"{speed} Its quality is nearly the original's: {quality}."


def _scored(card: Card) -> bool:
    return card.measured.pairs is not None or card.measured.retrieval is not None


def _faithful(card: Card, int8: Row) -> bool:
    expected, actual = card.original.scores[0], int8.scores[0]
    losses = [
        loss for loss in (_loss(expected, actual, name) for name in ("spearman", "ndcg")) if loss is not None
    ]
    return max(losses) <= LARGEST_LOSS if losses else actual.neighbours >= LEAST_NEIGHBOURS


def _loss(expected: Scores, actual: Scores, name: str) -> float | None:
    """In points, of the figures as they are shown; below 0 for a gain."""
    before, after = getattr(expected, name), getattr(actual, name)
    return None if before is None or after is None else round(100 * before, 2) - round(100 * after, 2)


def _losses(expected: Scores, actual: Scores) -> str:
    words = []
    for name, label in NAMES.items():
        loss = _loss(expected, actual, name)
        if loss is not None:
            change = (
                "the same"
                if abs(loss) < 0.005
                else f"{abs(loss):.2f} points {'lower' if loss > 0 else 'higher'}"
            )
            words.append(f"{label} {change}")
    words.append(f"{10 * actual.neighbours:.1f} of the ten nearest neighbours are the original's")
    return ", ".join(words)


def ways(card: Card) -> dict[str, Row]:
    """Every row, by what a person calls it; the original comes first."""
    names = {
        name: f"{name}, this artifact" if name == card.precision else name for name in ("float32", "int8")
    }
    rows = {names[name]: card.artifacts[name] for name in names if name in card.artifacts}
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
        lines[f"Spearman x 100, {literal(measured.pairs)}"] = lambda row: _points(row.scores[0].spearman)
    if measured.retrieval is not None:
        lines[f"nDCG@10 x 100, {literal(measured.retrieval)}"] = lambda row: _points(row.scores[0].ndcg)
        lines[f"recall@10 x 100, {literal(measured.retrieval)}"] = lambda row: _points(row.scores[0].recall)
    lines["runs on"] = lambda row: literal(row.runs_on)
    return ["", *rows], [[name, *(cell(row) for row in rows.values())] for name, cell in lines.items()]


def _cosine(fidelity: Fidelity | None, name: str) -> str:
    return "" if fidelity is None else f"{getattr(fidelity, name):.5f}"


def _points(score: float | None) -> str:
    return "" if score is None else f"{100 * score:.2f}"


def _caution(card: Card) -> list[str]:
    """A paragraph, if other programs were at work while this one was timed."""
    load, cores = card.measured.load, card.machine.cores
    if load <= BUSY * cores:
        return []
    return [
        f"**The machine was busy** (load {load:.1f} on {cores} cores), which slows some engines more than "
        "others: for speeds to go by, make this report again when it is idle."
    ]


def _data(card: Card) -> str:
    """What the figures of the first table stand for."""
    measured, model = card.measured, card.model
    lines = [
        f"Cosines are over {card.original.parity.texts} texts written for this; short texts are "
        f"{measured.parity - card.original.parity.texts} more, of fewer than {SHORT_TOKENS} tokens.",
        f"Nearest neighbours are looked for among {literal(measured.neighbours)}, by {model.similarity}.",
    ]
    if measured.pairs is not None:
        lines.append(f"{literal(measured.pairs)} has {measured.num_pairs:,} pairs.")
    if measured.retrieval is not None:
        lines.append(
            f"{literal(measured.retrieval)} has {measured.num_documents:,} documents and "
            f"{measured.num_queries:,} queries that some of them answer."
        )
    if measured.judgements_left_out:
        lines.append(f"{measured.judgements_left_out:,} judgements of texts that it lacks are left out.")
    return " ".join(lines)


def _cuts(card: Card) -> str:
    """What is lost with fewer dimensions, by the original and by this artifact."""
    pairs = list(zip(card.original.scores, card.artifacts[card.precision].scores, strict=True))
    labels = {"neighbours": "nearest ten, %", **{name: f"{label} x 100" for name, label in NAMES.items()}}
    present = {name: column for name, column in labels.items() if getattr(pairs[0][0], name) is not None}
    lines = [
        [
            str(expected.dimensions),
            f"{4 * expected.dimensions:,}",
            *(f"{_points(getattr(expected, name))} / {_points(getattr(actual, name))}" for name in present),
        ]
        for expected, actual in pairs
    ]
    words = (
        "With `dimensions` in a request, a vector is cut to its first numbers and normalised again. Figures "
        f"are of the original / of {card.precision}; neighbours are those that the original finds with all."
    )
    head = ["dimensions", "bytes as float32", *present.values()]
    return f"{words}\n\n{table(head, lines, numbers=True)}"


def _model(card: Card) -> str:
    model = card.model
    prompts = [
        f"{literal(name)} {literal(json.dumps(text, ensure_ascii=False))}"
        for name, text in model.prompts.items()
        if text
    ]
    rows = {
        "from": literal(model.repo),
        "revision": literal(model.revision or "not known"),
        "licence": literal(model.license or "not known"),
        "dimensions": f"{model.dimensions:,}",
        "most tokens": "no limit" if model.max_tokens is None else f"{model.max_tokens:,}",
        "modules": literal(", ".join(model.modules)),
        "pooling": literal(", ".join(model.pooling)),
        "prompts": "; ".join(prompts) or "none",
        "default prompt": literal(model.default_prompt or "none"),
    }
    return table(["", literal(model.name)], rows.items())


def _how(card: Card) -> str:
    machine, measured = card.machine, card.measured
    spread = "; ".join(
        f"{name} {row.speed.least:,.0f} to {row.speed.most:,.0f}" for name, row in ways(card).items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items() if version)
    instructions = ", ".join(machine.instructions) or "none of those that matter here"
    day = time.strftime("%Y-%m-%d", time.gmtime(card.created))
    lines = [
        f"`{card.command}`, {day}.",
        f"{machine.cores} cores of {literal(machine.cpu)} (instruction sets: {literal(instructions)}), "
        f"{literal(machine.system)}, Python {machine.python}.",
        f"Tokens a second: {measured.timed_texts} made-up texts of mixed length, {measured.timed_tokens:,} "
        f"tokens, all engines in turns; medians of rounds that ranged: {spread}.",
        f"{literal(versions)}.",
        "Spearman: of cosines with people's scores. nDCG and recall: as trec_eval has them. Queries and "
        "documents have the prompts of `encode_query` and `encode_document`.",
    ]
    return "\n".join(f"- {line}" for line in lines)


def _distance(card: Card) -> str:
    cosines = card.artifacts[card.precision].cosines
    title = f"{card.model.name}, {card.precision}: {len(cosines)} texts by their cosine to the original"
    names = ("least", "5th percentile", "median", "greatest")
    values = np.percentile(cosines, [0, 5, 50, 100])
    figures = ", ".join(f"{name} {value:.5f}" for name, value in zip(names, values, strict=True))
    words = f"All {len(cosines)} texts, the short ones as well: {figures}."
    return f"{words}\n\n{histogram.svg(title, cosines)}"
