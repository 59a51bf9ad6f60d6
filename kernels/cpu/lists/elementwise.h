// The elementwise kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct BinaryArgs {
  Array a, b, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BinaryArgs, a, kOperand),
        GS_FIELD(BinaryArgs, b, kOperand),
        GS_OUT(BinaryArgs, y, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct UnaryArgs {
  Array x, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(UnaryArgs, x, kArray),
        GS_OUT(UnaryArgs, y, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// a + weight * (b - a).
struct LerpArgs {
  Array a, b, weight, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(LerpArgs, a, kOperand),
        GS_FIELD(LerpArgs, b, kOperand),
        GS_FIELD(LerpArgs, weight, kOperand),
        GS_OUT(LerpArgs, y, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// x + value * (a * b) or x + value * (a / b).
struct AddProductArgs {
  Array x, a, b;
  double value;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AddProductArgs, x, kOperand),
        GS_FIELD(AddProductArgs, a, kOperand),
        GS_FIELD(AddProductArgs, b, kOperand),
        GS_FIELD(AddProductArgs, value, kDouble),
        GS_OUT(AddProductArgs, y, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// In C order, whatever grad_y's is.
struct NegBwdArgs {
  Array grad_y, grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(NegBwdArgs, grad_y, kArray),
        GS_OUT(NegBwdArgs, grad_x, "grad_y", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AbsBwdArgs {
  Array grad_y, x, grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AbsBwdArgs, grad_y, kOperand),
        GS_FIELD(AbsBwdArgs, x, kOperand),
        GS_OUT(AbsBwdArgs, grad_x, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// The derivative of an activation, from its output.
struct OutputBwdArgs {
  Array grad_y, y, grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(OutputBwdArgs, grad_y, kOperand),
        GS_FIELD(OutputBwdArgs, y, kOperand),
        GS_OUT(OutputBwdArgs, grad_x, nullptr, "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// signs: a bit an element of x, in C order; signs_shape one int, x's elements / 32, rounded up.
struct ReluSignsArgs {
  Array x;
  Ints signs_shape;
  Array y, signs;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ReluSignsArgs, x, kContiguous),
        GS_FIELD(ReluSignsArgs, signs_shape, kInts),
        GS_OUT(ReluSignsArgs, y, "x", "x"),
        GS_OUT(ReluSignsArgs, signs, "signs_shape", "int32"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ReluSignsBwdArgs {
  Array grad_y, signs, grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ReluSignsBwdArgs, grad_y, kContiguous),
        GS_FIELD(ReluSignsBwdArgs, signs, kIndices),
        GS_OUT(ReluSignsBwdArgs, grad_x, "grad_y", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_ELEMENTWISE_KERNELS(X) \
  X(add, BinaryArgs) \
  X(sub, BinaryArgs) \
  X(mul, BinaryArgs) \
  X(div, BinaryArgs) \
  X(neg, UnaryArgs) \
  X(exp, UnaryArgs) \
  X(log, UnaryArgs) \
  X(relu, UnaryArgs) \
  X(sigmoid, UnaryArgs) \
  X(tanh, UnaryArgs) \
  X(abs, UnaryArgs) \
  X(sqrt, UnaryArgs) \
  X(rsqrt, UnaryArgs) \
  X(square, UnaryArgs) \
  X(reciprocal, UnaryArgs) \
  X(expm1, UnaryArgs) \
  X(log1p, UnaryArgs) \
  X(log2, UnaryArgs) \
  X(sin, UnaryArgs) \
  X(cos, UnaryArgs) \
  X(tan, UnaryArgs) \
  X(erf, UnaryArgs) \
  X(floor, UnaryArgs) \
  X(ceil, UnaryArgs) \
  X(round, UnaryArgs) \
  X(trunc, UnaryArgs) \
  X(lerp, LerpArgs) \
  X(addcmul, AddProductArgs) \
  X(addcdiv, AddProductArgs) \
  X(neg_bwd, NegBwdArgs) \
  X(abs_bwd, AbsBwdArgs) \
  X(relu_bwd, OutputBwdArgs) \
  X(sigmoid_bwd, OutputBwdArgs) \
  X(tanh_bwd, OutputBwdArgs) \
  X(relu_signs, ReluSignsArgs) \
  X(relu_signs_bwd, ReluSignsBwdArgs)
// clang-format on

}  // namespace gradsmith
