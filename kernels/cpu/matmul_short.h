// Large products of short sums (matmul_short.cpp).
#pragma once

#include "matmul_few_rows.h"

namespace gradsmith {
namespace GS_ISA {

// For b_column = 1 and so few rows of b that storing the results takes as long as the multiplications: the gradient
// of a layer's weights from few samples.
template <class T>
bool short_product(const FewRows<T>& p) {
  constexpr int64_t kSteps = 32, kResults = 1 << 18;
  return p.b_column == 1 && p.K > 1 && p.K <= kSteps && p.M >= 64 && p.N >= 8 * kLanes<T> &&
         p.M * p.N >= kResults;
}

// y = bias + a b on the pool; finish(context, m0, m1) is due to rows of y. The bytes that were not to be had, or 0.
size_t multiply_short(const FewRows<float>& p);
size_t multiply_short(const FewRows<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
