// Indexing: take index_sum put put_into index_flat flat_along gather_dim scatter_sum nonzero triangle.
//
// Formula   along one dimension, x (outer, n, inner) and an index of m entries:
//           take y[o, j, i] = x[o, index[j], i]; index_sum is its adjoint, the sum over equal indices;
//           put writes instead of adding, the last of equal indices stays. gather_dim and
//           scatter_sum have an index for every (o, j, i).
// Layout    contiguous, but put's destination; elements move by their size.
// Split     grid-stride loops; one thread an element. index_sum: the index is sorted first (sort.cu),
//           and a thread sums one column of one run of equal indices, in the order that they had.
//           put: the last place of each index is found with integer maxima, then only that is written.
// Memory    nonzero: 256 counts in shared memory; the others none.
// Cost      reads the index once and each row that it names once; index_sum sorts it besides.
// Accuracy  index_sum and scatter_sum sum in the dtype, in the order of the index: no float atomics.
// Limits    an index out of range is reported (launch.py), and reads or writes nothing.
#include "index.cuh"

using gs::int64;

// ---- along one dimension -----------------------------------------------------------------------------

template <class T>
__global__ void take(const void* x, const int64* index, void* y, int64 extent, int64 m, int64 inner,
                     int64 skip, int64 n, gs::IndexError* error) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 rest = at;
    const int64 i = gs::take_digit(rest, inner);
    const int64 j = index[gs::take_digit(rest, m)];
    const bool read = gs::check_index(error, j, extent) && j != skip;
    static_cast<T*>(y)[at] =
        read ? static_cast<const T*>(x)[(rest * extent + j) * inner + i] : T(0);
  }
}

// order sorts the index. A thread is one (o, place, i); the first place of a run sums it.
template <class T>
__global__ void index_sum(const T* grad_y, const int64* index, const int64* order, T* grad_x,
                          int64 extent, int64 m, int64 inner, int64 skip, int64 n,
                          gs::IndexError* error) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 rest = at;
    const int64 i = gs::take_digit(rest, inner);
    const int64 place = gs::take_digit(rest, m);
    const int64 key = index[order[place]];
    if (place > 0 && index[order[place - 1]] == key) continue;
    if (!gs::check_index(error, key, extent) || key == skip) continue;
    T sum = T(0);
    for (int64 j = place; j < m && index[order[j]] == key; ++j) {
      sum += grad_y[(rest * m + order[j]) * inner + i];
    }
    grad_x[(rest * extent + key) * inner + i] = sum;
  }
}

// last[v] = the last place of v in the index; it was -1 everywhere.
__global__ void put_last(const int64* index, int64* last, int64 extent, int64 m,
                         gs::IndexError* error) {
  for (int64 j = gs::grid_thread(); j < m; j += gs::grid_threads()) {
    if (gs::check_index(error, index[j], extent)) atomicMax(last + index[j], j);
  }
}

// The loop is over (outer, m, inner): operand 0 is the destination at index 0.
template <class T>
__global__ void put_into(void* dst, const void* src, const int64* index, const int64* last,
                         gs::StridedLoop<1> loop, int64 extent, int64 m, int64 inner, int64 step,
                         int one, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    const int64 j = gs::divide(at, inner) % m, v = index[j];
    if (v < 0 || v >= extent || last[v] != j) continue;
    int64 to[1];
    gs::locate(loop, at, to);
    static_cast<T*>(dst)[to[0] + v * step] = static_cast<const T*>(src)[one ? 0 : at];
  }
}

// flat = flat * limit + index, negative ones counted from the end.
__global__ void index_flat(const int64* index, int64* flat, gs::StridedLoop<1> loop, int64 limit,
                           int first, int64 n, gs::IndexError* error) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    const int64 v = index[at[0]], wrapped = v < 0 ? v + limit : v;
    const bool good = wrapped >= 0 && wrapped < limit;
    if (!good) gs::check_index(error, v < 0 ? v : wrapped, limit);
    flat[i] = (first ? 0 : flat[i] * limit) + (good ? wrapped : 0);
  }
}

// The loop is over the indices: operand 0 is the place in x at index 0.
__global__ void flat_along(const int64* indices, int64* flat, gs::StridedLoop<1> loop, int64 extent,
                           int64 step, int64 n, gs::IndexError* error) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    const bool good = gs::check_index(error, indices[i], extent);
    flat[i] = at[0] + (good ? indices[i] * step : 0);
  }
}

// ---- an index for every element -----------------------------------------------------------------------

// The loop is over y; operand 0 is the element of x at index 0.
template <class T>
__global__ void gather_dim(const void* x, const int64* indices, void* y, gs::StridedLoop<1> loop,
                           int64 extent, int64 inner, int64 n, gs::IndexError* error) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[1];
    gs::locate(loop, i, at);
    const int64 index = indices[i];
    static_cast<T*>(y)[i] = gs::check_index(error, index, extent)
                                ? static_cast<const T*>(x)[at[0] + index * inner]
                                : T(0);
  }
}

// For few entries along the dimension: a thread is one element of y, (outer, max(extent, 1), inner).
template <class T>
__global__ void scatter_few(const T* src, const int64* indices, T* y, int64 extent, int64 taken,
                            int64 inner, int64 n, gs::IndexError* error) {
  const int64 places = max(extent, int64(1));
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 rest = at;
    const int64 i = gs::take_digit(rest, inner);
    const int64 place = gs::take_digit(rest, places);
    T sum = T(0);
    for (int64 j = 0; j < taken; ++j) {
      const int64 from = (rest * taken + j) * inner + i, index = indices[from];
      if (place == 0) gs::check_index(error, index, extent);
      if (index == place) sum += src[from];
    }
    if (extent > 0) y[at] = sum;
  }
}

// ---- nonzero, triangle ----------------------------------------------------------------------------------

constexpr int kCounted = 256;

// The sizes of x, which an element's place is taken apart by.
struct Digits {
  int ndim;
  int64 size[gs::kMaxDims];
};

template <class T>
__device__ __forceinline__ int is_set(T bits, int floating) {
  return (floating ? static_cast<T>(bits << 1) : bits) != T(0);
}

// counts[b] = how many of block b's kCounted elements are not zero.
template <class T>
__global__ void __launch_bounds__(kCounted)
    count_set(const void* x, int64* counts, int floating, int64 n) {
  GS_SHARED(int[kCounted], shared);
  const int64 i = gs::grid_thread();
  const int thread = static_cast<int>(threadIdx.x);
  shared[thread] = i < n ? is_set(static_cast<const T*>(x)[i], floating) : 0;
  __syncthreads();
  for (int half = kCounted / 2; half > 0; half /= 2) {
    if (thread < half) shared[thread] += shared[thread + half];
    __syncthreads();
  }
  if (thread == 0) counts[blockIdx.x] = shared[0];
}

// before[b] = the sum of the counts before b, and the total behind the last; one block.
__global__ void __launch_bounds__(kCounted)
    count_before(const int64* counts, int64* before, int64 n) {
  GS_SHARED(int64[kCounted], shared);
  const int thread = static_cast<int>(threadIdx.x);
  const int64 share = gs::ceil_div(n, int64(kCounted));
  const int64 begin = min(thread * share, n), end = min(begin + share, n);
  int64 sum = 0;
  for (int64 b = begin; b < end; ++b) sum += counts[b];
  shared[thread] = sum;
  __syncthreads();
  int64 total = 0;
  for (int k = 0; k < thread; ++k) total += shared[k];
  for (int64 b = begin; b < end; ++b) {
    before[b] = total;
    total += counts[b];
  }
  if (thread == kCounted - 1) before[n] = total;
}

template <class T>
__global__ void __launch_bounds__(kCounted)
    nonzero(const void* x, const int64* before, int64* indices, Digits digits, int floating,
            int64 rows, int64 n) {
  GS_SHARED(int[kCounted], shared);
  const int64 i = gs::grid_thread();
  const int thread = static_cast<int>(threadIdx.x);
  const int mine = i < n ? is_set(static_cast<const T*>(x)[i], floating) : 0;
  shared[thread] = mine;
  __syncthreads();
  if (!mine) return;
  int64 row = before[blockIdx.x];
  for (int k = 0; k < thread; ++k) row += shared[k];
  if (row >= rows) return;
  int64 rest = i;
  for (int d = digits.ndim - 1; d >= 0; --d) {
    indices[row * digits.ndim + d] = gs::take_digit(rest, digits.size[d]);
  }
}

// y = x on and above the diagonal (upper), or on and below it; else 0.
template <class T>
__global__ void triangle(const void* x, void* y, int64 rows, int64 columns, int64 diagonal,
                         int upper, int64 n) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 rest = at;
    const int64 column = gs::take_digit(rest, columns);
    const int64 border = gs::take_digit(rest, rows) + diagonal;
    const bool kept = upper ? column >= border : column <= border;
    static_cast<T*>(y)[at] = kept ? static_cast<const T*>(x)[at] : T(0);
  }
}
