// Functions of float32, and e^x of float64, by tables that permutations look up 16 lanes at once (AVX-512):
// arguments are reduced to a sixteenth of the usual interval, polynomials are a third as long, and nothing
// is divided. Ranges and errors stand in vector_math.h, vector_trig.h and vector_normal.h.
// Method:
//   exp    x = (n + j / 16) ln 2 + r, |r| <= ln(2) / 32: 2^n (T[j] + (T[j] (e^r - 1) + what T[j] lacks)).
//   log    x = 2^n m, 3/4 <= m < 3/2; ln x = (n ln 2 + L[j]) + ln(1 + f), f = R[j] m - 1 in [-1/32, 1/16].
//          R[j] is a number near 1 / m of which -ln R[j] = L[j] is a multiple of 2^-16 within 2e-10 (Gal
//          1986): the first sum is exact, and 0 around x = 1. log2 alike. The instructions that take x
//          apart do what is due for subnormals, 0, infinity and NaN.
//   sin    Of j pi / 16 + r by the addition theorem, n half turns away; cos a quarter of a turn further.
//   tanh   A polynomial on each of 14 pieces of |x|, four in every octave of |x| + 1, about numbers whose
//          tanh is nearly a float32; the normal tail alike.
//   sigmoid  1 / (1 + e^t) alike, on 32 pieces of equal width: e^t is as steep everywhere.
// Coefficients: reweighted least squares, one after the other rounded and the rest fitted again.
// Cost: 15 instructions for exp, 17 log, 15 log2, 20 tanh, 24 sin, 23 sigmoid, 11 rsqrt for 16 lanes; a quarter
//   to two thirds of what they replaced (Emerald Rapids, in L1: log2 8.1 -> 2.6 ns, tanh 13.0 -> 3.8, exp 4.3
//   -> 2.6; sigmoid of 51 MB 2.6 -> 1.75 ms).
#pragma once

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {

#if defined(__FMA__)
// a b + c, rounded once.
GS_INLINE Vec<float> fused(Vec<float> a, Vec<float> b, Vec<float> c) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c);
#else
  return (Vec<float>)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c);
#endif
}
GS_INLINE Vec<double> fused(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#else
  return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#endif
}
#endif

#if defined(__AVX512F__)
namespace lookup {

// clang-format off
// 2^(j / 16), and what its rounding lost
template <class T>
alignas(64) constexpr T kPower[16] = {
    T(1.0), T(1.0442737824274138), T(1.0905077326652577), T(1.1387886347566916), T(1.189207115002721), T(1.241857812073484), T(1.2968395546510096), T(1.3542555469368927), T(1.4142135623730951), T(1.4768261459394993), T(1.5422108254079407), T(1.6104903319492543), T(1.681792830507429), T(1.7562521603732995), T(1.8340080864093424), T(1.9152065613971474)};
template <class T>
alignas(64) constexpr T kPowerLow[16] = {  // float
    0.0f, 4.83347016e-08f, -1.30775399e-08f, 5.38622231e-08f, 3.79763527e-08f, 4.4968381e-08f, -4.01899953e-08f, -1.01233493e-08f, 2.4203235e-08f, -4.50089885e-08f, 8.07090483e-09f, 9.83621717e-09f, -2.47553267e-08f, -9.23577037e-09f, -1.1239278e-08f, 9.84532811e-09f};
template <>
alignas(64) constexpr double kPowerLow<double>[16] = {
    0.0, 8.5518897055379649e-17, -3.0467820798124711e-17, 8.9128126760254078e-17, 3.9820152314656461e-17, 4.6580275918369368e-17, 2.5382502794888315e-17, 7.7009483798029895e-17, -9.6672933134529135e-17, -3.4839945568927958e-17, 7.9498348096976209e-17, 2.4707192569797888e-17, 8.1990100205814965e-17, 2.9601406954488733e-17, 3.2831072242456272e-17, -1.0619946056195963e-16};
alignas(64) constexpr float kLogInverse[16] = {
    1.0f, 0.915427923f, 0.862896144f, 0.821298301f, 0.779430866f, 0.745931625f, 0.710872054f, 0.679261386f, 1.30205858f, 1.25771153f, 1.20997238f, 1.16212857f, 1.12193096f, 1.08003759f, 1.04441512f, 1.0f};
alignas(64) constexpr float kLogValue[16] = {
    0.0f, 0.0883636475f, 0.147460938f, 0.196868896f, 0.249191284f, 0.293121338f, 0.341262817f, 0.386749268f, -0.263946533f, -0.229293823f, -0.190597534f, -0.150253296f, -0.11505127f, -0.0769958496f, -0.0434570312f, 0.0f};
alignas(64) constexpr float kLog2Inverse[16] = {
    1.0f, 0.913123071f, 0.864103556f, 0.821086824f, 0.780706823f, 0.742485404f, 0.7099244f, 0.682426572f, 1.30277848f, 1.25901079f, 1.20439661f, 1.15936363f, 1.12705791f, 1.08287609f, 1.04577696f, 1.0f};
alignas(64) constexpr float kLog2Value[16] = {
    0.0f, 0.131118774f, 0.210723877f, 0.284393311f, 0.357147217f, 0.42956543f, 0.494262695f, 0.551254272f, 0.618408203f, 0.667709351f, 0.731689453f, 0.78666687f, 0.827438354f, 0.885131836f, 0.935424805f, 1.0f};
alignas(64) constexpr float kTanhMiddle[16] = {
    1.25000322f, 1.74999332f, 2.24995422f, 2.74995279f, 3.49998045f, 4.50005245f, 5.50036144f, 6.49898481f, 8.00618649f, 9.0f, 0.0f, 0.0f, 0.0f, 0.375000685f, 0.624986112f, 0.875001848f};
alignas(64) constexpr float kTanh[7][16] = {
    {0.0150879165f, 0.00209480966f, -0.000718361698f, -0.000546824071f, -0.000157578572f, -2.25984295e-05f, -3.10521818e-06f, -2.312334e-07f, 4.21793089e-07f, 0.0f, 0.0f, 0.0f, -0.0369764045f, -0.0695998594f, -0.0234230943f, 0.0129954442f},
    {-0.0196933523f, 0.00348311639f, 0.00397868594f, 0.00191425753f, 0.000490301521f, 6.82910468e-05f, 9.24896358e-06f, 1.24612279e-06f, 6.35048139e-08f, 0.0f, 0.0f, 0.0f, 0.14308396f, 0.0187151767f, -0.0541190058f, -0.0585973784f},
    {-0.0125845438f, -0.0235242769f, -0.012323793f, -0.00510026235f, -0.00119742239f, -0.000164061596f, -2.22140952e-05f, -3.09090797e-06f, -8.4000709e-07f, 0.0f, 0.0f, 0.0f, -0.00118368655f, 0.168119624f, 0.137886479f, 0.060793262f},
    {0.108326212f, 0.0629287884f, 0.0270898938f, 0.0105472868f, 0.00241185189f, 0.000328390684f, 4.44608631e-05f, 6.03674198e-06f, 2.96711193e-07f, 0.0f, 0.0f, 0.0f, -0.333270192f, -0.178594753f, -0.0178494826f, 0.0818064287f},
    {-0.237870336f, -0.10714113f, -0.0425135456f, -0.0160837993f, -0.00363443256f, -0.000493351545f, -6.67572094e-05f, -9.05238176e-06f, -1.71652715e-07f, 0.0f, 0.0f, 0.0f, -1.09763687e-06f, -0.312337518f, -0.384014666f, -0.355131805f},
    {0.28041321f, 0.113813475f, 0.0434688106f, 0.0162158068f, 0.00364109548f, 0.000493476284f, 6.67571148e-05f, 9.05965226e-06f, 4.4446557e-07f, 0.0f, 0.0f, 0.0f, 1.0f, 0.871579528f, 0.692429841f, 0.504515588f},
    {0.848284543f, 0.941374779f, 0.978024125f, 0.991858959f, 0.998177826f, 0.999753237f, 0.999966621f, 0.99999547f, 0.999999762f, 1.0f, 1.0f, 1.0f, 0.0f, 0.358357996f, 0.554590106f, 0.703906536f},
};
// t R(t), R of vector_normal.h
alignas(64) constexpr float kProductMiddle[16] = {
    1.24999022f, 1.75006866f, 2.2499764f, 2.74991417f, 3.49998999f, 4.50002861f, 5.49999046f, 6.49994946f, 7.99999809f, 10.0000076f, 11.9999437f, 13.7999458f, 0.0f, 0.375003248f, 0.625012815f, 0.875006735f};
alignas(64) constexpr float kProduct[6][16] = {
    {0.00368952844f, 0.00139490829f, 0.000573251105f, 0.000252873782f, 8.52979647e-05f, 2.33167812e-05f, 7.56805684e-06f, 2.81618372e-06f, 7.98380086e-07f, 1.88839607e-07f, 5.64897817e-08f, 2.19265104e-08f, 0.0482509173f, 0.025105834f, 0.0139309354f, 0.00801182818f},
    {-0.0100085344f, -0.00417053699f, -0.00188013795f, -0.000907991547f, -0.000345401844f, -0.000110284724f, -4.11708534e-05f, -1.73830413e-05f, -5.80377719e-06f, -1.66797145e-06f, -5.88579155e-07f, -2.60570914e-07f, -0.130030289f, -0.0571310744f, -0.033576116f, -0.0202550665f},
    {0.0244084727f, 0.0112932669f, 0.00562690012f, 0.00298879878f, 0.00128030835f, 0.000482706673f, 0.00020896754f, 0.00010071932f, 3.93005248e-05f, 1.38535779e-05f, 5.80349251e-06f, 2.95444693e-06f, 0.249745235f, 0.116253823f, 0.0721949637f, 0.045977354f},
    {-0.0525870956f, -0.0272235088f, -0.0150939701f, -0.00887092855f, -0.00437697209f, -0.00195525307f, -0.000984157086f, -0.000542701338f, -0.000252823636f, -0.000108829081f, -5.39780194e-05f, -3.13578348e-05f, -0.398934662f, -0.203454182f, -0.134238824f, -0.0907500535f},
    {0.0926465318f, 0.0543509163f, 0.0338954553f, 0.0222407877f, 0.0127754034f, 0.00683171069f, 0.00402666535f, 0.00255319104f, 0.00142726349f, 0.000753298867f, 0.000443447527f, 0.000294398138f, 0.49999997f, 0.283381641f, 0.200324804f, 0.144894198f},
    {0.288449496f, 0.324159145f, 0.345716059f, 0.35949111f, 0.37220791f, 0.38161546f, 0.386884779f, 0.390101761f, 0.392980367f, 0.395066947f, 0.396227628f, 0.396879584f, 0.0f, 0.142352581f, 0.202100173f, 0.244800225f},
};
// 1 / (1 + e^t)
alignas(64) constexpr float kSigmoidMiddle[32] = {
    0.0f, 0.6874203f, 1.3749464f, 2.0623271f, 2.7500653f, 3.43784f, 4.124937f, 4.8123264f, 5.499969f, 6.187626f, 6.87473f, 7.563047f, 8.251356f, 8.938151f, 9.625875f, 10.312208f, 10.998646f, 11.688808f, 12.374276f, 13.0612335f, 13.748656f, 14.438148f, 15.123705f, 15.813685f, 16.499847f, 17.189972f, 17.873835f, 18.560064f, 19.250011f, 19.937366f, 20.62664f, 21.31427f};
alignas(64) constexpr float kSigmoid[7][32] = {
    {0.0002277846f, 0.00055114727f, 9.871372e-05f, -0.00014866657f, -8.663802e-05f, -1.8958424e-05f, 3.1856096e-06f, 5.8195596e-06f, 4.303291e-06f, 2.4785684e-06f, 1.35647e-06f, 6.94245e-07f, 3.6095116e-07f, 1.8014667e-07f, 9.287371e-08f, 4.6524917e-08f, 2.3568626e-08f, 1.1655257e-08f, 5.8420873e-09f, 2.9295932e-09f, 1.47752e-09f, 7.427701e-10f, 3.7974612e-10f, 1.8775229e-10f, 9.6055844e-11f, 4.76206e-11f, 2.3851327e-11f, 1.1981382e-11f, 6.0357192e-12f, 3.0348287e-12f, 1.5250892e-12f, 7.667815e-13f},
    {-0.0021792536f, -0.0005048007f, 0.0009418177f, 0.00066763913f, 0.00015064394f, -4.974396e-05f, -7.28261e-05f, -5.11204e-05f, -2.9862942e-05f, -1.6073542e-05f, -8.376139e-06f, -4.2722536e-06f, -2.169698e-06f, -1.0941937e-06f, -5.5208744e-07f, -2.779974e-07f, -1.4020947e-07f, -7.021398e-08f, -3.5379284e-08f, -1.7784583e-08f, -8.947049e-09f, -4.490229e-09f, -2.2657525e-09f, -1.13529e-09f, -5.7236604e-10f, -2.8668012e-10f, -1.4463375e-10f, -7.2803985e-11f, -3.6515867e-11f, -1.8363328e-11f, -9.217294e-12f, -4.6341147e-12f},
    {1.9236279e-05f, -0.0051295077f, -0.0037357763f, -0.0006492675f, 0.0006674539f, 0.0007519345f, 0.00051286106f, 0.0002964344f, 0.00015937339f, 8.282889e-05f, 4.2355514e-05f, 2.145853e-05f, 1.08251625e-05f, 5.4588427e-06f, 2.7468352e-06f, 1.3835728e-06f, 6.966157e-07f, 3.4941928e-07f, 1.7607415e-07f, 8.858788e-08f, 4.4548248e-08f, 2.2355765e-08f, 1.1262302e-08f, 5.649436e-09f, 2.844288e-09f, 1.4265262e-09f, 7.1994744e-10f, 3.6247624e-10f, 1.8181459e-10f, 9.1435484e-11f, 4.5895017e-11f, 2.3074475e-11f},
    {0.020831533f, 0.012463708f, -0.00089690316f, -0.0066638575f, -0.0062232288f, -0.0041175745f, -0.002363992f, -0.0012690967f, -0.0006591733f, -0.00033685646f, -0.00017084001f, -8.618889e-05f, -4.3392352e-05f, -2.1857391e-05f, -1.0993743e-05f, -5.5359365e-06f, -2.7869446e-06f, -1.3977465e-06f, -7.0428496e-07f, -3.5433746e-07f, -1.7818678e-07f, -8.9420055e-08f, -4.5050257e-08f, -2.2596753e-08f, -1.137748e-08f, -5.7060117e-09f, -2.8796256e-09f, -1.4498096e-09f, -7.272288e-10f, -3.6572673e-10f, -1.8357305e-10f, -9.229436e-11f},
    {6.128735e-08f, 0.036823917f, 0.048033476f, 0.038752027f, 0.02484343f, 0.014143017f, 0.0075781476f, 0.0039346865f, 0.0020103487f, 0.0010189448f, 0.0005146567f, 0.00025910657f, 0.0001303162f, 6.560729e-05f, 3.2990647e-05f, 1.6610291e-05f, 8.361609e-06f, 4.19344e-06f, 2.1129185e-06f, 1.0630278e-06f, 5.345675e-07f, 2.6826328e-07f, 1.3515371e-07f, 6.779121e-08f, 3.413322e-08f, 1.7118275e-08f, 8.638974e-09f, 4.3494706e-09f, 2.181706e-09f, 1.0971897e-09f, 5.5072386e-10f, 2.7688543e-10f},
    {-0.25f, -0.22264522f, -0.16108982f, -0.100085996f, -0.056472994f, -0.030164273f, -0.015654333f, -0.007998361f, -0.0040536965f, -0.0020462815f, -0.0010314434f, -0.0005187517f, -0.00026076843f, -0.00013124905f, -6.5989996e-05f, -3.3222786e-05f, -1.6723776e-05f, -8.387021e-06f, -4.2258735e-06f, -2.1260648e-06f, -1.0691374e-06f, -5.365272e-07f, -2.7030757e-07f, -1.3558248e-07f, -6.8266445e-08f, -3.4236553e-08f, -1.7277952e-08f, -8.698943e-09f, -4.3634123e-09f, -2.1943796e-09f, -1.1014478e-09f, -5.537709e-10f},
    {0.5f, 0.33460718f, 0.20182186f, 0.112812705f, 0.06008296f, 0.031133574f, 0.015907377f, 0.00806338f, 0.0040702634f, 0.002050486f, 0.0010325094f, 0.00051902106f, 0.00026083644f, 0.00013126628f, 6.599435e-05f, 3.322389e-05f, 1.6724054e-05f, 8.387091e-06f, 4.225891e-06f, 2.1260694e-06f, 1.0691385e-06f, 5.3652747e-07f, 2.7030762e-07f, 1.355825e-07f, 6.8266445e-08f, 3.4236553e-08f, 1.7277952e-08f, 8.698943e-09f, 4.3634123e-09f, 2.1943796e-09f, 1.1014478e-09f, 5.537709e-10f},
};
// sin and cos of j pi / 16
alignas(64) constexpr float kSin[16] = {
    0.0f, 0.195090324f, 0.382683426f, 0.555570245f, 0.707106769f, 0.831469595f, 0.923879504f, 0.980785251f, 1.0f, 0.980785251f, 0.923879504f, 0.831469595f, 0.707106769f, 0.555570245f, 0.382683426f, 0.195090324f};
alignas(64) constexpr float kSinLow[16] = {
    0.0f, -1.67047143e-09f, 6.22335072e-09f, -1.17695214e-08f, 1.21016175e-08f, 1.68702634e-08f, 2.83074897e-08f, 2.97394731e-08f, 0.0f, 2.97394731e-08f, 2.83074897e-08f, 1.68702634e-08f, 1.21016175e-08f, -1.17695214e-08f, 6.22335072e-09f, -1.67047143e-09f};
alignas(64) constexpr float kCos[16] = {
    1.0f, 0.980785251f, 0.923879504f, 0.831469595f, 0.707106769f, 0.555570245f, 0.382683426f, 0.195090324f, 0.0f, -0.195090324f, -0.382683426f, -0.555570245f, -0.707106769f, -0.831469595f, -0.923879504f, -0.980785251f};
// clang-format on

// table[low 4 bits of j]
GS_INLINE Vec<float> pick(const float (&table)[16], IVec<float> j) {
  return (Vec<float>)_mm512_maskz_permutexvar_ps(0xffff, (__m512i)j, _mm512_load_ps(table));
}
GS_INLINE Vec<double> pick(const double (&table)[16], IVec<double> j) {
  return (Vec<double>)_mm512_maskz_permutex2var_pd(0xff, _mm512_load_pd(table), (__m512i)j,
                                                   _mm512_load_pd(table + 8));
}

// min(|x|, limit), limit for a NaN
GS_INLINE Vec<float> bounded_magnitude(Vec<float> x, float limit) {
  return (Vec<float>)_mm512_maskz_range_ps(0xffff, (__m512)x, _mm512_set1_ps(limit), 0xa);
}

// y 2^floor(n)
GS_INLINE Vec<float> times_power(Vec<float> y, Vec<float> n) {
  return (Vec<float>)_mm512_maskz_scalef_ps(0xffff, (__m512)y, (__m512)n);
}
GS_INLINE Vec<double> times_power(Vec<double> y, Vec<double> n) {
  return (Vec<double>)_mm512_maskz_scalef_pd(0xff, (__m512d)y, (__m512d)n);
}

template <class T>
struct Power {
  Vec<T> n;   // in sixteenths
  IVec<T> j;  // its fraction, in the low bits
  Vec<T> r;
};

// e^(f r) - 1
GS_INLINE Vec<float> expm1_near_zero(Vec<float> r, float f = 1.0f) {
  return ((r * (0.1666701f * f * f * f) + 0.50001627f * f * f) * r + f) * r;
}
GS_INLINE Vec<double> expm1_near_zero(Vec<double> r, double f = 1.0) {
  r = r * f;  // gone where f is 1
  const Vec<double> r2 = r * r;
  const Vec<double> high = (r * (1.0 / 5040) + 1.0 / 720) * r2 + (r * (1.0 / 120) + 1.0 / 24);
  return (high * r2 + (r * (1.0 / 6) + 0.5)) * r2 + r;
}

// Adding it rounds to sixteenths.
template <class T>
constexpr T kSixteenths = sizeof(T) == 4 ? T(1.5 * 0x1p19) : T(1.5 * 0x1p48);

// ln 2 in two parts; the first times n is exact (Cephes).
template <class T>
constexpr T kLn2High = sizeof(T) == 4 ? T(0.693359375) : T(6.93145751953125e-1);
template <class T>
constexpr T kLn2Low = sizeof(T) == 4 ? T(-2.12194440e-4) : T(1.42860682030941723212e-6);

template <class T>
GS_INLINE Power<T> reduce_power(Vec<T> x) {
  const Vec<T> shifted = x * T(1.4426950408889634) + kSixteenths<T>;
  const Vec<T> n = shifted - kSixteenths<T>;
  return {n, bit_cast<IVec<T>>(shifted), (x - n * kLn2High<T>)-n * kLn2Low<T>};
}

// a e^(-t^2/2) for 0 <= t. t^2 is not rounded: it enters -2 r by a multiply-add.
template <class T>
GS_INLINE Vec<T> times_gaussian(Vec<T> a, Vec<T> t) {
  const Vec<T> shifted = t * (t * T(-0.7213475204444817)) + kSixteenths<T>;
  const Vec<T> n = shifted - kSixteenths<T>;
  const Vec<T> twice = fused(t, t, n * (2 * kLn2High<T>)) + n * (2 * kLn2Low<T>);
  const Vec<T> b = a * pick(kPower<T>, bit_cast<IVec<T>>(shifted));
  return times_power(b * expm1_near_zero(twice, T(-0.5)) + b, n);
}

template <class T>
GS_INLINE Vec<T> exp(Vec<T> x) {
  const Power<T> p = reduce_power<T>(x);
  const Vec<T> t = pick(kPower<T>, p.j);
  return times_power(t + (t * expm1_near_zero(p.r) + pick(kPowerLow<T>, p.j)), p.n);
}

// The same without what the table's entries lack: 1.04 ULP.
template <class T>
GS_INLINE Vec<T> exp_quick(Vec<T> x) {
  const Power<T> p = reduce_power<T>(x);
  const Vec<T> t = pick(kPower<T>, p.j);
  return times_power(t * expm1_near_zero(p.r) + t, p.n);
}

// The exponent and the mantissa of x = 2^n m: 1 <= m < 2 for the first, 3/4 <= m < 3/2 for the second,
// which is NaN below 0. 0 has the exponent -inf, inf has inf; the mantissa of both is 1.
GS_INLINE Vec<float> exponent(Vec<float> x) {
  return (Vec<float>)_mm512_maskz_getexp_ps(0xffff, (__m512)x);
}
GS_INLINE Vec<float> mantissa(Vec<float> x) {
  return (Vec<float>)_mm512_maskz_getmant_ps(0xffff, (__m512)x, _MM_MANT_NORM_p75_1p5,
                                             _MM_MANT_SIGN_nan);
}

GS_INLINE Vec<float> log(Vec<float> x) {
  const Vec<float> m = mantissa(x);
  const Vec<float> e = exponent(x);
  const Vec<float> n = m < 1.0f ? e + 1.0f : e;
  const IVec<float> j = bit_cast<IVec<float>>(m) >> 19;
  const Vec<float> f = fused(m, pick(kLogInverse, j), splat<float>(-1.0f));
  Vec<float> p = f * 0.18866827f - 0.25007471f;
  p = p * f + 0.33334437f;
  p = p * f - 0.5f;
  const Vec<float> first = n * 0x1.62e4p-1f + pick(kLogValue, j);  // exact
  return first + ((f * f) * p + (n * 0x1.7f7d1cp-20f + f));
}

GS_INLINE Vec<float> log2(Vec<float> x) {
  const Vec<float> m = mantissa(x);
  const IVec<float> j = bit_cast<IVec<float>>(m) >> 19;
  const Vec<float> f = fused(m, pick(kLog2Inverse, j), splat<float>(-1.0f));
  Vec<float> p = f * 0.27231786f - 0.36078867f;
  p = p * f + 0.48091409f;
  p = p * f - 0.72134751f;
  p = p * f + 1.925963033500011e-8f;
  const Vec<float> first = exponent(x) + pick(kLog2Value, j);  // exact
  return first + (f * 1.4426950216293335f + p * f);
}

// A polynomial on each of 16 pieces of 0 <= t: the last bits of the exponent of t + 1 and the first two of
// its mantissa choose the piece, t is counted from its middle. Multiply-adds by name: GCC 12 contracts them in
// a loop, but not in what follows it, and a value must not depend on its place.
template <int kCount>
GS_INLINE Vec<float> by_pieces(const float (&middle)[16], const float (&coefficients)[kCount][16],
                               Vec<float> t) {
  const IVec<float> j = bit_cast<IVec<float>>(t + 1.0f) >> 21;
  const Vec<float> d = t - pick(middle, j);
  Vec<float> y = pick(coefficients[0], j);
#pragma GCC unroll 6
  for (int k = 1; k < kCount; ++k) y = fused(y, d, pick(coefficients[k], j));
  return y;
}

// The same on 32 pieces; the low bits of j choose t's.
template <int kCount>
GS_INLINE Vec<float> by_pieces(const float (&middle)[32], const float (&coefficients)[kCount][32],
                               Vec<float> t, IVec<float> j) {
  const auto pick = [&](const float (&table)[32]) {
    return (Vec<float>)_mm512_maskz_permutex2var_ps(0xffff, _mm512_load_ps(table), (__m512i)j,
                                                    _mm512_load_ps(table + 16));
  };
  const Vec<float> d = t - pick(middle);
  Vec<float> y = pick(coefficients[0]);
#pragma GCC unroll 6
  for (int k = 1; k < kCount; ++k) y = fused(y, d, pick(coefficients[k]));
  return y;
}

constexpr float kRound = 12582912.0f;  // 1.5 * 2^23: adding it rounds to whole numbers

// 1 / (1 + e^t) of 0 <= t <= kSigmoidEnd, within 6e-9 before rounding: pieces of 11/16 about its multiples.
constexpr float kSigmoidEnd = 21.65f;
GS_INLINE Vec<float> sigmoid_below(Vec<float> t) {
  const IVec<float> j =
      bit_cast<IVec<float>>(fused(t, splat<float>(16.0f / 11), splat<float>(kRound)));
  return by_pieces(kSigmoidMiddle, kSigmoid, t, j);
}
// Whether a lane lies beyond, or is NaN.
GS_INLINE bool any_beyond_sigmoid(Vec<float> t) {
  return __builtin_expect(
      _mm512_cmp_ps_mask((__m512)t, _mm512_set1_ps(kSigmoidEnd), _CMP_NLE_UQ) != 0, 0);
}

// of 0 <= t, at most kTanhOne
GS_INLINE Vec<float> tanh(Vec<float> t) { return by_pieces(kTanhMiddle, kTanh, t); }

constexpr float kSinMax = 5e5f;  // beyond, n would need more bits

// sin(x + kTurn pi / 16) of 0 <= x <= kSinMax: x = n pi / 16 + r with pi in three parts.
template <int kTurn>
GS_INLINE Vec<float> sin_turned(Vec<float> x) {
  const Vec<float> shifted = x * 0x1.45f306p+2f + (kRound + kTurn);
  const Vec<float> n = shifted - (kRound + kTurn);
  const Vec<float> first = fused(n, splat<float>(-0x1.921fb6p-3f), x);  // exact
  const Vec<float> r = fused(n, splat<float>(0x1.777a5cp-28f), first);
  const Vec<float> z = r * r;
  // sin r = r + sine_rest, cos r = 1 + cosine_rest
  const Vec<float> sine_rest = (z * 0.00833018683f - 0.166666657f) * (z * r) + n * 0x1.ee59dap-53f;
  const Vec<float> cosine_rest = (z * 0.0416510925f - 0.5f) * z;
  const IVec<float> j = bit_cast<IVec<float>>(shifted);
  const Vec<float> s = pick(kSin, j), c = pick(kCos, j);
  const Vec<float> y = s + (c * r + (c * sine_rest + (s * cosine_rest + pick(kSinLow, j))));
  return bit_cast<Vec<float>>(bit_cast<IVec<float>>(y) ^ ((j << 27) & INT32_MIN));
}

// 1 / sqrt(x): 14 bits and one step. Where the first is 0, infinite or NaN it is the result: the step
// would make NaN of it.
GS_INLINE Vec<float> rsqrt(Vec<float> x) {
  const Vec<float> y = (Vec<float>)_mm512_maskz_rsqrt14_ps(0xffff, (__m512)x);
  const Vec<float> root = x * y;
  const Vec<float> lost = (Vec<float>)_mm512_fmsub_ps((__m512)x, (__m512)y, (__m512)root);
  const Vec<float> rest = fused(-root, y, splat<float>(1.0f)) - lost * y;
  const Vec<float> better = y + (y * rest) * (rest * 0.375f + 0.5f);
  return rest == rest ? better : y;
}

}  // namespace lookup
#endif

}  // namespace GS_ISA
}  // namespace gradsmith
