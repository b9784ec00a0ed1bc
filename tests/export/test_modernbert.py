"""ModernBERT from its weights: every field that changes the states, and what is refused."""

import json
from typing import Any

import numpy as np
import pytest
import small_models
import torch

from embed_onnx_export.graph import compare, encoders, onnx_file
from embed_onnx_export.graph.bert.families import ACTIVATIONS, UnknownFamily
from embed_onnx_export.graph.modernbert import checkpoint

TOKENS = 90
"""More than any window here."""
FULL, SLIDING = checkpoint.GLOBAL, checkpoint.LOCAL


def config_of(**changes: Any) -> dict[str, Any]:
    """As it is saved."""
    config: dict[str, Any] = json.loads(small_models.build("modernbert", **changes).config.to_json_string())
    return config


def parameters_of(**changes: Any) -> dict[str, np.ndarray]:
    model = small_models.build("modernbert", **changes)
    return {name: parameter.detach().numpy() for name, parameter in model.named_parameters()}


def apart(model: Any, encoder: encoders.Encoder) -> float:
    """The largest difference of their states."""
    ids = np.random.default_rng(1).integers(5, 300, (1, TOKENS))
    graph = onnx_file.session(encoders.build(encoder, quantized=False))
    expected = compare.of_pytorch(model)(ids, np.ones_like(ids))
    return float(np.abs(onnx_file.states(graph, ids, np.ones_like(ids)) - expected).max())


FIELDS = [
    *({"hidden_activation": activation} for activation in ACTIVATIONS),
    {"norm_eps": 0.1},
    {"num_attention_heads": 8},
    {"num_hidden_layers": 1},
    {"intermediate_size": 41},
    {"local_attention": 2},
    {"local_attention": 31},
    {"local_attention": 1000},
    {"layer_types": [SLIDING, SLIDING, FULL]},
    {"layer_types": [FULL, FULL, FULL]},
    {"rope_parameters": {FULL: small_models.ROPE, SLIDING: {"rope_type": "default", "rope_theta": 77.0}}},
    {"norm_bias": True},
    {"attention_bias": True},
    {"mlp_bias": True},
]


@pytest.mark.parametrize("changes", FIELDS, ids=lambda changes: "-".join(map(str, *changes.items())))
def test_a_field_of_the_config_means_what_it_means_to_pytorch(changes: dict[str, Any]) -> None:
    model = small_models.build("modernbert", **changes)

    assert apart(model, small_models.encoder(model)) < 5e-5


@pytest.mark.parametrize(
    "changes", [{"local_attention": 20}, {"norm_eps": 0.1}, {"rope_parameters": {FULL: small_models.ROPE}}]
)
def test_another_field_is_noticed(changes: dict[str, Any]) -> None:
    """A tolerance that lets one pass for the other would prove nothing."""
    model = small_models.build("modernbert")

    assert apart(model, small_models.encoder(small_models.build("modernbert", **changes))) > 1e-3


def test_configs_of_transformers_4_are_read() -> None:
    """They have the bases by other names, and how often a layer is global."""
    config = config_of() | {"global_rope_theta": 500.0, "local_rope_theta": 77.0}
    config |= {"global_attn_every_n_layers": 2}
    del config["rope_parameters"], config["layer_types"]
    rope = {FULL: {"rope_type": "default", "rope_theta": 500.0}}
    rope |= {SLIDING: {"rope_type": "default", "rope_theta": 77.0}}
    model = small_models.build(
        "modernbert", rope_parameters=rope, layer_types=[FULL, SLIDING, FULL], num_hidden_layers=3
    )

    assert apart(model, checkpoint.read(config, parameters_of())) < 5e-5


def test_parameters_of_a_model_with_a_head_are_read() -> None:
    parameters = {f"model.{name}": array for name, array in parameters_of().items()}
    parameters |= {
        "head.dense.weight": np.ones((32, 32), np.float32),
        "decoder.bias": np.ones(300, np.float32),
    }

    assert apart(small_models.build("modernbert"), checkpoint.read(config_of(), parameters)) < 5e-5


LINEAR = {"rope_type": "linear", "rope_theta": 500.0, "factor": 2.0}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"hidden_activation": "quick_gelu"}, "its activation is quick_gelu"),
        ({"rope_parameters": {FULL: LINEAR, SLIDING: LINEAR}}, "its positions are of the type linear"),
        (
            {"rope_parameters": {FULL: {"type": "linear", "factor": 2.0}}},
            "its positions are of the type linear",
        ),
        ({"rope_parameters": {"rope_theta": 5.0}}, "its rope_parameters have rope_theta, of which"),
        (
            {"rope_parameters": {FULL: {"partial_rotary_factor": 0.5}}},
            "its rope_parameters have partial_rotary",
        ),
        ({"rope_parameters": None, "local_rope_theta": None}, "its local_rope_theta is None"),
        ({"local_attention": -1}, "its local_attention is -1"),
        ({"vocab_size": 99}, "its vocab_size is 99, and its parameters have"),
        ({"hidden_size": 64}, "its hidden_size is 64, and its parameters have 32"),
        ({"intermediate_size": 32}, "its intermediate_size is 32, and its parameters have 64"),
        ({"rope_scaling": LINEAR}, "its positions are scaled"),
        (
            {"layer_types": [FULL, "chunked_attention", FULL]},
            "its layer_types are not 3 of full_attention and ",
        ),
        ({"layer_types": [FULL]}, "its layer_types are not 3 of"),
        ({"num_attention_heads": 32}, "its width, 32, is not of 32 heads with an even number of channels"),
        ({"num_hidden_layers": 4, "layer_types": [FULL] * 4}, "it has no layers.3.attn_norm.weight"),
        ({"num_hidden_layers": 2, "layer_types": [FULL] * 2}, "it also has layers.2."),
        ({"unheard_of": 1}, "its config.json has unheard_of, of which it is not known what it changes"),
    ],
)
def test_what_is_not_read_is_refused(fields: dict[str, Any], reason: str) -> None:
    with pytest.raises(UnknownFamily, match=f"^{reason}"):
        checkpoint.read(config_of() | fields, parameters_of())


def test_a_text_far_longer_than_the_window() -> None:
    """Angles of far positions, in float32 as the original has them."""
    model = small_models.build("modernbert", max_position_embeddings=2000)
    ids = np.random.default_rng(1).integers(5, 300, (1, 2000))
    graph = onnx_file.session(encoders.build(small_models.encoder(model), quantized=False))

    with torch.no_grad():
        expected = compare.of_pytorch(model)(ids, np.ones_like(ids))

    np.testing.assert_allclose(onnx_file.states(graph, ids, np.ones_like(ids)), expected, atol=1e-4)
