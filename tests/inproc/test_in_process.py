"""``Model.encode`` and ``encode_async``: what callers in Python get, and what they may do meanwhile."""

import asyncio
import copy
import itertools
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import numpy as np
import pytest
from harness import MINILM, SMALL, numbered, until

from embed_onnx import Model
from embed_onnx.artifact import manifest
from embed_onnx.engine import dtypes
from embed_onnx.engine.sequence import TokenSequence
from embed_onnx.errors import InvalidRequest, SetupError, TextTooLong, Unavailable

TEXTS = ["Hello", "a second, somewhat longer text", "third"]
LONG = numbered("a sentence of about nine words, again and again. " * 30, 400)
"""Tens of seconds of work, which no test waits for."""


@pytest.mark.parametrize(
    "alone", [pytest.param("Hello", id="text"), pytest.param([2, 5, 6, 3], id="token-ids")]
)
def test_one_alone_has_one_vector(small: Model, alone: str | list[int]) -> None:
    """A text or its ids give [dimensions], a list of one [1, dimensions], with the same numbers."""
    vector = small.encode(alone)

    assert (32,) == vector.shape
    assert np.array_equal(small.encode([alone]), vector[None])


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, id=kind.__name__) for kind in (tuple, np.array, iter, dict.fromkeys)]
)
def test_whatever_holds_texts_will_do(small: Model, kind: Callable) -> None:
    assert np.array_equal(small.encode(TEXTS), small.encode(kind(TEXTS)))


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        pytest.param({"dtype": "float16"}, ((3, 32), np.float16), id="float16"),
        pytest.param({"dtype": "int8"}, ((3, 32), np.int8), id="int8"),
        pytest.param({"dtype": "uint8"}, ((3, 32), np.uint8), id="uint8"),
        pytest.param({"dtype": "binary"}, ((3, 4), np.int8), id="binary"),
        pytest.param({"dtype": "ubinary", "dimensions": 20}, ((3, 3), np.uint8), id="ubinary"),
        pytest.param({"prompt": "about: ", "dimensions": 8}, ((3, 8), np.float32), id="prompt"),
    ],
)
def test_options(small: Model, options: dict, expected: tuple) -> None:
    """Every option does the same in both forms."""
    vectors = small.encode(TEXTS, **options)
    awaited = asyncio.run(small.encode_async(TEXTS, **options))

    assert expected == (vectors.shape, vectors.dtype)
    assert np.array_equal(vectors, awaited)


def test_a_prompt_is_put_before_texts(small: Model) -> None:
    prompted = small.encode(["a text"], prompt="about: ")

    assert np.array_equal(small.encode(["about: a text"], prompt=""), prompted)


def test_queries_in_the_ranges_of_documents(small: Model) -> None:
    """A query as int8, with ranges from the documents, finds the document that it is."""
    ranges = dtypes.ranges(small.encode(TEXTS))
    documents = small.encode(TEXTS, dtype="int8", ranges=ranges)

    query = small.encode(TEXTS[1], dtype="int8", ranges=ranges)

    assert np.array_equal(documents[1], query)


@pytest.mark.parametrize("options", [{}, {"dimensions": 7}, {"normalize": False}])
def test_the_ranges_of_the_artifact(small: Model, options: dict) -> None:
    """One vector alone is what it is among others, and within a step of float32."""
    ranges = small.ranges(**options)
    vectors = small.encode(TEXTS, **options)

    stored = small.encode(TEXTS, dtype="int8", ranges=ranges, **options)

    step = (ranges[1] - ranges[0]) / 255
    assert np.array_equal(stored[1], small.encode(TEXTS[1], dtype="int8", ranges=ranges, **options))
    inside = np.abs(stored) < 127
    assert inside.mean() > 0.9
    assert np.all(np.abs(stored * step - vectors)[inside] < 0.51 * step[0])


def test_an_artifact_without_ranges(copied: Path) -> None:
    """One of an older version: all else works."""
    folder = copied / "artifacts" / SMALL
    (folder / manifest.RANGES).unlink()
    described = manifest.read(folder)
    hashes = {name: digest for name, digest in described.sha256.items() if name != manifest.RANGES}
    manifest.write(msgspec.structs.replace(described, sha256=hashes), folder)

    with Model.load(folder) as model:
        assert (3, 32) == model.encode(TEXTS, dtype="int8").shape
        with pytest.raises(InvalidRequest, match=r"has no ranges for int8 and uint8.*export it again"):
            model.ranges()


@pytest.mark.parametrize(
    ("inputs", "options", "sentence"),
    [
        pytest.param(None, {}, "inputs is None; give a text", id="nothing"),
        pytest.param(b"bytes", {}, "inputs is b'bytes'", id="bytes"),
        pytest.param([None], {}, "input[0] is of type NoneType", id="nothing-in-a-list"),
        pytest.param(["x", 3], {}, "input[1] is of type int", id="ids-among-texts"),
        pytest.param([["x"]], {}, "input[0] is of type list", id="list-of-lists-of-texts"),
        pytest.param("half \ud83d", {}, "input[0] is not valid Unicode: character 5 is half", id="surrogate"),
        pytest.param("x", {"dtype": "int8"}, "one vector has no ranges", id="no-ranges"),
        pytest.param("x", {"dtype": "int4"}, "float16, int8, uint8, binary, ubinary", id="dtype"),
    ],
)
def test_wrong_inputs(small: Model, inputs, options: dict, sentence: str) -> None:
    """Both forms refuse with the same sentence."""
    with pytest.raises(InvalidRequest) as refused:
        small.encode(inputs, **options)
    with pytest.raises(InvalidRequest) as refused_async:
        asyncio.run(small.encode_async(inputs, **options))

    assert sentence in str(refused.value)
    assert str(refused.value) == str(refused_async.value)


def test_truncate_is_heeded(small: Model) -> None:
    assert (32,) == small.encode(LONG[0]).shape
    with pytest.raises(TextTooLong):
        small.encode(LONG[0], truncate=False)


def test_threads_and_tasks_at_a_time(small: Model) -> None:
    """Eight threads and fifty tasks of one event loop get the vectors of each alone."""
    texts = [f"number {number} " * (1 + number % 9) for number in range(50)]
    expected = np.stack([small.encode(text) for text in texts])
    actual: dict[int, np.ndarray] = {}

    def work(seed: int) -> None:
        actual[seed] = small.encode(texts)

    async def gather() -> list[np.ndarray]:
        return await asyncio.gather(*(small.encode_async(text) for text in texts))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    awaited = asyncio.run(gather())
    for thread in threads:
        thread.join()

    assert np.array_equal(expected, np.stack(awaited))
    assert 8 == len(actual)
    assert all(np.array_equal(expected, vectors) for vectors in actual.values())


def test_cancelling_takes_what_waits_out_of_the_queue(artifacts) -> None:
    """A task that is cancelled leaves nothing behind; the model goes on."""
    with Model.load(artifacts / MINILM) as model:

        async def give_up() -> None:
            task = asyncio.create_task(model.encode_async(LONG))
            await asyncio.to_thread(until, lambda: model._scheduler.waiting_sequences)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        asyncio.run(give_up())

        assert 0 == model._scheduler.waiting_sequences
        assert (384,) == model.encode("still here").shape


@pytest.fixture
def interruptible():
    """A process that was started in the background may ignore Ctrl-C."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def test_an_interrupt_takes_what_waits_out_of_the_queue(artifacts, interruptible) -> None:
    """Ctrl-C in ``encode`` ends the work, too, and not only the wait for it."""
    with Model.load(artifacts / MINILM) as model:
        main = threading.get_ident()

        def interrupt() -> None:
            until(lambda: model._scheduler.waiting_sequences)
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            model.encode(LONG)
        thread.join()

        assert 0 == model._scheduler.waiting_sequences
        assert (384,) == model.encode("still here").shape


@pytest.fixture
def patient_interpreter():
    """Nobody is asked to give up the GIL: another thread runs only while its holder lets it go by itself."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1000)
    yield
    sys.setswitchinterval(before)


def test_a_model_that_is_closed(artifacts) -> None:
    """It says so, and not that some server goes down; closing it twice is nothing."""
    model = Model.load(artifacts / SMALL, threads=1)
    model.close()
    model.close()

    for ask in (lambda: model.encode("a"), lambda: asyncio.run(model.encode_async(["a"]))):
        with pytest.raises(Unavailable, match="the model was closed; load it again"):
            ask()
    assert (1, 32) == copy.deepcopy(model).encode(["a"]).shape


def test_a_model_that_is_closed_meanwhile(artifacts) -> None:
    with Model.load(artifacts / MINILM, threads=1) as model, ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(model.encode, numbered("some words " * 100, 500))
        until(lambda: model._scheduler.waiting_sequences)
        model.close()

        with pytest.raises(Unavailable, match="the model was closed; load it again"):
            waiting.result()


def test_a_model_that_nobody_has_any_more_leaves_no_threads(artifacts) -> None:
    """Nobody closed it: programs that load many would fill up with lanes."""
    before = set(threading.enumerate())
    for _ in range(3):
        Model.load(artifacts / SMALL, threads=2).encode(["a"])

    until(lambda: set(threading.enumerate()) <= before)


def test_a_program_that_embeds_as_it_ends(artifacts) -> None:
    code = (
        "import atexit, sys; from embed_onnx import Model; model = Model.load(sys.argv[1])\n"
        "atexit.register(lambda: print(model.encode([f'late {number}' for number in range(300)]).shape))"
    )
    command = [sys.executable, "-c", code, str(artifacts / SMALL)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120)

    assert ("(300, 32)\n", "") == (done.stdout, done.stderr)


@pytest.mark.parametrize("threads", [0, -1, 1.5, "2", 10**9, float("nan")])
def test_threads_that_are_none(artifacts, threads) -> None:
    with pytest.raises(
        SetupError, match=re.escape(f"threads is {threads!r}; give a whole number from 1 to 1,024")
    ):
        Model.load(artifacts / SMALL, threads=threads)


@pytest.mark.parametrize("seconds", [0, -1.0, "3", None, float("nan")])
def test_a_lane_timeout_that_is_none(artifacts, seconds) -> None:
    with pytest.raises(SetupError, match=re.escape(f"lane_timeout is {seconds!r}; give more than 0 seconds")):
        Model.load(artifacts / SMALL, lane_timeout=seconds)


def test_numbers_of_numpy_are_numbers(artifacts) -> None:
    with Model.load(artifacts / SMALL, threads=np.int64(1), lane_timeout=np.float32(9)) as model:
        assert (32,) == model.encode("a").shape


def test_inference_lets_go_of_the_gil(minilm: Model, patient_interpreter) -> None:
    """While one sequence runs, in the one call that it is, another thread counts on and on."""
    inference = minilm.files.load().vectors
    counts = itertools.count()
    stop = threading.Event()

    def count() -> None:
        while not stop.is_set():
            next(counts)
            time.sleep(0)  # gives the GIL to another thread

    thread = threading.Thread(target=count)
    thread.start()
    before = next(counts)
    inference.run([TokenSequence([7] * minilm.manifest.max_tokens)])
    after = next(counts)
    stop.set()
    thread.join()

    assert after - before > 20
