// Activations: activation, activation_bwd, activation_bwd_bwd; prelu, prelu_bwd, negative_product; gate,
// gate_bwd.
//
// Formula   y = f(x), grad_x = grad_y f'(x), and grad grad_y f''(x), f one of ACTIVATIONS
//           (kernels/__init__.py) with the options a, b, c. Where f is piecewise linear the gradient is
//           chosen, not multiplied.
// Layout    any strides, broadcasting by stride 0; contiguous operands merge into a loop of one
//           dimension. y is contiguous.
// Split     grid-stride loops, one element a thread and step. `kind` is the same for all threads: its
//           switch diverges nowhere.
// Memory    no shared memory.
// Cost      reads each operand once, writes y once.
// Accuracy  exp, log1p, tanh, erfc as CUDA's library (1 to 4 ULP), and the roundings of the formula.
// Limits    16 dimensions.
#include "normal.cuh"

using gs::exponential;
using gs::int64;

__device__ __forceinline__ float exponential_minus_1(float x) { return expm1f(x); }
__device__ __forceinline__ double exponential_minus_1(double x) { return expm1(x); }
__device__ __forceinline__ float logarithm_of_1_plus(float x) { return log1pf(x); }
__device__ __forceinline__ double logarithm_of_1_plus(double x) { return log1p(x); }
__device__ __forceinline__ float hyperbolic_tangent(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolic_tangent(double x) { return tanh(x); }
__device__ __forceinline__ float magnitude(float x) { return fabsf(x); }
__device__ __forceinline__ double magnitude(double x) { return fabs(x); }

template <class T>
__device__ __forceinline__ T logistic(T x) {
  const T e = exponential(x < T(0) ? x : -x);
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

// min(max(x, low), high); a NaN stays
template <class T>
__device__ __forceinline__ T clamp(T x, T low, T high) {
  const T most = x > high ? high : x;
  return most < low ? low : most;
}

enum Kind {
  kLeakyRelu,
  kElu,
  kGelu,
  kGeluTanh,
  kSilu,
  kMish,
  kLogSigmoid,
  kHardSigmoid,
  kHardTanh,
  kHardSwish,
  kSoftplus,
  kSoftSign,
  kSoftShrink,
  kHardShrink,
  kTanhShrink,
  kThreshold,
};

template <class T>
struct Function {
  int kind;
  T a, b, c;

  // gelu_tanh: the argument u of tanh, and its slope. (1 + tanh u) / 2 = 1 / (1 + e^-2u), which is right
  // to its last places far down too.
  static __device__ __forceinline__ T inner(T x) {
    return (x + x * x * x * T(0.044715)) * T(0.7978845608028654);
  }
  static __device__ __forceinline__ T inner_slope(T x) {
    return (x * x * T(3 * 0.044715) + T(1)) * T(0.7978845608028654);
  }
  // mish: tanh(ln(1 + e^x)) = n / (n + 2), n = e^x (e^x + 2), and 1 minus it.
  // Beyond mish_within, 1 minus it is nothing, which a large x must not multiply.
  static __device__ __forceinline__ T mish_within(T x) {
    const T most = sizeof(T) == 4 ? 20 : 40;
    return x > most ? most : x;
  }
  static __device__ __forceinline__ T mish_share(T x, T& rest) {
    const T e = exponential(mish_within(x));
    const T n = e * (e + T(2));
    rest = T(2) / (n + T(2));
    return n / (n + T(2));
  }

  __device__ __forceinline__ T value(T x) const {
    switch (kind) {
      case kLeakyRelu: return x > T(0) ? x : x * a;
      case kElu: return x <= T(0) ? exponential_minus_1(x * c) * a : x * b;
      case kGelu: return x * gs::normal_share(x);
      case kGeluTanh: return x * logistic(inner(x) * T(2));
      case kSilu: return x * logistic(x);
      case kMish: {
        T rest;
        return x * mish_share(x, rest);
      }
      case kLogSigmoid:
        return (x < T(0) ? x : T(0)) - logarithm_of_1_plus(exponential(-magnitude(x)));
      case kHardSigmoid: return clamp(x + T(3), T(0), T(6)) / T(6);
      case kHardTanh: return clamp(x, a, b);
      case kHardSwish: return x * (clamp(x + T(3), T(0), T(6)) / T(6));
      case kSoftplus: {
        const T z = x * a;
        const T soft = (z > T(0) ? z : T(0)) + logarithm_of_1_plus(exponential(-magnitude(z)));
        return z > b ? x : soft / a;
      }
      case kSoftSign: return x / (magnitude(x) + T(1));
      case kSoftShrink: return x > a ? x - a : (x < -a ? x + a : x * T(0));
      case kHardShrink: return magnitude(x) <= a ? T(0) : x;
      case kTanhShrink: return x - hyperbolic_tangent(x);
      default: return x <= a ? b : x;
    }
  }

  // g f'(x)
  __device__ __forceinline__ T slope(T g, T x) const {
    switch (kind) {
      case kLeakyRelu: return x > T(0) ? g : g * a;
      case kElu: return x <= T(0) ? g * (exponential(x * c) * (a * c)) : g * b;
      case kGelu: return g * (gs::normal_share(x) + x * gs::normal_density(x));
      case kGeluTanh: {
        const T s = logistic(inner(x) * T(2));
        return g * (s + x * T(2) * s * (T(1) - s) * inner_slope(x));
      }
      case kSilu: {
        const T s = logistic(x);
        return g * (s * (x * (T(1) - s) + T(1)));
      }
      case kMish: {
        T rest;
        const T w = mish_share(x, rest);
        return g * (w + mish_within(x) * logistic(x) * rest * (w + T(1)));
      }
      case kLogSigmoid: return g * logistic(-x);
      case kHardSigmoid: return x > T(-3) && x < T(3) ? g * T(1.0 / 6) : T(0);
      case kHardTanh: return x <= a || x >= b ? T(0) : g;
      case kHardSwish: return x <= T(-3) ? T(0) : (x < T(3) ? g * (x / T(3) + T(0.5)) : g);
      case kSoftplus: return x * a > b ? g : g * logistic(x * a);
      case kSoftSign: {
        const T d = magnitude(x) + T(1);
        return g / (d * d);
      }
      case kSoftShrink:
      case kHardShrink: return magnitude(x) <= a ? T(0) : g;
      case kTanhShrink: {
        const T t = hyperbolic_tangent(x);
        return g * (t * t);
      }
      default: return x <= a ? T(0) : g;
    }
  }

  // p f''(x)
  __device__ __forceinline__ T curvature(T p, T x) const {
    switch (kind) {
      case kElu: return x <= T(0) ? p * (exponential(x * c) * (a * c * c)) : T(0);
      case kGelu: return p * (gs::normal_density(x) * (T(2) - x * x));
      case kGeluTanh: {
        const T t = hyperbolic_tangent(inner(x)), u = inner_slope(x);
        return p *
               ((T(1) - t * t) * (u + x * (x * T(3 * 0.044715 * 0.7978845608028654) - t * u * u)));
      }
      case kSilu: {
        const T s = logistic(x);
        return p * (s * (T(1) - s) * (x * (T(1) - s - s) + T(2)));
      }
      case kMish: {
        T rest;
        const T w = mish_share(x, rest), s = logistic(x);
        return p * (s * rest * (w + T(1)) * (mish_within(x) * (T(1) - s - w * s * T(2)) + T(2)));
      }
      case kLogSigmoid: {
        const T s = logistic(x);
        return -(p * (s * (T(1) - s)));
      }
      case kHardSwish: return x > T(-3) && x < T(3) ? p * T(1.0 / 3) : T(0);
      case kSoftplus: {
        const T z = x * a, s = logistic(z);
        return z > b ? T(0) : p * (s * (T(1) - s) * a);
      }
      case kSoftSign: {
        const T d = magnitude(x) + T(1), curve = p * T(2) / (d * d * d);
        return x > T(0) ? -curve : (x < T(0) ? curve : T(0));
      }
      case kTanhShrink: {
        const T t = hyperbolic_tangent(x);
        return p * (t * (T(1) - t * t) * T(2));
      }
      default: return T(0);
    }
  }
};

template <class T>
__global__ void activation(const T* __restrict__ x, T* __restrict__ y, int kind, T a, T b, T c,
                           gs::StridedLoop<1> loop, int64 n) {
  const Function<T> f{kind, a, b, c};
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    y[i] = f.value(x[at[0]]);
  }
}

template <class T>
__global__ void activation_bwd(const T* __restrict__ grad_y, const T* __restrict__ x,
                               T* __restrict__ grad_x, int kind, T a, T b, T c,
                               gs::StridedLoop<2> loop, int64 n) {
  const Function<T> f{kind, a, b, c};
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    grad_x[i] = f.slope(grad_y[at[0]], x[at[1]]);
  }
}

template <class T>
__global__ void activation_bwd_bwd(const T* __restrict__ grad, const T* __restrict__ grad_y,
                                   const T* __restrict__ x, T* __restrict__ y, int kind, T a, T b,
                                   T c, gs::StridedLoop<3> loop, int64 n) {
  const Function<T> f{kind, a, b, c};
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[3];
    gs::locate(loop, i, at);
    y[i] = f.curvature(grad[at[0]] * grad_y[at[1]], x[at[2]]);
  }
}

// ---- functions of two or three arrays ---------------------------------------------------------------------

struct Prelu {
  template <class T>
  static __device__ __forceinline__ T apply(T x, T w, T) {
    return x > T(0) ? x : x * w;
  }
};
struct PreluBwd {
  template <class T>
  static __device__ __forceinline__ T apply(T g, T x, T w) {
    return x > T(0) ? g : g * w;
  }
};
struct NegativeProduct {
  template <class T>
  static __device__ __forceinline__ T apply(T u, T v, T x) {
    return x > T(0) ? T(0) : u * v;
  }
};
struct Gate {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b, T) {
    return a * logistic(b);
  }
};
struct GateBwd {
  template <class T>
  static __device__ __forceinline__ T apply(T g, T a, T b) {
    const T s = logistic(b);
    return g * a * (s * (T(1) - s));
  }
};

// w is null where Op takes two.
template <class Op, class T>
__global__ void gated(const T* u, const T* v, const T* w, T* __restrict__ y,
                      gs::StridedLoop<3> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[3];
    gs::locate(loop, i, at);
    y[i] = Op::apply(u[at[0]], v[at[1]], w ? w[at[2]] : T(0));
  }
}
