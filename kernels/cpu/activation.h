// Functions of vectors that activations and epilogues share.
#pragma once

#include "vector_math.h"
#include "vector_table.h"

namespace gradsmith {
namespace GS_ISA {

// e^-|x|
template <class T>
GS_INLINE Vec<T> decay(Vec<T> x) {
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const Vec<T> down = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) | kSign);
  return exp_quick<T>(greater(splat<T>(MathConstants<T>::kExpMin), down));
}

// a / (1 + e^-x): 3 ULP, where a product with vsigmoid has 2.7 and takes half as long again.
template <class T>
GS_INLINE Vec<T> weighed(Vec<T> a, Vec<T> x) {
  const Vec<T> e = decay<T>(x);
  return (x < T(0) ? a * e : a) / (e + T(1));
}

template <class T>
GS_INLINE Vec<T> silu_slope(Vec<T> g, Vec<T> x) {
  const Vec<T> s = weighed<T>(splat<T>(T(1)), x);
  return g * (s * (x * (T(1) - s) + T(1)));
}

// P(X <= x) for a normal X, and its density
template <class T>
GS_INLINE Vec<T> normal_share(Vec<T> x) {
  return verf<T>(x * T(0.7071067811865476)) * T(0.5) + T(0.5);
}
template <class T>
GS_INLINE Vec<T> normal_density(Vec<T> x) {
  return vexp<T>(x * x * T(-0.5)) * T(0.3989422804014327);
}

#if defined(GS_HAS_TABLES)
// f(x) from f(-|x|), for f(x) + f(-x) = 1
GS_INLINE Vec<float> other_side(Vec<float> y, Vec<float> x) { return x > 0.0f ? 1.0f - y : y; }
#endif

// x P(X <= x), and g times its derivative
template <class T>
GS_INLINE Vec<T> gelu(Vec<T> x) {
#if defined(GS_HAS_TABLES)
  if constexpr (sizeof(T) == 4) return x * other_side(look_up(kNormalTail, vabs<T>(x)), x);
#endif
  return x * normal_share<T>(x);
}
template <class T>
GS_INLINE Vec<T> gelu_slope(Vec<T> g, Vec<T> x) {
#if defined(GS_HAS_TABLES)
  if constexpr (sizeof(T) == 4) return g * other_side(look_up(kGeluSlope, vabs<T>(x)), x);
#endif
  return g * (normal_share<T>(x) + x * normal_density<T>(x));
}

}  // namespace GS_ISA
}  // namespace gradsmith
