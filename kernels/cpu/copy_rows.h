// Rows of the copy kernels: one element's conversion, and a row of them from any stride to any other.
//
// Rows of neighbours, of one value and of neighbours backwards go by vectors; -O2 leaves plain loops
// scalar. Measured (2 cores of a Zen 5, AVX-512, GCC 12): flip of 6.4 MB 590 -> 190 us on one thread,
// of 3.1 MB of bools 1540 -> 130 on two; a scalar's gradient spread over 6.4 MB 540 -> 150 us.
#pragma once

#include "half.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// bool in memory: a type of its own, so that conversions to it can differ from uint8's.
struct Bool {
  uint8_t value;
};

template <class T>
constexpr bool kIsHalf = std::is_same_v<T, Half> || std::is_same_v<T, BFloat16>;

template <class To, class From>
GS_INLINE To convert(From x) {
  if constexpr (std::is_same_v<To, From>) {
    return x;
  } else if constexpr (kIsHalf<From>) {
    return convert<To>(to_float(x));
  } else if constexpr (std::is_same_v<From, Bool>) {
    return convert<To>(static_cast<int32_t>(x.value != 0));
  } else if constexpr (std::is_same_v<To, Bool>) {
    return Bool{static_cast<uint8_t>(x != From(0))};
  } else if constexpr (std::is_same_v<To, Half>) {
    return to_half(static_cast<float>(x));
  } else if constexpr (std::is_same_v<To, BFloat16>) {
    return to_bfloat16(static_cast<float>(x));
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    if constexpr (sizeof(To) < 4) {
      constexpr From kLimit = From(2147483648.0);
      return x >= -kLimit && x < kLimit ? static_cast<To>(static_cast<int32_t>(x)) : To(0);
    } else {
      // -lowest is a power of two, so exact in From; the largest To need not be.
      constexpr To kLowest =
          sizeof(To) == 4 ? static_cast<To>(INT32_MIN) : static_cast<To>(INT64_MIN);
      constexpr From kLimit = -static_cast<From>(kLowest);
      if (!(x >= -kLimit)) return kLowest;
      return x < kLimit ? static_cast<To>(x) : static_cast<To>(~kLowest);
    }
  } else {
    return static_cast<To>(x);
  }
}

// What carries the bits of an element of 4 or 8 bytes in a vector.
template <class D>
using Carrier = std::conditional_t<sizeof(D) == 4, float, double>;

// n neighbours at dst = value. By vectors: -O2 leaves such a loop scalar (22 against 60 GB/s).
template <class D>
GS_INLINE void fill_row(char* dst, D value, int64_t n) {
  int64_t i = 0;
  if constexpr (sizeof(D) >= 4) {
    using Bits = Carrier<D>;
    IntOf<Bits> bits;
    __builtin_memcpy(&bits, &value, sizeof(bits));
    const auto v = bit_cast<Vec<Bits>>(bits - IVec<Bits>{});
    if (reinterpret_cast<uintptr_t>(dst) % sizeof(D) == 0) {
      Bits* const to = reinterpret_cast<Bits*>(dst);
      for (; i + kLanes<Bits> <= n; i += kLanes<Bits>) store<Bits>(to + i, v);
    }
  }
  for (; i < n; ++i) store_one(dst + i * int64_t{sizeof(D)}, value);
}

// 16 bytes as elements of D, the last one first.
template <class D>
GS_INLINE void reverse_16(char* dst, const char* src) {
  typedef uint8_t Bytes __attribute__((vector_size(16)));
  Bytes v, places;
#pragma GCC unroll 16
  for (int k = 0; k < 16; ++k) {
    constexpr int kSize = sizeof(D);
    places[k] = static_cast<uint8_t>((15 - k) / kSize * kSize + k % kSize);
  }
  __builtin_memcpy(&v, src, 16);
#if defined(__SSSE3__)
  v = (Bytes)_mm_shuffle_epi8((__m128i)v, (__m128i)places);
#elif defined(__clang__)
  const Bytes given = v;
#pragma GCC unroll 16
  for (int k = 0; k < 16; ++k) v[k] = given[places[k]];
#else
  v = __builtin_shuffle(v, places);
#endif
  __builtin_memcpy(dst, &v, 16);
}

// n neighbours at dst = those that end at src, the last one first.
template <class D>
GS_INLINE void reverse_row(char* dst, const char* src, int64_t n) {
  int64_t i = 0;
  if constexpr (sizeof(D) < 4) {
    constexpr int64_t kSize = sizeof(D), kN = 16 / kSize;
    for (; i + 4 * kN <= n; i += 4 * kN) {
#pragma GCC unroll 4
      for (int64_t j = i; j < i + 4 * kN; j += kN) {
        reverse_16<D>(dst + j * kSize, src - (j + kN - 1) * kSize);
      }
    }
    for (; i < n && n >= kN; i += kN) {
      if (i > n - kN) i = n - kN;  // the last vector again covers some elements
      reverse_16<D>(dst + i * kSize, src - (i + kN - 1) * kSize);
    }
  }
  if constexpr (sizeof(D) >= 4) {
    using Bits = Carrier<D>;
    constexpr int kN = kLanes<Bits>;
    if (reinterpret_cast<uintptr_t>(dst) % sizeof(D) == 0 &&
        reinterpret_cast<uintptr_t>(src) % sizeof(D) == 0) {
      const IVec<Bits> backwards = kN - 1 - lane_numbers<Bits>();
      Bits* const to = reinterpret_cast<Bits*>(dst);
      const Bits* const from = reinterpret_cast<const Bits*>(src);
      // From the row's end: prefetchers follow loads that ascend.
      for (int64_t j = 0; j < n && n >= kN; j += kN) {
        if (j > n - kN) j = n - kN;  // the last vector again covers some elements
        const Vec<Bits> v = load<Bits>(from - (n - 1) + j);
        store<Bits>(to + (n - kN) - j, shuffle<Bits>(v, v, backwards));
        i = n;
      }
    }
  }
  for (; i < n; ++i) {
    store_one(dst + i * int64_t{sizeof(D)}, load_one<D>(src - i * int64_t{sizeof(D)}));
  }
}

// Elements [begin, end) of `to`: rows of n >= kLanes neighbours, one behind the other, each the last
// element first; row r begins at from + r * step bytes. begin is a multiple of kLanes, `to` aligned to the
// vector, and so is every store: a vector where a row ends takes from the next too (rows of 56 floats, 6.4
// MB, two Emerald Rapids cores: 366 us row by row, 241, past the caches 191).
template <class T>
GS_INLINE void reverse_rows(T* to, const char* from, int64_t step, int64_t n, int64_t begin,
                            int64_t end, bool stream) {
  constexpr int64_t kN = kLanes<T>;
  const IVec<T> lanes = lane_numbers<T>(), backwards = kN - 1 - lanes;
  const auto put = [&](int64_t i, Vec<T> v) {
    if (stream) {
      store_stream<T>(to + i, v);
    } else {
      store<T>(to + i, v);
    }
  };
  const auto row_at = [&](int64_t r) { return reinterpret_cast<const T*>(from + r * step); };
  int64_t r = begin / n, column = begin % n, i = begin;
  while (i + kN <= end) {
    const T* const row = row_at(r);
    for (; column + kN <= n && i + kN <= end; column += kN, i += kN) {
      const Vec<T> v = load<T>(row + n - kN - column);
      put(i, shuffle<T>(v, v, backwards));
    }
    if (i + kN > end) break;
    const int64_t left = n - column;  // of the row; the others are the next one's
    ++r;
    column = left ? kN - left : 0;
    if (left) {
      const IVec<T> pick = (static_cast<IntOf<T>>(left - 1) - lanes) & IntOf<T>{2 * kN - 1};
      put(i, shuffle<T>(load<T>(row), load<T>(row_at(r) + n - kN), pick));
      i += kN;
    }
  }
  for (; i < end; ++i, ++column) {
    if (column == n) {
      column = 0;
      ++r;
    }
    to[i] = row_at(r)[n - 1 - column];
  }
  if (stream) stream_fence();
}

// n bytes to dst, past the caches but for what shares a line with others.
GS_INLINE void copy_past(char* dst, const char* src, int64_t n) {
  constexpr int64_t kV = GS_VECTOR_BYTES, kAhead = 2048;
  const int64_t head = min64(n, -reinterpret_cast<intptr_t>(dst) & (kV - 1));
  __builtin_memcpy(dst, src, static_cast<size_t>(head));
  int64_t i = head;
  for (; i + 4 * kV <= n; i += 4 * kV) {
#pragma GCC unroll 4
    for (int u = 0; u < 4; ++u) {
      const char* const from = src + i + u * kV;
      __builtin_prefetch(from + kAhead);
      store_stream<uint8_t>(reinterpret_cast<uint8_t*>(dst + i + u * kV),
                            load<uint8_t>(reinterpret_cast<const uint8_t*>(from)));
    }
  }
  for (; i + kV <= n; i += kV) {
    store_stream<uint8_t>(reinterpret_cast<uint8_t*>(dst + i),
                          load<uint8_t>(reinterpret_cast<const uint8_t*>(src + i)));
  }
  if (i < n) __builtin_memcpy(dst + i, src + i, static_cast<size_t>(n - i));
}

// dst = n pairs of an element of a and one of b; aligned.
template <class T>
GS_INLINE void interleave_row(char* dst, const char* a, const char* b, int64_t n) {
  constexpr int64_t kN = kLanes<T>;
  T* const to = reinterpret_cast<T*>(dst);
  const T *const first = reinterpret_cast<const T*>(a), *const second =
                                                            reinterpret_cast<const T*>(b);
  int64_t i = 0;
  Vec<T> low, high;
  for (; i + kN <= n; i += kN) {
    interleave<T>(load<T>(first + i), load<T>(second + i), low, high);
    store<T>(to + 2 * i, low);
    store<T>(to + 2 * i + kN, high);
  }
  const int64_t left = n - i;
  if (left == 0) return;
  if (GS_VECTOR_BYTES < 32) {  // SSE has no masked loads
    for (; i < n; ++i) {
      to[2 * i] = first[i];
      to[2 * i + 1] = second[i];
    }
    return;
  }
  interleave<T>(load_n<T>(first + i, left), load_n<T>(second + i, left), low, high);
  if (2 * left < kN) {
    store_n<T>(to + 2 * i, low, 2 * left);
    return;
  }
  store<T>(to + 2 * i, low);
  if (2 * left > kN) store_n<T>(to + 2 * i + kN, high, 2 * left - kN);
}

// n neighbours at dst = every second element from src on; aligned.
template <class T>
GS_INLINE void halve_row(char* dst, const char* src, int64_t n) {
  T* const to = reinterpret_cast<T*>(dst);
  const T* const from = reinterpret_cast<const T*>(src);
  int64_t i = 0;
  for (; i + kLanes<T> <= n; i += kLanes<T>) {
    store<T>(to + i, load_lanes<T>(from + 2 * i, 2, kLanes<T>));
  }
  if (i < n) store_n<T>(to + i, load_lanes<T>(from + 2 * i, 2, n - i), n - i);
}

// The numbers whose conversion goes by vectors: of floats, integers and to bools.
template <class D, class S>
constexpr bool kConvertsByVectors = !std::is_same_v<D, S> && std::is_arithmetic_v<S> &&
                                    (std::is_arithmetic_v<D> || std::is_same_v<D, Bool>);

// Bytes that become wider numbers, by way of integers of that width.
template <class D, class S>
constexpr bool kWidensBytes = (std::is_same_v<S, uint8_t> || std::is_same_v<S, Bool>) &&
                              std::is_arithmetic_v<D> && sizeof(D) >= 4;

template <class D, class S>
GS_INLINE void widen_vector(char* dst, const char* src) {
  using I = std::conditional_t<sizeof(D) == 4, int32_t, int64_t>;
  Vec<I> whole = widen_bytes<I>(reinterpret_cast<const uint8_t*>(src));
  if constexpr (std::is_same_v<S, Bool>) whole = (Vec<I>)(whole != 0) & 1;
  const Vec<D> y = __builtin_convertvector(whole, Vec<D>);
  __builtin_memcpy(dst, &y, sizeof(y));
}

// kN elements at dst = those at src as D, as `convert` has them one by one.
template <class D, class S, int kN>
GS_INLINE void convert_vector(char* dst, const char* src) {
  typedef S From __attribute__((vector_size(kN * sizeof(S))));
  From x;
  __builtin_memcpy(&x, src, sizeof(x));
  using Raw = std::conditional_t<std::is_same_v<D, Bool>, uint8_t, D>;
  typedef Raw To __attribute__((vector_size(kN * sizeof(Raw))));
  To y;
  if constexpr (std::is_same_v<D, Bool>) {
    y = __builtin_convertvector(x != S(0), To) & 1;
  } else if constexpr (std::is_floating_point_v<S> && std::is_integral_v<D>) {
    // What int32 (int64) cannot hold is set apart, so that no lane's conversion is undefined.
    using I = std::conditional_t<sizeof(D) == 8, int64_t, int32_t>;
    typedef I Wide __attribute__((vector_size(kN * sizeof(I))));
    constexpr I kLowest = sizeof(I) == 4 ? static_cast<I>(INT32_MIN) : static_cast<I>(INT64_MIN);
    constexpr S kLimit = -static_cast<S>(kLowest);
    const auto above = x >= -kLimit, below = x < kLimit;
    Wide whole = __builtin_convertvector((above & below) != 0 ? x : From{}, Wide);
    if constexpr (sizeof(D) >= 4) {
      const Wide is_above = __builtin_convertvector(above, Wide);
      const Wide is_below = __builtin_convertvector(below, Wide);
      whole = is_below != 0 ? whole : ~kLowest - Wide{};
      whole = is_above != 0 ? whole : kLowest - Wide{};
    }
    y = __builtin_convertvector(whole, To);
  } else {
    y = __builtin_convertvector(x, To);
  }
  __builtin_memcpy(dst, &y, sizeof(y));
}

// n neighbours. By vectors: -O2 leaves such a loop scalar.
template <class D, class S>
GS_INLINE void convert_row(char* dst, const char* src, int64_t n) {
  int64_t i = 0;
  if constexpr (kWidensBytes<D, S>) {
    for (; i + kLanes<D> <= n; i += kLanes<D>) {
      widen_vector<D, S>(dst + i * int64_t{sizeof(D)}, src + i);
    }
  } else if constexpr (kConvertsByVectors<D, S>) {
    constexpr int64_t kWidest = sizeof(D) > sizeof(S) ? sizeof(D) : sizeof(S);
    constexpr int64_t kN = GS_VECTOR_BYTES / kWidest;
    for (; i + kN <= n; i += kN) {
      convert_vector<D, S, kN>(dst + i * int64_t{sizeof(D)}, src + i * int64_t{sizeof(S)});
    }
  }
  for (; i < n; ++i) {
    store_one(dst + i * int64_t{sizeof(D)}, convert<D>(load_one<S>(src + i * int64_t{sizeof(S)})));
  }
}

template <class D, class S>
void copy_row(char* dst, int64_t dst_stride, const char* src, int64_t src_stride, int64_t n) {
  if (dst_stride == sizeof(D) && src_stride == sizeof(S)) {
    if constexpr (std::is_same_v<D, S>) {
      if (n) __builtin_memcpy(dst, src, static_cast<size_t>(n) * sizeof(D));
    } else if constexpr (kIsHalf<S> && std::is_same_v<D, float>) {
      floats_of_row(reinterpret_cast<float*>(dst), reinterpret_cast<const S*>(src), n);
    } else if constexpr (kIsHalf<D> && std::is_same_v<S, float>) {
      row_of_floats(reinterpret_cast<D*>(dst), reinterpret_cast<const float*>(src), n);
    } else {
      convert_row<D, S>(dst, src, n);
    }
    return;
  }
  if (src_stride == 0) {
    if (n <= 0) return;
    const D value = convert<D>(load_one<S>(src));
    if (dst_stride == sizeof(D)) return fill_row<D>(dst, value, n);
    for (int64_t i = 0; i < n; ++i) store_one(dst + i * dst_stride, value);
    return;
  }
  if constexpr (std::is_same_v<D, S> && sizeof(D) == 4) {
    if (dst_stride == 4 && src_stride == 8 && n > 1 &&
        (reinterpret_cast<uintptr_t>(dst) | reinterpret_cast<uintptr_t>(src)) % 4 == 0) {
      return halve_row<float>(dst, src, n);
    }
  }
  if constexpr (std::is_same_v<D, S>) {
    constexpr int64_t kSize = sizeof(D);
    if (dst_stride == kSize && src_stride == -kSize) return reverse_row<D>(dst, src, n);
    if (dst_stride == -kSize && src_stride == kSize && n > 0) {  // flip's gradient
      const int64_t last = (n - 1) * kSize;
      return reverse_row<D>(dst - last, src + last, n);
    }
  }
  for (int64_t i = 0; i < n; ++i) {
    store_one(dst + i * dst_stride, convert<D>(load_one<S>(src + i * src_stride)));
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
