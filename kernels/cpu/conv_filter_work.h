// How conv_filter_lanes.cpp cuts its work: rows of the output into tiles, the output into boxes and parts of
// its channels, the channels read into blocks; and the filters as its tiles read them.
#pragma once

#include "conv.h"
#include "conv_filter_tile.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kMostTaps = 128, kMostAcross = 16, kMostStride = 4;
constexpr int64_t kPlaneBytes = 192 << 10, kCellBytes = 192 << 10;
constexpr int64_t kPositions = 384, kLeastPositions = 96, kPartBytes = 512, kDepth = 64;
constexpr int64_t kNearFilterBytes = 2 << 20;
constexpr int64_t kOwnBytes = 1 << 20;  // of filters that a box packs
constexpr int64_t kMostPairs =
    kPartBytes / 2 / 16 + 1;  // of a part, of vectors of 16 bytes at least

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

// The filters of a pair of vectors for channels [first, first + channels): [tap][channel][vector][lane]. Taps
// of several channels that are side by side are transposed together.
template <class T>
void pack_pair(const Work<T>& w, int64_t group, int64_t pair, int64_t first, int64_t channels,
               T* to) {
  constexpr int L = kLanes<T>;
  const int64_t taps = w.g.taps();
  const int64_t together = w.channel_stride == taps ? kMostTaps / taps : 1;
  const int count = w.pair_vectors(pair);
  alignas(GS_VECTOR_BYTES) T panel[(kMostTaps + 1) * L];
  for (int j = 0; j < count; ++j) {
    const int64_t row = (2 * pair + j) * L;
    const int rows = static_cast<int>(min(L, w.rows - row));
    const T* from =
        w.weight + group * w.group_stride + row * w.row_stride + first * w.channel_stride;
    T* put = to + j * L;
    for (int64_t c = 0; c < channels; c += together, from += together * w.channel_stride) {
      const int64_t some = min(together, channels - c);
      pack_panel(from, w.row_stride, 1, some * taps, rows, L, panel);
      const T* vector = panel;
      for (int64_t i = 0; i < some; ++i, put += count * L) {
        for (int64_t t = 0; t < taps; ++t, vector += L) {
          store(put + t * channels * count * L, load(vector));
        }
      }
    }
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
