// The tile that matmul.cu and conv.cu share: y(m, n) = sum over k of A(m, k) B(k, n), on the
// ordinary cores, exact to float rounding.
//
// A and B are loaders: matmul's read strided matrices, the convolutions' gather their windows, so
// the matrix of windows (im2col) never exists in memory. A loader has
//   Outer outer(int64 m), Inner inner(int64 k): what an index means, worked out once a thread and
//     once a k, out-of-range indices included;
//   T load(Outer, Inner): the value, 0 where either is out of range;
//   kInnerFast: whether neighbouring threads should take neighbouring k (or neighbouring m).
//
// Split    a block owns BLOCK_M x BLOCK_N results, a thread THREAD_M x THREAD_N of them, in groups
//          of 16 bytes that lie apart, so that a warp's shared reads hit different banks.
// Memory   two buffers of BLOCK_K x (BLOCK_M + BLOCK_N + 2 vectors) values; the next tile waits in
//          registers while this one is multiplied.
// Order    one chain of multiply-adds over k for each result: the same bits for every launch.
#pragma once

#include "common.cuh"

namespace gs {

template <int kM, int kN, int kK, int kThreadM, int kThreadN>
struct Tile {
  static constexpr int BLOCK_M = kM;
  static constexpr int BLOCK_N = kN;
  static constexpr int BLOCK_K = kK;
  static constexpr int THREAD_M = kThreadM;
  static constexpr int THREAD_N = kThreadN;
  static constexpr int kThreads = (kM / kThreadM) * (kN / kThreadN);
  // Blocks that must fit a multiprocessor: said outright, because the compiler otherwise aims for
  // more of them, and spills to get there.
  static constexpr int kBlocks = kThreads >= 256 ? 1 : 4;
};

// One operand's way into shared memory: kOuter x kInner values, kThreads threads.
template <class T, class Loader, int kOuter, int kInner, int kThreads>
class Stage {
 public:
  static constexpr int kLoads = kOuter * kInner / kThreads;
  static_assert(kOuter * kInner % kThreads == 0, "every thread loads equally many values");
  static_assert(kThreads % (Loader::kInnerFast ? kInner : kOuter) == 0,
                "a thread keeps its place along the fast index");

  __device__ Stage(const Loader& loader, int64 outer0) : loader_(loader) {
#pragma unroll
    for (int j = 0; j < kOuters; ++j) outer_[j] = loader.outer(outer0 + outer_of(j));
  }

  // Fetches the values of k0 .. k0 + kInner - 1 into registers; zero from k_end on.
  __device__ __forceinline__ void fetch(int64 k0, int64 k_end) {
    if constexpr (Loader::kInnerFast) {
      const int64 k = k0 + inner_of(0);
      const auto inner = loader_.inner(k < k_end ? k : -1);
#pragma unroll
      for (int j = 0; j < kLoads; ++j) value_[j] = loader_.load(outer_[j], inner);
    } else {
#pragma unroll
      for (int j = 0; j < kLoads; ++j) {
        const int64 k = k0 + inner_of(j);
        value_[j] = loader_.load(outer_[0], loader_.inner(k < k_end ? k : -1));
      }
    }
  }

  template <int kPitch>
  __device__ __forceinline__ void store(T (&tile)[kInner][kPitch]) const {
#pragma unroll
    for (int j = 0; j < kLoads; ++j) tile[inner_of(j)][outer_of(j)] = value_[j];
  }

 private:
  static constexpr int kOuters = Loader::kInnerFast ? kLoads : 1;

  static __device__ __forceinline__ int outer_of(int j) {
    const int t = static_cast<int>(threadIdx.x);
    return Loader::kInnerFast ? t / kInner + j * (kThreads / kInner) : t % kOuter;
  }
  static __device__ __forceinline__ int inner_of(int j) {
    const int t = static_cast<int>(threadIdx.x);
    return Loader::kInnerFast ? t % kInner : t / kOuter + j * (kThreads / kOuter);
  }

  const Loader& loader_;
  typename Loader::Outer outer_[kOuters];
  T value_[kLoads];
};

// Multiplies k_begin .. k_end - 1 of the tile at (m0, n0) and hands each result within M x N to
// store(m, n, value).
template <class T, class Tile, class A, class B, class Store>
__device__ __forceinline__ void multiply_tile(const A& a, const B& b, const Store& store, int64 M,
                                              int64 N, int64 m0, int64 n0, int64 k_begin,
                                              int64 k_end) {
  constexpr int BLOCK_M = Tile::BLOCK_M, BLOCK_N = Tile::BLOCK_N, BLOCK_K = Tile::BLOCK_K;
  constexpr int THREAD_M = Tile::THREAD_M, THREAD_N = Tile::THREAD_N;
  constexpr int kVector = 16 / sizeof(T);
  constexpr int kGroupsM = THREAD_M / kVector, kGroupsN = THREAD_N / kVector;
  static_assert(THREAD_M % kVector == 0 && THREAD_N % kVector == 0, "threads own whole vectors");
  using Values = Vector<T, kVector>;

  GS_SHARED(T[2][BLOCK_K][BLOCK_M + kVector], tile_a);
  GS_SHARED(T[2][BLOCK_K][BLOCK_N + kVector], tile_b);

  const int thread_m = static_cast<int>(threadIdx.x) / (BLOCK_N / THREAD_N);
  const int thread_n = static_cast<int>(threadIdx.x) % (BLOCK_N / THREAD_N);
  Stage<T, A, BLOCK_M, BLOCK_K, Tile::kThreads> stage_a(a, m0);
  Stage<T, B, BLOCK_N, BLOCK_K, Tile::kThreads> stage_b(b, n0);
  T sum[THREAD_M][THREAD_N] = {};

  stage_a.fetch(k_begin, k_end);
  stage_b.fetch(k_begin, k_end);
  stage_a.store(tile_a[0]);
  stage_b.store(tile_b[0]);
  __syncthreads();
  int buffer = 0;
  for (int64 k0 = k_begin; k0 < k_end; k0 += BLOCK_K) {
    const bool more = k0 + BLOCK_K < k_end;
    if (more) {
      stage_a.fetch(k0 + BLOCK_K, k_end);
      stage_b.fetch(k0 + BLOCK_K, k_end);
    }
#pragma unroll
    for (int k = 0; k < BLOCK_K; ++k) {
      T x[THREAD_M], y[THREAD_N];
#pragma unroll
      for (int g = 0; g < kGroupsM; ++g) {
        const int m = g * (BLOCK_M / kGroupsM) + thread_m * kVector;
        const Values v = *reinterpret_cast<const Values*>(&tile_a[buffer][k][m]);
#pragma unroll
        for (int i = 0; i < kVector; ++i) x[g * kVector + i] = v.value[i];
      }
#pragma unroll
      for (int g = 0; g < kGroupsN; ++g) {
        const int n = g * (BLOCK_N / kGroupsN) + thread_n * kVector;
        const Values v = *reinterpret_cast<const Values*>(&tile_b[buffer][k][n]);
#pragma unroll
        for (int i = 0; i < kVector; ++i) y[g * kVector + i] = v.value[i];
      }
#pragma unroll
      for (int i = 0; i < THREAD_M; ++i) {
#pragma unroll
        for (int j = 0; j < THREAD_N; ++j) sum[i][j] += x[i] * y[j];
      }
    }
    if (more) {
      // The other buffer was last read before the previous barrier.
      buffer ^= 1;
      stage_a.store(tile_a[buffer]);
      stage_b.store(tile_b[buffer]);
      __syncthreads();
    }
  }

#pragma unroll
  for (int j = 0; j < THREAD_N; ++j) {
    const int64 n = n0 + j / kVector * (BLOCK_N / kGroupsN) + thread_n * kVector + j % kVector;
    if (n >= N) continue;
    const auto column = store.column(n);
#pragma unroll
    for (int i = 0; i < THREAD_M; ++i) {
      const int64 m = m0 + i / kVector * (BLOCK_M / kGroupsM) + thread_m * kVector + i % kVector;
      if (m < M) store(m, column, sum[i][j]);
    }
  }
}

}  // namespace gs
