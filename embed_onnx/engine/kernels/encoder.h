// The encoder in terms of `Isa`: included by each instruction set, inside its namespace, after its Isa.
//
// Nothing of the standard library with code in headers may be used here: the linker keeps one copy of an inline function,
// and that of another instruction set would crash this one.

using Float = Isa::Float;
using Int = Isa::Int;
using Quantized = Isa::Quantized;

constexpr int kLanes = Isa::lanes;
constexpr int kPanel = Isa::columns * kLanes;
constexpr int kBlock = kPanel * Isa::group;
constexpr int kCacheLine = 64;

int least(int a, int b) { return a < b ? a : b; }
int up_to(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

// ---- functions of one vector

// 2^x for x <= 126, and 2^-126 at the least; relative error below 1e-7. The polynomial is the one of degree 5 with the
// least greatest relative error on -1/2..1/2.
Float exp2(Float x) {
  x = Isa::max(x, Isa::all(-126.0f));
  Float whole = Isa::round(x), part = x - whole;
  Float y = Isa::all(0.00132777251f);
  y = Isa::fma(y, part, Isa::all(0.00967640709f));
  y = Isa::fma(y, part, Isa::all(0.0555071197f));
  y = Isa::fma(y, part, Isa::all(0.240220934f));
  y = Isa::fma(y, part, Isa::all(0.693146944f));
  y = Isa::fma(y, part, Isa::all(1.00000012f));
  return Isa::scale_by_power(y, whole);
}

// x / (1 + e^-y)
Float times_sigmoid(Float x, Float y) {
  const float log2e = 1.44269504f;
  Float power = Isa::min(y * Isa::all(-log2e), Isa::all(126.0f));
  return x / (Isa::all(1.0f) + exp2(power));
}

// x * Phi(x), Phi the normal distribution function; absolute error below 6e-5 where |x| < 40, and 1.5e-6 of |x| beyond.
// Phi(t) - 1/2 is an odd function: t times a polynomial in t^2, the one of degree 8 with the least greatest error of the
// product on -4.4..4.4.
Float gelu(Float x) {
  const float end = 4.4f;
  Float t = Isa::max(Isa::min(x, Isa::all(end)), Isa::all(-end)), u = t * t;
  Float y = Isa::all(3.57251867e-11f);
  y = Isa::fma(y, u, Isa::all(-3.75652931e-09f));
  y = Isa::fma(y, u, Isa::all(1.7416707e-07f));
  y = Isa::fma(y, u, Isa::all(-4.72632883e-06f));
  y = Isa::fma(y, u, Isa::all(8.4307947e-05f));
  y = Isa::fma(y, u, Isa::all(-0.00105508091f));
  y = Isa::fma(y, u, Isa::all(0.00964331627f));
  y = Isa::fma(y, u, Isa::all(-0.0660768822f));
  y = Isa::fma(y, u, Isa::all(0.398761868f));
  return x * Isa::fma(t, y, Isa::all(0.5f));
}

// x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2, written with 2 / (1 + e^-2z) - 1 for tanh(z).
Float gelu_tanh(Float x) {
  const float twice_sqrt_2_over_pi = 1.59576912f;
  return times_sigmoid(x, Isa::all(twice_sqrt_2_over_pi) * Isa::fma(x * x * x, Isa::all(0.044715f), x));
}

struct Gelu { static Float of(Float x) { return gelu(x); } };
struct GeluTanh { static Float of(Float x) { return gelu_tanh(x); } };
struct Relu { static Float of(Float x) { return Isa::max(x, Isa::zero()); } };
struct Silu { static Float of(Float x) { return times_sigmoid(x, x); } };

// ---- functions of one row

// Writes `x` [width] as quantized numbers, zeros after it up to `inputs`.
void quantize_row(const float* x, int width, int inputs, Quantized* values, float* scale, float* minimum) {
  const int whole = width / kLanes * kLanes, tail = width - whole;
  Float low = Isa::all(x[0]), high = low;
  for (int i = 0; i < whole; i += kLanes) {
    Float v = Isa::load(x + i);
    low = Isa::min(low, v);
    high = Isa::max(high, v);
  }
  if (tail) {
    Float v = Isa::select_first(tail, Isa::load_first(x + whole, tail), low);
    low = Isa::min(low, v);
    high = Isa::max(high, Isa::select_first(tail, v, high));
  }
  const float least = Isa::least(low), range = Isa::greatest(high) - least;
  const float step = range > 255e-30f ? range / 255.0f : 1e-30f;
  *minimum = least;
  *scale = step;
  // At most 255 * (1 + 2^-23) before it is rounded: never out of range.
  const Float start = Isa::all(least), inverse = Isa::all(1.0f / step);
  for (int i = 0; i < whole; i += kLanes)
    Isa::store_quantized(values + i, Isa::to_int((Isa::load(x + i) - start) * inverse));
  if (tail) {
    Quantized some[kLanes];
    Isa::store_quantized(some, Isa::to_int((Isa::load_first(x + whole, tail) - start) * inverse));
    std::memcpy(values + whole, some, tail * sizeof(Quantized));
  }
  for (int i = width; i < inputs; i++) values[i] = 0;  // their weights are zero
}

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta; x and y may be the same.
void layer_norm(const float* x, int width, float epsilon, const float* gamma, const float* beta, float* y) {
  const int whole = width / kLanes * kLanes, tail = width - whole;
  Float total = Isa::zero();
  for (int i = 0; i < whole; i += kLanes) total = total + Isa::load(x + i);
  if (tail) total = total + Isa::load_first(x + whole, tail);
  const Float mean = Isa::all(Isa::sum(total) / width);

  Float squares = Isa::zero();
  for (int i = 0; i < whole; i += kLanes) {
    Float v = Isa::load(x + i) - mean;
    squares = Isa::fma(v, v, squares);
  }
  if (tail) {
    Float v = Isa::select_first(tail, Isa::load_first(x + whole, tail) - mean, Isa::zero());
    squares = Isa::fma(v, v, squares);
  }
  const Float factor = Isa::all(1.0f / __builtin_sqrtf(Isa::sum(squares) / width + epsilon));

  for (int i = 0; i < whole; i += kLanes)
    Isa::store(y + i, Isa::fma((Isa::load(x + i) - mean) * factor, Isa::load(gamma + i), Isa::load(beta + i)));
  if (tail) {
    Float v = (Isa::load_first(x + whole, tail) - mean) * factor;
    v = Isa::fma(v, Isa::load_first(gamma + whole, tail), Isa::load_first(beta + whole, tail));
    Isa::store_first(y + whole, tail, v);
  }
}

void embed(const Embeddings& table, int64_t id, int position, float* state) {
  const int width = table.width, whole = width / kLanes * kLanes;
  const int8_t* word = table.words + id * width;
  const float scale = table.word_scale[id];
  const float* place = table.positions + static_cast<size_t>(position) * width;
  for (int i = 0; i < whole; i += kLanes)
    Isa::store(state + i, Isa::fma(Isa::load_int8(word + i), Isa::all(scale), Isa::load(place + i)));
  for (int i = whole; i < width; i++) state[i] = __builtin_fmaf(word[i], scale, place[i]);
  layer_norm(state, width, table.epsilon, table.gamma, table.beta, state);
}

// ---- the product of quantized rows and weights

// What becomes of a result: it is stored, added to what is there, or taken through an activation.
struct Store { static Float of(Float x, const float*) { return x; } };
struct AddTo { static Float of(Float x, const float* there) { return Isa::load(there) + x; } };
template <class F>
struct Apply { static Float of(Float x, const float*) { return F::of(x); } };

struct Operands {
  const Quantized* rows;  // [R, inputs]
  const float* row_scale;
  const float* row_minimum;
  int inputs;
  const int8_t* weights;  // one panel: [inputs / group, kPanel, group]
  Halves halves;          // from this panel on
  const float* scale;     // [kPanel]
  const float* sum;
  const float* bias;
  const int32_t* start;
  int number;  // of this tile among those of the panel
  int tiles;
};

// One group of activations, which fills an int32, in every lane.
Int broadcast_group(const Quantized* p) {
  static_assert(Isa::group * sizeof(Quantized) == sizeof(int32_t));
  int32_t group;
  std::memcpy(&group, p, sizeof group);
  return Isa::all(group);
}

// Adds the products of one group of R rows, `inputs` apart, and one block of weights. Here and below each loop over sums is
// unrolled, or a compiler keeps them in memory: clang 22 these, gcc 12 those around them.
template <int R>
inline __attribute__((always_inline)) void add_group(Int (&sums)[R][Isa::columns], const Quantized* rows, int inputs,
                                                     const int8_t* block) {
  constexpr int C = Isa::columns;
  Int weights[C];
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) weights[c] = Isa::load_weights(block + c * kLanes * Isa::group);
#pragma GCC unroll 8
  for (int r = 0; r < R; r++) {
    const Int x = broadcast_group(rows + static_cast<size_t>(r) * inputs);
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) sums[r][c] = Isa::dot(sums[r][c], x, weights[c]);
  }
}

// Fetches the block one panel further on, a cache line for each tile of this panel in turn: the next panel, or the first one
// of the next product, has then come from memory when it is needed.
inline __attribute__((always_inline)) void prefetch_next(const Operands& in, const int8_t* block) {
  const int8_t* next = block + static_cast<size_t>(in.inputs) * kPanel;
  for (int i = in.number * kCacheLine; i < kBlock; i += in.tiles * kCacheLine) __builtin_prefetch(next + i, 0, 2);
}

// R rows by one panel of channels.
template <int R, class Epilogue>
void tile(const Operands& in, float* out, size_t stride) {
  constexpr int C = Isa::columns;
  Int sums[R][C];
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) {
    const Int start = Isa::load(in.start + c * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) sums[r][c] = start;
  }
  const int8_t* block = in.weights;
  for (int k = 0; k < in.inputs; k += Isa::group, block += kBlock) {
    prefetch_next(in, block);
    add_group<R>(sums, in.rows + k, in.inputs, block);
  }
  if constexpr (Isa::pair_sum < kAnyPair)
    for (int i = in.halves.starts[0]; i < in.halves.starts[1]; i++)
      add_group<R>(sums, in.rows + in.halves.inputs[i], in.inputs, in.halves.weights + static_cast<size_t>(i) * kBlock);
  const Operands by = in;  // a copy, which stores to `out` cannot change
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) {
    const int i = c * kLanes;
    const Float scale = Isa::load(by.scale + i), sum = Isa::load(by.sum + i), bias = Isa::load(by.bias + i);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      float* place = out + r * stride + i;
      Float shift = Isa::fma(Isa::all(by.row_minimum[r]), sum, bias);
      Float y = Isa::fma(Isa::to_float(sums[r][c]) * scale, Isa::all(by.row_scale[r]), shift);
      Isa::store(place, Epilogue::of(y, place));
    }
  }
}

using Tile = void (*)(const Operands&, float*, size_t);
template <class Epilogue>
struct Tiles {
  static constexpr Tile of_rows[kTileRows] = {tile<1, Epilogue>, tile<2, Epilogue>, tile<3, Epilogue>,
                                              tile<4, Epilogue>, tile<5, Epilogue>, tile<6, Epilogue>};
};

int tiles_of(int rows) { return (rows + kTileRows - 1) / kTileRows; }

// Calls f(row, rows) for tiles of nearly equal height that cover `rows`.
template <class F>
void for_each_tile(int rows, F f) {
  int row = 0;
  for (int tiles = tiles_of(rows); tiles > 0; tiles--) {
    const int height = (rows - row + tiles - 1) / tiles;
    f(row, height);
    row += height;
  }
}

// `columns` channels of a product, from `first` on, both whole panels: out [count, stride].
template <class Epilogue>
void multiply(const Product& product, int first, int columns, const Rows& rows, int row, int count, float* out,
              size_t stride) {
  const Quantized* values = static_cast<const Quantized*>(rows.values) + static_cast<size_t>(row) * product.inputs;
  for (int panel = first; panel < first + columns; panel += kPanel) {
    int number = 0;
    for_each_tile(count, [&](int top, int height) {
      const Operands in = {values + static_cast<size_t>(top) * product.inputs,
                           rows.scale + row + top,
                           rows.minimum + row + top,
                           product.inputs,
                           product.weights + static_cast<size_t>(panel) * product.inputs,
                           {product.halves.starts + panel / kPanel, product.halves.inputs, product.halves.weights},
                           product.scale + panel,
                           product.sum + panel,
                           product.bias + panel,
                           product.start + panel,
                           number++,
                           tiles_of(count)};
      Tiles<Epilogue>::of_rows[height - 1](in, out + top * stride + (panel - first), stride);
    });
  }
}

void quantize(const Pass& pass, int first, int last) {
  const Layer& layer = *pass.layer;
  for (int i = first; i < last; i++)
    quantize_row(pass.states + static_cast<size_t>(pass.pack.rows[i]) * layer.width, layer.width, layer.qkv.inputs,
                 static_cast<Quantized*>(pass.quantized.values) + static_cast<size_t>(i) * layer.qkv.inputs,
                 pass.quantized.scale + i, pass.quantized.minimum + i);
}

// ---- attention, in float32

// One head of one sequence: queries, keys and values are columns of rows `stride` apart.
struct Head {
  const float* queries;
  const float* keys;
  const float* values;
  size_t stride;
  int size;           // padded
  int length;         // of the sequence
  const float* bias;  // null, or by key position - query position
};

// Scratch of one head: its keys with a vector of tokens together, and scores of one tile of queries.
struct Scores {
  float* keys;    // [head size, padded length]
  float* scores;  // [kTileRows, padded length]
  size_t stride;  // padded length
};

void transpose_keys(const Head& head, const Scores& to) {
  for (int i = 0; i < head.length; i++)
    for (int d = 0; d < head.size; d++) to.keys[d * to.stride + i] = head.keys[i * head.stride + d];
  for (size_t i = head.length; i < to.stride; i++)
    for (int d = 0; d < head.size; d++) to.keys[d * to.stride + i] = 0;
}

// Scores of R queries and C vectors of keys.
template <int R, int C>
void score_tile(const Head& head, const float* queries, const float* keys, size_t key_stride, float* out) {
  Float sums[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sums[r][c] = Isa::zero();
  for (int d = 0; d < head.size; d++) {
    Float k[C];
    for (int c = 0; c < C; c++) k[c] = Isa::load(keys + d * key_stride + c * kLanes);
    for (int r = 0; r < R; r++) {
      const Float q = Isa::all(queries[r * head.stride + d]);
      for (int c = 0; c < C; c++) sums[r][c] = Isa::fma(q, k[c], sums[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) Isa::store(out + r * key_stride + c * kLanes, sums[r][c]);
}

// Turns the scores of one query into weights, not yet divided by their sum, which is returned.
float softmax(float* scores, int length) {
  const int last = (length - 1) / kLanes * kLanes, tail = length - last;
  Float most = Isa::select_first(tail, Isa::load(scores + last), Isa::all(-3e38f));
  for (int i = 0; i < last; i += kLanes) most = Isa::max(most, Isa::load(scores + i));
  most = Isa::all(Isa::greatest(most));
  Float total = Isa::zero();
  for (int i = 0; i < last; i += kLanes) {
    Float weight = exp2(Isa::load(scores + i) - most);
    total = total + weight;
    Isa::store(scores + i, weight);
  }
  Float weight = Isa::select_first(tail, exp2(Isa::load(scores + last) - most), Isa::zero());
  Isa::store(scores + last, weight);
  return Isa::sum(total + weight);
}

// Weighted sums of values: R queries by C vectors of the head.
template <int R, int C>
void value_tile(const Head& head, const float* weights, size_t weight_stride, const float* values,
                const float* factor, float* out, size_t out_stride) {
  Float sums[R][C];
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) sums[r][c] = Isa::zero();
  for (int i = 0; i < head.length; i++) {
    Float v[C];
    for (int c = 0; c < C; c++) v[c] = Isa::load(values + i * head.stride + c * kLanes);
    for (int r = 0; r < R; r++) {
      const Float w = Isa::all(weights[r * weight_stride + i]);
      for (int c = 0; c < C; c++) sums[r][c] = Isa::fma(w, v[c], sums[r][c]);
    }
  }
  for (int r = 0; r < R; r++)
    for (int c = 0; c < C; c++) Isa::store(out + r * out_stride + c * kLanes, sums[r][c] * Isa::all(factor[r]));
}

// R queries, from `first` on.
template <int R>
void attend_tile(const Head& head, int first, const Scores& scratch, float* out, size_t out_stride) {
  constexpr int C = Isa::columns;
  const float* queries = head.queries + first * head.stride;
  const int end = static_cast<int>(scratch.stride);
  int i = 0;
  for (; i + C * kLanes <= end; i += C * kLanes)
    score_tile<R, C>(head, queries, scratch.keys + i, scratch.stride, scratch.scores + i);
  for (; i < end; i += kLanes)
    score_tile<R, 1>(head, queries, scratch.keys + i, scratch.stride, scratch.scores + i);

  float factor[R];
  for (int r = 0; r < R; r++) {
    float* scores = scratch.scores + r * scratch.stride;
    if (head.bias)
      for (int j = 0; j < end; j += kLanes)
        Isa::store(scores + j, Isa::load(scores + j) + Isa::load(head.bias + j - (first + r)));
    factor[r] = 1.0f / softmax(scores, head.length);
  }

  int d = 0;
  for (; d + 2 * kLanes <= head.size; d += 2 * kLanes)
    value_tile<R, 2>(head, scratch.scores, scratch.stride, head.values + d, factor, out + d, out_stride);
  for (; d < head.size; d += kLanes)
    value_tile<R, 1>(head, scratch.scores, scratch.stride, head.values + d, factor, out + d, out_stride);
}

void attend_head(const Head& head, float* scratch, float* out, size_t out_stride) {
  using Part = void (*)(const Head&, int, const Scores&, float*, size_t);
  static constexpr Part of_rows[kTileRows] = {attend_tile<1>, attend_tile<2>, attend_tile<3>,
                                              attend_tile<4>, attend_tile<5>, attend_tile<6>};
  const size_t padded = up_to(head.length, kLanes);
  const Scores scores = {scratch, scratch + head.size * padded, padded};
  transpose_keys(head, scores);
  for_each_tile(head.length, [&](int first, int rows) {
    of_rows[rows - 1](head, first, scores, out + first * out_stride, out_stride);
  });
}

size_t attend_scratch(const Layer& layer, int tokens, int longest) {
  const size_t padded = up_to(longest, kLanes);
  const size_t projections = static_cast<size_t>(tokens) * layer.group_columns();
  return sizeof(float) * (projections + (layer.head_size + kTileRows) * padded);
}

// The projections of one group of heads for all tokens, then its heads sequence by sequence.
void attend(const Pass& pass, int group, char* memory) {
  const Layer& layer = *pass.layer;
  const size_t stride = layer.group_columns();
  const int tokens = pass.pack.tokens();
  float* projections = reinterpret_cast<float*>(memory);
  float* scratch = projections + tokens * stride;
  multiply<Store>(layer.qkv, group * layer.group_columns(), layer.group_columns(), pass.quantized, 0, tokens,
                  projections, stride);
  const int first = group * layer.heads_a_group, end = least(first + layer.heads_a_group, layer.heads);
  for (int sequence = 0; sequence < pass.pack.sequences; sequence++) {
    const int token = pass.pack.starts[sequence];
    for (int number = first; number < end; number++) {
      const float* queries = projections + token * stride + (number - first) * 3 * layer.head_size;
      const Head head = {queries,
                         queries + layer.head_size,
                         queries + 2 * layer.head_size,
                         stride,
                         layer.head_size,
                         pass.pack.length(sequence),
                         layer.relative_bias ? layer.relative_bias + number * static_cast<size_t>(layer.relative_stride) +
                                                   layer.positions - 1
                                             : nullptr};
      const size_t context = layer.context_width();
      attend_head(head, scratch, pass.context + token * context + number * layer.head_size, context);
    }
  }
}

// ---- the rest of a layer, for some rows

// What lies between two products of a chunk of rows.
struct Chunk {
  float* states;  // [rows, output.outputs], the sum that becomes the next states
  float* hidden;  // [rows, up.outputs]
  Rows rows;      // [rows, inputs of the next product]
};

int widest_input(const Layer& layer) {
  int widest = layer.output.inputs;
  if (layer.up.inputs > widest) widest = layer.up.inputs;
  return layer.down.inputs > widest ? layer.down.inputs : widest;
}

// Rows of the chunks of so many: as many floats are whole cache lines.
size_t chunk_rows(int rows) { return least(kChunk, up_to(rows, 16)); }

size_t transform_scratch(const Layer& layer, int rows) {
  const size_t floats = layer.output.outputs + layer.up.outputs + 2;
  return chunk_rows(rows) * (sizeof(float) * floats + sizeof(Quantized) * widest_input(layer));
}

Chunk lay_out(const Layer& layer, int rows, char* memory) {
  const size_t most = chunk_rows(rows);
  Chunk chunk;
  chunk.states = reinterpret_cast<float*>(memory);
  chunk.hidden = chunk.states + most * layer.output.outputs;
  chunk.rows.scale = chunk.hidden + most * layer.up.outputs;
  chunk.rows.minimum = chunk.rows.scale + most;
  chunk.rows.values = chunk.rows.minimum + most;
  return chunk;
}

// Rows of `width` floats, `stride` apart, as the input of a product.
void quantize_chunk(const float* x, int width, size_t stride, int count, const Product& next, const Rows& to) {
  for (int r = 0; r < count; r++)
    quantize_row(x + r * stride, width, next.inputs, static_cast<Quantized*>(to.values) + r * static_cast<size_t>(next.inputs),
                 to.scale + r, to.minimum + r);
}

template <class F>
void expand(const Layer& layer, const Chunk& chunk, int count) {
  multiply<Apply<F>>(layer.up, 0, layer.up.outputs, chunk.rows, 0, count, chunk.hidden, layer.up.outputs);
}

void expand(const Layer& layer, const Chunk& chunk, int count) {
  switch (layer.activation) {
    case Activation::gelu: return expand<Gelu>(layer, chunk, count);
    case Activation::gelu_tanh: return expand<GeluTanh>(layer, chunk, count);
    case Activation::relu: return expand<Relu>(layer, chunk, count);
    case Activation::silu: return expand<Silu>(layer, chunk, count);
  }
}

void transform_chunk(const Pass& pass, int first, int count, const Chunk& chunk) {
  const Layer& layer = *pass.layer;
  const int width = layer.width;
  const size_t stride = layer.output.outputs;
  for (int r = 0; r < count; r++) {
    const float* from = pass.states + static_cast<size_t>(pass.pack.rows[first + r]) * width;
    std::memcpy(chunk.states + r * stride, from, width * sizeof(float));
  }
  const size_t context = layer.context_width();
  quantize_chunk(pass.context + first * context, layer.context_width(), context, count, layer.output, chunk.rows);
  multiply<AddTo>(layer.output, 0, layer.output.outputs, chunk.rows, 0, count, chunk.states, stride);
  for (int r = 0; r < count; r++) {
    float* state = chunk.states + r * stride;
    layer_norm(state, width, layer.epsilon, layer.attention_gamma, layer.attention_beta, state);
  }
  quantize_chunk(chunk.states, width, stride, count, layer.up, chunk.rows);
  expand(layer, chunk, count);
  quantize_chunk(chunk.hidden, layer.hidden, layer.up.outputs, count, layer.down, chunk.rows);
  multiply<AddTo>(layer.down, 0, layer.down.outputs, chunk.rows, 0, count, chunk.states, stride);
  for (int r = 0; r < count; r++) {
    float* to = pass.output + static_cast<size_t>(pass.pack.rows[first + r]) * width;
    layer_norm(chunk.states + r * stride, width, layer.epsilon, layer.output_gamma, layer.output_beta, to);
  }
}

void transform(const Pass& pass, int first, int last, char* memory) {
  const Chunk chunk = lay_out(*pass.layer, last - first, memory);
  for (int row = first; row < last; row += kChunk) transform_chunk(pass, row, least(kChunk, last - row), chunk);
}

// ---- the limit

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// More sums than an instruction's latency takes turns of, so that none waits for another. Apart from `peak`, so that they
// stay in registers.
constexpr int kSums = 12;

__attribute__((noinline)) float dot_products(int rounds) {
  int32_t group = 0;
  const Int weights = Isa::all(group);
  Int sums[kSums];
  for (int i = 0; i < kSums; i++) sums[i] = weights;
  for (int round = 0; round < rounds; round++) {
    __asm__ volatile("" : "+r"(group));  // or the compiler would multiply once for all rounds
    const Int activations = Isa::all(group);
    for (int i = 0; i < kSums; i++) sums[i] = Isa::dot(sums[i], activations, weights);
  }
  Float total = Isa::zero();
  for (int i = 0; i < kSums; i++) total = total + Isa::to_float(sums[i]);
  return Isa::sum(total);
}

double peak(double seconds) {
  constexpr int kRounds = 1000;
  double multiply_adds = 0, elapsed = 0;
  for (const double begin = now(); elapsed < seconds; elapsed = now() - begin) {
    multiply_adds += dot_products(kRounds);
    multiply_adds += static_cast<double>(kRounds) * kSums * kLanes * Isa::group;
  }
  return multiply_adds / elapsed;
}

constexpr Engine engine(const char* name) {
  return {name,
          {kPanel, Isa::group, sizeof(Quantized), Isa::offset, Isa::pair_sum},
          supported,
          attend_scratch,
          transform_scratch,
          quantize,
          attend,
          transform,
          embed,
          peak};
}
