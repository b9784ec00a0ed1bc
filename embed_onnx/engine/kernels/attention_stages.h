// Attention, norms and rotations as operators by themselves, in terms of `Isa`. Included by encoder.h.

size_t group_bytes(int size, int seen) {
  const size_t padded = up_to(seen, kLanes);
  return key_bytes(size, padded) + padded * sizeof(float);
}
size_t head_rows_scratch(int size, int seen) { return tile_bytes(size, up_to(seen, kLanes)); }

// A head of a sequence, with the keys and values of its group.
Head head_of(const AttentionPass& pass, int sequence, int number) {
  const size_t stride = static_cast<size_t>(pass.heads) * pass.size, key_stride = static_cast<size_t>(pass.groups) * pass.size;
  const size_t row = pass.pack.rows[pass.pack.starts[sequence]];
  const int group = number / (pass.heads / pass.groups);
  return {pass.queries + row * stride + number * static_cast<size_t>(pass.size),
          pass.keys + row * key_stride + group * static_cast<size_t>(pass.size),
          pass.values + row * key_stride + group * static_cast<size_t>(pass.size),
          stride,
          key_stride,
          pass.size,
          pass.pack.length(sequence),
          pass.pack.seen[sequence],
          nullptr,
          pass.scale,
          pass.before,
          pass.after};
}

Scores scores_of(const AttentionPass& pass, int sequence, int group, char* scratch) {
  const int seen = pass.pack.seen[sequence];
  char* integers = pass.integers + pass.places[sequence] + group * group_bytes(pass.size, seen);
  Scores scores;
  place_keys(scores, pass.size, up_to(seen, kLanes), integers);
  scores.key_steps = reinterpret_cast<float*>(integers + key_bytes(pass.size, scores.stride));
  place_tile(scores, scratch);
  return scores;
}

void lay_out_group(const AttentionPass& pass, int sequence, int group, char* scratch) {
  const Head head = head_of(pass, sequence, group * (pass.heads / pass.groups));
  Scores scores = scores_of(pass, sequence, group, scratch);
  scores.value_factor = factor_to(kLargest16, head.values, head.key_stride, head.size, head.seen);
  lay_out_keys(head, scores);
  lay_out_values(head, scores);
  // Not a number if a key is not, so that the output is not either: weights are integers, which cannot say so.
  for (int i = 0; i < head.seen; i++) scores.value_factor += 0.0f * scores.key_steps[i];
  pass.value_factors[sequence * pass.groups + group] = scores.value_factor;
}

void attend_head_rows(const AttentionPass& pass, int sequence, int number, int first, int last, char* scratch) {
  const int group = number / (pass.heads / pass.groups);
  const Head head = head_of(pass, sequence, number);
  Scores scores = scores_of(pass, sequence, group, scratch);
  scores.value_factor = pass.value_factors[sequence * pass.groups + group];
  const size_t row = pass.pack.rows[pass.pack.starts[sequence]];
  attend_rows(head, first, last, scores, pass.output + row * head.stride + number * static_cast<size_t>(pass.size), head.stride);
}

void rms_rows(const RmsPass& pass, int first, int last) {
  for (int64_t row = first; row < last; row++)
    rms_norm(pass.inputs + row * pass.width, pass.width, pass.epsilon, pass.gamma, pass.output + row * pass.width);
}

// The first `channels` of a head: each of the first half is the real part of a number, and of the second half its imaginary
// part. The others stay.
void rotate_head(const RotationPass& pass, const float* x, const float* cosines, const float* sines, float* y) {
  const int half = pass.channels / 2;
  for (int i = 0; i < half; i += kLanes) {
    const int lanes = least(kLanes, half - i);
    const Float real = load_some(x + i, lanes), imaginary = load_some(x + half + i, lanes);
    const Float turned = Isa::fma(real, load_some(cosines + i, lanes), Isa::zero() - imaginary * load_some(sines + i, lanes));
    const Float other =
        Isa::fma(imaginary, load_some(cosines + half + i, lanes), real * load_some(sines + half + i, lanes));
    store_some(y + i, lanes, turned);
    store_some(y + half + i, lanes, other);
  }
  std::memcpy(y + pass.channels, x + pass.channels, (pass.size - pass.channels) * sizeof(float));
}

void rotate_rows(const RotationPass& pass, int first, int last) {
  for (int64_t row = first; row < last; row++) {
    const size_t angles = row % pass.tokens * static_cast<size_t>(pass.channels);
    for (int head = 0; head < pass.heads; head++) {
      const size_t place = (row * static_cast<size_t>(pass.heads) + head) * pass.size;
      rotate_head(pass, pass.inputs + place, pass.cosines + angles, pass.sines + angles, pass.output + place);
    }
  }
}
