// run_rows: operands of any layout brought to a row function, for all elementwise kernels.
//
// Layout: any byte strides, broadcasting by NumPy's rules; the result is contiguous, as the binding has
//   permuted the operands to its order of memory (bindings/order.h). Operands of another order (x.T in
//   x + x.T) are gathered strip by strip where the result is far beyond the caches (51 MB: 7.1 -> 4.9 ms, NCHW +
//   channels_last 7.2 -> 4.4; Emerald Rapids, 2 threads), else copied first, by tiles (0.81 -> 0.28 ms for 1000 x
//   1000 float32, one Zen 5 core). Then one of three ways:
//   whole     every operand is contiguous or one element: a block is one row.
//   rows      the innermost dimension is long: a row along it, or a piece where an operand is strided.
//   gathered  it is short: the operands of several rows are collected, so that a row function sees
//             kChunk elements.
//   Strided elements are collected into a buffer of the thread's first-level cache.
// Split: a block is kBlock elements of the result in C order; where all operands are whole and that made fewer
//   than 16 blocks, about a sixteenth (100 000 elements were two blocks for one thread and one for the other).
//   A pass may turn (pass.h).
// Working set: the block's operands and result (384 KB for two float32 operands); buffers of 4 KB an
//   operand. A copy of each transposed operand, or 264 KB of scratch for each.
// Cost: operands are read once, strided ones through the buffer.
// Limits: 16 dimensions, kMaxOperands operands of 1, 2, 4 or 8 bytes.
#include "elementwise.h"

#include <cstdlib>

#include "copy_rows.h"
#include "lists/copy.h"
#include "pass.h"
#include "transpose.h"

namespace gradsmith {
namespace GS_ISA {

Status copy(const CopyArgs& args);  // copy.cpp

namespace {

constexpr int64_t kBlock = 32768;
constexpr int64_t kLeastBlock = 4096;
constexpr int64_t kChunk = 512;       // elements collected at a time
constexpr int64_t kShortRow = 64;     // rows below this are collected
constexpr int64_t kLargest = 8;       // bytes of an element
constexpr int64_t kLeastCopy = 4096;  // elements of a transposed operand that is copied first

// A row of neighbours, or of one element, may write up to a vector more than n elements.
template <class T>
GS_INLINE void collect_typed(char* to, const char* from, int64_t stride, int64_t n) {
  T* const out = reinterpret_cast<T*>(to);
  constexpr int64_t kL = kLanes<T>, kSize = sizeof(T);
  if (stride == 0 || (stride == kSize && reinterpret_cast<uintptr_t>(from) % kSize == 0)) {
    const T* const p = reinterpret_cast<const T*>(from);
    const Vec<T> one = load_one<T>(from) - Vec<T>{};
    int64_t i = 0;
    for (; i + kL <= n; i += kL) store<T>(out + i, stride ? load<T>(p + i) : one);
    if (i < n) store<T>(out + i, stride ? load_n<T>(p + i, n - i) : one);
    return;
  }
  int64_t i = 0;
  if constexpr (kSize >= 4) {
    using Bits = std::conditional_t<kSize == 4, float, double>;  // moved, never computed with
    if (stride == 2 * kSize && reinterpret_cast<uintptr_t>(from) % kSize == 0) {
      const Bits* const p = reinterpret_cast<const Bits*>(from);
      for (; i + kL <= n; i += kL) {
        store<Bits>(reinterpret_cast<Bits*>(out) + i, load_lanes<Bits>(p + 2 * i, 2, kL));
      }
    }
  }
  for (; i < n; ++i) out[i] = load_one<T>(from + i * stride);
}

// to[i] = the element at from + i * stride, at any address.
GS_INLINE void collect(char* to, const char* from, int64_t stride, int64_t n, int64_t bytes) {
  if (bytes == 4) {
    collect_typed<uint32_t>(to, from, stride, n);
  } else if (bytes == 8) {
    collect_typed<uint64_t>(to, from, stride, n);
  } else if (bytes == 2) {
    collect_typed<uint16_t>(to, from, stride, n);
  } else {
    collect_typed<uint8_t>(to, from, stride, n);
  }
}

// One vector of an element repeated.
GS_INLINE void repeat(char* to, const char* from, int64_t bytes) {
  for (int64_t i = 0; i < GS_VECTOR_BYTES; i += bytes) {
    if (bytes == 4) {
      store_one<uint32_t>(to + i, load_one<uint32_t>(from));
    } else if (bytes == 8) {
      store_one<uint64_t>(to + i, load_one<uint64_t>(from));
    } else {
      __builtin_memcpy(to + i, from, static_cast<size_t>(bytes));
    }
  }
}

GS_INLINE bool is_vector_aligned(const void* p) {
  return reinterpret_cast<uintptr_t>(p) % GS_VECTOR_BYTES == 0;
}

int64_t bytes_touched(int count, const Array* const* x, const Array& y) {
  int64_t bytes = y.size * item_size(y.dtype);
  for (int k = 0; k < count; ++k) bytes += x[k]->size * item_size(x[k]->dtype);
  return bytes;
}

enum class Access { kWhole, kRows, kRepeated, kStrided, kTurned };

// How operand k lies along the rows of the loop.
template <int N>
Access access_of(const StridedLoop<N>& loop, int k, const Array& x, const Array& y, int64_t bytes) {
  if (x.contiguous && x.size == y.size) return Access::kWhole;
  const int64_t stride = loop.stride[k][loop.ndim - 1];
  if (stride == 0) return Access::kRepeated;
  if (stride != bytes || reinterpret_cast<uintptr_t>(x.data) % static_cast<uintptr_t>(bytes)) {
    return Access::kStrided;
  }
  for (int d = 0; d < loop.ndim; ++d) {
    if (loop.stride[k][d] % bytes) return Access::kStrided;
  }
  return Access::kRows;
}

template <int N>
void run_strided(RowFunction f, const Array* const* x, const Array& y, const double* options) {
  StridedLoop<N> loop;
  int64_t bytes[N], stride[N];
  const char* base[N];
  Access access[N];
  for (int k = 0; k < N; ++k) set_operand(loop, k, *x[k], y.ndim, y.shape);
  merge(loop, y.ndim, y.shape);
  const int last = loop.ndim - 1;
  const bool gathered = loop.shape[last] < kShortRow;
  bool collects = gathered;
  for (int k = 0; k < N; ++k) {
    bytes[k] = item_size(x[k]->dtype);
    base[k] = x[k]->data;
    stride[k] = loop.stride[k][last];
    access[k] = access_of(loop, k, *x[k], y, bytes[k]);
    collects = collects || access[k] == Access::kStrided;
  }
  const int64_t y_bytes = item_size(y.dtype);
  // Every row and every piece of one (kBlock, kChunk) begins on a vector then.
  const bool stream = !gathered && loop.shape[last] * y_bytes % GS_VECTOR_BYTES == 0 &&
                      is_vector_aligned(y.data) && beyond_cache(y.size * y_bytes);
  parallel_pass(y.size, kBlock, bytes_touched(N, x, y), [&](int64_t begin, int64_t end) {
    alignas(64) char buffer[N][kChunk * kLargest + GS_VECTOR_BYTES];
    Row row;
    row.options = options;
    row.stream = stream;
    if (gathered) {
      int64_t start = begin, filled = 0;
      const auto flush = [&] {
        row.y = y.data + start * y_bytes;
        row.n = filled;
        for (int k = 0; k < N; ++k) {
          const bool whole = access[k] == Access::kWhole;
          row.x[k] = whole ? x[k]->data + start * bytes[k] : buffer[k];
          row.step[k] = 1;
        }
        f(row);
        start += filled;
        filled = 0;
      };
      for_rows<N>(loop, base, begin, end, [&](int64_t, const char* const* p, int64_t n) {
        if (filled + n > kChunk) flush();
        for (int k = 0; k < N; ++k) {
          if (access[k] == Access::kWhole) continue;
          collect(buffer[k] + filled * bytes[k], p[k], stride[k], n, bytes[k]);
        }
        filled += n;
      });
      if (filled) flush();
      return;
    }
    for_rows<N>(loop, base, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      for (int k = 0; k < N; ++k) {
        row.step[k] = access[k] != Access::kRepeated;
        row.x[k] = row.step[k] ? p[k] : buffer[k];
        if (!row.step[k]) repeat(buffer[k], p[k], bytes[k]);
      }
      const int64_t piece = collects ? kChunk : n;
      for (int64_t i = 0; i < n; i += piece) {
        row.y = y.data + (at + i) * y_bytes;
        row.n = min64(piece, n - i);
        for (int k = 0; k < N; ++k) {
          if (access[k] == Access::kStrided) {
            collect(buffer[k], p[k] + i * stride[k], stride[k], row.n, bytes[k]);
            row.x[k] = buffer[k];
          } else if (row.step[k]) {
            row.x[k] = p[k] + i * bytes[k];
          }
        }
        f(row);
      }
    });
    if (stream) stream_fence();
  });
}

// Whether x runs fastest along another dimension than its last, so that a row of it touches a cache line an
// element: a transpose, or channels last. Expanded operands are not copied, they would grow.
bool is_transposed(const Array& x) {
  int last = -1, fastest = -1;
  for (int d = x.ndim - 1; d >= 0; --d) {
    if (x.shape[d] == 1) continue;
    if (x.stride[d] == 0) return false;
    if (last < 0) last = fastest = d;
    if (std::abs(x.stride[d]) < std::abs(x.stride[fastest])) fastest = d;
  }
  return fastest != last && x.shape[fastest] >= 8 && x.shape[last] >= 8;
}

// A transposed operand, copied by copy's tiles.
struct Straightened {
  Array array;
  int64_t stride[kMaxDims];
  size_t bytes = 0;

  Straightened() = default;
  Straightened(const Straightened&) = delete;
  Straightened& operator=(const Straightened&) = delete;
  ~Straightened() {
    if (bytes) release(array.data, bytes);
  }
  // False: no memory, or no such copy; the operand is walked as it is.
  bool take(const Array& x) {
    array = x;
    int64_t step = item_size(x.dtype);
    bytes = static_cast<size_t>(x.size * step);
    array.data = static_cast<char*>(allocate(bytes));
    if (!array.data) {
      bytes = 0;
      return false;
    }
    for (int d = x.ndim - 1; d >= 0; --d) {
      stride[d] = step;
      step *= x.shape[d];
    }
    array.stride = stride;
    array.contiguous = true;
    return copy({x, x.dtype, array}).code == Code::kOk;
  }
};

// Transposed operands beside others, where the result is far beyond the caches: a strip of kStrip rows at a time is
// gathered in the thread's scratch, computed there a row after the other, and stored past the caches. No copies of
// the operands, no second pass over memory.
constexpr int64_t kStrip = 128;

// How operand k lies: as the result, one element, or along the rows' direction; kStrided: otherwise.
template <int N>
Access turned_access(const StridedLoop<N>& loop, int k, const Array& x, const Array& y) {
  if (x.size == 1) return Access::kRepeated;
  if (x.contiguous && x.size == y.size) return Access::kWhole;
  const int64_t bytes = item_size(x.dtype), last = loop.ndim - 1;
  // What repeats along a row is no transpose; what repeats by planes would be gathered anew for each.
  const bool turned =
      loop.stride[k][last - 1] == bytes && (bytes == 4 || bytes == 8) &&
      std::abs(loop.stride[k][last]) > bytes && (last == 1 || loop.stride[k][0] != 0) &&
      (bytes == 4 ? is_aligned<float>(loop, k, x.data) : is_aligned<double>(loop, k, x.data));
  return turned ? Access::kTurned : Access::kStrided;
}

// False: nothing was done, they lie otherwise, or there is no memory.
template <int N>
bool run_turned(RowFunction f, const Array* const* x, const Array& y, const double* options) {
  const int64_t y_bytes = item_size(y.dtype);
  if (!beyond_cache(y.size * y_bytes / 2)) return false;
  StridedLoop<N> loop;
  for (int k = 0; k < N; ++k) set_operand(loop, k, *x[k], y.ndim, y.shape);
  merge(loop, y.ndim, y.shape);
  if (loop.ndim < 2 || loop.ndim > 3) return false;
  const int64_t planes = loop.ndim == 3 ? loop.shape[0] : 1;
  const int64_t rows = loop.shape[loop.ndim - 2], columns = loop.shape[loop.ndim - 1];
  Access access[N];
  alignas(64) char repeated[N][GS_VECTOR_BYTES];
  int64_t bytes[N], largest = y_bytes, plane[N], slot[N];
  int64_t turned = 0;
  for (int k = 0; k < N; ++k) {
    access[k] = turned_access(loop, k, *x[k], y);
    if (access[k] == Access::kStrided) return false;
    slot[k] = turned * kStrip * kGatheredPitch;
    turned += access[k] == Access::kTurned;
    bytes[k] = item_size(x[k]->dtype);
    largest = max64(largest, bytes[k]);
    plane[k] = loop.ndim == 3 ? loop.stride[k][0] : 0;
    if (access[k] == Access::kRepeated) repeat(repeated[k], x[k]->data, bytes[k]);
  }
  if (!turned || rows < kStrip / 4 || columns < kStrip) return false;
  const int64_t span = kGathered / largest, strips = (rows + kStrip - 1) / kStrip;
  const int64_t row_at = turned * kStrip * kGatheredPitch;  // the result's, behind the operands
  bool enough = true;
  parallel_for(planes * strips, 1, [&](int64_t begin, int64_t end) {
    char* const scratch =
        static_cast<char*>(thread_scratch(static_cast<size_t>(row_at + kGatheredPitch)));
    if (!scratch) return __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
    Row row;
    row.y = scratch + row_at;
    row.options = options;
    row.stream = false;
    for (int64_t i = begin; i < end; ++i) {
      const int64_t p = i / strips, r0 = i % strips * kStrip, height = min64(kStrip, rows - r0);
      for (int64_t c0 = 0; c0 < columns; c0 += span) {
        row.n = min64(span, columns - c0);
        for (int k = 0; k < N; ++k) {
          if (access[k] != Access::kTurned) continue;
          const int64_t step = loop.stride[k][loop.ndim - 1];
          const auto gather = bytes[k] == 4 ? gather_turned<float> : gather_turned<double>;
          gather(scratch + slot[k], x[k]->data + p * plane[k] + r0 * bytes[k] + c0 * step, step,
                 height, row.n, columns - c0);
        }
        for (int64_t r = 0; r < height; ++r) {
          const int64_t at = (p * rows + r0 + r) * columns + c0;
          for (int k = 0; k < N; ++k) {
            const bool whole = access[k] == Access::kWhole;
            row.step[k] = access[k] != Access::kRepeated;
            row.x[k] = whole         ? x[k]->data + at * bytes[k]
                       : row.step[k] ? scratch + slot[k] + r * kGatheredPitch
                                     : repeated[k];
          }
          f(row);
          copy_past(y.data + at * y_bytes, row.y, row.n * y_bytes);
        }
      }
    }
    stream_fence();
  });
  return enough;
}

bool run_turned(RowFunction f, int count, const Array* const* x, const Array& y,
                const double* options) {
  switch (count) {
    case 1: return run_turned<1>(f, x, y, options);
    case 2: return run_turned<2>(f, x, y, options);
    case 3: return run_turned<3>(f, x, y, options);
    default: return run_turned<4>(f, x, y, options);
  }
}

}  // namespace

void run_rows(RowFunction f, int count, const Array* const* operands, const Array& y,
              const double* options) {
  if (y.size == 0 || run_turned(f, count, operands, y, options)) return;
  Straightened straight[kMaxOperands];
  const Array* x[kMaxOperands];
  for (int k = 0; k < count; ++k) {
    x[k] = operands[k];
    if (!x[k]->contiguous && x[k]->size >= kLeastCopy && is_transposed(*x[k]) &&
        straight[k].take(*x[k])) {
      x[k] = &straight[k].array;
    }
  }
  alignas(64) char repeated[kMaxOperands][GS_VECTOR_BYTES];
  Row row;
  int64_t bytes[kMaxOperands];
  bool whole = true;
  for (int k = 0; k < count; ++k) {
    bytes[k] = item_size(x[k]->dtype);
    row.x[k] = x[k]->data;
    row.step[k] = 1;
    if (x[k]->contiguous && x[k]->size == y.size) continue;
    if (x[k]->size == 1) {
      repeat(repeated[k], x[k]->data, bytes[k]);
      row.x[k] = repeated[k];
      row.step[k] = 0;
    } else {
      whole = false;
    }
  }
  if (whole) {
    const int64_t y_bytes = item_size(y.dtype);
    row.options = options;
    row.stream = beyond_cache(y.size * y_bytes) && is_vector_aligned(y.data);
    const int64_t share = (y.size / 16 + 1023) / 1024 * 1024;
    const int64_t block = y.size <= kBlock ? kBlock : max64(min64(share, kBlock), kLeastBlock);
    parallel_pass(y.size, block, bytes_touched(count, x, y), [&](int64_t begin, int64_t end) {
      Row part = row;
      part.y = y.data + begin * y_bytes;
      part.n = end - begin;
      for (int k = 0; k < count; ++k) part.x[k] += begin * bytes[k] * row.step[k];
      f(part);
      if (part.stream) stream_fence();
    });
    return;
  }
  switch (count) {
    case 1: return run_strided<1>(f, x, y, options);
    case 2: return run_strided<2>(f, x, y, options);
    case 3: return run_strided<3>(f, x, y, options);
    default: return run_strided<4>(f, x, y, options);
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
