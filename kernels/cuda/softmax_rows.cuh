// Rows of softmax as teams of threads go over them: shared by softmax.cu and loss.cu.
#pragma once

#include "common.cuh"
#include "index.cuh"
#include "reduce.cuh"

using gs::int64;

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }

constexpr int kHeldElements = 8;

// A row as a thread of its team goes over it: lane, lane + lanes, ...
template <class T, bool kHeld>
struct Row {
  const T* data;
  int64 extent, stride;
  int lane, lanes;
  T held[kHeld ? kHeldElements : 1];

  __device__ __forceinline__ Row(const T* data_, int64 extent_, int64 stride_, const gs::Team& team)
      : data(data_), extent(extent_), stride(stride_), lane(team.lane), lanes(team.lanes) {
    if constexpr (kHeld) {
#pragma unroll
      for (int k = 0; k < kHeldElements; ++k) {
        const int64 i = lane + k * lanes;
        if (i < extent) held[k] = data[i * stride];
      }
    }
  }

  // Calls f(offset, element).
  template <class F>
  __device__ __forceinline__ void for_each(const F& f) const {
    if constexpr (kHeld) {
#pragma unroll
      for (int k = 0; k < kHeldElements; ++k) {
        const int64 i = lane + k * lanes;
        if (i < extent) f(i * stride, held[k]);
      }
    } else {
#pragma unroll 4
      for (int64 i = lane; i < extent; i += lanes) f(i * stride, data[i * stride]);
    }
  }
};

// Where row `index` begins, of rows whose elements lie `inner` apart.
__device__ __forceinline__ int64 row_start(int64 index, int64 extent, int64 inner) {
  const int64 column = gs::take_digit(index, inner);
  return index * extent * inner + column;
}
