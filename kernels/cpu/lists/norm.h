// The normalisation kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct BatchNormArgs {
  Array x, weight, bias;
  Ints stats_shape;
  double eps;
  Array y, mean, var;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BatchNormArgs, x, kContiguous),
        GS_FIELD(BatchNormArgs, weight, kOptional),
        GS_FIELD(BatchNormArgs, bias, kOptional),
        GS_FIELD(BatchNormArgs, stats_shape, kInts),
        GS_FIELD(BatchNormArgs, eps, kDouble),
        GS_OUT(BatchNormArgs, y, "x", "x"),
        GS_OUT(BatchNormArgs, mean, "stats_shape", "x"),
        GS_OUT(BatchNormArgs, var, "stats_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct BatchNormBwdArgs {
  Array grad_y, x, weight, mean, var;
  double eps;
  bool training;
  Array grad_x, grad_weight, grad_bias;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BatchNormBwdArgs, grad_y, kContiguous),
        GS_FIELD(BatchNormBwdArgs, x, kContiguous),
        GS_FIELD(BatchNormBwdArgs, weight, kOptional),
        GS_FIELD(BatchNormBwdArgs, mean, kContiguous),
        GS_FIELD(BatchNormBwdArgs, var, kContiguous),
        GS_FIELD(BatchNormBwdArgs, eps, kDouble),
        GS_FIELD(BatchNormBwdArgs, training, kBool),
        GS_OUT(BatchNormBwdArgs, grad_x, "x", "x"),
        GS_OUT(BatchNormBwdArgs, grad_weight, "mean", "x"),
        GS_OUT(BatchNormBwdArgs, grad_bias, "mean", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct BatchNormEvalArgs {
  Array x, weight, bias, mean, var;
  double eps;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BatchNormEvalArgs, x, kContiguous),
        GS_FIELD(BatchNormEvalArgs, weight, kOptional),
        GS_FIELD(BatchNormEvalArgs, bias, kOptional),
        GS_FIELD(BatchNormEvalArgs, mean, kOptional),
        GS_FIELD(BatchNormEvalArgs, var, kContiguous),
        GS_FIELD(BatchNormEvalArgs, eps, kDouble),
        GS_OUT(BatchNormEvalArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct BatchNormUpdateArgs {
  Array running_mean, running_var, mean, var;
  double momentum;
  int64_t count;  // elements a channel
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BatchNormUpdateArgs, running_mean, kInPlace),
        GS_FIELD(BatchNormUpdateArgs, running_var, kInPlace),
        GS_FIELD(BatchNormUpdateArgs, mean, kContiguous),
        GS_FIELD(BatchNormUpdateArgs, var, kContiguous),
        GS_FIELD(BatchNormUpdateArgs, momentum, kDouble),
        GS_FIELD(BatchNormUpdateArgs, count, kInt),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// Row r of x is weighted by weight[(r % groups) * (D / inner) + j / inner], D being its length.
struct RowNormArgs {
  Array x, weight, bias;
  Ints stats_shape;
  int64_t groups, inner;
  double eps;
  bool centered;
  Array y, mean, var;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RowNormArgs, x, kContiguous),
        GS_FIELD(RowNormArgs, weight, kOptional),
        GS_FIELD(RowNormArgs, bias, kOptional),
        GS_FIELD(RowNormArgs, stats_shape, kInts),
        GS_FIELD(RowNormArgs, groups, kInt),
        GS_FIELD(RowNormArgs, inner, kInt),
        GS_FIELD(RowNormArgs, eps, kDouble),
        GS_FIELD(RowNormArgs, centered, kBool),
        GS_OUT(RowNormArgs, y, "x", "x"),
        GS_OUT(RowNormArgs, mean, "stats_shape", "x"),
        GS_OUT(RowNormArgs, var, "stats_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct RowNormBwdArgs {
  Array grad_y, x, weight, mean, var;
  Ints weight_shape;  // of the gradients; without elements: they are not wanted
  int64_t groups, inner;
  double eps;
  bool centered;
  Array grad_x, grad_weight, grad_bias;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RowNormBwdArgs, grad_y, kContiguous),
        GS_FIELD(RowNormBwdArgs, x, kContiguous),
        GS_FIELD(RowNormBwdArgs, weight, kOptional),
        GS_FIELD(RowNormBwdArgs, mean, kContiguous),
        GS_FIELD(RowNormBwdArgs, var, kContiguous),
        GS_FIELD(RowNormBwdArgs, weight_shape, kInts),
        GS_FIELD(RowNormBwdArgs, groups, kInt),
        GS_FIELD(RowNormBwdArgs, inner, kInt),
        GS_FIELD(RowNormBwdArgs, eps, kDouble),
        GS_FIELD(RowNormBwdArgs, centered, kBool),
        GS_OUT(RowNormBwdArgs, grad_x, "x", "x"),
        GS_OUT(RowNormBwdArgs, grad_weight, "weight_shape", "x"),
        GS_OUT(RowNormBwdArgs, grad_bias, "weight_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_NORM_KERNELS(X) \
  X(batch_norm, BatchNormArgs) \
  X(batch_norm_bwd, BatchNormBwdArgs) \
  X(batch_norm_eval, BatchNormEvalArgs) \
  X(batch_norm_update, BatchNormUpdateArgs) \
  X(row_norm, RowNormArgs) \
  X(row_norm_bwd, RowNormBwdArgs)
// clang-format on

}  // namespace gradsmith
