// Convolution with kernels of one element at stride 1: products of matrices (conv_pointwise.cpp,
// conv_pointwise_weight.cpp).
#pragma once

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {

namespace {

template <class T>
constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements of a cache line

inline bool is_pointwise(const Geometry& g) {
  for (int d = 0; d < kSpatial; ++d) {
    if (g.kernel[d] != 1 || g.stride[d] != 1 || g.padding[d] != 0 || g.in[d] != g.out[d]) {
      return false;
    }
  }
  return g.N > 0 && g.C > 0 && g.K > 0 && g.out_positions() > 0;
}

}  // namespace

// Compute the pass if the shapes are such that this pays (they are checked already), and say in
// *status how it went (nullptr: say only whether); false, and nothing is done, if not.
bool pointwise_fwd(const ConvFwdArgs& args, Status* status);
bool pointwise_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool pointwise_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

}  // namespace GS_ISA
}  // namespace gradsmith
