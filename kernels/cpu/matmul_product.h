// What the matmul kernels are given, as they pass it on: the operands, the batches, what follows the product.
#pragma once

#include "epilogue.h"
#include "gemm.h"
#include "lists/matmul.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {

// How an array is spread over y: its strides along y's rows (all dims of y but the last, or all of them
// where y has no columns) and along the columns; in elements.
struct Spread {
  int dims = 0;
  int64_t shape[kMaxDims], stride[kMaxDims], column = 0;

  int64_t row(int64_t m) const {
    if (dims == 1) return m * stride[0];
    int64_t at = 0;
    for (int d = dims - 1; d >= 0; --d) {
      at += m % shape[d] * stride[d];
      m /= shape[d];
    }
    return at;
  }
};

// False where `c` does not broadcast to `out`.
inline bool spread(const Array& c, const Ints& out, bool columns, Spread* to) {
  const int lead = out.n - c.ndim;
  if (lead < 0) return false;
  const int64_t size = item_size(c.dtype);
  for (int d = 0; d < out.n; ++d) {
    if (d >= lead && c.shape[d - lead] != 1 && c.shape[d - lead] != out.v[d]) return false;
    const int64_t stride = d < lead || c.shape[d - lead] == 1 ? 0 : c.stride[d - lead] / size;
    const int last = to->dims - 1;
    if (columns && d == out.n - 1) {
      to->column = stride;
    } else if (out.v[d] == 1) {
      continue;
    } else if (last >= 0 && to->stride[last] == stride * out.v[d]) {
      to->shape[last] *= out.v[d];
      to->stride[last] = stride;
    } else {
      to->shape[to->dims] = out.v[d];
      to->stride[to->dims++] = stride;
    }
  }
  return true;
}

// What follows the sums, as the caller gives it.
struct Ending {
  int64_t activation = 0;
  const Array* residual = nullptr;
  bool scaled = false;      // y = alpha * sums + beta * c
  const char* c = nullptr;  // nullptr: none
  Spread c_spread = {};
  double alpha = 1, beta = 0;
};

namespace {

inline Status out_of_memory(size_t bytes) {
  return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
}

template <class T>
struct Addend {
  const T* c;  // nullptr: none
  Spread spread;
  T alpha, beta;
  const T* y;  // the first element of all
};

template <class T>
struct Matrix {
  const T* data;
  int64_t row, column;  // strides in elements
  const T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

template <class T>
struct Product {
  Matrix<T> a, b;
  const T* bias;
  T* y;
  int64_t M, N, K;
  int64_t activation = 0;
  const T* residual = nullptr;  // laid out as y
  const Addend<T>* addend = nullptr;
  double work() const {
    return 2.0 * static_cast<double>(M) * static_cast<double>(N) * static_cast<double>(K);
  }
};

// The batch dims that are left after folding, and the offsets of a batch in the operands.
struct Batches {
  int dims = 0;
  int64_t count = 1;
  int64_t shape[kMaxDims], a_stride[kMaxDims], b_stride[kMaxDims];

  void offsets(int64_t batch, int64_t* a, int64_t* b) const {
    *a = *b = 0;
    for (int d = dims - 1; d >= 0; --d) {
      const int64_t index = batch % shape[d];
      batch /= shape[d];
      *a += index * a_stride[d];
      *b += index * b_stride[d];
    }
  }
  // How many batches from this one on are equal steps apart, and these steps.
  int64_t run(int64_t batch, int64_t* a_step, int64_t* b_step) const {
    *a_step = dims ? a_stride[dims - 1] : 0;
    *b_step = dims ? b_stride[dims - 1] : 0;
    return dims ? shape[dims - 1] - batch % shape[dims - 1] : 1;
  }
};

// The epilogue of rows [m0, m1) and columns [n0, n1) of y.
template <class T>
void activate(const Product<T>& p, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  const int64_t at = m0 * p.N + n0;
  if (p.addend) {
    const Addend<T>& add = *p.addend;
    if (!add.c && add.alpha == T(1)) return;
    const int64_t before = (p.y - add.y) / p.N;
    for (int64_t m = m0; m < m1; ++m) {
      const T* const c =
          add.c ? add.c + add.spread.row(before + m) + n0 * add.spread.column : nullptr;
      accumulate(add.alpha, add.beta, c, add.spread.column, p.y + m * p.N + n0, n1 - n0);
    }
    return;
  }
  const T* const residual = p.residual ? p.residual + at : nullptr;
  finish_rows(p.activation, residual, p.y + at, p.N, m1 - m0, n1 - n0);
}

template <class T>
void fill_bias(const Product<T>& p, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  for (int64_t m = m0; m < m1; ++m) {
    if (p.bias) {
      copy_run(p.y + m * p.N + n0, p.bias + n0, n1 - n0);
    } else {
      __builtin_memset(p.y + m * p.N + n0, 0, static_cast<size_t>(n1 - n0) * sizeof(T));
    }
  }
}

// ---- arguments ----

// Batch dims of y, right to left, with the operands' strides; merges what is contiguous. A batch of
// `a` over one and the same `b` is one taller matrix.
template <class T>
Batches fold_batches(const Array& a, const Array& b, const Ints& out, Product<T>& p) {
  Batches batches;
  constexpr int64_t size = sizeof(T);
  int64_t shape[kMaxDims], a_stride[kMaxDims], b_stride[kMaxDims];
  int dims = 0;  // innermost first
  for (int d = out.n - 3; d >= 0; --d) {
    if (out.v[d] == 1) continue;
    const int da = d - (out.n - a.ndim), db = d - (out.n - b.ndim);
    const int64_t sa = da >= 0 && a.shape[da] != 1 ? a.stride[da] / size : 0;
    const int64_t sb = db >= 0 && b.shape[db] != 1 ? b.stride[db] / size : 0;
    if (dims > 0 && sa == a_stride[dims - 1] * shape[dims - 1] &&
        sb == b_stride[dims - 1] * shape[dims - 1]) {
      shape[dims - 1] *= out.v[d];
    } else {
      shape[dims] = out.v[d];
      a_stride[dims] = sa;
      b_stride[dims++] = sb;
    }
  }
  int first = 0;
  if (dims > 0 && b_stride[0] == 0 && (a_stride[0] == p.a.row * p.M || p.M == 1)) {
    if (p.M == 1) p.a.row = a_stride[0];
    p.M *= shape[0];
    first = 1;
  }
  batches.dims = dims - first;
  for (int d = first; d < dims; ++d) {
    const int to = dims - 1 - d;
    batches.shape[to] = shape[d];
    batches.a_stride[to] = a_stride[d];
    batches.b_stride[to] = b_stride[d];
    batches.count *= shape[d];
  }
  return batches;
}

// ---- where `b` is ----

constexpr int64_t kDirectBytes = 64 << 10;  // of `b`, read where it is for any number of rows
constexpr int64_t kByBlocks = 64;           // times that: 4 MB, packed by blocks for few rows, too
constexpr int64_t kFarAway = 192;           // 12 MB, which come from afar
constexpr int64_t kFarOnMesh = 48;          // 3 MB

// Whether `b` is small enough to be read where it is, again and again.
template <class T>
bool fits_near(const Product<T>& p, int64_t times = 1) {
  return p.K * p.N * static_cast<int64_t>(sizeof(T)) <= times * kDirectBytes;
}

// Whether rows of `b` come from so far that it is best read in the order of memory. Where the second level is large
// the third lies along a mesh, and few rows do not hide the way there: 8x1000x1024 140 us, by streams 110.
template <class T>
bool from_afar(const Product<T>& p) {
  const bool mesh = p.M <= TileShape::kRows && second_level_cache() > (1 << 20);
  return p.b.column == 1 && !fits_near(p, mesh ? kFarOnMesh : kFarAway);
}

inline Status check(const MatmulArgs& args) {
  const Array &a = args.a, &b = args.b;
  const Ints& out = args.out_shape;
  const int dims = a.ndim > b.ndim ? a.ndim : b.ndim;
  if (a.ndim < 2) return {Code::kShape, {0, a.ndim}};
  if (b.ndim < 2 || b.shape[b.ndim - 2] != a.shape[a.ndim - 1]) return {Code::kShape, {1, b.ndim}};
  if (args.bias.data && args.bias.size != b.shape[b.ndim - 1]) {
    return {Code::kShape, {2, args.bias.size}};
  }
  if (out.n != dims || out.v[dims - 2] != a.shape[a.ndim - 2] ||
      out.v[dims - 1] != b.shape[b.ndim - 1]) {
    return {Code::kShape, {3, out.n}};
  }
  for (int d = 0; d < dims - 2; ++d) {
    const int da = d - (dims - a.ndim), db = d - (dims - b.ndim);
    if ((da >= 0 && a.shape[da] != 1 && a.shape[da] != out.v[d]) ||
        (db >= 0 && b.shape[db] != 1 && b.shape[db] != out.v[d])) {
      return {Code::kShape, {3, out.v[d]}};
    }
  }
  return kDone;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
