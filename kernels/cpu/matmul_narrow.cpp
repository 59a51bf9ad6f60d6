// Products with few columns (matmul_narrow.h).
//
// Method     G = 2 or 4 rows of b lie interleaved in a vector (lane j G + i: b[k + i][j]); G neighbours of a's
//            row, copied over a vector by one load, are multiplied with it: all lanes have work where N is
//            half a vector or a quarter, and nothing is shuffled but the sums, once at the end.
// Split      blocks of rows, by the shape alone; each arranges b for itself: what another core has just
//            written comes more slowly than it is made.
// Cache      b, arranged: K vectors / G, in L1 or L2; a is read once.
// Cost       2 M N K FLOPs.
// Memory     b, arranged, a thread.
// Accuracy   G chains an element, of at most kChain multiply-adds, whose sums are added in a fixed order; the
//            same bits for every number of threads.
// Limits     32-byte vectors and longer.
#include "matmul_narrow.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

#if GS_VECTOR_BYTES >= 32

constexpr int kRowsAtOnce = 8;
constexpr double kTaskWork = 5e5;  // FLOPs
constexpr int64_t kTasks = 16;

// G elements over and over.
template <class T, int G>
GS_INLINE Vec<T> repeat(const T* p) {
  constexpr int bytes = G * static_cast<int>(sizeof(T));
#if GS_VECTOR_BYTES == 64
  if constexpr (bytes == 8) {
    double pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return bit_cast<Vec<T>>(_mm512_set1_pd(pair));
  } else if constexpr (bytes == 16) {
    const __m128 four = _mm_loadu_ps(reinterpret_cast<const float*>(p));
    return bit_cast<Vec<T>>(_mm512_maskz_broadcast_f32x4(0xffff, four));
  } else {
    const __m256d four = _mm256_loadu_pd(reinterpret_cast<const double*>(p));
    return bit_cast<Vec<T>>(_mm512_maskz_broadcast_f64x4(0xff, four));
  }
#else
  if constexpr (bytes == 8) {
    double pair;
    __builtin_memcpy(&pair, p, sizeof(pair));
    return bit_cast<Vec<T>>(_mm256_set1_pd(pair));
  } else {
    const __m128 four = _mm_loadu_ps(reinterpret_cast<const float*>(p));
    return bit_cast<Vec<T>>(_mm256_insertf128_ps(_mm256_castps128_ps256(four), four, 1));
  }
#endif
}

// The sums of a's neighbouring lanes, then of b's.
template <class T, int... I>
GS_INLINE Vec<T> add_neighbours(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  return shuffle<T, 2 * I...>(a, b) + shuffle<T, (2 * I + 1)...>(a, b);
}

// b's rows, G by G, with zeros beyond K and N.
template <class T, int G>
void arrange(const FewRows<T>& p, T* to) {
  constexpr int L = kLanes<T>;
  for (int64_t k = 0; k < p.K; k += G, to += L) {
    const int64_t depth = min(G, p.K - k);
    store(to, Vec<T>{});
    const T* from = p.b + k * p.b_row;
    for (int64_t i = 0; i < depth; ++i, from += p.b_row) {
      for (int64_t j = 0; j < p.N; ++j) to[j * G + i] = from[j * p.b_column];
    }
  }
}

// sums[r] += a's row r by b, over so many groups of k.
template <class T, int G>
GS_INLINE void add_groups(const T* const* rows, int64_t k, const T* b, int64_t groups,
                          Vec<T>* sums) {
  constexpr int L = kLanes<T>;
#pragma GCC unroll 1
  for (int64_t g = 0; g < groups; ++g, k += G, b += L) {
    const Vec<T> right = load(b);
#pragma GCC unroll 8
    for (int r = 0; r < kRowsAtOnce; ++r) sums[r] += repeat<T, G>(rows[r] + k) * right;
  }
}

// Rows [m, m + count) of y; the last one is computed again and again where there are fewer than kRowsAtOnce.
template <class T, int G>
__attribute__((noinline)) void rows_by(const FewRows<T>& p, int64_t m, int64_t count, const T* b) {
  constexpr int L = kLanes<T>, R = kRowsAtOnce, kWidth = L / G;
  const T* rows[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) rows[r] = p.a + (m + min(r, count - 1)) * p.a_row;
  Vec<T> total[R] = {};
  for (int64_t k = 0; k < p.K; k += G * kChain) {
    Vec<T> sums[R];
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) sums[r] = Vec<T>{};
    const int64_t depth = min(G * kChain, p.K - k), whole = depth / G;
    add_groups<T, G>(rows, k, b + k / G * L, whole, sums);
    if (whole * G < depth) {
      T last[R][G] = {};
      const T* ends[R];
      for (int r = 0; r < R; ++r) {
        for (int64_t i = whole * G; i < depth; ++i) last[r][i - whole * G] = rows[r][k + i];
        ends[r] = last[r];
      }
      add_groups<T, G>(ends, 0, b + (k / G + whole) * L, 1, sums);
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) total[r] = k ? total[r] + sums[r] : sums[r];
  }
  // G rows' sums in a vector.
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
#pragma GCC unroll 8
  for (int r = 0; r < R; r += 2) total[r / 2] = add_neighbours<T>(total[r], total[r + 1], lanes);
  if constexpr (G == 4) {
#pragma GCC unroll 4
    for (int r = 0; r < R / 2; r += 2) {
      total[r / 2] = add_neighbours<T>(total[r], total[r + 1], lanes);
    }
  }
  alignas(GS_VECTOR_BYTES) T own[R * kWidth + L], add[L] = {};
  if (p.bias) {
    for (int64_t j = 0; j < L; ++j) add[j] = j % kWidth < p.N ? p.bias[j % kWidth] : T{};
  }
  T* const y = p.y + m * p.N;
  const bool direct = p.N == kWidth && count == R;
  const Vec<T> bias = load(add);
#pragma GCC unroll 4
  for (int i = 0; i < R / G; ++i) {
    store((direct ? y : own) + i * L, p.bias ? total[i] + bias : total[i]);
  }
  for (int64_t r = 0; r < count && !direct; ++r) store_n(y + r * p.N, load(own + r * kWidth), p.N);
}

template <class T, int G>
size_t narrow(const FewRows<T>& p) {
  const double work =
      2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  const int64_t tasks = clamp(static_cast<int64_t>(work / kTaskWork), 1, kTasks);
  const int64_t rows = balanced(p.M, ceil_div(p.M, tasks), kRowsAtOnce);
  const size_t need = static_cast<size_t>(ceil_div(p.K, G) * kLanes<T>) * sizeof(T);
  bool enough = true;
  parallel_for(ceil_div(p.M, rows), 1, [&](int64_t begin, int64_t end) {
    T* const own = static_cast<T*>(thread_scratch(need));
    if (!own) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    arrange<T, G>(p, own);
    const int64_t m0 = begin * rows, m1 = min(p.M, end * rows);
    for (int64_t m = m0; m < m1; m += kRowsAtOnce) {
      rows_by<T, G>(p, m, min(kRowsAtOnce, m1 - m), own);
    }
    if (p.finish) p.finish(p.context, m0, m1);
  });
  return enough ? 0 : need;
}

template <class T>
size_t narrow_of(const FewRows<T>& p) {
  return 4 * p.N <= kLanes<T> ? narrow<T, 4>(p) : narrow<T, 2>(p);
}

#else

template <class T>
size_t narrow_of(const FewRows<T>&) {
  return 0;
}

#endif

}  // namespace

size_t multiply_narrow(const FewRows<float>& p) { return narrow_of(p); }
size_t multiply_narrow(const FewRows<double>& p) { return narrow_of(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
