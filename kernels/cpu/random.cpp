// Random kernels: dropout uniform normal bernoulli randint permutation.
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
//   bernoulli: u as dropout's; 1 where u < p, in float64, else 0.
//   randint: n = offset + i / 2, words a = w[2 * (i % 2)] and b the one after it; low + the upper 64
//     bits of the 128-bit product of (b * 2^32 + a) and high - low.
//   permutation of n: bits = 0 for n <= 512, else the least (12 at most) with n / 2^bits <= 256. Place i
//     goes to bucket word >> (32 - bits), n = offset + i / 4, word w[i % 4]; the buckets one after another,
//     each in the order of i. Then within a bucket that begins at s, for p = s + 1, s + 2, ..: y[p] and
//     y[s + r] change places, r = the upper 64 bits of the product of p - s + 1 and b * 2^32 + a, of
//     the counter offset + (n + 3) / 4 + p / 2, a = w[2 * (p % 2)] (Rao 1961, Sandelius 1962, then Fisher &
//     Yates): uniform but for r's 2^-64.
// Split: a block is kBlock elements. Working set: kBatch counters' words (4 KB).
// Cost: about 10 rounds of 2 multiplications a 4 words; uniform writes y once; permutation writes y
//   twice, a bucket of it staying in cache the second time.
#include "lists/random.h"
#include "philox.h"
#include "rows.h"
#include "vector_math.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;  // elements, a multiple of 4
constexpr int64_t kBatch = 256;    // counters at a time

// Calls body(words, begin, n) for the batches that make up the elements [begin, end) of a block;
// `per_counter` elements come from one counter, and begin is a multiple of it.
template <class Body>
GS_INLINE void for_batches(uint64_t seed, uint64_t offset, int64_t begin, int64_t end,
                           int64_t per_counter, const Body& body) {
  uint32_t words[4 * kBatch] = {};  // a last vector reads beyond the counters asked for
  for (int64_t i = begin; i < end; i += kBatch * per_counter) {
    const int64_t n = min64(kBatch * per_counter, end - i);
    philox(seed, offset + static_cast<uint64_t>(i / per_counter), words,
           (n + per_counter - 1) / per_counter);
    body(words, i, n);
  }
}

// Two words a lane, the first in the low half.
GS_INLINE U64 load_pairs(const uint32_t* words) {
  U64 v;
  __builtin_memcpy(&v, words, sizeof(v));
  return v;
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

// Unsigned integers below 2^52 as float64, exactly: their bits below 2^52's exponent. (Before AVX-512
// there is no instruction for 64-bit integers.)
GS_INLINE Vec<double> to_double(U64 v) {
  return bit_cast<Vec<double>>(v | 0x4330000000000000u) - 0x1p52;
}

// ((low half >> 5) * 2^26 + (high half >> 6) + `more`) * 2^-53 of two words a lane.
GS_INLINE Vec<double> fraction53(U64 pair, double more) {
  const Vec<double> a = to_double((pair & 0xffffffffu) >> 5), b = to_double(pair >> 38);
  return (a * 0x1p26 + (b + more)) * 0x1p-53;
}

template <class T>
void dropout_typed(const DropoutArgs& args) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const double scaled = args.p * 16777216.0;
  auto limit = static_cast<IntOf<T>>(scaled);
  limit += static_cast<double>(limit) < scaled;
  const T scale = args.p < 1 ? static_cast<T>(1 / (1 - args.p)) : T(0);
  parallel_for(args.x.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(
        args.seed, args.offset, begin, end, 4, [&](const uint32_t* words, int64_t at, int64_t n) {
          for (int64_t i = 0; i < n; i += kLanes<T>) {
            constexpr IntOf<T> k24Bits = 0xffffff;  // a shift of int32 brings its sign along
            const IVec<T> kept = ((load_words<T>(words + i) >> 8) & k24Bits) >= limit;
            const int64_t m = min64(kLanes<T>, n - i);
            const T* const p = x + at + i;
            const Vec<T> v = m == kLanes<T> ? load<T>(p) : load_n<T>(p, m);
            store_up_to<T>(y + at + i, kept ? v * scale : Vec<T>{}, m);
          }
        });
  });
}

template <class T>
void bernoulli_typed(const BernoulliArgs& args) {
  const T* const p = reinterpret_cast<const T*>(args.p.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  parallel_for(args.p.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(args.seed, args.offset, begin, end, 4,
                [&](const uint32_t* words, int64_t at, int64_t n) {
                  for (int64_t i = 0; i < n; ++i) {
                    const double u = static_cast<double>(words[i] >> 8) * 0x1p-24;
                    y[at + i] = u < static_cast<double>(p[at + i]) ? T(1) : T(0);
                  }
                });
  });
}

void uniform_float(const RandomArgs& args) {
  float* const y = reinterpret_cast<float*>(args.y.data);
  const auto low = static_cast<float>(args.first);
  const auto range = static_cast<float>(args.second - args.first);
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(
        args.seed, args.offset, begin, end, 4, [&](const uint32_t* words, int64_t at, int64_t n) {
          for (int64_t i = 0; i < n; i += kLanes<float>) {
            const IVec<float> top = (load_words<float>(words + i) >> 8) & 0xffffff;
            const Vec<float> u = __builtin_convertvector(top, Vec<float>) * 0x1p-24f;
            store_up_to<float>(y + at + i, rounded(u * range) + low, min64(kLanes<float>, n - i));
          }
        });
  });
}

void uniform_double(const RandomArgs& args) {
  double* const y = reinterpret_cast<double*>(args.y.data);
  const double low = args.first, range = args.second - args.first;
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(
        args.seed, args.offset, begin, end, 2, [&](const uint32_t* words, int64_t at, int64_t n) {
          for (int64_t i = 0; i < n; i += kLanes64) {
            const Vec<double> u = fraction53(load_pairs(words + 2 * i), 0);
            store_up_to<double>(y + at + i, rounded(u * range) + low, min64(kLanes64, n - i));
          }
        });
  });
}

// Box-Muller: the normals of kLanes64 pairs, in float64, in the order of the elements.
GS_INLINE void box_muller(Vec<double> u1, Vec<double> u2, double mean, double std,
                          Vec<double> (&z)[2]) {
  const Vec<double> r = vsqrt(vlog<double>(u1) * -2.0);
  Vec<double> cosine, sine;
  vcos_sin_turns(u2, cosine, sine);
  const Vec<double> even = rounded(rounded(r * cosine) * std) + mean;
  const Vec<double> odd = rounded(rounded(r * sine) * std) + mean;
  interleave<double>(even, odd, z[0], z[1]);
}

template <class T>
void normal_typed(const RandomArgs& args) {
  T* const y = reinterpret_cast<T*>(args.y.data);
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(args.seed, args.offset, begin, end, sizeof(T) == 4 ? 4 : 2,
                [&](const uint32_t* words, int64_t at, int64_t n) {
                  for (int64_t i = 0; i < n; i += 2 * kLanes64) {
                    Vec<double> z[2], u1, u2;
                    if constexpr (sizeof(T) == 4) {
                      const U64 pairs = load_pairs(words + i);
                      u1 = (to_double(pairs & 0xffffffffu) + 1.0) * 0x1p-32;
                      u2 = to_double(pairs >> 32) * 0x1p-32;
                    } else {
                      // words 0 and 1 of each pair of elements, and words 2 and 3
                      const U64 a = load_pairs(words + 2 * i);
                      const U64 b = load_pairs(words + 2 * i + 2 * kLanes64);
                      IVec<uint64_t> even, odd;
#pragma GCC unroll 64
                      for (int k = 0; k < kLanes64; ++k) {
                        even[k] = 2 * k;
                        odd[k] = 2 * k + 1;
                      }
                      u1 = fraction53(shuffle<uint64_t>(a, b, even), 1);
                      u2 = fraction53(shuffle<uint64_t>(a, b, odd), 0);
                    }
                    box_muller(u1, u2, args.first, args.second, z);
                    T values[2 * kLanes64];
#pragma GCC unroll 64
                    for (int k = 0; k < 2 * kLanes64; ++k) {
                      values[k] = static_cast<T>(z[k / kLanes64][k % kLanes64]);
                    }
                    const int64_t m = min64(2 * kLanes64, n - i);
                    __builtin_memcpy(y + at + i, values, static_cast<size_t>(m) * sizeof(T));
                  }
                });
  });
}

// ---- permutation ----

constexpr int64_t kOneBucket = 512, kBucket = 256;
constexpr int kMostBits = 12;

int bucket_bits(int64_t n) {
  int bits = 0;
  while (n > kOneBucket && bits < kMostBits && (n >> bits) > kBucket) ++bits;
  return bits;
}

// Shuffles y[s .. s + n); `base`: the counter of position 0.
void shuffle_bucket(int64_t* y, int64_t s, int64_t n, uint64_t seed, uint64_t base) {
  uint32_t words[4 * kBatch];
  const int64_t end = s + n;
  for (int64_t first = s / 2 * 2; first < end; first += 2 * kBatch) {
    const int64_t last = min64(first + 2 * kBatch, end);
    philox(seed, base + static_cast<uint64_t>(first / 2), words, (last - first + 1) / 2);
    for (int64_t p = max64(first, s + 1); p < last; ++p) {
      const uint32_t* const w = words + 2 * (p - first);
      const uint64_t word = static_cast<uint64_t>(w[1]) << 32 | w[0];
      const auto product = static_cast<unsigned __int128>(word) * static_cast<uint64_t>(p - s + 1);
      const int64_t r = s + static_cast<int64_t>(product >> 64), kept = y[p];
      y[p] = y[r];
      y[r] = kept;
    }
  }
}

}  // namespace

Status permutation(const PermutationArgs& args) {
  const int64_t n = args.y.size;
  int64_t* const y = reinterpret_cast<int64_t*>(args.y.data);
  const int bits = bucket_bits(n);
  const uint64_t base = args.offset + (static_cast<uint64_t>(n) + 3) / 4;
  if (bits == 0) {
    for (int64_t i = 0; i < n; ++i) y[i] = i;
    if (n) shuffle_bucket(y, 0, n, args.seed, base);
    return kDone;
  }
  // Where each block's elements of each bucket begin: counted, then added up bucket by bucket.
  const int64_t buckets = int64_t{1} << bits;
  const int64_t block = max64(kBlock, 16 * buckets), blocks = (n + block - 1) / block;
  const auto count_bytes = static_cast<size_t>(blocks * buckets + 1) * sizeof(int64_t);
  const auto digit_bytes = static_cast<size_t>(n) * sizeof(uint16_t);
  int64_t* const counts = static_cast<int64_t*>(allocate(count_bytes));
  uint16_t* const digits = static_cast<uint16_t*>(allocate(digit_bytes));
  if (counts && digits) {
    parallel_for(n, block, [&](int64_t begin, int64_t end) {
      int64_t* const count = counts + begin / block * buckets;
      __builtin_memset(count, 0, static_cast<size_t>(buckets) * sizeof(int64_t));
      for_batches(args.seed, args.offset, begin, end, 4,
                  [&](const uint32_t* words, int64_t at, int64_t m) {
                    for (int64_t i = 0; i < m; ++i) {
                      const auto digit = static_cast<uint16_t>(words[i] >> (32 - bits));
                      digits[at + i] = digit;
                      ++count[digit];
                    }
                  });
    });
    int64_t before = 0;
    for (int64_t b = 0; b < buckets; ++b) {
      for (int64_t k = 0; k < blocks; ++k) {
        int64_t& count = counts[k * buckets + b];
        const int64_t here = count;
        count = before;
        before += here;
      }
    }
    parallel_for(n, block, [&](int64_t begin, int64_t end) {
      int64_t* const next = counts + begin / block * buckets;
      for (int64_t i = begin; i < end; ++i) y[next[digits[i]]++] = i;
    });
    // A bucket's place in the last block is where it ends by now.
    const int64_t* const ends = counts + (blocks - 1) * buckets;
    parallel_for(buckets, max64(kBlock / (n / buckets), 1), [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t s = b ? ends[b - 1] : 0;
        if (ends[b] > s) shuffle_bucket(y, s, ends[b] - s, args.seed, base);
      }
    });
  }
  const bool done = counts && digits;
  if (counts) release(counts, count_bytes);
  if (digits) release(digits, digit_bytes);
  if (!done) return {Code::kOutOfMemory, {static_cast<int64_t>(count_bytes + digit_bytes), 0}};
  return kDone;
}

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

Status bernoulli(const BernoulliArgs& args) {
  if (args.p.dtype == DType::kFloat32) {
    bernoulli_typed<float>(args);
    return kDone;
  }
  if (args.p.dtype == DType::kFloat64) {
    bernoulli_typed<double>(args);
    return kDone;
  }
  return kNoDType;
}

Status randint(const RandintArgs& args) {
  if (args.low >= args.high) return {Code::kShape, {1, 0}};
  int64_t* const y = reinterpret_cast<int64_t*>(args.y.data);
  const auto low = static_cast<uint64_t>(args.low);
  const uint64_t range = static_cast<uint64_t>(args.high) - low;
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    for_batches(
        args.seed, args.offset, begin, end, 2, [&](const uint32_t* words, int64_t at, int64_t n) {
          for (int64_t i = 0; i < n; ++i) {
            const uint64_t word = static_cast<uint64_t>(words[2 * i + 1]) << 32 | words[2 * i];
            const auto product = static_cast<unsigned __int128>(word) * range;
            y[at + i] = static_cast<int64_t>(low + static_cast<uint64_t>(product >> 64));
          }
        });
  });
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
