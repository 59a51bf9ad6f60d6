// The distance kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct DistanceArgs {
  Array a;
  Array b;
  double p;
  bool pairs;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(DistanceArgs, a, kContiguous),
        GS_FIELD(DistanceArgs, b, kContiguous),
        GS_FIELD(DistanceArgs, p, kDouble),
        GS_FIELD(DistanceArgs, pairs, kBool),
        GS_FIELD(DistanceArgs, out_shape, kInts),
        GS_OUT(DistanceArgs, y, "out_shape", "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct DistanceBwdArgs {
  Array grad_y;
  Array y;
  Array a;
  Array b;
  double p;
  Array grad_a;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(DistanceBwdArgs, grad_y, kContiguous),
        GS_FIELD(DistanceBwdArgs, y, kContiguous),
        GS_FIELD(DistanceBwdArgs, a, kContiguous),
        GS_FIELD(DistanceBwdArgs, b, kContiguous),
        GS_FIELD(DistanceBwdArgs, p, kDouble),
        GS_OUT(DistanceBwdArgs, grad_a, "a", "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PairsArgs {
  Array x;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PairsArgs, x, kContiguous),
        GS_FIELD(PairsArgs, out_shape, kInts),
        GS_OUT(PairsArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_DISTANCE_KERNELS(X) \
  X(distance, DistanceArgs) \
  X(distance_bwd, DistanceBwdArgs) \
  X(square_form, PairsArgs) \
  X(pair_sum, PairsArgs)
// clang-format on

}  // namespace gradsmith
