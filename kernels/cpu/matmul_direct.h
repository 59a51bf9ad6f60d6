// Products that are not worth packing: small ones, few columns, matrix times vector (matmul_direct.cpp).
#pragma once

#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {

// Whether a vector is whole panels of a step: what Feed needs.
template <class T>
constexpr bool kFeeds = std::is_floating_point_v<T> && kLanes<T> % TileShape::kRows == 0;

// What is packed for later tiles between these: after each tile `some` rows of kVectors vectors, whose lines are
// fetched while it multiplies.
template <class T>
struct Feed {
  static constexpr int64_t kVectors = 64 / kLanes<T>;
  const T* from;
  int64_t step;        // to the next row
  T* to;               // the next row in the first panel
  int64_t row, panel;  // from a row, a panel to the next there
  int64_t some, rows;  // at a time; left

  GS_INLINE void copy(int64_t n) {
    constexpr int64_t kRows = TileShape::kRows, kPanels = kVectors * kLanes<T> / kRows;
    // Variables of their own: what is written might be the members.
    const T* line = from;
    T* out = to;
    const int64_t next_line = step, next_out = row, next_panel = panel;
    n = min(n, rows);
    rows -= n;
    for (; n > 0; --n, line += next_line, out += next_out) {
#pragma GCC unroll 32
      for (int64_t j = 0; j < kPanels; ++j) {
        __builtin_memcpy(out + j * next_panel, line + j * kRows, kRows * sizeof(T));
      }
    }
    from = line;
    to = out;
  }
};

// y (M x N, rows y_row apart) = bias + a b, with rows of b contiguous; strides in elements.
template <class T>
struct DirectProduct {
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row;
  const T* bias;  // N values or nullptr
  T* y;
  int64_t y_row, M, N, K;
  bool add = false;  // to what y holds; without a bias
  // So many products, and the elements from one to the next.
  int64_t count = 1, a_step = 0, b_step = 0, y_step = 0;
  bool fetch_y = false;  // a tile's lines of y, while it is computed
  bool padded = false;   // b's rows can be read up to whole vectors
  // Where the first tile is to pack b for the others, in rows of whole vectors (nullptr: b is read where it is):
  // at most TileShape::kVectors of them, of floating point.
  T* copy = nullptr;
  // Where the tiles are to pack `a`, contiguous downwards (a_row 1), a panel of rows after the other
  // (nullptr: it is read where it is): one tile across, of floating point.
  T* copy_a = nullptr;
  Feed<T>* feed = nullptr;  // or nothing; of floating point
};

// Whether the last columns can be taken by a masked vector; without masks only whole vectors are.
template <class T>
constexpr bool direct_columns(int64_t N) {
  return GS_VECTOR_BYTES > 16 || N % kLanes<T> == 0;
}

// On the calling thread. An element is the same chain of multiply-adds as in the packed tiles.
void multiply_direct(const DirectProduct<float>& p);
void multiply_direct(const DirectProduct<double>& p);
void multiply_direct(const DirectProduct<uint32_t>& p);
void multiply_direct(const DirectProduct<uint64_t>& p);

// y[i] = bias[i] + sum_k a[i * row + k] x[k * step]; on the pool. The bytes that were not to be had, or 0.
size_t matrix_vector(const float* a, int64_t row, const float* x, int64_t step, const float* bias,
                     float* y, int64_t M, int64_t K);
size_t matrix_vector(const double* a, int64_t row, const double* x, int64_t step,
                     const double* bias, double* y, int64_t M, int64_t K);

// y[j] = bias[j] + sum_k x[k * step] b[k * row + j], in the order of k; on the pool. The bytes that
// were not to be had, or 0.
size_t vector_matrix(const float* x, int64_t step, const float* b, int64_t row, const float* bias,
                     float* y, int64_t N, int64_t K);
size_t vector_matrix(const double* x, int64_t step, const double* b, int64_t row,
                     const double* bias, double* y, int64_t N, int64_t K);

// y[i * N + j] = a[i * step] b[j]; on the pool.
void outer_product(const float* a, int64_t step, const float* b, float* y, int64_t M, int64_t N);
void outer_product(const double* a, int64_t step, const double* b, double* y, int64_t M, int64_t N);

}  // namespace GS_ISA
}  // namespace gradsmith
