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
  static constexpr int pair_sum = kAnyPair;

  // Not the intrinsic: gcc 12 copies its accumulator, and then has too few registers for the tile.
  static Int dot(Int sum, Int x, Int w) {
    __asm__("%{vex%} vpdpbusd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
    return sum;
  }
  static Int dot_pairs(Int sum, Int x, Int w) {
    __asm__("%{vex%} vpdpwssd %2, %1, %0" : "+x"(sum) : "x"(x), "x"(w));
    return sum;
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
