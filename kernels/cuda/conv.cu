// Convolution over 1 to 3 spatial dimensions, as implicit matrix products.
//
// Formula   y[n, k, o] = bias[k] + sum_{c, r} weight[k, c, r] x[n, c, o stride - padding + r
//           dilation] with vectors o (place in y) and r (place in the kernel), x zero outside, and
//           channels c of k's group. conv_bwd_input is its gradient for x (and the transposed
//           convolution, which adds a bias), conv_bwd_weight its gradient for weight.
// Layout    x (N, C, *in), weight (K, C / groups, *kernel), y (N, K, *out), contiguous; fewer than
//           3 spatial dimensions come with leading ones.
// Split     a block owns a tile of one group's matrix product (gemm.cuh):
//             conv_fwd         rows k, columns (n, o), sum over (c, r)
//             conv_bwd_input   rows c, columns (n, i), sum over (k, r)
//             conv_bwd_weight  rows k, columns (c, r), sum over (n, o), cut into `splits` parts
//           The second operand is gathered from x or grad_y as it is needed: its matrix never
//           exists in memory. The gradients gather too: no atomics.
// Memory    shared: two tiles, see gemm.cuh. conv_bwd_weight: splits * |weight| partial sums, added
//           by sum_splits in a fixed order; `splits` follows from the shape alone.
// Cost      2 N K (C / groups) |kernel| |out| FLOPs each. conv_bwd_input does stride^dims times as
//           many, as it multiplies the zeros between strided places too.
// Accuracy  a chain of multiply-adds a result (a part): error at most terms * eps * sum|x w|.
// Epilogue  conv_fwd and depthwise_fwd, with kEpilogue: a residual and an activation (epilogue.cuh).
// Depthwise one input channel a group fills one row of a tile: conv_fwd and conv_bwd_input are then
//           plain loops over the taps, a thread an element.
// Limits    a group of few channels fills only part of a tile.
// Source    Dumoulin and Visin, "A guide to convolution arithmetic for deep learning", 2016.
#include "common.cuh"
#include "epilogue.cuh"
#include "gemm.cuh"

using gs::int64;

struct ConvShape {
  int wide;  // an index may reach 2^31: divide in 64 bits
  int unused;
  int64 images, channels, filters;      // N, C, K
  int64 group_channels, group_filters;  // of one group
  int64 in_volume, kernel_volume, out_volume;
  int64 tiles_m, tiles_n, splits, split_length;
  int64 padding[3], dilation[3];
  gs::Extent in[3], kernel[3], out[3], stride[3];
  gs::Extent by_kernel_volume, by_out_volume;
};

namespace {

// A place in a volume of three extents, and what is left of the index above them.
struct Place {
  int64 rest, at[3];
  __device__ __forceinline__ Place(int64 i, const gs::Extent (&extent)[3], int wide) {
#pragma unroll
    for (int d = 2; d >= 0; --d) {
      const int64 quotient = gs::divide(i, extent[d], wide);
      at[d] = i - quotient * extent[d].size;
      i = quotient;
    }
    rest = i;
  }
};

// An offset in memory together with coordinates; nowhere: coordinates that are inside nothing.
struct Spot {
  int64 offset, at[3];
  static __device__ __forceinline__ Spot nowhere() {
    constexpr int64 kFar = -(1ll << 61);
    return {0, {kFar, kFar, kFar}};
  }
};

// Where blockIdx.x is: tile (m, n), part of the sum, group.
struct Task {
  int64 m, n, split, group;
  __device__ explicit Task(const ConvShape& s) {
    int64 rest = blockIdx.x;
    n = rest % s.tiles_n;
    rest /= s.tiles_n;
    m = rest % s.tiles_m;
    rest /= s.tiles_m;
    split = rest % s.splits;
    group = rest / s.splits;
  }
};

// ---- plain matrices -----------------------------------------------------------------------------

// weight of a group as rows k, columns (c, r): contiguous.
template <class T>
struct WeightRows {
  static constexpr bool kInnerFast = true;
  using Outer = int64;
  using Inner = int64;
  const T* data;
  const ConvShape& s;
  __device__ __forceinline__ Outer outer(int64 k) const {
    return k < s.group_filters ? k * s.group_channels * s.kernel_volume : -1;
  }
  __device__ __forceinline__ Inner inner(int64 cr) const { return cr; }
  __device__ __forceinline__ T load(Outer i, Inner j) const {
    return i >= 0 && j >= 0 ? data[i + j] : T(0);
  }
};

// weight of a group as rows c, columns (k, r).
template <class T>
struct WeightColumns {
  static constexpr bool kInnerFast = true;
  using Outer = int64;
  using Inner = int64;
  const T* data;
  const ConvShape& s;
  __device__ __forceinline__ Outer outer(int64 c) const {
    return c < s.group_channels ? c * s.kernel_volume : -1;
  }
  __device__ __forceinline__ Inner inner(int64 kr) const {
    if (kr < 0) return -1;
    const int64 k = gs::divide(kr, s.by_kernel_volume, s.wide);
    return kr + k * (s.group_channels - 1) * s.kernel_volume;
  }
  __device__ __forceinline__ T load(Outer i, Inner j) const {
    return i >= 0 && j >= 0 ? data[i + j] : T(0);
  }
};

// grad_y of a group as rows k, columns (n, o).
template <class T>
struct GradRows {
  static constexpr bool kInnerFast = true;
  using Outer = int64;
  using Inner = int64;
  const T* data;
  const ConvShape& s;
  __device__ __forceinline__ Outer outer(int64 k) const {
    return k < s.group_filters ? k * s.out_volume : -1;
  }
  __device__ __forceinline__ Inner inner(int64 no) const {
    if (no < 0) return -1;
    const int64 n = gs::divide(no, s.by_out_volume, s.wide);
    return no + n * (s.filters - 1) * s.out_volume;
  }
  __device__ __forceinline__ T load(Outer i, Inner j) const {
    return i >= 0 && j >= 0 ? data[i + j] : T(0);
  }
};

// ---- gathered matrices --------------------------------------------------------------------------

// x at a window's corner plus a step inside the window.
template <class T>
__device__ __forceinline__ T load_window(const T* x, const ConvShape& s, const Spot& corner,
                                         const Spot& step) {
  int64 offset = 0;
#pragma unroll
  for (int d = 0; d < 3; ++d) {
    const int64 i = corner.at[d] + step.at[d];
    if (i < 0 || i >= s.in[d].size) return T(0);
    offset = offset * s.in[d].size + i;
  }
  return x[corner.offset + step.offset + offset];
}

// The window of place (n, o): its first coordinates in x.
__device__ __forceinline__ Spot corner_of(int64 no, const ConvShape& s) {
  const Place place(no, s.out, s.wide);
  Spot spot;
  spot.offset = place.rest * s.channels * s.in_volume;
#pragma unroll
  for (int d = 0; d < 3; ++d) spot.at[d] = place.at[d] * s.stride[d].size - s.padding[d];
  return spot;
}

// The step of (c, r) inside a window.
__device__ __forceinline__ Spot step_of(int64 cr, const ConvShape& s) {
  const Place place(cr, s.kernel, s.wide);
  Spot spot;
  spot.offset = place.rest * s.in_volume;
#pragma unroll
  for (int d = 0; d < 3; ++d) spot.at[d] = place.at[d] * s.dilation[d];
  return spot;
}

// x of a group as rows (c, r), columns (n, o); the columns are the outer index.
template <class T>
struct Windows {
  static constexpr bool kInnerFast = false;
  using Outer = Spot;
  using Inner = Spot;
  const T* data;
  const ConvShape& s;
  __device__ __forceinline__ Outer outer(int64 no) const {
    return no < s.images * s.out_volume ? corner_of(no, s) : Spot::nowhere();
  }
  __device__ __forceinline__ Inner inner(int64 cr) const {
    return cr >= 0 ? step_of(cr, s) : Spot::nowhere();
  }
  __device__ __forceinline__ T load(const Outer& corner, const Inner& step) const {
    return load_window(data, s, corner, step);
  }
};

// The same matrix with the columns (n, o) summed over.
template <class T>
struct WindowsOver {
  static constexpr bool kInnerFast = true;
  using Outer = Spot;
  using Inner = Spot;
  const T* data;
  const ConvShape& s;
  __device__ __forceinline__ Outer outer(int64 cr) const {
    return cr < s.group_channels * s.kernel_volume ? step_of(cr, s) : Spot::nowhere();
  }
  __device__ __forceinline__ Inner inner(int64 no) const {
    return no >= 0 ? corner_of(no, s) : Spot::nowhere();
  }
  __device__ __forceinline__ T load(const Outer& step, const Inner& corner) const {
    return load_window(data, s, corner, step);
  }
};

// grad_y of a group as rows (k, r), columns (n, i): which place o of y saw x[i] through r, if any.
template <class T>
struct Sources {
  static constexpr bool kInnerFast = false;
  using Outer = Spot;
  using Inner = Spot;
  const T* data;
  const ConvShape& s;
  __device__ __forceinline__ Outer outer(int64 ni) const {
    if (ni >= s.images * s.in_volume) return Spot::nowhere();
    const Place place(ni, s.in, s.wide);
    Spot spot;
    spot.offset = place.rest * s.filters * s.out_volume;
#pragma unroll
    for (int d = 0; d < 3; ++d) spot.at[d] = place.at[d] + s.padding[d];
    return spot;
  }
  __device__ __forceinline__ Inner inner(int64 kr) const {
    if (kr < 0) return Spot::nowhere();
    const Place place(kr, s.kernel, s.wide);
    Spot spot;
    spot.offset = place.rest * s.out_volume;
#pragma unroll
    for (int d = 0; d < 3; ++d) spot.at[d] = -place.at[d] * s.dilation[d];
    return spot;
  }
  __device__ __forceinline__ T load(const Outer& i, const Inner& r) const {
    int64 offset = 0;
#pragma unroll
    for (int d = 0; d < 3; ++d) {
      const int64 numerator = i.at[d] + r.at[d];
      if (numerator < 0) return T(0);
      const int64 o = gs::divide(numerator, s.stride[d], s.wide);
      if (o * s.stride[d].size != numerator || o >= s.out[d].size) return T(0);
      offset = offset * s.out[d].size + o;
    }
    return data[i.offset + r.offset + offset];
  }
};

// ---- results ------------------------------------------------------------------------------------

// Channels of a group as rows, (n, place) as columns.
template <class T, bool kEpilogue = false>
struct StoreImages {
  T* y;           // the group's first channel
  const T* bias;  // the same
  int64 channels, volume;
  gs::Extent by_volume;
  int wide;
  gs::Epilogue<T, kEpilogue> epilogue;  // its residual from the group's first channel on
  __device__ __forceinline__ int64 column(int64 i) const {
    const int64 n = gs::divide(i, by_volume, wide);
    return i + n * (channels - 1) * volume;
  }
  __device__ __forceinline__ void operator()(int64 m, int64 column, T value) const {
    const int64 i = m * volume + column;
    y[i] = epilogue(i, bias ? value + bias[m] : value);
  }
};

template <class T>
struct StoreWeights {
  T* y;
  int64 columns;
  __device__ __forceinline__ int64 column(int64 n) const { return n; }
  __device__ __forceinline__ void operator()(int64 m, int64 n, T value) const {
    y[m * columns + n] = value;
  }
};

}  // namespace

template <class T, class Tile, bool kEpilogue = false>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv_fwd(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
             const T* __restrict__ residual, T* __restrict__ y, ConvShape s, int activation) {
  const Task task(s);
  const int64 k0 = task.group * s.group_filters, terms = s.group_channels * s.kernel_volume;
  const WeightRows<T> a{weight + k0 * terms, s};
  const Windows<T> b{x + task.group * s.group_channels * s.in_volume, s};
  const StoreImages<T, kEpilogue> store{
      y + k0 * s.out_volume,
      bias ? bias + k0 : nullptr,
      s.filters,
      s.out_volume,
      s.by_out_volume,
      s.wide,
      {residual ? residual + k0 * s.out_volume : nullptr, activation}};
  gs::multiply_tile<T, Tile>(a, b, store, s.group_filters, s.images * s.out_volume,
                             task.m * Tile::BLOCK_M, task.n * Tile::BLOCK_N, 0, terms);
}

template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv_bwd_input(const T* __restrict__ grad_y, const T* __restrict__ weight,
                   const T* __restrict__ bias, T* __restrict__ grad_x, ConvShape s,
                   gs::Extent by_in_volume) {
  const Task task(s);
  const int64 k0 = task.group * s.group_filters, c0 = task.group * s.group_channels;
  const WeightColumns<T> a{weight + k0 * s.group_channels * s.kernel_volume, s};
  const Sources<T> b{grad_y + k0 * s.out_volume, s};
  const StoreImages<T> store{grad_x + c0 * s.in_volume,
                             bias ? bias + c0 : nullptr,
                             s.channels,
                             s.in_volume,
                             by_in_volume,
                             s.wide,
                             {nullptr, gs::kIdentity}};
  gs::multiply_tile<T, Tile>(a, b, store, s.group_channels, s.images * s.in_volume,
                             task.m * Tile::BLOCK_M, task.n * Tile::BLOCK_N, 0,
                             s.group_filters * s.kernel_volume);
}

// grad_weight (splits, K, C / groups, *kernel): part `split` sums its split_length places (n, o).
template <class T, class Tile>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    conv_bwd_weight(const T* __restrict__ grad_y, const T* __restrict__ x,
                    T* __restrict__ grad_weight, ConvShape s) {
  const Task task(s);
  const int64 k0 = task.group * s.group_filters, columns = s.group_channels * s.kernel_volume;
  const int64 places = s.images * s.out_volume, first = task.split * s.split_length;
  const GradRows<T> a{grad_y + k0 * s.out_volume, s};
  const WindowsOver<T> b{x + task.group * s.group_channels * s.in_volume, s};
  const StoreWeights<T> store{grad_weight + (task.split * s.filters + k0) * columns, columns};
  gs::multiply_tile<T, Tile>(a, b, store, s.group_filters, columns, task.m * Tile::BLOCK_M,
                             task.n * Tile::BLOCK_N, first, min(first + s.split_length, places));
}

// ---- depthwise: one input channel a group, so there is no matrix product ----

// y[n, k, o], one after another by a thread; neighbouring threads read neighbouring inputs.
template <class T, bool kEpilogue = false>
__global__ void depthwise_fwd(const T* __restrict__ x, const T* __restrict__ weight,
                              const T* __restrict__ bias, const T* __restrict__ residual,
                              T* __restrict__ y, ConvShape s, int activation) {
  const gs::Epilogue<T, kEpilogue> epilogue{residual, activation};
  const int64 count = s.images * s.filters * s.out_volume;
  for (int64 i = gs::grid_thread(); i < count; i += gs::grid_threads()) {
    const Place o(i, s.out, s.wide);
    const int64 k = o.rest % s.filters;
    const T* const w = weight + k * s.kernel_volume;
    const T* const plane =
        x + (o.rest / s.filters * s.channels + k / s.group_filters) * s.in_volume;
    T sum = bias ? bias[k] : T(0);
    int64 r = 0;
    for (int64 z = 0; z < s.kernel[0].size; ++z) {
      const int64 in_z = o.at[0] * s.stride[0].size - s.padding[0] + z * s.dilation[0];
      for (int64 h = 0; h < s.kernel[1].size; ++h) {
        const int64 in_y = o.at[1] * s.stride[1].size - s.padding[1] + h * s.dilation[1];
        const bool inside = in_z >= 0 && in_z < s.in[0].size && in_y >= 0 && in_y < s.in[1].size;
        const T* const row = plane + (in_z * s.in[1].size + in_y) * s.in[2].size;
        for (int64 v = 0; v < s.kernel[2].size; ++v, ++r) {
          const int64 in_x = o.at[2] * s.stride[2].size - s.padding[2] + v * s.dilation[2];
          if (inside && in_x >= 0 && in_x < s.in[2].size) sum += row[in_x] * w[r];
        }
      }
    }
    y[i] = epilogue(i, sum);
  }
}

// Which output reads input `at` with tap r of dimension d; -1: none.
__device__ __forceinline__ int64 output_of(const ConvShape& s, int d, int64 at, int64 r) {
  const int64 reach = at + s.padding[d] - r * s.dilation[d];
  if (reach < 0) return -1;
  const int64 o = gs::divide(reach, s.stride[d], s.wide);
  return o * s.stride[d].size == reach && o < s.out[d].size ? o : -1;
}

// grad_x[n, c, i], gathered from the outputs that read it.
template <class T>
__global__ void depthwise_bwd_input(const T* __restrict__ grad_y, const T* __restrict__ weight,
                                    const T* __restrict__ bias, T* __restrict__ grad_x,
                                    ConvShape s) {
  const int64 count = s.images * s.channels * s.in_volume;
  for (int64 i = gs::grid_thread(); i < count; i += gs::grid_threads()) {
    const Place place(i, s.in, s.wide);
    const int64 c = place.rest % s.channels, n = place.rest / s.channels;
    T sum = bias ? bias[c] : T(0);
    for (int64 j = 0; j < s.group_filters; ++j) {
      const int64 k = c * s.group_filters + j;
      const T* w = weight + k * s.kernel_volume;
      const T* const plane = grad_y + (n * s.filters + k) * s.out_volume;
      for (int64 z = 0; z < s.kernel[0].size; ++z) {
        const int64 o_z = output_of(s, 0, place.at[0], z);
        for (int64 h = 0; h < s.kernel[1].size; ++h) {
          const int64 o_y = output_of(s, 1, place.at[1], h);
          const T* const row = plane + (o_z * s.out[1].size + o_y) * s.out[2].size;
          for (int64 v = 0; v < s.kernel[2].size; ++v, ++w) {
            const int64 o_x = output_of(s, 2, place.at[2], v);
            if (o_z >= 0 && o_y >= 0 && o_x >= 0) sum += row[o_x] * *w;
          }
        }
      }
    }
    grad_x[i] = sum;
  }
}

// y[i] = sum over splits of partial[split, i], first to last.
template <class T>
__global__ void sum_splits(const T* __restrict__ partial, T* __restrict__ y, int64 n,
                           int64 splits) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    T sum = partial[i];
    for (int64 split = 1; split < splits; ++split) sum += partial[split * n + i];
    y[i] = sum;
  }
}
