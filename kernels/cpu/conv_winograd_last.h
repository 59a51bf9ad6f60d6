// The last tiles of an image's lines and columns, which may have fewer outputs than the others.
//
// Method     a tile of m < 4 outputs is F(m, 3) in that direction: m + 2 points are enough, and they are the
//            first m + 1 of F(4, 3)'s 0, 1, -1, 1/2, -2, and infinity. The filters of these points are the
//            same, so such tiles stay in the planes of the points that they have, and the other planes are
//            shorter: 14 x 14 outputs need 16 % fewer products, 13 x 13 23 %, 7 x 7 16 %.
//            The transform of patches stays as it is, too: given d0 .. d(m + 1) and, in the place of the others,
//            what makes the missing points zero. F(4)'s transform of d0 d1 d2 d1 d2 d3, for one, is
//            F(2)'s of d0 d1 d2 d3. Outputs take zeros for the missing points, and infinity's goes to the last.
// Cost       a shuffle for each vector of a shorter plane, in and out.
// Accuracy   at most that of F(4, 3): fewer terms.
#pragma once

#include "conv_winograd_points.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Whether a tile of m outputs has this one of F(4, 3)'s points.
constexpr bool has(int m, int point) { return point <= m || point == 5; }

// The planes of a problem's tiles are of four kinds: 0 has all; 1 not those of an image's last line, 2 not
// those of the last column, 3 neither.
constexpr int kKinds = 4;

struct LastTiles {
  int64_t lines = 1, columns = 1;  // of an image
  int outputs[2] = {4, 4};         // of a tile of the last line, and column
  bool fewer = false;              // otherwise every plane has all tiles

  int kind(int line_point, int column_point) const {
    return fewer ? !has(outputs[0], line_point) + 2 * !has(outputs[1], column_point) : 0;
  }
  // Of tiles [0, tile), those that a plane of this kind has.
  int64_t before(int kind, int64_t tile) const {
    if (kind == 0) return tile;
    const int64_t line = tile / columns, most = columns - kind / 2;
    const int64_t part = tile % columns < most ? tile % columns : most;
    if (!(kind & 1)) return line * most + part;
    return (line - line / lines) * most + (line % lines + 1 < lines ? part : 0);
  }
  int64_t count(int kind, int64_t begin, int64_t end) const {
    return before(kind, end) - before(kind, begin);
  }
};

// Where a vector's tiles are in planes of each kind.
struct Places {
  int64_t at[kKinds];                  // the first of them, from the block's first tile
  IVec<float> pick[kKinds];            // lanes that a plane has, one after another
  IVec<float> spread[kKinds];          // back in their places; the others take lane L, of zeros
  IVec<float> last_line, last_column;  // masks

  // Tiles of a vector of them, and back.
  V picked(int kind, V tiles) const { return GS_ISA::shuffle<float>(tiles, tiles, pick[kind]); }
  V spread_out(int kind, V some) const { return GS_ISA::shuffle<float>(some, V{}, spread[kind]); }
};

// Those of tiles [tile, end), as far as a vector goes, of a block that begins at `begin`.
inline void find_places(const LastTiles& t, int64_t begin, int64_t tile, int64_t end, Places* to) {
  *to = Places{};
  int n[kKinds] = {};
  for (int kind = 0; kind < kKinds; ++kind) {
    to->at[kind] = t.count(kind, begin, tile);
    to->spread[kind] += L;
  }
  int64_t column = tile % t.columns, line = tile / t.columns % t.lines;
  for (int lane = 0; lane < L && tile + lane < end; ++lane) {
    const bool is_last[2] = {line + 1 == t.lines, column + 1 == t.columns};
    to->last_line[lane] = -is_last[0];
    to->last_column[lane] = -is_last[1];
    for (int kind = 0; kind < kKinds; ++kind) {
      if ((kind & 1 && is_last[0]) || (kind & 2 && is_last[1])) continue;
      to->pick[kind][n[kind]] = lane;
      to->spread[kind][lane] = n[kind]++;
    }
    if (++column == t.columns) {
      column = 0;
      if (++line == t.lines) line = 0;
    }
  }
}

// A line of a patch of m outputs, d0 .. d(m + 1), so that F(4, 3)'s transform is F(m, 3)'s.
GS_INLINE void shorten(int m, V* d) {
  if (m == 1) {
    d[5] = d[2];
    d[2] = d[3] = d[4] = d[1];
  } else if (m == 2) {
    d[5] = d[3];
    d[3] = d[1];
    d[4] = d[2];
  } else if (m == 3) {
    const V p = d[3] - d[1];
    d[5] = d[3] + (d[4] - d[2]) - 0.25f * p;
    d[4] = d[2] + 0.5f * p;
  }
}

// The same in some lanes.
GS_INLINE void shorten(int m, IVec<float> lanes, V* d) {
  V other[6];
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) other[i] = d[i];
  shorten(m, other);
#pragma GCC unroll 6
  for (int i = 2; i < 6; ++i) d[i] = select<float>(lanes, other[i], d[i]);
}

// F(4, 3)'s outputs of a line: those of m in some lanes, by what infinity's product adds.
GS_INLINE void add_infinity(int m, IVec<float> lanes, V product, V* y) {
  const V more = select<float>(lanes, product, V{});
  if (m == 1) {
    y[0] += more;
  } else if (m == 2) {
    y[1] += more;
  } else if (m == 3) {
    y[2] += more;
  }
}

// A row of patches, transformed down already, transformed along and put into its planes, `step` apart; m:
// outputs of the last column's tiles; of_last: 1 where the last line's tiles have not this row.
template <int m>
void put_patches(V* d, const Places& places, int of_last, float* put, int64_t step) {
  V done[6];
  if (m < 4) shorten(m, places.last_column, d);
  F4::patch(d, done);
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) {
    if (!has(m, j)) {
      done[j] = places.picked(of_last + 2, done[j]);
    } else if (of_last) {
      done[j] = places.picked(1, done[j]);
    }
  }
  float* const all = put + places.at[of_last];
  float* const fewer = put + places.at[of_last + 2];
#pragma GCC unroll 6
  for (int j = 0; j < 6; ++j) store((has(m, j) ? all : fewer) + j * step, done[j]);
}

// A column of products, `step` apart, transformed down; m: outputs of the last line's tiles; of_last: 2 where
// the last column's tiles have not this column.
template <int m>
void take_products(const float* from, int64_t step, const Places& places, int of_last, V* to) {
  V d[6];
  const float* const all = from + places.at[of_last];
  const float* const fewer = from + places.at[of_last + 1];
#pragma GCC unroll 6
  for (int i = 0; i < 6; ++i) {
    d[i] = load((has(m, i) ? all : fewer) + i * step);
    if (!has(m, i)) {
      d[i] = places.spread_out(of_last + 1, d[i]);
    } else if (of_last) {
      d[i] = places.spread_out(2, d[i]);
    }
  }
  F4::output(d, to);
  add_infinity(m, places.last_line, d[5], to);
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
