// Elementwise kernels of floating-point numbers: arithmetic, the elementary functions, rounding, lerp,
// addcmul, addcdiv, relu, sigmoid, tanh, and the backward of the last three, of neg and of abs.
//
// y = op(a, b) or op(x), element by element, float32 and float64.
// Layout, Split, Working set: those of the driver, elementwise_rows.cpp.
// Cost: reads each operand once, writes y once.
// Accuracy: + - * / neg abs sqrt square reciprocal relu and the rounding are exact to rounding, rsqrt
//   is within 1.5 ULP; the others as vector_math.h and vector_trig.h state.
// Limits: 16 dimensions.
#include "elementwise.h"
#include "arithmetic.h"

#include "lists/elementwise.h"
#include "vector_math.h"
#include "vector_trig.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// An operation of one, two or three operands: its value, in vectors of T.
#define GS_UNARY(Name, value)                                     \
  template <class T>                                              \
  struct Name {                                                   \
    GS_INLINE Vec<T> operator()(Vec<T> x) const { return value; } \
  };
#define GS_BINARY(Name, value)                                              \
  template <class T>                                                        \
  struct Name {                                                             \
    GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return value; } \
  };

GS_BINARY(Add, a + b)
GS_BINARY(Sub, a - b)
GS_BINARY(Mul, a* b)
GS_BINARY(Div, a / b)
GS_UNARY(Neg, -x)
GS_UNARY(Exp, vexp<T>(x))
GS_UNARY(Log, vlog<T>(x))
GS_UNARY(Relu, x <= T(0) ? Vec<T>{} : x)  // NaN compares false and stays, as in PyTorch
GS_UNARY(Sigmoid, vsigmoid<T>(x))
GS_UNARY(Tanh, vtanh<T>(x))

GS_UNARY(Abs, vabs<T>(x))
GS_UNARY(Sqrt, vsqrt(x))
GS_UNARY(Rsqrt, vrsqrt<T>(x))
GS_UNARY(Square, x* x)
GS_UNARY(Reciprocal, T(1) / x)
GS_UNARY(Expm1, vexpm1<T>(x))
GS_UNARY(Log1p, vlog1p<T>(x))
GS_UNARY(Log2, vlog2<T>(x))
GS_UNARY(Sin, vsin(x))
GS_UNARY(Cos, vcos(x))
GS_UNARY(Tan, vtan<T>(x))
GS_UNARY(Erf, verf<T>(x))
GS_UNARY(Floor, vfloor(x))
GS_UNARY(Ceil, vceil(x))
GS_UNARY(Round, vround(x))
GS_UNARY(Trunc, vtrunc(x))

// Of a gradient a and the input b.
GS_BINARY(AbsBwd, b > T(0) ? a : (b < T(0) ? -a : Vec<T>{}))
// Of a gradient a and the output b.
GS_BINARY(ReluBwd, b <= T(0) ? Vec<T>{} : a)  // where y is NaN the gradient passes, as in PyTorch
GS_BINARY(SigmoidBwd, a*(b*(T(1) - b)))
GS_BINARY(TanhBwd, a*(T(1) - b * b))

// a + w (b - a), from the nearer end, so that w = 1 gives b.
template <class T>
struct Lerp {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b, Vec<T> w) const {
    const Vec<T> range = b - a;
    const IVec<T> near_a = vabs<T>(w) < T(0.5);
    return near_a ? a + w * range : b - range * (T(1) - w);
  }
};

// x + value * (a * b), and x + value * (a / b).
template <class T>
struct Addcmul {
  T value;
  explicit Addcmul(const double* options) : value(static_cast<T>(options[0])) {}
  GS_INLINE Vec<T> operator()(Vec<T> x, Vec<T> a, Vec<T> b) const { return x + value * (a * b); }
};
template <class T>
struct Addcdiv {
  T value;
  explicit Addcdiv(const double* options) : value(static_cast<T>(options[0])) {}
  GS_INLINE Vec<T> operator()(Vec<T> x, Vec<T> a, Vec<T> b) const { return x + value * (a / b); }
};

// The longer functions take one vector at a time: the processor overlaps them by itself.
template <template <class> class Op>
Status one_by_one(const UnaryArgs& args) {
  return float_rows<Op, 1, 1>({&args.x}, args.y);
}
template <template <class> class Op>
Status unary(const UnaryArgs& args) {
  return float_rows<Op, 1>({&args.x}, args.y);
}
template <template <class> class Op>
Status binary(const BinaryArgs& args) {
  return float_rows<Op, 2>({&args.a, &args.b}, args.y);
}
template <template <class> class Op>
Status from_output(const OutputBwdArgs& args) {
  return float_rows<Op, 2>({&args.grad_y, &args.y}, args.grad_x);
}

template <template <class> class Op>
Status with_value(const AddProductArgs& args) {
  return float_rows<Op, 3>({&args.x, &args.a, &args.b}, args.y, &args.value);
}

bool is_float(const Array& y) { return y.dtype == DType::kFloat32 || y.dtype == DType::kFloat64; }

}  // namespace

Status add(const BinaryArgs& args) {
  return is_float(args.y) ? binary<Add>(args) : integer_add(args);
}
Status sub(const BinaryArgs& args) {
  return is_float(args.y) ? binary<Sub>(args) : integer_sub(args);
}
Status mul(const BinaryArgs& args) {
  return is_float(args.y) ? binary<Mul>(args) : integer_mul(args);
}
Status div(const BinaryArgs& args) { return binary<Div>(args); }
Status neg(const UnaryArgs& args) {
  return is_float(args.y) ? unary<Neg>(args) : integer_neg(args);
}
Status exp(const UnaryArgs& args) { return unary<Exp>(args); }
Status log(const UnaryArgs& args) { return unary<Log>(args); }
Status relu(const UnaryArgs& args) { return unary<Relu>(args); }
Status sigmoid(const UnaryArgs& args) { return unary<Sigmoid>(args); }
Status tanh(const UnaryArgs& args) { return unary<Tanh>(args); }
Status abs(const UnaryArgs& args) {
  return is_float(args.y) ? unary<Abs>(args) : integer_abs(args);
}
Status sqrt(const UnaryArgs& args) { return unary<Sqrt>(args); }
Status rsqrt(const UnaryArgs& args) { return unary<Rsqrt>(args); }
Status square(const UnaryArgs& args) { return unary<Square>(args); }
Status reciprocal(const UnaryArgs& args) { return unary<Reciprocal>(args); }
Status expm1(const UnaryArgs& args) { return one_by_one<Expm1>(args); }
Status log1p(const UnaryArgs& args) { return one_by_one<Log1p>(args); }
Status log2(const UnaryArgs& args) { return one_by_one<Log2>(args); }
Status sin(const UnaryArgs& args) { return one_by_one<Sin>(args); }
Status cos(const UnaryArgs& args) { return one_by_one<Cos>(args); }
Status tan(const UnaryArgs& args) { return one_by_one<Tan>(args); }
Status erf(const UnaryArgs& args) { return one_by_one<Erf>(args); }
Status floor(const UnaryArgs& args) { return unary<Floor>(args); }
Status ceil(const UnaryArgs& args) { return unary<Ceil>(args); }
Status round(const UnaryArgs& args) { return unary<Round>(args); }
Status trunc(const UnaryArgs& args) { return unary<Trunc>(args); }
Status lerp(const LerpArgs& args) {
  return float_rows<Lerp, 3>({&args.a, &args.b, &args.weight}, args.y);
}
Status addcmul(const AddProductArgs& args) { return with_value<Addcmul>(args); }
Status addcdiv(const AddProductArgs& args) { return with_value<Addcdiv>(args); }
Status neg_bwd(const NegBwdArgs& args) { return unary<Neg>({args.grad_y, args.grad_x}); }
Status abs_bwd(const AbsBwdArgs& args) {
  return float_rows<AbsBwd, 2>({&args.grad_y, &args.x}, args.grad_x);
}
Status relu_bwd(const OutputBwdArgs& args) { return from_output<ReluBwd>(args); }
Status sigmoid_bwd(const OutputBwdArgs& args) { return from_output<SigmoidBwd>(args); }
Status tanh_bwd(const OutputBwdArgs& args) { return from_output<TanhBwd>(args); }

}  // namespace GS_ISA
}  // namespace gradsmith
