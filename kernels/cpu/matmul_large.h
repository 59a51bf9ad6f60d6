// Products of large matrices (matmul_large.cpp).
#pragma once

#include "matmul_direct.h"

namespace gradsmith {
namespace GS_ISA {

// y (M x N, contiguous) = bias + a b; any strides, in elements. What is due to rows [m0, m1) and columns
// [n0, n1) of y when they are complete: finish(context, m0, m1, n0, n1).
template <class T>
struct LargeProduct {
  const T* a;
  int64_t a_row, a_column;
  const T* b;
  int64_t b_row, b_column;
  const T* bias;  // N values or nullptr
  T* y;
  int64_t M, N, K;
  int64_t results;  // elements that are written before any is read: M N, or a batch's
  const void* context;
  // nullptr: nothing is due.
  void (*finish)(const void* context, int64_t m0, int64_t m1, int64_t n0, int64_t n1);
};

// On the pool. The bytes that were not to be had, or 0.
size_t multiply_large(const LargeProduct<float>& p);
size_t multiply_large(const LargeProduct<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
