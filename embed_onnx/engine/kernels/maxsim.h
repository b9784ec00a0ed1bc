// The greatest products of vectors with those of a document, in terms of `Isa`. Included by encoder.h.

// Document vectors that are multiplied together: as many sums as fit the registers, beside the query's numbers.
constexpr int kTokens = kLanes == 8 ? 5 : 6;

// Some vectors of a document, by C registers of the query's: [width, stride] from the first of these on. Every product is a
// sum over the numbers of the two vectors in their order, a multiplication and an addition at a time.
template <int C>
inline __attribute__((always_inline)) void greatest_products(const float* query, size_t stride, int width,
                                                             const float* (&tokens)[kTokens], Float (&greatest)[C]) {
  Float sums[kTokens][C];
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; t++)
#pragma GCC unroll 2
    for (int c = 0; c < C; c++) sums[t][c] = Isa::zero();
  constexpr int kLine = kCacheLine / sizeof(float);
  for (int start = 0; start < width; start += kLine) {
    // The next vectors: what the processor fetches by itself ends with a page, and these are most of one.
    for (int t = 0; t < kTokens; t++) __builtin_prefetch(tokens[t] + kTokens * width + start);
    for (int i = start; i < least(start + kLine, width); i++) {
      Float numbers[C];
#pragma GCC unroll 2
      for (int c = 0; c < C; c++) numbers[c] = Isa::load(query + i * stride + c * kLanes);
#pragma GCC unroll 8
      for (int t = 0; t < kTokens; t++) {
        const Float number = Isa::all(tokens[t][i]);
#pragma GCC unroll 2
        for (int c = 0; c < C; c++) sums[t][c] = sums[t][c] + number * numbers[c];
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < kTokens; t++)
#pragma GCC unroll 2
    for (int c = 0; c < C; c++) greatest[c] = Isa::max(greatest[c], sums[t][c]);
}

template <int C>
void maxima_of(const float* query, size_t stride, int width, const float* document, int count, float* maxima) {
  Float greatest[C];
#pragma GCC unroll 2
  for (int c = 0; c < C; c++) greatest[c] = Isa::all(-__builtin_inff());
  for (int first = 0; first < count; first += kTokens) {
    const float* tokens[kTokens];  // the last one is there several times, which changes no maximum
    for (int t = 0; t < kTokens; t++) tokens[t] = document + static_cast<size_t>(least(first + t, count - 1)) * width;
    greatest_products<C>(query, stride, width, tokens, greatest);
  }
#pragma GCC unroll 2
  for (int c = 0; c < C; c++) Isa::store(maxima + c * kLanes, greatest[c]);
}

void find_maxima(const Query& query, const float* document, int count, float* maxima) {
  int first = 0;
  for (; first + 2 * kLanes <= query.stride; first += 2 * kLanes)
    maxima_of<2>(query.columns + first, query.stride, query.width, document, count, maxima + first);
  for (; first < query.stride; first += kLanes)
    maxima_of<1>(query.columns + first, query.stride, query.width, document, count, maxima + first);
}
