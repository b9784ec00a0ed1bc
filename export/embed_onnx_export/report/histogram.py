"""A histogram of cosines as SVG, to stand in the text of a page, light or dark."""

import math
from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np

WIDTH, HEIGHT, TOP, BOTTOM, SIDE = 640, 200, 40, 26, 20
BINS = 25
STEP = 0.005
"""The axis begins at a multiple of this, and is at least as long."""


def svg(title: str, values: Sequence[float]) -> str:
    """Bars over cosines from the least to 1, without a blank line, which would end HTML within Markdown.

    Words take the colour of the page's own text; the blue of bars stands out from white and from black.
    """
    title = " ".join(title.split())
    low = min(math.floor(min(values) / STEP) * STEP, 1 - STEP)
    counts, _ = np.histogram(np.clip(values, low, 1), BINS, (low, 1))
    wide, high = (WIDTH - 2 * SIDE) / BINS, (HEIGHT - TOP - BOTTOM) / counts.max()
    bars = [
        f'<rect x="{SIDE + place * wide + 1:.1f}" y="{HEIGHT - BOTTOM - count * high:.1f}" '
        f'width="{wide - 2:.1f}" height="{count * high:.1f}" fill="#3b82f6"/>'
        + _text(SIDE + (place + 0.5) * wide, HEIGHT - BOTTOM - count * high - 4, str(count), "middle", 11)
        for place, count in enumerate(counts)
        if count
    ]
    ends = {"start": low, "middle": (low + 1) / 2, "end": 1.0}
    ticks = [
        _text(SIDE + (value - low) / (1 - low) * (WIDTH - 2 * SIDE), HEIGHT - 8, f"{value:.4f}", anchor, 12)
        for anchor, value in ends.items()
    ]
    axis = f'<path d="M{SIDE} {HEIGHT - BOTTOM}H{WIDTH - SIDE}" stroke="currentColor"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" '
        f'style="max-width: 100%" role="img" aria-label="{escape(title, {chr(34): "&quot;"})}" '
        'font-family="sans-serif">'
    )
    return "\n".join([head, _text(SIDE, 16, title, "start", 13), *bars, axis, *ticks, "</svg>"])


def _text(x: float, y: float, words: str, anchor: str, size: int) -> str:
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" font-size="{size}" fill="currentColor">'
        f"{escape(words)}</text>"
    )
