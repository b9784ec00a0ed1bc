// How fast the dot product instruction is by itself, in terms of `Isa`. Included by encoder.h.

double now() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return time.tv_sec + 1e-9 * time.tv_nsec;
}

// More sums than an instruction's latency takes turns of, so that none waits for another. Apart from `peak`, so that they
// stay in registers.
constexpr int kSums = 12;

__attribute__((noinline)) float dot_products(int rounds) {
  int32_t group = 0;
  const Int weights = Isa::all(group);
  Int sums[kSums];
  for (int i = 0; i < kSums; i++) sums[i] = weights;
  for (int round = 0; round < rounds; round++) {
    __asm__ volatile("" : "+r"(group));  // or the compiler would multiply once for all rounds
    const Int activations = Isa::all(group);
    for (int i = 0; i < kSums; i++) sums[i] = Isa::dot(sums[i], activations, weights);
  }
  Float total = Isa::zero();
  for (int i = 0; i < kSums; i++) total = total + Isa::to_float(sums[i]);
  return Isa::greatest(total);
}

double peak(double seconds) {
  constexpr int kRounds = 1000;
  double multiply_adds = 0, elapsed = 0;
  for (const double begin = now(); elapsed < seconds; elapsed = now() - begin) {
    multiply_adds += dot_products(kRounds);
    multiply_adds += static_cast<double>(kRounds) * kSums * kLanes * Isa::group;
  }
  return multiply_adds / elapsed;
}
