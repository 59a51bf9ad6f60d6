// Pooling to a given size over 1 to 3 spatial dimensions: adaptive_avg_pool adaptive_avg_pool_bwd
// adaptive_max_pool.
//
// Formula   output o of `out` along a dimension has the window [floor(o in / out), ceil((o + 1) in /
//           out)). avg: the window's sum over its size. max: its maximum, and where in the plane it
//           stood first (the last NaN: NaN wins).
// Layout    x (N, C, *in), y and indices (N, C, *out), contiguous; missing dimensions are 1.
// Split     one thread an element of the result, grid-stride. The backward gathers: the thread of an
//           input element adds, in order, the outputs whose windows hold it. No atomics.
// Memory    no shared memory.
// Cost      each input plane is read once from memory, its windows' overlaps from cache.
// Accuracy  max is exact; avg sums in the element's type, in the window's order.
// Limits    planes of at most 2^31 - 1 elements for max (int32 indices).
#include "common.cuh"
#include "index.cuh"

using gs::int64;

struct Planes {
  int64 in[3], out[3];
  int64 in_size, out_size;
};

struct Range {
  int64 begin, end;
};

// What position i of `size` meets in `other`.
__device__ __forceinline__ Range meets(int64 i, int64 size, int64 other) {
  return {gs::divide(i * other, size), gs::divide((i + 1) * other + size - 1, size)};
}

__device__ __forceinline__ int64 extent(const Range& range) { return range.end - range.begin; }

// The coordinates of element i of planes of this extent; returns its plane.
__device__ __forceinline__ int64 coordinates(int64 i, const int64 (&size)[3], int64 (&at)[3]) {
#pragma unroll
  for (int d = 2; d >= 0; --d) at[d] = gs::take_digit(i, size[d]);
  return i;
}

template <class T>
__global__ void adaptive_avg_pool(const T* __restrict__ x, T* __restrict__ y, Planes p, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 o[3];
    const T* const plane = x + coordinates(i, p.out, o) * p.in_size;
    Range w[3];
#pragma unroll
    for (int d = 0; d < 3; ++d) w[d] = meets(o[d], p.out[d], p.in[d]);
    T sum = 0;
    for (int64 z = w[0].begin; z < w[0].end; ++z) {
      for (int64 r = w[1].begin; r < w[1].end; ++r) {
        const T* const row = plane + (z * p.in[1] + r) * p.in[2];
        for (int64 c = w[2].begin; c < w[2].end; ++c) sum += row[c];
      }
    }
    y[i] = sum / static_cast<T>(extent(w[0]) * extent(w[1]) * extent(w[2]));
  }
}

template <class T>
__global__ void adaptive_avg_pool_bwd(const T* __restrict__ grad_y, T* __restrict__ grad_x,
                                      Planes p, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[3];
    const T* const plane = grad_y + coordinates(i, p.in, at) * p.out_size;
    Range w[3];
#pragma unroll
    for (int d = 0; d < 3; ++d) w[d] = meets(at[d], p.in[d], p.out[d]);
    T sum = 0;
    for (int64 z = w[0].begin; z < w[0].end; ++z) {
      const int64 depth = extent(meets(z, p.out[0], p.in[0]));
      for (int64 r = w[1].begin; r < w[1].end; ++r) {
        const int64 area = depth * extent(meets(r, p.out[1], p.in[1]));
        const T* const row = plane + (z * p.out[1] + r) * p.out[2];
        for (int64 c = w[2].begin; c < w[2].end; ++c) {
          sum += row[c] / static_cast<T>(area * extent(meets(c, p.out[2], p.in[2])));
        }
      }
    }
    grad_x[i] = sum;
  }
}

template <class T>
__global__ void adaptive_max_pool(const T* __restrict__ x, T* __restrict__ y,
                                  int* __restrict__ indices, Planes p, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 o[3];
    const T* const plane = x + coordinates(i, p.out, o) * p.in_size;
    Range w[3];
#pragma unroll
    for (int d = 0; d < 3; ++d) w[d] = meets(o[d], p.out[d], p.in[d]);
    int64 at = (w[0].begin * p.in[1] + w[1].begin) * p.in[2] + w[2].begin;
    T best = plane[at];
    for (int64 z = w[0].begin; z < w[0].end; ++z) {
      for (int64 r = w[1].begin; r < w[1].end; ++r) {
        const int64 row = (z * p.in[1] + r) * p.in[2];
        for (int64 c = w[2].begin; c < w[2].end; ++c) {
          const T value = plane[row + c];
          if (value > best || value != value) {
            best = value;
            at = row + c;
          }
        }
      }
    }
    y[i] = best;
    indices[i] = static_cast<int>(at);
  }
}
