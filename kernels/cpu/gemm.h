// What matrix multiplication and convolution share: register tiles, packing, row panels.
//
// A register tile holds MR x NV accumulator vectors: MR rows of the left operand, packed k-major
// (a[k * MR + i]), times NV vectors of the right operand's row k. Where row k of the right operand
// lies is a policy: a constant stride for matrices, an offset table for convolution, which reads its
// implicit im2col matrix in place. Every output element is a sum of chains of kChain multiply-adds
// over k, in order: its bits do not depend on the tile it falls into.
#pragma once

#include <utility>

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Register tile sizes, by the number of vector registers: 32 (AVX-512, NEON) or 16. The accumulators,
// one row of the right operand and one broadcast fit; more than 8 accumulators hide the latency of
// the multiply-add (4 cycles, 2 a cycle). Measured: kernels/README.md.
struct TileShape {
#if defined(__AVX512F__) || defined(__aarch64__)
  static constexpr int kRows = 8, kVectors = 3;
  static constexpr int kWidths[kRows] = {8, 8, 6, 6, 5, 4, 3, 3};
  static constexpr int kDotRows = 6, kDotColumns = 4;
#elif defined(__AVX__)
  static constexpr int kRows = 6, kVectors = 2;
  static constexpr int kWidths[kRows] = {8, 5, 3, 3, 2, 2};
  static constexpr int kDotRows = 4, kDotColumns = 3;
#else
  static constexpr int kRows = 4, kVectors = 2;
  static constexpr int kWidths[kRows] = {6, 4, 3, 2};
  static constexpr int kDotRows = 4, kDotColumns = 2;
#endif
  static constexpr int kMaxVectors = 8;

  // Flatter tiles are wider, to have as many accumulators; never narrower than a taller one.
  static constexpr int vectors(int rows) { return kWidths[rows - 1]; }
};

constexpr int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }
constexpr int64_t round_up(int64_t a, int64_t b) { return ceil_div(a, b) * b; }
constexpr int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
constexpr int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
constexpr int64_t clamp(int64_t x, int64_t low, int64_t high) { return max(low, min(x, high)); }

// The size of each part when n is cut into as few parts of at most `most` as possible, all about
// equal and a multiple of `unit`.
constexpr int64_t balanced(int64_t n, int64_t most, int64_t unit) {
  const int64_t parts = max(1, ceil_div(n, max(most, 1)));
  return max(unit, round_up(ceil_div(n, parts), unit));
}

// How many of n to take at once, at most `most`, so that the parts come out even.
constexpr int64_t even_part(int64_t n, int64_t most) {
  return ceil_div(n, max(1, ceil_div(n, most)));
}

// Rows cut into panels of register-tile height: as few as fit, of equal height or one row less.
struct Panels {
  int64_t count, tall;
  int height;

  explicit Panels(int64_t rows) {
    count = max(1, ceil_div(rows, TileShape::kRows));
    height = static_cast<int>(ceil_div(rows, count));
    tall = rows - count * (height - 1);
  }
  int64_t begin(int64_t panel) const { return panel * height - max(0, panel - tall); }
  int rows(int64_t panel) const { return panel < tall ? height : height - 1; }
  // The same for tall and short panels: a short one's tiles are at least as wide.
  int vectors() const { return TileShape::vectors(height); }
};

// ---- lanes ----

// Lanes [low, high) of the vector at p, the others zero; memory outside of them is not touched.
template <class T>
GS_INLINE Vec<T> load_lanes(const T* p, int64_t low, int64_t high) {
#if defined(__AVX512F__)
  const uint32_t mask = ((1u << high) - 1) & ~((1u << low) - 1);
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(_mm512_maskz_loadu_epi32(static_cast<__mmask16>(mask), p));
  } else {
    return bit_cast<Vec<T>>(_mm512_maskz_loadu_epi64(static_cast<__mmask8>(mask), p));
  }
#elif defined(__AVX2__)
  const __m256i mask = bit_cast<__m256i>(lane_mask<T>(high) & ~lane_mask<T>(low));
  if constexpr (sizeof(T) == 4) {
    return bit_cast<Vec<T>>(_mm256_maskload_epi32(reinterpret_cast<const int*>(p), mask));
  } else {
    return bit_cast<Vec<T>>(_mm256_maskload_epi64(reinterpret_cast<const long long*>(p), mask));
  }
#else
  alignas(GS_VECTOR_BYTES) T lanes[kLanes<T>] = {};
  for (int64_t i = low; i < high; ++i) lanes[i] = p[i];
  return load(lanes);
#endif
}

// Copies n elements with whole vectors, the last one overlapping the one before.
template <class T>
GS_INLINE void copy_run(T* to, const T* from, int64_t n) {
  constexpr int L = kLanes<T>;
  if (n < L) {
#if defined(__AVX512F__)
    store_n(to, load_n(from, n), n);
#else
    for (int64_t i = 0; i < n; ++i) to[i] = from[i];
#endif
    return;
  }
  for (int64_t i = 0; i + L <= n; i += L) store(to + i, load(from + i));
  store(to + n - L, load(from + n - L));
}

// ---- transposes ----

template <class T, int... Lane>
GS_INLINE Vec<T> shuffle(Vec<T> a, Vec<T> b) {
#if defined(__clang__) || __GNUC__ >= 12
  return __builtin_shufflevector(a, b, Lane...);
#else
  return __builtin_shuffle(a, b, IVec<T>{Lane...});
#endif
}

// One step of a transpose: lanes with bit S of a change places with lanes without bit S of b.
template <class T, int S, int... I>
GS_INLINE void exchange(Vec<T>& a, Vec<T>& b, std::integer_sequence<int, I...>) {
  constexpr int L = kLanes<T>;
  const Vec<T> low = shuffle<T, ((I & S) ? L + (I ^ S) : I)...>(a, b);
  b = shuffle<T, ((I & S) ? L + I : (I ^ S))...>(a, b);
  a = low;
}

// rows[i][j] -> rows[j][i] for kLanes rows.
template <class T, int S = kLanes<T> / 2>
GS_INLINE void transpose(Vec<T>* rows) {
  constexpr int L = kLanes<T>;
#pragma GCC unroll 16
  for (int i = 0; i < L; ++i) {
    if (!(i & S)) exchange<T, S>(rows[i], rows[i + S], std::make_integer_sequence<int, L>{});
  }
  if constexpr (S > 1) transpose<T, S / 2>(rows);
}

// Lane i: the sum of all lanes of rows[i], for kLanes rows; in a fixed order.
template <class T, int S = kLanes<T> / 2>
GS_INLINE Vec<T> sum_lanes(Vec<T>* rows) {
#pragma GCC unroll 16
  for (int i = 0; i < S; ++i) {
    exchange<T, S>(rows[i], rows[i + S], std::make_integer_sequence<int, kLanes<T>>{});
    rows[i] += rows[i + S];
  }
  if constexpr (S > 1) {
    return sum_lanes<T, S / 2>(rows);
  } else {
    return rows[0];
  }
}

// ---- packing ----

// pack_panel of lines that are neighbours: rows of the panel are copied. They may be far apart, so that the
// processor fetches none by itself.
template <class T>
GS_INLINE void pack_rows(const T* from, int64_t step, int64_t K, int lines, int pitch, T* to) {
  constexpr int L = kLanes<T>, kAhead = 16;
  const int whole = lines / L * L, rest = lines - whole, room = pitch - whole;
  for (int64_t k = 0; k < K; ++k) {
    for (int i = 0; i < whole; i += L) {
      __builtin_prefetch(from + kAhead * step + i);
      store(to + i, load(from + i));
    }
    if (rest) {
      const Vec<T> v = load_n(from + whole, rest);
      if (room >= L || pitch < L) {
        store(to + whole,
              v);  // narrower than a vector: each row overwrites what the last one spilled
      } else {
        store_n(to + whole, v, room);
      }
    }
    from += step;
    to += pitch;
  }
}

// Packs `lines` lines of K elements side by side: to[k * pitch + i] = from[i * line_stride + k *
// step]. pitch is `lines` (then up to kLanes elements after the panel are overwritten), or `lines`
// rounded up to whole vectors (then filled up with zeros).
template <class T>
void pack_panel(const T* from, int64_t line_stride, int64_t step, int64_t K, int lines, int pitch,
                T* to) {
  constexpr int L = kLanes<T>;
  if (line_stride == 1 && step != 1) return pack_rows(from, step, K, lines, pitch, to);
  for (int first = 0; first < lines; first += L) {
    const int count = static_cast<int>(min(L, lines - first));
    const int room = static_cast<int>(min(L, pitch - first));
    const T* source = from + first * line_stride;
    T* target = to + first;
    // A panel narrower than a vector is written with whole vectors in the order of k: each
    // overwrites what the last one spilled.
    const bool whole = room == L || pitch < L;
    auto put = [&](int64_t k, Vec<T> v) {
      if (whole) {
        store(target + k * pitch, v);
      } else {
        store_n(target + k * pitch, v, room);
      }
    };
    if (step == 1) {
      Vec<T> rows[L];
      int64_t k = 0;
      for (; k + L <= K; k += L) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) {
          rows[i] = i < count ? load(source + i * line_stride + k) : Vec<T>{};
        }
        transpose<T>(rows);
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) put(k + i, rows[i]);
      }
      if (k < K) {
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) {
          rows[i] = i < count ? load_n(source + i * line_stride + k, K - k) : Vec<T>{};
        }
        transpose<T>(rows);
        // Constant indices keep the rows in registers.
#pragma GCC unroll 16
        for (int i = 0; i < L; ++i) {
          if (k + i < K) put(k + i, rows[i]);
        }
      }
    } else {
      for (int64_t k = 0; k < K; ++k) {
        for (int i = 0; i < room; ++i) {
          target[k * pitch + i] = i < count ? source[i * line_stride + k * step] : T{};
        }
      }
    }
  }
}

// ---- register tiles ----

// Where row k of the right operand is: a matrix.
template <class T>
struct StridedRows {
  const T* row;
  int64_t stride;
  GS_INLINE const T* next() {
    const T* p = row;
    row += stride;
    return p;
  }
};

// Where row k of the right operand is: anywhere.
template <class T>
struct ScatteredRows {
  const T* base;
  const int64_t* offset;
  GS_INLINE const T* next() { return base + *offset++; }
};

// What the sums are added to: zero, one value a row, or the output itself.
enum class Start { kZero, kRowValues, kOutput };

// Multiply-adds in one chain: longer sums are sums of such chains, whose rounding grows as
// kChain + K / kChain and not as K. float32, K = 4096, terms of one sign: 2.1 eps instead of 22.
constexpr int64_t kChain = 256;

// c[i][j] = start + sum_k a[k * MR + i] * row_k[j] for MR rows and NV vectors.
template <class T, int MR, int NV, class Rows>
__attribute__((noinline)) void tile(int64_t K, const T* a, Rows rows, T* c, int64_t c_stride,
                                    Start start, const T* row_values) {
  constexpr int L = kLanes<T>;
  for (int64_t left = K;; left -= kChain) {
    Vec<T> sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
    }
    const int64_t chain = min(left, kChain);
#pragma GCC unroll 1
    for (int64_t k = 0; k < chain; ++k) {
      const T* row = rows.next();
      Vec<T> b[NV];
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) b[j] = load(row + j * L);
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(a[i]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += value * b[j];
      }
      a += MR;
    }
    if (start == Start::kOutput) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += load(c + i * c_stride + j * L);
      }
    } else if (start == Start::kRowValues) {
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(row_values[i]);
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) sum[i][j] += value;
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) store(c + i * c_stride + j * L, sum[i][j]);
    }
    if (left <= kChain) return;
    start = Start::kOutput;
  }
}

template <class T, class Rows>
using Tile = void (*)(int64_t K, const T* a, Rows rows, T* c, int64_t c_stride, Start start,
                      const T* row_values);

template <class T, class Rows, int MR, int NV>
constexpr Tile<T, Rows> tile_or_none() {
  if constexpr (NV <= TileShape::vectors(MR)) {
    return &tile<T, MR, NV, Rows>;
  } else {
    return nullptr;
  }
}

template <class T, class Rows>
struct TileTable {
  Tile<T, Rows> entry[TileShape::kRows * TileShape::kMaxVectors];
  // The tile of `rows` rows and `vectors` vectors.
  Tile<T, Rows> get(int rows, int vectors) const {
    return entry[(rows - 1) * TileShape::kMaxVectors + vectors - 1];
  }
};

template <class T, class Rows, int... I>
constexpr TileTable<T, Rows> make_tiles(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kMaxVectors;
  return {{tile_or_none<T, Rows, I / V + 1, I % V + 1>()...}};
}

template <class T, class Rows>
constexpr TileTable<T, Rows> kTiles = make_tiles<T, Rows>(
    std::make_integer_sequence<int, TileShape::kRows * TileShape::kMaxVectors>{});

// ---- dot tiles: both operands contiguous along the reduction, nothing packed ----

// c[i * NJ + j] = sum_{r, k} a[i * a_stride + r * K + k] * b[offset[j] + stretch[r] + k], k < K: the
// right operand may be broken up into stretches. Lanes run along k: each lane is one chain of
// multiply-adds, the lanes are added in a fixed order at the end. Several stretches have whole
// vectors.
template <class T, int MI, int NJ>
__attribute__((noinline)) void dot_tile(int64_t stretches, int64_t K, const T* a, int64_t a_stride,
                                        const T* b, const int64_t* offset, const int64_t* stretch,
                                        T* c) {
  constexpr int L = kLanes<T>;
  const T* left[MI];
#pragma GCC unroll 8
  for (int i = 0; i < MI; ++i) left[i] = a + i * a_stride;
  Vec<T> sum[MI * NJ];
#pragma GCC unroll 64
  for (int i = 0; i < MI * NJ; ++i) sum[i] = Vec<T>{};
  int64_t k = 0, end = 0;
#pragma GCC unroll 1
  for (int64_t r = 0; r < stretches; ++r) {
    // One index runs through both operands.
    const T* right[NJ];
#pragma GCC unroll 8
    for (int j = 0; j < NJ; ++j) right[j] = b + (offset[j] + stretch[r] - k);
    end += K;
#pragma GCC unroll 1
    for (; k + L <= end; k += L) {
      Vec<T> y[NJ];
#pragma GCC unroll 8
      for (int j = 0; j < NJ; ++j) y[j] = load(right[j] + k);
#pragma GCC unroll 8
      for (int i = 0; i < MI; ++i) {
        const Vec<T> x = load(left[i] + k);
#pragma GCC unroll 8
        for (int j = 0; j < NJ; ++j) sum[i * NJ + j] += x * y[j];
      }
    }
    if (k < end) {
#pragma GCC unroll 8
      for (int i = 0; i < MI; ++i) {
        const Vec<T> x = load_n(left[i] + k, end - k);
#pragma GCC unroll 8
        for (int j = 0; j < NJ; ++j) sum[i * NJ + j] += x * load_n(right[j] + k, end - k);
      }
    }
  }
#pragma GCC unroll 32
  for (int first = 0; first < MI * NJ; first += L) {
    Vec<T> rows[L];
#pragma GCC unroll 16
    for (int i = 0; i < L; ++i) rows[i] = first + i < MI * NJ ? sum[first + i] : Vec<T>{};
    store(c + first, sum_lanes<T>(rows));  // c has room for whole vectors: kDotSums
  }
}

// Elements that a dot tile writes at c.
template <class T>
constexpr int64_t kDotSums = round_up(TileShape::kDotRows * TileShape::kDotColumns, kLanes<T>);

// Adds a dot tile's sums to the output, or sets it.
template <class T>
GS_INLINE void put_sums(const T* c, int rows, int columns, bool set, T* to, int64_t stride) {
  constexpr int NJ = TileShape::kDotColumns;
  for (int i = 0; i < rows; ++i, c += columns, to += stride) {
    if (columns == NJ && !set) {  // the usual case: a loop of known length
#pragma GCC unroll 8
      for (int j = 0; j < NJ; ++j) to[j] += c[j];
    } else {
      for (int j = 0; j < columns; ++j) to[j] = set ? c[j] : to[j] + c[j];
    }
  }
}

template <class T>
using DotTile = void (*)(int64_t stretches, int64_t K, const T* a, int64_t a_stride, const T* b,
                         const int64_t* offset, const int64_t* stretch, T* c);

template <class T>
struct DotTable {
  DotTile<T> entry[TileShape::kDotRows * TileShape::kDotColumns];
  DotTile<T> get(int rows, int columns) const {
    return entry[(rows - 1) * TileShape::kDotColumns + columns - 1];
  }
};

template <class T, int... I>
constexpr DotTable<T> make_dots(std::integer_sequence<int, I...>) {
  constexpr int J = TileShape::kDotColumns;
  return {{&dot_tile<T, I / J + 1, I % J + 1>...}};
}

template <class T>
constexpr DotTable<T> kDots =
    make_dots<T>(std::make_integer_sequence<int, TileShape::kDotRows * TileShape::kDotColumns>{});

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
