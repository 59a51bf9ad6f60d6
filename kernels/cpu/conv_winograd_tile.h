// What Winograd's convolutions share: the transforms of a line, and how tiles lie in images.
//
// An M x M tile of outputs reads a patch of T x T inputs, T = M + 2. Vector lanes are tiles, through all
// images and rows alike.
#pragma once

#include "conv.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

using V = Vec<float>;
constexpr int L = kLanes<float>;
constexpr int64_t kGap = 16;  // between planes: their distance is no power of two

// F(4x4, 3x3): the three transforms of a line.
struct F4 {
  static constexpr int M = 4, T = 6;
  static GS_INLINE void patch(const V* d, V* to) {
    const V p = d[3] - d[1], q = d[4] - d[2];
    to[0] = (d[0] - d[2]) + q + 1.5f * p;
    to[1] = q + p + 1.5f * (d[2] + d[3]);
    to[2] = q - p + 1.5f * (d[3] - d[2]);
    to[3] = q + 2.0f * p;
    to[4] = q - 0.5f * p;
    to[5] = (d[5] - d[3]) - p + 1.5f * q;
  }
  static GS_INLINE void filter(V a, V b, V c, V* to) {
    const V outer = (a + c) * (1.0f / 3), inner = b * (1.0f / 3);
    to[0] = a;
    to[1] = inner + outer;
    to[2] = inner - outer;
    to[3] = (a * 4.0f + b * 2.0f + c) * (-4.0f / 15);
    to[4] = (a - b * 2.0f + c * 4.0f) * (1.0f / 15);
    to[5] = c;
  }
  static GS_INLINE void output(const V* m, V* to) {
    const V sum = m[1] + m[2], difference = m[1] - m[2];
    to[0] = m[0] + sum + (m[3] + m[4]);
    to[1] = difference + 0.5f * m[3] - 2.0f * m[4];
    to[2] = sum + 0.25f * m[3] + 4.0f * m[4];
    to[3] = difference + 0.125f * m[3] - 8.0f * m[4] + m[5];
  }
};

// F(2x2, 3x3), at 0, 1, -1 and infinity.
struct F2 {
  static constexpr int M = 2, T = 4;
  static GS_INLINE void patch(const V* d, V* to) {
    to[0] = d[0] - d[2];
    to[1] = d[1] + d[2];
    to[2] = d[2] - d[1];
    to[3] = d[3] - d[1];
  }
  static GS_INLINE void filter(V a, V b, V c, V* to) {
    const V outer = (a + c) * 0.5f, inner = b * 0.5f;
    to[0] = a;
    to[1] = outer + inner;
    to[2] = outer - inner;
    to[3] = c;
  }
  static GS_INLINE void output(const V* m, V* to) {
    to[0] = m[0] + m[1] + m[2];
    to[1] = m[1] - m[2] + m[3];
  }
};

// y[n, k] = bias[k] + sum_c of the 3x3 filters (k, c) over x[n, c], whose index 0 is at output
// `padding`.
struct Problem {
  int64_t N, C, K;
  int64_t in[2], out[2], padding[2];
  const float* x;
  float* y;
  const float* bias;
  const float* weight;
  int64_t row_stride, channel_stride;  // of weight
  bool turned;                         // filters turned by half a turn
  int64_t lines, columns, tiles;       // tiles of an image: lines x columns; of all images
  const ConvEpilogue* epilogue = nullptr;
};

// Sizes of what a block of tiles needs, in elements.
struct Block {
  int64_t tiles;     // multiple of L
  int64_t patches;   // from one of T * T planes [channels][tiles] to the next
  int64_t products;  // the same for [filters][tiles]
  int64_t edge;      // from one plane of a channel's unfinished tiles to the next
};

// ---- transforms ----

template <int First, int... I>
GS_INLINE V every_second(V a, V b, std::integer_sequence<int, I...>) {
  return shuffle<float, (First + 2 * I)...>(a, b);
}

// a without its lane 0, and lane `Of` of b at the end.
template <int Of, int... I>
GS_INLINE V shift_in(V a, V b, std::integer_sequence<int, I...>) {
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
  } else {
    e[0] = every_second<0>(a, b, lanes);
    e[1] = every_second<1>(a, b, lanes);
  }
  const V next = load_inside(row, index + W::M * L, in);
  e[W::M] = shift_in<0>(e[0], next, lanes);
  e[W::M + 1] = shift_in<1>(e[1], next, lanes);
}

// Calls body(local, image, line, first, last) for the stretches of tiles [begin, end) that lie in one
// line: tiles first to last of it are those from `local` on.
template <class Body>
GS_INLINE void for_lines(const Problem& p, int64_t begin, int64_t end, const Body& body) {
  for (int64_t tile = begin; tile < end;) {
    const int64_t line = tile / p.columns, first = tile % p.columns;
    const int64_t last = min(p.columns, first + end - tile);
    body(tile - begin, line / p.lines, line % p.lines, first, last);
    tile += last - first;
  }
}

// The patches of tiles [begin, end) in channels [c, c_end), transformed: to[xi * block.patches + (c -
// c_first) * pitch + tile]. `edge` holds one channel's, transformed along the rows.
template <class W>
void transform_patches(const Problem& p, const Block& block, int64_t pitch, int64_t begin,
                       int64_t end, int64_t c, int64_t c_end, float* edge, float* to) {
  constexpr int T = W::T, M = W::M;
  for (; c < c_end; ++c, to += pitch) {
    for_lines(p, begin, end,
              [&](int64_t local, int64_t image, int64_t line, int64_t first, int64_t last) {
                const float* plane = p.x + (image * p.C + c) * p.in[0] * p.in[1];
                for (int i = 0; i < T; ++i) {
                  const int64_t y = line * M + i - p.padding[0];
                  const bool inside = y >= 0 && y < p.in[0];
                  const float* row = plane + y * p.in[1];
                  float* put = edge + i * T * block.edge + local;
                  // A channel's lines are too few for the hardware's prefetch to learn.
                  if (inside && c + 1 < c_end) {
                    const int64_t from = max(0, first * M - p.padding[1]);
                    prefetch(row + p.in[0] * p.in[1] + from,
                             min(p.in[1] - from, (last - first) * M + 2));
                  }
                  for (int64_t t = first; t < last; t += L, put += L) {
                    V e[T], line_of[T] = {};
                    if (inside) {
                      split_row<W>(row, t * M - p.padding[1], p.in[1], e);
                      W::patch(e, line_of);
                    }
#pragma GCC unroll 8
                    for (int j = 0; j < T; ++j) store(put + j * block.edge, line_of[j]);
                  }
                }
              });
    for (int64_t t = 0; t < end - begin; t += L) {
#pragma GCC unroll 1
      for (int j = 0; j < T; ++j) {
        V column[T], done[T];
#pragma GCC unroll 8
        for (int i = 0; i < T; ++i) column[i] = load(edge + (i * T + j) * block.edge + t);
        W::patch(column, done);
#pragma GCC unroll 8
        for (int i = 0; i < T; ++i) store(to + (i * T + j) * block.patches + t, done[i]);
      }
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
