// The pool kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct MaxPoolArgs {
  Array x;
  Ints out_shape, kernel, stride, padding, dilation;
  Array y, indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxPoolArgs, x, kContiguous),
        GS_FIELD(MaxPoolArgs, out_shape, kInts),
        GS_FIELD(MaxPoolArgs, kernel, kInts),
        GS_FIELD(MaxPoolArgs, stride, kInts),
        GS_FIELD(MaxPoolArgs, padding, kInts),
        GS_FIELD(MaxPoolArgs, dilation, kInts),
        GS_OUT(MaxPoolArgs, y, "out_shape", "x"),
        GS_OUT(MaxPoolArgs, indices, "out_shape", "int32"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MaxPoolBwdArgs {
  Array grad_y, indices;
  Ints x_shape, kernel, stride, padding, dilation;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxPoolBwdArgs, grad_y, kContiguous),
        GS_FIELD(MaxPoolBwdArgs, indices, kIndices),
        GS_FIELD(MaxPoolBwdArgs, x_shape, kInts),
        GS_FIELD(MaxPoolBwdArgs, kernel, kInts),
        GS_FIELD(MaxPoolBwdArgs, stride, kInts),
        GS_FIELD(MaxPoolBwdArgs, padding, kInts),
        GS_FIELD(MaxPoolBwdArgs, dilation, kInts),
        GS_OUT(MaxPoolBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MaxPoolGatherArgs {
  Array x, indices, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxPoolGatherArgs, x, kContiguous),
        GS_FIELD(MaxPoolGatherArgs, indices, kIndices),
        GS_OUT(MaxPoolGatherArgs, y, "indices", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AvgPoolArgs {
  Array x;
  Ints out_shape, kernel, stride, padding;
  bool count_include_pad;
  int64_t divisor;  // 0: the window's size
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AvgPoolArgs, x, kContiguous),
        GS_FIELD(AvgPoolArgs, out_shape, kInts),
        GS_FIELD(AvgPoolArgs, kernel, kInts),
        GS_FIELD(AvgPoolArgs, stride, kInts),
        GS_FIELD(AvgPoolArgs, padding, kInts),
        GS_FIELD(AvgPoolArgs, count_include_pad, kBool),
        GS_FIELD(AvgPoolArgs, divisor, kInt),
        GS_OUT(AvgPoolArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AvgPoolBwdArgs {
  Array grad_y;
  Ints x_shape, kernel, stride, padding;
  bool count_include_pad;
  int64_t divisor;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AvgPoolBwdArgs, grad_y, kContiguous),
        GS_FIELD(AvgPoolBwdArgs, x_shape, kInts),
        GS_FIELD(AvgPoolBwdArgs, kernel, kInts),
        GS_FIELD(AvgPoolBwdArgs, stride, kInts),
        GS_FIELD(AvgPoolBwdArgs, padding, kInts),
        GS_FIELD(AvgPoolBwdArgs, count_include_pad, kBool),
        GS_FIELD(AvgPoolBwdArgs, divisor, kInt),
        GS_OUT(AvgPoolBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_POOL_KERNELS(X) \
  X(max_pool, MaxPoolArgs) \
  X(max_pool_bwd, MaxPoolBwdArgs) \
  X(max_pool_gather, MaxPoolGatherArgs) \
  X(avg_pool, AvgPoolArgs) \
  X(avg_pool_bwd, AvgPoolBwdArgs)
// clang-format on

}  // namespace gradsmith
