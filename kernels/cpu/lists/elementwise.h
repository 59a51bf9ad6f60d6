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
        GS_OUT(UnaryArgs, y, "x", "x"),
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
  X(relu_bwd, OutputBwdArgs) \
  X(sigmoid_bwd, OutputBwdArgs) \
  X(tanh_bwd, OutputBwdArgs)
// clang-format on

}  // namespace gradsmith
