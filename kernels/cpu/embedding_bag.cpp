// Sums of bags of rows: bag_sum bag_sum_bwd bag_dot.
//
// Formula: bag b is the places j in [offsets[b], offsets[b + 1]) with index[j] != skip:
//   bag_sum       y[b] = s_b * sum over the bag of factor[j] * weight[index[j]]
//   bag_sum_bwd   grad_weight[v] = sum over j with index[j] = v of s_b * factor[j] * grad_y[b]
//   bag_dot       y[j] = grad_y[b] . weight[index[j]], 0 outside of the bags
//   s_b is 1, or with mean 1 / (the bag's places, at least 1); without factor it is 1.
// Layout: contiguous; weight (V, D), grad_y (B, D), offsets (B + 1,); float32, float64.
// Split: by bags; bag_sum_bwd by strips of columns, each of which one thread sums in the order of the
//   index: the same bits always.
// Working set: kColumns vectors of a row in registers, and the rows ahead that are asked for.
// Cost: reads the index once and each row that it names once (bag_sum_bwd: reads and writes), no row
//   between: 20000 rows of 128 float32 1700 -> 100 us (two Zen 5 cores, AVX-512).
// Accuracy: sums in the dtype, in the order of the index; a dot product in lanes.
// Limits: an index out of range answers kIndex, offsets that decrease or leave the index kShape.
#include "lists/embedding_bag.h"
#include "indices.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;  // elements read
// bag_sum's: rows ahead at the end of a block are asked for by the wrong thread, and the next block's
// first ones by none.
constexpr int64_t kLongBlock = 4 * kBlock;
constexpr int kColumns = 8;    // vectors of a row that are summed at a time
constexpr int64_t kAhead = 8;  // places; the rows lie anywhere, which no prefetcher foresees
constexpr int64_t kLeastStrip = 32;

struct Bags {
  const int64_t *index, *offsets;
  int64_t bags, n, width, skip;
};

// What the three share, checked: `table` has rows of the width, `per_bag` one a bag.
Status check(const Array& index, const Array& offsets, const Array* factor, int table_ndim,
             const int64_t* table, int per_bag_ndim, const int64_t* per_bag, int64_t skip,
             Bags* bags) {
  if (index.dtype != DType::kInt64 || offsets.dtype != DType::kInt64) return kNoDType;
  if (table_ndim != 2 || per_bag_ndim != 2 || table[1] != per_bag[1]) return {Code::kShape, {0, 0}};
  if (offsets.size != per_bag[0] + 1) return {Code::kShape, {2, 0}};
  if (factor && factor->data && factor->size != index.size) return {Code::kShape, {3, 0}};
  *bags = {as_index(index), as_index(offsets), per_bag[0], index.size, table[1], skip};
  int64_t last = 0;
  if (bags->offsets[0] != 0) return {Code::kShape, {2, 0}};
  for (int64_t b = 0; b <= bags->bags; ++b) {
    const int64_t at = bags->offsets[b];
    if (at < last || at > bags->n) return {Code::kShape, {2, b}};
    last = at;
  }
  return check_indices(index, table[0]);
}

template <class T>
T scale_of(const Bags& bags, int64_t b, bool mean) {
  if (!mean) return T(1);
  int64_t count = 0;
  for (int64_t j = bags.offsets[b]; j < bags.offsets[b + 1]; ++j) {
    count += bags.index[j] != bags.skip;
  }
  return T(1) / static_cast<T>(max64(count, 1));
}

// to = the bag's sum of `kVectors` vectors of the rows' columns from `column` on; the last vector has n
// lanes.
template <class T, int kVectors>
void sum_columns(const Bags& bags, int64_t b, const T* weight, const T* factor, T scale, T* to,
                 int64_t column, int64_t n) {
  constexpr int kL = kLanes<T>;
  Vec<T> sum[kVectors] = {};
  const int64_t end = bags.offsets[b + 1];
  for (int64_t j = bags.offsets[b]; j < end; ++j) {
    if (j + kAhead < bags.n) {
      const T* const row = weight + bags.index[j + kAhead] * bags.width + column;
#pragma GCC unroll 8
      for (int v = 0; v < kVectors; v += 64 / GS_VECTOR_BYTES) __builtin_prefetch(row + v * kL);
    }
    if (bags.index[j] == bags.skip) continue;
    const T* const row = weight + bags.index[j] * bags.width + column;
    const Vec<T> f = splat<T>(factor ? factor[j] : T(1));
#pragma GCC unroll 8
    for (int v = 0; v < kVectors; ++v) {
      const Vec<T> x =
          v + 1 == kVectors && n < kL ? load_n<T>(row + v * kL, n) : load<T>(row + v * kL);
      sum[v] += x * f;
    }
  }
#pragma GCC unroll 8
  for (int v = 0; v < kVectors; ++v) {
    if (v + 1 == kVectors && n < kL) {
      store_n<T>(to + column + v * kL, sum[v] * scale, n);
    } else {
      store<T>(to + column + v * kL, sum[v] * scale);
    }
  }
}

template <class T>
void sum_bags(const BagSumArgs& args, const Bags& bags) {
  constexpr int kL = kLanes<T>;
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  const T* const factor = reinterpret_cast<const T*>(args.factor.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const int64_t each = max64(bags.n / max64(bags.bags, 1), 1) * bags.width;
  parallel_for(bags.bags, max64(kLongBlock / max64(each, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const T scale = scale_of<T>(bags, b, args.mean);
      T* const to = y + b * bags.width;
      int64_t c = 0;
      for (; c + kColumns * kL <= bags.width; c += kColumns * kL) {
        sum_columns<T, kColumns>(bags, b, weight, factor, scale, to, c, kL);
      }
      for (; c + kColumns / 2 * kL <= bags.width; c += kColumns / 2 * kL) {
        sum_columns<T, kColumns / 2>(bags, b, weight, factor, scale, to, c, kL);
      }
      for (; c < bags.width; c += kL) {
        sum_columns<T, 1>(bags, b, weight, factor, scale, to, c, min64(kL, bags.width - c));
      }
    }
  });
}

template <class T>
void spread_bags(const BagSumBwdArgs& args, const Bags& bags) {
  constexpr int kL = kLanes<T>;
  const T* const grad = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const factor = reinterpret_cast<const T*>(args.factor.data);
  T* const out = reinterpret_cast<T*>(args.grad_weight.data);
  parallel_for(args.grad_weight.size, kBlock * 8, [&](int64_t begin, int64_t end) {
    __builtin_memset(out + begin, 0, static_cast<size_t>(end - begin) * sizeof(T));
  });
  const int64_t strip = max64(kLeastStrip, (bags.width + 15) / 16);
  const int64_t strips = (bags.width + strip - 1) / strip;
  const int64_t grain = max64(kBlock / max64(bags.n * strip, 1), 1);
  parallel_for(strips, grain, [&](int64_t begin, int64_t end) {
    const int64_t first = begin * strip, last = min64(end * strip, bags.width);
    for (int64_t b = 0; b < bags.bags; ++b) {
      const T scale = scale_of<T>(bags, b, args.mean);
      const T* const from = grad + b * bags.width;
      for (int64_t j = bags.offsets[b]; j < bags.offsets[b + 1]; ++j) {
        if (j + kAhead < bags.n) {
          __builtin_prefetch(out + bags.index[j + kAhead] * bags.width + first, 1);
        }
        if (bags.index[j] == bags.skip) continue;
        T* const to = out + bags.index[j] * bags.width;
        const T f = factor ? factor[j] * scale : scale;
        int64_t c = first;
        for (; c + kL <= last; c += kL) store<T>(to + c, load<T>(to + c) + load<T>(from + c) * f);
        for (; c < last; ++c) to[c] += from[c] * f;
      }
    }
  });
}

template <class T>
void dot_bags(const BagDotArgs& args, const Bags& bags) {
  constexpr int kL = kLanes<T>;
  const T* const grad = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const weight = reinterpret_cast<const T*>(args.weight.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  __builtin_memset(y, 0, static_cast<size_t>(bags.n) * sizeof(T));
  const int64_t each = max64(bags.n / max64(bags.bags, 1), 1) * bags.width;
  parallel_for(bags.bags, max64(kBlock / max64(each, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const T* const left = grad + b * bags.width;
      for (int64_t j = bags.offsets[b]; j < bags.offsets[b + 1]; ++j) {
        if (bags.index[j] == bags.skip) continue;
        const T* const right = weight + bags.index[j] * bags.width;
        Vec<T> sums{};
        int64_t c = 0;
        for (; c + kL <= bags.width; c += kL) sums += load<T>(left + c) * load<T>(right + c);
        T sum = T(0);
        for (int k = 0; k < kL; ++k) sum += sums[k];
        for (; c < bags.width; ++c) sum += left[c] * right[c];
        y[j] = sum;
      }
    }
  });
}

}  // namespace

Status bag_sum(const BagSumArgs& args) {
  const Array &w = args.weight, &y = args.y;
  Bags bags;
  const Status status = check(args.index, args.offsets, &args.factor, w.ndim, w.shape, y.ndim,
                              y.shape, args.skip, &bags);
  if (status.code != Code::kOk) return status;
  if (w.dtype == DType::kFloat32) {
    sum_bags<float>(args, bags);
  } else if (w.dtype == DType::kFloat64) {
    sum_bags<double>(args, bags);
  } else {
    return kNoDType;
  }
  return kDone;
}

Status bag_sum_bwd(const BagSumBwdArgs& args) {
  const Array &g = args.grad_y, &w = args.grad_weight;
  Bags bags;
  const Status status = check(args.index, args.offsets, &args.factor, w.ndim, w.shape, g.ndim,
                              g.shape, args.skip, &bags);
  if (status.code != Code::kOk) return status;
  if (g.dtype == DType::kFloat32) {
    spread_bags<float>(args, bags);
  } else if (g.dtype == DType::kFloat64) {
    spread_bags<double>(args, bags);
  } else {
    return kNoDType;
  }
  return kDone;
}

Status bag_dot(const BagDotArgs& args) {
  const Array &g = args.grad_y, &w = args.weight;
  Bags bags;
  const Status status =
      check(args.index, args.offsets, nullptr, w.ndim, w.shape, g.ndim, g.shape, args.skip, &bags);
  if (status.code != Code::kOk) return status;
  if (args.y.size != args.index.size) return {Code::kShape, {2, 0}};
  if (g.dtype == DType::kFloat32) {
    dot_bags<float>(args, bags);
  } else if (g.dtype == DType::kFloat64) {
    dot_bags<double>(args, bags);
  } else {
    return kNoDType;
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
