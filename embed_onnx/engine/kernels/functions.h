// Functions of one vector and of one row, in terms of `Isa`. Included by encoder.h.

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

// x * Phi(x), Phi the normal distribution function; absolute error below 5e-4 where |x| < 40.
// Phi(t) - 1/2 is an odd function: t times a polynomial in t^2, the one of degree 5 with the least greatest error of the
// product on -3.7..3.7 that is 1/2 at the end.
Float gelu(Float x) {
  const float end = 3.7f;
  Float t = Isa::max(Isa::min(x, Isa::all(end)), Isa::all(-end)), u = t * t;
  Float y = Isa::all(-4.89970301e-07f);
  y = Isa::fma(y, u, Isa::all(2.68886367e-05f));
  y = Isa::fma(y, u, Isa::all(-0.000617500027f));
  y = Isa::fma(y, u, Isa::all(0.00784868606f));
  y = Isa::fma(y, u, Isa::all(-0.0625876855f));
  y = Isa::fma(y, u, Isa::all(0.396475058f));
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

Float load_some(const float* p, int lanes) { return lanes == kLanes ? Isa::load(p) : Isa::load_first(p, lanes); }

void store_some(float* p, int lanes, Float x) {
  if (lanes == kLanes)
    Isa::store(p, x);
  else
    Isa::store_first(p, lanes, x);
}

// The sum of `count` terms, which add(so_far, i, lanes) adds from the i-th on. It has kParts parts on every instruction set:
// terms i, i + kParts, i + 2 kParts and so on, in this order; and Isa::sum adds the parts in one order. So a sum is rounded
// alike wherever it is computed.
template <class Add>
float sum(int count, Add add) {
  Float parts[kRegisters];
#pragma GCC unroll 4
  for (Float& part : parts) part = Isa::zero();
  int i = 0;
  for (; i + kParts <= count; i += kParts)
#pragma GCC unroll 4
    for (int r = 0; r < kRegisters; r++) parts[r] = add(parts[r], i + r * kLanes, kLanes);
#pragma GCC unroll 4
  for (int r = 0; r < kRegisters; r++, i += kLanes)
    if (i < count) parts[r] = add(parts[r], i, least(kLanes, count - i));
  return Isa::sum(parts);
}

// What is quantized of a row: its numbers, or each times the factor of its channel.
struct Plain {
  const float* x;

  float first() const { return x[0]; }
  Float at(int i) const { return Isa::load(x + i); }
  Float last(int i, int n) const { return Isa::load_first(x + i, n); }
};
struct Balanced {
  const float* x;
  const float* factors;

  float first() const { return x[0] * factors[0]; }
  Float at(int i) const { return Isa::load(x + i) * Isa::load(factors + i); }
  Float last(int i, int n) const { return Isa::load_first(x + i, n) * Isa::load_first(factors + i, n); }
};

// Writes a row of `width` numbers as quantized ones, zeros after them up to `inputs`.
template <class Row>
void quantize_row(const Row& row, int width, int inputs, Quantized* values, float* scale, float* minimum) {
  const int whole = width / kLanes * kLanes, tail = width - whole;
  Float low = Isa::all(row.first()), high = low;
  for (int i = 0; i < whole; i += kLanes) {
    Float v = row.at(i);
    low = Isa::min(low, v);
    high = Isa::max(high, v);
  }
  if (tail) {
    Float v = Isa::select_first(tail, row.last(whole, tail), low);
    low = Isa::min(low, v);
    high = Isa::max(high, Isa::select_first(tail, v, high));
  }
  // One of two zeros is the least, and which may depend on the order; adding zero makes both the positive one.
  const float lowest = Isa::least(low) + 0.0f, range = Isa::greatest(high) - lowest;
  const float step = range > 255e-30f ? range / 255.0f : 1e-30f;
  *minimum = lowest;
  *scale = step;
  // At most 255 * (1 + 2^-23) before it is rounded: never out of range.
  const Float start = Isa::all(lowest), inverse = Isa::all(1.0f / step);
  for (int i = 0; i < whole; i += kLanes)
    Isa::store_quantized(values + i, Isa::to_int((row.at(i) - start) * inverse));
  if (tail) {
    Quantized some[kLanes];
    Isa::store_quantized(some, Isa::to_int((row.last(whole, tail) - start) * inverse));
    std::memcpy(values + whole, some, tail * sizeof(Quantized));
  }
  for (int i = width; i < inputs; i++) values[i] = 0;  // their weights are zero
}

// The same of the row at `x`; `factors` may be null.
void quantize_row(const float* x, const float* factors, int width, int inputs, Quantized* values, float* scale,
                  float* minimum) {
  if (factors)
    quantize_row(Balanced{x, factors}, width, inputs, values, scale, minimum);
  else
    quantize_row(Plain{x}, width, inputs, values, scale, minimum);
}

// y = (x - mean) / sqrt(variance + epsilon) * gamma + beta; x and y may be the same.
void layer_norm(const float* x, int width, float epsilon, const float* gamma, const float* beta, float* y) {
  const float total = sum(width, [&](Float so_far, int i, int lanes) { return so_far + load_some(x + i, lanes); });
  const Float mean = Isa::all(total / width);
  const float squares = sum(width, [&](Float so_far, int i, int lanes) {
    const Float v = Isa::select_first(lanes, load_some(x + i, lanes) - mean, Isa::zero());
    return Isa::fma(v, v, so_far);
  });
  const Float factor = Isa::all(1.0f / __builtin_sqrtf(squares / width + epsilon));

  const int whole = width / kLanes * kLanes, tail = width - whole;
  for (int i = 0; i < whole; i += kLanes)
    Isa::store(y + i, Isa::fma((Isa::load(x + i) - mean) * factor, Isa::load(gamma + i), Isa::load(beta + i)));
  if (tail) {
    Float v = (Isa::load_first(x + whole, tail) - mean) * factor;
    v = Isa::fma(v, Isa::load_first(gamma + whole, tail), Isa::load_first(beta + whole, tail));
    Isa::store_first(y + whole, tail, v);
  }
}

// y = x / sqrt(mean of squares + epsilon) * gamma; x and y may be the same.
void rms_norm(const float* x, int width, float epsilon, const float* gamma, float* y) {
  const float squares = sum(width, [&](Float so_far, int i, int lanes) {
    const Float v = load_some(x + i, lanes);
    return Isa::fma(v, v, so_far);
  });
  const Float factor = Isa::all(1.0f / __builtin_sqrtf(squares / width + epsilon));
  for (int i = 0; i < width; i += kLanes) {
    const int lanes = least(kLanes, width - i);
    store_some(y + i, lanes, load_some(x + i, lanes) * factor * load_some(gamma + i, lanes));
  }
}

void normalize(const Norm& norm, const float* state, float* normal) {
  layer_norm(state, norm.width, norm.epsilon, norm.gamma, norm.beta, normal);
}

void embed(const Embeddings& table, int64_t id, int position, float* state) {
  const int width = table.width, whole = width / kLanes * kLanes;
  const int8_t* word = table.words + id * width;
  const float scale = table.word_scale[id];
  const float* place = table.positions + static_cast<size_t>(position) * width;
  const float* factors = table.word_factors;
  for (int i = 0; i < whole; i += kLanes) {
    const Float scales = factors ? Isa::all(scale) * Isa::load(factors + i) : Isa::all(scale);
    Isa::store(state + i, Isa::fma(Isa::load_int8(word + i), scales, Isa::load(place + i)));
  }
  for (int i = whole; i < width; i++)
    state[i] = __builtin_fmaf(word[i], factors ? scale * factors[i] : scale, place[i]);
  layer_norm(state, width, table.epsilon, table.gamma, table.beta, state);
}
