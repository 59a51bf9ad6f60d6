// Normalisation: batch_norm batch_norm_bwd batch_norm_eval batch_norm_update row_norm row_norm_bwd.
//
// Formula   y = (x - mean) * rstd * weight + bias, rstd = 1 / sqrt(var + eps), with the statistics of
//           a channel of x (N, C, L), or of a row; kernels/cpu/norm.cpp and norm_rows.cpp have all.
// Layout    contiguous. Both gradients of the weights are sums over (N, C, L): for rows, C is the
//           number of weights, L the length of the runs that share one, N rows / groups.
// Split     channel_moments, channel_sums: a team of threads (reduce.cuh) a channel and chunk; the
//           chunks' results are folded in order by a thread a channel. row_norm, row_norm_bwd: a team
//           a row. The rest: one thread an element, grid-stride.
// Memory    one double a thread, 2 KB.
// Cost      channel_moments reads x twice, the second time from cache; row_norm three times, all but
//           the first from cache; y is written once.
// Accuracy  sums in float64, the variance about the mean; the rest in T.
// Limits    none.
// Source    Ioffe & Szegedy 2015; Ba et al. 2016; Wu & He 2018; Zhang & Sennrich 2019.
#include "common.cuh"
#include "index.cuh"
#include "reduce.cuh"

using gs::int64;

__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }

using Sum = gs::AddPartials<double>;

// x as (batch, channels, length): where element e of channel c lies.
struct Channels {
  int64 batch, channels, length;

  __device__ __forceinline__ int64 at(int64 c, int64 e, int64& n) const {
    n = e;
    const int64 l = gs::take_digit(n, length);
    return (n * channels + c) * length + l;
  }
};

// ---- statistics of channels ------------------------------------------------------------------------------

// The mean of chunk blockIdx.y of each channel, and the squares about it, to partials[chunk][channel].
template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    channel_moments(const T* __restrict__ x, double* __restrict__ partials, int64 batch,
                    int64 channels, int64 length, int64 chunk, int lanes, int along) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  const Channels s{batch, channels, length};
  const gs::Team team(lanes, along != 0);
  const int64 begin = blockIdx.y * chunk, end = min(begin + chunk, batch * length);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < channels;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 c = first + team.slot, stop = c < channels ? end : begin;
    int64 n;
    double sum = 0;
    for (int64 e = begin + team.lane; e < stop; e += lanes) sum += x[s.at(c, e, n)];
    const double mean = gs::fold_team<Sum>(team, sum, shared) / static_cast<double>(end - begin);
    double squares = 0;
    for (int64 e = begin + team.lane; e < stop; e += lanes) {
      const double d = static_cast<double>(x[s.at(c, e, n)]) - mean;
      squares += d * d;
    }
    squares = gs::fold_team<Sum>(team, squares, shared);
    if (team.lane == 0 && c < channels) {
      double* const p = partials + 2 * (blockIdx.y * channels + c);
      p[0] = mean;
      p[1] = squares;
    }
  }
}

// Chan, Golub, LeVeque 1979; all chunks but the last have `chunk` of the `count` elements.
template <class T>
__global__ void fold_moments(const double* __restrict__ partials, T* __restrict__ mean,
                             T* __restrict__ var, int64 channels, int64 chunks, int64 chunk,
                             int64 count) {
  for (int64 c = gs::grid_thread(); c < channels; c += gs::grid_threads()) {
    double all = 0, middle = 0, squares = 0;
    for (int64 k = 0; k < chunks; ++k) {
      const double* const p = partials + 2 * (k * channels + c);
      const double n = static_cast<double>(min(chunk, count - k * chunk));
      const double total = all + n, distance = p[0] - middle;
      middle = k == 0 ? p[0] : middle + distance * (n / total);
      squares += k == 0 ? p[1] : p[1] + distance * distance * (all * n / total);
      all = total;
    }
    mean[c] = static_cast<T>(middle);
    var[c] = static_cast<T>(squares / all);
  }
}

// The sums of g and of g * (x - mean) * rstd of chunk blockIdx.y of each channel. The statistics of its
// element of batch n are number n * stat_step + c / runs; rstd may be null.
template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    channel_sums(const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ mean,
                 const T* __restrict__ rstd, double* __restrict__ partials, int64 batch,
                 int64 channels, int64 length, int64 stat_step, int64 runs, int64 chunk, int lanes,
                 int along) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  const Channels s{batch, channels, length};
  const gs::Team team(lanes, along != 0);
  const int64 begin = blockIdx.y * chunk, end = min(begin + chunk, batch * length);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < channels;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 c = first + team.slot, stop = c < channels ? end : begin;
    const int64 stat = gs::divide(c, runs);
    double sum = 0, product = 0;
    for (int64 e = begin + team.lane; e < stop; e += lanes) {
      int64 n;
      const int64 i = s.at(c, e, n), k = n * stat_step + stat;
      T d = x[i] - mean[k];
      if (rstd) d *= rstd[k];
      sum += g[i];
      product += static_cast<double>(g[i] * d);
    }
    sum = gs::fold_team<Sum>(team, sum, shared);
    product = gs::fold_team<Sum>(team, product, shared);
    if (team.lane == 0 && c < channels) {
      double* const p = partials + 2 * (blockIdx.y * channels + c);
      p[0] = sum;
      p[1] = product;
    }
  }
}

// grad_bias and grad_weight from the chunks; with a variance, the products get their 1 / sqrt(var + eps).
template <class T>
__global__ void fold_sums(const double* __restrict__ partials, const T* __restrict__ var,
                          T* __restrict__ grad_weight, T* __restrict__ grad_bias, double eps,
                          int64 channels, int64 chunks) {
  for (int64 c = gs::grid_thread(); c < channels; c += gs::grid_threads()) {
    double sum = 0, product = 0;
    for (int64 k = 0; k < chunks; ++k) {
      sum += partials[2 * (k * channels + c)];
      product += partials[2 * (k * channels + c) + 1];
    }
    if (var) product /= sqrt(static_cast<double>(var[c]) + eps);
    grad_weight[c] = static_cast<T>(product);
    grad_bias[c] = static_cast<T>(sum);
  }
}

// ---- elements of channels --------------------------------------------------------------------------------

template <class T>
__global__ void channel_scale(const T* __restrict__ x, const T* __restrict__ weight,
                              const T* __restrict__ bias, const T* __restrict__ mean,
                              const T* __restrict__ var, T* __restrict__ y, T eps, int64 channels,
                              int64 length, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 plane = gs::divide(i, length);
    const int64 c = gs::take_digit(plane, channels);
    const T scale = (weight ? weight[c] : T(1)) / root(var[c] + eps);
    y[i] = (x[i] - (mean ? mean[c] : T(0))) * scale + (bias ? bias[c] : T(0));
  }
}

// share: 1 / count in training, 0 where the statistics were given.
template <class T>
__global__ void channel_gradient(const T* __restrict__ g, const T* __restrict__ x,
                                 const T* __restrict__ weight, const T* __restrict__ mean,
                                 const T* __restrict__ var, const T* __restrict__ grad_weight,
                                 const T* __restrict__ grad_bias, T* __restrict__ grad_x, T eps,
                                 int64 channels, int64 length, T share, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 plane = gs::divide(i, length);
    const int64 c = gs::take_digit(plane, channels);
    const T rstd = T(1) / root(var[c] + eps);
    const T scale = (weight ? weight[c] : T(1)) * rstd;
    const T rest = (x[i] - mean[c]) * rstd * (grad_weight[c] * share) + grad_bias[c] * share;
    grad_x[i] = (g[i] - rest) * scale;
  }
}

template <class T>
__global__ void batch_norm_update(T* __restrict__ running_mean, T* __restrict__ running_var,
                                  const T* __restrict__ mean, const T* __restrict__ var,
                                  double momentum, double unbias, int64 mean_step, int64 var_step,
                                  int64 channels) {
  for (int64 c = gs::grid_thread(); c < channels; c += gs::grid_threads()) {
    T& m = running_mean[c * mean_step];
    T& v = running_var[c * var_step];
    m = static_cast<T>(momentum * mean[c] + (1 - momentum) * m);
    v = static_cast<T>(momentum * (var[c] * unbias) + (1 - momentum) * v);
  }
}

// ---- rows ------------------------------------------------------------------------------------------------

template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    row_norm(const T* __restrict__ x, const T* __restrict__ weight, const T* __restrict__ bias,
             T* __restrict__ y, T* __restrict__ means, T* __restrict__ vars, int64 rows,
             int64 length, int64 groups, int64 inner, double eps, int centered, int lanes) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  const gs::Team team(lanes, true);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < rows;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 row = first + team.slot, stop = row < rows ? length : 0;
    const int64 start = row * length;
    double mean = 0;
    if (centered) {
      for (int64 j = team.lane; j < stop; j += lanes) mean += x[start + j];
      mean = gs::fold_team<Sum>(team, mean, shared) / static_cast<double>(length);
    }
    double squares = 0;
    for (int64 j = team.lane; j < stop; j += lanes) {
      const double d = static_cast<double>(x[start + j]) - mean;
      squares += d * d;
    }
    squares = gs::fold_team<Sum>(team, squares, shared);
    const T m = static_cast<T>(mean);
    const double var = squares / static_cast<double>(length);
    const T rstd = static_cast<T>(1 / sqrt(var + eps));
    if (team.lane == 0 && row < rows) {
      means[row] = m;
      vars[row] = static_cast<T>(var);
    }
    int64 group = row;
    const int64 weights = gs::take_digit(group, groups) * gs::divide(length, inner);
    for (int64 j = team.lane; j < stop; j += lanes) {
      const int64 k = weights + gs::divide(j, inner);
      T v = (x[start + j] - m) * rstd;
      if (weight) v *= weight[k];
      if (bias) v += bias[k];
      y[start + j] = v;
    }
  }
}

template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    row_norm_bwd(const T* __restrict__ g, const T* __restrict__ x, const T* __restrict__ weight,
                 const T* __restrict__ means, const T* __restrict__ vars, T* __restrict__ rstds,
                 T* __restrict__ grad_x, int64 rows, int64 length, int64 groups, int64 inner,
                 double eps, int centered, int lanes) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  const gs::Team team(lanes, true);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < rows;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 row = first + team.slot, stop = row < rows ? length : 0;
    const int64 start = row * length;
    T mean = 0, rstd = 0;
    if (row < rows) {
      mean = means[row];
      rstd = static_cast<T>(1 / sqrt(static_cast<double>(vars[row]) + eps));
      if (team.lane == 0) rstds[row] = rstd;
    }
    int64 group = row;
    const int64 weights = gs::take_digit(group, groups) * gs::divide(length, inner);
    double sum = 0, product = 0;
    for (int64 j = team.lane; j < stop; j += lanes) {
      T h = g[start + j];
      if (weight) h *= weight[weights + gs::divide(j, inner)];
      sum += h;
      product += static_cast<double>(h * ((x[start + j] - mean) * rstd));
    }
    sum = gs::fold_team<Sum>(team, sum, shared);
    product = gs::fold_team<Sum>(team, product, shared);
    const T average = centered ? static_cast<T>(sum / static_cast<double>(length)) : T(0);
    const T slope = static_cast<T>(product / static_cast<double>(length));
    for (int64 j = team.lane; j < stop; j += lanes) {
      T h = g[start + j];
      if (weight) h *= weight[weights + gs::divide(j, inner)];
      grad_x[start + j] = rstd * (h - average - (x[start + j] - mean) * rstd * slope);
    }
  }
}
