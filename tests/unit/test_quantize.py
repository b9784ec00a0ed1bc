"""int8: how far integers may be from float32 numbers, and that their products are exact on every CPU."""

from pathlib import Path

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from embed_onnx_export.graph import int8, quantize
from embed_onnx_export.graph.bert import functions
from embed_onnx_export.graph.int8 import quantize_channels, quantize_rows

ROUNDING = 2e-5
"""Of float32, in steps: 255 times the precision of a division."""


def machine_instructions():
    """The names that Linux has for what this CPU can do."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return {word for line in lines if line.startswith("flags") for word in line.split()}


def quantize_columns(table):
    """``quantize_channels`` of the transposed table, transposed back: a row is a channel."""
    values, scales, _ = quantize_channels(np.ascontiguousarray(table.T))
    return values.T, scales[:, None]


both = pytest.mark.parametrize(
    "quantize", [pytest.param(quantize_rows, id="rows"), pytest.param(quantize_columns, id="channels")]
)


@st.composite
def tables(draw):
    """Float32 tables whose rows differ in magnitude by up to a million."""
    shape = draw(st.tuples(st.integers(1, 6), st.integers(1, 6)))
    numbers = draw(hnp.arrays(np.int64, shape, elements=st.integers(-1000, 1000)))
    powers = draw(hnp.arrays(np.int64, (shape[0], 1), elements=st.integers(-6, 0)))
    return (numbers * 10.0**powers).astype(np.float32)


@both
@given(table=tables())
def test_a_number_is_off_by_half_a_step_at_most(quantize, table):
    values, scales = quantize(table)

    off = np.abs(values.astype(np.float64) * scales - table)
    assert (off <= (0.5 + ROUNDING) * scales).all()


@given(table=tables())
def test_the_largest_number_of_a_row_takes_the_whole_range(table):
    magnitudes = np.abs(table).max(axis=1)

    values, scales = quantize_rows(table)

    expected = np.where(magnitudes > 0, 127, 0)
    np.testing.assert_array_equal(np.abs(values.astype(int)).max(axis=1), expected)
    np.testing.assert_allclose(scales[:, 0] * 127, magnitudes, rtol=1e-6)


@given(table=tables())
def test_the_largest_number_or_pair_of_a_channel_takes_the_whole_range(table):
    """A channel's range is no wider than its pairs need, and the last of an odd number has no pair."""
    padded = np.pad(table, ((0, 0), (0, table.shape[1] % 2)))
    pairs = padded[:, ::2] + padded[:, 1::2]
    magnitudes = np.maximum(np.abs(table).max(axis=1), np.abs(pairs).max(axis=1))

    _, scales = quantize_columns(table)

    np.testing.assert_allclose(scales[:, 0] * 127, magnitudes, rtol=1e-6)


@given(table=tables())
def test_neighbours_sum_to_no_more_than_their_limit(table):
    weights, _, _ = quantize_channels(np.ascontiguousarray(table.T))

    pairs = [weights[first : first + 2].sum(axis=0, dtype=int) for first in range(0, len(weights), 2)]
    assert np.abs(pairs).max() <= int8.LARGEST_PAIR
    assert np.abs(weights.astype(int)).max() <= int8.LARGEST


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        pytest.param([1, 1, 1, 1], [64, 64, 64, 64], id="pairs-of-the-largest"),
        pytest.param([1, -1, 1, -1], [127, -127, 127, -127], id="opposite-signs"),
        pytest.param([1, 0, 0, 1], [127, 0, 0, 127], id="largest-in-two-pairs"),
        pytest.param([0, 1, 1, 0], [0, 127, 127, 0], id="neighbours-of-two-pairs"),
        pytest.param([0.5, 0.25, 0.75], [85, 42, 127], id="an-odd-number"),
    ],
)
def test_what_a_pair_costs_its_channel(column, expected):
    values, _, _ = quantize_channels(np.array(column, np.float32)[:, None])

    np.testing.assert_array_equal(values[:, 0], expected)


@both
@given(table=tables())
def test_opposite_numbers_have_opposite_values(quantize, table):
    values, scales = quantize(table)
    opposite_values, opposite_scales = quantize(-table)

    np.testing.assert_array_equal(opposite_values, -values)
    np.testing.assert_array_equal(opposite_scales, scales)


@both
def test_zeros_stay_zero_with_scale_zero_beside_others(quantize):
    values, scales = quantize(np.array([[0, 0], [2, -2]], np.float32))

    np.testing.assert_array_equal(values, [[0, 0], [127, -127]])
    np.testing.assert_array_equal(scales, [[0], [np.float32(2) / np.float32(127)]])


@both
def test_a_large_row_costs_a_small_one_nothing(quantize):
    table = np.array([[0.001, -0.002], [1000, 1]], np.float32)
    alone, _ = quantize(table[:1])

    beside, _ = quantize(table)

    np.testing.assert_array_equal(beside[:1], alone)


def test_the_arrays_have_the_layout_that_the_graph_needs():
    table = np.ones((3, 5), np.float32)
    values, scales = quantize_rows(table)
    channel_values, channel_scales, sums = quantize_channels(table)

    actual = [(array.dtype, array.shape) for array in (values, scales, channel_values, channel_scales, sums)]
    vector = (np.float32, (5,))
    expected = [(np.int8, (3, 5)), (np.float32, (3, 1)), (np.int8, (3, 5)), vector, vector]
    assert expected == actual
    assert channel_values.flags.c_contiguous


@given(table=tables())
def test_sums_are_those_of_the_scaled_integers(table):
    values, scales, sums = quantize_channels(table)

    expected = (values.astype(np.float64) * scales).sum(axis=0)
    np.testing.assert_allclose(sums, expected, rtol=1e-6, atol=1e-6 * scales.max())


def test_a_pair_of_products_fits_sixteen_bits():
    """Which is what x86 CPUs without VNNI add it in: no more than each alone, or both of one sign."""
    assert functions.STEPS * int8.LARGEST < functions.STEPS * int8.LARGEST_PAIR < 2**15


def test_what_is_no_table_of_weights_is_left_as_it_is(tmp_path):
    """A vector, a stack of matrices, and a table whose columns are looked up have no such scales."""
    text = """<ir_version: 9, opset_import: ["" : 20]>
        encoder (int64[batch, tokens] input_ids)
            => (float[batch, tokens] dots, float[batch, tokens, two] stacked, float[two, batch, tokens] out) {
            words = Gather (table, input_ids)
            dots = MatMul (words, vector)
            stacked = MatMul (words, stack)
            out = Gather <axis = 1> (transposed, input_ids)
        }"""
    model = onnx.parser.parse_model(text)
    shapes = {"table": (5, 4), "vector": (4,), "stack": (1, 4, 2), "transposed": (2, 5)}
    random = np.random.default_rng(1)
    for name, shape in shapes.items():
        array = random.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "float32.onnx")

    quantize.quantize(tmp_path / "float32.onnx", tmp_path / "int8.onnx")

    sessions = [ort.InferenceSession(tmp_path / name) for name in ("float32.onnx", "int8.onnx")]
    expected, actual = (session.run(None, {"input_ids": [[0, 3], [4, 1]]}) for session in sessions)
    integers = [t.name for t in onnx.load(tmp_path / "int8.onnx").graph.initializer if t.data_type == t.INT8]
    assert ["table.int8"] == integers
    for one, other in zip(expected, actual, strict=True):
        np.testing.assert_allclose(one, other, atol=0.1)


@pytest.mark.parametrize("transposed", [False, True])
@pytest.mark.parametrize(("bias", "count"), [((8,), 1), ((1, 8), 0), ((1,), 0), ((), 0)])
def test_a_bias_that_is_none_of_linear_leaves_its_product(tmp_path, bias, count, transposed):
    """``Linear`` adds a number for each channel; a Gemm broadcasts what it adds."""
    text = f"""<ir_version: 10, opset_import: ["": 20]> g (int64[n] input_ids) => (float[n, 8] y) {{
        x = Gather(words, input_ids)
        y = Gemm<transB = {int(transposed)}>(x, weights, bias)
    }}"""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(6)
    shapes = {"words": (9, 4), "weights": (8, 4) if transposed else (4, 8), "bias": bias}
    for name, shape in shapes.items():
        array = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "float32.onnx")

    quantization = quantize.quantize(tmp_path / "float32.onnx", tmp_path / "int8.onnx")

    kinds = [node.op_type for node in onnx.load(tmp_path / "int8.onnx").graph.node]
    assert (count, 1 - count) == (kinds.count("Linear"), kinds.count("Gemm"))
    assert bool(count) == quantization.kernel_products
    float32, small = (
        ort.InferenceSession(tmp_path / f"{name}.onnx").run(None, {"input_ids": np.arange(9)})[0]
        for name in ("float32", "int8")
    )
    np.testing.assert_allclose(float32, small, atol=0.1)


@pytest.fixture(scope="module")
def tokens_times_weights():
    """The two functions in a file: x, (w, channel_scale, channel_sum) -> rows, scale, minimum, y."""
    text = """<ir_version: 9, opset_import: ["" : 20, "embed_onnx" : 1]>
        products (float[t, w] x, int8[w, c] w, float[c] channel_scale, float[c] channel_sum)
            => (uint8[t, w] rows, float[t, one] scale, float[t, one] minimum, float[t, c] y) {
            rows, scale, minimum = embed_onnx.QuantizeTokens (x)
            y = embed_onnx.MatMulTokens (rows, scale, minimum, w, channel_scale, channel_sum)
        }"""
    model = onnx.parser.parse_model(text)
    texts = (functions.QUANTIZE_TOKENS, functions.MATMUL_TOKENS)
    model.functions.extend(onnx.parser.parse_function(text) for text in texts)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])

    def run(x, weights):
        w, channel_scale, channel_sum = weights
        inputs = {"x": x, "w": w, "channel_scale": channel_scale, "channel_sum": channel_sum}
        return session.run(None, inputs)

    return run


@given(table=tables())
def test_a_token_is_off_by_half_a_step_at_most(tokens_times_weights, table):
    """Each by its own minimum and scale, which is its range in 255 steps."""
    weights = quantize_channels(np.ones((table.shape[1], 1), np.float32))

    rows, scale, minimum, _ = tokens_times_weights(table, weights)

    ranges = table.max(axis=1, keepdims=True) - table.min(axis=1, keepdims=True)
    np.testing.assert_allclose(scale, np.maximum(ranges / 255, np.float32(1e-30)), rtol=1e-6)
    np.testing.assert_array_equal(minimum, table.min(axis=1, keepdims=True))
    off = np.abs(rows.astype(np.float64) * scale + minimum - table)
    assert (off <= (0.5 + ROUNDING) * scale).all()


TOKENS = pytest.mark.parametrize("tokens", [1, 2, 7, 8, 33])
"""One token goes another way through ONNX Runtime than several."""
WIDTHS = pytest.mark.parametrize("width", [2, 3, 6, 63, 64, 130, 384])
"""With and without a rest of the four inputs that are multiplied at a time."""


def integer_product(run, rows, w):
    """What ``MatMulTokens`` makes of tokens that are integers, 0 and 255 in each of them."""
    channels = w.shape[1]
    result, _, _, y = run(
        rows.astype(np.float32), (w, np.ones(channels, np.float32), np.zeros(channels, np.float32))
    )
    np.testing.assert_array_equal(result, rows)
    return y


@TOKENS
@WIDTHS
@pytest.mark.parametrize("sign", [1, -1])
def test_the_largest_pairs_are_summed_exactly(tokens_times_weights, tokens, width, sign):
    """The most that the pairs of a channel can be: on a CPU that saturates, more would be cut off."""
    rows = np.full((tokens, width), 255, np.uint8)
    rows[:, -1] = 0
    w, _, _ = quantize_channels(np.full((width, 40), sign, np.float32))
    np.testing.assert_array_equal(w, np.full((width, 40), sign * int8.LARGEST_PAIR // 2))

    y = integer_product(tokens_times_weights, rows, w)

    np.testing.assert_array_equal(y, np.full((tokens, 40), sign * 255 * 64 * (width - 1), np.float32))


@TOKENS
@WIDTHS
@settings(max_examples=10)  # for each of many sizes
@given(seed=st.integers(0, 2**32 - 1))
def test_extreme_tokens_and_weights_are_summed_exactly(tokens_times_weights, tokens, width, seed):
    """Rows of nothing but 0 and 255, and weights as large as their pairs may be, in every order."""
    draw = np.random.default_rng(seed)
    rows = draw.choice(np.array([0, 255], np.uint8), (tokens, width))
    rows[:, :2] = [0, 255]
    first = draw.integers(-127, 128, (width + 1, 40))
    second = draw.choice([-1, 1], first.shape) * int8.LARGEST_PAIR - first
    w = np.where(np.arange(width + 1)[:, None] % 2, np.roll(second, 1, axis=0), first)
    w = np.clip(w, -127, 127)[:width].astype(np.int8)

    y = integer_product(tokens_times_weights, rows, w)

    np.testing.assert_array_equal(y, rows.astype(int) @ w.astype(int))


@pytest.mark.skipif(
    "avx2" not in machine_instructions() or bool({"avx512_vnni", "avx_vnni"} & machine_instructions()),
    reason="this CPU adds products in 32 bits",
)
@TOKENS
def test_on_this_cpu_a_larger_pair_would_be_cut_off(tokens_times_weights, tokens):
    """So the tests above would see it."""
    rows = np.tile(np.array([255, 255, 0, 0], np.uint8), (tokens, 1))
    w = np.full((4, 40), 65, np.int8)

    y = integer_product(tokens_times_weights, rows, w)

    np.testing.assert_array_equal(y, np.full((tokens, 40), 2**15 - 1, np.float32))


@given(table=tables())
def test_a_product_is_that_of_what_the_integers_stand_for(tokens_times_weights, table):
    weights = quantize_channels(np.random.default_rng(5).normal(size=(table.shape[1], 7)).astype(np.float32))

    rows, scale, minimum, y = tokens_times_weights(table, weights)

    tokens = rows.astype(np.float64) * scale + minimum
    expected = tokens @ (weights[0].astype(np.float64) * weights[1])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5 * np.abs(table).max() + 1e-30)


def quantized(folder, text, **shapes):
    """The int8 nodes of a float32 graph with random tables of these shapes; both files stay in the folder."""
    model = onnx.parser.parse_model(text)
    rng = np.random.default_rng(6)
    for table, shape in shapes.items():
        array = rng.normal(size=shape).astype(np.float32)
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, table))
    onnx.save(model, folder / "float32.onnx")
    quantize.quantize(folder / "float32.onnx", folder / "int8.onnx")
    return onnx.load(folder / "int8.onnx").graph.node


GATES = {
    "silu": ("sigmoid = Sigmoid(gate) active = Mul(gate, sigmoid)", ["silu"]),
    "silu, the other way round": ("sigmoid = Sigmoid(gate) active = Mul(sigmoid, gate)", ["silu"]),
    "gelu": ("active = Gelu(gate)", ["gelu"]),
    "gelu_tanh": ('active = Gelu<approximate = "tanh">(gate)', ["gelu_tanh"]),
    "relu": ("active = Relu(gate)", ["relu"]),
    "an activation that is none of them": ("active = Tanh(gate)", []),
    "a gate that is read twice": ("active = Relu(gate) z = Neg(gate)", []),
    "a gate that is an output": ("active = Relu(gate)", []),
}
SECOND_OUTPUTS = {"a gate that is read twice": "z", "a gate that is an output": "gate"}


@pytest.mark.parametrize("order", ["active, up", "up, active"])
@pytest.mark.parametrize("name", GATES)
def test_a_gated_product_is_one_node(tmp_path, name, order):
    activation, gates = GATES[name]
    second = f", float[n, 8] {SECOND_OUTPUTS[name]}" if name in SECOND_OUTPUTS else ""
    text = f"""<ir_version: 10, opset_import: ["": 20]> g (int64[n] input_ids) => (float[n, 8] y{second}) {{
        x = Gather(words, input_ids)
        gate = MatMul(x, gates)
        up = MatMul(x, weights)
        {activation}
        y = Mul({order})
    }}"""
    nodes = quantized(tmp_path, text, words=(9, 4), weights=(4, 8), gates=(4, 8))

    fused = [node for node in nodes if node.op_type == "GatedLinear"]
    assert [gate.encode() for gate in gates] == [node.attribute[0].s for node in fused]
    assert (0 if gates else 2) == sum(node.op_type == "Linear" for node in nodes)
    float32, small = (
        ort.InferenceSession(tmp_path / f"{file}.onnx").run(["y"], {"input_ids": np.arange(9)})[0]
        for file in ("float32", "int8")
    )
    np.testing.assert_allclose(float32, small, atol=0.2)


def test_gates_of_two_activations_are_those_of_the_first(tmp_path):
    text = """<ir_version: 10, opset_import: ["": 20]> g (int64[n] input_ids) => (float[n, 4] z) {
        x = Gather(words, input_ids)
        gate = MatMul(x, gates)
        up = MatMul(x, weights)
        active = Relu(gate)
        y = Mul(active, up)
        another_gate = MatMul(y, gates)
        another_up = MatMul(y, weights)
        another = Gelu(another_gate)
        z = Mul(another, another_up)
    }"""
    nodes = quantized(tmp_path, text, words=(9, 4), weights=(4, 4), gates=(4, 4))

    kinds = [node.op_type for node in nodes]
    assert (1, 2, 1) == tuple(map(kinds.count, ("GatedLinear", "Linear", "Gelu")))


def test_a_norm_by_the_root_mean_square_is_one_node(tmp_path):
    text = """<ir_version: 10, opset_import: ["": 20]> g (int64[n] input_ids) => (float[n, 8] y) {
        x = Gather(words, input_ids)
        y = SimplifiedLayerNormalization<axis = -1, epsilon = 0.5>(x, gamma)
    }"""
    nodes = quantized(tmp_path, text, words=(9, 8), gamma=(8,))

    (norm,) = (node for node in nodes if node.op_type == "RmsNorm")
    assert 0.5 == norm.attribute[0].f
    float32, small = (
        ort.InferenceSession(tmp_path / f"{file}.onnx").run(["y"], {"input_ids": np.arange(9)})[0]
        for file in ("float32", "int8")
    )
    np.testing.assert_allclose(float32, small, atol=0.05)
