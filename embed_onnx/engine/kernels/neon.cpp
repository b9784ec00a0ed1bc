// Arm NEON with the dot product extension (Armv8.2 and later). sdot multiplies int8 by int8, so activations are
// stored less 128, and integer sums start at 128 * the sum of the weights.
#include <arm_neon.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"
#include "processor.h"

namespace embed_onnx {
namespace {

#include "vector_neon.h"

struct Isa : Vector {
  using Quantized = int8_t;
  static constexpr int group = 4;
  static constexpr int input_multiple = group;
  static constexpr int columns = 4;
  static constexpr int offset = 128;
  static constexpr int pair_sum = kAnyPair;

  static Int dot(Int sum, Int x, Int w) {
    return vdotq_s32(sum, vreinterpretq_s8_s32(x), vreinterpretq_s8_s32(w));
  }
  // Of the pairs in `w`, all first numbers come before the second ones: see load_pairs.
  static Int dot_pairs(Int sum, Int x, Int w) {
    const int16x8_t numbers = vreinterpretq_s16_s32(w);
    const int16x4_t pair = vget_low_s16(vreinterpretq_s16_s32(x));
    return vmlal_high_lane_s16(vmlal_lane_s16(sum, vget_low_s16(numbers), pair, 0), numbers, pair, 1);
  }
  static Int load_weights(const int8_t* p) { return vreinterpretq_s32_s8(vld1q_s8(p)); }
  static void store_quantized(Quantized* p, Int x) {
    int16x4_t half = vmovn_s32(vsubq_s32(x, vdupq_n_s32(offset)));
    int8x8_t narrow = vmovn_s16(vcombine_s16(half, half));
    std::memcpy(p, &narrow, lanes);
  }
};

bool supported() { return processor().dot_product; }

#include "encoder.h"

}  // namespace

const Engine neon = engine("neon");

}  // namespace embed_onnx
