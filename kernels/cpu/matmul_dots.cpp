// Products of very few rows by a matrix that is contiguous along the reduction (matmul_dots.h).
//
// Method     lanes along k, all rows of `a` by three of b's columns at a time: each of b's lines is loaded
//            once, into a register, and meets every row there. While three columns are multiplied the next
//            three are fetched: they lie far apart, and the processor fetches across neither columns nor pages.
//            8 x 2048 by 1000 columns, two cores of an Emerald Rapids: 260 us by the dot tiles of gemm.h, which
//            read b for every four rows, now 190.
// Split      stretches of columns, by the shape alone.
// Cache      at most 1.5 kDepth elements of a's rows, copied side by side (24 KB), three columns and the
//            next three (18 KB): L1.
// Memory     those rows of `a`, a thread.
// Cost       2 M N K FLOPs; b is read once. A step of all lanes: 3 + M loads for 3 M multiply-adds.
// Accuracy   a chain of 1.5 kDepth / lanes multiply-adds a lane, at most, the lanes added in a fixed order, the
//            stretches of kDepth in order; the same bits for every number of threads.
#include "matmul_dots.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kRows =
    TileShape::kRows == 8 ? 8 : 4;  // of a tile: sums, columns and a row fill the registers
constexpr int kColumns = 3;
constexpr int64_t kDepthBytes = 2048;
constexpr int64_t kTasks = 16;
constexpr double kTaskWork = 1e6;  // FLOPs: about 5 us of a core

template <class T>
constexpr int64_t kTileSums = round_up(kRows * kColumns, kLanes<T>);

// Keeps a loaded vector in a register: else it is loaded anew for each multiply-add, and two loads a cycle bound them.
template <class T>
GS_INLINE void keep(Vec<T>& v) {
#if defined(__AVX512F__)
  asm("" : "+v"(v));
#elif defined(__x86_64__)
  asm("" : "+x"(v));
#endif
  (void)v;
}

// sums[i * kColumns + j] = a's row i (`pitch` from one to the next) by column j of b, over n elements, while what
// lies `ahead` of the columns is fetched (0: nothing).
template <class T, int MR>
__attribute__((noinline)) void tile(const T* a, int64_t pitch, const T* const* columns, int64_t n,
                                    int64_t ahead, T* sums) {
  constexpr int L = kLanes<T>, NJ = kColumns;
  const T* right[NJ];
#pragma GCC unroll 4
  for (int j = 0; j < NJ; ++j) right[j] = columns[j];
  constexpr int kSums = round_up(MR * NJ, L);
  Vec<T> sum[kSums];
#pragma GCC unroll 32
  for (int i = 0; i < kSums; ++i) sum[i] = Vec<T>{};
  const auto steps = [&](int64_t from, int64_t to, auto get, auto fetch)
                         __attribute__((always_inline)) {
#pragma GCC unroll 1
                           for (int64_t k = from; k < to; k += L) {
                             Vec<T> b[NJ];
#pragma GCC unroll 4
                             for (int j = 0; j < NJ; ++j) {
                               b[j] = get(right[j] + k);
                               if constexpr (fetch) __builtin_prefetch(right[j] + k + ahead);
                             }
#pragma GCC unroll 8
                             for (int i = 0; i < MR; ++i) {
                               Vec<T> x = get(a + i * pitch + k);
                               keep<T>(x);
#pragma GCC unroll 4
                               for (int j = 0; j < NJ; ++j) sum[i * NJ + j] += x * b[j];
                             }
                           }
                         };
  constexpr std::true_type kYes{};
  constexpr std::false_type kNo{};
  const auto all = [](const T* p) { return load(p); };
  const int64_t whole = n / L * L;
  if (ahead) {
    steps(0, whole, all, kYes);
  } else {
    steps(0, whole, all, kNo);
  }
  if (whole < n) steps(whole, n, [&](const T* p) { return load_n(p, n - whole); }, kNo);
#pragma GCC unroll 8
  for (int i = 0; i < kSums; i += L) store(sums + i, sum_lanes<T>(sum + i));
}

template <class T>
using DotRows = void (*)(const T*, int64_t, const T* const*, int64_t, int64_t, T*);

template <class T, int... I>
constexpr DotRows<T> pick(int rows, std::integer_sequence<int, I...>) {
  constexpr DotRows<T> kTable[] = {&tile<T, I + 1>...};
  return kTable[rows - 1];
}

// Columns [n0, n1) of y.
template <class T>
void columns_of(const FewRows<T>& p, int64_t n0, int64_t n1, int64_t most, T* own) {
  constexpr auto rows_of_tiles = std::make_integer_sequence<int, kRows>{};
  alignas(GS_VECTOR_BYTES) T sums[kTileSums<T>];
  for (int64_t k = 0; k < p.K; k += most) {
    const int64_t depth = min(most, p.K - k);
    for (int64_t m = 0; m < p.M; ++m) copy_run(own + m * most, p.a + m * p.a_row + k, depth);
    for (int64_t n = n0; n < n1; n += kColumns) {
      const int64_t count = min(kColumns, n1 - n);
      const T* columns[kColumns];
      for (int64_t j = 0; j < kColumns; ++j) {
        columns[j] = p.b + (n + min(j, count - 1)) * p.b_column + k;
      }
      for (int64_t m = 0; m < p.M; m += kRows) {
        const int rows = static_cast<int>(min(kRows, p.M - m));
        const bool fetch = m == 0 && n + 2 * kColumns <= n1;
        pick<T>(rows, rows_of_tiles)(own + m * most, most, columns, depth,
                                     fetch ? kColumns * p.b_column : 0, sums);
        for (int64_t i = 0; i < rows; ++i) {
          T* const y = p.y + (m + i) * p.N + n;
          for (int64_t j = 0; j < count; ++j) {
            const T before = k ? y[j] : p.bias ? p.bias[n + j] : T{};
            y[j] = before + sums[i * kColumns + j];
          }
        }
      }
    }
  }
}

template <class T>
size_t dots(const FewRows<T>& p) {
  constexpr int64_t L = kLanes<T>, kDepth = kDepthBytes / int64_t{sizeof(T)};
  const int64_t most = balanced(p.K, kDepth + kDepth / 2, 4 * L);
  const double work =
      2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  const int64_t tasks = clamp(static_cast<int64_t>(work / kTaskWork), 1, kTasks);
  const int64_t wide = balanced(p.N, ceil_div(p.N, tasks), kColumns);
  const size_t need = static_cast<size_t>(p.M * most) * sizeof(T);
  bool enough = true;
  parallel_for(ceil_div(p.N, wide), 1, [&](int64_t begin, int64_t end) {
    T* const own = static_cast<T*>(thread_scratch(need));
    if (!own) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n0 = i * wide, n1 = min(p.N, n0 + wide);
      columns_of(p, n0, n1, most, own);
      if (p.finish) p.finish(p.context, n0, n1);
    }
  });
  return enough ? 0 : need;
}

}  // namespace

size_t multiply_dots(const FewRows<float>& p) { return dots(p); }
size_t multiply_dots(const FewRows<double>& p) { return dots(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
