// The epilogue kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct ConvEpilogueArgs {
  Array x, weight, bias, residual;
  Ints out_shape, stride, padding, dilation;
  int64_t groups, activation;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ConvEpilogueArgs, x, kContiguous),
        GS_FIELD(ConvEpilogueArgs, weight, kContiguous),
        GS_FIELD(ConvEpilogueArgs, bias, kOptional),
        GS_FIELD(ConvEpilogueArgs, residual, kOptional),
        GS_FIELD(ConvEpilogueArgs, out_shape, kInts),
        GS_FIELD(ConvEpilogueArgs, stride, kInts),
        GS_FIELD(ConvEpilogueArgs, padding, kInts),
        GS_FIELD(ConvEpilogueArgs, dilation, kInts),
        GS_FIELD(ConvEpilogueArgs, groups, kInt),
        GS_FIELD(ConvEpilogueArgs, activation, kInt),
        GS_OUT(ConvEpilogueArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct EpilogueBwdArgs {
  Array grad_y, value;
  Ints sums_shape;
  int64_t dim, activation;
  Array grad_z, sums;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(EpilogueBwdArgs, grad_y, kContiguous),
        GS_FIELD(EpilogueBwdArgs, value, kContiguous),
        GS_FIELD(EpilogueBwdArgs, sums_shape, kInts),
        GS_FIELD(EpilogueBwdArgs, dim, kInt),
        GS_FIELD(EpilogueBwdArgs, activation, kInt),
        GS_OUT(EpilogueBwdArgs, grad_z, "value", "grad_y"),
        GS_OUT(EpilogueBwdArgs, sums, "sums_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_EPILOGUE_KERNELS(X) \
  X(conv_epilogue, ConvEpilogueArgs) \
  X(epilogue_bwd, EpilogueBwdArgs)
// clang-format on

}  // namespace gradsmith
