// Dilated convolutions as plain ones of every dilation-th row and column (conv_phases.cpp).
#pragma once

#include "conv.h"
#include "lists/conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// The plain convolution that does the work, if there is one for these shapes.
inline bool phase_geometry(const Geometry& g, Geometry* plain) {
  *plain = g;
  bool dilated = false;
  for (int d = 0; d < kSpatial; ++d) {
    if (g.stride[d] != 1) return false;
    if (g.kernel[d] == 1 || g.dilation[d] == 1) continue;
    const int64_t step = g.dilation[d];
    if (g.padding[d] % step || step > g.in[d] || step > g.out[d]) return false;
    dilated = true;
    plain->N *= step;
    plain->in[d] = ceil_div(g.in[d], step);
    plain->out[d] = ceil_div(g.out[d], step);
    plain->padding[d] = g.padding[d] / step;
    plain->dilation[d] = 1;
  }
  return dilated;
}

// Whether Winograd's algorithm with tiles of `tile` x `tile` outputs reads and writes the phases where
// they are: with so many phases, vectors have enough of them; with so few products a filter's stay in L2.
inline bool phases_stay(const Geometry& g, const Geometry& plain, int tile) {
  constexpr int64_t kLeastPhases = 16, kMostProducts = 6000;
  const int64_t side = tile + g.kernel[1] - 1;
  const int64_t tiles = plain.N * ceil_div(plain.out[1], tile) * ceil_div(plain.out[2], tile);
  return g.kernel[0] == 1 && g.in[0] == 1 && g.dilation[1] * g.dilation[2] >= kLeastPhases &&
         tiles * side * side <= kMostProducts;
}

}  // namespace

// Compute the pass for shapes that have one. An epilogue is left to the caller.
Status phases_fwd(const ConvFwdArgs& args);
Status phases_bwd_input(const ConvBwdInputArgs& args);
Status phases_bwd_weight(const ConvBwdWeightArgs& args);

}  // namespace GS_ISA
}  // namespace gradsmith
