// The optim kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

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

#define GS_OPTIM_KERNELS(X) \
  X(sgd_step, SgdStepArgs) \
  X(adam_step, AdamStepArgs)
// clang-format on

}  // namespace gradsmith
