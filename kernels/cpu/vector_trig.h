// sin, cos and tan of a vector of float32 or float64. x = q pi/2 + r with |r| <= pi/4 (Cody & Waite
// 1980: pi/2 in parts whose products with q are exact); float32 is reduced in float64, but for sin and cos
// by tables (vector_lookup.h). Lanes beyond kTrigMax or kSinMax, where q would need more bits, infinities
// and NaN are recomputed one by one with libm's function in float64, which reduces by as many digits of pi
// as it takes.
//
// Maximum error in ULP found by sampling (tests/test_vector_math.py asserts 2):
//   function   float32   float64
//   sin        0.51      0.77      by tables 1.48
//   cos        0.51      0.76      by tables 1.49
//   tan        0.51      1.34
#pragma once

#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {

constexpr double kTrigMax = 1e6;
constexpr double kTwoOverPi = 0.6366197723675814;
// pi / 2: 33 bits, 33 bits, and the rest; the second alone with all of its bits.
constexpr double kHalfPi1 = 0x1.921fb544p+0, kHalfPi2 = 0x1.0b4611a6p-34,
                 kHalfPi3 = 0x1.3198a2e037073p-69, kHalfPi2All = 0x1.0b4611a626331p-34;

typedef float HalfVec __attribute__((vector_size(GS_VECTOR_BYTES / 2)));

struct Halves {
  HalfVec low, high;
};

// The nearest multiple of pi/2: q as a number, and in the low bits of an integer.
GS_INLINE Vec<double> quadrant(Vec<double> x, IVec<double>& bits) {
  const Vec<double> shifted = x * kTwoOverPi + MathConstants<double>::kRound;
  bits = bit_cast<IVec<double>>(shifted);
  return shifted - MathConstants<double>::kRound;
}

// float64 r and q of a half of a float32 vector.
GS_INLINE Vec<double> reduce_half(HalfVec half, IVec<double>& q) {
  const Vec<double> x = widen(half);
  const Vec<double> n = quadrant(x, q);
  return (x - n * kHalfPi1) - n * kHalfPi2All;
}

GS_INLINE void reduce(Vec<double> x, Vec<double>& r, Vec<double>& r_low, IVec<double>& q) {
  const Vec<double> n = quadrant(x, q);
  const Vec<double> first = x - n * kHalfPi1;  // exact
  const Vec<double> product = n * kHalfPi2;    // exact
  const Vec<double> second = first - product;
  const Vec<double> rest = n * kHalfPi3 - ((first - second) - product);
  r = second - rest;
  r_low = (second - r) - rest;
}

// (sin r - r) / r^3 + 1/6, divided by r^2; and (cos r - 1 + r^2 / 2) / r^4, in z = r^2: Taylor's.
GS_INLINE Vec<double> sin_series(Vec<double> z) {
  Vec<double> p = z * (1.0 / 355687428096000.0) - 1.0 / 1307674368000.0;
  p = p * z + 1.0 / 6227020800.0;
  p = p * z - 1.0 / 39916800;
  p = p * z + 1.0 / 362880;
  p = p * z - 1.0 / 5040;
  return p * z + 1.0 / 120;
}
GS_INLINE Vec<double> cos_series(Vec<double> z) {
  Vec<double> p = z * (1.0 / 20922789888000.0) - 1.0 / 87178291200.0;
  p = p * z + 1.0 / 479001600;
  p = p * z - 1.0 / 3628800;
  p = p * z + 1.0 / 40320;
  p = p * z - 1.0 / 720;
  return p * z + 1.0 / 24;
}

// A value and what it lost in rounding.
template <class T>
struct Pair {
  Vec<T> high, low;
};

template <class T>
GS_INLINE Pair<T> sin_pair(Vec<T> r, Vec<T> r_low) {
  const Vec<T> z = r * r;
  const Vec<T> cube = z * r;
  // sin(r + r_low) = sin r + r_low cos r
  const Vec<T> rest =
      (cube * T(-1.0 / 6) + (cube * z) * sin_series(z)) + (r_low - z * T(0.5) * r_low);
  const Vec<T> sum = r + rest;
  return {sum, (r - sum) + rest};
}

template <class T>
GS_INLINE Pair<T> cos_pair(Vec<T> r, Vec<T> r_low) {
  const Vec<T> z = r * r;
  const Vec<T> half = z * T(0.5);
  const Vec<T> first = T(1) - half;
  const Vec<T> rest = ((T(1) - first) - half) + (z * z * cos_series(z) - r * r_low);
  const Vec<T> sum = first + rest;
  return {sum, (first - sum) + rest};
}

// y[i] = f(x[i]) where |x[i]| > limit or x[i] is no number.
template <class T>
__attribute__((noinline)) static void replace_large(const T* x, T* y, double (*f)(double),
                                                    double limit) {
  for (int i = 0; i < kLanes<T>; ++i) {
    const double v = x[i];
    if (!(v <= limit && v >= -limit)) y[i] = static_cast<T>(f(v));
  }
}

template <class T>
GS_INLINE Vec<T> with_large(Vec<T> x, Vec<T> y, double (*f)(double), T limit = T(kTrigMax)) {
  const IVec<T> usual = vabs<T>(x) <= limit;
  if (any_lane<T>(~usual)) {
    alignas(GS_VECTOR_BYTES) T in[kLanes<T>], out[kLanes<T>];
    store<T>(in, x);
    store<T>(out, y);
    replace_large<T>(in, out, f, limit);
    y = load<T>(out);
  }
  return y;
}

static inline double libm_sin(double x) { return __builtin_sin(x); }
static inline double libm_cos(double x) { return __builtin_cos(x); }
static inline double libm_tan(double x) { return __builtin_tan(x); }

GS_INLINE Vec<double> vsin(Vec<double> x) {
  Vec<double> r, r_low;
  IVec<double> q;
  reduce(x, r, r_low, q);
  Vec<double> y = (q & 1) != 0 ? cos_pair<double>(r, r_low).high : sin_pair<double>(r, r_low).high;
  y = (q & 2) != 0 ? -y : y;
  return with_large<double>(x, x == 0.0 ? x : y, libm_sin);
}

GS_INLINE Vec<double> vcos(Vec<double> x) {
  Vec<double> r, r_low;
  IVec<double> q;
  reduce(x, r, r_low, q);
  const Vec<double> y =
      (q & 1) != 0 ? sin_pair<double>(r, r_low).high : cos_pair<double>(r, r_low).high;
  return with_large<double>(x, ((q + 1) & 2) != 0 ? -y : y, libm_cos);
}

#if !defined(__AVX512F__)
// Half a float32 vector's sin (kShift 0) or cos (1), in float64. x = (n + kShift / 2) pi + r with
// |r| <= pi / 2: one polynomial and a sign, where quadrants took two and a choice.
template <int kShift>
GS_INLINE HalfVec sin_half(HalfVec half) {
  constexpr double kRound = MathConstants<double>::kRound;
  const Vec<double> x = widen(half);
  const Vec<double> shifted = (x * (0.5 * kTwoOverPi) - 0.5 * kShift) + kRound;
  const Vec<double> n = (shifted - kRound) + 0.5 * kShift;
  const Vec<double> r = (x - n * (2 * kHalfPi1)) - n * (2 * kHalfPi2All);
  const Vec<double> z = r * r;
  // sin r / r: Chebyshev interpolation to 1.1e-10.
  Vec<double> p = z * -2.4080113573677718e-08 + 2.7536460242295187e-06;
  p = p * z - 1.9841086517564176e-04;
  p = p * z + 8.3333327685728379e-03;
  p = p * z - 1.666666666388012e-01;
  p = p * z + 1.0;
  const Vec<double> y = r * p;
  const IVec<double> sign = (bit_cast<IVec<double>>(shifted) + kShift) << 63;
  return __builtin_convertvector(bit_cast<Vec<double>>(bit_cast<IVec<double>>(y) ^ sign), HalfVec);
}

#endif

GS_INLINE Vec<float> vsin(Vec<float> x) {
#if defined(__AVX512F__)
  const Vec<float> y = lookup::sin_turned<0>(vabs<float>(x));
  const IVec<float> sign = bit_cast<IVec<float>>(x) & INT32_MIN;
  return with_large<float>(x, bit_cast<Vec<float>>(bit_cast<IVec<float>>(y) ^ sign), libm_sin,
                           lookup::kSinMax);
#else
  const Halves halves = bit_cast<Halves>(x);
  const Halves y{sin_half<0>(halves.low), sin_half<0>(halves.high)};
  return with_large<float>(x, bit_cast<Vec<float>>(y), libm_sin);
#endif
}

GS_INLINE Vec<float> vcos(Vec<float> x) {
#if defined(__AVX512F__)
  return with_large<float>(x, lookup::sin_turned<8>(vabs<float>(x)), libm_cos, lookup::kSinMax);
#else
  const Halves halves = bit_cast<Halves>(x);
  const Halves y{sin_half<1>(halves.low), sin_half<1>(halves.high)};
  return with_large<float>(x, bit_cast<Vec<float>>(y), libm_cos);
#endif
}

// sin / cos, corrected to first order for what both lost.
GS_INLINE Vec<double> tan_reduced(Vec<double> r, Vec<double> r_low, IVec<double> q) {
  const Pair<double> s = sin_pair<double>(r, r_low), c = cos_pair<double>(r, r_low);
  const IVec<double> odd = (q & 1) != 0;
  const Vec<double> above = odd ? -c.high : s.high, above_low = odd ? -c.low : s.low;
  const Vec<double> below = odd ? s.high : c.high, below_low = odd ? s.low : c.low;
  const Vec<double> y = above / below;
  return y + (above_low - y * below_low) / below;
}

GS_INLINE Vec<double> tan_small(Vec<double> x) {
  Vec<double> r, r_low;
  IVec<double> q;
  reduce(x, r, r_low, q);
  return tan_reduced(r, r_low, q);
}

GS_INLINE HalfVec tan_half(HalfVec half) {
  IVec<double> q;
  const Vec<double> r = reduce_half(half, q);
  const Vec<double> z = r * r;
  Vec<double> s = (z * 2.724962007511e-6 - 1.984008437637e-4) * z + 8.333331870341e-3;
  s = (s * z - 1.666666666384e-1) * (z * r) + r;
  Vec<double> c = z * -2.730070403394e-7 + 2.480059840831e-5;
  c = (c * z - 1.388888766837e-3) * z + 4.166666666431e-2;
  c = (c * z - 0.5) * z + 1.0;
  const IVec<double> odd = (q & 1) != 0;
  return __builtin_convertvector((odd ? -c : s) / (odd ? s : c), HalfVec);
}

GS_INLINE Vec<float> tan_small(Vec<float> x) {
  const Halves halves = bit_cast<Halves>(x);
  return bit_cast<Vec<float>>(Halves{tan_half(halves.low), tan_half(halves.high)});
}

template <class T>
GS_INLINE Vec<T> vtan(Vec<T> x) {
  return with_large<T>(x, x == T(0) ? x : tan_small(x), libm_tan);
}

}  // namespace GS_ISA
}  // namespace gradsmith
