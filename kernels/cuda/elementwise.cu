// Elementwise kernels: add sub mul div neg exp log relu sigmoid tanh and the activations' backward.
//
// Formula   y = op(x) or y = op(a, b), element by element, float32 and float64.
// Layout    *_whole: every operand contiguous and 16-byte aligned, or one value for all elements.
//           *_strided: any strides, broadcasting by stride 0. y is contiguous.
// Split     grid-stride loops; a thread takes 16 bytes of each operand (whole) or one element.
// Memory    no shared memory.
// Cost      reads each operand once, writes y once; a vector access moves 16 bytes a thread.
// Accuracy  + - * / neg relu: as IEEE rounds. exp, log, tanh: CUDA's library functions, at most
//           2 ULP in float32, 1 in float64 (CUDA C++ Programming Guide, mathematical functions);
//           sigmoid at most 4 ULP.
// Limits    16 dimensions.
#include "common.cuh"

using gs::int64;

// ---- the operations -----------------------------------------------------------------------------

struct Add {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return a / b;
  }
};
struct Neg {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return -x;
  }
};
struct Exp {
  static __device__ __forceinline__ float apply(float x) { return expf(x); }
  static __device__ __forceinline__ double apply(double x) { return exp(x); }
};
struct Log {
  static __device__ __forceinline__ float apply(float x) { return logf(x); }
  static __device__ __forceinline__ double apply(double x) { return log(x); }
};
struct Relu {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return x <= T(0) ? T(0) : x;  // NaN compares false and stays, as in PyTorch
  }
};
struct Sigmoid {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    // exp of a negative number only: never infinite, and small results keep their digits.
    const T e = Exp::apply(x < T(0) ? x : -x);
    return (x < T(0) ? e : T(1)) / (T(1) + e);
  }
};
struct Tanh {
  static __device__ __forceinline__ float apply(float x) { return tanhf(x); }
  static __device__ __forceinline__ double apply(double x) { return tanh(x); }
};
struct ReluBwd {
  template <class T>
  static __device__ __forceinline__ T apply(T grad_y, T y) {
    return y <= T(0) ? T(0) : grad_y;  // NaN passes, as in PyTorch
  }
};
struct SigmoidBwd {
  template <class T>
  static __device__ __forceinline__ T apply(T grad_y, T y) {
    return grad_y * (y * (T(1) - y));
  }
};
struct TanhBwd {
  template <class T>
  static __device__ __forceinline__ T apply(T grad_y, T y) {
    return grad_y * (T(1) - y * y);
  }
};

// ---- operands -----------------------------------------------------------------------------------

constexpr int kVectorBytes = 16;
template <class T>
constexpr int kLanes = kVectorBytes / sizeof(T);
template <class T>
using Lanes = gs::Vector<T, kLanes<T>>;

// An array as long as y.
template <class T>
struct Whole {
  const T* data;
  __device__ Whole(const T* p, T) : data(p) {}
  __device__ __forceinline__ Lanes<T> vector(int64 i) const {
    return reinterpret_cast<const Lanes<T>*>(data)[i];
  }
  __device__ __forceinline__ T one(int64 i) const { return data[i]; }
};

// One value for all of y: in device memory, or the launch's argument where there is none.
template <class T>
struct Repeated {
  T value;
  __device__ Repeated(const T* p, T number) : value(p ? *p : number) {}
  __device__ __forceinline__ Lanes<T> vector(int64) const {
    Lanes<T> v;
#pragma unroll
    for (int j = 0; j < kLanes<T>; ++j) v.value[j] = value;
    return v;
  }
  __device__ __forceinline__ T one(int64) const { return value; }
};

// ---- kernels ------------------------------------------------------------------------------------

template <class Op, class T>
__global__ void unary_whole(const T* __restrict__ x, T* __restrict__ y, int64 n) {
  const int64 vectors = n / kLanes<T>;
  for (int64 i = gs::grid_thread(); i < vectors; i += gs::grid_threads()) {
    Lanes<T> v = reinterpret_cast<const Lanes<T>*>(x)[i];
#pragma unroll
    for (int j = 0; j < kLanes<T>; ++j) v.value[j] = Op::apply(v.value[j]);
    reinterpret_cast<Lanes<T>*>(y)[i] = v;
  }
  const int64 i = vectors * kLanes<T> + gs::grid_thread();
  if (i < n) y[i] = Op::apply(x[i]);
}

template <class Op, class T>
__global__ void unary_strided(const T* __restrict__ x, T* __restrict__ y, gs::StridedLoop<1> loop,
                              int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    y[i] = Op::apply(x[at[0]]);
  }
}

template <class Op, class T, template <class> class A, template <class> class B>
__global__ void binary_whole(const T* a, const T* b, T number, T* __restrict__ y, int64 n) {
  const A<T> in_a(a, number);
  const B<T> in_b(b, number);
  const int64 vectors = n / kLanes<T>;
  for (int64 i = gs::grid_thread(); i < vectors; i += gs::grid_threads()) {
    Lanes<T> u = in_a.vector(i);
    const Lanes<T> v = in_b.vector(i);
#pragma unroll
    for (int j = 0; j < kLanes<T>; ++j) u.value[j] = Op::apply(u.value[j], v.value[j]);
    reinterpret_cast<Lanes<T>*>(y)[i] = u;
  }
  const int64 i = vectors * kLanes<T> + gs::grid_thread();
  if (i < n) y[i] = Op::apply(in_a.one(i), in_b.one(i));
}

// An operand that is a number has no array; its strides are 0.
template <class Op, class T>
__global__ void binary_strided(const T* a, const T* b, T number, T* __restrict__ y,
                               gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    y[i] = Op::apply(a ? a[at[0]] : number, b ? b[at[1]] : number);
  }
}
