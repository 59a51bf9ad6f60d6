// What every kernel file starts from: integer names, shared-memory declarations, small helpers.
#pragma once

#ifndef GS_EMULATOR
// A static shared array of type T. The emulator gives it poisoned, guarded memory instead.
#define GS_SHARED(T, name)  \
  using name##_type = T;    \
  __shared__ name##_type name
// The launch's dynamic shared memory as a T*.
#define GS_DYN_SMEM(T, name)                                             \
  extern __shared__ __align__(128) unsigned char gs_dynamic_shared[];    \
  T* const name = reinterpret_cast<T*>(gs_dynamic_shared)
#endif

namespace gs {

using int64 = long long;
using uint64 = unsigned long long;

constexpr int kWarpSize = 32;
constexpr int kMaxDims = 16;

template <class A, class B>
__host__ __device__ constexpr auto ceil_div(A a, B b) {
  return (a + b - 1) / b;
}

// kCount values moved as one aligned access.
template <class T, int kCount>
struct alignas(sizeof(T) * kCount) Vector {
  T value[kCount];
};

// First element of this thread in a grid-stride loop, and the step to its next.
__device__ __forceinline__ int64 grid_thread() {
  return static_cast<int64>(blockIdx.x) * blockDim.x + threadIdx.x;
}
__device__ __forceinline__ int64 grid_threads() {
  return static_cast<int64>(gridDim.x) * blockDim.x;
}

// Sum over the warp, in every lane, in a fixed order.
template <class T>
__device__ __forceinline__ T warp_sum(T v) {
#pragma unroll
  for (int lanes = kWarpSize / 2; lanes > 0; lanes /= 2) v += __shfl_xor_sync(0xffffffffu, v, lanes);
  return v;
}

// Where a kernel reports a bad index; the launcher raises IndexError from it (see launch.py).
struct IndexError {
  int set;  // 1 once a thread has reported
  int unused;
  int64 index, limit;
};

__device__ __forceinline__ bool check_index(IndexError* error, int64 index, int64 limit) {
  if (index >= 0 && index < limit) return true;
  if (atomicCAS(&error->set, 0, 1) == 0) {
    error->index = index;
    error->limit = limit;
  }
  return false;
}

}  // namespace gs
