// Index arrays: int64, checked before anything is read through them.
#pragma once

#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kIndexBlock = 4096;

inline const int64_t* as_index(const Array& array) {
  return reinterpret_cast<const int64_t*>(array.data);
}

// Whether n indices lie in [0, limit).
GS_INLINE bool all_inside(const int64_t* p, int64_t n, int64_t limit) {
  IVec<double> bad{};
  int64_t i = 0;
  for (; i + kLanes<double> <= n; i += kLanes<double>) {
    const IVec<double> v = bit_cast<IVec<double>>(load<int64_t>(p + i));
    bad |= (v < 0) | (v >= limit);
  }
  bool seen = any_lane<double>(bad);
  for (; i < n; ++i) seen = seen || p[i] < 0 || p[i] >= limit;
  return !seen;
}

// The first index that does not lie in [0, limit), where there is one.
inline Status first_outside(const Array& indices, int64_t limit) {
  const int64_t* p = as_index(indices);
  while (*p >= 0 && *p < limit) ++p;
  return {Code::kIndex, {*p, limit}};
}

// Whether all indices lie in [0, limit); the first that does not, otherwise.
inline Status check_indices(const Array& indices, int64_t limit) {
  const int64_t* const p = as_index(indices);
  bool good = true;
  parallel_for(indices.size, kIndexBlock, [&](int64_t begin, int64_t end) {
    if (!all_inside(p + begin, end - begin, limit)) {
      __atomic_store_n(&good, false, __ATOMIC_RELAXED);
    }
  });
  return good ? kDone : first_outside(indices, limit);
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
