// The normal distribution's density and lower tail for vectors of float32 or float64, right to their last
// places all the way down to where they underflow.
//
// For t >= 0: P(X <= -t) = e^(-t^2/2) R(t), R(t) = e^(t^2/2) erfc(t / sqrt 2) / 2 (Abramowitz & Stegun
// 7.1.2, 26.2.29). R is smooth and falls from 1/2 like 0.4 / t: R(t) (t + k) is near a polynomial in
// q = (t - k) / (t + k) = 2 v - 1, v = t / (t + k). Coefficients: float32 by least squares at Chebyshev's
// nodes, one after the other rounded and the rest fitted again, k chosen so that little is left (2.2e-9);
// float64 by Remez' exchange in 40 digits (2.3e-17); relative errors up to kNormalEnd.
//
// Largest errors of gelu, and of its slope (of P(X <= x) + |x| times the density, since the slope is 0 at
// -0.75), where results are subnormal too, in ULP (float32: of every number):
//            table   8 lanes  series   series without multiply-add   float64
//   gelu      3.1      3.3     3.7               3.9                  2.9
//   slope     2.9      2.4     3.0               3.6                  3.2
#pragma once

#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {

// From here on t P(X <= -t) and the density at t round to 0.
template <class T>
constexpr T kNormalEnd = sizeof(T) == 4 ? T(14.5) : T(38.75);

// k
template <class T>
constexpr T kNormalMiddle = sizeof(T) == 4 ? T(2.119140625) : T(3);

// min(|x|, kNormalEnd); a NaN stays.
template <class T>
GS_INLINE Vec<T> normal_distance(Vec<T> x) {
  return lesser(splat<T>(kNormalEnd<T>), vabs<T>(x));
}

#if !defined(__AVX512F__)
// -t^2/2 = half + rest, exactly or nearly: rounded, it would cost e^(-t^2/2) t^2/4 ULP.
template <class T>
GS_INLINE Vec<T> normal_half_square(Vec<T> t, Vec<T>& rest) {
  const Vec<T> down = t * T(-0.5);
#if defined(__FMA__)
  const Vec<T> half = t * down;
  rest = fused(t, down, -half);
  return half;
#else
  const Vec<T> high = bit_cast<Vec<T>>(bit_cast<IVec<T>>(t) & MathConstants<T>::kHighHalf);
  rest = (t - high) * (down + high * T(-0.5));
  return high * (high * T(-0.5));  // exact
#endif
}

// exp_tail, of float32 one degree lower: e^r within 3.1e-9 (reweighted least squares).
GS_INLINE Vec<float> normal_exp_tail(Vec<float> r) {
  Vec<float> p = r * 1.38142216e-3f + 8.36889911e-3f;
  p = p * r + 4.16684039e-2f;
  p = p * r + 1.66665196e-1f;
  return p * r + 4.9999994e-1f;
}
GS_INLINE Vec<double> normal_exp_tail(Vec<double> r) { return exp_tail(r); }

// e^(-t^2/2) = (1 + z) 2^n
template <class T>
GS_INLINE Exponent<T> normal_power(Vec<T> t, Vec<T>& z) {
  using C = MathConstants<T>;
  Vec<T> rest;
  const Vec<T> half = normal_half_square<T>(t, rest);
  const Vec<T> shifted = half * T(1.4426950408889634) + C::kRound;
  const Vec<T> n = shifted - C::kRound;
  const Vec<T> r = (half - n * C::kExpLn2Hi) - n * C::kExpLn2Lo + rest;
  z = normal_exp_tail(r) * (r * r) + r;
  return {n, shifted};
}
#endif

// a e^(-t^2/2)
template <class T>
GS_INLINE Vec<T> normal_weighed(Vec<T> a, Vec<T> t) {
#if defined(__AVX512F__)
  return lookup::times_gaussian<T>(a, t);
#else
  Vec<T> z;
  const Exponent<T> n = normal_power<T>(t, z);
  return scale_down<T>(a * z + a, n);
#endif
}

GS_INLINE Vec<float> normal_series(Vec<float> q) {
  Vec<float> p = q * -4.64577424e-05f - 0.000155057394f;
  p = p * q - 5.33279162e-05f;
  p = p * q + 0.00060831412f;
  p = p * q + 0.00125282269f;
  p = p * q - 0.000590631505f;
  p = p * q - 0.00669965195f;
  p = p * q - 0.00565291429f;
  p = p * q + 0.0338536687f;
  p = p * q + 0.053024292f;
  p = p * q - 0.358623832f;
  return p * q + 0.682019532f;
}

GS_INLINE Vec<double> normal_series(Vec<double> q) {
  Vec<double> p = q * -4.7462217957501588708e-9 - 1.298361053917317815e-8;
  p = p * q + 1.6559304759563579458e-8;
  p = p * q + 9.4300840518775362876e-8;
  p = p * q + 5.6531644162756493127e-8;
  p = p * q - 2.7237066152773949898e-7;
  p = p * q - 6.0674684150288646855e-7;
  p = p * q + 7.6208821919083108053e-9;
  p = p * q + 2.2649794335031802309e-6;
  p = p * q + 3.640104289452012365e-6;
  p = p * q - 3.5211316326460306555e-6;
  p = p * q - 2.0689143500071942616e-5;
  p = p * q - 1.3245125365456565836e-5;
  p = p * q + 7.8812675388669972367e-5;
  p = p * q + 1.5439430595499262249e-4;
  p = p * q - 2.5657534758640201619e-4;
  p = p * q - 1.0458286052343367039e-3;
  p = p * q + 1.0275922592761997262e-3;
  p = p * q + 6.9726212393628283883e-3;
  p = p * q - 0.010462867023319433981;
  p = p * q - 0.047263025142938919679;
  p = p * q + 0.23001771997460381055;
  p = p * q - 0.50933198191748975897;
  return p * q + 0.72908369013337299603;
}

// R(t) and t R(t): 1 / (t + k) = (1 - v) / k has v's digits for small t, t / (t + k) for all.
template <class T>
GS_INLINE Vec<T> normal_ratio_by_series(Vec<T> t) {
  constexpr T kScale = T(1) / kNormalMiddle<T>;
  const Vec<T> v = t / (t + kNormalMiddle<T>);
  return (kScale - v * kScale) * normal_series(v * T(2) - T(1));
}
template <class T>
GS_INLINE Vec<T> normal_product_by_series(Vec<T> t) {
  const Vec<T> v = t / (t + kNormalMiddle<T>);
  return v * normal_series(v * T(2) - T(1));
}

#if defined(__AVX2__)
// R by table: a polynomial on each of as many pieces as a vector has lanes, whose coefficients lie in a
// vector a degree (the highest first) and are looked up by permutations. The low bits of the exponent of
// t + 1 and the highest of its mantissa choose the piece, d is counted from its middle. One division and
// four to six multiply-adds less than the series.
// clang-format off
#if defined(__AVX512F__)
constexpr int kTailDegree = 5, kTailBits = 2;
alignas(64) constexpr float kTail[6][16] = {
    {-0.00198459392f, -0.000835097511f, -0.000374565483f, -0.00017695516f, -6.85611158e-05f, -2.19712128e-05f, -8.23184928e-06f, -3.45561693e-06f, -1.14968657e-06f, -3.32063337e-07f, -1.17899503e-07f, -4.41503438e-08f, -0.0200079568f, -0.0115501145f, -0.00683122221f, -0.00427496945f},
    {0.00615563523f, 0.00284894463f, 0.00141537061f, 0.000745882862f, 0.000325468078f, 0.000122186582f, 5.28458659e-05f, 2.53093822e-05f, 1.0022165e-05f, 3.51409972e-06f, 1.46931563e-06f, 6.99969007e-07f, 0.0483208336f, 0.0291698277f, 0.0182662848f, 0.0116896769f},
    {-0.0175300632f, -0.00907516386f, -0.00503129186f, -0.00295708585f, -0.00145911763f, -0.000651785987f, -0.000328050082f, -0.000180901348f, -8.42864538e-05f, -3.62780556e-05f, -1.79920171e-05f, -9.88203283e-06f, -0.105508678f, -0.0678156465f, -0.0447450764f, -0.0302458238f},
    {0.0463217162f, 0.0271765403f, 0.0169471819f, 0.011119945f, 0.00638713827f, 0.00341575919f, 0.00201323791f, 0.00127656583f, 0.000713559566f, 0.000376628217f, 0.000221709997f, 0.000141094002f, 0.205505714f, 0.141690746f, 0.100160629f, 0.0724443272f},
    {-0.110491864f, -0.0747868717f, -0.0532254204f, -0.0394492559f, -0.0267342404f, -0.0173270162f, -0.0120574636f, -0.00884039048f, -0.00596190989f, -0.0038753394f, -0.00271462766f, -0.0020050332f, -0.342218131f, -0.256590635f, -0.196844682f, -0.15414305f},
    {0.230760321f, 0.185231671f, 0.153651938f, 0.130724728f, 0.106345162f, 0.084803395f, 0.0703426972f, 0.0600156747f, 0.0491225496f, 0.0395066962f, 0.0330189727f, 0.0283526611f, 0.453793228f, 0.379604429f, 0.323356181f, 0.279770583f},
};
#else
constexpr int kTailDegree = 7, kTailBits = 1;
alignas(32) constexpr float kTail[8][8] = {
    {-0.000101732774f, -1.50282021e-05f, -1.36121605e-06f, -1.17870407e-07f, -6.60972965e-09f, -4.07798961e-10f, -0.00173621124f, -0.000295300444f},
    {0.000379836361f, 6.47857232e-05f, 7.55205838e-06f, 8.03795388e-07f, 6.58968133e-08f, 5.73739234e-09f, 0.00570934871f, 0.00147393497f},
    {-0.00126738276f, -0.000257311825f, -3.75385644e-05f, -5.20795402e-06f, -5.90932302e-07f, -7.33403525e-08f, -0.0150258057f, -0.00521063851f},
    {0.00410922803f, 0.0010169954f, 0.000192506632f, 3.57787794e-05f, 5.67637835e-06f, 9.85380439e-07f, 0.037244577f, 0.0143910982f},
    {-0.0124968076f, -0.00383113651f, -0.000958703109f, -0.00024119213f, -5.41471854e-05f, -1.31895968e-05f, -0.0843031257f, -0.0366835073f},
    {0.0351868533f, 0.0136482818f, 0.00460592238f, 0.0015905f, 0.000510088867f, 0.000175410605f, 0.170086965f, 0.0849522725f},
    {-0.0902712867f, -0.045613952f, -0.0212997179f, -0.0102663934f, -0.00475318125f, -0.00231989194f, -0.295434266f, -0.173767939f},
    {0.20578067f, 0.14133133f, 0.094410643f, 0.0647793114f, 0.0437987894f, 0.0305094142f, 0.414032102f, 0.30023247f},
};
#endif
// clang-format on

GS_INLINE Vec<float> normal_ratio(Vec<float> t) {
  constexpr int32_t kHalf = 1 << (22 - kTailBits);
  const IVec<float> bits = bit_cast<IVec<float>>(t + 1.0f);
  const Vec<float> middle = bit_cast<Vec<float>>((bits & -(2 * kHalf)) | kHalf);
  const Vec<float> d = t - (middle - 1.0f);
  const IVec<float> piece = bits >> (23 - kTailBits);  // a permutation takes its low bits
  const auto coefficient = [&](int degree) {
    const float* row = kTail[kTailDegree - degree];
#if defined(__AVX512F__)
    return (Vec<float>)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)piece, _mm512_load_ps(row));
#else
    return (Vec<float>)_mm256_permutevar8x32_ps(_mm256_load_ps(row), (__m256i)piece);
#endif
  };
  Vec<float> y = coefficient(kTailDegree);
#pragma GCC unroll 7
  for (int degree = kTailDegree - 1; degree >= 0; --degree) y = y * d + coefficient(degree);
  return y;
}
GS_INLINE Vec<float> normal_product(Vec<float> t) {
#if defined(__AVX512F__)
  return lookup::by_pieces(lookup::kProductMiddle, lookup::kProduct, t);
#else
  return t * normal_ratio(t);
#endif
}
#else
GS_INLINE Vec<float> normal_ratio(Vec<float> t) { return normal_ratio_by_series<float>(t); }
GS_INLINE Vec<float> normal_product(Vec<float> t) { return normal_product_by_series<float>(t); }
#endif
GS_INLINE Vec<double> normal_ratio(Vec<double> t) { return normal_ratio_by_series<double>(t); }
GS_INLINE Vec<double> normal_product(Vec<double> t) { return normal_product_by_series<double>(t); }

// The density of X at x.
template <class T>
GS_INLINE Vec<T> normal_density(Vec<T> x) {
  return normal_weighed<T>(splat<T>(T(0.3989422804014327)), normal_distance<T>(x));
}

// x P(X <= x): max(x, 0) - |x| P(X <= -|x|), NaN at -inf.
template <class T>
GS_INLINE Vec<T> gelu(Vec<T> x) {
  Vec<T> t;
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    t = lookup::bounded_magnitude(x, kNormalEnd<T>);  // a NaN comes back with x * 0
  } else {
    t = normal_distance<T>(x);
  }
#else
  t = normal_distance<T>(x);
#endif
  const Vec<T> below = normal_weighed<T>(normal_product(t), t);
  return (x > T(0) ? x : x * T(0)) - below;
}

// g times its derivative, P(X <= x) + x times the density.
template <class T>
GS_INLINE Vec<T> gelu_slope(Vec<T> g, Vec<T> x) {
  const Vec<T> t = normal_distance<T>(x);
  const Vec<T> below = normal_weighed<T>(normal_ratio(t) - t * T(0.3989422804014327), t);
  return g * (x > T(0) ? T(1) - below : below);
}

}  // namespace GS_ISA
}  // namespace gradsmith
