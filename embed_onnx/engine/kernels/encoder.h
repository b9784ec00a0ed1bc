// The encoder in terms of `Isa`: included by each instruction set, inside its namespace, after its Isa.
//
// Nothing of the standard library with code in headers may be used here: the linker keeps one copy of an inline function,
// and that of another instruction set would crash this one.

using Float = Isa::Float;
using Int = Isa::Int;
using Quantized = Isa::Quantized;

constexpr int kLanes = Isa::lanes;
constexpr int kPanel = Isa::columns * kLanes;
constexpr int kBlock = kPanel * Isa::group;
constexpr int kCacheLine = 64;
constexpr int kRegisters = kParts / kLanes;

int least(int a, int b) { return a < b ? a : b; }
int up_to(int value, int multiple) { return (value + multiple - 1) / multiple * multiple; }

#include "functions.h"
#include "product.h"
#include "attention.h"
#include "attention_stages.h"
#include "maxsim.h"
#include "peak.h"

// ---- the stages of a layer: quantize; attend, which is in attention.h; transform

void quantize(const Pass& pass, int first, int last) {
  const Layer& layer = *pass.layer;
  for (int i = first; i < last; i++)
    quantize_row(pass.inputs + static_cast<size_t>(pass.pack.rows[i]) * layer.width, layer.qkv_factors, layer.width,
                 layer.qkv.inputs,
                 static_cast<Quantized*>(pass.quantized.values) + static_cast<size_t>(i) * layer.qkv.inputs,
                 pass.quantized.scale + i, pass.quantized.minimum + i);
}

// What lies between two products of a chunk of rows.
struct Chunk {
  float* states;  // [rows, output.outputs], the sum that becomes the next states
  float* normal;  // the same shape: what up takes; the sum itself where that is normalized
  float* hidden;  // [rows, up.outputs]
  Rows rows;      // [rows, inputs of the next product]
};

int widest_input(const Layer& layer) {
  int widest = layer.output.inputs;
  if (layer.up.inputs > widest) widest = layer.up.inputs;
  return layer.down.inputs > widest ? layer.down.inputs : widest;
}

// Rows of the chunks of so many: as many floats are whole cache lines.
size_t chunk_rows(int rows) { return least(kChunk, up_to(rows, 16)); }

size_t transform_scratch(const Layer& layer, int rows) {
  const size_t floats = (layer.norms_first() ? 2 : 1) * layer.output.outputs + layer.up.outputs + 2;
  return chunk_rows(rows) * (sizeof(float) * floats + sizeof(Quantized) * widest_input(layer));
}

Chunk lay_out(const Layer& layer, int rows, char* memory) {
  const size_t most = chunk_rows(rows);
  Chunk chunk;
  chunk.states = reinterpret_cast<float*>(memory);
  chunk.normal = layer.norms_first() ? chunk.states + most * layer.output.outputs : chunk.states;
  chunk.hidden = chunk.normal + most * layer.output.outputs;
  chunk.rows.scale = chunk.hidden + most * layer.up.outputs;
  chunk.rows.minimum = chunk.rows.scale + most;
  chunk.rows.values = chunk.rows.minimum + most;
  return chunk;
}

// Rows of `width` floats, `stride` apart, as the input of a product; `factors` may be null.
void quantize_chunk(const float* x, const float* factors, int width, size_t stride, int count, const Product& next,
                    const Rows& to) {
  Quantized* values = static_cast<Quantized*>(to.values);
  for (int r = 0; r < count; r++)
    quantize_row(x + r * stride, factors, width, next.inputs, values + r * static_cast<size_t>(next.inputs),
                 to.scale + r, to.minimum + r);
}

// Rows from the one at `row` on.
Rows row_of(const Rows& rows, int row, const Product& product) {
  return {static_cast<Quantized*>(rows.values) + static_cast<size_t>(row) * product.inputs, rows.scale + row,
          rows.minimum + row};
}

// The activation of the first half of a row, times the second half.
template <class F>
void gate(float* row, int hidden) {
  for (int i = 0; i < hidden; i += kLanes) {
    const int lanes = least(kLanes, hidden - i);
    const Float active = F::of(load_some(row + i, lanes)) * load_some(row + hidden + i, lanes);
    store_some(row + i, lanes, active);
  }
}

template <class F>
void expand(const Layer& layer, const Chunk& chunk, int count) {
  const size_t stride = layer.up.outputs;
  if (!layer.gated) return multiply<Apply<F>>(layer.up, 0, stride, chunk.rows, 0, count, chunk.hidden, stride);
  multiply<Store>(layer.up, 0, stride, chunk.rows, 0, count, chunk.hidden, stride);
  for (int r = 0; r < count; r++) gate<F>(chunk.hidden + r * stride, layer.hidden);
}

// Calls f with the class of an activation.
template <class F>
void with_activation(Activation activation, F f) {
  switch (activation) {
    case Activation::gelu: return f(Gelu{});
    case Activation::gelu_tanh: return f(GeluTanh{});
    case Activation::relu: return f(Relu{});
    case Activation::silu: return f(Silu{});
  }
}

void transform_chunk(const Pass& pass, int first, int count, const Chunk& chunk) {
  const Layer& layer = *pass.layer;
  const int width = layer.width;
  const size_t stride = layer.output.outputs;
  for (int r = 0; r < count; r++) {
    const float* from = pass.states + static_cast<size_t>(pass.pack.rows[first + r]) * width;
    std::memcpy(chunk.states + r * stride, from, width * sizeof(float));
  }
  const size_t context = layer.context_width();
  quantize_chunk(pass.context + first * context, nullptr, context, context, count, layer.output, chunk.rows);
  multiply<AddTo>(layer.output, 0, layer.output.outputs, chunk.rows, 0, count, chunk.states, stride);
  for (int r = 0; r < count; r++) {
    layer_norm(chunk.states + r * stride, width, layer.epsilon, layer.attention_gamma, layer.attention_beta,
               chunk.normal + r * stride);
  }
  quantize_chunk(chunk.normal, layer.up_factors, width, stride, count, layer.up, chunk.rows);
  with_activation(layer.activation, [&](auto active) { expand<decltype(active)>(layer, chunk, count); });
  quantize_chunk(chunk.hidden, nullptr, layer.hidden, layer.up.outputs, count, layer.down, chunk.rows);
  multiply<AddTo>(layer.down, 0, layer.down.outputs, chunk.rows, 0, count, chunk.states, stride);
  for (int r = 0; r < count; r++) {
    float* to = pass.output + static_cast<size_t>(pass.pack.rows[first + r]) * width;
    const float* sum = chunk.states + r * stride;
    if (layer.norms_first())
      std::memcpy(to, sum, width * sizeof(float));
    else
      layer_norm(sum, width, layer.epsilon, layer.output_gamma, layer.output_beta, to);
  }
}

void transform(const Pass& pass, int first, int last, char* memory) {
  const Chunk chunk = lay_out(*pass.layer, last - first, memory);
  for (int row = first; row < last; row += kChunk) transform_chunk(pass, row, least(kChunk, last - row), chunk);
}

// ---- the stages of scoring a vocabulary: prepare, maximize

size_t prepare_scratch(const VocabularyHead& head) {
  return kChunk * (sizeof(float) * (head.transform.outputs + 2) + sizeof(Quantized) * head.transform.inputs);
}

void prepare_chunk(const Scoring& scoring, int first, int count, char* memory) {
  const VocabularyHead& head = *scoring.head;
  const size_t stride = head.transform.outputs;
  float* hidden = reinterpret_cast<float*>(memory);
  Rows rows;
  rows.scale = hidden + kChunk * stride;
  rows.minimum = rows.scale + kChunk;
  rows.values = rows.minimum + kChunk;
  for (int r = 0; r < count; r++)
    quantize_chunk(scoring.states + static_cast<size_t>(scoring.pack.rows[first + r]) * head.width, nullptr, head.width, 0, 1,
                   head.transform, row_of(rows, r, head.transform));
  with_activation(head.activation, [&](auto active) {
    multiply<Apply<decltype(active)>>(head.transform, 0, stride, rows, 0, count, hidden, stride);
  });
  for (int r = 0; r < count; r++)
    layer_norm(hidden + r * stride, head.normalized, head.epsilon, head.gamma, head.beta, hidden + r * stride);
  quantize_chunk(hidden, nullptr, head.normalized, stride, count, head.scores,
                 row_of(scoring.quantized, first, head.scores));
}

void prepare(const Scoring& scoring, int first, int last, char* memory) {
  for (int row = first; row < last; row += kChunk) prepare_chunk(scoring, row, least(kChunk, last - row), memory);
}

// What was there stays where a score is as great, or is not a number.
struct Greatest { static Float of(Float x, const float* there) { return Isa::max(x, Isa::load(there)); } };

// Panels of entries, from `first` to `last`: all of a panel's rows give one row, of the greatest score of each entry.
void maximize(const Scoring& scoring, int first, int last) {
  const VocabularyHead& head = *scoring.head;
  const Pack& pack = scoring.pack;
  for (int panel = first; panel < last; panel++) {
    const int entry = panel * kPanel, entries = least(kPanel, head.entries - entry);
    for (int sequence = 0; sequence < pack.sequences; sequence++) {
      alignas(kCacheLine) float greatest[kPanel] = {};
      multiply<Greatest>(head.scores, entry, kPanel, scoring.quantized, pack.starts[sequence], pack.length(sequence),
                         greatest, 0);
      std::memcpy(scoring.maxima + static_cast<size_t>(sequence) * head.entries + entry, greatest,
                  entries * sizeof(float));
    }
  }
}

// ---- the stages of a product by itself: quantize_rows, multiply_panels

void quantize_rows(const LinearPass& pass, int first, int last) {
  quantize_chunk(pass.inputs + static_cast<size_t>(first) * pass.width, nullptr, pass.width, pass.width, last - first,
                 *pass.product, row_of(pass.quantized, first, *pass.product));
}

// The activation of what is there, times the result.
template <class F>
struct Gated { static Float of(Float x, const float* there) { return F::of(Isa::load(there)) * x; } };

// One panel of channels.
void multiply_panel(const LinearPass& pass, int channel, int row, int count, float* out, size_t stride) {
  if (!pass.gate) return multiply<Store>(*pass.product, channel, kPanel, pass.quantized, row, count, out, stride);
  multiply<Store>(*pass.gate, channel, kPanel, pass.quantized, row, count, out, stride);
  with_activation(pass.activation, [&](auto active) {
    multiply<Gated<decltype(active)>>(*pass.product, channel, kPanel, pass.quantized, row, count, out, stride);
  });
}

// Channels of a panel that is not whole go through a chunk of whole ones.
void multiply_last_panel(const LinearPass& pass, int channel) {
  const int channels = pass.channels - channel;
  alignas(kCacheLine) float chunk[kChunk * kPanel];
  for (int row = 0; row < pass.rows; row += kChunk) {
    const int count = least(kChunk, pass.rows - row);
    multiply_panel(pass, channel, row, count, chunk, kPanel);
    for (int r = 0; r < count; r++)
      std::memcpy(pass.output + static_cast<size_t>(row + r) * pass.channels + channel, chunk + r * kPanel,
                  channels * sizeof(float));
  }
}

void multiply_panels(const LinearPass& pass, int first, int last) {
  const int end = least(last, pass.channels / kPanel);
  for (int panel = first; panel < end; panel++)
    multiply_panel(pass, panel * kPanel, 0, pass.rows, pass.output + panel * kPanel, pass.channels);
  if (end < last) multiply_last_panel(pass, end * kPanel);
}

constexpr Engine engine(const char* name) {
  return {name,
          {kPanel, Isa::group, Isa::input_multiple, sizeof(Quantized), Isa::offset, Isa::pair_sum},
          supported,
          attend_scratch,
          transform_scratch,
          quantize,
          attend,
          transform,
          prepare_scratch,
          prepare,
          maximize,
          find_maxima,
          quantize_rows,
          multiply_panels,
          group_bytes,
          head_rows_scratch,
          lay_out_group,
          attend_head_rows,
          rotate_rows,
          rms_rows,
          embed,
          normalize,
          peak};
}
