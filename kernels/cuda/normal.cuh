// The normal distribution's lower tail and density, right to their last places down to where they
// underflow: what rounding an argument loses is put back to first order.
#pragma once

#include "common.cuh"

namespace gs {

__device__ __forceinline__ float complement(float x) { return erfcf(x); }
__device__ __forceinline__ double complement(double x) { return erfc(x); }
__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float fused(float a, float b, float c) { return fmaf(a, b, c); }
__device__ __forceinline__ double fused(double a, double b, double c) { return fma(a, b, c); }

// P(X <= x) = erfc(-x / sqrt 2) / 2 (Abramowitz & Stegun 26.2.29). erfc's slope at t is about -2 t erfc(t).
template <class T>
__device__ __forceinline__ T normal_share(T x) {
  const T high = sizeof(T) == 4 ? T(-0.707106769084930419921875) : T(-0.70710678118654757);
  const T low = sizeof(T) == 4 ? T(-1.21016171649e-8) : T(4.8336466567264567e-17);
  const T t = x * high;
  const T share = T(0.5) * complement(t);
  if (!(t > T(0) && share > T(0))) return share;
  return share * (T(1) - T(2) * t * (fused(x, high, -t) + x * low));
}

// e^(-x^2 / 2) / sqrt(2 pi)
template <class T>
__device__ __forceinline__ T normal_density(T x) {
  const T square = x * x;
  const T density = exponential(square * T(-0.5)) * T(0.3989422804014327);
  if (!(density > T(0))) return density;
  return density * (T(1) - T(0.5) * fused(x, x, -square));
}

}  // namespace gs
