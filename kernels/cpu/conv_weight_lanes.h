// conv_bwd_weight with channels of x as lanes (conv_weight_lanes.cpp).
#pragma once

#include "args.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Computes the gradient if this is the quicker way, and says so.
bool lanes_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
