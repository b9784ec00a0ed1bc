"""Halves of surrogate pairs, which JSON can escape and which stand for no character."""

import re

LONE_SURROGATE = re.compile(
    rb"\\u[dD](?:[89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD])[c-fC-F][0-9a-fA-F]{2})"
)
"""The escape of half of a pair, in JSON without escaped backslashes."""
LONE_SURROGATES = 100_000
"""As many are replaced, which takes 50 ms; JSON with more is refused."""


def replace_lone(json: bytes) -> bytes:
    """JSON in which each escape of half of a surrogate pair is that of U+FFFD; as it is if it has too many.

    An escaped backslash is hidden meanwhile, as what comes after it is no escape; JSON has no NUL.
    """
    if b"\\u" not in json or b"\0" in json:
        return json
    hidden, halves = LONE_SURROGATE.subn(rb"\\ufffd", json.replace(b"\\\\", b"\0"), LONE_SURROGATES + 1)
    if halves > LONE_SURROGATES:
        return json
    return hidden.replace(b"\0", b"\\\\")
