// Batches of tiny products, and products that are long: small matrices out of a long reduction.
#pragma once

#include "matmul_direct.h"

namespace gradsmith {
namespace GS_ISA {

// `count` products y = a b, whose matrices are a_step, b_step and M * N elements apart.
template <class T>
struct TinyProducts {
  const T* a;
  int64_t a_row, a_column, a_step;
  const T* b;
  int64_t b_row, b_column, b_step;
  T* y;
  int64_t M, N, K;
};

// Whether each of the three matrices lies within a vector, or within two.
bool tiny_products(const TinyProducts<float>& p);
bool tiny_products(const TinyProducts<double>& p);

// On the calling thread; an element is the same chain of multiply-adds as in the other kernels.
void multiply_tiny(const TinyProducts<float>& p, int64_t count);
void multiply_tiny(const TinyProducts<double>& p, int64_t count);

// Whether to cut the reduction into slices: y is small and one matrix, there is work for several threads.
bool long_product(int64_t M, int64_t N, int64_t K, size_t size);

// y = bias + a b, with K cut into slices by the shape alone, whose sums are added in order; on the pool.
// The bytes that were not to be had, or 0.
size_t multiply_long(const DirectProduct<float>& p);
size_t multiply_long(const DirectProduct<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
