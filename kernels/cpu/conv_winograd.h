// Winograd's minimal filtering for 3x3 convolutions (conv_winograd.cpp).
#pragma once

#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Compute the convolution, or its input gradient, by F(4x4, 3x3) or F(2x2, 3x3); the shapes are
// checked already, and winograd_takes() said yes.
Status winograd_fwd(const ConvFwdArgs& args, int tile);
Status winograd_bwd_input(const ConvBwdInputArgs& args, int tile);

}  // namespace GS_ISA
}  // namespace gradsmith
