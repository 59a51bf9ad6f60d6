// Taking a flat index apart, where the extents differ too much from kernel to kernel for StridedLoop.
#pragma once

#include "common.cuh"

namespace gs {

// i / n of numbers that are not negative. A division of 64-bit numbers takes several times the
// instructions of one of 32 bits, so numbers that fit are divided in 32.
__device__ __forceinline__ int64 divide(int64 i, int64 n) {
  if (((i | n) >> 32) == 0) return static_cast<unsigned>(i) / static_cast<unsigned>(n);
  return i / n;
}

// i % n, with i / n left in i: the last digit of an index.
__device__ __forceinline__ int64 take_digit(int64& i, int64 n) {
  const int64 quotient = divide(i, n), digit = i - quotient * n;
  i = quotient;
  return digit;
}

}  // namespace gs
