// The matmul kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct MatmulArgs {
  Array a, b, bias;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MatmulArgs, a, kArray),
        GS_FIELD(MatmulArgs, b, kArray),
        GS_FIELD(MatmulArgs, bias, kOptional),
        GS_FIELD(MatmulArgs, out_shape, kInts),
        GS_OUT(MatmulArgs, y, "out_shape", "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MatmulEpilogueArgs {
  Array a, b, bias, residual;
  Ints out_shape;
  int64_t activation;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MatmulEpilogueArgs, a, kArray),
        GS_FIELD(MatmulEpilogueArgs, b, kArray),
        GS_FIELD(MatmulEpilogueArgs, bias, kOptional),
        GS_FIELD(MatmulEpilogueArgs, residual, kOptional),
        GS_FIELD(MatmulEpilogueArgs, out_shape, kInts),
        GS_FIELD(MatmulEpilogueArgs, activation, kInt),
        GS_OUT(MatmulEpilogueArgs, y, "out_shape", "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MatmulAddArgs {
  Array a, b, c;
  Ints out_shape;
  double alpha, beta;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MatmulAddArgs, a, kArray),
        GS_FIELD(MatmulAddArgs, b, kArray),
        GS_FIELD(MatmulAddArgs, c, kMaybe),
        GS_FIELD(MatmulAddArgs, out_shape, kInts),
        GS_FIELD(MatmulAddArgs, alpha, kDouble),
        GS_FIELD(MatmulAddArgs, beta, kDouble),
        GS_OUT(MatmulAddArgs, y, "out_shape", "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_MATMUL_KERNELS(X) \
  X(matmul, MatmulArgs) \
  X(matmul_add, MatmulAddArgs) \
  X(matmul_epilogue, MatmulEpilogueArgs)
// clang-format on

}  // namespace gradsmith
