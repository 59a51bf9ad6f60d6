// Loss kernels: log_softmax log_softmax_bwd nll_loss nll_loss_bwd cross_entropy cross_entropy_bwd.
//
// Formula   log_softmax: y = (x - m) - log(sum(exp(x - m))) along one dimension, m the maximum there;
//           a row with a NaN or +inf, or of -inf alone, gives NaN. Its backward: grad_x = grad_y -
//           exp(y) * sum(grad_y). nll_loss: -weight[t] * x[n, t, i] at the target t of (n, i), summed,
//           or divided by the sum of the weights.
//           cross_entropy: nll_loss of log_softmax (without `softmax`: of x) over the classes, with a
//           part `smoothing` of the target spread over all classes. Its backward: g (A softmax(x) -
//           (1 - s) w[t] [c = t] - s / C w[c]) with A the sum of what is subtracted.
// Layout    contiguous: rows of `extent` elements that lie `inner` apart.
// Split     log_softmax: a team of 1 to 256 threads (reduce.cuh) a row. With kHeld the team keeps its
//           row in registers, kHeldElements a thread. nll_loss: threads over the targets, one partial
//           sum a block; one block folds them. nll_loss_bwd: one thread an element of grad_x.
// Memory    log_softmax: one value a thread, 2 KB. nll_loss: two float64 a thread, 4 KB.
// Cost      log_softmax reads x once (held) or three times (the second and third from cache), writes
//           y once; the backward reads grad_y and y once (held), writes grad_x. nll_loss reads one
//           element a target; its backward writes grad_x.
// Accuracy  exp and log as CUDA's library (1 to 2 ULP); sums in float64.
// Limits    none.
#include "softmax_rows.cuh"

__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }

// ---- log_softmax -----------------------------------------------------------------------------------------

template <class T, bool kHeld>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    log_softmax(const T* __restrict__ x, T* __restrict__ y, int64 rows, int64 extent, int64 inner,
                int lanes, int along) {
  GS_SHARED(double[gs::kTeamThreads], sums);
  GS_SHARED(T[gs::kTeamThreads], maxima);
  const gs::Team team(lanes, along != 0);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < rows;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    // A team without a row goes along with an empty one, for the barriers.
    const bool is_row = first + team.slot < rows;
    const int64 start = is_row ? row_start(first + team.slot, extent, inner) : 0;
    const Row<T, kHeld> row(x + start, is_row ? extent : 0, inner, team);
    T maximum = gs::MaxPartials<T>::identity();
    row.for_each([&](int64, T v) { maximum = gs::MaxPartials<T>::combine(maximum, v); });
    maximum = gs::fold_team<gs::MaxPartials<T>>(team, maximum, maxima);
    double sum = 0;
    row.for_each([&](int64, T v) { sum += static_cast<double>(exponential(v - maximum)); });
    sum = gs::fold_team<gs::AddPartials<double>>(team, sum, sums);
    const T log_sum = logarithm(static_cast<T>(sum));
    row.for_each([&](int64 at, T v) { y[start + at] = (v - maximum) - log_sum; });
  }
}

template <class T, bool kHeld>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    log_softmax_bwd(const T* __restrict__ grad_y, const T* __restrict__ y, T* __restrict__ grad_x,
                    int64 rows, int64 extent, int64 inner, int lanes, int along) {
  GS_SHARED(double[gs::kTeamThreads], sums);
  const gs::Team team(lanes, along != 0);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < rows;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const bool is_row = first + team.slot < rows;
    const int64 start = is_row ? row_start(first + team.slot, extent, inner) : 0;
    const Row<T, kHeld> row(grad_y + start, is_row ? extent : 0, inner, team);
    double sum = 0;
    row.for_each([&](int64, T g) { sum += static_cast<double>(g); });
    const T total = static_cast<T>(gs::fold_team<gs::AddPartials<double>>(team, sum, sums));
    row.for_each(
        [&](int64 at, T g) { grad_x[start + at] = g - exponential(y[start + at]) * total; });
  }
}

// ---- nll_loss --------------------------------------------------------------------------------------------

enum Reduction { kNone = 0, kMean = 1, kSum = 2 };

struct LossAndWeight {
  double loss, weight;
};

struct AddLosses {
  using Partial = LossAndWeight;
  static __device__ __forceinline__ Partial combine(Partial a, Partial b) {
    return {a.loss + b.loss, a.weight + b.weight};
  }
};

__device__ __forceinline__ LossAndWeight shuffle_partial(LossAndWeight v, int lanes) {
  return {__shfl_xor_sync(0xffffffffu, v.loss, lanes),
          __shfl_xor_sync(0xffffffffu, v.weight, lanes)};
}

template <class T>
__device__ __forceinline__ void store_loss(LossAndWeight all, T* y, T* total_weight,
                                           int reduction) {
  *total_weight = static_cast<T>(all.weight);
  if (reduction == kMean) *y = static_cast<T>(all.loss / all.weight);
  if (reduction == kSum) *y = static_cast<T>(all.loss);
}

// n targets over classes x `classes`; the partial sum of block b goes to partials[2 b], or, where there
// is one block, the result to y and total_weight.
template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads)
    nll_loss(const T* __restrict__ x, const int64* __restrict__ target,
             const T* __restrict__ weight, T* __restrict__ y, T* __restrict__ total_weight,
             double* __restrict__ partials, int64 n, int64 classes, int64 inner, int64 ignore_index,
             int reduction, gs::IndexError* error) {
  GS_SHARED(LossAndWeight[gs::kTeamThreads], shared);
  LossAndWeight sum{0, 0};
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    const int64 t = target[i];
    T loss = 0;
    if (t != ignore_index && gs::check_index(error, t, classes)) {
      int64 row = i;
      const int64 column = gs::take_digit(row, inner);
      const T w = weight ? weight[t] : T(1);
      loss = -w * x[(row * classes + t) * inner + column];
      sum.loss += loss;
      sum.weight += w;
    }
    if (reduction == kNone) y[i] = loss;
  }
  const gs::Team team(static_cast<int>(blockDim.x), true);
  sum = gs::fold_team<AddLosses>(team, sum, shared);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    store_loss(sum, y, total_weight, reduction);
  } else {
    partials[2 * blockIdx.x] = sum.loss;
    partials[2 * blockIdx.x + 1] = sum.weight;
  }
}

// One block folds the partial sums of `blocks` others.
template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads)
    nll_loss_fold(const double* __restrict__ partials, int blocks, T* __restrict__ y,
                  T* __restrict__ total_weight, int reduction) {
  GS_SHARED(LossAndWeight[gs::kTeamThreads], shared);
  LossAndWeight sum{0, 0};
  for (int b = static_cast<int>(threadIdx.x); b < blocks; b += static_cast<int>(blockDim.x)) {
    sum = AddLosses::combine(sum, {partials[2 * b], partials[2 * b + 1]});
  }
  const gs::Team team(static_cast<int>(blockDim.x), true);
  sum = gs::fold_team<AddLosses>(team, sum, shared);
  if (threadIdx.x == 0) store_loss(sum, y, total_weight, reduction);
}

// The loop is over grad_x as (batch, classes, inner): operand 0 is the place in target, 1 the class.
template <class T>
__global__ void nll_loss_bwd(const T* __restrict__ grad_y, const int64* __restrict__ target,
                             const T* __restrict__ weight, const T* __restrict__ total_weight,
                             T* __restrict__ grad_x, gs::StridedLoop<2> loop, int64 classes,
                             int64 ignore_index, int reduction, int64 n, gs::IndexError* error) {
  T scale = reduction == kNone ? T(1) : *grad_y;
  if (reduction == kMean) scale /= *total_weight;
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    const int64 t = target[at[0]], c = at[1];
    if (c == 0 && t != ignore_index) gs::check_index(error, t, classes);
    T g = 0;
    if (t == c && t != ignore_index) {
      g = -(weight ? weight[c] : T(1)) * (reduction == kNone ? grad_y[at[0]] : scale);
    }
    grad_x[i] = g;
  }
}

// ---- cross_entropy ---------------------------------------------------------------------------------------

// stats[i] is the maximum of row i, stats[rows + i] the logarithm of its sum. The partial sum of block
// b goes to partials[2 b], or, where there is one block, the result to y and total_weight.
template <class T, bool kHeld>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    cross_entropy(const T* __restrict__ x, const int64* __restrict__ target,
                  const T* __restrict__ weight, T* __restrict__ y, T* __restrict__ stats,
                  T* __restrict__ total_weight, double* __restrict__ partials, int64 rows,
                  int64 extent, int64 inner, int lanes, int along, int softmax, double smoothing,
                  int64 ignore_index, int reduction, gs::IndexError* error) {
  GS_SHARED(double[gs::kTeamThreads], sums);
  GS_SHARED(T[gs::kTeamThreads], maxima);
  GS_SHARED(LossAndWeight[gs::kTeamThreads], losses);
  const gs::Team team(lanes, along != 0);
  const T hard = static_cast<T>(1.0 - smoothing);
  const T soft = static_cast<T>(smoothing / static_cast<double>(extent));
  LossAndWeight all{0, 0};
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < rows;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 index = first + team.slot;
    const bool is_row = index < rows;
    const int64 start = is_row ? row_start(index, extent, inner) : 0;
    const Row<T, kHeld> row(x + start, is_row ? extent : 0, inner, team);
    T maximum = 0, log_sum = 0;
    if (softmax) {
      maximum = gs::MaxPartials<T>::identity();
      row.for_each([&](int64, T v) { maximum = gs::MaxPartials<T>::combine(maximum, v); });
      maximum = gs::fold_team<gs::MaxPartials<T>>(team, maximum, maxima);
      double sum = 0;
      row.for_each([&](int64, T v) { sum += static_cast<double>(exponential(v - maximum)); });
      sum = gs::fold_team<gs::AddPartials<double>>(team, sum, sums);
      log_sum = logarithm(static_cast<T>(sum));
    }
    double spread = 0, weights = 0;
    if (smoothing != 0.0) {
      row.for_each([&](int64 at, T v) {
        const double w = weight ? static_cast<double>(weight[gs::divide(at, inner)]) : 1.0;
        spread += w * static_cast<double>(v - maximum);
        weights += w;
      });
      spread = gs::fold_team<gs::AddPartials<double>>(team, spread, sums);
      weights = gs::fold_team<gs::AddPartials<double>>(team, weights, sums);
    }
    if (!is_row || team.lane != 0) continue;
    stats[index] = maximum;
    stats[rows + index] = log_sum;
    const int64 t = target[index];
    T loss = 0;
    if (t != ignore_index && gs::check_index(error, t, extent)) {
      const T w = weight ? weight[t] : T(1);
      loss = hard * w * (log_sum - (x[start + t * inner] - maximum));
      if (smoothing != 0.0) {
        loss += soft * (static_cast<T>(weights) * log_sum - static_cast<T>(spread));
      }
      all.loss += loss;
      all.weight += w;
    }
    if (reduction == kNone) y[index] = loss;
  }
  const gs::Team block(static_cast<int>(blockDim.x), true);
  all = gs::fold_team<AddLosses>(block, all, losses);
  if (threadIdx.x != 0) return;
  if (gridDim.x == 1) {
    store_loss(all, y, total_weight, reduction);
  } else {
    partials[2 * blockIdx.x] = all.loss;
    partials[2 * blockIdx.x + 1] = all.weight;
  }
}

// The loop is over grad_x as (batch, classes, inner): operand 0 is the place in target, 1 the class.
template <class T>
__global__ void cross_entropy_bwd(const T* __restrict__ grad_y, const T* __restrict__ x,
                                  const int64* __restrict__ target, const T* __restrict__ weight,
                                  const T* __restrict__ stats, const T* __restrict__ total_weight,
                                  const T* __restrict__ class_weights, T* __restrict__ grad_x,
                                  gs::StridedLoop<2> loop, int64 rows, int64 classes, int softmax,
                                  double smoothing, int64 ignore_index, int reduction, int64 n,
                                  gs::IndexError* error) {
  T scale = reduction == kNone ? T(1) : *grad_y;
  if (reduction == kMean) scale /= *total_weight;
  const T hard = static_cast<T>(1.0 - smoothing);
  const T soft = static_cast<T>(smoothing / static_cast<double>(classes));
  const T spread = soft * (class_weights ? *class_weights : static_cast<T>(classes));
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    const int64 t = target[at[0]], c = at[1];
    T g = 0;
    if (t != ignore_index && (c != 0 || gs::check_index(error, t, classes)) && t >= 0 &&
        t < classes) {
      const T up = reduction == kNone ? grad_y[at[0]] : scale;
      const T own = hard * (weight ? weight[t] : T(1));
      if (softmax) {
        g = up * (own + spread) * exponential((x[i] - stats[at[0]]) - stats[rows + at[0]]);
      }
      g -= up * soft * (weight ? weight[c] : T(1));
      if (t == c) g -= up * own;
    }
    grad_x[i] = g;
  }
}
