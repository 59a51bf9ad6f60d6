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
//            dropped. Images too small for that are copied side by side. With a stride, x is what the
//            stride reads of it, and grad_x is spread (conv_pointwise_strided.cpp).
// Split      tiles of positions, images, groups, and parts of the rows where these are few. Tiny work
//            stays on one thread.
// Cache      a tile's columns of x (depth x tile) in L1 or L2; packed weights in L2, or streamed once
//            for kRightBytes of x. Results beyond half of the last level are stored past it.
// Cost       2 N K C positions / groups FLOPs.
// Accuracy   one chain of multiply-adds in the order of channels for each kChain of them, added in
//            order; the same bits for every number of threads.
// Limits     float32, float64.
#include "conv_pointwise.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kWeightBytes = 384 << 10;  // packed weights up to this are read for each tile
constexpr int64_t kRightBytes = 384 << 10;
constexpr int64_t kJoinedBytes = 8 << 20;
constexpr int64_t kDepthBlock = 16;

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

template <class T>
struct TileSet {
  Tile<T, FetchingRows<T>> entry[TileShape::kRows * TileShape::kVectors];
  Tile<T, FetchingRows<T>> get(int rows, int vectors) const {
    return entry[(rows - 1) * TileShape::kVectors + vectors - 1];
  }
};

template <class T, int... I>
constexpr TileSet<T> make_tile_set(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  return {{&tile<T, I / V + 1, I % V + 1, FetchingRows<T>>...}};
}

template <class T>
constexpr TileSet<T> kTileSet =
    make_tile_set<T>(std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{});

// y[n, m, p] = bias[m] + sum_d weight[m, d] x[n, d, p], for each group.
template <class T>
struct Pointwise {
  const T *x, *weight, *bias;
  T* y;
  int64_t images, groups, depth, rows, size;       // of a group; positions
  int64_t group_stride, row_stride, depth_stride;  // of weight
  const ConvEpilogue* epilogue = nullptr;
};

// Tiles of an image, or of images that are joined: whole vectors of positions, spread evenly.
template <class T>
struct Tiles {
  static constexpr int L = kLanes<T>;
  int64_t size, vectors, count;
  bool joined;  // nothing starts earlier
  Tiles(int64_t positions, bool join)
      : size(positions),
        vectors(ceil_div(positions, L)),
        count(ceil_div(vectors, TileShape::kVectors)),
        joined(join) {}
  int64_t first(int64_t t) const { return vectors * t / count * L; }  // of its own positions
  int width(int64_t t) const { return static_cast<int>(vectors * (t + 1) / count * L - first(t)); }
  int64_t start(int64_t t) const { return joined ? first(t) : min(first(t), size - width(t)); }
};

template <class T>
struct Packed {
  const T* weight;
  int64_t panel_size;
  int64_t together;  // tiles that each panel of weights is read for
  bool stream;
};

// Where a tile's rows are read, and where they go.
template <class T>
struct Plane {
  const T* x;
  int64_t pitch;  // of x
  T* y;           // of the first image
};

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

// Tiles [t, end) of a plane and panels [panel, last) of a group. Images that are joined have one plane;
// its rows have room for whole vectors.
template <class T>
void multiply_tiles(const Pointwise<T>& p, const Packed<T>& packed, const Plane<T>& plane,
                    const Tiles<T>& tiles, int64_t group, int64_t t, int64_t end, int64_t panel,
                    int64_t last) {
  constexpr int L = kLanes<T>;
  const Panels panels(p.rows);
  const bool joined = tiles.joined;
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
      T* const row = plane.y + panels.begin(i) * p.size;
      for (int64_t j = t; j < stop; ++j) {
        const int width = tiles.width(j);
        const int64_t start = tiles.start(j), skip = tiles.first(j) - start;
        const int64_t ahead = lines > 0 ? line - start : 0;
        --lines;
        line += kLine<T>;
        const FetchingRows<T> b{plane.x + start, plane.pitch, ahead};
        const auto run = kTileSet<T>.get(rows, width / L);
        if (!packed.stream && !joined) {  // the product's lines, before they are stored
          for (int r = 0; r < rows; ++r) {
            const T* const to = row + r * p.size + start;
            for (int v = 0; v < width; v += L) __builtin_prefetch(to + v, 1);
            __builtin_prefetch(to + width - 1, 1);
          }
        }
        if (skip == 0 && !packed.stream && !joined) {
          run(p.depth, a, b, row + start, p.size, begin, bias);
          finish(p.epilogue, row + start, p.size, rows, width);
          continue;
        }
        run(p.depth, a, b, edge, width, begin, bias);
        if (joined) {
          store_joined(p, edge, width, rows, start, min(width, tiles.size - start), row);
          continue;
        }
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
      const Plane<T> plane{p.x + n * p.depth * p.size, p.size, p.y + n * p.rows * p.size};
      multiply_tiles(p, packed, plane, tiles, n % p.groups, tiles.count * part / parts,
                     tiles.count * (part + 1) / parts, panels.count * r / row_parts,
                     panels.count * (r + 1) / row_parts);
    }
  });
}

// Images whose positions do not fill vectors, side by side: kJoinedBytes of them are copied at a time.
template <class T>
Status run_joined(const Pointwise<T>& p, const Packed<T>& packed, int64_t wanted) {
  constexpr int64_t size = sizeof(T), L = kLanes<T>;
  const Panels panels(p.rows);
  const int64_t channels = p.groups * p.depth;
  const int64_t block = balanced(p.images, max(1, kJoinedBytes / (channels * p.size * size)), 1);
  // Rows an odd number of vectors apart.
  const int64_t pitch = ceil_div(block * p.size, L) / 2 * 2 * L + L;
  const auto bytes = static_cast<size_t>((channels * pitch + L) * size);
  T* const x = static_cast<T*>(allocate(bytes));
  if (!x) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  for (int64_t n = 0; n < p.images; n += block) {
    const int64_t images = min(block, p.images - n), lanes = images * p.size;
    const T* const from = p.x + n * channels * p.size;
    parallel_for(channels, max(1, (1 << 14) / lanes), [&](int64_t begin, int64_t end) {
      for (int64_t d = begin; d < end; ++d) {
        T* const to = x + d * pitch;
        for (int64_t i = 0; i < images; ++i) {
          const T* const image = from + (i * channels + d) * p.size;
          if (d + 1 < end) prefetch(image + p.size, p.size);
          copy_run(to + i * p.size, image, p.size);
        }
        for (int64_t i = lanes; i < round_up(lanes, L); ++i) to[i] = T{};
      }
    });
    const Tiles<T> tiles(lanes, true);
    const int64_t parts = ceil_div(tiles.count, packed.together);
    const int64_t row_parts = clamp(ceil_div(min(wanted, 16), parts * p.groups), 1, panels.count);
    const int64_t blocks = parts * row_parts * p.groups;
    parallel_for(blocks, max(1, blocks / wanted), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t r = i % row_parts, part = i / row_parts % parts,
                      group = i / row_parts / parts;
        const Plane<T> plane{x + group * p.depth * pitch, pitch,
                             p.y + (n * p.groups + group) * p.rows * p.size};
        multiply_tiles(p, packed, plane, tiles, group, tiles.count * part / parts,
                       tiles.count * (part + 1) / parts, panels.count * r / row_parts,
                       panels.count * (r + 1) / row_parts);
      }
    });
  }
  release(x, bytes);
  return kDone;
}

// Whether an image's positions fill its tiles' vectors well.
template <class T>
bool positions_fill(int64_t size) {
  constexpr int64_t L = kLanes<T>;
  if (size % L != 0 && size < TileShape::kVectors * L) return false;
  return (round_up(size, L) - size) * 8 <= size;
}

template <class T>
Status run_pointwise(const Pointwise<T>& p) {
  constexpr int64_t size = sizeof(T);
  constexpr int64_t kWidth = TileShape::kVectors * kLanes<T>;
  const Panels panels(p.rows);
  const bool joined = !positions_fill<T>(p.size);
  Packed<T> packed;
  // A gap after each panel takes the vector that packing may write beyond it.
  packed.panel_size = round_up(p.depth * panels.height, 16) + 16;
  const int64_t group_weights = packed.panel_size * panels.count;
  packed.together =
      group_weights * size <= kWeightBytes ? 1 : max(1, kRightBytes / size / (p.depth * kWidth));
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
  const int64_t grain = max(turned ? 32 : 1, 32768 / (p.depth * panels.height));
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
        pack_panel(from, p.row_stride, p.depth_stride, min(step, p.depth - d), rows, rows,
                   weight + i * packed.panel_size + d * rows);
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
