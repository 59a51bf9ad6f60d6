// conv_fwd and conv_bwd_input of one output channel (conv_tap_planes.cpp).
#pragma once

#include "args.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Computes y, or grad_x, if this is the quicker way, and says so.
bool tap_planes_fwd(const ConvFwdArgs& args, Status* status);
bool tap_planes_bwd_input(const ConvBwdInputArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
