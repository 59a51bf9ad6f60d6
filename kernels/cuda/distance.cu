// Distances between rows: distance distance_bwd square_form pair_sum.
//
// Formula   y[n, i, j] = (sum over d of |a[n, i, d] - b[n, j, d]|^p)^(1/p); p = 0 counts the differences,
//           p = infinity takes the largest. Pairs: i < j only, pair (i, j) of N rows being number
//           i (2 N - i - 1) / 2 + j - i - 1. distance_bwd: grad_a[n, i, d] = sum over j of
//           grad_y[n, i, j] sign(u) (|u| / y[n, i, j])^(p - 1); square_form and pair_sum turn pairs
//           into a symmetric matrix and back.
// Layout    contiguous; a (N, P, D), b (N, R, D).
// Split     distance: a block is kTile x kTile distances, tiles of both sides go through shared memory,
//           kTile numbers of each row at a time; backward: one thread an element of grad_a, neighbours
//           along D; the others one thread an element.
// Memory    two tiles of kTile x (kTile + 1) numbers, 2 or 4 KB.
// Cost      P R D differences; b is read P / kTile times, backward P times, through the caches.
// Accuracy  sums in the dtype, in order; powers as CUDA's pow.
// Limits    float32, float64; 65535 matrices and as many tiles of rows.
#include "common.cuh"

using gs::int64;

enum Power { kZero, kOne, kTwo, kLargest, kAny };

constexpr int kTile = 16;

__device__ __forceinline__ float power(float x, float p) { return powf(x, p); }
__device__ __forceinline__ double power(double x, double p) { return pow(x, p); }
__device__ __forceinline__ float root(float x) { return sqrtf(x); }
__device__ __forceinline__ double root(double x) { return sqrt(x); }

template <class T>
__device__ __forceinline__ T magnitude(T x) {
  return x < T(0) ? -x : x;
}

__device__ __forceinline__ int64 pair_of(int64 i, int64 j, int64 n) {
  return i * (2 * n - i - 1) / 2 + j - i - 1;
}

template <class T>
__global__ void __launch_bounds__(kTile* kTile)
    distance(const T* a, const T* b, T* y, int64 rows, int64 others, int64 depth, int kind, T p,
             int pairs) {
  GS_SHARED(T[kTile][kTile + 1], left);
  GS_SHARED(T[kTile][kTile + 1], right);
  const int across = static_cast<int>(threadIdx.x), down = static_cast<int>(threadIdx.y);
  const int64 first_i = static_cast<int64>(blockIdx.y) * kTile;
  const int64 first_j = static_cast<int64>(blockIdx.x) * kTile;
  if (pairs && first_j + kTile <= first_i + 1) return;  // the whole block is below the diagonal
  const int64 n = blockIdx.z, i = first_i + down, j = first_j + across;
  const T* const a_rows = a + n * rows * depth;
  const T* const b_rows = b + n * others * depth;
  T sum = T(0);
  for (int64 start = 0; start < depth; start += kTile) {
    const int64 d = start + across;
    const int64 other = first_j + down;
    left[down][across] = i < rows && d < depth ? a_rows[i * depth + d] : T(0);
    right[down][across] = other < others && d < depth ? b_rows[other * depth + d] : T(0);
    __syncthreads();
    const int terms = static_cast<int>(min(depth - start, int64(kTile)));
    for (int k = 0; k < terms; ++k) {
      const T u = magnitude(left[down][k] - right[across][k]);
      if (kind == kZero) {
        sum += u != T(0) ? T(1) : T(0);
      } else if (kind == kOne) {
        sum += u;
      } else if (kind == kTwo) {
        sum += u * u;
      } else if (kind == kLargest) {
        sum = u > sum || u != u ? u : sum;
      } else {
        sum += power(u, p);
      }
    }
    __syncthreads();
  }
  if (i >= rows || j >= others || (pairs && j <= i)) return;
  if (kind == kTwo) sum = root(sum);
  if (kind == kAny) sum = power(sum, T(1) / p);
  y[pairs ? pair_of(i, j, rows) : (n * rows + i) * others + j] = sum;
}

template <class T>
__global__ void distance_bwd(const T* grad_y, const T* y, const T* a, const T* b, T* grad_a,
                             int64 rows, int64 others, int64 depth, int kind, T p, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    const int64 row = at / depth, d = at % depth;
    const T* const column = b + row / rows * others * depth + d;
    const T x = a[at];
    T sum = T(0);
    for (int64 j = 0; j < others; ++j) {
      const T g = grad_y[row * others + j], length = y[row * others + j];
      const T u = x - column[j * depth], size = magnitude(u);
      const T sign = u > T(0) ? T(1) : (u < T(0) ? T(-1) : u);
      if (kind == kOne) {
        sum += g * sign;
      } else if (kind == kTwo) {
        sum += length == T(0) ? T(0) : g / length * u;
      } else if (kind == kLargest) {
        sum += size == length ? g * sign : T(0);
      } else if (kind == kAny && size != T(0) && length != T(0)) {
        sum += g * sign * power(size / length, p - T(1));
      }
    }
    grad_a[at] = sum;
  }
}

template <class T>
__global__ void square_form(const T* x, T* y, int64 rows, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    const int64 i = at / rows, j = at % rows;
    y[at] = i == j ? T(0) : x[i < j ? pair_of(i, j, rows) : pair_of(j, i, rows)];
  }
}

// One thread an element of the matrix; those above the diagonal write.
template <class T>
__global__ void pair_sum(const T* x, T* y, int64 rows, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    const int64 i = at / rows, j = at % rows;
    if (i < j) y[pair_of(i, j, rows)] = x[at] + x[j * rows + i];
  }
}
