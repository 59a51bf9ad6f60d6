// What the normalisation kernels share: sums over runs of neighbouring elements, and their combination.
#pragma once

#include "lists/norm.h"
#include "rows.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Elements of a chunk: summed in lanes of T and read twice from the first-level cache; chunks combine
// in float64, in order.
constexpr int64_t kChunk = 4096;

GS_INLINE double square_root(double x) { return __builtin_sqrt(x); }

template <class T>
GS_INLINE double sum_by_halves(Vec<T> v) {
  return static_cast<double>(fold_halves<T>(v, [](Vec<T> a, Vec<T> b) { return a + b; }));
}

constexpr int kSums = 4;  // accumulators, to hide the latency of additions

template <class T>
GS_INLINE double sum_all(const Vec<T> (&sums)[kSums]) {
  return sum_by_halves<T>((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

// Calls f(place, lanes, accumulator) for the vectors of a run of n elements.
template <class T, class F>
GS_INLINE void for_vectors(int64_t n, const F& f) {
  constexpr int kN = kLanes<T>;
  int64_t i = 0;
  for (; i + kSums * kN <= n; i += kSums * kN) {
#pragma GCC unroll 4
    for (int a = 0; a < kSums; ++a) f(i + a * kN, kN, a);
  }
  for (; i + kN <= n; i += kN) f(i, kN, 0);
  if (i < n) f(i, static_cast<int>(n - i), 1);
}

// How many elements, their mean, and the sum of squared distances from it.
struct Moments {
  double count = 0, mean = 0, squares = 0;

  // Chan, Golub, LeVeque 1979.
  void add(const Moments& b) {
    if (b.count == 0) return;
    if (count == 0) {
      *this = b;
      return;
    }
    const double all = count + b.count, distance = b.mean - mean;
    mean += distance * (b.count / all);
    squares += b.squares + distance * distance * (count * b.count / all);
    count = all;
  }
};

// The moments of `runs` runs of n elements, `step` elements from one to the next; not centered: about 0.
template <class T>
GS_INLINE Moments moments_of(const T* x, int64_t n, int64_t runs, int64_t step, bool centered) {
  const auto count = static_cast<double>(n * runs);
  T middle = 0;
  if (centered) {
    Vec<T> sums[kSums] = {};
    for (int64_t r = 0; r < runs; ++r) {
      const T* const p = x + r * step;
      for_vectors<T>(n, [&](int64_t i, int m, int a) { sums[a] += load_up_to<T>(p + i, m); });
    }
    middle = static_cast<T>(sum_all<T>(sums) / count);
  }
  Vec<T> first[kSums] = {}, second[kSums] = {};
  for (int64_t r = 0; r < runs; ++r) {
    const T* const p = x + r * step;
    for_vectors<T>(n, [&](int64_t i, int m, int a) {
      Vec<T> d = load_up_to<T>(p + i, m) - middle;
      if (m < kLanes<T>) d = lane_mask<T>(m) ? d : Vec<T>{};
      first[a] += d;
      second[a] += d * d;
    });
  }
  const double s2 = sum_all<T>(second);
  if (!centered) return {count, 0, s2};
  const double s1 = sum_all<T>(first);
  return {count, static_cast<double>(middle) + s1 / count, s2 - s1 * s1 / count};
}

struct Dots {
  double grad = 0, product = 0;
};

// The sums of g and of g * (x - mean) over `runs` runs of n elements.
template <class T>
GS_INLINE Dots dots_of(const T* g, const T* x, int64_t n, int64_t runs, int64_t step, T mean) {
  Vec<T> grads[kSums] = {}, products[kSums] = {};
  for (int64_t r = 0; r < runs; ++r) {
    const T *const p = g + r * step, *const q = x + r * step;
    for_vectors<T>(n, [&](int64_t i, int m, int a) {
      const Vec<T> v = load_up_to<T>(p + i, m);
      Vec<T> d = load_up_to<T>(q + i, m) - mean;
      if (m < kLanes<T>) d = lane_mask<T>(m) ? d : Vec<T>{};
      grads[a] += v;
      products[a] += v * d;
    });
  }
  return {sum_all<T>(grads), sum_all<T>(products)};
}

// y = (x - mean) * scale + shift for a run; past the caches where asked for and y allows it.
template <class T>
GS_INLINE void scale_run(const T* x, T* y, int64_t n, T mean, T scale, T shift,
                         bool beyond = false) {
  const bool stream = beyond && on_a_vector(y);
  for_vectors<T>(n, [&](int64_t i, int m, int) {
    put_up_to<T>(y + i, (load_up_to<T>(x + i, m) - mean) * scale + shift, m, stream);
  });
  if (stream) stream_fence();
}

// What a gradient of x is made of: grad_x = g * scale + (x - mean) * slope + shift.
template <class T>
struct Gradient {
  T mean, scale, slope, shift;
};

template <class T>
GS_INLINE void gradient_run(const T* g, const T* x, T* grad_x, int64_t n, const Gradient<T>& k,
                            bool beyond = false) {
  const bool stream = beyond && on_a_vector(grad_x);
  for_vectors<T>(n, [&](int64_t i, int m, int) {
    const Vec<T> d = load_up_to<T>(x + i, m) - k.mean;
    put_up_to<T>(grad_x + i, load_up_to<T>(g + i, m) * k.scale + (d * k.slope + k.shift), m,
                 stream);
  });
  if (stream) stream_fence();
}

inline bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

inline Status out_of_memory(size_t bytes) {
  return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
}

// Memory for partial results, given back at the end.
struct Scratch {
  void* memory;
  size_t bytes;
  explicit Scratch(size_t size) : memory(allocate(size ? size : 1)), bytes(size ? size : 1) {}
  ~Scratch() {
    if (memory) release(memory, bytes);
  }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;
};

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
