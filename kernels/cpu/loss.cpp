// Loss kernels: log_softmax log_softmax_bwd nll_loss nll_loss_bwd.
//
// log_softmax: y = (x - m) - log(sum(exp(x - m))) along one dimension, m the maximum there. A row
//   with a NaN or +inf, or of -inf alone, gives NaN, as in PyTorch.
// nll_loss: -weight[t] * x[n, t, i] at the target t of (n, i); mean divides by the total weight.
// Layout: contiguous, the dimension anywhere: (outer, extent, inner). Lanes run along the row where
//   inner is 1, and over neighbouring rows otherwise.
// Split: a block is a number of rows (log_softmax), or kTargets targets (nll_loss), whose partial
//   sums combine in order.
// Working set: one row, or kLanes rows side by side.
// Cost: log_softmax reads x three times (from cache for rows within it), writes y once; nll_loss
//   reads one element a target.
// Accuracy: exp and log as vector_math.h states; sums in float64.
#include "loss.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kTargets = 8192;

struct Along {
  int64_t outer = 1, extent = 1, inner = 1;
};

Along along(int ndim, const int64_t* shape, int64_t dim) {
  Along a;
  for (int d = 0; d < ndim; ++d) {
    (d < dim ? a.outer : d == dim ? a.extent : a.inner) *= shape[d];
  }
  return a;
}

// Rows of n elements one after another; the logarithms of kLanes rows' sums are taken at once.
template <class T>
void log_softmax_rows_of(const T* x, T* y, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; r += kLanes<T>) {
    const int64_t group = min64(kLanes<T>, rows - r);
    T maximum[kLanes<T>];
    Vec<T> sums{};
    for (int64_t k = 0; k < group; ++k) {
      const T* const row = x + (r + k) * n;
      maximum[k] = row_maximum<T>(row, n);
      sums[k] = static_cast<T>(row_sum<T>(n, [&](int64_t i, int64_t m) {
        return vexp<T>(load_up_to<T>(row + i, m) - maximum[k]);
      }));
    }
    const Vec<T> logs = vlog<T>(sums);
    for (int64_t k = 0; k < group; ++k) {
      const T* const row = x + (r + k) * n;
      T* const out = y + (r + k) * n;
      const Vec<T> m = splat<T>(maximum[k]), log_sum = splat<T>(T(logs[k]));
      int64_t i = 0;
      for (; i + kLanes<T> <= n; i += kLanes<T>) store<T>(out + i, load<T>(row + i) - m - log_sum);
      if (i < n) store_n<T>(out + i, load_n<T>(row + i, n - i) - m - log_sum, n - i);
    }
  }
}

// n <= kLanes rows side by side, each with its elements `stride` apart.
template <class T>
void log_softmax_columns(const T* x, T* y, int64_t extent, int64_t stride, int64_t n) {
  Vec<T> maximum = load_n<T>(x, n);
  for (int64_t i = 1; i < extent; ++i) {
    const Vec<T> v = load_n<T>(x + i * stride, n);
    maximum = v > maximum ? v : maximum;
  }
  Vec<T> sum{};
  for (int64_t i = 0; i < extent; ++i) sum += vexp<T>(load_n<T>(x + i * stride, n) - maximum);
  const Vec<T> log_sum = vlog<T>(sum);
  for (int64_t i = 0; i < extent; ++i) {
    store_n<T>(y + i * stride, (load_n<T>(x + i * stride, n) - maximum) - log_sum, n);
  }
}

template <class T>
void log_softmax_bwd_rows_of(const T* grad_y, const T* y, T* grad_x, int64_t rows, int64_t n) {
  for (int64_t r = 0; r < rows; ++r, grad_y += n, y += n, grad_x += n) {
    const Vec<T> sum = splat<T>(static_cast<T>(
        row_sum<T>(n, [&](int64_t i, int64_t m) { return load_up_to<T>(grad_y + i, m); })));
    int64_t i = 0;
    for (; i + kLanes<T> <= n; i += kLanes<T>) {
      store<T>(grad_x + i, load<T>(grad_y + i) - vexp<T>(load<T>(y + i)) * sum);
    }
    if (i < n) {
      const Vec<T> p = vexp<T>(load_n<T>(y + i, n - i));
      store_n<T>(grad_x + i, load_n<T>(grad_y + i, n - i) - p * sum, n - i);
    }
  }
}

template <class T>
void log_softmax_bwd_columns(const T* grad_y, const T* y, T* grad_x, int64_t extent, int64_t stride,
                             int64_t n) {
  Vec<T> sum{};
  for (int64_t i = 0; i < extent; ++i) sum += load_n<T>(grad_y + i * stride, n);
  for (int64_t i = 0; i < extent; ++i) {
    const Vec<T> p = vexp<T>(load_n<T>(y + i * stride, n));
    store_n<T>(grad_x + i * stride, load_n<T>(grad_y + i * stride, n) - p * sum, n);
  }
}

// Calls rows(offset, n) for n rows one after another when inner is 1, else columns(offset, n) for n rows
// side by side.
template <class T, class Rows, class Columns>
void for_softmax_rows(const Along& a, const Rows& rows, const Columns& columns) {
  if (a.inner == 1) {
    parallel_for(a.outer, max64(kBlock / a.extent, 1),
                 [&](int64_t begin, int64_t end) { rows(begin * a.extent, end - begin); });
    return;
  }
  const int64_t groups = (a.inner + kLanes<T> - 1) / kLanes<T>;
  parallel_for(a.outer * groups, max64(kBlock / (a.extent * kLanes<T>), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) {
                   const int64_t at = i % groups * kLanes<T>;
                   columns(i / groups * a.extent * a.inner + at, min64(kLanes<T>, a.inner - at));
                 }
               });
}

template <class T>
void log_softmax_typed(const LogSoftmaxArgs& args) {
  const Along a = along(args.x.ndim, args.x.shape, args.dim);
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  for_softmax_rows<T>(
      a, [&](int64_t at, int64_t n) { log_softmax_rows_of<T>(x + at, y + at, n, a.extent); },
      [&](int64_t at, int64_t n) { log_softmax_columns<T>(x + at, y + at, a.extent, a.inner, n); });
}

template <class T>
void log_softmax_bwd_typed(const LogSoftmaxBwdArgs& args) {
  const Along a = along(args.y.ndim, args.y.shape, args.dim);
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const y = reinterpret_cast<const T*>(args.y.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  for_softmax_rows<T>(
      a,
      [&](int64_t at, int64_t n) {
        log_softmax_bwd_rows_of<T>(grad_y + at, y + at, grad_x + at, n, a.extent);
      },
      [&](int64_t at, int64_t n) {
        log_softmax_bwd_columns<T>(grad_y + at, y + at, grad_x + at, a.extent, a.inner, n);
      });
}

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
  if (!is_float(args.x.dtype)) return kNoDType;
  if (args.x.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) {
    log_softmax_typed<float>(args);
  } else {
    log_softmax_typed<double>(args);
  }
  return kDone;
}

Status log_softmax_bwd(const LogSoftmaxBwdArgs& args) {
  if (!is_float(args.y.dtype) || args.grad_y.dtype != args.y.dtype) return kNoDType;
  if (args.grad_y.size != args.y.size) return {Code::kShape, {0, 0}};
  if (args.y.size == 0) return kDone;
  if (args.y.dtype == DType::kFloat32) {
    log_softmax_bwd_typed<float>(args);
  } else {
    log_softmax_bwd_typed<double>(args);
  }
  return kDone;
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
