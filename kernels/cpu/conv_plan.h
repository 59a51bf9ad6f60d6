// Which algorithm a convolution takes: the one place where it is chosen (conv_plan.cpp).
#pragma once

#include "conv_settings.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {

// The algorithm of one pass, of checked shapes: the one that gradsmith.backends.cpu.conv_algorithm
// forces where it takes this case, or else the quickest. Only shapes and dtypes of `args` are read,
// and whether there is a bias.
ConvAlgorithm plan_conv(const ConvFwdArgs& args);
ConvAlgorithm plan_conv(const ConvBwdInputArgs& args);
ConvAlgorithm plan_conv(const ConvBwdWeightArgs& args);

}  // namespace GS_ISA
}  // namespace gradsmith
