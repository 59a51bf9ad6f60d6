// The transforms of a line of Winograd's algorithm, by their points.
//
// An M x M tile of outputs reads a patch of T x T inputs, T = M + R - 1 for filters of R x R.
#pragma once

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

using V = Vec<float>;
constexpr int L = kLanes<float>;

// F(4x4, 3x3): the three transforms of a line.
struct F4 {
  static constexpr int M = 4, R = 3, T = 6;
  static GS_INLINE void patch(const V* d, V* to) {
    const V p = d[3] - d[1], q = d[4] - d[2];
    to[0] = (d[0] - d[2]) + q + 1.5f * p;
    to[1] = q + p + 1.5f * (d[2] + d[3]);
    to[2] = q - p + 1.5f * (d[3] - d[2]);
    to[3] = q + 2.0f * p;
    to[4] = q - 0.5f * p;
    to[5] = (d[5] - d[3]) - p + 1.5f * q;
  }
  static GS_INLINE void filter(const V* g, V* to) {
    const V outer = (g[0] + g[2]) * (1.0f / 3), inner = g[1] * (1.0f / 3);
    to[0] = g[0];
    to[1] = inner + outer;
    to[2] = inner - outer;
    to[3] = (g[0] * 4.0f + g[1] * 2.0f + g[2]) * (-4.0f / 15);
    to[4] = (g[0] - g[1] * 2.0f + g[2] * 4.0f) * (1.0f / 15);
    to[5] = g[2];
  }
  static GS_INLINE void output(const V* m, V* to) {
    const V sum = m[1] + m[2], difference = m[1] - m[2];
    to[0] = m[0] + sum + (m[3] + m[4]);
    to[1] = difference + 0.5f * m[3] - 2.0f * m[4];
    to[2] = sum + 0.25f * m[3] + 4.0f * m[4];
    to[3] = difference + 0.125f * m[3] - 8.0f * m[4] + m[5];
  }
};

// F(2x2, 5x5), at the points of F(4x4, 3x3): patches are the same.
struct F5 {
  static constexpr int M = 2, R = 5, T = 6;
  static GS_INLINE void patch(const V* d, V* to) { F4::patch(d, to); }
  static GS_INLINE void filter(const V* g, V* to) {
    const V outer = (g[0] + g[2] + g[4]) * (1.0f / 3), inner = (g[1] + g[3]) * (1.0f / 3);
    to[0] = g[0];
    to[1] = inner + outer;
    to[2] = inner - outer;
    to[3] = (g[0] * 4.0f + g[1] * 2.0f + g[2] + g[3] * 0.5f + g[4] * 0.25f) * (-4.0f / 15);
    to[4] = (g[0] - g[1] * 2.0f + g[2] * 4.0f - g[3] * 8.0f + g[4] * 16.0f) * (1.0f / 15);
    to[5] = g[4];
  }
  static GS_INLINE void output(const V* m, V* to) {
    to[0] = m[0] + (m[1] + m[2]) + (m[3] + m[4]);
    to[1] = (m[1] - m[2]) + 0.5f * m[3] - 2.0f * m[4] + m[5];
  }
};

// F(3x3, 3x3), at 0, 1, -1, 1/2 and infinity.
struct F3 {
  static constexpr int M = 3, R = 3, T = 5;
  static GS_INLINE void patch(const V* d, V* to) {
    const V p = d[3] - d[1];
    to[0] = p + 0.5f * (d[0] - d[2]);
    to[1] = d[3] + 0.5f * (d[2] - d[1]);
    to[2] = d[3] + 0.5f * d[1] - 1.5f * d[2];
    to[3] = p;
    to[4] = (d[4] - d[2]) - 0.5f * p;
  }
  static GS_INLINE void filter(const V* g, V* to) {
    const V outer = g[0] + g[2];
    to[0] = g[0] + g[0];
    to[1] = outer + g[1];
    to[2] = (outer - g[1]) * (-1.0f / 3);
    to[3] = (g[0] * 4.0f + g[1] * 2.0f + g[2]) * (-2.0f / 3);
    to[4] = g[2];
  }
  static GS_INLINE void output(const V* m, V* to) {
    const V sum = m[1] + m[2];
    to[0] = m[0] + sum + m[3];
    to[1] = (m[1] - m[2]) + 0.5f * m[3];
    to[2] = sum + 0.25f * m[3] + m[4];
  }
};

// F(2x2, 3x3), at 0, 1, -1 and infinity.
struct F2 {
  static constexpr int M = 2, R = 3, T = 4;
  static GS_INLINE void patch(const V* d, V* to) {
    to[0] = d[0] - d[2];
    to[1] = d[1] + d[2];
    to[2] = d[2] - d[1];
    to[3] = d[3] - d[1];
  }
  static GS_INLINE void filter(const V* g, V* to) {
    const V outer = (g[0] + g[2]) * 0.5f, inner = g[1] * 0.5f;
    to[0] = g[0];
    to[1] = outer + inner;
    to[2] = outer - inner;
    to[3] = g[2];
  }
  static GS_INLINE void output(const V* m, V* to) {
    to[0] = m[0] + m[1] + m[2];
    to[1] = m[1] - m[2] + m[3];
  }
};

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
