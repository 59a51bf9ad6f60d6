// The register tile of convolutions with kernels of one element (conv_pointwise.cpp).
//
//   y[i, j] = bias[i] + sum_d weight[d, i] x[d, j]
//
// Layout     weight packed by depth, as gemm.h's panels; rows of x and of y a stride apart.
// Method     gemm.h's tile with three things besides. Two lines are fetched with each row of x. The first panel's
//            tile may leave the rows that it reads side by side in `copy`, for the others to read: loads that
//            cross a line cost a tenth of the time (8 x 48, Emerald Rapids: 12.2 cycles a row from L2, 13.2 with
//            x 16 bytes off). And results may be stored past the caches.
// Cost       2 rows lanes depth FLOPs; MR x NV multiply-adds a row, and nothing else for their ports: 12.1 of 12
//            cycles a row measured.
// Accuracy   gemm.h's chains.
#pragma once

#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

template <class T>
struct TileTask {
  int64_t depth;
  const T* weight;
  const T* x;  // row d at x + d * x_stride
  int64_t x_stride;
  const T* fetched;  // a line of what is multiplied next, fetch_step on with each row
  int64_t fetch_step;
  // Another, second_step on with each row; after each second_rows rows, second_turn besides, until it has turned
  // second_turns times.
  const T* second;
  int64_t second_step, second_rows, second_turn, second_turns;
  T* copy;  // depth rows of whole vectors
  T* rest;  // the `left` elements after those of row d go to rest + d * rest_stride
  int64_t left, rest_stride;  // fewer than a vector
  T* y;
  int64_t y_stride;
  const T* bias;  // or nullptr
  bool stream;    // past the caches; y is aligned, and there is one chain
};

// `fetched` goes to L1; to L2; to L2, and x is copied; and what follows it. `second` goes to L1. kRest: nothing is
// fetched; a tile of one vector waits for its loads, not for multiply-adds.
enum class TileKind { kNear, kFar, kCopy, kCopyRest, kRest };

template <class T, int MR, int NV, TileKind Kind>
__attribute__((noinline)) void pointwise_tile(const TileTask<T>& task) {
  constexpr int L = kLanes<T>;
  constexpr int kLevel = Kind == TileKind::kNear ? 3 : 2;
  const T *a = task.weight, *x = task.x, *fetched = task.fetched;
  const int64_t x_stride = task.x_stride, fetch_step = task.fetch_step, y_stride = task.y_stride;
  constexpr bool kCopies = Kind == TileKind::kCopy || Kind == TileKind::kCopyRest;
  const T* second = task.second;
  int64_t second_step = task.second_step, turns = task.second_turns;
  T *copy = task.copy, *rest = task.rest;
  bool more = false;
  for (int64_t left = task.depth;; left -= kChain) {
    Vec<T> sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
    }
    const T* const end = a + min(left, kChain) * MR;
#pragma GCC unroll 1
    do {
      const int64_t run = task.second_rows * MR;
      const T* const stop = turns > 0 && end - a > run ? a + run : end;
#pragma GCC unroll 1
      do {
        Vec<T> b[NV];
        if constexpr (Kind != TileKind::kRest) {
          __builtin_prefetch(fetched, 0, kLevel);
          __builtin_prefetch(second);
          fetched += fetch_step;
          second += second_step;
        }
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
          b[j] = load(x + j * L);
          if constexpr (kCopies) store(copy + j * L, b[j]);
        }
        if constexpr (kCopies) copy += NV * L;
        if constexpr (Kind == TileKind::kCopyRest) {
          copy_run(rest, x + NV * L, task.left);
          rest += task.rest_stride;
        }
        x += x_stride;
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const Vec<T> value = splat(a[i]);
#pragma GCC unroll 8
          for (int j = 0; j < NV; ++j) sum[i][j] += value * b[j];
        }
        a += MR;
      } while (a != stop);
      second += task.second_turn;
      if (--turns == 0) second_step = 0;
    } while (a != end);
    // One pointer walks over the rows: the compiler would compute all addresses before the loop, forty
    // instructions a tile, and keep some in vector registers.
    T* y = task.y;
    if (more) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += load(y + j * L);
        y += y_stride;
        asm("" : "+r"(y));
      }
      y = task.y;
    } else if (task.bias) {
      const T* const bias = task.bias;
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(bias[i]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += value;
      }
    }
    const auto put = [&](auto store_vector) __attribute__((always_inline)) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) store_vector(y + j * L, sum[i][j]);
        y += y_stride;
        asm("" : "+r"(y));
      }
    };
    if (task.stream) return put([](T* to, Vec<T> v) { store_stream<T>(to, v); });
    put([](T* to, Vec<T> v) { store(to, v); });
    if (left <= kChain) return;
    more = true;
  }
}

template <class T>
struct PointwiseTiles {
  using Run = void (*)(const TileTask<T>&);
  Run entry[TileShape::kRows * TileShape::kVectors];
  Run get(int rows, int vectors) const {
    return entry[(rows - 1) * TileShape::kVectors + vectors - 1];
  }
};

template <class T, TileKind Kind, int... I>
constexpr PointwiseTiles<T> make_pointwise_tiles(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  return {{&pointwise_tile<T, I / V + 1, I % V + 1, Kind>...}};
}

template <class T, TileKind Kind>
constexpr PointwiseTiles<T> kPointwiseTiles = make_pointwise_tiles<T, Kind>(
    std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{});

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
