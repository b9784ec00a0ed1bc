// One call of an operator: an engine's stages, cut into tasks for any thread that may help.
#pragma once

#include "engine.h"
#include "model.h"
#include "sequences.h"

namespace embed_onnx {

// A table of embeddings with its limits. Where there is a padding id, the first position is its own, and the other
// tokens of a sequence count from the second, among themselves. `positions` are those of one token type; the rows of the
// next type follow them.
struct Vocabulary {
  Embeddings table;
  int64_t words;
  int64_t positions;
  int64_t padding_id;  // kNoPadding if it is a token like any other
  int64_t types = 1;

  int first() const { return padding_id == kNoPadding ? 0 : 1; }

  static constexpr int64_t kNoPadding = -1;
};

// The engine that models are laid out for from now on. Throws std::runtime_error if the processor supports none.
const Engine& engine_in_use();
// By name, or "auto" for the best; false if there is none of that name or the processor does not support it.
bool choose_engine(const char* name);

// What a layer takes, [sequences.rows(), width] each, and how far it sees; see Pass.
struct LayerInputs {
  const float* inputs;
  const float* states;
  Rotation rotation;
  int64_t positions;  // of the rotation
  int window;
};

// output [sequences.rows(), width]; what is padding becomes zero.
// Throws std::invalid_argument for a sequence longer than the model takes.
void run_layer(const Engine& engine, const Layer& layer, const Sequences& sequences, const LayerInputs& inputs,
               float* output);

// states, normal [sequences.rows(), width]; what is padding becomes zero.
void run_norm(const Engine& engine, const Norm& norm, const Sequences& sequences, const float* states, float* normal);

// ids [sequences.rows()]; states [sequences.rows(), width]; types [sequences.rows()], or null where all tokens are of type 0.
// Throws std::invalid_argument for an id or a type outside its table and for a sequence longer than the model takes.
void run_embeddings(const Engine& engine, const Vocabulary& vocabulary, const Sequences& sequences, const int64_t* ids,
                    float* states, const int64_t* types = nullptr);

// states [sequences.rows(), head.width] -> maxima [sequences, head.entries]
void run_vocabulary(const Engine& engine, const VocabularyHead& head, const Sequences& sequences, const float* states,
                    float* maxima);

// Vectors of a document, [count, width].
struct Document {
  const float* vectors;
  int count;
};

// query [vectors, width] -> scores [documents]: the sum over the query's vectors of the greatest product with one of a
// document's. The score of a document without vectors stays as it is.
void run_maxsim(const Engine& engine, const float* query, int vectors, int width, const Document* documents, int count,
                float* scores);
// inputs [rows, width] -> output [rows, channels]; `gate` may be null, or is a product of the same shape: see LinearPass.
void run_linear(const Engine& engine, const PackedLinear& linear, const PackedLinear* gate, Activation activation, int rows,
                const float* inputs, float* output);

// What attention takes: queries [rows, heads, size], keys and values [rows, groups, size]. See AttentionPass.
struct AttentionInputs {
  int heads;
  int groups;
  int size;
  float scale;  // of scores
  int before;
  int after;
  const float* queries;
  const float* keys;
  const float* values;
};

// output [sequences.rows(), heads, size]; what is padding becomes zero.
// Throws std::invalid_argument for a sequence that is not in one piece or too long.
void run_attention(const Engine& engine, const AttentionInputs& inputs, const Sequences& sequences, float* output);

// So many rows of a pass, shared among the threads that are free.
void run_rms_norm(const Engine& engine, const RmsPass& pass, int rows);
void run_rotation(const Engine& engine, const RotationPass& pass, int rows);

}  // namespace embed_onnx
