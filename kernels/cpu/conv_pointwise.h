// Convolution with kernels of one element: products of matrices (conv_pointwise.cpp,
// conv_pointwise_weight.cpp, conv_pointwise_strided.cpp).
#pragma once

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {

namespace {

template <class T>
constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements of a cache line

// Kernels of one element without padding, with any stride that reads inputs within the image.
inline bool is_pointwise(const Geometry& g) {
  for (int d = 0; d < kSpatial; ++d) {
    if (g.kernel[d] != 1 || g.padding[d] != 0 || (g.out[d] - 1) * g.stride[d] >= g.in[d]) {
      return false;
    }
  }
  return g.N > 0 && g.C > 0 && g.K > 0 && g.out_positions() > 0;
}

// Whether only some inputs are read.
inline bool is_thinned(const Geometry& g) { return g.in_positions() != g.out_positions(); }

// Memory of a call.
struct CallMemory {
  void* data = nullptr;
  size_t bytes = 0;
  CallMemory() = default;
  CallMemory(const CallMemory&) = delete;
  ~CallMemory() {
    if (data) release(data, bytes);
  }
  bool get(int64_t n) {
    bytes = static_cast<size_t>(n);
    return (data = allocate(bytes)) != nullptr;
  }
  Status missing() const { return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}}; }
};

}  // namespace

// Compute the pass if the shapes are such that this pays (they are checked already), and say in
// *status how it went (nullptr: say only whether); false, and nothing is done, if not.
bool pointwise_fwd(const ConvFwdArgs& args, Status* status);
bool pointwise_bwd_input(const ConvBwdInputArgs& args, Status* status);
bool pointwise_bwd_weight(const ConvBwdWeightArgs& args, Status* status);

// The inputs that a stride reads, side by side, for all planes of x; and back, zero elsewhere
// (conv_pointwise_strided.cpp).
struct Thinning {
  int64_t planes, in[3], out[3], stride[3];
};
void thin_planes(const Thinning& t, const float* from, float* to);
void thin_planes(const Thinning& t, const double* from, double* to);
void spread_planes(const Thinning& t, const float* from, float* to);
void spread_planes(const Thinning& t, const double* from, double* to);

namespace {

inline Thinning thinning(const Geometry& g) {
  Thinning t;
  t.planes = g.N * g.C;
  for (int d = 0; d < kSpatial; ++d) {
    t.in[d] = g.in[d];
    t.out[d] = g.out[d];
    t.stride[d] = g.stride[d];
  }
  return t;
}

}  // namespace

}  // namespace GS_ISA
}  // namespace gradsmith
