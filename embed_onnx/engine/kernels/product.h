// The product of quantized rows and weights, in terms of `Isa`. Included by encoder.h.

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

// What turns a vector of sums into results.
struct Channels {
  Float scale, sum, bias;
};

template <class Epilogue>
inline __attribute__((always_inline)) void finish(const Channels& by, Int sums, float row_scale, float row_minimum,
                                                  float* place) {
  const Float shift = Isa::fma(Isa::all(row_minimum), by.sum, by.bias);
  const Float y = Isa::fma(Isa::to_float(sums) * by.scale, Isa::all(row_scale), shift);
  Isa::store(place, Epilogue::of(y, place));
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
    const Channels channels = {Isa::load(by.scale + i), Isa::load(by.sum + i), Isa::load(by.bias + i)};
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
      finish<Epilogue>(channels, sums[r][c], by.row_scale[r], by.row_minimum[r], out + r * stride + i);
  }
}

// The same for up to Unit::matrix_rows rows, by a unit that multiplies matrices.
template <class Epilogue, class Unit = Isa>
void matrix_tile(const Operands& in, int rows, float* out, size_t stride) {
  alignas(kCacheLine) int32_t sums[Unit::matrix_rows][kPanel];
  Unit::matrix_sums(in.rows, rows, in.inputs, in.weights, sums[0]);
  for (int i = 0; i < kPanel; i += kLanes) {
    const Channels channels = {Isa::load(in.scale + i), Isa::load(in.sum + i), Isa::load(in.bias + i)};
    for (int r = 0; r < rows; r++)
      finish<Epilogue>(channels, Isa::load(sums[r] + i), in.row_scale[r], in.row_minimum[r], out + r * stride + i);
  }
}

using TileOfRows = void (*)(const Operands&, float*, size_t);
template <class Epilogue>
struct RowTiles {
  static constexpr TileOfRows of_rows[kTileRows] = {tile<1, Epilogue>, tile<2, Epilogue>, tile<3, Epilogue>,
                                              tile<4, Epilogue>, tile<5, Epilogue>, tile<6, Epilogue>};
};

// How many tiles of at most `most` rows cover `rows`.
int tiles_of(int rows, int most) { return (rows + most - 1) / most; }

// Calls f(row, rows) for tiles of nearly equal height that cover `rows`.
template <class F>
void for_each_tile(int rows, int most, F f) {
  int row = 0;
  for (int tiles = tiles_of(rows, most); tiles > 0; tiles--) {
    const int height = (rows - row + tiles - 1) / tiles;
    f(row, height);
    row += height;
  }
}

template <class Epilogue>
void any_tile(const Operands& in, int height, float* out, size_t stride) {
  if constexpr (Isa::matrix_rows > 0)
    if (height > kTileRows) return matrix_tile<Epilogue>(in, height, out, stride);
  RowTiles<Epilogue>::of_rows[height - 1](in, out, stride);
}

// `columns` channels of a product, from `first` on, both whole panels: out [count, stride].
template <class Epilogue>
void multiply(const Product& product, int first, int columns, const Rows& rows, int row, int count, float* out,
              size_t stride) {
  const Quantized* values = static_cast<const Quantized*>(rows.values) + static_cast<size_t>(row) * product.inputs;
  const int most = count > kTileRows && Isa::matrix_rows ? Isa::matrix_rows : kTileRows;
  for (int panel = first; panel < first + columns; panel += kPanel) {
    int number = 0;
    for_each_tile(count, most, [&](int top, int height) {
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
                           tiles_of(count, most)};
      any_tile<Epilogue>(in, height, out + top * stride + (panel - first), stride);
    });
  }
}
