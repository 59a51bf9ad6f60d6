// How the threads of a block share reductions: teams of threads, one team a result.
#pragma once

#include "common.cuh"

namespace gs {

constexpr int kTeamThreads = 256;  // the most threads a block of teams has

// The block's threads as `slots` teams of `lanes` threads. A team's threads are neighbours (`along`:
// for data whose reduced elements lie side by side) or `slots` apart (whose results do). Lanes are a
// power of two, and the block is whole warps.
struct Team {
  int lanes, slots;
  bool along;
  int lane, slot;  // this thread's place in its team, and its team

  __device__ __forceinline__ Team(int lanes_, bool along_)
      : lanes(lanes_), slots(static_cast<int>(blockDim.x) / lanes_), along(along_) {
    const int thread = static_cast<int>(threadIdx.x);
    lane = along ? thread % lanes : thread / slots;
    slot = along ? thread / lanes : thread % slots;
  }
};

template <class T>
__device__ __forceinline__ T shuffle_partial(T v, int lanes) {
  return __shfl_xor_sync(0xffffffffu, v, lanes);
}

// The combination of every team's values, in each of its threads; all threads of the block must call.
// The order of combining follows from the team's size alone. R has the type Partial and combine();
// `shared` has room for one Partial a thread.
template <class R>
__device__ __forceinline__ typename R::Partial fold_team(const Team& team, typename R::Partial v,
                                                         typename R::Partial* shared) {
  if (team.lanes == 1) return v;
  const int thread = static_cast<int>(threadIdx.x);
  if (team.along) {
    for (int lanes = min(team.lanes, kWarpSize) / 2; lanes > 0; lanes /= 2) {
      v = R::combine(v, shuffle_partial(v, lanes));
    }
    if (team.lanes <= kWarpSize) return v;
    const int warps = team.lanes / kWarpSize, warp = thread / kWarpSize;
    const int first = warp / warps * warps;
    __syncthreads();  // until all have read what an earlier call left
    if (thread % kWarpSize == 0) shared[warp] = v;
    __syncthreads();
    v = shared[first];
    for (int k = 1; k < warps; ++k) v = R::combine(v, shared[first + k]);
    return v;
  }
  __syncthreads();
  shared[thread] = v;
  __syncthreads();
  for (int half = team.lanes / 2; half > 0; half /= 2) {
    if (team.lane < half) {
      shared[thread] = R::combine(shared[thread], shared[thread + half * team.slots]);
    }
    __syncthreads();
  }
  return shared[team.slot];
}

// Reductions of numbers, for fold_team.
template <class T>
struct AddPartials {
  using Partial = T;
  static __device__ __forceinline__ T identity() { return T(0); }
  static __device__ __forceinline__ T combine(T a, T b) { return a + b; }
};

template <class T>
__device__ __forceinline__ T infinity() {
  return static_cast<T>(__int_as_float(0x7f800000));
}

template <>
__device__ __forceinline__ int64 infinity<int64>() {
  return 0x7fffffffffffffffLL;
}

template <class T>
struct MultiplyPartials {
  using Partial = T;
  static __device__ __forceinline__ T identity() { return T(1); }
  static __device__ __forceinline__ T combine(T a, T b) { return a * b; }
};

// Of 0 and 1.
struct OrPartials {
  using Partial = int;
  static __device__ __forceinline__ int identity() { return 0; }
  static __device__ __forceinline__ int combine(int a, int b) { return a | b; }
};
struct AndPartials {
  using Partial = int;
  static __device__ __forceinline__ int identity() { return 1; }
  static __device__ __forceinline__ int combine(int a, int b) { return a & b; }
};

// NaN wins.
template <class T>
struct MaxPartials {
  using Partial = T;
  static __device__ __forceinline__ T identity() { return -infinity<T>(); }
  static __device__ __forceinline__ T combine(T a, T b) { return b > a || b != b ? b : a; }
};

template <class T>
struct MinPartials {
  using Partial = T;
  static __device__ __forceinline__ T identity() { return infinity<T>(); }
  static __device__ __forceinline__ T combine(T a, T b) { return b < a || b != b ? b : a; }
};

}  // namespace gs
