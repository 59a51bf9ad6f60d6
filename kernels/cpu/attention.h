// What the attention kernels share: operands, blocks of scores, dropout.
//
// A block of scores is kept transposed, keys x queries: lanes are neighbouring queries. So a row's
// maximum, sum and rescaling are vertical, and the block is at once the packed right operand of the
// next product (packed.h); nothing of it is ever moved.
#pragma once

#include "aligned.h"
#include "lists/attention.h"
#include "packed.h"
#include "philox.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kKeys = 96;   // keys of a block: with kPanelColumns queries 18 KB
constexpr int64_t kTasks = 16;  // tasks wanted, where there are few batches

template <class T>
struct Matrix {
  const T* data;
  int64_t row, column;  // strides in elements
  const T* at(int64_t i, int64_t j) const { return data + i * row + j * column; }
};

// An operand: a batch of matrices.
template <class T>
struct Operand {
  const T* data = nullptr;
  int64_t row = 0, column = 0, dims = 0;
  int64_t stride[kMaxDims] = {};

  explicit Operand(const Array& a) : data(reinterpret_cast<const T*>(a.data)) {
    if (!data) return;
    constexpr auto size = static_cast<int64_t>(sizeof(T));
    row = a.stride[a.ndim - 2] / size;
    column = a.stride[a.ndim - 1] / size;
    dims = a.ndim - 2;
    for (int64_t d = 0; d < dims; ++d) stride[d] = a.stride[d] / size;
  }
  // The matrix of a batch, counted in C order over `shape`.
  Matrix<T> of(int64_t batch, const int64_t* shape) const {
    int64_t offset = 0;
    for (int64_t d = dims - 1; d >= 0; --d) {
      offset += batch % shape[d] * stride[d];
      batch /= shape[d];
    }
    return {data ? data + offset : nullptr, row, column};
  }
};

// Sizes: L queries, S keys, E features of query and key, V of value.
struct Sizes {
  int64_t batch = 1, L = 0, S = 0, E = 0, V = 0;
};

inline bool is_float(DType dtype) { return dtype == DType::kFloat32 || dtype == DType::kFloat64; }

// Whether `a` is a batch of rows x columns as `like` has it.
inline bool is_batch(const Array& a, const Array& like, int64_t rows, int64_t columns) {
  if (a.ndim != like.ndim || a.shape[a.ndim - 2] != rows || a.shape[a.ndim - 1] != columns) {
    return false;
  }
  for (int d = 0; d < a.ndim - 2; ++d) {
    if (a.shape[d] != like.shape[d]) return false;
  }
  return true;
}

inline Status read_sizes(const Array& query, const Array& key, const Array& value,
                         const Array& mask, Sizes& s) {
  if (query.ndim < 2 || key.ndim < 2 || value.ndim < 2) return {Code::kShape, {0, query.ndim}};
  s.L = query.shape[query.ndim - 2];
  s.E = query.shape[query.ndim - 1];
  s.S = key.shape[key.ndim - 2];
  s.V = value.shape[value.ndim - 1];
  for (int d = 0; d < query.ndim - 2; ++d) s.batch *= query.shape[d];
  if (!is_batch(key, query, s.S, s.E)) return {Code::kShape, {1, 0}};
  if (!is_batch(value, query, s.S, s.V)) return {Code::kShape, {2, 0}};
  if (mask.data && !is_batch(mask, query, s.L, s.S)) return {Code::kShape, {3, 0}};
  return kDone;
}

// What changes scores before and after the softmax.
struct Rules {
  bool causal;
  double scale, p;
  uint64_t seed, offset;
};

// Scores of n queries from i0 on and `keys` keys from j0 on: to[j * pitch + i], pitch being n rounded up
// to whole vectors. `packed` and `columns` are the key block and the scaled queries; `scratch` has
// room for a block.
template <class T>
void make_scores(const Sizes& s, const Rules& rules, const T* packed, const T* columns,
                 Matrix<T> mask, int64_t i0, int64_t n, int64_t j0, int64_t keys, T* scratch,
                 T* to) {
  constexpr int64_t N = kLanes<T>;
  const int64_t pitch = round_up(n, N);
  multiply_packed(packed, columns, keys, pitch, s.E, to, pitch, false);
  if (mask.data) {
    pack_right(mask.at(i0, j0), mask.column, mask.row, keys, n, scratch);
    for (int64_t e = 0; e < keys * pitch; e += N) store(to + e, load(to + e) + load(scratch + e));
  }
  if (rules.causal && j0 + keys - 1 > i0) {
    const Vec<T> low = splat<T>(-T(__builtin_inf()));
    for (int64_t j = max(0, i0 + 1 - j0); j < keys; ++j) {
      for (int64_t i = 0; i < pitch; i += N) {
        // Query i0 + i sees key j0 + j where i >= j0 + j - i0.
        const auto first = static_cast<IntOf<T>>(j0 + j - i0 - i);
        const IVec<T> seen = lane_numbers<T>() >= first;
        store(to + j * pitch + i, seen ? load(to + j * pitch + i) : low);
      }
    }
  }
}

// keep(j, i): which lanes of queries i.. and key j0 + j are kept, as 1 / (1 - p) or 0.
template <class T>
struct Dropout {
  IntOf<T> limit;
  T scale;
  uint32_t words[4 * (kPanelColumns<T> + 2 * kLanes64)];

  explicit Dropout(double p) {
    const double scaled = p * 16777216.0;
    limit = static_cast<IntOf<T>>(scaled);
    limit += static_cast<double>(limit) < scaled;
    scale = p < 1 ? static_cast<T>(1 / (1 - p)) : T(0);
  }
  // The words of key j for n queries from i0 on, a multiple of 4.
  void draw(const Sizes& s, const Rules& rules, int64_t batch, int64_t j, int64_t i0, int64_t n) {
    const auto first = static_cast<uint64_t>(((batch * s.S + j) * round_up(s.L, 4) + i0) / 4);
    philox(rules.seed, rules.offset + first, words, ceil_div(n, 4));
  }
  GS_INLINE Vec<T> factor(int64_t i) const {
    constexpr IntOf<T> k24Bits = 0xffffff;
    const IVec<T> kept = ((load_words<T>(words + i) >> 8) & k24Bits) >= limit;
    return kept ? splat<T>(scale) : Vec<T>{};
  }
};

// Keys that any of the queries before `end` sees.
inline int64_t keys_seen(const Sizes& s, const Rules& rules, int64_t end) {
  return rules.causal ? min(s.S, end) : s.S;
}

// to (rows x columns, contiguous) = from (columns x rows, rows `pitch` apart), through `scratch` of
// rows * columns + kLanes elements.
template <class T>
void put_transposed(const T* from, int64_t pitch, int64_t rows, int64_t columns, T* scratch,
                    T* to) {
  pack_panel(from, pitch, 1, rows, static_cast<int>(columns), static_cast<int>(columns), scratch);
  __builtin_memcpy(to, scratch, static_cast<size_t>(rows * columns) * sizeof(T));
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
