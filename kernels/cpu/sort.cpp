// Sorting: sort_order topk_order.
//
// Formula: the indices that sort each row (the last dimension), ascending or descending; equal elements
//   keep their order, NaN counts as larger than all others, -0 equals 0. topk_order gives the
//   first out_shape[-1] of them.
// Layout: contiguous; float32, float64, int64.
// Split: by rows.
// Working set: two buffers of a row's (key, index) pairs: 8 bytes each for float32, else 16.
// Cost: radix sort, a pass of 8 bits at a time, those in which all keys agree left out; insertion sort
//   of short rows. topk of few reads a row once and keeps them sorted (10 of 1000 float32: 1.7 us a
//   row on one Zen 5 core, formerly 4.8); of more, or where the row runs against it, the candidates are
//   narrowed digit by digit from the highest, then the k are sorted.
// Limits: float32 rows of less than 2^32 elements.
#include "lists/sort.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
constexpr int64_t kFew = 128;       // so many of topk are kept sorted while a row is read
constexpr int64_t kInsertion = 40;  // rows of at most so many are sorted by insertion

struct Narrow {
  uint32_t key, index;
};
struct Wide {
  uint64_t key;
  int64_t index;
};

// Keys whose order as unsigned numbers is the elements'.
GS_INLINE uint32_t key_of(float x) {
  if (x != x) return UINT32_MAX;
  const auto bits = bit_cast<uint32_t>(x + 0.0f);  // -0 becomes 0
  return bits & 0x80000000u ? ~bits : bits | 0x80000000u;
}
GS_INLINE uint64_t key_of(double x) {
  if (x != x) return UINT64_MAX;
  const auto bits = bit_cast<uint64_t>(x + 0.0);
  return bits >> 63 ? ~bits : bits | (uint64_t{1} << 63);
}
GS_INLINE uint64_t key_of(int64_t x) { return static_cast<uint64_t>(x) ^ (uint64_t{1} << 63); }

template <class Item>
void insertion_sort(Item* items, int64_t n) {
  for (int64_t i = 1; i < n; ++i) {
    const Item item = items[i];
    int64_t j = i;
    for (; j > 0 && item.key < items[j - 1].key; --j) items[j] = items[j - 1];
    items[j] = item;
  }
}

// Sorts items by key, stably; the result is in `items` or in `other`, which is returned.
template <class Item>
Item* radix_sort(Item* items, Item* other, int64_t n) {
  if (n <= kInsertion) {
    insertion_sort(items, n);
    return items;
  }
  using Key = decltype(items->key);
  constexpr int kDigits = sizeof(Key);
  int64_t counts[kDigits][256] = {};
  for (int64_t i = 0; i < n; ++i) {
    const Key key = items[i].key;
#pragma GCC unroll 8
    for (int d = 0; d < kDigits; ++d) ++counts[d][key >> (8 * d) & 255];
  }
  for (int d = 0; d < kDigits; ++d) {
    int64_t* const count = counts[d];
    if (count[items[0].key >> (8 * d) & 255] == n) continue;
    int64_t before = 0;
    for (int b = 0; b < 256; ++b) {
      const int64_t c = count[b];
      count[b] = before;
      before += c;
    }
    for (int64_t i = 0; i < n; ++i) other[count[items[i].key >> (8 * d) & 255]++] = items[i];
    Item* const swap = items;
    items = other;
    other = swap;
  }
  return items;
}

template <class Item, class T>
Status sort_rows(const Array& x, const Array& indices, bool descending) {
  using Key = decltype(Item{}.key);
  using Index = decltype(Item{}.index);
  const int64_t n = x.shape[x.ndim - 1], rows = x.size / n;
  const T* const from = reinterpret_cast<const T*>(x.data);
  int64_t* const out = reinterpret_cast<int64_t*>(indices.data);
  const Key flip = descending ? ~Key{0} : Key{0};
  const auto bytes = static_cast<size_t>(2 * n) * sizeof(Item);
  bool failed = false;
  parallel_for(rows, max64(kBlock / 4 / n, 1), [&](int64_t begin, int64_t end) {
    Item* const items = static_cast<Item*>(thread_scratch(bytes));
    if (!items) {
      __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t row = begin; row < end; ++row) {
      for (int64_t i = 0; i < n; ++i) {
        items[i] = {key_of(from[row * n + i]) ^ flip, static_cast<Index>(i)};
      }
      const Item* const sorted = radix_sort(items, items + n, n);
      for (int64_t i = 0; i < n; ++i) {
        out[row * n + i] = static_cast<int64_t>(sorted[i].index);
      }
    }
  });
  return failed ? Status{Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}} : kDone;
}

// Lanes whose order as signed integers is the elements'.
template <class T>
GS_INLINE auto ordered(const T* p) {
  if constexpr (std::is_same_v<T, int64_t>) {
    return bit_cast<IVec<double>>(load<int64_t>(p));
  } else {
    constexpr int kShift = 8 * sizeof(T) - 1;
    constexpr IntOf<T> kMost = ~(IntOf<T>(1) << kShift);
    const Vec<T> x = load<T>(p) + T(0);  // -0 becomes 0
    const IVec<T> bits = bit_cast<IVec<T>>(x);
    return x == x ? bits ^ ((bits >> kShift) & kMost) : kMost - IVec<T>{};
  }
}

// The first k of a row in sorted order, in `items`: one pass, in which few elements come before the k-th
// of those so far. False: more than few do, and items is unfinished.
template <class Item, class T>
bool first_of_row(const T* row, int64_t n, int64_t k, decltype(Item{}.key) flip, Item* items) {
  using Key = decltype(Item{}.key);
  using Index = decltype(Item{}.index);
  using Lane = std::make_signed_t<Key>;
  constexpr int64_t kL = GS_VECTOR_BYTES / sizeof(Key);
  int64_t budget = n / 8 + 8 * k, count = 0;
  const auto take = [&](int64_t i) {
    const Key key = key_of(row[i]) ^ flip;
    if (count == k && key >= items[k - 1].key) return;
    int64_t j = count < k ? count++ : k - 1;
    for (; j > 0 && key < items[j - 1].key; --j) items[j] = items[j - 1];
    items[j] = {key, static_cast<Index>(i)};
    --budget;
  };
  int64_t i = 0;
  for (; i < min64(k, n); ++i) take(i);
  constexpr Key kSign = Key{1} << (8 * sizeof(Key) - 1);
  for (; i + kL <= n; i += kL) {
    const auto limit = static_cast<Lane>(items[k - 1].key ^ kSign);
    const auto before = (ordered<T>(row + i) ^ static_cast<Lane>(flip)) < limit;
    if (!any_lane<std::conditional_t<sizeof(Key) == 4, float, double>>(before)) continue;
    Lane hits[kL];
    __builtin_memcpy(hits, &before, sizeof(hits));
    for (int64_t lane = 0; lane < kL; ++lane) {
      if (hits[lane]) take(i + lane);
    }
    if (budget < 0) return false;
  }
  for (; i < n; ++i) take(i);
  return true;
}

// The k-th smallest key, counted from 1; `keys` is used up. *smaller: how many are smaller than it.
template <class Key>
Key select_key(Key* keys, int64_t n, int64_t k, int64_t* smaller) {
  Key found = 0;
  *smaller = 0;
  for (int d = sizeof(Key) - 1; d >= 0; --d) {
    int64_t counts[256] = {};
    for (int64_t i = 0; i < n; ++i) ++counts[keys[i] >> (8 * d) & 255];
    int bucket = 0;
    for (; counts[bucket] < k; ++bucket) {
      k -= counts[bucket];
      *smaller += counts[bucket];
    }
    found |= static_cast<Key>(bucket) << (8 * d);
    if (counts[bucket] == n) continue;
    int64_t kept = 0;
    for (int64_t i = 0; i < n; ++i) {
      keys[kept] = keys[i];
      kept += (keys[i] >> (8 * d) & 255) == static_cast<Key>(bucket);
    }
    n = kept;
  }
  return found;
}

template <class Item, class T>
Status topk_rows(const Array& x, const Array& indices, bool largest) {
  using Key = decltype(Item{}.key);
  using Index = decltype(Item{}.index);
  const int64_t n = x.shape[x.ndim - 1], rows = x.size / n;
  const int64_t k = indices.shape[indices.ndim - 1];
  const T* const from = reinterpret_cast<const T*>(x.data);
  int64_t* const out = reinterpret_cast<int64_t*>(indices.data);
  const Key flip = largest ? ~Key{0} : Key{0};
  const auto bytes =
      static_cast<size_t>(2 * n) * sizeof(Key) + static_cast<size_t>(2 * k) * sizeof(Item);
  bool failed = false;
  parallel_for(rows, max64(kBlock / 4 / n, 1), [&](int64_t begin, int64_t end) {
    Item* const items = static_cast<Item*>(thread_scratch(bytes));
    if (!items) {
      __atomic_store_n(&failed, true, __ATOMIC_RELAXED);
      return;
    }
    Key* const keys = reinterpret_cast<Key*>(items + 2 * k);
    for (int64_t row = begin; row < end; ++row) {
      if (k <= kFew && k * 4 <= n && first_of_row<Item, T>(from + row * n, n, k, flip, items)) {
        for (int64_t i = 0; i < k; ++i) out[row * k + i] = static_cast<int64_t>(items[i].index);
        continue;
      }
      for (int64_t i = 0; i < n; ++i) keys[i] = keys[n + i] = key_of(from[row * n + i]) ^ flip;
      int64_t smaller;
      const Key last = select_key(keys + n, n, k, &smaller);
      int64_t equal = k - smaller, count = 0;
      for (int64_t i = 0; i < n && count < k; ++i) {
        if (keys[i] > last || (keys[i] == last && equal == 0)) continue;
        equal -= keys[i] == last;
        items[count++] = {keys[i], static_cast<Index>(i)};
      }
      const Item* const sorted = radix_sort(items, items + k, k);
      for (int64_t i = 0; i < k; ++i) {
        out[row * k + i] = static_cast<int64_t>(sorted[i].index);
      }
    }
  });
  return failed ? Status{Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}} : kDone;
}

}  // namespace

Status sort_order(const SortOrderArgs& args) {
  const Array& x = args.x;
  if (x.ndim == 0) return {Code::kShape, {0, 0}};
  if (x.size == 0) return kDone;
  if (x.shape[x.ndim - 1] > UINT32_MAX) return {Code::kShape, {0, x.ndim - 1}};
  switch (x.dtype) {
    case DType::kFloat32: return sort_rows<Narrow, float>(x, args.indices, args.descending);
    case DType::kFloat64: return sort_rows<Wide, double>(x, args.indices, args.descending);
    case DType::kInt64: return sort_rows<Wide, int64_t>(x, args.indices, args.descending);
    default: return kNoDType;
  }
}

Status topk_order(const TopkOrderArgs& args) {
  const Array &x = args.x, &indices = args.indices;
  if (x.ndim == 0 || indices.ndim != x.ndim) return {Code::kShape, {0, 0}};
  for (int d = 0; d < x.ndim; ++d) {
    const bool last = d == x.ndim - 1;
    if (last ? indices.shape[d] > x.shape[d] : indices.shape[d] != x.shape[d]) {
      return {Code::kShape, {0, d}};
    }
  }
  if (indices.size == 0) return kDone;
  if (x.shape[x.ndim - 1] > UINT32_MAX) return {Code::kShape, {0, x.ndim - 1}};
  switch (x.dtype) {
    case DType::kFloat32: return topk_rows<Narrow, float>(x, indices, args.largest);
    case DType::kFloat64: return topk_rows<Wide, double>(x, indices, args.largest);
    case DType::kInt64: return topk_rows<Wide, int64_t>(x, indices, args.largest);
    default: return kNoDType;
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
