// Convolution with kernels of one element at stride 1: products of matrices (conv_pointwise.cpp).
#pragma once

#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Compute the pass if the shapes are such that this pays (they are checked already), and say in
// *status how it went (nullptr: say only whether); false, and nothing is done, if not.
bool pointwise_fwd(const ConvFwdArgs& args, Status* status);
bool pointwise_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool pointwise_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
