// Random kernels: dropout uniform normal bernoulli randint permutation.
//
// Formula   Philox4x32-10 (Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3",
//           SC 2011) with key = seed and counter = (offset + k, 0): four 32-bit words w[0..3] of
//           counter k. kernels/cpu/random.cpp has the whole recipe; every device gives the same
//           numbers: dropout's mask and uniform bit for bit, normal within the last bits of log and
//           sincospi.
//           dropout: y = x * scale where (word >> 8) >= limit, else 0, limit = ceil(p * 2^24).
//           uniform: u = (word >> 8) * 2^-24 (float32), 53 bits of two words (float64);
//           y = u * range + low, rounded twice.
//           bernoulli: 1 where (word >> 8) * 2^-24 < p. randint: low + the upper half of two words
//           times the range.
//           permutation: every place draws a bucket, the places are sorted by it (sort.cu), then a
//           bucket is shuffled by one thread.
//           normal: Box-Muller in float64 on pairs of elements, rounded once.
// Layout    contiguous. A counter gives four elements; two of float64 in uniform and normal.
// Split     grid-stride; a thread takes one counter and stores its elements as 16-byte vectors where
//           the arrays are aligned and the counter's elements are all there.
// Memory    no shared memory.
// Cost      20 32-bit multiplications (high and low half) a counter; writes y once, dropout reads x.
// Accuracy  see above; normal float32 is the float64 result rounded.
// Limits    none.
#include "common.cuh"
#include "philox.cuh"

using gs::int64;
using gs::philox;
using gs::uint64;
using gs::Words;

constexpr int kVectorBytes = 16;

__device__ __forceinline__ double fraction53(unsigned a, unsigned b) {
  return static_cast<double>((static_cast<int64>(a >> 5) << 26) + static_cast<int64>(b >> 6));
}

// Writes the kCount elements of one counter at y[i..], those below n.
template <class T, int kCount>
__device__ __forceinline__ void store(T* y, int64 i, int64 n, const T (&values)[kCount],
                                      int aligned) {
  constexpr int kLanes = kVectorBytes / sizeof(T);
  using Lanes = gs::Vector<T, kLanes>;
  if (aligned && i + kCount <= n) {
#pragma unroll
    for (int k = 0; k < kCount; k += kLanes) {
      Lanes v;
#pragma unroll
      for (int j = 0; j < kLanes; ++j) v.value[j] = values[k + j];
      *reinterpret_cast<Lanes*>(y + i + k) = v;
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kCount; ++k) {
    if (i + k < n) y[i + k] = values[k];
  }
}

// Reads the kCount elements of one counter at x[i..], those below n.
template <class T, int kCount>
__device__ __forceinline__ void load(const T* x, int64 i, int64 n, T (&values)[kCount],
                                     int aligned) {
  constexpr int kLanes = kVectorBytes / sizeof(T);
  using Lanes = gs::Vector<T, kLanes>;
  if (aligned && i + kCount <= n) {
#pragma unroll
    for (int k = 0; k < kCount; k += kLanes) {
      const Lanes v = *reinterpret_cast<const Lanes*>(x + i + k);
#pragma unroll
      for (int j = 0; j < kLanes; ++j) values[k + j] = v.value[j];
    }
    return;
  }
#pragma unroll
  for (int k = 0; k < kCount; ++k) values[k] = i + k < n ? x[i + k] : T(0);
}

// aligned: x and y begin at 16 bytes.
template <class T>
__global__ void dropout(const T* __restrict__ x, T* __restrict__ y, unsigned limit, T scale,
                        uint64 seed, uint64 offset, int64 n, int aligned) {
  for (int64 c = gs::grid_thread(); 4 * c < n; c += gs::grid_threads()) {
    const Words words = philox(seed, offset + static_cast<uint64>(c));
    T values[4];
    load(x, 4 * c, n, values, aligned);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      values[k] = (words.w[k] >> 8) >= limit ? values[k] * scale : T(0);
    }
    store(y, 4 * c, n, values, aligned);
  }
}

// ---- what a counter's words give -------------------------------------------------------------------------

struct Uniform {
  static __device__ __forceinline__ void draw(const Words& words, float low, float range,
                                              float (&values)[4]) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const float u = static_cast<float>(words.w[k] >> 8) * 0x1p-24f;
      values[k] = __fadd_rn(__fmul_rn(u, range), low);
    }
  }
  static __device__ __forceinline__ void draw(const Words& words, double low, double range,
                                              double (&values)[2]) {
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const double u = fraction53(words.w[2 * k], words.w[2 * k + 1]) * 0x1p-53;
      values[k] = __dadd_rn(__dmul_rn(u, range), low);
    }
  }
};

struct Normal {
  static __device__ __forceinline__ void pair(double u1, double u2, double mean, double std,
                                              double (&z)[2]) {
    const double r = sqrt(-2.0 * log(u1));
    double sine, cosine;
    sincospi(2.0 * u2, &sine, &cosine);
    z[0] = __dadd_rn(__dmul_rn(__dmul_rn(r, cosine), std), mean);
    z[1] = __dadd_rn(__dmul_rn(__dmul_rn(r, sine), std), mean);
  }
  static __device__ __forceinline__ void draw(const Words& words, double mean, double std,
                                              float (&values)[4]) {
#pragma unroll
    for (int k = 0; k < 4; k += 2) {
      double z[2];
      pair((static_cast<double>(words.w[k]) + 1.0) * 0x1p-32,
           static_cast<double>(words.w[k + 1]) * 0x1p-32, mean, std, z);
      values[k] = static_cast<float>(z[0]);
      values[k + 1] = static_cast<float>(z[1]);
    }
  }
  static __device__ __forceinline__ void draw(const Words& words, double mean, double std,
                                              double (&values)[2]) {
    pair((fraction53(words.w[0], words.w[1]) + 1.0) * 0x1p-53,
         fraction53(words.w[2], words.w[3]) * 0x1p-53, mean, std, values);
  }
};

// y filled with numbers of a distribution of two parameters of type P.
template <class Distribution, class T, class P>
__global__ void random_fill(T* __restrict__ y, P first, P second, uint64 seed, uint64 offset,
                            int64 n) {
  constexpr int kCount = sizeof(T) == 4 ? 4 : 2;
  for (int64 c = gs::grid_thread(); kCount * c < n; c += gs::grid_threads()) {
    T values[kCount];
    Distribution::draw(philox(seed, offset + static_cast<uint64>(c)), first, second, values);
    store(y, kCount * c, n, values, 1);
  }
}

template <class T>
__global__ void bernoulli(const T* __restrict__ p, T* __restrict__ y, uint64 seed, uint64 offset,
                          int64 n, int aligned) {
  for (int64 c = gs::grid_thread(); 4 * c < n; c += gs::grid_threads()) {
    const Words words = philox(seed, offset + static_cast<uint64>(c));
    T values[4];
    load(p, 4 * c, n, values, aligned);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const double u = static_cast<double>(words.w[k] >> 8) * 0x1p-24;
      values[k] = u < static_cast<double>(values[k]) ? T(1) : T(0);
    }
    store(y, 4 * c, n, values, aligned);
  }
}

__global__ void randint(int64* __restrict__ y, int64 low, uint64 range, uint64 seed, uint64 offset,
                        int64 n) {
  for (int64 c = gs::grid_thread(); 2 * c < n; c += gs::grid_threads()) {
    const Words words = philox(seed, offset + static_cast<uint64>(c));
    int64 values[2];
#pragma unroll
    for (int k = 0; k < 2; ++k) {
      const uint64 word = static_cast<uint64>(words.w[2 * k + 1]) << 32 | words.w[2 * k];
      values[k] = static_cast<int64>(static_cast<uint64>(low) + __umul64hi(word, range));
    }
    store(y, 2 * c, n, values, 1);
  }
}

// ---- permutation --------------------------------------------------------------------------------------------

// keys[i] = the bucket that place i draws, of 2^bits.
__global__ void permutation_keys(int64* __restrict__ keys, int bits, uint64 seed, uint64 offset,
                                 int64 n) {
  for (int64 c = gs::grid_thread(); 4 * c < n; c += gs::grid_threads()) {
    const Words words = philox(seed, offset + static_cast<uint64>(c));
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      if (4 * c + k < n) keys[4 * c + k] = bits ? words.w[k] >> (32 - bits) : 0;
    }
  }
}

// edges[b] = how many of y, the places sorted by their buckets, lie in buckets before b.
__global__ void permutation_edges(const int64* __restrict__ keys, const int64* __restrict__ y,
                                  int64* __restrict__ edges, int64 buckets, int64 n) {
  for (int64 b = gs::grid_thread(); b <= buckets; b += gs::grid_threads()) {
    int64 low = 0, high = n;
    while (low < high) {
      const int64 middle = (low + high) / 2;
      if (keys[y[middle]] < b) {
        low = middle + 1;
      } else {
        high = middle;
      }
    }
    edges[b] = low;
  }
}

// A thread shuffles a bucket.
__global__ void permutation_shuffle(const int64* __restrict__ edges, int64* __restrict__ y,
                                    uint64 seed, uint64 base, int64 buckets) {
  for (int64 b = gs::grid_thread(); b < buckets; b += gs::grid_threads()) {
    const int64 s = edges[b], end = edges[b + 1];
    Words words = {};
    for (int64 p = s; p < end; ++p) {
      if (p == s || p % 2 == 0) words = philox(seed, base + static_cast<uint64>(p / 2));
      const uint64 word = p % 2 != 0 ? static_cast<uint64>(words.w[3]) << 32 | words.w[2]
                                     : static_cast<uint64>(words.w[1]) << 32 | words.w[0];
      const int64 r = s + static_cast<int64>(__umul64hi(word, static_cast<uint64>(p - s + 1)));
      if (p == s) continue;
      const int64 kept = y[p];
      y[p] = y[r];
      y[r] = kept;
    }
  }
}
