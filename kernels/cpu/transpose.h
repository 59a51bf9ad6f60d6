// Squares of vectors, transposed in registers: what copies, scans and elementwise kernels share.
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

// What a tile's rows and columns are apart: the source runs fast along rows, the destination along
// columns.
struct TileStrides {
  int64_t dst_row, dst_column, src_row, src_column;
};

// kLanes x kLanes elements of either side's neighbours, and a fetch of the source's and, with kBoth, the
// destination's lines so many columns on; 0: of none.
template <class T, int64_t kFetch, bool kBoth = true>
GS_INLINE void transpose_block(const TileStrides& t, char* dst, const char* src) {
  constexpr int kN = kLanes<T>;
  Vec<T> a[kN];
#pragma GCC unroll 64
  for (int i = 0; i < kN; ++i) {
    const char* const row = src + i * t.src_column;
    a[i] = load<T>(reinterpret_cast<const T*>(row));
    if constexpr (kFetch > 0) __builtin_prefetch(row + kFetch * t.src_column, 0, 2);
  }
  if constexpr (kFetch > 0 && kBoth) {
#pragma GCC unroll 64
    for (int i = 0; i < kN; ++i) __builtin_prefetch(dst + i * t.dst_row + kFetch * t.dst_column, 1);
  }
  transpose_vectors<T>(a);
#pragma GCC unroll 64
  for (int i = 0; i < kN; ++i) store<T>(reinterpret_cast<T*>(dst + i * t.dst_row), a[i]);
}

// Bytes of a row that gather_turned fills, at most, and from one to the next: no power of two.
constexpr int64_t kGathered = 2048, kGatheredPitch = kGathered + 64;

namespace {  // each file's own: copies and elementwise kernels are compiled for themselves

// rows x columns elements, neighbours along the rows' direction in `src`, to rows of neighbours in `to`. The source
// is read along its own neighbours, which the processor follows, and kAhead columns before their turn (there are
// `left`): from memory 51 MB take 3.7 ms, in the order of the destination 4.8 (Emerald Rapids, 2 threads).
template <class T>
void gather_turned(char* to, const char* src, int64_t src_column, int64_t rows, int64_t columns,
                   int64_t left) {
  constexpr int64_t kN = kLanes<T>, kAhead = 2 * kN, kSize = sizeof(T);
  const TileStrides t{kGatheredPitch, kSize, kSize, src_column};
  const auto one_by_one = [&](int64_t r0, int64_t r1, int64_t c0) {
    for (int64_t r = r0; r < r1; ++r) {
      for (int64_t c = c0; c < columns; ++c) {
        __builtin_memcpy(to + r * kGatheredPitch + c * kSize, src + c * src_column + r * kSize,
                         sizeof(T));
      }
    }
  };
  const int64_t whole = rows / kN * kN;
  const auto blocks = [&](int64_t c, auto ahead) {
    for (int64_t r = 0; r < whole; r += kN) {
      transpose_block<T, ahead.value, false>(t, to + r * kGatheredPitch + c * kSize,
                                             src + c * src_column + r * kSize);
    }
  };
  int64_t c = 0;
  for (; c + kN <= columns; c += kN) {
    if (c + kAhead + kN <= left) {
      blocks(c, std::integral_constant<int64_t, kAhead>{});
    } else {
      blocks(c, std::integral_constant<int64_t, 0>{});
    }
  }
  one_by_one(0, whole, c);
  one_by_one(whole, rows, 0);
}

}  // namespace

}  // namespace GS_ISA
}  // namespace gradsmith
