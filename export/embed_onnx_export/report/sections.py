"""Parts of report.md that are the same for every kind of output."""

import time

import msgspec

from embed_onnx.artifact.manifest import Precision
from embed_onnx_export.report.card import Report, Way
from embed_onnx_export.report.markdown import literal

LARGEST_LOSS = 0.5
"""Points of a quality on people's data that int8 may lose and still be the one to pick."""
LEAST_GAIN = 1.1
"""Times as fast as float32 below which int8 counts as no faster."""
PRECISIONS: tuple[Precision, ...] = ("float32", "int8")
"""In the order of their columns."""
BUSY = 2.0
"""Times the cores; the measuring itself comes near to their number."""


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
    rows: dict[str, Way] = {"original in PyTorch": card.original}
    rows |= {label: card.artifacts[name] for name, label in columns(card).items()}
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


def origin(card: Report) -> dict[str, str]:
    """Rows of the table of the model that any model has."""
    model = card.model
    return {
        "from": literal(model.repo),
        "revision": literal(model.revision or "not known"),
        "licence": literal(model.license or "not known"),
        "most tokens": "no limit" if model.max_tokens is None else f"{model.max_tokens:,}",
        "modules": literal(", ".join(model.modules)),
    }
