// The padded plane of a depthwise convolution: one image and channel of x with its padding, whose rows
// are split by the stride's remainders, so that consecutive outputs read consecutive elements.
#pragma once

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kMostPlane = 1 << 20;
constexpr int kMostTaps = 1024;
constexpr int64_t kPlanesAtOnce = 6144;  // elements

// How many planes of `size` elements are prefetched ahead.
constexpr int64_t planes_ahead(int64_t size) { return clamp(1024 / size, 1, 8); }

template <class T>
struct PaddedPlane {
  int64_t in[kSpatial], out[kSpatial], kernel[kSpatial], stride[kSpatial], first[kSpatial],
      dilation[kSpatial];

  int64_t padded[kSpatial];  // what output 0's tap 0 to the last output's last tap read
  int64_t part;              // elements of a row with one remainder modulo the stride
  int64_t pitch;             // of a row: all remainders
  int64_t taps, elements;
  int64_t offset[kMostTaps];  // of each tap

  bool prepare() {
    constexpr int L = kLanes<T>;
    taps = kernel[0] * kernel[1] * kernel[2];
    if (taps == 0 || taps > kMostTaps) return false;
    for (int d = 0; d < kSpatial; ++d) {
      const int64_t reach = (kernel[d] - 1) * dilation[d] + 1;
      if (out[d] < 1 || in[d] < 1 || reach > kMostPlane || out[d] > kMostPlane) return false;
      if (stride[d] > kMostPlane) return false;
      padded[d] = (out[d] - 1) * stride[d] + reach;
      if (padded[d] > kMostPlane) return false;
    }
    // A row's last vector reads beyond it, and is filled beyond it.
    part = max(round_up(ceil_div(padded[2], stride[2]), L),
               round_up(out[2], L) + (kernel[2] - 1) * dilation[2] / stride[2]);
    pitch = part * stride[2];
    if (pitch > kMostPlane || padded[1] * pitch > kMostPlane) return false;
    elements = padded[0] * padded[1] * pitch;
    if (elements > kMostPlane) return false;
    int64_t t = 0;
    for (int64_t z = 0; z < kernel[0]; ++z) {
      for (int64_t y_ = 0; y_ < kernel[1]; ++y_) {
        for (int64_t x_ = 0; x_ < kernel[2]; ++x_) {
          const int64_t at = x_ * dilation[2];
          offset[t++] = (z * dilation[0] * padded[1] + y_ * dilation[1]) * pitch +
                        at % stride[2] * part + at / stride[2];
        }
      }
    }
    return true;
  }

  // So many planes are filled before the first is used: a load that spans two stores waits until both
  // are in the cache.
  int64_t at_once() const { return clamp(kPlanesAtOnce / elements, 1, 8); }

  // Copies a plane of x, and prefetches the one `ahead` elements behind it, which the hardware is slow to
  // learn: 14x14, 512 channels, 1.5 -> 0.6 ms. The padding is zero already and stays so.
  void fill(const T* plane, T* to, int64_t ahead) const {
    constexpr int L = kLanes<T>;
    for (int64_t z = 0; z < padded[0]; ++z) {
      const int64_t in_z = z + first[0];
      if (in_z < 0 || in_z >= in[0]) continue;
      for (int64_t r = 0; r < padded[1]; ++r) {
        const int64_t in_y = r + first[1];
        if (in_y < 0 || in_y >= in[1]) continue;
        const T* const from = plane + (in_z * in[1] + in_y) * in[2];
        T* const row = to + (z * padded[1] + r) * pitch;
        prefetch(from + ahead, in[2]);
        const int64_t low = max(0, -first[2]), high = min(padded[2], in[2] - first[2]);
        if (stride[2] == 1) {
          if (high > low) copy_run(row + low, from + low + first[2], high - low);
        } else if (stride[2] == 2) {
          for (int64_t j = 0; 2 * j < padded[2]; j += L) {
            const Vec<T> a = load_inside(from, first[2] + 2 * j, in[2]);
            const Vec<T> b = load_inside(from, first[2] + 2 * j + L, in[2]);
            store(row + j, even_lanes<T>(a, b, std::make_integer_sequence<int, L>{}));
            store(row + part + j, odd(a, b, std::make_integer_sequence<int, L>{}));
          }
        } else {
          for (int64_t s = 0; s < stride[2]; ++s) {
            const int64_t j0 = max(0, ceil_div_signed(low - s, stride[2]));
            const int64_t j1 = max(0, ceil_div_signed(high - s, stride[2]));
            const T* const begin = from + first[2] + s;
            for (int64_t j = j0; j < j1; ++j) row[s * part + j] = begin[j * stride[2]];
          }
        }
      }
    }
  }

  template <int... I>
  GS_INLINE static Vec<T> odd(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
    return shuffle<T, 2 * I + 1 ...>(a, b);
  }
};

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
