// Padding by repetition: pad pad_bwd.
//
// Formula   y[i] = x[map(i)] along each of the last three dimensions; mode 1 mirrors without repeating
//           the edge, 2 repeats the edge, 3 goes round. pad_bwd is the adjoint, in gather form.
// Layout    contiguous.
// Split     grid-stride loops; one thread an element of the result.
// Memory    none shared.
// Cost      reads and writes each side once; pad_bwd reads the few positions that were copies.
// Accuracy  pad is exact; pad_bwd sums in the dtype, in the order of grad_y.
// Limits    mirrored and circular padding within the size.
#include "index.cuh"

namespace {

using gs::int64;

struct Padding {
  int64 in[3], out[3], before[3];
  int64 mode;
};

__device__ __forceinline__ int64 source(int64 mode, int64 j, int64 n) {
  if (mode == 2) return j < 0 ? 0 : j >= n ? n - 1 : j;
  if (mode == 1) return j < 0 ? -j : j >= n ? 2 * (n - 1) - j : j;
  return j < 0 ? j + n : j >= n ? j - n : j;
}

// The first position >= i of y whose source is j; `out` if there is none.
__device__ __forceinline__ int64 next_copy(const Padding& p, int k, int64 j, int64 i) {
  const int64 n = p.in[k], out = p.out[k], center = j + p.before[k];
  if (p.mode == 2) {
    const int64 first = j == 0 ? 0 : center, last = j == n - 1 ? out - 1 : center;
    if (i <= first) return first;
    return i <= last ? i : out;
  }
  const int64 left = p.mode == 1 ? (j > 0 ? p.before[k] - j : -1) : center - n;
  const int64 right = p.mode == 1 ? (j < n - 1 ? center + 2 * (n - 1 - j) : out) : center + n;
  if (left >= i) return left;
  if (center >= i) return center;
  return right >= i && right < out ? right : out;
}

}  // namespace

template <class T>
__global__ void pad(const void* x, void* y, Padding p, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 rest = i;
    const int64 w = source(p.mode, gs::take_digit(rest, p.out[2]) - p.before[2], p.in[2]);
    const int64 h = source(p.mode, gs::take_digit(rest, p.out[1]) - p.before[1], p.in[1]);
    const int64 d = source(p.mode, gs::take_digit(rest, p.out[0]) - p.before[0], p.in[0]);
    static_cast<T*>(y)[i] =
        static_cast<const T*>(x)[((rest * p.in[0] + d) * p.in[1] + h) * p.in[2] + w];
  }
}

template <class T>
__global__ void pad_bwd(const T* grad_y, T* grad_x, Padding p, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 rest = i;
    const int64 w = gs::take_digit(rest, p.in[2]);
    const int64 h = gs::take_digit(rest, p.in[1]);
    const int64 d = gs::take_digit(rest, p.in[0]);
    T sum = T(0);
    for (int64 a = next_copy(p, 0, d, 0); a < p.out[0]; a = next_copy(p, 0, d, a + 1)) {
      for (int64 b = next_copy(p, 1, h, 0); b < p.out[1]; b = next_copy(p, 1, h, b + 1)) {
        const T* const row = grad_y + ((rest * p.out[0] + a) * p.out[1] + b) * p.out[2];
        for (int64 c = next_copy(p, 2, w, 0); c < p.out[2]; c = next_copy(p, 2, w, c + 1)) {
          sum += row[c];
        }
      }
    }
    grad_x[i] = sum;
  }
}
