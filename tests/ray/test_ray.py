"""Real Ray clusters of two nodes on this machine: the HTTP contract through Serve, kills, and Data."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import httpx
import numpy as np
import openai
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from contract.embeddings import EmbeddingsContract
from contract.openai_client import OpenAIClientContract
from contract.refusals import BAD_BODIES, RefusalsContract
from contract.routes import RoutesContract
from harness import (
    MINILM,
    SMALL,
    START_SECONDS,
    Server,
    clean_environment,
    free_port,
    numbered,
    until,
    waiting,
)
from openai.types import CreateEmbeddingResponse
from ray.cluster_utils import Cluster
from ray_processes import SECONDS, processes, replicas, running, started

from embed_onnx import Model
from embed_onnx.ray import proxy

CORES, ACTOR_CORES = 7, 4
"""Of each node, and of an actor of Data, as Ray books them: no node has room for two such actors; each has
for one, both replicas, and what reads and writes."""
APP = "embed_onnx.ray.serve:app"
REPLICAS = 2


class Served(NamedTuple):
    """An application on Serve; the contract knows no more of a server."""

    url: str


@pytest.fixture(scope="module")
def environment() -> Iterator[dict[str, str]]:
    """The variables of all that is Ray's."""
    variables = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_AUTH_MODE": "disabled",  # it would leave a token in the home folder
        "RAY_raylet_start_wait_time_s": "120",
        "RAY_DATA_PARQUET_FOOTER_NUM_ACTORS": "1",  # 32 processes by default, which look into the files
        **dict([proxy.CALLBACK]),
    }
    with pytest.MonkeyPatch.context() as patch:
        for name, value in variables.items():
            patch.setenv(name, value)
        yield clean_environment()


@pytest.fixture(scope="module")
def cluster(environment: dict[str, str]) -> Iterator[Cluster]:
    """Two nodes."""
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": CORES, "include_dashboard": False})
    try:
        cluster.add_node(num_cpus=CORES)
        yield cluster
    finally:
        cluster.shutdown()


@pytest.fixture(scope="module")
def server(cluster: Cluster, home: Path, environment: dict[str, str]) -> Iterator[Served]:
    """Two replicas of one core, one on each node, as their users start them."""
    port = str(free_port())
    command = ["serve", "start", "--address", cluster.address, "--http-port", port]
    subprocess.run([*command, "--proxy-location", "HeadOnly"], env=environment, check=True, timeout=SECONDS)
    settings = [f"artifacts={home / 'artifacts'}", f"models={home / 'models.txt'}", f"replicas={REPLICAS}"]
    command = ["serve", "run", "--address", cluster.address, APP, *settings]
    url = f"http://127.0.0.1:{port}"
    with running(command, environment, url):
        until(lambda: len(replicas(cluster)) == REPLICAS, seconds=SECONDS)
        yield Served(url)


@pytest.fixture
def client(server: Served) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=SECONDS) as opened:
        yield opened


class TestEmbeddings(EmbeddingsContract):
    pass


class TestRoutes(RoutesContract):
    pass


class TestRefusals(RefusalsContract):
    pass


class TestOpenAIClient(OpenAIClientContract):
    pass


BODIES = [
    pytest.param(json.dumps({"input": ["one", "two and three " * 40]}).encode(), id="floats"),
    pytest.param(json.dumps({"input": ["one"], "encoding_format": "base64"}).encode(), id="base64"),
    pytest.param(json.dumps({"input": "a", "model": SMALL, "prompt_name": "query"}).encode(), id="prompt"),
    pytest.param(json.dumps({"input": "a", "model": "nope"}).encode(), id="unknown-model"),
    pytest.param(json.dumps({"input": "word " * 999, "truncate": False}).encode(), id="too-long"),
    *(pytest.param(param.values[0], id=str(param.id)) for param in BAD_BODIES),
]
CHANGING = ("date", "server", "server-timing", "x-request-id", "connection")


@pytest.mark.parametrize("body", BODIES)
def test_the_same_bytes_as_the_plain_server(client: httpx.Client, plain: httpx.Client, body: bytes) -> None:
    """Status, headers and body are those of a plain server with one thread; ids and dates differ."""
    answers = [
        request.post("/v1/embeddings", content=body, headers={"content-type": "application/json"})
        for request in (plain, client)
    ]

    expected, actual = ((answer.status_code, headers(answer), masked(answer)) for answer in answers)
    assert expected == actual


@pytest.fixture(scope="module")
def plain(home: Path) -> Iterator[httpx.Client]:
    """A client of a plain server with one thread."""
    with Server(["--threads", "1"], {}, home) as server:
        server.wait_ready()
        with httpx.Client(base_url=server.url, timeout=START_SECONDS) as opened:
            yield opened
        server.stop()


def headers(answer: httpx.Response) -> list[tuple[str, str]]:
    return sorted((name, value) for name, value in answer.headers.multi_items() if name not in CHANGING)


def masked(answer: httpx.Response) -> bytes:
    """The body without what is another one each time."""
    result, content = answer.json(), answer.content
    for name in result.keys() & {"id", "created"}:
        content = content.replace(json.dumps(result[name]).encode(), b"-")
    return content


def test_one_request_id(client: httpx.Client) -> None:
    """Neither Ray's proxy nor the app adds a second one."""
    answer = client.get("/models", headers={"x-request-id": "mine"})

    assert ["mine"] == answer.headers.get_list("x-request-id")


def test_a_replica_has_a_lane_for_each_of_its_cores(client: httpx.Client) -> None:
    assert "\nembed_onnx_lanes 1.0\n" in client.get("/metrics").text


def test_requests_for_a_model_go_where_it_is_held(client: httpx.Client) -> None:
    """With Ray's header, all come to the replica that had the first of them: one each for two models."""

    def answering(names: Iterable[str]) -> set[str]:
        """When the processes were started that answer requests with these names."""
        request = [{"serve-multiplexed-model-id": name} for name in names]
        pages = [client.get("/metrics", headers=named).text for named in request]
        return {re.search(r"^process_start_time_seconds .*$", page, re.MULTILINE)[0] for page in pages}

    unknown = map("unknown-{}".format, itertools.count())
    first = answering([SMALL])

    def unknown_names_reach_the_other() -> bool:
        """Ray's proxy sends an unknown name to the replica of fewest models, once it knows the first."""
        others = answering(itertools.islice(unknown, 30))
        return len(others) == 1 and others != first

    until(unknown_names_reach_the_other, seconds=SECONDS)
    second = answering([MINILM] * 30)

    assert [1, 1] == [len(first), len(second)]
    assert first != second
    assert first == answering([SMALL] * 30)


def test_a_header_that_names_no_model(client: httpx.Client) -> None:
    """It changes nothing: the body says which model is asked for."""
    named = {"serve-multiplexed-model-id": "nope"}

    answer = client.post("/v1/embeddings", headers=named, json={"model": MINILM, "input": "a"})

    assert 200 == answer.status_code


def vectors_of(answer: CreateEmbeddingResponse) -> np.ndarray:
    """Float32 [texts, dimensions]."""
    return np.array([vector.embedding for vector in answer.data], np.float32)


def test_a_killed_replica_loses_no_request(cluster: Cluster, server: Served, minilm: Model) -> None:
    """Under load, with a client's default retries, every request has its answer; a new replica comes."""
    texts = numbered("a text that takes its time " * 8, 16)
    expected = minilm.encode(texts)
    wrong: list[object] = []
    refused: list[tuple[int, str]] = []
    answered = [0] * 4
    over = threading.Event()

    def note(answer: httpx.Response) -> None:
        if answer.status_code != 200:
            refused.append((answer.status_code, json.loads(answer.read())["error"]["message"]))

    def ask(place: int) -> None:
        http = httpx.Client(event_hooks={"response": [note]}, timeout=SECONDS)
        with openai.OpenAI(base_url=f"{server.url}/v1", api_key="unused", http_client=http) as client:
            while not over.is_set():
                try:
                    answer = client.embeddings.create(model=MINILM, input=texts)
                    if not np.array_equal(expected, vectors_of(answer)):
                        wrong.append("another vector")
                except openai.OpenAIError as err:
                    wrong.append(err)
                answered[place] += 1

    asking = [threading.Thread(target=ask, args=[place], daemon=True) for place in range(len(answered))]
    for thread in asking:
        thread.start()
    try:
        until(lambda: min(answered) >= 2, seconds=SECONDS)
        before = replicas(cluster)
        os.kill(before[0], signal.SIGKILL)
        then = list(answered)
        until(lambda: min(np.subtract(answered, then)) >= 5, seconds=SECONDS)
        until(lambda: len(set(replicas(cluster)) - set(before)) == 1, seconds=SECONDS)
    finally:
        over.set()
        for thread in asking:
            thread.join(SECONDS)

    assert REPLICAS == len(before)
    assert [] == wrong
    assert {(503, proxy.LOST)} == set(refused)


@pytest.fixture
def prefixed(cluster: Cluster, server: Served, home: Path, environment: dict[str, str]) -> Iterator[Served]:
    """Another application beside the first, with an API key, of one replica."""
    place = ["--address", cluster.address, "--name", "prefixed", "--route-prefix", "/prefixed"]
    settings = [f"artifacts={home / 'artifacts'}", f"models={home / 'models.txt'}", "api_keys=sesame"]
    settings += [f"drain_timeout={SECONDS}"]
    url = f"{server.url}/prefixed"
    with running(["serve", "run", *place, APP, *settings], environment, url):
        yield Served(url)


DELETE = """
import pathlib, sys, ray
from ray import serve
ray.init(sys.argv[1], log_to_driver=False)
serve.status()
pathlib.Path(sys.argv[2]).touch()
sys.stdin.readline()
serve.delete("prefixed")
"""
"""To start and to connect takes longer than what is to be in progress; so it waits for a line then."""


def test_a_prefix_keys_and_the_end(
    prefixed: Served, cluster: Cluster, minilm: Model, environment: dict[str, str], tmp_path: Path
) -> None:
    """Keys are asked for under a prefix; what was accepted is finished when the application is deleted."""
    texts = numbered("a text that takes its time " * 8, 128)
    expected = minilm.encode(texts)
    actual: list[object] = []
    connected = tmp_path / "connected"
    command = [sys.executable, "-c", DELETE, cluster.address, str(connected)]

    def ask(client: openai.OpenAI) -> None:
        try:
            answer = client.embeddings.create(model=MINILM, input=texts)
            actual.append(np.array_equal(expected, vectors_of(answer)))
        except openai.OpenAIError as err:
            actual.append(err)

    with (
        openai.OpenAI(base_url=f"{prefixed.url}/v1", api_key="sesame", max_retries=0) as client,
        openai.OpenAI(base_url=f"{prefixed.url}/v1", api_key="wrong", max_retries=0) as stranger,
    ):
        with pytest.raises(openai.AuthenticationError, match="API key"):
            stranger.embeddings.create(model=MINILM, input="a")
        asking = [threading.Thread(target=ask, args=[client], daemon=True) for _ in range(4)]
        with started(command, environment, stdin=subprocess.PIPE) as deleter:
            until(lambda: deleter.poll() is not None or connected.exists(), seconds=SECONDS)
            for thread in asking:
                thread.start()
            until(lambda: waiting(prefixed.url) > 3 * len(texts), seconds=SECONDS)
            before = list(actual)
            deleter.communicate("delete\n", timeout=SECONDS)
        for thread in asking:
            thread.join(SECONDS)

    assert 0 == deleter.returncode
    assert [] == before
    assert [True] * 4 == actual


ROWS = 4000
EMBED = """
from embed_onnx.ray.data import embed_parquet

choice = {{"artifact": {artifact!r}, "dimensions": 64, "block_rows": 100}}
embed_parquet({source!r}, {target!r}, actors=2, cores={cores}, **choice)
"""


def test_a_node_is_lost_during_a_data_job(
    cluster: Cluster, artifacts: Path, minilm: Model, tmp_path: Path, environment: dict[str, str]
) -> None:
    """The job finishes; every row is there once, with its own vector, or null where it has no text."""
    source, target = tmp_path / "texts", tmp_path / "vectors"
    none = {0: None, 50: ""}
    texts = [none.get(number % 100, f"row {number} of many") for number in range(ROWS)]
    source.mkdir()
    for first in range(0, ROWS, ROWS // 4):
        quarter = slice(first, first + ROWS // 4)
        table = pa.table({"id": range(ROWS)[quarter], "text": pa.array(texts[quarter], pa.string())})
        pq.write_table(table, source / f"{first}.parquet")
    (lost,) = cluster.worker_nodes
    paths = {"source": str(source), "target": str(target), "artifact": str(artifacts / MINILM)}
    code = EMBED.format(**paths, cores=ACTOR_CORES)
    connected = environment | {"RAY_ADDRESS": cluster.address}

    with started([sys.executable, "-c", code], connected) as job:
        until(lambda: job.poll() is not None or list(target.glob("*.parquet")), seconds=SECONDS)
        working = job.poll() is None and processes(lost, "ray::MapWorker")
        cluster.remove_node(lost, allow_graceful=False)
        assert 0 == job.wait(SECONDS)

    actual = pq.read_table(target).sort_by("id")
    assert working
    assert list(range(ROWS)) == actual["id"].to_pylist()
    assert texts == actual["text"].to_pylist()
    there = [text for text in texts if text]
    vectors = actual["embedding"].drop_null().combine_chunks().flatten().to_numpy().reshape(-1, 64)
    assert np.array_equal(minilm.encode(there, dimensions=64), vectors)
    assert [not text for text in texts] == actual["embedding"].is_null().to_pylist()
