"""A reranker over HTTP: a server's process, and a client with one connection.

The server is of this process's group, with which it is stopped while others are measured.
"""

import atexit
import http.client
import json
import subprocess
import time

import numpy as np
import protocol

from benchmarks import peers
from benchmarks.servers import Client, free_port

POLL = 0.1
"""Seconds between attempts to reach a server that starts."""


def load(command: list[str], model: str) -> protocol.Encode:
    """A command that takes ``--port``, and the name of the model that it serves at ``/v1/rerank``."""
    client = Client(free_port())
    with (peers.HOME / "server.log").open("a") as log:
        server = subprocess.Popen([*command, "--port", str(client.port)], stdout=log, stderr=log)
    atexit.register(server.terminate)

    def rank(texts: list[str]) -> np.ndarray:
        query, *documents = texts
        body = {"model": model, "query": query, "documents": documents}
        answer, content = client.post("/v1/rerank", body)
        if answer.status != 200:
            raise http.client.HTTPException(f"{answer.status}: {content[:200]!r}")
        scores = np.empty(len(documents), np.float32)
        for result in json.loads(content)["results"]:
            scores[result["index"]] = result["relevance_score"]
        return scores

    while True:
        try:
            rank(["ready?", "ready"])
        except (OSError, http.client.HTTPException):
            if server.poll() is not None:
                raise RuntimeError(f"{command} ended; see {log.name}") from None
            time.sleep(POLL)
        else:
            return rank


if __name__ == "__main__":
    protocol.serve(load, ["numpy"])
