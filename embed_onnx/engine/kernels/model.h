// A model's weights, checked and laid out for one instruction set. What they are laid out from is not kept.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "buffer.h"
#include "engine.h"

namespace embed_onnx {

// An initializer of the graph.
struct Tensor {
  std::string name;
  const void* data = nullptr;
  std::vector<int64_t> shape;

  const float* floats() const { return static_cast<const float*>(data); }
  const int8_t* bytes() const { return static_cast<const int8_t*>(data); }
  const int64_t* integers() const { return static_cast<const int64_t*>(data); }
};

// A product as the graph has it: weight [inputs, outputs]; scale, sum, bias [outputs].
struct ProductTensors {
  Tensor weight, scale, sum, bias;
};

struct LayerTensors {
  ProductTensors qkv, output, up, down;
  Tensor attention_gamma, attention_beta;
  Tensor output_gamma, output_beta;  // without names where the layer normalizes before its products
  Tensor relative_bias, qkv_factors, up_factors;  // without a name where the model has none
};

struct LayerAttributes {
  int64_t heads;
  float epsilon;
  std::string activation;
  bool rotated = false;
  bool gated = false;
};

// Throws std::invalid_argument, with a sentence, for a name that is unknown.
Activation activation_named(const std::string& name);

class PackedProduct {
 public:
  PackedProduct() = default;
  // Input channel i comes from row `rows[i]` of the weights and output channel j from column `columns[j]`; -1 is padding.
  // Output channels are multiplied by `factors[j]`. The weights are laid out at `weights`, `size` bytes of zero.
  PackedProduct(const ProductTensors& tensors, const Layout& layout, const std::vector<int>& rows,
                const std::vector<int>& columns, const std::vector<float>& factors, int8_t* weights);

  // Bytes of its weights.
  static size_t size(const Layout& layout, size_t rows, size_t columns);

  Product product() const;
  // Whether all of it is the same but for the weights.
  bool has_channels_of(const PackedProduct& other) const;

 private:
  void split(const Layout& layout);

  int inputs_ = 0, outputs_ = 0;
  int8_t* weights_ = nullptr;
  Buffer<int8_t> half_weights_;
  std::vector<int32_t> half_starts_, half_inputs_;
  Buffer<float> scale_, sum_, bias_;
  Buffer<int32_t> start_;
};

class PackedLayer {
 public:
  // Throws std::invalid_argument, with a sentence, for shapes that do not fit each other.
  PackedLayer(const LayerTensors& tensors, const LayerAttributes& attributes, const Layout& layout);

  const Layer& layer() const { return layer_; }

 private:
  void set_relative_bias(const Tensor& table);
  const float* set_factors(const Tensor& factors, Buffer<float>& copied) const;

  Buffer<int8_t> weights_;  // of all products, in the order of their use
  PackedProduct qkv_, output_, up_, down_;
  Buffer<float> attention_gamma_, attention_beta_, output_gamma_, output_beta_, relative_bias_;
  Buffer<float> qkv_factors_, up_factors_;
  Layer layer_{};
};

class PackedLinear {
 public:
  // Throws std::invalid_argument, with a sentence, for shapes that do not fit each other.
  PackedLinear(const ProductTensors& tensors, const Layout& layout);
  bool operator==(const PackedLinear& other) const;

  const Product& product() const { return product_; }
  int width() const { return width_; }
  int channels() const { return channels_; }

 private:
  Buffer<int8_t> weights_;
  PackedProduct packed_;
  Product product_{};
  int width_, channels_;
};

struct VocabularyTensors {
  ProductTensors transform, scores;
  Tensor gamma, beta;
};

class PackedVocabulary {
 public:
  // Throws std::invalid_argument, with a sentence, for shapes that do not fit each other.
  PackedVocabulary(const VocabularyTensors& tensors, float epsilon, const std::string& activation, const Layout& layout);

  const VocabularyHead& head() const { return head_; }

 private:
  Buffer<int8_t> weights_;  // of both products
  PackedProduct transform_, scores_;
  Buffer<float> gamma_, beta_;
  VocabularyHead head_{};
};

}  // namespace embed_onnx
