"""The functions that an int8 model.onnx defines for itself, as text: standard operators and nothing else.

Any runtime runs these bodies; our native library brings faster kernels for ``TokenEmbeddings`` and
``EncoderLayer`` under the same names.

**Products.** ONNX Runtime's own dynamic quantisation takes one range from a whole tensor, so that its
widest token costs all others their precision. Here each token has its own minimum and scale,

    x = scale * rows + minimum,    rows in 0..STEPS

and a product with weights W = channel_scale * w comes back as

    x W = scale * channel_scale * (rows w) + minimum * channel_sum,    channel_sum = channel_scale * sum(w)

Weights and tokens have 8 bits each. ``int8`` bounds what two neighbouring weights sum to, so that the
integers are exact, and the same, on every CPU: also on those that add two products in 16 bits.

**Masks.** 0 is padding. Equal numbers other than 0 are one sequence of their row: its tokens see each other
and nothing else, and count their positions (0, 1, ...) by rank among themselves. Ones and zeros are the case
of one sequence a row. The states of padding are zeros. Tokens of the negative of a number are of that
sequence as well, after its others: they attend to those, and none attends to them.

**Padding ids in texts.** A padding id that is written in a text is a token like any other, except in models
whose positions start after the padding id: there it has a position of its own, and those after it count as if
it were not there.
"""

from embed_onnx.artifact.manifest import Quantization
from embed_onnx_export.graph import int8

OPSET = 20
"""Of every file: the first with Gelu. Understood by every ONNX Runtime that this project supports."""
IR_VERSION = 9
"""The first with that opset."""
DOMAIN = "embed_onnx"
STEPS = 255
QUANTIZATION = Quantization(
    weight_bits=8,
    weight_scales="channel",
    weight_pair_sum=int8.LARGEST_PAIR,
    activation_bits=8,
    activation_scales="token",
    embedding_scales="row",
)
"""The same for the manifest."""
ACTIVATIONS = {
    "gelu": "active = Gelu (raised)",
    "gelu_tanh": 'active = Gelu <approximate = "tanh"> (raised)',
    "relu": "active = Relu (raised)",
    "silu": "gate = Sigmoid (raised) active = Mul (raised, gate)",
}
"""What ``EncoderLayer`` can do between its last two products, by the value of its attribute."""
OBSERVED = ("attended", "x", "active")
"""The inputs of ``EncoderLayer``'s products after the first, which calibration sees."""
HEADER = f'<domain: "{DOMAIN}", opset_import: ["" : {OPSET}, "{DOMAIN}" : 1]>'

# x [..., tokens, width] float32 -> rows, uint8 in the same shape; scale, minimum [..., tokens, 1].
QUANTIZE_TOKENS = f"""{HEADER}
    QuantizeTokens (x) => (rows, scale, minimum) {{
        last_axis = Constant <value_ints = [-1]> ()
        minimum = ReduceMin (x, last_axis)
        maximum = ReduceMax (x, last_axis)
        range = Sub (maximum, minimum)
        steps = Constant <value = float {{{STEPS}.0}}> ()
        unbounded = Div (range, steps)
        smallest = Constant <value = float {{1e-30}}> ()
        scale = Max (unbounded, smallest)
        above = Sub (x, minimum)
        exact = Div (above, scale)
        rounded = Round (exact)
        rows = Cast <to = 2> (rounded)
    }}"""

# w [width, channels] int8; channel_scale, channel_sum [channels] -> y [..., tokens, channels]
MATMUL_TOKENS = f"""{HEADER}
    MatMulTokens (rows, scale, minimum, w, channel_scale, channel_sum) => (y) {{
        sums = MatMulInteger (rows, w)
        integers = Cast <to = 1> (sums)
        by_token = Mul (integers, scale)
        by_channel = Mul (by_token, channel_scale)
        offset = Mul (minimum, channel_sum)
        y = Add (by_channel, offset)
    }}"""

LINEAR_INT8 = f"""{HEADER}
    Linear (x, weight, channel_scale, channel_sum, bias) => (y) {{
        rows, scale, minimum = {DOMAIN}.QuantizeTokens (x)
        product = {DOMAIN}.MatMulTokens (rows, scale, minimum, weight, channel_scale, channel_sum)
        y = Add (product, bias)
    }}"""

# The same with float32 weights, which are compared with the original before anything is quantised.
LINEAR_FLOAT32 = f"""{HEADER}
    Linear (x, weight, channel_scale, channel_sum, bias) => (y) {{
        product = MatMul (x, weight)
        y = Add (product, bias)
    }}"""


# x [..., width], gamma [width] -> y, in the shape of x.
RMS_NORM = f"""{HEADER}
    RmsNorm <epsilon> (x, gamma) => (y) {{
        two = Constant <value = float {{2.0}}> ()
        squares = Pow (x, two)
        last_axis = Constant <value_ints = [-1]> ()
        mean = ReduceMean (squares, last_axis)
        least = Constant <value_float: float = @epsilon> ()
        above_zero = Add (mean, least)
        root = Sqrt (above_zero)
        normal = Div (x, root)
        y = Mul (normal, gamma)
    }}"""


def gated_linear(activation: str) -> str:
    """The text of ``GatedLinear`` for one of ``ACTIVATIONS``: that of a product, times another product."""
    return f"""{HEADER}
    GatedLinear <activation> (
        x, gate_weight, gate_scale, gate_sum, gate_bias, linear_weight, linear_scale, linear_sum, linear_bias
    ) => (y) {{
        raised = {DOMAIN}.Linear (x, gate_weight, gate_scale, gate_sum, gate_bias)
        {ACTIVATIONS[activation]}
        product = {DOMAIN}.Linear (x, linear_weight, linear_scale, linear_sum, linear_bias)
        y = Mul (active, product)
    }}"""


def linear(*, quantized: bool) -> list[str]:
    """The texts of ``Linear`` and of what it calls."""
    return [LINEAR_INT8, QUANTIZE_TOKENS, MATMUL_TOKENS] if quantized else [LINEAR_FLOAT32]


# attention_mask int64 [batch, tokens] -> seen, whether the first of two tokens attends to the second, [batch,
# tokens, tokens]; ranks int64 [batch, tokens], 0 for padding, of which there may be more than positions.
SEQUENCES = f"""{HEADER}
    Sequences (attention_mask) => (seen, ranks) {{
        middle = Constant <value_ints = [1]> ()
        last = Constant <value_ints = [2]> ()
        numbers = Abs (attention_mask)
        queries = Unsqueeze (numbers, last)
        keys = Unsqueeze (attention_mask, middle)
        seen = Equal (queries, keys)
        others = Unsqueeze (numbers, middle)
        same = Equal (queries, others)
        ones = Cast <to = 7> (same)
        previous = Constant <value_int = -1> ()
        earlier = Trilu <upper = 0> (ones, previous)
        counts = ReduceSum <keepdims = 0> (earlier, last)
        is_token = Cast <to = 9> (attention_mask)
        zero = Constant <value_int = 0> ()
        ranks = Where (is_token, counts, zero)
    }}"""

ONLY_TOKENS = f"""{HEADER}
    OnlyTokens (states, attention_mask) => (kept) {{
        last = Constant <value_ints = [2]> ()
        is_token = Cast <to = 9> (attention_mask)
        factor = Cast <to = 1> (is_token)
        factors = Unsqueeze (factor, last)
        kept = Mul (states, factors)
    }}"""

# attention_mask -> bias [batch, 1, tokens, tokens]: 0 within a sequence, and between two of them a number
# that leaves nothing of a weight. Padding sees padding, so that no row of the softmax is empty.
ATTENTION_BIAS = f"""{HEADER}
    AttentionBias (attention_mask) => (bias) {{
        pairs, ranks = {DOMAIN}.Sequences (attention_mask)
        heads_axis = Constant <value_ints = [1]> ()
        seen = Unsqueeze (pairs, heads_axis)
        nothing = Constant <value = float {{0.0}}> ()
        never = Constant <value = float {{-3.4e38}}> ()
        bias = Where (seen, nothing, never)
    }}"""

# relative_bias [heads, 2P - 1] -> bias [batch, heads, tokens, tokens]
RELATIVE_ATTENTION_BIAS = f"""{HEADER}
    RelativeAttentionBias (attention_mask, relative_bias) => (bias) {{
        pairs, ranks = {DOMAIN}.Sequences (attention_mask)
        middle = Constant <value_ints = [1]> ()
        last = Constant <value_ints = [2]> ()
        key_ranks = Unsqueeze (ranks, middle)
        query_ranks = Unsqueeze (ranks, last)
        distances = Sub (key_ranks, query_ranks)
        columns = Shape <start = 1, end = 2> (relative_bias)
        two = Constant <value_int = 2> ()
        no_distance = Div (columns, two)
        at = Add (distances, no_distance)
        heads_first = Gather <axis = 1> (relative_bias, at)
        by_distance = Transpose <perm = [1, 0, 2, 3]> (heads_first)
        by_sequence = {DOMAIN}.AttentionBias (attention_mask)
        bias = Add (by_distance, by_sequence)
    }}"""

# A row of ``positions`` for each token, [batch, tokens].
PLACES = f"""
        pairs, places = {DOMAIN}.Sequences (attention_mask)"""
PLACES_AFTER_PADDING = f"""
        zero = Constant <value_int = 0> ()
        is_padding = Equal (input_ids, padding_id)
        counted = Where (is_padding, zero, attention_mask)
        pairs, ranks = {DOMAIN}.Sequences (counted)
        is_counted = Cast <to = 9> (counted)
        one = Cast <to = 7> (is_counted)
        places = Add (ranks, one)"""


# The same where the second half of ``positions`` are those of token type 1.
PLACES_BY_TYPE = f"""
        pairs, ranks = {DOMAIN}.Sequences (attention_mask)
        rows = Shape <start = 0, end = 1> (positions)
        two = Constant <value_int = 2> ()
        a_type = Div (rows, two)
        before = Mul (token_type_ids, a_type)
        places = Add (ranks, before)"""


def token_embeddings(*, after_padding: bool, balanced: bool = False, types: bool = False) -> str:
    """The text of ``TokenEmbeddings``, with ``padding_id``, int64 [1], or ``token_type_ids``, or neither.

    words int8 [vocabulary, width], word_scale [vocabulary, 1], positions [positions, width], gamma and beta
    [width] -> states [batch, tokens, width]. With a padding id, the first row of ``positions`` is its own,
    and other tokens count from the second, among themselves. ``balanced``: words are multiplied by a factor a
    channel, ``word_factors`` [width]. With token types, 0 or 1 [batch, tokens], the second half of
    ``positions`` are those of type 1. ``Sum`` is ``Add`` here and below: ONNX Runtime
    may fuse ``Add`` and ``LayerNormalization`` into one operator, which takes five times as long.
    """
    places = PLACES_AFTER_PADDING if after_padding else PLACES_BY_TYPE if types else PLACES
    names = ("padding_id", "word_factors", "token_type_ids")
    needed = [place for place, used in enumerate((after_padding, balanced, types)) if used]
    last_inputs = "".join(f", {name}" for name in names[: max(needed, default=-1) + 1])
    scaled = "scaled = Mul (unscaled, scales) word = Mul (scaled, word_factors)"
    return f"""{HEADER}
    TokenEmbeddings <epsilon> (
        input_ids, attention_mask, words, word_scale, positions, gamma, beta{last_inputs}
    ) => (states) {{{places}
        integers = Gather (words, input_ids)
        scales = Gather (word_scale, input_ids)
        unscaled = Cast <to = 1> (integers)
        {scaled if balanced else "word = Mul (unscaled, scales)"}
        position = Gather (positions, places)
        both = Sum (word, position)
        normal = LayerNormalization <axis = -1, epsilon: float = @epsilon> (both, gamma, beta)
        states = {DOMAIN}.OnlyTokens (normal, attention_mask)
    }}"""


def last_layer_inputs(*, relative: bool, balanced: bool) -> list[str]:
    """The optional inputs of ``EncoderLayer``, up to the last that a model has."""
    if balanced:
        return ["relative_bias", "qkv_factors", "up_factors"]
    return ["relative_bias"] * relative


# Parts of the layers of all encoders. The first parts qkv into queries, keys and values by head, with queries
# divided by the root of the head's size; the second takes scores of attention to x, what up takes.
HEADS = """
        queries, keys, values = Split <axis = -1, num_outputs = 3> (qkv)

        num_heads = Constant <value_int: int = @num_heads> ()
        width = Shape <start = -1> (queries)
        head_size = Div (width, num_heads)
        head_size_float = Cast <to = 1> (head_size)
        root = Sqrt (head_size_float)
        small_queries = Div (queries, root)

        batch_and_tokens = Constant <value_ints = [0, 0, -1]> ()
        by_head = Concat <axis = 0> (batch_and_tokens, head_size)
        queries_by_head = Reshape (small_queries, by_head)
        keys_by_head = Reshape (keys, by_head)
        values_by_head = Reshape (values, by_head)"""
MIXED = f"""
        shares = Softmax <axis = -1> (scores)
        mixed = MatMul (shares, v)
        by_token = Transpose <perm = [0, 2, 1, 3]> (mixed)
        attended = Reshape (by_token, batch_and_tokens)

        output = {DOMAIN}.Linear (attended, output_weight, output_scale, output_sum, output_bias)
        around_attention = Sum (states, output)
        x = LayerNormalization <axis = -1, epsilon: float = @epsilon>
            (around_attention, attention_gamma, attention_beta)"""


def encoder_layer(activation: str, *, relative: bool, balanced: bool = False, observed: bool = False) -> str:
    """The text of ``EncoderLayer`` for one of ``ACTIVATIONS``.

    states [batch, tokens, width] -> y in the same shape. The columns of ``qkv_weight`` [width, 3 * width] are
    all heads' queries, then all keys, then all values. The attribute ``activation`` is for the kernel: no
    body can choose by a string, so that the body has only the one.

    ``relative``: with a bias by distance. ``balanced``: what qkv and up take is multiplied by a factor a
    channel first, ``qkv_factors`` and ``up_factors`` [width]. ``observed``: the inputs of the other products
    are outputs as well, for calibration.
    """
    last_inputs = "".join(f", {name}" for name in last_layer_inputs(relative=relative, balanced=balanced))
    bias = f"{DOMAIN}.AttentionBias (attention_mask)"
    if relative:
        bias = f"{DOMAIN}.RelativeAttentionBias (attention_mask, relative_bias)"
    balance = {"states": "", "x": ""}
    if balanced:
        balance = {
            "states": "balanced_states = Mul (states, qkv_factors)",
            "x": "balanced_x = Mul (x, up_factors)",
        }
    prefix = "balanced_" * balanced
    more_outputs = "".join(f", {name}" for name in OBSERVED) if observed else ""
    return f"""{HEADER}
    EncoderLayer <num_heads, epsilon, activation> (
        states, attention_mask,
        qkv_weight, qkv_scale, qkv_sum, qkv_bias,
        output_weight, output_scale, output_sum, output_bias,
        attention_gamma, attention_beta,
        up_weight, up_scale, up_sum, up_bias,
        down_weight, down_scale, down_sum, down_bias,
        output_gamma, output_beta{last_inputs}
    ) => (y{more_outputs}) {{
        {balance["states"]}
        qkv = {DOMAIN}.Linear ({prefix}states, qkv_weight, qkv_scale, qkv_sum, qkv_bias)
{HEADS}
        q = Transpose <perm = [0, 2, 1, 3]> (queries_by_head)
        k = Transpose <perm = [0, 2, 3, 1]> (keys_by_head)
        v = Transpose <perm = [0, 2, 1, 3]> (values_by_head)

        products = MatMul (q, k)
        bias = {bias}
        scores = Add (products, bias)
{MIXED}

        {balance["x"]}
        raised = {DOMAIN}.Linear ({prefix}x, up_weight, up_scale, up_sum, up_bias)
        {ACTIVATIONS[activation]}
        lowered = {DOMAIN}.Linear (active, down_weight, down_scale, down_sum, down_bias)
        around_both = Sum (x, lowered)
        normal = LayerNormalization <axis = -1, epsilon: float = @epsilon>
            (around_both, output_gamma, output_beta)
        y = {DOMAIN}.OnlyTokens (normal, attention_mask)
    }}"""


VOCABULARY_INPUTS = """
        states, attention_mask,
        transform_weight, transform_scale, transform_sum, transform_bias, gamma, beta,
        scores_weight, scores_scale, scores_sum, scores_bias"""
SCORED = f"""
        raised = {DOMAIN}.Linear (states, transform_weight, transform_scale, transform_sum, transform_bias)
        {{activation}}
        normal = LayerNormalization <axis = -1, epsilon: float = @epsilon> (active, gamma, beta)
        scores = {DOMAIN}.Linear (normal, scores_weight, scores_scale, scores_sum, scores_bias)
        all_positive = Relu (scores)
        positive = {DOMAIN}.OnlyTokens (all_positive, attention_mask)
        tokens_axis = Constant <value_ints = [1]> ()"""
"""What comes before the pooling over tokens."""


def vocabulary_maxima(activation: str) -> str:
    """The text of ``VocabularyMaxima`` for one of ``ACTIVATIONS``.

    states [batch, tokens, width] -> maxima [batch, entries]: of each entry of the vocabulary, the greatest
    score over a row's tokens, 0 at the least. Of a row with several sequences, the kernel alone gives maxima
    for each, [sequences, entries].
    """
    return f"""{HEADER}
    VocabularyMaxima <epsilon, activation> ({VOCABULARY_INPUTS}
    ) => (maxima) {{{SCORED.format(activation=ACTIVATIONS[activation])}
        maxima = ReduceMax <keepdims = 0> (positive, tokens_axis)
    }}"""


def vocabulary_sums(activation: str, *, logarithms: int) -> str:
    """The text of ``VocabularySums``, which has no kernel: the sum over a row's tokens, [batch, entries].

    Of log(1 + score), or with two ``logarithms`` of log(1 + log(1 + score)), where a score is above zero.
    """
    logs = "".join(
        f"""
        above.{number} = Add ({f"log.{number - 1}" if number else "positive"}, one)
        log.{number} = Log (above.{number})"""
        for number in range(logarithms)
    )
    return f"""{HEADER}
    VocabularySums <epsilon, activation> ({VOCABULARY_INPUTS}
    ) => (sums) {{{SCORED.format(activation=ACTIVATIONS[activation])}
        one = Constant <value = float {{1.0}}> (){logs.replace(".", "_")}
        sums = ReduceSum <keepdims = 0> (log_{logarithms - 1}, tokens_axis)
    }}"""
