// Winograd's minimal filtering for convolutions with 3x3 and 5x5 filters (conv_winograd.cpp).
#pragma once

#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Compute the convolution, or its input gradient, with tiles of 4 x 4, 3 x 3 or 2 x 2 outputs (5x5 filters:
// 2 x 2), or its weight gradient, with 4 x 4: cases that conv_plan.cpp found these to take.
Status winograd_fwd(const ConvFwdArgs& args, int tile);
Status winograd_bwd_input(const ConvBwdInputArgs& args, int tile);
Status winograd_bwd_weight(const ConvBwdWeightArgs& args);

}  // namespace GS_ISA
}  // namespace gradsmith
