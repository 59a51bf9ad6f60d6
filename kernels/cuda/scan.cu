// Scans along a dimension: cumsum cumprod recurrence.
//
// Formula   y_j = x_0 + .. + x_j (cumsum), x_0 * .. * x_j (cumprod); exclusive: without x_j; reverse: from
//           the end. recurrence: y_j = b_j + a_j y_{j-1}; reverse: y_j = b_j + a_{j+1} y_{j+1}.
//           All are compositions of y -> a y + b, which are associative.
// Layout    contiguous, as (outer, extent, inner).
// Split     a block a row, its threads taking neighbouring shares of it: each composes its share, the
//           shares before it are composed in order, then each writes its share.
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
