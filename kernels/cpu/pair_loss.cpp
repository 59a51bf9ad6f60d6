// Losses of two equal tensors, element by element: pair_loss pair_loss_bwd.
//
// y = f(x, t) w, each, or their sum, or that divided by their number; f is one of `Kind`. The backward
//   is grad_y D w with D a first or second derivative of f (`Order`), divided by the number for the
//   mean. The formulas stand at each kind below.
// Layout: contiguous, all operands of x's size; grad_y of size 1 where the loss is reduced.
// Split: a block is kBlock elements; its partial sum, and those of the blocks, are added in order.
// Working set: kChunk elements of each operand and of the result.
// Cost: reads each operand once; writes y, or one number; nothing between is stored.
// Accuracy: exp and log as vector_math.h states; sums of kChunk elements in T, lane by lane, then in
//   float64.
// Limits: float32, float64.
#include "lists/pair_loss.h"

#include <utility>

#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
constexpr int64_t kChunk = 1024;

enum Kind {
  kSquare,          // (x - t)^2
  kAbsolute,        // |x - t|
  kSmooth,          // (x - t)^2 / (2 c) where |x - t| < c, else |x - t| - c / 2
  kHuber,           // (x - t)^2 / 2 where |x - t| <= c, else c (|x - t| - c / 2)
  kBinary,          // -(t ln x + (1 - t) ln(1 - x)), logarithms at least -100
  kBinaryLogits,    // (1 - t) x + (1 + (p - 1) t) ln(1 + e^-x)
  kDivergence,      // t (ln t - x), 0 where t = 0
  kLogDivergence,   // e^t (t - x)
  kSoftMargin,      // ln(1 + e^(-t x))
  kHingeEmbedding,  // x where t != -1, plus max(0, c - x) where t != 1
  kHinge,           // max(0, c - t x)
  kPoissonLog,      // e^x - t x
  kPoisson,         // x - t ln(x + c)
  kStirling,        // x ln x - x + ln(2 pi x) / 2 where x > 1, else 0
  kKinds,
};
enum Order { kValue, kX, kT, kXX, kXT, kTT, kOrders };
enum Reduction : int64_t { kNone = 0, kMean = 1, kSum = 2 };

template <class T>
GS_INLINE Vec<T> magnitude(Vec<T> x) {
  constexpr IntOf<T> kSign = IntOf<T>(1) << (sizeof(T) * 8 - 1);
  return bit_cast<Vec<T>>(bit_cast<IVec<T>>(x) & ~kSign);
}

template <class T>
GS_INLINE Vec<T> sign(Vec<T> x) {
  const Vec<T> zero{}, one = splat<T>(T(1));
  return x > zero ? one : (x < zero ? -one : x);  // 0 and NaN stay
}

// ln(1 + x): what 1 + x lost in rounding is put back to first order.
template <class T>
GS_INLINE Vec<T> log_one_plus(Vec<T> x) {
  const Vec<T> u = x + T(1);
  const Vec<T> y = vlog<T>(u) - ((u - T(1)) - x) / u;
  return u == T(0) ? splat<T>(-T(__builtin_inf())) : y;
}

// ln(1 + e^x)
template <class T>
GS_INLINE Vec<T> softplus(Vec<T> x) {
  const Vec<T> zero{};
  return (x > zero ? x : zero) + log_one_plus<T>(vexp<T>(-magnitude<T>(x)));
}

template <class T>
GS_INLINE Vec<T> at_least_minus_100(Vec<T> x) {
  return x < T(-100) ? splat<T>(T(-100)) : x;
}

// Order `kO` of kind `kK`; p is the other operand (1 without one), c the parameter.
template <class T, int kK, int kO>
GS_INLINE Vec<T> term(Vec<T> x, Vec<T> t, Vec<T> p, T c) {
  const Vec<T> zero{}, one = splat<T>(T(1));
  [[maybe_unused]] const Vec<T> d = x - t;
  [[maybe_unused]] const Vec<T> a = magnitude<T>(d);
  // Functions of x - t alone: a derivative to t is one to x, negated.
  if constexpr (kK <= kHuber && (kO == kT || kO == kXT)) {
    return -term<T, kK, kO == kT ? kX : kXX>(x, t, p, c);
  } else if constexpr (kK <= kHuber && kO == kTT) {
    return term<T, kK, kXX>(x, t, p, c);
  } else if constexpr (kK == kSquare) {
    if constexpr (kO == kValue) return d * d;
    if constexpr (kO == kX) return d + d;
    return splat<T>(T(2));
  } else if constexpr (kK == kAbsolute) {
    if constexpr (kO == kValue) return a;
    if constexpr (kO == kX) return sign<T>(d);
    return zero;
  } else if constexpr (kK == kSmooth) {
    const IVec<T> inside = a < c;
    if constexpr (kO == kValue) return inside ? d * d * (T(0.5) / c) : a - T(0.5) * c;
    if constexpr (kO == kX) return inside ? d / c : sign<T>(d);
    return inside ? splat<T>(T(1) / c) : zero;
  } else if constexpr (kK == kHuber) {
    const IVec<T> inside = a <= c;
    if constexpr (kO == kValue) return inside ? d * d * T(0.5) : c * (a - T(0.5) * c);
    if constexpr (kO == kX) return inside ? d : c * sign<T>(d);
    return a < c ? one : zero;
  } else if constexpr (kK == kBinary) {
    if constexpr (kO == kTT) return zero;
    if constexpr (kO == kValue || kO == kT) {
      const Vec<T> log_x = at_least_minus_100<T>(vlog<T>(x));
      const Vec<T> log_rest = at_least_minus_100<T>(log_one_plus<T>(-x));
      if constexpr (kO == kValue) return (t - one) * log_rest - t * log_x;
      return log_rest - log_x;
    }
    const Vec<T> product = x * (one - x);
    const Vec<T> q = product < T(1e-12) ? splat<T>(T(1e-12)) : product;
    if constexpr (kO == kX) return d / q;
    if constexpr (kO == kXT) return -one / q;
    return (x * x - (x + x) * t + t) / q / q;
  } else if constexpr (kK == kBinaryLogits) {
    const Vec<T> q = one + (p - one) * t;
    if constexpr (kO == kTT) return zero;
    if constexpr (kO == kValue) return (one - t) * x + q * softplus<T>(-x);
    if constexpr (kO == kT) return (p - one) * softplus<T>(-x) - x;
    const Vec<T> s = vsigmoid<T>(-x);
    if constexpr (kO == kX) return (one - t) - q * s;
    if constexpr (kO == kXT) return -one - (p - one) * s;
    return q * s * vsigmoid<T>(x);
  } else if constexpr (kK == kDivergence) {
    if constexpr (kO == kX) return -t;
    if constexpr (kO == kXX) return zero;
    if constexpr (kO == kXT) return -one;
    if constexpr (kO == kTT) return one / t;
    const Vec<T> log_t = vlog<T>(t);
    if constexpr (kO == kT) return log_t + one - x;
    return (t == zero ? zero : t * log_t) - t * x;
  } else if constexpr (kK == kLogDivergence) {
    const Vec<T> e = vexp<T>(t);
    if constexpr (kO == kValue) return e * (t - x);
    if constexpr (kO == kX || kO == kXT) return -e;
    if constexpr (kO == kXX) return zero;
    return e * (t - x + (kO == kT ? T(1) : T(2)));
  } else if constexpr (kK == kSoftMargin) {
    const Vec<T> z = -t * x;
    if constexpr (kO == kValue) return softplus<T>(z);
    const Vec<T> s = vsigmoid<T>(z);
    if constexpr (kO == kX) return -t * s;
    if constexpr (kO == kT) return -x * s;
    const Vec<T> slope = s * vsigmoid<T>(-z);
    if constexpr (kO == kXX) return t * t * slope;
    if constexpr (kO == kTT) return x * x * slope;
    return t * x * slope - s;
  } else if constexpr (kK == kHingeEmbedding) {
    const Vec<T> room = c - x;
    if constexpr (kO == kValue) {
      const Vec<T> hinge = room < zero ? zero : room;
      return (t == T(-1) ? zero : x) + (t == T(1) ? zero : hinge);
    } else if constexpr (kO == kX) {
      return (t == T(-1) ? zero : one) - (t != T(1) ? (room >= zero ? one : zero) : zero);
    }
    return zero;
  } else if constexpr (kK == kHinge) {
    const Vec<T> room = c - t * x;
    if constexpr (kO == kValue) return room < zero ? zero : room;
    const IVec<T> inside = room >= zero;
    if constexpr (kO == kX) return inside ? -t : zero;
    if constexpr (kO == kT) return inside ? -x : zero;
    if constexpr (kO == kXT) return inside ? -one : zero;
    return zero;
  } else if constexpr (kK == kPoissonLog) {
    if constexpr (kO == kT) return -x;
    if constexpr (kO == kXT) return -one;
    if constexpr (kO == kTT) return zero;
    const Vec<T> e = vexp<T>(x);
    if constexpr (kO == kValue) return e - t * x;
    if constexpr (kO == kX) return e - t;
    return e;
  } else if constexpr (kK == kStirling) {
    const IVec<T> large = x > T(1);
    if constexpr (kO == kX) return large ? vlog<T>(x) + T(0.5) / x : zero;
    if constexpr (kO == kXX) return large ? one / x - T(0.5) / (x * x) : zero;
    if constexpr (kO != kValue) return zero;
    return large ? x * vlog<T>(x) - x + T(0.5) * vlog<T>(x * T(6.283185307179586)) : zero;
  } else {
    const Vec<T> u = x + c;
    if constexpr (kO == kValue) return x - t * vlog<T>(u);
    if constexpr (kO == kX) return one - t / u;
    if constexpr (kO == kT) return -vlog<T>(u);
    if constexpr (kO == kXX) return t / (u * u);
    if constexpr (kO == kXT) return -one / u;
    return zero;
  }
}

template <class T>
using Row = void (*)(const T* x, const T* t, const T* p, T c, T* out, int64_t n);

// out[i] = term(x[i], t[i]) for n elements.
template <class T, int kK, int kO>
void row(const T* x, const T* t, const T* p, T c, T* out, int64_t n) {
  const Vec<T> one = splat<T>(T(1));
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    store<T>(out + i, term<T, kK, kO>(load<T>(x + i), load<T>(t + i), p ? load<T>(p + i) : one, c));
  }
  if (i < n) {
    const int64_t m = n - i;
    const Vec<T> other = p ? load_n<T>(p + i, m) : one;
    store_n<T>(out + i, term<T, kK, kO>(load_n<T>(x + i, m), load_n<T>(t + i, m), other, c), m);
  }
}

template <class T>
struct Rows {
  Row<T> of[kKinds * kOrders];
};

template <class T, int... I>
constexpr Rows<T> make_rows(std::integer_sequence<int, I...>) {
  return {{&row<T, I / kOrders, I % kOrders>...}};
}

template <class T>
constexpr Rows<T> kRows = make_rows<T>(std::make_integer_sequence<int, kKinds * kOrders>{});

template <class T>
double sum_of(const T* p, int64_t n) {
  Vec<T> sums[4] = {};
  int64_t i = 0;
  for (; i + 4 * kLanes<T> <= n; i += 4 * kLanes<T>) {
#pragma GCC unroll 4
    for (int k = 0; k < 4; ++k) sums[k] += load<T>(p + i + k * kLanes<T>);
  }
  for (; i + kLanes<T> <= n; i += kLanes<T>) sums[0] += load<T>(p + i);
  if (i < n) sums[1] += load_n<T>(p + i, n - i);
  const Vec<T> v = (sums[0] + sums[1]) + (sums[2] + sums[3]);
  double all = 0;
#pragma GCC unroll 64
  for (int k = 0; k < kLanes<T>; ++k) all += v[k];
  return all;
}

// out *= by
template <class T>
void multiply(T* out, const T* by, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) store<T>(out + i, load<T>(out + i) * load<T>(by + i));
  for (; i < n; ++i) out[i] *= by[i];
}

template <class T>
bool in_unit_interval(const T* p, int64_t n) {
  IVec<T> outside{};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    const Vec<T> v = load<T>(p + i);
    outside |= ~((v >= T(0)) & (v <= T(1)));
  }
  bool inside = !any_lane<T>(outside);
  for (; i < n; ++i) inside = inside && p[i] >= T(0) && p[i] <= T(1);
  return inside;
}

template <class T>
const T* elements(const Array& a) {
  return reinterpret_cast<const T*>(a.data);
}

template <class T>
Status forward(const PairLossArgs& args) {
  const T *const x = elements<T>(args.x), *const t = elements<T>(args.target);
  const T *const w = elements<T>(args.weight), *const p = elements<T>(args.other);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const Row<T> fill = kRows<T>.of[args.kind * kOrders + kValue];
  const T c = static_cast<T>(args.param);
  const int64_t n = args.x.size, blocks = max64((n + kBlock - 1) / kBlock, 1);
  double few[16];
  const auto bytes = static_cast<size_t>(blocks) * sizeof(double);
  double* const partial = blocks <= 16 ? few : static_cast<double*>(allocate(bytes));
  if (!partial) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  partial[0] = 0;
  int64_t wrong = -1;  // the argument that leaves [0, 1]
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    alignas(GS_VECTOR_BYTES) T chunk[kChunk];
    double sum = 0;
    for (int64_t i = begin; i < end; i += kChunk) {
      const int64_t m = min64(kChunk, end - i);
      T* const out = args.reduction == kNone ? y + i : chunk;
      if (args.kind == kBinary) {
        if (!in_unit_interval<T>(x + i, m)) __atomic_store_n(&wrong, 0, __ATOMIC_RELAXED);
        if (!in_unit_interval<T>(t + i, m)) __atomic_store_n(&wrong, 1, __ATOMIC_RELAXED);
      }
      fill(x + i, t + i, p ? p + i : nullptr, c, out, m);
      if (w) multiply<T>(out, w + i, m);
      if (args.reduction != kNone) sum += sum_of<T>(chunk, m);
    }
    partial[begin / kBlock] = sum;
  });
  double all = partial[0];
  for (int64_t b = 1; b < blocks; ++b) all += partial[b];
  if (partial != few) release(partial, bytes);
  if (args.reduction == kMean) *y = static_cast<T>(all / static_cast<double>(n));
  if (args.reduction == kSum) *y = static_cast<T>(all);
  return wrong < 0 ? kDone : Status{Code::kRange, {wrong, 0}};
}

template <class T>
Status backward(const PairLossBwdArgs& args) {
  const T *const x = elements<T>(args.x), *const t = elements<T>(args.target);
  const T *const w = elements<T>(args.weight), *const p = elements<T>(args.other);
  const T* const grad_y = elements<T>(args.grad_y);
  T* const grad = reinterpret_cast<T*>(args.grad.data);
  const Row<T> fill = kRows<T>.of[args.kind * kOrders + args.order];
  const T c = static_cast<T>(args.param);
  const int64_t n = args.x.size;
  T scale = args.reduction == kNone ? T(1) : *grad_y;
  if (args.reduction == kMean) scale /= static_cast<T>(n);
  const bool stream = beyond_cache(n * static_cast<int64_t>(sizeof(T))) &&
                      reinterpret_cast<uintptr_t>(grad) % GS_VECTOR_BYTES == 0;
  parallel_for(n, kBlock, [&](int64_t begin, int64_t end) {
    alignas(GS_VECTOR_BYTES) T chunk[kChunk];
    for (int64_t i = begin; i < end; i += kChunk) {
      const int64_t m = min64(kChunk, end - i);
      fill(x + i, t + i, p ? p + i : nullptr, c, chunk, m);
      if (w) multiply<T>(chunk, w + i, m);
      if (args.reduction == kNone) multiply<T>(chunk, grad_y + i, m);
      int64_t k = 0;
      for (; k + kLanes<T> <= m; k += kLanes<T>) {
        const Vec<T> v = load<T>(chunk + k) * scale;
        if (stream) {
          store_stream<T>(grad + i + k, v);
        } else {
          store<T>(grad + i + k, v);
        }
      }
      for (; k < m; ++k) grad[i + k] = chunk[k] * scale;
    }
    if (stream) stream_fence();
  });
  return kDone;
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

bool fits(const Array& optional, DType dtype, int64_t size) {
  return !optional.data || (optional.dtype == dtype && optional.size == size);
}

}  // namespace

Status pair_loss(const PairLossArgs& args) {
  const DType dtype = args.x.dtype;
  if (!is_float(dtype) || args.target.dtype != dtype) return kNoDType;
  const int64_t n = args.x.size;
  if (args.target.size != n) return {Code::kShape, {1, 0}};
  if (!fits(args.weight, dtype, n)) return {Code::kShape, {2, 0}};
  if (!fits(args.other, dtype, n)) return {Code::kShape, {3, 0}};
  if (args.kind < 0 || args.kind >= kKinds || args.y.size != (args.reduction == kNone ? n : 1)) {
    return {Code::kShape, {4, 0}};
  }
  return dtype == DType::kFloat32 ? forward<float>(args) : forward<double>(args);
}

Status pair_loss_bwd(const PairLossBwdArgs& args) {
  const DType dtype = args.x.dtype;
  if (!is_float(dtype) || args.target.dtype != dtype || args.grad_y.dtype != dtype) {
    return kNoDType;
  }
  const int64_t n = args.x.size;
  if (args.grad_y.size != (args.reduction == kNone ? n : 1)) return {Code::kShape, {0, 0}};
  if (args.target.size != n) return {Code::kShape, {2, 0}};
  if (!fits(args.weight, dtype, n)) return {Code::kShape, {3, 0}};
  if (!fits(args.other, dtype, n)) return {Code::kShape, {4, 0}};
  if (args.kind < 0 || args.kind >= kKinds || args.order <= kValue || args.order >= kOrders) {
    return {Code::kShape, {5, 0}};
  }
  if (n == 0) return kDone;
  return dtype == DType::kFloat32 ? backward<float>(args) : backward<double>(args);
}

}  // namespace GS_ISA
}  // namespace gradsmith
