"""What decoders have beside products: near a reference in float64, by standard operators, in any company."""

from collections.abc import Callable
from dataclasses import replace

import kernel_cases
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from kernel_operators import ATTENTION, UNLIMITED, Case, attention_case, numbered, rms_case, rotation_case
from kernel_sessions import ENGINES, open_session, run, run_case
from native_model import KERNELS
from onnx import parser

from embed_onnx_export.graph.attention import functions
from embed_onnx_export.graph.bert.functions import RMS_NORM

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)

CASES = kernel_cases.attention_cases()
STEPS = 6e-3
"""What rounding to integers of 12 to 15 bits may come to, of values about one."""


def assert_near(case: Case, actual: np.ndarray, worst: float = STEPS) -> None:
    expected = case.expected()
    assert expected.shape == actual.shape
    if case.operator == ATTENTION:
        assert not actual[~case.tokens].any()
    np.testing.assert_allclose(expected, actual, atol=worst if case.operator == ATTENTION else 3e-6)


def with_bodies(case: Case) -> onnx.ModelProto:
    """The same file with the functions that define its operator."""
    model = case.model()
    texts = (functions.ATTENTION, functions.ROTATE_HEADS, RMS_NORM)
    model.functions.extend(parser.parse_function(text) for text in texts)
    onnx.checker.check_model(model)
    return model


def plain(case: Case, threads: int = 1) -> np.ndarray:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    session = ort.InferenceSession(
        with_bodies(case).SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return run(session, **case.inputs)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_the_formula(name: str, engine: str) -> None:
    assert_near(CASES[name], run_case(CASES[name], engine))


@pytest.mark.parametrize(
    "name",
    [
        name
        for name, case in CASES.items()
        if all(case.inputs["x" if "x" in case.inputs else "queries"].shape)
    ],
)
def test_the_file_runs_by_standard_operators(name: str) -> None:
    case = CASES[name]
    padding = ~case.tokens if case.operator == ATTENTION else None

    actual = plain(case)

    if padding is not None:
        assert np.isfinite(actual[padding]).all()
        actual[padding] = 0
    assert_near(case, actual, worst=1e-5)


@pytest.mark.parametrize(("before", "after"), [(UNLIMITED, 0), (UNLIMITED, UNLIMITED), (40, 0), (7, 90)])
@pytest.mark.parametrize("tokens", [511, 512, 513, 700, 1031])
def test_long_texts_in_blocks(tokens: int, before: int, after: int) -> None:
    """Around the first text whose queries the body takes in several blocks."""
    case = attention_case(2, 1, 16, numbered(tokens), before=before, after=after)

    assert_near(case, plain(case), worst=1e-5)
    assert_near(case, run_case(case))


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("before", [UNLIMITED, 20])
def test_bits_do_not_depend_on_company_or_helpers(
    engine: str, threads: int, before: int, set_threads: Callable[[int], None]
) -> None:
    lengths = (7, 1, 61, 150, 48)
    case = attention_case(6, 3, 32, numbered(*lengths), before=before, after=0)
    turned = rotation_case(6, 32, 32, (1, sum(lengths)))
    session, turning = open_session(case.model(), engine), open_session(turned.model(), engine)
    set_threads(threads)
    together, all_turned = run(session, **case.inputs), run(turning, **turned.inputs)

    end = 0
    for length in lengths:
        part = slice(end, end := end + length)
        alone = {name: array[:, part] for name, array in case.inputs.items()}
        np.testing.assert_array_equal(together[:, part], run(session, **alone))
        alone = {name: array[:, part] for name, array in turned.inputs.items()}
        np.testing.assert_array_equal(all_turned[:, part], run(turning, **alone))


def test_a_token_of_great_numbers_leaves_others_their_precision() -> None:
    """As the first token of many decoders has them: each query and key has a range of its own."""
    case = attention_case(2, 1, 64, numbered(40), after=0)
    for name in ("queries", "keys"):
        case.inputs[name][0, 0] *= 100

    assert_near(case, run_case(case))


def test_what_is_not_finite_stays_in_its_sequence() -> None:
    case = attention_case(2, 1, 16, numbered(5, 9))
    expected = run_case(case)
    for name in ("queries", "keys", "values"):
        inputs = {part: array.copy() for part, array in case.inputs.items()}
        inputs[name][0, 3, 0, 1] = np.nan

        actual = run_case(replace(case, inputs=inputs))

        assert np.isnan(actual[0, 3, 0]).all()
        np.testing.assert_array_equal(expected[:, 5:], actual[:, 5:])


def test_sequences_in_several_pieces_are_refused() -> None:
    case = attention_case(2, 1, 16, np.array([[1, 2, 1]]))

    with pytest.raises(Exception, match="a sequence in several pieces; put its tokens side by side"):
        run_case(case)


@pytest.mark.parametrize("name", ["queries", "keys", "values", "attention_mask"])
def test_inputs_that_do_not_fit(name: str) -> None:
    case = attention_case(2, 1, 16, numbered(5))
    session = open_session(case.model())

    with pytest.raises(Exception, match="Attention: the shapes of its queries, keys, values and mask"):
        run(session, **case.inputs | {name: case.inputs[name][:, :-1]})


@pytest.mark.parametrize(("heads", "groups", "size"), [(3, 2, 16), (2, 1, 8), (1, 2, 16)])
def test_heads_that_it_does_not_take(heads: int, groups: int, size: int) -> None:
    with pytest.raises(Exception, match="Attention: the shapes of its queries, keys, values and mask"):
        run_case(attention_case(heads, groups, size, numbered(5)))


@pytest.mark.parametrize("name", ["x", "cosines", "sines"])
def test_angles_that_do_not_fit(name: str) -> None:
    case = rotation_case(2, 16, 16, (1, 5))
    session = open_session(case.model())

    with pytest.raises(Exception, match="RotateHeads: the shapes of its inputs do not fit each other"):
        run(session, **case.inputs | {name: case.inputs[name][:, :-1]})


@pytest.mark.parametrize("gamma", [np.ones(15, np.float32), np.ones((1, 16), np.float32)])
def test_a_norm_that_does_not_fit(gamma: np.ndarray) -> None:
    case = rms_case(16, (1, 5))
    gamma_of_any_rank = replace(case, inputs=case.inputs | {"gamma": gamma})

    with pytest.raises(Exception, match="RmsNorm: the last axis of x does not fit gamma"):
        run_case(gamma_of_any_rank)


@pytest.mark.parametrize("name", ["before", "after"])
def test_a_reach_below_zero(name: str) -> None:
    case = attention_case(2, 1, 16, numbered(5))

    with pytest.raises(Exception, match=f"Attention: {name} is below zero; export the model again"):
        open_session(replace(case, attributes=case.attributes | {name: -1}).model())
