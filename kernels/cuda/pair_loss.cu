// Losses of two equal tensors, element by element: pair_loss pair_loss_bwd.
//
// Formula   y = f(x, t) w, each, or their sum, or that divided by their number; f is one of `Kind`. The
//           backward is grad_y D w with D a first or second derivative of f (`Order`), divided by the
//           number for the mean.
// Layout    contiguous, all operands of x's size; grad_y of size 1 where the loss is reduced.
// Split     grid-stride loops; one partial sum a block; one block folds them.
// Memory    one float64 a thread, 2 KB.
// Cost      reads each operand once; writes y, or one number a block. Which kind it is is the same for
//           all threads: a branch, not a template, so that there is one kernel a dtype.
// Accuracy  exp, log, log1p as CUDA's library (1 to 2 ULP); sums in float64.
// Limits    float32, float64.
#include "common.cuh"
#include "reduce.cuh"

using gs::int64;

enum Kind {
  kSquare,
  kAbsolute,
  kSmooth,
  kHuber,
  kBinary,
  kBinaryLogits,
  kDivergence,
  kLogDivergence,
  kSoftMargin,
  kHingeEmbedding,
  kHinge,
  kPoissonLog,
  kPoisson,
  kStirling,
};
enum Order { kValue, kX, kT, kXX, kXT, kTT };
enum Reduction { kNone = 0, kMean = 1, kSum = 2 };

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }
__device__ __forceinline__ float log_one_plus(float x) { return log1pf(x); }
__device__ __forceinline__ double log_one_plus(double x) { return log1p(x); }

template <class T>
__device__ __forceinline__ T sign(T x) {
  return x > T(0) ? T(1) : (x < T(0) ? T(-1) : x);
}

// ln(1 + e^x)
template <class T>
__device__ __forceinline__ T softplus(T x) {
  return (x > T(0) ? x : T(0)) + log_one_plus(exponential(x > T(0) ? -x : x));
}

template <class T>
__device__ __forceinline__ T sigmoid(T x) {
  const T e = exponential(x < T(0) ? x : -x);
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T>
__device__ __forceinline__ T at_least_minus_100(T x) {
  return x < T(-100) ? T(-100) : x;
}

// Functions of d = x - t, in orders kValue, kX and kXX.
template <class T>
__device__ __forceinline__ T difference_term(int kind, int order, T d, T c) {
  const T a = d < T(0) ? -d : d;
  switch (kind) {
    case kSquare: return order == kValue ? d * d : (order == kX ? d + d : T(2));
    case kAbsolute: return order == kValue ? a : (order == kX ? sign(d) : T(0));
    case kSmooth:
      if (order == kValue) return a < c ? d * d * (T(0.5) / c) : a - T(0.5) * c;
      if (order == kX) return a < c ? d / c : sign(d);
      return a < c ? T(1) / c : T(0);
    default:
      if (order == kValue) return a <= c ? d * d * T(0.5) : c * (a - T(0.5) * c);
      if (order == kX) return a <= c ? d : c * sign(d);
      return a < c ? T(1) : T(0);
  }
}

// The formulas are those of kernels/cpu/pair_loss.cpp.
template <class T>
__device__ __forceinline__ T term(int kind, int order, T x, T t, T p, T c) {
  if (kind <= kHuber) {
    if (order == kT) return -difference_term(kind, kX, x - t, c);
    if (order == kXT) return -difference_term(kind, kXX, x - t, c);
    return difference_term(kind, order == kTT ? static_cast<int>(kXX) : order, x - t, c);
  }
  switch (kind) {
    case kBinary: {
      if (order == kTT) return T(0);
      if (order == kValue || order == kT) {
        const T log_x = at_least_minus_100(logarithm(x));
        const T log_rest = at_least_minus_100(log_one_plus(-x));
        return order == kValue ? (t - T(1)) * log_rest - t * log_x : log_rest - log_x;
      }
      const T product = x * (T(1) - x), q = product < T(1e-12) ? T(1e-12) : product;
      if (order == kX) return (x - t) / q;
      return order == kXT ? T(-1) / q : (x * x - (x + x) * t + t) / q / q;
    }
    case kBinaryLogits: {
      const T q = T(1) + (p - T(1)) * t;
      if (order == kTT) return T(0);
      if (order == kValue) return (T(1) - t) * x + q * softplus(-x);
      if (order == kT) return (p - T(1)) * softplus(-x) - x;
      const T s = sigmoid(-x);
      if (order == kX) return (T(1) - t) - q * s;
      return order == kXT ? T(-1) - (p - T(1)) * s : q * s * sigmoid(x);
    }
    case kDivergence:
      switch (order) {
        case kX: return -t;
        case kXX: return T(0);
        case kXT: return T(-1);
        case kTT: return T(1) / t;
        case kT: return logarithm(t) + T(1) - x;
        default: return (t == T(0) ? T(0) : t * logarithm(t)) - t * x;
      }
    case kLogDivergence: {
      if (order == kXX) return T(0);
      const T e = exponential(t);
      if (order == kX || order == kXT) return -e;
      return e * (t - x + (order == kValue ? T(0) : (order == kT ? T(1) : T(2))));
    }
    case kSoftMargin: {
      const T z = -t * x;
      if (order == kValue) return softplus(z);
      const T s = sigmoid(z);
      if (order == kX) return -t * s;
      if (order == kT) return -x * s;
      const T slope = s * sigmoid(-z);
      if (order == kXX) return t * t * slope;
      return order == kTT ? x * x * slope : t * x * slope - s;
    }
    case kHingeEmbedding: {
      const T room = c - x;
      if (order == kValue) {
        return (t == T(-1) ? T(0) : x) + (t == T(1) || room < T(0) ? T(0) : room);
      }
      if (order != kX) return T(0);
      return (t == T(-1) ? T(0) : T(1)) - (t != T(1) && room >= T(0) ? T(1) : T(0));
    }
    case kHinge: {
      const T room = c - t * x;
      if (order == kValue) return room < T(0) ? T(0) : room;
      if (!(room >= T(0)) || order == kXX || order == kTT) return T(0);
      return order == kX ? -t : (order == kT ? -x : T(-1));
    }
    case kPoissonLog: {
      if (order == kT) return -x;
      if (order == kXT || order == kTT) return order == kXT ? T(-1) : T(0);
      const T e = exponential(x);
      return order == kValue ? e - t * x : (order == kX ? e - t : e);
    }
    case kStirling: {
      if (!(x > T(1)) || order == kT || order == kXT || order == kTT) return T(0);
      if (order == kX) return logarithm(x) + T(0.5) / x;
      if (order == kXX) return T(1) / x - T(0.5) / (x * x);
      return x * logarithm(x) - x + T(0.5) * logarithm(x * T(6.283185307179586));
    }
    default: {
      const T u = x + c;
      switch (order) {
        case kValue: return x - t * logarithm(u);
        case kX: return T(1) - t / u;
        case kT: return -logarithm(u);
        case kXX: return t / (u * u);
        case kXT: return T(-1) / u;
        default: return T(0);
      }
    }
  }
}

template <class T>
__device__ __forceinline__ void store_loss(double all, T* y, int reduction, int64 n) {
  *y = static_cast<T>(reduction == kMean ? all / static_cast<double>(n) : all);
}

// The sum of block b goes to partials[b], or, where there is one block, the result to y. `error` gets
// the limit -1 and, as the index, the argument that leaves [0, 1].
template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads)
    pair_loss(const T* __restrict__ x, const T* __restrict__ target, const T* __restrict__ weight,
              const T* __restrict__ other, T* __restrict__ y, double* __restrict__ partials,
              int kind, T param, int reduction, int64 n, gs::IndexError* error) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  double sum = 0;
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    const T u = x[i], t = target[i];
    if (kind == kBinary) {
      if (!(u >= T(0) && u <= T(1))) gs::check_index(error, 0, -1);
      if (!(t >= T(0) && t <= T(1))) gs::check_index(error, 1, -1);
    }
    T v = term(kind, kValue, u, t, other ? other[i] : T(1), param);
    if (weight) v *= weight[i];
    if (reduction == kNone) y[i] = v;
    sum += static_cast<double>(v);
  }
  if (reduction == kNone) return;
  const gs::Team team(static_cast<int>(blockDim.x), true);
  sum = gs::fold_team<gs::AddPartials<double>>(team, sum, shared);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    store_loss(sum, y, reduction, n);
  } else {
    partials[blockIdx.x] = sum;
  }
}

// One block folds the partial sums of `blocks` others.
template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads)
    pair_loss_fold(const double* __restrict__ partials, int blocks, T* __restrict__ y,
                   int reduction, int64 n) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  double sum = 0;
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += static_cast<int>(blockDim.x)) {
    sum += partials[b];
  }
  const gs::Team team(static_cast<int>(blockDim.x), true);
  sum = gs::fold_team<gs::AddPartials<double>>(team, sum, shared);
  if (threadIdx.x == 0) store_loss(sum, y, reduction, n);
}

template <class T>
__global__ void pair_loss_bwd(const T* __restrict__ grad_y, const T* __restrict__ x,
                              const T* __restrict__ target, const T* __restrict__ weight,
                              const T* __restrict__ other, T* __restrict__ grad, int kind,
                              int order, T param, int reduction, int64 n) {
  T scale = reduction == kNone ? T(1) : *grad_y;
  if (reduction == kMean) scale /= static_cast<T>(n);
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    T v = term(kind, order, x[i], target[i], other ? other[i] : T(1), param);
    if (weight) v *= weight[i];
    grad[i] = v * (reduction == kNone ? grad_y[i] : scale);
  }
}
