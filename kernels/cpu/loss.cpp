// Loss kernels: log_softmax log_softmax_bwd nll_loss nll_loss_bwd.
//
// log_softmax: y = (x - m) - log(sum(exp(x - m))) along one dimension, m the maximum there. A row
//   with a NaN or +inf, or of -inf alone, gives NaN, as in PyTorch.
// nll_loss: -weight[t] * x[n, t, i] at the target t of (n, i); mean divides by the total weight.
// Layout: contiguous, the dimension anywhere: (outer, extent, inner); see softmax.h.
// Split: a block is a number of rows or strips of them (log_softmax), or kTargets targets (nll_loss),
//   whose partial sums combine in order.
// Working set: one row, or a strip of 1 KB by the extent.
// Cost: log_softmax reads x three times (from cache for rows within it), writes y once; nll_loss
//   reads one element a target.
// Accuracy: exp and log as vector_math.h states; sums in float64.
#include "loss.h"

#include "softmax.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kTargets = 8192;

// ---- nll_loss ----

template <class T>
Status nll_loss_typed(const NllLossArgs& args, const Classes& c) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const auto* const target = reinterpret_cast<const int64_t*>(args.target.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const int64_t n = c.batch * c.inner;
  struct Partial {
    double loss, weight;
  };
  const int64_t blocks = max64((n + kTargets - 1) / kTargets, 1);
  Partial few[16];
  const auto bytes = static_cast<size_t>(blocks) * sizeof(Partial);
  Partial* const partial = blocks <= 16 ? few : static_cast<Partial*>(allocate(bytes));
  if (!partial) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  partial[0] = {0, 0};
  parallel_for(n, kTargets, [&](int64_t begin, int64_t end) {
    Partial sum{0, 0};
    for (int64_t i = begin; i < end; ++i) {
      const int64_t t = target[i];
      const bool ignored = t == args.ignore_index;
      T loss = 0;
      if (!ignored) {
        const T w = weight ? weight[t] : T(1);
        loss = -w * x[(i / c.inner * c.classes + t) * c.inner + i % c.inner];
        sum.loss += loss;
        sum.weight += w;
      }
      if (args.reduction == kNone) y[i] = loss;
    }
    partial[begin / kTargets] = sum;
  });
  Partial all = partial[0];
  for (int64_t b = 1; b < blocks; ++b) {
    all.loss += partial[b].loss;
    all.weight += partial[b].weight;
  }
  if (partial != few) release(partial, bytes);
  *reinterpret_cast<T*>(args.total_weight.data) = static_cast<T>(all.weight);
  if (args.reduction == kMean) *y = static_cast<T>(all.loss / all.weight);
  if (args.reduction == kSum) *y = static_cast<T>(all.loss);
  return kDone;
}

template <class T>
void nll_loss_bwd_typed(const NllLossBwdArgs& args, const Classes& c) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const auto* const target = reinterpret_cast<const int64_t*>(args.target.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  T scale = args.reduction == kNone ? T(1) : *grad_y;
  if (args.reduction == kMean) scale /= *reinterpret_cast<const T*>(args.total_weight.data);
  const int64_t plane = c.classes * c.inner;
  parallel_for(c.batch, max64(kBlock / max64(plane, 1), 1), [&](int64_t begin, int64_t end) {
    __builtin_memset(grad_x + begin * plane, 0,
                     static_cast<size_t>((end - begin) * plane) * sizeof(T));
    for (int64_t i = begin * c.inner; i < end * c.inner; ++i) {
      const int64_t t = target[i];
      if (t == args.ignore_index) continue;
      const T w = weight ? weight[t] : T(1);
      const T g = args.reduction == kNone ? grad_y[i] : scale;
      grad_x[(i / c.inner * c.classes + t) * c.inner + i % c.inner] = -w * g;
    }
  });
}

}  // namespace

Status log_softmax(const LogSoftmaxArgs& args) {
  return along_dim::forward<true>(args.x, args.dim, args.y);
}

Status log_softmax_bwd(const LogSoftmaxBwdArgs& args) {
  return along_dim::backward<true>(args.grad_y, args.y, args.dim, args.grad_x);
}

Status nll_loss(const NllLossArgs& args) {
  if (!is_float(args.x.dtype) || args.target.dtype != DType::kInt64 ||
      (args.weight.data && args.weight.dtype != args.x.dtype)) {
    return kNoDType;
  }
  Classes c;
  if (!make_classes(args.x.ndim, args.x.shape, args.target, args.weight, c)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.y.size != (args.reduction == kNone ? args.target.size : 1)) {
    return {Code::kShape, {3, 0}};
  }
  const Status targets = check_targets(reinterpret_cast<const int64_t*>(args.target.data),
                                       args.target.size, c.classes, args.ignore_index);
  if (targets.code != Code::kOk) return targets;
  return args.x.dtype == DType::kFloat32 ? nll_loss_typed<float>(args, c)
                                         : nll_loss_typed<double>(args, c);
}

Status nll_loss_bwd(const NllLossBwdArgs& args) {
  const DType dtype = args.grad_y.dtype;
  if (!is_float(dtype) || args.target.dtype != DType::kInt64 ||
      (args.weight.data && args.weight.dtype != dtype) || args.total_weight.dtype != dtype) {
    return kNoDType;
  }
  Classes c;
  if (!make_classes(args.x_shape.n, args.x_shape.v, args.target, args.weight, c)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.grad_y.size != (args.reduction == kNone ? args.target.size : 1) ||
      args.total_weight.size != 1) {
    return {Code::kShape, {0, 0}};
  }
  if (args.grad_x.size == 0) return kDone;
  const Status targets = check_targets(reinterpret_cast<const int64_t*>(args.target.data),
                                       args.target.size, c.classes, args.ignore_index);
  if (targets.code != Code::kOk) return targets;
  if (dtype == DType::kFloat32) {
    nll_loss_bwd_typed<float>(args, c);
  } else {
    nll_loss_bwd_typed<double>(args, c);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
