// Kernels with one bug each, put in by SEEDED_BUG; without it they are right.
// tests/test_emulator.py shows that every bug is caught and that the right version passes under
// every schedule.
#include "common.cuh"
#include "ptx.cuh"

#define MISSING_BARRIER 1
#define WAIT_OFF_BY_ONE 2
#define DIVERGENT_BARRIER 3
#define NON_ATOMIC_UPDATE 4
#define OVERRUN 5
#ifndef SEEDED_BUG
#define SEEDED_BUG 0
#endif

// y[b * 128 + i] = sum over the block of x[b * 128 + j] for j >= i: a suffix sum in shared memory.
__global__ void suffix_sum(const float* x, float* y) {
  GS_SHARED(float[128], part);
  const int i = threadIdx.x;
  const int first = blockIdx.x * 128;
  part[i] = x[first + i];
  __syncthreads();
  for (int step = 1; step < 128; step *= 2) {
    const float other = i + step < 128 ? part[i + step] : 0.0f;
#if SEEDED_BUG != MISSING_BARRIER
    __syncthreads();
#endif
    part[i] += other;
    __syncthreads();
  }
  y[first + i] = part[i];
}

// y = sum over tiles of the tile reversed: a ring of kStages tiles filled by cp.async.
constexpr int kStages = 3;
constexpr int kTile = 256;
__global__ void ring(const float* x, float* y, int tiles) {
  GS_DYN_SMEM(float, smem);
  const int t = threadIdx.x;  // 64 threads, 4 floats each
  auto load = [&](int tile) {
    if (tile < tiles)
      ptx::cp_async<16>(smem + tile % kStages * kTile + 4 * t, x + tile * kTile + 4 * t);
    ptx::cp_async_commit();
  };
  for (int tile = 0; tile < kStages - 1; ++tile) load(tile);
  float sum[4] = {};
  for (int tile = 0; tile < tiles; ++tile) {
#if SEEDED_BUG == WAIT_OFF_BY_ONE
    ptx::cp_async_wait<kStages - 1>();
#else
    ptx::cp_async_wait<kStages - 2>();
#endif
    __syncthreads();  // the tile is there, and everyone has left the one that is overwritten next
    load(tile + kStages - 1);
    for (int i = 0; i < 4; ++i) sum[i] += smem[tile % kStages * kTile + kTile - 1 - (4 * t + i)];
  }
  for (int i = 0; i < 4; ++i) y[4 * t + i] = sum[i];
}

// y[i] = x[i] * 2 for i < n, through shared memory.
__global__ void doubled(const float* x, float* y, int n) {
  GS_SHARED(float[64], tile);
  const int i = threadIdx.x;
  if (i < n) {
    tile[i] = 2 * x[i];
#if SEEDED_BUG == DIVERGENT_BARRIER
    __syncthreads();
  } else {
    __syncthreads();
  }
#else
  }
  __syncthreads();
#endif
  if (i < n) y[i] = tile[i];
}

// counts[x[i]] += 1
__global__ void histogram(const int* x, int* counts, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
#if SEEDED_BUG == NON_ATOMIC_UPDATE
  if (i < n) counts[x[i]] += 1;
#else
  if (i < n) atomicAdd(counts + x[i], 1);
#endif
}

// y[i] = x[i] + 1
__global__ void increment(const float* x, float* y, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
#if SEEDED_BUG == OVERRUN
  if (i <= n) y[i] = x[i] + 1;
#else
  if (i < n) y[i] = x[i] + 1;
#endif
}
