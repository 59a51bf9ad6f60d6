// Index arrays: int64, checked before anything is read through them.
#pragma once

#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kIndexBlock = 4096;

const int64_t* as_index(const Array& array) { return reinterpret_cast<const int64_t*>(array.data); }

// Whether all indices lie in [0, limit); the first that does not, otherwise.
Status check_indices(const Array& indices, int64_t limit) {
  const int64_t* const p = as_index(indices);
  bool good = true;
  parallel_for(indices.size, kIndexBlock, [&](int64_t begin, int64_t end) {
    IVec<double> bad{};
    int64_t i = begin;
    for (; i + kLanes<double> <= end; i += kLanes<double>) {
      const IVec<double> v = bit_cast<IVec<double>>(load<int64_t>(p + i));
      bad |= (v < 0) | (v >= limit);
    }
    bool seen = any_lane<double>(bad);
    for (; i < end; ++i) seen = seen || p[i] < 0 || p[i] >= limit;
    if (seen) __atomic_store_n(&good, false, __ATOMIC_RELAXED);
  });
  if (good) return kDone;
  for (int64_t i = 0;; ++i) {
    if (p[i] < 0 || p[i] >= limit) return {Code::kIndex, {p[i], limit}};
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
