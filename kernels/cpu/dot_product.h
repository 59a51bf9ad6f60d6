// The dot product of two contiguous vectors.
#pragma once

#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Slices fixed by K, whose sums are added in order; each in blocks of kChain vectors, by eight vectors of
// sums: one alone waits for every addition (1,000,000 elements, one thread: 152 us, PyTorch 119).
template <class T>
T dot_product(const T* a, const T* b, int64_t K) {
  constexpr int L = kLanes<T>, kSums = 8;
  constexpr int64_t kSlice = 1 << 15, kMostSlices = 256;
  const int64_t slice = max(kSlice, round_up(ceil_div(K, kMostSlices), kSums * L));
  T sums[kMostSlices];
  sums[0] = T{};
  const int64_t slices = ceil_div(K, slice);
  parallel_for(slices, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t last = min(K, (i + 1) * slice);
      T total{};
      for (int64_t k = i * slice; k < last;) {
        const int64_t stop = min(last, k + kChain * L);
        Vec<T> sum[kSums];
#pragma GCC unroll 8
        for (int j = 0; j < kSums; ++j) sum[j] = Vec<T>{};
        for (; k + kSums * L <= stop; k += kSums * L) {
#pragma GCC unroll 8
          for (int j = 0; j < kSums; ++j) {
            sum[j] += load(a + k + j * L) * load(b + k + j * L);
          }
        }
        for (; k < stop; k += L) {
          const int64_t n = min(L, stop - k);
          sum[0] += n == L ? load(a + k) * load(b + k) : load_n(a + k, n) * load_n(b + k, n);
        }
#pragma GCC unroll 8
        for (int j = 1; j < kSums; ++j) sum[0] += sum[j];
        for (int j = 0; j < L; ++j) total += sum[0][j];
      }
      sums[i] = total;
    }
  });
  T total = sums[0];
  for (int64_t i = 1; i < slices; ++i) total += sums[i];
  return total;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
