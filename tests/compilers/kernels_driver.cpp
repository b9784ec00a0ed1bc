// Runs cases of the kernels without ONNX Runtime: for sanitizers and emulators.
//
//     kernels_driver ENGINE THREADS CALLERS CASES
//
// CASES is a file of named tensors, see read_case. Each of CALLERS threads runs all cases; they must agree to the bit. One
// caller has the help of THREADS - 1 others; beside several callers helpers come and go.
// Standard output has for each case a count and that many float32; or, for an error, its length below zero and a sentence.
// Exit code 2, and a sentence on standard error: the cases cannot be run at all; 3: this processor has no such engine.
//
// What the kernels take is in blocks of the heap of exactly its size, so that AddressSanitizer sees each step beyond.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <memory>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "model.h"
#include "run.h"
#include "team.h"

using namespace embed_onnx;

namespace {

struct Free {
  void operator()(void* memory) const { std::free(memory); }
};
template <class T>
using Block = std::unique_ptr<T, Free>;

template <class T>
Block<T> block(size_t count) {
  void* memory = nullptr;
  if (posix_memalign(&memory, kAlignment, count * sizeof(T))) throw std::bad_alloc();
  std::memset(memory, 0xa5, count * sizeof(T));  // nothing may rely on zeros
  return Block<T>(static_cast<T*>(memory));
}

struct Array {
  std::vector<int64_t> shape;
  Block<char> data;

  template <class T>
  const T* as() const {
    return reinterpret_cast<const T*>(data.get());
  }
};
using Case = std::map<std::string, Array>;

template <class T>
T read(std::istream& in) {
  T value{};
  in.read(reinterpret_cast<char*>(&value), sizeof value);
  return value;
}

// A tensor: the length of its name, the name, bytes a number, the rank, the shape, the numbers. A name without letters
// ends a case.
bool read_case(std::istream& in, Case& out) {
  while (true) {
    std::string name(read<int64_t>(in), '\0');
    if (!in) return false;
    if (name.empty()) return true;
    in.read(name.data(), name.size());
    Array array;
    int64_t bytes = read<int64_t>(in);
    array.shape.resize(read<int64_t>(in));
    for (int64_t& size : array.shape) bytes *= size = read<int64_t>(in);
    array.data = block<char>(bytes);
    in.read(array.data.get(), bytes);
    if (!in) throw std::runtime_error("the file of cases ends too early");
    out[name] = std::move(array);
  }
}

const Array& array_of(const Case& arrays, const std::string& name) {
  const auto entry = arrays.find(name);
  if (entry == arrays.end()) throw std::runtime_error("the case has no " + name);
  return entry->second;
}

Tensor tensor(const Case& arrays, const std::string& name) {
  const Array& array = array_of(arrays, name);
  return {name, array.data.get(), array.shape};
}

ProductTensors product(const Case& arrays, const std::string& name) {
  return {tensor(arrays, name + "_weight"), tensor(arrays, name + "_scale"), tensor(arrays, name + "_sum"),
          tensor(arrays, name + "_bias")};
}

LayerTensors layer_tensors(const Case& arrays) {
  LayerTensors tensors;
  tensors.qkv = product(arrays, "qkv");
  tensors.output = product(arrays, "output");
  tensors.up = product(arrays, "up");
  tensors.down = product(arrays, "down");
  tensors.attention_gamma = tensor(arrays, "attention_gamma");
  tensors.attention_beta = tensor(arrays, "attention_beta");
  if (arrays.count("output_gamma")) {
    tensors.output_gamma = tensor(arrays, "output_gamma");
    tensors.output_beta = tensor(arrays, "output_beta");
  }
  if (arrays.count("relative_bias")) tensors.relative_bias = tensor(arrays, "relative_bias");
  if (arrays.count("qkv_factors")) tensors.qkv_factors = tensor(arrays, "qkv_factors");
  if (arrays.count("up_factors")) tensors.up_factors = tensor(arrays, "up_factors");
  return tensors;
}

std::string text(const Array& array) { return std::string(array.as<char>(), array.shape.at(0)); }

LayerAttributes layer_attributes(const Case& arrays) {
  const bool rotary = arrays.count("cosines");
  return {*array_of(arrays, "num_heads").as<int64_t>(), *array_of(arrays, "epsilon").as<float>(),
          text(array_of(arrays, "activation")), rotary, rotary};
}

// A layer whose weights are moved to blocks of exactly their size.
class ExactLayer {
 public:
  ExactLayer(const Layer& layer, const Layout& layout) : layer_(layer) {
    for (Product* product : {&layer_.qkv, &layer_.output, &layer_.up, &layer_.down}) {
      move(product->weights, static_cast<size_t>(product->inputs) * product->outputs);
      for (const float** vector : {&product->scale, &product->sum, &product->bias}) move(*vector, product->outputs);
      move(product->start, product->outputs);
      const int panels = product->outputs / layout.panel, blocks = product->halves.starts[panels];
      move(product->halves.starts, panels + 1);
      move(product->halves.inputs, blocks);
      move(product->halves.weights, static_cast<size_t>(blocks) * layout.panel * layout.group);
    }
    for (const float** vector : {&layer_.attention_gamma, &layer_.attention_beta, &layer_.output_gamma,
                                 &layer_.output_beta, &layer_.qkv_factors, &layer_.up_factors})
      if (*vector) move(*vector, layer_.width);
    if (layer_.relative_bias)
      move(layer_.relative_bias, static_cast<size_t>(layer_.heads) * layer_.relative_stride);
  }
  const Layer& layer() const { return layer_; }

 private:
  template <class T>
  void move(const T*& data, size_t count) {
    Block<char> to = block<char>(count * sizeof(T));
    if (count) std::memcpy(to.get(), data, count * sizeof(T));
    data = reinterpret_cast<const T*>(to.get());
    blocks_.push_back(std::move(to));
  }

  Layer layer_;
  std::vector<Block<char>> blocks_;
};

// Tasks of `rows` rows, from the last to the first: their size and order must not matter.
void backwards(int tokens, int rows, const std::function<void(int, int)>& task) {
  for (int first = (tokens - 1) / rows * rows; first >= 0; first -= rows) task(first, std::min(first + rows, tokens));
}

// What run_layer does, with a block for each piece of memory, and tasks of one tile.
void run_stages(const Engine& engine, const Layer& original, const Sequences& sequences, const LayerInputs& inputs,
                float* output) {
  const ExactLayer exact(original, engine.layout);
  const Layer& layer = exact.layer();
  const Pack pack = sequences.pack();
  const int tokens = pack.tokens();
  if (!tokens) return;
  const auto values = block<char>(static_cast<size_t>(tokens) * layer.qkv.inputs * engine.layout.activation_bytes);
  const auto scale = block<float>(tokens), minimum = block<float>(tokens);
  const auto context = block<float>(static_cast<size_t>(tokens) * layer.context_width());
  const auto attend = block<char>(engine.attend_scratch(layer, tokens, sequences.longest()));
  const auto transform = block<char>(engine.transform_scratch(layer, kTileRows));
  const Pass pass{&layer,
                  pack,
                  inputs.inputs,
                  inputs.states,
                  output,
                  inputs.rotation,
                  inputs.window,
                  {values.get(), scale.get(), minimum.get()},
                  context.get()};
  backwards(tokens, kTileRows, [&](int first, int last) { engine.quantize(pass, first, last); });
  for (int group = layer.groups() - 1; group >= 0; group--) engine.attend(pass, group, attend.get());
  backwards(tokens, kTileRows, [&](int first, int last) { engine.transform(pass, first, last, transform.get()); });
}

void check_equal(const float* expected, const float* actual, size_t count) {
  if (count && std::memcmp(expected, actual, count * sizeof(float)))
    throw std::runtime_error("tasks of another size give other numbers");
}

std::string floats(const float* data, int64_t count) {
  return std::string(reinterpret_cast<const char*>(&count), sizeof count) +
         std::string(reinterpret_cast<const char*>(data), count * sizeof(float));
}

std::string run_layer_case(const Engine& engine, const Case& arrays, const Sequences& sequences) {
  const PackedLayer packed(layer_tensors(arrays), layer_attributes(arrays), engine.layout);
  const Layer& layer = packed.layer();
  const float* states = array_of(arrays, "states").as<float>();
  LayerInputs inputs{states, states, {}, 0, INT32_MAX / 2};
  if (layer.rotated) {
    const Array& cosines = array_of(arrays, "cosines");
    inputs = {array_of(arrays, "normal").as<float>(), states, {cosines.as<float>(), array_of(arrays, "sines").as<float>()},
              cosines.shape.at(0), static_cast<int>(*array_of(arrays, "window").as<int64_t>())};
  }
  const size_t count = sequences.rows() * layer.width;
  const auto output = block<float>(count), again = block<float>(count);
  run_layer(engine, layer, sequences, inputs, output.get());
  std::memcpy(again.get(), output.get(), count * sizeof(float));
  run_stages(engine, layer, sequences, inputs, again.get());
  check_equal(output.get(), again.get(), count);
  return floats(output.get(), count);
}

std::string run_embeddings_case(const Engine& engine, const Case& arrays, const Sequences& sequences) {
  const Array& words = array_of(arrays, "words");
  const int64_t width = words.shape.at(1);
  const Embeddings table{static_cast<int>(width),
                         *array_of(arrays, "epsilon").as<float>(),
                         words.as<int8_t>(),
                         array_of(arrays, "word_scale").as<float>(),
                         array_of(arrays, "positions").as<float>(),
                         array_of(arrays, "gamma").as<float>(),
                         array_of(arrays, "beta").as<float>(),
                         arrays.count("word_factors") ? array_of(arrays, "word_factors").as<float>() : nullptr};
  const size_t count = sequences.rows() * width;
  const auto output = block<float>(count);
  const bool after_padding = arrays.count("padding_id");
  const int64_t padding_id = after_padding ? *array_of(arrays, "padding_id").as<int64_t>() : Vocabulary::kNoPadding;
  run_embeddings(engine, {table, words.shape.at(0), array_of(arrays, "positions").shape.at(0), padding_id}, sequences,
                 array_of(arrays, "input_ids").as<int64_t>(), output.get());
  return floats(output.get(), count);
}

std::string run_norm_case(const Engine& engine, const Case& arrays, const Sequences& sequences) {
  const Array& gamma = array_of(arrays, "gamma");
  const Norm norm{static_cast<int>(gamma.shape.at(0)), *array_of(arrays, "epsilon").as<float>(), gamma.as<float>(),
                  array_of(arrays, "beta").as<float>()};
  const size_t count = sequences.rows() * norm.width;
  const auto output = block<float>(count);
  run_norm(engine, norm, sequences, array_of(arrays, "states").as<float>(), output.get());
  return floats(output.get(), count);
}

std::string run_vocabulary_case(const Engine& engine, const Case& arrays, const Sequences& sequences) {
  const VocabularyTensors tensors{product(arrays, "transform"), product(arrays, "scores"), tensor(arrays, "gamma"),
                                  tensor(arrays, "beta")};
  const PackedVocabulary packed(tensors, *array_of(arrays, "epsilon").as<float>(), text(array_of(arrays, "activation")),
                                engine.layout);
  const size_t count = static_cast<size_t>(sequences.pack().sequences) * packed.head().entries;
  const auto output = block<float>(count);
  run_vocabulary(engine, packed.head(), sequences, array_of(arrays, "states").as<float>(), output.get());
  return floats(output.get(), count);
}

std::string run_maxsim_case(const Engine& engine, const Case& arrays) {
  const Array& query = array_of(arrays, "query");
  const int width = query.shape.at(1);
  const int64_t* lengths = array_of(arrays, "lengths").as<int64_t>();
  const size_t count = array_of(arrays, "lengths").shape.at(0);
  const float* vectors = array_of(arrays, "documents").as<float>();
  std::vector<Block<float>> blocks;
  std::vector<Document> documents;
  for (size_t i = 0; i < count; vectors += lengths[i++] * width) {
    const size_t numbers = lengths[i] * width;
    blocks.push_back(block<float>(numbers));
    std::memcpy(blocks[i].get(), vectors, numbers * sizeof(float));
    documents.push_back({blocks[i].get(), static_cast<int>(lengths[i])});
  }
  const auto scores = block<float>(count);
  run_maxsim(engine, query.as<float>(), query.shape.at(0), width, documents.data(), count, scores.get());
  return floats(scores.get(), count);
}

// What run_linear does, with a block for each piece of memory, and tasks of one tile and one panel.
void run_linear_stages(const Engine& engine, const PackedLinear& linear, const PackedLinear* gate, Activation activation,
                       int rows, const float* x, float* output) {
  const Product& product = linear.product();
  const auto values = block<char>(static_cast<size_t>(rows) * product.inputs * engine.layout.activation_bytes);
  const auto scale = block<float>(rows), minimum = block<float>(rows);
  const LinearPass pass{&product,
                        gate ? &gate->product() : nullptr,
                        activation,
                        linear.width(),
                        linear.channels(),
                        rows,
                        x,
                        output,
                        {values.get(), scale.get(), minimum.get()}};
  backwards(rows, kTileRows, [&](int first, int last) { engine.quantize_rows(pass, first, last); });
  backwards(product.outputs / engine.layout.panel, 1,
            [&](int first, int last) { engine.multiply_panels(pass, first, last); });
}

std::string run_linear_case(const Engine& engine, const Case& arrays) {
  const PackedLinear packed(product(arrays, "linear"), engine.layout);
  std::unique_ptr<const PackedLinear> gate;
  Activation activation = Activation::silu;
  if (arrays.count("gate_weight")) {
    gate = std::make_unique<const PackedLinear>(product(arrays, "gate"), engine.layout);
    activation = activation_named(text(array_of(arrays, "activation")));
  }
  const Array& x = array_of(arrays, "x");
  int64_t rows = 1;
  for (size_t axis = 0; axis + 1 < x.shape.size(); axis++) rows *= x.shape[axis];
  const size_t count = static_cast<size_t>(rows) * packed.channels();
  const auto output = block<float>(count), again = block<float>(count);
  run_linear(engine, packed, gate.get(), activation, static_cast<int>(rows), x.as<float>(), output.get());
  if (rows) run_linear_stages(engine, packed, gate.get(), activation, static_cast<int>(rows), x.as<float>(), again.get());
  check_equal(output.get(), again.get(), count);
  return floats(output.get(), count);
}

// What run_attention does, with a block for each piece of memory, and tasks of one tile.
void run_attention_stages(const Engine& engine, const AttentionInputs& inputs, const Pack& pack, float* output) {
  std::vector<size_t> places;
  size_t bytes = 0;
  int longest = 0;
  for (int sequence = 0; sequence < pack.sequences; sequence++) {
    places.push_back(bytes);
    bytes += inputs.groups * engine.group_bytes(inputs.size, pack.seen[sequence]);
    longest = std::max(longest, pack.length(sequence));
  }
  const auto integers = block<char>(bytes), scratch = block<char>(engine.head_rows_scratch(inputs.size, longest));
  const auto factors = block<float>(static_cast<size_t>(pack.sequences) * inputs.groups);
  const AttentionPass pass{pack, inputs.heads, inputs.groups, inputs.size, inputs.scale * kLog2e, inputs.before, inputs.after,
                           inputs.queries, inputs.keys, inputs.values, output, integers.get(), places.data(), factors.get()};
  for (int sequence = pack.sequences - 1; sequence >= 0; sequence--) {
    for (int group = inputs.groups - 1; group >= 0; group--) engine.lay_out_group(pass, sequence, group, scratch.get());
    for (int head = inputs.heads - 1; head >= 0; head--)
      backwards(pack.length(sequence), kTileRows, [&](int first, int last) {
        engine.attend_head_rows(pass, sequence, head, first, last, scratch.get());
      });
  }
}

std::string run_attention_case(const Engine& engine, const Case& arrays, const Sequences& sequences) {
  const std::vector<int64_t>& shape = array_of(arrays, "queries").shape;
  const AttentionInputs inputs{static_cast<int>(shape.at(2)),
                               static_cast<int>(array_of(arrays, "keys").shape.at(2)),
                               static_cast<int>(shape.at(3)),
                               *array_of(arrays, "scale").as<float>(),
                               static_cast<int>(*array_of(arrays, "before").as<int64_t>()),
                               static_cast<int>(*array_of(arrays, "after").as<int64_t>()),
                               array_of(arrays, "queries").as<float>(),
                               array_of(arrays, "keys").as<float>(),
                               array_of(arrays, "values").as<float>()};
  const size_t count = sequences.rows() * inputs.heads * inputs.size;
  const auto output = block<float>(count), again = block<float>(count);
  run_attention(engine, inputs, sequences, output.get());
  std::memcpy(again.get(), output.get(), count * sizeof(float));
  run_attention_stages(engine, inputs, sequences.pack(), again.get());
  check_equal(output.get(), again.get(), count);
  return floats(output.get(), count);
}

std::string run_rotation_case(const Engine& engine, const Case& arrays) {
  const Array &x = array_of(arrays, "x"), &cosines = array_of(arrays, "cosines");
  const int rows = static_cast<int>(x.shape.at(0) * x.shape.at(1));
  const int heads = static_cast<int>(x.shape.at(2)), size = static_cast<int>(x.shape.at(3));
  const size_t count = static_cast<size_t>(rows) * heads * size;
  const auto output = block<float>(count);
  run_rotation(engine,
               {heads, size, static_cast<int>(cosines.shape.at(2)), cosines.shape.at(0) * cosines.shape.at(1),
                cosines.as<float>(), array_of(arrays, "sines").as<float>(), x.as<float>(), output.get()},
               rows);
  return floats(output.get(), count);
}

std::string run_rms_norm_case(const Engine& engine, const Case& arrays) {
  const Array &x = array_of(arrays, "x"), &gamma = array_of(arrays, "gamma");
  const int width = static_cast<int>(gamma.shape.at(0));
  int64_t rows = 1;
  for (size_t axis = 0; axis + 1 < x.shape.size(); axis++) rows *= x.shape[axis];
  const auto output = block<float>(rows * width);
  run_rms_norm(engine, {width, *array_of(arrays, "epsilon").as<float>(), gamma.as<float>(), x.as<float>(), output.get()},
               static_cast<int>(rows));
  return floats(output.get(), rows * width);
}

std::string run_case(const Engine& engine, const Case& arrays) try {
  const std::string name = text(array_of(arrays, "operator"));
  if (name == "MaxSim") return run_maxsim_case(engine, arrays);
  if (name == "Linear" || name == "GatedLinear") return run_linear_case(engine, arrays);
  if (name == "RmsNorm") return run_rms_norm_case(engine, arrays);
  if (name == "RotateHeads") return run_rotation_case(engine, arrays);
  const Array& mask = array_of(arrays, "attention_mask");
  const Sequences sequences(mask.as<int64_t>(), mask.shape.at(0), mask.shape.at(1));
  if (name == "TokenEmbeddings") return run_embeddings_case(engine, arrays, sequences);
  if (name == "Attention") return run_attention_case(engine, arrays, sequences);
  if (name == "VocabularyMaxima") return run_vocabulary_case(engine, arrays, sequences);
  return name == "TokenNorm" ? run_norm_case(engine, arrays, sequences) : run_layer_case(engine, arrays, sequences);
} catch (const std::invalid_argument& error) {
  const std::string sentence = error.what();
  const int64_t count = -static_cast<int64_t>(sentence.size());
  return std::string(reinterpret_cast<const char*>(&count), sizeof count) + sentence;
}

std::vector<Case> read_cases(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("there is no file " + path);
  std::vector<Case> cases;
  for (Case one; read_case(in, one); one = Case()) cases.push_back(std::move(one));
  return cases;
}

std::string run_all(const std::vector<Case>& cases) {
  std::string out;
  for (const Case& one : cases) out += run_case(engine_in_use(), one);
  return out;
}

int run(const std::string& engine, int threads, int callers, const std::string& path) {
  if (!choose_engine(engine.c_str())) {
    std::cerr << "this processor has no " << engine << "\n";
    return 3;
  }
  const std::vector<Case> cases = read_cases(path);
  Team::instance().resize(threads);
  std::vector<std::string> results(callers);
  std::vector<std::thread> running;
  std::atomic<int> left{callers};
  for (std::string& result : results)
    running.emplace_back([&] {
      try {
        result = run_all(cases);
        left--;
      } catch (const std::exception& error) {
        std::cerr << error.what() << "\n";
        std::_Exit(2);
      }
    });
  for (int i = 0; callers > 1 && left; i++) {
    Team::instance().resize(1 + i % threads);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  for (std::thread& thread : running) thread.join();
  for (const std::string& result : results)
    if (result != results[0]) throw std::runtime_error("callers at the same time get different numbers");
  std::cout.write(results[0].data(), results[0].size());
  return 0;
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 5) {
    std::cerr << "usage: kernels_driver ENGINE THREADS CALLERS CASES\n";
    return 2;
  }
  try {
    return run(arguments[1], std::atoi(arguments[2]), std::atoi(arguments[3]), arguments[4]);
  } catch (const std::exception& error) {
    std::cerr << error.what() << "\n";
    return 2;
  }
}
