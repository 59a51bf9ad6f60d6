// first_layer_bwd_weight: conv_bwd_weight (and its bias's gradient) where few channels are read by large,
// strided filters: lanes are output channels.
//
// Layout     as conv_bwd_weight.cpp's.
// Method     a register tile is up to kMostTaps taps of a row of the filter times one or two vectors of
//            output channels: at each output position it takes the inputs that the taps read, neighbours
//            that are broadcast from where they lie, times a vector of grad_y. Rows of inputs are copied
//            once with the padding's zeros, and grad_y into cells, a vector of channels a position. A
//            stride is a step through a row: there are no planes for its remainders, which conv.h's lanes
//            of positions need, and no lanes between rows or to be summed. The cells that come next are
//            fetched meanwhile, a channel of them by each tile.
// Split      slices of the boxes of output rows, fixed by the shape, which are added in order.
// Cache      a box: its cells, about kChain positions, of which two vectors stay in L1, and its rows of
//            inputs, in L2 with a slice's sums, kSumBytes at most.
// Cost       2 N K out C taps FLOPs, K rounded up to whole vectors; x is copied as often as boxes share
//            its rows, grad_y once. A position's cell costs as much as about 20 taps: few pay not.
// Accuracy   chains of the positions of a box, which are added in order: the same bits for every number
//            of threads.
// Limits     float32, float64; one group; up to two dimensions; `pays` says which shapes.
//
// AlexNet N8 3->64 224x224 k11 s4, two threads of an Emerald Rapids: 4.67 -> 3.72 ms (304 of 357 GFLOP/s);
// ResNet N8 3->64 224x224 k7 s2: 7.87 -> 6.50, N1 in float64 2.00 -> 1.59.
#include "conv.h"
#include "conv_first_layer.h"
#include "conv_image_lanes.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kMostTaps = 14;
#else
constexpr int kMostTaps = 6;
#endif
constexpr int64_t kSumBytes = 384 << 10, kMostSlices = 16;
constexpr int64_t kLeastEntries = 48, kLeastAcross = 4;  // taps of all channels, of a row
constexpr int64_t kLeastRow = 8, kMostRow = 512;         // positions

// sums[i * kLanes + j * sums_plane + lane] += the sum over `rows` rows of n positions of x[i] * y[j * plane +
// lane]: a position is `step` further in x, a row `row_step`, and the next vector of y. `soon` is fetched into
// L2, an element a position.
template <class T, int NT, int NV>
__attribute__((noinline)) void tap_tile(int64_t rows, int64_t n, const T* x, int64_t row_step,
                                        int64_t step, const T* y, int64_t plane, T* sums,
                                        int64_t sums_plane, const T* soon) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[NT][NV];
#pragma GCC unroll 16
  for (int i = 0; i < NT; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
  }
#pragma GCC unroll 1
  for (int64_t r = 0; r < rows; ++r, x += row_step) {
    const T* value = x;
#pragma GCC unroll 1
    for (int64_t t = 0; t < n; ++t, value += step, y += L, ++soon) {
      __builtin_prefetch(soon, 0, 2);
      Vec<T> right[NV];
#pragma GCC unroll 2
      for (int j = 0; j < NV; ++j) right[j] = load(y + j * plane);
#pragma GCC unroll 16
      for (int i = 0; i < NT; ++i) {
        const Vec<T> left = splat(value[i]);
#pragma GCC unroll 2
        for (int j = 0; j < NV; ++j) sum[i][j] += left * right[j];
      }
    }
  }
#pragma GCC unroll 16
  for (int i = 0; i < NT; ++i) {
#pragma GCC unroll 2
    for (int j = 0; j < NV; ++j) {
      T* const put = sums + j * sums_plane + i * L;
      store(put, load(put) + sum[i][j]);
    }
  }
}

template <class T>
using TapTile = void (*)(int64_t, int64_t, const T*, int64_t, int64_t, const T*, int64_t, T*,
                         int64_t, const T*);
template <class T>
struct TapTiles {
  TapTile<T> entry[kMostTaps * 2];
  TapTile<T> get(int64_t taps, int64_t vectors) const {
    return entry[(taps - 1) * 2 + vectors - 1];
  }
};
template <class T, int... I>
constexpr TapTiles<T> make_tap_tiles(std::integer_sequence<int, I...>) {
  return {{&tap_tile<T, I / 2 + 1, I % 2 + 1>...}};
}
template <class T>
constexpr TapTiles<T> kTapTiles =
    make_tap_tiles<T>(std::make_integer_sequence<int, kMostTaps * 2>{});

// What is computed, and how it is cut.
template <class T>
struct FirstLayer {
  static constexpr int64_t L = kLanes<T>;
  Geometry g;
  const T *grad_y, *x;
  int64_t vectors, entries;  // of output channels; taps of all channels read
  int64_t rows, boxes;       // output rows of a box; boxes of an image
  int64_t lead, width;       // of a copied row of inputs: the elements before input 0, and all
  int64_t channel;           // copied inputs of a channel
  int64_t line;              // sums of a vector of output channels: one more for the bias

  FirstLayer(const Geometry& geometry, const ConvBwdWeightArgs& args)
      : g(geometry),
        grad_y(reinterpret_cast<const T*>(args.grad_y.data)),
        x(reinterpret_cast<const T*>(args.x.data)),
        vectors(ceil_div(g.K, L)),
        entries(g.C * g.taps()),
        rows(clamp(kChain / max(1, g.out[2]), 1, max(1, g.out[1]))),
        boxes(ceil_div(g.out[1], rows)),
        lead(round_up(g.padding[2], L)),
        width(lead + round_up(max(g.in[2], last_read()), L)),
        channel(hull(rows) * width),
        line((entries + 1) * L) {}

  // Inputs [0, last_read()) of a row are read, and rows of inputs for so many of the output.
  int64_t last_read() const { return (g.out[2] - 1) * g.stride[2] + g.kernel[2] - g.padding[2]; }
  int64_t hull(int64_t count) const { return (count - 1) * g.stride[1] + g.kernel[1]; }
  int64_t all() const { return g.N * boxes; }
  int64_t first(int64_t box) const { return box % boxes * rows; }
  int64_t count(int64_t box) const { return min(rows, g.out[1] - first(box)); }
  // Channel k of grad_y where a box starts.
  const T* channel_of(int64_t box, int64_t k) const {
    return grad_y + (box / boxes * g.K + k) * g.out_positions() + first(box) * g.out[2];
  }
};

// The rows of inputs that a box reads, with the padding's zeros.
template <class T>
void fill_inputs(const FirstLayer<T>& w, int64_t box, T* to) {
  constexpr int64_t L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t top = w.first(box) * g.stride[1] - g.padding[1], hull = w.hull(w.count(box));
  for (int64_t c = 0; c < g.C; ++c) {
    const T* const from = w.x + (box / w.boxes * g.C + c) * g.in_positions();
    T* row = to + c * w.channel;
    for (int64_t y = top; y < top + hull; ++y, row += w.width) {
      if (y < 0 || y >= g.in[1]) {
        zero_fill(row, w.width);
        continue;
      }
      zero_fill(row, w.lead);
      T* const put = row + w.lead;
      int64_t i = 0;
      for (; i + L <= g.in[2]; i += L) store(put + i, load(from + y * g.in[2] + i));
      if (i < g.in[2]) {
        store(put + i, load_n(from + y * g.in[2] + i, g.in[2] - i));
        i += L;
      }
      zero_fill(put + i, w.width - w.lead - i);
    }
  }
}

// grad_y of a box as cells, a plane of them for each vector; adds them up where the bias's gradient is wanted.
template <class T>
void fill_cells(const FirstLayer<T>& w, int64_t box, int64_t plane, bool bias, T* to, T* sums) {
  constexpr int L = kLanes<T>;
  const int64_t positions = w.count(box) * w.g.out[2];
  Vec<T> odd{};
  for (int64_t v = 0; v < w.vectors; ++v, to += plane, sums += w.line) {
    gather_cells(w.channel_of(box, v * L), w.g.out_positions(), min(L, w.g.K - v * L), positions,
                 to, odd);
    if (!bias) continue;
    Vec<T> sum[4] = {Vec<T>{}, Vec<T>{}, Vec<T>{}, Vec<T>{}};
    int64_t i = 0;
    for (; i + 4 <= positions; i += 4) {
      for (int j = 0; j < 4; ++j) sum[j] += load(to + (i + j) * L);
    }
    for (; i < positions; ++i) sum[0] += load(to + i * L);
    T* const put = sums + w.entries * L;
    store(put, load(put) + ((sum[0] + sum[1]) + (sum[2] + sum[3])));
  }
}

// All products of a box, from its copied inputs and cells; fetches grad_y of box `next`.
template <class T>
void multiply_box(const FirstLayer<T>& w, int64_t box, int64_t next, const T* inputs,
                  const T* cells, int64_t plane, T* sums) {
  constexpr int64_t L = kLanes<T>;
  const Geometry& g = w.g;
  const int64_t across = even_part(g.kernel[2], kMostTaps);
  int64_t tiles = 0;
  for (int64_t v = 0; v < w.vectors; v += 2) {
    for (int64_t c = 0; c < g.C; ++c) {
      for (int64_t r = 0; r < g.kernel[1]; ++r) {
        const T* const row = inputs + c * w.channel + r * w.width + w.lead - g.padding[2];
        T* const into = sums + v * w.line + (c * g.kernel[1] + r) * g.kernel[2] * L;
        for (int64_t k = 0; k < g.kernel[2]; k += across, ++tiles) {
          kTapTiles<T>.get(min(across, g.kernel[2] - k), min(2, w.vectors - v))(
              w.count(box), g.out[2], row + k, g.stride[1] * w.width, g.stride[2],
              cells + v * plane, plane, into + k * L, w.line,
              w.channel_of(next, min(tiles, g.K - 1)));
        }
      }
    }
  }
}

template <class T>
Status run(const FirstLayer<T>& w, T* grad_weight, T* grad_bias) {
  constexpr int64_t L = kLanes<T>;
  const Geometry& g = w.g;
  const double work = 2.0 * static_cast<double>(g.N * g.out_positions()) *
                      static_cast<double>(g.K) * static_cast<double>(w.entries);
  const int64_t slices = min(min(wanted_blocks(work, 64), kMostSlices), w.all());
  const int64_t slice_size = w.vectors * w.line;
  const auto bytes = static_cast<size_t>(slices * slice_size) * sizeof(T);
  T* const sums = static_cast<T*>(allocate(bytes));
  if (!sums) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const int64_t inputs_size = round_up(g.C * w.channel, 16), plane = w.rows * g.out[2] * L;
  const auto scratch_bytes = static_cast<size_t>(inputs_size + w.vectors * plane) * sizeof(T);
  bool enough = true;
  parallel_for(slices, 1, [&](int64_t begin, int64_t end) {
    T* const inputs = static_cast<T*>(thread_scratch(scratch_bytes));
    if (!inputs) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    T* const cells = inputs + inputs_size;
    for (int64_t s = begin; s < end; ++s) {
      T* const into = sums + s * slice_size;
      zero_fill(into, slice_size);
      const int64_t last = w.all() * (s + 1) / slices;
      for (int64_t box = w.all() * s / slices; box < last; ++box) {
        fill_inputs(w, box, inputs);
        fill_cells(w, box, plane, grad_bias != nullptr, cells, into);
        multiply_box(w, box, min(box + 1, last - 1), inputs, cells, plane, into);
      }
    }
  });
  // The slices' sums, kLanes entries of a vector of output channels at a time.
  const int64_t parts = ceil_div(w.entries + 1, L);
  parallel_for(enough ? w.vectors * parts : 0, 8, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t v = i / parts, e = i % parts * L, channels = min(L, g.K - v * L);
      T* const to = sums + v * w.line;
      for (int64_t j = e; j < min(e + L, w.entries + 1); ++j) {
        Vec<T> sum = load(to + j * L);
        for (int64_t s = 1; s < slices; ++s) sum += load(to + s * slice_size + j * L);
        store(to + j * L, sum);
      }
      scatter_cells(to + e * L, min(L, w.entries - e), channels,
                    grad_weight + v * L * w.entries + e, w.entries);
      if (grad_bias && e + L > w.entries) {
        store_n(grad_bias + v * L, load(to + w.entries * L), channels);
      }
    }
  });
  release(sums, bytes);
  if (!enough) return {Code::kOutOfMemory, {static_cast<int64_t>(scratch_bytes), 0}};
  return kDone;
}

// Whether output channels fill two vectors, and the taps repay the cells.
template <class T>
bool pays(const Geometry& g) {
  constexpr int64_t L = kLanes<T>;
  if (g.groups != 1 || g.N == 0 || g.C == 0 || g.in[0] != 1 || g.out[0] != 1) return false;
  if (g.kernel[0] != 1 || g.padding[0] != 0) return false;
  for (int d = 1; d < kSpatial; ++d) {
    if (g.dilation[d] != 1 || g.padding[d] < 0 || g.padding[d] > 64) return false;
    if (g.kernel[d] < 1 || g.kernel[d] > 64 || g.in[d] < 1 || g.out[d] < 1) return false;
  }
  const int64_t entries = g.C * g.taps(), vectors = ceil_div(g.K, L);
  return g.K > L && 4 * g.K >= 3 * vectors * L && g.stride[2] > 1 && entries >= kLeastEntries &&
         g.kernel[2] >= kLeastAcross && g.out[2] >= kLeastRow && g.out[2] <= kMostRow &&
         vectors * (entries + 1) * GS_VECTOR_BYTES <= kSumBytes;
}

template <class T>
bool run_if_it_pays(const ConvBwdWeightArgs& args, const Geometry& g, Status* status) {
  if (!pays<T>(g)) return false;
  *status = run(FirstLayer<T>(g, args), reinterpret_cast<T*>(args.grad_weight.data),
                reinterpret_cast<T*>(args.grad_bias));
  return true;
}

}  // namespace

bool first_layer_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? run_if_it_pays<float>(args, g, status)
                                              : run_if_it_pays<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
