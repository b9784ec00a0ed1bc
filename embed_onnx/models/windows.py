"""A text that is too long for a model in windows, each as the model would see it alone, and their mean.

Windows part the text's own tokens without overlap, so that each counts once, into as few as their limit
allows, all of the same length but for one token. Each has the prompt's tokens and the model's special ones
around it. The vector of the text is the mean of theirs, weighted by the tokens of its own.
"""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from embed_onnx.engine.vectors import Vector, normalize, weighted_mean
from embed_onnx.models.tokenizer import Template, Tokens

LEAST_ROOM = 16
"""Tokens of the text that a window must have room for: with less, it would be prompt and special tokens."""


class LongText(Tokens, frozen=True, kw_only=True):
    """One input as a model sees it in ``windows``; ``ids`` are those of all of them, one after the other."""

    windows: list[Tokens]
    weights: list[int]
    """The tokens of the text's own in each window."""


def count(own_tokens: int, room: int) -> int:
    """How many windows a text has if there is ``room`` for so many of its tokens in each."""
    return -(-own_tokens // room)


def parted(prompt: list[int], own: list[int], number: int, template: Template, *, unpooled: int) -> LongText:
    """A text of tokens of its ``own`` in so many windows; the first ``unpooled`` tokens of each are skipped.

    The prompt's tokens come before those of each window, and the template around both.
    """
    ends = [len(own) * place // number for place in range(number + 1)]
    windows = []
    for start, end in pairwise(ends):
        ids = [*template.before, *prompt, *own[start:end], *template.after]
        windows.append(Tokens(ids, len(ids), prompt=unpooled))
    ids = [token_id for window in windows for token_id in window.ids]
    weights = [end - start for start, end in pairwise(ends)]
    return LongText(ids, len(ids), windows=windows, weights=weights)


def of(item: Tokens) -> Sequence[Tokens]:
    """The windows of an input: mostly itself."""
    return item.windows if isinstance(item, LongText) else (item,)


def merged(vectors: Vector, inputs: Sequence[Tokens], *, renormalize: bool) -> Vector:
    """A vector for each input, from one for each window; means are normalised with ``renormalize``."""
    if not any(isinstance(item, LongText) for item in inputs):
        return vectors
    rows, place = [], 0
    for item in inputs:
        if isinstance(item, LongText):
            mean = weighted_mean(vectors[place : place + len(item.windows)], item.weights)
            rows.append(normalize(mean) if renormalize else mean)
        else:
            rows.append(vectors[place])
        place += len(of(item))
    return np.stack(rows)
