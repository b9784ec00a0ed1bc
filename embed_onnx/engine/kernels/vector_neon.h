// Four floats, in the registers of 64-bit Arm. The operators + - * / are the compiler's own.
// Included inside the namespace of an instruction set, after the compiler's header of intrinsics.

struct Vector {
  using Float = float32x4_t;
  using Int = int32x4_t;
  static constexpr int lanes = 4;
  static constexpr int matrix_rows = 0;  // no unit that multiplies matrices

  static Float zero() { return vdupq_n_f32(0); }
  static Float all(float x) { return vdupq_n_f32(x); }
  static Float load(const float* p) { return vld1q_f32(p); }
  static void store(float* p, Float x) { vst1q_f32(p, x); }
  // The first n lanes; the others are zero, and nothing beyond them is read or written.
  static Float load_first(const float* p, int n) {
    float some[lanes] = {};
    std::memcpy(some, p, n * sizeof(float));
    return load(some);
  }
  static void store_first(float* p, int n, Float x) { std::memcpy(p, &x, n * sizeof(float)); }
  static Float select_first(int n, Float x, Float others) {
    const int32x4_t place = {0, 1, 2, 3};
    return vbslq_f32(vcltq_s32(place, vdupq_n_s32(n)), x, others);
  }
  static Float load_int8(const int8_t* p) {
    int8x8_t eight = vdup_n_s8(0);
    std::memcpy(&eight, p, lanes);
    return vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(eight))));
  }
  static Float fma(Float a, Float b, Float c) { return vfmaq_f32(c, a, b); }
  static Float min(Float a, Float b) { return vminq_f32(a, b); }
  static Float max(Float a, Float b) { return vmaxq_f32(a, b); }
  static Float round(Float x) { return vrndnq_f32(x); }
  // x * 2^n for whole n of -126..127.
  static Float scale_by_power(Float x, Float n) {
    return x * vreinterpretq_f32_s32(vshlq_n_s32(vaddq_s32(to_int(n), vdupq_n_s32(127)), 23));
  }
  static Int to_int(Float x) { return vcvtnq_s32_f32(x); }
  static Float to_float(Int x) { return vcvtq_f32_s32(x); }
  static Int all(int32_t x) { return vdupq_n_s32(x); }
  static Int load(const int32_t* p) { return vld1q_s32(p); }
  // Of the parts, i and i + 8 are added, then i and i + 4, and so on.
  static float sum(const Float (&parts)[4]) {
    const Float quarter = (parts[0] + parts[2]) + (parts[1] + parts[3]);
    return vpadds_f32(vadd_f32(vget_low_f32(quarter), vget_high_f32(quarter)));
  }
  static float least(Float x) { return vminvq_f32(x); }
  static float greatest(Float x) { return vmaxvq_f32(x); }

  static void store_int16(int16_t* p, Int x) { vst1_s16(p, vmovn_s32(x)); }
  // A pair of int16 in each lane, from the lower halves.
  static void store_pairs(int32_t* p, Int first, Int second) { vst1q_s32(p, vsliq_n_s32(first, second, 16)); }
  static Int load_pairs(const int32_t* p) {
    const uint8x16_t order = {0, 1, 4, 5, 8, 9, 12, 13, 2, 3, 6, 7, 10, 11, 14, 15};
    return vreinterpretq_s32_s8(vqtbl1q_s8(vreinterpretq_s8_s32(load(p)), order));
  }
};
