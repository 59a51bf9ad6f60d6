// The scan kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct CumArgs {
  Array x;
  int64_t dim;
  bool reverse, exclusive;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CumArgs, x, kContiguous),
        GS_FIELD(CumArgs, dim, kInt),
        GS_FIELD(CumArgs, reverse, kBool),
        GS_FIELD(CumArgs, exclusive, kBool),
        GS_OUT(CumArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct RecurrenceArgs {
  Array a, b;
  int64_t dim;
  bool reverse;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RecurrenceArgs, a, kContiguous),
        GS_FIELD(RecurrenceArgs, b, kContiguous),
        GS_FIELD(RecurrenceArgs, dim, kInt),
        GS_FIELD(RecurrenceArgs, reverse, kBool),
        GS_OUT(RecurrenceArgs, y, "b", "b"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ProdBwdArgs {
  Array grad_y, x, grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ProdBwdArgs, grad_y, kContiguous),
        GS_FIELD(ProdBwdArgs, x, kContiguous),
        GS_OUT(ProdBwdArgs, grad_x, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_SCAN_KERNELS(X) \
  X(cumsum, CumArgs) \
  X(cumprod, CumArgs) \
  X(recurrence, RecurrenceArgs) \
  X(prod_bwd, ProdBwdArgs)
// clang-format on

}  // namespace gradsmith
