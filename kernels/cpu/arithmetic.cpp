// Arithmetic kernels: floor_divide remainder fmod pow, integers' add sub mul neg abs, and ramp.
//
// y = op(a, b) or op(x), element by element, of the operands' dtype.
// Layout: any strides, broadcasting; y contiguous: what the driver makes of it (elementwise_rows.cpp).
// Split: as the driver's, blocks of y in C order.
// Working set: the block's operands and result, as the driver says.
// Dtypes: int64 int32 int16 int8 uint8, results being the low bits; float32 float64 where there is no
//   elementwise kernel; bool in add ("or") and mul ("and").
// Cost: reads each operand once, writes y once; integers' divisions and powers one element at a time,
//   and float64's powers without multiply-add. fmod of floats by vectors, and by libm where a quotient
//   is beyond 2^27 (float64: 2^52, and all without multiply-add): for 1e6 elements, one Zen 5 core,
//   AVX-512, GCC 12, ms with libm and now: remainder 18.8, 1.3 (float64 19.1, 0.6); floor_divide 19.6,
//   1.6; fmod 13.6, 0.9; pow of float64 15, 3.7.
// Accuracy: integers exact; remainder, fmod exact; floor_divide as PyTorch's: the quotient less the
//   remainder's part, rounded; pow at most 1.2 ULP (0.65 but near sqrt(2) to high powers).
// Limits: 16 dimensions. A division of an integer by 0 is refused.
#include "arithmetic.h"

#include <cmath>

#include "elementwise.h"
#include "lists/arithmetic.h"
#include "vector_math.h"
#include "vector_trig.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Vectors of unsigned numbers wrap around; signed ones must not.
template <class T>
using Wrapping = Vec<std::make_unsigned_t<T>>;

template <class T>
struct IntegerAdd {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    return (Vec<T>)((Wrapping<T>)a + (Wrapping<T>)b);
  }
};
template <class T>
struct IntegerSub {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    return (Vec<T>)((Wrapping<T>)a - (Wrapping<T>)b);
  }
};
template <class T>
struct IntegerMul {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    return (Vec<T>)((Wrapping<T>)a * (Wrapping<T>)b);
  }
};
template <class T>
struct IntegerNeg {
  GS_INLINE Vec<T> operator()(Vec<T> x) const { return (Vec<T>)(-(Wrapping<T>)x); }
};
template <class T>
struct IntegerAbs {
  GS_INLINE Vec<T> operator()(Vec<T> x) const { return x < T(0) ? (Vec<T>)(-(Wrapping<T>)x) : x; }
};

template <template <class> class Op, int N>
Status integers(const Array* const (&x)[N], const Array& y) {
  for (const Array* operand : x) {
    if (operand->dtype != y.dtype) return kNoDType;
  }
  switch (y.dtype) {
    case DType::kInt64: run_rows(row_of<Op<int64_t>, int64_t, N>, N, x, y); break;
    case DType::kInt32: run_rows(row_of<Op<int32_t>, int32_t, N>, N, x, y); break;
    case DType::kInt16: run_rows(row_of<Op<int16_t>, int16_t, N>, N, x, y); break;
    case DType::kInt8: run_rows(row_of<Op<int8_t>, int8_t, N>, N, x, y); break;
    case DType::kUInt8: run_rows(row_of<Op<uint8_t>, uint8_t, N>, N, x, y); break;
    default: return kNoDType;
  }
  return kDone;
}

// ---- divisions and powers ----

template <class T>
__attribute__((noinline)) void fmod_lanes(const T* a, const T* b, T* y) {
  for (int i = 0; i < kLanes<T>; ++i) y[i] = std::fmod(a[i], b[i]);
}

// y, but libm's function in the lanes that are not `usual`.
template <class T>
GS_INLINE Vec<T> with_unusual(Vec<T> a, Vec<T> b, Vec<T> y, IVec<T> usual) {
  if (!any_lane<T>(~usual)) return y;
  alignas(GS_VECTOR_BYTES) T in_a[kLanes<T>], in_b[kLanes<T>], out[kLanes<T>];
  store<T>(in_a, usual ? splat<T>(T(1)) : a);
  store<T>(in_b, usual ? splat<T>(T(1)) : b);
  fmod_lanes<T>(in_a, in_b, out);
  return usual ? y : load<T>(out);
}

// The sign bit of x.
template <class T>
GS_INLINE IVec<T> sign_of(Vec<T> x) {
  return bit_cast<IVec<T>>(x) & (IntOf<T>(1) << (8 * sizeof(T) - 1));
}

// a - trunc(a / b) b, exact. Below 2^52 (float32: 2^23) the rounded quotient, cut off, is right or 1 too
// large, and the difference fits the type either way, so that one multiply-add gives it. Below a
// quotient of 2^27 float64 holds that of two float32, cut off, their product and the difference.
GS_INLINE HalfVec fmod_half(HalfVec a, HalfVec b, HalfVec& quotient) {
  const Vec<double> x = widen(a), y = widen(b);
  const Vec<double> q = vtrunc(x / y);
  quotient = __builtin_convertvector(q, HalfVec);
  return __builtin_convertvector(x - q * y, HalfVec);
}

GS_INLINE Vec<float> fmod_wide(Vec<float> a, Vec<float> b) {
  const Halves x = bit_cast<Halves>(a), y = bit_cast<Halves>(b);
  Halves rest, quotient;
  rest.low = fmod_half(x.low, y.low, quotient.low);
  rest.high = fmod_half(x.high, y.high, quotient.high);
  const IVec<float> usual = (vabs<float>(bit_cast<Vec<float>>(quotient)) < 134217728.0f) &
                            (vabs<float>(b) < __builtin_inff());
  // A rest of 0 has a's sign, as any other.
  const Vec<float> r = bit_cast<Vec<float>>(
      bit_cast<IVec<float>>(vabs<float>(bit_cast<Vec<float>>(rest))) | sign_of<float>(a));
  return with_unusual<float>(a, b, r, usual);
}
GS_INLINE Vec<double> fmod_wide(Vec<double> a, Vec<double> b) {
  return with_unusual<double>(a, b, a, IVec<double>{});
}

#if defined(__AVX512F__) || defined(__FMA__)
// x - q y, rounded once.
GS_INLINE Vec<float> less_product(Vec<float> x, Vec<float> q, Vec<float> y) {
#if defined(__AVX512F__)
  return (Vec<float>)_mm512_fnmadd_ps((__m512)q, (__m512)y, (__m512)x);
#else
  return (Vec<float>)_mm256_fnmadd_ps((__m256)q, (__m256)y, (__m256)x);
#endif
}
GS_INLINE Vec<double> less_product(Vec<double> x, Vec<double> q, Vec<double> y) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_fnmadd_pd((__m512d)q, (__m512d)y, (__m512d)x);
#else
  return (Vec<double>)_mm256_fnmadd_pd((__m256d)q, (__m256d)y, (__m256d)x);
#endif
}
#endif

template <class T>
GS_INLINE Vec<T> vfmod(Vec<T> a, Vec<T> b) {
#if defined(__AVX512F__) || defined(__FMA__)
  constexpr T kMost = sizeof(T) == 4 ? T(8388608.0) : T(4503599627370496.0);
  const Vec<T> x = vabs<T>(a), y = vabs<T>(b);
  const Vec<T> quotient = x / y;
  Vec<T> rest = less_product(x, vtrunc(quotient), y);
  rest = rest < T(0) ? rest + y : rest;
  const IVec<T> usual = (quotient < kMost) & (y < T(__builtin_inf()));
  const Vec<T> r = bit_cast<Vec<T>>(bit_cast<IVec<T>>(vabs<T>(rest)) | sign_of<T>(a));
  return any_lane<T>(~usual) ? select<T>(usual, r, fmod_wide(a, b)) : r;
#else
  return fmod_wide(a, b);
#endif
}

template <class T>
struct FloatFmod {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return vfmod<T>(a, b); }
};
template <class T>
struct FloatRemainder {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    const Vec<T> rest = vfmod<T>(a, b);
    return (rest != T(0)) & ((rest < T(0)) != (b < T(0))) ? rest + b : rest;
  }
};
template <class T>
struct FloatFloorDivide {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const {
    const Vec<T> rest = vfmod<T>(a, b), whole = a / b, zero{};
    Vec<T> quotient = (a - rest) / b;
    quotient = (rest != zero) & ((rest < zero) != (b < zero)) ? quotient - T(1) : quotient;
    const Vec<T> down = vfloor(quotient);
    const Vec<T> nearest = quotient - down > T(0.5) ? down + T(1) : down;
    const Vec<T> y = quotient == zero ? bit_cast<Vec<T>>(sign_of<T>(whole)) : nearest;
    return b == zero ? whole : y;
  }
};

// Integers, one element at a time.
struct FloorDivide {
  template <class T>
  static GS_INLINE T apply(T a, T b) {
    if (std::is_signed_v<T> && b == T(-1)) return static_cast<T>(-static_cast<uint64_t>(a));
    const T quotient = static_cast<T>(a / b);
    return a % b != 0 && (a % b < 0) != (b < 0) ? static_cast<T>(quotient - 1) : quotient;
  }
};
struct Fmod {
  template <class T>
  static GS_INLINE T apply(T a, T b) {
    return std::is_signed_v<T> && b == T(-1) ? T(0) : static_cast<T>(a % b);
  }
};
struct Remainder {
  template <class T>
  static GS_INLINE T apply(T a, T b) {
    const T rest = Fmod::apply(a, b);
    return rest != T(0) && (rest < T(0)) != (b < T(0)) ? static_cast<T>(rest + b) : rest;
  }
};
struct Power {
  template <class T>
  static GS_INLINE T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (b < 0) {  // 1 / a^|b|, cut off
        if (a == T(1)) return T(1);
        if (a == T(-1)) return b % 2 ? T(-1) : T(1);
        return T(0);
      }
      uint64_t result = 1, square = static_cast<uint64_t>(a);
      for (uint64_t rest = static_cast<uint64_t>(b); rest; rest >>= 1) {
        if (rest & 1) result *= square;
        square *= square;
      }
      return static_cast<T>(result);
    } else {
      return std::pow(a, b);
    }
  }
};

// A row of op(a, b). Of integers with kDivides: sets the int that the options point to, and leaves
// the element, where b is 0.
template <class Op, class T, bool kDivides>
void scalar_row(const Row& row) {
  const T* const a = reinterpret_cast<const T*>(row.x[0]);
  const T* const b = reinterpret_cast<const T*>(row.x[1]);
  T* const y = reinterpret_cast<T*>(row.y);
  const int64_t step_a = row.step[0] != 0, step_b = row.step[1] != 0;
  for (int64_t i = 0; i < row.n; ++i) {
    const T divisor = b[i * step_b];
    if (kDivides && std::is_integral_v<T> && divisor == T(0)) {
      int* const found = reinterpret_cast<int*>(const_cast<double*>(row.options));
      __atomic_store_n(found, 1, __ATOMIC_RELAXED);
      y[i] = T(0);
      continue;
    }
    y[i] = Op::apply(a[i * step_a], divisor);
  }
}

// ln x of a float32 x >= 0 in float64, and e^x, -200 where it is less and 200 where it is more: to 2^-37,
// which float32's rounding hides (the float64 functions to the last place: 3.0 against 1.9 ms for 1e6).
// Series: 2 atanh s in s = f / (2 + f), f = m - 1, x = 2^n m; Taylor's to r^8.
GS_INLINE Vec<double> float_log(Vec<double> x) {
  using C = MathConstants<double>;
  constexpr int64_t kMantissaMask = (int64_t{1} << C::kMantissaBits) - 1;
  const IVec<double> bits =
      bit_cast<IVec<double>>(x) + ((C::kBias << C::kMantissaBits) - C::kSqrtHalfBits);
  const IVec<double> n = (bits >> C::kMantissaBits) - C::kBias;
  const Vec<double> f = bit_cast<Vec<double>>((bits & kMantissaMask) + C::kSqrtHalfBits) - 1.0;
  const Vec<double> s = f / (f + 2.0), z = s * s;
  Vec<double> p = z * (2.0 / 13) + 2.0 / 11;
  p = p * z + 2.0 / 9;
  p = p * z + 2.0 / 7;
  p = p * z + 2.0 / 5;
  p = p * z + 2.0 / 3;
  const Vec<double> m = s * 2.0 + p * (z * s);
  return log_limits<double>(x, __builtin_convertvector(n, Vec<double>) * 0.6931471805599453 + m);
}

GS_INLINE Vec<double> float_exp(Vec<double> x) {
  x = greater(splat<double>(-200.0), lesser(splat<double>(200.0), x));  // a NaN stays
  Vec<double> r, r_low;
  const Exponent<double> n = reduce_ln2<double>(x, r, r_low);
  Vec<double> p = r * (1.0 / 40320) + 1.0 / 5040;
  p = p * r + 1.0 / 720;
  p = p * r + 1.0 / 120;
  p = p * r + 1.0 / 24;
  p = p * r + 1.0 / 6;
  p = p * r + 0.5;
  p = p * r + 1.0;
  return (p * r + 1.0) * power_of_two<double>(n);
}

// What a^b is beside |a|^b: its sign, NaN of a negative number's broken powers, and 1.
template <class T>
GS_INLINE Vec<T> power_limits(Vec<T> a, Vec<T> b, Vec<T> y) {
  const auto negative = bit_cast<IVec<T>>(a) < 0;
  const Vec<T> magnitude = vabs<T>(a), size = vabs<T>(b), half = b * T(0.5);
  const auto whole = vtrunc(b) == b, even = vtrunc(half) == half;
  y = negative & whole & ~even ? -y : y;
  const Vec<T> nan = Vec<T>{} / Vec<T>{};
  y = (a < T(0)) & ~whole & (magnitude < T(__builtin_inf())) ? nan : y;
  const auto one = (b == T(0)) | (a == T(1)) | ((magnitude == T(1)) & (size == T(__builtin_inf())));
  return one ? splat<T>(T(1)) : y;
}

// a^b of float32 by way of float64, whose error is far below float32's rounding.
GS_INLINE Vec<double> power_of(Vec<double> a, Vec<double> b) {
  return power_limits<double>(a, b, float_exp(b * float_log(vabs<double>(a))));
}

#if defined(__FMA__) || defined(__aarch64__)
// a b + c, rounded once.
GS_INLINE Vec<double> fused(Vec<double> a, Vec<double> b, Vec<double> c) {
#if defined(__AVX512F__)
  return (Vec<double>)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c);
#elif defined(__FMA__)
  return (Vec<double>)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c);
#else
  Vec<double> y;
  for (int i = 0; i < kLanes<double>; ++i) y[i] = __builtin_fma(a[i], b[i], c[i]);
  return y;
#endif
}

// A number as the sum of two: high is the sum rounded.
struct Pair {
  Vec<double> high, low;
};
GS_INLINE Pair add_ordered(Vec<double> a, Vec<double> b) {  // |a| >= |b|
  const Vec<double> sum = a + b;
  return {sum, b - (sum - a)};
}
GS_INLINE Pair multiply(Pair a, Pair b) {
  const Vec<double> high = a.high * b.high;
  return {high, fused(a.high, b.high, -high) + (a.high * b.low + a.low * b.high)};
}

// ln x of x > 0 to about 2^-66 of itself: x = 2^k m, ln m = 2 atanh(s) = 2 s + 2/3 s^3 + ..,
// s = f / (2 + f), f = m - 1. The first two terms and all that goes into them as pairs: the others are
// 2^-12 of the first at most.
GS_INLINE Pair log_pair(Vec<double> x) {
  using C = MathConstants<double>;
  constexpr int64_t kMantissaMask = (int64_t{1} << C::kMantissaBits) - 1;
  const IVec<double> small = x < C::kSmallestNormal;
  const Vec<double> normal = small ? x * C::kTwoToMantissa : x;
  const IVec<double> bits =
      bit_cast<IVec<double>>(normal) + ((C::kBias << C::kMantissaBits) - C::kSqrtHalfBits);
  IVec<double> n = (bits >> C::kMantissaBits) - C::kBias;
  n = small ? n - C::kMantissaBits : n;
  const Vec<double> k = __builtin_convertvector(n, Vec<double>);
  const Vec<double> f = bit_cast<Vec<double>>((bits & kMantissaMask) + C::kSqrtHalfBits) - 1.0;
  const Pair divisor = add_ordered(splat<double>(2.0), f);
  const Vec<double> inverse = 1.0 / divisor.high;
  Pair s;
  s.high = f * inverse;
  s.low = (fused(-s.high, divisor.high, f) - s.high * divisor.low) * inverse;
  const Pair z = multiply(s, s);
  const Vec<double> w = z.high, w2 = w * w, w4 = w2 * w2;
  const Vec<double> low = (w * (2.0 / 7) + 2.0 / 5) + (w * (2.0 / 11) + 2.0 / 9) * w2;
  const Vec<double> middle = (w * (2.0 / 15) + 2.0 / 13) + (w * (2.0 / 19) + 2.0 / 17) * w2;
  const Vec<double> high = (w * (2.0 / 23) + 2.0 / 21) + (w * (2.0 / 27) + 2.0 / 25) * w2;
  const Vec<double> tail = low + (middle + high * w4) * w4;  // times s^5
  const Pair third{splat<double>(0x1.5555555555555p-1), splat<double>(0x1.5555555555555p-55)};
  // 2 s + s z (2/3 + z tail), the sum in the brackets rounded twice
  Pair factor = add_ordered(third.high, w * tail);
  factor.low += third.low;
  const Pair cubic = multiply(multiply(s, z), factor);
  const Pair first = add_ordered(s.high * 2.0, cubic.high);
  const Vec<double> rest = first.low + (s.low * 2.0 + cubic.low);
  const Pair whole = add_ordered(k * C::kLogLn2Hi, first.high);  // k = 0 leaves the other
  const Vec<double> lost = n == 0 ? Vec<double>{} : whole.low;
  const Pair y = add_ordered(whole.high, lost + (rest + k * C::kLogLn2Lo));
  const Vec<double> infinity = splat<double>(__builtin_inf());
  const auto zero = x == 0.0, beyond = x == infinity;
  return {zero ? -infinity : beyond ? infinity : y.high, zero | beyond ? Vec<double>{} : y.low};
}

// a^b = e^(b ln |a|), the exponent as a pair.
GS_INLINE Vec<double> power_of_pair(Vec<double> a, Vec<double> b) {
  using C = MathConstants<double>;
  const Pair log = log_pair(vabs<double>(a));
  const Vec<double> product = b * log.high;
  const Vec<double> inside = vabs<double>(product) < 1000.0 ? product : Vec<double>{};
  const Vec<double> lost = fused(b, log.high, -inside) + b * log.low;
  Vec<double> x = lesser(splat<double>(C::kExpMax), product);  // a NaN stays
  x = greater(splat<double>(C::kExpMin), x);
  Vec<double> r, r_low;
  const Exponent<double> n = reduce_ln2<double>(x, r, r_low);
  r_low = vabs<double>(product) < 1000.0 ? r_low + lost : r_low;
  const Vec<double> sum = r + 1.0;
  const Vec<double> tail = exp_tail(r) * (r * r);
  const Vec<double> rest = ((1.0 - sum) + r) + (tail + r_low * (sum + tail));
  const Vec<double> nan = a != a ? a : b;
  const Vec<double> y = (a != a) | (b != b) ? nan : scale<double>(sum + rest, n);
  return power_limits<double>(a, b, y);
}
struct PowerOfPair {
  GS_INLINE Vec<double> operator()(Vec<double> a, Vec<double> b) const {
    return power_of_pair(a, b);
  }
};
#endif

template <class T>
struct Square {
  GS_INLINE Vec<T> operator()(Vec<T> x) const { return x * x; }
};
template <class T>
struct Cube {
  GS_INLINE Vec<T> operator()(Vec<T> x) const { return x * x * x; }
};

void float_power_row(const Row& row) {
  constexpr int64_t kL = kLanes<double>;
  typedef float Narrow __attribute__((vector_size(GS_VECTOR_BYTES / 2)));
  const float* const a = reinterpret_cast<const float*>(row.x[0]);
  const float* const b = reinterpret_cast<const float*>(row.x[1]);
  float* const y = reinterpret_cast<float*>(row.y);
  const int64_t step_a = row.step[0] != 0, step_b = row.step[1] != 0;
  for (int64_t i = 0; i < row.n; i += kL) {
    const int64_t n = min64(kL, row.n - i);
    Narrow p{}, q{};
    const float* const from_a = a + i * step_a;
    const float* const from_b = b + i * step_b;
    if (n == kL) {
      __builtin_memcpy(&p, from_a, sizeof(p));
      __builtin_memcpy(&q, from_b, sizeof(q));
    } else {
      for (int64_t j = 0; j < n; ++j) {
        p[j] = from_a[j * step_a];
        q[j] = from_b[j * step_b];
      }
    }
    const Narrow r = __builtin_convertvector(power_of(widen(p), widen(q)), Narrow);
    if (n == kL) {
      __builtin_memcpy(y + i, &r, sizeof(r));
    } else {
      for (int64_t j = 0; j < n; ++j) y[i + j] = r[j];
    }
  }
}

// start + i step; from the middle on end - (n - 1 - i) step, unless end is NaN.
template <class T>
void ramp_typed(const RampArgs& args) {
  T* const y = reinterpret_cast<T*>(args.y.data);
  const int64_t n = args.y.size;
  const int64_t middle = args.end == args.end ? n / 2 : n;
  parallel_for(n, 32768, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const double x = i < middle ? args.start + static_cast<double>(i) * args.step
                                  : args.end - static_cast<double>(n - 1 - i) * args.step;
      y[i] = static_cast<T>(x);
    }
  });
}

// `narrow` and `wide`: the rows of float32 and float64; Op's scalar ones of integers.
template <class Op, bool kDivides>
Status scalars(const BinaryArgs& args, RowFunction narrow, RowFunction wide) {
  RowFunction f = nullptr;
  switch (args.y.dtype) {
    case DType::kFloat32: f = narrow; break;
    case DType::kFloat64: f = wide; break;
    case DType::kInt64: f = scalar_row<Op, int64_t, kDivides>; break;
    case DType::kInt32: f = scalar_row<Op, int32_t, kDivides>; break;
    case DType::kInt16: f = scalar_row<Op, int16_t, kDivides>; break;
    case DType::kInt8: f = scalar_row<Op, int8_t, kDivides>; break;
    case DType::kUInt8: f = scalar_row<Op, uint8_t, kDivides>; break;
    default: return kNoDType;
  }
  const Array* const x[2] = {&args.a, &args.b};
  alignas(double) int zero_found[2] = {0, 0};
  run_rows(f, 2, x, args.y, reinterpret_cast<const double*>(zero_found));
  if (zero_found[0]) return {Code::kZeroDivision, {0, 0}};
  return kDone;
}

template <class Op, template <class> class Floats>
Status divide(const BinaryArgs& args) {
  return scalars<Op, true>(args, row_of<Floats<float>, float, 2, 1>,
                           row_of<Floats<double>, double, 2, 1>);
}

}  // namespace

Status integer_add(const BinaryArgs& args) {
  if (args.y.dtype == DType::kBool) {
    const Array* const x[2] = {&args.a, &args.b};
    run_rows(row_of<Or<uint8_t>, uint8_t, 2>, 2, x, args.y);
    return kDone;
  }
  return integers<IntegerAdd, 2>({&args.a, &args.b}, args.y);
}
Status integer_sub(const BinaryArgs& args) {
  return integers<IntegerSub, 2>({&args.a, &args.b}, args.y);
}
Status integer_mul(const BinaryArgs& args) {
  if (args.y.dtype == DType::kBool) {
    const Array* const x[2] = {&args.a, &args.b};
    run_rows(row_of<And<uint8_t>, uint8_t, 2>, 2, x, args.y);
    return kDone;
  }
  return integers<IntegerMul, 2>({&args.a, &args.b}, args.y);
}
Status integer_neg(const UnaryArgs& args) { return integers<IntegerNeg, 1>({&args.x}, args.y); }
Status integer_abs(const UnaryArgs& args) { return integers<IntegerAbs, 1>({&args.x}, args.y); }

Status floor_divide(const BinaryArgs& args) { return divide<FloorDivide, FloatFloorDivide>(args); }
Status remainder(const BinaryArgs& args) { return divide<Remainder, FloatRemainder>(args); }
Status fmod(const BinaryArgs& args) { return divide<Fmod, FloatFmod>(args); }
// A number as exponent: 2 and 3 by multiplication.
Status pow(const BinaryArgs& args) {
  if (args.b.ndim == 0 && args.b.size == 1 && args.a.dtype == args.b.dtype) {
    const double b = args.b.dtype == DType::kFloat32   ? load_one<float>(args.b.data)
                     : args.b.dtype == DType::kFloat64 ? load_one<double>(args.b.data)
                                                       : 0;
    if (b == 2) return float_rows<Square, 1>({&args.a}, args.y);
    if (b == 3) return float_rows<Cube, 1>({&args.a}, args.y);
  }
#if defined(__FMA__) || defined(__aarch64__)
  return scalars<Power, false>(args, float_power_row, row_of<PowerOfPair, double, 2>);
#else
  return scalars<Power, false>(args, float_power_row, scalar_row<Power, double, false>);
#endif
}

Status ramp(const RampArgs& args) {
  switch (args.y.dtype) {
    case DType::kFloat32: ramp_typed<float>(args); return kDone;
    case DType::kFloat64: ramp_typed<double>(args); return kDone;
    case DType::kInt32: ramp_typed<int32_t>(args); return kDone;
    case DType::kInt64: ramp_typed<int64_t>(args); return kDone;
    default: return kNoDType;
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
