// What the recurrent kernels share: time steps, blocks of the batch's rows, packed weights, checks.
#pragma once

#include "lists/recurrent.h"
#include "packed.h"
#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// ---- lanes ----

template <class T>
GS_INLINE Vec<T> get(const T* p, int64_t n) {
  return n == kLanes<T> ? load<T>(p) : load_n<T>(p, n);
}

template <class T>
GS_INLINE void put(T* p, Vec<T> v, int64_t n) {
  if (n == kLanes<T>) {
    store<T>(p, v);
  } else {
    store_n<T>(p, v, n);
  }
}

// body(first element, how many of the vector) over n elements.
template <class T, class Body>
GS_INLINE void for_lanes(int64_t n, const Body& body) {
  int64_t j = 0;
#pragma GCC unroll 1
  for (; j + kLanes<T> <= n; j += kLanes<T>) body(j, int64_t{kLanes<T>});
  if (j < n) body(j, n - j);
}

template <class T>
void copy(T* to, const T* from, int64_t n) {
  __builtin_memcpy(to, from, static_cast<size_t>(n) * sizeof(T));
}

// ---- activations ----

// 1 / (1 + e^-x) and tanh without the last corrections of vector_math.h: 2.4 and 1.5 ULP instead of 2 and
// 0.9 in two thirds of the time. The sums of products before them have lost more.
template <class T>
GS_INLINE Vec<T> quick_sigmoid(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const Vec<T> down = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) | kSign);  // -|x|
  const Vec<T> e = exp_quick<T>(greater(splat<T>(C::kExpMin), down));
  return (x < T(0) ? e : splat<T>(T(1))) / (e + T(1));
}

template <class T>
GS_INLINE Vec<T> quick_tanh(Vec<T> x) {
  using C = MathConstants<T>;
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  const IVec<T> sign = bit_cast<IVec<T>>(x) & kSign;
  const Vec<T> magnitude = bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) & ~kSign);
  const Vec<T> e = exp_quick<T>(lesser(splat<T>(C::kTanhOne), magnitude) * T(-2));
  Vec<T> p, q;
  tanh_ratio(magnitude, p, q);
  const IVec<T> small = magnitude < T(0.625);
  const Vec<T> ratio = (small ? p : e * T(-2)) / (small ? q : e + T(1));
  const Vec<T> y = (small ? magnitude : splat<T>(T(1))) + ratio;
  return bit_cast<Vec<T>>(bit_cast<IVec<T>>(y) | sign);
}

// ---- arguments ----

template <class T>
T* data(const Array& a) {
  return reinterpret_cast<T*>(a.data);
}

inline bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

inline int64_t columns(const Array& a) { return a.ndim == 2 ? a.shape[1] : -1; }

// rows < 0: any number of them.
inline bool is_matrix(const Array& a, int64_t rows, int64_t columns) {
  return a.ndim == 2 && (rows < 0 || a.shape[0] == rows) && a.shape[1] == columns;
}

inline bool is_row(const Array& a, int64_t n) {
  return !a.data || (a.ndim == 1 && a.shape[0] == n);
}

inline bool has_shape(const Ints& shape, int64_t rows, int64_t columns) {
  return shape.n == 2 && shape.v[0] == rows && shape.v[1] == columns;
}

// ---- time steps ----

// Step t is the rows [offset(t), offset(t) + sizes[t]) of the packed arrays: the first sizes[t] of the
// batch.
struct Steps {
  const int64_t* sizes = nullptr;
  int64_t count = 0, batch = 0, total = 0;
  int64_t block_rows = 0;  // set by read()

  Status read(const Array& batch_sizes, int64_t rows, const Ints& h_shape, int64_t width) {
    sizes = reinterpret_cast<const int64_t*>(batch_sizes.data);
    count = batch_sizes.size;
    total = rows;
    if (h_shape.n != 2 || h_shape.v[1] != width) return {Code::kShape, {1, 0}};
    batch = h_shape.v[0];
    int64_t sum = 0;
    for (int64_t t = 0; t < count; ++t) {
      if (sizes[t] < 0 || sizes[t] > (t ? sizes[t - 1] : batch)) return {Code::kShape, {2, t}};
      sum += sizes[t];
    }
    if (sum != total) return {Code::kShape, {2, sum}};
    block_rows = rows_of_block(batch, width);
    return kDone;
  }

  // An even number of blocks, of about a register tile's rows each. Weights beyond the caches are
  // better read by few.
  static int64_t rows_of_block(int64_t batch, int64_t width) {
    constexpr int64_t kMost = 16, kWideMost = 4, kWide = 512;
    const int64_t wanted = ceil_div(batch, TileShape::kRows);
    const int64_t blocks = clamp(round_up(wanted, 2), 1, width > kWide ? kWideMost : kMost);
    return max(1, ceil_div(batch, blocks));
  }

  // body(t, first packed row, how many) of the batch's rows [first, first + rows), in the order of
  // time or from its end; steps without any of them are left out.
  template <class Body>
  GS_INLINE void for_each(int64_t first, int64_t rows, bool reverse, const Body& body) const {
    int64_t offset = reverse ? total : 0;
    for (int64_t i = 0; i < count; ++i) {
      const int64_t t = reverse ? count - 1 - i : i;
      if (reverse) offset -= sizes[t];
      const int64_t n = min(rows, sizes[t] - first);
      if (n > 0) body(t, offset + first, n);
      if (!reverse) offset += sizes[t];
    }
  }

  // How many rows of the step that came before step t, of the batch's rows from `first` on; the packed
  // row of the first one.
  int64_t before(int64_t t, int64_t at, int64_t first, int64_t rows, bool reverse,
                 int64_t* from) const {
    const int64_t s = reverse ? t + 1 : t - 1;
    if (s < 0 || s >= count) return 0;
    *from = reverse ? at + sizes[t] : at - sizes[s];
    return clamp(sizes[s] - first, 0, rows);
  }
};

inline bool is_state(const Array& state, const Steps& steps, int64_t width) {
  return !state.data || is_matrix(state, steps.batch, width);
}

// The batch's rows [first, first + rows) of a state: given, or zeros.
template <class T>
void start_state(T* state, const T* given, int64_t first, int64_t rows, int64_t width) {
  if (given) {
    copy(state, given + first * width, rows * width);
  } else {
    __builtin_memset(state, 0, static_cast<size_t>(rows * width) * sizeof(T));
  }
}

// A right operand (K x N), packed for the whole call.
template <class T>
struct Weights {
  int64_t elements;
  size_t bytes;
  T* data;

  Weights(const T* b, int64_t row, int64_t column, int64_t K, int64_t N)
      : elements(right_elements<T>(K, N)),
        bytes(static_cast<size_t>(max(elements, 1)) * sizeof(T)),
        data(static_cast<T*>(allocate(bytes))) {
    if (data && N > 0) pack_right(b, row, column, K, N, data);
  }
  ~Weights() {
    if (data) release(data, bytes);
  }
  Weights(const Weights&) = delete;
  Weights& operator=(const Weights&) = delete;

  Status no_memory() const { return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}}; }
};

// body(first row, rows, scratch of `elements`) for blocks of the batch's rows, on the pool.
template <class T, class Body>
Status for_row_blocks(const Steps& steps, int64_t elements, const Body& body) {
  bool enough = true;
  const size_t bytes = static_cast<size_t>(elements) * sizeof(T);
  parallel_for(steps.batch, steps.block_rows, [&](int64_t begin, int64_t end) {
    T* const scratch = static_cast<T*>(thread_scratch(bytes));
    if (scratch) {
      body(begin, end - begin, scratch);
    } else {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
    }
  });
  if (enough) return kDone;
  return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
