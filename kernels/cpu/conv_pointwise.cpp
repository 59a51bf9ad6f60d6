// Convolution with kernels of one element, at stride 1 and without padding, and its gradients.
//
//   y[n, k, p] = bias[k] + sum_c weight[k, c] x[n, c, p];  grad_x: the same with weight^T;
//   grad_weight[k, c] = sum_{n, p} grad_y[n, k, p] x[n, c, p], p the positions of an image.
//
// Layout     as conv.cpp; any groups.
// Method     products of matrices on the arrays as they are. y and grad_x: rows of the register tile
//            (gemm.h) are output channels, lanes are positions; x is read where it is, and the lines
//            of the next tiles are fetched while this one is multiplied, since no prefetcher of a
//            processor follows a stream a channel. The last tile of an image starts earlier
//            instead of ending late; what it computes twice is dropped. Images too small for that
//            are copied side by side. grad_weight: lanes are the
//            channels of the smaller array, transposed in registers a chunk of positions at a time;
//            rows are the channels of the other, read in place.
// Split      tiles of positions, images, groups, and parts of the rows where these are few;
//            grad_weight: blocks of channels, and slices of the positions where there are thousands.
//            Tiny work stays on one thread.
// Cache      a tile's columns of x (depth x tile) in L1 or L2, packed weights in L2 or streamed
//            once for kRightBytes of x; grad_weight: a chunk's transposed lanes, kLaneBlock *
//            kChain elements, in L2. Results beyond half of the last level are stored past it.
// Cost       2 N K C positions / groups FLOPs; grad_weight reads the smaller array once for each block
//            of kRowBlock rows.
// Accuracy   one chain of multiply-adds in the order of channels for each kChain of them, added in
//            order (y, grad_x); one chain a chunk, chunks and then slices in order (grad_weight).
//            The same bits for every number of threads.
// Limits     float32, float64.
#include "conv_pointwise.h"

#include "conv.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kWeightBytes = 384 << 10;  // packed weights up to this are read for each tile
constexpr int64_t kRightBytes = 384 << 10;
constexpr int64_t kJoinedBytes = 8 << 20;
constexpr int64_t kDepthBlock = 16;
constexpr int64_t kLaneBlock = 256, kRowBlock = 256;
constexpr int64_t kSlicePositions = 1024, kMostSlices = 16;

template <class T>
constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));  // elements of a cache line

// ---- y and grad_x ----

// Rows a stride apart; with each, the line `ahead` of it is fetched.
template <class T>
struct FetchingRows {
  const T* row;
  int64_t stride, ahead;
  GS_INLINE const T* next() {
    const T* p = row;
    __builtin_prefetch(p + ahead);
    row += stride;
    return p;
  }
};

template <class T>
struct TileSet {
  Tile<T, FetchingRows<T>> entry[TileShape::kRows * TileShape::kVectors];
  Tile<T, FetchingRows<T>> get(int rows, int vectors) const {
    return entry[(rows - 1) * TileShape::kVectors + vectors - 1];
  }
};

template <class T, int... I>
constexpr TileSet<T> make_tile_set(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  return {{&tile<T, I / V + 1, I % V + 1, FetchingRows<T>>...}};
}

template <class T>
constexpr TileSet<T> kTileSet =
    make_tile_set<T>(std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{});

// y[n, m, p] = bias[m] + sum_d weight[m, d] x[n, d, p], for each group.
template <class T>
struct Pointwise {
  const T *x, *weight, *bias;
  T* y;
  int64_t images, groups, depth, rows, size;       // of a group; positions
  int64_t group_stride, row_stride, depth_stride;  // of weight
  const ConvEpilogue* epilogue = nullptr;
};

// Tiles of an image, or of images that are joined: whole vectors of positions, spread evenly.
template <class T>
struct Tiles {
  static constexpr int L = kLanes<T>;
  int64_t size, vectors, count;
  bool joined;  // nothing starts earlier
  Tiles(int64_t positions, bool join)
      : size(positions),
        vectors(ceil_div(positions, L)),
        count(ceil_div(vectors, TileShape::kVectors)),
        joined(join) {}
  int64_t first(int64_t t) const { return vectors * t / count * L; }  // of its own positions
  int width(int64_t t) const { return static_cast<int>(vectors * (t + 1) / count * L - first(t)); }
  int64_t start(int64_t t) const { return joined ? first(t) : min(first(t), size - width(t)); }
};

template <class T>
struct Packed {
  const T* weight;
  int64_t panel_size;
  int64_t together;  // tiles that each panel of weights is read for
  bool stream;
};

// Where a tile's rows are read, and where they go.
template <class T>
struct Plane {
  const T* x;
  int64_t pitch;  // of x
  T* y;           // of the first image
};

// Stores the tile's rows `from`: lanes [first, first + count) of images in a row.
template <class T>
void store_joined(const Pointwise<T>& p, const T* from, int64_t width, int rows, int64_t first,
                  int64_t count, T* y) {
  const int64_t image_stride = p.groups * p.rows * p.size;
  for (int64_t lane = first; lane < first + count;) {
    const int64_t image = lane / p.size, at = lane % p.size;
    const int64_t run = min(p.size - at, first + count - lane);
    T* const to = y + image * image_stride + at;
    for (int r = 0; r < rows; ++r) {
      copy_run(to + r * p.size, from + r * width + (lane - first), run);
    }
    lane += run;
  }
}

// Tiles [t, end) of a plane and panels [panel, last) of a group. Images that are joined have one plane;
// its rows have room for whole vectors.
template <class T>
void multiply_tiles(const Pointwise<T>& p, const Packed<T>& packed, const Plane<T>& plane,
                    const Tiles<T>& tiles, int64_t group, int64_t t, int64_t end, int64_t panel,
                    int64_t last) {
  constexpr int L = kLanes<T>;
  const Panels panels(p.rows);
  const bool joined = tiles.joined;
  alignas(64) T edge[TileShape::kRows * TileShape::kVectors * L];
  for (; t < end; t += packed.together) {
    const int64_t stop = min(end, t + packed.together), after = min(end, stop + packed.together);
    // The next tiles' lines: column after column, one in each product.
    const int64_t next = stop < end ? tiles.start(stop) : 0;
    int64_t lines =
        stop < end ? ceil_div(tiles.start(after - 1) + tiles.width(after - 1) - next, kLine<T>) + 1
                   : 0;
    int64_t line = next;
    for (int64_t i = panel; i < last; ++i) {
      const int rows = panels.rows(i);
      const T* const a = packed.weight + (group * panels.count + i) * packed.panel_size;
      const T* const bias = p.bias ? p.bias + group * p.rows + panels.begin(i) : nullptr;
      const Start begin = bias ? Start::kRowValues : Start::kZero;
      T* const row = plane.y + panels.begin(i) * p.size;
      for (int64_t j = t; j < stop; ++j) {
        const int width = tiles.width(j);
        const int64_t start = tiles.start(j), skip = tiles.first(j) - start;
        const int64_t ahead = lines > 0 ? line - start : 0;
        --lines;
        line += kLine<T>;
        const FetchingRows<T> b{plane.x + start, plane.pitch, ahead};
        const auto run = kTileSet<T>.get(rows, width / L);
        if (!packed.stream && !joined) {  // the product's lines, before they are stored
          for (int r = 0; r < rows; ++r) {
            const T* const to = row + r * p.size + start;
            for (int v = 0; v < width; v += L) __builtin_prefetch(to + v, 1);
            __builtin_prefetch(to + width - 1, 1);
          }
        }
        if (skip == 0 && !packed.stream && !joined) {
          run(p.depth, a, b, row + start, p.size, begin, bias);
          for (int r = 0; p.epilogue && r < rows; ++r) {
            finish(p.epilogue, row + r * p.size + start, width);
          }
          continue;
        }
        run(p.depth, a, b, edge, width, begin, bias);
        if (joined) {
          store_joined(p, edge, width, rows, start, min(width, tiles.size - start), row);
          continue;
        }
        for (int r = 0; r < rows; ++r) {
          T* const to = row + r * p.size + start;
          T* const from = edge + r * width;
          finish(p.epilogue, to + skip, from + skip, width - skip);
          if (packed.stream) {
            for (int v = 0; v < width; v += L) store_stream<T>(to + v, load(from + v));
          } else {
            copy_run(to + skip, from + skip, width - skip);
          }
        }
      }
    }
  }
  if (packed.stream) stream_fence();
}

// The products of each image where it is.
template <class T>
void run_apart(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  const Panels panels(p.rows);
  const Tiles<T> tiles(p.size, false);
  const int64_t planes = p.images * p.groups;
  const int64_t parts =
      clamp(ceil_div(wanted, planes), 1, max(1, tiles.count / max(2, packed.together)));
  const int64_t row_parts = clamp(min(wanted, 16) / (planes * parts), 1, panels.count);
  const int64_t blocks = planes * parts * row_parts;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i % row_parts, part = i / row_parts % parts, n = i / row_parts / parts;
      const Plane<T> plane{p.x + n * p.depth * p.size, p.size, p.y + n * p.rows * p.size};
      multiply_tiles(p, packed, plane, tiles, n % p.groups, tiles.count * part / parts,
                     tiles.count * (part + 1) / parts, panels.count * r / row_parts,
                     panels.count * (r + 1) / row_parts);
    }
  });
}

// Images whose positions do not fill vectors, side by side: kJoinedBytes of them are copied at a time.
template <class T>
Status run_joined(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  constexpr int64_t size = sizeof(T), L = kLanes<T>;
  const Panels panels(p.rows);
  const int64_t channels = p.groups * p.depth;
  const int64_t block = balanced(p.images, max(1, kJoinedBytes / (channels * p.size * size)), 1);
  // Rows an odd number of vectors apart.
  const int64_t pitch = ceil_div(block * p.size, L) / 2 * 2 * L + L;
  const auto bytes = static_cast<size_t>((channels * pitch + L) * size);
  T* const x = static_cast<T*>(allocate(bytes));
  if (!x) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  for (int64_t n = 0; n < p.images; n += block) {
    const int64_t images = min(block, p.images - n), lanes = images * p.size;
    const T* const from = p.x + n * channels * p.size;
    parallel_for(channels, max(1, (1 << 14) / lanes), [&](int64_t begin, int64_t end) {
      for (int64_t d = begin; d < end; ++d) {
        T* const to = x + d * pitch;
        for (int64_t i = 0; i < images; ++i) {
          const T* const image = from + (i * channels + d) * p.size;
          if (d + 1 < end) prefetch(image + p.size, p.size);
          copy_run(to + i * p.size, image, p.size);
        }
        for (int64_t i = lanes; i < round_up(lanes, L); ++i) to[i] = T{};
      }
    });
    const Tiles<T> tiles(lanes, true);
    const int64_t parts = ceil_div(tiles.count, packed.together);
    const int64_t row_parts = clamp(ceil_div(min(wanted, 16), parts * p.groups), 1, panels.count);
    const int64_t blocks = parts * row_parts * p.groups;
    parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i % row_parts, part = i / row_parts % parts,
                      group = i / row_parts / parts;
        const Plane<T> plane{x + group * p.depth * pitch, pitch,
                             p.y + (n * p.groups + group) * p.rows * p.size};
        multiply_tiles(p, packed, plane, tiles, group, tiles.count * part / parts,
                       tiles.count * (part + 1) / parts, panels.count * r / row_parts,
                       panels.count * (r + 1) / row_parts);
      }
    });
  }
  release(x, bytes);
  return kDone;
}

// Whether an image's positions fill its tiles' vectors well.
template <class T>
bool positions_fill(int64_t size) {
  constexpr int64_t L = kLanes<T>;
  if (size % L != 0 && size < TileShape::kVectors * L) return false;
  return (round_up(size, L) - size) * 8 <= size;
}

template <class T>
Status run_pointwise(const Pointwise<T>& p) {
  constexpr int64_t size = sizeof(T);
  constexpr int64_t kWidth = TileShape::kVectors * kLanes<T>;
  const Panels panels(p.rows);
  const bool joined = !positions_fill<T>(p.size);
  Packed<T> packed;
  // A gap after each panel takes the vector that packing may write beyond it.
  packed.panel_size = round_up(p.depth * panels.height, 16) + 16;
  const int64_t group_weights = packed.panel_size * panels.count;
  packed.together =
      group_weights * size <= kWeightBytes ? 1 : max(1, kRightBytes / size / (p.depth * kWidth));
  const int64_t out_bytes = p.images * p.groups * p.rows * p.size * size;
  packed.stream = !joined && out_bytes > last_level_cache() / 2 && p.size % kLanes<T> == 0 &&
                  reinterpret_cast<uintptr_t>(p.y) % GS_VECTOR_BYTES == 0;

  const auto bytes = static_cast<size_t>(group_weights * p.groups * size);
  T* const weight = static_cast<T*>(allocate(bytes));
  if (!weight) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  packed.weight = weight;
  // Turned weights by kDepthBlock of their rows, which are read whole.
  const bool turned = p.depth_stride != 1;
  const int64_t step = turned ? kDepthBlock : p.depth;
  const int64_t grain = max(turned ? 16 : 1, 32768 / (p.depth * panels.height));
  parallel_for(panels.count * p.groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t d = 0; d < p.depth; d += step) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i % panels.count;
        const T* const from = p.weight + i / panels.count * p.group_stride +
                              panels.begin(panel) * p.row_stride + d * p.depth_stride;
        const int rows = panels.rows(panel);
        pack_panel(from, p.row_stride, p.depth_stride, min(step, p.depth - d), rows, rows,
                   weight + i * packed.panel_size + d * rows);
      }
    }
  });
  const double work = 2.0 * static_cast<double>(p.images * p.groups * p.size) *
                      static_cast<double>(p.rows) * static_cast<double>(p.depth);
  Status status = kDone;
  if (joined) {
    status = run_joined(p, packed, wanted_blocks(work, 64));
  } else {
    run_apart(p, packed, wanted_blocks(work, 64));
  }
  release(weight, bytes);
  return status;
}

// ---- grad_weight ----

// c[i][j] (+)= sum_{s, k} a[i * a_stride + s * a_stretch + k] * b[s * K + k][j] for MR rows, read in
// place, and NV vectors of packed lanes; the rows' lines `ahead` are fetched.
template <class T, int MR, int NV>
__attribute__((noinline)) void row_tile(int64_t stretches, int64_t K, const T* a, int64_t a_stride,
                                        int64_t a_stretch, int64_t ahead, const T* b, T* c,
                                        int64_t c_stride, bool add) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[MR][NV];
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
  }
#pragma GCC unroll 1
  for (int64_t s = 0; s < stretches; ++s, a += a_stretch) {
    // One index runs through all rows.
    const T* row[MR];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) row[i] = a + i * a_stride;
#pragma GCC unroll 1
    for (int64_t k = 0; k < K;) {
      const T* const fetched = a + k + ahead;
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) __builtin_prefetch(fetched + i * a_stride);
      const int64_t end = min(K, k + kLine<T>);
#pragma GCC unroll 1
      for (; k < end; ++k, b += NV * L) {
        Vec<T> right[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) right[j] = load(b + j * L);
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const Vec<T> value = splat(row[i][k]);
#pragma GCC unroll 8
          for (int j = 0; j < NV; ++j) sum[i][j] += value * right[j];
        }
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < MR; ++i) {
    T* const to = c + i * c_stride;
#pragma GCC unroll 8
    for (int j = 0; j < NV; ++j) {
      store(to + j * L, add ? load(to + j * L) + sum[i][j] : sum[i][j]);
    }
  }
}

template <class T>
using RowTile = void (*)(int64_t stretches, int64_t K, const T* a, int64_t a_stride,
                         int64_t a_stretch, int64_t ahead, const T* b, T* c, int64_t c_stride,
                         bool add);

template <class T>
struct RowTiles {
  RowTile<T> entry[TileShape::kRows * TileShape::kVectors];
  RowTile<T> get(int rows, int vectors) const {
    return entry[(rows - 1) * TileShape::kVectors + vectors - 1];
  }
};

template <class T, int... I>
constexpr RowTiles<T> make_row_tiles(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  return {{&row_tile<T, I / V + 1, I % V + 1>...}};
}

template <class T>
constexpr RowTiles<T> kRowTiles =
    make_row_tiles<T>(std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{});

// sums[r][q] = sum_{n, p} left[n, r, p] right[n, q, p], q in lanes, for each group.
template <class T>
struct WeightSums {
  const T *left, *right;
  int64_t images, groups, rows, lanes, size;  // channels of a group; positions
  int64_t pitch;                              // of sums: whole vectors
  int64_t joined;                             // images of a chunk, where these are small
  int64_t chunk, chunks;                      // positions of an image
  int64_t units() const { return ceil_div(images, joined) * chunks; }
};

// A chunk of positions of some images, times rows [row, row + rows) and lanes [lane, lane + lanes).
template <class T>
void multiply_chunk(const WeightSums<T>& w, int64_t unit, int64_t group, int64_t row, int64_t rows,
                    int64_t lane, int64_t lanes, T* packed, bool add, T* sums) {
  constexpr int L = kLanes<T>;
  const int64_t image = unit / w.chunks * w.joined, first = unit % w.chunks * w.chunk;
  const int64_t images = min(w.joined, w.images - image), length = min(w.chunk, w.size - first);
  const int64_t left_image = w.groups * w.rows * w.size, right_image = w.groups * w.lanes * w.size;
  const T* const left = w.left + image * left_image + (group * w.rows + row) * w.size + first;
  const T* const right = w.right + image * right_image + (group * w.lanes + lane) * w.size + first;
  const int64_t positions = images * length;
  const int64_t vectors = ceil_div(lanes, L), across = ceil_div(vectors, TileShape::kVectors);
  for (int64_t j = 0; j < across; ++j) {
    const int64_t begin = vectors * j / across * L, end = vectors * (j + 1) / across * L;
    const int pitch = static_cast<int>(end - begin);
    for (int64_t n = 0; n < images; ++n) {
      pack_panel(right + n * right_image + begin * w.size, w.size, 1, length,
                 static_cast<int>(min(end, lanes) - begin), pitch,
                 packed + begin * positions + n * length * pitch);
    }
  }
  const Panels panels(rows);
  for (int64_t i = 0; i < panels.count; ++i) {
    const int height = panels.rows(i);
    const T* const a = left + panels.begin(i) * w.size;
    // The next rows; after the last ones the first of the next chunk.
    const int64_t next = i + 1 < panels.count ? height * w.size : length - panels.begin(i) * w.size;
    for (int64_t j = 0; j < across; ++j) {
      const int64_t begin = vectors * j / across * L, end = vectors * (j + 1) / across * L;
      kRowTiles<T>.get(height, static_cast<int>((end - begin) / L))(
          images, length, a, w.size, left_image, j == 0 ? next : 0, packed + begin * positions,
          sums + (row + panels.begin(i)) * w.pitch + lane + begin, w.pitch, add);
    }
  }
}

// grad_weight[k, c], of all groups, is the sum of the slices' sums[r][q]: r is c and q is k if
// turned, or r is k and q is c.
template <class T>
void add_slices(const WeightSums<T>& w, const T* sums, int64_t slices, bool turned, T* out) {
  constexpr int L = kLanes<T>;
  const int64_t all_rows = w.groups * w.rows, all = all_rows * w.pitch;
  const int64_t down = ceil_div(w.rows, L);
  parallel_for(
      w.groups * down, max(1, (1 << 15) / (L * w.pitch * slices)), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t group = i / down, r = i % down * L;
          const int64_t height = min(L, w.rows - r);
          for (int64_t q = 0; q < w.lanes; q += L) {
            const int64_t width = min(L, w.lanes - q);
            Vec<T> block[L];
            const T* const from = sums + (group * w.rows + r) * w.pitch + q;
#pragma GCC unroll 16
            for (int k = 0; k < L; ++k) {
              block[k] = Vec<T>{};
              if (k < height) {
                for (int64_t s = 0; s < slices; ++s) block[k] += load(from + s * all + k * w.pitch);
              }
            }
            if (turned) transpose<T>(block);
            T* const to =
                out + group * w.rows * w.lanes + (turned ? q * w.rows + r : r * w.lanes + q);
            const int64_t stride = turned ? w.rows : w.lanes, lines = turned ? width : height,
                          line = turned ? height : width;
#pragma GCC unroll 16
            for (int k = 0; k < L; ++k) {
              if (k >= lines) continue;
              if (line == L) {
                store(to + k * stride, block[k]);
              } else {
                store_n(to + k * stride, block[k], line);
              }
            }
          }
        }
      });
}

template <class T>
Status run_weight(const ConvBwdWeightArgs& args, const Geometry& g) {
  constexpr int L = kLanes<T>;
  constexpr int64_t size = sizeof(T), kWidth = TileShape::kVectors * L;
  const bool turned = g.K <= g.C;  // lanes are output channels
  WeightSums<T> w;
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  w.left = turned ? x : grad_y;
  w.right = turned ? grad_y : x;
  w.images = g.N;
  w.groups = g.groups;
  w.rows = (turned ? g.C : g.K) / g.groups;
  w.lanes = (turned ? g.K : g.C) / g.groups;
  w.size = g.out_positions();
  w.pitch = round_up(w.lanes, L);
  w.chunk = balanced(w.size, kChain, kLine<T>);
  w.chunks = ceil_div(w.size, w.chunk);
  w.joined = clamp(kChain / w.size, 1, g.N);

  const int64_t positions = g.N * w.size, units = w.units();
  const double work = 2.0 * static_cast<double>(positions) * static_cast<double>(g.K) *
                      static_cast<double>(g.C / g.groups);
  const int64_t wanted = wanted_blocks(work, 16);
  const int64_t slices =
      min(min(positions / kSlicePositions, kMostSlices), min(units, wanted)) > 1
          ? min(min(positions / kSlicePositions, kMostSlices), min(units, wanted))
          : 1;
  int64_t lane_blocks = ceil_div(w.lanes, kLaneBlock);
  if (slices * w.groups * lane_blocks < min(wanted, 8)) {
    lane_blocks = max(lane_blocks, min(2, w.lanes / (2 * kWidth)));
  }
  const int64_t row_blocks = clamp(ceil_div(min(wanted, 8), slices * w.groups * lane_blocks), 1,
                                   ceil_div(w.rows, kRowBlock));
  const int64_t lane_vectors = ceil_div(w.lanes, L);
  const int64_t tasks = slices * w.groups * row_blocks * lane_blocks;

  const int64_t slice_size = w.groups * w.rows * w.pitch;
  const auto bytes = static_cast<size_t>(slices * slice_size * size);
  T* const sums = static_cast<T*>(allocate(bytes));
  if (!sums) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const int64_t block_lanes = ceil_div(lane_vectors, lane_blocks) * L;
  const auto scratch_bytes =
      static_cast<size_t>(block_lanes * min(w.chunk, w.size) * w.joined * size);
  bool enough = true;
  parallel_for(tasks, max(1, tasks / wanted), [&](int64_t begin, int64_t end) {
    T* const packed = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!packed) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t b = i % row_blocks, l = i / row_blocks % lane_blocks;
      const int64_t rest = i / row_blocks / lane_blocks, group = rest % w.groups,
                    slice = rest / w.groups;
      const int64_t row = w.rows * b / row_blocks, rows = w.rows * (b + 1) / row_blocks - row;
      const int64_t lane = lane_vectors * l / lane_blocks * L;
      const int64_t lanes = min(w.lanes, lane_vectors * (l + 1) / lane_blocks * L) - lane;
      const int64_t first = units * slice / slices, last = units * (slice + 1) / slices;
      T* const into = sums + slice * slice_size + group * w.rows * w.pitch;
      for (int64_t unit = first; unit < last; ++unit) {
        multiply_chunk(w, unit, group, row, rows, lane, lanes, packed, unit > first, into);
      }
    }
  });
  if (enough) {
    add_slices(w, sums, slices, turned, reinterpret_cast<T*>(args.grad_weight.data));
  }
  release(sums, bytes);
  return enough ? kDone : Status{Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
}

// ---- which cases ----

bool is_pointwise(const Geometry& g) {
  for (int d = 0; d < kSpatial; ++d) {
    if (g.kernel[d] != 1 || g.stride[d] != 1 || g.padding[d] != 0 || g.in[d] != g.out[d]) {
      return false;
    }
  }
  return g.N > 0 && g.C > 0 && g.K > 0 && g.out_positions() > 0;
}

// Whether there are channels enough; a copy of joined images has to have some positions of each.
bool channels_enough(const Geometry& g) {
  return g.C / g.groups >= 8 && g.K / g.groups >= 8 && g.out_positions() >= 4;
}

}  // namespace

bool pointwise_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x.shape, args.x.ndim, args.weight.shape,
                                       args.weight.ndim, args.out_shape.v, args.out_shape.n,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk || !is_pointwise(g) || !channels_enough(g)) return false;
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const int64_t depth = g.C / g.groups, rows = g.K / g.groups;
    if (status) {
      *status = run_pointwise(Pointwise<T>{
          reinterpret_cast<const T*>(args.x.data), reinterpret_cast<const T*>(args.weight.data),
          reinterpret_cast<const T*>(args.bias.data), reinterpret_cast<T*>(args.y.data), g.N,
          g.groups, depth, rows, g.out_positions(), rows * depth, depth, 1, args.epilogue});
      if (args.epilogue) args.epilogue->done = true;
    }
    return true;
  };
  return args.x.dtype == DType::kFloat32 ? run(0.f) : run(0.);
}

bool pointwise_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x_shape.v, args.x_shape.n, args.weight.shape,
                                       args.weight.ndim, args.grad_y.shape, args.grad_y.ndim,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk || !is_pointwise(g) || !channels_enough(g)) return false;
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const int64_t depth = g.K / g.groups, rows = g.C / g.groups;
    if (status) {
      *status = run_pointwise(Pointwise<T>{reinterpret_cast<const T*>(args.grad_y.data),
                                           reinterpret_cast<const T*>(args.weight.data),
                                           reinterpret_cast<const T*>(args.bias.data),
                                           reinterpret_cast<T*>(args.grad_x.data), g.N, g.groups,
                                           depth, rows, g.out_positions(), rows * depth, 1, rows});
    }
    return true;
  };
  return args.grad_y.dtype == DType::kFloat32 ? run(0.f) : run(0.);
}

bool pointwise_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x.shape, args.x.ndim, args.weight_shape.v,
                                       args.weight_shape.n, args.grad_y.shape, args.grad_y.ndim,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk || !is_pointwise(g)) return false;
  if (g.C / g.groups < 8 || g.K / g.groups < 8) return false;
  const bool single = args.grad_y.dtype == DType::kFloat32;
  if (status) *status = single ? run_weight<float>(args, g) : run_weight<double>(args, g);
  return true;
}

}  // namespace GS_ISA
}  // namespace gradsmith
