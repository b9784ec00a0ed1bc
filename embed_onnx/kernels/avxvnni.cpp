// AVX-VNNI: vpdpbusd in the 256-bit registers of processors without AVX-512.
#include <cpuid.h>
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"

namespace embed_onnx {
namespace {

#include "vector_avx2.h"

struct Isa : Vector {
  using Quantized = uint8_t;
  static constexpr int group = 4;
  static constexpr int columns = 2;
  static constexpr int offset = 0;

  // Not the intrinsic: gcc 12 copies its accumulator, and then has too few registers for the tile.
  static Int dot(Int sum, Int x, Int w) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
    return sum;
  }
  static Int load_weights(const int8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store_quantized(Quantized* p, Int x) {
    __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(narrow, narrow));
  }
};

// CPUID leaf 7, subleaf 1, EAX bit 4; gcc 12 has no name for it.
bool supported() {
  unsigned eax = 0, ebx = 0, ecx = 0, edx = 0;
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return false;
  return __get_cpuid_count(7, 1, &eax, &ebx, &ecx, &edx) && (eax >> 4 & 1);
}

#include "encoder.h"

}  // namespace

const Engine avxvnni = engine("avxvnni");

}  // namespace embed_onnx
