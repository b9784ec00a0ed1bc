"""The file of the BERT family: the same numbers as PyTorch, whatever the mask says; or another path."""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
import small_models
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from embed_onnx.engine import native
from embed_onnx.errors import SetupError
from embed_onnx_export.errors import ExportError
from embed_onnx_export.graph import compare
from embed_onnx_export.graph import encoders as native_encoders
from embed_onnx_export.graph.bert import families, functions
from embed_onnx_export.graph.bert.families import UnknownFamily
from embed_onnx_export.graph.encoders import Encoder, build

FLOAT32 = 2e-5
"""How far float32 sums in another order may end up, in states of about 1."""
INT8 = 0.1
"""How far a token may move when its last bits choose another of 255 steps, in states of about 1."""
architectures = pytest.mark.parametrize("architecture", small_models.ENCODERS)
forms = pytest.mark.parametrize(
    "quantized", [pytest.param(True, id="int8"), pytest.param(False, id="float32")]
)


class Form:
    """A file of an encoder, opened."""

    def __init__(
        self, model: onnx.ModelProto, level: int = 99, inlining: str = "0", library: Path | None = None
    ) -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = 1
        options.graph_optimization_level = ort.GraphOptimizationLevel(level)
        options.add_session_config_entry("session.disable_aot_function_inlining", inlining)
        options.log_severity_level = 4
        if library is not None:
            options.register_custom_ops_library(str(library))
        self._session = ort.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )

    def __call__(self, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """Ids and mask [batch, tokens] to states [batch, tokens, width]."""
        arrays = {"input_ids": np.asarray(ids, np.int64), "attention_mask": np.asarray(mask, np.int64)}
        (states,) = self._session.run(None, arrays)
        return states

    def alone(self, ids: np.ndarray) -> np.ndarray:
        """One sequence, [tokens] to [tokens, width]."""
        return self(ids[None], np.ones((1, len(ids))))[0]


@pytest.fixture(scope="module")
def encoders() -> dict[str, Encoder]:
    return {name: small_models.encoder(small_models.build(name)) for name in small_models.ENCODERS}


@pytest.fixture(scope="module")
def opened(encoders: dict[str, Encoder]) -> dict[tuple[str, bool], Form]:
    """Every architecture with int8 and with float32 weights."""
    return {
        (name, quantized): Form(build(encoder, quantized=quantized))
        for name, encoder in encoders.items()
        for quantized in (True, False)
    }


def random_ids(*shape: int) -> np.ndarray:
    """Ids without those of special tokens."""
    return np.random.default_rng(3).integers(5, 300, shape)


def with_padding(encoder: Encoder, ids: np.ndarray, share: float = 0.3) -> np.ndarray:
    """Ids, some of them the padding id, as of a text in which it is written."""
    selection = np.random.default_rng(ids.size).random(ids.shape) < share
    return np.where(selection, encoder.padding_id, ids)


def cosines(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Of rows."""
    return (a * b).sum(axis=-1) / (np.linalg.norm(a, axis=-1) * np.linalg.norm(b, axis=-1))


def torch_states(model: Any, ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
    with torch.no_grad():
        output = model(input_ids=torch.tensor(ids), attention_mask=torch.tensor(mask))
    return output.last_hidden_state.numpy()


def padded(lengths: list[int]) -> np.ndarray:
    return (np.arange(max(lengths)) < np.array(lengths)[:, None]).astype(np.int64)


@architectures
def test_states_are_those_of_pytorch(opened, architecture):
    """All lengths up to the limit, in one padded batch: equal in float32, near in int8."""
    mask = padded([1, 2, 17, small_models.MAX_TOKENS])
    ids = random_ids(*mask.shape)
    expected = torch_states(small_models.build(architecture), ids, mask)[mask == 1]

    float32 = opened[architecture, False](ids, mask)[mask == 1]
    int8 = opened[architecture, True](ids, mask)[mask == 1]

    np.testing.assert_allclose(float32, expected, atol=FLOAT32)
    assert cosines(int8, expected).min() > 0.999


PADDED_TEXTS = {
    "alone": [True],
    "only padding": [True] * 6,
    "first": [True, True, False, False, False],
    "last": [False, False, False, True],
    "among words": [False, True, False, False, True, True, False, False],
    "at full length": np.arange(small_models.MAX_TOKENS) % 5 == 2,
    "once at full length": np.arange(small_models.MAX_TOKENS) == 1,
}
"""Which tokens of a text are the padding token."""


@pytest.mark.parametrize("written", PADDED_TEXTS.values(), ids=PADDED_TEXTS)
@architectures
def test_padding_ids_in_a_text_are_those_of_pytorch(opened, encoders, architecture, written):
    """Attended to, as sentence-transformers does: in the families that count past them, and in the others."""
    ids = np.where(written, encoders[architecture].padding_id, random_ids(1, len(written)))
    expected = torch_states(small_models.build(architecture), ids, np.ones_like(ids))[0]

    np.testing.assert_allclose(opened[architecture, False].alone(ids[0]), expected, atol=FLOAT32)
    assert cosines(opened[architecture, True].alone(ids[0]), expected).min() > 0.999


@pytest.mark.parametrize("engine", ["auto", "amx", "avx512vnni", "avxvnni", "avx2", "neon"])
@architectures
def test_kernels_place_padding_ids_as_the_functions_do(opened, encoders, architecture, engine):
    """In texts alone, and in packs with padding between them."""
    try:
        kernels = native.find(engine)
    except SetupError as err:
        pytest.skip(str(err))
    if kernels.library is None:
        pytest.skip(kernels.reason)
    kernels.choose()
    native_form = Form(build(encoders[architecture], quantized=True), library=kernels.library)
    mask = np.tile([1, 0, 2, 1, 3], 12)[None]
    ids = with_padding(encoders[architecture], random_ids(*mask.shape))

    states = native_form(ids, mask)

    for number in (1, 2, 3):
        sequence = ids[mask == number]
        np.testing.assert_array_equal(states[mask == number], native_form.alone(sequence))
        expected = torch_states(
            small_models.build(architecture), sequence[None], np.ones_like(sequence[None])
        )
        assert cosines(states[mask == number], expected[0]).min() > 0.999
        assert cosines(states[mask == number], opened[architecture, True].alone(sequence)).min() > 0.999


def test_a_file_without_a_padding_id_counts_padding_ids_too(encoders):
    """Files that were exported before there was one, with kernels and without."""
    earlier = build(replace(encoders["roberta"], padding_position=None), quantized=True)
    library = native.find().library
    ids = random_ids(20)
    forms = [Form(earlier), *([Form(earlier, library=library)] if library else [])]

    states = [form.alone(ids) for form in forms]

    expected = torch_states(small_models.build("roberta"), ids[None], np.ones((1, 20), np.int64))[0]
    assert ["attention_mask", "input_ids"] == sorted(value.name for value in earlier.graph.input)
    assert [*earlier.graph.node[0].input[-2:]] == ["", "embeddings.word_factors"]
    for actual in states:
        assert cosines(actual, expected).min() > 0.999


@pytest.mark.parametrize(
    "changes",
    [
        *({"hidden_act": activation} for activation in families.ACTIVATIONS),
        {"layer_norm_eps": 0.1},
        {"num_attention_heads": 8},
        {"num_hidden_layers": 1},
        {"intermediate_size": 40},
    ],
    ids=lambda changes: "-".join(map(str, *changes.items())),
)
def test_a_field_of_the_config_means_what_it_means_to_pytorch(changes):
    model = small_models.build("bert", **changes)
    ids, mask = random_ids(1, 20), np.ones((1, 20), np.int64)

    actual = Form(build(small_models.encoder(model), quantized=False))(ids, mask)

    np.testing.assert_allclose(actual, torch_states(model, ids, mask), atol=FLOAT32)


def test_gelu_and_its_approximation_are_told_apart():
    """A tolerance that lets one pass for the other would prove nothing."""
    encoder = small_models.encoder(small_models.build("bert"))
    ids, mask = random_ids(1, 20), np.ones((1, 20), np.int64)

    exact, approximate = (
        Form(build(replace(encoder, activation=activation), quantized=False))(ids, mask)
        for activation in ("gelu", "gelu_tanh")
    )

    assert np.abs(exact - approximate).max() > FLOAT32


@st.composite
def masks(draw):
    """Up to three sequences a row, their tokens in any order among each other and among padding."""
    batch, tokens = draw(st.integers(1, 3)), draw(st.integers(1, 24))
    numbers = st.lists(st.sampled_from([0, 1, 2, 7]), min_size=tokens, max_size=tokens)
    return np.array(draw(st.lists(numbers, min_size=batch, max_size=batch)))


@pytest.mark.parametrize("architecture", ["bert", "mpnet", "roberta"])
@settings(max_examples=30)  # for each of three models, some runs of a graph an example
@given(mask=masks())
def test_a_sequence_in_a_row_of_others_is_as_if_alone(opened, encoders, architecture, mask):
    """Holes, left padding, several sequences a row, rows of padding: its states are the same."""
    form = opened[architecture, False]
    ids = with_padding(encoders[architecture], random_ids(*mask.shape))

    states = form(ids, mask)

    assert np.isfinite(states).all()
    assert not states[mask == 0].any()
    for row, numbers in enumerate(mask):
        for number in set(numbers[numbers != 0]):
            mine = numbers == number
            np.testing.assert_allclose(states[row, mine], form.alone(ids[row, mine]), atol=FLOAT32)


@architectures
def test_tokens_that_none_attends_to(opened, encoders, architecture):
    """Those before them are as without them, and both are the same in a row with another sequence."""
    form, ids = opened[architecture, False], random_ids(1, 12)
    mask = np.array([[1] * 7 + [-1] * 5])
    states = form(ids, mask)[0]

    np.testing.assert_allclose(states[:7], form.alone(ids[0, :7]), atol=FLOAT32)
    changed = ids.copy()
    changed[0, -1] = ids[0, 0]
    np.testing.assert_allclose(states[:11], form(changed, mask)[0, :11], atol=FLOAT32)
    row = form(np.concatenate([ids, ids], axis=1), np.concatenate([2 * mask, mask], axis=1))[0]
    np.testing.assert_allclose(row, np.concatenate([states, states]), atol=FLOAT32)


@architectures
def test_packed_int8_is_as_if_alone(opened, encoders, architecture):
    """Three sequences that fill a row longer than the positions go round in it, with padding between them."""
    form = opened[architecture, True]
    mask = np.tile([1, 0, 2, 3], 24)[None]
    ids = with_padding(encoders[architecture], random_ids(*mask.shape))

    states = form(ids, mask)

    assert not states[mask == 0].any()
    for number in (1, 2, 3):
        np.testing.assert_allclose(states[mask == number], form.alone(ids[mask == number]), atol=INT8)


@forms
@architectures
def test_a_row_of_padding_is_zeros(opened, architecture, quantized):
    mask = np.array([[0] * 60, [1] * 5 + [0] * 55])

    states = opened[architecture, quantized](random_ids(*mask.shape), mask)

    assert not states[0].any()
    assert np.isfinite(states).all()
    assert states[1, :5].all()


@forms
@pytest.mark.parametrize("architecture", ["bert", "mpnet"])
def test_every_level_of_optimization_gives_the_same(encoders, architecture, quantized):
    """Also where functions are inlined late, as a library with kernels of the same names needs it."""
    model = build(encoders[architecture], quantized=quantized)
    mask = np.array([[1] * 9 + [2] * 8, [1] * 6 + [0] * 11])
    ids = random_ids(*mask.shape)

    results = [Form(model, level, inlining)(ids, mask) for level in (0, 1, 2, 3, 99) for inlining in "01"]

    for states in results[1:]:
        np.testing.assert_allclose(states, results[0], atol=INT8 if quantized else FLOAT32)


@forms
@architectures
def test_the_checker_accepts_the_file(encoders, architecture, quantized):
    onnx.checker.check_model(build(encoders[architecture], quantized=quantized), full_check=True)


def test_the_file_keeps_to_the_contract(encoders):
    """What a kernel relies on: nodes, their attributes, the order, shapes and types of their inputs."""
    model = build(encoders["mpnet"], quantized=True)

    types = {tensor.name: (tensor.data_type, tuple(tensor.dims)) for tensor in model.graph.initializer}
    first, layer, _ = model.graph.node
    float32, int8 = onnx.TensorProto.FLOAT, onnx.TensorProto.INT8
    norm = [(float32, (32,))] * 2
    linear = {
        shape: [(int8, shape), *[(float32, shape[1:])] * 3]
        for shape in ((32, 96), (32, 32), (32, 64), (64, 32))
    }
    assert [("embed_onnx", "TokenEmbeddings"), *[("embed_onnx", "EncoderLayer")] * 2] == [
        (node.domain, node.op_type) for node in model.graph.node
    ]
    assert ["input_ids", "attention_mask"] == list(first.input[:2])
    padding_id = (onnx.TensorProto.INT64, (1,))
    assert [
        (int8, (300, 32)),
        (float32, (300, 1)),
        (float32, (49, 32)),
        *norm,
        padding_id,
        (float32, (32,)),
    ] == [types[name] for name in first.input[2:]]
    assert [first.output[0], "attention_mask"] == list(layer.input[:2])
    assert [
        *linear[32, 96],
        *linear[32, 32],
        *norm,
        *linear[32, 64],
        *linear[64, 32],
        *norm,
        (float32, (2, 95)),
    ] == [types[name] for name in layer.input[2:]]
    assert {"num_heads": 2, "epsilon": pytest.approx(1e-12), "activation": b"gelu"} == {
        attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in layer.attribute
    }
    assert {"": functions.OPSET, "embed_onnx": 1} == {
        import_.domain: import_.version for import_ in model.opset_import
    }


def test_channel_sums_are_those_of_the_integers(encoders):
    """The part of a product that comes from a token's minimum."""
    model = build(encoders["bert"], quantized=True)
    arrays = {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}

    weight, scale, total = (arrays[f"layers.1.down.{part}"] for part in ("weight", "scale", "sum"))

    np.testing.assert_allclose(total, (weight.astype(np.float64) * scale).sum(axis=0), rtol=1e-5, atol=1e-6)


def pruned(model: Any) -> Any:
    """As transformers 4 records it; 5 prunes no heads."""
    model.config.pruned_heads = {1: [0]}
    return model


def adapted(model: Any) -> Any:
    model.encoder.layer[0].adapter = torch.nn.Linear(32, 32)
    return model


def without_bias(model: Any) -> Any:
    model.encoder.layer[0].output.dense.bias = None
    return model


def renamed(model: Any) -> Any:
    model.config.model_type = "ernie"
    return model


@pytest.mark.parametrize(
    ("changes", "change", "reason"),
    [
        pytest.param({}, renamed, "ernie is not of the BERT family", id="family"),
        pytest.param({"is_decoder": True}, None, "it is a decoder", id="decoder"),
        pytest.param(
            {"position_embedding_type": "relative_key"},
            None,
            "its position_embedding_type is relative_key",
            id="positions",
        ),
        pytest.param({"hidden_act": "quick_gelu"}, None, "its activation is quick_gelu", id="activation"),
        pytest.param({}, pruned, r"its pruned_heads is \{1: \[0\]\}", id="pruned"),
        pytest.param({}, adapted, "it also has encoder.layer.0.adapter.weight", id="more"),
        pytest.param({}, without_bias, "it has no encoder.layer.0.output.dense.bias", id="less"),
    ],
)
def test_why_a_model_is_not_of_the_family(changes, change, reason):
    model = small_models.build("bert", **changes)

    with pytest.raises(UnknownFamily, match=f"^{reason}$"):
        small_models.encoder(change(model) if change else model)


def check(encoder: Encoder, original: Encoder, folder: Path) -> None:
    """Compare the float32 file of one with that of the other, which stands for PyTorch."""
    paths = folder / "encoder.onnx", folder / "original.onnx"
    for path, written in zip(paths, (encoder, original), strict=True):
        native_encoders.write_float32(written, path)
    native_encoders.check(encoder, paths[0], compare.of_graph(paths[1]))


def test_a_file_that_is_its_original_passes(encoders, tmp_path):
    check(encoders["roberta"], encoders["roberta"], tmp_path)


def changed_layer(encoder: Encoder, **changes: Any) -> Encoder:
    """The encoder with another last layer."""
    *others, last = encoder.layers
    return replace(encoder, layers=(*others, replace(last, **changes)))


@pytest.mark.parametrize("name", ["qkv", "output", "up", "down"])
def test_a_file_that_differs_is_refused(encoders, tmp_path, name):
    """By 0.02 in one bias of one layer, or by NaN."""
    right = encoders["bert"]
    linear = getattr(right.layers[-1], name)

    for error in (0.02, np.nan):
        bias = linear.bias + np.float32(error) * (np.arange(len(linear.bias)) == len(linear.bias) - 1)
        wrong = changed_layer(right, **{name: replace(linear, bias=bias.astype(np.float32))})

        with pytest.raises(ExportError, match=r"^the encoder's graph is not its original: .*report this"):
            check(wrong, right, tmp_path)


def test_an_original_that_is_not_finite_is_refused(encoders, tmp_path):
    """A damaged weight is not a fault of the graph."""
    damaged = replace(
        encoders["bert"], norm=replace(encoders["bert"].norm, beta=np.full(32, np.nan, np.float32))
    )

    with pytest.raises(ExportError, match=r"^the original gives states of .* its weights may be damaged"):
        check(damaged, damaged, tmp_path)


def test_positions_are_checked_to_the_last(encoders, tmp_path):
    right = encoders["distilbert"]
    positions = right.positions.copy()
    positions[-1, 0] += 0.1

    with pytest.raises(ExportError, match="states of 48 tokens that are"):
        check(replace(right, positions=positions), right, tmp_path)


def test_the_position_of_padding_ids_is_checked(encoders, tmp_path):
    right = encoders["mpnet"]
    other = right.padding_position.copy()
    other[0] += 0.1

    for wrong in (other, None):
        with pytest.raises(ExportError, match="states of 24 tokens that are"):
            check(replace(right, padding_position=wrong), right, tmp_path)
