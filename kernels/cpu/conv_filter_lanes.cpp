// filter_lanes_fwd, filter_lanes_bwd_input: conv_fwd and conv_bwd_input where the channels written fill
// vectors: lanes are channels of the output.
//
// Layout     as conv.cpp's.
// Method     a register tile is up to kTile positions of a row times one or two vectors of channels: for
//            each tap and channel read, the values at the positions times the filters' vectors. Taps
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
#include "conv_image_lanes.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kMostTaps = 128, kMostAcross = 16, kMostStride = 4;
constexpr int64_t kPlaneBytes = 192 << 10, kCellBytes = 192 << 10;
constexpr int64_t kPositions = 384, kLeastPositions = 96, kPartBytes = 512, kDepth = 64;
constexpr int64_t kNearFilterBytes = 2 << 20;

// Columns first, first + step, .. of a row of the output, which read the same taps: tap i at input index
// index[i] + t * reads for number t of them.
struct Columns {
  int64_t first, step, reads;
  int taps;
  int64_t kernel[kMostAcross], index[kMostAcross];

  int64_t from(int64_t column) const { return max(0, ceil_div_signed(column - first, step)); }
};

// Tiles of a row: columns t, .. of a class.
struct Piece {
  int64_t t, n;
};
constexpr int64_t kMostPieces = kPositions;
struct Pieces {
  int64_t count = 0;
  Piece piece[kMostPieces];
};

// What is computed, and how it is cut.
template <class T>
struct Work {
  Geometry g;
  bool backward;
  int64_t depth, rows;  // channels read and written, of a group
  int64_t read_channels, written_channels;
  const int64_t *in, *out;
  const T *x, *weight, *bias;
  T* y;
  int64_t row_stride, channel_stride, group_stride;  // of weight
  Columns columns[kMostStride];
  int classes;
  int64_t images;          // of a box; more than one only where it is a whole image
  int64_t box[kSpatial];   // positions
  int64_t hull[kSpatial];  // inputs that a box reads at most
  int64_t vectors, part;   // of channels written, of a group: all, and of a part
  int64_t block, channel;  // channels read at a time; from one to the next, in elements
  bool in_place;           // no tile reads the padding: x is read where it is

  // The input that output `o` reads by tap k; -1: none.
  int64_t read(int d, int64_t o, int64_t k) const {
    int64_t i = o * g.stride[d] - g.padding[d] + k * g.dilation[d];
    if (backward) {
      const int64_t at = o + g.padding[d] - k * g.dilation[d];
      if (at < 0 || at % g.stride[d]) return -1;
      i = at / g.stride[d];
    }
    return i >= 0 && i < in[d] ? i : -1;
  }
  // The inputs that outputs [begin, end) read in dimension d < 2: from `low` on; returns how many.
  int64_t reach(int d, int64_t begin, int64_t end, int64_t* low) const {
    int64_t first = in[d], last = -1;
    for (int64_t o = begin; o < end; ++o) {
      for (int64_t k = 0; k < g.kernel[d]; ++k) {
        const int64_t i = read(d, o, k);
        if (i < 0) continue;
        first = min(first, i);
        last = max(last, i);
      }
    }
    *low = first;
    return max(0, last - first + 1);
  }
  // The same across, with the padding.
  int64_t reach_across(int64_t begin, int64_t end, int64_t* low) const {
    int64_t first = int64_t{1} << 60, last = -first;
    for (int i = 0; i < classes; ++i) {
      const Columns& c = columns[i];
      const int64_t t = c.from(begin), t_end = c.from(end);
      for (int k = 0; k < c.taps && t < t_end; ++k) {
        first = min(first, c.index[k] + t * c.reads);
        last = max(last, c.index[k] + (t_end - 1) * c.reads);
      }
    }
    *low = last < first ? 0 : first;
    return max(0, last - first + 1);
  }

  void find_columns() {
    classes = static_cast<int>(backward ? g.stride[2] : 1);
    for (int64_t r = 0; r < classes; ++r) {
      Columns& c = columns[r];
      c = {r, backward ? g.stride[2] : 1, backward ? 1 : g.stride[2], 0, {}, {}};
      for (int64_t k = 0; k < g.kernel[2]; ++k) {
        const int64_t at = r + g.padding[2] - k * g.dilation[2];
        if (backward && at % g.stride[2]) continue;
        c.kernel[c.taps] = k;
        c.index[c.taps++] = backward ? at / g.stride[2] : k * g.dilation[2] - g.padding[2];
      }
    }
  }

  // Cuts columns [begin, end) evenly.
  static void cut_evenly(int64_t begin, int64_t end, Pieces* to) {
    const int64_t n = even_part(max(1, end - begin), kTile);
    for (int64_t t = begin; t < end; t += n) to->piece[to->count++] = {t, min(n, end - t)};
  }
  // Products of tiles, with the padding's zeros; a tile's loads take as long as one or some.
  int64_t cost(const Columns& c, const Pieces& pieces) const {
    int64_t sum = 0;
    for (int64_t i = 0; i < pieces.count; ++i) {
      const Piece& p = pieces.piece[i];
      for (int k = 0; k < c.taps; ++k) {
        const int64_t at = c.index[k] + p.t * c.reads;
        if (at + (p.n - 1) * c.reads >= 0 && at < in[2]) sum += max(2 * p.n + 1, 9);
      }
    }
    return sum;
  }
  // Cuts a row of a box where the taps that read inside of it change, if that is cheaper than to multiply
  // with the padding's zeros. True if no tile does.
  bool cut_row(const Columns& c, int64_t first, int64_t size, Pieces* pieces) const {
    const int64_t begin = c.from(first), end = c.from(first + size);
    Pieces even;
    cut_evenly(begin, end, &even);
    pieces->count = 0;
    int64_t from = begin;
    for (int64_t t = begin + 1; t <= end; ++t) {
      bool same = t != end;
      for (int k = 0; k < c.taps && same; ++k) {
        const int64_t at = c.index[k] + t * c.reads, before = at - c.reads;
        same = (at >= 0 && at < in[2]) == (before >= 0 && before < in[2]);
      }
      if (same) continue;
      cut_evenly(from, t, pieces);
      from = t;
    }
    if (pieces->count == even.count || 20 * cost(c, *pieces) < 19 * cost(c, even)) return true;
    *pieces = even;
    return false;
  }

  int64_t boxes(int d) const { return ceil_div(out[d], box[d]); }
  int64_t parts() const { return ceil_div(vectors, part); }
  int64_t blocks() const {
    return ceil_div(g.N, images) * g.groups * boxes(0) * boxes(1) * boxes(2) * parts();
  }
  int64_t positions() const { return images * box[0] * box[1] * box[2]; }

  void cut(double work) {
    constexpr int L = kLanes<T>;
    constexpr int64_t size_of = sizeof(T);
    vectors = ceil_div(rows, L);
    part = even_part(vectors, max(2, kPartBytes / GS_VECTOR_BYTES));
    part += part % 2;
    const int64_t wanted = min(wanted_blocks(work, 64), 16);
    // Filters beyond L2 are read again for each box.
    const int64_t filter_bytes = vectors * L * depth * g.taps() * size_of;
    const int64_t fewest = filter_bytes > kNearFilterBytes ? kPositions : kLeastPositions;
    images = 1;
    box[2] = even_part(out[2], kPositions);
    box[1] = even_part(out[1], max(1, kPositions / box[2]));
    box[0] = even_part(out[0], max(1, kPositions / (box[1] * box[2])));
    for (int d = 0; d < 2 && blocks() < wanted; ++d) {
      const int64_t least = min(box[d], max(1, fewest * box[d] / positions()));
      const int64_t cuts = boxes(d) * ceil_div(wanted, blocks());
      box[d] = even_part(out[d], max(least, ceil_div(out[d], min(out[d], cuts))));
    }
    if (blocks() < wanted) {
      part = max(2, round_up(ceil_div(vectors, parts() * ceil_div(wanted, blocks())), 2));
    }
    // Few positions are too little work for the filters that they take from L3.
    if (boxes(0) * boxes(1) * boxes(2) == 1) {
      images = even_part(g.N, clamp(min(kPositions / positions(), 2 * blocks() / wanted), 1, g.N));
    }
    for (int d = 0; d < kSpatial; ++d) {
      hull[d] = 0;
      for (int64_t o = 0; o < out[d]; o += box[d]) {
        int64_t low;
        const int64_t end = min(out[d], o + box[d]);
        hull[d] = max(hull[d], d < 2 ? reach(d, o, end, &low) : reach_across(o, end, &low));
      }
    }
    channel = in[0] * in[1] * in[2];
    in_place = images == 1 && channel * size_of % 512 != 0;  // channels in cache sets of their own
    Pieces pieces;
    for (int i = 0; i < classes && in_place; ++i) {
      for (int64_t o = 0; o < out[2]; o += box[2]) {
        in_place &= cut_row(columns[i], o, min(box[2], out[2] - o), &pieces);
      }
    }
    const int64_t read = hull[0] * hull[1] * (in_place ? in[2] : images * hull[2]);
    if (!in_place) channel = round_up(read + 16, 16) + 16;
    const int64_t fit = kPlaneBytes / size_of / max(1, in_place ? read : channel);
    block = even_part(depth, clamp(fit, 1, kDepth));
  }
  // Where the filters' vectors of a pair and a block of channels start.
  int64_t pair_at(int64_t group, int64_t pair) const {
    return (group * vectors + 2 * pair) * depth * g.taps() * kLanes<T>;
  }
  int pair_vectors(int64_t pair) const { return static_cast<int>(min(2, vectors - 2 * pair)); }
};

// The filters of a pair of vectors: [block of channels][tap][channel][vector][lane].
template <class T>
void pack_pair(const Work<T>& w, int64_t group, int64_t pair, T* to) {
  constexpr int L = kLanes<T>;
  const int64_t taps = w.g.taps();
  const int count = w.pair_vectors(pair);
  alignas(GS_VECTOR_BYTES) T panel[(kMostTaps + 1) * L];
  for (int j = 0; j < count; ++j) {
    const int64_t row = (2 * pair + j) * L;
    const int rows = static_cast<int>(min(L, w.rows - row));
    const T* from = w.weight + group * w.group_stride + row * w.row_stride;
    for (int64_t c = 0; c < w.depth; ++c, from += w.channel_stride) {
      const int64_t first = c / w.block * w.block, channels = min(w.block, w.depth - first);
      pack_panel(from, w.row_stride, 1, taps, rows, L, panel);
      T* put = to + (first * taps + c - first) * count * L + j * L;
      for (int64_t t = 0; t < taps; ++t) store(put + t * channels * count * L, load(panel + t * L));
    }
  }
}

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

// All products of a box of a group with a block of channels: `cells` has a vector of each position, of
// vectors [begin, end) one after another.
template <class T>
void multiply(const Work<T>& w, const int64_t* origin, const int64_t* size, const Hull& hull,
              int64_t group, int64_t c, int64_t channels, const T* packed, int64_t begin,
              int64_t end, const T* planes, T* cells) {
  constexpr int L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t lines = size[0] * size[1], plane = hull.images * lines * size[2] * L,
                at_once = max(1, kChain / channels);
  // Nobody has brought into L2 what is read where it is: the next channels.
  const int64_t ahead = w.in_place ? w.block * w.channel : 0;
  Tap across[kMostAcross], list[kMostTaps];
  Pieces pieces;
  for (int i = 0; i < w.classes; ++i) {
    const Columns& columns = w.columns[i];
    w.cut_row(columns, origin[2], size[2], &pieces);
    for (const Piece* piece = pieces.piece; piece < pieces.piece + pieces.count; ++piece) {
      const int64_t t = piece->t, n = piece->n, last = (n - 1) * columns.reads;
      int found = 0;
      for (int k = 0; k < columns.taps; ++k) {
        const int64_t at = columns.index[k] + t * columns.reads;
        if (at + last < 0 || at >= w.in[2]) continue;
        across[found++] = {at - hull.first[2], columns.kernel[k] * channels * L};
      }
      for (int64_t line = 0; line < hull.images * lines; ++line) {
        const int64_t image = line / lines, out_z = origin[0] + line % lines / size[1];
        const int64_t out_y = origin[1] + line % size[1];
        int64_t taps = 0;
        for (int64_t z = 0; z < g.kernel[0]; ++z) {
          const int64_t in_z = w.read(0, out_z, z);
          for (int64_t y = 0; y < g.kernel[1] && in_z >= 0; ++y) {
            const int64_t in_y = w.read(1, out_y, y);
            if (in_y < 0) continue;
            const int64_t slab = image * hull.size[0] + in_z - hull.first[0];
            const int64_t row = (slab * hull.size[1] + in_y - hull.first[1]) * hull.size[2];
            const int64_t filters = (z * g.kernel[1] + y) * g.kernel[2] * channels * L;
            for (int k = 0; k < found; ++k) {
              list[taps++] = {row + across[k].x, filters + across[k].weight};
            }
          }
        }
        const int64_t column = columns.first + t * columns.step - origin[2];
        for (int64_t v = begin; v < end; v += 2) {
          const int count = w.pair_vectors(v / 2);
          const T* const filters = packed + w.pair_at(group, v / 2) + c * g.taps() * count * L;
          T* const put = cells + (v - begin) * plane + (line * size[2] + column) * L;
          const auto run = kTilesOf<T>.get(n, count, columns.reads);
          for (int64_t done = 0; done < taps; done += at_once) {
            run(list + done, min(at_once, taps - done), channels, planes, w.channel, ahead, filters,
                put, columns.step * L, plane);
          }
        }
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
  const auto bytes = static_cast<size_t>(g.groups * w.vectors * w.depth * g.taps() * L) * sizeof(T);
  T* const packed = static_cast<T*>(allocate(bytes));
  if (!packed) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  parallel_for(g.groups * pairs, max(1, 16384 / (2 * L * w.depth * g.taps())),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   pack_pair(w, i / pairs, i % pairs, packed + w.pair_at(i / pairs, i % pairs));
                 }
               });
  const int64_t plane_size = w.in_place ? 0 : round_up(w.block * w.channel + L, 16);
  const auto scratch_bytes =
      static_cast<size_t>(plane_size + w.part * w.positions() * L) * sizeof(T);
  bool enough = true;
  parallel_for(w.blocks(), 1, [&](int64_t first_block, int64_t last_block) {
    T* const planes = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!planes) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T* const cells = planes + plane_size;
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
        multiply(w, origin, size, hull, group, c, channels, packed, begin, end, x, cells);
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
  release(packed, bytes);
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
  const Status checked = make_geometry(args.x.shape, args.x.ndim, args.weight.shape,
                                       args.weight.ndim, args.out_shape.v, args.out_shape.n,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk) return false;
  return args.x.dtype == DType::kFloat32 ? fwd<float>(args, g, status)
                                         : fwd<double>(args, g, status);
}

bool filter_lanes_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x_shape.v, args.x_shape.n, args.weight.shape,
                                       args.weight.ndim, args.grad_y.shape, args.grad_y.ndim,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? bwd_input<float>(args, g, status)
                                              : bwd_input<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
