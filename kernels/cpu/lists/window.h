// The window kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct UnfoldArgs {
  Array x;
  Ints kernel, stride, padding, dilation, out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(UnfoldArgs, x, kContiguous),
        GS_FIELD(UnfoldArgs, kernel, kInts),
        GS_FIELD(UnfoldArgs, stride, kInts),
        GS_FIELD(UnfoldArgs, padding, kInts),
        GS_FIELD(UnfoldArgs, dilation, kInts),
        GS_FIELD(UnfoldArgs, out_shape, kInts),
        GS_OUT(UnfoldArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_WINDOW_KERNELS(X) \
  X(unfold, UnfoldArgs) \
  X(fold, UnfoldArgs)
// clang-format on

}  // namespace gradsmith
