// AVX2: vpmaddubsw adds two products of uint8 and int8 in 16 bits, and vpmaddwd with ones adds two of those in 32. The
// first is exact for weights that sum to 128 at most, since 255 * 128 fits 16 bits, and would saturate for others.
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"
#include "processor.h"

namespace embed_onnx {
namespace {

#include "vector_avx2.h"

alignas(Vector::Int) const int16_t kOnes[16] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};

struct Isa : Vector {
  static constexpr int pair_sum = 128;

  // Not the intrinsics: gcc 12 would compute several products before it adds them, and have too few registers. There is
  // none for the ones: they stay in memory, at an address, as an operand in memory makes gcc 12 store the sums.
  static Int dot(Int sum, Int x, Int w) {
    __asm__("vpmaddubsw %2, %1, %%ymm15\n\tvpmaddwd (%3), %%ymm15, %%ymm15\n\tvpaddd %%ymm15, %0, %0"
            : "+x"(sum)
            : "x"(x), "x"(w), "r"(kOnes)
            : "xmm15");
    return sum;
  }
  static Int dot_pairs(Int sum, Int x, Int w) {
    __asm__("vpmaddwd %2, %1, %%ymm15\n\tvpaddd %%ymm15, %0, %0" : "+x"(sum) : "x"(x), "x"(w) : "xmm15");
    return sum;
  }
};

bool supported() { return processor().avx2; }

#include "encoder.h"

}  // namespace

const Engine avx2 = engine("avx2");

}  // namespace embed_onnx
