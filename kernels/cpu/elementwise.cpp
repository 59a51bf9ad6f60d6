// Elementwise kernels of floating-point numbers: arithmetic, exp, log, relu, sigmoid, tanh and the
// backward of the last three.
//
// y = op(a, b) or op(x), element by element, float32 and float64.
// Layout, Split, Working set: those of the driver, elementwise_rows.cpp.
// Cost: reads each operand once, writes y once.
// Accuracy: + - * / neg relu are exact to rounding; exp, log, tanh, sigmoid as vector_math.h states.
// Limits: 16 dimensions.
#include "elementwise.h"

#include "lists/elementwise.h"
#include "vector_math.h"

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

// Of a gradient a and the output b.
GS_BINARY(ReluBwd, b <= T(0) ? Vec<T>{} : a)  // where y is NaN the gradient passes, as in PyTorch
GS_BINARY(SigmoidBwd, a*(b*(T(1) - b)))
GS_BINARY(TanhBwd, a*(T(1) - b * b))

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

}  // namespace

Status add(const BinaryArgs& args) { return binary<Add>(args); }
Status sub(const BinaryArgs& args) { return binary<Sub>(args); }
Status mul(const BinaryArgs& args) { return binary<Mul>(args); }
Status div(const BinaryArgs& args) { return binary<Div>(args); }
Status neg(const UnaryArgs& args) { return unary<Neg>(args); }
Status exp(const UnaryArgs& args) { return unary<Exp>(args); }
Status log(const UnaryArgs& args) { return unary<Log>(args); }
Status relu(const UnaryArgs& args) { return unary<Relu>(args); }
Status sigmoid(const UnaryArgs& args) { return unary<Sigmoid>(args); }
Status tanh(const UnaryArgs& args) { return unary<Tanh>(args); }
Status relu_bwd(const OutputBwdArgs& args) { return from_output<ReluBwd>(args); }
Status sigmoid_bwd(const OutputBwdArgs& args) { return from_output<SigmoidBwd>(args); }
Status tanh_bwd(const OutputBwdArgs& args) { return from_output<TanhBwd>(args); }

}  // namespace GS_ISA
}  // namespace gradsmith
