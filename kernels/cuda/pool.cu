// Pooling over 1, 2 or 3 spatial dimensions: max_pool max_pool_bwd max_pool_gather avg_pool
// avg_pool_bwd.
//
// Formula   max: y[o] = maximum of x over o's window, indices[o] = its first place in the plane (the
//           last NaN's: NaN wins). avg: the sum over the window divided by `divisor`, or by the
//           number of its places: inside the padded input (include_pad) or inside the input.
//           A window wholly outside the input gives -inf (max, index 0) or 0 (avg).
// Layout    x (N, C, *in), y and indices (N, C, *out), contiguous.
// Split     one thread an element of the result, grid-stride; neighbouring threads have neighbouring
//           windows, whose rows they share in the first-level cache. The backward kernels gather: the
//           thread of an input element adds, in order, the windows that reach it. No atomics, the
//           same bits at every run.
// Memory    no shared memory.
// Cost      forward reads x once from memory (each window from cache), writes y and indices once;
//           backward reads grad_y (and indices) once from memory, kernel / stride times a dimension
//           from cache.
// Accuracy  max is exact; avg sums in the element's type, in the window's order.
// Limits    planes of at most 2^31 - 1 elements for max (int32 indices).
#include "common.cuh"
#include "index.cuh"
#include "reduce.cuh"

using gs::int64;

// The geometry of a pooling over kSpatial dimensions.
template <int kSpatial>
struct Window {
  int64 in[kSpatial], out[kSpatial], kernel[kSpatial], stride[kSpatial], padding[kSpatial],
      dilation[kSpatial];
  int64 in_plane, out_plane;
};

// Places first, first + step, ... < end along one dimension.
struct Reach {
  int64 first, end;
};

// Where the window of output o meets the input.
template <int kSpatial>
__device__ __forceinline__ Reach reach_of_window(const Window<kSpatial>& w, int d, int64 o) {
  const int64 start = o * w.stride[d] - w.padding[d];
  const int64 end = min(start + (w.kernel[d] - 1) * w.dilation[d] + 1, w.in[d]);
  const int64 skipped = start < 0 ? gs::divide(w.dilation[d] - 1 - start, w.dilation[d]) : 0;
  return {start + skipped * w.dilation[d], end};
}

// The outputs whose window may hold input element i.
template <int kSpatial>
__device__ __forceinline__ Reach windows_of_element(const Window<kSpatial>& w, int d, int64 i) {
  const int64 last = i + w.padding[d];
  const int64 start = last - (w.kernel[d] - 1) * w.dilation[d];
  return {start <= 0 ? 0 : gs::divide(start + w.stride[d] - 1, w.stride[d]),
          min(gs::divide(last, w.stride[d]) + 1, w.out[d])};
}

// Calls f(place, at) for the places of a box in a plane of `extent`, in C order, with their
// coordinates `at`; `place` is the flat index so far, of the dimensions before kDim.
template <int kDim, int kSpatial, class F>
__device__ __forceinline__ void for_box(const Reach (&box)[kSpatial],
                                        const int64 (&extent)[kSpatial],
                                        const int64 (&step)[kSpatial], int64 place,
                                        int64 (&at)[kSpatial], const F& f) {
  for (at[kDim] = box[kDim].first; at[kDim] < box[kDim].end; at[kDim] += step[kDim]) {
    const int64 next = place * extent[kDim] + at[kDim];
    if constexpr (kDim + 1 == kSpatial) {
      f(next, at);
    } else {
      for_box<kDim + 1>(box, extent, step, next, at, f);
    }
  }
}
template <int kSpatial, class F>
__device__ __forceinline__ void for_box(const Reach (&box)[kSpatial],
                                        const int64 (&extent)[kSpatial],
                                        const int64 (&step)[kSpatial], const F& f) {
  int64 at[kSpatial];
  for_box<0>(box, extent, step, 0, at, f);
}

// Splits flat index i into its plane (returned) and the coordinates within it.
template <int kSpatial>
__device__ __forceinline__ int64 coordinates(int64 i, const int64 (&extent)[kSpatial],
                                             int64 (&at)[kSpatial]) {
#pragma unroll
  for (int d = kSpatial - 1; d >= 0; --d) at[d] = gs::take_digit(i, extent[d]);
  return i;
}

// ---- maximum -------------------------------------------------------------------------------------------

template <class T, int kSpatial>
__global__ void max_pool(const T* __restrict__ x, T* __restrict__ y, int* __restrict__ indices,
                         Window<kSpatial> w, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 o[kSpatial];
    const T* const plane = x + coordinates(i, w.out, o) * w.in_plane;
    Reach box[kSpatial];
#pragma unroll
    for (int d = 0; d < kSpatial; ++d) box[d] = reach_of_window(w, d, o[d]);
    T best = -gs::infinity<T>();
    int at = -1;
    for_box(box, w.in, w.dilation, [&](int64 place, const auto&) {
      const T value = plane[place];
      if (at < 0 || value > best || value != value) {
        best = value;
        at = static_cast<int>(place);
      }
    });
    y[i] = best;
    indices[i] = at < 0 ? 0 : at;
  }
}

template <class T, int kSpatial>
__global__ void max_pool_bwd(const T* __restrict__ grad_y, const int* __restrict__ indices,
                             T* __restrict__ grad_x, Window<kSpatial> w, int64 n, int64 outputs,
                             gs::IndexError* error) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[kSpatial];
    const int64 plane = coordinates(i, w.in, at);
    const int place = static_cast<int>(i - plane * w.in_plane);
    const int64 first = plane * w.out_plane;
    Reach box[kSpatial];
    int64 ones[kSpatial];
#pragma unroll
    for (int d = 0; d < kSpatial; ++d) {
      box[d] = windows_of_element(w, d, at[d]);
      ones[d] = 1;
    }
    T sum = 0;
    for_box(box, w.out, ones, [&](int64 o, const auto&) {
      if (indices[first + o] == place) sum += grad_y[first + o];
    });
    grad_x[i] = sum;
  }
  // An index outside of the plane is met by no element above.
  for (int64 o = gs::grid_thread(); o < outputs; o += gs::grid_threads()) {
    gs::check_index(error, indices[o], w.in_plane);
  }
}

// y[o] = x[indices[o]] within each plane.
template <class T>
__global__ void max_pool_gather(const T* __restrict__ x, const int* __restrict__ indices,
                                T* __restrict__ y, int64 in_plane, int64 out_plane, int64 n,
                                gs::IndexError* error) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 plane = i;
    gs::take_digit(plane, out_plane);
    const int64 index = indices[i];
    y[i] = gs::check_index(error, index, in_plane) ? x[plane * in_plane + index] : T(0);
  }
}

// ---- average -------------------------------------------------------------------------------------------

// How many places of output o's window count, along one dimension.
template <int kSpatial>
__device__ __forceinline__ int64 counted(const Window<kSpatial>& w, int d, int64 o,
                                         bool include_pad) {
  const int64 start = o * w.stride[d] - w.padding[d];
  const int64 end = start + w.kernel[d];
  if (include_pad) return min(end, w.in[d] + w.padding[d]) - start;
  return min(end, w.in[d]) - max(start, int64{0});
}

template <class T, int kSpatial>
__global__ void avg_pool(const T* __restrict__ x, T* __restrict__ y, Window<kSpatial> w,
                         int include_pad, int64 divisor, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 o[kSpatial];
    const T* const plane = x + coordinates(i, w.out, o) * w.in_plane;
    Reach box[kSpatial];
    int64 count = 1;
    bool empty = false;
#pragma unroll
    for (int d = 0; d < kSpatial; ++d) {
      box[d] = reach_of_window(w, d, o[d]);
      empty = empty || box[d].first >= box[d].end;
      count *= counted(w, d, o[d], include_pad);
    }
    T sum = 0;
    for_box(box, w.in, w.dilation, [&](int64 place, const auto&) { sum += plane[place]; });
    y[i] = empty ? T(0) : sum / static_cast<T>(divisor ? divisor : count);
  }
}

template <class T, int kSpatial>
__global__ void avg_pool_bwd(const T* __restrict__ grad_y, T* __restrict__ grad_x,
                             Window<kSpatial> w, int include_pad, int64 divisor, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[kSpatial];
    const T* const plane = grad_y + coordinates(i, w.in, at) * w.out_plane;
    Reach box[kSpatial];
    int64 ones[kSpatial];
#pragma unroll
    for (int d = 0; d < kSpatial; ++d) {
      box[d] = windows_of_element(w, d, at[d]);
      ones[d] = 1;
    }
    T sum = 0;
    for_box(box, w.out, ones, [&](int64 place, const int64(&o)[kSpatial]) {
      int64 count = 1;
#pragma unroll
      for (int d = 0; d < kSpatial; ++d) count *= counted(w, d, o[d], include_pad);
      sum += plane[place] / static_cast<T>(divisor ? divisor : count);
    });
    grad_x[i] = sum;
  }
}
