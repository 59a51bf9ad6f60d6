// Indexing: take index_sum put put_into put_dim index_flat flat_along gather_dim scatter_sum
//   nonzero_count nonzero triangle.
//
// Formula: along one dimension, x (outer, n, inner) and an index of m entries:
//   take y[o, j, i] = x[o, index[j], i]; index_sum is its adjoint, the sum over equal indices; put
//   writes instead of adding, the last of equal indices stays. gather_dim, scatter_sum and put_dim
//   have an index for every (o, j, i). index_flat turns several index arrays into one of the flattened
//   dimensions (negative ones count from the end), flat_along an index along a dimension.
// Layout: contiguous, but put_into's destination; elements move by their size, sums are of float32,
//   float64 and int64.
// Split: by rows of the result; sums by strips of columns, each of which one thread sums in the order of
//   the index: the same bits always.
// Working set: a row of either side.
// Cost: reads the index once, each row that it names once.
// Limits: an index out of range answers kIndex and changes nothing.
#include "lists/index.h"
#include "indices.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
// Rows that are taken lie anywhere, which no prefetcher foresees: this many places ahead they are asked
// for (4096 rows of 1 KB 59 -> 52 us; two Zen 5 cores), where a row is so short, in bytes. Not where the
// second level is larger: Emerald Rapids, 2 MB, has these rows sooner by itself (217 -> 201 us).
constexpr int64_t kAhead = 2;
constexpr int64_t kSmallSecondLevel = int64_t{1} << 20;
constexpr size_t kMostAhead = 4096;
constexpr int64_t kManyRows = 64;
constexpr int64_t kScan = 16384;  // elements of a block that counts

// x's shape as (outer, extent, inner).
struct Along {
  int64_t outer = 1, extent = 1, inner = 1;
};

Along along(int ndim, const int64_t* shape, int64_t dim) {
  Along a;
  for (int d = 0; d < ndim; ++d) {
    (d < dim ? a.outer : d == dim ? a.extent : a.inner) *= shape[d];
  }
  return a;
}

// body(T{}) for the unsigned integer of an element's size.
template <class Body>
Status by_size(DType dtype, const Body& body) {
  switch (item_size(dtype)) {
    case 1: body(uint8_t{}); return kDone;
    case 2: body(uint16_t{}); return kDone;
    case 4: body(uint32_t{}); return kDone;
    case 8: body(uint64_t{}); return kDone;
    default: return kNoDType;
  }
}

template <class Body>
Status by_number(DType dtype, const Body& body) {
  switch (dtype) {
    case DType::kFloat32: body(float{}); return kDone;
    case DType::kFloat64: body(double{}); return kDone;
    case DType::kInt64: body(int64_t{}); return kDone;
    default: return kNoDType;
  }
}

void zero(char* data, int64_t bytes) {
  parallel_for(bytes, kBlock * 8, [&](int64_t begin, int64_t end) {
    __builtin_memset(data + begin, 0, static_cast<size_t>(end - begin));
  });
}

void copy_bytes(char* to, const char* from, int64_t bytes) {
  parallel_for(bytes, kBlock * 8, [&](int64_t begin, int64_t end) {
    __builtin_memcpy(to + begin, from + begin, static_cast<size_t>(end - begin));
  });
}

template <class T>
void add_row(T* to, const T* from, int64_t n) {
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    store<T>(to + i, load<T>(to + i) + load<T>(from + i));
  }
  for (; i < n; ++i) to[i] += from[i];
}

// Runs body(o, first, last) for strips of the inner dimension: no two touch the same column.
template <class Body>
void for_strips(const Along& a, int64_t rows, const Body& body) {
  const int64_t strip = max64(64, (a.inner + 15) / 16);
  const int64_t strips = (a.inner + strip - 1) / strip;
  const int64_t work = max64(rows * min64(strip, a.inner), 1);
  parallel_for(a.outer * strips, max64(kBlock / work, 1), [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const int64_t first = s % strips * strip;
      body(s / strips, first, min64(first + strip, a.inner));
    }
  });
}

// One element, of whatever type: zero or not.
template <class T>
GS_INLINE bool is_set(T bits, bool floating) {
  return floating ? static_cast<T>(bits << 1) != 0 : bits != 0;
}

bool is_floating(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kFloat16 ||
         dtype == DType::kBFloat16;
}

template <class T>
int64_t count_block(const T* x, int64_t begin, int64_t end, bool floating) {
  int64_t count = 0;
  for (int64_t i = begin; i < end; ++i) count += is_set(x[i], floating);
  return count;
}

}  // namespace

Status take(const TakeArgs& args) {
  const Array &x = args.x, &index = args.index, &y = args.y;
  if (index.dtype != DType::kInt64) return kNoDType;
  if (args.dim < 0 || args.dim >= x.ndim) return {Code::kShape, {0, 0}};
  const Along a = along(x.ndim, x.shape, args.dim);
  const int64_t m = index.size;
  if (y.size != a.outer * m * a.inner) return {Code::kShape, {1, 0}};
  const Status status = check_indices(index, a.extent);
  if (status.code != Code::kOk || y.size == 0) return status;
  const int64_t* const p = as_index(index);
  return by_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = reinterpret_cast<const T*>(x.data);
    T* const to = reinterpret_cast<T*>(y.data);
    if (a.inner == 1) {  // rows of m elements from rows of x
      const int64_t skip = args.skip;
      parallel_for(a.outer * m, kBlock, [&](int64_t begin, int64_t end) {
        while (begin < end) {
          const int64_t o = begin / m, first = begin - o * m;
          const int64_t n = min64(m - first, end - begin);
          const T* const row = from + o * a.extent;
          const int64_t* const chosen = p + first;
          T* const out = to + begin;
          if (skip < 0) {
#pragma GCC unroll 8
            for (int64_t j = 0; j < n; ++j) out[j] = row[chosen[j]];
          } else {
            for (int64_t j = 0; j < n; ++j) out[j] = chosen[j] == skip ? T(0) : row[chosen[j]];
          }
          begin += n;
        }
      });
      return;
    }
    const auto bytes = static_cast<size_t>(a.inner) * sizeof(T);
    const bool ahead = bytes <= kMostAhead && second_level_cache() <= kSmallSecondLevel;
    parallel_for(a.outer * m, max64(kBlock / a.inner, 1), [&](int64_t begin, int64_t end) {
      int64_t o = begin / m, at = begin - o * m;
      for (int64_t row = begin; row < end; ++row) {
        const int64_t j = p[at];
        const T* const src = from + (o * a.extent + j) * a.inner;
        if (ahead && at + kAhead < m) {
          const char* const next =
              reinterpret_cast<const char*>(from + (o * a.extent + p[at + kAhead]) * a.inner);
          for (size_t k = 0; k < bytes; k += 64) __builtin_prefetch(next + k);
        }
        T* const dst = to + row * a.inner;
        if (j == args.skip) {
          __builtin_memset(dst, 0, bytes);
        } else {
          __builtin_memcpy(dst, src, bytes);
        }
        if (++at == m) {
          at = 0;
          ++o;
        }
      }
    });
  });
}

Status index_sum(const IndexSumArgs& args) {
  const Array &y = args.grad_y, &index = args.index, &x = args.grad_x;
  if (index.dtype != DType::kInt64) return kNoDType;
  if (args.dim < 0 || args.dim >= x.ndim) return {Code::kShape, {0, 0}};
  const Along a = along(x.ndim, x.shape, args.dim);
  const int64_t m = index.size;
  if (y.size != a.outer * m * a.inner) return {Code::kShape, {1, 0}};
  const Status status = check_indices(index, a.extent);
  if (status.code != Code::kOk) return status;
  const int64_t* const p = as_index(index);
  return by_number(x.dtype, [&](auto number) {
    using T = decltype(number);
    zero(x.data, x.size * int64_t{sizeof(T)});
    if (y.size == 0) return;
    const T* const from = reinterpret_cast<const T*>(y.data);
    T* const to = reinterpret_cast<T*>(x.data);
    for_strips(a, m, [&](int64_t o, int64_t first, int64_t last) {
      if (a.inner == 1) {
        T* const row = to + o * a.extent;
        for (int64_t j = 0; j < m; ++j) {
          if (p[j] != args.skip) row[p[j]] += from[o * m + j];
        }
        return;
      }
      for (int64_t j = 0; j < m; ++j) {
        if (p[j] == args.skip) continue;
        add_row<T>(to + (o * a.extent + p[j]) * a.inner + first,
                   from + (o * m + j) * a.inner + first, last - first);
      }
    });
  });
}

Status put_into(const PutIntoArgs& args) {
  const Array &dst = args.dst, &src = args.src, &index = args.index;
  if (index.dtype != DType::kInt64 || src.dtype != dst.dtype) return kNoDType;
  if (args.dim < 0 || args.dim >= dst.ndim) return {Code::kShape, {0, 0}};
  const Along a = along(dst.ndim, dst.shape, args.dim);
  const int64_t m = index.size, count = a.outer * m * a.inner;
  if (src.size != count && src.size != 1) return {Code::kShape, {1, 0}};
  const Status status = check_indices(index, a.extent);
  if (status.code != Code::kOk || count == 0) return status;
  const int64_t* const p = as_index(index);
  const bool one = src.size == 1;
  StridedLoop<1> outer, inner;
  const auto axis = static_cast<int>(args.dim);
  for (int d = 0; d < axis; ++d) outer.stride[0][d] = dst.stride[d];
  for (int d = axis + 1; d < dst.ndim; ++d) inner.stride[0][d - axis - 1] = dst.stride[d];
  merge(outer, axis, dst.shape);
  merge(inner, dst.ndim - axis - 1, dst.shape + axis + 1);
  const int64_t step = dst.stride[args.dim], stride = inner.stride[0][inner.ndim - 1];
  return by_size(dst.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = reinterpret_cast<const T*>(src.data);
    // Rows of one outer element in order, so that the last of equal indices stays.
    parallel_for(a.outer, max64(kBlock / (m * a.inner), 1), [&](int64_t begin, int64_t end) {
      for_rows<1>(outer, {dst.data}, begin, end, [&](int64_t o, const char* const* q, int64_t n) {
        const int64_t outer_step = outer.stride[0][outer.ndim - 1];
        for (int64_t r = 0; r < n; ++r) {
          if (a.inner == 1) {  // single elements
            char* const line = const_cast<char*>(q[0]) + r * outer_step;
            const T* const values = one ? from : from + (o + r) * m;
            const int64_t along = one ? 0 : 1;
            for (int64_t j = 0; j < m; ++j) store_one<T>(line + p[j] * step, values[j * along]);
            continue;
          }
          for (int64_t j = 0; j < m; ++j) {
            const char* const row = q[0] + r * outer_step + p[j] * step;
            const T* const values = one ? from : from + ((o + r) * m + j) * a.inner;
            for_rows<1>(inner, {row}, 0, a.inner, [&](int64_t at, const char* const* t, int64_t k) {
              char* const cell = const_cast<char*>(t[0]);
              if (one) {
                for (int64_t i = 0; i < k; ++i) store_one<T>(cell + i * stride, *values);
              } else if (stride == int64_t{sizeof(T)}) {
                __builtin_memcpy(cell, values + at, static_cast<size_t>(k) * sizeof(T));
              } else {
                for (int64_t i = 0; i < k; ++i) store_one<T>(cell + i * stride, values[at + i]);
              }
            });
          }
        }
      });
    });
  });
}

Status put(const PutArgs& args) {
  const int64_t size = item_size(args.x.dtype);
  if (size == 0) return kNoDType;
  if (args.index.dtype == DType::kInt64 && args.dim >= 0 && args.dim < args.x.ndim) {
    const Status status = check_indices(args.index, args.x.shape[args.dim]);
    if (status.code != Code::kOk) return status;
  }
  copy_bytes(args.y.data, args.x.data, args.x.size * size);
  return put_into({args.y, args.src, args.index, args.dim});
}

Status put_dim(const PutDimArgs& args) {
  const Array &x = args.x, &src = args.src, &indices = args.indices, &y = args.y;
  if (indices.dtype != DType::kInt64) return kNoDType;
  if (args.dim < 0 || args.dim >= x.ndim) return {Code::kShape, {0, 0}};
  const Along a = along(x.ndim, x.shape, args.dim);
  const int64_t columns = a.outer * a.inner, count = indices.size;
  if (src.size != count && src.size != 1) return {Code::kShape, {1, 0}};
  if (columns ? count % columns != 0 : count != 0) return {Code::kShape, {2, 0}};
  const Status status = check_indices(indices, a.extent);
  if (status.code != Code::kOk) return status;
  const int64_t taken = columns ? count / columns : 0;
  const int64_t* const p = as_index(indices);
  const bool one = src.size == 1;
  return by_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    copy_bytes(y.data, x.data, x.size * int64_t{sizeof(T)});
    const T* const from = reinterpret_cast<const T*>(src.data);
    T* const to = reinterpret_cast<T*>(y.data);
    for_strips(a, taken, [&](int64_t o, int64_t first, int64_t last) {
      T* const plane = to + o * a.extent * a.inner;
      if (a.inner == 1) {
        const int64_t* const chosen = p + o * taken;
        const T* const values = one ? from : from + o * taken;
        const int64_t step = one ? 0 : 1;
#pragma GCC unroll 4
        for (int64_t j = 0; j < taken; ++j) plane[chosen[j]] = values[j * step];
        return;
      }
      for (int64_t j = 0; j < taken; ++j) {
        const int64_t row = (o * taken + j) * a.inner;
        for (int64_t i = first; i < last; ++i) {
          plane[p[row + i] * a.inner + i] = from[one ? 0 : row + i];
        }
      }
    });
  });
}

Status index_flat(const IndexFlatArgs& args) {
  const Array& flat = args.flat;
  if (args.indices.n != args.sizes.n) return {Code::kShape, {0, 0}};
  int64_t* const out = reinterpret_cast<int64_t*>(flat.data);
  zero(flat.data, flat.size * 8);
  for (int64_t i = 0; i < args.indices.n; ++i) {
    const Array& index = args.indices.v[i];
    const int64_t limit = args.sizes.v[i];
    if (index.dtype != DType::kInt64) return kNoDType;
    if (index.ndim > flat.ndim) return {Code::kShape, {i, 0}};
    for (int d = 0; d < index.ndim; ++d) {
      const int64_t wanted = flat.shape[flat.ndim - index.ndim + d];
      if (index.shape[d] != 1 && index.shape[d] != wanted) return {Code::kShape, {i, d}};
    }
    StridedLoop<1> loop;
    set_operand(loop, 0, index, flat.ndim, flat.shape);
    merge(loop, flat.ndim, flat.shape);
    const int64_t stride = loop.stride[0][loop.ndim - 1];
    Status status = kDone;
    for_rows<1>(loop, {index.data}, 0, flat.size, [&](int64_t at, const char* const* p, int64_t n) {
      for (int64_t k = 0; k < n; ++k) {
        const int64_t value = load_one<int64_t>(p[0] + k * stride);
        if (value < -limit || value >= limit) {
          status = {Code::kIndex, {value, limit}};
          return;
        }
        out[at + k] = out[at + k] * limit + (value < 0 ? value + limit : value);
      }
    });
    if (status.code != Code::kOk) return status;
  }
  return kDone;
}

Status flat_along(const FlatAlongArgs& args) {
  const Array& indices = args.indices;
  if (indices.dtype != DType::kInt64) return kNoDType;
  if (indices.ndim != args.x_shape.n || args.dim < 0 || args.dim >= indices.ndim) {
    return {Code::kShape, {0, 0}};
  }
  StridedLoop<1> loop;  // positions in x with the index 0, in bytes of one
  int64_t step = 1, along_step = 1;
  for (int d = indices.ndim - 1; d >= 0; --d) {
    if (d != args.dim && indices.shape[d] > args.x_shape.v[d]) return {Code::kShape, {0, d}};
    loop.stride[0][d] = d == args.dim ? 0 : step;
    if (d == args.dim) along_step = step;
    step *= args.x_shape.v[d];
  }
  const Status status = check_indices(indices, args.x_shape.v[args.dim]);
  if (status.code != Code::kOk || indices.size == 0) return status;
  merge(loop, indices.ndim, indices.shape);
  const int64_t* const p = as_index(indices);
  int64_t* const out = reinterpret_cast<int64_t*>(args.flat.data);
  const char* const origin = args.flat.data;  // offsets from it are counted, nothing is read
  const int64_t stride = loop.stride[0][loop.ndim - 1];
  parallel_for(indices.size, kBlock, [&](int64_t begin, int64_t end) {
    for_rows<1>(loop, {origin}, begin, end, [&](int64_t at, const char* const* q, int64_t n) {
      const int64_t base = q[0] - origin;
      for (int64_t i = 0; i < n; ++i) out[at + i] = base + i * stride + p[at + i] * along_step;
    });
  });
  return kDone;
}

Status gather_dim(const GatherDimArgs& args) {
  const Array &x = args.x, &indices = args.indices, &y = args.y;
  if (indices.dtype != DType::kInt64) return kNoDType;
  if (indices.size != y.size) return {Code::kShape, {1, 0}};
  if (y.size == 0) return kDone;
  if (args.dim < 0 || args.dim >= x.ndim) return {Code::kShape, {0, 0}};
  const Along a = along(x.ndim, x.shape, args.dim);
  if (a.outer * a.inner == 0 || y.size % (a.outer * a.inner)) return {Code::kShape, {1, 0}};
  const int64_t* const p = as_index(indices);
  const int64_t rows = y.size / a.inner, taken = rows / a.outer;
  // Indices are checked row by row, just before they are used: a pass of their own over them cost 9 % (4096
  // rows of 64, two Emerald Rapids cores).
  bool good = true;
  const auto inside = [&](int64_t at, int64_t n) {
    if (all_inside(p + at, n, a.extent)) return true;
    __atomic_store_n(&good, false, __ATOMIC_RELAXED);
    return false;
  };
  const Status status = by_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const from = reinterpret_cast<const T*>(x.data);
    T* const to = reinterpret_cast<T*>(y.data);
    if (a.inner == 1) {  // rows of `taken` elements from rows of x
      parallel_for(a.outer, max64(kBlock / taken, 1), [&](int64_t begin, int64_t end) {
        for (int64_t o = begin; o < end; ++o) {
          if (!inside(o * taken, taken)) continue;
          const T* const row = from + o * a.extent;
          const int64_t* const chosen = p + o * taken;
          T* const out = to + o * taken;
#pragma GCC unroll 8
          for (int64_t j = 0; j < taken; ++j) out[j] = row[chosen[j]];
        }
      });
      return;
    }
    parallel_for(rows, max64(kBlock / a.inner, 1), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* const plane = from + row / taken * a.extent * a.inner;
        const int64_t at = row * a.inner;
        if (!inside(at, a.inner)) continue;
        for (int64_t i = 0; i < a.inner; ++i) to[at + i] = plane[p[at + i] * a.inner + i];
      }
    });
  });
  return good ? status : first_outside(indices, a.extent);
}

Status scatter_sum(const ScatterSumArgs& args) {
  const Array &src = args.src, &indices = args.indices, &y = args.y;
  if (indices.dtype != DType::kInt64) return kNoDType;
  if (args.dim < 0 || args.dim >= y.ndim) return {Code::kShape, {0, 0}};
  const Along a = along(y.ndim, y.shape, args.dim);
  const int64_t columns = a.outer * a.inner;
  if (indices.size != src.size) return {Code::kShape, {1, 0}};
  if (columns ? src.size % columns != 0 : src.size != 0) return {Code::kShape, {0, 0}};
  const Status status = check_indices(indices, a.extent);
  if (status.code != Code::kOk) return status;
  const int64_t taken = columns ? src.size / columns : 0;
  const int64_t* const p = as_index(indices);
  return by_number(src.dtype, [&](auto number) {
    using T = decltype(number);
    const T* const from = reinterpret_cast<const T*>(src.data);
    T* const to = reinterpret_cast<T*>(y.data);
    // Rows are cleared one by one, just before something is added to them: in the cache.
    const bool clears = a.inner == 1 && a.outer >= kManyRows;
    if (!clears) zero(y.data, y.size * int64_t{sizeof(T)});
    const int64_t work = clears ? max64(taken, a.extent / kLanes<T>) : taken;
    for_strips(a, work, [&](int64_t o, int64_t first, int64_t last) {
      T* const plane = to + o * a.extent * a.inner;
      if (clears) __builtin_memset(plane, 0, static_cast<size_t>(a.extent) * sizeof(T));
      for (int64_t j = 0; j < taken; ++j) {
        const int64_t row = (o * taken + j) * a.inner;
        for (int64_t i = first; i < last; ++i) plane[p[row + i] * a.inner + i] += from[row + i];
      }
    });
  });
}

Status nonzero_count(const NonzeroCountArgs& args) {
  const Array& x = args.x;
  const bool floating = is_floating(x.dtype);
  int64_t* const count = reinterpret_cast<int64_t*>(args.count.data);
  return by_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    *count = count_block(reinterpret_cast<const T*>(x.data), 0, x.size, floating);
  });
}

Status nonzero(const NonzeroArgs& args) {
  const Array &x = args.x, &indices = args.indices;
  if (indices.ndim != 2 || indices.shape[1] != x.ndim) return {Code::kShape, {0, 0}};
  if (indices.size == 0) return kDone;
  const int64_t blocks = (x.size + kScan - 1) / kScan;
  const auto bytes = static_cast<size_t>(blocks + 1) * sizeof(int64_t);
  int64_t* const before = static_cast<int64_t*>(allocate(bytes));
  if (!before) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const bool floating = is_floating(x.dtype);
  int64_t* const out = reinterpret_cast<int64_t*>(indices.data);
  const int64_t most = indices.shape[0];
  bool fits = true;
  const Status status = by_size(x.dtype, [&](auto zero) {
    using T = decltype(zero);
    const T* const p = reinterpret_cast<const T*>(x.data);
    parallel_for(x.size, kScan, [&](int64_t begin, int64_t end) {
      before[begin / kScan + 1] = count_block(p, begin, end, floating);
    });
    before[0] = 0;
    for (int64_t b = 0; b < blocks; ++b) before[b + 1] += before[b];
    fits = before[blocks] == most;
    if (!fits) return;
    parallel_for(x.size, kScan, [&](int64_t begin, int64_t end) {
      int64_t* row = out + before[begin / kScan] * x.ndim;
      for (int64_t i = begin; i < end; ++i) {
        if (!is_set(p[i], floating)) continue;
        int64_t rest = i;
        for (int d = x.ndim - 1; d > 0; --d) {
          row[d] = rest % x.shape[d];
          rest /= x.shape[d];
        }
        row[0] = rest;
        row += x.ndim;
      }
    });
  });
  release(before, bytes);
  if (status.code == Code::kOk && !fits) return {Code::kShape, {0, 0}};
  return status;
}

Status triangle(const TriangleArgs& args) {
  const Array &x = args.x, &y = args.y;
  if (x.ndim < 2) return {Code::kShape, {0, 0}};
  if (x.size == 0) return kDone;
  const int64_t rows = x.shape[x.ndim - 2], columns = x.shape[x.ndim - 1];
  const int64_t size = item_size(x.dtype);
  if (size == 0) return kNoDType;
  parallel_for(x.size / columns, max64(kBlock / columns, 1), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      // Columns below `border` are on and left of the diagonal (tril), or left of it (triu).
      int64_t border = row % rows + args.diagonal + (args.upper ? 0 : 1);
      border = max64(0, min64(border, columns)) * size;
      const int64_t width = columns * size;
      const char* const from = x.data + row * width;
      char* const to = y.data + row * width;
      const int64_t kept = args.upper ? border : 0, dropped = args.upper ? 0 : border;
      const int64_t count = args.upper ? width - border : border;
      __builtin_memcpy(to + kept, from + kept, static_cast<size_t>(count));
      __builtin_memset(to + dropped, 0, static_cast<size_t>(width - count));
    }
  });
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
