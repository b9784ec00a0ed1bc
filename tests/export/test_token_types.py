"""Second texts of pairs: their tokens have positions of their own, in the functions and in the kernels."""

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small_models
import torch
from kernel_sessions import ENGINES, open_session
from native_model import needs_kernels

from embed_onnx_export.graph import onnx_file
from embed_onnx_export.graph.bert import encoder_graph, families
from embed_onnx_export.graph.bert.families import Encoder

LENGTHS = [(1, 1), (3, 9), (17, 4), (30, 18)]
"""Tokens of the first text and of the second; the last fill the limit."""


@pytest.fixture(scope="module")
def model() -> Any:
    return small_models.build("bert")


@pytest.fixture(scope="module")
def encoder(model: Any) -> Encoder:
    arrays = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}
    return families.read(model.config.to_dict(), arrays, strict=False, types=True)


@pytest.fixture(scope="module")
def int8(encoder: Encoder) -> onnx.ModelProto:
    return encoder_graph.build(encoder, quantized=True)


def pair(first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    """Ids and types of a pair of texts, [tokens]."""
    ids = np.random.default_rng(first).integers(5, 300, first + second)
    return ids, np.repeat([0, 1], [first, second])


def run(session: ort.InferenceSession, ids: np.ndarray, mask: np.ndarray, types: np.ndarray) -> np.ndarray:
    inputs = {"input_ids": ids[None], "attention_mask": mask[None], "token_type_ids": types[None]}
    return session.run(None, inputs)[0][0]


def original(model: Any, ids: np.ndarray, types: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        output = model(input_ids=torch.tensor(ids[None]), token_type_ids=torch.tensor(types[None]))
    return output.last_hidden_state[0].numpy()


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


@pytest.mark.parametrize(("first", "second"), LENGTHS)
def test_states_are_those_of_pytorch(model, encoder, int8, first, second):
    ids, types = pair(first, second)
    expected = original(model, ids, types)
    float32 = onnx_file.session(encoder_graph.build(encoder, quantized=False))

    np.testing.assert_allclose(run(float32, ids, np.ones_like(ids), types), expected, atol=2e-5)
    assert cosines(run(onnx_file.session(int8), ids, np.ones_like(ids), types), expected).min() > 0.999


@needs_kernels
@pytest.mark.parametrize("engine", ENGINES)
def test_pairs_in_a_pack_are_those_alone_to_the_bit(model, int8, engine):
    session = open_session(int8, engine)
    pairs = [pair(*lengths) for lengths in LENGTHS]
    ids, types = (np.concatenate(arrays) for arrays in zip(*pairs, strict=True))
    mask = np.repeat(np.arange(1, len(pairs) + 1), [len(ids) for ids, _ in pairs])

    together = run(session, ids, mask, types)

    for number, (ids, types) in enumerate(pairs, start=1):
        states = together[mask == number]
        np.testing.assert_array_equal(states, run(session, ids, np.ones_like(ids), types))
        assert cosines(states, original(model, ids, types)).min() > 0.999


@needs_kernels
def test_tokens_of_type_0_are_those_of_a_file_without_types(model, int8):
    ids, _ = pair(20, 11)
    plain = open_session(encoder_graph.build(small_models.encoder(model), quantized=True))
    inputs = {"input_ids": ids[None], "attention_mask": np.ones_like(ids)[None]}

    states = run(open_session(int8), ids, np.ones_like(ids), np.zeros_like(ids))

    np.testing.assert_array_equal(states, plain.run(None, inputs)[0][0])


@needs_kernels
@pytest.mark.parametrize("wrong", [-1, 2, 2**62])
def test_another_type_is_refused(int8, wrong):
    ids, types = pair(4, 4)
    types[5] = wrong

    with pytest.raises(Exception, match=f"the token type {wrong} is not one of 0 to 1"):
        run(open_session(int8), ids, np.ones_like(ids), types)


@needs_kernels
def test_a_pair_over_the_limit_is_refused(int8):
    """The positions of the second type do not count as more of them."""
    ids, types = pair(25, 24)

    with pytest.raises(Exception, match="a sequence has 49 tokens and the model takes 48"):
        run(open_session(int8), ids, np.ones_like(ids), types)


def test_families_without_types_have_none():
    model = small_models.build("roberta", type_vocab_size=2)
    arrays = {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}

    encoder = families.read(model.config.to_dict(), arrays, strict=False, types=True)

    assert encoder.second_positions is None
