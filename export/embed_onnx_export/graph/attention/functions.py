"""Attention and the rotation of positions as functions of standard operators, which our kernels replace.

They take heads as products give them, [batch, tokens, heads, size], so that no tensor is transposed or
repeated.
"""

from embed_onnx_export.graph.bert.functions import HEADER

UNLIMITED = 2**31 - 1
"""As many tokens before a token, or after it, as there are."""
MOST_TOKENS = 65_000
"""Of a text that the kernel takes: of more, a sum of integers could exceed 32 bits."""
MOST_SCORES = 2**18
"""Of a head in one block of queries: 512 tokens are one block."""

# queries [batch, tokens, heads, size], keys and values [batch, tokens, groups, size] -> y, in the shape of
# queries. Scores are products times `scale`. A token sees the tokens of its number in attention_mask, from
# `before` places before it to `after` places after it; a number below zero is seen by none. A block of
# queries reads the keys that any of them may see.
ATTENTION = f"""{HEADER}
    Attention <scale, before, after> (queries, keys, values, attention_mask) => (y) {{
        batch = Shape <start = 0, end = 1> (queries)
        tokens = Shape <start = 1, end = 2> (queries)
        heads_and_size = Shape <start = 2> (queries)
        heads = Shape <start = 2, end = 3> (queries)
        groups = Shape <start = 2, end = 3> (keys)
        a_group = Div (heads, groups)
        size = Shape <start = 3> (queries)
        zero = Constant <value_ints = [0]> ()
        one = Constant <value_ints = [1]> ()
        minus_one = Constant <value_ints = [-1]> ()
        most_scores = Constant <value_ints = [{MOST_SCORES}]> ()
        most_rows = Div (most_scores, tokens)
        some_rows = Max (most_rows, one)
        last_token = Sub (tokens, one)
        whole_blocks = Div (last_token, some_rows)
        count = Add (whole_blocks, one)
        last_block = Sub (count, one)
        tokens_and_more = Add (tokens, last_block)
        rows = Div (tokens_and_more, count)
        padded = Mul (rows, count)
        padding = Sub (padded, tokens)

        factor = Constant <value_float: float = @scale> ()
        scaled = Mul (queries, factor)
        by_group = Concat <axis = 0> (batch, tokens, groups, a_group, size)
        grouped = Reshape (scaled, by_group)
        group_queries = Transpose <perm = [0, 2, 3, 1, 4]> (grouped)
        group_keys = Transpose <perm = [0, 2, 3, 1]> (keys)
        group_values = Transpose <perm = [0, 2, 1, 3]> (values)
        third = Constant <value_ints = [2]> ()
        all_keys = Unsqueeze (group_keys, third)
        all_values = Unsqueeze (group_values, third)
        pads = Concat <axis = 0> (zero, padding)
        tokens_axis = Constant <value_ints = [3]> ()
        size_axis = Constant <value_ints = [4]> ()
        all_queries = Pad (group_queries, pads, , tokens_axis)
        absolute = Abs (attention_mask)
        numbers = Pad (absolute, pads, , one)

        reach_before = Constant <value_int: int = @before> ()
        reach_after = Constant <value_int: int = @after> ()
        nothing = Constant <value = float {{0.0}}> ()
        never = Constant <value = float {{-3.4e38}}> ()
        always = Constant <value = bool {{1}}> ()
        blocks = Loop (count, always) <body = block (int64 turn, bool going)
            => (bool going_on, float[b, g, h, r, s] mixed) {{
            going_on = Identity (going)
            start = Mul (turn, rows)
            end = Add (start, rows)
            start_less = Sub (start, reach_before)
            first = Max (start_less, zero)
            end_more = Add (end, reach_after)
            last = Min (end_more, tokens)
            some_queries = Slice (all_queries, start, end, tokens_axis)
            some_keys = Slice (all_keys, first, last, size_axis)
            some_values = Slice (all_values, first, last, tokens_axis)
            query_numbers = Slice (numbers, start, end, one)
            key_numbers = Slice (attention_mask, first, last, one)
            queries_first = Unsqueeze (query_numbers, third)
            keys_last = Unsqueeze (key_numbers, one)
            same = Equal (queries_first, keys_last)
            ahead = Sub (start, first)
            latest = Add (ahead, reach_after)
            earliest = Sub (ahead, reach_before)
            no_axes = Constant <value_ints: ints = []> ()
            upper = Reshape (latest, no_axes)
            lower = Reshape (earliest, no_axes)
            not_after = Trilu <upper = 0> (same, upper)
            seen = Trilu <upper = 1> (not_after, lower)
            bias = Where (seen, nothing, never)
            head_axes = Constant <value_ints = [1, 2]> ()
            head_bias = Unsqueeze (bias, head_axes)
            products = MatMul (some_queries, some_keys)
            scores = Add (products, head_bias)
            shares = Softmax <axis = -1> (scores)
            mixed = MatMul (shares, some_values)
        }}>
        by_token = Transpose <perm = [1, 0, 4, 2, 3, 5]> (blocks)
        shape = Concat <axis = 0> (batch, minus_one, heads_and_size)
        whole = Reshape (by_token, shape)
        y = Slice (whole, zero, tokens, one)
    }}"""

# x [batch, tokens, heads, size]; cosines, sines [1 or batch, tokens, channels] -> y, in the shape of x. Of
# the first `channels` of a head, each of the first half is the real part of a number, and of the second half
# its imaginary part. The others stay.
ROTATE_HEADS = f"""{HEADER}
    RotateHeads (x, cosines, sines) => (y) {{
        zero = Constant <value_ints = [0]> ()
        two = Constant <value_ints = [2]> ()
        last_axis = Constant <value_ints = [3]> ()
        size = Shape <start = 3> (x)
        channels = Shape <start = 2> (cosines)
        half = Div (channels, two)
        real = Slice (x, zero, half, last_axis)
        imaginary = Slice (x, half, channels, last_axis)
        others = Slice (x, channels, size, last_axis)
        turned = Slice (x, zero, channels, last_axis)
        below = Neg (imaginary)
        across = Concat <axis = -1> (below, real)
        head_cosines = Unsqueeze (cosines, two)
        head_sines = Unsqueeze (sines, two)
        along = Mul (turned, head_cosines)
        beside = Mul (across, head_sines)
        both = Add (along, beside)
        y = Concat <axis = -1> (both, others)
    }}"""
