"""VocabularyMaxima: near a reference in float64, the same in any company, and as standard operators do it."""

from collections.abc import Callable
from dataclasses import replace

import kernel_cases
import numpy as np
import onnxruntime as ort
import pytest
from kernel_operators import numbered, vocabulary_case
from kernel_sessions import ENGINES, open_session, run, run_case
from native_model import KERNELS

from embed_onnx.artifact.outputs import Sparse
from embed_onnx_export.graph import vocabulary_graph
from embed_onnx_export.graph.bert.families import Linear, Norm
from embed_onnx_export.graph.vocabulary_graph import VocabularyHead

pytestmark = pytest.mark.skipif(KERNELS.library is None, reason=KERNELS.reason)

CASES = kernel_cases.vocabulary_cases()
LENGTHS = (19, 1, 8, 2, 60)
ACTIVATIONS = ("gelu", "gelu_tanh", "relu", "silu")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", CASES)
def test_maxima(name: str, engine: str) -> None:
    """A number at the border of two integers moves its row by little."""
    case = CASES[name]

    maxima = run_case(case, engine)

    expected = case.expected()
    assert expected.shape == maxima.shape
    np.testing.assert_allclose(expected, maxima, atol=5e-2)
    if maxima.size:
        assert np.median(np.abs(expected - maxima)) < 2e-3


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("engine", ENGINES)
def test_bits_do_not_depend_on_company_or_helpers(
    engine: str, threads: int, set_threads: Callable[[int], None]
) -> None:
    case = vocabulary_case(40, 24, 700, numbered(*LENGTHS))
    session = open_session(case.model(), engine)
    set_threads(threads)
    together = run(session, **case.inputs)

    start = 0
    for place, length in enumerate(LENGTHS):
        states = case.inputs["states"][:, start : start + length]
        alone = run(session, states=states, attention_mask=np.ones((1, length), np.int64))
        np.testing.assert_array_equal(together[place], alone[0])
        start += length


@pytest.mark.parametrize("quantized", [True, False])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_the_file_runs_by_standard_operators(activation: str, *, quantized: bool) -> None:
    """Of weights as they are, the formula with a polynomial as gelu; of int8, near the kernel."""
    rng = np.random.default_rng(3)
    head = VocabularyHead(
        transform=_linear(rng, 24, 16),
        norm=Norm(*rng.normal(size=(2, 16)).astype(np.float32)),
        scores=_linear(rng, 16, 70),
        epsilon=1e-5,
        activation=activation,
    )
    model = vocabulary_graph.build(
        head, Sparse(entries=70, pooling="max", activation="relu"), quantized=quantized
    )
    inputs = {
        "states": rng.normal(size=(2, 9, 24)).astype(np.float32),
        "attention_mask": np.array([[1] * 9, [1] * 4 + [0] * 5]),
    }
    plain = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    maxima = run(plain, **inputs)

    assert (2, 70) == maxima.shape
    if quantized:
        np.testing.assert_allclose(run(open_session(model), **inputs), maxima, atol=5e-2)
    else:
        np.testing.assert_allclose(_formula(head, **inputs), maxima, atol=2e-2)


def test_a_damaged_file() -> None:
    case = vocabulary_case(40, 24, 70, numbered(3))
    for name, array in case.weights.items():
        for damaged in (array[:-1], array.reshape(1, 1, -1), array.reshape(-1)[:0]):
            if name == "transform_weight" and damaged.ndim == 2:
                continue  # states may have any width
            weights = case.weights | {name: np.ascontiguousarray(damaged)}
            with pytest.raises(Exception, match="the file is damaged, export the model again"):
                open_session(replace(case, weights=weights).model())


def test_states_of_another_width() -> None:
    case = vocabulary_case(40, 24, 70, numbered(3))
    session = open_session(case.model())

    with pytest.raises(Exception, match="VocabularyMaxima: the states' shape does not fit"):
        run(session, states=np.zeros((1, 3, 41), np.float32), attention_mask=np.ones((1, 3), np.int64))


def _linear(rng: np.random.Generator, inputs: int, outputs: int) -> Linear:
    return Linear(*(rng.normal(size=size).astype(np.float32) for size in ((inputs, outputs), outputs)))


def _formula(head: VocabularyHead, states: np.ndarray, attention_mask: np.ndarray) -> np.ndarray:
    weights = {}
    for name, linear in (("transform", head.transform), ("scores", head.scores)):
        weights |= {f"{name}_weight": linear.weight, f"{name}_bias": linear.bias}
    active = kernel_cases.ACTIVATIONS[head.activation](
        states.astype(np.float64) @ weights["transform_weight"] + weights["transform_bias"]
    )
    centred = active - active.mean(axis=-1, keepdims=True)
    normal = centred / np.sqrt((centred**2).mean(axis=-1, keepdims=True) + head.epsilon)
    scores = (normal * head.norm.gamma + head.norm.beta) @ weights["scores_weight"] + weights["scores_bias"]
    return np.where(attention_mask[..., None] != 0, np.maximum(scores, 0), 0).max(axis=1)
