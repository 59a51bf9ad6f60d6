// Products of few rows and a matrix that is read from afar (matmul_stream.h).
//
// Method     a stretch of every row of b is multiplied at once by all elements of a's column, into sums that
//            stay in L1 or L2: tiles of 48 columns would read 192 bytes of each row, a page apart (8 rows by
//            512x25088: 9 GB/s). Up to a tile of rows, register tiles along kTileStep rows of b, whose next
//            lines are fetched meanwhile: the same 32 -> 42 GB/s (two cores of an Emerald Rapids).
// Split      stretches of columns, by the shape alone.
// Cache      M sums a column: kSumBytes of them, kTileSumBytes where one tile has all rows.
// Cost       2 M N K FLOPs; the sums are read and written for every kStep rows of b.
// Memory     kSumBytes a thread.
// Accuracy   chains of kChain multiply-adds whose sums are added in order, as in matmul.cpp.
#include "matmul_stream.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kSumBytes = 64 << 10, kTileSumBytes = 16 << 10;
constexpr int kStep = TileShape::kRows == 8 ? 8 : 4;  // rows of b at once

// sums[m * pitch + j] (+)= sum over G rows of a[m][g] b[g][j], in order, for the columns of V vectors, of
// whose last one `tail` lanes are read.
template <class T, int G, int V>
GS_INLINE void add_step(const T* a, int64_t a_row, int64_t a_column, int64_t M, const T* b,
                        int64_t b_row, int64_t tail, int64_t ahead, T* sums, int64_t pitch,
                        bool first) {
  constexpr int L = kLanes<T>;
  Vec<T> right[G][V];
#pragma GCC unroll 8
  for (int g = 0; g < G; ++g) {
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) {
      const T* const from = b + g * b_row + v * L;
      __builtin_prefetch(from + ahead);
      right[g][v] = v + 1 < V || tail == L ? load(from) : load_n(from, tail);
    }
  }
#pragma GCC unroll 1
  for (int64_t m = 0; m < M; ++m) {
    T* const to = sums + m * pitch;
    Vec<T> sum[V];
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[v] = first ? Vec<T>{} : load(to + v * L);
    const T* x = a + m * a_row;
#pragma GCC unroll 8
    for (int g = 0; g < G; ++g, x += a_column) {
      const Vec<T> value = splat(*x);
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) sum[v] += value * right[g][v];
    }
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) store(to + v * L, sum[v]);
  }
}

// G rows of b from row k on, n columns.
template <class T, int G>
void add_rows(const FewRows<T>& p, int64_t k, int64_t n0, int64_t n, T* sums, int64_t pitch,
              bool first) {
  constexpr int L = kLanes<T>;
  const T* const a = p.a + k * p.a_column;
  const T* const b = p.b + k * p.b_row + n0;
  const int64_t ahead = k + 2 * G <= p.K ? G * p.b_row : 0;  // the next rows
  int64_t j = 0;
  for (; j + 2 * L <= n; j += 2 * L) {
    add_step<T, G, 2>(a, p.a_row, p.a_column, p.M, b + j, p.b_row, L, ahead, sums + j, pitch,
                      first);
  }
  for (; j < n; j += L) {
    add_step<T, G, 1>(a, p.a_row, p.a_column, p.M, b + j, p.b_row, min(L, n - j), ahead, sums + j,
                      pitch, first);
  }
}

// ---- rows that fit into one tile ----

constexpr int kRows = TileShape::kRows, kWide = TileShape::kVectors;
constexpr int64_t kTileStep =
    10;  // rows of b at once: a large power of two apart, they share 12 ways of L1
constexpr int64_t kAhead = 3;  // tiles along them that are fetched ahead

// sums[r * pitch + j] (+)= sum over `steps` rows of a[r][g] b[g][j], in order, for NV vectors of columns and MR rows;
// `tail`: the columns of the last vector that are read. next: what is fetched meanwhile (fetch).
template <class T, int MR, int NV>
__attribute__((noinline)) void tile(const T* a, int64_t a_row, int64_t a_column, const T* b,
                                    int64_t b_row, int64_t steps, int64_t tail, const T* next,
                                    T* sums, int64_t pitch, bool first) {
  constexpr int L = kLanes<T>, kHalf = (MR + 1) / 2;
  Vec<T> sum[MR][NV];
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) sum[r][v] = first ? Vec<T>{} : load(sums + r * pitch + v * L);
  }
  const T *low = a, *high = a + (MR > kHalf ? kHalf * a_row : 0);
  asm("" : "+r"(high), "+r"(next));  // pointers of their own: matmul_direct.cpp
  const auto all = [&](auto get) __attribute__((always_inline)) {
#pragma GCC unroll 1
    for (int64_t g = 0; g < steps; ++g) {
      Vec<T> right[NV];
#pragma GCC unroll 4
      for (int v = 0; v < NV; ++v) {
        right[v] = v + 1 < NV ? load(b + v * L) : get(b + v * L);
        __builtin_prefetch(next + v * L);
      }
#pragma GCC unroll 8
      for (int r = 0; r < MR; ++r) {
        const Vec<T> x = splat(r < kHalf ? low[r * a_row] : high[(r - kHalf) * a_row]);
#pragma GCC unroll 4
        for (int v = 0; v < NV; ++v) sum[r][v] += x * right[v];
      }
      low += a_column;
      high += a_column;
      b += b_row;
      next += b_row;
    }
  };
  if (tail == L) {
    all([](const T* p) { return load(p); });
  } else {
    all([=](const T* p) { return load_n(p, tail); });
  }
#pragma GCC unroll 8
  for (int r = 0; r < MR; ++r) {
#pragma GCC unroll 4
    for (int v = 0; v < NV; ++v) store(sums + r * pitch + v * L, sum[r][v]);
  }
}

template <class T>
using StreamTile = void (*)(const T*, int64_t, int64_t, const T*, int64_t, int64_t, int64_t,
                            const T*, T*, int64_t, bool);

template <class T, int... I>
constexpr StreamTile<T> pick(int64_t rows, int64_t vectors, std::integer_sequence<int, I...>) {
  constexpr StreamTile<T> kTable[] = {&tile<T, I / kWide + 1, I % kWide + 1>...};
  return kTable[(rows - 1) * kWide + vectors - 1];
}

// `steps` rows of b from row k on, n columns.
template <class T>
void add_tiles(const FewRows<T>& p, int64_t k, int64_t steps, int64_t n0, int64_t n, T* sums,
               int64_t pitch, bool first) {
  constexpr int L = kLanes<T>;
  constexpr auto tiles = std::make_integer_sequence<int, kRows * kWide>{};
  const T* const b = p.b + k * p.b_row + n0;
  const bool last = k + 2 * steps > p.K;
  for (int64_t j = 0; j < n;) {
    const int64_t vectors = min(kWide, ceil_div(n - j, L)),
                  tail = min(L, n - j - (vectors - 1) * L);
    // Further along these rows, or the beginning of the next ones.
    const int64_t ahead = j + kAhead * kWide * L;
    const T* const next = ahead < n ? b + ahead : last ? b : b + steps * p.b_row + (ahead - n);
    pick<T>(p.M, vectors, tiles)(p.a + k * p.a_column, p.a_row, p.a_column, b + j, p.b_row, steps,
                                 tail, next, sums + j, pitch, first);
    j += vectors * L;
  }
}

// y (+)= sums + bias for n columns.
template <class T>
void put(const FewRows<T>& p, int64_t n0, int64_t n, const T* sums, int64_t pitch, bool first) {
  constexpr int L = kLanes<T>;
  for (int64_t m = 0; m < p.M; ++m) {
    T* const y = p.y + m * p.N + n0;
    const T* const from = first ? p.bias ? p.bias + n0 : nullptr : y;
    for (int64_t j = 0; j < n; j += L) {
      const int64_t count = min(L, n - j);
      Vec<T> v = load(sums + m * pitch + j);
      if (from) v += count == L ? load(from + j) : load_n(from + j, count);
      if (count == L) {
        store(y + j, v);
      } else {
        store_n(y + j, v, count);
      }
    }
  }
}

template <class T>
size_t stream(const FewRows<T>& p) {
  constexpr int64_t L = kLanes<T>, kSize = sizeof(T);
  constexpr int64_t kLeast = 4096 / kSize;  // of a row of b, a page
  const bool tiles = p.M <= kRows;
  const int64_t most = (tiles ? kTileSumBytes : kSumBytes) / (p.M * kSize);
  const int64_t wide = balanced(p.N, max(kLeast / 4, most), tiles ? kWide * L : 4 * L);
  const int64_t pitch = wide + L;  // rows of sums do not lie a power of two apart
  const size_t need = static_cast<size_t>(p.M * pitch * kSize);
  bool enough = true;
  parallel_for(ceil_div(p.N, wide), 1, [&](int64_t begin, int64_t end) {
    T* const sums = static_cast<T*>(thread_scratch(need));
    if (!sums) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n0 = i * wide, n = min(wide, p.N - n0);
      for (int64_t from = 0; from < p.K; from += kChain) {
        const int64_t to = min(p.K, from + kChain);
        int64_t k = from;
        for (int64_t some; tiles && k < to; k += some) {
          some = min(kTileStep, to - k);
          add_tiles(p, k, some, n0, n, sums, pitch, k == from);
        }
        for (; k + kStep <= to; k += kStep) {
          add_rows<T, kStep>(p, k, n0, n, sums, pitch, k == from);
        }
        for (; k < to; ++k) add_rows<T, 1>(p, k, n0, n, sums, pitch, k == from);
        put(p, n0, n, sums, pitch, from == 0);
      }
      if (p.finish) p.finish(p.context, n0, n0 + n);
    }
  });
  return enough ? 0 : need;
}

}  // namespace

size_t multiply_stream(const FewRows<float>& p) { return stream(p); }
size_t multiply_stream(const FewRows<double>& p) { return stream(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
