// winograd_fwd, winograd_bwd_input: conv_fwd and conv_bwd_input of 3x3 filters at stride 1, with 2.25
// multiplications an output instead of 9 (F(4x4, 3x3)), 2.8 (F(3x3, 3x3)), or 4 (F(2x2, 3x3)), and of 5x5
// filters with 9 instead of 25 (F(2x2, 5x5)).
//
// Layout     as conv.cpp's: x (N, C, H, W), weight (K, C / groups, 3, 3), y (N, K, *out), contiguous. The input
//            gradient is the forward pass of grad_y with the filters turned by half a turn and C and
//            K exchanged.
// Method     Winograd 1980, Lavin & Gray 2015: an M x M tile of outputs reads a patch of T x T inputs,
//            T = M + 2, of 5x5 filters M + 4. Patches become B^T d B, filters G g G^T, the T * T products of [filters x
//            channels] with [channels x tiles] are summed over channels, and A^T m A gives the tile.
//            Lanes are tiles, through all images and rows alike; lines of few tiles are transformed down
//            the columns first and laid side by side, so that no lanes are empty. F(4x4) interpolates at 0, 1, -1, 1/2,
//            -2 and infinity: the reciprocal pair errs less than 2 and -2 at the same cost. F(2x2, 5x5) has
//            the same points, and so the same transform of patches. Last tiles of lines and columns with fewer
//            outputs are in the planes of fewer points (conv_winograd_last.h).
//            Of three dimensions, slices of the output are images, and each slice of the filters is channels of
//            its own: y[z] = sum over slices dz of the filters dz over x[z + dz - padding].
// Split      many tiles: all filters are transformed first, then a thread takes blocks of tiles
//            through all steps. Few tiles: all patches of a stretch of channels first, then a thread takes
//            groups of filters. With dilation a tile has every dilation-th row and column (conv_phases.cpp).
// Cache      a block's patches and products in L2, the filters stream through it; a stretch's patches,
//            kStretchBytes, in L3.
// Cost       2 T T C K FLOPs a tile, and about 20 vector instructions an input or output of a tile.
// Accuracy   rms error about 8 times that of conv.cpp's sums for F(4x4) and F(2x2, 5x5), 3 for F(3x3), 2 for F(2x2); see
//            docs/accuracy.md. Tiles do not depend on one another, and all blocks sum alike: the same
//            bits for every number of threads. What is not finite spreads over the tiles that read it.
// Limits     float32; stride 1; dilation 1 with any padding and sizes, or as conv_phases.h says. Inputs above
//            6.9e36 may overflow: a patch's transform makes up to 49 times an input.
#include "conv_winograd.h"

#include "conv_winograd_products.h"
#include "conv_winograd_tile.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kPackedChannels = 16;          // packed at once
constexpr int64_t kStretchBytes = 10 << 20;  // of patches
constexpr int64_t kFewFilters = 1 << 13;     // filters times channels: their planes stay in L2
// An L2 of so much holds filters of 192 channels, and what is fetched ahead of its use.
constexpr int64_t kLargeCache = 2 << 20;
constexpr int64_t kManyTiles = 64;
constexpr int kAhead = 6;  // channels ahead of the one that is packed

// kGroup filters from number `first` on, transformed, for channels [c, c + channels):
// to[xi * plane + channel * kGroup + filter]. What is behind the last filter is of no account.
template <class W>
void transform_filters(const Problem& p, int64_t first, int64_t c, int64_t channels, int64_t plane,
                       float* to) {
  constexpr int T = W::T;
  constexpr int R = W::R, kTaps = R * R;
  alignas(GS_VECTOR_BYTES) float taps[(kPackedChannels * kTaps + 1) * kGroup + L];
  const int rows = static_cast<int>(min(kGroup, p.K - first));
  const bool side_by_side = p.channel_stride == p.depth * kTaps && (p.depth == 1 || !p.turned);
  for (int64_t done = 0; done < channels; done += kPackedChannels) {
    const int64_t n = min(kPackedChannels, channels - done);
    if (side_by_side) {
      pack_panel(p.taps_of(first, c + done, kTaps), p.row_stride, 1, n * kTaps, rows, kGroup, taps);
    } else {
      for (int64_t i = 0; i < n; ++i) {
        // Channels are far apart, and none is long enough for the hardware's prefetch to learn.
        const float* const ahead = p.taps_of(first, min(c + done + i + kAhead, p.C - 1), kTaps);
        for (int64_t j = 0; j < rows * kTaps; j += 16) __builtin_prefetch(ahead + j);
        pack_panel(p.taps_of(first, c + done + i, kTaps), p.row_stride, 1, kTaps, rows, kGroup,
                   taps + i * kTaps * kGroup);
      }
    }
    for (int64_t i = 0; i < n * (kGroup / L); ++i) {
      const float* tap = taps + i / (kGroup / L) * kTaps * kGroup + i % (kGroup / L) * L;
      float* put = to + done * kGroup + i * L;
      V rows_of[T][R], done_row[T];
#pragma GCC unroll 8
      for (int j = 0; j < R; ++j) {
        V g[R], column[T];
#pragma GCC unroll 8
        for (int r = 0; r < R; ++r) {
          const int at = r * R + j;
          g[r] = load(tap + (p.turned ? kTaps - 1 - at : at) * kGroup);
        }
        W::filter(g, column);
#pragma GCC unroll 8
        for (int r = 0; r < T; ++r) rows_of[r][j] = column[r];
      }
#pragma GCC unroll 8
      for (int r = 0; r < T; ++r) {
        W::filter(rows_of[r], done_row);
#pragma GCC unroll 8
        for (int j = 0; j < T; ++j) store(put + (r * T + j) * plane, done_row[j]);
      }
    }
  }
}

// Tiles [begin, end) of the outputs of filters [k, k_end), from their products:
// from[xi * block.products + (k - k_first) * pitch + tile].
template <class W, bool Fewer>
void transform_products(const Problem& p, const Block& block, int64_t pitch, int64_t begin,
                        int64_t end, int64_t k, int64_t k_end, const float* from) {
  constexpr int T = W::T, M = W::M;
  Stage<W, M> stage;
  Line lines[kChunk];
  [[maybe_unused]] Places places[Fewer ? kChunk / L : 1];
  [[maybe_unused]] constexpr void (*const take[])(const float*, int64_t, const Places&, int, V*) = {
      take_products<1>, take_products<2>, take_products<3>, take_products<4>};
  for (int64_t chunk = begin; chunk < end; chunk += kChunk) {
    const int64_t tiles = min(kChunk, end - chunk);
    const int count = find_lines(p, chunk, chunk + tiles, lines);
    if constexpr (Fewer) {
      for (int64_t t = 0; t < tiles; t += L) {
        find_places(p.last, begin, chunk + t, chunk + tiles, &places[t / L]);
      }
    }
    const float* get = Fewer ? from : from + (chunk - begin);
    for (int64_t filter = k; filter < k_end; ++filter, get += pitch) {
      const V bias = splat(p.bias ? p.bias[filter] : 0.0f);
      for (int64_t t = 0; t < tiles; t += L) {
        [[maybe_unused]] const Places& at = places[Fewer ? t / L : 0];
        V rows[M][T];
#pragma GCC unroll 8
        for (int j = 0; j < T; ++j) {
          V column[M];
          if constexpr (Fewer) {
            take[p.last.outputs[0] - 1](get + j * block.products, T * block.products, at,
                                        2 * !has(p.last.outputs[1], j), column);
          } else {
            V m[T];
#pragma GCC unroll 8
            for (int i = 0; i < T; ++i) m[i] = load(get + (i * T + j) * block.products + t);
            W::output(m, column);
          }
#pragma GCC unroll 8
          for (int i = 0; i < M; ++i) rows[i][j] = column[i];
        }
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) {
          V done[M], z[M];
          W::output(rows[i], done);
          if constexpr (Fewer) {
            add_infinity(p.last.outputs[1], at.last_column, rows[i][T - 1], done);
          }
#pragma GCC unroll 8
          for (int j = 0; j < M; ++j) done[j] += bias;
          if constexpr (M == 4) {
            V even[2], odd[2];
            interleave<float>(done[0], done[2], even[0], even[1]);
            interleave<float>(done[1], done[3], odd[0], odd[1]);
            interleave<float>(even[0], odd[0], z[0], z[1]);
            interleave<float>(even[1], odd[1], z[2], z[3]);
          } else if constexpr (M == 3) {
            constexpr auto lanes = std::make_integer_sequence<int, L>{};
            z[0] = thirds<0>(done[0], done[1], done[2], lanes);
            z[1] = thirds<1>(done[0], done[1], done[2], lanes);
            z[2] = thirds<2>(done[0], done[1], done[2], lanes);
          } else {
            interleave<float>(done[0], done[1], z[0], z[1]);
          }
#pragma GCC unroll 4
          for (int u = 0; u < M; ++u) store(stage.row[i] + t * M + u * L, z[u]);
        }
      }
      for (const Line* line = lines; line < lines + count; ++line) {
        const int64_t y = line->line * M, x = line->first * M;
        float* const plane = p.output_plane(line->image, filter);
        const int64_t rows = min(M, p.out[0] - y), n = min(line->last * M, p.out[1]) - x;
        for (int64_t i = 0; i < rows; ++i) {
          float* const row = plane + (y + i) * p.out[1] + x;
          const float* const done = stage.row[i] + line->local * M;
          if (filter + 1 < k_end) {
            for (int64_t j = 0; j < n; j += 16) {
              __builtin_prefetch(row + p.out_depth * p.out[0] * p.out[1] + j, 1);
            }
          }
          int64_t j = 0;
          for (; j + L <= n; j += L) store(row + j, load(done + j));
          if (j < n) store_n(row + j, load(done + j), n - j);
          finish(p.epilogue, row, n);
        }
      }
    }
  }
}

// transform_products of all tiles, with dilation.
template <class W>
void dilated_products(const Problem& p, const Block& block, int64_t pitch, int64_t k, int64_t k_end,
                      const float* get) {
  constexpr int T = W::T, M = W::M;
  const int64_t size = p.out[0] * p.out[1], of_image = p.tiles / p.N;
  for (; k < k_end; ++k, get += pitch) {
    const V bias = splat(p.bias ? p.bias[k] : 0.0f);
    for (int64_t image = 0; image < p.N; ++image) {
      float* const plane = p.y + (image * p.groups * p.K + k) * size;
      for_groups(p, M, [&](int64_t tile, int64_t first_y, int64_t first_x, int64_t lanes) {
        const float* const from = get + image * of_image + tile;
        V rows[M][T];
#pragma GCC unroll 8
        for (int j = 0; j < T; ++j) {
          V m[T], column[M];
#pragma GCC unroll 8
          for (int i = 0; i < T; ++i) m[i] = load(from + (i * T + j) * block.products);
          W::output(m, column);
#pragma GCC unroll 8
          for (int i = 0; i < M; ++i) rows[i][j] = column[i];
        }
#pragma GCC unroll 8
        for (int i = 0; i < M; ++i) {
          const int64_t y = first_y + i * p.step[0];
          if (y >= p.out[0]) continue;
          V done[M];
          W::output(rows[i], done);
#pragma GCC unroll 8
          for (int j = 0; j < M; ++j) {
            const int64_t x = first_x + j * p.step[1], n = min(lanes, p.out[1] - x);
            if (n <= 0) continue;
            float* const put = plane + y * p.out[1] + x;
            store_n(put, done[j] + bias, n);
            finish(p.epilogue, put, n);
          }
        }
      });
    }
  }
}

// ---- rows of memory that are fetched with the products ----

// Of tiles [begin, end), those that are in plane xi.
template <class W>
int64_t tiles_of(const Problem& p, int xi, int64_t begin, int64_t end) {
  return p.last.count(p.last.kind(xi / W::T, xi % W::T), begin, end);
}

// What filters [k, k_end) and channels from c on are made of.
template <class W>
void filters_ahead(const Problem& p, int64_t k, int64_t k_end, int64_t c, int64_t channels,
                   Ahead* ahead) {
  constexpr int64_t kTaps = W::R * W::R;
  if (p.depth > 1 || k >= k_end) return;
  const float* const from = p.taps_of(k, c, kTaps);
  if (p.channel_stride == kTaps) {
    ahead->add(from, k_end - k, channels * kTaps, p.row_stride);
  } else {
    ahead->add(from, channels, (k_end - k) * kTaps, p.channel_stride);
  }
}

// The outputs of tiles [begin, end), which begin and end with whole lines.
template <class W>
void outputs_ahead(const Problem& p, int64_t begin, int64_t end, int64_t k, int64_t k_end,
                   Ahead* ahead) {
  if (p.out_depth > 1) return;
  const int64_t last = ceil_div(end, p.columns);
  for (int64_t line = begin / p.columns, n; line < last; line += n) {
    n = min(last - line, p.lines - line % p.lines);
    const int64_t y = line % p.lines * W::M, rows = min(n * W::M, p.out[0] - y);
    ahead->add(p.output_plane(line / p.lines, k) + y * p.out[1], k_end - k, rows * p.out[1],
               p.out[0] * p.out[1]);
  }
}

// ---- the two orders of work ----

// Blocks of at most `most` of n, an even number of them, the larger ones first: two threads get the same.
struct EvenBlocks {
  int64_t n, count;

  EvenBlocks(int64_t all, int64_t most)
      : n(all), count(min(all, round_up(ceil_div(all, most), 2))) {}
  int64_t begin(int64_t i) const { return n / count * i + min(i, n % count); }
};

// Blocks of tiles, each through all steps; the filters are transformed before.
template <class W, bool Fewer>
Status by_tiles(const Problem& p, int64_t block_tiles, int64_t filters_at_once) {
  constexpr int kPlanes = W::T * W::T;
  const int64_t groups = ceil_div(p.K, kGroup), filters = round_up(p.K, kFilters);
  const int64_t at_once = round_up(min(filters, filters_at_once), kGroup);
  const int64_t group_stride = p.C * kGroup, plane = groups * group_stride + kGap;
  Block block;
  block.tiles = block_tiles;
  block.patches = p.C * block_tiles + kGap;
  block.products = at_once * block_tiles + kGap;
  const Buffer weights(plane * kPlanes + kPrefetch);
  if (!weights.data) return weights.missing();
  parallel_for(groups, 1, [&](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      transform_filters<W>(p, g * kGroup, 0, p.C, plane, weights.data + g * group_stride);
    }
  });
  const int64_t elements = kPlanes * (block.patches + block.products);
  int64_t missing = 0;
  // Outputs that no second level holds: two threads of a Xeon, 64->64 128x128, 6.0 -> 5.7 ms; below, 5 % more.
  const int64_t bytes = p.N * p.K * p.out[0] * p.out[1] * static_cast<int64_t>(sizeof(float));
  const bool far = second_level_cache() >= kLargeCache && bytes > 2 * second_level_cache();
  const EvenBlocks blocks(ceil_div(p.tiles, L), block_tiles / L);
  parallel_for(blocks.count, 1, [&](int64_t index, int64_t) {
    const int64_t begin = blocks.begin(index) * L;
    const int64_t end = min(p.tiles, blocks.begin(index + 1) * L);
    float* const patches = scratch_or_fail(elements, &missing);
    if (!patches) return;
    float* const products = patches + kPlanes * block.patches;
    transform_patches<W, false, Fewer>(p, block, block_tiles, begin, end, 0, p.C, patches);
    for (int64_t k = 0; k < p.K; k += at_once) {
      const int64_t n = min(at_once, filters - k);
      Ahead ahead;
      if (far) outputs_ahead<W>(p, begin, end, k, min(p.K, k + n), &ahead);
      for (int xi = 0; xi < kPlanes; ++xi) {
        multiply(n, p.C, tiles_of<W>(p, xi, begin, end),
                 weights.data + xi * plane + k / kGroup * group_stride, group_stride,
                 patches + xi * block.patches, products + xi * block.products, block_tiles,
                 patches + (xi + 1) % kPlanes * block.patches, false, &ahead);
      }
      transform_products<W, Fewer>(p, block, block_tiles, begin, end, k, min(p.K, k + n), products);
    }
  });
  return missing ? Status{Code::kOutOfMemory, {missing, 0}} : kDone;
}

// All patches first, then groups of filters, each through all steps; a stretch of channels at a time,
// whose patches stay in L3.
template <class W, bool Fewer>
Status by_filters(const Problem& p, int64_t filters_at_once, int64_t most_channels) {
  constexpr int kPlanes = W::T * W::T;
  const int64_t pitch = round_up(p.tiles, L), at_once = round_up(filters_at_once, kGroup);
  const int64_t fit = kStretchBytes / (kPlanes * pitch * static_cast<int64_t>(sizeof(float)));
  const int64_t stretch = even_part(p.C, max(2 * most_channels, fit));
  const int64_t channels_at_once = round_up(even_part(stretch, most_channels), kPackedChannels);
  const bool one = stretch >= p.C, large = second_level_cache() >= kLargeCache;
  const int64_t group_stride = channels_at_once * kGroup;
  const int64_t plane = at_once / kGroup * group_stride + kGap;
  Block block;
  block.tiles = pitch;
  block.patches = stretch * pitch + kGap;
  block.products = at_once * pitch + kGap;
  const EvenBlocks blocks(ceil_div(p.K, kGroup), at_once / kGroup);
  const int64_t size = kPlanes * block.products;  // of a block's products
  const Buffer memory(block.patches * kPlanes + (one ? 0 : blocks.count * size));
  if (!memory.data) return memory.missing();
  float* const patches = memory.data;
  float* const all_products = patches + block.patches * kPlanes;
  const int64_t elements = kPlanes * plane + kPrefetch + (one ? size : 0);
  int64_t missing = 0;
  for (int64_t first = 0; first < p.C && !missing; first += stretch) {
    const int64_t last = min(p.C, first + stretch), all = last - first;
    parallel_for(all, max(4, ceil_div(all, 32)), [&](int64_t begin, int64_t end) {
      float* const to = patches + begin * pitch;
      if (p.dilated()) {
        dilated_patches<W>(p, block, pitch, first + begin, first + end, to);
      } else {
        transform_patches<W, true, Fewer>(p, block, pitch, 0, p.tiles, first + begin, first + end,
                                          to);
      }
    });
    parallel_for(blocks.count, 1, [&](int64_t index, int64_t) {
      const int64_t begin = blocks.begin(index) * kGroup;
      const int64_t end = min(p.K, blocks.begin(index + 1) * kGroup);
      float* const own = scratch_or_fail(elements, &missing);
      if (!own) return;
      float* const products = one ? own : all_products + index * size;
      float* const weights = one ? own + size : own;
      for (int64_t c = first; c < last; c += channels_at_once) {
        const int64_t channels = min(channels_at_once, last - c);
        for (int64_t k = begin; k < end; k += kGroup) {
          transform_filters<W>(p, k, c, channels, plane,
                               weights + (k - begin) / kGroup * group_stride);
        }
        Ahead ahead;
        if (large) {
          const bool same = c + channels < last;
          const int64_t next_k = same ? begin : end;
          const int64_t next_end = same ? end : min(p.K, blocks.begin(index + 2) * kGroup);
          const int64_t next_c = same ? c + channels : first;
          filters_ahead<W>(p, next_k, next_end, next_c, min(channels_at_once, last - next_c),
                           &ahead);
        }
        for (int xi = 0; xi < kPlanes; ++xi) {
          const int64_t after = xi + 1 < kPlanes ? (xi + 1) * block.patches + (c - first) * pitch
                                : c + channels < last ? (c + channels - first) * pitch
                                                      : 0;
          multiply(round_up(end - begin, kFilters), channels, tiles_of<W>(p, xi, 0, p.tiles),
                   weights + xi * plane, group_stride,
                   patches + xi * block.patches + (c - first) * pitch,
                   products + xi * block.products, pitch, patches + after, c > 0, &ahead);
        }
      }
      if (last < p.C) return;
      if (p.dilated()) {
        dilated_products<W>(p, block, pitch, begin, end, products);
      } else {
        transform_products<W, Fewer>(p, block, pitch, 0, p.tiles, begin, end, products);
      }
    });
  }
  return missing ? Status{Code::kOutOfMemory, {missing, 0}} : kDone;
}

// Of the last tile of n outputs.
int last_outputs(int64_t n) { return static_cast<int>((n + F4::M - 1) % F4::M + 1); }

template <class W, bool Fewer>
Status run(const Problem& p) {
  // Tiles of 2 x 2 are many for their outputs: few filters are read from L2, and not all patches from L3.
  const bool few_filters = W::R == 5 && p.C * p.K <= kFewFilters;
  const int64_t few = few_filters ? 64 : 192;
  if (p.tiles <= few || p.dilated()) {
    // Of many tiles, sums that are added to are more than what filters keep in L2.
    const int64_t most = p.tiles > kManyTiles ? 192 : 128;
    return by_filters<W, Fewer>(p, 32, second_level_cache() < kLargeCache ? 96 : most);
  }
  return by_tiles<W, Fewer>(p, W::R == 5 && p.C > 64 ? 48 : 64, 64);
}

template <class W>
Status run(Problem& p) {
  p.lines = ceil_div(p.out[0], p.step[0] * W::M);
  p.columns = ceil_div(p.out[1], p.step[1] * W::M);
  p.tiles = p.N * p.step[0] * p.step[1] * p.lines * p.columns;
  if constexpr (kFewer<W>) {
    constexpr int64_t kPlanes = W::T * W::T;
    if (!p.dilated() && p.columns <= kNarrow) {
      p.last = {p.lines, p.columns, {last_outputs(p.out[0]), last_outputs(p.out[1])}, true};
      int64_t vectors = 0;
      for (int xi = 0; xi < kPlanes; ++xi) vectors += ceil_div(tiles_of<W>(p, xi, 0, p.tiles), L);
      p.last.fewer = vectors * 32 < kPlanes * ceil_div(p.tiles, L) * 31;  // shuffles cost some
    }
    if (p.last.fewer) return run<W, true>(p);
  }
  return run<W, false>(p);
}

// All groups, one after another; p has the first.
Status run(Problem& p, int64_t kernel, int tile) {
  Status status = kDone;
  for (int64_t i = 0; i < p.groups && status.code == Code::kOk; ++i) {
    status = kernel == 5 ? run<F5>(p)
             : tile == 2 ? run<F2>(p)
             : tile == 3 ? run<F3>(p)
                         : run<F4>(p);
    p.x += p.C / p.depth * p.in_depth * p.in[0] * p.in[1];
    p.y += p.K * p.out_depth * p.out[0] * p.out[1];
    p.weight += p.C * p.K * kernel * kernel;
    if (p.bias) p.bias += p.K;
  }
  return status;
}

}  // namespace

Status winograd_fwd(const ConvFwdArgs& args, int tile) {
  Problem p;
  p.N = args.x.shape[0];
  p.groups = args.groups;
  p.C = args.x.shape[1] / args.groups;
  p.K = args.weight.shape[0] / args.groups;
  const int64_t more = args.x.ndim - 4;  // dims before the two
  for (int64_t d = 0; d < 2; ++d) {
    p.in[d] = args.x.shape[more + 2 + d];
    p.out[d] = args.out_shape.v[more + 2 + d];
    p.padding[d] = args.padding.v[more + d];
    p.step[d] = args.dilation.v[more + d];
  }
  p.x = reinterpret_cast<const float*>(args.x.data);
  p.y = reinterpret_cast<float*>(args.y.data);
  p.bias = reinterpret_cast<const float*>(args.bias.data);
  p.weight = reinterpret_cast<const float*>(args.weight.data);
  const int64_t kernel = args.weight.shape[more + 2], taps = kernel * kernel;
  if (more > 0) {
    p.depth = args.weight.shape[2];
    p.in_depth = args.x.shape[2];
    p.out_depth = args.out_shape.v[2];
    p.depth_padding = args.padding.v[0];
    p.N *= p.out_depth;
    p.C *= p.depth;
  }
  p.row_stride = p.C * taps;
  p.channel_stride = p.depth * taps;
  p.turned = false;
  p.epilogue = args.epilogue;
  if (p.epilogue) p.epilogue->done = true;
  return run(p, kernel, tile);
}

Status winograd_bwd_input(const ConvBwdInputArgs& args, int tile) {
  Problem p;
  p.N = args.grad_y.shape[0];
  p.groups = args.groups;
  p.C = args.grad_y.shape[1] / args.groups;
  p.K = args.x_shape.v[1] / args.groups;
  const int64_t more = args.grad_y.ndim - 4;
  const int64_t kernel = args.weight.shape[more + 2], taps = kernel * kernel;
  for (int64_t d = 0; d < 2; ++d) {
    p.in[d] = args.grad_y.shape[more + 2 + d];
    p.out[d] = args.x_shape.v[more + 2 + d];
    p.step[d] = args.dilation.v[more + d];
    p.padding[d] = (kernel - 1) * p.step[d] - args.padding.v[more + d];
  }
  p.x = reinterpret_cast<const float*>(args.grad_y.data);
  p.y = reinterpret_cast<float*>(args.grad_x.data);
  p.bias = reinterpret_cast<const float*>(args.bias.data);
  p.weight = reinterpret_cast<const float*>(args.weight.data);
  if (more > 0) {
    p.depth = args.weight.shape[2];
    p.in_depth = args.grad_y.shape[2];
    p.out_depth = args.x_shape.v[2];
    p.depth_padding = p.depth - 1 - args.padding.v[0];
    p.N *= p.out_depth;
    p.C *= p.depth;
  }
  p.row_stride = p.depth * taps;
  p.channel_stride = p.K * p.depth * taps;
  p.turned = true;
  return run(p, kernel, tile);
}

}  // namespace GS_ISA
}  // namespace gradsmith
