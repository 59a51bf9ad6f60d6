// A square of vectors, transposed in registers: what copies and scans share.
#pragma once

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {

// Element j of a[i] becomes element i of a[j]: log2(kLanes) perfect shuffles of the rows.
template <class T>
GS_INLINE void transpose_vectors(Vec<T> (&a)[kLanes<T>]) {
  constexpr int kN = kLanes<T>;
  Vec<T> b[kN];
#pragma GCC unroll 8
  for (int step = 1; step < kN; step *= 2) {
#pragma GCC unroll 64
    for (int i = 0; i < kN / 2; ++i) interleave<T>(a[i], a[i + kN / 2], b[2 * i], b[2 * i + 1]);
#pragma GCC unroll 64
    for (int i = 0; i < kN; ++i) a[i] = b[i];
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
