// The softmax kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct SoftmaxArgs {
  Array x;
  int64_t dim;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SoftmaxArgs, x, kContiguous),
        GS_FIELD(SoftmaxArgs, dim, kInt),
        GS_OUT(SoftmaxArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct SoftmaxBwdArgs {
  Array grad_y, y;
  int64_t dim;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SoftmaxBwdArgs, grad_y, kContiguous),
        GS_FIELD(SoftmaxBwdArgs, y, kContiguous),
        GS_FIELD(SoftmaxBwdArgs, dim, kInt),
        GS_OUT(SoftmaxBwdArgs, grad_x, "y", "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_SOFTMAX_KERNELS(X) \
  X(softmax, SoftmaxArgs) \
  X(softmax_bwd, SoftmaxBwdArgs)
// clang-format on

}  // namespace gradsmith
