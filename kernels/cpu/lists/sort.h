// The sorting kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct SortOrderArgs {
  Array x;
  bool descending;
  Array indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SortOrderArgs, x, kContiguous),
        GS_FIELD(SortOrderArgs, descending, kBool),
        GS_OUT(SortOrderArgs, indices, "x", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct TopkOrderArgs {
  Array x;
  bool largest;
  Ints out_shape;
  Array indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(TopkOrderArgs, x, kContiguous),
        GS_FIELD(TopkOrderArgs, largest, kBool),
        GS_FIELD(TopkOrderArgs, out_shape, kInts),
        GS_OUT(TopkOrderArgs, indices, "out_shape", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_SORT_KERNELS(X) \
  X(sort_order, SortOrderArgs) \
  X(topk_order, TopkOrderArgs)
// clang-format on

}  // namespace gradsmith
