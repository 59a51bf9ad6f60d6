// The arithmetic kernels beside elementwise's: each one's arguments, and the list of them.
#pragma once

#include "elementwise.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

#define GS_ARITHMETIC_KERNELS(X) \
  X(floor_divide, BinaryArgs) \
  X(remainder, BinaryArgs) \
  X(fmod, BinaryArgs) \
  X(pow, BinaryArgs)
// clang-format on

}  // namespace gradsmith
