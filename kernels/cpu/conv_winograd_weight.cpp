// winograd_bwd_weight: conv_bwd_weight of 3x3 filters at stride 1 by the adjoint of F(4x4, 3x3).
//
// Layout     as conv_winograd.cpp's.
// Method     forward, y = A^T [sum_c (G g G^T) * (B^T d B)] A; so the gradient in g is
//            G^T [sum over tiles of (A grad_y A^T) * (B^T d B)] G: tiles of 4 x 4 of grad_y and patches
//            of 6 x 6 of x become 36 planes each, and the 36 products of [filters x tiles] with
//            [tiles x channels] sum over tiles. Lanes are channels: images are turned over before the
//            transforms (16 elements a tile, not the 36 after them), a tile's transform needs no shuffle.
//            The last tile of a line or column may have fewer outputs, M. It is F(M, 3) then, whose
//            points are the first M + 1 of 0, 1, -1, 1/2, -2, and infinity: G is that of F(4), so that
//            the sums go into the same planes, and the planes of the other points have no such tiles.
// Split      stretches of lines of tiles, one after another; in each, groups of channels by lines for the
//            transforms, then blocks of filters by channels through all planes. Where all sums fit in a
//            part of L2: parts of the lines, each through all steps with sums of its own.
// Cache      a window of an image in L1; a block's sums in L2; a stretch's planes, kStretchBytes, in L3, or,
//            of a part with its own sums, in L2.
// Cost       2 * 36 C K FLOPs a tile of 16 outputs (144 otherwise), and the transforms.
// Accuracy   rms error 1e-6 of the output's. An element is a sum of chains of at most kBlockTiles, whose
//            borders follow from the shape and the caches' sizes: the same bits for every number of threads.
// Limits     float32; stride 1, dilation 1, one group; any padding and sizes.
#include "conv_winograd.h"
#include "conv_winograd_tile.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

using W = F4;
constexpr int M = W::M, T = W::T, kPlanes = T * T;
constexpr int64_t kStretchBytes = 16 << 20;
constexpr int64_t kBlockTiles = 64;  // of a chain
// Parts with sums of their own, of at least so many tiles; of so many at once.
constexpr int64_t kParts = 8, kPartTiles = 48, kOwnTiles = 40;
// An L2 of so much holds the sums of 64 filters by 48 channels and more; and stretches are shorter where a few
// of them do not take longer to sum up than their planes do from L3, 70 GB/s on a Xeon (N4 128->128 64x64: 1.07).
constexpr int64_t kLargeCache = 2 << 20;
constexpr int64_t kSegment = 16;                         // tiles of a line in a window
constexpr int64_t kWindow = T * (kSegment * M + 2) + 4;  // positions of a window
constexpr int kRing = 8;  // columns of a line: a patch's, and its neighbour's
constexpr int kRows = TileShape::kRows < 8 ? 4 : 8, kVectors = 3;
constexpr int kGroup = L > kRows ? L : kRows;  // filters side by side

// ---- transforms ----

// B^T of a line of m outputs, from m + 2 elements of x: to[point].
struct Patches {
  static constexpr int kMore = 2, kWide = L;  // kWide: of a panel
  template <int m>
  static GS_INLINE void line(const V* d, V* to) {
    if constexpr (m == 4) {
      W::patch(d, to);
    } else if constexpr (m == 3) {
      const V p = d[3] - d[1];
      to[0] = (d[0] - d[2]) + 2.0f * p;
      to[1] = 3.0f * d[3] + 1.5f * (d[2] - d[1]);
      to[2] = d[3] + 0.5f * d[1] - 1.5f * d[2];
      to[3] = 2.5f * p;
      to[5] = (d[4] - d[2]) - 0.5f * p;
    } else if constexpr (m == 2) {
      to[0] = d[0] - d[2];
      to[1] = 1.5f * (d[1] + d[2]);
      to[2] = 1.5f * (d[1] - d[2]);
      to[5] = d[3] - d[1];
    } else {
      to[0] = d[0] - d[1];
      to[1] = 3.0f * d[1];
      to[5] = d[2] - d[1];
    }
  }
};

// A of a line of m elements of grad_y.
struct Gradients {
  static constexpr int kMore = 0, kWide = kGroup;
  template <int m>
  static GS_INLINE void line(const V* g, V* to) {
    to[0] = g[0];
    if constexpr (m == 4) {
      const V even = g[0] + g[2], odd = g[1] + g[3];
      to[1] = even + odd;
      to[2] = even - odd;
      to[3] = g[0] + 0.5f * g[1] + 0.25f * g[2] + 0.125f * g[3];
      to[4] = g[0] - 2.0f * g[1] + 4.0f * g[2] - 8.0f * g[3];
    } else if constexpr (m == 3) {
      const V even = g[0] + g[2];
      to[1] = even + g[1];
      to[2] = even - g[1];
      to[3] = g[0] + 0.5f * g[1] + 0.25f * g[2];
    } else if constexpr (m == 2) {
      to[1] = g[0] + g[1];
      to[2] = g[0] - g[1];
    } else {
      to[1] = g[0];
    }
    to[5] = g[m - 1];
  }
};

// G^T u for a line of six.
GS_INLINE void gather(const V* u, V* to) {
  const V a = (u[1] - u[2]) * (1.0f / 3), b = (u[1] + u[2]) * (1.0f / 3);
  const V c = u[3] * (-4.0f / 15), d = u[4] * (1.0f / 15);
  to[0] = u[0] + a + (4.0f * c + d);
  to[1] = b + (2.0f * c - 2.0f * d);
  to[2] = a + (c + 4.0f * d) + u[5];
}

// How tiles lie in images: `lines` of `columns`, of which the last have last[0] and last[1] outputs.
struct Tiling {
  int64_t lines, columns;
  int last[2];

  int outputs(int d, int64_t i) const { return i + 1 < (d ? columns : lines) ? M : last[d]; }
  // Lines [first, line) of all images, and tiles of a line, that have a point.
  int64_t lines_with(int point, int64_t first, int64_t line) const {
    return line - first - (has(last[0], point) ? 0 : line / lines - first / lines);
  }
  int64_t columns_with(int point) const { return columns - !has(last[1], point); }
};

// Images (N, channels, size).
struct Operand {
  const float* from;
  int64_t channels, size[2], padding[2];
  int64_t groups() const { return ceil_div(channels, L); }
};

// Windows of images, channels as lanes.
struct Window {
  alignas(GS_VECTOR_BYTES) float at[(kWindow + L) * L];
  alignas(GS_VECTOR_BYTES) float ring[kRing * T * L];
  int32_t
      place[kWindow + 2 * L];  // of a window's elements in turn, rows of `wide` being `pitch` apart
  int64_t wide = -1, pitch = -1;

  void set_places(int64_t w, int64_t p) {
    if (w == wide && p == pitch) return;
    wide = w, pitch = p;
    for (int64_t i = 0, x = 0, to = 0; i < kWindow + 2 * L; ++i, ++to) {
      if (x++ == w) x = 1, to += p - w;
      place[i] = static_cast<int32_t>(to * L);
    }
  }
};

// n elements of `count` channels, `plane` apart.
GS_INLINE void turn_over(const float* from, int64_t plane, int64_t count, int64_t n, int64_t ahead,
                         const int32_t* place, float* to) {
  for (int64_t p = 0; p < n; p += L, place += L) {
    V rows[L];
    const int64_t left = n - p;
    if (left >= L && count == L) {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        rows[i] = load(from + i * plane + p);
        __builtin_prefetch(from + i * plane + p + ahead);
      }
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        rows[i] = i >= count  ? V{}
                  : left >= L ? load(from + i * plane + p)
                              : load_n(from + i * plane + p, left);
      }
    }
    transpose<float>(rows);
    if (left >= L) {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) store(to + place[i], rows[i]);
    } else {
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        if (i < left) store(to + place[i], rows[i]);
      }
    }
  }
}

// Rows [y, y + rows) and columns [x, x + columns) of an image's channels, zero outside of it.
void fill_window(const Operand& o, const float* from, int64_t count, int64_t y, int64_t rows,
                 int64_t x, int64_t columns, int64_t ahead, Window& w) {
  const int64_t wide = o.size[1], plane = o.size[0] * wide;
  const int64_t top = clamp(y, 0, o.size[0]), bottom = clamp(y + rows, top, o.size[0]);
  const int64_t left = clamp(x, 0, wide), right = clamp(x + columns, left, wide);
  const int64_t inside = right - left;
  for (int64_t i = 0; i < rows; ++i) {
    float* const row = w.at + i * columns * L;
    const int64_t n = y + i >= top && y + i < bottom ? inside : 0;
    const int64_t before = n ? left - x : columns;
    for (int64_t j = 0; j < before; ++j) store(row + j * L, V{});
    for (int64_t j = before + n; j < columns; ++j) store(row + j * L, V{});
  }
  if (!inside) return;
  w.set_places(wide, columns);
  float* const to = w.at + ((top - y) * columns + left - x) * L;
  from += top * wide + left;
  if (inside == wide) {
    turn_over(from, plane, count, (bottom - top) * wide, ahead, w.place, to);
  } else {
    for (int64_t i = 0; i < bottom - top; ++i) {
      turn_over(from + i * wide, plane, count, inside, ahead, w.place, to + i * columns * L);
    }
  }
}

// n columns of a line of tiles with m outputs, from column x of the window on, down the columns.
template <class Kind, int m>
void down(const float* window, int64_t pitch, int64_t x, int64_t n, float* ring) {
  for (int64_t end = x + n; x < end; ++x) {
    V d[T], done[T];
#pragma GCC unroll 8
    for (int i = 0; i < m + Kind::kMore; ++i) d[i] = load(window + i * pitch + x * L);
    Kind::template line<m>(d, done);
    float* const put = ring + x % kRing * T * L;
#pragma GCC unroll 8
    for (int i = 0; i < T; ++i) {
      if (has(m, i)) store(put + i * L, done[i]);
    }
  }
}

// A tile of m columns, whose first is x, along the rows: a row's points are `plane` apart from `to` on, or
// `less` before that where the last tile of each line has not the point.
template <class Kind, int m>
void along(const float* ring, int64_t x, int row_outputs, const Tiling& tiling, int64_t plane,
           const int64_t* less, float* const* to) {
  const float* column[m + Kind::kMore];
#pragma GCC unroll 8
  for (int i = 0; i < m + Kind::kMore; ++i) column[i] = ring + (x + i) % kRing * T * L;
#pragma GCC unroll 1
  for (int r = 0; r < T; ++r) {
    if (!has(row_outputs, r)) continue;
    V d[T], done[T];
#pragma GCC unroll 8
    for (int i = 0; i < m + Kind::kMore; ++i) d[i] = load(column[i] + r * L);
    Kind::template line<m>(d, done);
    const int other = !has(tiling.last[0], r);
    float* const all = to[other] + r * T * plane;
    float* const fewer = all - less[other];
#pragma GCC unroll 8
    for (int j = 0; j < T; ++j) {
      if (has(m, j)) store((has(tiling.last[1], j) ? all : fewer) + j * plane, done[j]);
    }
  }
}

// Lines [begin, end) of one group of channels, transformed into its panels, which begin with line `first`;
// whether those of the next group follow.
template <class Kind>
void transform(const Tiling& t, const Operand& o, int64_t group, int64_t first, int64_t begin,
               int64_t end, int64_t plane, bool next_group, float* panels) {
  constexpr void (*const kDown[])(const float*, int64_t, int64_t, int64_t, float*) = {
      down<Kind, 1>, down<Kind, 2>, down<Kind, 3>, down<Kind, 4>};
  constexpr void (*const kAlong[])(const float*, int64_t, int, const Tiling&, int64_t,
                                   const int64_t*, float* const*) = {
      along<Kind, 1>, along<Kind, 2>, along<Kind, 3>, along<Kind, 4>};
  constexpr int64_t kMore = Kind::kMore;
  Window w;
  const int64_t count = min(L, o.channels - group * L), size = o.size[0] * o.size[1];
  const int64_t segment = even_part(t.columns, kSegment);
  const int64_t most =
      max(1, (kWindow / (min(segment, t.columns) * M + kMore) - kMore) / M);  // lines of a window
  for (int64_t line = begin, n; line < end; line += n) {
    const int64_t image = line / t.lines, l = line % t.lines;
    n = min(most, min(end - line, t.lines - l));
    const float* const from = o.from + (image * o.channels + group * L) * size;
    // To the window that follows: of the next lines, of the next image, of the next channels.
    const int64_t row = M * o.size[1];
    int64_t ahead = l + n < t.lines ? n * row : o.channels * size - l * row;
    if (line + n >= end) {
      const int64_t back = image - begin / t.lines;
      const bool more = next_group && (group + 1) * L < o.channels;
      ahead = more ? (L - back * o.channels) * size + (begin % t.lines - l) * row : 0;
    }
    const int64_t rows = (n - 1) * M + t.outputs(0, l + n - 1) + kMore;
    for (int64_t j = 0; j < t.columns; j += segment) {
      const int64_t last = min(t.columns, j + segment);
      const int64_t columns = (last - j - 1) * M + t.outputs(1, last - 1) + kMore;
      fill_window(o, from, count, l * M - o.padding[0], rows, j * M - o.padding[1], columns, ahead,
                  w);
      for (int64_t i = 0; i < n; ++i) {
        const int outputs = t.outputs(0, l + i);
        const float* const at = w.at + i * M * columns * L;
        // Of points that all lines have, and of others.
        const int64_t before[2] = {line + i - first, t.lines_with(T - 2, first, line + i)};
        const int64_t less[2] = {before[0] * Kind::kWide, before[1] * Kind::kWide};
        float* to[2] = {panels + (before[0] * t.columns + j) * Kind::kWide,
                        panels + (before[1] * t.columns + j) * Kind::kWide};
        if (kMore) kDown[outputs - 1](at, columns * L, 0, kMore, w.ring);
        for (int64_t tile = j, x = 0; tile < last; ++tile, x += M) {
          const int m = t.outputs(1, tile);
          kDown[outputs - 1](at, columns * L, x + kMore, m, w.ring);
          kAlong[m - 1](w.ring, x, outputs, t, plane, less, to);
          to[0] += Kind::kWide;
          to[1] += Kind::kWide;
        }
      }
    }
  }
}

// ---- products ----

// to[i][j] (+)= sum_t left[t * kLanes + i] * right[t * kLanes + j] for kRows filters and NV vectors of
// channels, whose panels are `panel` apart; what is at `next` is fetched, a vector a tile.
template <int NV>
__attribute__((noinline)) void product(int64_t tiles, const float* left, const float* right,
                                       int64_t panel, const float* next, bool add, float* to) {
  V sum[kRows][NV];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sum[i][j] = V{};
  }
#pragma GCC unroll 1
  for (int64_t t = 0; t < tiles; ++t, left += kGroup, right += L, next += L) {
    V channel[NV];
    __builtin_prefetch(next);
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) channel[j] = load(right + j * panel);
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) {
      const V value = splat(left[i]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) sum[i][j] += value * channel[j];
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      float* put = to + (i * NV + j) * L;
      store(put, add ? sum[i][j] + load(put) : sum[i][j]);
    }
  }
}

// A block's filters, from one of whole groups on, and channels, `wide` vectors.
struct Item {
  int64_t k, filters, v, wide;
};

// Transformed tiles of lines: [group][xi][tile][lane], a plane's tiles being those that have its point.
struct Transformed {
  float *x, *y;
  int64_t x_plane, y_plane;
};

// The sums of an item over the tiles of lines [first, last): [xi][filter][channel].
void multiply(const Tiling& t, const Transformed& p, int64_t first, int64_t last, const Item& item,
              bool add, float* sums) {
  constexpr void (*const kProducts[])(int64_t, const float*, const float*, int64_t, const float*,
                                      bool, float*) = {product<1>, product<2>, product<3>};
  const auto run = kProducts[item.wide - 1];
  const int64_t row = item.wide * L, filters = round_up(item.filters, kRows);
  for (int xi = 0; xi < kPlanes; ++xi, sums += filters * row) {
    const int64_t n = t.lines_with(xi / T, first, last) * t.columns_with(xi % T);
    const float* const left = p.y + (item.k / kGroup * kPlanes + xi) * p.y_plane;
    const float* const right = p.x + (item.v * kPlanes + xi) * p.x_plane;
    for (int64_t tile = 0; tile == 0 || tile < n; tile += kBlockTiles) {
      const bool more = tile + kBlockTiles < n;  // of this plane
      for (int64_t f = 0; f < filters; f += kRows) {
        // The panels of the next tiles, one with each product.
        const int64_t i = f / kRows, g = i - item.wide;
        const float* next = left;
        if (i < item.wide) {
          next = right + i * kPlanes * p.x_plane + (more ? (tile + kBlockTiles) * L : p.x_plane);
        } else if (g * kGroup < filters) {
          next =
              left + g * kPlanes * p.y_plane + (more ? (tile + kBlockTiles) * kGroup : p.y_plane);
        }
        run(min(kBlockTiles, n - tile),
            left + f / kGroup * kPlanes * p.y_plane + tile * kGroup + f % kGroup, right + tile * L,
            kPlanes * p.x_plane, next, add || tile > 0, sums + f * row);
      }
    }
  }
}

// The gradients of filters [begin, end) of an item, from its sums.
void finish(const Item& item, int64_t begin, int64_t end, int64_t channels, const float* sums,
            float* grad) {
  const int64_t row = item.wide * L, plane = round_up(item.filters, kRows) * row;
  for (int64_t k = begin; k < end; ++k) {
    for (int64_t v = 0; v < item.wide; ++v) {
      const float* const from = sums + k * row + v * L;
      V line[3][T], lanes[L];
#pragma GCC unroll 8
      for (int j = 0; j < T; ++j) {
        V u[T], column[3];
#pragma GCC unroll 8
        for (int r = 0; r < T; ++r) u[r] = load(from + (r * T + j) * plane);
        gather(u, column);
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) line[r][j] = column[r];
      }
      const int64_t c = (item.v + v) * L, n = min(L, channels - c);
      float* const to = grad + ((item.k + k) * channels + c) * 9;
      if constexpr (L < 16) {
        alignas(GS_VECTOR_BYTES) float taps[9][L];
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) {
          gather(line[r], lanes);
#pragma GCC unroll 3
          for (int j = 0; j < 3; ++j) store(taps[r * 3 + j], lanes[j]);
        }
        for (int64_t lane = 0; lane < n; ++lane) {
#pragma GCC unroll 9
          for (int r = 0; r < 9; ++r) to[lane * 9 + r] = taps[r][lane];
        }
      } else {
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) gather(line[r], lanes + r * 3);
#pragma GCC unroll 8
        for (int r = 9; r < L; ++r) lanes[r] = V{};
        transpose<float>(lanes);
        // Each overwrites what the last one spilled.
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) {
          if (i + 1 < n) {
            store(to + i * 9, lanes[i]);
          } else if (i < n) {
            store_n(to + i * 9, lanes[i], 9);
          }
        }
      }
    }
  }
}

}  // namespace

Status winograd_bwd_weight(const ConvBwdWeightArgs& args) {
  const int64_t N = args.x.shape[0], more = args.x.ndim - 4;  // dims before the two: of one plane
  Operand x = {}, y = {};
  x.channels = args.x.shape[1];
  y.channels = args.grad_y.shape[1];
  for (int64_t d = 0; d < 2; ++d) {
    x.size[d] = args.x.shape[more + 2 + d];
    y.size[d] = args.grad_y.shape[more + 2 + d];
    x.padding[d] = args.padding.v[more + d];
  }
  x.from = reinterpret_cast<const float*>(args.x.data);
  y.from = reinterpret_cast<const float*>(args.grad_y.data);
  Tiling t;
  t.lines = ceil_div(y.size[0], M);
  t.columns = ceil_div(y.size[1], M);
  t.last[0] = static_cast<int>(y.size[0] - (t.lines - 1) * M);
  t.last[1] = static_cast<int>(y.size[1] - (t.columns - 1) * M);
  const int64_t C = x.channels, K = y.channels, lines = N * t.lines;
  float* const grad = reinterpret_cast<float*>(args.grad_weight.data);

  const int64_t vectors = x.groups(), channel_blocks = ceil_div(vectors, kVectors);
  const int64_t y_wide = round_up(K, kGroup), x_wide = vectors * L;
  const int64_t line_bytes = kPlanes * (x_wide + y_wide) * t.columns * int64_t{sizeof(float)};
  // Of all filters and channels.
  const int64_t sums_bytes = kPlanes * x_wide * y_wide * int64_t{sizeof(float)};
  const int64_t near = second_level_cache();
  const int64_t own_lines = ceil_div(kOwnTiles, t.columns);
  const bool apart =
      sums_bytes + own_lines * line_bytes <= near && lines * t.columns >= 2 * kPartTiles;
  const int64_t parts = apart ? min(min(kParts, lines), lines * t.columns / kPartTiles) : 1;
  const int64_t far =
      near < kLargeCache ? kStretchBytes : clamp(2 * sums_bytes, 2 * near, kStretchBytes);
  const int64_t least = ceil_div(2 * kBlockTiles, t.columns);
  const int64_t stretch =
      even_part(ceil_div(lines, parts), apart ? own_lines : max(least, far / line_bytes));
  const int64_t y_groups = y_wide / kGroup;
  int64_t most = max(1, (near < kLargeCache ? 32 : 64) / kGroup);
  while (most > 1 && ceil_div(y_groups, most) * channel_blocks < 4) most /= 2;
  const int64_t filter_blocks = apart ? 1 : ceil_div(y_groups, most);
  const int64_t filter_block = ceil_div(y_groups, filter_blocks) * kGroup;
  const int64_t items = filter_blocks * channel_blocks;
  const bool one = !apart && stretch >= lines;
  const auto item_of = [&](int64_t i) {
    const int64_t f = i / channel_blocks, c = i % channel_blocks;
    const int64_t k = y_groups * f / filter_blocks * kGroup;
    const int64_t v = vectors * c / channel_blocks;
    return Item{k, min(y_groups * (f + 1) / filter_blocks * kGroup, K) - k, v,
                vectors * (c + 1) / channel_blocks - v};
  };
  const int64_t sums_size = kPlanes * filter_block * kVectors * L;
  Transformed panels = {};
  panels.x_plane = stretch * t.columns * L + kGap;
  panels.y_plane = stretch * t.columns * kGroup + kGap;
  const int64_t x_size = x.groups() * kPlanes * panels.x_plane;
  const int64_t panels_size = x_size + y_wide / kGroup * kPlanes * panels.y_plane;
  const auto transform_groups = [&](const Transformed& p, int64_t i, int64_t first, int64_t begin,
                                    int64_t end) {
    if (i < x.groups()) {
      transform<Patches>(t, x, i, first, begin, end, p.x_plane, apart,
                         p.x + i * kPlanes * p.x_plane);
    } else {
      const int64_t lane = (i - x.groups()) * L;
      transform<Gradients>(t, y, i - x.groups(), first, begin, end, p.y_plane, apart,
                           p.y + lane / kGroup * kPlanes * p.y_plane + lane % kGroup);
    }
  };
  const int64_t groups = x.groups() + y_wide / L;
  int64_t missing = 0;
  const Buffer memory((apart ? 0 : panels_size) + (one ? 0 : parts * items * sums_size));
  if (!memory.data) return memory.missing();
  float* const all_sums = memory.data + (apart ? 0 : panels_size);

  if (apart) {
    parallel_for(parts, 1, [&](int64_t index, int64_t) {
      Transformed own = panels;
      own.x = scratch_or_fail(panels_size, &missing);
      if (!own.x) return;
      own.y = own.x + x_size;
      const int64_t begin = lines * index / parts, end = lines * (index + 1) / parts;
      for (int64_t first = begin, last; first < end; first = last) {
        last = min(end, first + stretch);
        for (int64_t i = 0; i < groups; ++i) transform_groups(own, i, first, first, last);
        for (int64_t i = 0; i < items; ++i) {
          multiply(t, own, first, last, item_of(i), first > begin,
                   all_sums + (index * items + i) * sums_size);
        }
      }
    });
    if (missing) return {Code::kOutOfMemory, {missing, 0}};
    const int64_t cuts = y_wide / kRows;
    parallel_for(items * cuts, 1, [&](int64_t index, int64_t) {
      const int64_t i = index / cuts, k = index % cuts * kRows;
      const Item item = item_of(i);
      const int64_t row = item.wide * L;
      if (k >= K) return;
      for (int xi = 0; xi < kPlanes; ++xi) {
        float* const to = all_sums + i * sums_size + (xi * round_up(item.filters, kRows) + k) * row;
        for (int64_t j = 0; j < kRows * row; j += L) {
          V sum = load(to + j);
          for (int64_t part = 1; part < parts; ++part)
            sum += load(to + part * items * sums_size + j);
          store(to + j, sum);
        }
      }
      finish(item, k, min(K, k + kRows), C, all_sums + i * sums_size, grad);
    });
    return kDone;
  }
  panels.x = memory.data;
  panels.y = panels.x + x_size;
  for (int64_t first = 0; first < lines && !missing; first += stretch) {
    const int64_t last = min(lines, first + stretch);
    const int64_t task = max(1, kBlockTiles / t.columns);
    const int64_t tasks = ceil_div(last - first, task);
    parallel_for(groups * tasks, 1, [&](int64_t i, int64_t) {
      const int64_t begin = first + i % tasks * task;
      transform_groups(panels, i / tasks, first, begin, min(last, begin + task));
    });
    parallel_for(items, 1, [&](int64_t i, int64_t) {
      float* const sums = one ? scratch_or_fail(sums_size, &missing) : all_sums + i * sums_size;
      if (!sums) return;
      const Item item = item_of(i);
      multiply(t, panels, first, last, item, first > 0, sums);
      if (last == lines) finish(item, 0, item.filters, C, sums, grad);
    });
  }
  return missing ? Status{Code::kOutOfMemory, {missing, 0}} : kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
