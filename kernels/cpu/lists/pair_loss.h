// The pair_loss kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct PairLossArgs {
  Array x, target, weight, other;
  int64_t kind;
  double param;
  Ints out_shape;
  int64_t reduction;  // 0 none, 1 mean, 2 sum
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PairLossArgs, x, kContiguous),
        GS_FIELD(PairLossArgs, target, kContiguous),
        GS_FIELD(PairLossArgs, weight, kOptional),
        GS_FIELD(PairLossArgs, other, kOptional),
        GS_FIELD(PairLossArgs, kind, kInt),
        GS_FIELD(PairLossArgs, param, kDouble),
        GS_FIELD(PairLossArgs, out_shape, kInts),
        GS_FIELD(PairLossArgs, reduction, kInt),
        GS_OUT(PairLossArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PairLossBwdArgs {
  Array grad_y, x, target, weight, other;
  int64_t kind;
  int64_t order;  // 1 x, 2 target, 3 x x, 4 x target, 5 target target
  double param;
  int64_t reduction;
  Array grad;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PairLossBwdArgs, grad_y, kContiguous),
        GS_FIELD(PairLossBwdArgs, x, kContiguous),
        GS_FIELD(PairLossBwdArgs, target, kContiguous),
        GS_FIELD(PairLossBwdArgs, weight, kOptional),
        GS_FIELD(PairLossBwdArgs, other, kOptional),
        GS_FIELD(PairLossBwdArgs, kind, kInt),
        GS_FIELD(PairLossBwdArgs, order, kInt),
        GS_FIELD(PairLossBwdArgs, param, kDouble),
        GS_FIELD(PairLossBwdArgs, reduction, kInt),
        GS_OUT(PairLossBwdArgs, grad, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_PAIR_LOSS_KERNELS(X) \
  X(pair_loss, PairLossArgs) \
  X(pair_loss_bwd, PairLossBwdArgs)
// clang-format on

}  // namespace gradsmith
