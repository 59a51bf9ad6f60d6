// Sorting: sort_order topk_order, and the order of an index that index_sum wants.
//
// Formula   the indices that sort each row of x (rows, row), stably; NaN counts as larger than all
//           others, -0 equals 0.
// Layout    contiguous; elements become 64-bit keys whose order as unsigned numbers is theirs.
// Split     one thread an element. Chunks of kChunk are sorted by counting how many come before each
//           element; then runs are merged pairwise, each element finding its place in the other run
//           by bisection. A run is of one row.
// Memory    none shared; two pairs of buffers of 16 bytes an element.
// Cost      kChunk comparisons an element, then log2(row / kChunk) passes of log2(width) each.
// Limits    none on the row.
#include "index.cuh"

namespace {

using gs::int64;
using gs::uint64;

constexpr int64 kChunk = 32;

__device__ __forceinline__ uint64 key_of(double x) {
  if (x != x) return ~uint64(0);
  const uint64 bits = static_cast<uint64>(__double_as_longlong(x + 0.0));
  return bits >> 63 ? ~bits : bits | (uint64(1) << 63);
}
__device__ __forceinline__ uint64 key_of(float x) { return key_of(static_cast<double>(x)); }
__device__ __forceinline__ uint64 key_of(int64 x) {
  return static_cast<uint64>(x) ^ (uint64(1) << 63);
}

}  // namespace

template <class T>
__global__ void sort_keys(const T* x, uint64* keys, int64* order, int64 row, int descending,
                          int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 rest = i;
    const uint64 key = key_of(x[i]);
    keys[i] = descending ? ~key : key;
    order[i] = gs::take_digit(rest, row);
  }
}

__global__ void sort_chunks(const uint64* keys, const int64* order, uint64* keys_out,
                            int64* order_out, int64 row, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 rest = i;
    const int64 at = gs::take_digit(rest, row), first = i - at % kChunk;
    const int64 end = min(first + kChunk, i - at + row);
    const uint64 key = keys[i];
    int64 rank = first;
    for (int64 j = first; j < end; ++j) rank += keys[j] < key || (keys[j] == key && j < i);
    keys_out[rank] = key;
    order_out[rank] = order[i];
  }
}

__global__ void sort_merge(const uint64* keys, const int64* order, uint64* keys_out,
                           int64* order_out, int64 row, int64 width, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 rest = i;
    const int64 at = gs::take_digit(rest, row), start = i - at, end = start + row;
    const int64 offset = at % (2 * width), pair = i - offset;
    const bool left = offset < width;
    // The other run: of its elements, those before key; equal ones of the left run come first.
    const int64 first = left ? pair + width : pair;
    int64 low = min(first, end);
    int64 high = min(first + width, end);
    const uint64 key = keys[i];
    while (low < high) {
      const int64 middle = low + (high - low) / 2;
      const bool before = left ? keys[middle] < key : keys[middle] <= key;
      if (before) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    const int64 rank = left ? i + (low - min(first, end)) : i - width + (low - first);
    keys_out[rank] = key;
    order_out[rank] = order[i];
  }
}

// y's rows are the first `taken` of x's.
__global__ void sort_first(const int64* x, int64* y, int64 row, int64 taken, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 rest = i;
    const int64 at = gs::take_digit(rest, taken);
    y[i] = x[rest * row + at];
  }
}
