// Random kernels: dropout uniform normal.
//
// Generator: Philox4x32-10 (Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2,
//   3", SC 2011). Every device must give the same numbers; this is the recipe:
//   key      = (seed's low 32 bits, seed's high 32 bits)
//   counter  = (n's low 32 bits, n's high 32 bits, 0, 0), n a 64-bit number that wraps around
//   words    = w[0..3] = Philox4x32-10(counter, key)
//   Element i of the result, in C order:
//   dropout, float32 and float64: n = offset + i / 4, word w[i % 4];
//     u = (word >> 8) * 2^-24; y = u >= p ? x * scale : 0, scale = 1 / (1 - p) rounded to x's type
//     from float64. (Exactly: kept where (word >> 8) >= ceil(p * 2^24). A dropped NaN gives 0.)
//   uniform float32: n = offset + i / 4, word w[i % 4]; u = (word >> 8) * 2^-24 in float32.
//   uniform float64: n = offset + i / 2, a = w[2 * (i % 2)], b = w[2 * (i % 2) + 1];
//     u = ((a >> 5) * 2^26 + (b >> 6)) * 2^-53.
//     y = u * (high - low) + low in the result's type, the difference taken in float64 and rounded
//     to it; the product is rounded before the sum (no fused multiply-add).
//   normal float32: pairs of elements; n = offset + i / 4, a = w[i % 4 with its last bit cleared],
//     b = the word after it; u1 = (a + 1) * 2^-32, u2 = b * 2^-32, in float64.
//   normal float64: n = offset + i / 2; u1 = ((w[0] >> 5) * 2^26 + (w[1] >> 6) + 1) * 2^-53,
//     u2 = ((w[2] >> 5) * 2^26 + (w[3] >> 6)) * 2^-53.
//     r = sqrt(-2 ln u1); z = r cos(2 pi u2) where i is even, r sin(2 pi u2) where it is odd
//     (Box-Muller); y = z * std + mean. All of it in float64, rounded once to float32: so devices
//     whose log and cos differ in the last bit still agree on nearly every float32.
// Split: a block is kBlock elements. Working set: kBatch counters' words (4 KB).
// Cost: about 10 rounds of 2 multiplications a 4 words; uniform writes y once.
#include "kernels.h"
#include "strided.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;  // elements, a multiple of 4
constexpr int64_t kBatch = 256;    // counters at a time

typedef uint64_t U64 __attribute__((vector_size(GS_VECTOR_BYTES)));
constexpr int kLanes64 = GS_VECTOR_BYTES / 8;

// The 64-bit products of the lanes' low 32 bits: the compiler makes a full 64-bit product of a * m.
GS_INLINE U64 multiply_low(U64 a, U64 m) {
#if defined(__AVX512F__)
  return (U64)_mm512_maskz_mul_epu32(0xff, (__m512i)a, (__m512i)m);
#elif defined(__AVX2__)
  return (U64)_mm256_mul_epu32((__m256i)a, (__m256i)m);
#elif defined(__x86_64__)
  return (U64)_mm_mul_epu32((__m128i)a, (__m128i)m);
#else
  return (a & 0xffffffffu) * m;
#endif
}

// words[4 * k ..] = Philox4x32-10 of counter n + k, for k in [0, count); count is rounded up to the
// lanes: `words` has room for that.
void philox(uint64_t seed, uint64_t n, uint32_t* words, int64_t count) {
  constexpr uint64_t kLow = 0xffffffffu;
  U64 lane{};
  for (int i = 0; i < kLanes64; ++i) lane[i] = static_cast<uint64_t>(i);
  const U64 m0 = lane * 0 + 0xD2511F53u, m1 = lane * 0 + 0xCD9E8D57u;
  for (int64_t k = 0; k < count; k += kLanes64) {
    const U64 counter = lane + (n + static_cast<uint64_t>(k));
    // The high halves of the lanes are not cleared between rounds: multiply_low ignores them.
    U64 c0 = counter, c1 = counter >> 32, c2{}, c3{};
    uint32_t key0 = static_cast<uint32_t>(seed), key1 = static_cast<uint32_t>(seed >> 32);
#pragma GCC unroll 10
    for (int round = 0; round < 10; ++round) {
      const U64 product0 = multiply_low(c0, m0), product1 = multiply_low(c2, m1);
      c0 = (product1 >> 32) ^ c1 ^ key0;
      c1 = product1;
      c2 = (product0 >> 32) ^ c3 ^ key1;
      c3 = product0;
      key0 += 0x9E3779B9u;
      key1 += 0xBB67AE85u;
    }
    const U64 first = (c0 & kLow) | (c1 << 32), second = (c2 & kLow) | (c3 << 32);
    for (int i = 0; i < kLanes64; ++i) {
      const uint64_t pair[2] = {first[i], second[i]};
      __builtin_memcpy(words + 4 * (k + i), pair, sizeof(pair));
    }
  }
}

// Calls body(words, begin, n) for the batches that make up the elements [begin, end) of a block;
// `per_counter` elements come from one counter, and begin is a multiple of it.
template <class Body>
GS_INLINE void for_batches(uint64_t seed, uint64_t offset, int64_t begin, int64_t end,
                           int64_t per_counter, const Body& body) {
  uint32_t words[4 * kBatch];
  for (int64_t i = begin; i < end; i += kBatch * per_counter) {
    const int64_t n = min64(kBatch * per_counter, end - i);
    philox(seed, offset + static_cast<uint64_t>(i / per_counter), words,
           (n + per_counter - 1) / per_counter);
    body(words, i, n);
  }
}

// Keeps the compiler from fusing a product with the sum it goes into.
template <class T>
GS_INLINE T rounded(T x) {
#if defined(__AVX512F__)
  asm("" : "+v"(x));
#elif defined(__x86_64__)
  asm("" : "+x"(x));
#else
  asm("" : "+w"(x));
#endif
  return x;
}

GS_INLINE double fraction53(uint32_t a, uint32_t b) {
  return static_cast<double>((static_cast<int64_t>(a >> 5) << 26) + static_cast<int64_t>(b >> 6));
}

template <class T>
void dropout_typed(const DropoutArgs& args) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const double scaled = args.p * 16777216.0;
  auto limit = static_cast<uint32_t>(scaled);
  limit += static_cast<double>(limit) < scaled;
  const T scale = args.p < 1 ? static_cast<T>(1 / (1 - args.p)) : T(0);
  parallel_for(args.x.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(args.seed, args.offset, begin, end, 4,
                [&](const uint32_t* words, int64_t at, int64_t n) {
                  for (int64_t i = 0; i < n; ++i) {
                    y[at + i] = (words[i] >> 8) >= limit ? x[at + i] * scale : T(0);
                  }
                });
  });
}

void uniform_float(const RandomArgs& args) {
  float* const y = reinterpret_cast<float*>(args.y.data);
  const auto low = static_cast<float>(args.first);
  const auto range = static_cast<float>(args.second - args.first);
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(args.seed, args.offset, begin, end, 4,
                [&](const uint32_t* words, int64_t at, int64_t n) {
                  for (int64_t i = 0; i < n; ++i) {
                    const float u = static_cast<float>(static_cast<int32_t>(words[i] >> 8)) * 0x1p-24f;
                    y[at + i] = rounded(u * range) + low;
                  }
                });
  });
}

void uniform_double(const RandomArgs& args) {
  double* const y = reinterpret_cast<double*>(args.y.data);
  const double low = args.first, range = args.second - args.first;
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(args.seed, args.offset, begin, end, 2,
                [&](const uint32_t* words, int64_t at, int64_t n) {
                  for (int64_t i = 0; i < n; ++i) {
                    const double u = fraction53(words[2 * i], words[2 * i + 1]) * 0x1p-53;
                    y[at + i] = rounded(u * range) + low;
                  }
                });
  });
}

// Box-Muller for kLanes pairs.
GS_INLINE void box_muller(const double* u1, const double* u2, double mean, double std, double* z) {
  const Vec<double> r = vsqrt(vlog<double>(load<double>(u1)) * -2.0);
  Vec<double> cosine, sine;
  vcos_sin_turns(load<double>(u2), cosine, sine);
  const Vec<double> even = rounded(rounded(r * cosine) * std) + mean;
  const Vec<double> odd = rounded(rounded(r * sine) * std) + mean;
  for (int i = 0; i < kLanes<double>; ++i) {
    z[2 * i] = even[i];
    z[2 * i + 1] = odd[i];
  }
}

template <class T>
void normal_typed(const RandomArgs& args) {
  T* const y = reinterpret_cast<T*>(args.y.data);
  constexpr int64_t kPerCounter = sizeof(T) == 4 ? 4 : 2;
  constexpr int64_t kPairs = kLanes<double>;
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(args.seed, args.offset, begin, end, kPerCounter,
                [&](const uint32_t* words, int64_t at, int64_t n) {
                  for (int64_t i = 0; i < n; i += 2 * kPairs) {
                    double u1[kPairs], u2[kPairs], z[2 * kPairs];
                    const int64_t pairs = min64(kPairs, (n - i + 1) / 2);
                    for (int64_t j = 0; j < kPairs; ++j) {
                      u1[j] = u2[j] = 1;
                      if (j >= pairs) continue;
                      if (sizeof(T) == 4) {
                        const uint32_t* const w = words + i + 2 * j;
                        u1[j] = (static_cast<double>(w[0]) + 1) * 0x1p-32;
                        u2[j] = static_cast<double>(w[1]) * 0x1p-32;
                      } else {
                        const uint32_t* const w = words + 2 * (i + 2 * j);
                        u1[j] = (fraction53(w[0], w[1]) + 1) * 0x1p-53;
                        u2[j] = fraction53(w[2], w[3]) * 0x1p-53;
                      }
                    }
                    box_muller(u1, u2, args.first, args.second, z);
                    const int64_t m = min64(2 * kPairs, n - i);
                    for (int64_t j = 0; j < m; ++j) y[at + i + j] = static_cast<T>(z[j]);
                  }
                });
  });
}

}  // namespace

Status dropout(const DropoutArgs& args) {
  if (!(args.p >= 0 && args.p <= 1)) return {Code::kShape, {1, 0}};
  if (args.x.dtype == DType::kFloat32) {
    dropout_typed<float>(args);
    return kDone;
  }
  if (args.x.dtype == DType::kFloat64) {
    dropout_typed<double>(args);
    return kDone;
  }
  return kNoDType;
}

Status uniform(const RandomArgs& args) {
  if (args.dtype == DType::kFloat32) {
    uniform_float(args);
    return kDone;
  }
  if (args.dtype == DType::kFloat64) {
    uniform_double(args);
    return kDone;
  }
  return kNoDType;
}

Status normal(const RandomArgs& args) {
  if (args.dtype == DType::kFloat32) {
    normal_typed<float>(args);
    return kDone;
  }
  if (args.dtype == DType::kFloat64) {
    normal_typed<double>(args);
    return kDone;
  }
  return kNoDType;
}

}  // namespace GS_ISA
}  // namespace gradsmith
