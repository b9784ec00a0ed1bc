"""Three kinds of work on one server, each alone and beside the others: short texts, reranks, and bulk.

    python -m benchmarks.kinds [--rounds N] [--seconds S]

``python -m benchmarks.peers`` must have run before, with a checkpoint of ``benchmarks.train_reranker``.
Single short texts come at an even rate, and a latency counts from when one was due. Reranks of 100 documents
come back to back over one connection, lists of 512 texts over two. What bulk gets done is counted in tokens
as lanes compute them, not in whole lists. The clients are on the same cores.
"""

import argparse
import contextlib
import functools
import http.client
import itertools
import json
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from benchmarks import gate, load, peers, record, stats, texts
from benchmarks.servers import OURS, Client, Server
from benchmarks.traffic import Pool, at_rate

QUERIES_A_SECOND = 20
QUERY_CONNECTIONS = 16
QUERY_TOKENS = 8
CANDIDATES = 100
BULK_TEXTS = 512
BULK_CONNECTIONS = 2
SHORT, RERANK, BULK = "a short text", "a rerank of 100", "bulk"
TOGETHER = (
    (SHORT,),
    (RERANK,),
    (BULK,),
    (SHORT, RERANK),
    (SHORT, BULK),
    (RERANK, BULK),
    (SHORT, RERANK, BULK),
)
COMPUTED = "embed_onnx_batch_next_tokens_sum"
"""The metric of all tokens that lanes computed."""

Finished = list[tuple[float, int]]
"""Seconds of each request, and its tokens if it was answered in time."""
Figures = defaultdict[str, defaultdict[str, list[Any]]]
"""By what ran together and by kind: an item a round."""


def main() -> None:
    """Measure, and write results/kinds.json."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=6, help="of each combination")
    gate.add_argument(parser)
    arguments = parser.parse_args()

    latencies: Figures = defaultdict(lambda: defaultdict(list))
    rates: Figures = defaultdict(lambda: defaultdict(list))
    with _server() as server:
        for _, kinds in itertools.product(range(arguments.rounds), TOGETHER):
            gate.wait(arguments.gate)
            finished, tokens = _run(server, kinds, arguments.seconds)
            for kind, done in finished.items():
                latencies[" + ".join(kinds)][kind].append([seconds for seconds, _ in done])
            others = sum(number for done in finished.values() for _, number in done)
            if BULK in kinds:
                rates[" + ".join(kinds)][BULK].append((tokens - others) / arguments.seconds)
    results = {
        "latency_ms": load.summary(latencies, stats.latencies),
        "bulk, tokens/s": load.summary(rates, stats.quartiles),
    }
    print(json.dumps(results, indent=2))
    record.write("kinds", {"rounds": arguments.rounds, "seconds": arguments.seconds} | results)


@contextlib.contextmanager
def _server() -> Iterator[Server]:
    """A server of the embedder and the reranker that has answered to both."""
    with tempfile.TemporaryDirectory() as home:
        for model in (peers.SMALL, peers.RERANKER):
            (Path(home) / model).symlink_to(peers.artifact(model))
        with Server(OURS, "--artifacts", home, "--models", str(Path(home) / "none")) as server:
            _rank(Client(server.port), 0)
            yield server


def _run(server: Server, kinds: tuple[str, ...], seconds: float) -> tuple[dict[str, Finished], float]:
    """Requests of some kinds for so long: those with latencies, and the tokens that lanes computed."""
    start = _computed(server)
    with ThreadPoolExecutor(len(kinds)) as threads:
        running = {kind: threads.submit(KINDS[kind], server, seconds) for kind in kinds}
        time.sleep(seconds)
        tokens = _computed(server) - start
        finished = {kind: future.result() for kind, future in running.items()}
    finished.pop(BULK, None)
    return finished, tokens


def _computed(server: Server) -> float:
    client = http.client.HTTPConnection("127.0.0.1", server.port)
    client.request("GET", "/metrics")
    page = client.getresponse().read().decode()
    client.close()
    return sum(float(line.split()[-1]) for line in page.splitlines() if line.startswith(COMPUTED))


def _shorts(server: Server, seconds: float) -> Finished:
    requests = at_rate(_pool().short(), QUERIES_A_SECOND, seconds)
    return [(taken, QUERY_TOKENS) for taken in server.send(requests, QUERY_CONNECTIONS)]


def _reranks(server: Server, seconds: float) -> Finished:
    return _back_to_back(server, _rank, 1, seconds)


def _bulk(server: Server, seconds: float) -> Finished:
    def embed(client: Client, number: int) -> int:
        inputs, tokens = next(itertools.islice(_pool().lists(BULK_TEXTS), number, None))
        _check(*client.send(inputs))
        return tokens

    return _back_to_back(server, embed, BULK_CONNECTIONS, seconds)


KINDS: dict[str, Callable[[Server, float], Finished]] = {SHORT: _shorts, RERANK: _reranks, BULK: _bulk}


def _back_to_back(
    server: Server, send: Callable[[Client, int], int], connections: int, seconds: float
) -> Finished:
    """Requests over each connection, the next when the last is answered."""
    end = time.perf_counter() + seconds

    def connection(first: int) -> Finished:
        client, done, number = Client(server.port), [], first
        while (started := time.perf_counter()) < end:
            tokens, ended = send(client, number), time.perf_counter()
            done.append((ended - started, tokens if ended < end else 0))
            number += connections
        return done

    with ThreadPoolExecutor(connections) as threads:
        return list(itertools.chain(*threads.map(connection, range(connections))))


def _rank(client: Client, number: int) -> int:
    """One rerank, with a query of its own; its tokens."""
    (query,) = texts.of_words(1, peers.QUERY_WORDS, seed=number)
    fields = {"model": peers.RERANKER, "query": query, "documents": _documents()}
    tokens: int = json.loads(_check(*client.post("/v1/rerank", fields)))["usage"]["total_tokens"]
    return tokens


def _check(answer: http.client.HTTPResponse, content: bytes) -> bytes:
    """The body of an answer, which must be one."""
    if answer.status != 200:
        raise http.client.HTTPException(f"{answer.status}: {content[:200]!r}")
    return content


@functools.cache
def _pool() -> Pool:
    return Pool(texts.mixed([], 2000))


@functools.cache
def _documents() -> list[str]:
    return texts.mixed([], CANDIDATES)


if __name__ == "__main__":
    main()
