// The adaptive pooling kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct AdaptiveAvgPoolArgs {
  Array x;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AdaptiveAvgPoolArgs, x, kContiguous),
        GS_FIELD(AdaptiveAvgPoolArgs, out_shape, kInts),
        GS_OUT(AdaptiveAvgPoolArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AdaptiveAvgPoolBwdArgs {
  Array grad_y;
  Ints x_shape;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AdaptiveAvgPoolBwdArgs, grad_y, kContiguous),
        GS_FIELD(AdaptiveAvgPoolBwdArgs, x_shape, kInts),
        GS_OUT(AdaptiveAvgPoolBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AdaptiveMaxPoolArgs {
  Array x;
  Ints out_shape;
  Array y, indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AdaptiveMaxPoolArgs, x, kContiguous),
        GS_FIELD(AdaptiveMaxPoolArgs, out_shape, kInts),
        GS_OUT(AdaptiveMaxPoolArgs, y, "out_shape", "x"),
        GS_OUT(AdaptiveMaxPoolArgs, indices, "out_shape", "int32"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MaxUnpoolArgs {
  Array x, indices;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxUnpoolArgs, x, kContiguous),
        GS_FIELD(MaxUnpoolArgs, indices, kIndices),
        GS_FIELD(MaxUnpoolArgs, out_shape, kInts),
        GS_OUT(MaxUnpoolArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_ADAPTIVE_KERNELS(X) \
  X(adaptive_avg_pool, AdaptiveAvgPoolArgs) \
  X(adaptive_avg_pool_bwd, AdaptiveAvgPoolBwdArgs) \
  X(adaptive_max_pool, AdaptiveMaxPoolArgs) \
  X(max_unpool, MaxUnpoolArgs)
// clang-format on

}  // namespace gradsmith
