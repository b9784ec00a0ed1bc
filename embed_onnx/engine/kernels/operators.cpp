// TokenEmbeddings, EncoderLayer, TokenNorm, RotaryLayer, VocabularyMaxima and Linear as custom operators of ONNX Runtime.
//
// No exception leaves a function that ONNX Runtime calls: `guarded` turns it into a status with its sentence.

#include <algorithm>
#include <exception>
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

#include "model.h"
#include "onnxruntime_abi.h"
#include "run.h"
#include "team.h"

namespace embed_onnx {
namespace {

constexpr const char* kDomain = "embed_onnx";
constexpr int kUnlimited = INT32_MAX / 2;  // a window that no sequence reaches

ort::Table api = nullptr;

template <class R, class... Args>
R call(ort::Slot slot, Args... args) {
  return reinterpret_cast<R (*)(Args...)>(const_cast<void*>(api[slot]))(args...);
}

// A status that ONNX Runtime gave; it is handed on as it is.
struct Failed {
  ort::Status* status;
};

template <class... Args>
void check(ort::Slot slot, Args... args) {
  if (ort::Status* status = call<ort::Status*>(slot, args...)) throw Failed{status};
}

ort::Status* status(ort::ErrorCode code, const char* sentence) {
  return call<ort::Status*, int, const char*>(ort::kCreateStatus, code, sentence);
}

template <class F>
ort::Status* guarded(F f) noexcept {
  try {
    f();
    return nullptr;
  } catch (const Failed& failed) {
    return failed.status;
  } catch (const std::invalid_argument& error) {
    return status(ort::kInvalidArgument, error.what());
  } catch (const std::bad_alloc&) {
    return status(ort::kFail, "there is not enough memory");
  } catch (const std::exception& error) {
    return status(ort::kFail, error.what());
  }
}

std::vector<int64_t> shape_of(const ort::Value* value) {
  ort::ShapeInfo* info = nullptr;
  check(ort::kGetTensorTypeAndShape, value, &info);
  const std::unique_ptr<ort::ShapeInfo, void (*)(ort::ShapeInfo*)> owner(
      info, [](ort::ShapeInfo* held) { call<void>(ort::kReleaseShapeInfo, held); });
  size_t axes = 0;
  check(ort::kGetDimensionsCount, static_cast<const ort::ShapeInfo*>(info), &axes);
  std::vector<int64_t> shape(axes);
  check(ort::kGetDimensions, static_cast<const ort::ShapeInfo*>(info), shape.data(), axes);
  return shape;
}

void* data_of(const ort::Value* value) {
  void* data = nullptr;
  check(ort::kGetTensorMutableData, const_cast<ort::Value*>(value), &data);
  return data;
}

// What a kernel is built from.
class Info {
 public:
  explicit Info(const ort::KernelInfo* info) : info_(info) {}

  // An optional input may be missing at the end, or have no name between others.
  bool has(size_t input) const {
    size_t count = 0, size = 0;
    check(ort::kKernelInfoGetInputCount, info_, &count);
    if (input >= count) return false;
    check(ort::kKernelInfoGetInputName, info_, input, static_cast<char*>(nullptr), &size);
    return size > 1;  // it ends with a zero
  }
  int64_t integer(const char* name) const {
    int64_t value = 0;
    check(ort::kKernelInfoGetAttributeInt64, info_, name, &value);
    return value;
  }
  float number(const char* name) const {
    float value = 0;
    check(ort::kKernelInfoGetAttributeFloat, info_, name, &value);
    return value;
  }
  std::string text(const char* name) const {
    size_t size = 0;
    check(ort::kKernelInfoGetAttributeString, info_, name, static_cast<char*>(nullptr), &size);
    std::string value(size, '\0');
    check(ort::kKernelInfoGetAttributeString, info_, name, value.data(), &size);
    value.resize(size - 1);  // it ends with a zero
    return value;
  }
  Tensor weights(size_t input, const char* name) const {
    int constant = 0;
    const ort::Value* value = nullptr;
    check(ort::kKernelInfoGetConstantInput, info_, input, &constant, &value);
    if (!constant || !value) throw std::invalid_argument(std::string(name) + " must be an initializer");
    return {name, data_of(value), shape_of(value)};
  }
  // A tensor without a name where the input is missing.
  Tensor optional_weights(size_t input, const char* name) const { return has(input) ? weights(input, name) : Tensor{}; }

 private:
  const ort::KernelInfo* info_;
};

// What a kernel runs on.
class Context {
 public:
  explicit Context(ort::KernelContext* context) : context_(context) {}

  Tensor input(size_t number, const char* name) const {
    const ort::Value* value = nullptr;
    check(ort::kKernelContextGetInput, static_cast<const ort::KernelContext*>(context_), number, &value);
    return {name, data_of(value), shape_of(value)};
  }
  // [batch, tokens]
  Tensor mask(size_t number) const {
    Tensor mask = input(number, "attention_mask");
    if (mask.shape.size() != 2) throw std::invalid_argument("attention_mask must have two axes, batch and tokens");
    if (mask.shape[0] * mask.shape[1] > INT32_MAX / 2) throw std::invalid_argument("attention_mask is too large");
    return mask;
  }
  // [batch, tokens, width]
  float* output(const Tensor& mask, int64_t width) const { return output({mask.shape[0], mask.shape[1], width}); }
  float* output(const std::vector<int64_t>& shape) const {
    ort::Value* value = nullptr;
    check(ort::kKernelContextGetOutput, context_, size_t{0}, shape.data(), shape.size(), &value);
    return static_cast<float*>(data_of(value));
  }

 private:
  ort::KernelContext* context_;
};

Sequences sequences_of(const Tensor& mask) {
  return Sequences(mask.integers(), mask.shape[0], mask.shape[1]);
}

void check_states(const char* name, const Tensor& states, const Tensor& mask, int64_t width) {
  if (states.shape != std::vector<int64_t>{mask.shape[0], mask.shape[1], width})
    throw std::invalid_argument(std::string(name) + ": the states' shape does not fit the mask and the weights");
}

ProductTensors product(const Info& info, size_t first, const std::string& name) {
  return {info.weights(first, (name + "_weight").c_str()), info.weights(first + 1, (name + "_scale").c_str()),
          info.weights(first + 2, (name + "_sum").c_str()), info.weights(first + 3, (name + "_bias").c_str())};
}

// The weights that layers of every kind have, from the input `first` on.
LayerTensors layer_tensors(const Info& info, size_t first) {
  LayerTensors tensors;
  tensors.qkv = product(info, first, "qkv");
  tensors.output = product(info, first + 4, "output");
  tensors.attention_gamma = info.weights(first + 8, "attention_gamma");
  tensors.attention_beta = info.weights(first + 9, "attention_beta");
  tensors.up = product(info, first + 10, "up");
  tensors.down = product(info, first + 14, "down");
  return tensors;
}

// Whether an input is one of their four matrices.
bool is_weight(size_t input, size_t first) {
  return input == first || input == first + 4 || input == first + 10 || input == first + 14;
}

// input_ids, attention_mask, words, word_scale, positions, gamma, beta, padding_id, word_factors, token_type_ids -> states;
// the last three may be missing. With token_type_ids, the second half of the positions are those of type 1.
class TokenEmbeddings {
 public:
  static constexpr const char* name = "TokenEmbeddings";
  static constexpr size_t inputs = 10, optional = 7;
  static int type(size_t input) {
    return input < 2 || input == 7 || input == 9 ? ort::kInt64 : input == 2 ? ort::kInt8 : ort::kFloat;
  }

  explicit TokenEmbeddings(const Info& info) : engine_(engine_in_use()), epsilon_(info.number("epsilon")) {
    const Tensor words = info.weights(2, "words"), scale = info.weights(3, "word_scale");
    const Tensor positions = info.weights(4, "positions");
    const Tensor gamma = info.weights(5, "gamma"), beta = info.weights(6, "beta");
    const Tensor factors = info.optional_weights(8, "word_factors");
    has_factors_ = !factors.name.empty();
    const bool fits = words.shape.size() == 2 && positions.shape.size() == 2 && words.shape[1] > 0 &&
                      positions.shape[1] == words.shape[1] && scale.shape == std::vector<int64_t>{words.shape[0], 1} &&
                      gamma.shape == std::vector<int64_t>{words.shape[1]} && beta.shape == gamma.shape &&
                      (!has_factors_ || factors.shape == gamma.shape);
    if (!fits)
      throw std::invalid_argument(
          "TokenEmbeddings: the shapes of its tables do not fit each other; the file is damaged, export the model again");
    if (info.has(9)) {
      types_ = 2;  // families whose positions begin after the padding id have one type
      if (positions.shape[0] % types_)
        throw std::invalid_argument("TokenEmbeddings: its positions are not those of two token types; export the model again");
    } else if (info.has(7)) {
      read_padding_id(info.weights(7, "padding_id"), words.shape[0], positions.shape[0]);
    }
  }

  void run(const Context& context) const {
    const Tensor ids = context.input(0, "input_ids"), mask = context.mask(1);
    if (ids.shape != mask.shape) throw std::invalid_argument("input_ids and attention_mask have different shapes");
    const Tensor words = context.input(2, "words"), positions = context.input(4, "positions");
    const int64_t width = words.shape[1];
    const int64_t* types = nullptr;
    if (types_ > 1) {
      const Tensor of_tokens = context.input(9, "token_type_ids");
      if (of_tokens.shape != mask.shape) throw std::invalid_argument("token_type_ids and attention_mask have different shapes");
      types = of_tokens.integers();
    }
    const Embeddings table{static_cast<int>(width),
                           epsilon_,
                           words.bytes(),
                           context.input(3, "word_scale").floats(),
                           positions.floats(),
                           context.input(5, "gamma").floats(),
                           context.input(6, "beta").floats(),
                           has_factors_ ? context.input(8, "word_factors").floats() : nullptr};
    run_embeddings(engine_, {table, words.shape[0], positions.shape[0] / types_, padding_id_, types_}, sequences_of(mask),
                   ids.integers(), context.output(mask, width), types);
  }

 private:
  void read_padding_id(const Tensor& id, int64_t words, int64_t positions) {
    if (id.shape != std::vector<int64_t>{1} || id.integers()[0] < 0 || id.integers()[0] >= words || positions < 1)
      throw std::invalid_argument(
          "TokenEmbeddings: its padding_id does not fit its tables; the file is damaged, export the model again");
    padding_id_ = id.integers()[0];
  }

  const Engine& engine_;
  float epsilon_;
  int64_t padding_id_ = Vocabulary::kNoPadding;
  bool has_factors_ = false;
  int64_t types_ = 1;
};

// states, attention_mask, weights... -> states; the order of the weights is that of `read`, and the last may be missing.
class EncoderLayer {
 public:
  static constexpr const char* name = "EncoderLayer";
  static constexpr size_t inputs = 25, optional = 22;
  static int type(size_t input) {
    if (input == 1) return ort::kInt64;
    return is_weight(input, 2) ? ort::kInt8 : ort::kFloat;
  }

  explicit EncoderLayer(const Info& info)
      : engine_(engine_in_use()),
        packed_(read(info), {info.integer("num_heads"), info.number("epsilon"), info.text("activation")},
                engine_.layout) {}

  void run(const Context& context) const {
    const Tensor states = context.input(0, "states"), mask = context.mask(1);
    const int64_t width = packed_.layer().width;
    check_states(name, states, mask, width);
    run_layer(engine_, packed_.layer(), sequences_of(mask), {states.floats(), states.floats(), {}, 0, kUnlimited},
              context.output(mask, width));
  }

 private:
  static LayerTensors read(const Info& info) {
    LayerTensors tensors = layer_tensors(info, 2);
    tensors.output_gamma = info.weights(20, "output_gamma");
    tensors.output_beta = info.weights(21, "output_beta");
    tensors.relative_bias = info.optional_weights(22, "relative_bias");
    tensors.qkv_factors = info.optional_weights(23, "qkv_factors");
    tensors.up_factors = info.optional_weights(24, "up_factors");
    return tensors;
  }

  const Engine& engine_;
  PackedLayer packed_;
};

// states, attention_mask, gamma, beta -> states
class TokenNorm {
 public:
  static constexpr const char* name = "TokenNorm";
  static constexpr size_t inputs = 4, optional = 4;
  static int type(size_t input) { return input == 1 ? ort::kInt64 : ort::kFloat; }

  explicit TokenNorm(const Info& info) : engine_(engine_in_use()), epsilon_(info.number("epsilon")) {
    if (info.weights(2, "gamma").shape.size() != 1 || info.weights(3, "beta").shape != info.weights(2, "gamma").shape)
      throw std::invalid_argument(
          "TokenNorm: the shapes of gamma and beta do not fit each other; the file is damaged, export the model again");
  }

  void run(const Context& context) const {
    const Tensor states = context.input(0, "states"), mask = context.mask(1), gamma = context.input(2, "gamma");
    const int64_t width = gamma.shape[0];
    check_states(name, states, mask, width);
    run_norm(engine_, {static_cast<int>(width), epsilon_, gamma.floats(), context.input(3, "beta").floats()},
             sequences_of(mask), states.floats(), context.output(mask, width));
  }

 private:
  const Engine& engine_;
  float epsilon_;
};

// states, normal, attention_mask, cosines, sines, weights... -> states; the order of the weights is that of `layer_tensors`.
class RotaryLayer {
 public:
  static constexpr const char* name = "RotaryLayer";
  static constexpr size_t inputs = 23, optional = 23;
  static int type(size_t input) {
    if (input == 2) return ort::kInt64;
    return is_weight(input, 5) ? ort::kInt8 : ort::kFloat;
  }

  explicit RotaryLayer(const Info& info)
      : engine_(engine_in_use()),
        packed_(layer_tensors(info, 5),
                {info.integer("num_heads"), info.number("epsilon"), info.text("activation"), true, true},
                engine_.layout),
        window_(static_cast<int>(std::min<int64_t>(info.integer("window"), kUnlimited))) {
    const Tensor cosines = info.weights(3, "cosines");
    const bool fits = window_ >= 0 && packed_.layer().rotated % 2 == 0 && cosines.shape.size() == 2 &&
                      cosines.shape[1] == packed_.layer().rotated / 2 && info.weights(4, "sines").shape == cosines.shape;
    if (!fits)
      throw std::invalid_argument(
          "RotaryLayer: its window, heads, cosines and sines do not fit each other; the file is damaged, export the model "
          "again");
  }

  void run(const Context& context) const {
    const Tensor states = context.input(0, "states"), normal = context.input(1, "normal"), mask = context.mask(2);
    const Tensor cosines = context.input(3, "cosines");
    const int64_t width = packed_.layer().width;
    check_states(name, states, mask, width);
    check_states(name, normal, mask, width);
    run_layer(engine_, packed_.layer(), sequences_of(mask),
              {normal.floats(), states.floats(), {cosines.floats(), context.input(4, "sines").floats()}, cosines.shape[0],
               window_},
              context.output(mask, width));
  }

 private:
  const Engine& engine_;
  PackedLayer packed_;
  int window_;
};

// states, attention_mask, weights... -> maxima, a row for each sequence of the mask
class VocabularyMaxima {
 public:
  static constexpr const char* name = "VocabularyMaxima";
  static constexpr size_t inputs = 12, optional = 12;
  static int type(size_t input) {
    if (input == 1) return ort::kInt64;
    return input == 2 || input == 8 ? ort::kInt8 : ort::kFloat;
  }

  explicit VocabularyMaxima(const Info& info)
      : engine_(engine_in_use()),
        packed_({product(info, 2, "transform"), product(info, 8, "scores"), info.weights(6, "gamma"), info.weights(7, "beta")},
                info.number("epsilon"), info.text("activation"), engine_.layout) {}

  void run(const Context& context) const {
    const Tensor states = context.input(0, "states"), mask = context.mask(1);
    check_states(name, states, mask, packed_.head().width);
    const Sequences sequences = sequences_of(mask);
    run_vocabulary(engine_, packed_.head(), sequences, states.floats(),
                   context.output({sequences.pack().sequences, packed_.head().entries}));
  }

 private:
  const Engine& engine_;
  PackedVocabulary packed_;
};

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

// The table of functions that makes an operator of a class with `name`, `inputs`, `optional`, `type` and `run`.
template <class Kernel>
ort::CustomOp custom_op() {
  using ort::CustomOp;
  CustomOp op{};
  op.version = ort::kApiVersion;
  op.GetName = [](const CustomOp*) { return Kernel::name; };
  op.GetExecutionProviderType = [](const CustomOp*) -> const char* { return nullptr; };
  op.GetInputType = [](const CustomOp*, size_t input) { return Kernel::type(input); };
  op.GetInputTypeCount = [](const CustomOp*) { return Kernel::inputs; };
  op.GetOutputType = [](const CustomOp*, size_t) -> int { return ort::kFloat; };
  op.GetOutputTypeCount = [](const CustomOp*) { return size_t{1}; };
  op.GetInputCharacteristic = [](const CustomOp*, size_t input) -> int {
    return input < Kernel::optional ? ort::kRequired : ort::kOptional;
  };
  op.GetOutputCharacteristic = [](const CustomOp*, size_t) -> int { return ort::kRequired; };
  op.GetInputMemoryType = [](const CustomOp*, size_t) { return 0; };
  op.GetVariadicInputMinArity = [](const CustomOp*) { return 1; };
  op.GetVariadicInputHomogeneity = [](const CustomOp*) { return 1; };
  op.GetVariadicOutputMinArity = [](const CustomOp*) { return 1; };
  op.GetVariadicOutputHomogeneity = [](const CustomOp*) { return 1; };
  op.CreateKernelV2 = [](const CustomOp*, ort::Table, const ort::KernelInfo* info, void** kernel) {
    return guarded([&] { *kernel = new Kernel(Info(info)); });
  };
  op.KernelComputeV2 = [](void* kernel, ort::KernelContext* context) {
    return guarded([&] { static_cast<const Kernel*>(kernel)->run(Context(context)); });
  };
  op.KernelDestroy = [](void* kernel) { delete static_cast<Kernel*>(kernel); };
  return op;
}

}  // namespace
}  // namespace embed_onnx

#define EXPORTED extern "C" __attribute__((visibility("default")))

// Called by SessionOptions.register_custom_ops_library.
EXPORTED ort::Status* RegisterCustomOps(ort::SessionOptions* options, const ort::ApiBase* base) {
  using namespace embed_onnx;
  api = base->GetApi(ort::kApiVersion);
  if (!api) return nullptr;  // older than any that the package allows; the functions in the file run
  static const ort::CustomOp operators[] = {custom_op<TokenEmbeddings>(), custom_op<EncoderLayer>(),
                                            custom_op<TokenNorm>(), custom_op<RotaryLayer>(),
                                            custom_op<VocabularyMaxima>(), custom_op<Linear>(),
                                            custom_op<GatedLinear>(),
                                            custom_op<Attention>(), custom_op<RotateHeads>(), custom_op<RmsNorm>()};
  return guarded([&] {
    ort::CustomOpDomain* domain = nullptr;
    check(ort::kCreateCustomOpDomain, kDomain, &domain);
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
