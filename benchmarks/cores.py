"""From one core to many: one and two are measured, more are computed by a model.

    python -m benchmarks.cores [--texts FILE ...] [--rounds N] [--seconds S]

``python -m benchmarks.peers`` must have run before. A core is taken away by affinity, and in another row half
of two cores by a quota of a cgroup, where this process may make one.

The model: a lane computes a pack on its own, then waits for the interpreter, which serves one at a time. That
is a closed queue of one station, solved by mean value analysis (Reiser and Lavenberg, Journal of the ACM 27,
1980): a pack takes a core ``work`` seconds alone, ``serial`` of them in the interpreter; with n lanes, n
packs are always on the way. It knows nothing of memory: the bandwidth that the weights take is computed
beside it, as if each pack read all of them once.
"""

import argparse
import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import gate, peers, record, speed, stats, texts

QUOTA = Path("/sys/fs/cgroup/cpu/embed-onnx-benchmark")
"""A group of cgroups' first version; of the second, affinity alone is measured."""
PERIOD = 100_000
ONE, HALF, TWO = "1 core, by affinity", "1 core, by quota", "2 cores"
LANES = {ONE: 1, HALF: 1, TWO: 2}
COMPUTED = (2, 4, 8, 16, 32, 64)

Figures = dict[str, Any]


def throughput(lanes: int, work: float, serial: float) -> float:
    """Packs a second of so many lanes: mean value analysis of a closed queue.

    ``work``: seconds that a pack takes of a core in all; ``serial``: those of them in the interpreter.
    """
    waiting = 0.0
    rate = 0.0
    for customers in range(1, lanes + 1):
        response = serial * (1 + waiting)
        rate = customers / (work - serial + response)
        waiting = rate * response
    return rate


def computed(one_core: Figures, weights: int) -> list[Figures]:
    """A row a number of cores, from what one core does and the bytes of the weights."""
    pack = one_core["tokens a pack"]
    work, serial = pack / one_core["rates"][speed.MIXED], one_core["interpreter, s a pack"]
    rows = []
    for cores in COMPUTED:
        packs = throughput(cores, work, serial)
        rows.append(
            {
                "cores": cores,
                "tokens/s": stats.rounded(packs * pack),
                "of one core": stats.rounded(packs * work),
                "weights, GB/s": stats.rounded(packs * weights / 1e9),
            }
        )
    return rows


def main() -> None:
    """Measure, compute, and write results/cores.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement")
    gate.add_argument(parser)
    arguments = parser.parse_args()

    mixed = texts.mixed(arguments.texts, 200)
    rounds: dict[str, dict[str, list[Figures]]] = {model: {} for model in peers.MODELS}
    for _ in range(arguments.rounds):
        for model in peers.MODELS:
            inputs = mixed if model == peers.SMALL else mixed[: len(mixed) // 8]
            for setting in LANES:
                gate.wait(arguments.gate)
                if (figures := _measured(model, setting, inputs, arguments.seconds)) is not None:
                    rounds[model].setdefault(setting, []).append(figures)
    results = {model: _results(model, settings) for model, settings in rounds.items()}
    for model, rows in results.items():
        print(model, *rows["measured"].items(), *rows["computed"], sep="\n  ")
    record.write("cores", {"rounds": arguments.rounds, "seconds": arguments.seconds, "models": results})


def _results(model: str, settings: dict[str, list[Figures]]) -> Figures:
    medians = {setting: _median(rounds) for setting, rounds in settings.items()}
    weights = speed.macs_a_token(model)  # a byte each
    return {
        "weights, MB": stats.rounded(weights / 1e6),
        "measured": medians,
        "computed": computed(medians[ONE], weights),
    }


def _median(rounds: list[Figures]) -> Figures:
    """The figures of all rounds as one."""
    rates = {cell: _middle([one["rates"][cell] for one in rounds]) for cell in rounds[0]["rates"]}
    return {"rates": rates} | {
        name: _middle([one[name] for one in rounds]) for name in rounds[0] if name != "rates"
    }


def _middle(values: list[float]) -> float:
    return stats.rounded(float(np.median(values)))


def _measured(model: str, setting: str, inputs: list[str], seconds: float) -> Figures | None:
    """What a process of its own prints; None where there is no such setting."""
    cores = sorted(os.sched_getaffinity(0))
    if setting == HALF and not os.access(QUOTA.parent, os.W_OK):
        return None
    if setting == TWO and len(cores) < 2:
        return None
    allowed = cores[:1] if setting == ONE else cores[:2]
    with _quota() if setting == HALF else contextlib.nullcontext() as group:
        options = {
            "cores": allowed,
            "lanes": LANES[setting],
            "seconds": seconds,
            "group": group and str(group),
        }
        worker = peers.WORKERS / "on_cores.py"
        done = subprocess.run(
            [sys.executable, str(worker), str(peers.artifact(model)), json.dumps(options)],
            env=os.environ | {"PYTHONPATH": str(peers.ROOT), "OPENBLAS_NUM_THREADS": "1"},
            input="\n".join(inputs),
            stdout=subprocess.PIPE,
            text=True,
            check=True,
        )
    figures: Figures = json.loads(done.stdout)
    return figures


@contextlib.contextmanager
def _quota() -> Iterator[Path]:
    """A cgroup that may use as much time as one core has."""
    QUOTA.mkdir()
    try:
        (QUOTA / "cpu.cfs_period_us").write_text(str(PERIOD))
        (QUOTA / "cpu.cfs_quota_us").write_text(str(PERIOD))
        yield QUOTA
    finally:
        QUOTA.rmdir()


if __name__ == "__main__":
    main()
