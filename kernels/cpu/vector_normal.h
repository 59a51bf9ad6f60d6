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
// -0.75), where results are subnormal too, in ULP (float32: of every number, 32 pieces of every 23rd):
//            32 pieces  table   8 lanes  series   series without multiply-add   float64
//   gelu        1.2      3.1      3.3     3.7               3.9                  2.9
//   slope       1.1      2.9      2.4     3.0               3.6                  3.2
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
GS_INLINE Vec<T> gelu_anywhere(Vec<T> x) {
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
GS_INLINE Vec<T> gelu_slope_anywhere(Vec<T> g, Vec<T> x) {
  const Vec<T> t = normal_distance<T>(x);
  const Vec<T> below = normal_weighed<T>(normal_ratio(t) - t * T(0.3989422804014327), t);
  return g * (x > T(0) ? T(1) - below : below);
}

#if defined(__AVX512F__)
// float32 from -7 on: t P(X <= -t), and P(X <= -t) - t times the density, as a polynomial of degree 6 on
// each of 32 pieces of 0 <= t <= 7. The borders of piece j are where t (t + 4) is (j -+ 1/2) kStep: the
// functions fall the faster the larger t is, like e^(-t^2/2), and so the pieces are narrower there. They
// are counted from numbers where the function is nearly a float32; the first of t P(X <= -t) from 0.
// Relative errors before rounding: 1.8e-8, 1.0e-8 of the terms' magnitudes.
// No power of e, 22 instructions in the place of 34 (Emerald Rapids, 51 MB: 2.66 -> 1.81 ms; 6.4 MB: 329 ->
// 250 us, 330 where one number in a hundred lies below -7).
namespace near_zero {
constexpr float kEnd = 7.0f, kShift = 4.0f, kInverseStep = 0.407792211f;
// clang-format off
alignas(64) constexpr float kBelowMiddle[32] = {
    0.0f, 0.52858001f, 0.976876318f, 1.3650049f, 1.71217215f, 2.02977014f, 2.32357144f, 2.59839678f, 2.85843706f, 3.10464621f, 3.33951259f, 3.56409311f, 3.78103805f, 3.98919153f, 4.19087267f, 4.38561869f, 4.57510662f, 4.75903559f, 4.93754864f, 5.1128602f, 5.28257942f, 5.44884777f, 5.61182117f, 5.7716794f, 5.92703819f, 6.0802927f, 6.23068714f, 6.37857771f, 6.52431345f, 6.66674232f, 6.80697203f, 6.93872881f};
alignas(64) constexpr float kBelow[7][32] = {
    {-0.00944017619f, -0.00246208976f, 0.00579220615f, 0.00608413201f, 0.00244409591f, -0.000598151819f, -0.00192648219f, -0.00177462015f, -0.00114387088f, -0.000518062443f, -0.000113842652f, 8.46838666e-05f, 0.000159251504f, 0.00014855621f, 0.000114959803f, 7.92228166e-05f, 5.115776e-05f, 3.03276793e-05f, 1.74574434e-05f, 9.56881286e-06f, 5.1549514e-06f, 2.67478322e-06f, 1.35316134e-06f, 6.78034212e-07f, 3.27419116e-07f, 1.57656459e-07f, 7.4625369e-08f, 3.44725954e-08f, 1.58268527e-08f, 7.18415816e-09f, 3.2271068e-09f, 1.50566837e-09f},
    {-0.000223543291f, -0.0225963537f, -0.0168448836f, -0.0018124315f, 0.00735596288f, 0.00884639286f, 0.00635421602f, 0.00315881521f, 0.000825160008f, -0.000402192411f, -0.000822907721f, -0.000815074076f, -0.000643629173f, -0.000446765363f, -0.000285289134f, -0.000171624211f, -9.82273414e-05f, -5.40273322e-05f, -2.88226802e-05f, -1.4868996e-05f, -7.53165205e-06f, -3.72504019e-06f, -1.80384416e-06f, -8.57690281e-07f, -4.03598733e-07f, -1.86490581e-07f, -8.50236646e-08f, -3.82482597e-08f, -1.69749157e-08f, -7.49223616e-09f, -3.2734071e-09f, -1.47108847e-09f},
    {0.0665262267f, 0.0306840036f, -0.0182511136f, -0.0364783928f, -0.0304243956f, -0.0166666396f, -0.00519019738f, 0.00131968583f, 0.00379190245f, 0.00394919375f, 0.00316697289f, 0.00221657334f, 0.00141567714f, 0.000849184813f, 0.000483655313f, 0.000264919217f, 0.000140012286f, 7.19530435e-05f, 3.61344682e-05f, 1.76585418e-05f, 8.51116329e-06f, 4.02379692e-06f, 1.86936325e-06f, 8.54601296e-07f, 3.88150085e-07f, 1.73340112e-07f, 7.65477139e-08f, 3.34192158e-08f, 1.44129837e-08f, 6.19145979e-09f, 2.63559752e-09f, 1.15794496e-09f},
    {-2.36353549e-06f, 0.113703877f, 0.122760184f, 0.0763940141f, 0.0280870628f, -0.00206286507f, -0.0145329628f, -0.0162537433f, -0.0133307939f, -0.00939537957f, -0.00601440482f, -0.0035975019f, -0.00203543738f, -0.00110684044f, -0.000580211054f, -0.000295840175f, -0.00014676206f, -7.12645779e-05f, -3.40047445e-05f, -1.58526855e-05f, -7.31921091e-06f, -3.32452623e-06f, -1.48782749e-06f, -6.56795294e-07f, -2.88687886e-07f, -1.2498748e-07f, -5.35990488e-08f, -2.275452e-08f, -9.55566204e-09f, -4.00242417e-09f, -1.66306391e-09f, -7.14755088e-10f},
    {-0.398942232f, -0.298463136f, -0.129440904f, -0.0107460115f, 0.042904634f, 0.053897649f, 0.0455884337f, 0.032405626f, 0.0207002256f, 0.0122987758f, 0.00691371737f, 0.00372397341f, 0.0019286871f, 0.000972111593f, 0.0004765825f, 0.000228940713f, 0.000107603926f, 4.97422006e-05f, 2.26888114e-05f, 1.01419537e-05f, 4.50443804e-06f, 1.97293639e-06f, 8.53246661e-07f, 3.64690521e-07f, 1.55511771e-07f, 6.54109442e-08f, 2.72902607e-08f, 1.12857084e-08f, 4.62184246e-09f, 1.89018157e-09f, 7.67602759e-10f, 3.23036764e-10f},
    {0.5f, 0.115169086f, -0.0775251538f, -0.128384084f, -0.114286192f, -0.082019031f, -0.0522549637f, -0.0307583138f, -0.0170492698f, -0.0090446407f, -0.00462573441f, -0.00229765987f, -0.00110803626f, -0.000524280069f, -0.000242771435f, -0.000110738823f, -4.96283319e-05f, -2.19565081e-05f, -9.61608021e-06f, -4.13724229e-06f, -1.77336653e-06f, -7.51123366e-07f, -3.14700145e-07f, -1.30519894e-07f, -5.4101033e-08f, -2.21464393e-08f, -9.00356323e-09f, -3.63220032e-09f, -1.45250034e-09f, -5.80690052e-10f, -2.30724814e-10f, -9.5168512e-11f},
    {0.0f, 0.157806724f, 0.160515621f, 0.117562078f, 0.0743638724f, 0.0430107377f, 0.0234082099f, 0.012168318f, 0.00608466286f, 0.00295728026f, 0.00140135211f, 0.000650654314f, 0.000295253325f, 0.000132239453f, 5.82287357e-05f, 2.53612816e-05f, 1.08882396e-05f, 4.62864136e-06f, 1.95306416e-06f, 8.11199072e-07f, 3.36441104e-07f, 1.38120612e-07f, 5.61766527e-08f, 2.26496102e-08f, 9.14089338e-09f, 3.64706154e-09f, 1.44674595e-09f, 5.70053948e-10f, 2.22850044e-10f, 8.71822198e-11f, 3.39240094e-11f, 1.37263248e-11f},
};
alignas(64) constexpr float kSlopeMiddle[32] = {
    0.143022835f, 0.528501809f, 0.976829469f, 1.36510861f, 1.71238446f, 2.02954292f, 2.32343197f, 2.59895277f, 2.85837412f, 3.1044662f, 3.33913183f, 3.56419277f, 3.78032708f, 3.98930311f, 4.19035292f, 4.38533783f, 4.57465839f, 4.75924492f, 4.93741035f, 5.11241055f, 5.2830863f, 5.44905472f, 5.61181021f, 5.7716794f, 5.92713308f, 6.08058453f, 6.23093605f, 6.37887096f, 6.52381754f, 6.66666222f, 6.80744839f, 6.93817377f};
alignas(64) constexpr float kSlope[7][32] = {
    {0.00914841611f, 0.0225074366f, 0.00998196751f, -0.00718007423f, -0.0115665253f, -0.00724132592f, -0.00151536369f, 0.00188825815f, 0.00273775705f, 0.00214161887f, 0.00129879324f, 0.000539969187f, 7.62080235e-05f, -0.000129565175f, -0.000181840849f, -0.000170044252f, -0.000132031477f, -9.19210579e-05f, -5.66864837e-05f, -3.36641497e-05f, -1.94672011e-05f, -1.08211752e-05f, -5.84340023e-06f, -3.06212564e-06f, -1.54178531e-06f, -7.69458268e-07f, -3.77368679e-07f, -1.81985229e-07f, -8.65134169e-08f, -4.03733118e-08f, -1.86724627e-08f, -8.87255514e-09f},
    {-0.0555398464f, -0.0143354265f, 0.0344539881f, 0.0363396667f, 0.0147487596f, -0.00391271012f, -0.0114564877f, -0.0107875913f, -0.0069269021f, -0.00315330853f, -0.000671579211f, 0.00056121801f, 0.000945108943f, 0.00089728547f, 0.000693685084f, 0.000478270813f, 0.000305023772f, 0.000182971751f, 0.00010515748f, 5.8034715e-05f, 3.09778188e-05f, 1.6160393e-05f, 8.2134784e-06f, 4.07624657e-06f, 1.99468195e-06f, 9.55280029e-07f, 4.50980764e-07f, 2.09566551e-07f, 9.63289608e-08f, 4.36409096e-08f, 1.95354097e-08f, 9.05373554e-09f},
    {-0.0418277755f, -0.114634812f, -0.0847939104f, -0.00870545115f, 0.0371628739f, 0.0444956534f, 0.0317959972f, 0.0157464091f, 0.00409179181f, -0.00202814722f, -0.00413971301f, -0.00409500441f, -0.00322176469f, -0.00223373878f, -0.0014272132f, -0.000856962288f, -0.000490170438f, -0.000269026757f, -0.000143650876f, -7.42070188e-05f, -3.74114388e-05f, -1.85188746e-05f, -8.97536665e-06f, -4.26434644e-06f, -2.00622821e-06f, -9.25689619e-07f, -4.22035185e-07f, -1.89789574e-07f, -8.45910577e-08f, -3.72421312e-08f, -1.62110929e-08f, -7.33741734e-09f},
    {0.25385657f, 0.122746676f, -0.0729765296f, -0.145912975f, -0.121667102f, -0.0667000636f, -0.0207804311f, 0.00531635107f, 0.0151674123f, 0.0157985557f, 0.0126740923f, 0.00886411779f, 0.00567198033f, 0.00339570059f, 0.00193756679f, 0.00106061797f, 0.000560942048f, 0.00028757783f, 0.00014461622f, 7.07638028e-05f, 3.39684484e-05f, 1.60791678e-05f, 7.47728973e-06f, 3.41837608e-06f, 1.55166879e-06f, 6.9222682e-07f, 3.05756402e-07f, 1.33439002e-07f, 5.7814006e-08f, 2.47754048e-08f, 1.05104441e-08f, 4.64809391e-09f},
    {0.112376861f, 0.341112167f, 0.368298441f, 0.229132786f, 0.0841810629f, -0.00614539254f, -0.0435900949f, -0.0487525016f, -0.0399952158f, -0.0281947143f, -0.0180575587f, -0.0107897213f, -0.00611840328f, -0.00331937289f, -0.00174364948f, -0.000888418232f, -0.000441044889f, -0.000213615218f, -0.00010207545f, -4.76538517e-05f, -2.19062804e-05f, -9.96377094e-06f, -4.46380454e-06f, -1.97043278e-06f, -8.65639265e-07f, -3.74364902e-07f, -1.60572782e-07f, -6.81477133e-08f, -2.87535826e-08f, -1.20135395e-08f, -4.97429964e-09f, -2.15204321e-09f},
    {-0.781688035f, -0.59697938f, -0.258916408f, -0.0214445069f, 0.0858450159f, 0.107798077f, 0.0911890343f, 0.0647570267f, 0.0414054841f, 0.0246077012f, 0.0138411801f, 0.00744579686f, 0.00386606529f, 0.00194348232f, 0.000954975956f, 0.000458380237f, 0.000215602879f, 9.93949434e-05f, 4.54058427e-05f, 2.03267246e-05f, 8.98664166e-06f, 3.94174731e-06f, 1.70659177e-06f, 7.29381043e-07f, 3.10859377e-07f, 1.30603254e-07f, 5.45005321e-08f, 2.25314256e-08f, 9.27216526e-09f, 3.78228915e-09f, 1.53045998e-09f, 6.48458121e-10f},
    {0.386658818f, 0.115215696f, -0.0775130391f, -0.128386304f, -0.114267968f, -0.0820435211f, -0.0522676818f, -0.030722294f, -0.0170518756f, -0.00904906914f, -0.00463100197f, -0.00229691784f, -0.0011107818f, -0.000524063187f, -0.000243267321f, -0.000110867491f, -4.97248802e-05f, -2.19356916e-05f, -9.62235663e-06f, -4.1463727e-06f, -1.76880565e-06f, -7.50307152e-07f, -3.14718847e-07f, -1.30519879e-07f, -5.40715241e-08f, -2.21082921e-08f, -8.98998653e-09f, -3.62558672e-09f, -1.45709134e-09f, -5.8099292e-10f, -2.29994607e-10f, -9.55277593e-11f},
};
// clang-format on

GS_INLINE Vec<float> by_pieces(const float (&middle)[32], const float (&coefficients)[7][32],
                               Vec<float> t) {
  const Vec<float> inner =
      fused(t, splat<float>(kInverseStep), splat<float>(kShift * kInverseStep));
  const Vec<float> shifted = fused(t, inner, splat<float>(lookup::kRound));
  return lookup::by_pieces(middle, coefficients, t, bit_cast<IVec<float>>(shifted));
}

// Whether a lane lies beyond: there e^(-t^2/2) has to be computed, and rarely is.
GS_INLINE bool any_below(Vec<float> x) {
  return __builtin_expect(_mm512_cmp_ps_mask((__m512)x, _mm512_set1_ps(-kEnd), _CMP_LT_OQ) != 0, 0);
}
// Not inlined: the loops keep their registers for the tables.
__attribute__((noinline, cold)) inline Vec<float> beyond(Vec<float> y, Vec<float> x) {
  return x < -kEnd ? gelu_anywhere<float>(x) : y;
}
__attribute__((noinline, cold)) inline Vec<float> slope_beyond(Vec<float> y, Vec<float> g,
                                                               Vec<float> x) {
  return x < -kEnd ? gelu_slope_anywhere<float>(g, x) : y;
}
}  // namespace near_zero

GS_INLINE Vec<float> gelu_by_table(Vec<float> x) {
  using namespace near_zero;
  const Vec<float> t = lookup::bounded_magnitude(x, kEnd);  // a NaN comes back with max(0, x)
  const Vec<float> y = greater(Vec<float>{}, x) - by_pieces(kBelowMiddle, kBelow, t);
  return any_below(x) ? beyond(y, x) : y;
}
GS_INLINE Vec<float> gelu_slope_by_table(Vec<float> g, Vec<float> x) {
  using namespace near_zero;
  const Vec<float> t = lesser(splat<float>(kEnd), vabs<float>(x));  // a NaN stays
  const Vec<float> below = by_pieces(kSlopeMiddle, kSlope, t);
  const Vec<float> y = g * (x > 0.0f ? 1.0f - below : below);
  return any_below(x) ? slope_beyond(y, g, x) : y;
}
#endif

template <class T>
GS_INLINE Vec<T> gelu(Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return gelu_by_table(x);
#endif
  return gelu_anywhere<T>(x);
}

template <class T>
GS_INLINE Vec<T> gelu_slope(Vec<T> g, Vec<T> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) return gelu_slope_by_table(g, x);
#endif
  return gelu_slope_anywhere<T>(g, x);
}

}  // namespace GS_ISA
}  // namespace gradsmith
