// Sums of bags of rows: bag_sum bag_sum_bwd bag_dot.
//
// Formula   bag b is the places j in [offsets[b], offsets[b + 1]) with index[j] != skip:
//           bag_sum      y[b] = s_b * sum over the bag of factor[j] * weight[index[j]]
//           bag_sum_bwd  grad_weight[v] = sum over j with index[j] = v of s_b * factor[j] * grad_y[b]
//           bag_dot      y[j] = grad_y[b] . weight[index[j]], 0 outside of the bags
//           s_b is 1, or with mean 1 / (the bag's places, at least 1); without factor it is 1.
// Layout    contiguous; weight (V, D), grad_y (B, D), offsets (B + 1,).
// Split     grid-stride; bag_sum: a thread is one element of y, so that a warp reads neighbours of a
//           row. bag_sum_bwd: the index is sorted first, and a thread sums one column of one run of
//           equal indices, in the order that they had. bag_dot: a warp is one place.
// Memory    none shared.
// Cost      reads each row that the index names once; bag_sum_bwd sorts the index besides, and finds a
//           place's bag by bisection.
// Accuracy  sums in the dtype, in the order of the index: no float atomics.
// Limits    an index out of range is reported (launch.py), and so are offsets that
//           decrease or leave the index; they are cut off at its ends.
#include "index.cuh"

using gs::int64;

namespace {

__device__ __forceinline__ int64 edge(const int64* offsets, int64 b, int64 m) {
  return min(max(offsets[b], int64(0)), m);
}

// The bag of place j: the last that begins at or before it; -1 before the first, and where it has ended.
__device__ __forceinline__ int64 bag_of(const int64* offsets, int64 bags, int64 j) {
  int64 low = 0,
        high = bags;  // the bags before low begin at or before j, those from high on do not
  while (low < high) {
    const int64 middle = (low + high) / 2;
    if (offsets[middle] <= j) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low > 0 && j < offsets[low] ? low - 1 : -1;
}

}  // namespace

// scale[b] = 1 / max(the places of bag b that count, 1)
template <class T>
__global__ void bag_scale(const int64* index, const int64* offsets, T* scale, int64 m, int64 skip,
                          int64 bags) {
  for (int64 b = gs::grid_thread(); b < bags; b += gs::grid_threads()) {
    int64 count = 0;
    for (int64 j = edge(offsets, b, m); j < edge(offsets, b + 1, m); ++j) count += index[j] != skip;
    scale[b] = T(1) / static_cast<T>(max(count, int64(1)));
  }
}

template <class T>
__global__ void bag_sum(const T* weight, const int64* index, const int64* offsets, const T* factor,
                        const T* scale, T* y, int64 rows, int64 m, int64 width, int64 skip, int64 n,
                        gs::IndexError* error) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 b = at;
    const int64 column = gs::take_digit(b, width);
    const bool good = offsets[b] >= 0 && offsets[b] <= offsets[b + 1] && offsets[b + 1] <= m;
    gs::check_index(error, good && (b > 0 || offsets[b] == 0) ? 0 : -1, 1);
    T sum = T(0);
    for (int64 j = edge(offsets, b, m); j < edge(offsets, b + 1, m); ++j) {
      const int64 v = index[j];
      if (!gs::check_index(error, v, rows) || v == skip) continue;
      const T x = weight[v * width + column];
      sum += factor ? x * factor[j] : x;
    }
    y[at] = scale ? sum * scale[b] : sum;
  }
}

// order sorts the index. A thread is one (place, column); the first place of a run sums it.
template <class T>
__global__ void bag_sum_bwd(const T* grad_y, const int64* index, const int64* order,
                            const int64* offsets, const T* factor, const T* scale, T* grad_weight,
                            int64 rows, int64 m, int64 width, int64 bags, int64 skip, int64 n,
                            gs::IndexError* error) {
  for (int64 at = gs::grid_thread(); at < n; at += gs::grid_threads()) {
    int64 place = at;
    const int64 column = gs::take_digit(place, width);
    const int64 key = index[order[place]];
    if (place > 0 && index[order[place - 1]] == key) continue;
    if (!gs::check_index(error, key, rows) || key == skip) continue;
    T sum = T(0);
    for (int64 k = place; k < m && index[order[k]] == key; ++k) {
      const int64 j = order[k], b = bag_of(offsets, bags, j);
      if (b < 0) continue;
      T f = scale ? scale[b] : T(1);
      if (factor) f *= factor[j];
      sum += grad_y[b * width + column] * f;
    }
    grad_weight[key * width + column] = sum;
  }
}

template <class T>
__global__ void bag_dot(const T* grad_y, const T* weight, const int64* index, const int64* offsets,
                        T* y, int64 rows, int64 m, int64 width, int64 bags, int64 skip,
                        gs::IndexError* error) {
  constexpr int kWarp = 32;
  const int lane = static_cast<int>(threadIdx.x) % kWarp;
  for (int64 j = gs::grid_thread() / kWarp; j < m; j += gs::grid_threads() / kWarp) {
    const int64 v = index[j], b = bag_of(offsets, bags, j);
    const bool counts = gs::check_index(error, v, rows) && v != skip && b >= 0;
    T sum = T(0);
    if (counts) {
      for (int64 c = lane; c < width; c += kWarp) {
        sum += grad_y[b * width + c] * weight[v * width + c];
      }
    }
    sum = gs::warp_sum(sum);
    if (lane == 0) y[j] = sum;
  }
}
