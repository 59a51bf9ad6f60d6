// Epilogues of products: a residual that is added, an activation.
#pragma once

#include "normal.cuh"

namespace gs {

__device__ __forceinline__ float tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double tangent(double x) { return tanh(x); }

enum Activation { kIdentity, kRelu, kGelu, kTanh, kSigmoid, kSilu };

// 1 / (1 + e^-x)
template <class T>
__device__ __forceinline__ T logistic(T x) {
  const T e = exponential(x < T(0) ? x : -x);
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

// One copy of it, for a tile stores up to 64 elements a thread.
template <class T>
__device__ __noinline__ T activated(T x, int activation) {
  if (activation == kRelu) return x <= T(0) ? T(0) : x;  // NaN stays
  if (activation == kTanh) return tangent(x);
  if (activation == kGelu) return x * normal_share(x);
  if (activation == kSigmoid) return logistic(x);
  if (activation == kSilu) return x * logistic(x);
  return x;
}

// g f'(z), from v = f(z), or from v = z for gelu and silu.
template <class T>
__device__ __forceinline__ T slope(T g, T v, int activation) {
  if (activation == kRelu) return v <= T(0) ? T(0) : g;  // NaN passes, as in PyTorch
  if (activation == kTanh) return g * (T(1) - v * v);
  if (activation == kSigmoid) return g * (v * (T(1) - v));
  if (activation == kGelu) return g * (normal_share(v) + v * normal_density(v));
  if (activation == kSilu) {
    const T s = logistic(v);
    return g * (s * (v * (T(1) - s) + T(1)));
  }
  return g;
}

// What a kernel with kEpilogue does to a sum as it is stored at y[i].
template <class T, bool kEpilogue>
struct Epilogue {
  const T* residual;  // laid out as y, or none
  int activation;
  __device__ __forceinline__ T operator()(int64 i, T sum) const {
    if constexpr (kEpilogue) {
      return activated(residual ? sum + residual[i] : sum, activation);
    } else {
      return sum;
    }
  }
};

}  // namespace gs
