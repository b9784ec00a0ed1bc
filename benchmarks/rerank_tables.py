"""Tables of docs/rerank.md: rankings by ours and other engines, and what kinds of work do to each other."""

from typing import Any

from benchmarks import engines, kinds, record, rerankers
from embed_onnx_export.report import markdown

Results = dict[str, Any]

OWN = {engines.OURS, rerankers.OVER_HTTP}


def speed() -> str:
    """Milliseconds and candidates a second, an engine a row, in Markdown."""
    file = record.read("rerank")
    results = file["results"]
    cells = results["candidates"]
    head = [
        "",
        *(f"{int(candidates):,} candidates: ms, a second" for candidates in cells),
        "ranks as PyTorch's",
    ]
    rows = (
        [name, *(_figures(cell["engines"][name]) for cell in cells.values()), f"{agreement:.3f}"]
        for name, agreement in results["spearman"].items()
    )
    closest = "; ".join(
        f"{int(candidates):,} candidates: {_times(cell['engines'])}" for candidates, cell in cells.items()
    )
    times = f"Times as long as ours in process: {closest}."
    where = f"`{file['command']}`, in turns, on {record.machine_and_instructions(file)}"
    return f"{markdown.table(head, rows)}\n\n{times} Medians; {where}."


def _figures(row: Results) -> str:
    ms, rate = row["ms"][1], row["candidates_per_second"][1]
    return f"{ms:,.1f}, {rate:,.0f}"


def _times(rows: Results) -> str:
    """PyTorch and the fastest other engine, by the time that ours takes."""
    ratios = {name: row["ratio"][1] for name, row in rows.items() if name not in OWN}
    best = min(ratios, key=lambda name: ratios[name])
    return f"{engines.PYTORCH} {ratios[engines.PYTORCH]:.1f}, {best} {ratios[best]:.1f}"


def beside() -> str:
    """Each kind of work alone and beside the others, in Markdown."""
    file = record.read("kinds")
    latency, bulk = file["results"]["latency_ms"], file["results"]["bulk, tokens/s"]
    rows: list[list[Any]] = [
        [
            kind,
            " + ".join(other for other in together if other != kind) or "nothing else",
            *_kind(kind, " + ".join(together), latency, bulk),
        ]
        for kind in (kinds.SHORT, kinds.RERANK, kinds.BULK)
        for together in kinds.TOGETHER
        if kind in together
    ]
    where = f"on {record.machine(file)}, the clients among them"
    return f"{markdown.table(['kind', 'beside', 'p50', 'p99'], rows)}\n\n`{file['command']}` {where}."


def _kind(kind: str, together: str, latency: Results, bulk: Results) -> list[str]:
    """Two cells: milliseconds, or what bulk gets done instead."""
    if kind == kinds.BULK:
        return [f"{bulk[together][kind][1]:,.0f} tokens/s", ""]
    row = latency[together][kind]
    return [f"{row['p50']:,.1f} ms", f"{row['p99']:,.1f} ms"]
