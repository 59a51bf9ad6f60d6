// Tiles that are parts of a row of positions, for convolutions whose sums are short: first layers. Such a
// tile takes little longer than finding out where its lanes lie and copying them there, which tiles over
// the ends of rows (conv.cpp) need: here most are stored where they belong, or past the caches.
#pragma once

#include "conv_gather.h"
#include "epilogue.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kShortSum = 192;  // products of an output

template <class T>
struct Plan {
  Planes planes;
  int64_t depth;       // channels read
  int64_t row_parts;   // parts of the output channels
  int64_t panel_size;  // of packed weights, in elements
  bool image_lanes;
  int64_t group_rows;    // with image lanes: rows of positions that are stored together
  bool by_rows, stream;  // row_tiles, and its stores
  const int64_t* offset;
  const T* weight;
};

// Whether tiles are parts of rows: at least two vectors of a row, most of their lanes in use.
template <class T>
void choose_row_tiles(const Gather<T>& g, Plan<T>& plan) {
  constexpr int64_t L = kLanes<T>;
  const Planes& p = plan.planes;
  const Axis& x = p.axis[2];
  const int64_t lanes = round_up(x.box, L);
  plan.by_rows = !plan.image_lanes && p.channels == g.depth && g.depth * p.taps() <= kShortSum &&
                 x.out_step == 1 && x.box == x.size && lanes >= 2 * L && 8 * x.box >= 7 * lanes;
  const int64_t bytes = g.images * g.groups * g.rows * g.out_positions() * int64_t{sizeof(T)};
  plan.stream = plan.by_rows && x.box % L == 0 && x.box == g.out[2] && beyond_cache(bytes) &&
                reinterpret_cast<uintptr_t>(g.y) % GS_VECTOR_BYTES == 0;
}

// y[p * kRows + i] = bias + the sums of panel p for `panels` panels of kRows channels and NV vectors of a row:
// kTiles' sums in their order, in one loop over the panels. The lines of a tile are fetched while its sums
// are made, or stored past the caches.
template <class T, int NV, bool STREAM>
__attribute__((noinline)) void row_panels(int64_t panels, int64_t K, const T* a, int64_t panel_size,
                                          const T* lanes, const int64_t* offset, T* y,
                                          int64_t pitch, const T* bias) {
  constexpr int L = kLanes<T>, MR = TileShape::kRows;
#pragma GCC unroll 1
  for (int64_t panel = 0; panel < panels; ++panel, a += panel_size) {
    Vec<T> sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
    }
    const T *weight = a, *line = y;
#pragma GCC unroll 1
    for (int64_t k = 0; k < K; ++k, weight += MR) {
      const T* const row = lanes + offset[k];
      if constexpr (!STREAM) {
        if (k < MR) {
#pragma GCC unroll 8
          for (int j = 0; j < NV; ++j) __builtin_prefetch(line + j * L, 1);
          line += pitch;
        }
      }
      Vec<T> b[NV];
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) b[j] = load(row + j * L);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(weight[i]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += value * b[j];
      }
    }
    if (bias) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(bias[i]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += value;
      }
      bias += MR;
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i, y += pitch) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) {
        if constexpr (STREAM) {
          store_stream<T>(y + j * L, sum[i][j]);
        } else {
          store(y + j * L, sum[i][j]);
        }
      }
    }
  }
}

template <class T>
using RowPanels = void (*)(int64_t panels, int64_t K, const T* a, int64_t panel_size,
                           const T* lanes, const int64_t* offset, T* y, int64_t pitch,
                           const T* bias);
template <class T, int... I>
constexpr RowPanels<T> row_panels_of(int vectors, bool stream, std::integer_sequence<int, I...>) {
  constexpr RowPanels<T> kOf[] = {&row_panels<T, I / 2 + 1, I % 2 == 1>...};
  return kOf[(vectors - 1) * 2 + (stream ? 1 : 0)];
}

// All tiles of a box for output channels of panels [first, last), from planes of all channels; a tile is
// a part of a row.
template <class T>
void row_tiles(const Gather<T>& g, const Plan<T>& plan, int64_t group, const Panels& panels,
               int64_t first, int64_t last, const Box& box, const T* filled) {
  constexpr int L = kLanes<T>;
  const Planes& p = plan.planes;
  const Axis &az = g.axis[0], &ay = g.axis[1], &ax = g.axis[2];
  const int64_t taps = p.taps(), out_size = g.out_positions(), width = box.size[2];
  const int64_t all_vectors = ceil_div(width, L), tiles = ceil_div(all_vectors, panels.vectors());
  const int64_t image_rows = box.size[0] * box.size[1], all_rows = box.images * image_rows;
  // What the last vector writes beyond its row is the next row's, which is written later.
  const bool rows_follow = ay.out_step == 1 && width == g.out[2];
  alignas(GS_VECTOR_BYTES) T edge[TileShape::kRows * TileShape::kMaxVectors * L];
  for (int64_t row = 0; row < all_rows; ++row) {
    const int64_t image = row / image_rows, z = row % image_rows / box.size[1];
    const int64_t y = row % box.size[1];
    const int64_t oz = az.out_first + (box.origin[0] + z) * az.out_step;
    const int64_t oy = ay.out_first + (box.origin[1] + y) * ay.out_step;
    T* const out = g.y + (box.image + image) * g.groups * g.rows * out_size +
                   (oz * g.out[1] + oy) * g.out[2] + ax.out_first + box.origin[2];
    const T* const lanes = filled + image * p.image + z * p.slab + y * p.row;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t begin = all_vectors * t / tiles * L;
      const int vectors = static_cast<int>(all_vectors * (t + 1) / tiles - begin / L);
      const int64_t count = min(width - begin, vectors * L);
      const bool whole =
          !plan.stream && (count == vectors * L || (rows_follow && y + 1 < box.size[1]));
      int64_t begin_panel = first;
      // Panels of whole height and nothing to do after the sums.
      const int64_t tall =
          panels.height == TileShape::kRows && !g.epilogue && (whole || plan.stream)
              ? min(last, panels.tall) - first
              : 0;
      if (tall > 0) {
        constexpr auto kAll = std::make_integer_sequence<int, TileShape::kVectors * 2>{};
        const int64_t k = group * g.rows + panels.begin(first);
        row_panels_of<T>(vectors, plan.stream, kAll)(
            tall, g.depth * taps, plan.weight + (group * panels.count + first) * plan.panel_size,
            plan.panel_size, lanes + begin, plan.offset, out + k * out_size + begin, out_size,
            g.bias ? g.bias + k : nullptr);
        begin_panel += tall;
      }
      for (int64_t panel = begin_panel; panel < last; ++panel) {
        const int height = panels.rows(panel);
        const int64_t k = group * g.rows + panels.begin(panel);
        const T* const a = plan.weight + (group * panels.count + panel) * plan.panel_size;
        T* const to = out + k * out_size + begin;
        T* const sums = whole ? to : edge;
        const int64_t pitch = whole ? out_size : vectors * L;
        kTiles<T, ScatteredRows<T>>.get(height, vectors)(
            g.depth * taps, a, ScatteredRows<T>{lanes + begin, plan.offset}, sums, pitch,
            g.bias ? Start::kRowValues : Start::kZero, g.bias ? g.bias + k : nullptr);
        for (int i = 0; g.epilogue && i < height; ++i) {
          finish(g.epilogue, to + i * out_size, sums + i * pitch, count);
        }
        if (whole) continue;
        const T* from = edge;
        for (int i = 0; i < height; ++i, from += vectors * L) {
          if (plan.stream) {
            for (int64_t j = 0; j < count; j += L) {
              store_stream<T>(to + i * out_size + j, load<T>(from + j));
            }
          } else {
            copy_run(to + i * out_size, from, count);
          }
        }
      }
    }
  }
  if (plan.stream) stream_fence();
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
