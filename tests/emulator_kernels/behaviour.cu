// What CUDA promises, one small kernel each: barriers, warp functions, shared memory, and the
// faults that the emulator must name.
#include "common.cuh"
#include "ptx.cuh"

__global__ void identify(int* linear, int* block_of) {
  const int in_block = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const int block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const int i = block * (blockDim.x * blockDim.y * blockDim.z) + in_block;
  linear[i] = in_block;
  block_of[i] = block;
}

// out[kind * 32 + lane]: each shuffle and vote once.
__global__ void warp_functions(const int* x, int* out) {
  const int lane = threadIdx.x;
  const int v = x[lane];
  constexpr unsigned kAll = 0xffffffffu;
  out[0 * 32 + lane] = __shfl_sync(kAll, v, 5);
  out[1 * 32 + lane] = __shfl_up_sync(kAll, v, 3);
  out[2 * 32 + lane] = __shfl_down_sync(kAll, v, 3);
  out[3 * 32 + lane] = __shfl_xor_sync(kAll, v, 9);
  out[4 * 32 + lane] = __shfl_xor_sync(kAll, v, 4, 8);
  out[5 * 32 + lane] = static_cast<int>(__ballot_sync(kAll, v % 3 == 0));
  out[6 * 32 + lane] = __any_sync(kAll, v == 7);
  out[7 * 32 + lane] = __all_sync(kAll, v < 1000);
  out[8 * 32 + lane] = __shfl_down_sync(kAll, v, 2, 8);
  if (lane < 16) {
    out[9 * 32 + lane] = __shfl_xor_sync(0x0000ffffu, v, 1);
  } else {
    out[9 * 32 + lane] = __shfl_xor_sync(0xffff0000u, v, 2);
  }
}

__global__ void votes(const int* x, int* out) {
  const int count = __syncthreads_count(x[threadIdx.x] > 0);
  const int any = __syncthreads_or(x[threadIdx.x] > 1000);
  const int all = __syncthreads_and(x[threadIdx.x] > -1000);
  if (threadIdx.x == 0) {
    out[0] = count;
    out[1] = any != 0;
    out[2] = all != 0;
  }
}

// Warp 0 fills, warp 1 drains, through named barriers as a producer and a consumer use them.
__global__ void producer_consumer(float* y, int rounds) {
  GS_SHARED(float[32], slot);
  const int lane = threadIdx.x % 32;
  if (threadIdx.x < 32) {
    for (int r = 0; r < rounds; ++r) {
      if (r > 0) ptx::bar_sync(2, 64);  // empty again
      slot[lane] = static_cast<float>(r * 32 + lane);
      ptx::bar_arrive(1, 64);
    }
  } else {
    for (int r = 0; r < rounds; ++r) {
      ptx::bar_sync(1, 64);  // full
      y[r * 32 + lane] = slot[lane];
      if (r + 1 < rounds) ptx::bar_arrive(2, 64);
    }
  }
}

// Half of the threads leave before the barrier; the others pass it.
__global__ void early_exit(int* y) {
  if (threadIdx.x % 2) return;
  __syncthreads();
  y[threadIdx.x] = 1;
}

__global__ void unwritten_shared(float* y) {
  GS_SHARED(float[32], tile);
  GS_DYN_SMEM(float, more);
  y[threadIdx.x] = tile[threadIdx.x];
  y[32 + threadIdx.x] = more[threadIdx.x];
}

__global__ void static_overrun(float* y, int i) {
  GS_SHARED(float[32], first);
  GS_SHARED(float[32], second);
  first[threadIdx.x] = 1;
  second[threadIdx.x] = 2;
  if (threadIdx.x == 0) second[i] = 3;
  __syncthreads();
  y[threadIdx.x] = first[threadIdx.x] + second[threadIdx.x];
}

__global__ void dynamic_overrun(int i) {
  GS_DYN_SMEM(float, smem);
  smem[i] = 1;
}

// Index i may be beyond the row, but inside the array: another thread's place.
__global__ void row_overrun(float* y, int i) {
  GS_SHARED(float[4][8], tile);
  for (int k = 0; k < 32; ++k) tile[k / 8][k % 8] = static_cast<float>(k);
  y[0] = tile[0][i];
}

__global__ void misaligned_vector(const float* x, float* y) {
  y[0] = reinterpret_cast<const float4*>(x + 1)->x;
}

__global__ void lock_and_wait(int* lock) {
  while (atomicCAS(lock, 0, 1) != 0) {
  }
  // never unlocked
}

__global__ void endless(volatile int* flag) {
  while (*flag == 0) {
  }
}

__global__ void half_a_warp(int* y) {
  if (threadIdx.x < 16) y[threadIdx.x] = __shfl_sync(0xffffffffu, static_cast<int>(threadIdx.x), 0);
}

__global__ void two_places(int* y) {
  if (threadIdx.x < 32) {
    y[threadIdx.x] = __shfl_xor_sync(0xffffffffu, 1, 1);
  } else {
    __syncthreads();
  }
  __syncthreads();
}

struct Pair {
  int a;
  long long b;
};
__global__ void arguments(const float* x, double* y, int i, long long q, float f, double d, bool b,
                          Pair pair, const void* any) {
  y[0] = x[0] + i + static_cast<double>(q) + f + d + b + pair.a + static_cast<double>(pair.b);
  y[1] = any == nullptr;
}

__global__ void wide_index(const signed char* x, long long i, signed char* y) { y[0] = x[i]; }

__global__ void bad_index(const long long* index, long long limit, gs::IndexError* error) {
  gs::check_index(error, index[threadIdx.x], limit);
}

__global__ void misaligned_copy(const float* x, float* y) {
  GS_DYN_SMEM(float, smem);
  ptx::cp_async<16>(smem, x + 1);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  y[0] = smem[0];
}

__global__ void deep_stack(float* y) {
  volatile float much[1 << 16];
  for (int i = 0; i < (1 << 16); ++i) much[i] = 1;
  y[0] = much[threadIdx.x];
}
