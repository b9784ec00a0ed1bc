#include "run.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include "buffer.h"
#include "team.h"

namespace embed_onnx {
namespace {

const Engine* const kEngines[] = {
#if defined(__x86_64__)
    &amx, &avx512vnni, &avxvnni, &avx2,
#elif defined(__aarch64__)
    &neon,
#endif
};

std::atomic<const Engine*> current{nullptr};

constexpr int kMostKeys = 65000;  // more could exceed 32 bits in attention

// Memory of one call, handed out piece by piece. What a thread once needed is kept for its next call, up to a limit.
class Scratch {
 public:
  explicit Scratch(size_t bytes) {
    if (memory_.size() < bytes) memory_ = Buffer<char>(bytes);
  }
  ~Scratch() {
    if (memory_.size() > kKept) memory_ = Buffer<char>();
  }
  template <class T>
  T* take(size_t count) {
    T* out = reinterpret_cast<T*>(memory_.data() + used_);
    used_ += size_of<T>(count);
    return out;
  }
  template <class T>
  static size_t size_of(size_t count) {
    return round_up(count * sizeof(T), kAlignment);
  }

 private:
  static constexpr size_t kKept = 4 << 20;
  static thread_local Buffer<char> memory_;
  size_t used_ = 0;
};

thread_local Buffer<char> Scratch::memory_;

void clear_padding(const Sequences& sequences, int width, float* states) {
  if (sequences.has_padding()) std::memset(states, 0, sequences.rows() * width * sizeof(float));
}

void check_length(const Sequences& sequences, int64_t positions) {
  if (sequences.longest() > positions)
    throw std::invalid_argument("a sequence has " + std::to_string(sequences.longest()) +
                                " tokens and the model takes " + std::to_string(positions) + "; cut it");
}

void check_window(const Sequences& sequences, int window) {
  if (sequences.most_unseen() > window)
    throw std::invalid_argument("a sequence ends with " + std::to_string(sequences.most_unseen()) +
                                " tokens that none attends to, and a token sees " + std::to_string(window) +
                                " before it; have fewer");
}

void check_pieces(const Pack& pack) {
  for (int sequence = 0; sequence < pack.sequences; sequence++) {
    const int first = pack.starts[sequence], last = pack.starts[sequence + 1] - 1;
    if (pack.rows[last] - pack.rows[first] != last - first)
      throw std::invalid_argument("Attention: attention_mask has a sequence in several pieces; put its tokens side by side");
  }
}

// Some queries of a head.
struct AttentionTask {
  int sequence;
  int head;
  int first;
};

// Rows a task, so that every worker has as many: a row of a tile that is not full takes hardly longer.
int rows_a_task(int rows, int workers) { return (rows + workers - 1) / workers; }

// Calls f(first, last) for parts of so many rows, one for each worker.
void for_rows(int rows, const std::function<void(int, int)>& f) {
  if (!rows) return;
  Team::Call call(Team::instance());
  const int a_task = rows_a_task(rows, call.workers());
  call.run((rows + a_task - 1) / a_task, [&](int task, int) { f(task * a_task, std::min(task * a_task + a_task, rows)); });
}

}  // namespace

const Engine& engine_in_use() {
  if (!current && !choose_engine("auto")) throw std::runtime_error("no kernel supports this processor");
  return *current;
}

bool choose_engine(const char* name) {
  for (const Engine* engine : kEngines) {
    if (!engine->supported() || (std::strcmp(name, "auto") && std::strcmp(name, engine->name))) continue;
    current = engine;
    return true;
  }
  return false;
}

void run_layer(const Engine& engine, const Layer& layer, const Sequences& sequences, const LayerInputs& inputs,
               float* output) {
  if (layer.relative_bias) check_length(sequences, layer.positions);
  if (layer.rotated) check_length(sequences, inputs.positions);
  check_window(sequences, inputs.window);
  clear_padding(sequences, layer.width, output);
  const Pack pack = sequences.pack();
  const int tokens = pack.tokens();
  if (!tokens) return;

  Team::Call call(Team::instance());
  const size_t values = static_cast<size_t>(tokens) * layer.qkv.inputs * engine.layout.activation_bytes;
  const size_t contexts = static_cast<size_t>(tokens) * layer.context_width();
  const int rows = rows_a_task(tokens, call.workers()), row_tasks = (tokens + rows - 1) / rows;
  const size_t a_worker = round_up(std::max(engine.attend_scratch(layer, tokens, sequences.longest()),
                                            engine.transform_scratch(layer, rows)),
                                   kAlignment);
  const bool alone = call.workers() == 1;
  Scratch scratch(Scratch::size_of<char>(values) + 2 * Scratch::size_of<float>(tokens) +
                  Scratch::size_of<float>(contexts) + (alone ? a_worker : 0));
  Pass pass{&layer, pack, inputs.inputs, inputs.states, output, inputs.rotation, inputs.window, {}, nullptr};
  pass.quantized = {scratch.take<char>(values), scratch.take<float>(tokens), scratch.take<float>(tokens)};
  pass.context = scratch.take<float>(contexts);
  char* workers = alone ? scratch.take<char>(a_worker) : call.memory(a_worker);

  call.run(row_tasks, [&](int task, int) {
    engine.quantize(pass, task * rows, std::min(task * rows + rows, tokens));
  });
  call.run(layer.groups(), [&](int task, int worker) { engine.attend(pass, task, workers + worker * a_worker); });
  call.run(row_tasks, [&](int task, int worker) {
    engine.transform(pass, task * rows, std::min(task * rows + rows, tokens), workers + worker * a_worker);
  });
}

void run_norm(const Engine& engine, const Norm& norm, const Sequences& sequences, const float* states, float* normal) {
  clear_padding(sequences, norm.width, normal);
  const Pack pack = sequences.pack();
  const int tokens = pack.tokens();
  if (!tokens) return;
  Team::Call call(Team::instance());
  const int rows = rows_a_task(tokens, call.workers());
  call.run((tokens + rows - 1) / rows, [&](int task, int) {
    for (int i = task * rows; i < std::min(task * rows + rows, tokens); i++) {
      const size_t start = static_cast<size_t>(pack.rows[i]) * norm.width;
      engine.normalize(norm, states + start, normal + start);
    }
  });
}

void run_vocabulary(const Engine& engine, const VocabularyHead& head, const Sequences& sequences, const float* states,
                    float* maxima) {
  const Pack pack = sequences.pack();
  const int tokens = pack.tokens();
  if (!tokens) return;
  Team::Call call(Team::instance());
  const int rows = rows_a_task(tokens, call.workers());
  const int panels = head.scores.outputs / engine.layout.panel, panels_a_task = rows_a_task(panels, call.workers());
  const size_t values = static_cast<size_t>(tokens) * head.scores.inputs * engine.layout.activation_bytes;
  const size_t a_worker = round_up(engine.prepare_scratch(head), kAlignment);
  const bool alone = call.workers() == 1;
  Scratch scratch(Scratch::size_of<char>(values) + 2 * Scratch::size_of<float>(tokens) + (alone ? a_worker : 0));
  Scoring scoring{&head, pack, states, maxima, {}};
  scoring.quantized = {scratch.take<char>(values), scratch.take<float>(tokens), scratch.take<float>(tokens)};
  char* workers = alone ? scratch.take<char>(a_worker) : call.memory(a_worker);

  call.run((tokens + rows - 1) / rows, [&](int task, int worker) {
    engine.prepare(scoring, task * rows, std::min(task * rows + rows, tokens), workers + worker * a_worker);
  });
  call.run((panels + panels_a_task - 1) / panels_a_task, [&](int task, int) {
    engine.maximize(scoring, task * panels_a_task, std::min((task + 1) * panels_a_task, panels));
  });
}

void run_maxsim(const Engine& engine, const float* query, int vectors, int width, const Document* documents, int count,
                float* scores) {
  const int stride = (vectors + kParts - 1) / kParts * kParts;
  Team::Call call(Team::instance());
  const size_t columns = static_cast<size_t>(width) * stride;
  Scratch scratch(Scratch::size_of<float>(columns) + call.workers() * Scratch::size_of<float>(stride));
  float* transposed = scratch.take<float>(columns);
  std::memset(transposed, 0, columns * sizeof(float));
  for (int v = 0; v < vectors; v++)
    for (int i = 0; i < width; i++) transposed[static_cast<size_t>(i) * stride + v] = query[static_cast<size_t>(v) * width + i];
  const Query packed{transposed, width, stride};
  const size_t a_worker = Scratch::size_of<float>(stride) / sizeof(float);
  float* workers = scratch.take<float>(call.workers() * a_worker);

  call.run(count, [&](int task, int worker) {
    const Document& document = documents[task];
    if (!document.count) return;
    float* maxima = workers + worker * a_worker;
    engine.find_maxima(packed, document.vectors, document.count, maxima);
    double total = 0;
    for (int v = 0; v < vectors; v++) total += maxima[v];
    scores[task] = static_cast<float>(total);
  });
}

void run_linear(const Engine& engine, const PackedLinear& linear, const PackedLinear* gate, Activation activation, int rows,
                const float* inputs, float* output) {
  if (!rows) return;
  const Product& product = linear.product();
  Team::Call call(Team::instance());
  const int a_task = rows_a_task(rows, call.workers());
  const int panels = product.outputs / engine.layout.panel, panels_a_task = rows_a_task(panels, call.workers());
  const size_t values = static_cast<size_t>(rows) * product.inputs * engine.layout.activation_bytes;
  Scratch scratch(Scratch::size_of<char>(values) + 2 * Scratch::size_of<float>(rows));
  LinearPass pass{&product, gate ? &gate->product() : nullptr, activation, linear.width(), linear.channels(), rows, inputs, output, {}};
  pass.quantized = {scratch.take<char>(values), scratch.take<float>(rows), scratch.take<float>(rows)};

  call.run((rows + a_task - 1) / a_task, [&](int task, int) {
    engine.quantize_rows(pass, task * a_task, std::min(task * a_task + a_task, rows));
  });
  call.run((panels + panels_a_task - 1) / panels_a_task, [&](int task, int) {
    engine.multiply_panels(pass, task * panels_a_task, std::min((task + 1) * panels_a_task, panels));
  });
}

void run_attention(const Engine& engine, const AttentionInputs& inputs, const Sequences& sequences, float* output) {
  check_window(sequences, inputs.before);
  if (sequences.longest() > kMostKeys)
    throw std::invalid_argument("a sequence has " + std::to_string(sequences.longest()) + " tokens and attention takes " +
                                std::to_string(kMostKeys) + "; cut it");
  clear_padding(sequences, inputs.heads * inputs.size, output);
  const Pack pack = sequences.pack();
  if (!pack.tokens()) return;
  check_pieces(pack);

  Team::Call call(Team::instance());
  std::vector<size_t> places;
  std::vector<AttentionTask> tasks;
  size_t integers = 0;
  for (int sequence = 0; sequence < pack.sequences; sequence++) {
    places.push_back(integers);
    integers += inputs.groups * engine.group_bytes(inputs.size, pack.seen[sequence]);
    for (int head = 0; head < inputs.heads; head++)
      for (int first = 0; first < pack.length(sequence); first += kChunk) tasks.push_back({sequence, head, first});
  }
  const size_t a_worker = round_up(engine.head_rows_scratch(inputs.size, sequences.longest()), kAlignment);
  const bool alone = call.workers() == 1;
  const size_t groups = static_cast<size_t>(pack.sequences) * inputs.groups;
  Scratch scratch(Scratch::size_of<char>(integers) + Scratch::size_of<float>(groups) + (alone ? a_worker : 0));
  const AttentionPass pass{pack,
                           inputs.heads,
                           inputs.groups,
                           inputs.size,
                           inputs.scale * kLog2e,
                           inputs.before,
                           inputs.after,
                           inputs.queries,
                           inputs.keys,
                           inputs.values,
                           output,
                           scratch.take<char>(integers),
                           places.data(),
                           scratch.take<float>(groups)};
  char* workers = alone ? scratch.take<char>(a_worker) : call.memory(a_worker);

  call.run(static_cast<int>(groups), [&](int task, int worker) {
    engine.lay_out_group(pass, task / inputs.groups, task % inputs.groups, workers + worker * a_worker);
  });
  call.run(static_cast<int>(tasks.size()), [&](int task, int worker) {
    const auto [sequence, head, first] = tasks[task];
    engine.attend_head_rows(pass, sequence, head, first, std::min(first + kChunk, pack.length(sequence)),
                            workers + worker * a_worker);
  });
}

void run_rotation(const Engine& engine, const RotationPass& pass, int rows) {
  for_rows(rows, [&](int first, int last) { engine.rotate_rows(pass, first, last); });
}

void run_rms_norm(const Engine& engine, const RmsPass& pass, int rows) {
  for_rows(rows, [&](int first, int last) { engine.rms_rows(pass, first, last); });
}

void run_embeddings(const Engine& engine, const Vocabulary& vocabulary, const Sequences& sequences, const int64_t* ids,
                    float* states, const int64_t* types) {
  check_length(sequences, vocabulary.positions - vocabulary.first());
  clear_padding(sequences, vocabulary.table.width, states);
  const Pack pack = sequences.pack();
  for (int sequence = 0; sequence < pack.sequences; sequence++) {
    int next = vocabulary.first();
    for (int i = pack.starts[sequence]; i < pack.starts[sequence + 1]; i++) {
      const int32_t row = pack.rows[i];
      if (ids[row] < 0 || ids[row] >= vocabulary.words)
        throw std::invalid_argument("the token id " + std::to_string(ids[row]) + " is outside the vocabulary, 0 to " +
                                    std::to_string(vocabulary.words - 1));
      const int position = ids[row] == vocabulary.padding_id ? 0 : next++;
      const int64_t type = types ? types[row] : 0;
      if (type < 0 || type >= vocabulary.types)
        throw std::invalid_argument("the token type " + std::to_string(type) + " is not one of 0 to " +
                                    std::to_string(vocabulary.types - 1));
      engine.embed(vocabulary.table, ids[row], static_cast<int>(position + type * vocabulary.positions),
                   states + static_cast<size_t>(row) * vocabulary.table.width);
    }
  }
}

}  // namespace embed_onnx
