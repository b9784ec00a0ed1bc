// Sixteen floats, in the registers of AVX-512 (F, BW, DQ, VL). The operators + - * / are the compiler's own.
// Included inside the namespace of an instruction set, after the compiler's header of intrinsics.

struct Vector {
  using Float = __m512;
  using Int = __m512i;
  static constexpr int lanes = 16;
  static constexpr int matrix_rows = 0;  // no unit that multiplies matrices

  static Float zero() { return _mm512_setzero_ps(); }
  static Float all(float x) { return _mm512_set1_ps(x); }
  static Float load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, Float x) { _mm512_storeu_ps(p, x); }
  // The first n lanes; the others are zero, and nothing beyond them is read or written.
  static Float load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_first(float* p, int n, Float x) { _mm512_mask_storeu_ps(p, first(n), x); }
  static Float select_first(int n, Float x, Float others) { return _mm512_mask_mov_ps(others, first(n), x); }
  static Float load_int8(const int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  static Float fma(Float a, Float b, Float c) { return _mm512_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm512_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm512_max_ps(a, b); }
  static Float round(Float x) { return _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x * 2^n for whole n.
  static Float scale_by_power(Float x, Float n) { return _mm512_scalef_ps(x, n); }
  static Int to_int(Float x) { return _mm512_cvtps_epi32(x); }
  static Float to_float(Int x) { return _mm512_cvtepi32_ps(x); }
  static Int all(int32_t x) { return _mm512_set1_epi32(x); }
  static Int load(const int32_t* p) { return _mm512_loadu_si512(p); }
  // Of the parts, i and i + 8 are added, then i and i + 4, and so on.
  static float sum(const Float (&parts)[1]) {
    const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(parts[0]), _mm512_extractf32x8_ps(parts[0], 1));
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
  }
  static float least(Float x) { return _mm512_reduce_min_ps(x); }
  static float greatest(Float x) { return _mm512_reduce_max_ps(x); }

  static void store_int16(int16_t* p, Int x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(x));
  }
  // A pair of int16 in each lane, from the lower halves.
  static void store_pairs(int32_t* p, Int first, Int second) {
    _mm512_storeu_si512(p, _mm512_mask_blend_epi16(0xaaaaaaaa, first, _mm512_slli_epi32(second, 16)));
  }
  static Int load_pairs(const int32_t* p) { return load(p); }

 private:
  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1); }
};
