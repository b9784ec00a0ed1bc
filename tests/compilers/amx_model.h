// AMX's instructions in plain C++, in the place of amx_tiles.h, for processors without them. As the manual has them: a tile
// has the size that it is configured to, rows beyond it are zero, and every instruction needs a configuration before it.
#include <cstdlib>

struct Tiles {
  static bool supported() { return true; }

  static void configure(const TileSizes& sizes) {
    require(sizes.palette == 1 && sizes.start_row == 0);
    for (int tile = 0; tile < 16; tile++) {
      const bool used = sizes.rows[tile] != 0;
      require(used == (sizes.row_bytes[tile] != 0) && (tile < 8 || !used));
      require(sizes.rows[tile] <= 16 && sizes.row_bytes[tile] <= 64);
    }
    std::memset(registers, 0, sizeof registers);
    current = sizes;
    configured = true;
  }
  static void release() { configured = false; }
  template <int T>
  static void zero() {
    require(configured);
    std::memset(registers[T], 0, sizeof registers[T]);
  }
  template <int T>
  static void load(const void* p, size_t stride) {
    zero<T>();
    for (int row = 0; row < current.rows[T]; row++)
      std::memcpy(registers[T][row], static_cast<const uint8_t*>(p) + row * stride, current.row_bytes[T]);
  }
  template <int T>
  static void store(void* p, size_t stride) {
    require(configured);
    for (int row = 0; row < current.rows[T]; row++)
      std::memcpy(static_cast<uint8_t*>(p) + row * stride, registers[T][row], current.row_bytes[T]);
  }
  template <int C, int A, int B>
  static void dot() {
    static_assert(C != A && C != B && A != B);
    require(configured && current.rows[A] == current.rows[C] && current.row_bytes[B] == current.row_bytes[C]);
    require(current.row_bytes[A] == 4 * current.rows[B]);
    for (int m = 0; m < current.rows[C]; m++)
      for (int n = 0; n < current.row_bytes[C] / 4; n++) {
        int32_t sum;
        std::memcpy(&sum, registers[C][m] + 4 * n, sizeof sum);
        for (int k = 0; k < current.row_bytes[A]; k++)
          sum += registers[A][m][k] * static_cast<int8_t>(registers[B][k / 4][4 * n + k % 4]);
        std::memcpy(registers[C][m] + 4 * n, &sum, sizeof sum);
      }
  }

 private:
  static void require(bool condition) {
    if (!condition) std::abort();
  }

  inline static thread_local uint8_t registers[8][16][64];
  inline static thread_local TileSizes current;
  inline static thread_local bool configured;
};
