// Elementwise kernels: arithmetic, the elementary functions, rounding, lerp, addcmul, addcdiv, relu,
// sigmoid, tanh, and the backward of the last three and of abs; relu with a bit an element for its
// backward.
//
// Formula   y = op(x), op(a, b) or op(a, b, c), element by element, float32 and float64.
// Layout    *_whole: every operand contiguous and 16-byte aligned, or one value for all elements.
//           *_strided: any strides, broadcasting by stride 0. y is contiguous.
//           relu_signs*: contiguous; bit i % 32 of signs[i / 32] is set where element i's gradient
//           passes, not (y <= 0); 0 behind the last element.
// Split     grid-stride loops; a thread takes 16 bytes of each operand (whole) or one element. In
//           relu_signs* a warp takes the 32 elements of a word.
// Memory    no shared memory.
// Cost      reads each operand once, writes y once; a vector access moves 16 bytes a thread.
// Accuracy  + - * / neg relu abs sqrt and the rounding: as IEEE rounds. The elementary functions and
//           tan (4 ULP in float32): CUDA's library functions, at most
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
struct Sqrt {
  static __device__ __forceinline__ float apply(float x) { return sqrtf(x); }
  static __device__ __forceinline__ double apply(double x) { return sqrt(x); }
};
struct Expm1 {
  static __device__ __forceinline__ float apply(float x) { return expm1f(x); }
  static __device__ __forceinline__ double apply(double x) { return expm1(x); }
};
struct Log1p {
  static __device__ __forceinline__ float apply(float x) { return log1pf(x); }
  static __device__ __forceinline__ double apply(double x) { return log1p(x); }
};
struct Log2 {
  static __device__ __forceinline__ float apply(float x) { return log2f(x); }
  static __device__ __forceinline__ double apply(double x) { return log2(x); }
};
struct Sin {
  static __device__ __forceinline__ float apply(float x) { return sinf(x); }
  static __device__ __forceinline__ double apply(double x) { return sin(x); }
};
struct Cos {
  static __device__ __forceinline__ float apply(float x) { return cosf(x); }
  static __device__ __forceinline__ double apply(double x) { return cos(x); }
};
struct Tan {
  static __device__ __forceinline__ float apply(float x) { return tanf(x); }
  static __device__ __forceinline__ double apply(double x) { return tan(x); }
};
struct Erf {
  static __device__ __forceinline__ float apply(float x) { return erff(x); }
  static __device__ __forceinline__ double apply(double x) { return erf(x); }
};
struct Floor {
  static __device__ __forceinline__ float apply(float x) { return floorf(x); }
  static __device__ __forceinline__ double apply(double x) { return floor(x); }
};
struct Ceil {
  static __device__ __forceinline__ float apply(float x) { return ceilf(x); }
  static __device__ __forceinline__ double apply(double x) { return ceil(x); }
};
struct Round {
  static __device__ __forceinline__ float apply(float x) { return rintf(x); }
  static __device__ __forceinline__ double apply(double x) { return rint(x); }
};
struct Trunc {
  static __device__ __forceinline__ float apply(float x) { return truncf(x); }
  static __device__ __forceinline__ double apply(double x) { return trunc(x); }
};
struct Abs {
  static __device__ __forceinline__ float apply(float x) { return fabsf(x); }
  static __device__ __forceinline__ double apply(double x) { return fabs(x); }
};
struct Rsqrt {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return T(1) / Sqrt::apply(x);  // rsqrtf(x) is 2 ULP
  }
};
struct Square {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return x * x;
  }
};
struct Reciprocal {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return T(1) / x;
  }
};
struct AbsBwd {
  template <class T>
  static __device__ __forceinline__ T apply(T grad_y, T x) {
    return x > T(0) ? grad_y : (x < T(0) ? -grad_y : T(0));
  }
};
// Of three operands and a number.
struct Lerp {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b, T weight, T) {
    const T range = b - a;
    const bool near_a = Abs::apply(weight) < T(0.5);
    return near_a ? a + weight * range : b - range * (T(1) - weight);
  }
};
struct Addcmul {
  template <class T>
  static __device__ __forceinline__ T apply(T x, T a, T b, T value) {
    return x + value * (a * b);
  }
};
struct Addcdiv {
  template <class T>
  static __device__ __forceinline__ T apply(T x, T a, T b, T value) {
    return x + value * (a / b);
  }
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

// Operands of any strides; contiguous ones merge into a loop of one dimension. `number` stands for c
// where c is null.
template <class Op, class T>
__global__ void ternary_strided(const T* a, const T* b, const T* c, T number, T value,
                                T* __restrict__ y, gs::StridedLoop<3> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[3];
    gs::locate(loop, i, at);
    y[i] = Op::apply(a[at[0]], b[at[1]], c ? c[at[2]] : number, value);
  }
}

// The lanes of a warp stay together: all of them vote, also those behind the last element.
template <class T>
__global__ void relu_signs(const T* __restrict__ x, T* __restrict__ y, int* __restrict__ signs,
                           int64 n) {
  const int64 words = gs::ceil_div(n, int64(gs::kWarpSize));
  const int lane = threadIdx.x % gs::kWarpSize;
  for (int64 w = gs::grid_thread() / gs::kWarpSize; w < words;
       w += gs::grid_threads() / gs::kWarpSize) {
    const int64 i = w * gs::kWarpSize + lane;
    bool passes = false;
    if (i < n) {
      const T v = Relu::apply(x[i]);
      passes = !(v <= T(0));
      y[i] = v;
    }
    const unsigned word = __ballot_sync(0xffffffffu, passes);
    if (lane == 0) signs[w] = static_cast<int>(word);
  }
}

template <class T>
__global__ void relu_signs_bwd(const T* __restrict__ grad_y, const int* __restrict__ signs,
                               T* __restrict__ grad_x, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    const unsigned word = static_cast<unsigned>(signs[i / gs::kWarpSize]);
    grad_x[i] = word >> (i % gs::kWarpSize) & 1u ? grad_y[i] : T(0);
  }
}
