"""The chart of the README, as SVG for light and dark pages: tokens a second, an engine a bar."""

from typing import Any
from xml.sax.saxutils import escape

from benchmarks.engines import OURS

LEFT, RIGHT, ROW, BAR = 370, 80, 28, 18
WIDTH = 900
STYLE = """
text { font: 14px sans-serif; fill: #1f2328; }
.ours { fill: #1f6feb; } .other { fill: #8c959f; } .spread { stroke: #1f2328; stroke-width: 1.5; }
@media (prefers-color-scheme: dark) { text { fill: #e6edf3; } .spread { stroke: #e6edf3; } }
"""


def svg(title: str, cell: dict[str, Any]) -> str:
    """Bars of the median, with a line from the first to the third quartile; the fastest comes first."""
    rows = {name: row["tokens_per_second"] for name, row in cell["engines"].items()}
    scale = (WIDTH - LEFT - RIGHT) / max(high for _, _, high in rows.values())
    fastest_first = sorted(rows.items(), key=lambda row: -row[1][1])
    bars = [_bar(place, name, values, scale) for place, (name, values) in enumerate(fastest_first, start=1)]
    height = ROW * (len(bars) + 1) + 12
    head = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">'
    heading = f'<text x="0" y="20">{escape(title)}</text>'
    return "\n".join(
        [head, f"<title>{escape(title)}</title><style>{STYLE}</style>", heading, *bars, "</svg>\n"]
    )


def _bar(place: int, name: str, values: list[float], scale: float) -> str:
    low, median, high = (value * scale for value in values)
    top, middle = place * ROW + 8, place * ROW + 8 + BAR / 2
    kind = "ours" if name == OURS else "other"
    after = LEFT + max(median, high) + 8
    return (
        f'<text x="{LEFT - 10}" y="{middle + 5:.0f}" text-anchor="end">{escape(name)}</text>'
        f'<rect class="{kind}" x="{LEFT}" y="{top}" width="{median:.1f}" height="{BAR}" rx="3"/>'
        f'<path class="spread" d="M{LEFT + low:.1f} {middle:.0f}H{LEFT + high:.1f}"/>'
        f'<text x="{after:.1f}" y="{middle + 5:.0f}">{values[1]:,.0f}</text>'
    )
