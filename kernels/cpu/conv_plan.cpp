// The choice of a convolution's algorithm.
#include "conv_plan.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Whether Winograd's transforms compute this at all.
bool winograd_takes(ConvPass pass, DType dtype, const Geometry& g) {
  if (conv_exact() || dtype != DType::kFloat32 || g.groups != 1 || pass == ConvPass::kWeight) {
    return false;
  }
  if (g.in[0] != 1 || g.out[0] != 1 || g.kernel[0] != 1 || g.padding[0] != 0) return false;
  for (int d = 1; d < kSpatial; ++d) {
    if (g.kernel[d] != 3 || g.stride[d] != 1 || g.dilation[d] != 1) return false;
  }
  return g.C > 0 && g.K > 0 && g.N > 0;
}

// Whether F(4x4, 3x3) is quicker than sums of nine products: many channels, and tiles that the
// outputs fill.
bool winograd_pays(ConvPass pass, const Geometry& g) {
  if (g.C < 32 || g.K < 32) return false;
  const int64_t* out = pass == ConvPass::kInput ? g.in : g.out;
  const int64_t tiles = g.N * ceil_div(out[1], 4) * ceil_div(out[2], 4);
  return 36 * round_up(tiles, kLanes<float>) * 2 <= 9 * g.N * out[1] * out[2];
}

}  // namespace

ConvAlgorithm plan_conv(ConvPass pass, DType dtype, const Geometry& g) {
  if (!winograd_takes(pass, dtype, g)) return ConvAlgorithm::kDirect;
  const ConvAlgorithm forced = conv_forced();
  if (forced != ConvAlgorithm::kAuto) return forced;
  return winograd_pays(pass, g) ? ConvAlgorithm::kWinograd4 : ConvAlgorithm::kDirect;
}

}  // namespace GS_ISA
}  // namespace gradsmith
