// Softmax kernels: softmax softmax_bwd (log_softmax is in loss.cu).
//
// Formula   y = e^(x - m) / sum(e^(x - m)) along one dimension, m the maximum there; a row with a NaN or
//           +inf, or of -inf alone, gives NaN. Its backward: grad_x = y (grad_y - sum(grad_y y)).
// Layout    contiguous: rows of `extent` elements that lie `inner` apart.
// Split     a team of 1 to 256 threads (reduce.cuh) a row. With kHeld the team keeps its row in
//           registers, kHeldElements a thread.
// Memory    one value a thread, 2 KB.
// Cost      reads x once (held) or three times (the second and third from cache), writes y once; the
//           backward reads grad_y once and y twice (held), writes grad_x.
// Accuracy  exp as CUDA's library (1 to 2 ULP); sums in float64.
// Limits    none.
#include "softmax_rows.cuh"

template <class T, bool kHeld>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    softmax(const T* __restrict__ x, T* __restrict__ y, int64 rows, int64 extent, int64 inner,
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
    const T factor = T(1) / static_cast<T>(sum);
    row.for_each([&](int64 at, T v) { y[start + at] = exponential(v - maximum) * factor; });
  }
}

template <class T, bool kHeld>
__global__ void __launch_bounds__(gs::kTeamThreads, 2)
    softmax_bwd(const T* __restrict__ grad_y, const T* __restrict__ y, T* __restrict__ grad_x,
                int64 rows, int64 extent, int64 inner, int lanes, int along) {
  GS_SHARED(double[gs::kTeamThreads], sums);
  const gs::Team team(lanes, along != 0);
  for (int64 first = static_cast<int64>(blockIdx.x) * team.slots; first < rows;
       first += static_cast<int64>(gridDim.x) * team.slots) {
    const bool is_row = first + team.slot < rows;
    const int64 start = is_row ? row_start(first + team.slot, extent, inner) : 0;
    const Row<T, kHeld> row(grad_y + start, is_row ? extent : 0, inner, team);
    double sum = 0;
    row.for_each([&](int64 at, T g) { sum += static_cast<double>(g * y[start + at]); });
    const T total = static_cast<T>(gs::fold_team<gs::AddPartials<double>>(team, sum, sums));
    row.for_each([&](int64 at, T g) { grad_x[start + at] = y[start + at] * (g - total); });
  }
}
