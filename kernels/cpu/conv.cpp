// conv_fwd:       y[n, k, o] = bias[k] + sum_{c, r} x[n, c, o * stride - padding + r * dilation] *
//                 weight[k, c, r], c over the channels of k's group, for 1 to 3 spatial dims
// conv_bwd_input: its adjoint in x (the gradient, and the transposed convolution): grad_x[n, c, i] =
//                 bias[c] + the sum of grad_y[n, k, o] * weight[k, c, r] over all k, o, r with
//                 i = o * stride - padding + r * dilation
//
// Layout     x (N, C, *in), weight (K, C / groups, *kernel), y (N, K, *out), all contiguous.
// Method     implicit GEMM over planes (conv.h): rows of the register tile are output channels,
//            lanes are output positions (or images, for small ones: conv_image_lanes.h), the
//            reduction runs over (channel, tap) through a table of offsets. conv_bwd_input is a
//            gather too: the inputs whose index has the same remainder modulo the stride read the
//            same taps, at step 1 of grad_y, so each remainder is one such gemm and no inserted
//            zero is multiplied.
// Split      boxes of positions (several small images, or some rows of one) times groups, times
//            parts of the output channels where boxes are few. Tiny work stays on one thread.
// Cache      the planes of a box, kPlaneBytes, and kWeightBytes of packed weights, in L2.
// Cost       2 N K out (C / groups) taps FLOPs, and up to a few percent for the lanes between rows;
//            x is copied once for each group part, weight once.
// Accuracy   one chain of multiply-adds (fused with v3 and v4) an output element, in the order
//            channel, tap; the same bits for every number of threads.
// Limits     float32, float64.
#include "conv.h"
#include "conv_columns.h"
#include "conv_depthwise.h"
#include "conv_filter_lanes.h"
#include "conv_first_layer.h"
#include "conv_gather.h"
#include "conv_image_lanes.h"
#include "conv_phases.h"
#include "conv_plan.h"
#include "conv_pointwise.h"
#include "conv_row_tiles.h"
#include "conv_runs.h"
#include "conv_tap_planes.h"
#include "conv_winograd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kPlaneBytes = 384 << 10;
constexpr int64_t kWeightBytes = 256 << 10;

// The runs of lanes [begin, end) in the output of one channel; returns how many.
template <class T>
int find_runs(const Gather<T>& g, const Planes& p, const Box& box, int64_t begin, int64_t end,
              Run* runs) {
  int count = 0;
  const Axis &az = g.axis[0], &ay = g.axis[1], &ax = g.axis[2];
  const int64_t image_stride = g.groups * g.rows * g.out_positions();
  for_runs(p, box, begin, end,
           [&](int64_t lane, int64_t n, int64_t i, int64_t z, int64_t y, int64_t x) {
             const int64_t oz = az.out_first + (box.origin[0] + z) * az.out_step;
             const int64_t oy = ay.out_first + (box.origin[1] + y) * ay.out_step;
             const int64_t ox = ax.out_first + (box.origin[2] + x) * ax.out_step;
             const Run run{lane - begin, n,
                           (box.image + i) * image_stride + (oz * g.out[1] + oy) * g.out[2] + ox};
             if (count > 0 && ax.out_step == 1 &&
                 runs[count - 1].lane + runs[count - 1].count == run.lane &&
                 runs[count - 1].out + runs[count - 1].count == run.out) {
               runs[count - 1].count += n;
             } else {
               runs[count++] = run;
             }
           });
  return count;
}

// So many panels of packed weights at a time that they stay in L2 while they are used for all lanes.
template <class T>
int64_t panels_at_once(int64_t panel_elements) {
  return max(1, kWeightBytes / static_cast<int64_t>(sizeof(T)) / panel_elements);
}

// All tiles of a box for output channels of panels [first, last), from filled planes: the channels
// [c, c + channels) of the sum.
template <class T>
void gather_tiles(const Gather<T>& g, const Plan<T>& plan, int64_t group, const Panels& panels,
                  int64_t first, int64_t last, const Box& box, int64_t c, int64_t channels,
                  const T* filled) {
  constexpr int L = kLanes<T>;
  const Planes& p = plan.planes;
  const int64_t taps = p.taps(), out_size = g.out_positions(), step = g.axis[2].out_step;
  const bool last_channels = c + channels == g.depth;
  // Lanes of an image, and whether a tile should end with them.
  const int64_t image_lanes = (box.size[0] - 1) * p.slab + (box.size[1] - 1) * p.row + box.size[2];
  const bool apart = box.images > 1 && p.image - image_lanes >= L;
  alignas(GS_VECTOR_BYTES) T edge[TileShape::kRows * TileShape::kMaxVectors * L];
  if (c > 0) __builtin_memset(edge, 0, sizeof(edge));  // lanes between runs are added to
  Run runs[TileShape::kMaxVectors * L];

  int64_t next = 0;
  while ((next = useful_lane(p, box, next)) < box.lanes) {
    const int64_t lane = next;
    const int64_t end = apart ? lane / p.image * p.image + image_lanes : box.lanes;
    next = lane + even_part(ceil_div(end - lane, L), panels.vectors()) * L;
    const int run_count = find_runs(g, p, box, lane, min(next, box.lanes), runs);
    const Run& last_run = runs[run_count - 1];
    const int vectors = static_cast<int>(ceil_div(last_run.lane + last_run.count, L));
    const bool whole = step == 1 && run_count == 1 && runs[0].count == vectors * L;
    for (int64_t panel = first; panel < last; ++panel) {
      const int rows = panels.rows(panel);
      const int64_t row = group * g.rows + panels.begin(panel);
      const T* a = plan.weight + (group * panels.count + panel) * plan.panel_size + c * taps * rows;
      const auto run = kTiles<T, ScatteredRows<T>>.get(rows, vectors);
      const ScatteredRows<T> b{filled + lane, plan.offset};
      const Start start = c > 0 ? Start::kOutput : (g.bias ? Start::kRowValues : Start::kZero);
      const T* bias = g.bias ? g.bias + row : nullptr;
      T* y = g.y + row * out_size;
      if (whole) {
        run(channels * taps, a, b, y + runs[0].out, out_size, start, bias);
        if (last_channels) finish(g.epilogue, y + runs[0].out, out_size, rows, vectors * L);
        continue;
      }
      if (c > 0) {
        for (int i = 0; i < rows; ++i) {
          load_runs(runs, run_count, edge + i * vectors * L, y + i * out_size, step);
        }
      }
      run(channels * taps, a, b, edge, vectors * L, start, bias);
      if (last_channels) {
        finish_tile(g.epilogue, runs, run_count, y, out_size, edge, vectors * L, rows);
      }
      for (int i = 0; i < rows; ++i) {
        store_runs(runs, run_count, edge + i * vectors * L, y + i * out_size, step);
      }
    }
  }
}

// One box of one group: fills the planes, then all tiles.
template <class T>
void gather_box(const Gather<T>& g, const Plan<T>& plan, int64_t group, int64_t part,
                const Box& box, T* scratch) {
  const Planes& p = plan.planes;
  const Panels panels(g.rows);
  const int64_t begin = panels.count * part / plan.row_parts;
  const int64_t end = panels.count * (part + 1) / plan.row_parts;
  const int64_t in_size = g.in_positions();
  for (int64_t c = 0; c < g.depth; c += p.channels) {
    const int64_t channels = min(p.channels, g.depth - c);
    fill_planes(p, box, g.x + (group * g.depth + c) * in_size, g.groups * g.depth * in_size,
                in_size, channels, scratch);
    const int64_t at_once = panels_at_once<T>(channels * p.taps() * panels.height);
    for (int64_t first = begin; first < end; first += at_once) {
      const int64_t stop = min(end, first + at_once);
      if (plan.by_rows) {
        row_tiles(g, plan, group, panels, first, stop, box, scratch);
      } else {
        gather_tiles(g, plan, group, panels, first, stop, box, c, channels, scratch);
      }
    }
  }
}

// Elements of scratch that gather_images needs, by part.
template <class T>
struct ImageScratch {
  int64_t planes, stage, cells;
  int64_t stride;  // cells of an output channel, and one more: not a power of two

  ImageScratch(const Gather<T>& g, const Plan<T>& plan, const Panels& panels) {
    constexpr int L = kLanes<T>;
    const Planes& p = plan.planes;
    planes = (p.channels * p.channel + panels.vectors()) * L;
    stage = g.in_positions() * L;
    stride = plan.group_rows * p.axis[2].size + 1;
    cells = ceil_div(panels.count, plan.row_parts) * panels.height * stride * L;
  }
  int64_t all() const { return planes + stage + cells; }
};

// Stores cells of whole rows of positions, [first, first + rows), as positions of each image.
template <class T>
void store_cells(const Gather<T>& g, T* cells, int64_t first, int64_t rows, int64_t images, T* y) {
  constexpr int L = kLanes<T>;
  const Axis &az = g.axis[0], &ay = g.axis[1], &ax = g.axis[2];
  const int64_t image_stride = g.groups * g.rows * g.out_positions();
  const bool sum = g.epilogue && g.epilogue->residual;  // which is not laid out as cells are
  if (g.epilogue && !sum) {
    finish_rows(g.epilogue->activation, static_cast<T*>(nullptr), cells, 0, 1, rows * ax.size * L);
  }
  if (az.size == g.out[0] && ay.size == g.out[1] && ax.size == g.out[2]) {
    scatter_cells(cells, rows * ax.size, images, y + first * ax.size, image_stride);
    if (sum) finish(g.epilogue, y + first * ax.size, image_stride, images, rows * ax.size);
    return;
  }
  for (int64_t row = first; row < first + rows; ++row, cells += ax.size * L) {
    const int64_t oz = az.out_first + row / ay.size * az.out_step;
    const int64_t oy = ay.out_first + row % ay.size * ay.out_step;
    T* to = y + (oz * g.out[1] + oy) * g.out[2] + ax.out_first;
    for (int64_t i = 0; i < images; ++i, to += image_stride) {
      for (int64_t x = 0; x < ax.size; ++x) to[x * ax.out_step] = cells[x * L + i];
      if (sum) finish(g.epilogue, to, ax.size);
    }
  }
}

// All tiles of `rows` rows of positions, from row `first` on of a block of images, for output channels
// of panels [begin, end): `cells` has a line of `stride` cells for each channel of panel `begin` on.
template <class T>
void multiply_cells(const Gather<T>& g, const Plan<T>& plan, int64_t group, const Panels& panels,
                    int64_t begin, int64_t end, int64_t c, int64_t channels, const T* block,
                    int64_t first, int64_t rows, T* cells, int64_t stride) {
  constexpr int L = kLanes<T>;
  const Planes& p = plan.planes;
  const int64_t taps = p.taps(), width = p.axis[2].size;
  const int64_t tiles = ceil_div(width, panels.vectors());
  const Start start = c > 0 ? Start::kOutput : (g.bias ? Start::kRowValues : Start::kZero);
  for (int64_t r = 0; r < rows; ++r) {
    const int64_t z = (first + r) / p.axis[1].size, y = (first + r) % p.axis[1].size;
    const T* row = block + (z * p.slab + y * p.row) * L;
    for (int64_t t = 0; t < tiles; ++t) {
      const int64_t x = width * t / tiles;
      const int vectors = static_cast<int>(width * (t + 1) / tiles - x);
      for (int64_t panel = begin; panel < end; ++panel) {
        const int height = panels.rows(panel);
        const int64_t channel = panels.begin(panel);
        const T* a =
            plan.weight + (group * panels.count + panel) * plan.panel_size + c * taps * height;
        kTiles<T, ScatteredRows<T>>.get(height, vectors)(
            channels * taps, a, ScatteredRows<T>{row + x * L, plan.offset},
            cells + ((channel - panels.begin(begin)) * stride + r * width + x) * L, stride * L,
            start, g.bias ? g.bias + group * g.rows + channel : nullptr);
      }
    }
  }
}

// One box of one group with image lanes.
template <class T>
void gather_images(const Gather<T>& g, const Plan<T>& plan, int64_t group, int64_t part,
                   const Box& box, T* scratch) {
  constexpr int L = kLanes<T>;
  const Planes& p = plan.planes;
  const Panels panels(g.rows);
  const int64_t begin = panels.count * part / plan.row_parts;
  const int64_t end = panels.count * (part + 1) / plan.row_parts;
  const ImageScratch<T> parts(g, plan, panels);
  T *stage = scratch + parts.planes, *cells = stage + parts.stage;
  const int64_t in_size = g.in_positions(), out_size = g.out_positions();
  const int64_t all_rows = p.axis[0].size * p.axis[1].size;

  for (int64_t c = 0; c < g.depth; c += p.channels) {
    const int64_t channels = min(p.channels, g.depth - c);
    fill_image_planes(p, box, g.images, g.x + (group * g.depth + c) * in_size,
                      g.groups * g.depth * in_size, in_size, channels, stage, scratch);
    const int64_t at_once = panels_at_once<T>(channels * p.taps() * panels.height);
    for (int64_t panel = begin; panel < end; panel += at_once) {
      const int64_t last_panel = min(end, panel + at_once);
      const int64_t channel = panels.begin(panel);
      T* const lines = cells + (channel - panels.begin(begin)) * parts.stride * L;
      for (int64_t i = 0; i < box.images; ++i) {
        const int64_t image = (box.image + i) * L;
        for (int64_t first = 0; first < all_rows; first += plan.group_rows) {
          const int64_t rows = min(plan.group_rows, all_rows - first);
          multiply_cells(g, plan, group, panels, panel, last_panel, c, channels,
                         scratch + i * p.image * L, first, rows, lines, parts.stride);
          if (c + channels < g.depth) continue;
          for (int64_t k = channel; k < panels.begin(last_panel); ++k) {
            store_cells(g, lines + (k - channel) * parts.stride * L, first, rows,
                        min(L, g.images - image),
                        g.y + ((image * g.groups + group) * g.rows + k) * out_size);
          }
        }
      }
    }
  }
}

// Lays out the planes for image lanes where these are better; false where they are not.
template <class T>
bool choose_image_lanes(const Gather<T>& g, Plan<T>& plan, int64_t wanted_boxes) {
  constexpr int L = kLanes<T>;
  constexpr int64_t kCells = kPlaneBytes / static_cast<int64_t>(sizeof(T)) / L;
  Planes& p = plan.planes;
  for (Axis& axis : p.axis) axis.lay_out(axis.size);
  p.measure(0);
  if (!prefer_image_lanes<T>(p, g.images) || p.image > kCells / min(g.depth, 16)) return false;
  const int64_t most = max(1, kCells * 3 / 2 / p.channel);
  p.channels = ceil_div(g.depth, ceil_div(g.depth, most));
  const int64_t blocks = ceil_div(g.images, L);
  const int64_t fit = clamp(kCells / (p.image * p.channels), 1, max(1, blocks / wanted_boxes));
  // The cells of the output wait for the last channels.
  const int64_t rows = p.axis[0].size * p.axis[1].size;
  plan.group_rows = rows;
  if (p.channels == g.depth) {
    p.images = ceil_div(blocks, ceil_div(blocks, fit));
    p.measure(0);
    const int64_t positions = kCells / 4 / g.rows;
    plan.group_rows =
        clamp(positions / p.axis[2].size, min(rows, ceil_div(L, p.axis[2].size)), rows);
  }
  return true;
}

template <class T>
Status run_gather(const Gather<T>& g) {
  constexpr int L = kLanes<T>;
  Plan<T> plan;
  Planes& p = plan.planes;
  for (int d = 0; d < kSpatial; ++d) p.axis[d] = g.axis[d];
  const int64_t taps = p.taps(), positions = p.positions();
  if (positions == 0 || g.images == 0 || g.rows == 0) return kDone;
  const Panels panels(g.rows);
  const int64_t width = panels.vectors() * L;

  // The blocks: boxes, then groups, then parts of the rows.
  const double outputs = static_cast<double>(g.images) * static_cast<double>(g.groups) *
                         static_cast<double>(positions);
  const double moved = outputs * static_cast<double>(g.depth + g.rows);
  const double work =
      outputs * 2 * static_cast<double>(g.rows) * static_cast<double>(g.depth * taps) + 16 * moved;
  const int64_t wanted = wanted_blocks(work, 64),
                wanted_boxes = ceil_div(min(wanted, 16), g.groups);
  int64_t all_images = g.images, cell = 1;
  plan.image_lanes = choose_image_lanes(g, plan, wanted_boxes);
  if (plan.image_lanes) {
    cell = L;
    all_images = ceil_div(g.images, L);
  } else {
    choose_box(p, g.images, g.depth, kPlaneBytes / static_cast<int64_t>(sizeof(T)), 4 * width,
               int64_t{1} << 40, L);
    cut_boxes(p, g.images, wanted_boxes, 4 * width, L);
  }
  choose_row_tiles(g, plan);
  const int64_t boxes = p.image_blocks(all_images) * p.boxes();
  plan.row_parts =
      clamp(wanted_boxes / boxes, 1, plan.image_lanes ? max(1, panels.count / 4) : panels.count);
  const int64_t blocks = boxes * g.groups * plan.row_parts;

  // Offsets and packed weights, shared by all threads. A gap after each panel takes the vector that
  // packing may write beyond it.
  const int64_t reduction = g.depth * taps, table = round_up(p.channels * taps, 8);
  plan.panel_size = round_up(reduction * panels.height, 16) + 16;
  const int64_t packed = plan.panel_size * panels.count * g.groups;
  const size_t bytes =
      static_cast<size_t>(table) * sizeof(int64_t) + static_cast<size_t>(packed) * sizeof(T);
  char* memory = static_cast<char*>(allocate(bytes));
  if (!memory) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  int64_t* offset = reinterpret_cast<int64_t*>(memory);
  T* weight = reinterpret_cast<T*>(memory + static_cast<size_t>(table) * sizeof(int64_t));
  plan.offset = offset;
  plan.weight = weight;
  fill_offsets(p, cell, offset);
  const int64_t panel_work = max(1, reduction * panels.height);
  parallel_for(panels.count * g.groups, max(1, 32768 / panel_work),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t panel = i % panels.count;
                   pack_weights(g, i / panels.count, panels.begin(panel), panels.rows(panel),
                                weight + i * plan.panel_size);
                 }
               });

  const int64_t scratch_elements = plan.image_lanes ? ImageScratch<T>(g, plan, panels).all()
                                                    : p.channels * p.channel + width + 2 * L;
  bool enough = true;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    T* scratch = static_cast<T*>(thread_scratch(static_cast<size_t>(scratch_elements) * sizeof(T)));
    if (!scratch) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % plan.row_parts, rest = i / plan.row_parts;
      const Box box(p, all_images, rest / g.groups);
      if (plan.image_lanes) {
        gather_images(g, plan, rest % g.groups, part, box, scratch);
      } else {
        gather_box(g, plan, rest % g.groups, part, box, scratch);
      }
    }
  });
  release(memory, bytes);
  if (!enough) return {Code::kOutOfMemory, {scratch_elements * static_cast<int64_t>(sizeof(T)), 0}};
  return kDone;
}

// The same by parts of the positions that read the same taps, where a large dilation makes many products
// with the padding's zeros. A part packs its weights: there have to be positions enough.
template <class T>
Status run_parts(const Gather<T>& g) {
  constexpr int64_t kLeastPositions = 256;
  constexpr double kLeastRows = 0.07, kLeastColumns = 0.2, kPackPositions = 200;
  Axis rows[kMostParts], columns[kMostParts];
  const int64_t positions = g.images * g.axis[0].size * g.axis[1].size * g.axis[2].size;
  // Packing the weights twice more takes as long as the products of kPackPositions.
  const double packing = kPackPositions / static_cast<double>(max(1, positions));
  int down = split_axis(g.axis[1], packing > kLeastRows ? packing : kLeastRows, rows);
  if (down * kLeastPositions > positions) {
    rows[0] = g.axis[1];
    down = 1;
  }
  int across = split_axis(g.axis[2], kLeastColumns, columns);
  if (across * down * kLeastPositions > positions) {
    columns[0] = g.axis[2];
    across = 1;
  }
  Gather<T> part = g;
  for (int i = 0; i < down; ++i) {
    part.axis[1] = rows[i];
    for (int j = 0; j < across; ++j) {
      part.axis[2] = columns[j];
      const Status status = run_gather(part);
      if (status.code != Code::kOk) return status;
    }
  }
  return kDone;
}

template <class T>
Status forward(const ConvFwdArgs& args, const Geometry& geometry) {
  Gather<T> g;
  forward_axes(geometry, g.axis);
  g.images = geometry.N;
  g.groups = geometry.groups;
  g.depth = geometry.C / geometry.groups;
  g.rows = geometry.K / geometry.groups;
  g.x = reinterpret_cast<const T*>(args.x.data);
  g.y = reinterpret_cast<T*>(args.y.data);
  g.weight = reinterpret_cast<const T*>(args.weight.data);
  g.channel_stride = geometry.taps();
  g.row_stride = g.depth * g.channel_stride;
  g.group_stride = g.rows * g.row_stride;
  g.bias = reinterpret_cast<const T*>(args.bias.data);
  for (int d = 0; d < kSpatial; ++d) {
    g.out[d] = geometry.out[d];
    g.kernel[d] = geometry.kernel[d];
  }
  if (g.depth == 0 || geometry.taps() == 0) {
    fill_channels(g.y, g.bias, geometry.N, geometry.K, geometry.out_positions());
    return kDone;
  }
  g.epilogue = args.epilogue;
  if (g.epilogue) g.epilogue->done = true;
  return run_parts(g);
}

template <class T>
Status backward_input(const ConvBwdInputArgs& args, const Geometry& geometry) {
  Gather<T> g;
  g.images = geometry.N;
  g.groups = geometry.groups;
  g.depth = geometry.K / geometry.groups;
  g.rows = geometry.C / geometry.groups;
  g.x = reinterpret_cast<const T*>(args.grad_y.data);
  g.y = reinterpret_cast<T*>(args.grad_x.data);
  g.weight = reinterpret_cast<const T*>(args.weight.data);
  g.row_stride = geometry.taps();
  g.channel_stride = g.rows * g.row_stride;
  g.group_stride = g.depth * g.channel_stride;
  g.bias = reinterpret_cast<const T*>(args.bias.data);
  bool gaps = g.depth == 0 || geometry.taps() == 0;
  for (int d = 0; d < kSpatial; ++d) {
    g.out[d] = geometry.in[d];
    g.kernel[d] = geometry.kernel[d];
    if (remainders(geometry, d) < geometry.stride[d]) gaps = true;
  }
  if (gaps) fill_channels(g.y, g.bias, geometry.N, geometry.C, geometry.in_positions());
  if (g.depth == 0 || geometry.taps() == 0) return kDone;
  for (int64_t z = 0; z < remainders(geometry, 0); ++z) {
    g.axis[0] = backward_axis(geometry, 0, z);
    for (int64_t y = 0; y < remainders(geometry, 1); ++y) {
      g.axis[1] = backward_axis(geometry, 1, y);
      for (int64_t x = 0; x < remainders(geometry, 2); ++x) {
        g.axis[2] = backward_axis(geometry, 2, x);
        const Status status = run_parts(g);
        if (status.code != Code::kOk) return status;
      }
    }
  }
  return kDone;
}

}  // namespace

Status conv_fwd(const ConvFwdArgs& args) {
  ConvFwdArgs plain = args;
  plain.epilogue = nullptr;
  return conv_with_epilogue(plain);
}

Status conv_with_epilogue(const ConvFwdArgs& args) {
  const DType dtype = args.x.dtype;
  if (args.weight.dtype != dtype || (args.bias.data && args.bias.dtype != dtype)) return kNoDType;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64) return kNoDType;
  if (args.x.ndim < 3 || args.weight.ndim < 3) return {Code::kShape, {args.x.ndim, 0}};
  Geometry geometry;
  const Status status = make_geometry(args, &geometry);
  if (status.code != Code::kOk) return status;
  if (args.bias.data && args.bias.size != geometry.K) return {Code::kShape, {args.bias.size, 0}};
  if (args.y.size == 0) return kDone;
  Status answer = kDone;
  switch (plan_conv(args)) {
    case ConvAlgorithm::kWinograd4: return winograd_fwd(args, 4);
    case ConvAlgorithm::kWinograd3: return winograd_fwd(args, 3);
    case ConvAlgorithm::kWinograd2: return winograd_fwd(args, 2);
    case ConvAlgorithm::kPhases: return phases_fwd(args);
    case ConvAlgorithm::kDepthwise:
      if (depthwise_fwd(args, &answer)) return answer;
      break;
    case ConvAlgorithm::kPointwise:
      if (pointwise_fwd(args, &answer)) return answer;
      break;
    case ConvAlgorithm::kColumns:
      if (columns_fwd(args, &answer)) return answer;
      break;
    default: break;
  }
  if (tap_planes_fwd(args, &answer)) return answer;
  if (first_layer_fwd(args, &answer)) return answer;
  if (filter_lanes_fwd(args, &answer)) return answer;
  return dtype == DType::kFloat32 ? forward<float>(args, geometry)
                                  : forward<double>(args, geometry);
}

Status conv_bwd_input(const ConvBwdInputArgs& args) {
  const DType dtype = args.grad_y.dtype;
  if (args.weight.dtype != dtype || (args.bias.data && args.bias.dtype != dtype)) return kNoDType;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64) return kNoDType;
  if (args.grad_y.ndim < 3 || args.weight.ndim < 3) return {Code::kShape, {args.grad_y.ndim, 0}};
  Geometry geometry;
  const Status status = make_geometry(args, &geometry);
  if (status.code != Code::kOk) return status;
  if (args.bias.data && args.bias.size != geometry.C) return {Code::kShape, {args.bias.size, 0}};
  if (args.grad_x.size == 0) return kDone;
  Status answer = kDone;
  switch (plan_conv(args)) {
    case ConvAlgorithm::kWinograd4: return winograd_bwd_input(args, 4);
    case ConvAlgorithm::kWinograd3: return winograd_bwd_input(args, 3);
    case ConvAlgorithm::kWinograd2: return winograd_bwd_input(args, 2);
    case ConvAlgorithm::kPhases: return phases_bwd_input(args);
    case ConvAlgorithm::kDepthwise:
      if (depthwise_bwd_input(args, &answer)) return answer;
      break;
    case ConvAlgorithm::kPointwise:
      if (pointwise_bwd_input(args, &answer)) return answer;
      break;
    case ConvAlgorithm::kColumns:
      if (columns_bwd_input(args, &answer)) return answer;
      break;
    default: break;
  }
  if (tap_planes_bwd_input(args, &answer)) return answer;
  if (filter_lanes_bwd_input(args, &answer)) return answer;
  return dtype == DType::kFloat32 ? backward_input<float>(args, geometry)
                                  : backward_input<double>(args, geometry);
}

}  // namespace GS_ISA
}  // namespace gradsmith
