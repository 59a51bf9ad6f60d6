// Arithmetic kernels: floor_divide remainder fmod pow, integers' add sub mul neg abs, and ramp.
//
// Formula   y = op(a, b) or op(x), element by element, of the operands' dtype.
// Layout    any strides, broadcasting by stride 0; y is contiguous.
// Split     grid-stride loops; a thread takes one element.
// Memory    no shared memory.
// Cost      reads each operand once, writes y once.
// Accuracy  integers exact, the low bits of a result; remainder and fmod exact; pow of float by way
//           of double, at most 1 ULP, of double at most 2 (CUDA's library).
// Limits    16 dimensions. Where an integer is divided by 0 the flag is set and the element is 0.
#include "common.cuh"

using gs::int64;
using gs::uint64;

template <class T>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;
template <>
constexpr bool kIsFloat<double> = true;

struct Add {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(static_cast<uint64>(a) + static_cast<uint64>(b));
  }
};
struct Sub {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(static_cast<uint64>(a) - static_cast<uint64>(b));
  }
};
struct Mul {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(static_cast<uint64>(a) * static_cast<uint64>(b));
  }
};
struct Neg {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return static_cast<T>(0 - static_cast<uint64>(x));
  }
};
struct Abs {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return x < 0 ? Neg::apply(x) : x;
  }
};
struct Or {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct And {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
__device__ __forceinline__ float library_fmod(float a, float b) { return fmodf(a, b); }
__device__ __forceinline__ double library_fmod(double a, double b) { return fmod(a, b); }
struct Fmod {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    if constexpr (kIsFloat<T>) {
      return library_fmod(a, b);
    } else {
      return static_cast<T>(-1) < T(0) && b == static_cast<T>(-1) ? T(0) : static_cast<T>(a % b);
    }
  }
};
struct Remainder {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    const T rest = Fmod::apply(a, b);
    return rest != T(0) && (rest < T(0)) != (b < T(0)) ? static_cast<T>(rest + b) : rest;
  }
};
struct FloorDivide {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    if constexpr (kIsFloat<T>) {
      if (b == T(0)) return a / b;
      const T rest = Fmod::apply(a, b);
      T quotient = (a - rest) / b;
      if (rest != T(0) && (b < T(0)) != (rest < T(0))) quotient -= T(1);
      if (quotient == T(0)) return static_cast<T>(copysign(0.0, static_cast<double>(a / b)));
      const T down = static_cast<T>(floor(static_cast<double>(quotient)));
      return quotient - down > T(0.5) ? down + T(1) : down;
    } else {
      if (static_cast<T>(-1) < T(0) && b == static_cast<T>(-1)) return Neg::apply(a);
      const T quotient = static_cast<T>(a / b);
      const T rest = static_cast<T>(a % b);
      return rest != 0 && (rest < 0) != (b < 0) ? static_cast<T>(quotient - 1) : quotient;
    }
  }
};
struct Power {
  static __device__ __forceinline__ double apply(double a, double b) { return pow(a, b); }
  static __device__ __forceinline__ float apply(float a, float b) {
    return static_cast<float>(pow(static_cast<double>(a), static_cast<double>(b)));
  }
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    if (b < 0) {  // 1 / a^|b|, cut off
      if (a == T(1)) return T(1);
      if (a == static_cast<T>(-1)) return b % 2 ? static_cast<T>(-1) : T(1);
      return T(0);
    }
    uint64 result = 1, square = static_cast<uint64>(a);
    for (uint64 rest = static_cast<uint64>(b); rest; rest >>= 1) {
      if (rest & 1) result *= square;
      square *= square;
    }
    return static_cast<T>(result);
  }
};

// An operand that is a number has no array; its strides are 0.
template <class Op, class T>
__global__ void arithmetic_binary(const T* a, const T* b, T number, T* __restrict__ y,
                                  gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    y[i] = Op::apply(a ? a[at[0]] : number, b ? b[at[1]] : number);
  }
}

// The same for integers, where b may be 0.
template <class Op, class T>
__global__ void arithmetic_divide(const T* a, const T* b, T number, T* __restrict__ y,
                                  int* zero_found, gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    const T divisor = b ? b[at[1]] : number;
    if (divisor == T(0)) {
      atomicCAS(zero_found, 0, 1);
      y[i] = T(0);
    } else {
      y[i] = Op::apply(a ? a[at[0]] : number, divisor);
    }
  }
}

template <class Op, class T>
__global__ void arithmetic_unary(const T* x, T* __restrict__ y, gs::StridedLoop<1> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    y[i] = Op::apply(x[at[0]]);
  }
}

// start + i step; from the middle on end - (n - 1 - i) step, unless end is NaN.
template <class T>
__global__ void ramp(T* y, double start, double step, double end, int64 n) {
  const int64 middle = end == end ? n / 2 : n;
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    y[i] = static_cast<T>(i < middle ? start + static_cast<double>(i) * step
                                     : end - static_cast<double>(n - 1 - i) * step);
  }
}
