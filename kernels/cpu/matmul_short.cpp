// Large products of short sums (matmul_short.h).
//
// Method     y is written row by row, in the order of memory, from registers: a row's tile is kVectors vectors of
//            sums, and storing it goes on while the next one is multiplied. Tiles of several rows load less,
//            yet write many streams at once: 1000 x 2048 of 8 steps took 240 us by 8 x 48, 200 to 230 by rows (two
//            cores of an Emerald Rapids), 512 x 25088 2250 by blocks that were then stored past the caches, 1350 to 1600.
//            From kTallSteps on multiplying takes longer than storing, and a row's tile loads more than it
//            multiplies: tiles of kTall rows, their part of a packed, as the columns of a's transpose lie a power of
//            two apart (4096 x 9216 of 32 steps 11.4 -> 7.8 ms, 1000 x 2048 560 -> 470 us; of 10 steps no gain).
// Split      stretches of rows, by the shape alone.
// Cache      so many columns of b that their packed panels stay in L1 (kPanelBytes) for all rows of a stretch.
//            Results that no cache keeps are stored past them.
// Memory     those panels and a stretch's part of a, a thread.
// Cost       2 M N K FLOPs; y is written once; b is packed for every stretch of rows.
// Accuracy   one chain of K multiply-adds, as in matmul.cpp.
#include "matmul_short.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kPanelBytes = 24 << 10;
constexpr int64_t kTasks = 16;
constexpr int kVectors = 12;       // a row's sums and what a step loads fill the registers
constexpr int kTall = 4;           // rows of a taller tile
constexpr int64_t kTallSteps = 8;  // more take longer than storing what they come to

enum class Store { kPlain, kPast };

// MR rows of NV vectors of y; `tail`: lanes of the last one.
template <class T, int MR, int NV, Store kStore>
__attribute__((noinline)) void tile(const T* a, int64_t row, int64_t step, const T* b, int64_t K,
                                    const T* bias, T* y, int64_t y_row, int64_t tail) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[MR][NV];
#pragma GCC unroll 4
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) sum[r][v] = Vec<T>{};
  }
#pragma GCC unroll 1
  for (int64_t k = 0; k < K; ++k, a += step, b += NV * L) {
    if constexpr (MR == 1) {
      const Vec<T> x = splat(*a);
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) sum[0][v] += x * load(b + v * L);
    } else {
      Vec<T> right[NV];
#pragma GCC unroll 16
      for (int v = 0; v < NV; ++v) right[v] = load(b + v * L);
#pragma GCC unroll 4
      for (int r = 0; r < MR; ++r) {
        const Vec<T> x = splat(a[r * row]);
#pragma GCC unroll 16
        for (int v = 0; v < NV; ++v) sum[r][v] += x * right[v];
      }
    }
  }
  if (bias) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) {
      const Vec<T> add = v + 1 < NV || tail == L ? load(bias + v * L) : load_n(bias + v * L, tail);
#pragma GCC unroll 4
      for (int r = 0; r < MR; ++r) sum[r][v] += add;
    }
  }
#pragma GCC unroll 4
  for (int r = 0; r < MR; ++r, y += y_row) {
#pragma GCC unroll 16
    for (int v = 0; v < NV; ++v) {
      if constexpr (kStore == Store::kPast) {
        store_stream<T>(y + v * L, sum[r][v]);
      } else if (v + 1 < NV || tail == L) {
        store(y + v * L, sum[r][v]);
      } else {
        store_n(y + v * L, sum[r][v], tail);
      }
    }
  }
}

template <class T>
using ShortTile = void (*)(const T*, int64_t, int64_t, const T*, int64_t, const T*, T*, int64_t,
                           int64_t);

template <class T, int MR, Store kStore, int... I>
constexpr ShortTile<T> pick(int64_t vectors, std::integer_sequence<int, I...>) {
  constexpr ShortTile<T> kTable[] = {&tile<T, MR, I + 1, kStore>...};
  return kTable[vectors - 1];
}

// Rows [m0, m1) of y; `left`: room for their part of a where kHigh of them are taken at once.
template <class T, int kHigh, Store kStore>
void stretch(const FewRows<T>& p, int64_t m0, int64_t m1, int64_t vectors, T* own, T* left) {
  constexpr int64_t L = kLanes<T>;
  constexpr int kWide = kHigh > 1 ? TileShape::kWidths[kHigh - 1] : kVectors;
  constexpr auto widths = std::make_integer_sequence<int, kWide>{};
  const int64_t all = ceil_div(p.N, L), wide = vectors * L;
  const int64_t panels = max(1, kPanelBytes / (p.K * wide * int64_t{sizeof(T)}));
  const int64_t high = m0 + (kHigh > 1 ? (m1 - m0) / kHigh * kHigh : 0);
  for (int64_t m = m0; m < high; m += kHigh) {
    pack_panel(p.a + m * p.a_row, p.a_row, p.a_column, p.K, kHigh, kHigh, left + (m - m0) * p.K);
  }
  for (int64_t n0 = 0; n0 < p.N; n0 += panels * wide) {
    const int64_t n1 = min(p.N, n0 + panels * wide);
    for (int64_t n = n0; n < n1; n += wide) {
      const int64_t some = min(wide, n1 - n);
      pack_panel(p.b + n, 1, p.b_row, p.K, static_cast<int>(some),
                 static_cast<int>(round_up(some, L)), own + (n - n0) * p.K);
    }
    for (int64_t m = m0; m < m1;) {
      const bool tall = m < high;
      for (int64_t n = n0; n < n1; n += wide) {
        const int64_t v = min(vectors, all - n / L), tail = min(v * L, p.N - n) - (v - 1) * L;
        const T* const right = own + (n - n0) * p.K;
        const T* const bias = p.bias ? p.bias + n : nullptr;
        T* const y = p.y + m * p.N + n;
        if (tall) {
          pick<T, kHigh, kStore>(v, widths)(left + (m - m0) * p.K, 1, kHigh, right, p.K, bias, y,
                                            p.N, tail);
        } else {
          pick<T, 1, kStore>(v, widths)(p.a + m * p.a_row, 0, p.a_column, right, p.K, bias, y, 0,
                                        tail);
        }
      }
      m += tall ? kHigh : 1;
    }
  }
}

template <class T>
size_t short_sums(const FewRows<T>& p) {
  constexpr int64_t L = kLanes<T>, kSize = sizeof(T);
  const bool tall = p.K > kTallSteps;
  const int64_t rows = balanced(p.M, ceil_div(p.M, kTasks), tall ? kTall : 1);
  const int64_t vectors =
      even_part(ceil_div(p.N, L), tall ? TileShape::kWidths[kTall - 1] : kVectors);
  const bool past = GS_VECTOR_BYTES == 64 && !p.finish && p.N % L == 0 &&
                    beyond_cache(p.M * p.N * kSize) &&
                    reinterpret_cast<uintptr_t>(p.y) % GS_VECTOR_BYTES == 0;
  const int64_t right = kPanelBytes / kSize + p.K * vectors * L;
  const size_t need = static_cast<size_t>((right + (tall ? rows * p.K + L : 0)) * kSize);
  bool enough = true;
  parallel_for(ceil_div(p.M, rows), 1, [&](int64_t begin, int64_t end) {
    T* const own = static_cast<T*>(thread_scratch(need));
    if (!own) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    const auto run = tall
                         ? past ? stretch<T, kTall, Store::kPast> : stretch<T, kTall, Store::kPlain>
                     : past ? stretch<T, 1, Store::kPast>
                            : stretch<T, 1, Store::kPlain>;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t m0 = i * rows, m1 = min(p.M, m0 + rows);
      run(p, m0, m1, vectors, own, own + right);
      if (p.finish) p.finish(p.context, m0, m1);
    }
    if (past) stream_fence();
  });
  return enough ? 0 : need;
}

}  // namespace

size_t multiply_short(const FewRows<float>& p) { return short_sums(p); }
size_t multiply_short(const FewRows<double>& p) { return short_sums(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
