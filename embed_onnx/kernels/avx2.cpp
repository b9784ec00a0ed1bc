// AVX2: int8 products in 16 bits, pair by pair, which is exact. (vpmaddubsw would be one instruction instead of two,
// and saturates for activations of 8 bits and weights of 8 bits.)
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"

namespace embed_onnx {
namespace {

#include "vector_avx2.h"

struct Isa : Vector {
  using Quantized = int16_t;
  static constexpr int group = 2;
  static constexpr int columns = 2;  // vectors in a row of the micro-kernel's tile
  static constexpr int offset = 0;

  // Not the intrinsics: gcc 12 would compute several products before it adds them, and have too few registers.
  static Int dot(Int sum, Int x, Int w) {
    __asm__("vpmaddwd %2, %1, %%ymm15\n\tvpaddd %%ymm15, %0, %0" : "+x"(sum) : "x"(x), "x"(w) : "xmm15");
    return sum;
  }
  static Int load_weights(const int8_t* p) {
    return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static void store_quantized(Quantized* p, Int x) {
    __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow);
  }
};

bool supported() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

#include "encoder.h"

}  // namespace

const Engine avx2 = engine("avx2");

}  // namespace embed_onnx
