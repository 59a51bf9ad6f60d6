// Copy kernels: what copy, copy_into, full, slice_bwd and cat are made of.
//
// Formula   dst[...] = src[...], converted; dst[...] = value.
// Layout    copy_strided, copy_bits: any strides on both sides (repeated sources have stride 0; the
//           launcher sees to it that no destination repeats). copy_bytes and fill: contiguous;
//           copy_bytes wants both sides 16-byte aligned.
// Split     grid-stride loops; one thread moves one element, or 16 bytes. copy_transposed: a block
//           moves one tile.
// Memory    copy_transposed: a tile of 32 x 33 elements in shared memory; the others none.
// Cost      reads the source once, writes the destination once; whole lines where both sides are
//           contiguous, or a transpose of one another.
// Accuracy  exact. Casts: float to integer truncates; beyond the integer's range its nearest end,
//           NaN its lowest value; anything but zero (NaN too) is true.
// Limits    16 dimensions; float32 float64 int32 int64 bool.
#include "common.cuh"

namespace {

using gs::int64;

template <class T>
struct Lowest;
template <>
struct Lowest<int> {
  static constexpr int value = -2147483647 - 1;
};
template <>
struct Lowest<long long> {
  static constexpr long long value = -9223372036854775807LL - 1;
};

template <class T>
constexpr bool kIsFloat = false;
template <>
constexpr bool kIsFloat<float> = true;
template <>
constexpr bool kIsFloat<double> = true;
template <class T>
constexpr bool kIsInteger = false;
template <>
constexpr bool kIsInteger<int> = true;
template <>
constexpr bool kIsInteger<long long> = true;

template <class To, class From>
__device__ __forceinline__ To convert(From x) {
  if constexpr (kIsFloat<From> && kIsInteger<To>) {
    // -lowest is a power of two, so exact in From; the largest To need not be.
    constexpr To lowest = Lowest<To>::value;
    constexpr From limit = -static_cast<From>(lowest);
    if (!(x >= -limit)) return lowest;
    return x < limit ? static_cast<To>(x) : static_cast<To>(~lowest);
  } else {
    return static_cast<To>(x);  // to bool: x != 0
  }
}

}  // namespace

// dst = src over the loop; operand 0 is dst, 1 is src.
template <class To, class From>
__global__ void copy_strided(To* dst, const From* src, gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    dst[at[0]] = convert<To>(src[at[1]]);
  }
}

// The same without conversion, for any type of T's size.
template <class T>
__global__ void copy_bits(void* dst, const void* src, gs::StridedLoop<2> loop, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    static_cast<T*>(dst)[at[0]] = static_cast<const T*>(src)[at[1]];
  }
}

// Both sides of a transpose run fast, along different dimensions: a tile goes through shared
// memory, so that reads and writes are both of whole lines. In each batch,
// dst[row + column * dst_column] = src[row * src_row + column].
struct Transpose {
  int64 rows, columns, dst_column, src_row;
  int64 tiles_rows, tiles_columns;
};
constexpr int kTile = 32;
constexpr int kTileRows = 8;  // of a tile at a time: kTile * kTileRows threads

template <class T>
__global__ void __launch_bounds__(kTile* kTileRows)
    copy_transposed(void* dst, const void* src, Transpose s, gs::StridedLoop<2> batches) {
  GS_SHARED(T[kTile][kTile + 1], tile);  // one more column: a column's values lie in all banks
  const int x = threadIdx.x % kTile, y = threadIdx.x / kTile;
  int64 rest = blockIdx.x;
  const int64 row0 = rest % s.tiles_rows * kTile;
  rest /= s.tiles_rows;
  const int64 column0 = rest % s.tiles_columns * kTile;
  int64 at[2];
  gs::locate(batches, rest / s.tiles_columns, at);
  T* const to = static_cast<T*>(dst) + at[0];
  const T* const from = static_cast<const T*>(src) + at[1];
  for (int i = y; i < kTile; i += kTileRows) {
    const int64 row = row0 + i, column = column0 + x;
    if (row < s.rows && column < s.columns) tile[i][x] = from[row * s.src_row + column];
  }
  __syncthreads();
  for (int i = y; i < kTile; i += kTileRows) {
    const int64 row = row0 + x, column = column0 + i;
    if (row < s.rows && column < s.columns) to[row + column * s.dst_column] = tile[x][i];
  }
}

__global__ void copy_bytes(void* dst, const void* src, int64 bytes) {
  const int64 vectors = bytes / 16;
  for (int64 i = gs::grid_thread(); i < vectors; i += gs::grid_threads()) {
    static_cast<uint4*>(dst)[i] = static_cast<const uint4*>(src)[i];
  }
  for (int64 i = vectors * 16 + gs::grid_thread(); i < bytes; i += gs::grid_threads()) {
    static_cast<unsigned char*>(dst)[i] = static_cast<const unsigned char*>(src)[i];
  }
}

// Sets n elements to `value`, whose bits stand for those of any type of its size.
template <class T>
__global__ void fill(void* dst, T value, int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    static_cast<T*>(dst)[i] = value;
  }
}
