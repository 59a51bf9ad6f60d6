// Contiguous rows as vectors: what softmax, the losses of classification and normalisation share.
#pragma once

#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {

template <class T>
GS_INLINE Vec<T> load_up_to(const T* p, int64_t n) {
  return n >= kLanes<T> ? load<T>(p) : load_n<T>(p, n);
}
template <class T>
GS_INLINE void store_up_to(T* p, Vec<T> v, int64_t n) {
  if (n >= kLanes<T>) {
    store<T>(p, v);
  } else {
    store_n<T>(p, v, n);
  }
}

// The same, past the caches where the vector is whole; p is aligned to it then.
template <class T>
GS_INLINE void put_up_to(T* p, Vec<T> v, int64_t n, bool stream) {
  if (stream && n >= kLanes<T>) {
    store_stream<T>(p, v);
  } else {
    store_up_to<T>(p, v, n);
  }
}

GS_INLINE bool on_a_vector(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % GS_VECTOR_BYTES == 0;
}

// The first n lanes of v, `other` in the rest.
template <class T>
GS_INLINE Vec<T> first_lanes(Vec<T> v, int64_t n, T other) {
  return n >= kLanes<T> ? v : Vec<T>(lane_mask<T>(n) ? v : splat<T>(other));
}

// The lanes of v folded half by half: the chain is 3 or 4 steps long, not 16, which is what a short row
// waits for.
template <class T, int kStep = kLanes<T> / 2, class F>
GS_INLINE T fold_halves(Vec<T> v, const F& f) {
  if constexpr (kStep == 0) {
    return v[0];
  } else {
    return fold_halves<T, kStep / 2>(f(v, shuffle<T>(v, v, lane_numbers<T>() ^ kStep)), f);
  }
}

GS_INLINE double sum_lanes(Vec<double> v) {
  return fold_halves<double>(v, [](Vec<double> a, Vec<double> b) { return a + b; });
}
GS_INLINE double sum_lanes(Vec<float> v) {
  HalfFloats half[2];
  __builtin_memcpy(half, &v, sizeof(v));
  return sum_lanes(widen(half[0]) + widen(half[1]));
}

// The maximum of n elements. A NaN may get lost: it comes back through the sum.
template <class T>
GS_INLINE T row_maximum(const T* x, int64_t n) {
  const T low = -T(__builtin_inf());
  Vec<T> best = splat<T>(low), other = best;
  int64_t i = 0;
  for (; i + 2 * kLanes<T> <= n; i += 2 * kLanes<T>) {
    best = greater(load<T>(x + i), best);
    other = greater(load<T>(x + i + kLanes<T>), other);
  }
  for (; i < n; i += kLanes<T>) {
    best = greater(first_lanes<T>(load_up_to<T>(x + i, n - i), n - i, low), best);
  }
  best = greater(best, other);
  return fold_halves<T>(best, [](Vec<T> a, Vec<T> b) { return greater(a, b); });
}

// The sum of term(i) over the vectors of n elements. Lanes are summed in T for 64 vectors, then in
// float64.
template <class T, class Term>
GS_INLINE double row_sum(int64_t n, const Term& term) {
  constexpr int64_t kRun = 64 * kLanes<T>;
  double all = 0;
  for (int64_t begin = 0; begin < n; begin += kRun) {
    const int64_t end = min64(begin + kRun, n);
    Vec<T> sum{};
    for (int64_t i = begin; i < end; i += kLanes<T>) {
      sum += first_lanes<T>(term(i, n - i), n - i, T(0));
    }
    all += sum_lanes(sum);
  }
  return all;
}

}  // namespace GS_ISA
}  // namespace gradsmith
