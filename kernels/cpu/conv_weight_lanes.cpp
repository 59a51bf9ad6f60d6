// lanes_bwd_weight: conv_bwd_weight where channels of x fill vectors: lanes are channels.
//
// Layout     as conv_bwd_weight.cpp's.
// Method     x is copied into cells: a cell is a vector of kLanes channels at one input position, rows of
//            cells have the zeros of the padding. A register tile is kRows output channels times up to
//            three taps of a row of the filter; for each output position it takes the cells that the
//            taps read, times the values of grad_y. A stride is a step through the cells, there are no
//            lanes between rows, and nothing is summed across lanes. Rows of the padding are left out;
//            so are columns, where a large dilation makes many of them (split_axis).
// Split      blocks of kLanes input channels times parts of the output channels; where these are few,
//            also the reduction, in slices fixed by the shape, which are added in order.
// Cache      cells of a box, kCellBytes, and a unit's sums, kSumBytes, in L2; kRows rows of grad_y in L1.
// Cost       2 N K out (C / groups) taps FLOPs, C and K rounded up to whole vectors and tiles; x is copied
//            once for each part of the output channels.
// Accuracy   chains of about kChain positions, which are added in order: the same bits for every number
//            of threads.
// Limits     float32, float64; `pays` says which shapes.
#include "conv_weight_lanes.h"

#include "conv.h"
#include "conv_image_lanes.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kRows = TileShape::kRows < 8 ? 4 : 8, kTaps = 3;
constexpr int64_t kCellBytes = 256 << 10, kSumBytes = 192 << 10;
constexpr int64_t kMostRow = 512;  // positions
constexpr int64_t kMostSlices = 16, kSliceBytes = 64ll << 20;

// Where a row of positions starts, in elements: in an output channel of grad_y, and in the cells.
struct Row {
  int64_t y, x;
};

// sums[i * sums_row + j * kLanes + lane] += the sum over positions of y[i] * the cell of tap j.
template <class T, int NT>
__attribute__((noinline)) void products(const Row* row, int64_t rows, int64_t n, const T* y,
                                        const int64_t* channel, const T* cells, int64_t step,
                                        int64_t tap_step, T* sums, int64_t sums_row) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kRows][NT];
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NT; ++j) sum[i][j] = Vec<T>{};
  }
#pragma GCC unroll 1
  for (int64_t r = 0; r < rows; ++r) {
    const T* x = cells + row[r].x;
    const T* left[kRows];
#pragma GCC unroll 8
    for (int i = 0; i < kRows; ++i) left[i] = y + row[r].y + channel[i];
#pragma GCC unroll 1
    for (int64_t t = 0; t < n; ++t, x += step) {
      Vec<T> right[NT];
#pragma GCC unroll 4
      for (int j = 0; j < NT; ++j) right[j] = load(x + j * tap_step);
#pragma GCC unroll 8
      for (int i = 0; i < kRows; ++i) {
        const Vec<T> value = splat(left[i][t]);
#pragma GCC unroll 4
        for (int j = 0; j < NT; ++j) sum[i][j] += value * right[j];
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < kRows; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NT; ++j) {
      T* const put = sums + i * sums_row + j * L;
      store(put, load(put) + sum[i][j]);
    }
  }
}

// How the positions are cut into boxes, and what a box needs.
struct Boxes {
  int64_t size[kSpatial];  // positions of a box; the last ones may be smaller
  int64_t rows[kSpatial];  // inputs that it reads at most
  int64_t images = 1;      // more than one only where a box is a whole image

  static int64_t reach(const Geometry& g, int d, int64_t positions) {
    return (positions - 1) * g.stride[d] + (g.kernel[d] - 1) * g.dilation[d] + 1;
  }
  void measure(const Geometry& g) {
    for (int d = 0; d < kSpatial; ++d) {
      rows[d] = reach(g, d, size[d]);
      if (d < 2) rows[d] = min(rows[d], g.in[d]);
    }
  }
  int64_t cells() const { return images * rows[0] * rows[1] * rows[2]; }
  int64_t count(const Geometry& g, int d) const { return ceil_div(g.out[d], size[d]); }
  int64_t of_image(const Geometry& g) const { return count(g, 0) * count(g, 1) * count(g, 2); }
  int64_t all(const Geometry& g) const { return ceil_div(g.N, images) * of_image(g); }

  Boxes(const Geometry& g, int64_t most_cells) {
    for (int d = 0; d < kSpatial; ++d) size[d] = g.out[d];
    size[2] = even_part(g.out[2], kMostRow);
    measure(g);
    for (int d = 0; d < kSpatial; ++d) {
      const int64_t least = d < 2 ? 1 : 64;
      for (int64_t parts = count(g, d) + 1; cells() > most_cells && size[d] > least; ++parts) {
        size[d] = ceil_div(g.out[d], min(parts, g.out[d]));
        measure(g);
      }
    }
    if (of_image(g) > 1) return;
    const int64_t positions = g.out_positions();
    const int64_t fit = min(most_cells / cells(), 4 * kChain / positions);
    images = even_part(g.N, clamp(fit, 1, g.N));
  }
};

template <class T>
struct WeightLanes {
  Geometry g;
  const T *grad_y, *x;
  int64_t depth, rows;    // channels of x and of grad_y, of a group
  int64_t blocks, parts;  // of a group: blocks of channels, parts of rows
  int64_t part_rows;      // whole tiles
  Boxes boxes;
  Axis columns[kMostParts];  // the positions of a row by the taps that they read
  int column_parts;

  WeightLanes(const Geometry& geometry, const ConvBwdWeightArgs& args)
      : g(geometry),
        grad_y(reinterpret_cast<const T*>(args.grad_y.data)),
        x(reinterpret_cast<const T*>(args.x.data)),
        depth(g.C / g.groups),
        rows(g.K / g.groups),
        blocks(ceil_div(depth, kLanes<T>)),
        boxes(g, kCellBytes / GS_VECTOR_BYTES) {
    constexpr double kLeast = 0.2;
    const int64_t most = max(1, kSumBytes / (g.taps() * GS_VECTOR_BYTES * kRows));
    part_rows = even_part(ceil_div(rows, kRows), most) * kRows;
    parts = ceil_div(rows, part_rows);
    Axis axis[kSpatial];
    forward_axes(g, axis);
    column_parts = split_axis(axis[2], kLeast, columns);
  }
  int64_t sums() const { return part_rows * g.taps() * kLanes<T>; }
  int64_t lists() const { return boxes.images * boxes.size[0] * boxes.size[1]; }
};

// Where a box starts: its positions, and the inputs that are its cells.
struct Corner {
  int64_t image, images;
  int64_t origin[kSpatial], size[kSpatial];
  int64_t first[kSpatial], rows[kSpatial];

  Corner(const Geometry& g, const Boxes& boxes, int64_t index) {
    for (int d = kSpatial - 1; d >= 0; --d) {
      const int64_t count = boxes.count(g, d);
      origin[d] = index % count * boxes.size[d];
      size[d] = min(boxes.size[d], g.out[d] - origin[d]);
      index /= count;
      first[d] = origin[d] * g.stride[d] - g.padding[d];
      int64_t end = first[d] + Boxes::reach(g, d, size[d]);
      if (d < 2) {
        first[d] = clamp(first[d], 0, g.in[d]);
        end = clamp(end, first[d], g.in[d]);
      }
      rows[d] = end - first[d];
    }
    image = index * boxes.images;
    images = min(boxes.images, g.N - image);
  }
};

// The cells of `channels` channels; `from` is the first of them in image 0.
template <class T>
void fill_cells(const Geometry& g, const Corner& box, const T* from, int64_t channels, T* to) {
  constexpr int L = kLanes<T>;
  Vec<T> odd{};
  const int64_t in_size = g.in_positions(), width = box.rows[2];
  const int64_t low = clamp(-box.first[2], 0, width);
  const int64_t high = clamp(g.in[2] - box.first[2], low, width);
  for (int64_t i = 0; i < box.images; ++i) {
    for (int64_t z = 0; z < box.rows[0]; ++z) {
      for (int64_t y = 0; y < box.rows[1]; ++y, to += width * L) {
        const int64_t row = ((box.image + i) * g.C) * in_size +
                            ((box.first[0] + z) * g.in[1] + box.first[1] + y) * g.in[2];
        zero_fill(to, low * L);
        gather_cells(from + row + box.first[2] + low, in_size, channels, high - low, to + low * L,
                     odd);
        zero_fill(to + high * L, (width - high) * L);
      }
    }
  }
}

// The rows of positions of a box whose tap (z, y) lies within the image, the first one `start` after the
// box's; returns how many.
inline int64_t find_rows(const Geometry& g, const Corner& box, int64_t tap_z, int64_t tap_y,
                         int64_t start, int64_t cell, Row* rows) {
  int64_t count = 0;
  for (int64_t i = 0; i < box.images; ++i) {
    for (int64_t z = 0; z < box.size[0]; ++z) {
      const int64_t out_z = box.origin[0] + z;
      const int64_t in_z = out_z * g.stride[0] - g.padding[0] + tap_z * g.dilation[0];
      if (in_z < 0 || in_z >= g.in[0]) continue;
      for (int64_t y = 0; y < box.size[1]; ++y) {
        const int64_t out_y = box.origin[1] + y;
        const int64_t in_y = out_y * g.stride[1] - g.padding[1] + tap_y * g.dilation[1];
        if (in_y < 0 || in_y >= g.in[1]) continue;
        const int64_t at =
            (i * box.rows[0] + in_z - box.first[0]) * box.rows[1] + in_y - box.first[1];
        rows[count++] = {i * g.K * g.out_positions() + (out_z * g.out[1] + out_y) * g.out[2] +
                             box.origin[2] + start,
                         (at * box.rows[2] + start * g.stride[2]) * cell};
      }
    }
  }
  return count;
}

// All products of a box for output channels [k, k + part) of a group: `y` is the box's first image.
template <class T>
void multiply_box(const WeightLanes<T>& w, const Corner& box, const T* y, int64_t rows,
                  const T* cells, Row* list, T* sums) {
  constexpr int L = kLanes<T>;
  constexpr void (*const kProducts[])(const Row*, int64_t, int64_t, const T*, const int64_t*,
                                      const T*, int64_t, int64_t, T*,
                                      int64_t) = {products<T, 1>, products<T, 2>, products<T, 3>};
  const Geometry& g = w.g;
  const int64_t taps = g.taps(), tap_step = g.dilation[2] * L;
  for (int part = 0; part < w.column_parts; ++part) {
    const Axis& axis = w.columns[part];
    const int64_t begin = max(axis.out_first, box.origin[2]);
    const int64_t n = min(axis.out_first + axis.size, box.origin[2] + box.size[2]) - begin;
    if (n <= 0) continue;
    const int64_t at_once = max(1, kChain / n), across = even_part(axis.taps, kTaps);
    for (int64_t line = 0; line < g.kernel[0] * g.kernel[1]; ++line) {
      const int64_t count =
          find_rows(g, box, line / g.kernel[1], line % g.kernel[1], begin - box.origin[2], L, list);
      for (int64_t k = 0; k < rows; k += kRows) {
        int64_t channel[kRows];
        for (int i = 0; i < kRows; ++i) channel[i] = min(k + i, rows - 1) * g.out_positions();
        for (int64_t r = 0; r < axis.taps; r += across) {
          const int64_t tap = axis.kernel_first + r;
          const auto run = kProducts[min(across, axis.taps - r) - 1];
          for (int64_t first = 0; first < count; first += at_once) {
            run(list + first, min(at_once, count - first), n, y, channel, cells + tap * tap_step,
                g.stride[2] * L, tap_step, sums + (k * taps + line * g.kernel[2] + tap) * L,
                taps * L);
          }
        }
      }
    }
  }
}

template <class T>
Status run(const WeightLanes<T>& w, T* grad_weight) {
  constexpr int L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t taps = g.taps(), units = g.groups * w.blocks * w.parts, boxes = w.boxes.all(g);
  const double work = 2.0 * static_cast<double>(g.N * g.out_positions()) *
                      static_cast<double>(g.K) * static_cast<double>(w.depth * taps);
  const int64_t wanted = wanted_blocks(work, 64), sums_size = w.sums();
  const int64_t most = max(1, kSliceBytes / (units * sums_size * int64_t{sizeof(T)}));
  const int64_t slices = clamp(min(ceil_div(min(wanted, kMostSlices), units), most), 1, boxes);
  const auto bytes = static_cast<size_t>(slices > 1 ? slices * units * sums_size : 0) * sizeof(T);
  T* const all_sums = bytes ? static_cast<T*>(allocate(bytes)) : nullptr;
  if (bytes && !all_sums) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};

  // The gradient of output channels [k, k_end) of a unit, from its sums.
  const auto put = [&](int64_t unit, int64_t k, int64_t k_end, const T* sums) {
    const int64_t c = unit / w.parts % w.blocks * L, group = unit / (w.parts * w.blocks);
    const int64_t first = group * w.rows + unit % w.parts * w.part_rows;
    for (; k < k_end; ++k) {
      scatter_cells(sums + k * taps * L, taps, min(L, w.depth - c),
                    grad_weight + ((first + k) * w.depth + c) * taps, taps);
    }
  };
  const auto rows_of = [&](int64_t unit) {
    return min(w.part_rows, w.rows - unit % w.parts * w.part_rows);
  };

  const int64_t cells_size = round_up(w.boxes.cells() * L, 16), own_sums = bytes ? 0 : sums_size;
  const auto scratch_bytes = static_cast<size_t>(cells_size + own_sums) * sizeof(T) +
                             static_cast<size_t>(w.lists()) * sizeof(Row);
  bool enough = true;
  parallel_for(units * slices, 1, [&](int64_t begin, int64_t end) {
    T* const cells = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!cells) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T* const own = cells + cells_size;
    Row* const list = reinterpret_cast<Row*>(own + own_sums);
    for (int64_t i = begin; i < end; ++i) {
      const int64_t unit = i % units, slice = i / units;
      T* const sums = bytes ? all_sums + i * sums_size : own;
      __builtin_memset(sums, 0, static_cast<size_t>(sums_size) * sizeof(T));
      const int64_t c = unit / w.parts % w.blocks * L, group = unit / (w.parts * w.blocks);
      const int64_t k = group * w.rows + unit % w.parts * w.part_rows;
      const int64_t last = boxes * (slice + 1) / slices;
      for (int64_t b = boxes * slice / slices; b < last; ++b) {
        const Corner box(g, w.boxes, b);
        fill_cells(g, box, w.x + (group * w.depth + c) * g.in_positions(), min(L, w.depth - c),
                   cells);
        multiply_box(w, box, w.grad_y + (box.image * g.K + k) * g.out_positions(), rows_of(unit),
                     cells, list, sums);
      }
      if (!bytes) put(unit, 0, rows_of(unit), sums);
    }
  });
  if (bytes && enough) {
    const int64_t line = taps * L;  // of an output channel
    parallel_for(units * w.part_rows, max(1, 16384 / (line * slices)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t unit = i / w.part_rows, k = i % w.part_rows;
                     if (k >= rows_of(unit)) continue;
                     T* const sums = all_sums + unit * sums_size;
                     for (int64_t s = 1; s < slices; ++s) {
                       const T* const more = sums + s * units * sums_size + k * line;
                       for (int64_t j = k * line; j < (k + 1) * line; j += L) {
                         store(sums + j, load(sums + j) + load(more + j - k * line));
                       }
                     }
                     put(unit, k, k + 1, sums);
                   }
                 });
  }
  if (bytes) release(all_sums, bytes);
  if (!enough) return {Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
  return kDone;
}

// Whether channels fill vectors and tiles, and rows are long enough for what each one costs.
template <class T>
bool pays(const Geometry& g) {
  if (g.taps() < 2 || g.N == 0 || g.out_positions() == 0 || g.out[2] < 4) return false;
  const int64_t depth = g.C / g.groups, rows = g.K / g.groups;
  if (4 * depth < 3 * round_up(depth, kLanes<T>) || 4 * rows < 3 * round_up(rows, kRows)) {
    return false;
  }
  constexpr int64_t kCells = kCellBytes / GS_VECTOR_BYTES;
  return Boxes::reach(g, 2, min(g.out[2], 64)) <= kCells && Boxes(g, kCells).cells() <= 2 * kCells;
}

template <class T>
bool run_if_it_pays(const ConvBwdWeightArgs& args, const Geometry& g, Status* status) {
  if (!pays<T>(g)) return false;
  *status = run(WeightLanes<T>(g, args), reinterpret_cast<T*>(args.grad_weight.data));
  return true;
}

}  // namespace

bool lanes_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? run_if_it_pays<float>(args, g, status)
                                              : run_if_it_pays<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
