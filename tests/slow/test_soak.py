"""What shows only after a while: a plateau of memory, and nothing lost under overload.

``SOAK_SECONDS`` says how long each takes: seconds here, minutes in ``make soak``.
"""

import asyncio
import os
import random
import time
from collections import Counter
from collections.abc import Callable

import httpx
import pytest
from harness import START_SECONDS, Server, metrics

from benchmarks.servers import resident_mb

pytestmark = pytest.mark.soak

SECONDS = float(os.environ.get("SOAK_SECONDS", "6"))
WORDS = ["river", "stone", "bread", "window", "quiet", "yellow", "seven", "under", "letter", "garden"]


def mixed(rng: random.Random) -> list[str]:
    """Between 1 and 16 texts of 1 to 300 words; most are short, some are cut."""
    sizes = [int(rng.paretovariate(0.8)) for _ in range(rng.choice([1, 1, 1, 4, 16]))]
    return [" ".join(rng.choices(WORDS, k=min(size, 300))) for size in sizes]


def test_memory_reaches_a_plateau(serve: Callable[..., Server]) -> None:
    """The second half of the time needs no more than the first did, but for a little."""
    server = serve()
    memory: list[float] = []

    async def connection(seed: int, client: httpx.AsyncClient, end: float) -> None:
        rng = random.Random(seed)
        while time.monotonic() < end:
            answer = await client.post("/v1/embeddings", json={"input": mixed(rng)})
            assert answer.status_code == 200
            memory.append(resident_mb(server.process.pid))

    async def run() -> None:
        end = time.monotonic() + SECONDS
        async with httpx.AsyncClient(base_url=server.url, timeout=START_SECONDS) as client:
            await asyncio.gather(*(connection(seed, client, end) for seed in range(8)))

    asyncio.run(run())

    half = len(memory) // 2
    assert half > 10
    assert max(memory[half:]) <= max(memory[:half]) + 15


def test_overload_loses_nothing(serve: Callable[..., Server]) -> None:
    """Far more than the server can do: each request is answered, by vectors or by a 429 that says when."""
    server = serve("--queue-tokens", "20000")
    answers: Counter[int] = Counter()
    health: list[int] = []

    async def connection(seed: int, client: httpx.AsyncClient, end: float) -> None:
        rng = random.Random(seed)
        while time.monotonic() < end:
            value = [" ".join(rng.choices(WORDS, k=60)) for _ in range(32)]
            answer = await client.post("/v1/embeddings", json={"input": value, "encoding_format": "base64"})
            answers[answer.status_code] += 1
            if answer.status_code == 429:
                assert int(answer.headers["retry-after"]) >= 1
                await asyncio.sleep(0.1)  # a tenth of the least Retry-After
            else:
                assert len(answer.json()["data"]) == 32

    async def watch(client: httpx.AsyncClient, end: float) -> None:
        while time.monotonic() < end:
            health.append((await client.get("/health")).status_code)
            await asyncio.sleep(0.2)

    async def run() -> None:
        end = time.monotonic() + SECONDS
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(base_url=server.url, timeout=START_SECONDS, limits=limits) as client:
            await asyncio.gather(watch(client, end), *(connection(seed, client, end) for seed in range(48)))

    asyncio.run(run())

    assert {200, 429} == set(answers)
    assert answers[429] > answers[200]
    assert {200} == set(health)
    assert "embed_onnx_queue_tokens 0.0" in metrics(server.url)
    assert resident_mb(server.process.pid) < 400
    assert "Traceback" not in server.stop()
    assert 0 == server.process.returncode
