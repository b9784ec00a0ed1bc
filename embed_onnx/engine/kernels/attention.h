// Attention in integers of 16 bits, in terms of `Isa`. Included by encoder.h.
//
// The queries, keys and values of one head of one sequence have one factor each, or each query and key its own, so no other
// sequence plays a part. Sums of products are exact in 32 bits. Two numbers that one instruction multiplies and adds up share
// an int32: a pair.

// One head of one sequence: queries, keys and values are columns of rows.
struct Head {
  const float* queries;
  const float* keys;
  const float* values;
  size_t stride;      // from one query to the next
  size_t key_stride;  // from one key, or value, to the next
  int size;           // padded
  int length;         // of the sequence
  int seen;           // how many of its tokens, the first, are keys
  const float* bias;  // null, or by key position - query position
  float scale;        // of scores, besides what is in the queries
  int before;         // how far before its own position a query sees
  int after;          // and how far after it
};

constexpr float kLargest16 = 32767.0f;
constexpr float kLargest32 = 2147483000.0f;  // a little less, for what rounding adds

// Scratch of one head, and the factors from its floats to integers.
struct Scores {
  int32_t* keys;     // [head size / 2, padded length], pairs of channels
  int32_t* values;   // [padded length / 2, head size], pairs of tokens
  float* scores;     // [kTileRows, padded length], of one tile of queries
  int16_t* weights;  // [kTileRows, padded length]
  int16_t* queries;  // [kTileRows, head size]
  size_t stride;     // padded length
  float query_factor;
  float key_factor;
  float value_factor;
  float* key_steps;  // null, or what a key's integers are multiplied by, [padded length]: each key and query has its factor
};

// Bytes of the keys and the values of a head; and of what a tile of its queries needs.
size_t key_bytes(int size, size_t padded) { return padded * size * sizeof(int32_t); }
size_t tile_bytes(int size, size_t padded) {
  return kTileRows * (padded * (sizeof(float) + sizeof(int16_t)) + size * sizeof(int16_t));
}

void place_keys(Scores& scores, int size, size_t padded, char* memory) {
  scores.stride = padded;
  scores.keys = reinterpret_cast<int32_t*>(memory);
  scores.values = scores.keys + padded * size / 2;
  scores.key_steps = nullptr;
}

void place_tile(Scores& scores, char* memory) {
  scores.scores = reinterpret_cast<float*>(memory);
  scores.weights = reinterpret_cast<int16_t*>(scores.scores + kTileRows * scores.stride);
  scores.queries = scores.weights + kTileRows * scores.stride;
}

// The largest that a query or a key may become, so that no sum over their channels exceeds 32 bits. Nor does one of weights
// and values over the tokens: weights sum to kLargest16 and half a step for each token, and there are fewer than 65,000.
float largest_channel(int size) { return __builtin_floorf(__builtin_sqrtf(kLargest32 / size)); }

// What takes the largest of a head's queries, keys or values, either sign, to `largest`; not a number if one of them is not
// finite.
float factor_to(float largest, const float* x, size_t stride, int size, int tokens) {
  Float low = Isa::zero(), high = Isa::zero(), differences[kRegisters] = {};
  for (int i = 0; i < tokens; i++)
    for (int d = 0; d < size; d += kLanes) {
      const Float v = Isa::load(x + i * stride + d);
      low = Isa::min(low, v);
      high = Isa::max(high, v);
      differences[0] = differences[0] + (v - v);
    }
  const float most = Isa::greatest(Isa::max(high, Isa::zero() - low));
  return (largest + Isa::sum(differences)) / (most > 1e-30f ? most : 1e-30f);
}

// Writes `size` floats as integers.
void narrow(const float* x, int size, float factor, int16_t* to) {
  for (int d = 0; d < size; d += kLanes)
    Isa::store_int16(to + d, Isa::to_int(Isa::load(x + d) * Isa::all(factor)));
}

int32_t pair_at(const int16_t* p) {
  int32_t pair;
  std::memcpy(&pair, p, sizeof pair);
  return pair;
}

// The factor of one query or one key.
float factor_of(const float* x, int size) { return factor_to(largest_channel(size), x, 0, size, 1); }

void lay_out_keys(const Head& head, const Scores& to) {
  for (int i = 0; i < head.seen; i++) {
    const float* key = head.keys + i * head.key_stride;
    const float factor = to.key_steps ? factor_of(key, head.size) : to.key_factor;
    if (to.key_steps) to.key_steps[i] = 1.0f / factor;
    narrow(key, head.size, factor, to.queries);
    for (int d = 0; d < head.size; d += 2) to.keys[d / 2 * to.stride + i] = pair_at(to.queries + d);
  }
  for (size_t i = head.seen; i < to.stride; i++) {
    if (to.key_steps) to.key_steps[i] = 0;
    for (int d = 0; d < head.size; d += 2) to.keys[d / 2 * to.stride + i] = 0;
  }
}

void lay_out_values(const Head& head, const Scores& to) {
  const Float factor = Isa::all(to.value_factor);
  for (int i = 0; i < head.seen; i += 2)
    for (int d = 0; d < head.size; d += kLanes) {
      const float* v = head.values + i * head.key_stride + d;
      const Int first = Isa::to_int(Isa::load(v) * factor);
      const Int second = i + 1 < head.seen ? Isa::to_int(Isa::load(v + head.key_stride) * factor) : Isa::all(0);
      Isa::store_pairs(to.values + i / 2 * head.size + d, first, second);
    }
}

// Sums of products of R rows and C vectors of pairs: pair `i` of row `r` is at rows + r * row_stride + 2 i, and is
// multiplied by the vectors at columns + i * column_stride. They are written times the step of their row, and of their column
// unless `column_steps` is null.
template <int R, int C>
void pair_tile(const int16_t* rows, size_t row_stride, const int32_t* columns, size_t column_stride, int pairs,
               const float* row_steps, const float* column_steps, float* out, size_t out_stride) {
  Int sums[R][C];
#pragma GCC unroll 8
  for (int r = 0; r < R; r++)
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) sums[r][c] = Isa::all(0);
  for (int i = 0; i < pairs; i++, rows += 2, columns += column_stride) {
    Int vectors[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; c++) vectors[c] = Isa::load_pairs(columns + c * kLanes);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++) {
      const Int x = Isa::all(pair_at(rows + r * row_stride));
#pragma GCC unroll 8
      for (int c = 0; c < C; c++) sums[r][c] = Isa::dot_pairs(sums[r][c], x, vectors[c]);
    }
  }
#pragma GCC unroll 8
  for (int c = 0; c < C; c++) {
    const Float step = column_steps ? Isa::load(column_steps + c * kLanes) : Isa::all(1.0f);
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
      Isa::store(out + r * out_stride + c * kLanes, Isa::to_float(sums[r][c]) * (Isa::all(row_steps[r]) * step));
  }
}

// Turns the scores of one query into weights that sum to kLargest16, but for rounding.
void softmax(float* scores, int length, int16_t* weights) {
  const int last = (length - 1) / kLanes * kLanes;
  Float most = Isa::select_first(length - last, Isa::load(scores + last), Isa::all(-3e38f));
  for (int i = 0; i < last; i += kLanes) most = Isa::max(most, Isa::load(scores + i));
  most = Isa::all(Isa::greatest(most));
  const float total = sum(length, [&](Float so_far, int i, int lanes) {
    const Float weight = Isa::select_first(lanes, exp2(Isa::load(scores + i) - most), Isa::zero());
    Isa::store(scores + i, weight);
    return so_far + weight;
  });
  const Float factor = Isa::all(kLargest16 / total);
  for (int i = 0; i <= last; i += kLanes) Isa::store_int16(weights + i, Isa::to_int(Isa::load(scores + i) * factor));
}

// The keys that the queries first..last see: from a multiple of kParts on, as sums over them are to have the same parts on
// every instruction set, to before `end`.
struct Keys {
  int begin;
  int end;

  Keys(const Head& head, int first, int last)
      : begin(head.before < first ? (first - head.before) / kParts * kParts : 0),
        end(head.after < head.seen - 1 - last ? last + head.after + 1 : head.seen) {}
};

// Hides the keys that are too far from the query, but not from others of its tile.
void hide_far_keys(const Head& head, int query, const Keys& keys, float* scores) {
  for (int j = keys.begin; j < query - head.before; j++) scores[j] = -3e38f;
  for (int j = keys.end - 1; j - head.after > query; j--) scores[j] = -3e38f;
}

// R queries, from `first` on.
template <int R>
void attend_tile(const Head& head, int first, const Scores& scratch, float* out, size_t out_stride) {
  constexpr int C = Isa::columns;
  const Keys keys(head, first, first + R - 1);
  float query_steps[R], value_steps[R];
  for (int r = 0; r < R; r++) {
    const float* query = head.queries + (first + r) * head.stride;
    const float factor = scratch.key_steps ? factor_of(query, head.size) : scratch.query_factor * scratch.key_factor;
    query_steps[r] = head.scale / factor;
    // Not a number if the query is not, as the output then is to be: its weights are integers, which cannot say so.
    value_steps[r] = 1.0f / (kLargest16 * scratch.value_factor) + 0.0f * query_steps[r];
    narrow(query, head.size, scratch.key_steps ? factor : scratch.query_factor, scratch.queries + r * head.size);
  }
  const int end = keys.begin + up_to(keys.end - keys.begin, kLanes);
  const auto score = [&](auto tile, int i) {
    tile(scratch.queries, head.size, scratch.keys + i, scratch.stride, head.size / 2, query_steps,
         scratch.key_steps ? scratch.key_steps + i : nullptr, scratch.scores + i, scratch.stride);
  };
  int i = keys.begin;
  for (; i + C * kLanes <= end; i += C * kLanes) score(pair_tile<R, C>, i);
  for (; i < end; i += kLanes) score(pair_tile<R, 1>, i);

  for (int r = 0; r < R; r++) {
    float* scores = scratch.scores + r * scratch.stride;
    if (head.bias)
      for (int j = keys.begin; j < end; j += kLanes)
        Isa::store(scores + j, Isa::load(scores + j) + Isa::load(head.bias + j - (first + r)));
    hide_far_keys(head, first + r, keys, scores);
    softmax(scores + keys.begin, keys.end - keys.begin, scratch.weights + r * scratch.stride + keys.begin);
  }

  const auto mix = [&](auto tile, int d) {
    tile(scratch.weights + keys.begin, scratch.stride, scratch.values + keys.begin / 2 * head.size + d, head.size,
         (keys.end - keys.begin + 1) / 2, value_steps, nullptr, out + d, out_stride);
  };
  int d = 0;
  for (; d + 2 * kLanes <= head.size; d += 2 * kLanes) mix(pair_tile<R, 2>, d);
  for (; d < head.size; d += kLanes) mix(pair_tile<R, 1>, d);
}

// The queries of a head from `first` to `last`.
void attend_rows(const Head& head, int first, int last, const Scores& scores, float* out, size_t out_stride) {
  using Part = void (*)(const Head&, int, const Scores&, float*, size_t);
  static constexpr Part of_rows[kTileRows] = {attend_tile<1>, attend_tile<2>, attend_tile<3>,
                                              attend_tile<4>, attend_tile<5>, attend_tile<6>};
  for_each_tile(last - first, kTileRows, [&](int row, int rows) {
    of_rows[rows - 1](head, first + row, scores, out + (first + row) * out_stride, out_stride);
  });
}

void attend_head(const Head& head, char* memory, float* out, size_t out_stride) {
  const size_t padded = up_to(head.seen, kLanes);
  Scores scores;
  place_keys(scores, head.size, padded, memory);
  place_tile(scores, memory + key_bytes(head.size, padded));
  scores.query_factor = factor_to(largest_channel(head.size), head.queries, head.stride, head.size, head.length);
  scores.key_factor = factor_to(largest_channel(head.size), head.keys, head.key_stride, head.size, head.seen);
  scores.value_factor = factor_to(kLargest16, head.values, head.key_stride, head.size, head.seen);
  lay_out_keys(head, scores);
  lay_out_values(head, scores);
  attend_rows(head, 0, head.length, scores, out, out_stride);
}

size_t attend_scratch(const Layer& layer, int tokens, int longest) {
  const size_t projections = static_cast<size_t>(tokens) * layer.group_columns();
  const size_t padded = up_to(longest, kLanes);
  return sizeof(float) * projections + key_bytes(layer.head_size, padded) + tile_bytes(layer.head_size, padded);
}

// Rotates `channels` of a row, whose halves are the real and imaginary parts of numbers, each by its angle.
void rotate(float* row, int channels, const float* cosines, const float* sines) {
  const int half = channels / 2;
  for (int i = 0; i < half; i += kLanes) {
    const int lanes = least(kLanes, half - i);
    const Float cosine = load_some(cosines + i, lanes), sine = load_some(sines + i, lanes);
    const Float real = load_some(row + i, lanes), imaginary = load_some(row + half + i, lanes);
    const Float turned = Isa::fma(real, cosine, Isa::zero() - imaginary * sine);
    const Float other = Isa::fma(imaginary, cosine, real * sine);
    store_some(row + i, lanes, turned);
    store_some(row + half + i, lanes, other);
  }
}

// The queries and keys of a group of heads, each by its position in its sequence.
void rotate_heads(const Pass& pass, float* projections) {
  const Layer& layer = *pass.layer;
  const size_t half = layer.rotated / 2, head_columns = 3 * layer.head_size;
  for (int sequence = 0; sequence < pass.pack.sequences; sequence++)
    for (int i = 0; i < pass.pack.length(sequence); i++) {
      float* row = projections + (pass.pack.starts[sequence] + i) * static_cast<size_t>(layer.group_columns());
      const float *cosines = pass.rotation.cosines + i * half, *sines = pass.rotation.sines + i * half;
      for (int head = 0; head < layer.heads_a_group; head++) {
        rotate(row + head * head_columns, layer.rotated, cosines, sines);
        rotate(row + head * head_columns + layer.head_size, layer.rotated, cosines, sines);
      }
    }
}

// The projections of one group of heads for all tokens, then its heads sequence by sequence.
void attend(const Pass& pass, int group, char* memory) {
  const Layer& layer = *pass.layer;
  const size_t stride = layer.group_columns();
  const int tokens = pass.pack.tokens();
  float* projections = reinterpret_cast<float*>(memory);
  char* scratch = reinterpret_cast<char*>(projections + tokens * stride);
  multiply<Store>(layer.qkv, group * layer.group_columns(), layer.group_columns(), pass.quantized, 0, tokens,
                  projections, stride);
  if (layer.rotated) rotate_heads(pass, projections);
  const int first = group * layer.heads_a_group, end = least(first + layer.heads_a_group, layer.heads);
  for (int sequence = 0; sequence < pass.pack.sequences; sequence++) {
    const int token = pass.pack.starts[sequence];
    for (int number = first; number < end; number++) {
      const float* queries = projections + token * stride + (number - first) * 3 * layer.head_size;
      const Head head = {queries,
                         queries + layer.head_size,
                         queries + 2 * layer.head_size,
                         stride,
                         stride,
                         layer.head_size,
                         pass.pack.length(sequence),
                         pass.pack.seen[sequence],
                         layer.relative_bias ? layer.relative_bias + number * static_cast<size_t>(layer.relative_stride) +
                                                   layer.positions - 1
                                             : nullptr,
                         1.0f,
                         pass.window,
                         pass.window};
      const size_t context = layer.context_width();
      attend_head(head, scratch, pass.context + token * context + number * layer.head_size, context);
    }
  }
}
