// The operators that are registered with ONNX Runtime, and the library's own functions.

#include <exception>

#include "encoder_operators.h"
#include "onnxruntime_node.h"
#include "part_operators.h"
#include "run.h"
#include "team.h"

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Called by SessionOptions.register_custom_ops_library.
EXPORTED ort::Status* RegisterCustomOps(ort::SessionOptions* options, const ort::ApiBase* base) {
  using namespace embed_onnx;
  api = base->GetApi(ort::kApiVersion);
  if (!api) return nullptr;  // older than any that the package allows; the functions in the file run
  static const ort::CustomOp operators[] = {custom_op<TokenEmbeddings>(), custom_op<EncoderLayer>(),
                                            custom_op<TokenNorm>(), custom_op<RotaryLayer>(),
                                            custom_op<VocabularyMaxima>(), custom_op<Linear>(),
                                            custom_op<GatedLinear>(), custom_op<Attention>(),
                                            custom_op<RotateHeads>(), custom_op<RmsNorm>()};
  return guarded([&] {
    ort::CustomOpDomain* domain = nullptr;
    check(ort::kCreateCustomOpDomain, "embed_onnx", &domain);
    for (const ort::CustomOp& op : operators) check(ort::kCustomOpDomainAdd, domain, &op);
    check(ort::kAddCustomOpDomain, options, domain);
  });
}

// The name of the instruction set in use, or null if this processor has none that the kernels are written for.
EXPORTED const char* embed_onnx_instruction_set() noexcept {
  try {
    return embed_onnx::engine_in_use().name;
  } catch (const std::exception&) {
    return nullptr;
  }
}

// Takes an instruction set by name for the sessions that are created from now on, or the best for "auto"; 0 if it cannot run here.
EXPORTED int embed_onnx_choose(const char* name) noexcept { return embed_onnx::choose_engine(name); }

// How many threads may work at a time, those that call included. 0 if they cannot be started.
EXPORTED int embed_onnx_set_threads(int threads) noexcept {
  try {
    embed_onnx::Team::instance().resize(threads);
    return 1;
  } catch (const std::exception&) {
    return 0;
  }
}

// Multiply-adds a second of one core with nothing but the dot product instruction.
EXPORTED double embed_onnx_int8_peak(double seconds) noexcept { return embed_onnx::engine_in_use().peak(seconds); }

// See run_maxsim; 0 if there is no memory for it.
EXPORTED int embed_onnx_maxsim(const float* query, int vectors, int width, const embed_onnx::Document* documents, int count,
                               float* scores) noexcept {
  try {
    embed_onnx::run_maxsim(embed_onnx::engine_in_use(), query, vectors, width, documents, count, scores);
    return 1;
  } catch (const std::exception&) {
    return 0;
  }
}
