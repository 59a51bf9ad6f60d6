// first_layer_fwd: conv_fwd where few channels are read by large, strided filters: lanes are output channels.
//
// Layout     as conv.cpp's.
// Method     a register tile is up to kWide positions of a row times one or two vectors of channels: for each
//            tap, a row's inputs, broadcast from where they lie, times the filters' vectors. A row is cut
//            evenly, so that no lane and no sum is lost at its end; conv.h's planes would have one of every
//            remainder of the stride and tap, more than L1 holds. Only the first tile of a row and the last
//            read padding: their columns are copied with its zeros; rows of it are left out. Finished cells, a
//            vector of channels a position, are transposed while the next rows' tiles are computed, which
//            fetch the inputs of those below.
// Split      images, boxes of rows.
// Cache      packed filters, copied columns of a box and cells of kCells positions in L2.
// Cost       2 N K out C taps FLOPs, K rounded up to whole vectors; y is stored twice.
// Accuracy   chains of about kChain products, of whole channels, added in order: the same bits for every
//            number of threads.
// Limits     float32, float64; one group; up to two dimensions; vectors of 32 bytes and more; `pays` says
//            which shapes.
//
// AlexNet N8 3->64 224x224 k11 s4, two threads of an Emerald Rapids: 3.93 -> 3.63 ms; 8x8 s4 of 4 channels,
// N32: 1.01 -> 0.78; 7x7 s2 of 3 channels, which are tiles of rows (conv_row_tiles.h): 0.96 times as fast.
#include "conv_first_layer.h"

#include "conv.h"
#include "conv_image_lanes.h"
#include "conv_row_tiles.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kWide = 14;
#else
constexpr int kWide = 6;
#endif
constexpr int kNarrow = kWide / 2;  // of rows that are cut evenly
constexpr int64_t kMostEntries = 1024, kMostRow = 512;
constexpr int64_t kCells = 128, kBoxRows = 12, kBlocks = 16;

// The inputs of a tile's first position: steps from a channel to the next, from a row, and to the next row of
// the output; and the filters that are passed over with the rows of the padding.
template <class T>
struct Window {
  const T* x;
  int64_t channel, row, below;
  int64_t channels, rows, taps, skipped;
};

// cells[i * kLanes + j * plane] = `start`, or what is there, + the sum over the window of x[i * STEP] times the
// filters' vector j. Fetches what the tile below reads.
template <class T, int W, int NV, int STEP>
__attribute__((noinline)) void window_tile(const Window<T>& window, const T* weight, const T* start,
                                           T* cells, int64_t plane) {
  constexpr int L = kLanes<T>, kLine = 64 / static_cast<int>(sizeof(T));
  Vec<T> sum[W][NV];
#pragma GCC unroll 16
  for (int i = 0; i < W; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
  }
#pragma GCC unroll 1
  for (int64_t c = 0; c < window.channels; ++c) {
    const T* row = window.x + c * window.channel;
#pragma GCC unroll 1
    for (int64_t r = 0; r < window.rows; ++r, row += window.row) {
#pragma GCC unroll 16
      for (int i = 0; i < (W - 1) * STEP + kLine; i += kLine) {
        __builtin_prefetch(row + window.below + i, 0, 2);
      }
      const T* value = row;
#pragma GCC unroll 1
      for (int64_t k = 0; k < window.taps; ++k, ++value, weight += NV * L) {
        // Else GCC keeps values for the next tap, and spills sums: half as fast.
        asm("" : "+r"(value));
        Vec<T> right[NV];
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) right[j] = load(weight + j * L);
#pragma GCC unroll 16
        for (int i = 0; i < W; ++i) {
          const Vec<T> left = splat(value[i * STEP]);
#pragma GCC unroll 2
          for (int j = 0; j < NV; ++j) sum[i][j] += left * right[j];
        }
      }
    }
    weight += window.skipped * NV * L;
  }
#pragma GCC unroll 2
  for (int j = 0; j < NV; ++j) {
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) {
      T* const put = cells + j * plane + i * L;
      store(put, sum[i][j] + load(start ? start + j * L : put));
    }
  }
}

template <class T>
using WindowTile = void (*)(const Window<T>&, const T*, const T*, T*, int64_t);
constexpr int kWidths = kWide - kNarrow + 1;
template <class T>
struct WindowTiles {
  WindowTile<T> entry[kWidths * 4];
  WindowTile<T> get(int64_t width, int64_t vectors, int64_t step) const {  // of 2 or 4
    return entry[(width - kNarrow) * 4 + (vectors - 1) * 2 + step / 4];
  }
};
template <class T, int... I>
constexpr WindowTiles<T> make_window_tiles(std::integer_sequence<int, I...>) {
  return {{&window_tile<T, kNarrow + I / 4, I / 2 % 2 + 1, I % 2 * 2 + 2>...}};
}
template <class T>
constexpr WindowTiles<T> kWindowTiles =
    make_window_tiles<T>(std::make_integer_sequence<int, kWidths * 4>{});

// What is computed, and how it is cut.
template <class T>
struct FirstLayer {
  static constexpr int64_t L = kLanes<T>;
  Geometry g;
  const T* x;
  T* y;
  const ConvEpilogue* epilogue;
  const T *packed = nullptr, *starts = nullptr;  // filters [pair][channel][tap][vector][lane]; bias
  int64_t vectors, entries;                      // of channels written; taps of all channels read
  int64_t tiles;                                 // of a row
  int64_t rows, boxes;                           // output rows of a box; boxes of an image
  int64_t group;                                 // rows whose cells are stored together
  int64_t channels;                              // read at a time
  int64_t hull, edge;                            // copied rows of a box, and columns of a tile

  FirstLayer(const Geometry& geometry, const ConvFwdArgs& args)
      : g(geometry),
        x(reinterpret_cast<const T*>(args.x.data)),
        y(reinterpret_cast<T*>(args.y.data)),
        epilogue(args.epilogue),
        vectors(ceil_div(g.K, L)),
        entries(g.C * g.taps()),
        tiles(ceil_div(g.out[2], kWide)),
        rows(even_part(g.out[1], clamp(g.N * g.out[1] / kBlocks, 1, kBoxRows))),
        boxes(ceil_div(g.out[1], rows)),
        group(clamp(kCells / g.out[2], 1, rows)),
        channels(even_part(g.C, max(1, kChain / g.taps()))),
        hull((rows - 1) * g.stride[1] + g.kernel[1]),
        edge(round_up((ceil_div(g.out[2], tiles) - 1) * g.stride[2] + g.kernel[2], L)) {}

  int64_t column(int64_t tile) const { return g.out[2] * tile / tiles; }
  int64_t left(int64_t tile) const { return column(tile) * g.stride[2] - g.padding[2]; }
  int64_t pair_vectors(int64_t v) const { return min(2, vectors - v); }
  int64_t group_tiles() const {
    return ceil_div(vectors, 2) * ceil_div(g.C, channels) * group * tiles;
  }
  int64_t side() const { return g.C * hull * edge; }
  const T* filters(int64_t v, int64_t entry) const {
    return packed + (v * entries + entry * pair_vectors(v)) * L;
  }
};

// The columns that the first tile and the last read, with the padding's zeros: of the rows from `top` on.
template <class T>
void fill_sides(const FirstLayer<T>& w, const T* image, int64_t top, T* to) {
  const Geometry& g = w.g;
  for (const int64_t tile : {int64_t{0}, w.tiles - 1}) {
    for (int64_t c = 0; c < g.C; ++c) {
      for (int64_t y = top; y < top + w.hull; ++y, to += w.edge) {
        if (y < 0 || y >= g.in[1]) continue;
        const T* const row = image + c * g.in_positions() + y * g.in[2];
        for (int64_t i = 0; i < w.edge; i += kLanes<T>) {
          store(to + i, load_inside(row, w.left(tile) + i, g.in[2]));
        }
      }
    }
  }
}

// Cells of a group of rows that are stored while the next group is multiplied, some after each of its tiles:
// their lines come from L3, and all at once would wait for them (3.70 -> 3.63 ms).
template <class T>
struct Pending {
  const T* cells = nullptr;
  T* y = nullptr;
  int64_t plane = 0, positions = 0;  // from a vector to the next; of the group
  int64_t stored = 0, steps = 0;     // blocks of kLanes positions of a vector; tiles since

  void put(const FirstLayer<T>& w, int64_t end) {
    constexpr int64_t L = kLanes<T>;
    const int64_t across = ceil_div(positions, L), size = w.g.out_positions();
    for (; stored < end; ++stored) {
      const int64_t v = stored / across, i = stored % across * L;
      scatter_cells(cells + v * plane + i * L, min(L, positions - i), min(L, w.g.K - v * L),
                    y + v * L * size + i, size);
    }
  }
  int64_t blocks(const FirstLayer<T>& w) const {
    return w.vectors * ceil_div(positions, kLanes<T>);
  }
  // After one of `all` tiles.
  void step(const FirstLayer<T>& w, int64_t all) { put(w, min(++steps, all) * blocks(w) / all); }
  void put_all(const FirstLayer<T>& w) {
    put(w, blocks(w));
    if (positions > 0) finish(w.epilogue, y, w.g.out_positions(), w.g.K, positions);
  }
};

// The cells of row `row` of those that are stored together, for vectors v, v + 1 and channels from c on. The
// first tap reads row `line` of the image; sides are copied from row `top` on.
template <class T>
void multiply_row(const FirstLayer<T>& w, const T* image, const T* sides, int64_t line, int64_t top,
                  int64_t v, int64_t c, int64_t row, T* cells, int64_t plane, Pending<T>* pending) {
  constexpr int64_t L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t low = clamp(-line, 0, g.kernel[1]);
  const int64_t high = clamp(g.in[1] - line, low, g.kernel[1]);
  Window<T> window;
  window.channels = min(w.channels, g.C - c);
  window.rows = high - low;
  window.taps = g.kernel[2];
  window.skipped = (g.kernel[1] - window.rows) * g.kernel[2];
  for (int64_t t = 0; t < w.tiles; ++t) {
    const int64_t column = w.column(t), at = line + low;
    if (t == 0 || t == w.tiles - 1) {
      window.row = w.edge;
      window.channel = w.hull * w.edge;
      window.x = sides + (t ? w.side() : 0) + c * window.channel + (at - top) * w.edge;
    } else {
      window.row = g.in[2];
      window.channel = g.in_positions();
      window.x = image + c * window.channel + at * g.in[2] + w.left(t);
    }
    window.below = g.stride[1] * window.row;
    kWindowTiles<T>.get(w.column(t + 1) - column, w.pair_vectors(v), g.stride[2])(
        window, w.filters(v, c * g.taps() + low * g.kernel[2]), c ? nullptr : w.starts + v * L,
        cells + v * plane + (row * g.out[2] + column) * L, plane);
    pending->step(w, w.group_tiles());
  }
}

template <class T>
Status run(FirstLayer<T>& w, const T* weight, const T* bias) {
  constexpr int64_t L = kLanes<T>, kPart = 64;
  const Geometry& g = w.g;
  const int64_t out = g.out[2], out_size = g.out_positions();
  const int64_t packed_size = w.vectors * w.entries * L;
  const auto bytes = static_cast<size_t>(packed_size + w.vectors * L) * sizeof(T);
  T* const packed = static_cast<T*>(allocate(bytes));
  if (!packed) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  T* const starts = packed + packed_size;
  for (int64_t i = 0; i < w.vectors * L; ++i) starts[i] = bias && i < g.K ? bias[i] : T{};
  w.packed = packed;
  w.starts = starts;
  const int64_t parts = ceil_div(w.entries, kPart);
  parallel_for(ceil_div(w.vectors, 2) * parts, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t v = i / parts * 2, e = i % parts * kPart, lanes = w.pair_vectors(v) * L;
      pack_panel(weight + v * L * w.entries + e, w.entries, 1, min(kPart, w.entries - e),
                 static_cast<int>(min(lanes, g.K - v * L)), static_cast<int>(lanes),
                 packed + (w.filters(v, e) - packed));
    }
  });

  const int64_t cells_size = w.vectors * w.group * out * L, all = g.N * w.boxes;
  const auto scratch_bytes = static_cast<size_t>(2 * w.side() + 2 * cells_size) * sizeof(T);
  const double work = 2.0 * static_cast<double>(g.N * out_size) * static_cast<double>(g.K) *
                      static_cast<double>(w.entries);
  bool enough = true;
  parallel_for(all, max(1, all / wanted_blocks(work, kBlocks)), [&](int64_t begin, int64_t end) {
    T* const sides = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!sides) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T *cells = sides + 2 * w.side(), *other = cells + cells_size;
    Pending<T> pending;
    for (int64_t box = begin; box < end; ++box) {
      const int64_t n = box / w.boxes, first = box % w.boxes * w.rows;
      const int64_t last = min(first + w.rows, g.out[1]);
      const int64_t top = first * g.stride[1] - g.padding[1];
      const T* const image = w.x + n * g.C * g.in_positions();
      fill_sides(w, image, top, sides);
      for (int64_t row = first; row < last; row += w.group) {
        const int64_t some = min(w.group, last - row), plane = some * out * L;
        for (int64_t v = 0; v < w.vectors; v += 2) {
          for (int64_t c = 0; c < g.C; c += w.channels) {
            for (int64_t r = 0; r < some; ++r) {
              multiply_row(w, image, sides, (row + r) * g.stride[1] - g.padding[1], top, v, c, r,
                           cells, plane, &pending);
            }
          }
        }
        pending.put_all(w);
        pending = {cells, w.y + n * g.K * out_size + row * out, plane, some * out};
        T* const next = other;
        other = cells;
        cells = next;
      }
    }
    pending.put_all(w);
  });
  release(packed, bytes);
  if (!enough) return {Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
  return kDone;
}

// Whether channels fill two vectors, sums are longer than conv_row_tiles.h takes, and no tile of a row but the
// first and the last reads its padding.
template <class T>
bool pays(const Geometry& g) {
  constexpr int64_t L = kLanes<T>;
  if (GS_VECTOR_BYTES < 32 || g.groups != 1 || g.N == 0 || g.C == 0) return false;
  if (g.in[0] != 1 || g.out[0] != 1 || g.kernel[0] != 1 || g.padding[0] != 0) return false;
  for (int d = 1; d < kSpatial; ++d) {
    if (g.dilation[d] != 1 || g.padding[d] < 0 || g.padding[d] >= g.kernel[d]) return false;
    if (g.in[d] < 1 || g.out[d] < 1) return false;
  }
  const int64_t entries = g.C * g.taps(), step = g.stride[2], out = g.out[2];
  if (entries <= kShortSum || entries > kMostEntries || (step != 2 && step != 4)) return false;
  if (out <= kWide || out > kMostRow || g.K <= L || 4 * g.K < 3 * round_up(g.K, L)) return false;
  const int64_t tiles = ceil_div(out, kWide);
  const int64_t reach = (out * (tiles - 1) / tiles - 1) * step + g.kernel[2] - g.padding[2];
  return reach <= g.in[2] && out / tiles * step >= g.padding[2];
}

template <class T>
bool run_if_it_pays(const ConvFwdArgs& args, const Geometry& g, Status* status) {
  if (!pays<T>(g)) return false;
  if (args.epilogue) args.epilogue->done = true;
  FirstLayer<T> w(g, args);
  *status = run(w, reinterpret_cast<const T*>(args.weight.data),
                reinterpret_cast<const T*>(args.bias.data));
  return true;
}

}  // namespace

bool first_layer_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.x.dtype == DType::kFloat32 ? run_if_it_pays<float>(args, g, status)
                                         : run_if_it_pays<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
