// TokenEmbeddings, EncoderLayer, TokenNorm, RotaryLayer and VocabularyMaxima: the operators of models that the kernels run as a
// whole.
#pragma once

#include <algorithm>
#include <stdexcept>
#include <string>

#include "onnxruntime_node.h"
#include "run.h"

namespace embed_onnx {
namespace {

constexpr int kUnlimited = INT32_MAX / 2;  // a window that no sequence reaches

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

}  // namespace
}  // namespace embed_onnx
