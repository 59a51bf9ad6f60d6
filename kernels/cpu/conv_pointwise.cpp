// Convolution with kernels of one element, without padding, and its input gradient.
//
//   y[n, k, p] = bias[k] + sum_c weight[k, c] x[n, c, p];  grad_x: the same with weight^T;
//   p the positions of an image. grad_weight: conv_pointwise_weight.cpp.
//
// Layout     as conv.cpp; any groups.
// Method     products of matrices on the arrays as they are: rows of the register tile (gemm.h) are
//            output channels, lanes are positions. x is read where it is, and the lines of the next
//            tiles are fetched while this one is multiplied, since no prefetcher of a processor
//            follows a stream a channel; so are the lines that a tile's results go to. The last
//            tile of an image starts earlier instead of ending late; what it computes twice is
//            dropped. Where that is much, tiles are of all images side by side: each thread gathers
//            the columns that it multiplies next. With a stride, x is what the
//            stride reads of it, and grad_x is spread (conv_pointwise_strided.cpp).
// Split      tiles of positions, images, groups, and parts of the rows where these are few. Tiny work
//            stays on one thread.
// Cache      a tile's columns of x (depth x tile) in L1 or L2; packed weights in L2, or streamed once
//            for resident_bytes() of x. Results beyond half of the last level are stored past it.
// Cost       2 N K C positions / groups FLOPs.
// Accuracy   one chain of multiply-adds in the order of channels for each kChain of them, added in
//            order; the same bits for every number of threads.
// Limits     float32, float64.
#include "conv_pointwise.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kDepthBlock = 16;
constexpr int64_t kAhead = 16;  // rows of a channel's lanes, as they are gathered

// Packed weights up to this are read for each tile; columns of x up to this are kept meanwhile: 384 KB of
// an L2 of 1 MB.
int64_t resident_bytes() { return second_level_cache() / 8 * 3; }

// Rows a stride apart; with each, the line `ahead` of it is fetched.
template <class T>
struct FetchingRows {
  const T* row;
  int64_t stride, ahead;
  GS_INLINE const T* next() {
    const T* p = row;
    __builtin_prefetch(p + ahead);
    row += stride;
    return p;
  }
};

// Rows that were gathered; with each, a line of those that are gathered next is fetched into L2.
template <class T>
struct GatheredRows {
  const T* row;
  int64_t stride;
  const T* fetched;
  int64_t step;
  GS_INLINE const T* next() {
    const T* p = row;
    __builtin_prefetch(fetched, 0, 2);
    fetched += step;
    row += stride;
    return p;
  }
};

template <class T, class Rows>
struct TileSet {
  Tile<T, Rows> entry[TileShape::kRows * TileShape::kVectors];
  Tile<T, Rows> get(int rows, int vectors) const {
    return entry[(rows - 1) * TileShape::kVectors + vectors - 1];
  }
};

template <class T, class Rows, int... I>
constexpr TileSet<T, Rows> make_tile_set(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  return {{&tile<T, I / V + 1, I % V + 1, Rows>...}};
}

template <class T, class Rows>
constexpr TileSet<T, Rows> kTileSet = make_tile_set<T, Rows>(
    std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{});

// y[n, m, p] = bias[m] + sum_d weight[m, d] x[n, d, p], for each group.
template <class T>
struct Pointwise {
  const T *x, *weight, *bias;
  T* y;
  int64_t images, groups, depth, rows, size;       // of a group; positions
  int64_t group_stride, row_stride, depth_stride;  // of weight
  const ConvEpilogue* epilogue = nullptr;
};

// Tiles of an image, or of images side by side: whole vectors of positions, spread evenly.
template <class T>
struct Tiles {
  static constexpr int L = kLanes<T>;
  int64_t size, vectors, count;
  bool joined;  // nothing starts earlier
  Tiles(int64_t positions, bool join)
      : size(positions),
        vectors(ceil_div(positions, L)),
        count(ceil_div(vectors, TileShape::kVectors)),
        joined(join) {
    // Few tiles are an even number: most machines have one of threads.
    if (join && count > 1 && count < 16) count = min(round_up(count, 2), vectors);
  }
  int64_t first(int64_t t) const { return vectors * t / count * L; }  // of its own positions
  int width(int64_t t) const { return static_cast<int>(vectors * (t + 1) / count * L - first(t)); }
  int64_t start(int64_t t) const { return joined ? first(t) : min(first(t), size - width(t)); }
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

template <class T>
struct Packed {
  const T* weight;
  int64_t panel_size;
  int64_t together;  // tiles that each panel of weights is read for
  bool stream;
};

// Tiles [t, end) of an image's group at x and panels [panel, last) of it.
template <class T>
void multiply_tiles(const Pointwise<T>& p, const Packed<T>& packed, const T* x, T* y,
                    const Tiles<T>& tiles, int64_t group, int64_t t, int64_t end, int64_t panel,
                    int64_t last) {
  constexpr int L = kLanes<T>;
  const Panels panels(p.rows);
  alignas(64) T edge[TileShape::kRows * TileShape::kVectors * L];
  for (; t < end; t += packed.together) {
    const int64_t stop = min(end, t + packed.together), after = min(end, stop + packed.together);
    // The next tiles' lines: column after column, one in each product.
    const int64_t next = stop < end ? tiles.start(stop) : 0;
    int64_t lines =
        stop < end ? ceil_div(tiles.start(after - 1) + tiles.width(after - 1) - next, kLine<T>) + 1
                   : 0;
    int64_t line = next;
    for (int64_t i = panel; i < last; ++i) {
      const int rows = panels.rows(i);
      const T* const a = packed.weight + (group * panels.count + i) * packed.panel_size;
      const T* const bias = p.bias ? p.bias + group * p.rows + panels.begin(i) : nullptr;
      const Start begin = bias ? Start::kRowValues : Start::kZero;
      T* const row = y + panels.begin(i) * p.size;
      for (int64_t j = t; j < stop; ++j) {
        const int width = tiles.width(j);
        const int64_t start = tiles.start(j), skip = tiles.first(j) - start;
        const int64_t ahead = lines > 0 ? line - start : 0;
        --lines;
        line += kLine<T>;
        const FetchingRows<T> b{x + start, p.size, ahead};
        const auto run = kTileSet<T, FetchingRows<T>>.get(rows, width / L);
        if (!packed.stream) {  // the product's lines, before they are stored
          for (int r = 0; r < rows; ++r) {
            const T* const to = row + r * p.size + start;
            for (int v = 0; v < width; v += L) __builtin_prefetch(to + v, 1);
            __builtin_prefetch(to + width - 1, 1);
          }
        }
        if (skip == 0 && !packed.stream) {
          run(p.depth, a, b, row + start, p.size, begin, bias);
          finish(p.epilogue, row + start, p.size, rows, width);
          continue;
        }
        run(p.depth, a, b, edge, width, begin, bias);
        for (int r = 0; r < rows; ++r) {
          T* const to = row + r * p.size + start;
          T* const from = edge + r * width;
          finish(p.epilogue, to + skip, from + skip, width - skip);
          if (packed.stream) {
            for (int v = 0; v < width; v += L) store_stream<T>(to + v, load(from + v));
          } else {
            copy_run(to + skip, from + skip, width - skip);
          }
        }
      }
    }
  }
  if (packed.stream) stream_fence();
}

// The products of each image where it is.
template <class T>
void run_apart(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  const Panels panels(p.rows);
  const Tiles<T> tiles(p.size, false);
  const int64_t planes = p.images * p.groups;
  const int64_t parts =
      clamp(ceil_div(wanted, planes), 1, max(1, tiles.count / max(2, packed.together)));
  const int64_t row_parts = clamp(min(wanted, 16) / (planes * parts), 1, panels.count);
  const int64_t blocks = planes * parts * row_parts;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t r = i % row_parts, part = i / row_parts % parts, n = i / row_parts / parts;
      multiply_tiles(p, packed, p.x + n * p.depth * p.size, p.y + n * p.rows * p.size, tiles,
                     n % p.groups, tiles.count * part / parts, tiles.count * (part + 1) / parts,
                     panels.count * r / row_parts, panels.count * (r + 1) / row_parts);
    }
  });
}

// ---- images side by side ----

// Lanes [lane, lane + width) of images in a row, of all channels of a group: to[d * width + lane].
template <class T>
void gather(const Pointwise<T>& p, int64_t group, int64_t lane, int64_t width, T* to) {
  const int64_t lanes = p.images * p.size;
  for (int64_t done = 0; done < width;) {
    const int64_t left = width - done;
    if (lane + done >= lanes) {
      for (int64_t d = 0; d < p.depth; ++d) {
        for (int64_t i = done; i < width; ++i) to[d * width + i] = T{};
      }
      return;
    }
    const int64_t image = (lane + done) / p.size, at = (lane + done) % p.size;
    const int64_t run = min(p.size - at, left);
    const T* from = p.x + (image * p.groups + group) * p.depth * p.size + at;
    T* row = to + done;
    for (int64_t d = 0; d < p.depth; ++d, from += p.size, row += width) {
      prefetch(from + kAhead * p.size, run);
      copy_run(row, from, run);
    }
    done += run;
  }
}

// Stores the tile's rows `from`: lanes [first, first + count) of images in a row.
template <class T>
void store_joined(const Pointwise<T>& p, T* from, int64_t width, int rows, int64_t first,
                  int64_t count, T* y) {
  const int64_t image_stride = p.groups * p.rows * p.size;
  for (int64_t lane = first; lane < first + count;) {
    const int64_t image = lane / p.size, at = lane % p.size;
    const int64_t run = min(p.size - at, first + count - lane);
    T* const to = y + image * image_stride + at;
    for (int r = 0; r < rows; ++r) {
      finish(p.epilogue, to + r * p.size, from + r * width + (lane - first), run);
      copy_run(to + r * p.size, from + r * width + (lane - first), run);
    }
    lane += run;
  }
}

// Tiles [t, end) of images side by side and panels [panel, last) of a group. columns: room for what is
// gathered for `together` tiles.
template <class T>
void multiply_gathered(const Pointwise<T>& p, const Packed<T>& packed, const Tiles<T>& tiles,
                       int64_t group, int64_t t, int64_t end, int64_t panel, int64_t last,
                       T* columns) {
  constexpr int L = kLanes<T>;
  const Panels panels(p.rows);
  const int64_t image_stride = p.groups * p.rows * p.size;
  alignas(64) T edge[TileShape::kRows * TileShape::kVectors * L];
  for (; t < end; t += packed.together) {
    // Beyond its own tiles, a thread most often goes on with the next ones.
    const int64_t stop = min(end, t + packed.together);
    const int64_t after = min(tiles.count, stop + packed.together);
    T* to = columns;
    for (int64_t j = t; j < stop; ++j) {
      gather(p, group, tiles.first(j), tiles.width(j), to);
      to += p.depth * tiles.width(j);
    }
    // The lanes that are gathered next: a line of all channels in each product.
    int64_t line = tiles.first(stop);
    const int64_t lines =
        stop < after ? min(tiles.size, tiles.first(after - 1) + tiles.width(after - 1)) : 0;
    for (int64_t i = panel; i < last; ++i) {
      const int rows = panels.rows(i);
      const T* const a = packed.weight + (group * panels.count + i) * packed.panel_size;
      const T* const bias = p.bias ? p.bias + group * p.rows + panels.begin(i) : nullptr;
      const Start begin = bias ? Start::kRowValues : Start::kZero;
      T* const row = p.y + (group * p.rows + panels.begin(i)) * p.size;
      const T* from = columns;
      for (int64_t j = t; j < stop; ++j) {
        const int width = tiles.width(j);
        GatheredRows<T> b{from, width, from, 0};
        from += p.depth * width;
        if (line < lines) {
          const int64_t image = line / p.size, at = line % p.size;
          b.fetched = p.x + (image * p.groups + group) * p.depth * p.size + at;
          b.step = p.size;
          line += min(kLine<T>, p.size - at);
        }
        const auto run = kTileSet<T, GatheredRows<T>>.get(rows, width / L);
        const int64_t lane = tiles.first(j), at = lane % p.size;
        T* const first = row + lane / p.size * image_stride + at;
        for (int r = 0; r < rows; ++r) {  // the product's lines, before they are stored
          for (int v = 0; v < width; v += L) __builtin_prefetch(first + r * p.size + v, 1);
        }
        if (at + width <= p.size) {
          run(p.depth, a, b, first, p.size, begin, bias);
          finish(p.epilogue, first, p.size, rows, width);
        } else {
          run(p.depth, a, b, edge, width, begin, bias);
          store_joined(p, edge, width, rows, lane, min(width, tiles.size - lane), row);
        }
      }
    }
  }
}

// What a thread gathers is in its own L2 when it is multiplied; of few tiles, each thread has rows of its
// own, whose weights it packed itself. The split follows the number of threads; no sum's order does.
template <class T>
Status run_joined(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  constexpr int64_t size = sizeof(T), L = kLanes<T>;
  const Panels panels(p.rows);
  const Tiles<T> tiles(p.images * p.size, true);
  const int64_t threads = num_threads(), parts = ceil_div(tiles.count, packed.together);
  const int64_t planes = parts * p.groups;
  int64_t row_parts = ceil_div(min(wanted, 2 * threads), planes);
  if (wanted > 1 && planes < 8 * threads && planes * row_parts % threads != 0) {
    row_parts = round_up(row_parts, threads);
  }
  row_parts = clamp(row_parts, 1, panels.count);
  const int64_t blocks = planes * row_parts;
  const auto bytes =
      static_cast<size_t>(packed.together * TileShape::kVectors * L * p.depth * size);
  bool enough = true;
  parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
    T* const columns = static_cast<T*>(thread_scratch(bytes));
    if (!columns) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t part = i % parts, r = i / parts % row_parts, group = i / parts / row_parts;
      multiply_gathered(p, packed, tiles, group, tiles.count * part / parts,
                        tiles.count * (part + 1) / parts, panels.count * r / row_parts,
                        panels.count * (r + 1) / row_parts, columns);
    }
  });
  return enough ? kDone : Status{Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
}

// Whether an image's positions fill its tiles' vectors well.
template <class T>
bool positions_fill(int64_t size) {
  constexpr int64_t L = kLanes<T>;
  if (size % L != 0 && size < TileShape::kVectors * L) return false;
  return (round_up(size, L) - size) * 8 <= size;
}

// Whether lanes that a last tile would compute twice cost more than each is copied for.
template <class T>
bool gathering_pays(const Pointwise<T>& p) {
  constexpr int64_t L = kLanes<T>;
  return p.images > 1 && p.rows >= 128 && p.depth >= 64 &&
         (round_up(p.size, L) - p.size) * 32 > p.size;
}

template <class T>
Status run_pointwise(const Pointwise<T>& p) {
  constexpr int64_t size = sizeof(T);
  constexpr int64_t kWidth = TileShape::kVectors * kLanes<T>;
  const Panels panels(p.rows);
  const bool joined = !positions_fill<T>(p.size) || gathering_pays(p);
  Packed<T> packed;
  // A gap after each panel takes the vector that packing may write beyond it.
  packed.panel_size = round_up(p.depth * panels.height, 16) + 16;
  const int64_t group_weights = packed.panel_size * panels.count;
  packed.together = group_weights * size <= resident_bytes()
                        ? 1
                        : max(1, resident_bytes() / size / (p.depth * kWidth));
  const int64_t out_bytes = p.images * p.groups * p.rows * p.size * size;
  packed.stream = GS_VECTOR_BYTES == 64 && !joined && beyond_cache(out_bytes) &&
                  p.size % kLanes<T> == 0 &&
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
        }
        pack_panel(from, p.row_stride, p.depth_stride, min(step, p.depth - d), rows, rows, to);
      }
    }
  });
  const double work = 2.0 * static_cast<double>(p.images * p.groups * p.size) *
                      static_cast<double>(p.rows) * static_cast<double>(p.depth);
  Status status = kDone;
  if (joined) {
    status = run_joined(p, packed, wanted_blocks(work, 64));
  } else {
    run_apart(p, packed, wanted_blocks(work, 64));
  }
  release(weight, bytes);
  return status;
}

// ---- which cases ----

// Whether the sums are long enough; a copy of joined images has to have some positions of each.
bool pays(const Geometry& g, int64_t depth) { return depth >= 8 && g.out_positions() >= 4; }

}  // namespace

bool pointwise_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x.shape, args.x.ndim, args.weight.shape,
                                       args.weight.ndim, args.out_shape.v, args.out_shape.n,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
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
  const Status checked = make_geometry(args.x_shape.v, args.x_shape.n, args.weight.shape,
                                       args.weight.ndim, args.grad_y.shape, args.grad_y.ndim,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
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
