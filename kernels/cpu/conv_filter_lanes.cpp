// filter_lanes_fwd, filter_lanes_bwd_input: conv_fwd and conv_bwd_input where the channels written fill
// vectors: lanes are channels of the output.
//
// Layout     as conv.cpp's.
// Method     a register tile is up to kTile positions of a row times one or two vectors of channels: for
//            each tap and channel read, the values at the positions times the filters' vectors. Where a
//            row has half as many or less, a tile takes two that read the same taps: those of two
//            images, or of one. Each filter is loaded once for both, and twice the sums hide the
//            latency of the multiply-add. Taps
//            that a tile's row or columns read from the padding alone are left out; a row is cut where
//            these change if that pays (Work::cut_row), and then inputs are read where they are. Else
//            they are copied into rows with the padding's zeros, once for all strides; there are no
//            lanes between rows. A strided input gradient takes a row's columns by their remainder, each
//            with its taps, and writes them side by side. Finished cells, a vector of channels a
//            position, are transposed.
// Split      images, boxes of rows, groups, parts of the channels written.
// Cache      rows of a box and block of channels, kPlaneBytes, and its cells, kCellBytes, in L2.
// Cost       2 N K out (C / groups) taps FLOPs, the channels written rounded up to whole vectors; x is
//            copied, if at all, once for each part of the channels written, weight once.
// Accuracy   chains of about kChain products, added in order: the same bits for every number of threads.
// Limits     float32, float64; `pays` says which shapes.
#include "conv_filter_lanes.h"

#include "conv.h"
#include "conv_filter_tile.h"
#include "conv_filter_work.h"
#include "conv_image_lanes.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// A box's rows of inputs.
struct Hull {
  int64_t images;
  int64_t first[kSpatial], size[kSpatial];
};

template <class T>
void fill_inputs(const Work<T>& w, const Hull& hull, const T* from, int64_t channels, T* to) {
  const int64_t slabs = hull.images * hull.size[0];
  constexpr int L = kLanes<T>;
  const int64_t width = hull.size[2], in_size = w.in[0] * w.in[1] * w.in[2];
  const int64_t low = clamp(-hull.first[2], 0, width);
  const int64_t high = clamp(w.in[2] - hull.first[2], low, width);
  for (int64_t c = 0; c < channels; ++c, from += in_size, to += w.channel) {
    T* row = to;
    for (int64_t i = 0; i < slabs; ++i) {
      const int64_t image = i / hull.size[0], z = i % hull.size[0];
      const T* const slab = from + image * w.read_channels * in_size;
      for (int64_t y = 0; y < hull.size[1]; ++y, row += width) {
        const T* const line =
            slab + ((hull.first[0] + z) * w.in[1] + hull.first[1] + y) * w.in[2] + hull.first[2];
        if (c + 2 < channels) prefetch(line + 2 * in_size + low, high - low);
        // What is written beyond a row, the next one overwrites.
        if (width <= L) {
          store(row, low < high ? load_lanes(line, low, high) : Vec<T>{});
          continue;
        }
        for (int64_t j = 0; j < low; j += L) store(row + j, Vec<T>{});
        copy_run(row + low, line + low, high - low);
        for (int64_t j = high; j < width; ++j) row[j] = T{};
      }
    }
  }
}

// A row of a box: its cells, in rows of them, and the taps that read inside of the image.
struct Line {
  int64_t cells, taps;
  Tap tap[kMostTaps];
};

// Whether two rows read the same taps, at one distance.
inline bool same_taps(const Line& a, const Line& b) {
  if (a.taps != b.taps) return false;
  for (int64_t i = 0; i < a.taps; ++i) {
    if (a.tap[i].weight != b.tap[i].weight) return false;
    if (b.tap[i].x - a.tap[i].x != b.tap[0].x - a.tap[0].x) return false;
  }
  return true;
}

// The rows of a box in the order in which neighbours read the same taps: the same row of each image, then
// the next one below, of an input gradient of the same remainder. Returns the row and, in *image, its image.
template <class T>
int64_t row_at(const Work<T>& w, const int64_t* size, int64_t images, int64_t index,
               int64_t* image) {
  const int64_t step = w.backward ? min(w.g.stride[1], size[1]) : 1;
  *image = index % images;
  const int64_t line = index / images, z = line / size[1];
  int64_t y = line % size[1], remainder = 0;
  for (int64_t count; y >= (count = ceil_div(size[1] - remainder, step)); ++remainder) y -= count;
  return z * size[1] + remainder + y * step;
}

// All products of a box of a group with a block of channels: `cells` has a vector of each position, of
// vectors [begin, end) one after another, and packed[i] is the filters of their pair number i.
template <class T>
void multiply(const Work<T>& w, const int64_t* origin, const int64_t* size, const Hull& hull,
              int64_t channels, const T* const* packed, int64_t begin, int64_t end, const T* planes,
              T* cells) {
  constexpr int L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t lines = size[0] * size[1], all = hull.images * lines, plane = all * size[2] * L,
                at_once = max(1, kChain / channels);
  // Nobody has brought into L2 what is read where it is: the next channels.
  const int64_t ahead = w.in_place ? w.block * w.channel : 0;
  Tap across[kMostAcross];
  int found;
  const auto find_taps = [&](int64_t index, Line* to) {
    int64_t image;
    const int64_t line = row_at(w, size, hull.images, index, &image);
    const int64_t out_z = origin[0] + line / size[1], out_y = origin[1] + line % size[1];
    to->cells = image * lines + line;
    to->taps = 0;
    for (int64_t z = 0; z < g.kernel[0]; ++z) {
      const int64_t in_z = w.read(0, out_z, z);
      for (int64_t y = 0; y < g.kernel[1] && in_z >= 0; ++y) {
        const int64_t in_y = w.read(1, out_y, y);
        if (in_y < 0) continue;
        const int64_t slab = image * hull.size[0] + in_z - hull.first[0];
        const int64_t row = (slab * hull.size[1] + in_y - hull.first[1]) * hull.size[2];
        const int64_t filters = (z * g.kernel[1] + y) * g.kernel[2] * channels * L;
        for (int k = 0; k < found; ++k) {
          to->tap[to->taps++] = {row + across[k].x, filters + across[k].weight};
        }
      }
    }
  };
  Line line, next;
  Pieces pieces;
  for (int i = 0; i < w.classes; ++i) {
    const Columns& columns = w.columns[i];
    w.cut_row(columns, origin[2], size[2], &pieces);
    for (const Piece* piece = pieces.piece; piece < pieces.piece + pieces.count; ++piece) {
      const int64_t t = piece->t, n = piece->n, last = (n - 1) * columns.reads;
      found = 0;
      for (int k = 0; k < columns.taps; ++k) {
        const int64_t at = columns.index[k] + t * columns.reads;
        if (at + last < 0 || at >= w.in[2]) continue;
        across[found++] = {at - hull.first[2], columns.kernel[k] * channels * L};
      }
      const int64_t column = columns.first + t * columns.step - origin[2];
      for (int64_t index = 0; index < all; ++index) {
        find_taps(index, &line);
        bool two = 2 * n <= kTile && index + 1 < all && line.taps > 0;
        Second second{0, 0};
        if (two) {
          find_taps(index + 1, &next);
          two = same_taps(line, next);
        }
        if (two) {
          second = {next.tap[0].x - line.tap[0].x, (next.cells - line.cells) * size[2] * L};
        }
        for (int64_t v = begin; v < end; v += 2) {
          T* const put = cells + (v - begin) * plane + (line.cells * size[2] + column) * L;
          const auto run = kTilesOf<T>.get(n, two, w.pair_vectors(v / 2), columns.reads);
          for (int64_t done = 0; done < line.taps; done += at_once) {
            run(line.tap + done, min(at_once, line.taps - done), channels, planes, w.channel, ahead,
                packed[(v - begin) / 2], put, columns.step * L, plane, second);
          }
        }
        if (two) ++index;
      }
    }
  }
}

template <class T>
Status run(const Work<T>& w) {
  constexpr int L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t pairs = ceil_div(w.vectors, 2);
  const int64_t in_size = w.in[0] * w.in[1] * w.in[2], out_size = w.out[0] * w.out[1] * w.out[2];
  // Filters that one box or two take are packed by these, a part and a block of channels at a time, which
  // stay in L2: else all are written to L3 and read again.
  const int64_t pair_size = 2 * w.block * g.taps() * L, own_size = ceil_div(w.part, 2) * pair_size;
  const bool by_box = w.blocks() <= 2 * g.groups * w.parts() &&
                      own_size * static_cast<int64_t>(sizeof(T)) <= kOwnBytes;
  const auto bytes = static_cast<size_t>(g.groups * w.vectors * w.depth * g.taps() * L) * sizeof(T);
  T* const packed = by_box ? nullptr : static_cast<T*>(allocate(bytes));
  if (!by_box) {
    if (!packed) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
    parallel_for(g.groups * pairs, max(1, 16384 / (2 * L * w.depth * g.taps())),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     const int64_t group = i / pairs, pair = i % pairs;
                     T* to = packed + w.pair_at(group, pair);
                     for (int64_t c = 0; c < w.depth; c += w.block) {
                       const int64_t channels = min(w.block, w.depth - c);
                       pack_pair(w, group, pair, c, channels, to);
                       to += channels * g.taps() * w.pair_vectors(pair) * L;
                     }
                   }
                 });
  }
  const int64_t plane_size = w.in_place ? 0 : round_up(w.block * w.channel + L, 16);
  const int64_t cells_size = w.part * w.positions() * L;
  const auto scratch_bytes =
      static_cast<size_t>(plane_size + cells_size + (by_box ? own_size : 0)) * sizeof(T);
  bool enough = true;
  parallel_for(w.blocks(), 1, [&](int64_t first_block, int64_t last_block) {
    T* const planes = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!planes) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T *const cells = planes + plane_size, *const own = cells + cells_size;
    for (int64_t index = first_block; index < last_block; ++index) {
      int64_t rest = index;
      const int64_t begin = rest % w.parts() * w.part, end = min(w.vectors, begin + w.part);
      rest /= w.parts();
      int64_t origin[kSpatial], size[kSpatial];
      for (int d = kSpatial - 1; d >= 0; --d) {
        origin[d] = rest % w.boxes(d) * w.box[d];
        size[d] = min(w.box[d], w.out[d] - origin[d]);
        rest /= w.boxes(d);
      }
      const int64_t group = rest % g.groups, image = rest / g.groups * w.images;
      Hull hull;
      hull.images = min(w.images, g.N - image);
      for (int d = 0; d < 2; ++d) {
        hull.size[d] = w.reach(d, origin[d], origin[d] + size[d], &hull.first[d]);
      }
      hull.size[2] = w.reach_across(origin[2], origin[2] + size[2], &hull.first[2]);
      for (int d = 0; d < kSpatial && w.in_place; ++d) {
        hull.first[d] = 0;
        hull.size[d] = w.in[d];
      }
      const int64_t positions = hull.images * size[0] * size[1] * size[2];
      for (int64_t v = begin; v < end; ++v) {
        Vec<T> start{};
        if (w.bias) {
          const T* const bias = w.bias + group * w.rows + v * L;
          start = w.rows - v * L >= L ? load(bias) : load_n(bias, w.rows - v * L);
        }
        T* const put = cells + (v - begin) * positions * L;
        for (int64_t i = 0; i < positions; ++i) store(put + i * L, start);
      }
      for (int64_t c = 0; c < w.depth; c += w.block) {
        const int64_t channels = min(w.block, w.depth - c);
        const T* x = w.x + (image * w.read_channels + group * w.depth + c) * in_size;
        if (!w.in_place) {
          fill_inputs(w, hull, x, channels, planes);
          x = planes;
        }
        const T* filters[kMostPairs];
        for (int64_t i = 0; 2 * i < end - begin; ++i) {
          const int64_t pair = begin / 2 + i;
          if (by_box) pack_pair(w, group, pair, c, channels, own + i * pair_size);
          filters[i] =
              by_box ? own + i * pair_size
                     : packed + w.pair_at(group, pair) + c * g.taps() * w.pair_vectors(pair) * L;
        }
        multiply(w, origin, size, hull, channels, filters, begin, end, x, cells);
      }
      const bool whole = size[2] == w.out[2];  // rows are side by side
      const int64_t lines = hull.images * (whole ? size[0] : size[0] * size[1]);
      const int64_t length = positions / lines, of_image = lines / hull.images;
      for (int64_t v = begin; v < end; ++v) {
        T* const to =
            w.y + (image * w.written_channels + group * w.rows + v * L) * out_size + origin[2];
        for (int64_t i = 0; i < lines; ++i) {
          const int64_t line = i % of_image, z = origin[0] + (whole ? line : line / size[1]);
          const int64_t y = origin[1] + (whole ? 0 : line % size[1]);
          scatter_cells(
              cells + ((v - begin) * positions + i * length) * L, length, min(L, w.rows - v * L),
              to + i / of_image * w.written_channels * out_size + (z * w.out[1] + y) * w.out[2],
              out_size);
        }
      }
    }
  });
  if (!by_box) release(packed, bytes);
  if (!enough) return {Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
  return kDone;
}

// Whether the channels written fill vectors, rows fill tiles, and all fits.
template <class T>
bool pays(const Work<T>& w) {
  const Geometry& g = w.g;
  if (g.taps() < 2 || g.taps() > kMostTaps || g.kernel[2] > kMostAcross || g.N == 0) return false;
  for (int d = 0; d < kSpatial; ++d) {
    const bool near = g.padding[d] >= 0 && g.padding[d] <= 4096 && g.dilation[d] <= 4096;
    if (w.out[d] < 1 || w.in[d] < 1 || g.stride[d] > kMostStride || !near) return false;
  }
  if (!w.backward && g.stride[2] > 2) return false;
  if (w.out[2] < 4 * (w.backward ? g.stride[2] : 1)) return false;
  // One vector of channels has as many loads as products, which is made up for where a row is a tile.
  const bool one = w.rows <= kLanes<T> && (kTile < 12 || w.out[2] < 10 || w.out[2] > kTile);
  return w.depth >= 8 && !one && 4 * w.rows >= 3 * round_up(w.rows, kLanes<T>);
}

// Whether sums are long enough to repay that each output is stored twice, or conv.cpp's planes lose much:
// to the ends of short rows, to the padding, to strides.
template <class T>
bool repays(const Work<T>& w) {
  const Geometry& g = w.g;
  int64_t low;
  const int64_t padding = w.reach_across(0, w.out[2], &low) - w.in[2];
  return w.depth * g.taps() >= 640 || w.out[2] <= 32 || 8 * padding > w.in[2] ||
         g.stride[0] * g.stride[1] * g.stride[2] > 1;
}

template <class T>
bool run_if_it_pays(Work<T>& w, Status* status) {
  if (!pays(w)) return false;
  w.find_columns();
  if (!repays(w)) return false;
  w.cut(2.0 * static_cast<double>(w.g.N * w.g.out_positions()) * static_cast<double>(w.g.K) *
        static_cast<double>(w.g.C / w.g.groups * w.g.taps()));
  constexpr int64_t kMost = 4 * kPlaneBytes / static_cast<int64_t>(sizeof(T));
  if (!w.in_place && w.channel * min(w.depth, 8) > kMost) return false;
  *status = run(w);
  return true;
}

template <class T>
bool fwd(const ConvFwdArgs& args, const Geometry& g, Status* status) {
  Work<T> w;
  w.g = g;
  w.backward = false;
  w.depth = g.C / g.groups;
  w.rows = g.K / g.groups;
  w.read_channels = g.C;
  w.written_channels = g.K;
  w.in = w.g.in;
  w.out = w.g.out;
  w.x = reinterpret_cast<const T*>(args.x.data);
  w.y = reinterpret_cast<T*>(args.y.data);
  w.weight = reinterpret_cast<const T*>(args.weight.data);
  w.bias = reinterpret_cast<const T*>(args.bias.data);
  w.channel_stride = g.taps();
  w.row_stride = w.depth * w.channel_stride;
  w.group_stride = w.rows * w.row_stride;
  return run_if_it_pays(w, status);
}

template <class T>
bool bwd_input(const ConvBwdInputArgs& args, const Geometry& g, Status* status) {
  Work<T> w;
  w.g = g;
  w.backward = true;
  w.depth = g.K / g.groups;
  w.rows = g.C / g.groups;
  w.read_channels = g.K;
  w.written_channels = g.C;
  w.in = w.g.out;
  w.out = w.g.in;
  w.x = reinterpret_cast<const T*>(args.grad_y.data);
  w.y = reinterpret_cast<T*>(args.grad_x.data);
  w.weight = reinterpret_cast<const T*>(args.weight.data);
  w.bias = reinterpret_cast<const T*>(args.bias.data);
  w.row_stride = g.taps();
  w.channel_stride = w.rows * w.row_stride;
  w.group_stride = w.depth * w.channel_stride;
  return run_if_it_pays(w, status);
}

}  // namespace

bool filter_lanes_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.x.dtype == DType::kFloat32 ? fwd<float>(args, g, status)
                                         : fwd<double>(args, g, status);
}

bool filter_lanes_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? bwd_input<float>(args, g, status)
                                              : bwd_input<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
