"""Linear: near a reference in float64, the same in any company, and as standard operators do it."""

from collections.abc import Callable
from dataclasses import replace

import kernel_cases
import kernel_operators
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from kernel_operators import linear_case
from kernel_sessions import ENGINES, open_session, run, run_case
from native_model import KERNELS
from onnx import TensorProto, helper, numpy_helper, parser

from embed_onnx_export.graph.bert import functions

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)

CASES = kernel_cases.linear_cases()
RANKS = [(5,), (2, 3, 4), (1, 1, 1, 7)]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_a_product(name: str, engine: str) -> None:
    """A number at the border of two integers moves its row by little."""
    case = CASES[name]

    y = run_case(case, engine)

    expected = case.expected()
    assert expected.shape == y.shape
    np.testing.assert_allclose(expected, y, atol=3e-2)
    if y.size:
        assert np.median(np.abs(expected - y)) < 1e-4


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_bits_do_not_depend_on_company_or_helpers(
    engine: str, threads: int, set_threads: Callable[[int], None]
) -> None:
    case = linear_case(40, 700, (1, 61))
    session = open_session(case.model(), engine)
    set_threads(threads)
    together = run(session, **case.inputs)

    for row in (0, 7, 60):
        alone = run(session, x=case.inputs["x"][:, row : row + 1])
        np.testing.assert_array_equal(together[:, row : row + 1], alone)


@pytest.mark.parametrize("shape", RANKS)
def test_inputs_of_any_rank(shape: tuple[int, ...]) -> None:
    case = linear_case(24, 70, shape)

    y = run(open_session(_with_bodies(case.weights, len(shape) + 1)), **case.inputs)

    assert (*shape, 70) == y.shape
    flat = linear_case(24, 70, (1, int(np.prod(shape))))
    np.testing.assert_array_equal(run_case(replace(flat, weights=case.weights)).reshape(y.shape), y)


@pytest.mark.parametrize("shape", RANKS)
def test_the_file_runs_by_standard_operators(shape: tuple[int, ...]) -> None:
    case = linear_case(24, 70, shape)
    model = _with_bodies(case.weights, len(shape) + 1)
    onnx.checker.check_model(model)
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    np.testing.assert_allclose(run(open_session(model), **case.inputs), run(plain, **case.inputs), atol=3e-2)


def test_a_damaged_file() -> None:
    case = linear_case(24, 70, (1, 3))
    for name, array in case.weights.items():
        for damaged in (array[:-1], array.reshape(1, 1, -1), array.reshape(-1)[:0]):
            if name == "linear_weight" and damaged.ndim == 2:
                continue  # inputs may have any width
            weights = case.weights | {name: np.ascontiguousarray(damaged)}
            with pytest.raises(Exception, match="the file is damaged, export the model again"):
                open_session(replace(case, weights=weights).model())


def test_inputs_of_another_width() -> None:
    session = open_session(linear_case(24, 70, (1, 3)).model())

    with pytest.raises(Exception, match="Linear: the last axis of x does not fit the weights"):
        run(session, x=np.zeros((1, 3, 25), np.float32))


def test_shared_weights() -> None:
    """Nodes with the same weights and another bias, or sessions with other weights, keep theirs apart."""
    case = linear_case(24, 24, (1, 3))
    other = {"linear_bias": -case.weights["linear_bias"]}
    parts = [case, case, replace(case, weights=case.weights | other)]
    sessions = [open_session(kernel_operators.model_of(parts)) for _ in range(2)]

    expected = case.inputs["x"]
    for part in parts:
        expected = run_case(replace(part, inputs={"x": expected}))
    for session in sessions:
        np.testing.assert_array_equal(expected, run(session, **case.inputs))


def _with_bodies(weights: dict[str, np.ndarray], axes: int) -> onnx.ModelProto:
    """A file of one node, with the functions that define it."""
    node = helper.make_node("Linear", ["x", *weights], ["y"], domain=functions.DOMAIN)
    ends = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None] * axes) for name in ("x", "y")]
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    return helper.make_model(
        helper.make_graph([node], "linear", ends[:1], ends[1:], initializers),
        functions=[parser.parse_function(text) for text in functions.linear(quantized=True)],
        opset_imports=[helper.make_opsetid("", functions.OPSET), helper.make_opsetid(functions.DOMAIN, 1)],
        ir_version=functions.IR_VERSION,
    )
