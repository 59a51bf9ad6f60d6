// What every kernel file starts from: integer names, shared-memory declarations, small helpers.
#pragma once

#ifndef GS_EMULATOR
// A static shared array of type T. The emulator gives it poisoned, guarded memory instead.
#define GS_SHARED(T, name) \
  using name##_type = T;   \
  __shared__ __align__(16) name##_type name
// The launch's dynamic shared memory as a T*.
#define GS_DYN_SMEM(T, name)                                          \
  extern __shared__ __align__(128) unsigned char gs_dynamic_shared[]; \
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

// A loop over up to 16 dimensions in C order, and each operand's strides, in elements. Made by
// arguments.py, which merges neighbouring dimensions, so that most loops have one to three.
struct Extent {
  unsigned multiplier, shift;  // n / size = (umulhi(n, multiplier) + n) >> shift for n < 2^31
  int64 size;
};

// n / extent.size for n >= 0; `wide` where n may be 2^31 or more.
__device__ __forceinline__ int64 divide(int64 n, const Extent& extent, int wide) {
  if (wide) return n / extent.size;
  const unsigned low = static_cast<unsigned>(n);
  return (__umulhi(low, extent.multiplier) + low) >> extent.shift;
}

template <int kOperands>
struct StridedLoop {
  int ndim;  // at least 1
  int wide;  // 2^31 elements or more: divide in 64 bits
  Extent extent[kMaxDims];
  int64 stride[kOperands][kMaxDims];
};

// Offsets of element i of the loop, in each operand.
template <int kOperands>
__device__ __forceinline__ void locate(const StridedLoop<kOperands>& loop, int64 i,
                                       int64 (&offset)[kOperands]) {
#pragma unroll
  for (int k = 0; k < kOperands; ++k) offset[k] = 0;
  for (int d = loop.ndim - 1; d > 0; --d) {
    const int64 quotient = divide(i, loop.extent[d], loop.wide);
    const int64 index = i - quotient * loop.extent[d].size;
    i = quotient;
#pragma unroll
    for (int k = 0; k < kOperands; ++k) offset[k] += index * loop.stride[k][d];
  }
#pragma unroll
  for (int k = 0; k < kOperands; ++k) offset[k] += i * loop.stride[k][0];
}

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
  for (int lanes = kWarpSize / 2; lanes > 0; lanes /= 2)
    v += __shfl_xor_sync(0xffffffffu, v, lanes);
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
