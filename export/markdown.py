"""Markdown that is made here."""

import re
from collections.abc import Iterable

SPECIAL = re.compile(r"([\\`*_{}\[\]<>|~#&])")


def table(head: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """A table; cells are Markdown themselves."""
    head = list(head)
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)


def literal(text: str) -> str:
    """Text as it is, on one line, whatever of Markdown or HTML is in it."""
    return SPECIAL.sub(r"\\\1", text.replace("\n", "\N{DOWNWARDS ARROW WITH CORNER LEFTWARDS}"))
