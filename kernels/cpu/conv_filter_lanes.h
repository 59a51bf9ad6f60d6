// conv_fwd and conv_bwd_input with output channels as lanes (conv_filter_lanes.cpp).
#pragma once

#include "args.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Computes y, or grad_x, if this is the quicker way, and says so.
bool filter_lanes_fwd(const ConvFwdArgs& args, Status* status);
bool filter_lanes_bwd_input(const ConvBwdInputArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
