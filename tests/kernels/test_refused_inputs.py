"""What the kernels refuse in one sentence, and any ids and masks."""

import contextlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import kernel_operators
import numpy as np
import onnxruntime as ort
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from kernel_cases import HIGHEST, LOWEST
from kernel_models import Model
from kernel_operators import (
    VOCABULARY,
    Case,
    assert_near,
    embeddings_case,
    layer_case,
    model_of,
    norm_case,
    numbered,
    rotary_case,
)
from kernel_reference import sequences
from kernel_sessions import SMALL, open_session, run, run_case
from native_model import KERNELS

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)


@contextlib.contextmanager
def fails(sentence: str) -> Iterator[None]:
    with pytest.raises(Exception, match=sentence) as failed:
        yield
    assert type(failed.value).__module__.startswith("onnxruntime")


EMBEDDINGS = embeddings_case(16, 12, numbered(3, 4), after_padding=True)
LAYER = layer_case(replace(SMALL, factors=True), numbered(3, 4))
ROTARY = rotary_case(SMALL, numbered(3, 4), window=2)
NORM = norm_case(16, numbered(3, 4))
every_operator = pytest.mark.parametrize(
    "case", [EMBEDDINGS, LAYER, ROTARY, NORM], ids=lambda case: case.operator
)


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


@pytest.mark.parametrize("case", [EMBEDDINGS, LAYER, ROTARY], ids=lambda case: case.operator)
def test_a_sequence_longer_than_the_positions(case: Case) -> None:
    positions = SMALL.positions
    session = open_session(case.model())
    longer = {
        name: np.resize(array, (1, positions + 5, *array.shape[2:])) for name, array in case.inputs.items()
    }

    run(session, **longer | {"attention_mask": numbered(5, positions)})
    with fails(f"a sequence has {positions + 1} tokens and the model takes {positions}; cut it"):
        run(session, **longer | {"attention_mask": numbered(4, positions + 1)})


@pytest.mark.parametrize("case", [EMBEDDINGS, LAYER, ROTARY], ids=lambda case: case.operator)
def test_a_token_that_none_attends_to_is_after_the_others(case: Case) -> None:
    length = next(iter(case.inputs.values())).shape[1]
    mask = np.ones((1, length), np.int64)
    for numbers, sentence in (
        ([-1], "a sequence whose first token none attends to"),
        ([LOWEST], "a sequence whose first token none attends to"),
        ([1, -1, 1], "tokens that none attends to before others of their sequence"),
    ):
        mask[0, : len(numbers)] = numbers
        with fails(sentence):
            run(open_session(case.model()), **case.inputs | {"attention_mask": mask})


def test_a_window_in_which_nothing_is_attended_to() -> None:
    case = rotary_case(SMALL, numbered(6), window=2)
    fits, too_many = np.array([[1, 1, 1, 1, -1, -1]]), np.array([[1, 1, 1, -1, -1, -1]])

    run(open_session(case.model()), **case.inputs | {"attention_mask": fits})
    with fails("a sequence ends with 3 tokens that none attends to, and a token sees 2 before it"):
        run(open_session(case.model()), **case.inputs | {"attention_mask": too_many})


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
        for case in (EMBEDDINGS, LAYER, ROTARY, NORM)
        for name in case.weights
    ],
)
def test_a_damaged_file(case: Case, name: str) -> None:
    for array in other_shapes(case.weights[name]):
        if (case.operator, name, array.ndim) == ("TokenEmbeddings", "positions", 2) and array.shape[1] == 16:
            continue  # there may be any number of positions
        damaged = replace(case, weights=case.weights | {name: np.array(array)})

        with fails("the file is damaged, export the model again"):
            open_session(damaged.model())


@pytest.mark.parametrize("wrong", [-1, VOCABULARY, HIGHEST, LOWEST])
def test_a_padding_id_outside_the_vocabulary(wrong: int) -> None:
    damaged = replace(EMBEDDINGS, weights=EMBEDDINGS.weights | {"padding_id": np.array([wrong])})

    with fails("TokenEmbeddings: its padding_id does not fit its tables; the file is damaged"):
        open_session(damaged.model())


@every_operator
def test_weights_of_another_type(case: Case) -> None:
    for name, array in case.weights.items():
        other = array.astype(np.int8 if array.dtype == np.float32 else np.float32)

        with fails("Type"):
            open_session(replace(case, weights=case.weights | {name: other}).model())


@every_operator
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


@every_operator
def test_an_attribute_that_is_missing(case: Case) -> None:
    for name in case.attributes:
        attributes = {other: value for other, value in case.attributes.items() if other != name}

        with fails(name):
            open_session(replace(case, attributes=attributes).model())


ODD_ROTATION = "RotaryLayer: its window, heads, cosines and sines do not fit each other; the file is damaged"


def test_a_window_that_cannot_be() -> None:
    with fails(
        "RotaryLayer: its window, heads, cosines and sines do not fit each other; the file is damaged"
    ):
        open_session(replace(ROTARY, attributes=ROTARY.attributes | {"window": -1}).model())


def test_heads_of_an_odd_number_of_channels_cannot_be_rotated() -> None:
    odd = rotary_case(replace(SMALL, head_size=7), numbered(3))

    with fails(
        "RotaryLayer: its window, heads, cosines and sines do not fit each other; the file is damaged"
    ):
        open_session(odd.model())


@pytest.mark.parametrize("shape", [(1, 6), (7, 1), (2, 7), (1, 0), (0, 7)])
def test_inputs_of_different_shapes(shape: tuple[int, ...]) -> None:
    mask = np.ones(shape, np.int64)

    with fails("input_ids and attention_mask have different shapes"):
        run(open_session(EMBEDDINGS.model()), **EMBEDDINGS.inputs | {"attention_mask": mask})
    for case in (LAYER, ROTARY, NORM):
        with fails(f"{case.operator}: the states' shape does not fit the mask and the weights"):
            run(open_session(case.model()), **case.inputs | {"attention_mask": mask})


@pytest.mark.parametrize(
    ("case", "name"), [(LAYER, "states"), (ROTARY, "states"), (ROTARY, "normal"), (NORM, "states")]
)
def test_states_of_another_width(case: Case, name: str) -> None:
    states = np.ascontiguousarray(case.inputs[name][..., 1:])

    with fails(f"{case.operator}: the states' shape does not fit the mask and the weights"):
        run(open_session(case.model()), **case.inputs | {name: states})


@pytest.mark.parametrize("shape", [(7,), (1, 7, 1), ()])
@every_operator
def test_a_mask_with_other_axes(case: Case, shape: tuple[int, ...]) -> None:
    model = case.model()
    for described in model.graph.input:
        described.type.tensor_type.ClearField("shape")

    with fails("attention_mask must have two axes, batch and tokens"):
        run(open_session(model), **case.inputs | {"attention_mask": np.ones(shape, np.int64)})


numbers = st.sampled_from([0, 1, 2, HIGHEST, 1 << 32, 5]) | st.integers(0, HIGHEST)
words = st.integers(0, VOCABULARY - 1) | st.just(kernel_operators.PADDING_ID)
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
    longest = max((len(places) for _, places in sequences(mask)), default=0)
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
