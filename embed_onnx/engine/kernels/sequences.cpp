#include "sequences.h"

#include <algorithm>

namespace embed_onnx {

Sequences::Sequences(const int64_t* mask, int64_t batch, int64_t tokens) : mask_rows_(batch * tokens) {
  rows_.reserve(mask_rows_);
  for (int64_t row = 0; row < batch; row++) add_row(mask + row * tokens, row * tokens, tokens);
}

void Sequences::add_row(const int64_t* mask, int64_t first, int64_t tokens) {
  const auto begin = static_cast<std::ptrdiff_t>(rows_.size());
  for (int64_t i = 0; i < tokens; i++)
    if (mask[i]) rows_.push_back(static_cast<int32_t>(first + i));

  const auto number = [&](int32_t row) { return mask[row - first]; };
  const auto before = [&](int32_t a, int32_t b) { return number(a) < number(b); };
  if (!std::is_sorted(rows_.begin() + begin, rows_.end(), before))
    std::stable_sort(rows_.begin() + begin, rows_.end(), before);

  const auto end = static_cast<int32_t>(rows_.size());
  for (int32_t i = static_cast<int32_t>(begin); i < end; i++)
    if (i + 1 == end || number(rows_[i]) != number(rows_[i + 1])) {
      longest_ = std::max(longest_, i + 1 - starts_.back());
      starts_.push_back(i + 1);
    }
}

}  // namespace embed_onnx
