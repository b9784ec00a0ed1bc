"""The native kernels inside ONNX Runtime: their formulas, their sequences' independence, their errors."""

import contextlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import kernel_cases
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kernel_cases import (
    HIGHEST,
    LOWEST,
    VOCABULARY,
    Case,
    Model,
    Shape,
    assert_near,
    embeddings_case,
    layer_case,
    model_of,
    numbered,
)

from embed_onnx.engine import native
from embed_onnx.errors import SetupError

KERNELS = native.find("auto")
pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)


def engines() -> list[str]:
    """The instruction sets that this processor has kernels for, the best first."""
    found = []
    for name in ("avx512vnni", "avxvnni", "avx2", "neon"):
        with contextlib.suppress(SetupError):
            found.append(native.find(name).instruction_set)
    return found


ENGINES = engines()
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
SMALL = Shape(width=16, heads=2, head_size=8, hidden=20, positions=12)


def open_session(model: Any, engine: str = "auto") -> ort.InferenceSession:
    native.find(engine).choose()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 4  # errors come as exceptions
    options.register_custom_ops_library(str(KERNELS.library))
    return ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])


def run(session: ort.InferenceSession, **inputs: np.ndarray) -> np.ndarray:
    (output,) = session.run(None, inputs)
    return output


def run_case(case: Case, engine: str = "auto") -> np.ndarray:
    return run(open_session(case.model(), engine), **case.inputs)


@pytest.fixture
def set_threads() -> Iterator[Callable[[int], None]]:
    """Lets a caller have helpers until the end of the test."""
    yield KERNELS.set_threads
    KERNELS.set_threads(1)


# ---- formulas


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_the_formula(name: str, engine: str) -> None:
    assert_near(CASES[name], run_case(CASES[name], engine))


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("activation", kernel_cases.ACTIVATIONS)
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
    assert np.quantile(off, 0.9) <= (3e-5 if activation == "gelu" else 1e-6)


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


# ---- a sequence's bits are its own


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
    return [kernel_cases.random_ids(rng, length) for length in (1, 70, 2, 6, 7, 49, 1, 13, 48, 33, 16, 5)]


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


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 3e38])
def test_what_is_not_finite_stays_in_its_sequence(value: float) -> None:
    case = layer_case(SMALL, numbered(5, 9, 3))
    before = run_case(case)
    case.inputs["states"][0, 7, 3] = value

    after = run_case(case)

    others = case.inputs["attention_mask"] != 2
    np.testing.assert_array_equal(before[others], after[others])
    assert not np.array_equal(before[~others], after[~others])


# ---- errors


@contextlib.contextmanager
def fails(sentence: str) -> Iterator[None]:
    with pytest.raises(Exception, match=sentence) as failed:
        yield
    assert type(failed.value).__module__.startswith("onnxruntime")


EMBEDDINGS = embeddings_case(16, 12, numbered(3, 4), after_padding=True)
LAYER = layer_case(SMALL, numbered(3, 4))


@pytest.mark.parametrize("wrong", [-1, VOCABULARY, HIGHEST, LOWEST, 2**32])
def test_an_id_outside_the_vocabulary(wrong: int) -> None:
    session = open_session(EMBEDDINGS.model())
    ids = EMBEDDINGS.inputs["input_ids"].copy()
    ids[0, 5] = wrong

    with fails(f"the token id {wrong} is outside the vocabulary, 0 to {VOCABULARY - 1}"):
        run(session, **EMBEDDINGS.inputs | {"input_ids": ids})

    assert_near(EMBEDDINGS, run(session, **EMBEDDINGS.inputs))


@pytest.mark.parametrize("wrong", [-1, VOCABULARY, HIGHEST, LOWEST])
def test_ids_of_padding_do_not_matter(wrong: int) -> None:
    case = embeddings_case(16, 12, np.array([[1, 0, 1, 1, 0]]))
    states = run_case(case)
    case.inputs["input_ids"][case.inputs["attention_mask"] == 0] = wrong

    np.testing.assert_array_equal(states, run_case(case))


@pytest.mark.parametrize("case", [EMBEDDINGS, LAYER], ids=lambda case: case.operator)
def test_a_sequence_longer_than_the_positions(case: Case) -> None:
    positions = SMALL.positions
    session = open_session(case.model())
    value = next(iter(case.inputs))
    longer = np.resize(case.inputs[value], (1, positions + 5, *case.inputs[value].shape[2:]))
    fits = numbered(5, positions)

    run(session, **{value: longer, "attention_mask": fits})
    with fails(f"a sequence has {positions + 1} tokens and the model takes {positions}; cut it"):
        run(session, **{value: longer, "attention_mask": numbered(4, positions + 1)})


def other_shapes(array: np.ndarray) -> Iterator[np.ndarray]:
    """What a damaged file might hold instead."""
    yield array[1:]
    yield array[:0]
    yield array[..., None]
    yield np.concatenate([array, array])
    yield array.reshape(-1)[0]
    if array.ndim > 1:
        yield array[..., :-1]
        yield array.reshape(-1)


@pytest.mark.parametrize(
    ("case", "name"),
    [
        pytest.param(case, name, id=f"{case.operator}-{name}")
        for case in (EMBEDDINGS, LAYER)
        for name in case.weights
    ],
)
def test_a_damaged_file(case: Case, name: str) -> None:
    for array in other_shapes(case.weights[name]):
        if (case.operator, name, array.ndim) == ("TokenEmbeddings", "positions", 2) and array.shape[1] == 16:
            continue  # there may be any number of positions
        damaged = replace(case, weights=case.weights | {name: np.array(array)})

        with fails(f"{case.operator}: .* the file is damaged, export the model again"):
            open_session(damaged.model())


@pytest.mark.parametrize("wrong", [-1, VOCABULARY, HIGHEST, LOWEST])
def test_a_padding_id_outside_the_vocabulary(wrong: int) -> None:
    damaged = replace(EMBEDDINGS, weights=EMBEDDINGS.weights | {"padding_id": np.array([wrong])})

    with fails("TokenEmbeddings: its padding_id does not fit its tables; the file is damaged"):
        open_session(damaged.model())


@pytest.mark.parametrize("case", [EMBEDDINGS, LAYER], ids=lambda case: case.operator)
def test_weights_of_another_type(case: Case) -> None:
    for name, array in case.weights.items():
        other = array.astype(np.int8 if array.dtype == np.float32 else np.float32)

        with fails("Type"):
            open_session(replace(case, weights=case.weights | {name: other}).model())


@pytest.mark.parametrize("case", [EMBEDDINGS, LAYER], ids=lambda case: case.operator)
def test_weights_must_be_in_the_file(case: Case) -> None:
    for name in case.weights:
        with fails(f"{name} must be an initializer"):
            open_session(model_of([case], variable=(name,)))


@pytest.mark.parametrize(
    ("attributes", "sentence"),
    [
        ({"activation": "softplus"}, "the activation 'softplus' is unknown; there are gelu, "),
        ({"activation": ""}, "the activation '' is unknown; there are gelu, "),
        ({"num_heads": 3}, "num_heads is 3, which does not divide 16"),
        ({"num_heads": 0}, "num_heads is 0, which does not divide 16"),
        ({"num_heads": -2}, "num_heads is -2, which does not divide 16"),
        ({"num_heads": 2**40}, f"num_heads is {2**40}, which does not divide 16"),
        ({"num_heads": 4}, "relative_bias has the shape .2, 23. instead of .4, 23."),
    ],
)
def test_attributes_that_cannot_be(attributes: dict[str, Any], sentence: str) -> None:
    with fails(sentence):
        open_session(replace(LAYER, attributes=LAYER.attributes | attributes).model())


@pytest.mark.parametrize("name", LAYER.attributes)
def test_an_attribute_that_is_missing(name: str) -> None:
    attributes = {other: value for other, value in LAYER.attributes.items() if other != name}

    with fails(name):
        open_session(replace(LAYER, attributes=attributes).model())


@pytest.mark.parametrize("shape", [(1, 6), (7, 1), (2, 7), (1, 0), (0, 7)])
def test_inputs_of_different_shapes(shape: tuple[int, ...]) -> None:
    mask = np.ones(shape, np.int64)

    with fails("input_ids and attention_mask have different shapes"):
        run(open_session(EMBEDDINGS.model()), **EMBEDDINGS.inputs | {"attention_mask": mask})
    with fails("the states' shape does not fit the mask and the weights"):
        run(open_session(LAYER.model()), **LAYER.inputs | {"attention_mask": mask})


def test_states_of_another_width() -> None:
    states = LAYER.inputs["states"][..., 1:]

    with fails("the states' shape does not fit the mask and the weights"):
        run(open_session(LAYER.model()), **LAYER.inputs | {"states": np.ascontiguousarray(states)})


@pytest.mark.parametrize("shape", [(7,), (1, 7, 1), ()])
@pytest.mark.parametrize("case", [EMBEDDINGS, LAYER], ids=lambda case: case.operator)
def test_a_mask_with_other_axes(case: Case, shape: tuple[int, ...]) -> None:
    model = case.model()
    for described in model.graph.input:
        described.type.tensor_type.ClearField("shape")

    with fails("attention_mask must have two axes, batch and tokens"):
        run(open_session(model), **case.inputs | {"attention_mask": np.ones(shape, np.int64)})


# ---- any ids and masks

numbers = st.sampled_from([0, 1, 2, -1, HIGHEST, LOWEST, 1 << 32, 5]) | st.integers(LOWEST, HIGHEST)
words = st.integers(0, VOCABULARY - 1) | st.just(kernel_cases.PADDING_ID)
any_words = words | st.sampled_from([-1, VOCABULARY, HIGHEST, LOWEST])


@st.composite
def fuzzed(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """Ids and masks of the same shape; most ids, and most numbers of a mask, are the same."""
    shape = draw(st.tuples(st.integers(0, 3), st.integers(0, 20)))
    return {
        "input_ids": draw(hnp.arrays(np.int64, shape, elements=any_words, fill=words)),
        "attention_mask": draw(hnp.arrays(np.int64, shape, elements=numbers, fill=st.integers(0, 2))),
    }


FUZZED = Model(SMALL, positions=SMALL.positions, layers=1, activation="relu", after_padding=True)


@pytest.fixture(scope="module")
def fuzzed_session() -> ort.InferenceSession:
    return open_session(FUZZED.model())


@given(inputs=fuzzed())
def test_any_ids_and_masks(fuzzed_session: ort.InferenceSession, inputs: dict[str, np.ndarray]) -> None:
    ids, mask = inputs["input_ids"], inputs["attention_mask"]
    kept = ids[mask != 0]
    longest = max((len(places) for _, places in kernel_cases.sequences(mask)), default=0)
    if longest > SMALL.positions:
        with fails("cut it"):
            run(fuzzed_session, **inputs)
    elif ((kept < 0) | (kept >= VOCABULARY)).any():
        with fails("outside the vocabulary"):
            run(fuzzed_session, **inputs)
    else:
        actual = run(fuzzed_session, **inputs)

        assert (np.abs(FUZZED.expected(**inputs) - actual) <= 0.05).all()
        assert not actual[mask == 0].any()
