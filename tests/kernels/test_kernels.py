"""The native kernels inside ONNX Runtime: their formulas, and bits that do not depend on company."""

import math
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import kernel_cases
import kernel_operators
import numpy as np
import onnxruntime as ort
import pytest
from kernel_cases import HIGHEST, LOWEST
from kernel_models import Model
from kernel_operators import VOCABULARY, Shape, assert_near, layer_case, numbered
from kernel_reference import ACTIVATIONS, gelu
from kernel_sessions import ENGINES, SMALL, open_session, run, run_case
from native_model import KERNELS

from embed_onnx.system import cpu

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)


CASES = kernel_cases.every_case()
MODELS = {
    "absolute": Model(Shape(width=52, heads=2, head_size=26, hidden=100), positions=80, layers=3),
    "pairs of weights within the limit": Model(
        Shape(width=52, heads=2, head_size=26, hidden=100), positions=80, layers=3, limited=True
    ),
    "relative, after padding": Model(
        Shape(width=64, heads=4, head_size=16, hidden=77, positions=70),
        positions=70,
        activation="silu",
        after_padding=True,
    ),
}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_the_formula(name: str, engine: str) -> None:
    assert_near(CASES[name], run_case(CASES[name], engine))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_function_between_the_last_products(activation: str, engine: str) -> None:
    """Where a token's hidden numbers are all the same, that number is exact: it is the row's minimum."""
    case = layer_case(replace(SMALL, positions=0), np.ones((1, 500)), activation=activation)
    weights = case.weights
    for name in ("output_scale", "output_sum", "output_bias"):
        weights[name][:] = 0
    for name in ("up_weight", "up_scale", "up_sum", "up_bias"):
        weights[name][:] = weights[name][..., :1]
    weights["up_bias"][:] = 0
    weights["down_sum"] = np.resize([1, -1], SMALL.width).astype(np.float32)

    off = np.abs(case.expected() - run_case(case, engine))
    assert np.quantile(off, 0.9) <= 1e-6


def test_gelu_is_near_the_function_that_it_stands_for() -> None:
    """The reference's, which the kernels are compared with."""
    x = np.linspace(-40, 40, 100_001)
    exact = x * 0.5 * (1 + np.vectorize(math.erf)(x / math.sqrt(2)))

    assert np.abs(gelu(x) - exact).max() < 5e-4


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("length", [1, 2, 63, 80])
def test_a_whole_model(length: int, engine: str) -> None:
    """Its operators, each with what the one before really gave."""
    model = MODELS["absolute"]
    ids = np.random.default_rng(length).integers(0, VOCABULARY, (1, length))
    mask = np.ones_like(ids)
    states = ids
    for part in model.parts:
        value = next(iter(part.inputs))
        case = replace(part, inputs={value: states, "attention_mask": mask})
        states = run_case(case, engine)
        assert_near(case, states)

    whole = run(open_session(model.model(), engine), input_ids=ids, attention_mask=mask)
    np.testing.assert_array_equal(states, whole)


@pytest.mark.parametrize("engine", ENGINES)
def test_bits_do_not_depend_on_which_weights_are_neighbours(engine: str) -> None:
    """Hidden channels in another order: pairs of their weights are within the limit, or beyond it."""
    shape = Shape(width=48, heads=3, head_size=16, hidden=96)
    case = layer_case(shape, numbered(19, 1, 8, 2), activation="relu")
    down = case.weights["down_weight"]
    down[0::2], down[1::2] = np.abs(down[0::2]), -np.abs(down[1::2])
    within = run_case(case, engine)
    orders = {
        "beyond": np.r_[0:96:2, 1:96:2],
        "some beyond": np.r_[0:80, 80:96:2, 81:96:2],
        "any": np.random.default_rng(0).permutation(96),
    }

    for order in orders.values():
        weights = dict(case.weights)
        for name in ("up_weight", "up_scale", "up_sum", "up_bias"):
            weights[name] = weights[name][..., order]
        weights["down_weight"] = down[order]

        np.testing.assert_array_equal(within, run_case(replace(case, weights=weights), engine))


@pytest.mark.parametrize("engine", ENGINES)
def test_2048_tokens(engine: str) -> None:
    case = layer_case(replace(SMALL, positions=2048), numbered(2048))

    assert_near(case, run_case(case, engine))


@pytest.fixture(scope="module", params=ENGINES)
def engine(request: pytest.FixtureRequest) -> str:
    return request.param


@pytest.fixture(scope="module", params=MODELS)
def session(request: pytest.FixtureRequest, engine: str) -> ort.InferenceSession:
    return open_session(MODELS[request.param].model(), engine)


Sequences = list[np.ndarray]


@pytest.fixture(scope="module")
def texts() -> Sequences:
    """The ids of sequences, some longer than all tiles and tasks."""
    rng = np.random.default_rng(1)
    return [kernel_operators.random_ids(rng, length) for length in (1, 70, 2, 6, 7, 49, 1, 13, 48, 33, 16, 5)]


@pytest.fixture(scope="module")
def alone(session: ort.InferenceSession, texts: Sequences) -> Sequences:
    """The states of each sequence by itself."""
    return [
        run(session, input_ids=ids[None], attention_mask=np.ones((1, len(ids)), np.int64))[0] for ids in texts
    ]


def shuffled(texts: Sequences, rows: int, seed: int) -> dict[str, np.ndarray]:
    """Sequences in random rows, their tokens and padding mixed with those of others.

    The number of a sequence in the mask is 1 more than its place in ``texts``.
    """
    rng = np.random.default_rng(seed)
    row_of = rng.integers(0, rows, len(texts))
    numbers = [
        rng.permutation(
            np.concatenate(
                [np.zeros(rng.integers(0, 9), np.int64)]
                + [np.full(len(ids), at + 1) for at, ids in enumerate(texts) if row_of[at] == row]
            )
        )
        for row in range(rows)
    ]
    mask = np.zeros((rows, max(len(row) for row in numbers)), np.int64)
    for row, values in enumerate(numbers):
        mask[row, : len(values)] = values
    ids = rng.integers(LOWEST, HIGHEST, mask.shape)  # of padding they do not matter
    for at, text in enumerate(texts):
        ids[mask == at + 1] = text
    return {"input_ids": ids, "attention_mask": mask}


def states_of(texts: Sequences, states: np.ndarray, mask: np.ndarray) -> Sequences:
    return [states[mask == at + 1] for at in range(len(texts))]


def assert_same(expected: Sequences, actual: Sequences) -> None:
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_array_equal(one, other)


def packs(texts: Sequences, session: ort.InferenceSession, seed: int) -> Sequences:
    """The states of sequences that ran together, in one of many arrangements."""
    inputs = shuffled(texts, rows=1 + seed % 4, seed=seed)
    return states_of(texts, run(session, **inputs), inputs["attention_mask"])


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("threads", [1, 2, 4])
def test_bits_do_not_depend_on_company_or_helpers(
    session: ort.InferenceSession,
    texts: Sequences,
    alone: Sequences,
    set_threads: Any,
    threads: int,
    seed: int,
) -> None:
    set_threads(threads)

    assert_same(alone, packs(texts, session, seed))


@pytest.mark.parametrize("threads", [2, 3])
def test_one_sequence_over_several_threads(
    session: ort.InferenceSession, texts: Sequences, alone: Sequences, set_threads: Any, threads: int
) -> None:
    set_threads(threads)

    again = [run(session, input_ids=ids[None], attention_mask=np.ones_like(ids[None]))[0] for ids in texts]

    assert_same(alone, again)


def threads() -> set[int]:
    """The numbers of this process's threads, those of the kernels included."""
    return {int(path.name) for path in Path("/proc/self/task").iterdir()}


@pytest.mark.skipif(
    sys.platform != "linux" or len(cpu.cores()) < 2,
    reason="there is one core, or threads are not kept to one",
)
def test_a_helper_keeps_off_its_callers_core(
    session: ort.InferenceSession, texts: Sequences, set_threads: Any
) -> None:
    """Both begin on one core; the helper may use any other soon."""
    before = threads()
    set_threads(2)
    helper = max(threads() - before)  # the thread that started it may not have ended
    cores = cpu.cores()
    one = {min(cores)}
    os.sched_setaffinity(helper, one)
    ids = max(texts, key=len)[None]
    end = time.monotonic() + 30

    def call() -> None:
        os.sched_setaffinity(0, one)  # this thread's
        while os.sched_getaffinity(helper) == one and time.monotonic() < end:
            run(session, input_ids=ids, attention_mask=np.ones_like(ids))
            time.sleep(0.002)

    caller = threading.Thread(target=call)
    caller.start()
    caller.join()

    assert cores - one == os.sched_getaffinity(helper)


@pytest.mark.parametrize("threads", [1, 3])
def test_callers_at_the_same_time(
    session: ort.InferenceSession, texts: Sequences, alone: Sequences, set_threads: Any, threads: int
) -> None:
    set_threads(threads)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(lambda seed: packs(texts, session, seed), range(40)))

    for result in results:
        assert_same(alone, result)


def test_helpers_come_and_go_while_there_are_callers(
    session: ort.InferenceSession, texts: Sequences, alone: Sequences, set_threads: Any
) -> None:
    with ThreadPoolExecutor(2) as pool:
        running = pool.map(lambda seed: packs(texts, session, seed), range(40))
        for number in range(60):
            set_threads(1 + number % 4)
        results = list(running)

    for result in results:
        assert_same(alone, result)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_stays_in_its_sequence(value: float, engine: str) -> None:
    case = layer_case(SMALL, numbered(5, 9, 3))
    before = run_case(case, engine)
    case.inputs["states"][0, 7, 3] = value

    after = run_case(case, engine)

    others = case.inputs["attention_mask"] != 2
    np.testing.assert_array_equal(before[others], after[others])
    assert not np.array_equal(before[~others], after[~others])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_token_that_is_not_finite_spoils_its_whole_sequence(value: float, engine: str) -> None:
    """Or a vector of other tokens might be served that are wrong without a sign of it."""
    case = layer_case(SMALL, numbered(5, 9, 3))
    case.inputs["states"][0, 7] = value

    after = run_case(case, engine)

    spoiled = case.inputs["attention_mask"] == 2
    assert not np.isfinite(after[spoiled]).any()
    assert np.isfinite(after[~spoiled]).all()
