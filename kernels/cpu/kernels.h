// The list of CPU kernels and their arguments: kernels/__init__.py's list, as C++ sees it (a test
// compares the two). Adding a kernel is a struct, a line in GS_KERNELS and its body in a family file.
#pragma once

#include "args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct BinaryArgs {
  Array a, b, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BinaryArgs, a, kOperand),
        GS_FIELD(BinaryArgs, b, kOperand),
        GS_OUT(BinaryArgs, y, nullptr, "a"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct UnaryArgs {
  Array x, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(UnaryArgs, x, kArray),
        GS_OUT(UnaryArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// The derivative of an activation, from its output.
struct ActivationBwdArgs {
  Array grad_y, y, grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ActivationBwdArgs, grad_y, kOperand),
        GS_FIELD(ActivationBwdArgs, y, kOperand),
        GS_OUT(ActivationBwdArgs, grad_x, nullptr, "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CopyArgs {
  Array x;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CopyArgs, x, kArray),
        GS_FIELD(CopyArgs, dtype, kDType),
        GS_OUT(CopyArgs, y, "x", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CopyIntoArgs {
  Array dst, src;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CopyIntoArgs, dst, kInPlace),
        GS_FIELD(CopyIntoArgs, src, kOperand),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct FullArgs {
  Ints shape;
  double value;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(FullArgs, shape, kInts),
        GS_FIELD(FullArgs, value, kDouble),
        GS_FIELD(FullArgs, dtype, kDType),
        GS_OUT(FullArgs, y, "shape", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct SliceBwdArgs {
  Array grad_y;
  Ints x_shape, start, step;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SliceBwdArgs, grad_y, kArray),
        GS_FIELD(SliceBwdArgs, x_shape, kInts),
        GS_FIELD(SliceBwdArgs, start, kInts),
        GS_FIELD(SliceBwdArgs, step, kInts),
        GS_OUT(SliceBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CatArgs {
  Arrays xs;
  int64_t dim;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CatArgs, xs, kArrays),
        GS_FIELD(CatArgs, dim, kInt),
        GS_FIELD(CatArgs, out_shape, kInts),
        GS_OUT(CatArgs, y, "out_shape", "xs"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

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

struct MaxDimBwdArgs {
  Array grad_y, indices;
  Ints x_shape;
  int64_t dim;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxDimBwdArgs, grad_y, kContiguous),
        GS_FIELD(MaxDimBwdArgs, indices, kIndices),
        GS_FIELD(MaxDimBwdArgs, x_shape, kInts),
        GS_FIELD(MaxDimBwdArgs, dim, kInt),
        GS_OUT(MaxDimBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct GatherDimArgs {
  Array x, indices;
  int64_t dim;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(GatherDimArgs, x, kContiguous),
        GS_FIELD(GatherDimArgs, indices, kIndices),
        GS_FIELD(GatherDimArgs, dim, kInt),
        GS_FIELD(GatherDimArgs, out_shape, kInts),
        GS_OUT(GatherDimArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

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

struct ConvFwdArgs {
  Array x, weight, bias;
  Ints out_shape, stride, padding, dilation;
  int64_t groups;
  Array y;
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

struct MaxPoolArgs {
  Array x;
  Ints out_shape, kernel, stride, padding, dilation;
  Array y, indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxPoolArgs, x, kContiguous),
        GS_FIELD(MaxPoolArgs, out_shape, kInts),
        GS_FIELD(MaxPoolArgs, kernel, kInts),
        GS_FIELD(MaxPoolArgs, stride, kInts),
        GS_FIELD(MaxPoolArgs, padding, kInts),
        GS_FIELD(MaxPoolArgs, dilation, kInts),
        GS_OUT(MaxPoolArgs, y, "out_shape", "x"),
        GS_OUT(MaxPoolArgs, indices, "out_shape", "int32"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MaxPoolBwdArgs {
  Array grad_y, indices;
  Ints x_shape, kernel, stride, padding, dilation;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxPoolBwdArgs, grad_y, kContiguous),
        GS_FIELD(MaxPoolBwdArgs, indices, kIndices),
        GS_FIELD(MaxPoolBwdArgs, x_shape, kInts),
        GS_FIELD(MaxPoolBwdArgs, kernel, kInts),
        GS_FIELD(MaxPoolBwdArgs, stride, kInts),
        GS_FIELD(MaxPoolBwdArgs, padding, kInts),
        GS_FIELD(MaxPoolBwdArgs, dilation, kInts),
        GS_OUT(MaxPoolBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct MaxPoolGatherArgs {
  Array x, indices, y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(MaxPoolGatherArgs, x, kContiguous),
        GS_FIELD(MaxPoolGatherArgs, indices, kIndices),
        GS_OUT(MaxPoolGatherArgs, y, "indices", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AvgPoolArgs {
  Array x;
  Ints out_shape, kernel, stride, padding;
  bool count_include_pad;
  int64_t divisor;  // 0: the window's size
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AvgPoolArgs, x, kContiguous),
        GS_FIELD(AvgPoolArgs, out_shape, kInts),
        GS_FIELD(AvgPoolArgs, kernel, kInts),
        GS_FIELD(AvgPoolArgs, stride, kInts),
        GS_FIELD(AvgPoolArgs, padding, kInts),
        GS_FIELD(AvgPoolArgs, count_include_pad, kBool),
        GS_FIELD(AvgPoolArgs, divisor, kInt),
        GS_OUT(AvgPoolArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AvgPoolBwdArgs {
  Array grad_y;
  Ints x_shape, kernel, stride, padding;
  bool count_include_pad;
  int64_t divisor;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AvgPoolBwdArgs, grad_y, kContiguous),
        GS_FIELD(AvgPoolBwdArgs, x_shape, kInts),
        GS_FIELD(AvgPoolBwdArgs, kernel, kInts),
        GS_FIELD(AvgPoolBwdArgs, stride, kInts),
        GS_FIELD(AvgPoolBwdArgs, padding, kInts),
        GS_FIELD(AvgPoolBwdArgs, count_include_pad, kBool),
        GS_FIELD(AvgPoolBwdArgs, divisor, kInt),
        GS_OUT(AvgPoolBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

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

struct DropoutArgs {
  Array x;
  double p;
  uint64_t seed, offset;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(DropoutArgs, x, kContiguous),
        GS_FIELD(DropoutArgs, p, kDouble),
        GS_FIELD(DropoutArgs, seed, kUInt),
        GS_FIELD(DropoutArgs, offset, kUInt),
        GS_OUT(DropoutArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// uniform: first = low, second = high; normal: first = mean, second = std
struct RandomArgs {
  Ints shape;
  double first, second;
  uint64_t seed, offset;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RandomArgs, shape, kInts),
        GS_FIELD(RandomArgs, first, kDouble),
        GS_FIELD(RandomArgs, second, kDouble),
        GS_FIELD(RandomArgs, seed, kUInt),
        GS_FIELD(RandomArgs, offset, kUInt),
        GS_FIELD(RandomArgs, dtype, kDType),
        GS_OUT(RandomArgs, y, "shape", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct SgdStepArgs {
  Arrays params, grads, momentum_buffers;  // no buffers: an empty list
  Array hyper;                             // float64: learning rate, step
  double momentum, dampening, weight_decay;
  bool nesterov, maximize, first;  // first: the buffers are still to be filled
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SgdStepArgs, params, kInPlaces),
        GS_FIELD(SgdStepArgs, grads, kArrays),
        GS_FIELD(SgdStepArgs, momentum_buffers, kInPlaces),
        GS_FIELD(SgdStepArgs, hyper, kIndices),
        GS_FIELD(SgdStepArgs, momentum, kDouble),
        GS_FIELD(SgdStepArgs, dampening, kDouble),
        GS_FIELD(SgdStepArgs, weight_decay, kDouble),
        GS_FIELD(SgdStepArgs, nesterov, kBool),
        GS_FIELD(SgdStepArgs, maximize, kBool),
        GS_FIELD(SgdStepArgs, first, kBool),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AdamStepArgs {
  Arrays params, grads, exp_avgs, exp_avg_sqs;
  Array hyper;
  double beta1, beta2, eps, weight_decay;
  bool decoupled, maximize;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AdamStepArgs, params, kInPlaces),
        GS_FIELD(AdamStepArgs, grads, kArrays),
        GS_FIELD(AdamStepArgs, exp_avgs, kInPlaces),
        GS_FIELD(AdamStepArgs, exp_avg_sqs, kInPlaces),
        GS_FIELD(AdamStepArgs, hyper, kIndices),
        GS_FIELD(AdamStepArgs, beta1, kDouble),
        GS_FIELD(AdamStepArgs, beta2, kDouble),
        GS_FIELD(AdamStepArgs, eps, kDouble),
        GS_FIELD(AdamStepArgs, weight_decay, kDouble),
        GS_FIELD(AdamStepArgs, decoupled, kBool),
        GS_FIELD(AdamStepArgs, maximize, kBool),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_KERNELS(X)                       \
  X(add, BinaryArgs)                        \
  X(sub, BinaryArgs)                        \
  X(mul, BinaryArgs)                        \
  X(div, BinaryArgs)                        \
  X(neg, UnaryArgs)                         \
  X(exp, UnaryArgs)                         \
  X(log, UnaryArgs)                         \
  X(relu, UnaryArgs)                        \
  X(sigmoid, UnaryArgs)                     \
  X(tanh, UnaryArgs)                        \
  X(relu_bwd, ActivationBwdArgs)            \
  X(sigmoid_bwd, ActivationBwdArgs)         \
  X(tanh_bwd, ActivationBwdArgs)            \
  X(copy, CopyArgs)                         \
  X(copy_into, CopyIntoArgs)                \
  X(full, FullArgs)                         \
  X(slice_bwd, SliceBwdArgs)                \
  X(cat, CatArgs)                           \
  X(sum, ReduceArgs)                        \
  X(mean, ReduceArgs)                       \
  X(amax, ReduceArgs)                       \
  X(amax_weight, AmaxWeightArgs)            \
  X(max_dim, MaxDimArgs)                    \
  X(max_dim_bwd, MaxDimBwdArgs)             \
  X(gather_dim, GatherDimArgs)              \
  X(matmul, MatmulArgs)                     \
  X(conv_fwd, ConvFwdArgs)                  \
  X(conv_bwd_input, ConvBwdInputArgs)       \
  X(conv_bwd_weight, ConvBwdWeightArgs)     \
  X(max_pool, MaxPoolArgs)                  \
  X(max_pool_bwd, MaxPoolBwdArgs)           \
  X(max_pool_gather, MaxPoolGatherArgs)     \
  X(avg_pool, AvgPoolArgs)                  \
  X(avg_pool_bwd, AvgPoolBwdArgs)           \
  X(log_softmax, LogSoftmaxArgs)            \
  X(log_softmax_bwd, LogSoftmaxBwdArgs)     \
  X(nll_loss, NllLossArgs)                  \
  X(nll_loss_bwd, NllLossBwdArgs)           \
  X(dropout, DropoutArgs)                   \
  X(uniform, RandomArgs)                    \
  X(normal, RandomArgs)                     \
  X(sgd_step, SgdStepArgs)                  \
  X(adam_step, AdamStepArgs)
// clang-format on

// Each ISA build defines all kernels in its own namespace (GS_ISA: v2, v3, v4 or neon).
#define GS_DECLARE_KERNEL(name, Args) Status name(const Args& args);
#define GS_DECLARE_ISA(isa)     \
  namespace isa {               \
  GS_KERNELS(GS_DECLARE_KERNEL) \
  }

// The kernels of one ISA, in the order of GS_KERNELS.
using Kernel = Status (*)(const void* args);

}  // namespace gradsmith
