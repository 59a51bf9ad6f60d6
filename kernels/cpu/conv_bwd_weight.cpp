// conv_bwd_weight: grad_weight[k, c, r] = sum_{n, o} grad_y[n, k, o] *
//                  x[n, c, o * stride - padding + r * dilation]
//
// Layout     as conv.cpp.
// Method     dot tiles (gemm.h) over planes (conv.h): x is copied into planes as for conv_fwd, and
//            grad_y into rows of the same lanes with zeros between the rows of the box, so that the
//            reduction over positions is a plain dot product of two contiguous rows; nothing is
//            transposed. Zeros times what lies between the rows are zero unless it is infinite or
//            NaN: where x is not finite, its useful lanes are copied out first.
// Split      blocks of output channels times blocks of input channels; where these are few, also
//            the reduction, in slices fixed by the shape. Each slice sums its boxes in order into
//            its own copy of grad_weight, and the copies are added in order.
// Cache      planes of x kPlaneBytes at most, rows of grad_y kRowBlock * kLaneBytes, in L2; four
//            rows of grad_y in L1.
// Cost       2 N K out (C / groups) taps FLOPs; x is copied once per kRowBlock output channels,
//            grad_y once per block of input channels.
// Accuracy   per box a sum of lanes, then boxes in order: error below that of one long chain; the
//            same bits for every number of threads.
// Limits     float32, float64.
#include "conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kPlaneBytes = 256 << 10;
constexpr int64_t kLaneBytes = 5 << 10;  // of one row of a box
constexpr int64_t kRowBlock = 64;
constexpr int64_t kMaxSlices = 16;
constexpr int64_t kSliceBytes = 64ll << 20;  // of all slices together

template <class T>
struct WeightGradient {
  Planes planes;
  const T *grad_y, *x;
  int64_t images, groups, depth, rows;  // channels of x and of grad_y, of a group
  int64_t row_pitch;                    // of the rows of grad_y in scratch
  const int64_t* offset;
  const Geometry* geometry;
};

// Rows of grad_y on the lanes of the box, zero between the useful lanes and after the last.
template <class T>
void fill_rows(const WeightGradient<T>& w, const Box& box, int64_t first_row, int64_t rows, T* to) {
  const Geometry& g = *w.geometry;
  const int64_t size = g.out_positions();
  for (int64_t k = 0; k < rows; ++k, to += w.row_pitch) {
    const T* from = w.grad_y + (box.image * g.K + first_row + k) * size;
    int64_t next = 0;  // the first lane not written yet
    for_runs(w.planes, box, 0, box.lanes,
             [&](int64_t lane, int64_t n, int64_t image, int64_t z, int64_t y, int64_t x) {
               for (; next < lane; ++next) to[next] = T{};
               const int64_t position =
                   ((box.origin[0] + z) * g.out[1] + box.origin[1] + y) * g.out[2] +
                   box.origin[2] + x;
               copy_run(to + lane, from + image * g.K * size + position, n);
               next = lane + n;
             });
    for (const int64_t end = round_up(box.lanes, kLanes<T>); next < end; ++next) to[next] = T{};
  }
}

// All products of one box: `into` [row * row_stride + entry] += or, if first, =.
template <class T>
void multiply_box(const WeightGradient<T>& w, const Box& box, bool finite, const T* planes,
                  const T* rows_of_y, T* turned, int64_t rows, int64_t entries, bool first, T* into,
                  int64_t row_stride) {
  constexpr int L = kLanes<T>;
  constexpr int MI = TileShape::kDotRows, NJ = TileShape::kDotColumns;
  alignas(GS_VECTOR_BYTES) T c[round_up(MI * NJ, L)];
  const int64_t lanes = round_up(box.lanes, L);
  const int64_t across = ceil_div(entries, NJ), down = ceil_div(rows, MI);
  for (int64_t i = 0; i < down; ++i) {
    const int64_t row = rows * i / down;
    const int height = static_cast<int>(rows * (i + 1) / down - row);
    for (int64_t j = 0; j < across; ++j) {
      const int64_t entry = entries * j / across;
      const int width = static_cast<int>(entries * (j + 1) / across - entry);
      const T* right = planes;
      const int64_t* offset = w.offset + entry;
      int64_t turned_offset[NJ];
      if (!finite) {
        for (int e = 0; e < width; ++e) {
          T* to = turned + e * w.row_pitch;
          for (int64_t l = 0; l < lanes; ++l) to[l] = T{};
          for_runs(w.planes, box, 0, box.lanes,
                   [&](int64_t lane, int64_t n, int64_t, int64_t, int64_t, int64_t) {
                     copy_run(to + lane, planes + offset[e] + lane, n);
                   });
          turned_offset[e] = e * w.row_pitch;
        }
        right = turned;
        offset = turned_offset;
      }
      kDots<T>.get(height, width)(lanes, rows_of_y + row * w.row_pitch, w.row_pitch, right, offset,
                                  c);
      for (int a = 0; a < height; ++a) {
        T* to = into + (row + a) * row_stride + entry;
        for (int b = 0; b < width; ++b) to[b] = first ? c[a * width + b] : to[b] + c[a * width + b];
      }
    }
  }
}

template <class T>
Status run(const ConvBwdWeightArgs& args, const Geometry& g) {
  constexpr int L = kLanes<T>;
  constexpr int64_t size = sizeof(T);
  T* const grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  WeightGradient<T> w;
  w.geometry = &g;
  w.grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  w.x = reinterpret_cast<const T*>(args.x.data);
  w.images = g.N;
  w.groups = g.groups;
  w.depth = g.C / g.groups;
  w.rows = g.K / g.groups;
  Planes& p = w.planes;
  forward_axes(g, p.axis);
  if (g.N == 0 || p.positions() == 0) {
    __builtin_memset(grad_weight, 0, static_cast<size_t>(args.grad_weight.size) * sizeof(T));
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
  choose_box(p, g.N, w.depth, kPlaneBytes / size, 8 * L, kLaneBytes / size, L);
  if (parts * ceil_div(w.depth, p.channels) < min(wanted, kMaxSlices)) {
    const int64_t tiles = parts * ceil_div(w.depth, p.channels);
    cut_boxes(p, g.N, ceil_div(min(wanted, kMaxSlices), tiles), kLaneBytes / size / 4, L);
  }
  const int64_t boxes = p.image_blocks(g.N) * p.boxes();
  const int64_t channel_blocks = ceil_div(w.depth, p.channels);
  const int64_t tiles = parts * channel_blocks;
  const int64_t weight_bytes = args.grad_weight.size * size;
  const int64_t slices = clamp(min(ceil_div(min(wanted, kMaxSlices), tiles),
                                   kSliceBytes / max(1, weight_bytes)),
                               1, boxes);
  const int64_t lanes = p.images * p.image;  // at least those of any box
  w.row_pitch = round_up(lanes, L) + L;

  const int64_t table = round_up(p.channels * taps, 8);
  const size_t bytes = static_cast<size_t>(table) * sizeof(int64_t) +
                       (slices > 1 ? static_cast<size_t>(slices * weight_bytes) : 0);
  char* memory = static_cast<char*>(allocate(bytes));
  if (!memory) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  int64_t* offset = reinterpret_cast<int64_t*>(memory);
  T* sums = slices > 1 ? reinterpret_cast<T*>(memory + static_cast<size_t>(table) * sizeof(int64_t))
                       : grad_weight;
  w.offset = offset;
  int64_t entry = 0;
  for (int64_t c = 0; c < p.channels; ++c) {
    for (int64_t z = 0; z < p.axis[0].taps; ++z) {
      for (int64_t y = 0; y < p.axis[1].taps; ++y) {
        for (int64_t x = 0; x < p.axis[2].taps; ++x) {
          offset[entry++] = c * p.channel + p.tap_offset(z, y, x);
        }
      }
    }
  }

  const int64_t plane_size = round_up(p.channels * p.channel + 2 * L, 16);
  const int64_t rows_size = row_block * w.row_pitch;
  const int64_t scratch_elements = plane_size + rows_size + TileShape::kDotColumns * w.row_pitch;
  const int64_t blocks = tiles * slices;
  bool enough = true;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    T* scratch =
        static_cast<T*>(thread_scratch(static_cast<size_t>(scratch_elements) * sizeof(T)));
    if (!scratch) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T *rows_of_y = scratch + plane_size, *turned = rows_of_y + rows_size;
    const int64_t in_size = g.in_positions();
    for (int64_t i = begin; i < end; ++i) {
      const int64_t slice = i / tiles, tile = i % tiles;
      const int64_t c = tile % channel_blocks * p.channels;
      const int64_t row = tile / channel_blocks % row_blocks * row_block;
      const int64_t group = tile / (channel_blocks * row_blocks);
      const int64_t channels = min(p.channels, w.depth - c), rows = min(row_block, w.rows - row);
      T* into = sums + slice * args.grad_weight.size +
                ((group * w.rows + row) * w.depth + c) * taps;
      const int64_t first_box = boxes * slice / slices, last_box = boxes * (slice + 1) / slices;
      for (int64_t b = first_box; b < last_box; ++b) {
        const Box box(p, g.N, b);
        const bool finite = fill_planes(p, box, w.x + (group * w.depth + c) * in_size,
                                        g.C * in_size, in_size, channels, scratch);
        fill_rows(w, box, group * w.rows + row, rows, rows_of_y);
        multiply_box(w, box, finite, scratch, rows_of_y, turned, rows, channels * taps,
                     b == first_box, into, w.depth * taps);
      }
    }
  });
  if (slices > 1 && enough) {
    const int64_t n = args.grad_weight.size;
    parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        T sum = sums[i];
        for (int64_t s = 1; s < slices; ++s) sum += sums[s * n + i];
        grad_weight[i] = sum;
      }
    });
  }
  release(memory, bytes);
  if (!enough) return {Code::kOutOfMemory, {scratch_elements * size, 0}};
  return kDone;
}

}  // namespace

Status conv_bwd_weight(const ConvBwdWeightArgs& args) {
  const DType dtype = args.grad_y.dtype;
  if (args.x.dtype != dtype) return kNoDType;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64) return kNoDType;
  if (args.x.ndim < 3 || args.grad_y.ndim < 3) return {Code::kShape, {args.x.ndim, 0}};
  Geometry geometry;
  const Status status = make_geometry(
      args.x.shape, args.x.ndim, args.weight_shape.v, args.weight_shape.n, args.grad_y.shape,
      args.grad_y.ndim, args.stride, args.padding, args.dilation, args.groups, &geometry);
  if (status.code != Code::kOk) return status;
  if (args.grad_weight.size == 0) return kDone;
  return dtype == DType::kFloat32 ? run<float>(args, geometry) : run<double>(args, geometry);
}

}  // namespace GS_ISA
}  // namespace gradsmith
