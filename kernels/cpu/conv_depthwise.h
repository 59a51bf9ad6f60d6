// Depthwise convolution: one input channel a group (conv_depthwise.cpp).
#pragma once

#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Compute the convolution, or one of its gradients, if it is depthwise and within this kernel's limits
// (the shapes are checked already), and say in *status how it went (nullptr: say only whether); false,
// and nothing is done, if not.
bool depthwise_fwd(const ConvFwdArgs& args, Status* status);
bool depthwise_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool depthwise_bwd_weight(const ConvBwdWeightArgs& args,
                          Status* status);  // conv_depthwise_weight.cpp

// The same for the usual shapes, without a copy of the planes (conv_depthwise_rows.cpp): what the three
// functions above try first.
bool depthwise_rows_fwd(const ConvFwdArgs& args, Status* status);
bool depthwise_rows_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool depthwise_rows_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
