// The register tiles of conv_filter_lanes.cpp: up to kTile positions of a row, or of two rows that read the
// same taps, times one or two vectors of channels that are written.
#pragma once

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kTile = 14;
#else
constexpr int kTile = 6;
#endif

// Filters are fetched so far ahead of their products, in elements.
template <class T>
constexpr int64_t kAhead = 4096 / static_cast<int64_t>(sizeof(T));

// A tap of a tile: where its first value is, and its filters for one vector, in elements.
struct Tap {
  int64_t x, weight;
};

// Where the second row of a tile of two is: its values and its cells, in elements from the first one's.
struct Second {
  int64_t x, cells;
};

// cells[i * pitch + j * plane] += the sum over taps and channels of x[i * STEP] * the filters' vector j, for
// WIDTH positions of a row or, of MR = 2 * WIDTH, of two; fetches what lies `ahead` of x.
template <class T, int MR, int WIDTH, int NV, int STEP>
__attribute__((noinline)) void tile(const Tap* tap, int64_t taps, int64_t depth, const T* x,
                                    int64_t channel, int64_t ahead, const T* weight, T* cells,
                                    int64_t pitch, int64_t plane, Second second) {
  constexpr int L = kLanes<T>;
  static_assert(MR == WIDTH || MR == 2 * WIDTH, "one or two rows");
  Vec<T> sum[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
  }
#pragma GCC unroll 1
  for (int64_t t = 0; t < taps; ++t) {
    const T* value = x + tap[t].x;
    const T* filter = weight + tap[t].weight * NV;
#pragma GCC unroll 1
    for (int64_t c = 0; c < depth; ++c) {
      const T* const other = value + second.x;
      __builtin_prefetch(value + ahead);
      if constexpr (MR > WIDTH) __builtin_prefetch(other + ahead);
      Vec<T> right[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) {
        right[j] = load(filter + j * L);
        __builtin_prefetch(filter + kAhead<T> + j * L);
      }
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> left = splat(i < WIDTH ? value[i * STEP] : other[(i - WIDTH) * STEP]);
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) sum[i][j] += left * right[j];
      }
      value += channel;
      filter += NV * L;
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      T* const put =
          cells + (i < WIDTH ? i * pitch : second.cells + (i - WIDTH) * pitch) + j * plane;
      store(put, load(put) + sum[i][j]);
    }
  }
}

template <class T>
using TileOf = void (*)(const Tap*, int64_t, int64_t, const T*, int64_t, int64_t, const T*, T*,
                        int64_t, int64_t, Second);

// Tiles of one row, then those of two, which are half as wide at most.
template <class T>
struct Tiles {
  TileOf<T> of_row[kTile * 4], of_two[kTile / 2 * 4];
  TileOf<T> get(int64_t width, bool two, int vectors, int64_t step) const {
    return (two ? of_two : of_row)[(width - 1) * 4 + (vectors - 1) * 2 + (step - 1)];
  }
};

template <class T, int... I, int... J>
constexpr Tiles<T> make_tiles_of(std::integer_sequence<int, I...>,
                                 std::integer_sequence<int, J...>) {
  return {{&tile<T, I / 4 + 1, I / 4 + 1, I / 2 % 2 + 1, I % 2 + 1>...},
          {&tile<T, J / 4 * 2 + 2, J / 4 + 1, J / 2 % 2 + 1, J % 2 + 1>...}};
}
template <class T>
constexpr Tiles<T> kTilesOf = make_tiles_of<T>(std::make_integer_sequence<int, kTile * 4>{},
                                               std::make_integer_sequence<int, kTile / 2 * 4>{});

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
