#include "model.h"

#include <cmath>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <numeric>
#include <stdexcept>

namespace embed_onnx {
namespace {

constexpr int kHeadMultiple = 16;  // of every vector's lanes
constexpr int kPadding = -1;

std::string text(const std::vector<int64_t>& shape) {
  std::string out = "[";
  for (size_t i = 0; i < shape.size(); i++) out += (i ? ", " : "") + std::to_string(shape[i]);
  return out + "]";
}

void check(const Tensor& tensor, const std::vector<int64_t>& shape) {
  if (tensor.shape == shape) return;
  throw std::invalid_argument(tensor.name + " has the shape " + text(tensor.shape) + " instead of " +
                              text(shape) + "; the file is damaged, export the model again");
}

void check(const ProductTensors& tensors, int64_t inputs, int64_t outputs) {
  check(tensors.weight, {inputs, outputs});
  for (const Tensor* vector : {&tensors.scale, &tensors.sum, &tensors.bias}) check(*vector, {outputs});
}

// The width of a tensor's last axis, for checking the others against it.
int64_t columns_of(const Tensor& tensor) {
  if (tensor.shape.size() == 2 && tensor.shape[0] > 0 && tensor.shape[1] > 0) return tensor.shape[1];
  throw std::invalid_argument(tensor.name + " has the shape " + text(tensor.shape) +
                              " and should be a matrix; the file is damaged, export the model again");
}

std::vector<int> in_order(int64_t count) {
  std::vector<int> order(count);
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Buffer<float> copy(const Tensor& tensor, size_t size) {
  Buffer<float> out(size);
  std::memcpy(out.data(), tensor.data, size * sizeof(float));
  return out;
}

// Where the heads' channels lie: how they are in the graph, and how they are here, padded and grouped.
struct Heads {
  int count, size, padded, a_group;

  Heads(int64_t heads, int64_t width, int panel) {
    if (heads < 1 || width % heads)
      throw std::invalid_argument("num_heads is " + std::to_string(heads) + ", which does not divide " +
                                  std::to_string(width));
    count = static_cast<int>(heads);
    size = static_cast<int>(width / heads);
    padded = static_cast<int>(round_up(size, kHeadMultiple));
    a_group = panel / std::gcd(panel, 3 * padded);
  }

  // Columns of [queries | keys | values], regrouped by head.
  std::vector<int> columns() const {
    std::vector<int> out;
    const int groups = (count + a_group - 1) / a_group;
    for (int head = 0; head < groups * a_group; head++)
      for (int kind = 0; kind < 3; kind++)
        for (int i = 0; i < padded; i++)
          out.push_back(head < count && i < size ? (kind * count + head) * size + i : kPadding);
    return out;
  }

  // Softmax is taken of q k^T / sqrt(size), to the base 2; both factors are put on the queries.
  std::vector<float> factors() const {
    const float query = kLog2e / std::sqrt(static_cast<float>(size));
    std::vector<float> out(columns().size(), 1.0f);
    for (size_t i = 0; i < out.size(); i++)
      if (i / padded % 3 == 0) out[i] = query;
    return out;
  }

  std::vector<int> rows() const {
    std::vector<int> out;
    for (int head = 0; head < count; head++)
      for (int i = 0; i < padded; i++) out.push_back(i < size ? head * size + i : kPadding);
    return out;
  }
};

// Whether two neighbours of `size` weights sum to more than `most`, either sign.
bool exceeds(const int8_t* weights, int size, int most) {
  for (int i = 0; i < size; i += 2)
    if (std::abs(weights[i] + weights[i + 1]) > most) return true;
  return false;
}

// Where a column of weights goes.
struct Place {
  int column;
  size_t offset;   // of its weight of the first row
  int32_t* start;  // where its sum is
};

PackedProduct pack(const ProductTensors& tensors, const Layout& layout, const std::vector<int>& rows, int8_t* weights) {
  const int64_t outputs = tensors.weight.shape[1];
  return PackedProduct(tensors, layout, rows, in_order(outputs), std::vector<float>(outputs, 1.0f), weights);
}

}  // namespace

Activation activation_named(const std::string& name) {
  if (name == "gelu") return Activation::gelu;
  if (name == "gelu_tanh") return Activation::gelu_tanh;
  if (name == "relu") return Activation::relu;
  if (name == "silu") return Activation::silu;
  throw std::invalid_argument("the activation '" + name +
                              "' is unknown; there are gelu, gelu_tanh, relu and silu");
}

PackedProduct::PackedProduct(const ProductTensors& tensors, const Layout& layout, const std::vector<int>& rows,
                             const std::vector<int>& columns, const std::vector<float>& factors, int8_t* weights)
    : inputs_(static_cast<int>(round_up(rows.size(), layout.input_multiple))),
      outputs_(static_cast<int>(round_up(columns.size(), layout.panel))),
      weights_(weights),
      scale_(outputs_),
      sum_(outputs_),
      bias_(outputs_),
      start_(outputs_) {
  const size_t stride = tensors.weight.shape[1];
  std::vector<Place> places;
  for (size_t j = 0; j < columns.size(); j++) {
    const int column = columns[j];
    if (column == kPadding) continue;
    scale_[j] = tensors.scale.floats()[column] * factors[j];
    sum_[j] = tensors.sum.floats()[column] * factors[j];
    bias_[j] = tensors.bias.floats()[column] * factors[j];
    places.push_back({column, j / layout.panel * layout.panel * inputs_ + j % layout.panel * layout.group, &start_[j]});
  }
  // Row by row, as the file has them: column by column, each weight would be on a cache line of its own.
  for (size_t i = 0; i < rows.size(); i++) {
    if (rows[i] == kPadding) continue;
    const int8_t* from = tensors.weight.bytes() + rows[i] * stride;
    int8_t* to = weights_ + i / layout.group * layout.group * layout.panel + i % layout.group;
    for (const Place& place : places) {
      to[place.offset] = from[place.column];
      *place.start += layout.offset * from[place.column];
    }
  }
  split(layout);
}

size_t PackedProduct::size(const Layout& layout, size_t rows, size_t columns) {
  return round_up(rows, layout.input_multiple) * round_up(columns, layout.panel);
}

// Halves the weights of each block that has a pair which is too large: pairs of halves sum to 128 at most.
void PackedProduct::split(const Layout& layout) {
  const int size = layout.panel * layout.group;
  std::vector<int8_t*> blocks;
  half_starts_.push_back(0);
  for (int panel = 0; panel < outputs_; panel += layout.panel) {
    int8_t* block = weights_ + static_cast<size_t>(panel) * inputs_;
    for (int input = 0; input < inputs_; input += layout.group, block += size) {
      if (layout.pair_sum == kAnyPair || !exceeds(block, size, layout.pair_sum)) continue;
      blocks.push_back(block);
      half_inputs_.push_back(input);
    }
    half_starts_.push_back(static_cast<int32_t>(blocks.size()));
  }
  half_weights_ = Buffer<int8_t>(blocks.size() * size);
  int8_t* halves = half_weights_.data();
  for (int8_t* block : blocks)
    for (int i = 0; i < size; i++, halves++) {
      *halves = static_cast<int8_t>(block[i] / 2);
      block[i] = static_cast<int8_t>(block[i] - *halves);
    }
}

Product PackedProduct::product() const {
  const Halves halves = {half_starts_.data(), half_inputs_.data(), half_weights_.data()};
  return {inputs_, outputs_, weights_, halves, scale_.data(), sum_.data(), bias_.data(), start_.data()};
}

PackedLayer::PackedLayer(const LayerTensors& tensors, const LayerAttributes& attributes, const Layout& layout) {
  const int64_t width = columns_of(tensors.output.weight), context = tensors.output.weight.shape[0];
  const int64_t raised = columns_of(tensors.up.weight), hidden = attributes.gated ? raised / 2 : raised;
  check(tensors.qkv, width, 3 * context);
  check(tensors.output, context, width);
  check(tensors.up, width, attributes.gated ? 2 * hidden : hidden);
  check(tensors.down, hidden, width);
  for (const Tensor* vector :
       {&tensors.attention_gamma, &tensors.attention_beta, &tensors.output_gamma, &tensors.output_beta})
    if (!vector->name.empty()) check(*vector, {width});

  const Heads heads(attributes.heads, context, layout.panel);
  const size_t sizes[] = {PackedProduct::size(layout, width, heads.columns().size()),
                          PackedProduct::size(layout, heads.rows().size(), width),
                          PackedProduct::size(layout, width, raised), PackedProduct::size(layout, hidden, width)};
  weights_ = Buffer<int8_t>(std::accumulate(std::begin(sizes), std::end(sizes), size_t{0}));
  int8_t* weights = weights_.data();
  qkv_ = PackedProduct(tensors.qkv, layout, in_order(width), heads.columns(), heads.factors(), weights);
  output_ = pack(tensors.output, layout, heads.rows(), weights += sizes[0]);
  up_ = pack(tensors.up, layout, in_order(width), weights += sizes[1]);
  down_ = pack(tensors.down, layout, in_order(hidden), weights += sizes[2]);
  attention_gamma_ = copy(tensors.attention_gamma, width);
  attention_beta_ = copy(tensors.attention_beta, width);
  if (!tensors.output_gamma.name.empty()) {
    output_gamma_ = copy(tensors.output_gamma, width);
    output_beta_ = copy(tensors.output_beta, width);
  }

  layer_.width = static_cast<int>(width);
  layer_.hidden = static_cast<int>(hidden);
  layer_.heads = heads.count;
  layer_.head_size = heads.padded;
  layer_.heads_a_group = heads.a_group;
  layer_.rotated = attributes.rotated ? heads.size : 0;
  layer_.gated = attributes.gated;
  layer_.epsilon = attributes.epsilon;
  layer_.activation = activation_named(attributes.activation);
  layer_.qkv = qkv_.product();
  layer_.output = output_.product();
  layer_.up = up_.product();
  layer_.down = down_.product();
  layer_.attention_gamma = attention_gamma_.data();
  layer_.attention_beta = attention_beta_.data();
  layer_.output_gamma = output_gamma_.data();
  layer_.output_beta = output_beta_.data();
  layer_.qkv_factors = set_factors(tensors.qkv_factors, qkv_factors_);
  layer_.up_factors = set_factors(tensors.up_factors, up_factors_);
  if (!tensors.relative_bias.name.empty()) set_relative_bias(tensors.relative_bias);
}

// Null where the model has no such factors.
const float* PackedLayer::set_factors(const Tensor& factors, Buffer<float>& copied) const {
  if (factors.name.empty()) return nullptr;
  check(factors, {layer_.width});
  copied = copy(factors, layer_.width);
  return copied.data();
}

void PackedLayer::set_relative_bias(const Tensor& table) {
  const int64_t distances = columns_of(table);
  layer_.positions = static_cast<int>((distances + 1) / 2);
  check(table, {layer_.heads, 2 * layer_.positions - 1});
  // A vector of keys may reach beyond the last of them.
  layer_.relative_stride = static_cast<int>(round_up(distances, kHeadMultiple) + kHeadMultiple);
  relative_bias_ = Buffer<float>(static_cast<size_t>(layer_.heads) * layer_.relative_stride);
  for (int head = 0; head < layer_.heads; head++)
    for (int64_t i = 0; i < distances; i++)
      relative_bias_[head * static_cast<size_t>(layer_.relative_stride) + i] = kLog2e * table.floats()[head * distances + i];
  layer_.relative_bias = relative_bias_.data();
}

bool PackedProduct::has_channels_of(const PackedProduct& other) const {
  return inputs_ == other.inputs_ && outputs_ == other.outputs_ && scale_ == other.scale_ && sum_ == other.sum_ &&
         bias_ == other.bias_ && half_inputs_ == other.half_inputs_ && half_weights_ == other.half_weights_;
}

PackedLinear::PackedLinear(const ProductTensors& tensors, const Layout& layout) {
  const int64_t channels = columns_of(tensors.weight), width = tensors.weight.shape[0];
  check(tensors, width, channels);
  weights_ = Buffer<int8_t>(PackedProduct::size(layout, width, channels));
  packed_ = pack(tensors, layout, in_order(width), weights_.data());
  product_ = packed_.product();
  width_ = static_cast<int>(width);
  channels_ = static_cast<int>(channels);
}

bool PackedLinear::operator==(const PackedLinear& other) const {
  return width_ == other.width_ && channels_ == other.channels_ && weights_ == other.weights_ &&
         packed_.has_channels_of(other.packed_);
}

PackedVocabulary::PackedVocabulary(const VocabularyTensors& tensors, float epsilon, const std::string& activation,
                                   const Layout& layout) {
  const int64_t normalized = columns_of(tensors.transform.weight), width = tensors.transform.weight.shape[0];
  const int64_t entries = columns_of(tensors.scores.weight);
  check(tensors.transform, width, normalized);
  check(tensors.scores, normalized, entries);
  for (const Tensor* vector : {&tensors.gamma, &tensors.beta}) check(*vector, {normalized});

  const size_t first = PackedProduct::size(layout, width, normalized);
  weights_ = Buffer<int8_t>(first + PackedProduct::size(layout, normalized, entries));
  transform_ = pack(tensors.transform, layout, in_order(width), weights_.data());
  scores_ = pack(tensors.scores, layout, in_order(normalized), weights_.data() + first);
  gamma_ = copy(tensors.gamma, normalized);
  beta_ = copy(tensors.beta, normalized);

  head_.width = static_cast<int>(width);
  head_.normalized = static_cast<int>(normalized);
  head_.entries = static_cast<int>(entries);
  head_.epsilon = epsilon;
  head_.activation = activation_named(activation);
  head_.transform = transform_.product();
  head_.scores = scores_.product();
  head_.gamma = gamma_.data();
  head_.beta = beta_.data();
}

}  // namespace embed_onnx
