// cross_entropy and its backward: log_softmax and nll_loss in one pass.
//
// cross_entropy: nll_loss of log_softmax over the classes in one pass, and with a part `smoothing` of
//   the target spread over all classes; without `softmax`, x are the log-probabilities already. stats
//   are the maximum of each row and the logarithm of its sum, for the backward, which is
//   g (A softmax(x) - (1 - s) w[t] [c = t] - s / C w[c]) with A the sum of what is subtracted.
// Layout: contiguous, x (batch, classes, inner), target (batch, inner). Lanes run along the row where
//   inner is 1, and over neighbouring targets otherwise.
// Split: a block is a number of rows, whose partial sums combine in order.
// Working set: one row, or kLanes rows side by side.
// Cost: reads x once and again from cache; stores one loss and two statistics a row. The backward
//   reads x once and writes grad_x once.
// Accuracy: exp and log as vector_math.h states; sums in float64.
#include "loss.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// ---- cross_entropy ----

// Up to kLanes targets side by side: whole rows (inner = 1), or neighbours in the inner dimensions.
struct Group {
  int64_t first, n;   // targets
  int64_t at;         // x's element of the first target's class 0
  int64_t row, step;  // x's elements between targets, and between classes
};

template <class T>
int64_t groups_of(const Classes& c) {
  const int64_t lanes = kLanes<T>;
  return c.inner == 1 ? (c.batch + lanes - 1) / lanes : c.batch * ((c.inner + lanes - 1) / lanes);
}

template <class T>
Group group_of(const Classes& c, int64_t i) {
  const int64_t lanes = kLanes<T>;
  if (c.inner == 1) {
    return {i * lanes, min64(lanes, c.batch - i * lanes), i * lanes * c.classes, c.classes, 1};
  }
  const int64_t across = (c.inner + lanes - 1) / lanes;
  const int64_t b = i / across, k = i % across * lanes;
  return {b * c.inner + k, min64(lanes, c.inner - k), b * c.classes * c.inner + k, 1, c.inner};
}

template <class T>
struct Row {
  Vec<T> maximum{}, log_sum{}, spread{};  // spread: sum of w (x - maximum)
};

template <class T>
Row<T> row_of(const T* x, const T* weight, const Classes& c, const Group& g, bool softmax,
              bool smooth) {
  Row<T> r;
  const Vec<T> one = splat<T>(T(1));
  if (g.step == 1) {
    for (int64_t k = 0; k < g.n; ++k) {
      const T* const row = x + g.at + k * g.row;
      const T m = softmax ? row_maximum<T>(row, c.classes) : T(0);
      r.maximum[k] = m;
      if (softmax) {
        r.log_sum[k] = static_cast<T>(row_sum<T>(c.classes, [&](int64_t i, int64_t n) {
          return vexp<T>(load_up_to<T>(row + i, n) - m);
        }));
      }
      if (smooth) {
        r.spread[k] = static_cast<T>(row_sum<T>(c.classes, [&](int64_t i, int64_t n) {
          const Vec<T> w = weight ? load_up_to<T>(weight + i, n) : one;
          return w * (load_up_to<T>(row + i, n) - m);
        }));
      }
    }
  } else {
    const T* const p = x + g.at;
    if (softmax) {
      r.maximum = load_up_to<T>(p, g.n);
      for (int64_t i = 1; i < c.classes; ++i) {
        const Vec<T> v = load_up_to<T>(p + i * g.step, g.n);
        r.maximum = v > r.maximum ? v : r.maximum;
      }
    }
    for (int64_t i = 0; i < c.classes; ++i) {
      const Vec<T> v = load_up_to<T>(p + i * g.step, g.n) - r.maximum;
      if (softmax) r.log_sum += vexp<T>(v);
      if (smooth) r.spread += (weight ? weight[i] : T(1)) * v;
    }
  }
  if (softmax) r.log_sum = vlog<T>(r.log_sum);
  return r;
}

// What the classes weigh altogether.
template <class T>
double weight_of_classes(const T* weight, int64_t classes) {
  double sum = weight ? 0.0 : static_cast<double>(classes);
  for (int64_t i = 0; weight && i < classes; ++i) sum += weight[i];
  return sum;
}

template <class T>
Status cross_entropy_typed(const CrossEntropyArgs& args, const Classes& c) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const auto* const target = reinterpret_cast<const int64_t*>(args.target.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  T* const stats = reinterpret_cast<T*>(args.stats.data);
  const int64_t n = c.batch * c.inner;
  const bool smooth = args.smoothing != 0.0;
  const T hard = static_cast<T>(1.0 - args.smoothing);
  const T soft = static_cast<T>(args.smoothing / static_cast<double>(max64(c.classes, 1)));
  const T spread_weight = soft * static_cast<T>(weight_of_classes(weight, c.classes));
  struct Partial {
    double loss, weight;
  };
  const int64_t groups = groups_of<T>(c);
  const int64_t grain = max64(kBlock / (max64(c.classes, 1) * kLanes<T>), 1);
  const int64_t blocks = max64((groups + grain - 1) / grain, 1);
  Partial few[16];
  const auto bytes = static_cast<size_t>(blocks) * sizeof(Partial);
  Partial* const partial = blocks <= 16 ? few : static_cast<Partial*>(allocate(bytes));
  if (!partial) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  partial[0] = {0, 0};
  parallel_for(groups, grain, [&](int64_t begin, int64_t end) {
    Partial sum{0, 0};
    for (int64_t i = begin; i < end; ++i) {
      const Group g = group_of<T>(c, i);
      const Row<T> r = row_of<T>(x, weight, c, g, args.softmax, smooth);
      for (int64_t k = 0; k < g.n; ++k) {
        const int64_t t = target[g.first + k];
        stats[g.first + k] = r.maximum[k];
        stats[n + g.first + k] = r.log_sum[k];
        T loss = 0;
        if (t != args.ignore_index) {
          const T w = weight ? weight[t] : T(1);
          const T own = x[g.at + k * g.row + t * g.step] - r.maximum[k];
          loss = hard * w * (r.log_sum[k] - own);
          if (smooth) loss += spread_weight * r.log_sum[k] - soft * r.spread[k];
          sum.loss += loss;
          sum.weight += w;
        }
        if (args.reduction == kNone) y[g.first + k] = loss;
      }
    }
    partial[begin / grain] = sum;
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
void cross_entropy_bwd_typed(const CrossEntropyBwdArgs& args, const Classes& c) {
  const T* const grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const T* const stats = reinterpret_cast<const T*>(args.stats.data);
  const auto* const target = reinterpret_cast<const int64_t*>(args.target.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const int64_t targets = c.batch * c.inner;
  T scale = args.reduction == kNone ? T(1) : *grad_y;
  if (args.reduction == kMean) scale /= *reinterpret_cast<const T*>(args.total_weight.data);
  const T hard = static_cast<T>(1.0 - args.smoothing);
  const T soft = static_cast<T>(args.smoothing / static_cast<double>(c.classes));
  const T spread_weight = soft * static_cast<T>(weight_of_classes(weight, c.classes));
  const int64_t grain = max64(kBlock / (c.classes * kLanes<T>), 1);
  parallel_for(groups_of<T>(c), grain, [&](int64_t begin, int64_t end) {
    const Vec<T> one = splat<T>(T(1));
    for (int64_t i = begin; i < end; ++i) {
      const Group g = group_of<T>(c, i);
      Vec<T> factor{}, part{};  // of the softmax, and of w[c] / C
      T own[kLanes<T>];
      for (int64_t k = 0; k < g.n; ++k) {
        const int64_t t = target[g.first + k];
        own[k] = 0;
        if (t == args.ignore_index) continue;
        const T up = args.reduction == kNone ? grad_y[g.first + k] : scale;
        own[k] = up * hard * (weight ? weight[t] : T(1));
        part[k] = up * soft;
        factor[k] = args.softmax ? own[k] + up * spread_weight : T(0);
      }
      if (g.step == 1) {
        for (int64_t k = 0; k < g.n; ++k) {
          const T* const row = x + g.at + k * g.row;
          T* const out = grad_x + g.at + k * g.row;
          if (target[g.first + k] == args.ignore_index) {
            __builtin_memset(out, 0, static_cast<size_t>(c.classes) * sizeof(T));
            continue;
          }
          const T m = stats[g.first + k], log_sum = stats[targets + g.first + k];
          const T f = factor[k], s = part[k];
          const auto value = [&](int64_t j, int64_t n) {
            Vec<T> v{};
            if (args.softmax) v = f * vexp<T>((load_up_to<T>(row + j, n) - m) - log_sum);
            if (s != T(0)) v -= s * (weight ? load_up_to<T>(weight + j, n) : one);
            return v;
          };
          int64_t j = 0;
          for (; j + kLanes<T> <= c.classes; j += kLanes<T>) store<T>(out + j, value(j, kLanes<T>));
          if (j < c.classes) store_n<T>(out + j, value(j, c.classes - j), c.classes - j);
        }
      } else {
        const Vec<T> m = load_up_to<T>(stats + g.first, g.n);
        const Vec<T> log_sum = load_up_to<T>(stats + targets + g.first, g.n);
        const auto* const ignored = target + g.first;
        IVec<T> taken{};
        for (int64_t k = 0; k < g.n; ++k) taken[k] = ignored[k] == args.ignore_index ? 0 : -1;
        for (int64_t j = 0; j < c.classes; ++j) {
          const int64_t at = g.at + j * g.step;
          Vec<T> v{};
          if (args.softmax) v = factor * vexp<T>((load_up_to<T>(x + at, g.n) - m) - log_sum);
          v -= part * (weight ? weight[j] : T(1));
          v = taken ? v : Vec<T>{};  // an ignored row of NaN has no gradient
          if (g.n == kLanes<T>) {
            store<T>(grad_x + at, v);
          } else {
            store_n<T>(grad_x + at, v, g.n);
          }
        }
      }
      for (int64_t k = 0; k < g.n; ++k) {
        const int64_t t = target[g.first + k];
        if (t != args.ignore_index) grad_x[g.at + k * g.row + t * g.step] -= own[k];
      }
    }
  });
}

}  // namespace

Status cross_entropy(const CrossEntropyArgs& args) {
  if (!is_float(args.x.dtype) || args.target.dtype != DType::kInt64 ||
      (args.weight.data && args.weight.dtype != args.x.dtype)) {
    return kNoDType;
  }
  Classes c;
  if (!make_classes(args.x.ndim, args.x.shape, args.target, args.weight, c)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.y.size != (args.reduction == kNone ? args.target.size : 1) ||
      args.stats.size != 2 * args.target.size) {
    return {Code::kShape, {3, 0}};
  }
  const Status targets = check_targets(reinterpret_cast<const int64_t*>(args.target.data),
                                       args.target.size, c.classes, args.ignore_index);
  if (targets.code != Code::kOk) return targets;
  return args.x.dtype == DType::kFloat32 ? cross_entropy_typed<float>(args, c)
                                         : cross_entropy_typed<double>(args, c);
}

Status cross_entropy_bwd(const CrossEntropyBwdArgs& args) {
  const DType dtype = args.x.dtype;
  if (!is_float(dtype) || args.grad_y.dtype != dtype || args.target.dtype != DType::kInt64 ||
      (args.weight.data && args.weight.dtype != dtype) || args.stats.dtype != dtype ||
      args.total_weight.dtype != dtype) {
    return kNoDType;
  }
  Classes c;
  if (!make_classes(args.x.ndim, args.x.shape, args.target, args.weight, c)) {
    return {Code::kShape, {2, 0}};
  }
  if (args.grad_y.size != (args.reduction == kNone ? args.target.size : 1) ||
      args.total_weight.size != 1 || args.stats.size != 2 * args.target.size) {
    return {Code::kShape, {0, 0}};
  }
  if (args.grad_x.size == 0) return kDone;
  const Status targets = check_targets(reinterpret_cast<const int64_t*>(args.target.data),
                                       args.target.size, c.classes, args.ignore_index);
  if (targets.code != Code::kOk) return targets;
  if (dtype == DType::kFloat32) {
    cross_entropy_bwd_typed<float>(args, c);
  } else {
    cross_entropy_bwd_typed<double>(args, c);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
