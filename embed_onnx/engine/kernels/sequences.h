// The attention mask, read as packed sequences.
#pragma once

#include <cstdint>
#include <vector>

#include "engine.h"

namespace embed_onnx {

// In a row of the mask, 0 is padding and equal other numbers are one sequence, wherever they stand.
class Sequences {
 public:
  // mask [batch, tokens]
  Sequences(const int64_t* mask, int64_t batch, int64_t tokens);

  Pack pack() const { return {rows_.data(), starts_.data(), static_cast<int>(starts_.size()) - 1}; }
  int longest() const { return longest_; }
  // Of the mask, padding included.
  int64_t rows() const { return mask_rows_; }
  bool has_padding() const { return static_cast<int64_t>(rows_.size()) < mask_rows_; }

 private:
  void add_row(const int64_t* mask, int64_t first, int64_t tokens);

  std::vector<int32_t> rows_;
  std::vector<int32_t> starts_{0};
  int longest_ = 0;
  int64_t mask_rows_ = 0;
};

}  // namespace embed_onnx
