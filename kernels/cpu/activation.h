// Functions of vectors that activations and epilogues share.
#pragma once

#include "vector_math.h"
#include "vector_normal.h"

namespace gradsmith {
namespace GS_ISA {

// e^-|x|
template <class T>
GS_INLINE Vec<T> decay(Vec<T> x) {
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const Vec<T> down = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) | kSign);
  return exp_quick<T>(greater(splat<T>(MathConstants<T>::kExpMin), down));
}

// a / (1 + e^-x): 3 ULP; by table 2 where the quotient is normal. Elsewhere a product with vsigmoid has 2.7 ULP
// and takes half as long again.
template <class T>
GS_INLINE Vec<T> weighed(Vec<T> a, Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return a * vsigmoid<T>(x);
#endif
  const Vec<T> e = decay<T>(x);
  return (x < T(0) ? a * e : a) / (e + T(1));
}

template <class T>
GS_INLINE Vec<T> silu_slope(Vec<T> g, Vec<T> x) {
  const Vec<T> s = weighed<T>(splat<T>(T(1)), x);
  return g * (s * (x * (T(1) - s) + T(1)));
}

}  // namespace GS_ISA
}  // namespace gradsmith
