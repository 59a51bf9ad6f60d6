// The activation kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

// f(x); `kind` is f's place in ACTIVATIONS, a, b and c are its options.
struct ActivationArgs {
  Array x;
  int64_t kind;
  double a, b, c;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ActivationArgs, x, kArray),
        GS_FIELD(ActivationArgs, kind, kInt),
        GS_FIELD(ActivationArgs, a, kDouble),
        GS_FIELD(ActivationArgs, b, kDouble),
        GS_FIELD(ActivationArgs, c, kDouble),
        GS_OUT(ActivationArgs, y, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// grad_y f'(x).
struct ActivationBwdArgs {
  Array grad_y, x;
  int64_t kind;
  double a, b, c;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ActivationBwdArgs, grad_y, kOperand),
        GS_FIELD(ActivationBwdArgs, x, kOperand),
        GS_FIELD(ActivationBwdArgs, kind, kInt),
        GS_FIELD(ActivationBwdArgs, a, kDouble),
        GS_FIELD(ActivationBwdArgs, b, kDouble),
        GS_FIELD(ActivationBwdArgs, c, kDouble),
        GS_OUT(ActivationBwdArgs, grad_x, nullptr, "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// grad grad_y f''(x).
struct ActivationBwdBwdArgs {
  Array grad, grad_y, x;
  int64_t kind;
  double a, b, c;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ActivationBwdBwdArgs, grad, kOperand),
        GS_FIELD(ActivationBwdBwdArgs, grad_y, kOperand),
        GS_FIELD(ActivationBwdBwdArgs, x, kOperand),
        GS_FIELD(ActivationBwdBwdArgs, kind, kInt),
        GS_FIELD(ActivationBwdBwdArgs, a, kDouble),
        GS_FIELD(ActivationBwdBwdArgs, b, kDouble),
        GS_FIELD(ActivationBwdBwdArgs, c, kDouble),
        GS_OUT(ActivationBwdBwdArgs, y, nullptr, "grad"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// x > 0 ? x : weight x.
struct PreluArgs {
  Array x, weight;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PreluArgs, x, kOperand),
        GS_FIELD(PreluArgs, weight, kOperand),
        GS_OUT(PreluArgs, y, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// x > 0 ? grad_y : weight grad_y.
struct PreluBwdArgs {
  Array grad_y, x, weight;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PreluBwdArgs, grad_y, kOperand),
        GS_FIELD(PreluBwdArgs, x, kOperand),
        GS_FIELD(PreluBwdArgs, weight, kOperand),
        GS_OUT(PreluBwdArgs, grad_x, nullptr, "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// x > 0 ? 0 : u v.
struct NegativeProductArgs {
  Array u, v, x;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(NegativeProductArgs, u, kOperand),
        GS_FIELD(NegativeProductArgs, v, kOperand),
        GS_FIELD(NegativeProductArgs, x, kOperand),
        GS_OUT(NegativeProductArgs, y, nullptr, "u"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// a / (1 + e^-b).
struct GateArgs {
  Array a, b;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(GateArgs, a, kOperand),
        GS_FIELD(GateArgs, b, kOperand),
        GS_OUT(GateArgs, y, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct GateBwdArgs {
  Array grad_y, a, b;
  Array grad_b;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(GateBwdArgs, grad_y, kOperand),
        GS_FIELD(GateBwdArgs, a, kOperand),
        GS_FIELD(GateBwdArgs, b, kOperand),
        GS_OUT(GateBwdArgs, grad_b, nullptr, "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_ACTIVATION_KERNELS(X) \
  X(activation, ActivationArgs) \
  X(activation_bwd, ActivationBwdArgs) \
  X(activation_bwd_bwd, ActivationBwdBwdArgs) \
  X(prelu, PreluArgs) \
  X(prelu_bwd, PreluBwdArgs) \
  X(negative_product, NegativeProductArgs) \
  X(gate, GateArgs) \
  X(gate_bwd, GateBwdArgs)
// clang-format on

}  // namespace gradsmith
