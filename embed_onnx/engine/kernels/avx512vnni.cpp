// AVX512-VNNI: see isa_avx512vnni.h.
#include <immintrin.h>
#include <time.h>

#include <cstdint>
#include <cstring>

#include "engine.h"
#include "processor.h"

namespace embed_onnx {
namespace {

#include "isa_avx512vnni.h"

using Isa = Avx512Vnni;

bool supported() { return processor().avx512vnni; }

#include "encoder.h"

}  // namespace

const Engine avx512vnni = engine("avx512vnni");

}  // namespace embed_onnx
