// float16 and bfloat16 in memory: types of their bits, converted by the rules of kernels/cpu/half.h.
//
// To float is exact; from it rounds to nearest, ties to even; a NaN stays a NaN.
#pragma once

namespace gs {

struct alignas(2) Half {
  unsigned short bits;
};
struct alignas(2) BFloat16 {
  unsigned short bits;
};

__device__ __forceinline__ float to_float(Half x) {
  const unsigned sign = (x.bits & 0x8000u) << 16;
  const unsigned magnitude = x.bits & 0x7fffu;
  if (magnitude >= 0x7c00u) {  // infinity; NaN, made quiet
    const unsigned quiet = magnitude > 0x7c00u ? 0x00400000u : 0u;
    return __uint_as_float(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13) | quiet);
  }
  // The exponent's bias is 15, not 127: a product by 2^112 moves it, subnormals too.
  const float scaled = __uint_as_float(magnitude << 13) * __uint_as_float(0x77800000u);
  return __uint_as_float(sign | __float_as_uint(scaled));
}

__device__ __forceinline__ float to_float(BFloat16 x) {
  return __uint_as_float(static_cast<unsigned>(x.bits) << 16);
}

__device__ __forceinline__ Half to_half(float x) {
  const unsigned bits = __float_as_uint(x);
  const unsigned sign = (bits >> 16) & 0x8000u;
  const unsigned magnitude = bits & 0x7fffffffu;
  unsigned result;
  if (magnitude > 0x7f800000u) {
    result = 0x7e00u | ((magnitude >> 13) & 0x3ffu);
  } else if (magnitude >= 0x477ff000u) {  // rounds to 65536 or beyond
    result = 0x7c00u;
  } else if (magnitude < 0x38800000u) {  // below 2^-14: the sum's last place is 2^-24
    result = __float_as_uint(__uint_as_float(magnitude) + 0.5f) - 0x3f000000u;
  } else {
    result = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  }
  return {static_cast<unsigned short>(sign | result)};
}

__device__ __forceinline__ BFloat16 to_bfloat16(float x) {
  const unsigned bits = __float_as_uint(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u) {
    return {static_cast<unsigned short>((bits >> 16) | 0x40u)};
  }
  return {static_cast<unsigned short>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
}

}  // namespace gs
