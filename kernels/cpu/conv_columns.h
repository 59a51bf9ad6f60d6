// Convolution by its im2col matrix: for small images with many channels (conv_columns.cpp), or windows that
// lie side by side (conv_patches.cpp).
#pragma once

#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// Compute the pass if the shapes are such that this pays (they are checked already), and say in
// *status how it went (nullptr: say only whether); false, and nothing is done, if not.
bool columns_fwd(const ConvFwdArgs& args, Status* status);
bool columns_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool columns_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

// The same of patches.
bool patches_fwd(const ConvFwdArgs& args, Status* status);
bool patches_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool patches_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
