// Scans along a dimension: cumsum cumprod recurrence prod_bwd.
//
// Formula   y_j = x_0 + .. + x_j (cumsum), x_0 * .. * x_j (cumprod); exclusive: without x_j; reverse: from
//           the end. recurrence: y_j = b_j + a_j y_{j-1}; reverse: y_j = b_j + a_{j+1} y_{j+1}.
//           All are compositions of y -> a y + b, which are associative.
//           prod_bwd: grad_x_j = grad_y * product of the x_i of its row, i != j, without a division.
// Layout    contiguous, as (outer, extent, inner).
// Split     a block a row, its threads taking neighbouring shares of it: each composes its share, the
//           shares before it are composed in order, then each writes its share. prod_bwd: a block
//           takes its row's tiles of 1024 from the last to the first for what is behind each, then
//           from the first on; in a tile a thread has every 128th element, in registers.
// Memory    4 KB shared: a composition a thread.
// Cost      reads each operand twice, writes the result once.
// Accuracy  compositions are of float64 (int64 exact), rounded once an element.
#include "common.cuh"

using gs::int64;

namespace {

// y -> a y + b.
template <class W>
struct Step {
  W a, b;
};

// y after a step. A product's b is 0, and must not become NaN where a is infinite.
template <bool kProduct, class W>
__device__ __forceinline__ W take(Step<W> step, W y) {
  return kProduct ? step.a * y : step.a * y + step.b;
}

// `first`, then `second`.
template <bool kProduct, class W>
__device__ __forceinline__ Step<W> after(Step<W> first, Step<W> second) {
  return {second.a * first.a, kProduct ? W(0) : second.a * first.b + second.b};
}

constexpr int kScanThreads = 128;

// Goes over a row: step_of(place) is an element's step, write(place, before, after) takes the running
// value before and after it. Positions run from 0 in the direction of the scan.
template <bool kProduct, class W, class StepOf, class Write>
__device__ __forceinline__ void scan_row(Step<W>* shared, int64 extent, W start,
                                         const StepOf& step_of, const Write& write) {
  const int thread = static_cast<int>(threadIdx.x);
  const int64 share = gs::ceil_div(extent, int64(kScanThreads));
  const int64 begin = min(thread * share, extent), end = min(begin + share, extent);
  Step<W> mine = {W(1), W(0)};
  for (int64 t = begin; t < end; ++t) mine = after<kProduct>(mine, step_of(t));
  __syncthreads();
  shared[thread] = mine;
  __syncthreads();
  W running = start;
  for (int k = 0; k < thread; ++k) running = take<kProduct>(shared[k], running);
  for (int64 t = begin; t < end; ++t) {
    const W next = take<kProduct>(step_of(t), running);
    write(t, running, next);
    running = next;
  }
}

}  // namespace

template <class T, class W, bool kProduct>
__global__ void __launch_bounds__(kScanThreads)
    cumulate(const T* x, T* y, int64 rows, int64 extent, int64 inner, int reverse, int exclusive) {
  GS_SHARED(Step<W>[kScanThreads], shared);
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64 base = row / inner * extent * inner + row % inner;
    const auto at = [&](int64 t) { return base + (reverse ? extent - 1 - t : t) * inner; };
    scan_row<kProduct, W>(
        shared, extent, kProduct ? W(1) : W(0),
        [&](int64 t) {
          const W v = static_cast<W>(x[at(t)]);
          return kProduct ? Step<W>{v, W(0)} : Step<W>{W(1), v};
        },
        [&](int64 t, W before, W next) { y[at(t)] = static_cast<T>(exclusive ? before : next); });
  }
}

template <class T>
__global__ void __launch_bounds__(kScanThreads)
    recurrence(const T* a, const T* b, T* y, int64 rows, int64 extent, int64 inner, int reverse) {
  GS_SHARED(Step<double>[kScanThreads], shared);
  for (int64 row = blockIdx.x; row < rows; row += gridDim.x) {
    const int64 base = row / inner * extent * inner + row % inner;
    const auto at = [&](int64 t) { return base + (reverse ? extent - 1 - t : t) * inner; };
    scan_row<false, double>(
        shared, extent, 0.0,
        [&](int64 t) {
          const int64 place = reverse ? at(t) + inner : at(t);
          const double factor = t == 0 ? 0.0 : static_cast<double>(a[place]);
          return Step<double>{factor, static_cast<double>(b[at(t)])};
        },
        [&](int64 t, double, double next) { y[at(t)] = static_cast<T>(next); });
  }
}

namespace {

constexpr int kHeld = 8;  // elements a thread has of a tile
constexpr int kTile = kScanThreads * kHeld;
constexpr int kScanWarps = kScanThreads / gs::kWarpSize;

// This thread's elements of the tile from `first` on, 1 behind the row's end; their product.
template <class T>
__device__ __forceinline__ double hold(const T* row, int64 first, int64 extent,
                                       double (&held)[kHeld]) {
  double own = 1.0;
#pragma unroll
  for (int k = 0; k < kHeld; ++k) {
    const int64 at = first + k * kScanThreads + static_cast<int>(threadIdx.x);
    held[k] = at < extent ? static_cast<double>(row[at]) : 1.0;
    own *= held[k];
  }
  return own;
}

// The product of the other threads' values; `all` is that of every thread.
__device__ __forceinline__ double other_threads(double own, double* shared, double& all) {
  const int warp = static_cast<int>(threadIdx.x) / gs::kWarpSize;
  double others = 1.0;
#pragma unroll
  for (int lanes = 1; lanes < gs::kWarpSize; lanes *= 2) {
    const double mirrored = __shfl_xor_sync(0xffffffffu, own, lanes);
    others *= mirrored;
    own *= mirrored;
  }
  __syncthreads();
  if (static_cast<int>(threadIdx.x) % gs::kWarpSize == 0) shared[warp] = own;
  __syncthreads();
  all = 1.0;
#pragma unroll
  for (int w = 0; w < kScanWarps; ++w) {
    all *= shared[w];
    if (w != warp) others *= shared[w];
  }
  return others;
}

}  // namespace

// `behind` has room for a number a tile, where a row has several.
template <class T>
__global__ void __launch_bounds__(kScanThreads)
    prod_bwd(const T* grad_y, const T* x, T* grad_x, double* behind, int64 rows, int64 extent) {
  GS_SHARED(double[kScanWarps], shared);
  const int64 tiles = gs::ceil_div(extent, int64(kTile));
  for (int64 r = blockIdx.x; r < rows; r += gridDim.x) {
    const T* const row = x + r * extent;
    double held[kHeld], all;
    if (tiles > 1) {
      double running = 1.0;
      for (int64 t = tiles - 1; t >= 0; --t) {
        if (threadIdx.x == 0) behind[r * tiles + t] = running;
        other_threads(hold(row, t * kTile, extent, held), shared, all);
        running *= all;
      }
      __syncthreads();
    }
    double before = static_cast<double>(grad_y[r]);
    for (int64 t = 0; t < tiles; ++t) {
      const double own = hold(row, t * kTile, extent, held);
      double factor = other_threads(own, shared, all) * before;
      if (tiles > 1) factor *= behind[r * tiles + t];
      before *= all;
      double after[kHeld];
      after[kHeld - 1] = 1.0;
#pragma unroll
      for (int k = kHeld - 1; k > 0; --k) after[k - 1] = after[k] * held[k];
#pragma unroll
      for (int k = 0; k < kHeld; ++k) {
        const int64 at = t * kTile + k * kScanThreads + static_cast<int>(threadIdx.x);
        if (at < extent) grad_x[r * extent + at] = static_cast<T>(factor * after[k]);
        factor *= held[k];
      }
    }
  }
}
