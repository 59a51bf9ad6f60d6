// Elementwise operations by rows: what the kernel files with such operations share.
//
// An operation is a functor on vectors; row_of<Op, T, N> is the one function that is compiled for it
// and a dtype. It sees rows only: a contiguous result, and operands that are contiguous or one element
// repeated. run_rows() (elementwise_rows.cpp) brings every other layout into that form, and cuts the
// work into blocks: broadcasting, strides, alignment, threads and stores past the caches are nobody
// else's affair. A lane is computed alike in every place, so the bits are the same in every layout.
//
// An operation of other element types, or with several results, brings a row function of its own.
#pragma once

#include "strided.h"

namespace gradsmith {
namespace GS_ISA {

constexpr int kMaxOperands = 4;
constexpr int kAhead = 2048;  // bytes that are asked for ahead where results go past the caches

// A row, as a row function takes it.
struct Row {
  char* y;  // n elements, neighbours
  const char*
      x[kMaxOperands];         // the same; or, with step 0, GS_VECTOR_BYTES of one element repeated
  int64_t step[kMaxOperands];  // 1 or 0
  int64_t n;
  const double* options;
  bool stream;  // stores go past the caches, run_rows fences them; y is aligned to the vector
};

using RowFunction = void (*)(const Row& row);

// y = f(x[0], .., x[count - 1]), element by element; each x broadcasts to y, which is contiguous.
void run_rows(RowFunction f, int count, const Array* const* x, const Array& y,
              const double* options = nullptr);

// An operation with options is made from them, one without from nothing.
template <class Op>
GS_INLINE Op make_operation(const double* options) {
  if constexpr (std::is_constructible_v<Op, const double*>) {
    return Op(options);
  } else {
    (void)options;
    return Op();
  }
}

template <class T, int N, class Op>
GS_INLINE Vec<T> apply_operation(const Op& op, const Vec<T> (&x)[N]) {
  static_assert(N >= 1 && N <= kMaxOperands, "an operation has one to four operands");
  if constexpr (N == 1) return op(x[0]);
  if constexpr (N == 2) return op(x[0], x[1]);
  if constexpr (N == 3) return op(x[0], x[1], x[2]);
  if constexpr (N == 4) return op(x[0], x[1], x[2], x[3]);
}

// The row function of Op on N operands of type T, `kUnroll` vectors at a time.
template <class Op, class T, int N, int kUnroll = 4>
void row_of(const Row& row) {
  constexpr int64_t kL = kLanes<T>;
  const Op op = make_operation<Op>(row.options);
  T* y = reinterpret_cast<T*>(row.y);
  const T* p[N];
  int64_t step[N];
#pragma GCC unroll 4
  for (int k = 0; k < N; ++k) {
    p[k] = reinterpret_cast<const T*>(row.x[k]);
    step[k] = row.step[k] ? kL : 0;
  }
  int64_t i = 0;
  for (; i + kUnroll * kL <= row.n; i += kUnroll * kL) {
    Vec<T> v[kUnroll];
#pragma GCC unroll 4
    for (int u = 0; u < kUnroll; ++u) {
      Vec<T> x[N];
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) {
        x[k] = load<T>(p[k]);
        p[k] += step[k];
      }
      v[u] = apply_operation<T, N>(op, x);
    }
    if (row.stream) {
#pragma GCC unroll 4
      for (int k = 0; k < N; ++k) {
        if (!step[k]) continue;
#pragma GCC unroll 4
        for (int u = 0; u < kUnroll; ++u) __builtin_prefetch(p[k] + u * kL + kAhead / sizeof(T));
      }
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) store_stream<T>(y + i + u * kL, v[u]);
    } else {
#pragma GCC unroll 4
      for (int u = 0; u < kUnroll; ++u) store<T>(y + i + u * kL, v[u]);
    }
  }
  for (; i < row.n; i += kL) {
    const int64_t n = min64(kL, row.n - i);
    Vec<T> x[N];
#pragma GCC unroll 4
    for (int k = 0; k < N; ++k) {
      x[k] = load_n<T>(p[k], n);
      p[k] += step[k];
    }
    store_n<T>(y + i, apply_operation<T, N>(op, x), n);
  }
}

namespace {  // each file's own: row functions of them are compiled for several

// Bits; of bools in bytes "and" and "or".
template <class T>
struct And {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a & b; }
};
template <class T>
struct Or {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return a | b; }
};

}  // namespace

// y = Op(x..) for float32 and float64 operands, all of y's dtype.
template <template <class> class Op, int N, int kUnroll = 4>
Status float_rows(const Array* const (&x)[N], const Array& y, const double* options = nullptr) {
  for (const Array* operand : x) {
    if (operand->dtype != y.dtype) return kNoDType;
  }
  if (y.dtype == DType::kFloat32) {
    run_rows(row_of<Op<float>, float, N, kUnroll>, N, x, y, options);
  } else if (y.dtype == DType::kFloat64) {
    run_rows(row_of<Op<double>, double, N, kUnroll>, N, x, y, options);
  } else {
    return kNoDType;
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
