"""The functions of a ModernBERT's model.onnx beside those of ``bert.functions``, as text.

Any runtime runs these bodies; our native library brings faster kernels for ``TokenNorm`` and ``RotaryLayer``
under the same names. What masks mean, and how products are quantised, is in ``bert.functions``.
"""

from embed_onnx_export.graph.bert.functions import ACTIVATIONS, DOMAIN, HEADER, HEADS, MIXED

TOKEN_NORM = f"""{HEADER}
    TokenNorm <epsilon> (states, attention_mask, gamma, beta) => (normal) {{
        all = LayerNormalization <axis = -1, epsilon: float = @epsilon> (states, gamma, beta)
        normal = {DOMAIN}.OnlyTokens (all, attention_mask)
    }}"""

# Of x [batch, heads, tokens, size], by cosines and sines [positions, size / 2] and ranks [batch, tokens]:
# channels i and i + size / 2 are the parts of a complex number, which is rotated.
ROTATE = f"""{HEADER}
    Rotate (x, cosines, sines, ranks) => (y) {{
        heads_axis = Constant <value_ints = [1]> ()
        token_cosines = Gather (cosines, ranks)
        token_sines = Gather (sines, ranks)
        c = Unsqueeze (token_cosines, heads_axis)
        s = Unsqueeze (token_sines, heads_axis)
        real, imaginary = Split <axis = -1, num_outputs = 2> (x)
        real_cosine = Mul (real, c)
        imaginary_sine = Mul (imaginary, s)
        rotated_real = Sub (real_cosine, imaginary_sine)
        imaginary_cosine = Mul (imaginary, c)
        real_sine = Mul (real, s)
        rotated_imaginary = Add (imaginary_cosine, real_sine)
        y = Concat <axis = -1> (rotated_real, rotated_imaginary)
    }}"""

# same bool [batch, tokens, tokens], ranks [batch, tokens] -> bias [batch, 1, tokens, tokens]: 0 within a
# sequence and the window, elsewhere a number that leaves nothing of a weight.
WINDOW_BIAS = f"""{HEADER}
    WindowBias <window> (same, ranks) => (bias) {{
        middle = Constant <value_ints = [1]> ()
        last = Constant <value_ints = [2]> ()
        key_ranks = Unsqueeze (ranks, middle)
        query_ranks = Unsqueeze (ranks, last)
        distances = Sub (key_ranks, query_ranks)
        apart = Abs (distances)
        most = Constant <value_int: int = @window> ()
        near = LessOrEqual (apart, most)
        both = And (same, near)
        seen = Unsqueeze (both, middle)
        nothing = Constant <value = float {{0.0}}> ()
        never = Constant <value = float {{-3.4e38}}> ()
        bias = Where (seen, nothing, never)
    }}"""


def rotary_layer(activation: str) -> str:
    """The text of ``RotaryLayer`` for one of ``ACTIVATIONS``.

    states, and normal, what qkv takes, [batch, tokens, width] -> y in the same shape. A token sees those of
    its sequence whose positions are at most ``window`` from its own. The columns of ``qkv_weight`` [width,
    3 * width] are all heads' queries, then all keys, then all values; of ``up_weight`` [width, 2 * inner]
    those that the activation takes, then those that its result is multiplied by. cosines, sines [positions,
    head size / 2].
    """
    return f"""{HEADER}
    RotaryLayer <num_heads, epsilon, activation, window> (
        states, normal, attention_mask, cosines, sines,
        qkv_weight, qkv_scale, qkv_sum, qkv_bias,
        output_weight, output_scale, output_sum, output_bias,
        attention_gamma, attention_beta,
        up_weight, up_scale, up_sum, up_bias,
        down_weight, down_scale, down_sum, down_bias
    ) => (y) {{
        qkv = {DOMAIN}.Linear (normal, qkv_weight, qkv_scale, qkv_sum, qkv_bias)
{HEADS}
        unrotated_q = Transpose <perm = [0, 2, 1, 3]> (queries_by_head)
        unrotated_k = Transpose <perm = [0, 2, 1, 3]> (keys_by_head)
        v = Transpose <perm = [0, 2, 1, 3]> (values_by_head)

        same, ranks = {DOMAIN}.Sequences (attention_mask)
        q = {DOMAIN}.Rotate (unrotated_q, cosines, sines, ranks)
        rotated_k = {DOMAIN}.Rotate (unrotated_k, cosines, sines, ranks)
        k = Transpose <perm = [0, 1, 3, 2]> (rotated_k)
        products = MatMul (q, k)
        bias = {DOMAIN}.WindowBias <window: int = @window> (same, ranks)
        scores = Add (products, bias)
{MIXED}

        both_halves = {DOMAIN}.Linear (x, up_weight, up_scale, up_sum, up_bias)
        raised, factor = Split <axis = -1, num_outputs = 2> (both_halves)
        {ACTIVATIONS[activation]}
        gated = Mul (active, factor)
        lowered = {DOMAIN}.Linear (gated, down_weight, down_scale, down_sum, down_bias)
        around_both = Sum (around_attention, lowered)
        y = {DOMAIN}.OnlyTokens (around_both, attention_mask)
    }}"""
