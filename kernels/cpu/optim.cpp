// Optimizer kernels, in place, one call for all parameters: sgd_step adam_step.
//
// sgd: g = grad (-grad to maximize) + weight_decay * p; with momentum b = momentum * b +
//   (1 - dampening) * g, on the first step b = g; d = b, or g + momentum * b (Nesterov);
//   p -= lr * d.
// adam: g as above (decoupled: p *= 1 - lr * weight_decay instead); m += (1 - beta1) * (g - m);
//   v = beta2 * v + (1 - beta2) * g * g;
//   p -= lr / (1 - beta1^step) * m / (sqrt(v) / sqrt(1 - beta2^step) + eps).
// Layout: parameters and moments contiguous; gradients with any strides. hyper = [lr, step], float64.
// Split: all parameters one after another are one index space; a block is kBlock elements of it.
// Working set: 4 * kBlock elements. Cost: sgd reads p and grad (and b), writes p (and b); adam reads
//   p, grad, m, v and writes p, m, v.
// Accuracy: a few ULP; the coefficients are rounded from float64 to the parameter's type.
// Source: torch.optim's single-tensor formulas; Sutskever et al. 2013; Kingma and Ba 2015;
//   Loshchilov and Hutter 2019 (decoupled).
#include <math.h>

#include "lists/optim.h"
#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;

template <class T>
struct Sgd {
  T lr, momentum, gradient_share, weight_decay, sign;
  bool has_momentum, nesterov, first;
  static constexpr int kStates = 1;

  explicit Sgd(const SgdStepArgs& args)
      : lr(static_cast<T>(reinterpret_cast<const double*>(args.hyper.data)[0])),
        momentum(static_cast<T>(args.momentum)),
        gradient_share(static_cast<T>(1 - args.dampening)),
        weight_decay(static_cast<T>(args.weight_decay)),
        sign(args.maximize ? T(-1) : T(1)),
        has_momentum(args.momentum != 0),
        nesterov(args.nesterov),
        first(args.first) {}

  GS_INLINE bool reads_state() const { return has_momentum && !first; }
  GS_INLINE bool writes_state() const { return has_momentum; }

  GS_INLINE void step(Vec<T>& p, Vec<T> g, Vec<T> (&state)[2]) const {
    g = g * sign;
    if (weight_decay != T(0)) g = g + p * weight_decay;
    if (has_momentum) {
      state[0] = first ? g : state[0] * momentum + g * gradient_share;
      g = nesterov ? g + state[0] * momentum : state[0];
    }
    p = p - g * lr;
  }
};

template <class T>
struct Adam {
  T step_size, one_minus_beta1, beta2, one_minus_beta2, inverse_root, eps, weight_decay, shrink,
      sign;
  bool decoupled;
  static constexpr int kStates = 2;

  explicit Adam(const AdamStepArgs& args) {
    const double* const hyper = reinterpret_cast<const double*>(args.hyper.data);
    const double lr = hyper[0], steps = hyper[1];
    step_size = static_cast<T>(lr / (1 - ::pow(args.beta1, steps)));
    inverse_root = static_cast<T>(1 / ::sqrt(1 - ::pow(args.beta2, steps)));
    one_minus_beta1 = static_cast<T>(1 - args.beta1);
    beta2 = static_cast<T>(args.beta2);
    one_minus_beta2 = static_cast<T>(1 - args.beta2);
    eps = static_cast<T>(args.eps);
    weight_decay = static_cast<T>(args.weight_decay);
    shrink = static_cast<T>(1 - lr * args.weight_decay);
    sign = args.maximize ? T(-1) : T(1);
    decoupled = args.decoupled;
  }

  GS_INLINE bool reads_state() const { return true; }
  GS_INLINE bool writes_state() const { return true; }

  GS_INLINE void step(Vec<T>& p, Vec<T> g, Vec<T> (&state)[2]) const {
    g = g * sign;
    if (weight_decay != T(0)) {
      if (decoupled) {
        p = p * shrink;
      } else {
        g = g + p * weight_decay;
      }
    }
    state[0] = state[0] + (g - state[0]) * one_minus_beta1;
    state[1] = state[1] * beta2 + g * g * one_minus_beta2;
    p = p - state[0] * step_size / (vsqrt(state[1]) * inverse_root + eps);
  }
};

// n elements; grad's are `stride` bytes apart (sizeof(T): neighbours, aligned).
template <class T, class Rule>
void step_row(const Rule& rule, T* p, const char* grad, int64_t stride, T* state0, T* state1,
              int64_t n) {
  T* const states[2] = {state0, state1};
  const bool reads = rule.reads_state(), writes = rule.writes_state();
  for (int64_t i = 0; i < n; i += kLanes<T>) {
    const int64_t m = min64(kLanes<T>, n - i);
    Vec<T> value, g, state[2] = {};
    if (m == kLanes<T>) {
      value = load<T>(p + i);
      g = stride == int64_t{sizeof(T)} ? load<T>(reinterpret_cast<const T*>(grad) + i)
                                       : load_strided<T>(grad + i * stride, stride, m);
      if (reads) {
        for (int k = 0; k < Rule::kStates; ++k) state[k] = load<T>(states[k] + i);
      }
      rule.step(value, g, state);
      store<T>(p + i, value);
      if (writes) {
        for (int k = 0; k < Rule::kStates; ++k) store<T>(states[k] + i, state[k]);
      }
    } else {
      value = load_n<T>(p + i, m);
      g = load_strided<T>(grad + i * stride, stride, m);
      if (reads) {
        for (int k = 0; k < Rule::kStates; ++k) state[k] = load_n<T>(states[k] + i, m);
      }
      rule.step(value, g, state);
      store_n<T>(p + i, value, m);
      if (writes) {
        for (int k = 0; k < Rule::kStates; ++k) store_n<T>(states[k] + i, state[k], m);
      }
    }
  }
}

// Elements [begin, end) of one parameter.
template <class T, class Rule>
void step_span(const Rule& rule, const Array& param, const Array& grad, const Array* state0,
               const Array* state1, int64_t begin, int64_t end) {
  T* const p = reinterpret_cast<T*>(param.data);
  T* const s0 = state0 ? reinterpret_cast<T*>(state0->data) : nullptr;
  T* const s1 = state1 ? reinterpret_cast<T*>(state1->data) : nullptr;
  if (grad.contiguous) {
    step_row<T>(rule, p + begin, grad.data + begin * int64_t{sizeof(T)}, sizeof(T),
                s0 ? s0 + begin : s0, s1 ? s1 + begin : s1, end - begin);
    return;
  }
  StridedLoop<1> loop;
  set_operand(loop, 0, grad, param.ndim, param.shape);
  merge(loop, param.ndim, param.shape);
  const int64_t stride = loop.stride[0][loop.ndim - 1];
  const char* const base[1] = {grad.data};
  for_rows<1>(loop, base, begin, end, [&](int64_t at, const char* const* q, int64_t n) {
    // Gathered through the vector; a misaligned neighbour is an element like any other.
    for (int64_t i = 0; i < n; i += kLanes<T>) {
      const int64_t m = min64(kLanes<T>, n - i);
      alignas(GS_VECTOR_BYTES) T lanes[kLanes<T>];
      store<T>(lanes, load_strided<T>(q[0] + i * stride, stride, m));
      step_row<T>(rule, p + at + i, reinterpret_cast<const char*>(lanes), sizeof(T),
                  s0 ? s0 + at + i : s0, s1 ? s1 + at + i : s1, m);
    }
  });
}

bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

// Whether `others` goes with `params` one by one; detail[0] is the argument's place.
Status check_list(const Arrays& params, const Arrays& others, int64_t argument) {
  if (others.n != params.n) return {Code::kShape, {argument, 0}};
  for (int64_t i = 0; i < params.n; ++i) {
    if (others.v[i].dtype != params.v[i].dtype) return {Code::kDType, {argument, i}};
    bool same = others.v[i].ndim == params.v[i].ndim;
    for (int d = 0; same && d < params.v[i].ndim; ++d) {
      same = others.v[i].shape[d] == params.v[i].shape[d];
    }
    if (!same) return {Code::kShape, {argument, i}};
  }
  return kDone;
}

template <class Args, template <class> class Rule>
void step_all(const Args& args, const Arrays& params, const Arrays& grads, const Array* states0,
              const Array* states1) {
  const Rule<float> rule_float(args);
  const Rule<double> rule_double(args);
  int64_t total = 0;
  for (int64_t i = 0; i < params.n; ++i) total += params.v[i].size;
  parallel_for(total, kBlock, [&](int64_t begin, int64_t end) {
    int64_t start = 0;  // of parameter i in the common index space
    for (int64_t i = 0; i < params.n && start < end; ++i) {
      const Array& param = params.v[i];
      const int64_t from = max64(begin, start), to = min64(end, start + param.size);
      if (from < to) {
        const Array* const s0 = states0 ? states0 + i : nullptr;
        const Array* const s1 = states1 ? states1 + i : nullptr;
        if (param.dtype == DType::kFloat32) {
          step_span<float>(rule_float, param, grads.v[i], s0, s1, from - start, to - start);
        } else {
          step_span<double>(rule_double, param, grads.v[i], s0, s1, from - start, to - start);
        }
      }
      start += param.size;
    }
  });
}

Status check_step(const Arrays& params, const Arrays& grads, const Array& hyper) {
  for (int64_t i = 0; i < params.n; ++i) {
    if (!is_float(params.v[i].dtype)) return {Code::kDType, {0, i}};
  }
  if (hyper.dtype != DType::kFloat64) return kNoDType;
  if (hyper.size != 2) return {Code::kShape, {2, 0}};
  return check_list(params, grads, 1);
}

}  // namespace

Status sgd_step(const SgdStepArgs& args) {
  const Status check = check_step(args.params, args.grads, args.hyper);
  if (check.code != Code::kOk) return check;
  const bool buffers = args.momentum != 0;
  if (buffers) {
    const Status status = check_list(args.params, args.momentum_buffers, 2);
    if (status.code != Code::kOk) return status;
  }
  step_all<SgdStepArgs, Sgd>(args, args.params, args.grads,
                             buffers ? args.momentum_buffers.v : nullptr, nullptr);
  return kDone;
}

Status adam_step(const AdamStepArgs& args) {
  const Status check = check_step(args.params, args.grads, args.hyper);
  if (check.code != Code::kOk) return check;
  Status status = check_list(args.params, args.exp_avgs, 2);
  if (status.code != Code::kOk) return status;
  status = check_list(args.params, args.exp_avg_sqs, 3);
  if (status.code != Code::kOk) return status;
  step_all<AdamStepArgs, Adam>(args, args.params, args.grads, args.exp_avgs.v, args.exp_avg_sqs.v);
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
