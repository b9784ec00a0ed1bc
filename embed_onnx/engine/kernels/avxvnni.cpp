// AVX-VNNI: vpdpbusd in the 256-bit registers of processors without AVX-512.
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"
#include "processor.h"

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

bool supported() { return processor().avxvnni; }

#include "encoder.h"

}  // namespace

const Engine avxvnni = engine("avxvnni");

}  // namespace embed_onnx
