// Dot products of a convolution's weight gradient whose lanes are summed last: a tile of them ends with as
// many additions to memory, where dot_tile (gemm.h) adds up the lanes. Boxes may be short, so that a tile's
// rows, and those fetched for the next one, stay in L1.
#pragma once

#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Keeps a loaded vector in a register: else GCC loads it anew for each multiply-add.
template <class T>
GS_INLINE void keep(Vec<T>& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__aarch64__)
  asm("" : "+w"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#endif
}

// Vectors of a tile's sums, at most.
constexpr int kTileSums = TileShape::kDotRows * TileShape::kDotColumns;

// sums[(i * NJ + j) * kLanes + lane] += sum_k a[i * a_stride + k] * b[offset[j] + k], k < K with that lane.
// With each vector, a line of `soon` is fetched into L1, one of `later` into L2.
template <class T, int MI, int NJ>
__attribute__((noinline)) void lane_tile(int64_t K, const T* a, int64_t a_stride, const T* b,
                                         const int64_t* offset, T* sums, const T* soon,
                                         const T* later) {
  constexpr int L = kLanes<T>;
  const T *left[MI], *right[NJ];
#pragma GCC unroll 8
  for (int i = 0; i < MI; ++i) left[i] = a + i * a_stride;
#pragma GCC unroll 8
  for (int j = 0; j < NJ; ++j) right[j] = b + offset[j];
  Vec<T> sum[MI * NJ];
#pragma GCC unroll 64
  for (int i = 0; i < MI * NJ; ++i) sum[i] = Vec<T>{};
  int64_t k = 0;
#pragma GCC unroll 1
  for (; k + L <= K; k += L) {
    __builtin_prefetch(soon + k);
    __builtin_prefetch(later + k, 0, 2);
    Vec<T> y[NJ];
#pragma GCC unroll 8
    for (int j = 0; j < NJ; ++j) y[j] = load(right[j] + k);
#pragma GCC unroll 8
    for (int i = 0; i < MI; ++i) {
      Vec<T> x = load(left[i] + k);
      keep<T>(x);
#pragma GCC unroll 8
      for (int j = 0; j < NJ; ++j) sum[i * NJ + j] += x * y[j];
    }
  }
  if (k < K) {
#pragma GCC unroll 8
    for (int i = 0; i < MI; ++i) {
      const Vec<T> x = load_n(left[i] + k, K - k);
#pragma GCC unroll 8
      for (int j = 0; j < NJ; ++j) sum[i * NJ + j] += x * load_n(right[j] + k, K - k);
    }
  }
#pragma GCC unroll 64
  for (int i = 0; i < MI * NJ; ++i) store(sums + i * L, load(sums + i * L) + sum[i]);
}

// c[i] = the sum of the lanes of vector i of n, in a fixed order; c has room for whole vectors.
template <class T>
void add_lanes(const T* sums, int n, T* c) {
  constexpr int L = kLanes<T>;
  for (int first = 0; first < n; first += L) {
    Vec<T> rows[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) rows[i] = first + i < n ? load(sums + (first + i) * L) : Vec<T>{};
    store(c + first, sum_lanes<T>(rows));
  }
}

template <class T>
using LaneTile = void (*)(int64_t K, const T* a, int64_t a_stride, const T* b,
                          const int64_t* offset, T* sums, const T* soon, const T* later);

template <class T>
struct LaneTable {
  LaneTile<T> entry[kTileSums];
  LaneTile<T> get(int rows, int columns) const {
    return entry[(rows - 1) * TileShape::kDotColumns + columns - 1];
  }
};

template <class T, int... I>
constexpr LaneTable<T> make_lane_tiles(std::integer_sequence<int, I...>) {
  constexpr int J = TileShape::kDotColumns;
  return {{&lane_tile<T, I / J + 1, I % J + 1>...}};
}

template <class T>
constexpr LaneTable<T> kLaneTiles =
    make_lane_tiles<T>(std::make_integer_sequence<int, kTileSums>{});

// The tiles of `rows` times `columns`: body(its number, first row, height, first column, width).
template <class Body>
GS_INLINE void for_tiles(int64_t rows, int64_t columns, const Body& body) {
  const int64_t across = ceil_div(columns, TileShape::kDotColumns);
  const int64_t down = ceil_div(rows, TileShape::kDotRows);
  for (int64_t i = 0; i < down; ++i) {
    const int64_t row = rows * i / down, height = rows * (i + 1) / down - row;
    for (int64_t j = 0; j < across; ++j) {
      const int64_t column = columns * j / across;
      body(i * across + j, row, static_cast<int>(height), column,
           static_cast<int>(columns * (j + 1) / across - column));
    }
  }
}

// Adds the products of a box to the sums by lane: column j is planes[offset[j]] on, row i of grad_y is
// rows_of_y[i * pitch] on, of the next box next_rows' unless that is null. The rows that come next are
// fetched meanwhile.
template <class T>
void multiply_lanes(int64_t lanes, const T* planes, const int64_t* offset, const T* rows_of_y,
                    int64_t pitch, const T* next_rows, int64_t rows, int64_t columns, T* sums) {
  constexpr int L = kLanes<T>;
  for_tiles(rows, columns, [&](int64_t tile, int64_t row, int height, int64_t column, int width) {
    const int64_t j = column / TileShape::kDotColumns, next = row + height;
    const T* const left = rows_of_y + row * pitch;
    const T* soon = next < rows ? rows_of_y + next * pitch : next_rows ? next_rows : left;
    if (soon != left) soon += min(j, min(height, next < rows ? rows - next : rows) - 1) * pitch;
    const T* const later = next_rows ? next_rows + (row + min(j, height - 1)) * pitch : left;
    kLaneTiles<T>.get(height, width)(lanes, left, pitch, planes, offset + column,
                                     sums + tile * kTileSums * L, soon, later);
  });
}

// Adds up the lanes of multiply_lanes' sums.
template <class T>
void put_lanes(const T* sums, int64_t rows, int64_t columns, int64_t entries, T* into,
               int64_t row_stride, T* into_bias) {
  alignas(GS_VECTOR_BYTES) T c[kDotSums<T>];
  for_tiles(rows, columns, [&](int64_t tile, int64_t row, int height, int64_t column, int width) {
    add_lanes(sums + tile * kTileSums * kLanes<T>, height * width, c);
    for (int i = 0; i < height; ++i) {
      for (int j = 0; j < width; ++j) {
        T* const to =
            column + j < entries ? into + (row + i) * row_stride + column + j : into_bias + row + i;
        *to = c[i * width + j];
      }
    }
  });
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
