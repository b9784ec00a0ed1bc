// The attention mask, read as packed sequences.
#pragma once

#include <cstdint>
#include <vector>

#include "engine.h"

namespace embed_onnx {

// In a row of the mask, 0 is padding and equal other numbers are one sequence, wherever they stand. Tokens of the negative
// of a number are of that sequence as well: they attend to its others, and none attends to them. They are its last ones.
class Sequences {
 public:
  // mask [batch, tokens]
  Sequences(const int64_t* mask, int64_t batch, int64_t tokens);

  Pack pack() const { return {rows_.data(), starts_.data(), seen_.data(), static_cast<int>(seen_.size())}; }
  int longest() const { return longest_; }
  // The most tokens of a sequence that none attends to.
  int most_unseen() const { return most_unseen_; }
  // Of the mask, padding included.
  int64_t rows() const { return mask_rows_; }
  bool has_padding() const { return static_cast<int64_t>(rows_.size()) < mask_rows_; }

 private:
  void add_row(const int64_t* mask, int64_t first, int64_t tokens);
  void add_sequence(const int64_t* mask, int64_t first, int32_t end);

  std::vector<int32_t> rows_;
  std::vector<int32_t> starts_{0};
  std::vector<int32_t> seen_;
  int longest_ = 0;
  int most_unseen_ = 0;
  int64_t mask_rows_ = 0;
};

}  // namespace embed_onnx
