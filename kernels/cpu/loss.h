// What the losses of classification share: rows as vectors, and targets over classes.
#pragma once

#include "lists/loss.h"
#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;

// The first n lanes of v, `other` in the rest.
template <class T>
GS_INLINE Vec<T> first_lanes(Vec<T> v, int64_t n, T other) {
  return lane_mask<T>(n) ? v : splat<T>(other);
}

template <class T>
GS_INLINE double sum_lanes(Vec<T> v) {
  double sum = 0;
#pragma GCC unroll 64
  for (int i = 0; i < kLanes<T>; ++i) sum += v[i];
  return sum;
}

// The maximum of n elements. A NaN may get lost: it comes back through the sum.
template <class T>
GS_INLINE T row_maximum(const T* x, int64_t n) {
  const T low = -T(__builtin_inf());
  Vec<T> best = splat<T>(low);
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) best = greater(load<T>(x + i), best);
  if (i < n) best = greater(first_lanes<T>(load_n<T>(x + i, n - i), n - i, low), best);
  T maximum = best[0];
#pragma GCC unroll 64
  for (int k = 1; k < kLanes<T>; ++k) maximum = best[k] > maximum ? best[k] : maximum;
  return maximum;
}

// The sum of term(vector number) over n elements; lanes beyond them are left out. Lanes are summed in
// T for kRun elements, then in float64.
template <class T, class Term>
GS_INLINE double row_sum(int64_t n, const Term& term) {
  constexpr int64_t kRun = 64 * kLanes<T>;
  double all = 0;
  for (int64_t begin = 0; begin < n; begin += kRun) {
    const int64_t end = min64(begin + kRun, n);
    Vec<T> sum{};
    int64_t i = begin;
    for (; i + kLanes<T> <= end; i += kLanes<T>) sum += term(i, kLanes<T>);
    if (i < end) sum += first_lanes<T>(term(i, end - i), end - i, T(0));
    all += sum_lanes<T>(sum);
  }
  return all;
}

template <class T>
GS_INLINE Vec<T> load_up_to(const T* p, int64_t n) {
  return n == kLanes<T> ? load<T>(p) : load_n<T>(p, n);
}

enum Reduction : int64_t { kNone = 0, kMean = 1, kSum = 2 };

// x is (batch, classes, inner), target (batch, inner); an unbatched x is one sample.
struct Classes {
  int64_t batch = 1, classes = 0, inner = 1;
};

[[maybe_unused]] bool make_classes(int ndim, const int64_t* shape, const Array& target,
                                   const Array& weight, Classes& c) {
  if (ndim < 1) return false;
  if (ndim == 1) {
    c.classes = shape[0];
  } else {
    c.batch = shape[0];
    c.classes = shape[1];
    for (int d = 2; d < ndim; ++d) c.inner *= shape[d];
  }
  return target.size == c.batch * c.inner && (!weight.data || weight.size == c.classes);
}

// The first target, other than ignore_index, that is no class.
[[maybe_unused]] Status check_targets(const int64_t* target, int64_t n, int64_t classes,
                                      int64_t ignore_index) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t t = target[i];
    if (t != ignore_index && (t < 0 || t >= classes)) return {Code::kIndex, {t, classes}};
  }
  return kDone;
}

[[maybe_unused]] bool is_float(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
