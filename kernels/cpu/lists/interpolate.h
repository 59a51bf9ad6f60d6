// The interpolation kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

// mode: 0 nearest, 1 nearest-exact, 2 linear, 3 cubic, 4 area; scale 0: from the sizes
struct ResampleArgs {
  Array x;
  int64_t dim;
  Ints out_shape;
  int64_t mode;
  bool align_corners;
  double scale;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ResampleArgs, x, kContiguous),
        GS_FIELD(ResampleArgs, dim, kInt),
        GS_FIELD(ResampleArgs, out_shape, kInts),
        GS_FIELD(ResampleArgs, mode, kInt),
        GS_FIELD(ResampleArgs, align_corners, kBool),
        GS_FIELD(ResampleArgs, scale, kDouble),
        GS_OUT(ResampleArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ResampleBwdArgs {
  Array grad_y;
  int64_t dim;
  Ints x_shape;
  int64_t mode;
  bool align_corners;
  double scale;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ResampleBwdArgs, grad_y, kContiguous),
        GS_FIELD(ResampleBwdArgs, dim, kInt),
        GS_FIELD(ResampleBwdArgs, x_shape, kInts),
        GS_FIELD(ResampleBwdArgs, mode, kInt),
        GS_FIELD(ResampleBwdArgs, align_corners, kBool),
        GS_FIELD(ResampleBwdArgs, scale, kDouble),
        GS_OUT(ResampleBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_INTERPOLATE_KERNELS(X) \
  X(resample, ResampleArgs) \
  X(resample_bwd, ResampleBwdArgs)
// clang-format on

}  // namespace gradsmith
