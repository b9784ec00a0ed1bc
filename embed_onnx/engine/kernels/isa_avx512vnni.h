// The instructions of AVX512-VNNI: vpdpbusd adds four products of uint8 and int8 to each of sixteen int32 sums.
// Included inside the namespace of an instruction set, after the compiler's header of intrinsics.

#include "vector_avx512.h"

struct Avx512Vnni : Vector {
  using Quantized = uint8_t;
  static constexpr int group = 4;
  static constexpr int input_multiple = group;
  static constexpr int columns = 4;
  static constexpr int offset = 0;
  static constexpr int pair_sum = kAnyPair;

  // Not the intrinsic: gcc 12 copies its accumulator, and then has too few registers for the tile.
  static Int dot(Int sum, Int x, Int w) {
    __asm__("vpdpbusd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
  }
  static Int dot_pairs(Int sum, Int x, Int w) {
    __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(x), "v"(w));
    return sum;
  }
  static Int load_weights(const int8_t* p) { return _mm512_loadu_si512(p); }
  static void store_quantized(Quantized* p, Int x) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(x));
  }
};
