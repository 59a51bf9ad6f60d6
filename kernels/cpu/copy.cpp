// Copy kernels: copy convert copy_into full slice_bwd cat.
//
// Layout: any byte strides on either side, any alignment, every dtype; cat and slice_bwd move elements
//   by their size. Where the two sides run fast along different dimensions
//   (a transpose), tiles of kTile x kTile elements are copied, so that both sides use whole cache
//   lines.
// Split: a block is kBlock elements of the destination, or a strip of tiles.
// Working set: kBlock elements of either side; two tiles of 64 or 128 KB; a tile and 264 KB of scratch.
// Cost: reads the source once, writes the destination once (slice_bwd: plus the zeros).
// Casts: as PyTorch's: float to integer truncates, between integers the low bits are kept; to float16
//   and bfloat16 rounds to nearest even, from float64 and integers by way of float32; anything but
//   zero (NaN too) is true. A float beyond an int32's or int64's range gives the nearest end of it,
//   NaN the lowest value; one beyond int32 gives a narrower integer's 0.
// Overlap: copy_into goes through a temporary where source and destination share memory and are not
//   the same view.
// Limits: 16 dimensions.
#include "lists/copy.h"
#include "copy_strips.h"
#include "pass.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
constexpr int64_t kLongestReversed = 1024;  // elements of a row
constexpr int64_t kLeastStreamed = 4096;    // bytes of a row that is copied past the caches

template <class W, class S>
void load_wide(void* buffer, const char* src, int64_t src_stride, int64_t n) {
  copy_row<W, S>(static_cast<char*>(buffer), sizeof(W), src, src_stride, n);
}

template <class D, class W>
void store_wide(char* dst, int64_t dst_stride, const void* buffer, int64_t n) {
  copy_row<D, W>(dst, dst_stride, static_cast<const char*>(buffer), sizeof(W), n);
}

GS_INLINE int64_t magnitude(int64_t x) { return x < 0 ? -x : x; }

GS_INLINE void swap_dims(StridedLoop<2>& loop, int a, int b) {
  int64_t* const rows[] = {loop.shape, loop.stride[0], loop.stride[1]};
  for (int64_t* row : rows) {
    const int64_t kept = row[a];
    row[a] = row[b];
    row[b] = kept;
  }
}

// The dimension of extent > 1 along which operand k runs fastest.
GS_INLINE int fastest_dim(const StridedLoop<2>& loop, int k) {
  int best = loop.ndim - 1;
  for (int d = loop.ndim - 1; d >= 0; --d) {
    if (magnitude(loop.stride[k][d]) &&
        magnitude(loop.stride[k][d]) < magnitude(loop.stride[k][best]))
      best = d;
  }
  return best;
}

// Rows backwards into one array (a flip); false: they are too long or too short for it, or unaligned.
// Long ones are read forwards, which is what prefetchers follow.
template <class T>
bool reverse_loop(const StridedLoop<2>& loop, char* dst, const char* src, int64_t total) {
  constexpr int64_t kSize = sizeof(T);
  const int last = loop.ndim - 1;
  const int64_t n = loop.shape[last];
  if (last > 1 || n < kLanes<T> || n > kLongestReversed || !is_aligned<T>(loop, 1, src) ||
      (last == 1 && loop.stride[0][0] != n * kSize) ||
      reinterpret_cast<uintptr_t>(dst) % GS_VECTOR_BYTES) {
    return false;
  }
  const int64_t step = last ? loop.stride[1][0] : 0;
  const bool stream = beyond_cache(total * kSize);
  parallel_for(total, kBlock, [&](int64_t begin, int64_t end) {
    reverse_rows<T>(reinterpret_cast<T*>(dst), src - (n - 1) * kSize, step, n, begin, end, stream);
  });
  return true;
}

// dst (operand 0) = src (operand 1) over the loop.
void copy_loop(const Copier& copier, StridedLoop<2> loop, char* dst, const char* src) {
  int64_t total = 1;
  bool repeats = false;  // several writes to one element: their order must not vary
  for (int d = 0; d < loop.ndim; ++d) {
    total *= loop.shape[d];
    repeats = repeats || (loop.stride[0][d] == 0 && loop.shape[d] > 1);
  }
  if (total == 0) return;
  const int last = loop.ndim - 1;
  if (!repeats && last > 0) swap_dims(loop, fastest_dim(loop, 0), last);
  int across = fastest_dim(loop, 1);
  if (!repeats && across != last && loop.shape[last] < 4 && loop.shape[across] > loop.shape[last]) {
    swap_dims(loop, across, last);  // longer runs: pixel_shuffle by 2 ran in pairs
    if (copier.bits && copier.dst_size == 4 && loop.shape[across] == 2 &&
        loop.stride[0][across] == 4 && loop.stride[0][last] == 8 && loop.stride[1][last] == 4 &&
        is_aligned<float>(loop, 0, dst) && is_aligned<float>(loop, 1, src)) {
      const int64_t second = loop.stride[1][across];
      loop.shape[across] = 1;
      parallel_for(total / 2, kBlock / 2, [&](int64_t begin, int64_t end) {
        const char* const base[2] = {dst, src};
        for_rows<2>(loop, base, begin, end, [&](int64_t, const char* const* p, int64_t n) {
          interleave_row<float>(const_cast<char*>(p[0]), p[1], p[1] + second, n);
        });
      });
      return;
    }
    across = last;
  }
  if (!repeats && across != last && magnitude(loop.stride[1][last]) > copier.src_size &&
      loop.shape[across] >= 4 && loop.shape[last] >= 4) {
    swap_dims(loop, across, last - 1);
    const int64_t rows = loop.shape[last - 1], columns = loop.shape[last];
    const TileStrides t{loop.stride[0][last - 1], loop.stride[0][last], loop.stride[1][last - 1],
                        loop.stride[1][last]};
    Strip strip = copy_strip;
    if (copier.bits && t.dst_column == copier.dst_size && t.src_row == copier.src_size) {
      const auto aligned = [&](auto zero) {
        using T = decltype(zero);
        return is_aligned<T>(loop, 0, dst) && is_aligned<T>(loop, 1, src);
      };
      if (copier.dst_size == 4 && aligned(0.0f)) strip = transpose_of<float>(total, columns);
      if (copier.dst_size == 8 && aligned(0.0)) strip = transpose_of<double>(total, columns);
    }
    const int64_t strips = (rows + kTile - 1) / kTile;
    StridedLoop<2> outer = loop;  // the planes, as one row of strips each
    outer.shape[last - 1] = strips;
    outer.shape[last] = 1;
    outer.stride[0][last - 1] = t.dst_row * kTile;
    outer.stride[1][last - 1] = t.src_row * kTile;
    outer.ndim = last;
    const int64_t all_strips = total / (rows * columns) * strips;
    parallel_for(all_strips, max64(1, kBlock / (kTile * columns)), [&](int64_t begin, int64_t end) {
      const char* const base[2] = {dst, src};
      for_rows<2>(outer, base, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
        for (int64_t s = 0; s < n; ++s) {
          const int64_t height = min64(kTile, rows - (at + s) % strips * kTile);
          char* const d = const_cast<char*>(p[0]) + s * t.dst_row * kTile;
          const char* const q = p[1] + s * t.src_row * kTile;
          strip(copier, t, d, q, height, columns);
        }
      });
    });
    return;
  }
  const int64_t dst_stride = loop.stride[0][last], src_stride = loop.stride[1][last];
  if (copier.bits && dst_stride == copier.dst_size && src_stride == -dst_stride) {
    if (copier.dst_size == 4 && reverse_loop<float>(loop, dst, src, total)) return;
    if (copier.dst_size == 8 && reverse_loop<double>(loop, dst, src, total)) return;
  }
  const int64_t row_bytes = loop.shape[last] * copier.dst_size;
  const bool stream = copier.bits && !repeats && dst_stride == copier.dst_size &&
                      src_stride == dst_stride && row_bytes >= kLeastStreamed &&
                      beyond_cache(total * copier.dst_size);
  const int64_t bytes = total * (copier.dst_size + copier.src_size);
  parallel_pass(total, repeats ? total : kBlock, bytes, [&](int64_t begin, int64_t end) {
    const char* const base[2] = {dst, src};
    if (stream) {
      for_rows<2>(loop, base, begin, end, [&](int64_t, const char* const* p, int64_t n) {
        copy_past(const_cast<char*>(p[0]), p[1], n * copier.dst_size);
      });
      stream_fence();
      return;
    }
    for_rows<2>(loop, base, begin, end, [&](int64_t, const char* const* p, int64_t n) {
      copy_run(copier, const_cast<char*>(p[0]), dst_stride, p[1], src_stride, n);
    });
  });
}

using Row = decltype(Copier::row);
using Load = decltype(Copier::load);
using Store = decltype(Copier::store);

template <class D>
Row row_from(DType src) {
  switch (src) {
    case DType::kFloat32: return copy_row<D, float>;
    case DType::kFloat64: return copy_row<D, double>;
    case DType::kInt32: return copy_row<D, int32_t>;
    case DType::kInt64: return copy_row<D, int64_t>;
    case DType::kBool: return copy_row<D, Bool>;
    default: return nullptr;
  }
}

// The conversions that are worth loops of their own.
Row row_of(DType dst, DType src) {
  if (src == DType::kFloat32 && dst == DType::kFloat16) return copy_row<Half, float>;
  if (src == DType::kFloat32 && dst == DType::kBFloat16) return copy_row<BFloat16, float>;
  if (dst == DType::kFloat32 && src == DType::kFloat16) return copy_row<float, Half>;
  if (dst == DType::kFloat32 && src == DType::kBFloat16) return copy_row<float, BFloat16>;
  if (dst == DType::kFloat32 && src == DType::kUInt8) return copy_row<float, uint8_t>;
  switch (dst) {
    case DType::kFloat32: return row_from<float>(src);
    case DType::kFloat64: return row_from<double>(src);
    case DType::kInt32: return row_from<int32_t>(src);
    case DType::kInt64: return row_from<int64_t>(src);
    case DType::kBool: return row_from<Bool>(src);
    default: return nullptr;
  }
}

// What a dtype becomes in the buffer: itself without loss.
enum class Wide { kInt64, kFloat, kDouble };

Load load_of(DType src, Wide* wide) {
  *wide = src == DType::kFloat64 ? Wide::kDouble : Wide::kInt64;
  switch (src) {
    case DType::kFloat64: return load_wide<double, double>;
    case DType::kInt32: return load_wide<int64_t, int32_t>;
    case DType::kInt64: return load_wide<int64_t, int64_t>;
    case DType::kBool: return load_wide<int64_t, Bool>;
    case DType::kUInt8: return load_wide<int64_t, uint8_t>;
    case DType::kInt8: return load_wide<int64_t, int8_t>;
    case DType::kInt16: return load_wide<int64_t, int16_t>;
    default: break;
  }
  *wide = Wide::kFloat;
  switch (src) {
    case DType::kFloat32: return load_wide<float, float>;
    case DType::kFloat16: return load_wide<float, Half>;
    case DType::kBFloat16: return load_wide<float, BFloat16>;
    default: return nullptr;
  }
}

template <class W>
Store store_from(DType dst) {
  switch (dst) {
    case DType::kFloat32: return store_wide<float, W>;
    case DType::kFloat64: return store_wide<double, W>;
    case DType::kInt32: return store_wide<int32_t, W>;
    case DType::kInt64: return store_wide<int64_t, W>;
    case DType::kBool: return store_wide<Bool, W>;
    case DType::kUInt8: return store_wide<uint8_t, W>;
    case DType::kInt8: return store_wide<int8_t, W>;
    case DType::kInt16: return store_wide<int16_t, W>;
    case DType::kFloat16: return store_wide<Half, W>;
    case DType::kBFloat16: return store_wide<BFloat16, W>;
    default: return nullptr;
  }
}

// How src is copied to dst; false: no kernel for one of them.
bool copier_of(DType dst, DType src, Copier* copier) {
  *copier = {nullptr, nullptr, nullptr, item_size(dst), item_size(src), dst == src};
  if (!copier->dst_size || !copier->src_size) return false;
  if (dst == src) {
    switch (copier->dst_size) {
      case 1: copier->row = copy_row<uint8_t, uint8_t>; break;
      case 2: copier->row = copy_row<int16_t, int16_t>; break;
      case 4: copier->row = copy_row<int32_t, int32_t>; break;
      default: copier->row = copy_row<int64_t, int64_t>; break;
    }
    return true;
  }
  copier->row = row_of(dst, src);
  if (copier->row) return true;
  Wide wide;
  copier->load = load_of(src, &wide);
  copier->store = wide == Wide::kInt64   ? store_from<int64_t>(dst)
                  : wide == Wide::kFloat ? store_from<float>(dst)
                                         : store_from<double>(dst);
  return copier->load && copier->store;
}

// dst = src, broadcast; no overlap. `dst` may be any view.
void copy_views(const Copier& copier, const Array& dst, const Array& src) {
  StridedLoop<2> loop;
  set_operand(loop, 0, dst, dst.ndim, dst.shape);
  set_operand(loop, 1, src, dst.ndim, dst.shape);
  merge(loop, dst.ndim, dst.shape);
  for (int d = 0; d < dst.ndim; ++d) {
    if (dst.shape[d] == 0) return;
  }
  copy_loop(copier, loop, dst.data, src.data);
}

void zero(char* data, int64_t bytes) {
  parallel_for(bytes, kBlock * 8, [&](int64_t begin, int64_t end) {
    __builtin_memset(data + begin, 0, static_cast<size_t>(end - begin));
  });
}

// The addresses that the array's elements take up: [low, high).
struct Extent {
  uintptr_t low, high;
};
Extent extent(const Array& a) {
  auto low = reinterpret_cast<uintptr_t>(a.data);
  auto high = low + static_cast<uintptr_t>(item_size(a.dtype));
  for (int d = 0; d < a.ndim; ++d) {
    const int64_t span = (a.shape[d] - 1) * a.stride[d];
    if (span < 0) {
      low -= static_cast<uintptr_t>(-span);
    } else {
      high += static_cast<uintptr_t>(span);
    }
  }
  return {low, high};
}

bool same_view(const Array& a, const Array& b) {
  if (a.data != b.data || a.dtype != b.dtype || a.ndim != b.ndim) return false;
  for (int d = 0; d < a.ndim; ++d) {
    if (a.shape[d] != b.shape[d] || a.stride[d] != b.stride[d]) return false;
  }
  return true;
}

void contiguous_strides(int ndim, const int64_t* shape, int64_t size, int64_t* stride) {
  for (int d = ndim - 1; d >= 0; --d) {
    stride[d] = size;
    size *= shape[d];
  }
}

// y = the element that `bits` points to, of T's size.
template <class T>
void fill(const Array& y, const void* bits) {
  T x;
  __builtin_memcpy(&x, bits, sizeof(T));
  if (x == T(0)) return zero(y.data, y.size * int64_t{sizeof(T)});
  T* const out = reinterpret_cast<T*>(y.data);
  if constexpr (sizeof(T) >= 4) {
    using Bits = std::conditional_t<sizeof(T) == 4, float, double>;
    // As integers: arithmetic on an integer's bits as a float could change them (signalling NaN).
    const auto v = bit_cast<Vec<Bits>>(x - IVec<Bits>{});
    const bool stream = beyond_cache(y.size * int64_t{sizeof(T)}) &&
                        reinterpret_cast<uintptr_t>(out) % GS_VECTOR_BYTES == 0;
    parallel_for(y.size, kBlock, [&](int64_t begin, int64_t end) {
      Bits* const p = reinterpret_cast<Bits*>(out);
      int64_t i = begin;
      if (stream) {
        for (; i + kLanes<Bits> <= end; i += kLanes<Bits>) store_stream<Bits>(p + i, v);
        stream_fence();
      }
      for (; i + kLanes<Bits> <= end; i += kLanes<Bits>) store<Bits>(p + i, v);
      for (; i < end; ++i) out[i] = x;
    });
  } else {
    parallel_for(y.size, kBlock, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = x;
    });
  }
}

}  // namespace

Status copy(const CopyArgs& args) {
  Copier copier;
  if (!copier_of(args.y.dtype, args.x.dtype, &copier)) return kNoDType;
  copy_views(copier, args.y, args.x);
  return kDone;
}

Status convert(const ConvertArgs& args) { return copy({args.x, args.dtype, args.y}); }

Status copy_into(const CopyIntoArgs& args) {
  const Array &dst = args.dst, &src = args.src;
  Copier copier, same;
  if (!copier_of(dst.dtype, src.dtype, &copier)) return kNoDType;
  const int extra = src.ndim - dst.ndim;  // leading dimensions of extent 1 are let go, as in NumPy
  for (int d = 0; d < src.ndim; ++d) {
    const int64_t wanted = d < extra ? 1 : dst.shape[d - extra];
    if (src.shape[d] != 1 && src.shape[d] != wanted) return {Code::kShape, {1, d}};
  }
  Array from = src;
  if (extra > 0) {
    from.shape += extra;
    from.stride += extra;
    from.ndim -= extra;
  }
  if (dst.size == 0 || same_view(dst, from)) return kDone;
  const Extent a = extent(dst), b = extent(from);
  if (a.high <= b.low || b.high <= a.low) {
    copy_views(copier, dst, from);
    return kDone;
  }
  const int64_t size = item_size(src.dtype);
  const auto bytes = static_cast<size_t>(src.size * size);
  int64_t stride[kMaxDims];
  contiguous_strides(from.ndim, from.shape, size, stride);
  Array temporary = from;
  temporary.data = static_cast<char*>(allocate(bytes));
  if (!temporary.data) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  temporary.stride = stride;
  copier_of(src.dtype, src.dtype, &same);
  copy_views(same, temporary, from);
  copy_views(copier, dst, temporary);
  release(temporary.data, bytes);
  return kDone;
}

Status full(const FullArgs& args) {
  Copier copier;
  if (!copier_of(args.y.dtype, DType::kFloat64, &copier)) return kNoDType;
  alignas(8) char bits[8];
  copy_run(copier, bits, 8, reinterpret_cast<const char*>(&args.value), 8, 1);
  switch (copier.dst_size) {
    case 1: fill<int8_t>(args.y, bits); break;
    case 2: fill<int16_t>(args.y, bits); break;
    case 4: fill<int32_t>(args.y, bits); break;
    default: fill<int64_t>(args.y, bits); break;
  }
  return kDone;
}

Status slice_bwd(const SliceBwdArgs& args) {
  const Array &grad_y = args.grad_y, &grad_x = args.grad_x;
  Copier copier;
  if (!copier_of(grad_y.dtype, grad_y.dtype, &copier)) return kNoDType;
  if (grad_y.ndim != grad_x.ndim || args.start.n != grad_x.ndim || args.step.n != grad_x.ndim) {
    return {Code::kShape, {0, 0}};
  }
  int64_t stride[kMaxDims];
  contiguous_strides(grad_x.ndim, grad_x.shape, item_size(grad_x.dtype), stride);
  Array view = grad_x;
  view.shape = grad_y.shape;
  view.stride = stride;
  if (grad_y.size) {
    for (int d = 0; d < grad_x.ndim; ++d) {
      const int64_t first = args.start.v[d];
      const int64_t end = first + (grad_y.shape[d] - 1) * args.step.v[d];
      if (first < 0 || first >= grad_x.shape[d] || end < 0 || end >= grad_x.shape[d]) {
        return {Code::kShape, {0, d}};
      }
      view.data += first * stride[d];
      stride[d] *= args.step.v[d];
    }
  }
  if (grad_y.size != grad_x.size) zero(grad_x.data, grad_x.size * item_size(grad_x.dtype));
  if (grad_y.size) copy_views(copier, view, grad_y);
  return kDone;
}

Status cat(const CatArgs& args) {
  const Array& y = args.y;
  Copier copier;
  if (!copier_of(y.dtype, y.dtype, &copier)) return kNoDType;
  if (args.dim < 0 || args.dim >= y.ndim) return {Code::kShape, {0, 0}};
  int64_t stride[kMaxDims], shape[kMaxDims];
  contiguous_strides(y.ndim, y.shape, item_size(y.dtype), stride);
  int64_t joined = 0;
  for (int64_t i = 0; i < args.xs.n; ++i) {
    const Array& x = args.xs.v[i];
    if (x.dtype != y.dtype) return kNoDType;
    if (x.ndim != y.ndim) return {Code::kShape, {i, 0}};
    for (int d = 0; d < y.ndim; ++d) {
      if (d != args.dim && x.shape[d] != y.shape[d]) return {Code::kShape, {i, d}};
    }
    joined += x.shape[args.dim];
  }
  if (joined != y.shape[args.dim]) return {Code::kShape, {0, args.dim}};
  for (int d = 0; d < y.ndim; ++d) shape[d] = y.shape[d];
  Array view = y;
  view.shape = shape;
  view.stride = stride;
  for (int64_t i = 0; i < args.xs.n; ++i) {
    const Array& x = args.xs.v[i];
    shape[args.dim] = x.shape[args.dim];
    copy_views(copier, view, x);
    view.data += x.shape[args.dim] * stride[args.dim];
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
