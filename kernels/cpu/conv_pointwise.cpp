// Convolution with kernels of one element, without padding, and its input gradient.
//
//   y[n, k, p] = bias[k] + sum_c weight[k, c] x[n, c, p];  grad_x: the same with weight^T;
//   p the positions of an image. grad_weight: conv_pointwise_weight.cpp.
//
// Layout     as conv.cpp; any groups.
// Method     products of matrices on the arrays as they are: rows of the register tile (gemm.h) are
//            output channels, lanes are positions: an image's whole vectors. x is read where it is, by the
//            first panel of rows, which leaves its columns side by side for the others; where these are few,
//            by all. What no whole vector takes of an image is set side by side with that of the part's other
//            images: 8 images of 14x14 are 32 tiles of 48 positions and one of 32, of 7x7 8 and one of 8. The
//            lines of the next tiles are fetched while this one is multiplied, since no prefetcher of a
//            processor follows a stream a channel; so are the lines that the next panel's results go to, each
//            with a row of x, not all at once, for loads wait in the same buffers. With a stride, x is what the stride reads of
//            it, and grad_x is spread (conv_pointwise_strided.cpp).
// Split      images or tiles of one, or rows, whichever a count of cycles finds less (split_work); no sum's order
//            follows from it. Tiny work stays on one thread.
// Cache      a tile's columns of x (depth x tile) in L1 or L2; packed weights in L2, or streamed once
//            for resident_bytes() of x. Results beyond half of the last level are stored past it.
// Cost       2 N K C positions / groups FLOPs.
// Accuracy   one chain of multiply-adds in the order of channels for each kChain of them, added in
//            order; the same bits for every number of threads.
// Limits     float32, float64.
#include "conv_pointwise.h"

#include "conv_pointwise_tile.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Panels from which on the first one copies x: where it is near, or its columns stay in L1; and beyond the caches
// (Emerald Rapids, copied and in place: 256->64 56x56 of 8 images 297 and 250 GFLOP/s, 128->32 264 and 285).
constexpr int64_t kCopyPanels = 3, kFarCopyPanels = 5;
constexpr int64_t kNearBytes = 16384;  // columns of x that L1 keeps beside weights and results
constexpr int64_t kReadCycles = 8;     // of weights beyond the caches, for each row of x
constexpr int64_t kMostTogether = 64;  // tiles
constexpr int64_t kDepthBlock = 16;
// Packed weights up to this are read for each tile; columns of x up to this are kept meanwhile: 384 KB of
// an L2 of 1 MB.
int64_t resident_bytes() { return second_level_cache() / 8 * 3; }

// y[n, m, p] = bias[m] + sum_d weight[m, d] x[n, d, p], for each group.
template <class T>
struct Pointwise {
  const T *x, *weight, *bias;
  T* y;
  int64_t images, groups, depth, rows, size;       // of a group; positions
  int64_t group_stride, row_stride, depth_stride;  // of weight
  const ConvEpilogue* epilogue = nullptr;
};

// How an image's positions are cut: whole vectors in tiles, and what is left over.
template <class T>
struct Cut {
  static constexpr int64_t L = kLanes<T>, kWidth = TileShape::kVectors * L;
  int64_t vectors, tiles, rest;
  explicit Cut(int64_t size)
      : vectors(size / L), tiles(ceil_div(vectors, TileShape::kVectors)), rest(size % L) {}
  int64_t start(int64_t t) const { return vectors * t / tiles * L; }
  int width(int64_t t) const { return static_cast<int>(start(t + 1) - start(t)); }
};

// What a block of work owns: of a group, tiles [tile, last_tile) of each of its images and, if these are all,
// what is left over of them; and panels of rows.
struct Part {
  int64_t group, image, last_image, tile, last_tile, panel, last_panel;
  bool with_rest;
};

// The last step of transpose_eight: `exchange` of bit 1, with the lanes' bits turned by one.
template <class T, int... I>
GS_INLINE void exchange_last(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> low =
      shuffle<T, ((I & 1) ? L + (((I & 7) << 1 | I >> 3) ^ 2) : ((I & 7) << 1 | I >> 3))...>(a, b);
  b = shuffle<T, ((I & 1) ? L + ((I & 7) << 1 | I >> 3) : (((I & 7) << 1 | I >> 3) ^ 2))...>(a, b);
  a = low;
}

// 8 rows of 16 elements to 16 rows of 8: rows[m][j] = rows[j % 8][2 * m + j / 8].
template <class T>
GS_INLINE void transpose_eight(Vec<T>* rows) {
  constexpr auto kAll = std::make_integer_sequence<int, kLanes<T>>{};
#pragma GCC unroll 4
  for (int i = 0; i < 4; ++i) exchange<T, 8>(rows[i], rows[i + 4], kAll);
#pragma GCC unroll 8
  for (int i = 0; i < 8; ++i) {
    if (!(i & 2)) exchange<T, 4>(rows[i], rows[i + 2], kAll);
  }
#pragma GCC unroll 8
  for (int i = 0; i < 8; i += 2) exchange_last<T>(rows[i], rows[i + 1], kAll);
}

// Packs 8 rows of K elements side by side: to[k * 8 + i] = from[i * stride + k]. 24 shuffles for 16 k,
// where pack_panel's transposes of whole vectors take 64.
template <class T>
void pack_eight(const T* from, int64_t stride, int64_t K, T* to) {
  constexpr int L = kLanes<T>;
  static_assert(L == 16);
  int64_t k = 0;
  for (; k + L <= K; k += L) {
    Vec<T> rows[8];
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) rows[i] = load(from + i * stride + k);
    transpose_eight<T>(rows);
#pragma GCC unroll 8
    for (int i = 0; i < 8; ++i) store(to + k * 8 + i * L, rows[i]);
  }
  for (; k < K; ++k) {
    for (int i = 0; i < 8; ++i) to[k * 8 + i] = from[i * stride + k];
  }
}

// Packs 16 elements of each of K rows as two panels of 8: two rows at once are a line of each panel.
template <class T>
void pack_two_panels(const T* from, int64_t stride, int64_t K, T* first, T* second) {
  constexpr int L = kLanes<T>;
  static_assert(L == 16);
  constexpr auto kAll = std::make_integer_sequence<int, L>{};
  int64_t k = 0;
  for (; k + 2 <= K; k += 2, from += 2 * stride) {
    Vec<T> low = load(from), high = load(from + stride);
    exchange<T, 8>(low, high, kAll);
    store(first + k * 8, low);
    store(second + k * 8, high);
  }
  if (k < K) {
    copy_run(first + k * 8, from, 8);
    copy_run(second + k * 8, from + 8, 8);
  }
}

template <class T>
struct Packed {
  const T* weight;
  int64_t panel_size;
  int64_t together;  // tiles that each panel of weights is read for
  bool stream;
  bool x_near;  // x stays in the threads' second levels
};

// The tiles of a part, one after the other, and where they are.
template <class T>
struct PartTiles {
  static constexpr int64_t L = kLanes<T>, kWidth = TileShape::kVectors * L;
  const Pointwise<T>& p;
  const Part& part;
  const Cut<T> cut;
  int64_t each, whole;  // tiles of an image, of all
  int64_t lanes;        // positions left over
  int64_t count;        // tiles in all

  PartTiles(const Pointwise<T>& product, const Part& of)
      : p(product), part(of), cut(product.size), each(of.last_tile - of.tile) {
    const int64_t images = part.last_image - part.image;
    whole = images * each;
    lanes = part.with_rest ? images * cut.rest : 0;
    count = whole + ceil_div(lanes, kWidth);
  }
  int64_t image(int64_t t) const { return part.image + t / each; }
  int64_t start(int64_t t) const { return cut.start(part.tile + t % each); }
  int width(int64_t t) const {
    if (t < whole) return cut.width(part.tile + t % each);
    return static_cast<int>(round_up(min(kWidth, lanes - (t - whole) * kWidth), L));
  }
  const T* x(int64_t image, int64_t start) const {
    return p.x + (image * p.groups + part.group) * p.depth * p.size + start;
  }
  T* y(int64_t image, int64_t row, int64_t start) const {
    return p.y + ((image * p.groups + part.group) * p.rows + row) * p.size + start;
  }
};

// Where a tile is, found once for all panels: a division takes as long as a row of x.
template <class T>
struct TilePlace {
  const T* x;     // of the image, or of what is left over
  const T* next;  // of what is multiplied next in its place, or nullptr: none
  T* y;           // of the first row; nullptr: left over
  T* next_y;      // of the next tile
  int width;
  bool last;  // of its image
};

template <class T>
TilePlace<T> place_of(const PartTiles<T>& tiles, int64_t t, int64_t together, int64_t at,
                      const T* rest) {
  TilePlace<T> place{};
  place.width = tiles.width(t);
  if (t >= tiles.whole) {
    place.x = rest + (t - tiles.whole) * tiles.kWidth * tiles.p.depth;
    return place;
  }
  const int64_t image = tiles.image(t), start = tiles.start(t), next = t + together;
  place.x = tiles.x(image, start);
  place.y = tiles.y(image, 0, start);
  const int64_t after = together == 1 && t + 1 < tiles.whole ? t + 1 : t;
  place.next_y = tiles.y(tiles.image(after), 0, tiles.start(after));
  place.last = (t + 1) % tiles.each == 0;
  if (next < tiles.whole) {
    place.next = tiles.x(tiles.image(next), tiles.start(next));
  } else if (at < tiles.each && tiles.part.last_image < tiles.p.images) {  // of the next part
    place.next = tiles.x(tiles.part.last_image, tiles.start(at));
  }
  return place;
}

// What is left over of an image, side by side with that of the part's other images: rest[tile][d][lane].
template <class T>
void gather_rest(const PartTiles<T>& tiles, int64_t image, T* rest) {
  const int64_t left = tiles.cut.rest, begin = (image - tiles.part.image) * left;
  for (int64_t lane = begin; lane < begin + left;) {
    const int64_t t = lane / tiles.kWidth, at = lane % tiles.kWidth;
    const int64_t n = min(tiles.kWidth - at, begin + left - lane);
    const int64_t width = tiles.width(tiles.whole + t);
    const T* from = tiles.x(image, tiles.p.size - left + (lane - begin));
    T* to = rest + t * tiles.kWidth * tiles.p.depth + at;
    for (int64_t d = 0; d < tiles.p.depth; ++d, from += tiles.p.size, to += width) {
      copy_run(to, from, n);
    }
    lane += n;
  }
}

// The same backwards: a tile's rows of results to where their images are.
template <class T>
void scatter_rest(const PartTiles<T>& tiles, int64_t t, int64_t row, int rows, T* from) {
  const int64_t left = tiles.cut.rest, width = tiles.width(t);
  const int64_t first = (t - tiles.whole) * tiles.kWidth, last = min(first + width, tiles.lanes);
  for (int64_t lane = first; lane < last;) {
    const int64_t image = tiles.part.image + lane / left, at = lane % left;
    const int64_t n = min(left - at, last - lane);
    T* const to = tiles.y(image, row, tiles.p.size - left + at);
    for (int r = 0; r < rows; ++r) {
      T* const run = from + r * width + (lane - first);
      finish(tiles.p.epilogue, to + r * tiles.p.size, run, n);
      copy_run(to + r * tiles.p.size, run, n);
    }
    lane += n;
  }
}

// Which line of the next tile is fetched when: over the last panels, so that it is still there when it is read,
// and spread over many, since only so many lines can be on their way at once.
template <class T>
struct Pace {
  static constexpr int64_t kLines = TileShape::kVectors * kLanes<T> / kLine<T> + 1;
  int64_t every, each;
  explicit Pace(int64_t panels)
      : every(clamp(panels / (2 * kLines), 1, 4)), each(panels < kLines ? 2 : 1) {}
  // The element of the line for the product that so many panels follow; -1: none.
  int64_t line(int64_t left) const {
    const int64_t i = left / every * each;
    return left % every == 0 && i < kLines ? i * kLine<T> : -1;
  }
};

// What a tile's product with panel i fetches, of which `left` follow: a line of the next tile's. And another of
// that, or those that the next panel's results go to: four times as many as its rows, of a short sum some by each.
// Own results fetched early instead: 64->64 56x56 of 8 images 0.87 ms for 0.73, 16->192 28x28 0.25 for 0.18.
template <class T>
void set_fetches(const Pointwise<T>& p, const TilePlace<T>& place, const Pace<T>& pace,
                 int64_t left, int64_t i, int64_t rows, bool stream, TileTask<T>* task) {
  task->fetched = task->second = task->x;
  task->fetch_step = 0;
  task->second_step = task->second_turn = task->second_turns = 0;
  task->second_rows = p.depth;
  if (const int64_t line = pace.line(left); line >= 0 && place.next) {
    task->fetched = place.next + line;
    task->fetch_step = p.size;
  }
  if (pace.each > 1) {
    task->second = task->fetched + kLine<T>;
    task->second_step = task->fetch_step;
  } else if (place.y && !stream) {  // of the next panel
    task->second = left > 0 ? task->y + rows * p.size : place.next_y;
    task->second_step = p.size;
    task->second_rows = rows;
    task->second_turn = kLine<T> - rows * p.size;
    task->second_turns = Pace<T>::kLines;
    if (task->fetch_step == 0 && p.depth < rows * Pace<T>::kLines) {
      task->fetched = task->second + (2 + i % 2) * kLine<T>;
      task->fetch_step = p.size;
    }
  }
}

// The products of a part. columns: room for `together` tiles' columns; rest: for what is left over.
template <class T>
void multiply_part(const Pointwise<T>& p, const Packed<T>& packed, const Part& part, T* columns,
                   T* rest) {
  constexpr int64_t L = kLanes<T>, kWidth = TileShape::kVectors * L;
  const Panels panels(p.rows);
  const PartTiles<T> tiles(p, part);
  const bool near = p.depth * kWidth * int64_t{sizeof(T)} <= kNearBytes;
  const bool copies =
      part.last_panel - part.panel >= (near || packed.x_near ? kCopyPanels : kFarCopyPanels);
  const Pace<T> pace(part.last_panel - part.panel);
  alignas(64) T edge[TileShape::kRows * kWidth];
  if (tiles.lanes % L != 0) {  // the lanes of the last vector that no image has
    const int64_t t = tiles.count - 1, width = tiles.width(t);
    T* to = rest + (t - tiles.whole) * kWidth * p.depth + (width - L);
    for (int64_t d = 0; d < p.depth; ++d, to += width) store(to, Vec<T>{});
  }
  if (tiles.each == 0) {
    for (int64_t n = part.image; n < part.last_image; ++n) gather_rest(tiles, n, rest);
  }
  for (int64_t t = 0, stop; t < tiles.count; t = stop) {
    stop = min(tiles.count, t + packed.together);
    if (tiles.whole > 0 && stop >= tiles.whole) stop = tiles.count;  // the rest: columns of its own
    if (tiles.lanes > 0 && !copies) {
      for (int64_t j = t; j < min(stop, tiles.whole); ++j) {
        if ((j + 1) % tiles.each == 0) gather_rest(tiles, tiles.image(j), rest);
      }
    }
    TilePlace<T> places[2 * kMostTogether];  // as many may be left over
    for (int64_t j = t; j < stop; ++j) {
      places[j - t] = place_of(tiles, j, packed.together, j - t, rest);
    }
    for (int64_t i = part.panel; i < part.last_panel; ++i) {
      const int rows = panels.rows(i);
      const int64_t row = panels.begin(i);
      const bool first = copies && i == part.panel;
      TileTask<T> task;
      task.depth = p.depth;
      task.weight = packed.weight + (part.group * panels.count + i) * packed.panel_size;
      task.bias = p.bias ? p.bias + part.group * p.rows + row : nullptr;
      for (int64_t j = t; j < stop; ++j) {
        const TilePlace<T>& place = places[j - t];
        const int width = place.width;
        const bool whole = place.y != nullptr;
        task.copy = columns + (j - t) * kWidth * p.depth;
        const bool copied = whole && copies && !first;
        task.x = copied ? task.copy : place.x;
        task.x_stride = whole && !copied ? p.size : width;
        task.y = whole ? place.y + row * p.size : edge;
        task.y_stride = whole ? p.size : width;
        set_fetches(p, place, pace, part.last_panel - 1 - i, i, rows, packed.stream, &task);
        const bool take_rest = first && place.last && tiles.lanes > 0;
        if (take_rest) {
          task.left = tiles.cut.rest;
          task.rest = rest + (tiles.image(j) - part.image) * task.left;
          task.rest_stride = tiles.width(tiles.whole);
        }
        const int v = width / static_cast<int>(L);
        const auto run = take_rest        ? kPointwiseTiles<T, TileKind::kCopyRest>.get(rows, v)
                         : first && whole ? kPointwiseTiles<T, TileKind::kCopy>.get(rows, v)
                         : !whole         ? kPointwiseTiles<T, TileKind::kRest>.get(rows, v)
                         : near           ? kPointwiseTiles<T, TileKind::kNear>.get(rows, v)
                                          : kPointwiseTiles<T, TileKind::kFar>.get(rows, v);
        if (!whole) {
          task.stream = false;
          run(task);
          scatter_rest(tiles, j, row, rows, edge);
          continue;
        }
        T* const y = task.y;
        task.stream = packed.stream && p.depth <= kChain && !p.epilogue;
        if (packed.stream && !task.stream) {
          task.y = edge;
          task.y_stride = width;
          run(task);
          for (int r = 0; r < rows; ++r) {
            finish(p.epilogue, y + r * p.size, edge + r * width, width);
            for (int v = 0; v < width; v += L) {
              store_stream<T>(y + r * p.size + v, load(edge + r * width + v));
            }
          }
          continue;
        }
        run(task);
        finish(p.epilogue, y, p.size, rows, width);
      }
    }
  }
  if (packed.stream) stream_fence();
}

// Cycles that a register tile of so many vectors takes for a row of x: its multiply-adds, or its loads.
int64_t tile_cycles(int64_t vectors) { return vectors == 1 ? 6 : 4 * vectors; }

// How work is split: into parts of images, of tiles of an image, and of rows.
struct Split {
  int64_t images, tiles, rows;
};

template <class T>
Split split_work(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  constexpr int64_t L = kLanes<T>, kWidth = TileShape::kVectors * L;
  const Cut<T> cut(p.size);
  const int64_t panels = Panels(p.rows).count;
  const int64_t threads = wanted > 1 ? num_threads() : 1;
  // What is left over of a part's images is one tile; or, of images without a whole vector, as many as are
  // multiplied together.
  const int64_t lanes = kWidth * (cut.tiles ? 1 : packed.together);
  const int64_t most = cut.rest ? lanes / cut.rest : packed.together > 1 ? p.images : 1;
  // A part's cycles for each row of x. What the first panel waits for takes as long as two more; weights
  // beyond the caches are read for each tiles that are multiplied together.
  const auto cycles = [&](int64_t images, int64_t of_panels) {
    const int64_t vectors = ceil_div(images * cut.rest, L);
    const int64_t reads =
        packed.together > 1 ? ceil_div(max(1, images * cut.tiles), packed.together) : 0;
    return (of_panels + 2) * (images * cut.vectors * 4 + vectors / 3 * 12 +
                              (vectors % 3 ? tile_cycles(vectors % 3) : 0)) +
           of_panels * reads * kReadCycles;
  };
  Split split{p.images, 1, 1};
  int64_t least = 0;
  for (const int64_t images : {1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48}) {
    if (images > max(1, min(most, p.images))) break;
    const int64_t parts = ceil_div(p.images, images), all = parts * p.groups;
    const int64_t each = ceil_div(p.images, parts);
    const int64_t by_images = cycles(each, panels) * ceil_div(all, threads);
    if (!least || by_images < least) {
      least = by_images;
      split = {parts, 1, 1};
    }
    if (panels < threads || threads == 1) continue;
    const int64_t by_rows = cycles(each, ceil_div(panels, threads)) * all;
    if (by_rows < least) {
      least = by_rows;
      split = {parts, 1, threads};
    }
  }
  const int64_t apart = split.images * p.groups;
  if (split.images == p.images && apart < 4 * threads && cut.tiles > 1) {
    split.tiles = clamp(ceil_div(min(wanted, 8 * threads), apart), 1,
                        max(1, cut.tiles / max(2, packed.together)));
    if (split.tiles > 1) split.rows = 1;
  }
  const int64_t blocks = apart * split.tiles;
  if (wanted > 1 && blocks < 8 * threads && blocks % threads != 0) {
    split.rows = min(threads, panels);
  }
  return split;
}

// No sum's order follows from the split.
template <class T>
Status run_parts(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  constexpr int64_t L = kLanes<T>, kWidth = TileShape::kVectors * L;
  const Panels panels(p.rows);
  const Cut<T> cut(p.size);
  const Split split = split_work(p, packed, wanted);
  const int64_t parts = split.images, tile_parts = split.tiles, row_parts = split.rows;
  const int64_t apart = p.groups * parts * tile_parts;
  const int64_t blocks = apart * row_parts;
  const int64_t columns = packed.together * kWidth * p.depth;
  const int64_t rest = round_up(ceil_div(p.images, parts) * cut.rest, kWidth) * p.depth;
  const auto bytes = static_cast<size_t>((columns + rest) * int64_t{sizeof(T)});
  bool enough = true;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    T* const scratch = static_cast<T*>(thread_scratch(bytes));
    if (!scratch) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i % row_parts, t = i / row_parts % tile_parts;
      const int64_t n = i / row_parts / tile_parts % parts;
      const Part part{i / row_parts / tile_parts / parts, p.images * n / parts,
                      p.images * (n + 1) / parts,         cut.tiles * t / tile_parts,
                      cut.tiles * (t + 1) / tile_parts,   panels.count * r / row_parts,
                      panels.count * (r + 1) / row_parts, t + 1 == tile_parts};
      multiply_part(p, packed, part, scratch, scratch + columns);
    }
  });
  return enough ? kDone : Status{Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
}

template <class T>
Status run_pointwise(const Pointwise<T>& p) {
  constexpr int64_t size = sizeof(T);
  constexpr int64_t kWidth = TileShape::kVectors * kLanes<T>;
  const Panels panels(p.rows);
  Packed<T> packed;
  // A gap after each panel takes the vector that packing may write beyond it.
  packed.panel_size = round_up(p.depth * panels.height, 16) + 16;
  const int64_t group_weights = packed.panel_size * panels.count;
  packed.together = group_weights * size <= resident_bytes()
                        ? 1
                        : clamp(resident_bytes() / size / (p.depth * kWidth), 1, kMostTogether);
  const int64_t x_bytes = p.images * p.groups * p.depth * p.size * size;
  packed.x_near = x_bytes <= second_level_cache() * num_threads();
  const int64_t out_bytes = p.images * p.groups * p.rows * p.size * size;
  packed.stream = GS_VECTOR_BYTES == 64 && beyond_cache(out_bytes) && p.size % kLanes<T> == 0 &&
                  reinterpret_cast<uintptr_t>(p.y) % GS_VECTOR_BYTES == 0;

  const auto bytes = static_cast<size_t>(group_weights * p.groups * size);
  T* const weight = static_cast<T*>(allocate(bytes));
  if (!weight) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  packed.weight = weight;
  // Turned weights by kDepthBlock of their rows, which are read whole.
  const bool turned = p.depth_stride != 1;
  const int64_t step = turned ? kDepthBlock : p.depth;
  const int64_t grain = max(turned ? 32 : 1, 16384 / (p.depth * panels.height));
  parallel_for(panels.count * p.groups, grain, [&](int64_t begin, int64_t end) {
    for (int64_t d = 0; d < p.depth; d += step) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t panel = i % panels.count;
        const T* const from = p.weight + i / panels.count * p.group_stride +
                              panels.begin(panel) * p.row_stride + d * p.depth_stride;
        const int rows = panels.rows(panel);
        if (turned && d + step < p.depth) {  // the next rows: pieces too short to be followed
          for (int64_t k = 0; k < step; ++k) __builtin_prefetch(from + (step + k) * p.depth_stride);
        }
        T* const to = weight + i * packed.panel_size + d * rows;
        if constexpr (kLanes<T> == 16) {
          if (rows == 8 && !turned) {
            pack_eight(from, p.row_stride, p.depth, to);
            continue;
          }
          const bool two = rows == 8 && i + 1 < end && panel + 1 < panels.count;
          if (two && panels.rows(panel + 1) == 8 && p.row_stride == 1) {
            pack_two_panels(from, p.depth_stride, min(step, p.depth - d), to,
                            to + packed.panel_size);
            ++i;
            continue;
          }
        }
        pack_panel(from, p.row_stride, p.depth_stride, min(step, p.depth - d), rows, rows, to);
      }
    }
  });
  const double work = 2.0 * static_cast<double>(p.images * p.groups * p.size) *
                      static_cast<double>(p.rows) * static_cast<double>(p.depth);
  const Status status = run_parts(p, packed, wanted_blocks(work, 64));
  release(weight, bytes);
  return status;
}

// ---- which cases ----

// Whether the sums are long enough, and images have some positions each.
bool pays(const Geometry& g, int64_t depth) { return depth >= 8 && g.out_positions() >= 4; }

}  // namespace

bool pointwise_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk || !is_pointwise(g) || !pays(g, g.C / g.groups)) return false;
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const int64_t depth = g.C / g.groups, rows = g.K / g.groups;
    if (!status) return true;
    CallMemory thinned;
    const T* x = reinterpret_cast<const T*>(args.x.data);
    if (is_thinned(g)) {
      if (!thinned.get(g.N * g.C * g.out_positions() * int64_t{sizeof(T)})) {
        *status = thinned.missing();
        return true;
      }
      thin_planes(thinning(g), x, static_cast<T*>(thinned.data));
      x = static_cast<const T*>(thinned.data);
    }
    *status = run_pointwise(Pointwise<T>{
        x, reinterpret_cast<const T*>(args.weight.data), reinterpret_cast<const T*>(args.bias.data),
        reinterpret_cast<T*>(args.y.data), g.N, g.groups, depth, rows, g.out_positions(),
        rows * depth, depth, 1, args.epilogue});
    if (args.epilogue) args.epilogue->done = true;
    return true;
  };
  return args.x.dtype == DType::kFloat32 ? run(0.f) : run(0.);
}

bool pointwise_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk || !is_pointwise(g) || !pays(g, g.K / g.groups)) return false;
  const auto run = [&](auto zero) {
    using T = decltype(zero);
    const int64_t depth = g.K / g.groups, rows = g.C / g.groups;
    if (is_thinned(g) && args.bias.data) return false;
    if (!status) return true;
    CallMemory thinned;
    T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
    if (is_thinned(g) && !thinned.get(g.N * g.C * g.out_positions() * int64_t{sizeof(T)})) {
      *status = thinned.missing();
      return true;
    }
    T* const product = thinned.data ? static_cast<T*>(thinned.data) : grad_x;
    *status = run_pointwise(Pointwise<T>{
        reinterpret_cast<const T*>(args.grad_y.data), reinterpret_cast<const T*>(args.weight.data),
        reinterpret_cast<const T*>(args.bias.data), product, g.N, g.groups, depth, rows,
        g.out_positions(), rows * depth, 1, rows});
    if (thinned.data && status->code == Code::kOk) spread_planes(thinning(g), product, grad_x);
    return true;
  };
  return args.grad_y.dtype == DType::kFloat32 ? run(0.f) : run(0.);
}

}  // namespace GS_ISA
}  // namespace gradsmith
