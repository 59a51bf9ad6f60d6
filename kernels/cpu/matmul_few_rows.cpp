// Products with few rows and much work (matmul_few_rows.h).
//
// multiply_few_rows  `b` is read once, in panels that a thread packs and at once multiplies: packing it
//                    beforehand would write and read all of it once more, reading it where it is misses the
//                    cache when rows are a large power of two apart.
// multiply_turned    A layer's x W^T as W x^T, whose left operand needs no packing; x^T (K x M) is packed.
//                    Sums of a block of columns are turned on the way out.
// Cost               2 M N K FLOPs; M K + K N elements are packed.
// Memory             a packed panel of b a thread, and all of a (or of x^T, one or one a thread).
// Split              blocks of columns of y, by the shape alone.
// Accuracy           chains of kChain multiply-adds whose sums are added in order, as in matmul.cpp.
#include "matmul_few_rows.h"

#include <atomic>

#include "matmul_direct.h"
#include "packed.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kDepth = kChain;
constexpr int64_t kTasks = 8;
constexpr double kTaskWork = 1e6;  // FLOPs: about 5 us of a core
// Each thread packs x^T for itself where there is little work or many columns a thread: what another core has
// just written comes more slowly than it is packed. Two cores of an Emerald Rapids: 32 rows, 400 -> 120 took
// 29 us (24 on one core), now 15; 128 rows, 784 -> 512 took 405 us, now 365.
constexpr double kApartWork = 7.5e6;
constexpr double kApartTask = 1.5e6;
constexpr int64_t kApartColumns = 64;       // a thread
constexpr int64_t kApartBytes = 512 << 10;  // of x^T: half of a core's L2, or less

// The call whose x^T is in this thread's scratch; 0: none's.
thread_local uint64_t packed_for = 0;
std::atomic<uint64_t> calls{0};

template <class T>
int64_t task_columns(const FewRows<T>& p, int64_t unit) {
  const double work =
      2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  const int64_t tasks =
      work < kTaskWork * kTasks ? max(1, static_cast<int64_t>(work / kTaskWork)) : kTasks;
  return balanced(p.N, ceil_div(p.N, tasks), unit);
}

template <class T>
size_t few_rows(const FewRows<T>& p) {
  constexpr int64_t kWidth = kPanelColumns<T>, kLine = 64 / sizeof(T);
  const int64_t steps = ceil_div(p.K, kDepth), left = left_elements<T>(p.M, kDepth);
  const size_t bytes = static_cast<size_t>(steps * left) * sizeof(T);
  T* const packed = static_cast<T*>(allocate(bytes));
  if (!packed) return bytes;
  parallel_for(steps, 1, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      pack_left(p.a + s * kDepth * p.a_column, p.a_row, p.a_column, p.M,
                min(kDepth, p.K - s * kDepth), packed + s * left);
    }
  });
  const int64_t columns = task_columns(p, kLanes<T>);
  const Panels panels(p.M);
  const size_t need = static_cast<size_t>(kDepth * kWidth) * sizeof(T);
  bool enough = true;
  parallel_for(ceil_div(p.N, columns), 1, [&](int64_t begin, int64_t end) {
    T* const own = static_cast<T*>(thread_scratch(need));
    if (!own) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n0 = i * columns, n1 = min(p.N, n0 + columns);
      for (int64_t m = 0; p.bias && m < p.M; ++m) {
        copy_run(p.y + m * p.N + n0, p.bias + n0, n1 - n0);
      }
      for (int64_t s = 0; s < steps; ++s) {
        const int64_t k = s * kDepth, depth = min(kDepth, p.K - k);
        for (int64_t n = n0; n < n1;) {
          const int64_t vectors = even_part(ceil_div(n1 - n, kLanes<T>), TileShape::kVectors);
          const int64_t wide = min(vectors * kLanes<T>, n1 - n);
          const T* const from = p.b + k * p.b_row + n * p.b_column;
          T* const to = p.y + n;
          const bool add = p.bias || s > 0;
          // A row-major panel is packed by the first rows' tile (64x4096x1024: 250 -> 274 GFLOP/s, Emerald
          // Rapids); the others' fetch the next one meanwhile.
          const bool copy =
              p.b_column == 1 && direct_columns<T>(wide) && panels.count > ceil_div(wide, kLine);
          if (copy) {
            DirectProduct<T> first{
                packed + s * left, 1,    panels.rows(0), from, p.b_row, nullptr, to, p.N,
                panels.rows(0),    wide, depth,          add};
            first.copy = own;
            multiply_direct(first);
          } else {
            pack_panel(from, p.b_column, p.b_row, depth, static_cast<int>(wide),
                       static_cast<int>(vectors * kLanes<T>), own);
          }
          // The next panel: beside this one, or the first of the next step.
          const bool beside = n + wide < n1;
          const T* const next =
              p.b + (beside ? k : k + kDepth) * p.b_row + (beside ? n + wide : n0) * p.b_column;
          const bool more = p.b_column == 1 && (beside || s + 1 < steps);
          for (int64_t i = copy; i < panels.count; ++i) {
            const int64_t m = panels.begin(i), line = (i - copy) * kLine;
            multiply_packed(packed + s * left + m * depth, own, panels.rows(i), wide, depth,
                            to + m * p.N, p.N, add, more && line < wide ? next + line : nullptr,
                            p.b_row);
          }
          n += wide;
        }
      }
      if (p.finish) p.finish(p.context, n0, n1);
    }
  });
  release(packed, bytes);
  return enough ? 0 : need;
}

// y[m * N + i] = bias[i] + sums[i * lanes + m] for `rows` rows of sums, of which there are whole vectors.
template <class T>
void turn(const T* sums, int64_t lanes, int64_t rows, const T* bias, T* y, int64_t M, int64_t N) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < rows; i += L) {
    const int64_t n = min(L, rows - i);
    const Vec<T> add = !bias ? Vec<T>{} : n == L ? load(bias + i) : load_n(bias + i, n);
    for (int64_t m = 0; m < M; m += L) {
      Vec<T> square[L];
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) square[r] = load(sums + (i + r) * lanes + m);
      transpose<T>(square);
#pragma GCC unroll 16
      for (int r = 0; r < L; ++r) {
        if (m + r >= M) continue;
        T* const to = y + (m + r) * N + i;
        const Vec<T> v = bias ? square[r] + add : square[r];
        if (n == L) {
          store(to, v);
        } else {
          store_n(to, v, n);
        }
      }
    }
  }
}

template <class T>
size_t turned(const FewRows<T>& p) {
  constexpr int64_t L = kLanes<T>, kBytes = 256 << 10;
  constexpr int64_t kRows = 8 * TileShape::kRows;  // of b's transpose, whose sums are kept
  const int64_t lanes = round_up(p.M, L);
  const double work =
      2.0 * static_cast<double>(p.M) * static_cast<double>(p.N) * static_cast<double>(p.K);
  const bool little = work < kApartWork;
  const bool apart = little || (num_threads() * kApartColumns <= p.N &&
                                p.K * lanes * int64_t{sizeof(T)} <= kApartBytes);
  const int64_t most = max(1, kBytes / (lanes * static_cast<int64_t>(sizeof(T)) * kChain)) * kChain;
  const int64_t depth = min(most, 4 * kChain), steps = ceil_div(p.K, depth);
  const size_t bytes = apart ? 0 : static_cast<size_t>(p.K * lanes) * sizeof(T);
  T* const together = apart ? nullptr : static_cast<T*>(allocate(bytes));
  if (!apart && !together) return bytes;
  const auto pack = [&](int64_t k0, int64_t k1, T* to) {
    pack_panel(p.a + k0 * p.a_column, p.a_row, p.a_column, k1 - k0, static_cast<int>(p.M),
               static_cast<int>(lanes), to + k0 * lanes);
  };
  const int64_t stretches = apart ? 0 : ceil_div(p.K, kChain);
  parallel_for(stretches, max(1, 16384 / (lanes * kChain)), [&](int64_t begin, int64_t end) {
    pack(begin * kChain, min(p.K, end * kChain), together);
  });
  const int64_t parts = max(1, static_cast<int64_t>(work / kApartTask));
  const int64_t columns = little ? balanced(p.N, ceil_div(p.N, parts), TileShape::kRows)
                                 : task_columns(p, TileShape::kRows);
  const int64_t kept = round_up(kRows, L) * lanes;
  const size_t need = static_cast<size_t>(kept + (apart ? p.K * lanes : 0)) * sizeof(T);
  const uint64_t call = calls.fetch_add(1, std::memory_order_relaxed) + 1;
  bool enough = true;
  parallel_for(ceil_div(p.N, columns), 1, [&](int64_t begin, int64_t end) {
    T* const sums = static_cast<T*>(thread_scratch(need));
    if (!sums) {
      __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
      return;
    }
    __builtin_memset(sums, 0, static_cast<size_t>(kept) * sizeof(T));
    const T* packed = together;
    if (apart) {
      if (packed_for != call) pack(0, p.K, sums + kept);
      packed_for = call;
      packed = sums + kept;
    }
    for (int64_t i = begin; i < end; ++i) {
      const int64_t n1 = min(p.N, (i + 1) * columns);
      for (int64_t n = i * columns; n < n1; n += kRows) {
        const int64_t rows = min(kRows, n1 - n);
        for (int64_t s = 0; s < steps; ++s) {
          const int64_t k1 = min(p.K, (s + 1) * depth);
          for (int64_t r = 0; r < rows; r += TileShape::kRows) {
            const int64_t high = min(TileShape::kRows, rows - r);
            for (int64_t k = s * depth; k < k1; k += kChain) {
              const T* const from = p.b + (n + r) * p.b_column + k;
              const int64_t length = min(kChain, k1 - k);
              multiply_direct(DirectProduct<T>{from, p.b_column, 1, packed + k * lanes, lanes,
                                               nullptr, sums + r * lanes, lanes, high, lanes,
                                               length, k > 0});
            }
          }
        }
        turn(sums, lanes, rows, p.bias ? p.bias + n : nullptr, p.y + n, p.M, p.N);
      }
      if (p.finish) p.finish(p.context, i * columns, n1);
    }
  });
  release(together, bytes);
  return enough ? 0 : need;
}

}  // namespace

size_t multiply_few_rows(const FewRows<float>& p) { return few_rows(p); }
size_t multiply_few_rows(const FewRows<double>& p) { return few_rows(p); }

size_t multiply_turned(const FewRows<float>& p) { return turned(p); }
size_t multiply_turned(const FewRows<double>& p) { return turned(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
