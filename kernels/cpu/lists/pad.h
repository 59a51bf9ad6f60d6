// The padding kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct PadArgs {
  Array x;
  Ints before;
  int64_t mode;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PadArgs, x, kContiguous),
        GS_FIELD(PadArgs, before, kInts),
        GS_FIELD(PadArgs, mode, kInt),
        GS_FIELD(PadArgs, out_shape, kInts),
        GS_OUT(PadArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PadBwdArgs {
  Array grad_y;
  Ints before;
  int64_t mode;
  Ints x_shape;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PadBwdArgs, grad_y, kContiguous),
        GS_FIELD(PadBwdArgs, before, kInts),
        GS_FIELD(PadBwdArgs, mode, kInt),
        GS_FIELD(PadBwdArgs, x_shape, kInts),
        GS_OUT(PadBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_PAD_KERNELS(X) \
  X(pad, PadArgs) \
  X(pad_bwd, PadBwdArgs)
// clang-format on

}  // namespace gradsmith
