// The conv kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct ConvEpilogue;

struct ConvFwdArgs {
  Array x, weight, bias;
  Ints out_shape, stride, padding, dilation;
  int64_t groups;
  Array y;
  const ConvEpilogue* epilogue = nullptr;  // no argument: conv_fwd() sets it
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ConvFwdArgs, x, kContiguous),
        GS_FIELD(ConvFwdArgs, weight, kContiguous),
        GS_FIELD(ConvFwdArgs, bias, kOptional),
        GS_FIELD(ConvFwdArgs, out_shape, kInts),
        GS_FIELD(ConvFwdArgs, stride, kInts),
        GS_FIELD(ConvFwdArgs, padding, kInts),
        GS_FIELD(ConvFwdArgs, dilation, kInts),
        GS_FIELD(ConvFwdArgs, groups, kInt),
        GS_OUT(ConvFwdArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ConvBwdInputArgs {
  Array grad_y, weight, bias;
  Ints x_shape, stride, padding, dilation;
  int64_t groups;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ConvBwdInputArgs, grad_y, kContiguous),
        GS_FIELD(ConvBwdInputArgs, weight, kContiguous),
        GS_FIELD(ConvBwdInputArgs, bias, kOptional),
        GS_FIELD(ConvBwdInputArgs, x_shape, kInts),
        GS_FIELD(ConvBwdInputArgs, stride, kInts),
        GS_FIELD(ConvBwdInputArgs, padding, kInts),
        GS_FIELD(ConvBwdInputArgs, dilation, kInts),
        GS_FIELD(ConvBwdInputArgs, groups, kInt),
        GS_OUT(ConvBwdInputArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ConvBwdWeightArgs {
  Array grad_y, x;
  Ints weight_shape, stride, padding, dilation;
  int64_t groups;
  Array grad_weight;
  char* grad_bias = nullptr;  // no argument: the kernels set it
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ConvBwdWeightArgs, grad_y, kContiguous),
        GS_FIELD(ConvBwdWeightArgs, x, kContiguous),
        GS_FIELD(ConvBwdWeightArgs, weight_shape, kInts),
        GS_FIELD(ConvBwdWeightArgs, stride, kInts),
        GS_FIELD(ConvBwdWeightArgs, padding, kInts),
        GS_FIELD(ConvBwdWeightArgs, dilation, kInts),
        GS_FIELD(ConvBwdWeightArgs, groups, kInt),
        GS_OUT(ConvBwdWeightArgs, grad_weight, "weight_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ConvBwdWeightBiasArgs {
  Array grad_y, x;
  Ints weight_shape, bias_shape, stride, padding, dilation;
  int64_t groups;
  Array grad_weight, grad_bias;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ConvBwdWeightBiasArgs, grad_y, kContiguous),
        GS_FIELD(ConvBwdWeightBiasArgs, x, kContiguous),
        GS_FIELD(ConvBwdWeightBiasArgs, weight_shape, kInts),
        GS_FIELD(ConvBwdWeightBiasArgs, bias_shape, kInts),
        GS_FIELD(ConvBwdWeightBiasArgs, stride, kInts),
        GS_FIELD(ConvBwdWeightBiasArgs, padding, kInts),
        GS_FIELD(ConvBwdWeightBiasArgs, dilation, kInts),
        GS_FIELD(ConvBwdWeightBiasArgs, groups, kInt),
        GS_OUT(ConvBwdWeightBiasArgs, grad_weight, "weight_shape", "grad_y"),
        GS_OUT(ConvBwdWeightBiasArgs, grad_bias, "bias_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_CONV_KERNELS(X) \
  X(conv_fwd, ConvFwdArgs) \
  X(conv_bwd_input, ConvBwdInputArgs) \
  X(conv_bwd_weight, ConvBwdWeightArgs) \
  X(conv_bwd_weight_bias, ConvBwdWeightBiasArgs)
// clang-format on

}  // namespace gradsmith
