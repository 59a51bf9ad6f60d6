// Products with few rows and much work (matmul_few_rows.cpp).
#pragma once

#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {

// y (M x N, contiguous) = bias + a b; strides in elements. What is due to columns [n0, n1) of y when they are
// complete: finish(context, n0, n1).
template <class T>
struct FewRows {
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  const T* bias;  // N values or nullptr
  T* y;
  int64_t M, N, K;
  const void* context;
  void (*finish)(const void* context, int64_t n0, int64_t n1);
};

// `a` is packed once, `b` by columns, each panel just before it is used. The bytes that were not to be
// had, or 0.
size_t multiply_few_rows(const FewRows<float>& p);
size_t multiply_few_rows(const FewRows<double>& p);

// For b_row = 1: y's transpose is b's by a's; b's is read where it is, only a's is packed.
size_t multiply_turned(const FewRows<float>& p);
size_t multiply_turned(const FewRows<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
