// Which algorithm a convolution takes: the one place where it is chosen (conv_plan.cpp).
#pragma once

#include "conv.h"
#include "conv_settings.h"

namespace gradsmith {
namespace GS_ISA {

// The algorithm of one pass, of checked shapes: the one that gradsmith.backends.cpu.conv_algorithm
// forces where it can compute this, or else the quickest.
ConvAlgorithm plan_conv(ConvPass pass, DType dtype, const Geometry& g);

}  // namespace GS_ISA
}  // namespace gradsmith
