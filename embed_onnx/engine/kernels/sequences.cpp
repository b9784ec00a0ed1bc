#include "sequences.h"

#include <algorithm>
#include <stdexcept>

namespace embed_onnx {

Sequences::Sequences(const int64_t* mask, int64_t batch, int64_t tokens) : mask_rows_(batch * tokens) {
  rows_.reserve(mask_rows_);
  for (int64_t row = 0; row < batch; row++) add_row(mask + row * tokens, row * tokens, tokens);
}

void Sequences::add_row(const int64_t* mask, int64_t first, int64_t tokens) {
  const auto begin = static_cast<std::ptrdiff_t>(rows_.size());
  for (int64_t i = 0; i < tokens; i++)
    if (mask[i]) rows_.push_back(static_cast<int32_t>(first + i));

  const auto number = [&](int32_t row) {
    const auto bits = static_cast<uint64_t>(mask[row - first]);
    return mask[row - first] < 0 ? 0 - bits : bits;
  };
  const auto before = [&](int32_t a, int32_t b) { return number(a) < number(b); };
  if (!std::is_sorted(rows_.begin() + begin, rows_.end(), before))
    std::stable_sort(rows_.begin() + begin, rows_.end(), before);

  const auto end = static_cast<int32_t>(rows_.size());
  for (int32_t i = static_cast<int32_t>(begin); i < end; i++)
    if (i + 1 == end || number(rows_[i]) != number(rows_[i + 1])) add_sequence(mask, first, i + 1);
}

// One from the last start on.
void Sequences::add_sequence(const int64_t* mask, int64_t first, int32_t end) {
  const int32_t begin = starts_.back();
  int32_t unseen = begin;
  while (unseen < end && mask[rows_[unseen] - first] > 0) unseen++;
  if (unseen == begin) throw std::invalid_argument("attention_mask has a sequence whose first token none attends to");
  for (int32_t i = unseen; i < end; i++)
    if (mask[rows_[i] - first] > 0)
      throw std::invalid_argument("attention_mask has tokens that none attends to before others of their sequence");
  longest_ = std::max(longest_, end - begin);
  most_unseen_ = std::max(most_unseen_, end - unseen);
  starts_.push_back(end);
  seen_.push_back(unseen - begin);
}

}  // namespace embed_onnx
