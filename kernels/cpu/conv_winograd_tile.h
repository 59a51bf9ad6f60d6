// What Winograd's convolutions share: how tiles lie in images, and how they come from there.
//
// Vector lanes are tiles, through all images and rows alike.
#pragma once

#include "conv.h"
#include "conv_winograd_last.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kGap = 16;  // between planes: their distance is no power of two

// y[n, k] = bias[k] + sum_c of the filters (k, c) over x[n, c], whose index 0 is at output `padding`.
struct Problem {
  int64_t N, C, K;     // channels and filters of a group
  int64_t groups = 1;  // that an image has: this is one of them
  int64_t in[2], out[2], padding[2];
  const float* x;
  float* y;
  const float* bias;
  const float* weight;
  int64_t row_stride, channel_stride;  // of weight
  bool turned;                         // filters turned by half a turn
  int64_t lines, columns, tiles;       // tiles of an image: lines x columns; of all images
  const ConvEpilogue* epilogue = nullptr;
  LastTiles last;
  int64_t step[2] = {1, 1};  // dilation: padding is a multiple of it
  // Of three dimensions: images are the slices of the output, channels those of x times the filters' slices.
  int64_t depth = 1, in_depth = 1, out_depth = 1, depth_padding = 0;

  bool dilated() const { return step[0] > 1 || step[1] > 1; }
  // The plane of x that a channel of an image is; false, and another one, if it is of the padding.
  bool patch_plane(int64_t image, int64_t channel, const float** plane) const {
    const int64_t z = image % out_depth + channel % depth - depth_padding;
    const bool inside = z >= 0 && z < in_depth;
    const int64_t of_x = image / out_depth * groups * (C / depth) + channel / depth;
    *plane = x + (of_x * in_depth + (inside ? z : 0)) * in[0] * in[1];
    return inside;
  }
  float* output_plane(int64_t image, int64_t filter) const {
    const int64_t of_y = image / out_depth * groups * K + filter;
    return y + (of_y * out_depth + image % out_depth) * out[0] * out[1];
  }
  // The first tap of a filter's channel.
  const float* taps_of(int64_t filter, int64_t channel, int64_t taps) const {
    const int64_t slice = turned ? depth - 1 - channel % depth : channel % depth;
    return weight + filter * row_stride + channel / depth * channel_stride + slice * taps;
  }
};

// Sizes of what a block of tiles needs, in elements.
struct Block {
  int64_t tiles;     // multiple of L
  int64_t patches;   // from one of T * T planes [channels][tiles] to the next
  int64_t products;  // the same for [filters][tiles]
};

// Whether last tiles may have fewer points (conv_winograd_last.h): those of lines that are staged side by side.
template <class W>
constexpr bool kFewer = W::M == 4 && W::R == 3;

// The line at p, to be written, from wherever it is. Compilers make no prefetchw of __builtin_prefetch, as no level
// of x86-64 has it; processors without it do nothing.
GS_INLINE void prefetch_to_write(const float* p) {
#if defined(__x86_64__)
  asm volatile("prefetchw %0" : : "m"(*p));
#else
  __builtin_prefetch(p, 1);
#endif
}

// ---- transforms ----

constexpr int64_t kChunk = 4 * L;  // tiles whose lines are staged at once
// Lines of so many tiles at most are staged side by side: longer ones leave few lanes empty, but where
// tiles read each input three times, as F5's do, staging is less work for any line.
constexpr int64_t kNarrow = 5 * L / 8;

// Tiles [first, last) of a line of an image: they are tiles `local` on of a chunk.
struct Line {
  int64_t local, image, line, first, last;
};

// The lines of tiles [begin, end), at most kChunk of them; returns how many.
inline int find_lines(const Problem& p, int64_t begin, int64_t end, Line* lines) {
  int count = 0;
  for (int64_t tile = begin; tile < end;) {
    const int64_t line = tile / p.columns, first = tile % p.columns;
    const int64_t last = min(p.columns, first + end - tile);
    lines[count++] = {tile - begin, line / p.lines, line % p.lines, first, last};
    tile += last - first;
  }
  return count;
}

// Rows of a chunk's lines, side by side: M elements a tile.
template <class W, int Rows>
struct Stage {
  static constexpr int64_t kRow = kChunk * W::M + L;  // a line's last vector may reach beyond
  alignas(GS_VECTOR_BYTES) float row[Rows][kRow];
};

// The rows, and the same rows M, 2 M .. elements on: as many as a tile reads beyond its own.
template <class W>
constexpr int kStages = 1 + (W::R - 1 + W::M - 1) / W::M;

// Planes of a chunk's tiles.
template <class W>
struct Edge {
  static constexpr int64_t kRow = kChunk + 2 * L;
  alignas(GS_VECTOR_BYTES) float row[W::T * W::T][kRow];
};

template <int First, int... I>
GS_INLINE V every_second(V a, V b, std::integer_sequence<int, I...>) {
  return shuffle<float, (First + 2 * I)...>(a, b);
}

// Elements 0, 4, 8 .. of a and b, then 1, 5, 9 ..
template <int... I>
GS_INLINE V first_two(V a, V b, std::integer_sequence<int, I...>) {
  return shuffle<float, (I < L / 2 ? 4 * I : 4 * (I - L / 2) + 1)...>(a, b);
}

template <int Of, int... I>
GS_INLINE V half_of(V a, V b, std::integer_sequence<int, I...>) {
  return shuffle<float, (Of * (L / 2) + (I < L / 2 ? I : L / 2 + I))...>(a, b);
}

// Elements Of, Of + 3, Of + 6 .. of a, b and c.
template <int Of, int... I>
GS_INLINE V every_third(V a, V b, V c, std::integer_sequence<int, I...>) {
  const V two = shuffle<float, (Of + 3 * I < 2 * L ? Of + 3 * I : 0)...>(a, b);
  return shuffle<float, (Of + 3 * I < 2 * L ? I : Of + 3 * I - L)...>(two, c);
}

// Vector `Of` of a[0], b[0], c[0], a[1], b[1], c[1] ..
template <int Of, int... I>
GS_INLINE V thirds(V a, V b, V c, std::integer_sequence<int, I...>) {
  const V two = shuffle<float, ((Of * L + I) / 3 + ((Of * L + I) % 3 == 1 ? L : 0))...>(a, b);
  return shuffle<float, ((Of * L + I) % 3 == 2 ? L + (Of * L + I) / 3 : I)...>(two, c);
}

// a without its first N lanes, and the first N of b.
template <int N, int... I>
GS_INLINE V shift_in(V a, V b, std::integer_sequence<int, I...>) {
  return shuffle<float, (I + N)...>(a, b);
}

// e[j] lane i: element i * M + j of M vectors.
template <class W>
GS_INLINE void split(const float* from, V* e) {
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
  const V a = load(from), b = load(from + L);
  if constexpr (W::M == 4) {
    const V c = load(from + 2 * L), d = load(from + 3 * L);
    const V even = every_second<0>(a, b, lanes), odd = every_second<1>(a, b, lanes);
    const V more_even = every_second<0>(c, d, lanes), more_odd = every_second<1>(c, d, lanes);
    e[0] = every_second<0>(even, more_even, lanes);
    e[1] = every_second<0>(odd, more_odd, lanes);
    e[2] = every_second<1>(even, more_even, lanes);
    e[3] = every_second<1>(odd, more_odd, lanes);
  } else if constexpr (W::M == 3) {
    const V c = load(from + 2 * L);
    e[0] = every_third<0>(a, b, c, lanes);
    e[1] = every_third<1>(a, b, c, lanes);
    e[2] = every_third<2>(a, b, c, lanes);
  } else {
    e[0] = every_second<0>(a, b, lanes);
    e[1] = every_second<1>(a, b, lanes);
  }
}

// e[0] and e[1] of the same.
template <class W>
GS_INLINE void split_first(const float* from, V* e) {
  if constexpr (W::M == 4) {
    constexpr auto lanes = std::make_integer_sequence<int, L>{};
    const V low = first_two(load(from), load(from + L), lanes);
    const V high = first_two(load(from + 2 * L), load(from + 3 * L), lanes);
    e[0] = half_of<0>(low, high, lanes);
    e[1] = half_of<1>(low, high, lanes);
  } else if constexpr (W::M == 3) {
    constexpr auto lanes = std::make_integer_sequence<int, L>{};
    const V a = load(from), b = load(from + L), c = load(from + 2 * L);
    e[0] = every_third<0>(a, b, c, lanes);
    e[1] = every_third<1>(a, b, c, lanes);
  } else {
    split<W>(from, e);
  }
}

// One line of a channel's tiles, transformed down the columns: stage[0].row[r] gets the elements of row r
// of each tile, stage[s] those s M elements on, of which the next tiles', or the image's, first ones count.
template <class W>
GS_INLINE void stage_patches(const Problem& p, const Line& line, const float* plane, bool there,
                             bool ahead, Stage<W, W::T>* stage) {
  constexpr int T = W::T, M = W::M;
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
  const int64_t in = p.in[1], y = line.line * M - p.padding[0];
  const int64_t begin = clamp(-y, 0, T), end = there ? clamp(p.in[0] - y, 0, T) : 0;  // rows inside
  const int64_t index = line.first * M - p.padding[1], n = (line.last - line.first) * M;
  const float* const rows = plane + y * in;
  const int outputs = kFewer<W> && p.last.fewer && line.line + 1 == p.lines ? p.last.outputs[0] : M;
  // A channel's lines are too few for the hardware's prefetch to learn.
  if (ahead) {
    const int64_t from = max(0, index);
    for (int64_t i = begin; i < end; ++i) {
      prefetch(rows + (i + p.in[0]) * in + from, min(in - from, n + T - M));
    }
  }
  const auto columns = [&](int64_t x, V* to) {
    const int64_t low = clamp(-x, 0, L), high = clamp(in - x, 0, L);
    V d[T];
    if (high - low == L) {
#pragma GCC unroll 8
      for (int i = 0; i < T; ++i) d[i] = i >= begin && i < end ? load(rows + i * in + x) : V{};
    } else if (low < high) {
#pragma GCC unroll 8
      for (int i = 0; i < T; ++i) {
        d[i] = i >= begin && i < end ? load_lanes(rows + i * in + x, low, high) : V{};
      }
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < T; ++i) to[i] = V{};
      return;
    }
    if constexpr (kFewer<W>) {
      if (outputs < M) shorten(outputs, d);
    }
    W::patch(d, to);
  };
  float* put[kStages<W>];
  for (int s = 0; s < kStages<W>; ++s) put[s] = stage[s].row[0] + line.local * M;
  constexpr int64_t kRow = Stage<W, T>::kRow;
  V now[T], next[T] = {};
  columns(index, now);
  const int64_t most = index + L >= in ? 0 : n;  // where the image ends with the first vector
  for (int64_t x = 0;;) {
    if (x < most) columns(index + x + L, next);
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) {
      store(put[0] + i * kRow + x, now[i]);
      store(put[1] + i * kRow + x, shift_in<M>(now[i], next[i], lanes));
      if constexpr (kStages<W> > 2) {
        store(put[2] + i * kRow + x, shift_in<2 * M>(now[i], next[i], lanes));
      }
      now[i] = next[i];
    }
    if ((x += L) >= n) break;
  }
}

// a without its lane 0, and lane `Of` of b at the end.
template <int Of, int... I>
GS_INLINE V push_lane(V a, V b, std::integer_sequence<int, I...>) {
  return shuffle<float, (I + 1 < L ? I + 1 : L + Of)...>(a, b);
}

// e[j] lane i: element index + i * M + j of a row, zero outside of it.
template <class W>
GS_INLINE void split_row(const float* row, int64_t index, int64_t in, V* e) {
  constexpr auto lanes = std::make_integer_sequence<int, L>{};
  const V a = load_inside(row, index, in), b = load_inside(row, index + L, in);
  if constexpr (W::M == 4) {
    const V c = load_inside(row, index + 2 * L, in), d = load_inside(row, index + 3 * L, in);
    const V even = every_second<0>(a, b, lanes), odd = every_second<1>(a, b, lanes);
    const V more_even = every_second<0>(c, d, lanes), more_odd = every_second<1>(c, d, lanes);
    e[0] = every_second<0>(even, more_even, lanes);
    e[1] = every_second<0>(odd, more_odd, lanes);
    e[2] = every_second<1>(even, more_even, lanes);
    e[3] = every_second<1>(odd, more_odd, lanes);
  } else if constexpr (W::M == 3) {
    const V c = load_inside(row, index + 2 * L, in);
    e[0] = every_third<0>(a, b, c, lanes);
    e[1] = every_third<1>(a, b, c, lanes);
    e[2] = every_third<2>(a, b, c, lanes);
  } else {
    e[0] = every_second<0>(a, b, lanes);
    e[1] = every_second<1>(a, b, lanes);
  }
  const V next = load_inside(row, index + W::M * L, in);
  e[W::M] = push_lane<0>(e[0], next, lanes);
  e[W::M + 1] = push_lane<1>(e[1], next, lanes);
  if constexpr (W::R == 5) {
    e[W::M + 2] = push_lane<2>(e[W::M], next, lanes);
    e[W::M + 3] = push_lane<3>(e[W::M + 1], next, lanes);
  }
}

// One long line of a channel's tiles, transformed along the rows: edge.row[i * T + j] gets element j of
// row i of each tile. Nothing is stored twice, but a line's last vector is partly empty.
template <class W>
GS_INLINE void edge_patches(const Problem& p, const Line& line, const float* plane, bool there,
                            bool ahead, Edge<W>& edge) {
  constexpr int T = W::T, M = W::M;
  for (int i = 0; i < T; ++i) {
    const int64_t y = line.line * M + i - p.padding[0];
    const bool inside = there && y >= 0 && y < p.in[0];
    const float* row = plane + y * p.in[1];
    float* put = edge.row[i * T] + line.local;
    if (inside && ahead) {
      const int64_t from = max(0, line.first * M - p.padding[1]);
      prefetch(row + p.in[0] * p.in[1] + from,
               min(p.in[1] - from, (line.last - line.first) * M + T - M));
    }
    for (int64_t t = line.first; t < line.last; t += L, put += L) {
      V e[T], line_of[T] = {};
      if (inside) {
        split_row<W>(row, t * M - p.padding[1], p.in[1], e);
        W::patch(e, line_of);
      }
#pragma GCC unroll 8
      for (int j = 0; j < T; ++j) store(put + j * Edge<W>::kRow, line_of[j]);
    }
  }
}

// Zeros in the last vector of planes that have not all tiles: the tiles do not fill it.
inline void clear_ends(const Problem& p, const Block& block, int64_t pitch, int64_t begin,
                       int64_t end, int64_t channels, float* to) {
  constexpr int kPoints = F4::T;
  for (int xi = 0; xi < kPoints * kPoints; ++xi) {
    const int kind = p.last.kind(xi / kPoints, xi % kPoints);
    const int64_t n = p.last.count(kind, begin, end);
    if (!kind || n % L == 0) continue;
    float* const last = to + xi * block.patches + n / L * L;
    for (int64_t c = 0; c < channels; ++c) store(last + c * pitch, V{});
  }
}

// The patches of tiles [begin, end) in channels [c, c_end), transformed: to[xi * block.patches + (c -
// c_first) * pitch + tile]. Shared: other threads read them, and have those of the last call in their caches.
// Each line is theirs until it is asked for, all at once, before the stores (N8 256->256 14x14, a Xeon, the
// transform alone: 416 -> 331 us).
template <class W, bool Shared, bool Fewer>
void transform_patches(const Problem& p, const Block& block, int64_t pitch, int64_t begin,
                       int64_t end, int64_t c, int64_t c_end, float* to) {
  constexpr int T = W::T, M = W::M;
  [[maybe_unused]] constexpr int kPlanes = T * T;
  const bool narrow = Fewer || kStages<W> > 2 || p.columns <= kNarrow;
  union {
    Edge<W> edge;
    Stage<W, T> stage[kStages<W>];
  };
  // Lanes of the last vector that have no tile (unwritten.h): C 64 8x28x28 K 128 3x3x3, a Xeon: 12.0 -> 4.4 ms.
  if ((end - begin) % L) {
    if (narrow) {
      __builtin_memset(stage, 0, sizeof(stage));
    } else {
      __builtin_memset(&edge, 0, sizeof(edge));
    }
  }
  if constexpr (Fewer) clear_ends(p, block, pitch, begin, end, c_end - c, to);
  [[maybe_unused]] constexpr void (*const put_line[])(V*, const Places&, int, float*, int64_t) = {
      put_patches<1>, put_patches<2>, put_patches<3>, put_patches<4>};
  Line lines[kChunk];
  [[maybe_unused]] Places places[Fewer ? kChunk / L : 1];
  for (int64_t chunk = begin; chunk < end; chunk += kChunk) {
    const int64_t tiles = min(kChunk, end - chunk);
    const int count = find_lines(p, chunk, chunk + tiles, lines);
    if constexpr (Fewer) {
      for (int64_t t = 0; t < tiles; t += L) {
        find_places(p.last, begin, chunk + t, chunk + tiles, &places[t / L]);
      }
    }
    float* put = Fewer ? to : to + (chunk - begin);
    for (int64_t i = c; i < c_end; ++i, put += pitch) {
      const bool ahead = i + 1 < c_end;
      for (const Line* line = lines; line < lines + count; ++line) {
        if constexpr (Shared) {
          const int64_t l = line - lines;
          for (int64_t xi = kPlanes * l / count; xi < kPlanes * (l + 1) / count; ++xi) {
            const float* const row = put + xi * block.patches + (Fewer ? chunk - begin : 0);
            for (int64_t t = 0; t < tiles; t += L) prefetch_to_write(row + t);
          }
        }
        const float* plane;
        const bool there = p.patch_plane(line->image, i, &plane);
        if (narrow) {
          stage_patches<W>(p, *line, plane, there, ahead, stage);
        } else {
          edge_patches<W>(p, *line, plane, there, ahead, edge);
        }
      }
      for (int64_t t = 0; t < tiles; t += L) {
#pragma GCC unroll 1
        for (int r = 0; r < T; ++r) {
          V e[T], done[T];
          if (narrow) {
            split<W>(stage[0].row[r] + t * M, e);
            split_first<W>(stage[1].row[r] + t * M, e + M);
            if constexpr (kStages<W> > 2) split<W>(stage[2].row[r] + t * M, e + 2 * M);
          } else {
#pragma GCC unroll 8
            for (int j = 0; j < T; ++j) e[j] = load(edge.row[j * T + r] + t);
          }
          if constexpr (Fewer) {
            put_line[p.last.outputs[1] - 1](e, places[t / L], !has(p.last.outputs[0], r),
                                            put + r * T * block.patches, block.patches);
          } else {
            W::patch(e, done);
            // A row r of all columns, or a column r of all rows.
            float* const first = put + t + r * (narrow ? T : 1) * block.patches;
            const int64_t step = (narrow ? 1 : T) * block.patches;
#pragma GCC unroll 8
            for (int j = 0; j < T; ++j) store(first + j * step, done[j]);
          }
        }
      }
    }
  }
}

// ---- with dilation ----

// Calls group(tile, first row, first column, how many) for each vector of an image's tiles. A tile has
// every step-th row and column; those of neighbouring columns are neighbours: no lane changes its place.
template <class Group>
void for_groups(const Problem& p, int m, const Group& group) {
  int64_t tile = 0;
  for (int64_t line = 0; line < p.lines; ++line) {
    for (int64_t column = 0; column < p.columns; ++column) {
      for (int64_t y = 0; y < p.step[0]; ++y) {
        for (int64_t x = 0; x < p.step[1]; x += L) {
          const int64_t n = min(L, p.step[1] - x);
          group(tile, line * m * p.step[0] + y, column * m * p.step[1] + x, n);
          tile += n;
        }
      }
    }
  }
}

// transform_patches of all tiles.
template <class W>
void dilated_patches(const Problem& p, const Block& block, int64_t pitch, int64_t c, int64_t c_end,
                     float* to) {
  constexpr int T = W::T;
  const int64_t size = p.in[0] * p.in[1], of_image = p.tiles / p.N;
  for (; c < c_end; ++c, to += pitch) {
    for (int64_t image = 0; image < p.N; ++image) {
      const float* const plane = p.x + (image * p.groups * p.C + c) * size;
      if (c + 1 < c_end) prefetch(plane + size, size);
      for_groups(p, W::M, [&](int64_t tile, int64_t first_y, int64_t first_x, int64_t) {
        const float* row[T];
        for (int i = 0; i < T; ++i) {
          const int64_t y = first_y + i * p.step[0] - p.padding[0];
          row[i] = y >= 0 && y < p.in[0] ? plane + y * p.in[1] : nullptr;
        }
        V column[T][T];
#pragma GCC unroll 8
        for (int j = 0; j < T; ++j) {
          const int64_t x = first_x + j * p.step[1] - p.padding[1];
          const int64_t low = clamp(-x, 0, L), high = clamp(p.in[1] - x, 0, L);
          V d[T] = {};
          if (high - low == L) {
#pragma GCC unroll 8
            for (int i = 0; i < T; ++i) {
              if (row[i]) d[i] = load(row[i] + x);
            }
          } else if (low < high) {
#pragma GCC unroll 8
            for (int i = 0; i < T; ++i) {
              if (row[i]) d[i] = load_lanes(row[i] + x, low, high);
            }
          }
          W::patch(d, column[j]);
        }
        tile += image * of_image;
        const int64_t room = pitch - tile;  // the next group overwrites what is not of this one
        float* const put = to + tile;
#pragma GCC unroll 8
        for (int i = 0; i < T; ++i) {
          V line[T], done[T];
#pragma GCC unroll 8
          for (int j = 0; j < T; ++j) line[j] = column[j][i];
          W::patch(line, done);
          if (room >= L) {
#pragma GCC unroll 8
            for (int j = 0; j < T; ++j) store(put + (i * T + j) * block.patches, done[j]);
          } else {
#pragma GCC unroll 8
            for (int j = 0; j < T; ++j) {
              store_n(put + (i * T + j) * block.patches, done[j], room);
            }
          }
        }
      });
    }
  }
}

// ---- memory ----

struct Buffer {
  explicit Buffer(int64_t elements)
      : bytes(static_cast<size_t>(elements) * sizeof(float)),
        data(static_cast<float*>(allocate(bytes))) {}
  ~Buffer() {
    if (data) release(data, bytes);
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  Status missing() const { return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}}; }

  size_t bytes;
  float* data;
};

// Scratch of a thread, or the status that there is none.
GS_INLINE float* scratch_or_fail(int64_t elements, int64_t* missing) {
  void* memory = thread_scratch(static_cast<size_t>(elements) * sizeof(float));
  if (!memory) __atomic_store_n(missing, elements * 4, __ATOMIC_RELAXED);
  return static_cast<float*>(memory);
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
