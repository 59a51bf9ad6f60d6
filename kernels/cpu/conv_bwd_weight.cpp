// conv_bwd_weight: grad_weight[k, c, r] = sum_{n, o} grad_y[n, k, o] *
//                  x[n, c, o * stride - padding + r * dilation]
// conv_bwd_weight_bias: and grad_bias[k] = sum_{n, o} grad_y[n, k, o]
//
// Layout     as conv.cpp.
// Method     dot tiles (gemm.h) over planes (conv.h, or conv_image_lanes.h): x is copied into planes
//            as for conv_fwd, and grad_y into rows on the same lanes with zeros between the rows of
//            the box, so that the reduction over positions is a dot product of contiguous stretches;
//            nothing is transposed. Zeros times what lies between the rows are zero unless that is
//            infinite or NaN: where x is not finite, its useful lanes are copied out first. grad_bias
//            is one more column of the tiles, the gradient of a weight that meets nothing but ones;
//            where another algorithm took the weight's gradient, a sum after it. Where channels are few
//            (first layers), each tap of a row has a plane of x of its own: no lanes lie between the rows,
//            and grad_y is read where it is, the next rows fetched meanwhile; sums that stay in L2 have
//            their lanes added up at the end (conv_lane_sums.h).
// Split      blocks of output channels times blocks of input channels; where these are few, also
//            the reduction, in slices fixed by the shape. Each slice sums its boxes in order into
//            its own copy of grad_weight, and the copies are added in order.
// Cache      planes of x kPlaneBytes at most, rows of grad_y kRowBlock * kLaneBytes, in L2; four
//            rows of grad_y in L1.
// Cost       2 N K out (C / groups) taps FLOPs; x is copied once per kRowBlock output channels,
//            grad_y once per block of input channels, or not at all.
// Accuracy   per box a sum of lanes, then boxes in order: error below that of one long chain; the
//            same bits for every number of threads.
// Limits     float32, float64.
#include "conv.h"
#include "conv_columns.h"
#include "conv_depthwise.h"
#include "conv_first_layer.h"
#include "conv_image_lanes.h"
#include "conv_lane_sums.h"
#include "conv_phases.h"
#include "conv_plan.h"
#include "conv_pointwise.h"
#include "conv_weight_lanes.h"
#include "conv_winograd.h"
#include "lists/reduce.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kPlaneBytes = 256 << 10;
constexpr int64_t kLaneBytes = 5 << 10;  // of one row of a box
constexpr int64_t kRowBlock = 64;
// Of a row that is read in place, so that a tile's stay in L1; with sums by lane the next tile's too.
constexpr int64_t kInPlaceBytes = 4 << 10, kByLaneBytes = 3200;
constexpr int64_t kSumBytes = 128 << 10;  // of sums by lane
constexpr int64_t kMaxSlices = 16;
constexpr int64_t kSliceBytes = 64ll << 20;  // of all slices together

template <class T>
struct WeightGradient {
  Planes planes;
  const T *grad_y, *x;
  int64_t images, groups, depth, rows;  // channels of x and of grad_y, of a group
  bool image_lanes;
  bool in_place;      // grad_y is read where it is
  bool by_lane;       // and the lanes are summed last
  int64_t cell;       // lanes of a position
  int64_t row_pitch;  // of the rows of grad_y, in scratch or where they are
  const int64_t* offset;
  const int64_t* stretch;
  const Geometry* geometry;
};

// The lanes of a box that take part, as stretches of equal length; grad_y has them side by side.
struct Stretches {
  int64_t count, length;

  template <class T>
  Stretches(const WeightGradient<T>& w, const Box& box) {
    constexpr int L = kLanes<T>;
    const Planes& p = w.planes;
    if (w.in_place) {
      count = 1;
      length = box.lanes;
    } else if (w.image_lanes) {  // a row of positions
      count = box.images * box.size[0] * box.size[1];
      length = box.size[2] * L;
    } else if (box.images > 1 && image_lanes<T>(p) < p.image) {
      count = box.images;
      length = image_lanes<T>(p);
    } else {
      count = 1;
      length = round_up(box.lanes, L);
    }
  }
  // From the first to the last useful lane of an image, in whole vectors.
  template <class T>
  static int64_t image_lanes(const Planes& p) {
    return round_up((p.axis[0].box - 1) * p.slab + (p.axis[1].box - 1) * p.row + p.axis[2].box,
                    kLanes<T>);
  }
  // Where stretch i starts in the planes.
  template <class T>
  static int64_t start(const WeightGradient<T>& w, int64_t i) {
    const Planes& p = w.planes;
    if (!w.image_lanes) return i * p.image;
    const int64_t y = i % p.axis[1].size, rest = i / p.axis[1].size;
    return (rest / p.axis[0].size * p.image + rest % p.axis[0].size * p.slab + y * p.row) * w.cell;
  }
};

// Rows of grad_y on the stretches of the box, zero between the useful lanes.
template <class T>
void fill_rows(const WeightGradient<T>& w, const Box& box, const Stretches& stretches,
               int64_t first_row, int64_t rows, T* to) {
  const Geometry& g = *w.geometry;
  const int64_t size = g.out_positions();
  if (w.image_lanes) {
    Vec<T> odd{};
    for (int64_t k = 0; k < rows; ++k, to += w.row_pitch) {
      for (int64_t i = 0; i < box.images; ++i) {
        const int64_t image = (box.image + i) * w.cell;
        gather_cells(w.grad_y + (image * g.K + first_row + k) * size, g.K * size,
                     min(w.cell, w.images - image), size, to + i * size * w.cell, odd);
      }
    }
    return;
  }
  const int64_t pitch = stretches.count > 1 ? w.planes.image : stretches.length;
  int64_t first[kSpatial];  // the box's first position
  for (int d = 0; d < kSpatial; ++d) first[d] = w.planes.axis[d].out_first + box.origin[d];
  for (int64_t k = 0; k < rows; ++k, to += w.row_pitch) {
    const T* from = w.grad_y + (box.image * g.K + first_row + k) * size;
    int64_t next = 0;  // the first lane not written yet
    for_runs(w.planes, box, 0, box.lanes,
             [&](int64_t lane, int64_t n, int64_t image, int64_t z, int64_t y, int64_t x) {
               const int64_t start = lane / pitch * stretches.length + lane % pitch;
               for (; next < start; ++next) to[next] = T{};
               const int64_t position =
                   ((first[0] + z) * g.out[1] + first[1] + y) * g.out[2] + first[2] + x;
               // The hardware's prefetcher does not see that the next row follows.
               if (k + 1 < rows) prefetch(from + (image * g.K + 1) * size + position, n);
               copy_run(to + start, from + image * g.K * size + position, n);
               next = start + n;
             });
    for (const int64_t end = stretches.count * stretches.length; next < end; ++next) {
      to[next] = T{};
    }
  }
}

// The useful lanes of row `entry` of the im2col matrix, as fill_rows lays them out.
template <class T>
void copy_useful(const WeightGradient<T>& w, const Box& box, const Stretches& stretches,
                 const T* from, T* to) {
  const int64_t pitch = stretches.count > 1 ? w.planes.image : stretches.length;
  for (int64_t i = 0; i < stretches.count * stretches.length; ++i) to[i] = T{};
  for_runs(w.planes, box, 0, box.lanes,
           [&](int64_t lane, int64_t n, int64_t, int64_t, int64_t, int64_t) {
             copy_run(to + lane / pitch * stretches.length + lane % pitch, from + lane, n);
           });
}

// Fetches part j of `parts` of `rows` rows of n elements.
template <class T>
void fetch_part(const T* from, int64_t pitch, int64_t rows, int64_t n, int64_t j, int64_t parts) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  const int64_t lines = ceil_div(n, kLine), end = lines * (j + 1) / parts;
  for (int64_t i = 0; i < rows; ++i, from += pitch) {
    for (int64_t line = lines * j / parts; line < end; ++line) {
      __builtin_prefetch(from + line * kLine);
    }
  }
}

// All products of one box: into[row * row_stride + entry] += or, if first, =; and the same with
// into_bias[row], where there is one, for an entry of ones after the others.
template <class T>
void multiply_box(const WeightGradient<T>& w, const Box& box, const Stretches& stretches,
                  bool finite, const T* planes, const T* rows_of_y, const T* next_rows, T* useful,
                  int64_t rows, int64_t entries, bool first, T* into, int64_t row_stride,
                  T* into_bias) {
  constexpr int MI = TileShape::kDotRows, NJ = TileShape::kDotColumns;
  alignas(GS_VECTOR_BYTES) T c[kDotSums<T>];
  const int64_t columns = entries + (into_bias ? 1 : 0);
  const int64_t across = ceil_div(columns, NJ), down = ceil_div(rows, MI);
  // So many stretches at a time that a tile's rows of grad_y stay in L1.
  const int64_t most = max(1, kLaneBytes / static_cast<int64_t>(sizeof(T)) / stretches.length);
  const int64_t step = finite ? balanced(stretches.count, most, 1) : stretches.count;
  for (int64_t begin = 0; begin < stretches.count; begin += step) {
    const int64_t count = min(step, stretches.count - begin);
    const bool set = first && begin == 0;
    for (int64_t i = 0; i < down; ++i) {
      const int64_t row = rows * i / down;
      const int height = static_cast<int>(rows * (i + 1) / down - row);
      const T* left = rows_of_y + row * w.row_pitch + begin * stretches.length;
      for (int64_t j = 0; j < across; ++j) {
        const int64_t entry = columns * j / across;
        const int width = static_cast<int>(columns * (j + 1) / across - entry);
        const auto run = kDots<T>.get(height, width);
        if (w.in_place) {  // the rows that come next
          const bool last = i + 1 == down;
          const int64_t next = last ? 0 : row + height, end = rows * (last ? 1 : i + 2) / down;
          const T* from = last ? next_rows : rows_of_y;
          if (from) {
            fetch_part(from + next * w.row_pitch, w.row_pitch, end - next, stretches.length, j,
                       across);
          }
        }
        if (finite || w.image_lanes || w.in_place) {
          run(count, stretches.length, left, w.row_pitch, planes, w.offset + entry,
              w.stretch + begin, c);
        } else {
          int64_t offset[NJ];
          for (int e = 0; e < width; ++e) {
            offset[e] = e * w.row_pitch;
            copy_useful(w, box, stretches, planes + w.offset[entry + e], useful + offset[e]);
          }
          const int64_t start = 0;
          run(1, count * stretches.length, left, w.row_pitch, useful, offset, &start, c);
        }
        T* const to = into + row * row_stride + entry;
        if (entry + width <= entries) {
          put_sums(c, height, width, set, to, row_stride);
          continue;
        }
        for (int h = 0; h < height; ++h) {  // the last one is the bias's
          put_sums(c + h * width, 1, width - 1, set, to + h * row_stride, row_stride);
          put_sums(c + h * width + width - 1, 1, 1, set, into_bias + row + h, 1);
        }
      }
    }
  }
}

// Lays out the planes for image lanes where these are better; false where they are not.
template <class T>
bool choose_image_lanes(WeightGradient<T>& w, int64_t wanted_boxes) {
  constexpr int L = kLanes<T>;
  constexpr int64_t kCells = kPlaneBytes / static_cast<int64_t>(sizeof(T)) / L;
  Planes& p = w.planes;
  for (Axis& axis : p.axis) axis.lay_out(axis.size);
  p.measure(0);
  if (p.positions() != w.geometry->out_positions()) return false;  // of a part of the positions
  if (!prefer_image_lanes<T>(p, w.images) || p.image > kCells / min(w.depth, 8)) return false;
  const int64_t most = max(1, kCells / p.channel);
  p.channels = ceil_div(w.depth, ceil_div(w.depth, most));
  const int64_t blocks = ceil_div(w.images, L);
  const int64_t lanes = kLaneBytes / static_cast<int64_t>(sizeof(T)) / L;
  const int64_t fit = clamp(min(kCells / (p.image * p.channels), lanes / p.positions()), 1,
                            max(1, blocks / wanted_boxes));
  p.images = ceil_div(blocks, ceil_div(blocks, fit));
  p.measure(0);
  return true;
}

// Lays out the planes so that grad_y can be read where it is, if that is worth while: rows without lanes
// between them, and so a plane of x for each tap of a row. False where it is not.
template <class T>
bool choose_in_place(WeightGradient<T>& w, int64_t wanted_boxes) {
  constexpr int L = kLanes<T>;
  constexpr int64_t size = sizeof(T);
  Planes& p = w.planes;
  Axis& x = p.axis[2];
  const Geometry& g = *w.geometry;
  if (GS_VECTOR_BYTES < 32) return false;  // SSE: 0.9 times as fast as with copied rows
  if (p.axis[0].size > 1 || p.positions() != g.out_positions() || p.positions() < 16 * L ||
      x.step > 2) {
    return false;
  }
  x.apart = true;
  const int64_t columns = w.depth * p.taps() + 1,
                tiles = ceil_div(columns, TileShape::kDotColumns) *
                        ceil_div(w.rows, TileShape::kDotRows);
  w.by_lane = tiles * kTileSums * GS_VECTOR_BYTES <= kSumBytes && w.rows <= kRowBlock;
  const int64_t lanes = (w.by_lane ? kByLaneBytes : kInPlaceBytes) / size;
  choose_box(p, 1, w.depth, kPlaneBytes / size, 8 * L, lanes, L);
  if (g.N * p.boxes() < wanted_boxes) cut_boxes(p, g.N, wanted_boxes, lanes / 4, L);
  const int64_t copies = w.depth * p.axis[0].segments * p.axis[1].segments * x.segments;
  if (copies <= w.rows && p.channels == w.depth && x.box == x.size) return true;
  x.apart = w.by_lane = false;
  return false;
}

// to[i] = the sum over s < slices of from[s * step + i], in order.
template <class T>
void add_slices(const T* from, int64_t slices, int64_t step, int64_t n, T* to) {
  constexpr int L = kLanes<T>;
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; i += L) {
      const int64_t count = min(L, end - i);
      Vec<T> sum{};
      for (int64_t s = 0; s < slices; ++s) {
        const T* more = from + s * step + i;
        sum += count == L ? load(more) : load_n(more, count);
      }
      if (count == L) {
        store(to + i, sum);
      } else {
        store_n(to + i, sum, count);
      }
    }
  });
}

// The gradient over the positions and taps of three axes: grad_weight (K, C / groups, their taps); and
// the bias's, unless that is null.
template <class T>
Status run_axes(const ConvBwdWeightArgs& args, const Geometry& g, const Axis* axes, T* grad_weight,
                T* grad_bias) {
  constexpr int L = kLanes<T>;
  constexpr int64_t size = sizeof(T);
  WeightGradient<T> w;
  w.geometry = &g;
  w.grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  w.x = reinterpret_cast<const T*>(args.x.data);
  w.images = g.N;
  w.groups = g.groups;
  w.depth = g.C / g.groups;
  w.rows = g.K / g.groups;
  Planes& p = w.planes;
  for (int d = 0; d < kSpatial; ++d) p.axis[d] = axes[d];
  const int64_t weight_size = g.K * w.depth * p.taps();
  if (g.N == 0 || p.positions() == 0) {
    __builtin_memset(grad_weight, 0, static_cast<size_t>(weight_size) * sizeof(T));
    if (grad_bias) __builtin_memset(grad_bias, 0, static_cast<size_t>(g.K) * sizeof(T));
    return kDone;
  }
  const int64_t taps = p.taps();
  const int64_t row_block = ceil_div(w.rows, ceil_div(w.rows, kRowBlock));
  const int64_t row_blocks = ceil_div(w.rows, row_block);

  // Boxes of a few hundred to a thousand positions, with the channels that then fit.
  const double outputs = static_cast<double>(g.N) * static_cast<double>(p.positions());
  const double work = outputs * 2 * static_cast<double>(g.K) * static_cast<double>(w.depth * taps) +
                      16 * outputs * static_cast<double>(g.K + g.C);
  const int64_t wanted = wanted_blocks(work, 64);
  const int64_t parts = g.groups * row_blocks;
  int64_t images = g.N;  // in units of what a box counts
  w.cell = 1;
  w.by_lane = false;
  w.in_place = choose_in_place(w, ceil_div(min(wanted, kMaxSlices), parts));
  w.image_lanes = !w.in_place && choose_image_lanes(w, ceil_div(min(wanted, kMaxSlices), parts));
  if (w.image_lanes) {
    w.cell = L;
    images = ceil_div(g.N, L);
  } else if (!w.in_place) {
    choose_box(p, g.N, w.depth, kPlaneBytes / size, 8 * L, kLaneBytes / size, L);
    const int64_t tiles = parts * ceil_div(w.depth, p.channels);
    if (tiles < min(wanted, kMaxSlices)) {
      cut_boxes(p, g.N, ceil_div(min(wanted, kMaxSlices), tiles), kLaneBytes / size / 4, L);
    }
  }
  const int64_t boxes = p.image_blocks(images) * p.boxes();
  const int64_t channel_blocks = ceil_div(w.depth, p.channels);
  const int64_t tiles = parts * channel_blocks;
  const int64_t bias_size = grad_bias ? g.K : 0;
  const int64_t slice_size = weight_size + bias_size, weight_bytes = slice_size * size;
  const int64_t slices = clamp(
      min(ceil_div(min(wanted, kMaxSlices), tiles), kSliceBytes / max(1, weight_bytes)), 1, boxes);
  // At least the lanes of any box; an odd number of vectors.
  const int64_t lanes = w.image_lanes ? p.images * p.positions() * L
                                      : p.images * max(p.image, Stretches::image_lanes<T>(p));
  const int64_t scratch_pitch = round_up(lanes, 2 * L) + L;
  w.row_pitch = w.in_place ? g.out_positions() : scratch_pitch;
  const int64_t stretches = w.image_lanes ? p.images * p.axis[0].size * p.axis[1].size : p.images;

  const int64_t entries = p.channels * taps,
                ones = round_up(p.channels * p.channel * w.cell + 2 * L, 16);
  const int64_t table = round_up(entries + 1 + stretches, 8);
  const size_t bytes = static_cast<size_t>(table) * sizeof(int64_t) +
                       (slices > 1 ? static_cast<size_t>(slices * weight_bytes) : 0);
  char* memory = static_cast<char*>(allocate(bytes));
  if (!memory) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  int64_t* offset = reinterpret_cast<int64_t*>(memory);
  T* sums = slices > 1 ? reinterpret_cast<T*>(memory + static_cast<size_t>(table) * sizeof(int64_t))
                       : grad_weight;
  w.offset = offset;
  w.stretch = offset + entries + 1;
  for (int64_t i = 0; i < stretches; ++i) offset[entries + 1 + i] = Stretches::start(w, i);
  *fill_offsets(p, w.cell, offset) = ones;

  // As many ones after the planes as a tile reads from the start of one.
  const int64_t ones_size = grad_bias ? offset[entries + stretches] + scratch_pitch : 0;
  const int64_t plane_size = round_up(ones + ones_size, 16);
  const int64_t rows_size = w.in_place ? 0 : row_block * scratch_pitch;
  const int64_t extra =  // the cells of a channel, or useful lanes
      w.image_lanes ? g.in_positions() * L : TileShape::kDotColumns * scratch_pitch;
  const int64_t columns = entries + (grad_bias ? 1 : 0);
  const int64_t tile_sums = ceil_div(row_block, TileShape::kDotRows) *
                            ceil_div(columns, TileShape::kDotColumns) * kTileSums * L;
  const int64_t sums_size = w.by_lane ? tile_sums : 0;
  const int64_t scratch_elements = plane_size + rows_size + sums_size + extra;
  const int64_t blocks = tiles * slices;
  bool enough = true;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    T* scratch = static_cast<T*>(thread_scratch(static_cast<size_t>(scratch_elements) * sizeof(T)));
    if (!scratch) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T *rows_of_y = scratch + plane_size, *by_lane = rows_of_y + rows_size;
    T* const more = by_lane + sums_size;
    for (int64_t i = 0; i < ones_size; i += L) store(scratch + ones + i, splat(T{1}));
    const int64_t in_size = g.in_positions();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t slice = i / tiles, tile = i % tiles;
      const int64_t c = tile % channel_blocks * p.channels;
      const int64_t row = tile / channel_blocks % row_blocks * row_block;
      const int64_t group = tile / (channel_blocks * row_blocks);
      const int64_t channels = min(p.channels, w.depth - c), rows = min(row_block, w.rows - row);
      T* into = sums + slice * slice_size + ((group * w.rows + row) * w.depth + c) * taps;
      T* into_bias = nullptr;
      if (grad_bias && c == 0) {
        into_bias = slices > 1 ? sums + slice * slice_size + weight_size : grad_bias;
        into_bias += group * w.rows + row;
      }
      const int64_t first_box = boxes * slice / slices, last_box = boxes * (slice + 1) / slices;
      __builtin_memset(by_lane, 0, static_cast<size_t>(sums_size) * sizeof(T));
      for (int64_t b = first_box; b < last_box; ++b) {
        const Box box(p, images, b);
        const Stretches stretches(w, box);
        const T* x = w.x + (group * w.depth + c) * in_size;
        const bool finite =
            w.image_lanes
                ? fill_image_planes(p, box, g.N, x, g.C * in_size, in_size, channels, more, scratch)
                : fill_planes(p, box, x, g.C * in_size, in_size, channels, scratch);
        const T *rows_here = rows_of_y, *next_rows = nullptr;
        if (w.in_place) {
          const auto rows_of = [&](const Box& of) {
            return w.grad_y + (of.image * g.K + group * w.rows + row) * g.out_positions() +
                   of.origin[1] * g.out[2];
          };
          rows_here = rows_of(box);
          if (b + 1 < last_box) next_rows = rows_of(Box(p, images, b + 1));
        } else {
          fill_rows(w, box, stretches, group * w.rows + row, rows, rows_of_y);
        }
        if constexpr (GS_VECTOR_BYTES >= 32) {
          if (w.by_lane) {
            multiply_lanes(box.lanes, scratch, w.offset, rows_here, w.row_pitch, next_rows, rows,
                           columns, by_lane);
            continue;
          }
        }
        multiply_box(w, box, stretches, finite, scratch, rows_here, next_rows, more, rows,
                     channels * taps, b == first_box, into, w.depth * taps, into_bias);
      }
      if constexpr (GS_VECTOR_BYTES < 32) continue;
      if (w.by_lane) put_lanes(by_lane, rows, columns, entries, into, w.depth * taps, into_bias);
    }
  });
  if (slices > 1 && enough) {
    add_slices(sums, slices, slice_size, weight_size, grad_weight);
    add_slices(sums + weight_size, slices, slice_size, bias_size, grad_bias);
  }
  release(memory, bytes);
  if (!enough) return {Code::kOutOfMemory, {scratch_elements * size, 0}};
  return kDone;
}

// The same by parts of the positions that read the same taps, where a large dilation makes many products
// with the padding's zeros: each part's gradient is added to its taps. Sets *with_bias where the bias's
// gradient is done too.
template <class T>
Status run(const ConvBwdWeightArgs& args, const Geometry& g, bool* with_bias) {
  constexpr int64_t kLeastPositions = 512;
  constexpr double kLeast = 0.15;
  T* const grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  Axis axes[kSpatial], rows[kMostParts], columns[kMostParts];
  forward_axes(g, axes);
  int down = split_axis(axes[1], kLeast, rows), across = split_axis(axes[2], kLeast, columns);
  if (down * across == 1 || down * across * kLeastPositions > g.N * g.out_positions()) {
    *with_bias = args.grad_bias != nullptr;
    return run_axes(args, g, axes, grad_weight, reinterpret_cast<T*>(args.grad_bias));
  }
  const auto bytes = static_cast<size_t>(args.grad_weight.size) * sizeof(T);
  T* const part = static_cast<T*>(allocate(bytes));
  if (!part) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  __builtin_memset(grad_weight, 0, bytes);
  Status status = kDone;
  for (int i = 0; i < down * across && status.code == Code::kOk; ++i) {
    axes[1] = rows[i / across];
    axes[2] = columns[i % across];
    status = run_axes<T>(args, g, axes, part, nullptr);
    const int64_t height = axes[1].taps, width = axes[2].taps;
    const int64_t first = axes[1].kernel_first * g.kernel[2] + axes[2].kernel_first;
    // Rows of the kernels' slices in z.
    parallel_for(g.K * (g.C / g.groups) * g.kernel[0], 4096, [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; ++j) {
        T* const to = grad_weight + j * g.kernel[1] * g.kernel[2] + first;
        const T* const from = part + j * height * width;
        for (int64_t y = 0; y < height; ++y) {
          for (int64_t x = 0; x < width; ++x) to[y * g.kernel[2] + x] += from[y * width + x];
        }
      }
    });
  }
  release(part, bytes);
  return status;
}

// The weight's gradient; sets *with_bias where args.grad_bias is done too.
Status weight_gradient(const ConvBwdWeightArgs& args, bool* with_bias) {
  const DType dtype = args.grad_y.dtype;
  if (args.x.dtype != dtype) return kNoDType;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64) return kNoDType;
  if (args.x.ndim < 3 || args.grad_y.ndim < 3) return {Code::kShape, {args.x.ndim, 0}};
  Geometry geometry;
  const Status status = make_geometry(args, &geometry);
  if (status.code != Code::kOk) return status;
  if (args.grad_weight.size == 0) return kDone;
  Status answer = kDone;
  switch (plan_conv(args)) {
    case ConvAlgorithm::kWinograd4: return winograd_bwd_weight(args);
    case ConvAlgorithm::kPhases: return phases_bwd_weight(args);
    case ConvAlgorithm::kDepthwise:
      if (depthwise_bwd_weight(args, &answer)) return answer;
      break;
    case ConvAlgorithm::kPointwise:
      if (pointwise_bwd_weight(args, &answer)) return answer;
      break;
    case ConvAlgorithm::kColumns:
      if (columns_bwd_weight(args, &answer)) return answer;
      break;
    default: break;
  }
  if (lanes_bwd_weight(args, &answer)) return answer;
  if (first_layer_bwd_weight(args, &answer)) {
    *with_bias = args.grad_bias != nullptr;
    return answer;
  }
  return dtype == DType::kFloat32 ? run<float>(args, geometry, with_bias)
                                  : run<double>(args, geometry, with_bias);
}

}  // namespace

Status sum(const ReduceArgs& args);

Status conv_bwd_weight(const ConvBwdWeightArgs& args) {
  ConvBwdWeightArgs plain = args;
  plain.grad_bias = nullptr;
  bool with_bias = false;
  return weight_gradient(plain, &with_bias);
}

Status conv_bwd_weight_bias(const ConvBwdWeightBiasArgs& args) {
  const Array& grad_y = args.grad_y;
  const int64_t channels = grad_y.ndim > 1 ? grad_y.shape[1] : 0;
  if (args.bias_shape.n != 1 || args.bias_shape.v[0] != channels) {
    return {Code::kShape, {3, args.grad_bias.size}};
  }
  bool with_bias = false;
  const Status status =
      weight_gradient({grad_y, args.x, args.weight_shape, args.stride, args.padding, args.dilation,
                       args.groups, args.grad_weight, args.grad_bias.data},
                      &with_bias);
  if (status.code != Code::kOk || with_bias) return status;
  Ints dims{};
  for (int64_t d = 0; d < grad_y.ndim; ++d) {
    if (d != 1) dims.v[dims.n++] = d;
  }
  return sum({grad_y, dims, args.bias_shape, args.grad_bias});
}

}  // namespace GS_ISA
}  // namespace gradsmith
