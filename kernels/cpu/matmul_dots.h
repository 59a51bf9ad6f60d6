// Products of very few rows by a matrix that is contiguous along the reduction (matmul_dots.cpp).
#pragma once

#include "matmul_few_rows.h"

namespace gradsmith {
namespace GS_ISA {

// For a_column = 1 and b_row = 1, and so few rows that lanes along them would stay empty: a layer's x W^T.
template <class T>
bool dots_product(const FewRows<T>& p) {
  constexpr double kLeastWork = 1.5e6;  // FLOPs: about 7 us of one core
  const double work =
      2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  return p.M > 1 && p.M <= 8 && p.a_column == 1 && p.b_row == 1 && p.b_column != 1 && p.N >= 64 &&
         p.K >= 8 * kLanes<T> && work >= kLeastWork;
}

// y = bias + a b on the pool. The bytes that were not to be had, or 0.
size_t multiply_dots(const FewRows<float>& p);
size_t multiply_dots(const FewRows<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
