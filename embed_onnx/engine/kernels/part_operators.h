// Linear, GatedLinear, Attention, RmsNorm and RotateHeads: the operators of any other transformer, the rest of which ONNX Runtime
// runs.
#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <string>
#include <tuple>
#include <vector>

#include "encoder_operators.h"

namespace embed_onnx {
namespace {

// The weights of a product, kept once for all nodes that share them, as layers of an ALBERT do. Where they came from may have
// been freed and used again, so that only what is equal counts as the same.
std::shared_ptr<const PackedLinear> shared_linear(const ProductTensors& tensors, const Engine& engine) {
  static std::mutex mutex;
  static std::map<std::tuple<const void*, const void*, const Engine*>, std::weak_ptr<const PackedLinear>> all;
  const std::lock_guard<std::mutex> lock(mutex);
  for (auto entry = all.begin(); entry != all.end();) entry = entry->second.expired() ? all.erase(entry) : std::next(entry);
  const auto packed = std::make_shared<const PackedLinear>(tensors, engine.layout);
  std::weak_ptr<const PackedLinear>& place = all[{tensors.weight.data, tensors.bias.data, &engine}];
  const std::shared_ptr<const PackedLinear> earlier = place.lock();
  if (earlier && *earlier == *packed) return earlier;
  place = packed;
  return packed;
}

// How many rows there are before the last axis.
int rows_of(const std::string& name, const Tensor& x) {
  const int64_t rows = std::accumulate(x.shape.begin(), x.shape.end() - 1, int64_t{1}, std::multiplies<int64_t>());
  if (rows > INT32_MAX / 2) throw std::invalid_argument(name + ": x has too many rows");
  return static_cast<int>(rows);
}

// The first input of a node through its product, and its gate if it has one.
void multiply_rows(const std::string& name, const Engine& engine, const PackedLinear& linear, const PackedLinear* gate,
                   Activation activation, const Context& context) {
  const Tensor x = context.input(0, "x");
  std::vector<int64_t> shape = x.shape;
  if (shape.empty() || shape.back() != linear.width())
    throw std::invalid_argument(name + ": the last axis of x does not fit the weights; export the model again");
  shape.back() = linear.channels();
  run_linear(engine, linear, gate, activation, rows_of(name, x), x.floats(), context.output(shape));
}

// x, weight, channel_scale, channel_sum, bias -> y; x may have any axes before its width.
class Linear {
 public:
  static constexpr const char* name = "Linear";
  static constexpr size_t inputs = 5, optional = 5;
  static int type(size_t input) { return input == 1 ? ort::kInt8 : ort::kFloat; }

  explicit Linear(const Info& info)
      : engine_(engine_in_use()), packed_(shared_linear(product(info, 1, "linear"), engine_)) {}

  void run(const Context& context) const { multiply_rows(name, engine_, *packed_, nullptr, Activation::silu, context); }

 private:
  const Engine& engine_;
  std::shared_ptr<const PackedLinear> packed_;
};

// x, the four of the gate, the four of the product -> y.
class GatedLinear {
 public:
  static constexpr const char* name = "GatedLinear";
  static constexpr size_t inputs = 9, optional = 9;
  static int type(size_t input) { return input == 1 || input == 5 ? ort::kInt8 : ort::kFloat; }

  explicit GatedLinear(const Info& info)
      : engine_(engine_in_use()),
        gate_(shared_linear(product(info, 1, "gate"), engine_)),
        packed_(shared_linear(product(info, 5, "linear"), engine_)),
        activation_(activation_named(info.text("activation"))) {
    if (gate_->width() != packed_->width() || gate_->channels() != packed_->channels())
      throw std::invalid_argument(
          "GatedLinear: the shapes of its weights do not fit each other; the file is damaged, export the model again");
  }

  void run(const Context& context) const { multiply_rows(name, engine_, *packed_, gate_.get(), activation_, context); }

 private:
  const Engine& engine_;
  std::shared_ptr<const PackedLinear> gate_, packed_;
  Activation activation_;
};

// queries, keys, values, attention_mask -> y; queries and y [batch, tokens, heads, size], keys and values [batch, tokens, groups,
// size].
class Attention {
 public:
  static constexpr const char* name = "Attention";
  static constexpr size_t inputs = 4, optional = 4;
  static int type(size_t input) { return input == 3 ? ort::kInt64 : ort::kFloat; }

  explicit Attention(const Info& info)
      : engine_(engine_in_use()), scale_(info.number("scale")), before_(reach(info, "before")), after_(reach(info, "after")) {}

  void run(const Context& context) const {
    const Tensor queries = context.input(0, "queries"), keys = context.input(1, "keys"), values = context.input(2, "values");
    const Tensor mask = context.mask(3);
    const std::vector<int64_t>&shape = queries.shape, &grouped = keys.shape;
    const bool fits = shape.size() == 4 && grouped.size() == 4 && values.shape == grouped && shape[0] == mask.shape[0] &&
                      shape[1] == mask.shape[1] && grouped[0] == shape[0] && grouped[1] == shape[1] && grouped[3] == shape[3] &&
                      grouped[2] > 0 && shape[2] % grouped[2] == 0 && shape[3] % kParts == 0;
    if (!fits)
      throw std::invalid_argument(
          "Attention: the shapes of its queries, keys, values and mask do not fit each other; export the model again");
    run_attention(engine_,
                  {static_cast<int>(shape[2]), static_cast<int>(grouped[2]), static_cast<int>(shape[3]), scale_, before_, after_,
                   queries.floats(), keys.floats(), values.floats()},
                  sequences_of(mask), context.output(shape));
  }

 private:
  static int reach(const Info& info, const char* name) {
    const int64_t tokens = info.integer(name);
    if (tokens < 0) throw std::invalid_argument(std::string("Attention: ") + name + " is below zero; export the model again");
    return static_cast<int>(std::min<int64_t>(tokens, kUnlimited));
  }

  const Engine& engine_;
  float scale_;
  int before_, after_;
};

// x, gamma -> y; x may have any axes before its width.
class RmsNorm {
 public:
  static constexpr const char* name = "RmsNorm";
  static constexpr size_t inputs = 2, optional = 2;
  static int type(size_t) { return ort::kFloat; }

  explicit RmsNorm(const Info& info) : engine_(engine_in_use()), epsilon_(info.number("epsilon")) {}

  void run(const Context& context) const {
    const Tensor x = context.input(0, "x"), gamma = context.input(1, "gamma");
    if (x.shape.empty() || gamma.shape.size() != 1 || gamma.shape[0] != x.shape.back() || gamma.shape[0] > INT32_MAX / 2)
      throw std::invalid_argument("RmsNorm: the last axis of x does not fit gamma; export the model again");
    run_rms_norm(engine_, {static_cast<int>(gamma.shape[0]), epsilon_, gamma.floats(), x.floats(), context.output(x.shape)},
                 rows_of(name, x));
  }

 private:
  const Engine& engine_;
  float epsilon_;
};

// x, cosines, sines -> y; x [batch, tokens, heads, size], the others [1 or batch, tokens, channels], of which there are at most
// size.
class RotateHeads {
 public:
  static constexpr const char* name = "RotateHeads";
  static constexpr size_t inputs = 3, optional = 3;
  static int type(size_t) { return ort::kFloat; }

  explicit RotateHeads(const Info&) : engine_(engine_in_use()) {}

  void run(const Context& context) const {
    const Tensor x = context.input(0, "x"), cosines = context.input(1, "cosines"), sines = context.input(2, "sines");
    const std::vector<int64_t>&shape = x.shape, &angles = cosines.shape;
    const bool fits = shape.size() == 4 && angles.size() == 3 && sines.shape == angles && (angles[0] == 1 || angles[0] == shape[0]) &&
                      angles[1] == shape[1] && angles[2] % 2 == 0 && angles[2] <= shape[3] &&
                      shape[0] * shape[1] <= INT32_MAX / 2;
    if (!fits)
      throw std::invalid_argument("RotateHeads: the shapes of its inputs do not fit each other; export the model again");
    run_rotation(engine_,
                 {static_cast<int>(shape[2]), static_cast<int>(shape[3]), static_cast<int>(angles[2]), angles[0] * angles[1],
                  cosines.floats(), sines.floats(), x.floats(), context.output(shape)},
                 static_cast<int>(shape[0] * shape[1]));
  }

 private:
  const Engine& engine_;
};

}  // namespace
}  // namespace embed_onnx
