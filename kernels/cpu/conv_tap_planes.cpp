// tap_planes_fwd, tap_planes_bwd_input: conv_fwd and conv_bwd_input where one channel is written, or one of
// each group: the input gradient of images of one channel, the last layer of a mask or a depth.
//
// Layout     as conv.cpp's.
// Method     conv.cpp's register tile has output channels as rows: with one of them each product needs a load
//            of its own, mostly across two lines of the cache. Here the rows are the taps. For a band of
//            output rows, plane t = sum_c weight[c, t] * x[c] of the inputs that the band reads is a product
//            of matrices, [taps x channels] times [channels x positions] with x read where it is; then
//            y[o] = bias + sum_t plane[t][the input that tap t of o reads], zero outside.
// Split      images, groups, channels written, bands of rows.
// Cache      a band's planes, kPlaneBytes, in L2.
// Cost       2 N K out (C / groups) taps FLOPs, and those of the rows that two bands read; a load and an
//            addition a tap of an output.
// Accuracy   chains of at most kChain channels for a tap, then taps in order: the same bits for every number
//            of threads.
// Limits     float32, float64; stride 1; two dimensions; `pays` says which shapes.
#include "conv_tap_planes.h"

#include "conv.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kPlaneBytes = 256 << 10, kMostTaps = 64, kLeastDepth = 8, kMostRows = 1;

template <class T>
struct TapPlanes {
  const T *x, *weight, *bias;
  T* y;
  int64_t images, groups, depth, rows;  // channels read and written, of a group
  const int64_t *in, *out, *kernel;
  int64_t first[kSpatial], step[kSpatial];           // output o reads first + o + tap * step
  int64_t group_stride, row_stride, channel_stride;  // of weight
  const ConvEpilogue* epilogue = nullptr;

  int64_t taps() const { return kernel[1] * kernel[2]; }
  // The rows of inputs that rows [begin, end) of the output read: from *low on; returns how many.
  int64_t reach(int64_t begin, int64_t end, int64_t* low) const {
    const int64_t span = (kernel[1] - 1) * step[1];
    *low = clamp(begin + first[1] + min(0, span), 0, in[1]);
    return max(0, min(in[1], end + first[1] + max(0, span)) - *low);
  }
};

// plane[t * pitch + i] = sum_c weight[c, t] * x[c * channel + i] for n >= kLanes positions.
template <class T>
void multiply_taps(const Panels& panels, int64_t depth, const T* packed, int64_t panel_size,
                   const T* x, int64_t channel, int64_t n, T* plane, int64_t pitch) {
  constexpr int L = kLanes<T>;
  for (int64_t i = 0; i < n;) {
    // The last positions with some that are done already: nothing beyond them is read.
    const int vectors = static_cast<int>(clamp((n - i) / L, 1, panels.vectors()));
    i = min(i, n - vectors * L);
    const int64_t next = i + vectors * L;
    // The processor does not see by itself that the next positions of all channels follow.
    for (int64_t c = 0; c < depth && next < n; ++c) {
      prefetch(x + c * channel + next, min(n - next, vectors * L));
    }
    for (int64_t panel = 0; panel < panels.count; ++panel) {
      kTiles<T, StridedRows<T>>.get(panels.rows(panel), vectors)(
          depth, packed + panel * panel_size, StridedRows<T>{x + i, channel},
          plane + panels.begin(panel) * pitch + i, pitch, Start::kZero, nullptr);
    }
    i = next;
  }
}

// A row of the output, from the planes of inputs whose first row is `low`.
template <class T>
void add_taps(const TapPlanes<T>& p, int64_t row, int64_t low, int64_t rows, const T* plane,
              int64_t pitch, T bias, T* y) {
  constexpr int L = kLanes<T>;
  const int64_t width = p.in[2];
  for (int64_t j = 0; j < p.out[2]; j += L) {
    Vec<T> sum = splat(bias);
    for (int64_t r = 0; r < p.kernel[1]; ++r) {
      const int64_t at = row + p.first[1] + r * p.step[1] - low;
      if (at < 0 || at >= rows) continue;
      const T* line = plane + r * p.kernel[2] * pitch + at * width;
      for (int64_t s = 0; s < p.kernel[2]; ++s, line += pitch) {
        sum += load_inside(line, j + p.first[2] + s * p.step[2], width);
      }
    }
    const int64_t n = min(L, p.out[2] - j);
    if (n == L) {
      store(y + j, sum);
    } else {
      store_n(y + j, sum, n);
    }
  }
}

template <class T>
Status run(const TapPlanes<T>& p) {
  constexpr int64_t L = kLanes<T>, size = sizeof(T);
  const int64_t taps = p.taps(), in_size = p.in[1] * p.in[2], out_size = p.out[1] * p.out[2];
  const Panels panels(taps);
  const int64_t panel_size = round_up(p.depth * panels.height + L, 16);
  const int64_t packed_size = panel_size * panels.count, all_rows = p.groups * p.rows;
  const auto bytes = static_cast<size_t>(all_rows * packed_size * size);
  T* const packed = static_cast<T*>(allocate(bytes));
  if (!packed) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  for (int64_t row = 0; row < all_rows; ++row) {
    const T* const from = p.weight + row / p.rows * p.group_stride + row % p.rows * p.row_stride;
    for (int64_t panel = 0; panel < panels.count; ++panel) {
      pack_panel(from + panels.begin(panel), 1, p.channel_stride, p.depth, panels.rows(panel),
                 panels.rows(panel), packed + row * packed_size + panel * panel_size);
    }
  }
  // Bands: as many rows as fit, and blocks enough.
  int64_t low;
  const double work = 2.0 * static_cast<double>(p.images * all_rows * out_size) *
                      static_cast<double>(p.depth * taps);
  const int64_t wanted = ceil_div(min(wanted_blocks(work, 64), 16), p.images * all_rows);
  const int64_t fit = kPlaneBytes / (size * taps * p.in[2]) - (p.reach(0, 1, &low) - 1);
  const int64_t band = even_part(p.out[1], clamp(ceil_div(p.out[1], wanted), 1, max(fit, 1)));
  const int64_t bands = ceil_div(p.out[1], band);
  int64_t most = 0;
  for (int64_t b = 0; b < p.out[1]; b += band) {
    most = max(most, p.reach(b, min(p.out[1], b + band), &low));
  }
  const int64_t pitch = round_up(most * p.in[2], 16) + 16;
  const auto scratch_bytes = static_cast<size_t>(taps * pitch * size);
  bool enough = true;
  const int64_t blocks = p.images * all_rows * bands;
  parallel_for(blocks, max(1, blocks / wanted_blocks(work, 64)), [&](int64_t begin, int64_t end) {
    T* const plane = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!plane) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % bands * band, last = min(p.out[1], first + band);
      const int64_t row = i / bands % all_rows, image = i / bands / all_rows;
      int64_t from;
      const int64_t rows = p.reach(first, last, &from);
      const T* const x =
          p.x + (image * p.groups + row / p.rows) * p.depth * in_size + from * p.in[2];
      if (rows > 0) {
        multiply_taps(panels, p.depth, packed + row * packed_size, panel_size, x, in_size,
                      rows * p.in[2], plane, pitch);
      }
      for (int64_t o = first; o < last; ++o) {
        T* const y = p.y + (image * all_rows + row) * out_size + o * p.out[2];
        add_taps(p, o, from, rows, plane, pitch, p.bias ? p.bias[row] : T{}, y);
        finish(p.epilogue, y, p.out[2]);
      }
    }
  });
  release(packed, bytes);
  if (!enough) return {Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
  return kDone;
}

// Whether so few channels are written from so many, and rows fill vectors.
template <class T>
bool pays(const TapPlanes<T>& p, const Geometry& g) {
  if (p.rows > kMostRows || p.depth < kLeastDepth || g.N == 0) return false;
  if (g.taps() < 2 || g.taps() > kMostTaps || g.in[0] != 1 || g.out[0] != 1) return false;
  if (g.kernel[0] != 1 || g.padding[0] != 0) return false;
  for (int d = 1; d < kSpatial; ++d) {
    if (g.stride[d] != 1 || g.dilation[d] > 64 || g.padding[d] < -64 || g.padding[d] > 64) {
      return false;
    }
  }
  const int64_t bytes = g.taps() * p.in[2] * static_cast<int64_t>(sizeof(T));
  return p.in[1] > 0 && p.out[1] > 0 && p.out[2] > 0 && p.in[2] >= kLanes<T> &&
         bytes * (1 + (g.kernel[1] - 1) * g.dilation[1]) <= 2 * kPlaneBytes;
}

template <class T>
bool fwd(const ConvFwdArgs& args, const Geometry& g, Status* status) {
  TapPlanes<T> p;
  p.x = reinterpret_cast<const T*>(args.x.data);
  p.weight = reinterpret_cast<const T*>(args.weight.data);
  p.bias = reinterpret_cast<const T*>(args.bias.data);
  p.y = reinterpret_cast<T*>(args.y.data);
  p.images = g.N;
  p.groups = g.groups;
  p.depth = g.C / g.groups;
  p.rows = g.K / g.groups;
  p.in = g.in;
  p.out = g.out;
  p.kernel = g.kernel;
  p.channel_stride = g.taps();
  p.row_stride = p.depth * p.channel_stride;
  p.group_stride = p.rows * p.row_stride;
  for (int d = 0; d < kSpatial; ++d) {
    p.first[d] = -g.padding[d];
    p.step[d] = g.dilation[d];
  }
  if (!pays(p, g)) return false;
  p.epilogue = args.epilogue;
  if (p.epilogue) args.epilogue->done = true;
  *status = run(p);
  return true;
}

template <class T>
bool bwd_input(const ConvBwdInputArgs& args, const Geometry& g, Status* status) {
  TapPlanes<T> p;
  p.x = reinterpret_cast<const T*>(args.grad_y.data);
  p.weight = reinterpret_cast<const T*>(args.weight.data);
  p.bias = reinterpret_cast<const T*>(args.bias.data);
  p.y = reinterpret_cast<T*>(args.grad_x.data);
  p.images = g.N;
  p.groups = g.groups;
  p.depth = g.K / g.groups;
  p.rows = g.C / g.groups;
  p.in = g.out;
  p.out = g.in;
  p.kernel = g.kernel;
  p.row_stride = g.taps();
  p.channel_stride = p.rows * p.row_stride;
  p.group_stride = p.depth * p.channel_stride;
  for (int d = 0; d < kSpatial; ++d) {
    p.first[d] = g.padding[d];
    p.step[d] = -g.dilation[d];
  }
  if (!pays(p, g)) return false;
  *status = run(p);
  return true;
}

}  // namespace

bool tap_planes_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.x.dtype == DType::kFloat32 ? fwd<float>(args, g, status)
                                         : fwd<double>(args, g, status);
}

bool tap_planes_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? bwd_input<float>(args, g, status)
                                              : bwd_input<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
