// Which of the kernels' instructions this processor has, and the system keeps the registers of.
//
// Not by the compiler's __builtin_cpu_supports: it asks a table that the compiler's run-time library fills, and zig's does not.
#pragma once

namespace embed_onnx {

struct Processor {
  bool avx2 = false;        // and FMA
  bool avxvnni = false;     // and avx2
  bool avx512vnni = false;  // and the F, BW, DQ and VL of AVX-512
  bool amx_int8 = false;    // and the tiles; whether the system gives them to this process is to be asked
  bool dot_product = false; // Arm's, of int8
};

const Processor& processor();

}  // namespace embed_onnx
