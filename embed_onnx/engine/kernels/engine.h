// What the code for one instruction set takes and returns: no vectors, no threads, no ONNX Runtime.
//
// A layer of the encoder is three stages, each cut into tasks that may run on any thread:
//
//   quantize(first row, last row)    states -> quantized rows
//   attend(head group)               quantized rows -> the context of some heads
//   transform(first row, last row)   context, states -> the layer's output
//
// A layer normalizes the sum after attention and the sum after its last product. One that normalizes before attention and
// before `up` instead takes rows that are normalized already, and gives its second sum as it is.
//
// A number depends on its own sequence and the weights, never on how rows fell into tiles, tasks or packs, nor on the
// instruction set: integer sums are exact, every float sum runs over its own row or sequence in one order (see `sum` in
// functions.h), and all else is one operation of IEEE 754 after another. So a text has the same bits in any company, on any
// processor. (Build with -ffp-contract=off: where a multiplication and an addition are one operation, the code says fma.)
#pragma once

#include <cstddef>
#include <cstdint>

namespace embed_onnx {

constexpr int kAnyPair = 256;  // the largest sum of two int8 weights, either sign
constexpr float kLog2e = 1.44269504f;  // softmax is computed with powers of 2
constexpr int kParts = 16;     // of a float sum, as many as the widest vector has lanes

enum class Activation { gelu, gelu_tanh, relu, silu };

// How an instruction set wants its operands.
struct Layout {
  int panel;             // output channels that the micro-kernel computes together
  int group;             // input channels that one dot product instruction adds up
  int input_multiple;    // what their number is padded to, with zeros
  int activation_bytes;  // size of a quantized activation, a number of 0..255
  int offset;            // what is taken off it, so that it fits a signed byte
  int pair_sum;          // the largest sum of weights 2i and 2i + 1 that the instruction is exact for, either sign
};

// Halves of weights, apart because some pair of them exceeds Layout::pair_sum. A block is one group of one panel.
struct Halves {
  const int32_t* starts;  // [outputs / panel + 1], a panel's first block
  const int32_t* inputs;  // [blocks], the first channel of the group
  const int8_t* weights;  // [blocks, panel, group]
};

// A product with int8 weights and one scale a channel. Channels are padded with zeros to whole panels and to Layout::input_multiple.
struct Product {
  int inputs;             // a multiple of Layout::input_multiple
  int outputs;            // a multiple of the panel
  const int8_t* weights;  // [outputs / panel, inputs / group, panel, group]
  Halves halves;          // to be added to the weights
  const float* scale;     // [outputs]
  const float* sum;       // [outputs], scale * sum of the weights
  const float* bias;      // [outputs]
  const int32_t* start;   // [outputs], offset * sum of the weights: where the integer sum begins
};

struct Layer {
  int width;
  int hidden;
  int heads;
  int head_size;         // padded with zeros to a multiple of 16
  int heads_a_group;     // as many as fill whole panels with their queries, keys and values
  int rotated;           // 0, or the channels of a head whose halves are rotated by position, before padding
  bool gated;            // up has 2 * hidden outputs: the activation of the first half is multiplied by the second
  float epsilon;
  Activation activation;
  Product qkv;           // outputs: for each head its queries, keys, values; softmax's scale and log2(e) are in the queries
  Product output;        // inputs: the heads, padded
  Product up;
  Product down;
  const float* qkv_factors;      // null, or [width], by which the states are multiplied before they are quantized for qkv
  const float* up_factors;       // the same for up
  const float* attention_gamma;  // [width], and so on
  const float* attention_beta;
  const float* output_gamma;     // null, and output_beta, where the layer normalizes before its products
  const float* output_beta;
  const float* relative_bias;    // null, or for each head log2(e) * bias, by key position - query position + positions - 1
  int relative_stride;           // from one head to the next
  int positions;

  int groups() const { return (heads + heads_a_group - 1) / heads_a_group; }
  int group_columns() const { return heads_a_group * 3 * head_size; }
  int context_width() const { return heads * head_size; }
  bool norms_first() const { return !output_gamma; }
};

// Of each position and each pair of rotated channels: [positions, rotated / 2]. Null where channels are not rotated.
struct Rotation {
  const float* cosines;
  const float* sines;
};

// The sequences of one call, without padding. Token `i` lies at row `rows[i]` of the states.
struct Pack {
  const int32_t* rows;    // [tokens]
  const int32_t* starts;  // [sequences + 1], in tokens
  const int32_t* seen;    // [sequences], how many tokens of each, the first, others attend to
  int sequences;

  int tokens() const { return starts[sequences]; }
  int length(int sequence) const { return starts[sequence + 1] - starts[sequence]; }
};

// Quantized rows: x = scale * value + minimum, value in 0..255.
struct Rows {
  void* values;    // [rows, inputs], of Layout::activation_bytes each
  float* scale;    // [rows]
  float* minimum;  // [rows]
};

// One layer over one pack. What `quantize` and `attend` leave for the next stage is here.
struct Pass {
  const Layer* layer;
  Pack pack;
  const float* inputs;  // [rows, width], what qkv takes: the states, or what became of them when they were normalized
  const float* states;  // [rows, width]
  float* output;        // [rows, width]
  Rotation rotation;
  int window;           // a token sees those whose positions are at most so far from its own
  Rows quantized;       // [tokens, layer.qkv.inputs]
  float* context;       // [tokens, layer.context_width()]
};

struct Embeddings {
  int width;
  float epsilon;
  const int8_t* words;      // [vocabulary, width]
  const float* word_scale;  // [vocabulary]
  const float* positions;   // [positions, width]
  const float* gamma;       // [width]
  const float* beta;
  const float* word_factors;  // null, or [width], by which words are multiplied
};

struct Norm {
  int width;
  float epsilon;
  const float* gamma;  // [width]
  const float* beta;
};

// What is made of states to score a vocabulary: a product with an activation, a normalization, and the product whose outputs
// are the vocabulary's entries.
struct VocabularyHead {
  int width;       // of the states
  int normalized;  // of what is normalized
  int entries;
  float epsilon;
  Activation activation;
  Product transform;
  Product scores;
  const float* gamma;  // [normalized]
  const float* beta;
};

// Entries scored over one pack. `prepare` leaves the quantized rows that `maximize` takes.
struct Scoring {
  const VocabularyHead* head;
  Pack pack;
  const float* states;  // [rows, width]
  float* maxima;        // [sequences, entries], the greatest score over a sequence's tokens, 0 at the least
  Rows quantized;       // [tokens, head.scores.inputs]
};

// The vectors of a query for MaxSim, one number of all of them after the other.
struct Query {
  const float* columns;  // [width, stride]
  int width;
  int stride;  // vectors, padded with zeros to a multiple of kParts
};

// A product by itself, over rows that lie one after the other. `quantize_rows` leaves what `multiply_panels` takes. With a
// gate, a product of the same shape, the output is the activation of the gate's result times that of the product.
struct LinearPass {
  const Product* product;
  const Product* gate;  // null where there is none
  Activation activation;
  int width;        // of the inputs, without padding
  int channels;     // of the output, without padding
  int rows;
  const float* inputs;  // [rows, width]
  float* output;        // [rows, channels]
  Rows quantized;       // [rows, product.inputs]
};

// Attention by itself: queries [rows, heads, size], keys and values [rows, groups, size]; a group is what heads / groups
// heads read. The rows of a sequence lie one after the other. `lay_out_group` leaves the integers and factors that
// `attend_head_rows` takes, for each sequence and group at `places[sequence] + group * group_bytes(tokens seen)`.
struct AttentionPass {
  Pack pack;
  int heads;
  int groups;
  int size;      // of a head, a multiple of kParts
  float scale;   // log2(e) times what scores are multiplied by
  int before;    // how many tokens before itself a token sees
  int after;     // and after itself
  const float* queries;
  const float* keys;
  const float* values;
  float* output;  // [rows, heads, size]
  char* integers;
  const size_t* places;  // [sequences], in bytes
  float* value_factors;  // [sequences, groups]
};

// Rows [rows, heads, size], the halves of whose first `channels` are turned by the angles of their token: a row of `cosines`
// and of `sines`, [tokens, channels]. The token of a row is its number modulo `tokens`.
struct RotationPass {
  int heads;
  int size;
  int channels;
  int64_t tokens;
  const float* cosines;
  const float* sines;
  const float* inputs;
  float* output;
};

// Rows [rows, width], each divided by the root of the mean of its squares.
struct RmsPass {
  int width;
  float epsilon;
  const float* gamma;  // [width]
  const float* inputs;
  float* output;
};

// Rows that `transform` takes through the rest of a layer at a time, so that what lies between stays in the cache.
constexpr int kChunk = 48;
// The most rows of the micro-kernel's tile.
constexpr int kTileRows = 6;

struct Engine {
  const char* name;
  Layout layout;
  bool (*supported)();
  // Bytes of scratch that a task of `attend` needs for packs like this one; and a task of `transform` for so many rows.
  size_t (*attend_scratch)(const Layer&, int tokens, int longest);
  size_t (*transform_scratch)(const Layer&, int rows);
  void (*quantize)(const Pass&, int first, int last);
  void (*attend)(const Pass&, int group, char* scratch);
  void (*transform)(const Pass&, int first, int last, char* scratch);
  // The two stages of scoring a vocabulary: rows of tokens, and panels of entries. And the scratch that the first needs.
  size_t (*prepare_scratch)(const VocabularyHead&);
  void (*prepare)(const Scoring&, int first, int last, char* scratch);
  void (*maximize)(const Scoring&, int first, int last);
  // The greatest product of each of a query's vectors, [query.stride], with the `count` of a document, [count, query.width].
  void (*find_maxima)(const Query&, const float* document, int count, float* maxima);
  // The two stages of a product by itself: rows of inputs, and panels of channels.
  void (*quantize_rows)(const LinearPass&, int first, int last);
  void (*multiply_panels)(const LinearPass&, int first, int last);
  // The two stages of attention by itself: a group of heads of a sequence, and some queries of a head, both with scratch. And
  // the bytes of one group's integers, and of scratch, for sequences in which so many tokens are seen.
  size_t (*group_bytes)(int size, int seen);
  size_t (*head_rows_scratch)(int size, int seen);
  void (*lay_out_group)(const AttentionPass&, int sequence, int group, char* scratch);
  void (*attend_head_rows)(const AttentionPass&, int sequence, int head, int first, int last, char* scratch);
  void (*rotate_rows)(const RotationPass&, int first, int last);
  void (*rms_rows)(const RmsPass&, int first, int last);
  // One token: its id and the row of its position, to its state, [width].
  void (*embed)(const Embeddings&, int64_t id, int position, float* state);
  // One row of states, normalized: [width] to [width].
  void (*normalize)(const Norm&, const float* state, float* normal);
  // Multiply-adds a second of one core, with nothing but the dot product instruction, timed for `seconds`.
  double (*peak)(double seconds);
};

extern const Engine amx, avx512vnni, avxvnni, avx2, neon;

}  // namespace embed_onnx
