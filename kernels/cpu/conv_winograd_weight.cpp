// winograd_bwd_weight: conv_bwd_weight of 3x3 filters at stride 1 by the adjoint of F(4x4, 3x3).
//
// Layout     as conv_winograd.cpp's.
// Method     forward, y = A^T [sum_c (G g G^T) * (B^T d B)] A; so the gradient in g is
//            G^T [sum over tiles of (A grad_y A^T) * (B^T d B)] G: tiles of 4 x 4 of grad_y and patches
//            of 6 x 6 of x become 36 planes each, and the 36 products of [filters x tiles] with
//            [tiles x channels] are dot products along the tiles, in which both lie.
// Split      stretches of tiles, one after another; in each, channels for the transforms, then planes and
//            blocks of filters for the products; at the end, filters.
// Cache      a stretch's planes, kStretchBytes, in L3; a block of filters in L1.
// Cost       2 * 36 C K FLOPs a tile of 16 outputs (144 otherwise), and the transforms.
// Accuracy   rms error about 8 times that of sums in order. A lane is one chain over a stretch; the
//            stretches' borders follow from the shape: the same bits for every number of threads.
// Limits     float32; stride 1, dilation 1, one group; any padding and sizes.
#include "conv_winograd.h"
#include "conv_winograd_tile.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

using W = F4;
constexpr int M = W::M, T = W::T, kPlanes = T * T;
constexpr int64_t kStretchBytes = 16 << 20;
constexpr int kRows = TileShape::kDotRows, kColumns = TileShape::kDotColumns;
constexpr int64_t kRowBlock = 4 * kRows;
constexpr int64_t kChannels = 4;  // transformed at once

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
void transform_gradients(const Problem& p, const Block& block, int64_t pitch, int64_t plane,
                         int64_t begin, int64_t end, int64_t k, int64_t k_end, float* edge,
                         float* to) {
  for (; k < k_end; ++k, to += pitch) {
    for_lines(p, begin, end,
              [&](int64_t local, int64_t image, int64_t line, int64_t first, int64_t last) {
                const float* from = p.y + (image * p.K + k) * p.out[0] * p.out[1];
                for (int i = 0; i < M; ++i) {
                  const int64_t y = line * M + i;
                  const bool inside = y < p.out[0];
                  const float* row = from + y * p.out[1];
                  float* put = edge + i * T * block.edge + local;
                  if (inside && k + 1 < k_end) {
                    prefetch(row + p.out[0] * p.out[1] + first * M,
                             min(p.out[1], last * M) - first * M);
                  }
                  for (int64_t t = first; t < last; t += L, put += L) {
                    V e[T], line_of[T] = {};
                    if (inside) {
                      split_row<W>(row, t * M, p.out[1], e);
                      spread(e, line_of);
                    }
#pragma GCC unroll 8
                    for (int j = 0; j < T; ++j) store(put + j * block.edge, line_of[j]);
                  }
                }
              });
    for (int64_t t = 0; t < end - begin; t += L) {
#pragma GCC unroll 1
      for (int j = 0; j < T; ++j) {
        V column[M], done[T];
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) column[i] = load(edge + (i * T + j) * block.edge + t);
        spread(column, done);
#pragma GCC unroll 8
        for (int i = 0; i < T; ++i) store(to + (i * T + j) * plane + t, done[i]);
      }
    }
  }
}

// sums[k * C + c] (+)= the dot products of rows [first, last) of `left` with all C of `right`.
void multiply(int64_t first, int64_t last, int64_t C, int64_t tiles, const float* left,
              const float* right, int64_t pitch, bool set, float* sums) {
  int64_t offset[kColumns];
  for (int j = 0; j < kColumns; ++j) offset[j] = j * pitch;
  constexpr int64_t kStart = 0;
  alignas(GS_VECTOR_BYTES) float made[kDotSums<float>];
  for (int64_t c = 0; c < C; c += kColumns) {
    const int columns = static_cast<int>(min(kColumns, C - c));
    for (int64_t k = first; k < last; k += kRows) {
      dot_tile<float, kRows, kColumns>(1, tiles, left + k * pitch, pitch, right + c * pitch, offset,
                                       &kStart, made);
      float* to = sums + k * C + c;
      const int rows = static_cast<int>(min(kRows, last - k));
      for (int i = 0; i < rows; ++i, to += C) {
        for (int j = 0; j < columns; ++j) {
          const float sum = made[i * kColumns + j];
          to[j] = set ? sum : to[j] + sum;
        }
      }
    }
  }
}

// The filters' gradients of [begin, end), of K * C, from their planes of sums.
void finish(const float* sums, int64_t plane, int64_t begin, int64_t end, float* to) {
  for (int64_t i = begin; i < end; i += L) {
    V line[3][T], taps[L] = {};
#pragma GCC unroll 8
    for (int j = 0; j < T; ++j) {
      V u[T], column[3];
#pragma GCC unroll 8
      for (int r = 0; r < T; ++r) u[r] = load(sums + (r * T + j) * plane + i);
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
    const int64_t n = min(L, end - i);
    for (int64_t lane = 0; lane < n; ++lane) {
#pragma GCC unroll 9
      for (int r = 0; r < 9; ++r) to[(i + lane) * 9 + r] = lanes[r][lane];
    }
  }
}

}  // namespace

Status winograd_bwd_weight(const ConvBwdWeightArgs& args) {
  Problem p = {};
  p.N = args.x.shape[0];
  p.C = args.x.shape[1];
  p.K = args.grad_y.shape[1];
  for (int d = 0; d < 2; ++d) {
    p.in[d] = args.x.shape[2 + d];
    p.out[d] = args.grad_y.shape[2 + d];
    p.padding[d] = args.padding.v[d];
  }
  p.x = reinterpret_cast<const float*>(args.x.data);
  p.y = reinterpret_cast<float*>(args.grad_y.data);
  p.lines = ceil_div(p.out[0], M);
  p.columns = ceil_div(p.out[1], M);
  p.tiles = p.N * p.lines * p.columns;
  float* const grad = reinterpret_cast<float*>(args.grad_weight.data);

  const int64_t filters = round_up(p.K, kRows), channels = round_up(p.C, kColumns);
  const int64_t fit = kStretchBytes / (kPlanes * (filters + channels) * int64_t{sizeof(float)});
  const int64_t stretch = round_up(even_part(p.tiles, clamp(fit, 8 * L, 64 * L)), L);
  const int64_t pitch = stretch + L;
  Block block;
  block.tiles = stretch;
  block.patches = channels * pitch + kGap;
  block.products = filters * pitch + kGap;
  block.edge = stretch + 2 * L;
  const int64_t sums = p.K * p.C + kGap;
  const Buffer memory(kPlanes * (block.patches + block.products + sums));
  if (!memory.data) return memory.missing();
  float* const left = memory.data + kPlanes * block.patches;
  float* const planes = left + kPlanes * block.products;
  const int64_t edge_size = kPlanes * block.edge;
  const int64_t x_parts = ceil_div(p.C, kChannels), y_parts = ceil_div(p.K, kChannels);
  const int64_t row_blocks = ceil_div(p.K, kRowBlock);
  int64_t missing = 0;
  for (int64_t first = 0; first < p.tiles && !missing; first += stretch) {
    const int64_t last = min(p.tiles, first + stretch);
    parallel_for(x_parts + y_parts, 1, [&](int64_t begin, int64_t end) {
      float* const edge = scratch_or_fail(edge_size, &missing);
      if (!edge) return;
      for (int64_t i = begin; i < end; ++i) {
        if (i < x_parts) {
          const int64_t c = i * kChannels;
          transform_patches<W>(p, block, pitch, first, last, c, min(p.C, c + kChannels), edge,
                               memory.data + c * pitch);
        } else {
          const int64_t k = (i - x_parts) * kChannels;
          transform_gradients(p, block, pitch, block.products, first, last, k,
                              min(p.K, k + kChannels), edge, left + k * pitch);
        }
      }
    });
    if (missing) break;
    parallel_for(kPlanes * row_blocks, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t xi = i / row_blocks, k = i % row_blocks * kRowBlock;
        multiply(k, min(p.K, k + kRowBlock), p.C, last - first, left + xi * block.products,
                 memory.data + xi * block.patches, pitch, first == 0, planes + xi * sums);
      }
    });
  }
  if (missing) return {Code::kOutOfMemory, {missing, 0}};
  parallel_for(p.K * p.C, 1024,
               [&](int64_t begin, int64_t end) { finish(planes, sums, begin, end, grad); });
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
