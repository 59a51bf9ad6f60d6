// grad_weight[k, c] = sum_{n, p} grad_y[n, k, p] x[n, c, p] of a convolution with kernels of one element,
// without padding. With a stride, x is what the stride reads of it (conv_pointwise_strided.cpp).
//
// Layout     as conv.cpp; any groups.
// Method     a product of matrices. Lanes are the channels of the smaller array, transposed in
//            registers a chunk of kChain positions at a time; rows are the channels of the other,
//            read in place, the next ones fetched while these are multiplied. Of at most kDotColumns channels
//            lanes are positions instead, of which a vector of sums is added at the end (64->2 128x128 of 4
//            images, two cores of an Emerald Rapids: 0.76 -> 0.34 ms).
// Split      blocks of channels, and slices of the positions where there are thousands, each with sums
//            of its own, which are added in order. Tiny work stays on one thread.
// Cache      a chunk's transposed lanes, kLaneBlock * kChain elements (256 KB in float32), in L2.
// Cost       2 N K C positions / groups FLOPs; the smaller array is read once for each block of rows.
// Accuracy   one chain of multiply-adds a chunk, or a lane of one; chunks and then slices in order; the same
//            bits for every number of threads.
// Limits     float32, float64.
#include "conv_pointwise.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kLaneBlock = 256, kRowBlock = 512, kLeastRows = 64;
constexpr int64_t kFewChunk = 1024;  // positions, with few lanes
constexpr int64_t kSlicePositions = 1024, kMostSlices = 16;

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

// The same of few lanes: both sides are read in place, side by side along the positions, and nothing is packed.
template <class T>
void multiply_few(const WeightSums<T>& w, int64_t unit, int64_t group, int64_t row, int64_t rows,
                  bool add, T* sums) {
  const int64_t image = unit / w.chunks, first = unit % w.chunks * w.chunk;
  const int64_t length = min(w.chunk, w.size - first);
  const T* const left = w.left + ((image * w.groups + group) * w.rows + row) * w.size + first;
  const T* const right = w.right + (image * w.groups + group) * w.lanes * w.size + first;
  const int lanes = static_cast<int>(w.lanes);
  int64_t offset[TileShape::kDotColumns];
  for (int j = 0; j < lanes; ++j) offset[j] = j * w.size;
  const int64_t stretch = 0;
  alignas(64) T found[kDotSums<T>];
  for (int64_t r = 0; r < rows; r += TileShape::kDotRows) {
    const int count = static_cast<int>(min(TileShape::kDotRows, rows - r));
    kDots<T>.get(count, lanes)(1, length, left + r * w.size, w.size, right, offset, &stretch,
                               found);
    put_sums(found, count, lanes, !add, sums + (row + r) * w.pitch, w.pitch);
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
  CallMemory thinned;
  const T* x = reinterpret_cast<const T*>(args.x.data);
  if (is_thinned(g)) {
    if (!thinned.get(g.N * g.C * g.out_positions() * size)) return thinned.missing();
    thin_planes(thinning(g), x, static_cast<T*>(thinned.data));
    x = static_cast<const T*>(thinned.data);
  }
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  w.left = turned ? x : grad_y;
  w.right = turned ? grad_y : x;
  w.images = g.N;
  w.groups = g.groups;
  w.rows = (turned ? g.C : g.K) / g.groups;
  w.lanes = (turned ? g.K : g.C) / g.groups;
  w.size = g.out_positions();
  w.pitch = round_up(w.lanes, L);
  const bool few = w.lanes <= TileShape::kDotColumns;
  w.chunk = balanced(w.size, few ? kFewChunk : kChain, kLine<T>);
  w.chunks = ceil_div(w.size, w.chunk);
  w.joined = few ? 1 : clamp(kChain / w.size, 1, g.N);

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
  // Each block of rows packs the lanes anew: no more of them than give every thread a task, or keep a block's sums
  // in L2. Few tasks are a whole number for each thread; no sum follows from the rows' blocks. 528 rows in 3
  // blocks kept one of two threads waiting for a third of the time.
  const int64_t threads = num_threads(), others = slices * w.groups * lane_blocks;
  int64_t row_blocks = max(slices > 1 ? 1 : ceil_div(w.rows, kRowBlock),
                           min(ceil_div(min(wanted, threads), others), w.rows / kLeastRows));
  if (wanted > 1 && others * row_blocks < 4 * threads && others * row_blocks % threads != 0) {
    row_blocks = clamp(round_up(row_blocks, threads), 1, w.rows);
  }
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
        if (few) {
          multiply_few(w, unit, group, row, rows, unit > first, into);
        } else {
          multiply_chunk(w, unit, group, row, rows, lane, lanes, packed, unit > first, into);
        }
      }
    }
  });
  if (enough) {
    add_slices(w, sums, slices, turned, reinterpret_cast<T*>(args.grad_weight.data));
  }
  release(sums, bytes);
  return enough ? kDone : Status{Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
}

}  // namespace

bool pointwise_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk || !is_pointwise(g)) return false;
  if (g.C / g.groups < 8 || g.K / g.groups < 2) return false;
  const bool single = args.grad_y.dtype == DType::kFloat32;
  if (status) *status = single ? run_weight<float>(args, g) : run_weight<double>(args, g);
  return true;
}

}  // namespace GS_ISA
}  // namespace gradsmith
