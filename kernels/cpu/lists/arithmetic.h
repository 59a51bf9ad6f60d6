// The arithmetic kernels beside elementwise's: each one's arguments, and the list of them.
#pragma once

#include "elementwise.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct RampArgs {
  Ints shape;
  double start, step, end;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RampArgs, shape, kInts),
        GS_FIELD(RampArgs, start, kDouble),
        GS_FIELD(RampArgs, step, kDouble),
        GS_FIELD(RampArgs, end, kDouble),
        GS_FIELD(RampArgs, dtype, kDType),
        GS_OUT(RampArgs, y, "shape", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_ARITHMETIC_KERNELS(X) \
  X(floor_divide, BinaryArgs) \
  X(remainder, BinaryArgs) \
  X(fmod, BinaryArgs) \
  X(pow, BinaryArgs) \
  X(ramp, RampArgs)
// clang-format on

}  // namespace gradsmith
