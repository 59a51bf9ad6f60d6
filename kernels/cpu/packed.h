// Products of packed operands: for kernels that multiply by one matrix many times (recurrent layers), or
// multiply what they have just computed (attention).
//
// The left operand is packed in row panels of register-tile height (gemm.h), k-major; the right one
// in column panels of kPanelColumns, each row of K one vector or more. A right operand of
// kPanelColumns columns is packed if it is contiguous. Functions, not templates: compiled once, in
// packed.cpp.
#pragma once

#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {

// Columns of a whole panel of the right operand.
template <class T>
constexpr int64_t kPanelColumns = TileShape::kVectors * kLanes<T>;

// Elements that a packed operand takes; beyond the left one a vector may be written.
template <class T>
constexpr int64_t left_elements(int64_t rows, int64_t K) {
  return round_up(rows * K, kLanes<T>) + kLanes<T>;
}
template <class T>
constexpr int64_t right_elements(int64_t K, int64_t N) {
  return K * round_up(N, kLanes<T>);
}

// Packs a (rows x K) or b (K x N); strides in elements.
void pack_left(const float* a, int64_t row, int64_t column, int64_t rows, int64_t K, float* to);
void pack_left(const double* a, int64_t row, int64_t column, int64_t rows, int64_t K, double* to);
void pack_right(const float* b, int64_t row, int64_t column, int64_t K, int64_t N, float* to);
void pack_right(const double* b, int64_t row, int64_t column, int64_t K, int64_t N, double* to);

// y[i * stride + j] (+)= sum_k a[i][k] b[k][j] of packed operands, on the calling thread: one chain
// of multiply-adds in the order of k.
void multiply_packed(const float* a, const float* b, int64_t rows, int64_t N, int64_t K, float* y,
                     int64_t stride, bool add);
void multiply_packed(const double* a, const double* b, int64_t rows, int64_t N, int64_t K,
                     double* y, int64_t stride, bool add);

}  // namespace GS_ISA
}  // namespace gradsmith
