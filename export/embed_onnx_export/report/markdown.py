"""Markdown that is made here."""

import re
from collections.abc import Iterable, Sequence

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&])")


def table(head: Sequence[str], rows: Iterable[Iterable[object]], *, numbers: bool = False) -> str:
    """A table; cells are Markdown themselves. Those of numbers, after the first, end at the right."""
    rule = ["---"] + ["---:" if numbers else "---"] * (len(head) - 1)
    lines = [head, rule, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def literal(text: str) -> str:
    """Text as it is, on one line, whatever of Markdown or HTML is in it."""
    return SPECIAL.sub(r"\\\1", text.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"))
