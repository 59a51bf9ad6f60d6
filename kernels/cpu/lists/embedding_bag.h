// The kernels of embedding_bag: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct BagSumArgs {
  Array weight, index, offsets, factor;
  int64_t skip;
  bool mean;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BagSumArgs, weight, kContiguous),
        GS_FIELD(BagSumArgs, index, kIndices),
        GS_FIELD(BagSumArgs, offsets, kIndices),
        GS_FIELD(BagSumArgs, factor, kOptional),
        GS_FIELD(BagSumArgs, skip, kInt),
        GS_FIELD(BagSumArgs, mean, kBool),
        GS_FIELD(BagSumArgs, out_shape, kInts),
        GS_OUT(BagSumArgs, y, "out_shape", "weight"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct BagSumBwdArgs {
  Array grad_y, index, offsets, factor;
  int64_t skip;
  bool mean;
  Ints weight_shape;
  Array grad_weight;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BagSumBwdArgs, grad_y, kContiguous),
        GS_FIELD(BagSumBwdArgs, index, kIndices),
        GS_FIELD(BagSumBwdArgs, offsets, kIndices),
        GS_FIELD(BagSumBwdArgs, factor, kOptional),
        GS_FIELD(BagSumBwdArgs, skip, kInt),
        GS_FIELD(BagSumBwdArgs, mean, kBool),
        GS_FIELD(BagSumBwdArgs, weight_shape, kInts),
        GS_OUT(BagSumBwdArgs, grad_weight, "weight_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct BagDotArgs {
  Array grad_y, weight, index, offsets;
  int64_t skip;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BagDotArgs, grad_y, kContiguous),
        GS_FIELD(BagDotArgs, weight, kContiguous),
        GS_FIELD(BagDotArgs, index, kIndices),
        GS_FIELD(BagDotArgs, offsets, kIndices),
        GS_FIELD(BagDotArgs, skip, kInt),
        GS_FIELD(BagDotArgs, out_shape, kInts),
        GS_OUT(BagDotArgs, y, "out_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_EMBEDDING_BAG_KERNELS(X) \
  X(bag_sum, BagSumArgs) \
  X(bag_sum_bwd, BagSumBwdArgs) \
  X(bag_dot, BagDotArgs)
// clang-format on

}  // namespace gradsmith
