// The optim kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

// Of every step.
struct StepArgs {
  Arrays params, grads;
  Arrays states0, states1, states2;  // one a parameter, or an empty list
  Array norm;                        // the gradients' total norm, 0-dim, or absent
  Array hyper;                       // float64: Common's numbers, then the rule's (optim_rules.cuh)
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(StepArgs, params, kInPlaces),
        GS_FIELD(StepArgs, grads, kArrays),
        GS_FIELD(StepArgs, states0, kInPlaces),
        GS_FIELD(StepArgs, states1, kInPlaces),
        GS_FIELD(StepArgs, states2, kInPlaces),
        GS_FIELD(StepArgs, norm, kOptional),
        GS_FIELD(StepArgs, hyper, kIndices),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct TotalNormArgs {
  Arrays tensors;
  Array y;  // 0-dim, written
  double norm_type;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(TotalNormArgs, tensors, kArrays),
        GS_FIELD(TotalNormArgs, y, kInPlace),
        GS_FIELD(TotalNormArgs, norm_type, kDouble),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_OPTIM_KERNELS(X) \
  X(sgd_step, StepArgs) \
  X(adagrad_step, StepArgs) \
  X(adadelta_step, StepArgs) \
  X(rmsprop_step, StepArgs) \
  X(adam_step, StepArgs) \
  X(adamax_step, StepArgs) \
  X(nadam_step, StepArgs) \
  X(radam_step, StepArgs) \
  X(lion_step, StepArgs) \
  X(rprop_step, StepArgs) \
  X(asgd_step, StepArgs) \
  X(lerp_step, StepArgs) \
  X(clip_step, StepArgs) \
  X(total_norm, TotalNormArgs)
// clang-format on

}  // namespace gradsmith
