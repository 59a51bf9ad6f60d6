// Arithmetic kernels: floor_divide remainder fmod pow, integers' add sub mul neg abs, and ramp.
//
// y = op(a, b) or op(x), element by element, of the operands' dtype.
// Layout: any strides, broadcasting; y contiguous: what the driver makes of it (elementwise_rows.cpp).
// Split: as the driver's, blocks of y in C order.
// Working set: the block's operands and result, as the driver says.
// Dtypes: int64 int32 int16 int8 uint8, results being the low bits; float32 float64 where there is no
//   elementwise kernel; bool in add ("or") and mul ("and").
// Cost: reads each operand once, writes y once; divisions and powers one element at a time, but
//   float32's power by vectors.
// Accuracy: integers exact; remainder, fmod exact; floor_divide as PyTorch's: the quotient less the
//   remainder's part, rounded; pow at most 1 ULP.
// Limits: 16 dimensions. A division of an integer by 0 is refused.
#include "arithmetic.h"

#include <cmath>

#include "elementwise.h"
#include "lists/arithmetic.h"
#include "vector_math.h"

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
struct Or {
  GS_INLINE Vec<uint8_t> operator()(Vec<uint8_t> a, Vec<uint8_t> b) const { return a | b; }
};
struct And {
  GS_INLINE Vec<uint8_t> operator()(Vec<uint8_t> a, Vec<uint8_t> b) const { return a & b; }
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

// ---- one element at a time ----

struct FloorDivide {
  template <class T>
  static GS_INLINE T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      if (std::is_signed_v<T> && b == T(-1)) return static_cast<T>(-static_cast<uint64_t>(a));
      const T quotient = static_cast<T>(a / b);
      return a % b != 0 && (a % b < 0) != (b < 0) ? static_cast<T>(quotient - 1) : quotient;
    } else {
      if (b == T(0)) return a / b;
      const T rest = std::fmod(a, b);
      T quotient = (a - rest) / b;
      if (rest != T(0) && (b < T(0)) != (rest < T(0))) quotient -= T(1);
      if (quotient == T(0)) return std::copysign(T(0), a / b);
      const T down = std::floor(quotient);
      return quotient - down > T(0.5) ? down + T(1) : down;
    }
  }
};
struct Fmod {
  template <class T>
  static GS_INLINE T apply(T a, T b) {
    if constexpr (std::is_integral_v<T>) {
      return std::is_signed_v<T> && b == T(-1) ? T(0) : static_cast<T>(a % b);
    } else {
      return std::fmod(a, b);
    }
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

// a^b of float32 by way of float64, whose error is far below float32's rounding.
GS_INLINE Vec<double> power_of(Vec<double> a, Vec<double> b) {
  const auto negative = (a < 0.0) | ((a == 0.0) & (1.0 / a < 0.0));
  const Vec<double> magnitude = negative ? -a : a;
  Vec<double> y = vexp<double>(b * vlog<double>(magnitude));
  // Whether b is an integer, and odd. Numbers of 2^52 and beyond are even.
  constexpr double kRound = 6755399441055744.0;  // 1.5 * 2^52
  const Vec<double> half = b * 0.5;
  const Vec<double> size = b < 0.0 ? -b : b;
  const auto whole = (size >= 4503599627370496.0) | ((b + kRound) - kRound == b);
  const auto even = (size >= 4503599627370496.0) | ((half + kRound) - kRound == half);
  y = negative & whole & ~even ? -y : y;
  const Vec<double> nan = Vec<double>{} / Vec<double>{};
  y = (a < 0.0) & ~whole & (magnitude < __builtin_inf()) ? nan : y;
  const auto one = (b == 0.0) | (a == 1.0) | ((magnitude == 1.0) & (size == __builtin_inf()));
  return one ? splat<double>(1.0) : y;
}

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

template <class Op, bool kDivides>
Status scalars(const BinaryArgs& args) {
  RowFunction f = nullptr;
  switch (args.y.dtype) {
    case DType::kFloat32:
      if constexpr (std::is_same_v<Op, Power>) {
        f = float_power_row;
      } else {
        f = scalar_row<Op, float, kDivides>;
      }
      break;
    case DType::kFloat64: f = scalar_row<Op, double, kDivides>; break;
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

}  // namespace

Status integer_add(const BinaryArgs& args) {
  if (args.y.dtype == DType::kBool) {
    const Array* const x[2] = {&args.a, &args.b};
    run_rows(row_of<Or, uint8_t, 2>, 2, x, args.y);
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
    run_rows(row_of<And, uint8_t, 2>, 2, x, args.y);
    return kDone;
  }
  return integers<IntegerMul, 2>({&args.a, &args.b}, args.y);
}
Status integer_neg(const UnaryArgs& args) { return integers<IntegerNeg, 1>({&args.x}, args.y); }
Status integer_abs(const UnaryArgs& args) { return integers<IntegerAbs, 1>({&args.x}, args.y); }

Status floor_divide(const BinaryArgs& args) { return scalars<FloorDivide, true>(args); }
Status remainder(const BinaryArgs& args) { return scalars<Remainder, true>(args); }
Status fmod(const BinaryArgs& args) { return scalars<Fmod, true>(args); }
Status pow(const BinaryArgs& args) { return scalars<Power, false>(args); }

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
