// Loops for measuring ceilings: multiply-adds on registers; read, copy and triad over memory.
//
// Split: one block a thread; each block has its own part of the memory and goes over it `rounds` times.
// Working set: what the caller gives, in equal parts; a part holds the arrays of the loop one behind the
// other, 256 bytes off a multiple of 4 KiB with the destination first, so that no load comes shortly
// behind a store whose address has the same low 12 bits.
// Cost: multiply-add: chains enough to hide its latency; memory: one vector a load or store, 8 a step.
// Limits: stores past the caches need vectors aligned to their width; on arm64 they are plain stores.
#include "ceilings.h"

#include "simd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kMostThreads = 256;
constexpr int kStep = 8;  // vectors a step
constexpr int64_t kPage = 4096 / sizeof(float);
constexpr int64_t kOff = 256 / sizeof(float);

// Independent chains, as many as registers allow with two operands beside them.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kChains = 24;
#else
constexpr int kChains = 12;
#endif

struct Part {
  const CeilingLoop* loop;
  int64_t length;  // elements of one array
  int64_t stride;  // elements from one array to the next
  int64_t part;    // elements from one block's memory to the next
  double* sums;    // what the loops came to, so that they are not left out
};

template <class T>
double multiply_add(int64_t rounds) {
  // A chain that starts at the fixed point, 1, would be a constant to a compiler that knows these.
  T factor = T(0.999), term = T(0.001);
  asm("" : "+m"(factor), "+m"(term));
  Vec<T> sum[kChains];
  const Vec<T> a = splat<T>(factor), b = splat<T>(term);
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) sum[i] = splat<T>(static_cast<T>(i));
  for (int64_t k = 0; k < rounds; ++k) {
#pragma GCC unroll 32
    for (int i = 0; i < kChains; ++i) sum[i] = sum[i] * a + b;
  }
  Vec<T> all{};
#pragma GCC unroll 32
  for (int i = 0; i < kChains; ++i) all += sum[i];
  double total = 0;
  for (int i = 0; i < kLanes<T>; ++i) total += static_cast<double>(all[i]);
  return total;
}

double read(const float* x, int64_t n, int64_t rounds) {
  constexpr int kN = kLanes<float>;
  Vec<float> sum[kStep] = {};
  for (int64_t r = 0; r < rounds; ++r) {
    for (int64_t i = 0; i < n; i += kStep * kN) {
#pragma GCC unroll 8
      for (int j = 0; j < kStep; ++j) sum[j] += load<float>(x + i + j * kN);
    }
  }
  double total = 0;
  for (int j = 0; j < kStep; ++j) {
    for (int i = 0; i < kN; ++i) total += static_cast<double>(sum[j][i]);
  }
  return total;
}

template <bool stream, bool triad>
void write(float* y, const float* x, const float* z, int64_t n, int64_t rounds) {
  constexpr int kN = kLanes<float>;
  const Vec<float> a = splat<float>(0.5f);
  for (int64_t r = 0; r < rounds; ++r) {
    for (int64_t i = 0; i < n; i += kStep * kN) {
#pragma GCC unroll 8
      for (int j = 0; j < kStep; ++j) {
        Vec<float> v = load<float>(x + i + j * kN);
        if constexpr (triad) v += a * load<float>(z + i + j * kN);
        if constexpr (stream) {
          store_stream<float>(y + i + j * kN, v);
        } else {
          store<float>(y + i + j * kN, v);
        }
      }
    }
  }
  if constexpr (stream) stream_fence();
}

void block(void* context, int64_t index) {
  const Part& part = *static_cast<const Part*>(context);
  const CeilingLoop& loop = *part.loop;
  float* const y = loop.memory + index * part.part;
  float *const x = y + part.stride, *const z = x + part.stride;
  const int64_t n = part.length, rounds = loop.rounds;
  double sum = 0;
  switch (loop.what) {
    case Ceiling::kFma32: sum = multiply_add<float>(rounds); break;
    case Ceiling::kFma64: sum = multiply_add<double>(rounds); break;
    case Ceiling::kRead: sum = read(y, n, rounds); break;
    case Ceiling::kCopy: write<false, false>(y, x, z, n, rounds); break;
    case Ceiling::kTriad: write<false, true>(y, x, z, n, rounds); break;
    case Ceiling::kCopyStream: write<true, false>(y, x, z, n, rounds); break;
    case Ceiling::kTriadStream: write<true, true>(y, x, z, n, rounds); break;
  }
  part.sums[index] = sum;
}

int arrays(Ceiling what) {
  switch (what) {
    case Ceiling::kFma32:
    case Ceiling::kFma64: return 0;
    case Ceiling::kRead: return 1;
    case Ceiling::kCopy:
    case Ceiling::kCopyStream: return 2;
    case Ceiling::kTriad:
    case Ceiling::kTriadStream: return 3;
  }
  return 0;
}

}  // namespace

double ceiling(const CeilingLoop& loop) {
  double sums[kMostThreads];
  if (loop.threads < 1 || loop.threads > kMostThreads) return 0;
  const int count = arrays(loop.what);
  Part part{&loop, 0, 0, 0, sums};
  double work = 2.0 * kChains * (loop.what == Ceiling::kFma64 ? kLanes<double> : kLanes<float>);
  if (count) {
    constexpr int64_t kUnit = kStep * kLanes<float>;
    part.part = loop.count / loop.threads / kPage * kPage;
    // The arrays and their gaps fit into the part.
    part.stride = (part.part / count - kOff) / kPage * kPage + kOff;
    if (count == 1) part.stride = part.part;
    part.length = (part.stride - (count > 1 ? kOff : 0)) / kUnit * kUnit;
    if (part.length <= 0) return 0;
    work = static_cast<double>(count) * sizeof(float) * static_cast<double>(part.length);
  }
  run_blocks(loop.threads, block, &part);
  return work * loop.threads * static_cast<double>(loop.rounds);
}

}  // namespace GS_ISA
}  // namespace gradsmith
