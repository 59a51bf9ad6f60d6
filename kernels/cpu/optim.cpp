// Optimizer kernels, in place, one call for all parameters: sgd_step adagrad_step adadelta_step
// rmsprop_step adam_step adamax_step nadam_step radam_step lion_step rprop_step asgd_step lerp_step
// clip_step; total_norm.
//
// Formulas: ../cuda/optim_rules.cuh, one text for both devices. total_norm: (sum |x|^p)^(1/p) over all
//   elements of all tensors; p = inf: the largest magnitude, -inf: the smallest, 0: the number of
//   elements that are not 0.
// Layout: any strides; a tensor whose arrays are not all contiguous goes through buffers of kChunk.
// Split: all parameters one after another are one index space; a block is kBlock elements of it.
// Working set: a block's elements of up to five arrays. Cost: a step reads p, g and its states and
//   writes p and its states; a norm reads each element once.
// Accuracy: steps a few ULP, their numbers rounded from float64 to the parameter's type. Norms: sums in
//   T over kNormRow elements of a block, in double beyond.
// Source: torch.optim's single-tensor formulas.
#include <math.h>

#include "lists/optim.h"
#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

#define GS_RULE GS_INLINE
GS_INLINE Vec<float> square_root(Vec<float> x) { return vsqrt(x); }
GS_INLINE Vec<double> square_root(Vec<double> x) { return vsqrt(x); }
#include "../cuda/optim_rules.cuh"
#undef GS_RULE

constexpr int64_t kBlock = 16384;
constexpr int64_t kChunk = 256;
constexpr int64_t kAhead = 512;  // elements that are asked for ahead
constexpr int64_t kNormRow = 2048;
constexpr int kOperands = 5;  // p, g, three states
constexpr int kWritten = 1;   // operands from here on, and operand 0, are written
constexpr int64_t kCommon = 5;

// n elements of the operands, contiguous; absent ones are null.
using Row = void (*)(const double* hyper, const Array& norm, char* const* operands, int64_t n);

template <class T>
Common<T> common_of(const double* hyper, const Array& norm) {
  Common<T> common{static_cast<T>(hyper[0]), static_cast<T>(hyper[1]), static_cast<T>(hyper[2]),
                   static_cast<T>(hyper[3]), static_cast<T>(hyper[4])};
  if (!norm.data) return common;
  if (norm.dtype == DType::kFloat32) {
    common.clip(load_one<float>(norm.data));
  } else {
    common.clip(load_one<double>(norm.data));
  }
  return common;
}

template <class T, template <class> class Rule>
void step_row(const double* hyper, const Array& norm, char* const* operands, int64_t n) {
  const Common<T> common = common_of<T>(hyper, norm);
  constexpr int kNumbers = sizeof(Rule<T>) / sizeof(T);
  T numbers[kNumbers];
  for (int i = 0; i < kNumbers; ++i) numbers[i] = static_cast<T>(hyper[kCommon + i]);
  Rule<T> rule;
  __builtin_memcpy(&rule, numbers, sizeof(rule));
  T* const p = reinterpret_cast<T*>(operands[0]);
  const T* const g = reinterpret_cast<const T*>(operands[1]);
  T* const states[3] = {reinterpret_cast<T*>(operands[2]), reinterpret_cast<T*>(operands[3]),
                        reinterpret_cast<T*>(operands[4])};
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    Vec<T> value = load<T>(p + i), grad = load<T>(g + i), s[3] = {};
    __builtin_prefetch(p + i + kAhead, 1);
    __builtin_prefetch(g + i + kAhead);
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) {
      if (!states[k]) continue;
      s[k] = load<T>(states[k] + i);
      __builtin_prefetch(states[k] + i + kAhead, 1);
    }
    common.apply(value, grad);
    rule.step(value, grad, s);
    store<T>(p + i, value);
#pragma GCC unroll 3
    for (int k = 0; k < 3; ++k) {
      if (states[k]) store<T>(states[k] + i, s[k]);
    }
  }
  if (i == n) return;
  const int64_t m = n - i;
  Vec<T> value = load_n<T>(p + i, m), grad = load_n<T>(g + i, m), s[3] = {};
  for (int k = 0; k < 3; ++k) {
    if (states[k]) s[k] = load_n<T>(states[k] + i, m);
  }
  common.apply(value, grad);
  rule.step(value, grad, s);
  store_n<T>(p + i, value, m);
  for (int k = 0; k < 3; ++k) {
    if (states[k]) store_n<T>(states[k] + i, s[k], m);
  }
}

// n elements between strided memory and a buffer.
template <class T>
void gather(char* to, const char* from, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    store_one<T>(to + i * int64_t{sizeof(T)}, load_one<T>(from + i * stride));
  }
}

template <class T>
void scatter(char* to, const char* from, int64_t stride, int64_t n) {
  for (int64_t i = 0; i < n; ++i) {
    store_one<T>(to + i * stride, load_one<T>(from + i * int64_t{sizeof(T)}));
  }
}

int64_t bytes_of(DType dtype) { return dtype == DType::kFloat32 ? 4 : 8; }

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

// Calls body(operands, n) for elements [begin, end) of arrays of one shape, contiguous each: where they
// lie, or gathered into buffers from which what is written goes back.
template <int N, class Body>
void over_contiguous(const Array* const (&arrays)[N], bool writes, int64_t begin, int64_t end,
                     const Body& body) {
  const Array& first = *arrays[0];
  const int64_t bytes = bytes_of(first.dtype);
  bool plain = true;
  char* operands[N];
  for (int k = 0; k < N; ++k) {
    plain = plain && (!arrays[k] || arrays[k]->contiguous);
    operands[k] = arrays[k] ? arrays[k]->data + begin * bytes : nullptr;
  }
  if (plain) return body(operands, end - begin);
  alignas(GS_VECTOR_BYTES) char buffers[N][kChunk * 8];
  StridedLoop<N> loop;
  const char* base[N];
  for (int k = 0; k < N; ++k) {
    set_operand(loop, k, arrays[k] ? *arrays[k] : first, first.ndim, first.shape);
    base[k] = arrays[k] ? arrays[k]->data : first.data;
    operands[k] = arrays[k] ? buffers[k] : nullptr;
  }
  merge(loop, first.ndim, first.shape);
  for_rows<N>(loop, base, begin, end, [&](int64_t, const char* const* row, int64_t n) {
    for (int64_t i = 0; i < n; i += kChunk) {
      const int64_t m = min64(kChunk, n - i);
      for (int k = 0; k < N; ++k) {
        const int64_t stride = loop.stride[k][loop.ndim - 1];
        if (!arrays[k]) continue;
        (bytes == 4 ? gather<float> : gather<double>)(buffers[k], row[k] + i * stride, stride, m);
      }
      body(operands, m);
      for (int k = 0; writes && k < N; ++k) {
        const int64_t stride = loop.stride[k][loop.ndim - 1];
        if (!arrays[k] || k == kWritten) continue;
        (bytes == 4 ? scatter<float> : scatter<double>)(const_cast<char*>(row[k]) + i * stride,
                                                        buffers[k], stride, m);
      }
    }
  });
}

// Calls span(i, begin, end) for the elements of tensor i, block by block of all tensors' elements.
template <class Span>
void over_tensors(const Arrays& tensors, int64_t begin, int64_t end, const Span& span) {
  int64_t start = 0;  // of tensor i in the common index space
  for (int64_t i = 0; i < tensors.n && start < end; ++i) {
    const int64_t size = tensors.v[i].size;
    const int64_t from = max64(begin, start), to = min64(end, start + size);
    if (from < to) span(i, from - start, to - start);
    start += size;
  }
}

int64_t total_size(const Arrays& tensors) {
  int64_t total = 0;
  for (int64_t i = 0; i < tensors.n; ++i) total += tensors.v[i].size;
  return total;
}

// Whether several of its elements are one in memory: it cannot be written.
bool repeats(const Array& array) {
  for (int d = 0; d < array.ndim; ++d) {
    if (array.stride[d] == 0 && array.shape[d] > 1) return array.size > 0;
  }
  return false;
}

// Whether `others` goes with `params` one by one; detail[0] is the argument's place.
Status check_list(const Arrays& params, const Arrays& others, int64_t argument) {
  if (others.n != params.n) return {Code::kShape, {argument, 0}};
  for (int64_t i = 0; i < params.n; ++i) {
    if (others.v[i].dtype != params.v[i].dtype) return {Code::kDType, {argument, i}};
    bool same = others.v[i].ndim == params.v[i].ndim;
    for (int d = 0; same && d < params.v[i].ndim; ++d) {
      same = others.v[i].shape[d] == params.v[i].shape[d];
    }
    if (!same || (argument != 1 && repeats(others.v[i]))) return {Code::kShape, {argument, i}};
  }
  return kDone;
}

Status run_step(const StepArgs& args, Row row_float, Row row_double, int64_t numbers) {
  const Arrays* const lists[kOperands] = {&args.params, &args.grads, &args.states0, &args.states1,
                                          &args.states2};
  for (int64_t i = 0; i < args.params.n; ++i) {
    if (!is_float(args.params.v[i].dtype)) return {Code::kDType, {0, i}};
    if (repeats(args.params.v[i])) return {Code::kShape, {0, i}};
  }
  for (int k = 1; k < kOperands; ++k) {
    if (k > 1 && lists[k]->n == 0) continue;
    const Status status = check_list(args.params, *lists[k], k);
    if (status.code != Code::kOk) return status;
  }
  if (args.norm.data && !is_float(args.norm.dtype)) return kNoDType;
  if (args.norm.data && args.norm.size != 1) return {Code::kShape, {5, 0}};
  if (args.hyper.dtype != DType::kFloat64) return kNoDType;
  if (args.hyper.size != kCommon + numbers) return {Code::kShape, {6, 0}};
  const double* const hyper = reinterpret_cast<const double*>(args.hyper.data);
  parallel_for(total_size(args.params), kBlock, [&](int64_t begin, int64_t end) {
    over_tensors(args.params, begin, end, [&](int64_t i, int64_t from, int64_t to) {
      const Array* arrays[kOperands];
      for (int k = 0; k < kOperands; ++k) arrays[k] = lists[k]->n ? &lists[k]->v[i] : nullptr;
      const Row row = arrays[0]->dtype == DType::kFloat32 ? row_float : row_double;
      over_contiguous<kOperands>(arrays, true, from, to, [&](char* const* operands, int64_t n) {
        row(hyper, args.norm, operands, n);
      });
    });
  });
  return kDone;
}

template <template <class> class Rule>
Status step(const StepArgs& args) {
  return run_step(args, step_row<float, Rule>, step_row<double, Rule>,
                  sizeof(Rule<double>) / sizeof(double));
}

// ---- norms ----

enum class Norm { kOne, kTwo, kLargest, kSmallest, kCount, kPower };

template <class T, Norm kNorm>
GS_INLINE Vec<T> accumulate(Vec<T> sum, Vec<T> x) {
  if constexpr (kNorm == Norm::kTwo) return sum + x * x;
  const Vec<T> a = magnitude(x);
  if constexpr (kNorm == Norm::kOne) return sum + a;
  if constexpr (kNorm == Norm::kLargest) return larger(sum, a);
  if constexpr (kNorm == Norm::kSmallest) return smaller(sum, a);
  const Vec<T> zero{}, one = zero + 1;
  return sum + (x != zero ? one : zero);
}

GS_INLINE double combine(Norm norm, double a, double b) {
  if (norm == Norm::kLargest) return larger(a, b);
  if (norm == Norm::kSmallest) return smaller(a, b);
  return a + b;
}

// The partial result of n contiguous elements.
template <class T, Norm kNorm>
double norm_rows(const char* data, int64_t n) {
  const T* const x = reinterpret_cast<const T*>(data);
  constexpr double kFirst = kNorm == Norm::kSmallest ? __builtin_inf() : 0;
  constexpr int kSums = 4;
  double result = kFirst;
  for (int64_t row = 0; row < n; row += kNormRow) {
    const int64_t end = min64(n, row + kNormRow);
    Vec<T> sums[kSums];
    for (auto& sum : sums) sum = splat<T>(static_cast<T>(kFirst));
    int64_t i = row;
    for (; i + kSums * kLanes<T> <= end; i += kSums * kLanes<T>) {
#pragma GCC unroll 4
      for (int k = 0; k < kSums; ++k) {
        sums[k] = accumulate<T, kNorm>(sums[k], load<T>(x + i + k * kLanes<T>));
      }
    }
    for (; i < end; i += kLanes<T>) {
      const int64_t m = min64(kLanes<T>, end - i);
      Vec<T> v = m == kLanes<T> ? load<T>(x + i) : load_n<T>(x + i, m);
      // Lanes beyond the end change nothing: 0, or for the smallest infinity.
      if (kNorm == Norm::kSmallest && m < kLanes<T>) {
        v = select<T>(lane_mask<T>(m), v, splat<T>(static_cast<T>(kFirst)));
      }
      sums[0] = accumulate<T, kNorm>(sums[0], v);
    }
    for (const auto& sum : sums) {
      for (int k = 0; k < kLanes<T>; ++k) {
        result = combine(kNorm, result, static_cast<double>(sum[k]));
      }
    }
  }
  return result;
}

template <class T>
double norm_of(Norm norm, double power, const char* data, int64_t n) {
  switch (norm) {
    case Norm::kOne: return norm_rows<T, Norm::kOne>(data, n);
    case Norm::kTwo: return norm_rows<T, Norm::kTwo>(data, n);
    case Norm::kLargest: return norm_rows<T, Norm::kLargest>(data, n);
    case Norm::kSmallest: return norm_rows<T, Norm::kSmallest>(data, n);
    case Norm::kCount: return norm_rows<T, Norm::kCount>(data, n);
    case Norm::kPower: break;
  }
  double sum = 0;
  const T* const x = reinterpret_cast<const T*>(data);
  for (int64_t i = 0; i < n; ++i) sum += ::pow(::fabs(static_cast<double>(x[i])), power);
  return sum;
}

Norm kind_of(double p) {
  if (p == 1) return Norm::kOne;
  if (p == 2) return Norm::kTwo;
  if (p == 0) return Norm::kCount;
  if (::isinf(p)) return p > 0 ? Norm::kLargest : Norm::kSmallest;
  return Norm::kPower;
}

}  // namespace

Status sgd_step(const StepArgs& args) { return step<Sgd>(args); }
Status adagrad_step(const StepArgs& args) { return step<Adagrad>(args); }
Status adadelta_step(const StepArgs& args) { return step<Adadelta>(args); }
Status rmsprop_step(const StepArgs& args) { return step<Rmsprop>(args); }
Status adam_step(const StepArgs& args) { return step<Adam>(args); }
Status adamax_step(const StepArgs& args) { return step<Adamax>(args); }
Status nadam_step(const StepArgs& args) { return step<Nadam>(args); }
Status radam_step(const StepArgs& args) { return step<Radam>(args); }
Status lion_step(const StepArgs& args) { return step<Lion>(args); }
Status rprop_step(const StepArgs& args) { return step<Rprop>(args); }
Status asgd_step(const StepArgs& args) { return step<Asgd>(args); }
Status lerp_step(const StepArgs& args) { return step<Lerp>(args); }
Status clip_step(const StepArgs& args) { return step<Assign>(args); }

Status total_norm(const TotalNormArgs& args) {
  for (int64_t i = 0; i < args.tensors.n; ++i) {
    if (!is_float(args.tensors.v[i].dtype)) return kNoDType;
  }
  if (!is_float(args.y.dtype)) return kNoDType;
  if (args.y.size != 1) return {Code::kShape, {1, 0}};
  const Norm norm = kind_of(args.norm_type);
  const int64_t total = total_size(args.tensors), blocks = (total + kBlock - 1) / kBlock;
  const double first = norm == Norm::kSmallest ? __builtin_inf() : 0;
  const size_t bytes = (static_cast<size_t>(blocks) + 1) * sizeof(double);
  double* const partials = static_cast<double*>(allocate(bytes));
  if (!partials) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  parallel_for(total, kBlock, [&](int64_t begin, int64_t end) {
    double result = first;
    over_tensors(args.tensors, begin, end, [&](int64_t i, int64_t from, int64_t to) {
      const Array* const arrays[1] = {&args.tensors.v[i]};
      over_contiguous<1>(arrays, false, from, to, [&](char* const* x, int64_t n) {
        result = combine(norm, result,
                         arrays[0]->dtype == DType::kFloat32
                             ? norm_of<float>(norm, args.norm_type, x[0], n)
                             : norm_of<double>(norm, args.norm_type, x[0], n));
      });
    });
    partials[begin / kBlock] = result;
  });
  double result = first;
  for (int64_t i = 0; i < blocks; ++i) result = combine(norm, result, partials[i]);
  release(partials, bytes);
  if (norm == Norm::kTwo) result = ::sqrt(result);
  if (norm == Norm::kPower) result = ::pow(result, 1 / args.norm_type);
  if (args.y.dtype == DType::kFloat32) {
    store_one<float>(args.y.data, static_cast<float>(result));
  } else {
    store_one<double>(args.y.data, result);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
