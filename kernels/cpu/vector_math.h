// exp, expm1, log, log1p, log2, tanh, sigmoid, erf, sqrt and rsqrt of a vector of float32 or float64. Every lane
// is computed alike and on its own, so a value does not depend on its place in the vector or in the array.
// What is computed by tables where there is AVX-512 stands in vector_lookup.h.
//
// Maximum error in ULP over the whole range, subnormal arguments and results included, found by
// sampling on each ISA (tests/test_vector_math.py asserts 2 everywhere):
//   function   float32   float64   by tables (float32: of every third number)
//   exp        0.77      0.76      0.77, float64 0.76
//   expm1      1.00      1.16
//   log        0.81      0.84      1.03
//   log1p      0.79      0.77
//   log2       0.75      0.78      0.96
//   tanh       0.88      0.85      1.10
//   sigmoid    1.97      1.85      0.89
//   erf        1.34      1.41 (with multiply-add 1.04, 1.18)
//   rsqrt      1.50      1.50      0.51
// NaN gives NaN; the infinities, signed zero and overflow give IEEE's limits.
#pragma once

#include "simd.h"
#include "vector_lookup.h"

namespace gradsmith {
namespace GS_ISA {

template <class T>
struct MathConstants;

template <>
struct MathConstants<float> {
  static constexpr int kMantissaBits = 23;
  static constexpr int32_t kBias = 127;
  static constexpr int32_t kSqrtHalfBits = 0x3f3504f3;
  static constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer
  static constexpr float kSmallestNormal = 1.17549435e-38f;
  static constexpr float kTwoToMantissa = 8388608.0f;
  static constexpr float kExpMax = 89.5f, kExpMin = -104.5f;  // beyond: inf, 0
  static constexpr float kTanhOne = 10.0f;                    // tanh(10) rounds to 1
  // ln 2 in two parts; the first times any exponent is exact (Cephes, fdlibm)
  static constexpr float kExpLn2Hi = 0.693359375f, kExpLn2Lo = -2.12194440e-4f;
  static constexpr float kLogLn2Hi = 6.9313812256e-01f, kLogLn2Lo = 9.0580006145e-06f;
  // 1 / ln 2 in two parts; the first times a number of kHighHalf's bits is exact
  static constexpr float kLog2eHi = 1.4423828125f, kLog2eLo = 3.1222839606925845e-4f;
  static constexpr int32_t kHighHalf = -0x1000;
  static constexpr float kExpm1Min = -30.0f, kExpm1Large = 40.0f;  // -1; e^x - 1 rounds to e^x
  static constexpr float kErfOne = 4.0f;                           // erf(4) rounds to 1
};

template <>
struct MathConstants<double> {
  static constexpr int kMantissaBits = 52;
  static constexpr int64_t kBias = 1023;
  static constexpr int64_t kSqrtHalfBits = 0x3fe6a09e667f3bcd;
  static constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  static constexpr double kSmallestNormal = 2.2250738585072014e-308;
  static constexpr double kTwoToMantissa = 4503599627370496.0;
  static constexpr double kExpMax = 710.5, kExpMin = -746.5;
  static constexpr double kTanhOne = 20.0;
  static constexpr double kExpLn2Hi = 6.93145751953125e-1, kExpLn2Lo = 1.42860682030941723212e-6;
  static constexpr double kLogLn2Hi = 6.93147180369123816490e-01,
                          kLogLn2Lo = 1.90821492927058770002e-10;
  static constexpr double kLog2eHi = 0x1.71547p+0, kLog2eLo = 0x1.94ae0bf85ddf4p-22;
  static constexpr int64_t kHighHalf = -0x100000000;
  static constexpr double kExpm1Min = -50.0, kExpm1Large = 60.0;
  static constexpr double kErfOne = 6.0;
};

// lesser: a < b ? a : b; greater: a > b ? a : b; so b where either is NaN. The compiler makes two
// instructions of the expression.
#if defined(__AVX512F__)
#define GS_PICK(name, op, compare)                                            \
  GS_INLINE Vec<float> name(Vec<float> a, Vec<float> b) {                     \
    return (Vec<float>)_mm512_maskz_##op##_ps(0xffff, (__m512)a, (__m512)b);  \
  }                                                                           \
  GS_INLINE Vec<double> name(Vec<double> a, Vec<double> b) {                  \
    return (Vec<double>)_mm512_maskz_##op##_pd(0xff, (__m512d)a, (__m512d)b); \
  }
#elif defined(__AVX__)
#define GS_PICK(name, op, compare)                                \
  GS_INLINE Vec<float> name(Vec<float> a, Vec<float> b) {         \
    return (Vec<float>)_mm256_##op##_ps((__m256)a, (__m256)b);    \
  }                                                               \
  GS_INLINE Vec<double> name(Vec<double> a, Vec<double> b) {      \
    return (Vec<double>)_mm256_##op##_pd((__m256d)a, (__m256d)b); \
  }
#elif defined(__x86_64__)
#define GS_PICK(name, op, compare)                             \
  GS_INLINE Vec<float> name(Vec<float> a, Vec<float> b) {      \
    return (Vec<float>)_mm_##op##_ps((__m128)a, (__m128)b);    \
  }                                                            \
  GS_INLINE Vec<double> name(Vec<double> a, Vec<double> b) {   \
    return (Vec<double>)_mm_##op##_pd((__m128d)a, (__m128d)b); \
  }
#else
#define GS_PICK(name, op, compare)                                                      \
  GS_INLINE Vec<float> name(Vec<float> a, Vec<float> b) { return a compare b ? a : b; } \
  GS_INLINE Vec<double> name(Vec<double> a, Vec<double> b) { return a compare b ? a : b; }
#endif
GS_PICK(lesser, min, <)
GS_PICK(greater, max, >)
#undef GS_PICK

// (exp(r) - 1 - r) / r^2 for |r| <= ln(2) / 2.
// Source: float32 Cephes expf (minimax, degree 5); float64 the Taylor series to r^13 / 13!.
GS_INLINE Vec<float> exp_tail(Vec<float> r) {
  Vec<float> p = r * 1.9875691500e-4f + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  return p * r + 5.0000001201e-1f;
}

GS_INLINE Vec<double> exp_tail(Vec<double> r) {
  const Vec<double> r2 = r * r;
  const Vec<double> r4 = r2 * r2;
  const Vec<double> low = (r * (1.0 / 6) + 0.5) + (r * (1.0 / 120) + 1.0 / 24) * r2;
  const Vec<double> middle =
      (r * (1.0 / 5040) + 1.0 / 720) + (r * (1.0 / 362880) + 1.0 / 40320) * r2;
  const Vec<double> high =
      (r * (1.0 / 39916800) + 1.0 / 3628800) + (r * (1.0 / 6227020800.0) + 1.0 / 479001600) * r2;
  return low + (middle + high * r4) * r4;
}

// An integer n as a float and, in the low bits of `shifted`, as an integer.
template <class T>
struct Exponent {
  Vec<T> n, shifted;
};

// x = n ln 2 + r, |r| <= ln(2) / 2; r_low is what r lost in rounding.
template <class T>
GS_INLINE Exponent<T> reduce_ln2(Vec<T> x, Vec<T>& r, Vec<T>& r_low) {
  using C = MathConstants<T>;
  const Vec<T> shifted = x * T(1.4426950408889634) + C::kRound;
  const Vec<T> n = shifted - C::kRound;
  const Vec<T> first = x - n * C::kExpLn2Hi;  // exact
  r = first - n * C::kExpLn2Lo;
  r_low = (first - r) - n * C::kExpLn2Lo;
  return {n, shifted};
}

// 2^n for an n that makes it a normal number.
template <class T>
GS_INLINE Vec<T> power_of_two(const Exponent<T>& e) {
  using C = MathConstants<T>;
  return bit_cast<Vec<T>>((bit_cast<IVec<T>>(e.shifted) + C::kBias) << C::kMantissaBits);
}

// y 2^n for any n: in two steps, since 2^n alone may overflow, or be subnormal.
template <class T>
GS_INLINE Vec<T> scale(Vec<T> y, const Exponent<T>& e) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return (Vec<T>)_mm512_maskz_scalef_ps(0xffff, (__m512)y, (__m512)e.n);
  } else {
    return (Vec<T>)_mm512_maskz_scalef_pd(0xff, (__m512d)y, (__m512d)e.n);
  }
#else
  using C = MathConstants<T>;
  const IVec<T> n = bit_cast<IVec<T>>(e.shifted) - bit_cast<IVec<T>>(splat<T>(C::kRound));
  const IVec<T> half = n >> 1;
  return y * bit_cast<Vec<T>>((half + C::kBias) << C::kMantissaBits) *
         bit_cast<Vec<T>>((n - half + C::kBias) << C::kMantissaBits);
#endif
}

// y 2^n for the n <= 0 of exponentials: one step up and one down.
template <class T>
GS_INLINE Vec<T> scale_down(Vec<T> y, const Exponent<T>& e) {
#if defined(__AVX512F__)
  return scale<T>(y, e);
#else
  using C = MathConstants<T>;
  constexpr IntOf<T> kUp = sizeof(T) == 4 ? 64 : 512;
  constexpr T kDown = sizeof(T) == 4 ? T(0x1p-64) : T(0x1p-512);
  return y *
         bit_cast<Vec<T>>((bit_cast<IVec<T>>(e.shifted) + (C::kBias + kUp)) << C::kMantissaBits) *
         kDown;
#endif
}

// exp for kExpMin <= x <= kExpMax. 1 + r and what it loses are added separately: 0.70 ULP, where the
// plain sum gives 0.98.
template <class T>
GS_INLINE Vec<T> exp_in_range(Vec<T> x) {
#if defined(__AVX512F__)
  return lookup::exp<T>(x);
#else
  Vec<T> r, r_low;
  const Exponent<T> n = reduce_ln2<T>(x, r, r_low);
  const Vec<T> sum = r + T(1);
  const Vec<T> rest = ((T(1) - sum) + r) + (exp_tail(r) * (r * r) + r_low);
  return scale<T>(sum + rest, n);
#endif
}

// The same for x <= 0 without the two corrections: 1.1 ULP, in seven tenths of the time.
template <class T>
GS_INLINE Vec<T> exp_quick(Vec<T> x) {
#if defined(__AVX512F__)
  return lookup::exp_quick<T>(x);
#else
  Vec<T> r, unused;
  const Exponent<T> n = reduce_ln2<T>(x, r, unused);
  return scale_down<T>((exp_tail(r) * (r * r) + r) + T(1), n);
#endif
}

template <class T>
GS_INLINE Vec<T> vexp(Vec<T> x) {
  using C = MathConstants<T>;
  x = lesser(splat<T>(C::kExpMax), x);  // a NaN stays
  return exp_in_range<T>(greater(splat<T>(C::kExpMin), x));
}

// x = 2^n m with m in [sqrt(1/2), sqrt(2)); log(m) by fdlibm's series in s = f / (2 + f), f = m - 1.
GS_INLINE Vec<float> log_series(Vec<float> z) {
  const Vec<float> w = z * z;
  return z * (0.66666662693f + w * 0.28498786688f) + w * (0.40000972152f + w * 0.24279078841f);
}

GS_INLINE Vec<double> log_series(Vec<double> z) {
  const Vec<double> w = z * z;
  const Vec<double> odd =
      3.999999999940941908e-01 + w * (2.222219843214978396e-01 + w * 1.531383769920937332e-01);
  const Vec<double> even = 6.666666666666735130e-01 +
                           w * (2.857142874366239149e-01 +
                                w * (1.818357216161805012e-01 + w * 1.479819860511658591e-01));
  return w * odd + z * even;
}

// ln m = f - (f^2 / 2 - tail), x = 2^k m.
template <class T>
struct Logarithm {
  Vec<T> k, f, half_square, tail;
};

template <class T>
GS_INLINE Logarithm<T> log_parts(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr IntOf<T> kMantissaMask = (IntOf<T>(1) << C::kMantissaBits) - 1;
  const IVec<T> small = x < C::kSmallestNormal;
  const Vec<T> normal = small ? x * C::kTwoToMantissa : x;
  // Adding 1 - sqrt(1/2) to the bits carries into the exponent where m >= sqrt(2).
  const IVec<T> bits =
      bit_cast<IVec<T>>(normal) + ((C::kBias << C::kMantissaBits) - C::kSqrtHalfBits);
  IVec<T> n = (bits >> C::kMantissaBits) - C::kBias;
  n = small ? n - C::kMantissaBits : n;
  const Vec<T> m = bit_cast<Vec<T>>((bits & kMantissaMask) + C::kSqrtHalfBits);
  const Vec<T> f = m - T(1);
  const Vec<T> s = f / (f + T(2));
  const Vec<T> half_square = f * f * T(0.5);
  return {__builtin_convertvector(n, Vec<T>), f, half_square,
          s * (half_square + log_series(s * s))};
}

// y, a logarithm of x, where there is a finite one; -inf at 0, NaN below.
template <class T>
GS_INLINE Vec<T> log_limits(Vec<T> x, Vec<T> y) {
  const Vec<T> infinity = splat<T>(T(__builtin_inf()));
  y = x == infinity ? x : y;
  y = x == T(0) ? -infinity : y;
  return x >= T(0) ? y : (x < T(0) ? splat<T>(T(__builtin_nan(""))) : x);
}

template <class T>
GS_INLINE Vec<T> vlog(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return lookup::log(x);
#endif
  using C = MathConstants<T>;
  const Logarithm<T> p = log_parts<T>(x);
  const Vec<T> low = p.tail + p.k * C::kLogLn2Lo;
  return log_limits<T>(x, p.k * C::kLogLn2Hi - ((p.half_square - low) - p.f));
}

// The product with 1 / ln 2 in two parts each: rounding ln m first would cost another ULP.
template <class T>
GS_INLINE Vec<T> vlog2(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return lookup::log2(x);
#endif
  using C = MathConstants<T>;
  const Logarithm<T> p = log_parts<T>(x);
  const Vec<T> high = bit_cast<Vec<T>>(bit_cast<IVec<T>>(p.f - p.half_square) & C::kHighHalf);
  const Vec<T> low = ((p.f - high) - p.half_square) + p.tail;
  const Vec<T> product = high * C::kLog2eHi;  // exact
  const Vec<T> sum = p.k + product;
  const Vec<T> lost = (p.k - sum) + product;
  return log_limits<T>(x, sum + (lost + ((low + high) * C::kLog2eLo + low * C::kLog2eHi)));
}

// ln(1 + x), corrected to first order for what u = 1 + x lost.
template <class T>
GS_INLINE Vec<T> vlog1p(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> u = x + T(1);
  const Vec<T> lost = x - (u - T(1));
  const Logarithm<T> p = log_parts<T>(u);
  const Vec<T> low = p.tail + (p.k * C::kLogLn2Lo + lost / u);
  const Vec<T> y = log_limits<T>(u, p.k * C::kLogLn2Hi - ((p.half_square - low) - p.f));
  return x == T(0) ? x : y;  // its sign
}

// e^x - 1 = (2^n - 1) + 2^n (e^r - 1), the last factor and the sum each with what they lose.
template <class T>
GS_INLINE Vec<T> vexpm1(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> bounded =
      greater(splat<T>(C::kExpm1Min), lesser(splat<T>(C::kExpMax), x));  // a NaN stays
  Vec<T> r, r_low;
  const Exponent<T> n = reduce_ln2<T>(bounded, r, r_low);
  const Vec<T> rest = exp_tail(r) * (r * r) + r_low;
  const Vec<T> p = r + rest;
  const Vec<T> p_low = (r - p) + rest;
  const Vec<T> power = power_of_two<T>(n);
  const Vec<T> base = power - T(1);
  const Vec<T> scaled = power * p;
  const Vec<T> sum = base + scaled;
  const Vec<T> y = sum + (((base - sum) + scaled) + power * p_low);
  const Vec<T> large = scale<T>(p + T(1), n);
  const Vec<T> chosen = bounded > C::kExpm1Large ? large : y;
  return x == T(0) ? x : chosen;
}

// tanh(x) = x + x z P(z) / Q(z), z = x^2, for |x| < 0.625: the numerator and Q. Source: Cephes.
GS_INLINE void tanh_ratio(Vec<float> x, Vec<float>& p, Vec<float>& q) {
  const Vec<float> z = x * x;
  Vec<float> c = z * -5.70498872745e-3f + 2.06390887954e-2f;
  c = c * z - 5.37397155531e-2f;
  c = c * z + 1.33314422036e-1f;
  c = c * z - 3.33332819422e-1f;
  p = c * (z * x);
  q = splat<float>(1.0f);
}

GS_INLINE void tanh_ratio(Vec<double> x, Vec<double>& p, Vec<double>& q) {
  const Vec<double> z = x * x;
  const Vec<double> c =
      (z * -9.64399179425052238628e-1 - 9.92877231001918586564e1) * z - 1.61468768441708447952e3;
  p = c * (z * x);
  q = ((z + 1.12811678491632931402e2) * z + 2.23548839060100448583e3) * z +
      4.84406305325125486048e3;
}

// For |x| >= 0.625: 1 - 2 / (exp(2 |x|) + 1), corrected to first order for what exp and the two sums
// lost (1.30 ULP without, in six tenths of the time). Both share the division.
template <class T>
GS_INLINE Vec<T> vtanh(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const IVec<T> sign = bit_cast<IVec<T>>(x) & kSign;
  const Vec<T> magnitude = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) & ~kSign);
  const Vec<T> bounded = lesser(splat<T>(C::kTanhOne), magnitude);
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(bit_cast<IVec<T>>(lookup::tanh(bounded)) | sign);
  }
#endif
  Vec<T> r, r_low;
  const Exponent<T> n = reduce_ln2<T>(bounded + bounded, r, r_low);
  const Vec<T> power = power_of_two<T>(n);
  const Vec<T> rest = exp_tail(r) * (r * r) + r;
  const Vec<T> m = rest + T(1);
  const Vec<T> e = m * power;
  const Vec<T> d = e + T(1);
  const Vec<T> d_low = ((e - d) + T(1)) + ((T(1) - m) + rest) * power;
  Vec<T> p, q;
  tanh_ratio(magnitude, p, q);
  const IVec<T> small = magnitude < T(0.625);
  const Vec<T> ratio = (small ? p : splat<T>(T(-2))) / (small ? q : d);
  const Vec<T> first = small ? magnitude : splat<T>(T(1));
  const Vec<T> sum = first + ratio;
  const Vec<T> large = sum + (((first - sum) + ratio) + ratio * ratio * (d_low * T(0.5)));
  const Vec<T> y = small ? sum : large;
  return bit_cast<Vec<T>>(bit_cast<IVec<T>>(y) | sign);
}

template <class T>
GS_INLINE Vec<T> vabs(Vec<T> x) {
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  return bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) & ~kSign);
}

// With e = exp(-|x|): 1 / (1 + e) for x >= 0, e / (1 + e) for x < 0, which keeps small results. The
// quotient is corrected to first order for what 1 + e lost in rounding (2.3 ULP without).
template <class T>
GS_INLINE Vec<T> sigmoid_anywhere(Vec<T> x) {
  using C = MathConstants<T>;
  const Vec<T> one = splat<T>(T(1));
  const IVec<T> negative = x < T(0);
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const Vec<T> down = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) | kSign);  // -|x|
  const Vec<T> e = exp_in_range<T>(greater(splat<T>(C::kExpMin), down));
  const Vec<T> d = e + T(1);
  const Vec<T> d_low = (T(1) - d) + e;
  const Vec<T> q = (negative ? e : one) / d;
  return q - q * d_low * (negative ? one - q : q);  // the last factor is 1 / d
}

#if defined(__AVX512F__)
// Not inlined: the loops keep their registers for the tables.
__attribute__((noinline, cold)) inline Vec<float> sigmoid_beyond(Vec<float> y, Vec<float> x) {
  return vabs<float>(x) <= lookup::kSigmoidEnd ? y : sigmoid_anywhere<float>(x);
}
#endif

// float32 with AVX-512: 1 / (1 + e^|x|) by table, no power of e and no quotient where |x| is not large.
template <class T>
GS_INLINE Vec<T> vsigmoid(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    const Vec<T> t = vabs<T>(x), below = lookup::sigmoid_below(t);
    const Vec<T> y = x < T(0) ? below : T(1) - below;
    return lookup::any_beyond_sigmoid(t) ? sigmoid_beyond(y, x) : y;
  }
#endif
  return sigmoid_anywhere<T>(x);
}

// erf(x) / x - 1 in z = x^2 <= 1, and e^(x^2) erfc(x) for 1 <= x <= kErfOne. Coefficients: Chebyshev
// interpolation in 40 digits, float32's of the second by least squares reweighted with e^-(x^2);
// errors of erf 3e-9 and 1e-17.
GS_INLINE Vec<float> erf_series(Vec<float> z) {
  Vec<float> p = z * 7.875875063e-5f - 8.016864287e-4f;
  p = p * z + 5.189087423e-3f;
  p = p * z - 2.685421201e-2f;
  p = p * z + 1.128359472e-1f;
  p = p * z - 3.761262667e-1f;
  return p * z + 1.283791658e-1f;
}

GS_INLINE Vec<double> erf_series(Vec<double> z) {
  Vec<double> p = z * -7.7958988270221422416e-10 + 1.3720064546777685604e-8;
  p = p * z - 1.6208483801871705902e-7;
  p = p * z + 1.644742470331736241e-6;
  p = p * z - 1.4924736907419660338e-5;
  p = p * z + 1.2055294904839707917e-4;
  p = p * z - 8.5483259753896920806e-4;
  p = p * z + 5.2239776071164227321e-3;
  p = p * z - 2.686617064323777036e-2;
  p = p * z + 1.1283791670945006266e-1;
  p = p * z - 3.7612638903183540438e-1;
  return p * z + 1.2837916709551256654e-1;
}

GS_INLINE Vec<float> erfc_series(Vec<float> x) {
  const Vec<float> t = x * 0.666666667f - 1.666666667f;  // no division: it took a third of the time
  Vec<float> p = t * 2.73826625e-3f + 3.84537899e-3f;
  p = p * t + 6.18871627e-3f;
  p = p * t - 5.02040144e-3f;
  p = p * t + 1.16564268e-2f;
  p = p * t - 2.74463426e-2f;
  p = p * t + 5.60579114e-2f;
  p = p * t - 1.11513279e-1f;
  return p * t + 2.10807607e-1f;
}

GS_INLINE Vec<double> erfc_series(Vec<double> x) {
  const Vec<double> t = (x - 2.0) / (x + 2.0);
  Vec<double> p = t * -2.2281295763723501736e-7 + 4.1463021832684877226e-6;
  p = p * t + 1.8594273874294019752e-6;
  p = p * t - 1.4166339069117108161e-5;
  p = p * t - 2.7640727821912853578e-5;
  p = p * t + 2.7560352756678313228e-5;
  p = p * t + 1.7436477257256736926e-4;
  p = p * t + 4.3552653598178827704e-5;
  p = p * t - 9.819771114740715311e-4;
  p = p * t - 8.4714312294153334166e-4;
  p = p * t + 6.9974617392005747422e-3;
  p = p * t + 3.7328924016564481496e-3;
  p = p * t - 7.897858101571269368e-2;
  p = p * t + 2.4165819424248762655e-1;
  p = p * t - 4.2718584741395849238e-1;
  return p * t + 2.5539567631050571616e-1;
}

template <class T>
GS_INLINE Vec<T> verf(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const IVec<T> sign = bit_cast<IVec<T>>(x) & kSign;
  const Vec<T> magnitude = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) & ~kSign);
  const Vec<T> bounded = lesser(splat<T>(C::kErfOne), magnitude);  // a NaN stays
  const Vec<T> z = bounded * bounded;
  const Vec<T> small = magnitude + magnitude * erf_series(z);
  const Vec<T> tail = exp_in_range<T>(-z) * erfc_series(bounded);
  const Vec<T> y = magnitude < T(1) ? small : T(1) - tail;
  return bit_cast<Vec<T>>(bit_cast<IVec<T>>(y) | sign);
}

// Correctly rounded, as IEEE demands; the compiler has no vector form of it. (maskz: the plain form's
// undefined source makes GCC 12 warn.)
GS_INLINE Vec<float> vsqrt(Vec<float> x) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_maskz_sqrt_ps(0xffff, (__m512)x);
#elif defined(__AVX__)
  return (Vec<float>)_mm256_sqrt_ps((__m256)x);
#elif defined(__x86_64__)
  return (Vec<float>)_mm_sqrt_ps((__m128)x);
#else
  for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_sqrtf(x[i]);
  return x;
#endif
}

GS_INLINE Vec<double> vsqrt(Vec<double> x) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_maskz_sqrt_pd(0xff, (__m512d)x);
#elif defined(__AVX__)
  return (Vec<double>)_mm256_sqrt_pd((__m256d)x);
#elif defined(__x86_64__)
  return (Vec<double>)_mm_sqrt_pd((__m128d)x);
#else
  for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_sqrt(x[i]);
  return x;
#endif
}

// 1 / sqrt(x)
template <class T>
GS_INLINE Vec<T> vrsqrt(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return lookup::rsqrt(x);
#endif
  return T(1) / vsqrt(x);
}

// Rounding to an integer: toward -inf, +inf, 0, and to the nearest, halves to the even one.
#if defined(__AVX512F__)
#define GS_ROUND(name, function, mode)                                      \
  GS_INLINE Vec<float> name(Vec<float> x) {                                 \
    return (Vec<float>)_mm512_maskz_roundscale_ps(0xffff, (__m512)x, mode); \
  }                                                                         \
  GS_INLINE Vec<double> name(Vec<double> x) {                               \
    return (Vec<double>)_mm512_maskz_roundscale_pd(0xff, (__m512d)x, mode); \
  }
#elif defined(__AVX__)
#define GS_ROUND(name, function, mode)                                                             \
  GS_INLINE Vec<float> name(Vec<float> x) { return (Vec<float>)_mm256_round_ps((__m256)x, mode); } \
  GS_INLINE Vec<double> name(Vec<double> x) {                                                      \
    return (Vec<double>)_mm256_round_pd((__m256d)x, mode);                                         \
  }
#elif defined(__x86_64__)
#define GS_ROUND(name, function, mode)                                                          \
  GS_INLINE Vec<float> name(Vec<float> x) { return (Vec<float>)_mm_round_ps((__m128)x, mode); } \
  GS_INLINE Vec<double> name(Vec<double> x) { return (Vec<double>)_mm_round_pd((__m128d)x, mode); }
#else
#define GS_ROUND(name, function, mode)                                            \
  GS_INLINE Vec<float> name(Vec<float> x) {                                       \
    for (int i = 0; i < kLanes<float>; ++i) x[i] = __builtin_##function##f(x[i]); \
    return x;                                                                     \
  }                                                                               \
  GS_INLINE Vec<double> name(Vec<double> x) {                                     \
    for (int i = 0; i < kLanes<double>; ++i) x[i] = __builtin_##function(x[i]);   \
    return x;                                                                     \
  }
#endif
GS_ROUND(vfloor, floor, 0x9)
GS_ROUND(vceil, ceil, 0xa)
GS_ROUND(vtrunc, trunc, 0xb)
GS_ROUND(vround, rint, 0x8)
#undef GS_ROUND

// cos and sin of 2 pi u for 0 <= u < 1, float64, within 2^-52 absolutely.
// u = q / 4 + f with |f| <= 1 / 8, exactly; then the Taylor series in 2 pi f, turned q quarters.
GS_INLINE void vcos_sin_turns(Vec<double> u, Vec<double>& cosine, Vec<double>& sine) {
  const Vec<double> rounded = u * 4.0 + MathConstants<double>::kRound;
  const Vec<double> q = rounded - MathConstants<double>::kRound;
  const IVec<double> quarter = bit_cast<IVec<double>>(rounded) -
                               bit_cast<IVec<double>>(splat<double>(MathConstants<double>::kRound));
  const Vec<double> a = (u - q * 0.25) * 6.283185307179586;
  const Vec<double> z = a * a;
  Vec<double> s = z * (-1.0 / 1307674368000.0) + 1.0 / 6227020800.0;
  s = s * z - 1.0 / 39916800;
  s = s * z + 1.0 / 362880;
  s = s * z - 1.0 / 5040;
  s = s * z + 1.0 / 120;
  s = s * z - 1.0 / 6;
  s = s * (z * a) + a;
  Vec<double> c = z * (1.0 / 20922789888000.0) - 1.0 / 87178291200.0;
  c = c * z + 1.0 / 479001600;
  c = c * z - 1.0 / 3628800;
  c = c * z + 1.0 / 40320;
  c = c * z - 1.0 / 720;
  c = c * z + 1.0 / 24;
  c = c * z - 0.5;
  c = c * z + 1.0;
  const IVec<double> odd = (quarter & 1) != 0;
  const Vec<double> cos_part = odd ? s : c;
  const Vec<double> sin_part = odd ? c : s;
  cosine = ((quarter + 1) & 2) != 0 ? -cos_part : cos_part;
  sine = (quarter & 2) != 0 ? -sin_part : sin_part;
}

}  // namespace GS_ISA
}  // namespace gradsmith
