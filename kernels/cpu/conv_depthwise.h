// Depthwise convolution: one input channel a group (conv_depthwise.cpp).
#pragma once

#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Compute the convolution, or its input gradient, if it is depthwise and within this kernel's limits
// (the shapes are checked already), and say in *status how it went; false, and nothing is done, if
// not.
bool depthwise_fwd(const ConvFwdArgs& args, Status* status);
bool depthwise_bwd_input(const ConvBwdInputArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
