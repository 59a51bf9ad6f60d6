// epilogue_bwd: grad_z = grad_y f'(z) and its sums over all dims but one, in one pass.
//
// Layout    contiguous, as (outer, channels, inner); value is y, or for gelu and silu z.
// Split     channel_slopes: a team of threads (reduce.cuh) a channel and chunk of its outer * inner
//           elements; fold_slopes: a thread a channel adds the chunks' sums in order.
// Memory    one double a thread, 2 KB.
// Cost      reads grad_y and value once, writes grad_z once.
// Accuracy  sums in float64; the rest in T.
// Limits    none.
// Source    the bias's gradient of a layer with an activation, by the chain rule.
#include "epilogue.cuh"
#include "index.cuh"
#include "reduce.cuh"

using gs::int64;

using Sum = gs::AddPartials<double>;

template <class T>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    channel_slopes(const T* __restrict__ grad_y, const T* __restrict__ value,
                   T* __restrict__ grad_z, double* __restrict__ partials, int64 outer,
                   int64 channels, int64 inner, int64 chunk, int activation, int lanes, int along) {
  GS_SHARED(double[gs::kTeamThreads], shared);
  const gs::Team team(lanes, along != 0);
  const int64 begin = blockIdx.y * chunk, end = min(begin + chunk, outer * inner);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < channels;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const int64 c = first + team.slot, stop = c < channels ? end : begin;
    double sum = 0;
    for (int64 e = begin + team.lane; e < stop; e += lanes) {
      int64 n = e;
      const int64 l = gs::take_digit(n, inner), i = (n * channels + c) * inner + l;
      const T g = gs::slope(grad_y[i], value[i], activation);
      grad_z[i] = g;
      sum += static_cast<double>(g);
    }
    sum = gs::fold_team<Sum>(team, sum, shared);
    if (team.lane == 0 && c < channels) partials[blockIdx.y * channels + c] = sum;
  }
}

template <class T>
__global__ void fold_slopes(const double* __restrict__ partials, T* __restrict__ sums,
                            int64 channels, int64 chunks) {
  for (int64 c = gs::grid_thread(); c < channels; c += gs::grid_threads()) {
    double sum = 0;
    for (int64 k = 0; k < chunks; ++k) sum += partials[k * channels + c];
    sums[c] = static_cast<T>(sum);
  }
}
