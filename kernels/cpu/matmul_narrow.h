// Products with few columns (matmul_narrow.cpp).
#pragma once

#include "matmul_few_rows.h"

namespace gradsmith {
namespace GS_ISA {

// Whether half of a vector along y's columns, or more, would be empty, and there are rows enough to pay for
// arranging b.
template <class T>
bool narrow_product(const FewRows<T>& p) {
  constexpr int64_t L = kLanes<T>;
  return GS_VECTOR_BYTES >= 32 && p.N > 1 && 2 * p.N <= L && p.a_column == 1 && p.K >= L &&
         p.M >= 8 * L;
}

// y = bias + a b on the pool; finish(context, m0, m1) is due to rows of y. The bytes that were not to be had,
// or 0.
size_t multiply_narrow(const FewRows<float>& p);
size_t multiply_narrow(const FewRows<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
