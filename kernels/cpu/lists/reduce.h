// The reduce kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct ReduceArgs {
  Array x;
  Ints dims, out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ReduceArgs, x, kArray),
        GS_FIELD(ReduceArgs, dims, kInts),
        GS_FIELD(ReduceArgs, out_shape, kInts),
        GS_OUT(ReduceArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AmaxWeightArgs {
  Array x, y, w;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AmaxWeightArgs, x, kContiguous),
        GS_FIELD(AmaxWeightArgs, y, kContiguous),
        GS_OUT(AmaxWeightArgs, w, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MaxDimArgs {
  Array x;
  int64_t dim;
  Ints out_shape;
  Array values, indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxDimArgs, x, kContiguous),
        GS_FIELD(MaxDimArgs, dim, kInt),
        GS_FIELD(MaxDimArgs, out_shape, kInts),
        GS_OUT(MaxDimArgs, values, "out_shape", "x"),
        GS_OUT(MaxDimArgs, indices, "out_shape", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct VarArgs {
  Array x;
  Ints dims;
  double correction;
  bool root;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(VarArgs, x, kArray),
        GS_FIELD(VarArgs, dims, kInts),
        GS_FIELD(VarArgs, correction, kDouble),
        GS_FIELD(VarArgs, root, kBool),
        GS_FIELD(VarArgs, out_shape, kInts),
        GS_OUT(VarArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct SumExpArgs {
  Array x, center;
  Ints dims, out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SumExpArgs, x, kArray),
        GS_FIELD(SumExpArgs, center, kContiguous),
        GS_FIELD(SumExpArgs, dims, kInts),
        GS_FIELD(SumExpArgs, out_shape, kInts),
        GS_OUT(SumExpArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_REDUCE_KERNELS(X) \
  X(sum, ReduceArgs) \
  X(prod, ReduceArgs) \
  X(mean, ReduceArgs) \
  X(amax, ReduceArgs) \
  X(amin, ReduceArgs) \
  X(any, ReduceArgs) \
  X(all, ReduceArgs) \
  X(amax_weight, AmaxWeightArgs) \
  X(max_dim, MaxDimArgs) \
  X(min_dim, MaxDimArgs) \
  X(var, VarArgs) \
  X(sum_squares, ReduceArgs) \
  X(sum_exp, SumExpArgs)
// clang-format on

}  // namespace gradsmith
