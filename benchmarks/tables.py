"""The figures of the README and of the docs, and the chart, made from the results files.

python -m benchmarks.tables          # write all of them
python -m benchmarks.tables --check  # exit with 1 if they say something else
"""

import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from benchmarks import (
    chart,
    export_tables,
    peers,
    record,
    rerank_tables,
    scaling_tables,
    sparse_tables,
    speed_tables,
    summary,
    text_tables,
    token_tables,
)
from benchmarks.engines import OURS
from benchmarks.load import DURING
from benchmarks.speed import MIXED
from embed_onnx_export.report import markdown

ROOT = Path(__file__).parent.parent
README, DOCS = ROOT / "README.md", ROOT / "docs"
CHART = record.RESULTS / "speed.svg"
NAMES = ("speed", "load", "quality", "server")
BITS = "bits"

Results = dict[str, Any]


def main() -> None:
    """Write the figures and the chart, or check them."""
    files = {name: record.read(name) for name in (*NAMES, BITS)}
    results = [files[name]["results"] for name in NAMES]
    drawn = chart.svg(f"{peers.SMALL}, mixed lengths: tokens a second", _small(results[0])[MIXED])
    places = {
        README: {"figures": headline(files, results)},
        DOCS / "commands.md": {"bulk": bulk()},
        DOCS / "benchmarks.md": {
            "figures": figures(files, results),
            "calibration": calibrated(record.read("calibration")),
        },
        DOCS / "architectures.md": {
            "architectures": export_tables.architectures(record.read("architectures")),
            "forms": export_tables.forms(record.read("forms")),
            "exporters": exporters(record.read("exporters")),
            "long": long_texts(record.read("long_texts")),
            "modern": modern(record.read("modern")),
        },
        DOCS / "models.md": {"real": real(record.read("models"))},
        DOCS / "long-texts.md": {"windows": text_tables.windows()},
        DOCS / "operating.md": {"repeats": text_tables.repeats()},
        DOCS / "reliability.md": {"figures": reliability(), "fairness": fairness()},
        DOCS / "scaling.md": {
            "figures": scaling_tables.cost(),
            "memory": scaling_tables.memory(),
            "cores": scaling_tables.cores(),
        },
        DOCS / "ray.md": {"figures": on_ray()},
        DOCS / "sparse.md": {"speed": sparse_tables.speed()},
        DOCS / "token-vectors.md": {"speed": token_tables.speed()},
        DOCS / "rerank.md": {"speed": rerank_tables.speed(), "beside": rerank_tables.beside()},
    }
    pages = {path: _filled(path.read_text(encoding="utf-8"), parts) for path, parts in places.items()}
    pages[CHART] = drawn
    if "--check" in sys.argv[1:]:
        differ = [path.name for path, text in pages.items() if not _says(path, text)]
        sys.exit(f"{differ} differ from the results; run python -m benchmarks.tables" if differ else 0)
    for path, text in pages.items():
        path.write_text(text, encoding="utf-8")


def headline(files: dict[str, Results], results: list[Results]) -> str:
    """What the README says first, in Markdown."""
    speed, _, quality, server = results
    headed = {name: files[name] for name in ("speed", "quality", "server")}
    size, start = quality["megabytes"], server["seconds to the first answer, median"]
    cosine = next(iter(quality["sts"].values()))[OURS]["cosine"]
    parts = [
        speed_tables.speed(speed, speed_tables.HEADLINE),
        f"The int8 model has {size['int8']} MB (float32: {size['float32']}); its vectors have a cosine of "
        f"{cosine['mean']:.4f} to the original's on average, {cosine['min']:.4f} at the least, over the "
        "texts of STS-B dev; an export prints the same of its own texts, odd ones among them. The server "
        f"answers {start} s after its start, from {server['resident MB when ready']} MB of memory.",
        f"{_where(headed)}; {speed_tables.LEGEND}. All figures, those over HTTP among them, and the commands "
        "behind them are in [benchmarks](docs/benchmarks.md).",
    ]
    return "\n\n".join(parts)


def figures(files: dict[str, Results], results: list[Results]) -> str:
    """Everything between the markers, in Markdown."""
    speed, load, quality, _ = results
    parts = [
        markdown.table(["all-MiniLM-L6-v2", "median (first to third quartile)"], summary.lines(*results)),
        f"![Tokens a second by engine](../benchmarks/results/{CHART.name})",
        speed_tables.speed(speed, speed_tables.COLUMNS),
        speed_tables.closest(speed),
        speed_tables.avx2_only(),
        _http(load, (*load["latency_ms"], *load["rate"])),
        _quality(quality),
        _bits(files[BITS]["results"]),
        _footer(files),
    ]
    return "\n\n".join(parts)


def reliability() -> str:
    """Everything between the markers of docs/reliability.md, in Markdown."""
    files = [record.read(name) for name in ("overload", "disturbed")]
    commands = " and ".join(f"`{file['command']}`" for file in files)
    where = f"on {record.machine(files[0])}, the clients among them"
    return f"{_overload(files[0])}\n\n{_disturbed(files[1]['results'])}\n\n{commands} {where}."


def fairness() -> str:
    """Equal lists all at once, a policy a column, in Markdown."""
    file = record.read("fairness")
    results = file["results"]
    policies, requests, inputs = results["policies"], results["requests"], results["inputs"]
    rows = {
        f"{requests} lists of {inputs}: all done after": lambda row: f"{row['seconds']} s",
        "done: first, mean, p95": lambda row: _seconds(row["done, s"]),
        "the same in the order of arrival, at that throughput": lambda row: _seconds(row["ideal, s"]),
        "one short text beside them: p50, p99 ms": lambda row: _latency(row["query, ms"]),
        f"{requests} lists of {inputs // 2}: clients give up after": lambda row: (
            f"{row['gives up after, s']} s, and try twice more"
        ),
        "vectors in time: at the first try, in all": lambda row: (
            f"{row['in time at the first try']}, {row['in time']} of {requests}"
        ),
    }
    table = markdown.table(
        ["all-MiniLM-L6-v2", *policies],
        ([what, *(figure(row) for row in policies.values())] for what, figure in rows.items()),
    )
    where = f"on {record.machine(file)}, the clients among them"
    before = "; before, equal lists took turns" if "before" in policies else ""
    return f"{table}\n\n`{file['command']}` {where}{before}."


def _seconds(row: Results) -> str:
    return f"{row['first']}, {row['mean']}, {row['p95']} s"


def exporters(file: Results) -> str:
    """The exporters, and how they were measured, in Markdown."""
    return f"{export_tables.exporters(file)}\n\n`{file['command']}`, in turns, on {record.machine(file)}."


def real(file: Results) -> str:
    """Real models, and how they were measured, in Markdown."""
    where = f"in turns, on {record.machine_and_instructions(file)}"
    return f"{export_tables.models(file)}\n\n`{file['command']}`, {where}."


def calibrated(file: Results) -> str:
    """The ways of making int8, and how they were measured, in Markdown."""
    return f"{export_tables.calibration(file)}\n\n`{file['command']}` on {record.machine(file)}."


def long_texts(file: Results) -> str:
    """A length and an engine a row, in Markdown."""
    head = ["tokens", "engine", "CPU seconds", "MB at the most", "of them beyond a short text"]
    rows = [
        [
            f"{int(tokens):,}",
            engine,
            f"{row['cpu']:.1f}",
            f"{row['most MB']:,.0f}",
            f"{row['most MB'] - row['short MB']:,.0f}",
        ]
        for tokens, engines in file["results"]["tokens"].items()
        for engine, row in engines.items()
    ]
    where = f"on one of {record.machine(file)}, others using it at the same time"
    return f"{markdown.table(head, rows)}\n\n{file['results']['model']}; `{file['command']}` {where}."


def modern(file: Results) -> str:
    """A model and an engine a row, in Markdown."""
    models = file["results"]["milliseconds"]
    cells = list(next(iter(next(iter(models.values())).values())))
    rows = [
        [model, engine, *(f"{row[cell][1]:,.4g}" for cell in cells)]
        for model, engines in models.items()
        for engine, row in engines.items()
    ]
    table = markdown.table(["model", "engine", *(f"{cell}, ms" for cell in cells)], rows)
    return (
        f"{table}\n\nRandom weights, medians, texts x tokens; `{file['command']}` on {record.machine(file)}."
    )


def bulk() -> str:
    """What embedding files takes, in Markdown."""
    short, large = record.read("bulk"), record.read("resume")
    speed, ratio = short["results"]["tokens_per_second"], short["results"]["ratio"]
    rows: list[list[Any]] = [["in process, lists of 128", f"{speed['in process'][1]:,.0f} tokens/s"]]
    rows += [
        [f"to {kind}", f"{speed[kind][1]:,.0f} tokens/s, round by round {ratio[kind][1]:.0%} of that"]
        for kind in ratio
    ]
    runs = large["results"]
    straight, killed, resumed = (runs[name] for name in ("in one go", "killed", "resumed"))
    memory = max(run["most MB"] for run in (straight, killed, resumed))
    both = f"{killed['seconds']:.0f} s and {resumed['seconds']:.0f} s to the same rows and vectors"
    rows += [
        [
            f"{runs['rows']:,} rows of Parquet",
            f"{straight['rows/s']:,.0f} rows/s, {memory:,} MB at the most",
        ],
        ["the same, and with `kill -9` on the way", f"{straight['seconds']:.0f} s; {both}"],
    ]
    where = f"on {record.machine(short)}"
    table = markdown.table(["`embed-onnx embed`, all-MiniLM-L6-v2", "median"], rows)
    return f"{table}\n\n`{short['command']}` and `{large['command']}` {where}."


def on_ray() -> str:
    """Ray Serve beside a plain server, in Markdown."""
    file = record.read("ray")
    latency, rate = file["results"]["latency_ms"], file["results"]["rate"]
    servers = list(next(iter(rate.values())))
    rows = [
        [f"{what}: p50, p99 ms", *(_latency(row[server]) for server in servers)]
        for what, row in latency.items()
    ] + [
        [
            what,
            *(
                f"{row[server][1]:,.0f} ({row[server][0]:,.0f} to {row[server][2]:,.0f})"
                for server in servers
            ),
        ]
        for what, row in rate.items()
    ]
    where = f"on {record.machine(file)}, the client among them"
    return f"{markdown.table(['all-MiniLM-L6-v2', *servers], rows)}\n\n`{file['command']}` {where}."


def _disturbed(results: Results) -> str:
    """What a client of even rate sees of other things."""
    rows = [[what, _latency(row), row["requests"]] for what, row in results["latency_ms"].items()]
    return markdown.table(
        [f"{results['rate']:g} single texts a second, and", "p50, p99 ms", "answers, all of them 200"], rows
    )


def _overload(file: Results) -> str:
    """What ten times the capacity did."""
    results = file["results"]
    capacity, memory, health = results["capacity"], results["resident MB"], results["/health, ms"]
    rows = {
        "capacity, in a closed loop": (
            f"{capacity['requests/s']} requests/s, {capacity['tokens/s']:,.0f} tokens/s"
        ),
        "offered": f"{results['offered, requests/s']:g} requests/s for {results['seconds']:g} s",
        "answers": ", ".join(
            f"{count:,} x {status}" for status, count in results["answers by status"].items()
        ),
        "tokens answered, of the capacity": f"{results['tokens/s answered, of capacity']:.0%}",
        "`/health`: p50, p99, most": f"{health['p50']}, {health['p99']}, {health['max']} ms",
        "resident memory before, at most, after": "{before}, {most}, {after} MB".format(**memory),
        "`Retry-After` of the last 429, and when the queue was empty": (
            f"{results['Retry-After of the last 429, s']} s, {results['seconds until the queue was empty']} s"
        ),
    }
    return markdown.table(["all-MiniLM-L6-v2", ""], rows.items())


def _http(load: Results, phases: Collection[str]) -> str:
    """A phase a row, a server a column."""
    latency, rate = load["latency_ms"], load["rate"]
    servers = list(latency[DURING])
    rows = [
        [f"{phase}: p50, p99 ms", *(_latency(row[name]) for name in servers)]
        for phase, row in latency.items()
        if phase in phases
    ]
    rows += [
        [phase, *(f"{row[name][1]:,.0f}" for name in servers)]
        for phase, row in rate.items()
        if phase in phases
    ]
    return markdown.table(["over HTTP", *servers], rows)


def _latency(row: Results) -> str:
    return f"{row['p50']:,.1f}, {row['p99']:,.1f}"


def _quality(quality: Results) -> str:
    kinds = {"sts": ["Spearman", "cosine mean, min", "alone as in a list"], "retrieval": ["nDCG@10"]}
    files = {name: (kind, rows) for kind in kinds for name, rows in quality[kind].items()}
    head = [f"{name}: {column}" for name, (kind, _) in files.items() for column in kinds[kind]]
    engines = dict.fromkeys(engine for _, rows in files.values() for engine in rows)
    lines = [
        [engine, *(cell for _, rows in files.values() for cell in _scores(rows[engine]))]
        for engine in engines
    ]
    return markdown.table(["quality", *head], lines)


def _bits(rows: Results) -> str:
    """A way of quantising a row; what it gives by standard operators, and by kernels."""
    engines = dict.fromkeys(engine for row in rows.values() for engine in row)
    head = [f"{engine}: {column}" for engine in engines for column in ("Spearman", "cosine mean, min")]
    lines = [
        [way, *(cell for engine in engines for cell in _both(row.get(engine)))] for way, row in rows.items()
    ]
    return markdown.table(["bits", *head], lines)


def _both(row: Results | None) -> list[str]:
    return ["", ""] if row is None else _scores(row)[:2]


def _scores(row: Results) -> list[str]:
    if "ndcg@10" in row:
        return [f"{row['ndcg@10']:.4f}"]
    cosine, alone = row["cosine"], row["alone"]
    same = "equal" if alone["equal"] else f"cosine {alone['min']:.5f} at the least"
    return [f"{row['spearman']:.2f}", f"{cosine['mean']:.4f}, {cosine['min']:.4f}", same]


def _footer(files: dict[str, Results]) -> str:
    commands = ", ".join(f"`{files[name]['command']}`" for name in files)
    return (
        f"{_where(files)}. The first table draws on the others; each of those is of one run, in turns; "
        f"{speed_tables.LEGEND}. Engines have the best settings that their documentation and trials gave "
        "(`benchmarks/workers`), servers those of their documentation (`benchmarks/servers.py`); commits, "
        f"versions and spreads are in `benchmarks/results`, made by {commands}."
    )


def _where(files: dict[str, Results]) -> str:
    """The machine of the files; where they are of several, which are of which."""
    machines: dict[str, list[str]] = {}
    for name, file in files.items():
        machines.setdefault(record.machine_and_instructions(file), []).append(name)
    if len(machines) == 1:
        return f"Medians on {next(iter(machines))}"
    return "Medians on " + " and ".join(f"{machine} for {', '.join(of)}" for machine, of in machines.items())


def _small(speed: Results) -> Results:
    cells: Results = speed["models"][peers.SMALL]["cells"]
    return cells


def _filled(text: str, parts: dict[str, str]) -> str:
    """A text with new parts between ``<!-- name -->`` and ``<!-- /name -->``."""
    for name, new in parts.items():
        start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = text.partition(start)
        text = f"{before}{start}\n{new}\n{end}{rest.partition(end)[2]}"
    return text


def _says(path: Path, text: str) -> bool:
    return path.exists() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    main()
