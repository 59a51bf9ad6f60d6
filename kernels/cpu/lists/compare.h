// The comparison kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct CompareArgs {
  Array a, b, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CompareArgs, a, kOperand),
        GS_FIELD(CompareArgs, b, kOperand),
        GS_OUT(CompareArgs, y, nullptr, "bool"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ClassifyArgs {
  Array x, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ClassifyArgs, x, kArray),
        GS_OUT(ClassifyArgs, y, nullptr, "bool"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// Two operands, a result of their dtype.
struct ChooseArgs {
  Array a, b, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ChooseArgs, a, kOperand),
        GS_FIELD(ChooseArgs, b, kOperand),
        GS_OUT(ChooseArgs, y, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct WhereArgs {
  Array condition, a, b, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(WhereArgs, condition, kMask),
        GS_FIELD(WhereArgs, a, kOperand),
        GS_FIELD(WhereArgs, b, kOperand),
        GS_OUT(WhereArgs, y, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ExtremumBwdArgs {
  Array grad_y, a, b, grad_a;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ExtremumBwdArgs, grad_y, kOperand),
        GS_FIELD(ExtremumBwdArgs, a, kOperand),
        GS_FIELD(ExtremumBwdArgs, b, kOperand),
        GS_OUT(ExtremumBwdArgs, grad_a, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct SignArgs {
  Array x, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SignArgs, x, kArray),
        GS_OUT(SignArgs, y, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ClampArgs {
  Array x;
  double low, high;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ClampArgs, x, kArray),
        GS_FIELD(ClampArgs, low, kDouble),
        GS_FIELD(ClampArgs, high, kDouble),
        GS_OUT(ClampArgs, y, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ClampBwdArgs {
  Array grad_y, x;
  double low, high;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ClampBwdArgs, grad_y, kOperand),
        GS_FIELD(ClampBwdArgs, x, kOperand),
        GS_FIELD(ClampBwdArgs, low, kDouble),
        GS_FIELD(ClampBwdArgs, high, kDouble),
        GS_OUT(ClampBwdArgs, grad_x, nullptr, "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_COMPARE_KERNELS(X) \
  X(eq, CompareArgs) \
  X(ne, CompareArgs) \
  X(lt, CompareArgs) \
  X(le, CompareArgs) \
  X(gt, CompareArgs) \
  X(ge, CompareArgs) \
  X(isinf, ClassifyArgs) \
  X(isfinite, ClassifyArgs) \
  X(bitwise_and, ChooseArgs) \
  X(bitwise_or, ChooseArgs) \
  X(bitwise_xor, ChooseArgs) \
  X(bitwise_left_shift, ChooseArgs) \
  X(bitwise_right_shift, ChooseArgs) \
  X(minimum, ChooseArgs) \
  X(maximum, ChooseArgs) \
  X(extremum_bwd, ExtremumBwdArgs) \
  X(where, WhereArgs) \
  X(sign, SignArgs) \
  X(clamp, ClampArgs) \
  X(clamp_bwd, ClampBwdArgs)
// clang-format on

}  // namespace gradsmith
