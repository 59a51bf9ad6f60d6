// Comparison kernels: eq ne lt le gt ge, isinf isfinite, bitwise_*, minimum maximum, where, sign, clamp
// and the gradients of minimum, maximum and clamp.
//
// y = op(a, b) or op(x), element by element: bool, or of the operands' dtype.
// Layout: any strides, broadcasting; y contiguous: what the driver makes of it (elementwise_rows.cpp).
// Split: as the driver's, blocks of y in C order.
// Working set: the block's operands and result, as the driver says.
// Dtypes: float32 float64 int32 int64 int16 int8 uint8 bool (compared as uint8); bitwise_* no floats,
//   shifts no bools; where any, by its size; the gradients float32 float64.
// Cost: reads each operand once, writes y once.
// Accuracy: exact. NaN is unequal to everything; it wins in minimum, maximum and clamp; its sign is 0.
// Limits: 16 dimensions.
#include "lists/compare.h"
#include "elementwise.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// What a comparison of vectors gives, and bytes for its lanes.
template <class T>
using Mask = decltype(Vec<T>{} < Vec<T>{});
template <class T>
struct BytesOf {
  typedef int8_t type __attribute__((vector_size(kLanes<T>)));
};
template <class T>
using Bytes = typename BytesOf<T>::type;

template <class T>
GS_INLINE void store_bytes(char* y, Mask<T> mask, int8_t flip, int64_t n) {
  // A mask is 0 or -1 in each lane.
  const Bytes<T> bytes = (__builtin_convertvector(mask, Bytes<T>) & 1) ^ (flip - Bytes<T>{});
  if (n == kLanes<T>) {
    __builtin_memcpy(y, &bytes, kLanes<T>);
  } else {
    __builtin_memcpy(y, &bytes, static_cast<size_t>(n));
  }
}

struct Eq {
  template <class V>
  static GS_INLINE auto apply(V a, V b) {
    return a == b;
  }
};
struct Lt {
  template <class V>
  static GS_INLINE auto apply(V a, V b) {
    return a < b;
  }
};
struct Le {
  template <class V>
  static GS_INLINE auto apply(V a, V b) {
    return a <= b;
  }
};
struct IsInf {
  template <class V>
  static GS_INLINE auto apply(V x) {
    const V d = x - x;  // NaN unless x is finite
    return (x == x) & (d != d);
  }
};
struct IsFinite {
  template <class V>
  static GS_INLINE auto apply(V x) {
    const V d = x - x;
    return d == d;
  }
};

// A row of bools; with options, their opposites.
template <class Op, class T>
void compare_row(const Row& row) {
  constexpr int64_t kL = kLanes<T>;
  const T* a = reinterpret_cast<const T*>(row.x[0]);
  const T* b = reinterpret_cast<const T*>(row.x[1]);
  const int64_t step_a = row.step[0] ? kL : 0, step_b = row.step[1] ? kL : 0;
  const int8_t flip = row.options != nullptr;
  int64_t i = 0;
  for (; i + kL <= row.n; i += kL, a += step_a, b += step_b) {
    store_bytes<T>(row.y + i, Op::apply(load<T>(a), load<T>(b)), flip, kL);
  }
  const int64_t n = row.n - i;
  if (n) store_bytes<T>(row.y + i, Op::apply(load_n<T>(a, n), load_n<T>(b, n)), flip, n);
}

template <class Op, class T>
void classify_row(const Row& row) {
  constexpr int64_t kL = kLanes<T>;
  const T* x = reinterpret_cast<const T*>(row.x[0]);
  const int64_t step = row.step[0] ? kL : 0;
  int64_t i = 0;
  for (; i + kL <= row.n; i += kL, x += step) {
    store_bytes<T>(row.y + i, Op::apply(load<T>(x)), 0, kL);
  }
  const int64_t n = row.n - i;
  if (n) store_bytes<T>(row.y + i, Op::apply(load_n<T>(x, n)), 0, n);
}

template <class Op>
Status compare(const Array& a, const Array& b, const Array& y, bool flip = false) {
  static constexpr double kFlip[1] = {1};
  RowFunction f = nullptr;
  switch (a.dtype) {
    case DType::kFloat32: f = compare_row<Op, float>; break;
    case DType::kFloat64: f = compare_row<Op, double>; break;
    case DType::kInt32: f = compare_row<Op, int32_t>; break;
    case DType::kInt64: f = compare_row<Op, int64_t>; break;
    case DType::kInt16: f = compare_row<Op, int16_t>; break;
    case DType::kInt8: f = compare_row<Op, int8_t>; break;
    case DType::kBool:
    case DType::kUInt8: f = compare_row<Op, uint8_t>; break;
    default: return kNoDType;
  }
  const Array* const x[2] = {&a, &b};
  run_rows(f, 2, x, y, flip ? kFlip : nullptr);
  return kDone;
}

template <class Op>
Status classify(const Array& x, const Array& y) {
  const Array* const operand[1] = {&x};
  if (x.dtype == DType::kFloat32) {
    run_rows(classify_row<Op, float>, 1, operand, y);
  } else if (x.dtype == DType::kFloat64) {
    run_rows(classify_row<Op, double>, 1, operand, y);
  } else {
    return kNoDType;
  }
  return kDone;
}

template <class T>
struct Xor {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a ^ b; }
};

// A shift by less than 0 or by all bits gives what shifting out every bit does.
template <class T>
GS_INLINE Mask<T> in_range(Vec<T> by) {
  constexpr T kBits = 8 * sizeof(T);
  return (by >= T(0)) & (by < kBits);
}
template <class T>
struct LeftShift {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> by) const {
    using U = Vec<std::make_unsigned_t<T>>;
    constexpr T kMost = 8 * sizeof(T) - 1;
    return in_range<T>(by) ? (Vec<T>)((U)a << (U)(by & kMost)) : Vec<T>{};
  }
};
template <class T>
struct RightShift {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> by) const {
    constexpr T kMost = 8 * sizeof(T) - 1;
    const Vec<T> all_out = std::is_signed_v<T> ? a >> (kMost - Vec<T>{}) : Vec<T>{};
    return in_range<T>(by) ? a >> (by & kMost) : all_out;
  }
};

// y, but a where that is NaN. (Where b is, no comparison holds: y is b.)
template <class T>
GS_INLINE Vec<T> nan_first(Vec<T> a, Vec<T> y) {
  if constexpr (std::is_floating_point_v<T>) return a != a ? a : y;
  return y;
}

template <class T>
struct Maximum {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return nan_first<T>(a, a > b ? a : b); }
};
template <class T>
struct Minimum {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return nan_first<T>(a, a < b ? a : b); }
};

// grad_y where a > b (and where either is NaN), half of it in a tie.
template <class T>
struct ExtremumBwd {
  GS_INLINE Vec<T> operator()(Vec<T> grad_y, Vec<T> a, Vec<T> b) const {
    const Vec<T> kept = a == b ? grad_y / T(2) : grad_y;
    return a < b ? Vec<T>{} : kept;
  }
};

template <class T>
struct Sign {
  GS_INLINE Vec<T> operator()(Vec<T> x) const {
    const Vec<T> one = splat<T>(T(1));
    return (x > T(0) ? one : Vec<T>{}) - (x < T(0) ? one : Vec<T>{});
  }
};

template <class T>
struct Clamp {
  Vec<T> low, high;
  GS_INLINE explicit Clamp(const double* options)
      : low(splat<T>(static_cast<T>(options[0]))), high(splat<T>(static_cast<T>(options[1]))) {}
  GS_INLINE Vec<T> operator()(Vec<T> x) const {
    const Vec<T> y = x < low ? low : x;
    return y > high ? high : y;
  }
};
template <class T>
struct ClampBwd {
  Vec<T> low, high;
  GS_INLINE explicit ClampBwd(const double* options)
      : low(splat<T>(static_cast<T>(options[0]))), high(splat<T>(static_cast<T>(options[1]))) {}
  GS_INLINE Vec<T> operator()(Vec<T> grad_y, Vec<T> x) const {
    return (x >= low) & (x <= high) ? grad_y : Vec<T>{};
  }
};

// T's bits of a where the condition holds, else of b.
template <class T>
GS_INLINE Vec<T> choose(const uint8_t* condition, const T* a, const T* b, int64_t n) {
  if (n == kLanes<T>) return widen_bytes<T>(condition) != 0 ? load<T>(a) : load<T>(b);
  uint8_t flags[kLanes<T>] = {};
  __builtin_memcpy(flags, condition, static_cast<size_t>(n));
  return widen_bytes<T>(flags) != 0 ? load_n<T>(a, n) : load_n<T>(b, n);
}

template <class T>
void where_row(const Row& row) {
  constexpr int64_t kL = kLanes<T>;
  const uint8_t* condition = reinterpret_cast<const uint8_t*>(row.x[0]);
  const T* a = reinterpret_cast<const T*>(row.x[1]);
  const T* b = reinterpret_cast<const T*>(row.x[2]);
  T* const y = reinterpret_cast<T*>(row.y);
  const int64_t step_c = row.step[0] ? kL : 0;
  const int64_t step_a = row.step[1] ? kL : 0, step_b = row.step[2] ? kL : 0;
  int64_t i = 0;
  for (; i + kL <= row.n; i += kL, condition += step_c, a += step_a, b += step_b) {
    store<T>(y + i, choose<T>(condition, a, b, kL));
  }
  const int64_t n = row.n - i;
  if (n) store_n<T>(y + i, choose<T>(condition, a, b, n), n);
}

enum Types : unsigned { kFloats = 1, kInts = 2, kBools = 4 };

// The row function of Op on N operands of this dtype, if it is among `types`.
template <template <class> class Op, int N, unsigned types>
RowFunction row_for(DType dtype) {
  if constexpr ((types & kFloats) != 0) {
    if (dtype == DType::kFloat32) return row_of<Op<float>, float, N>;
    if (dtype == DType::kFloat64) return row_of<Op<double>, double, N>;
  }
  if constexpr ((types & kInts) != 0) {
    if (dtype == DType::kInt32) return row_of<Op<int32_t>, int32_t, N>;
    if (dtype == DType::kInt64) return row_of<Op<int64_t>, int64_t, N>;
    if (dtype == DType::kInt16) return row_of<Op<int16_t>, int16_t, N>;
    if (dtype == DType::kInt8) return row_of<Op<int8_t>, int8_t, N>;
    if (dtype == DType::kUInt8) return row_of<Op<uint8_t>, uint8_t, N>;
    if (dtype == DType::kBool && (types & kBools) != 0) return row_of<Op<uint8_t>, uint8_t, N>;
  }
  return nullptr;
}

template <template <class> class Op, int N, unsigned types>
Status run(const Array* const (&x)[N], const Array& y, const double* options = nullptr) {
  const RowFunction f = row_for<Op, N, types>(y.dtype);
  if (!f) return kNoDType;
  run_rows(f, N, x, y, options);
  return kDone;
}

}  // namespace

Status eq(const CompareArgs& args) { return compare<Eq>(args.a, args.b, args.y); }
Status ne(const CompareArgs& args) { return compare<Eq>(args.a, args.b, args.y, true); }
Status lt(const CompareArgs& args) { return compare<Lt>(args.a, args.b, args.y); }
Status le(const CompareArgs& args) { return compare<Le>(args.a, args.b, args.y); }
Status gt(const CompareArgs& args) { return compare<Lt>(args.b, args.a, args.y); }
Status ge(const CompareArgs& args) { return compare<Le>(args.b, args.a, args.y); }
Status isinf(const ClassifyArgs& args) { return classify<IsInf>(args.x, args.y); }
Status isfinite(const ClassifyArgs& args) { return classify<IsFinite>(args.x, args.y); }
Status bitwise_and(const ChooseArgs& args) {
  return run<And, 2, kInts | kBools>({&args.a, &args.b}, args.y);
}
Status bitwise_or(const ChooseArgs& args) {
  return run<Or, 2, kInts | kBools>({&args.a, &args.b}, args.y);
}
Status bitwise_xor(const ChooseArgs& args) {
  return run<Xor, 2, kInts | kBools>({&args.a, &args.b}, args.y);
}
Status bitwise_left_shift(const ChooseArgs& args) {
  return run<LeftShift, 2, kInts>({&args.a, &args.b}, args.y);
}
Status bitwise_right_shift(const ChooseArgs& args) {
  return run<RightShift, 2, kInts>({&args.a, &args.b}, args.y);
}
Status minimum(const ChooseArgs& args) {
  return run<Minimum, 2, kFloats | kInts | kBools>({&args.a, &args.b}, args.y);
}
Status maximum(const ChooseArgs& args) {
  return run<Maximum, 2, kFloats | kInts | kBools>({&args.a, &args.b}, args.y);
}
Status extremum_bwd(const ExtremumBwdArgs& args) {
  return run<ExtremumBwd, 3, kFloats>({&args.grad_y, &args.a, &args.b}, args.grad_a);
}
Status sign(const SignArgs& args) {
  return run<Sign, 1, kFloats | kInts | kBools>({&args.x}, args.y);
}
Status clamp(const ClampArgs& args) {
  const double options[2] = {args.low, args.high};
  return run<Clamp, 1, kFloats | kInts>({&args.x}, args.y, options);
}
Status clamp_bwd(const ClampBwdArgs& args) {
  const double options[2] = {args.low, args.high};
  return run<ClampBwd, 2, kFloats>({&args.grad_y, &args.x}, args.grad_x, options);
}
Status where(const WhereArgs& args) {
  if (args.condition.dtype != DType::kBool) return kNoDType;
  const Array* const x[3] = {&args.condition, &args.a, &args.b};
  switch (args.y.dtype) {
    case DType::kBool:
    case DType::kUInt8:
    case DType::kInt8: run_rows(where_row<uint8_t>, 3, x, args.y); break;
    case DType::kInt16:
    case DType::kFloat16:
    case DType::kBFloat16: run_rows(where_row<uint16_t>, 3, x, args.y); break;
    case DType::kInt32:
    case DType::kFloat32: run_rows(where_row<uint32_t>, 3, x, args.y); break;
    default: run_rows(where_row<uint64_t>, 3, x, args.y); break;
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
