"""Processes of a Ray cluster: what is started for it, and what its nodes run."""

import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from harness import WEB, until
from ray.cluster_utils import Cluster

SECONDS = 300
"""A hang is a failure: far more than Ray takes for anything here, on a busy machine too."""


@contextlib.contextmanager
def started(command: list[str], environment: dict[str, str], **pipes: Any) -> Iterator[subprocess.Popen[str]]:
    """A process that does not outlive what needs it, nor keep a failure waiting."""
    with subprocess.Popen(command, env=environment, text=True, **pipes) as process:
        try:
            yield process
        finally:
            process.kill()


@contextlib.contextmanager
def running(command: list[str], environment: dict[str, str], url: str) -> Iterator[None]:
    """An application of ``serve run`` that is ready."""
    with started(command, environment) as process:
        until(
            lambda: process.poll() is not None or WEB.get(f"{url}/ready").status_code == 200, seconds=SECONDS
        )
        assert process.poll() is None
        yield
        process.terminate()
        process.wait(SECONDS)


def processes(node: Any, title: str) -> list[int]:
    """Ids of the processes of a node whose title begins so."""
    (raylet,) = node.all_processes["raylet"]
    result = []
    for status in Path("/proc").glob("[0-9]*/status"):
        try:
            parent = status.read_text().split("PPid:")[1].split()[0]
            named = (status.parent / "cmdline").read_bytes().startswith(title.encode())
        except OSError:  # it has ended
            continue
        if named and int(parent) == raylet.process.pid:
            result.append(int(status.parent.name))
    return result


def replicas(cluster: Cluster) -> list[int]:
    """The process ids of the replicas."""
    nodes = (cluster.head_node, *cluster.worker_nodes)
    return [pid for node in nodes for pid in processes(node, "ray::ServeReplica:default:embed-onnx")]
