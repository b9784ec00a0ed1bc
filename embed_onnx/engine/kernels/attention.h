// Attention, in float32, in terms of `Isa`. Included by encoder.h.

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
