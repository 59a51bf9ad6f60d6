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
// Accuracy  exact. Casts as on the CPU (kernels/cpu/copy.cpp).
// Limits    16 dimensions.
#include "common.cuh"
#include "half.cuh"

namespace {

using gs::int64;

template <class A, class B>
constexpr bool kSame = false;
template <class A>
constexpr bool kSame<A, A> = true;
template <class T>
constexpr bool kIsFloat = kSame<T, float> || kSame<T, double>;
template <class T>
constexpr bool kIsHalf = kSame<T, gs::Half> || kSame<T, gs::BFloat16>;

template <class T>
constexpr T kLowest = static_cast<T>(1) << (8 * sizeof(T) - 1);

template <class To, class From>
__device__ __forceinline__ To convert(From x) {
  if constexpr (kSame<To, From>) {
    return x;
  } else if constexpr (kIsHalf<From>) {
    return convert<To>(gs::to_float(x));
  } else if constexpr (kSame<To, gs::Half>) {
    return gs::to_half(static_cast<float>(x));
  } else if constexpr (kSame<To, gs::BFloat16>) {
    return gs::to_bfloat16(static_cast<float>(x));
  } else if constexpr (kIsFloat<From> && !kIsFloat<To> && !kSame<To, bool>) {
    if constexpr (sizeof(To) < 4) {
      constexpr From limit = static_cast<From>(2147483648.0);
      return x >= -limit && x < limit ? static_cast<To>(static_cast<int>(x)) : To(0);
    } else {
      // -lowest is a power of two, so exact in From; the largest To need not be.
      constexpr To lowest = kLowest<To>;
      constexpr From limit = -static_cast<From>(lowest);
      if (!(x >= -limit)) return lowest;
      return x < limit ? static_cast<To>(x) : static_cast<To>(~lowest);
    }
  } else {
    return static_cast<To>(x);  // to bool: x != 0
  }
}

// Dtypes as numbers; copy.py has the same (CODES).
enum Code { kFloat, kDouble, kInt, kInt64, kBool, kUInt8, kInt8, kInt16, kHalf, kBFloat16 };

template <class To>
__device__ __forceinline__ To load_as(const void* p, int64 i, int code) {
  switch (code) {
    case kFloat: return convert<To>(static_cast<const float*>(p)[i]);
    case kDouble: return convert<To>(static_cast<const double*>(p)[i]);
    case kInt: return convert<To>(static_cast<const int*>(p)[i]);
    case kInt64: return convert<To>(static_cast<const int64*>(p)[i]);
    case kBool: return convert<To>(static_cast<const bool*>(p)[i]);
    case kUInt8: return convert<To>(static_cast<const unsigned char*>(p)[i]);
    case kInt8: return convert<To>(static_cast<const signed char*>(p)[i]);
    case kInt16: return convert<To>(static_cast<const short*>(p)[i]);
    case kHalf: return convert<To>(static_cast<const gs::Half*>(p)[i]);
    default: return convert<To>(static_cast<const gs::BFloat16*>(p)[i]);
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

// The same for the dtypes without an instantiation of their own: the source's is a number. Every
// thread takes the same case of the switch.
template <class To>
__global__ void copy_from_any(To* dst, const void* src, int code, gs::StridedLoop<2> loop,
                              int64 n) {
  for (int64 i = gs::grid_thread(); i < n; i += gs::grid_threads()) {
    int64 at[2];
    gs::locate(loop, i, at);
    dst[at[0]] = load_as<To>(src, at[1], code);
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
