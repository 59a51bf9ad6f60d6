// Maxima and where they stood, a vector of them at a time: what the pooling kernels share.
//
// Split: none; a caller's vector is its own.
// Memory: two registers.
// Cost: a step is two comparisons and two blends.
#pragma once

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Maxima of several windows so far, and where they stood.
template <class T>
struct Maxima {
  Vec<T> value;
  IVec<T> at;

  // v where it is larger, or NaN: of equals the first stays, of NaNs the last.
  GS_INLINE void take(Vec<T> v, IVec<T> place) {
#if defined(__AVX512F__)
    if constexpr (sizeof(T) ==
                  4) {  // masks in mask registers: the compiler would widen their union
      const auto x = bit_cast<__m512>(v);
      const __mmask16 better =
          _kor_mask16(_mm512_cmp_ps_mask(x, bit_cast<__m512>(value), _CMP_GT_OQ),
                      _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q));
      value = bit_cast<Vec<T>>(_mm512_mask_mov_ps(bit_cast<__m512>(value), better, x));
      at = bit_cast<IVec<T>>(
          _mm512_mask_mov_epi32(bit_cast<__m512i>(at), better, bit_cast<__m512i>(place)));
      return;
    }
#endif
    const IVec<T> better = (v > value) | (v != v);
    value = better ? v : value;
    at = better ? place : at;
  }
};

// The lanes' maximum in value[0], and in at[0] where it stood: the first place of several, the last of NaN.
template <class T>
GS_INLINE void join_lanes(const Maxima<T>& best, T* value, IntOf<T>* at) {
  Vec<T> most = best.value;
  IVec<T> place = best.at;
  if (any_lane<T>(most != most)) {
    *at = -1;
    for (int i = 0; i < kLanes<T>; ++i) {
      if (most[i] == most[i] || place[i] < *at) continue;
      *value = most[i];
      *at = place[i];
    }
    return;
  }
#pragma GCC unroll 8
  for (int s = kLanes<T> / 2; s; s /= 2) {
    const IVec<T> other = lane_numbers<T>() ^ static_cast<IntOf<T>>(s);
    const Vec<T> v = shuffle<T>(most, most, other);
    const IVec<T> p =
        bit_cast<IVec<T>>(shuffle<T>(bit_cast<Vec<T>>(place), bit_cast<Vec<T>>(place), other));
    const IVec<T> better = (v > most) | ((v == most) & (p < place));
    most = better ? v : most;
    place = better ? p : place;
  }
  *value = most[0];
  *at = place[0];
}

// The maximum of n <= kLanes columns side by side, of each of which `values` and `places` (as T's bits) have the
// maximum and where it stood; kLanes elements are read.
template <class T>
GS_INLINE void join_columns(const T* values, const T* places, int64_t n, T* value, int32_t* index) {
  constexpr IntOf<T> kNowhere = sizeof(T) == 4 ? IntOf<T>(INT32_MAX) : IntOf<T>(INT64_MAX);
  const IVec<T> taken = lane_mask<T>(n);
  const Maxima<T> part{taken ? load<T>(values) : splat<T>(-T(__builtin_inf())),
                       taken ? bit_cast<IVec<T>>(load<T>(places)) : IVec<T>{} + kNowhere};
  IntOf<T> place;
  join_lanes<T>(part, value, &place);
  *index = static_cast<int32_t>(place);
}

// The same for two windows of up to kLanes / 2 columns, n and m of them, that begin `step` apart: half a vector
// each.
template <class T>
GS_INLINE void join_two(const T* values, const T* places, int64_t n, int64_t step, int64_t m,
                        T* value, int32_t* index) {
  constexpr int kN = kLanes<T>, kHalf = kN / 2;
  const IVec<T> lanes = lane_numbers<T>();
  const IVec<T> both = lanes < kHalf ? lanes : lanes + (kN - kHalf);
  const IVec<T> limit = IVec<T>{} + static_cast<IntOf<T>>(n);
  const IVec<T> taken =
      lanes < (lanes < kHalf ? limit : IVec<T>{} + static_cast<IntOf<T>>(m + kHalf));
  constexpr IntOf<T> kNowhere = sizeof(T) == 4 ? IntOf<T>(INT32_MAX) : IntOf<T>(INT64_MAX);
  Vec<T> most = shuffle<T>(load<T>(values), load<T>(values + step), both);
  IVec<T> place = bit_cast<IVec<T>>(shuffle<T>(load<T>(places), load<T>(places + step), both));
  most = taken ? most : splat<T>(-T(__builtin_inf()));
  place = taken ? place : IVec<T>{} + kNowhere;
  if (any_lane<T>(most != most)) {
    join_columns<T>(values, places, n, value, index);
    join_columns<T>(values + step, places + step, m, value + 1, index + 1);
    return;
  }
#pragma GCC unroll 8
  for (int s = kHalf / 2; s; s /= 2) {
    const IVec<T> other = lanes ^ static_cast<IntOf<T>>(s);
    const Vec<T> v = shuffle<T>(most, most, other);
    const IVec<T> p =
        bit_cast<IVec<T>>(shuffle<T>(bit_cast<Vec<T>>(place), bit_cast<Vec<T>>(place), other));
    const IVec<T> better = (v > most) | ((v == most) & (p < place));
    most = better ? v : most;
    place = better ? p : place;
  }
  value[0] = most[0];
  value[1] = most[kHalf];
  index[0] = static_cast<int32_t>(place[0]);
  index[1] = static_cast<int32_t>(place[kHalf]);
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
