// Products of few rows and a matrix that is read from afar (matmul_stream.h).
//
// Method     a stretch of every row of b is multiplied at once by all elements of a's column, into sums that
//            stay in L1 or L2: tiles of 48 columns would read 192 bytes of each row, a page apart (8 rows by
//            512x25088: 9 GB/s).
// Split      stretches of columns, by the shape alone.
// Cache      M sums a column: kSumBytes of them.
// Cost       2 M N K FLOPs; the sums are read and written for every kStep rows of b.
// Memory     kSumBytes a thread.
// Accuracy   chains of kChain multiply-adds whose sums are added in order, as in matmul.cpp.
#include "matmul_stream.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kSumBytes = 64 << 10;
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
  const int64_t wide = balanced(p.N, max(kLeast / 4, kSumBytes / (p.M * kSize)), 4 * L);
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
