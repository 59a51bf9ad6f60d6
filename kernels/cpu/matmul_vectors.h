// Vectors as matrices of one row or one column, for matmul.
#pragma once

#include "lists/matmul.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// What matmul of at most one matrix and vectors is between matrices: a vector on the left is a row, one on
// the right a column, and out_shape lacks that dimension. kOk: `to` says it; its arrays are in `space`.
inline Status as_matrices(const MatmulArgs& args, MatmulArgs* to, int64_t (&space)[8]) {
  const Array &a = args.a, &b = args.b;
  if (a.ndim < 1 || a.ndim > 2) return {Code::kShape, {0, a.ndim}};
  if (b.ndim < 1 || b.ndim > 2) return {Code::kShape, {1, b.ndim}};
  *to = args;
  if (a.ndim == 1) {
    space[0] = 1;
    space[1] = a.shape[0];
    space[2] = a.stride[0] * a.shape[0];
    space[3] = a.stride[0];
    to->a.shape = space;
    to->a.stride = space + 2;
    to->a.ndim = 2;
  }
  if (b.ndim == 1) {
    space[4] = b.shape[0];
    space[5] = 1;
    space[6] = space[7] = b.stride[0];
    to->b.shape = space + 4;
    to->b.stride = space + 6;
    to->b.ndim = 2;
  }
  const Ints& out = args.out_shape;
  const int64_t M = to->a.shape[0], N = to->b.shape[1];
  if (out.n != a.ndim + b.ndim - 2 || (a.ndim == 2 && out.v[0] != M) ||
      (b.ndim == 2 && out.v[out.n - 1] != N)) {
    return {Code::kShape, {3, out.n}};
  }
  to->out_shape.n = 2;
  to->out_shape.v[0] = M;
  to->out_shape.v[1] = N;
  return {Code::kOk, {0, 0}};
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
