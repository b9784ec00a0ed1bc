// AMX: tdpbusd multiplies 16 rows of 64 uint8 by 64 rows of 16 int8. The sums are the same integers as vpdpbusd's, and all
// else is AVX512-VNNI's. A panel of weights, [inputs / 4, 64, 4], is four columns of such matrices as it lies in memory.
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"
#include "processor.h"

// Tests put a model of the instructions in its place.
#ifndef TILES
#define TILES "amx_tiles.h"
#endif

namespace embed_onnx {
namespace {

#include "isa_avx512vnni.h"

// The operand of ldtilecfg: how many rows a tile has, and how long they are.
struct alignas(64) TileSizes {
  uint8_t palette = 1, start_row = 0, reserved[14] = {};
  uint16_t row_bytes[16] = {};
  uint8_t rows[16] = {};
};
static_assert(sizeof(TileSizes) == 64);

#include TILES

struct Isa : Avx512Vnni {
  static constexpr int matrix_rows = 32;
  static constexpr int input_multiple = 64;

  // Sums of products of `count` rows, 2 to matrix_rows, and one panel: [count, 64]. Two tiles of rows, 4 and 5, by two of
  // weights, 6 and 7, go to four of sums, 0 to 3.
  static void matrix_sums(const uint8_t* rows, int count, size_t inputs, const int8_t* weights, int32_t* sums) {
    constexpr size_t kPanelBytes = 256, kSumBytes = 256;
    const int upper = (count + 1) / 2;
    const uint8_t* lower_rows = rows + upper * inputs;
    Tiles::configure(sizes(upper, count - upper));
    for (int half = 0; half < 2; half++) {
      Tiles::zero<0>();
      Tiles::zero<1>();
      Tiles::zero<2>();
      Tiles::zero<3>();
      const int8_t* block = weights + half * 128;
      for (size_t k = 0; k < inputs; k += input_multiple, block += 16 * kPanelBytes) {
        Tiles::load<4>(rows + k, inputs);
        Tiles::load<5>(lower_rows + k, inputs);
        Tiles::load<6>(block, kPanelBytes);
        Tiles::load<7>(block + 64, kPanelBytes);
        Tiles::dot<0, 4, 6>();
        Tiles::dot<1, 4, 7>();
        Tiles::dot<2, 5, 6>();
        Tiles::dot<3, 5, 7>();
      }
      int32_t* to = sums + half * 32;
      Tiles::store<0>(to, kSumBytes);
      Tiles::store<1>(to + 16, kSumBytes);
      Tiles::store<2>(to + upper * 64, kSumBytes);
      Tiles::store<3>(to + upper * 64 + 16, kSumBytes);
    }
    Tiles::release();
  }

 private:
  static TileSizes sizes(int upper, int lower) {
    TileSizes result;
    const int rows[] = {upper, upper, lower, lower, upper, lower, 16, 16};
    for (int tile = 0; tile < 8; tile++) {
      result.rows[tile] = static_cast<uint8_t>(rows[tile]);
      result.row_bytes[tile] = 64;
    }
    return result;
  }
};

// Whether a product comes out right: no processor with these instructions was there when this was written.
bool multiplies() {
  constexpr int kRows = 19, kInputs = 128;
  uint8_t rows[kRows][kInputs];
  int8_t weights[kInputs / 4][64][4];
  int32_t sums[kRows][64];
  for (int r = 0; r < kRows; r++)
    for (int i = 0; i < kInputs; i++) rows[r][i] = static_cast<uint8_t>(r * 37 + i * 91);
  for (int i = 0; i < kInputs; i++)
    for (int n = 0; n < 64; n++) weights[i / 4][n][i % 4] = static_cast<int8_t>(i * 53 + n * 29);
  Isa::matrix_sums(rows[0], kRows, kInputs, weights[0][0], sums[0]);
  for (int r = 0; r < kRows; r++)
    for (int n = 0; n < 64; n++) {
      int32_t expected = 0;
      for (int i = 0; i < kInputs; i++) expected += rows[r][i] * weights[i / 4][n][i % 4];
      if (sums[r][n] != expected) return false;
    }
  return true;
}

bool supported() {
  static const bool result = processor().avx512vnni && Tiles::supported() && multiplies();
  return result;
}

#include "encoder.h"

}  // namespace

const Engine amx = engine("amx");

}  // namespace embed_onnx
