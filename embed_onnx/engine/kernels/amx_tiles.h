// The instructions of Intel's AMX: eight tiles of at most 16 rows of 64 bytes. No compiler uses them by itself.
//
// Intel 64 and IA-32 Architectures Software Developer's Manual, volume 1, chapter 18.

#include <sys/syscall.h>
#include <unistd.h>

struct Tiles {
  // Whether the processor has AMX-TILE and AMX-INT8, and the system keeps its registers for this process.
  static bool supported() {
    constexpr long kRequestPermission = 0x1023, kTileData = 18;  // ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA
    return processor().amx_int8 && syscall(SYS_arch_prctl, kRequestPermission, kTileData) == 0;
  }

  static void configure(const TileSizes& sizes) { __asm__ volatile("ldtilecfg %0" : : "m"(sizes)); }
  static void release() { __asm__ volatile("tilerelease"); }
  template <int T>
  static void zero() {
    __asm__ volatile("tilezero %%tmm%c0" : : "i"(T));
  }
  // Rows of a tile are `stride` bytes apart.
  template <int T>
  static void load(const void* p, size_t stride) {
    __asm__ volatile("tileloadd (%0,%1,1), %%tmm%c2" : : "r"(p), "r"(stride), "i"(T) : "memory");
  }
  template <int T>
  static void store(void* p, size_t stride) {
    __asm__ volatile("tilestored %%tmm%c2, (%0,%1,1)" : : "r"(p), "r"(stride), "i"(T) : "memory");
  }
  // C[m][n] += the products of four uint8 of A[m][k] and four int8 of B[k][n], for all k.
  template <int C, int A, int B>
  static void dot() {
    __asm__ volatile("tdpbusd %%tmm%c2, %%tmm%c1, %%tmm%c0" : : "i"(C), "i"(A), "i"(B));
  }
};
