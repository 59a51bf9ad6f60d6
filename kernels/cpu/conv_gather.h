// A convolution as conv.cpp computes it: what is gathered, and its packed weights.
#pragma once

#include "conv.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// y[n, m, o(t)] = bias[m] + sum_{c, r} x[n, c, first + r * tap_step + t * step] * w[m, c, r].
template <class T>
struct Gather {
  Axis axis[kSpatial];
  int64_t images, groups, depth, rows;  // channels read and written, of a group
  const T* x;
  T* y;
  int64_t out[kSpatial];
  const T* weight;
  int64_t group_stride, row_stride, channel_stride;  // of weight, in elements
  int64_t kernel[kSpatial];
  const T* bias;
  const ConvEpilogue* epilogue = nullptr;

  int64_t out_positions() const { return out[0] * out[1] * out[2]; }
  int64_t in_positions() const { return axis[0].in * axis[1].in * axis[2].in; }
  bool all_taps() const {
    return axis[0].taps == kernel[0] && axis[1].taps == kernel[1] && axis[2].taps == kernel[2];
  }
};

// One panel of weights, k-major in the order (channel, tap).
template <class T>
void pack_weights(const Gather<T>& g, int64_t group, int64_t first_row, int rows, T* to) {
  const int64_t taps = g.axis[0].taps * g.axis[1].taps * g.axis[2].taps;
  const T* from = g.weight + group * g.group_stride + first_row * g.row_stride;
  if (g.all_taps() && (taps == 1 || g.channel_stride == taps)) {
    return pack_panel(from, g.row_stride, g.channel_stride / taps, g.depth * taps, rows, rows, to);
  }
  // Through a panel of all the taps of a channel, which are side by side: transposed in registers.
  constexpr int64_t kMostTaps = 128;
  constexpr int L = kLanes<T>;
  const int64_t all = g.kernel[0] * g.kernel[1] * g.kernel[2];
  alignas(GS_VECTOR_BYTES) T panel[(kMostTaps + 1) * TileShape::kRows + L];
  for (int64_t c = 0; c < g.depth; ++c, from += g.channel_stride) {
    if (g.all_taps() && taps >= 4) {
      pack_panel(from, g.row_stride, 1, taps, rows, rows, to);
      to += taps * rows;
      continue;
    }
    const bool through = taps >= 2 && all <= kMostTaps;
    if (through) pack_panel(from, g.row_stride, 1, all, rows, rows, panel);
    for (int64_t t = 0; t < taps; ++t, to += rows) {
      const int64_t x = t % g.axis[2].taps, y = t / g.axis[2].taps % g.axis[1].taps;
      const int64_t z = t / (g.axis[2].taps * g.axis[1].taps);
      const int64_t tap = (g.axis[0].kernel(z) * g.kernel[1] + g.axis[1].kernel(y)) * g.kernel[2] +
                          g.axis[2].kernel(x);
      if (through) {  // whole vectors: the next tap overwrites what is spilled
        for (int i = 0; i < rows; i += L) store(to + i, load(panel + tap * rows + i));
      } else {
        for (int i = 0; i < rows; ++i) to[i] = from[tap + i * g.row_stride];
      }
    }
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
