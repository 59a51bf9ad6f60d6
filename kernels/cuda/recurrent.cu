// Recurrent cells: rnn_cell lstm_cell gru_cell, and their backward.
//
// Formula   with x the input's part of the gates and w the state's (W h + b, by matmul.cu):
//           rnn: h' = tanh(x + w), or relu. lstm: i, f, g, o = sigm, sigm, tanh, sigm of (x + w);
//           c' = f c + i g; h' = o tanh(c'). gru: r, z = sigm of (x + w); n = tanh(x_n + r w_n);
//           h' = n + z (h - n). The backward makes the gradients before the activations.
// Layout    contiguous rows of one time step; `saved` has rows of `pitch` elements: the gates, then the
//           cell (lstm; with a projection the unprojected output too) or w_n (gru).
// Split     one thread a unit of a row, grid-stride; the launcher goes through the time steps, one
//           product and one cell each.
// Memory    no shared memory.
// Cost      reads gates twice, writes them once; 3 to 5 exponentials a unit.
// Accuracy  exp and tanh as CUDA's library.
// Limits    none.
// Source    Hochreiter and Schmidhuber 1997; Cho et al. 2014; Sak et al. 2014 (projection).
#include "common.cuh"

using gs::int64;

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float hyperbolic(float x) { return tanhf(x); }
__device__ __forceinline__ double hyperbolic(double x) { return tanh(x); }

template <class T>
__device__ __forceinline__ T logistic(T x) {
  // e^-|x| neither overflows nor loses small results.
  const T e = exponential(x < T(0) ? x : -x);
  return (x < T(0) ? e : T(1)) / (T(1) + e);
}

template <class T>
__global__ void rnn_cell(const T* __restrict__ x, const T* __restrict__ w, T* __restrict__ y,
                         T* __restrict__ h, int64 n, int relu) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    const T v = x[i] + w[i];
    y[i] = h[i] = relu ? (v <= T(0) ? T(0) : v) : hyperbolic(v);
  }
}

template <class T>
__global__ void rnn_cell_bwd(const T* __restrict__ grad_y, const T* __restrict__ h,
                             const T* __restrict__ y, T* __restrict__ grad_x, int64 n, int relu) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    const T g = grad_y[i] + h[i], v = y[i];
    grad_x[i] = relu ? (v <= T(0) ? T(0) : g) : g * (T(1) - v * v);
  }
}

// y and h: (rows, H), or null where the output goes behind the cell in `saved`.
template <class T>
__global__ void lstm_cell(const T* __restrict__ x, const T* __restrict__ w, T* __restrict__ c,
                          T* __restrict__ saved, T* __restrict__ y, T* __restrict__ h, int64 rows,
                          int64 H, int64 pitch) {
  for (int64 i = gs::grid_thread(); i < rows * H; i += gs::grid_threads()) {
    const int64 r = i / H, j = i - r * H, at = r * 4 * H + j;
    T* const kept = saved + r * pitch + j;
    const T in = logistic(x[at] + w[at]), forget = logistic(x[at + H] + w[at + H]);
    const T candidate = hyperbolic(x[at + 2 * H] + w[at + 2 * H]);
    const T output = logistic(x[at + 3 * H] + w[at + 3 * H]);
    const T cell = forget * c[i] + in * candidate, hidden = output * hyperbolic(cell);
    kept[0] = in;
    kept[H] = forget;
    kept[2 * H] = candidate;
    kept[3 * H] = output;
    kept[4 * H] = c[i] = cell;
    if (y) {
      y[i] = h[i] = hidden;
    } else {
      kept[5 * H] = hidden;
    }
  }
}

// The cell before: of the first `known` rows in `before`, rows of `pitch`; of the others in c_0, or 0.
template <class T>
__global__ void lstm_cell_bwd(const T* __restrict__ grad_hidden, const T* __restrict__ saved,
                              const T* __restrict__ before, const T* __restrict__ c_0,
                              T* __restrict__ grad_x, T* __restrict__ grad_c, int64 rows,
                              int64 known, int64 H, int64 pitch) {
  for (int64 i = gs::grid_thread(); i < rows * H; i += gs::grid_threads()) {
    const int64 r = i / H, j = i - r * H;
    const T* const kept = saved + r * pitch + j;
    T* const to = grad_x + r * 4 * H + j;
    const T in = kept[0], forget = kept[H], candidate = kept[2 * H], output = kept[3 * H];
    const T shown = hyperbolic(kept[4 * H]), gh = grad_hidden[i];
    const T gc = grad_c[i] + gh * output * (T(1) - shown * shown);
    const T old = r < known ? before[r * pitch + j] : c_0 ? c_0[i] : T(0);
    to[0] = gc * candidate * in * (T(1) - in);
    to[H] = gc * old * forget * (T(1) - forget);
    to[2 * H] = gc * in * (T(1) - candidate * candidate);
    to[3 * H] = gh * shown * output * (T(1) - output);
    grad_c[i] = gc * forget;
  }
}

template <class T>
__global__ void gru_cell(const T* __restrict__ x, const T* __restrict__ w, T* __restrict__ saved,
                         T* __restrict__ y, T* __restrict__ h, int64 rows, int64 H) {
  for (int64 i = gs::grid_thread(); i < rows * H; i += gs::grid_threads()) {
    const int64 r = i / H, j = i - r * H, at = r * 3 * H + j;
    T* const kept = saved + r * 4 * H + j;
    const T reset = logistic(x[at] + w[at]), update = logistic(x[at + H] + w[at + H]);
    const T own = w[at + 2 * H], fresh = hyperbolic(x[at + 2 * H] + reset * own);
    kept[0] = reset;
    kept[H] = update;
    kept[2 * H] = fresh;
    kept[3 * H] = own;
    y[i] = h[i] = fresh + update * (h[i] - fresh);
  }
}

// grad_h: the gradient that later steps gave; becomes what goes past this one without the weights.
template <class T>
__global__ void gru_cell_bwd(const T* __restrict__ grad_y, const T* __restrict__ saved,
                             const T* __restrict__ h_before, T* __restrict__ grad_x,
                             T* __restrict__ grad_hidden, T* __restrict__ grad_h, int64 rows,
                             int64 H) {
  for (int64 i = gs::grid_thread(); i < rows * H; i += gs::grid_threads()) {
    const int64 r = i / H, j = i - r * H, at = r * 3 * H + j;
    const T* const kept = saved + r * 4 * H + j;
    const T reset = kept[0], update = kept[H], fresh = kept[2 * H];
    const T g = grad_y[i] + grad_h[i];
    const T grad_n = g * (T(1) - update) * (T(1) - fresh * fresh);
    const T grad_z = g * (h_before[i] - fresh) * update * (T(1) - update);
    const T grad_r = grad_n * kept[3 * H] * reset * (T(1) - reset);
    grad_x[at] = grad_hidden[at] = grad_r;
    grad_x[at + H] = grad_hidden[at + H] = grad_z;
    grad_x[at + 2 * H] = grad_n;
    grad_hidden[at + 2 * H] = grad_n * reset;
    grad_h[i] = g * update;
  }
}
