// Transposed copies: the strips of tiles that copy.cpp cuts one into.
//
// A strip is up to kTile rows, which are neighbours in the source; its columns are neighbours in the
// destination. Tiles of kTile x kTile let both sides use whole cache lines.
// Measured, two cores of an Emerald Rapids, stored past the caches by way of scratch: 51 MB of NCHW to
//   channels_last 6.1 -> 2.6 ms, 4096 x 3000 3.4 -> 2.6, 3572 x 3572 (rows that begin within a line) 4.6 -> 3.0.
#pragma once

#include "copy_rows.h"
#include "transpose.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Bursts of 512 bytes: 27 GB/s for a 51 MB transpose, 9 with 32 (Zen 5). The next tile's lines are fetched beside a
// tile from afar, as its rows are more than the processor follows: 10 to 14 -> 33 GB/s (Emerald Rapids, 2 threads).
constexpr int64_t kTile = 128;

// How rows are copied: `row` converts as it goes; or `load` to a buffer of int64, float or double and
// `store` from it, so that each dtype needs its loops once and not with every other one.
struct Copier {
  void (*row)(char* dst, int64_t dst_stride, const char* src, int64_t src_stride, int64_t n);
  void (*load)(void* buffer, const char* src, int64_t src_stride, int64_t n);
  void (*store)(char* dst, int64_t dst_stride, const void* buffer, int64_t n);
  int64_t dst_size, src_size;
  bool bits;  // no conversion
};

GS_INLINE void copy_run(const Copier& copier, char* dst, int64_t dst_stride, const char* src,
                        int64_t src_stride, int64_t n) {
  if (copier.row) return copier.row(dst, dst_stride, src, src_stride, n);
  constexpr int64_t kRun = 256;
  alignas(64) int64_t buffer[kRun];
  for (int64_t i = 0; i < n; i += kRun) {
    const int64_t count = min64(kRun, n - i);
    copier.load(buffer, src + i * src_stride, src_stride, count);
    copier.store(dst + i * dst_stride, dst_stride, buffer, count);
  }
}

void copy_tile(const Copier& copier, const TileStrides& t, char* dst, const char* src, int64_t rows,
               int64_t columns) {
  for (int64_t r = 0; r < rows; ++r) {
    copy_run(copier, dst + r * t.dst_row, t.dst_column, src + r * t.src_row, t.src_column, columns);
  }
}

// A tile both of whose sides are aligned neighbours: in cache 79 GB/s a core, 23 element by element
// (AVX-512, Zen 5).
template <class T, int64_t kFetch>
void transpose_tile(const Copier& copier, const TileStrides& t, char* dst, const char* src,
                    int64_t rows, int64_t columns) {
  constexpr int64_t kN = kLanes<T>;
  int64_t r = 0;
  for (; r + kN <= rows; r += kN) {
    char* const d = dst + r * t.dst_row;
    const char* const q = src + r * t.src_row;
    int64_t c = 0;
    for (; c + kN <= columns; c += kN) {
      transpose_block<T, kFetch>(t, d + c * t.dst_column, q + c * t.src_column);
    }
    copy_tile(copier, t, d + c * t.dst_column, q + c * t.src_column, kN, columns - c);
  }
  copy_tile(copier, t, dst + r * t.dst_row, src + r * t.src_row, rows - r, columns);
}

// Up to kTile rows of any number of columns.
using Strip = decltype(&copy_tile);

void copy_strip(const Copier& copier, const TileStrides& t, char* dst, const char* src,
                int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; c += kTile) {
    copy_tile(copier, t, dst + c * t.dst_column, src + c * t.src_column, rows,
              min64(kTile, columns - c));
  }
}

template <class T, bool kFar>
void transpose_strip(const Copier& copier, const TileStrides& t, char* dst, const char* src,
                     int64_t rows, int64_t columns) {
  for (int64_t c = 0; c < columns; c += kTile) {
    const bool followed = kFar && c + 2 * kTile <= columns;
    const auto tile = followed ? transpose_tile<T, kTile> : transpose_tile<T, 0>;
    tile(copier, t, dst + c * t.dst_column, src + c * t.src_column, rows,
         min64(kTile, columns - c));
  }
}

// Past the caches: the strip gathers in the thread's scratch to rows long enough for it, of which nothing is read
// before it is written.
template <class T>
void transpose_strip_past(const Copier& copier, const TileStrides& t, char* dst, const char* src,
                          int64_t rows, int64_t columns) {
  constexpr int64_t kSize = sizeof(T);
  char* const scratch = static_cast<char*>(thread_scratch(kTile * kGatheredPitch));
  if (!scratch) return transpose_strip<T, true>(copier, t, dst, src, rows, columns);
  for (int64_t first = 0; first < columns; first += kGathered / kSize) {
    const int64_t span = min64(kGathered / kSize, columns - first);
    gather_turned<T>(scratch, src + first * t.src_column, t.src_column, rows, span,
                     columns - first);
    for (int64_t r = 0; r < rows; ++r) {
      copy_past(dst + r * t.dst_row + first * kSize, scratch + r * kGatheredPitch, span * kSize);
    }
  }
  stream_fence();
}

// A transpose of so many elements both of whose sides are aligned neighbours.
template <class T>
Strip transpose_of(int64_t total, int64_t columns) {
  const int64_t bytes = total * int64_t{sizeof(T)}, row = columns * int64_t{sizeof(T)};
  // Shorter rows share a line with the next at either end (15 columns: 12 -> 18 ms for 48 MB). 16 MB: 8 % slower.
  const bool lines = row >= 256 || row % GS_VECTOR_BYTES == 0;
  if (lines && beyond_cache(bytes / 2)) return transpose_strip_past<T>;
  // Neither side's rows are in the core's own caches.
  const bool far = 2 * bytes > second_level_cache() * num_threads();
  return far ? transpose_strip<T, true> : transpose_strip<T, false>;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
