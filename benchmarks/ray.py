"""Two replicas of one core each on Ray Serve against one plain server of two, in the same run.

    python -m benchmarks.ray [--texts FILE ...] [--rounds N] [--seconds S]

``python -m benchmarks.peers`` must have run before. They are measured in turns, round after round. The
plain server is stopped while Ray is measured. Ray cannot be stopped: what it does while it idles is in the
plain server's figures.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from benchmarks import load, peers, record, stats, texts
from benchmarks.load import Figures
from benchmarks.servers import OURS, Server, free_port
from benchmarks.traffic import Pool, closed

PLAIN, RAY = "embed-onnx, 2 threads", "Ray Serve, 2 replicas of 1 core"
IDLE, CONNECTIONS = "one short text, idle", 16
SINGLES, LISTS = "single texts, requests/s", "lists of 64, tokens/s"
REPLICAS = 2
SERVE = str(Path(sys.executable).parent / "serve")
VARIABLES = os.environ | {"RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "disabled"}
ENDING_SECONDS = 60


class RayServer(Server):
    """The app on a Ray of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        artifacts = peers.artifact(peers.SMALL).parent
        config = {
            "proxy_location": "HeadOnly",
            "http_options": {"host": "127.0.0.1", "port": self.port},
            "applications": [
                {
                    "import_path": "embed_onnx.ray.serve:app",
                    "args": {
                        "artifacts": str(artifacts),
                        "models": str(artifacts / "none.txt"),
                        "replicas": REPLICAS,
                    },
                }
            ],
        }
        with tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False) as file:
            json.dump(config, file)  # which is YAML
        self._config = Path(file.name)
        self._log = (peers.HOME / "ray.log").open("w")
        self.process = subprocess.Popen(
            [SERVE, "run", file.name],
            env=VARIABLES,
            stdout=self._log,
            stderr=self._log,
        )
        self.wait_for_answer()
        while f"RUNNING: {REPLICAS}" not in self._status():
            time.sleep(1)

    def _status(self) -> str:
        command = [SERVE, "status"]
        return subprocess.run(command, env=VARIABLES, capture_output=True, text=True, check=True).stdout

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(ENDING_SECONDS)
        self._log.close()
        self._config.unlink()


def main() -> None:
    """Measure, and write results/ray.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--texts", type=Path, nargs="*", default=[])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of a phase")
    arguments = parser.parse_args()

    pool = Pool(texts.mixed(arguments.texts, 2000))
    latencies: Figures = defaultdict(lambda: defaultdict(list))
    rates: Figures = defaultdict(lambda: defaultdict(list))
    with RayServer() as on_ray, Server(OURS, "--threads", "2") as plain:
        plain.sleep()
        for _ in range(arguments.rounds):
            _measure(RAY, on_ray, pool, arguments.seconds, latencies, rates)
            with plain.awake():
                _measure(PLAIN, plain, pool, arguments.seconds, latencies, rates)
    results = {
        "latency_ms": load.summary(latencies, stats.latencies),
        "rate": load.summary(rates, stats.quartiles),
    }
    load.show(results)
    record.write("ray", {"rounds": arguments.rounds, "seconds": arguments.seconds} | results)


def _measure(
    name: str, server: Server, pool: Pool, seconds: float, latencies: Figures, rates: Figures
) -> None:
    """Every phase once."""
    latencies[IDLE][name].append(server.send(closed(pool.short(), seconds), 1))
    started = time.perf_counter()
    taken = server.send(closed(pool.singles(), seconds), CONNECTIONS)
    rates[SINGLES][name].append(len(taken) / (time.perf_counter() - started))
    rates[LISTS][name].append(load.bulk(server, pool, seconds))


if __name__ == "__main__":
    main()
