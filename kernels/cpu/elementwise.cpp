// Elementwise kernels: add sub mul div neg exp log relu sigmoid tanh and the activations' backward.
//
// y = op(a, b) or op(x), element by element, float32 and float64.
// Layout: any byte strides, broadcasting by NumPy's rules; y is contiguous and new. Rows whose
//   elements are neighbours, or one repeated element, are read as vectors; others are gathered lane
//   by lane into a vector, so that the arithmetic, and its bits, are the same for every layout.
// Split: a block is kBlock elements of y in C order.
// Working set: the block's operands and result, 3 * 32 K elements (384 KB in float32).
// Cost: reads each operand once, writes y once.
// Accuracy: + - * / neg relu are exact to rounding; exp, log, tanh, sigmoid as vector_math.h states.
// Limits: 16 dimensions.
#include "lists/elementwise.h"
#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;

struct Add {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> a, Vec<T> b) {
    return a + b;
  }
};
struct Sub {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> a, Vec<T> b) {
    return a - b;
  }
};
struct Mul {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> a, Vec<T> b) {
    return a * b;
  }
};
struct Div {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> a, Vec<T> b) {
    return a / b;
  }
};
struct Neg {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> x) {
    return -x;
  }
};
struct Exp {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> x) {
    return vexp<T>(x);
  }
};
struct Log {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> x) {
    return vlog<T>(x);
  }
};
struct Relu {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> x) {
    return x <= T(0) ? Vec<T>{} : x;  // NaN compares false and stays, as in PyTorch
  }
};
struct Sigmoid {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> x) {
    return vsigmoid<T>(x);
  }
};
struct Tanh {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> x) {
    return vtanh<T>(x);
  }
};
struct ReluBwd {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> grad_y, Vec<T> y) {
    return y > T(0) ? grad_y : Vec<T>{};
  }
};
struct SigmoidBwd {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> grad_y, Vec<T> y) {
    return grad_y * (y * (T(1) - y));
  }
};
struct TanhBwd {
  template <class T>
  static GS_INLINE Vec<T> apply(Vec<T> grad_y, Vec<T> y) {
    return grad_y * (T(1) - y * y);
  }
};

GS_INLINE bool is_vector_aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % GS_VECTOR_BYTES == 0;
}

// How a row of an operand is read.
enum Access { kArray, kScalar, kStrided };

template <class T, Access access>
struct Reader {
  const char* p;
  int64_t stride;
  Vec<T> repeated;

  GS_INLINE Reader(const char* row, int64_t step) : p(row), stride(step), repeated{} {
    if (access == kScalar) repeated = splat<T>(load_one<T>(row));
  }
  GS_INLINE Vec<T> full(int64_t i) const {
    if (access == kArray) return load<T>(reinterpret_cast<const T*>(p) + i);
    if (access == kScalar) return repeated;
    return load_strided<T>(p + i * stride, stride, kLanes<T>);
  }
  GS_INLINE Vec<T> part(int64_t i, int64_t n) const {
    if (access == kArray) return load_n<T>(reinterpret_cast<const T*>(p) + i, n);
    if (access == kScalar) return repeated;
    return load_strided<T>(p + i * stride, stride, n);
  }
};

// With `stream` the stores go past the caches: y is then aligned to the vector.
template <class T, class Op, Access A, bool stream = false>
void unary_row(T* y, const char* x, int64_t stride, int64_t n) {
  const Reader<T, A> in(x, stride);
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> v = Op::template apply<T>(in.full(i));
    if (stream) {
      store_stream<T>(y + i, v);
    } else {
      store<T>(y + i, v);
    }
  }
  if (i < n) store_n<T>(y + i, Op::template apply<T>(in.part(i, n - i)), n - i);
  if (stream) stream_fence();
}

template <class T, class Op, Access A, Access B, bool stream = false>
void binary_row(T* y, const char* a, int64_t stride_a, const char* b, int64_t stride_b, int64_t n) {
  const Reader<T, A> in_a(a, stride_a);
  const Reader<T, B> in_b(b, stride_b);
  int64_t i = 0;
#pragma GCC unroll 4
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> v = Op::template apply<T>(in_a.full(i), in_b.full(i));
    if (stream) {
      store_stream<T>(y + i, v);
    } else {
      store<T>(y + i, v);
    }
  }
  if (i < n) {
    store_n<T>(y + i, Op::template apply<T>(in_a.part(i, n - i), in_b.part(i, n - i)), n - i);
  }
  if (stream) stream_fence();
}

// The whole of y from contiguous or one-element operands.
template <class T, class Op, Access A, Access B>
void binary_whole(const Array& a, const Array& b, const Array& y) {
  constexpr int64_t kSize = sizeof(T);
  T* const out = reinterpret_cast<T*>(y.data);
  const bool stream = beyond_cache(y.size * kSize) && is_vector_aligned(out);
  parallel_for(y.size, kBlock, [&](int64_t begin, int64_t end) {
    const char* const p = a.data + (A == kScalar ? 0 : begin * kSize);
    const char* const q = b.data + (B == kScalar ? 0 : begin * kSize);
    if (stream) {
      binary_row<T, Op, A, B, true>(out + begin, p, 0, q, 0, end - begin);
    } else {
      binary_row<T, Op, A, B>(out + begin, p, 0, q, 0, end - begin);
    }
  });
}

template <class T, class Op>
void unary_typed(const Array& x, const Array& y) {
  T* const out = reinterpret_cast<T*>(y.data);
  if (x.contiguous) {
    constexpr int64_t kSize = sizeof(T);
    const bool stream = beyond_cache(y.size * kSize) && is_vector_aligned(out);
    parallel_for(y.size, kBlock, [&](int64_t begin, int64_t end) {
      if (stream) {
        unary_row<T, Op, kArray, true>(out + begin, x.data + begin * kSize, 0, end - begin);
      } else {
        unary_row<T, Op, kArray>(out + begin, x.data + begin * kSize, 0, end - begin);
      }
    });
    return;
  }
  StridedLoop<1> loop;
  set_operand(loop, 0, x, y.ndim, y.shape);
  merge(loop, y.ndim, y.shape);
  const bool arrays = rows_are_arrays<T>(loop, 0, x.data);
  const int64_t stride = loop.stride[0][loop.ndim - 1];
  parallel_for(y.size, kBlock, [&](int64_t begin, int64_t end) {
    const char* const base[1] = {x.data};
    for_rows<1>(loop, base, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      if (arrays) {
        unary_row<T, Op, kArray>(out + at, p[0], 0, n);
      } else {
        unary_row<T, Op, kStrided>(out + at, p[0], stride, n);
      }
    });
  });
}

template <class T, class Op>
void binary_typed(const Array& a, const Array& b, const Array& y) {
  T* const out = reinterpret_cast<T*>(y.data);
  const bool whole_a = a.contiguous && a.size == y.size;
  const bool whole_b = b.contiguous && b.size == y.size;
  if (whole_a && whole_b) return binary_whole<T, Op, kArray, kArray>(a, b, y);
  if (whole_a && b.size == 1) return binary_whole<T, Op, kArray, kScalar>(a, b, y);
  if (whole_b && a.size == 1) return binary_whole<T, Op, kScalar, kArray>(a, b, y);
  StridedLoop<2> loop;
  set_operand(loop, 0, a, y.ndim, y.shape);
  set_operand(loop, 1, b, y.ndim, y.shape);
  merge(loop, y.ndim, y.shape);
  const int64_t stride_a = loop.stride[0][loop.ndim - 1];
  const int64_t stride_b = loop.stride[1][loop.ndim - 1];
  const bool array_a = rows_are_arrays<T>(loop, 0, a.data);
  const bool array_b = rows_are_arrays<T>(loop, 1, b.data);
  parallel_for(y.size, kBlock, [&](int64_t begin, int64_t end) {
    const char* const base[2] = {a.data, b.data};
    for_rows<2>(loop, base, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      if (array_a && array_b) {
        binary_row<T, Op, kArray, kArray>(out + at, p[0], 0, p[1], 0, n);
      } else if (array_a && stride_b == 0) {
        binary_row<T, Op, kArray, kScalar>(out + at, p[0], 0, p[1], 0, n);
      } else if (stride_a == 0 && array_b) {
        binary_row<T, Op, kScalar, kArray>(out + at, p[0], 0, p[1], 0, n);
      } else {
        binary_row<T, Op, kStrided, kStrided>(out + at, p[0], stride_a, p[1], stride_b, n);
      }
    });
  });
}

template <class Op>
Status unary(const UnaryArgs& args) {
  if (args.x.dtype == DType::kFloat32) {
    if (args.y.size) unary_typed<float, Op>(args.x, args.y);
    return kDone;
  }
  if (args.x.dtype == DType::kFloat64) {
    if (args.y.size) unary_typed<double, Op>(args.x, args.y);
    return kDone;
  }
  return kNoDType;
}

template <class Op>
Status binary(const Array& a, const Array& b, const Array& y) {
  if (a.dtype != b.dtype) return kNoDType;
  if (a.dtype == DType::kFloat32) {
    if (y.size) binary_typed<float, Op>(a, b, y);
    return kDone;
  }
  if (a.dtype == DType::kFloat64) {
    if (y.size) binary_typed<double, Op>(a, b, y);
    return kDone;
  }
  return kNoDType;
}

}  // namespace

Status add(const BinaryArgs& args) { return binary<Add>(args.a, args.b, args.y); }
Status sub(const BinaryArgs& args) { return binary<Sub>(args.a, args.b, args.y); }
Status mul(const BinaryArgs& args) { return binary<Mul>(args.a, args.b, args.y); }
Status div(const BinaryArgs& args) { return binary<Div>(args.a, args.b, args.y); }
Status neg(const UnaryArgs& args) { return unary<Neg>(args); }
Status exp(const UnaryArgs& args) { return unary<Exp>(args); }
Status log(const UnaryArgs& args) { return unary<Log>(args); }
Status relu(const UnaryArgs& args) { return unary<Relu>(args); }
Status sigmoid(const UnaryArgs& args) { return unary<Sigmoid>(args); }
Status tanh(const UnaryArgs& args) { return unary<Tanh>(args); }
Status relu_bwd(const ActivationBwdArgs& args) {
  return binary<ReluBwd>(args.grad_y, args.y, args.grad_x);
}
Status sigmoid_bwd(const ActivationBwdArgs& args) {
  return binary<SigmoidBwd>(args.grad_y, args.y, args.grad_x);
}
Status tanh_bwd(const ActivationBwdArgs& args) {
  return binary<TanhBwd>(args.grad_y, args.y, args.grad_x);
}

}  // namespace GS_ISA
}  // namespace gradsmith
