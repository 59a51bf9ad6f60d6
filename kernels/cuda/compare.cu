// Comparison kernels: eq ne lt le gt ge, isinf isfinite, bitwise_*, minimum maximum, where, sign, clamp
// and the gradients of minimum, maximum and clamp.
//
// Formula   y = op(a, b) or op(x), element by element: bool, or of the operands' dtype.
// Layout    any strides, broadcasting by stride 0; y is contiguous.
// Split     grid-stride loops; a thread takes one element.
// Memory    no shared memory.
// Cost      reads each operand once, writes y once; a warp's accesses are whole lines where the
//           operands are contiguous.
// Accuracy  exact. NaN is unequal to everything; it wins in minimum, maximum and clamp; its sign is 0.
// Limits    16 dimensions; float double int int64 short signed char unsigned char (bool is compared
//           as unsigned char).
#include "common.cuh"

using gs::int64;

struct Eq {
  template <class T>
  static __device__ __forceinline__ bool apply(T a, T b) {
    return a == b;
  }
};
struct Ne {
  template <class T>
  static __device__ __forceinline__ bool apply(T a, T b) {
    return a != b;
  }
};
struct Lt {
  template <class T>
  static __device__ __forceinline__ bool apply(T a, T b) {
    return a < b;
  }
};
struct Le {
  template <class T>
  static __device__ __forceinline__ bool apply(T a, T b) {
    return a <= b;
  }
};
struct And {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(a & b);
  }
};
struct Or {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(a | b);
  }
};
struct Xor {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return static_cast<T>(a ^ b);
  }
};
// A shift by less than 0 or by all bits gives what shifting out every bit does.
struct LeftShift {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T by) {
    if (by < 0 || by >= static_cast<T>(8 * sizeof(T))) return 0;
    return static_cast<T>(static_cast<gs::uint64>(a) << by);
  }
};
struct RightShift {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T by) {
    if (by >= 0 && by < static_cast<T>(8 * sizeof(T))) return static_cast<T>(a >> by);
    return a < 0 ? static_cast<T>(-1) : static_cast<T>(0);
  }
};
struct Minimum {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return a < b || a != a ? a : b;
  }
};
struct Maximum {
  template <class T>
  static __device__ __forceinline__ T apply(T a, T b) {
    return a > b || a != a ? a : b;
  }
};
struct Sign {
  template <class T>
  static __device__ __forceinline__ T apply(T x) {
    return static_cast<T>((x > T(0)) - (x < T(0)));
  }
};
struct IsInf {
  template <class T>
  static __device__ __forceinline__ bool apply(T x) {
    const T d = x - x;  // NaN unless x is finite
    return x == x && d != d;
  }
};
struct IsFinite {
  template <class T>
  static __device__ __forceinline__ bool apply(T x) {
    const T d = x - x;
    return d == d;
  }
};

// An operand that is a number has no array; its strides are 0.
template <class Op, class T, class R>
__global__ void compare_binary(const T* a, const T* b, T number, R* __restrict__ y,
                               gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    y[i] = Op::apply(a ? a[at[0]] : number, b ? b[at[1]] : number);
  }
}

template <class Op, class T, class R>
__global__ void compare_unary(const T* x, R* __restrict__ y, gs::StridedLoop<1> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    y[i] = Op::apply(x[at[0]]);
  }
}

// Moves elements of T's size, whatever they are.
template <class T>
__global__ void choose(const bool* condition, const void* a, const void* b, T number, void* y,
                       gs::StridedLoop<3> loop, int64 n) {
  const T* const from_a = static_cast<const T*>(a);
  const T* const from_b = static_cast<const T*>(b);
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[3];
    gs::locate(loop, i, at);
    const bool first = condition[at[0]];
    const T* const from = first ? from_a : from_b;
    static_cast<T*>(y)[i] = from ? from[first ? at[1] : at[2]] : number;
  }
}

// grad_y where a > b (and where either is NaN), half of it in a tie.
template <class T>
__global__ void extremum_bwd(const T* grad_y, const T* a, const T* b, T* __restrict__ grad_a,
                             gs::StridedLoop<3> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[3];
    gs::locate(loop, i, at);
    const T p = a[at[1]], q = b[at[2]], g = grad_y[at[0]];
    grad_a[i] = p < q ? T(0) : p == q ? g / T(2) : g;
  }
}

template <class T>
__global__ void clamp(const T* x, T low, T high, T* __restrict__ y, gs::StridedLoop<1> loop,
                      int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    const T value = x[at[0]];
    const T raised = value < low ? low : value;
    y[i] = raised > high ? high : raised;
  }
}

template <class T>
__global__ void clamp_bwd(const T* grad_y, const T* x, T low, T high, T* __restrict__ grad_x,
                          gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    const T value = x[at[1]];
    grad_x[i] = value >= low && value <= high ? grad_y[at[0]] : T(0);
  }
}
