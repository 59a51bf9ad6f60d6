// Batches of tiny products and long products (matmul_small.h).
//
// multiply_tiny  A matrix is a vector (or two) of registers: step k of the reduction is a permutation of a
//                (lane m N + n: a[m][k]), one of b (b[k][n]) and a multiply-add for all of y at once. The
//                permutations take any strides, so that transposes cost nothing.
// multiply_long  Slices of K, whole chains of gemm.h, are products of their own (matmul_direct.h); the
//                first one's sums are y's, the others' are added to them in order.
// Cost           2 M N K FLOPs; multiply_tiny: 2 permutations and 1 multiply-add a step of K and vector of
//                y (1000 products of 3x3 on one Zen 5 core, the call included: 7 us; 33 us by a register tile each).
// Memory         multiply_long: M N elements a slice but the first.
// Split          multiply_tiny: none. multiply_long: slices, by the shape alone.
// Accuracy       multiply_tiny: one chain of K multiply-adds. multiply_long: chains of kChain, their sums
//                added in order, slice by slice.
// Limits         multiply_tiny: 32-byte vectors and longer, strides that are not negative.
#include "matmul_small.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr double kLongWork = 1.5e6;  // FLOPs from which on threads are worth waking
constexpr double kSliceWork = 5e5;
constexpr int64_t kMostSlices = 16;
constexpr int64_t kLongSide = 128;  // rows and columns at most

// Elements from the first to the last of a matrix.
int64_t span(int64_t rows, int64_t columns, int64_t row, int64_t column) {
  return (rows - 1) * row + (columns - 1) * column + 1;
}

template <class T>
bool tiny(const TinyProducts<T>& p) {
  constexpr int64_t kMost = 2 * kLanes<T>;
  if (GS_VECTOR_BYTES < 32 || p.M * p.N > kMost || p.M * p.K > kMost || p.K * p.N > kMost) {
    return false;
  }
  if (p.a_row < 0 || p.a_column < 0 || p.b_row < 0 || p.b_column < 0) return false;
  return span(p.M, p.K, p.a_row, p.a_column) <= kMost &&
         span(p.K, p.N, p.b_row, p.b_column) <= kMost;
}

// Lane i is element pick[i] of V vectors.
template <class T, int V>
GS_INLINE Vec<T> picked(const Vec<T>* v, IVec<T> pick) {
#if !defined(__clang__)
  if constexpr (V == 1) return __builtin_shuffle(v[0], pick);
#endif
  return GS_ISA::shuffle<T>(v[0], v[V - 1], pick);  // simd.h's, by a vector
}

// V: vectors of a matrix.
template <class T, int V>
void multiply(const TinyProducts<T>& p, int64_t count) {
  constexpr int L = kLanes<T>;
  using Lane = IntOf<T>;
  alignas(GS_VECTOR_BYTES) Lane pick_a[2 * L][V * L], pick_b[2 * L][V * L];
  for (int64_t k = 0; k < p.K; ++k) {
    for (int64_t i = 0; i < V * L; ++i) {
      const bool used = i < p.M * p.N;
      pick_a[k][i] = used ? static_cast<Lane>(i / p.N * p.a_row + k * p.a_column) : 0;
      pick_b[k][i] = used ? static_cast<Lane>(k * p.b_row + i % p.N * p.b_column) : 0;
    }
  }
  const int64_t K = p.K, step = p.M * p.N;
  const auto last = [](int64_t elements) { return elements - (V - 1) * L; };
  const int64_t a_last = last(span(p.M, K, p.a_row, p.a_column));
  const int64_t b_last = last(span(K, p.N, p.b_row, p.b_column)), y_last = last(step);
  const auto get = [](const T* from, int64_t n, Vec<T>* v) {
    if constexpr (V == 1) {
      v[0] = n == L ? load(from) : load_n(from, n);
    } else {
      v[0] = n > 0 ? load(from) : load_n(from, L + n);
      v[1] = n <= 0 ? Vec<T>{} : n == L ? load(from + L) : load_n(from + L, n);
    }
  };
  const T *a = p.a, *b = p.b;
  T* y = p.y;
  for (int64_t i = 0; i < count; ++i, a += p.a_step, b += p.b_step, y += step) {
    Vec<T> left[V], right[V], sum[V];
    get(a, a_last, left);
    get(b, b_last, right);
#pragma GCC unroll 2
    for (int v = 0; v < V; ++v) sum[v] = Vec<T>{};
    for (int64_t k = 0; k < K; ++k) {
#pragma GCC unroll 2
      for (int v = 0; v < V; ++v) {
        const IVec<T> from_a = load<Lane>(pick_a[k] + v * L);
        const IVec<T> from_b = load<Lane>(pick_b[k] + v * L);
        sum[v] += picked<T, V>(left, from_a) * picked<T, V>(right, from_b);
      }
    }
    if constexpr (V == 2) {
      if (y_last <= 0) {
        store_n(y, sum[0], L + y_last);
        continue;
      }
      store(y, sum[0]);
    }
    if (y_last == L) {
      store(y + (V - 1) * L, sum[V - 1]);
    } else {
      store_n(y + (V - 1) * L, sum[V - 1], y_last);
    }
  }
}

template <class T>
void tiny_batch(const TinyProducts<T>& p, int64_t count) {
  constexpr int64_t L = kLanes<T>;
  const bool one = p.M * p.N <= L && span(p.M, p.K, p.a_row, p.a_column) <= L &&
                   span(p.K, p.N, p.b_row, p.b_column) <= L;
  return one ? multiply<T, 1>(p, count) : multiply<T, 2>(p, count);
}

template <class T>
size_t slices_of(const DirectProduct<T>& p) {
  const double work =
      2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  const int64_t wanted = clamp(static_cast<int64_t>(work / kSliceWork), 2, kMostSlices);
  const int64_t depth = balanced(p.K, ceil_div(p.K, wanted), kChain);
  const int64_t slices = ceil_div(p.K, depth), size = p.M * p.N;
  const size_t bytes = static_cast<size_t>((slices - 1) * size) * sizeof(T);
  T* const parts = bytes ? static_cast<T*>(allocate(bytes)) : nullptr;
  if (bytes && !parts) return bytes;
  parallel_for(slices, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      DirectProduct<T> q = p;
      const int64_t k1 = min(p.K, (s + 1) * depth);
      if (s > 0) {
        q.bias = nullptr;
        q.y = parts + (s - 1) * size;
        q.y_row = p.N;
      }
      for (int64_t k = s * depth; k < k1; k += kChain) {  // b's part stays near for all rows
        q.a = p.a + k * p.a_column;
        q.b = p.b + k * p.b_row;
        q.K = min(kChain, k1 - k);
        multiply_direct(q);
        q.bias = nullptr;
        q.add = true;
      }
    }
  });
  constexpr int64_t L = kLanes<T>;
  parallel_for(p.M, max(1, (1 << 16) / (slices * p.N)), [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; slices > 1 && m < end; ++m) {
      T* const y = p.y + m * p.y_row;
      const T* const from = parts + m * p.N;
      for (int64_t j = 0; j < p.N; j += L) {
        const int64_t n = min(L, p.N - j);
        const auto get = [=](const T* x) { return n == L ? load(x) : load_n(x, n); };
        Vec<T> sum = get(y + j);
        for (int64_t s = 1; s < slices; ++s) sum += get(from + (s - 1) * size + j);
        if (n == L) {
          store(y + j, sum);
        } else {
          store_n(y + j, sum, n);
        }
      }
    }
  });
  release(parts, bytes);
  return 0;
}

}  // namespace

bool tiny_products(const TinyProducts<float>& p) { return tiny(p); }
bool tiny_products(const TinyProducts<double>& p) { return tiny(p); }

void multiply_tiny(const TinyProducts<float>& p, int64_t count) { tiny_batch(p, count); }
void multiply_tiny(const TinyProducts<double>& p, int64_t count) { tiny_batch(p, count); }

bool long_product(int64_t M, int64_t N, int64_t K, size_t size) {
  const double work =
      2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  return M <= kLongSide && N <= kLongSide && K >= 4 * kChain && K >= 8 * max(M, N) &&
         N * static_cast<int64_t>(size) >= 16 && work >= kLongWork;
}

size_t multiply_long(const DirectProduct<float>& p) { return slices_of(p); }
size_t multiply_long(const DirectProduct<double>& p) { return slices_of(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
