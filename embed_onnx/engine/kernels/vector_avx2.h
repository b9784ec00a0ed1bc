// Eight floats, in the registers of AVX2 and FMA; and products of bytes, four to each of eight integers. The operators
// + - * / are the compiler's own.
// Included inside the namespace of an instruction set, after the compiler's header of intrinsics.

struct Vector {
  using Float = __m256;
  using Int = __m256i;
  static constexpr int lanes = 8;
  static constexpr int matrix_rows = 0;  // no unit that multiplies matrices

  static Float zero() { return _mm256_setzero_ps(); }
  static Float all(float x) { return _mm256_set1_ps(x); }
  static Float load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, Float x) { _mm256_storeu_ps(p, x); }
  // The first n lanes; the others are zero, and nothing beyond them is read or written.
  static Float load_first(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store_first(float* p, int n, Float x) { _mm256_maskstore_ps(p, first(n), x); }
  static Float select_first(int n, Float x, Float others) {
    return _mm256_blendv_ps(others, x, _mm256_castsi256_ps(first(n)));
  }
  static Float load_int8(const int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  static Float fma(Float a, Float b, Float c) { return _mm256_fmadd_ps(a, b, c); }
  static Float min(Float a, Float b) { return _mm256_min_ps(a, b); }
  static Float max(Float a, Float b) { return _mm256_max_ps(a, b); }
  static Float round(Float x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
  // x * 2^n for whole n of -126..127.
  static Float scale_by_power(Float x, Float n) {
    return x * _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(to_int(n), _mm256_set1_epi32(127)), 23));
  }
  static Int to_int(Float x) { return _mm256_cvtps_epi32(x); }
  static Float to_float(Int x) { return _mm256_cvtepi32_ps(x); }
  static Int all(int32_t x) { return _mm256_set1_epi32(x); }
  static Int load(const int32_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  // Of the parts, i and i + 8 are added, then i and i + 4, and so on.
  static float sum(const Float (&parts)[2]) {
    const Float half = parts[0] + parts[1];
    __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
    quarter = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
    return _mm_cvtss_f32(_mm_add_ss(quarter, _mm_movehdup_ps(quarter)));
  }
  static float least(Float x) {
    __m128 half = _mm_min_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_min_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_min_ss(half, _mm_movehdup_ps(half)));
  }
  static float greatest(Float x) {
    __m128 half = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    half = _mm_max_ps(half, _mm_movehl_ps(half, half));
    return _mm_cvtss_f32(_mm_max_ss(half, _mm_movehdup_ps(half)));
  }

  static void store_int16(int16_t* p, Int x) {
    const __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(p), narrow);
  }
  // A pair of int16 in each lane, from the lower halves.
  static void store_pairs(int32_t* p, Int first, Int second) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm256_blend_epi16(first, _mm256_slli_epi32(second, 16), 0xaa));
  }
  static Int load_pairs(const int32_t* p) { return load(p); }

  using Quantized = uint8_t;
  static constexpr int group = 4;
  static constexpr int input_multiple = group;
  static constexpr int columns = 2;  // vectors in a row of the micro-kernel's tile
  static constexpr int offset = 0;

  static Int load_weights(const int8_t* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }
  static void store_quantized(Quantized* p, Int x) {
    __m128i narrow = _mm_packs_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packus_epi16(narrow, narrow));
  }

 private:
  static Int first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
};
