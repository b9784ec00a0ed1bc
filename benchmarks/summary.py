"""The few figures that the others explain, a line each; drawn from every results file."""

from typing import Any

from benchmarks import peers, servers
from benchmarks.engines import AVX2, FUSED, ONNX, OPENVINO, OURS, PYTORCH
from benchmarks.load import BULK, DURING, IDLE, IN_PROCESS
from benchmarks.speed import MIXED

Results = dict[str, Any]


def lines(speed: Results, load: Results, quality: Results, server: Results) -> list[tuple[str, str]]:
    """What was measured, and the figure."""
    small, base = (speed["models"][model]["cells"] for model in (peers.SMALL, peers.BASE))
    return [
        *_mixed(small[MIXED]["engines"]),
        *_shapes(small, base),
        *_http(load["latency_ms"], load["rate"]),
        *_quality(quality),
        *server.items(),
    ]


def _mixed(engines: Results) -> list[tuple[str, str]]:
    what = "mixed lengths, in process: times as fast as"
    return [(f"{what} {name}", _ratio(engines, name)) for name in _peers(engines)]


def _shapes(small: Results, base: Results) -> list[tuple[str, str]]:
    alone, batch = small["1x8"]["engines"], small["16x64"]["engines"]
    graph = _best(alone, ONNX, FUSED)
    share = small["16x64"]["int8_share"]
    rows = [
        ("one text of 8 tokens, in process, p50", f"{alone[OURS]['ms'][1]:.2f} ms"),
        (f"one text of 8 tokens: times as fast as {PYTORCH}", _ratio(alone, PYTORCH)),
        (f"one text of 8 tokens: times as fast as {graph}", _ratio(alone, graph)),
        ("16x64: share of the measured int8 peak", "not measured" if share is None else f"{share[1]:.0%}"),
        *(
            (f"16x64 of mpnet-base's size: times as fast as {name}", _ratio(base["16x64"]["engines"], name))
            for name in _peers(base["16x64"]["engines"])
        ),
    ]
    if AVX2 in batch:
        rows.append(("16x64: AVX2 kernel", f"{batch[AVX2]['tokens_per_second'][1]:,.0f} tokens/s"))
    return rows


def _http(latency: Results, rate: Results) -> list[tuple[str, str]]:
    idle, during = latency[IDLE], latency[DURING]
    ours, in_process = rate[BULK][servers.OURS][1], rate[BULK][IN_PROCESS + OURS][1]
    pytorch = idle[IN_PROCESS + PYTORCH]["p50"]
    return [
        (
            "one short text over HTTP, idle, p50",
            f"{idle[servers.OURS]['p50']:.1f} ms; PyTorch in process {pytorch:.1f} ms",
        ),
        ("lists of 64 over HTTP, two connections", f"{ours:,.0f} tokens/s; in process {in_process:,.0f}"),
        *(
            (
                f"p99 of one short text during bulk, {name}",
                f"{during[name]['p99']:,.1f} ms; idle {idle[name]['p99']:,.1f} ms",
            )
            for name in during
        ),
    ]


def _quality(quality: Results) -> list[tuple[str, str]]:
    size = quality["megabytes"]
    return [
        ("model file", f"{size['int8']} MB; float32 {size['float32']} MB"),
    ] + [
        (
            f"STS {name}: Spearman; cosine to float32",
            f"{rows[OURS]['spearman']}, float32 {rows[PYTORCH]['spearman']}; "
            f"{rows[OURS]['cosine']['mean']:.4f} on average, {rows[OURS]['cosine']['min']:.4f} at the least",
        )
        for name, rows in quality["sts"].items()
    ]


def _peers(engines: Results) -> tuple[str, ...]:
    return PYTORCH, _best(engines, ONNX), FUSED, OPENVINO


def _best(engines: Results, *starts: str) -> str:
    """The fastest of the engines whose names start so."""
    return min((name for name in engines if name.startswith(starts)), key=lambda name: engines[name]["ms"][1])


def _ratio(engines: Results, name: str) -> str:
    low, median, high = engines[name]["ratio"]
    return f"{median:.1f} ({low:.1f} to {high:.1f})"
