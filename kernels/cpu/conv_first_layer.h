// First layers with large, strided filters, with output channels as lanes: conv_fwd (conv_first_layer.cpp) and
// conv_bwd_weight (conv_first_layer_weight.cpp).
#pragma once

#include "args.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Computes y, or grad_weight (and grad_bias where args has it), if this is the quicker way, and says so.
bool first_layer_fwd(const ConvFwdArgs& args, Status* status);
bool first_layer_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
