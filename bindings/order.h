// The order of memory that an elementwise result takes from its operands, and the operands in it.
//
// The rule is PyTorch's: dimensions lie in the order of the first operand that tells two of them
// apart (its steps differ and neither is 0), else as in C. A kernel never sees it: shape and strides
// of all operands are permuted to that order and the result is C-contiguous there, so that operands of
// one order are walked as flat memory.
#pragma once

#include <cstdlib>

#include "dtype.h"

namespace gradsmith {

// The most operands of an elementwise kernel.
constexpr int kMaxOrdered = 4;

// The operands of an elementwise kernel, and their common shape.
struct Ordered {
  Array* operand[kMaxOrdered];
  int count = 0;
  int ndim = 0;
  int dim[kMaxDims];  // the result's dimensions, outermost first
  int64_t shape[kMaxDims];
  int64_t stride[kMaxOrdered + 1][kMaxDims];  // last: the result's
  int64_t own_shape[kMaxOrdered][kMaxDims];   // 1 where an operand repeats

  // The step of an operand along a dimension of the common shape; 0 where it repeats.
  int64_t step(int k, int d) const {
    const Array& x = *operand[k];
    const int own = d - (ndim - x.ndim);
    return own < 0 || (x.shape[own] == 1 && shape[d] != 1) ? 0 : x.stride[own];
  }

  // Whether dimension a lies outside b: 1, inside: -1, or nobody says: 0.
  int outside(int a, int b) const {
    for (int k = 0; k < count; ++k) {
      const int64_t of_a = std::abs(step(k, a)), of_b = std::abs(step(k, b));
      if (of_a == 0 || of_b == 0) continue;
      if (of_a != of_b) return of_a < of_b ? -1 : 1;
      if (shape[a] > shape[b]) return 1;
    }
    return 0;
  }

  // Finds the order; false if it is C's. By insertion: dimensions that nobody compares stay where
  // they are.
  bool find(int result_ndim, const int64_t* result_shape) {
    ndim = result_ndim;
    for (int i = 0; i < ndim; ++i) shape[i] = result_shape[i];
    for (int i = 0; i < ndim; ++i) dim[i] = i;
    for (int i = ndim - 2; i >= 0; --i) {
      int at = i;
      for (int j = i + 1; j < ndim; ++j) {
        const int which = outside(dim[j], dim[at]);
        if (which < 0) break;
        if (which == 0) continue;
        const int moved = dim[at];
        dim[at] = dim[j];
        dim[j] = moved;
        at = j;
      }
    }
    for (int i = 0; i < ndim; ++i) {
      if (dim[i] != i) return true;
    }
    return false;
  }

  // Permutes the operands to the order; `strides` are then the result's, outside of it.
  void permute(int64_t result_bytes, int64_t* strides) {
    int64_t turned[kMaxDims];
    for (int i = 0; i < ndim; ++i) turned[i] = shape[dim[i]];
    for (int k = 0; k < count; ++k) {
      Array& x = *operand[k];
      if (x.ndim == 0) continue;
      const int lead = ndim - x.ndim;
      int64_t bytes = item_bytes(x.dtype);
      x.contiguous = reinterpret_cast<uintptr_t>(x.data) % static_cast<uintptr_t>(bytes) == 0;
      for (int i = ndim - 1; i >= 0; --i) {
        const int d = dim[i];
        own_shape[k][i] = d < lead ? 1 : x.shape[d - lead];
        stride[k][i] = d < lead ? 0 : x.stride[d - lead];
        if (own_shape[k][i] == 1) continue;
        x.contiguous = x.contiguous && stride[k][i] == bytes;
        bytes *= own_shape[k][i];
      }
      x.shape = own_shape[k];
      x.stride = stride[k];
      x.ndim = ndim;
    }
    int64_t bytes = result_bytes;
    for (int i = ndim - 1; i >= 0; --i) {
      stride[kMaxOrdered][i] = bytes;
      strides[dim[i]] = bytes;
      if (turned[i]) bytes *= turned[i];
    }
    for (int i = 0; i < ndim; ++i) shape[i] = turned[i];
  }

  // The result as the kernel sees it, once permuted.
  Array result(char* data, int64_t size, DType dtype) const {
    return {data, shape, stride[kMaxOrdered], size, ndim, dtype, true};
  }
};

}  // namespace gradsmith
