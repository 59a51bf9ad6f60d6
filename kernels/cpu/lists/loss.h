// The loss kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct LogSoftmaxArgs {
  Array x;
  int64_t dim;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(LogSoftmaxArgs, x, kContiguous),
        GS_FIELD(LogSoftmaxArgs, dim, kInt),
        GS_OUT(LogSoftmaxArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct LogSoftmaxBwdArgs {
  Array grad_y, y;
  int64_t dim;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(LogSoftmaxBwdArgs, grad_y, kContiguous),
        GS_FIELD(LogSoftmaxBwdArgs, y, kContiguous),
        GS_FIELD(LogSoftmaxBwdArgs, dim, kInt),
        GS_OUT(LogSoftmaxBwdArgs, grad_x, "y", "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct NllLossArgs {
  Array x, target, weight;
  Ints out_shape;
  int64_t ignore_index, reduction;  // 0 none, 1 mean, 2 sum
  Array y, total_weight;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(NllLossArgs, x, kContiguous),
        GS_FIELD(NllLossArgs, target, kIndices),
        GS_FIELD(NllLossArgs, weight, kOptional),
        GS_FIELD(NllLossArgs, out_shape, kInts),
        GS_FIELD(NllLossArgs, ignore_index, kInt),
        GS_FIELD(NllLossArgs, reduction, kInt),
        GS_OUT(NllLossArgs, y, "out_shape", "x"),
        GS_OUT(NllLossArgs, total_weight, "", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct NllLossBwdArgs {
  Array grad_y, target, weight, total_weight;
  Ints x_shape;
  int64_t ignore_index, reduction;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(NllLossBwdArgs, grad_y, kContiguous),
        GS_FIELD(NllLossBwdArgs, target, kIndices),
        GS_FIELD(NllLossBwdArgs, weight, kOptional),
        GS_FIELD(NllLossBwdArgs, total_weight, kContiguous),
        GS_FIELD(NllLossBwdArgs, x_shape, kInts),
        GS_FIELD(NllLossBwdArgs, ignore_index, kInt),
        GS_FIELD(NllLossBwdArgs, reduction, kInt),
        GS_OUT(NllLossBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CrossEntropyArgs {
  Array x, target, weight;
  Ints out_shape, stats_shape;
  bool softmax;
  double smoothing;
  int64_t ignore_index, reduction;
  Array y, stats, total_weight;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CrossEntropyArgs, x, kContiguous),
        GS_FIELD(CrossEntropyArgs, target, kIndices),
        GS_FIELD(CrossEntropyArgs, weight, kOptional),
        GS_FIELD(CrossEntropyArgs, out_shape, kInts),
        GS_FIELD(CrossEntropyArgs, stats_shape, kInts),
        GS_FIELD(CrossEntropyArgs, softmax, kBool),
        GS_FIELD(CrossEntropyArgs, smoothing, kDouble),
        GS_FIELD(CrossEntropyArgs, ignore_index, kInt),
        GS_FIELD(CrossEntropyArgs, reduction, kInt),
        GS_OUT(CrossEntropyArgs, y, "out_shape", "x"),
        GS_OUT(CrossEntropyArgs, stats, "stats_shape", "x"),
        GS_OUT(CrossEntropyArgs, total_weight, "", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CrossEntropyBwdArgs {
  Array grad_y, x, target, weight, stats, total_weight;
  bool softmax;
  double smoothing;
  int64_t ignore_index, reduction;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CrossEntropyBwdArgs, grad_y, kContiguous),
        GS_FIELD(CrossEntropyBwdArgs, x, kContiguous),
        GS_FIELD(CrossEntropyBwdArgs, target, kIndices),
        GS_FIELD(CrossEntropyBwdArgs, weight, kOptional),
        GS_FIELD(CrossEntropyBwdArgs, stats, kContiguous),
        GS_FIELD(CrossEntropyBwdArgs, total_weight, kContiguous),
        GS_FIELD(CrossEntropyBwdArgs, softmax, kBool),
        GS_FIELD(CrossEntropyBwdArgs, smoothing, kDouble),
        GS_FIELD(CrossEntropyBwdArgs, ignore_index, kInt),
        GS_FIELD(CrossEntropyBwdArgs, reduction, kInt),
        GS_OUT(CrossEntropyBwdArgs, grad_x, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_LOSS_KERNELS(X) \
  X(log_softmax, LogSoftmaxArgs) \
  X(log_softmax_bwd, LogSoftmaxBwdArgs) \
  X(nll_loss, NllLossArgs) \
  X(nll_loss_bwd, NllLossBwdArgs) \
  X(cross_entropy, CrossEntropyArgs) \
  X(cross_entropy_bwd, CrossEntropyBwdArgs)
// clang-format on

}  // namespace gradsmith
