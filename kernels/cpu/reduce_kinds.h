// What is reduced: a type for partial results, vectors of them. For reduce.h.
#pragma once

#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// What most have in common: the elements are folded as they are.
template <class P>
struct Plain {
  static constexpr bool kCentered = false, kExtreme = false;
  static GS_INLINE P enter(P x, P) { return x; }
  template <class V>
  static GS_INLINE V enter_v(V x, P) {
    return x;
  }
};

// a + x as x * 1 + a: the same bits. Where conversions and additions share units, those that multiply
// are free (sums of 12.6 MB of float32 in L3: 91 -> 86 us along rows, 90 -> 74 along columns).
GS_INLINE Vec<double> plus(Vec<double> a, Vec<double> x) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_fmadd_pd((__m512d)x, _mm512_set1_pd(1), (__m512d)a);
#elif defined(__FMA__)
  return (Vec<double>)_mm256_fmadd_pd((__m256d)x, _mm256_set1_pd(1), (__m256d)a);
#else
  return a + x;
#endif
}

template <class T>
struct Sum : Plain<double> {
  using Partial = double;
  static constexpr int kWidth = kLanes<double>;
  static Partial identity() { return 0; }
  static GS_INLINE Partial combine(Partial a, Partial b) { return a + b; }
  static GS_INLINE Vec<double> combine_v(Vec<double> a, Vec<double> b) { return a + b; }
};

// a with the elements x: combine_v, or what is quicker where those are converted on the way.
template <class R, class T>
GS_INLINE Vec<typename R::Partial> add_elements(Vec<typename R::Partial> a,
                                                Vec<typename R::Partial> x) {
  if constexpr (std::is_base_of_v<Sum<float>, R> && std::is_same_v<T, float>) {
    return plus(a, x);
  } else {
    return R::combine_v(a, x);
  }
}

// Sums of (x - center)^2 and e^(x - center), each result with a center of its own.
template <class T>
struct Squares : Sum<T> {
  static constexpr bool kCentered = true;
  static GS_INLINE double enter(double x, double center) { return (x - center) * (x - center); }
  static GS_INLINE Vec<double> enter_v(Vec<double> x, double center) {
    return (x - center) * (x - center);
  }
};

// Of x itself.
template <class T>
struct OwnSquares : Sum<T> {
  static constexpr bool kCentered = true;
  static GS_INLINE double enter(double x, double) { return x * x; }
  static GS_INLINE Vec<double> enter_v(Vec<double> x, double) { return x * x; }
};

// e^x as a term of a sum of T's: 34 bits where that is float32, in half the instructions.
template <class T>
GS_INLINE Vec<double> exp_term(Vec<double> x) {
#if defined(__AVX512F__)
  if constexpr (sizeof(T) == 4) {
    using C = MathConstants<double>;
    x = greater(splat<double>(C::kExpMin), lesser(splat<double>(C::kExpMax), x));  // a NaN stays
    const auto p = lookup::reduce_power<double>(x);
    const Vec<double> t = lookup::pick(lookup::kPower<double>, p.j);
    const Vec<double> e = ((p.r * (1.0 / 24) + 1.0 / 6) * p.r + 0.5) * (p.r * p.r) + p.r;
    return lookup::times_power(t * e + t, p.n);
  }
#endif
  return vexp<double>(x);
}

template <class T>
struct Exponentials : Sum<T> {
  static constexpr bool kCentered = true;
  static GS_INLINE double enter(double x, double center) {
    return exp_term<T>(splat<double>(x - center))[0];
  }
  static GS_INLINE Vec<double> enter_v(Vec<double> x, double center) {
    return exp_term<T>(x - center);
  }
};

struct SumIntegers : Plain<int64_t> {
  using Partial = int64_t;
  static constexpr int kWidth = kLanes<int64_t>;
  static Partial identity() { return 0; }
  static GS_INLINE Partial combine(Partial a, Partial b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) + static_cast<uint64_t>(b));
  }
  static GS_INLINE Vec<int64_t> combine_v(Vec<int64_t> a, Vec<int64_t> b) { return a + b; }
};

template <class T>
struct Product : Plain<double> {
  using Partial = double;
  static constexpr int kWidth = kLanes<double>;
  static Partial identity() { return 1; }
  static GS_INLINE Partial combine(Partial a, Partial b) { return a * b; }
  static GS_INLINE Vec<double> combine_v(Vec<double> a, Vec<double> b) { return a * b; }
};

struct ProductIntegers : Plain<int64_t> {
  using Partial = int64_t;
  static constexpr int kWidth = kLanes<int64_t>;
  static Partial identity() { return 1; }
  static GS_INLINE Partial combine(Partial a, Partial b) {
    return static_cast<int64_t>(static_cast<uint64_t>(a) * static_cast<uint64_t>(b));
  }
  static GS_INLINE Vec<int64_t> combine_v(Vec<int64_t> a, Vec<int64_t> b) { return a * b; }
};

// Bytes that are 0 or 1.
template <bool kAny>
struct Truth : Plain<uint8_t> {
  using Partial = uint8_t;
  static constexpr int kWidth = GS_VECTOR_BYTES;
  static Partial identity() { return !kAny; }
  static GS_INLINE Partial combine(Partial a, Partial b) { return kAny ? a | b : a & b; }
  static GS_INLINE Vec<uint8_t> combine_v(Vec<uint8_t> a, Vec<uint8_t> b) {
    return kAny ? a | b : a & b;
  }
};

template <class T>
constexpr T kLargest = T(__builtin_inf());
template <>
constexpr int64_t kLargest<int64_t> = INT64_MAX;
template <class T>
constexpr T kSmallest = -T(__builtin_inf());
template <>
constexpr int64_t kSmallest<int64_t> = INT64_MIN;

// The maximum, or with kMin the minimum; NaN wins.
template <class T, bool kMin = false>
struct Max : Plain<T> {
  static constexpr bool kExtreme = std::is_floating_point_v<T>, kLeast = kMin;
  using Partial = T;
  static constexpr int kWidth = kLanes<T>;
  static Partial identity() { return kMin ? kLargest<T> : kSmallest<T>; }
  static GS_INLINE bool better(T a, T b) { return kMin ? a < b : a > b; }
  static GS_INLINE Partial combine(Partial a, Partial b) {
    return (better(b, a) || b != b) ? b : a;
  }
  static GS_INLINE Vec<T> combine_v(Vec<T> a, Vec<T> b) {
    const IVec<T> wins = kMin ? b < a : b > a;
    const Vec<T> larger = wins ? b : a;  // a NaN in a stays: b > NaN is false
    return b != b ? b : larger;
  }
};

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
