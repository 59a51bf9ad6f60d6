// winograd_bwd_weight: conv_bwd_weight of 3x3 filters at stride 1 by the adjoint of F(4x4, 3x3).
//
// Layout     as conv_winograd.cpp's.
// Method     forward, y = A^T [sum_c (G g G^T) * (B^T d B)] A; so the gradient in g is
//            G^T [sum over tiles of (A grad_y A^T) * (B^T d B)] G: tiles of 4 x 4 of grad_y and patches
//            of 6 x 6 of x become 36 planes each, and the 36 products of [filters x tiles] with
//            [tiles x channels] sum over tiles. Transforms have tiles as lanes, the products channels:
//            blocks are transposed in registers in between.
// Split      stretches of tiles, one after another; in each, groups of channels by kBlockTiles for the
//            transforms, then blocks of filters by channels through all planes.
// Cache      a group's block and a block's sums in L2; a stretch's planes, kStretchBytes, in L3.
// Cost       2 * 36 C K FLOPs a tile of 16 outputs (144 otherwise), and the transforms.
// Accuracy   rms error 1e-6 of the output's. An element is a sum of chains of kBlockTiles, whose borders
//            follow from the shape: the same bits for every number of threads.
// Limits     float32; stride 1, dilation 1, one group; any padding and sizes.
#include "conv_winograd.h"
#include "conv_winograd_tile.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

using W = F4;
constexpr int M = W::M, T = W::T, kPlanes = T * T;
constexpr int64_t kStretchBytes = 16 << 20;
constexpr int64_t kBlockTiles = 64, kChannels = L;  // transformed at once
constexpr int kRows = TileShape::kRows < 8 ? 4 : 8, kVectors = 3;
constexpr int64_t kFilterBlock = 32, kChannelBlock = kVectors * L;

// A g for a line of four.
GS_INLINE void spread(const V* g, V* to) {
  const V even = g[0] + g[2], odd = g[1] + g[3];
  to[0] = g[0];
  to[1] = even + odd;
  to[2] = even - odd;
  to[3] = g[0] + 0.5f * g[1] + 0.25f * g[2] + 0.125f * g[3];
  to[4] = g[0] - 2.0f * g[1] + 4.0f * g[2] - 8.0f * g[3];
  to[5] = g[3];
}

// G^T u for a line of six.
GS_INLINE void gather(const V* u, V* to) {
  const V a = (u[1] - u[2]) * (1.0f / 3), b = (u[1] + u[2]) * (1.0f / 3);
  const V c = u[3] * (-4.0f / 15), d = u[4] * (1.0f / 15);
  to[0] = u[0] + a + (4.0f * c + d);
  to[1] = b + (2.0f * c - 2.0f * d);
  to[2] = a + (c + 4.0f * d) + u[5];
}

// Tiles [begin, end) of grad_y's channels [k, k_end), transformed: to[xi * plane + (k - k_first) * pitch
// + tile].
void transform_gradients(const Problem& p, int64_t pitch, int64_t plane, int64_t begin, int64_t end,
                         int64_t k, int64_t k_end, float* to) {
  Stage<W, T> stage;
  if ((end - begin) % L) __builtin_memset(&stage, 0, sizeof(stage));  // as transform_patches
  Line lines[kChunk];
  for (int64_t chunk = begin; chunk < end; chunk += kChunk, to += kChunk) {
    const int64_t tiles = min(kChunk, end - chunk);
    const int count = find_lines(p, chunk, chunk + tiles, lines);
    float* put = to;
    for (int64_t filter = k; filter < k_end; ++filter, put += pitch) {
      for (const Line* line = lines; line < lines + count; ++line) {
        const int64_t y = line->line * M, x = line->first * M, wide = p.out[1];
        const int64_t rows = min(M, p.out[0] - y), n = (line->last - line->first) * M;
        const float* from = p.y + ((line->image * p.K + filter) * p.out[0] + y) * wide;
        if (filter + 1 < k_end) {
          for (int64_t i = 0; i < rows; ++i) {
            prefetch(from + (p.out[0] + i) * wide + x, min(n, wide - x));
          }
        }
        for (int64_t j = 0; j < n; j += L) {
          V column[M], done[T];
#pragma GCC unroll 8
          for (int i = 0; i < M; ++i) {
            column[i] = i < rows ? load_inside(from + i * wide, x + j, wide) : V{};
          }
          spread(column, done);
#pragma GCC unroll 8
          for (int i = 0; i < T; ++i) store(stage.row[i] + line->local * M + j, done[i]);
        }
      }
      for (int64_t t = 0; t < tiles; t += L) {
#pragma GCC unroll 1
        for (int r = 0; r < T; ++r) {
          V e[M], done[T];
          split<W>(stage.row[r] + t * M, e);
          spread(e, done);
#pragma GCC unroll 8
          for (int j = 0; j < T; ++j) store(put + (r * T + j) * plane + t, done[j]);
        }
      }
    }
  }
}

// `tiles` tiles of kChannels channels, from planes of from[xi * plane + c * pitch + tile] to
// to[xi * to_plane + tile * to_pitch + c].
void transpose_blocks(const float* from, int64_t plane, int64_t pitch, int64_t tiles, float* to,
                      int64_t to_plane, int64_t to_pitch) {
  for (int xi = 0; xi < kPlanes; ++xi, from += plane, to += to_plane) {
    for (int64_t t = 0; t < tiles; t += L) {
      V rows[L];
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) rows[i] = load(from + i * pitch + t);
      transpose<float>(rows);
#pragma GCC unroll 16
      for (int i = 0; i < L; ++i) {
        if (t + i < tiles) store(to + (t + i) * to_pitch, rows[i]);
      }
    }
  }
}

// to[i][j] (+)= sum_t left[t * left_pitch + i] * right[t * right_pitch + j] for kRows filters and NV
// vectors of channels.
template <int NV>
__attribute__((noinline)) void product(int64_t tiles, const float* left, int64_t left_pitch,
                                       const float* right, int64_t right_pitch, bool add,
                                       float* to) {
  V sum[kRows][NV];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sum[i][j] = V{};
  }
#pragma GCC unroll 1
  for (int64_t t = 0; t < tiles; ++t, left += left_pitch, right += right_pitch) {
    V channel[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) channel[j] = load(right + j * L);
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
      float* put = to + i * kChannelBlock + j * L;
      store(put, add ? sum[i][j] + load(put) : sum[i][j]);
    }
  }
}

// The gradients of a block of filters and channels, from its sums [xi][filter][channel].
void finish(const float* sums, int64_t filters, int64_t channels, int64_t row, float* to) {
  constexpr int64_t kPlane = kFilterBlock * kChannelBlock;
  for (int64_t k = 0; k < filters; ++k, sums += kChannelBlock, to += row) {
    for (int64_t c = 0; c < channels; c += L) {
      V line[3][T], taps[3];
#pragma GCC unroll 8
      for (int j = 0; j < T; ++j) {
        V u[T], column[3];
#pragma GCC unroll 8
        for (int r = 0; r < T; ++r) u[r] = load(sums + (r * T + j) * kPlane + c);
        gather(u, column);
#pragma GCC unroll 3
        for (int r = 0; r < 3; ++r) line[r][j] = column[r];
      }
      alignas(GS_VECTOR_BYTES) float lanes[9][L];
#pragma GCC unroll 3
      for (int r = 0; r < 3; ++r) {
        gather(line[r], taps);
#pragma GCC unroll 3
        for (int j = 0; j < 3; ++j) store(lanes[r * 3 + j], taps[j]);
      }
      const int64_t n = min(L, channels - c);
      for (int64_t lane = 0; lane < n; ++lane) {
#pragma GCC unroll 9
        for (int r = 0; r < 9; ++r) to[(c + lane) * 9 + r] = lanes[r][lane];
      }
    }
  }
}

}  // namespace

Status winograd_bwd_weight(const ConvBwdWeightArgs& args) {
  Problem p = {};
  p.N = args.x.shape[0];
  p.C = args.x.shape[1];
  p.K = args.grad_y.shape[1];
  const int64_t more = args.x.ndim - 4;  // dims before the two: of one plane
  for (int64_t d = 0; d < 2; ++d) {
    p.in[d] = args.x.shape[more + 2 + d];
    p.out[d] = args.grad_y.shape[more + 2 + d];
    p.padding[d] = args.padding.v[more + d];
  }
  p.x = reinterpret_cast<const float*>(args.x.data);
  p.y = reinterpret_cast<float*>(args.grad_y.data);
  p.lines = ceil_div(p.out[0], M);
  p.columns = ceil_div(p.out[1], M);
  p.tiles = p.N * p.lines * p.columns;
  float* const grad = reinterpret_cast<float*>(args.grad_weight.data);

  // Rows of a tile: all channels, in whole groups; no power of two apart.
  const int64_t x_pitch = round_up(p.C, kChannels) + kGap,
                y_pitch = round_up(p.K, kChannels) + kGap;
  const int64_t fit = kStretchBytes / (kPlanes * (x_pitch + y_pitch) * int64_t{sizeof(float)});
  const int64_t stretch = round_up(even_part(p.tiles, max(2 * kBlockTiles, fit)), kBlockTiles);
  const int64_t x_plane = stretch * x_pitch + kGap, y_plane = stretch * y_pitch + kGap;
  const int64_t filter_blocks = ceil_div(p.K, kFilterBlock);
  const int64_t vectors = ceil_div(p.C, L), channel_blocks = ceil_div(vectors, kVectors);
  const int64_t items = filter_blocks * channel_blocks;
  const int64_t sums_size = kPlanes * kFilterBlock * kChannelBlock;
  const bool one = stretch >= p.tiles;  // stretch
  // A gap at the end: a row's last vectors are read whole.
  const Buffer memory(kPlanes * (x_plane + y_plane) + kChannelBlock +
                      (one ? 0 : items * sums_size));
  if (!memory.data) return memory.missing();
  float* const right = memory.data;
  float* const left = right + kPlanes * x_plane;
  float* const all_sums = left + kPlanes * y_plane + kChannelBlock;

  Block block;
  block.tiles = kBlockTiles;
  block.patches = block.products = kChannels * kBlockTiles + kGap;
  const int64_t x_groups = ceil_div(p.C, kChannels), y_groups = ceil_div(p.K, kChannels);
  const int64_t group_size = kPlanes * block.patches;
  int64_t missing = 0;
  for (int64_t first = 0; first < p.tiles && !missing; first += stretch) {
    const int64_t last = min(p.tiles, first + stretch);
    const int64_t parts = ceil_div(last - first, kBlockTiles);
    parallel_for((x_groups + y_groups) * parts, 1, [&](int64_t begin, int64_t end) {
      float* const group = scratch_or_fail(group_size, &missing);
      if (!group) return;
      for (int64_t i = begin; i < end; ++i) {
        const int64_t from = first + i % parts * kBlockTiles, to = min(last, from + kBlockTiles);
        const int64_t c = i / parts * kChannels, k = c - x_groups * kChannels;
        const int64_t channels = min(kChannels, k < 0 ? p.C - c : p.K - k);
        for (int xi = 0; channels < kChannels && xi < kPlanes; ++xi) {  // these are multiplied, too
          __builtin_memset(
              group + xi * block.patches + channels * kBlockTiles, 0,
              static_cast<size_t>((kChannels - channels) * kBlockTiles) * sizeof(float));
        }
        if (k < 0) {
          transform_patches<W>(p, block, kBlockTiles, from, to, c, c + channels, group);
          transpose_blocks(group, block.patches, kBlockTiles, to - from,
                           right + (from - first) * x_pitch + c, x_plane, x_pitch);
        } else {
          transform_gradients(p, kBlockTiles, block.patches, from, to, k, k + channels, group);
          transpose_blocks(group, block.patches, kBlockTiles, to - from,
                           left + (from - first) * y_pitch + k, y_plane, y_pitch);
        }
      }
    });
    if (missing) break;
    parallel_for(items, 1, [&](int64_t begin, int64_t end) {
      constexpr void (*const kProducts[])(int64_t, const float*, int64_t, const float*, int64_t,
                                          bool, float*) = {product<1>, product<2>, product<3>};
      float* const own = one ? scratch_or_fail(sums_size, &missing) : all_sums;
      if (!own) return;
      for (int64_t i = begin; i < end; ++i) {
        float* const sums = one ? own : own + i * sums_size;
        const int64_t k = i / channel_blocks * kFilterBlock;
        const int64_t part = i % channel_blocks;
        const int64_t v = vectors * part / channel_blocks, c = v * L;
        const int64_t wide = vectors * (part + 1) / channel_blocks - v;
        const int64_t filters = min(kFilterBlock, p.K - k), channels = min(wide * L, p.C - c);
        const auto run = kProducts[wide - 1];
        for (int xi = 0; xi < kPlanes; ++xi) {
          for (int64_t f = 0; f < filters; f += kRows) {
            for (int64_t t = first; t < last; t += kBlockTiles) {
              run(min(kBlockTiles, last - t), left + xi * y_plane + (t - first) * y_pitch + k + f,
                  y_pitch, right + xi * x_plane + (t - first) * x_pitch + c, x_pitch, t > 0,
                  sums + (xi * kFilterBlock + f) * kChannelBlock);
            }
          }
        }
        if (last == p.tiles) finish(sums, filters, channels, p.C * 9, grad + (k * p.C + c) * 9);
      }
    });
  }
  return missing ? Status{Code::kOutOfMemory, {missing, 0}} : kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
