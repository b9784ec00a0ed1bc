"""Parts of report.md that are the same for every kind of output."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

import msgspec
import numpy as np

from embed_onnx.artifact.manifest import Precision
from embed_onnx_export.report import histogram
from embed_onnx_export.report.card import Conditions, Ranks, Report, Way
from embed_onnx_export.report.markdown import literal, table

AnyWay = TypeVar("AnyWay", bound=Way)

LARGEST_LOSS = 0.5
"""Points of a quality on people's data that int8 may lose and still be the one to pick."""
LEAST_NEIGHBOURS = 0.9
"""The share of nearest neighbours that int8 must keep where nothing else was measured."""
NAMES = {"spearman": "Spearman", "ndcg": "nDCG@10", "recall": "recall@10"}
"""Of ``Ranks``, the figures that people's judgements give."""
LEAST_GAIN = 1.1
"""Times as fast as float32 below which int8 counts as no faster."""
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
"""In the order of their columns."""
BUSY = 2.0
"""Times the cores; the measuring itself comes near to their number."""


def report(
    card: Report,
    opening: Sequence[str],
    losses: Mapping[str, str],
    model: Mapping[str, str],
    how: str,
    cosines: Sequence[float] = (),
) -> str:
    """The whole of report.md.

    ``opening`` are its first paragraphs, ``losses`` sections by their titles, ``model`` the rows of the
    model's table that not every kind has, and ``cosines`` those to the original of this artifact's texts, of
    a kind that has some.
    """
    parts = {**losses, "The model": table(["", literal(card.model.name)], {**_origin(card), **model}.items())}
    parts["How it was measured"] = how
    if cosines:
        parts["Distance to the original"] = _distance(card, cosines)
    titled = [f"## {title}\n\n{part}" for title, part in parts.items()]
    return "\n\n".join([f"# Report card of {literal(card.model.name)}", *opening, *titled]) + "\n"


class Quality(msgspec.Struct, frozen=True):
    """Of int8 beside the original: whether it will do, and in words."""

    faithful: bool
    words: str


def advice(card: Report, quality: Quality | None, more: str) -> str:
    """Which precision to pick on this machine, and why; ``more`` names options that would say more.

    The quality of int8 is None where that could not be made, or float32 could not.
    """
    if quality is None:
        other = "int8" if card.precision == "float32" else "float32"
        return f"**Keep {card.precision}.** {other} could not be made: {literal(str(card.refused))}."
    picked, reason = _picked(card, quality)
    switch = f"This artifact is {card.precision}"
    if picked != card.precision:
        switch += f"; set `precision={picked}` on its line of models.txt, and export again"
    return f"**Pick {picked}.** {reason} {switch}.{more}"


def judged(card: Report) -> bool:
    """Whether there were datasets of people's judgements."""
    return card.measured.pairs is not None or card.measured.retrieval is not None


def _picked(card: Report, quality: Quality) -> tuple[Precision, str]:
    int8, float32 = card.artifacts["int8"], card.artifacts["float32"]
    faster, than_pytorch = (int8.speed.median / row.speed.median for row in (float32, card.original))
    speed = (
        f"On this machine int8 runs {faster:.1f} times as fast as float32 and {than_pytorch:.1f} times as "
        f"fast as PyTorch, in {int8.megabytes / float32.megabytes:.0%} of float32's size."
    )
    if not quality.faithful:
        return "float32", f"int8 loses too much: {quality.words}. {speed}"
    if faster < LEAST_GAIN:
        return "float32", f"{speed} Pick int8 where memory is short: its quality would do ({quality.words})."
    return "int8", f"{speed} Its quality is nearly the original's: {quality.words}."


def quality(
    original: AnyWay, artifacts: Mapping[Precision, AnyWay], scores_of: Callable[[AnyWay], Ranks]
) -> Quality | None:
    """That of int8 by what its vectors find, beside the original's; None if a precision could not be made."""
    if len(artifacts) < len(PRECISIONS):
        return None
    expected, actual = scores_of(original), scores_of(artifacts["int8"])
    losses = {
        name: lost
        for name in NAMES
        if (lost := loss(getattr(expected, name), getattr(actual, name))) is not None
    }
    words = [change(NAMES[name], lost) for name, lost in losses.items()]
    words.append(f"{10 * actual.neighbours:.1f} of the ten nearest neighbours are the original's")
    judged = [lost for name, lost in losses.items() if name != "recall"]
    faithful = max(judged) <= LARGEST_LOSS if judged else actual.neighbours >= LEAST_NEIGHBOURS
    return Quality(faithful, ", ".join(words))


def loss(before: float | None, after: float | None) -> float | None:
    """Of shares, in points as they are shown; below 0 for a gain."""
    return None if before is None or after is None else round(100 * before, 2) - round(100 * after, 2)


def change(label: str, points: float) -> str:
    """A loss of so many points, in words."""
    if abs(points) < 0.005:
        return f"{label} the same"
    return f"{label} {abs(points):.2f} points {'lower' if points > 0 else 'higher'}"


def points(share: float | None) -> str:
    """A cell for a share, times 100; empty without one."""
    return "" if share is None else f"{100 * share:.2f}"


def ranks(measured: Conditions, scores_of: Callable[[AnyWay], Ranks]) -> dict[str, Callable[[AnyWay], str]]:
    """Rows of the first table: what was measured on the datasets, and how a cell has it."""
    rows: dict[str, Callable[[AnyWay], str]] = {}
    if measured.pairs is not None:
        rows[f"Spearman x 100, {literal(measured.pairs)}"] = lambda way: points(scores_of(way).spearman)
    if measured.retrieval is not None:
        rows[f"nDCG@10 x 100, {literal(measured.retrieval)}"] = lambda way: points(scores_of(way).ndcg)
        rows[f"recall@10 x 100, {literal(measured.retrieval)}"] = lambda way: points(scores_of(way).recall)
    return rows


def figures(scores: Ranks) -> dict[str, str]:
    """The figures that were measured, by the name of their field, as a table calls them."""
    labels = {"neighbours": "nearest ten, %", **{name: f"{label} x 100" for name, label in NAMES.items()}}
    return {name: column for name, column in labels.items() if getattr(scores, name) is not None}


def ways(original: AnyWay, artifacts: Mapping[Precision, AnyWay], card: Report) -> dict[str, AnyWay]:
    """Every row of a card, by what a person calls it; the original comes first."""
    return {
        "original in PyTorch": original,
        **{label: artifacts[name] for name, label in columns(card).items()},
    }


def cells(
    rows: Mapping[str, AnyWay], lines: Mapping[str, Callable[[AnyWay], str]]
) -> tuple[list[str], list[list[str]]]:
    """The head and the rows of the first table."""
    return ["", *rows], [[name, *(cell(row) for row in rows.values())] for name, cell in lines.items()]


def texts_a_second(card: Report, way: Way) -> str:
    """A cell for the speed of texts such as those that were timed."""
    return f"{way.speed.median * card.measured.timed_texts / card.measured.timed_tokens:,.0f}"


def columns(card: Report) -> dict[Precision, str]:
    """What a person calls each precision that could be made, float32 first."""
    return {
        name: f"{name}, this artifact" if name == card.precision else name
        for name in PRECISIONS
        if name in card.artifacts
    }


def caution(card: Report) -> list[str]:
    """A paragraph, if other programs were at work while this one was timed."""
    load, cores = card.measured.load, card.machine.cores
    if load <= BUSY * cores:
        return []
    return [
        f"**The machine was busy** (load {load:.1f} on {cores} cores), which slows some engines more than "
        "others: for speeds to go by, make this report again when it is idle."
    ]


def task(card: Report) -> list[str]:
    """Sentences on the files that were measured with."""
    measured = card.measured
    lines = []
    if measured.pairs is not None:
        lines.append(f"{literal(measured.pairs)} has {measured.num_pairs:,} pairs.")
    if measured.retrieval is not None:
        lines.append(
            f"{literal(measured.retrieval)} has {measured.num_documents:,} documents and "
            f"{measured.num_queries:,} queries that some of them answer."
        )
    if measured.judgements_left_out:
        lines.append(f"{measured.judgements_left_out:,} judgements of texts that it lacks are left out.")
    return lines


def how(card: Report, items: str, formulas: str) -> str:
    """The command, the machine and the versions; ``items`` are what was timed, ``formulas`` a sentence."""
    machine, measured = card.machine, card.measured
    rows = ways(card.original, card.artifacts, card)
    spread = "; ".join(
        f"{name} {row.speed.least:,.0f} to {row.speed.most:,.0f}" for name, row in rows.items()
    )
    versions = ", ".join(f"{name} {version}" for name, version in card.versions.items() if version)
    instructions = ", ".join(machine.instructions) or "none of those that matter here"
    day = time.strftime("%Y-%m-%d", time.gmtime(card.created))
    lines = [
        f"`{card.command}`, {day}.",
        f"{machine.cores} cores of {literal(machine.cpu)} (instruction sets: {literal(instructions)}), "
        f"{literal(machine.system)}, Python {machine.python}.",
        f"Tokens a second: {measured.timed_texts} {items}, {measured.timed_tokens:,} tokens, all engines in "
        f"turns; medians of rounds that ranged: {spread}.",
        f"{literal(versions)}.",
        formulas,
    ]
    return "\n".join(f"- {line}" for line in lines)


def _origin(card: Report) -> dict[str, str]:
    """Rows of the table of the model that any model has."""
    model = card.model
    return {
        "from": literal(model.repo),
        "revision": literal(model.revision or "not known"),
        "licence": literal(model.license or "not known"),
        "most tokens": "no limit" if model.max_tokens is None else f"{model.max_tokens:,}",
        "modules": literal(", ".join(model.modules)),
    }


def prompts(by_name: Mapping[str, str]) -> str:
    """A cell for the prompts of a model."""
    words = [
        f"{literal(name)} {literal(json.dumps(text, ensure_ascii=False))}"
        for name, text in by_name.items()
        if text
    ]
    return "; ".join(words) or "none"


def _distance(card: Report, cosines: Sequence[float]) -> str:
    """The cosines of this artifact's texts to the original's, in words and drawn."""
    title = f"{card.model.name}, {card.precision}: {len(cosines)} texts by their cosine to the original"
    names = ("least", "5th percentile", "median", "greatest")
    values = np.percentile(cosines, [0, 5, 50, 100])
    listed = ", ".join(f"{name} {value:.5f}" for name, value in zip(names, values, strict=True))
    return f"All {len(cosines)} texts, the short ones as well: {listed}.\n\n{histogram.svg(title, cosines)}"
