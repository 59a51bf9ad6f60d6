// Products with few rows and much work (matmul_few_rows.h).
//
// multiply_few_rows  `b` is read once, in panels that a thread packs and at once multiplies: packing it
//                    beforehand would write and read all of it once more, reading it where it is misses the
//                    cache when rows are a large power of two apart. The next block is packed between the steps of
//                    this one's tiles, row after row, each line long after it was asked for: a core
//                    has a dozen lines on their way at most, and a burst of them stalls the tiles
//                    (64x4096x1024 on two cores of an Emerald Rapids: 2.55 -> 2.23 ms, in double 5.24 -> 4.89).
//                    A part that is packed is one panel's of a row, in few instructions, and rows are as long as
//                    the sums of chains that are not at their ends stay in L2 (32x4096x9216: packing took 4 of
//                    11.8 ms, now 10.5 -> 9.2 in all; double 32x1000x4096 2.34 -> 2.01; the first tile of a panel
//                    reading b where it is, with lines fetched into L2: 0.97 to 1.03, double 1.25).
// multiply_turned    A layer's x W^T as W x^T, whose left operand needs no packing; x^T (K x M) is packed.
//                    Sums of a block of columns are turned on the way out. A tile goes along whole pages of W's rows
//                    and fetches those of the rows that follow into L2, a line in two steps: the processor fetches
//                    none across a page (32x9216x4096 9.7 -> 8.3 ms; near the core, 32x1024x384, 90 -> 84 us; tiles
//                    of 12 rows, 1 to 8 chains at once in place of 4, lines fetched into L1: 0 to 6 % slower).
// Cost               2 M N K FLOPs; M K + K N elements are packed.
// Memory             two packed blocks of b a thread and sums of their columns (656 KB), and all of a (or of x^T,
//                    one or one a thread).
// Split              blocks of columns of y, by the shape alone.
// Accuracy           chains of kChain multiply-adds whose sums are added in order, as in matmul.cpp.
#include "matmul_few_rows.h"

#include <atomic>

#include "packed.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kDepth = kChain;
constexpr int64_t kTasks = 8;
constexpr int64_t kAheadBytes = 2048;       // of the coming block: the rows ahead that are fetched
constexpr int64_t kIdle = 8;                // steps of a tile, where nothing is packed
constexpr int64_t kRowBytes = 2304;         // of a row of a block of b, at most
constexpr int64_t kBlockBytes = 256 << 10;  // of a packed block
constexpr int64_t kSumBytes = 144 << 10;    // of the sums of a block's columns
constexpr int kFetched = 8;                 // lines that a turned tile fetches in turns
constexpr double kTaskWork = 1e6;           // FLOPs: about 5 us of a core
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

// Part of b: rows [k, k + depth), columns [n, n + wide) in panels of kVectors vectors; what is left at the end of a
// row in one or two of less.
template <class T>
struct Block {
  static constexpr int64_t L = kLanes<T>, V = TileShape::kVectors;
  int64_t k = 0, depth = 0, n = 0, wide = 0;
  int64_t vectors = 0, whole = 0, panels = 0;

  Block() = default;
  Block(int64_t k, int64_t depth, int64_t n, int64_t wide)
      : k(k), depth(depth), n(n), wide(wide), vectors(ceil_div(wide, L)) {
    whole = wide % (V * L) == 0 ? vectors / V : max(0, (vectors - 2) / V);
    panels = whole + ceil_div(vectors - whole * V, V);
  }
  // The vector that a panel begins with.
  int64_t first(int64_t panel) const {
    if (panel <= whole) return panel * V;
    return whole * V + (vectors - whole * V) * (panel - whole) / (panels - whole);
  }
};

// A block that is packed while another one is multiplied: a row's part of a whole panel at a time, or the rest of a
// row. Few instructions: they take the ports of the multiply-adds.
template <class T>
struct Coming {
  static constexpr int64_t L = kLanes<T>, V = TileShape::kVectors;
  const T* from = nullptr;
  T* to = nullptr;
  int64_t panel_step = 0;       // from one panel to the next
  int64_t rows = 0, whole = 0;  // left: rows, and of this row's whole panels
  int64_t ahead = 0, near = 0;  // to the row that is fetched, which the last ones have none of
  bool rest = false;            // whether narrower panels follow
  int64_t pace = kIdle;         // of the tiles' steps, from one part to the next
  int64_t step = 0;             // from one row of b to the next
  T* memory = nullptr;
  Block<T> block;

  void begin(const Block<T>& next, const T* b, int64_t b_row, bool last, T* packed) {
    block = next;
    step = b_row;
    from = b + block.k * step + block.n;
    to = memory = packed;
    panel_step = V * L * block.depth;
    rows = block.depth;
    whole = block.whole;
    rest = block.panels > whole;
    const int64_t far = ceil_div(kAheadBytes, block.vectors * GS_VECTOR_BYTES);
    near = last ? far : 0;
    ahead = rows > near ? far * step : 0;
  }
  int64_t parts() const { return block.depth * (block.whole + rest); }
  bool left() const { return rows > 0; }
  GS_INLINE void pack_part() {
    if (whole > 0) {
      const T* const line = from + ahead;
#pragma GCC unroll 4
      for (int v = 0; v < V; ++v) {
        __builtin_prefetch(line + v * L);
        store(to + v * L, load(from + v * L));
      }
      from += V * L;
      to += panel_step;
      if (--whole > 0 || rest) return;
    } else {
      const int64_t row = block.depth - rows;
      for (int64_t i = block.whole; i < block.panels; ++i) {
        const int64_t v0 = block.first(i), v1 = block.first(i + 1);
        T* const at = memory + (v0 * block.depth + row * (v1 - v0)) * L;
#pragma GCC unroll 1
        for (int64_t v = v0; v < v1; ++v) {
          const T* const p = from + (v - block.whole * V) * L;
          __builtin_prefetch(p + ahead);
          const int64_t n = block.wide - v * L;
          store(at + (v - v0) * L, n >= L ? load(p) : load_n(p, n));
        }
      }
    }
    --rows;
    from += step - block.whole * V * L;
    to = memory + (block.depth - rows) * V * L;
    whole = block.whole;
    if (rows <= near) ahead = 0;
  }
};

// Part of the sums of a tile: which of its steps are the first and last ones of a chain, and whether something is
// in y before.
struct Stretch {
  bool begins, ends, add;
};

// Sums over `depth` rows of a packed panel of b, for MR rows and NV vectors; partial: those of the chain so far. With
// every `pace` steps a part of the coming block is packed.
template <class T, int MR, int NV>
__attribute__((noinline)) void paced_tile(int64_t depth, const T* a, const T* b, Stretch stretch,
                                          T* partial, T* y, int64_t y_row, Coming<T>& coming) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[MR][NV];
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      sum[i][j] = stretch.begins ? Vec<T>{} : load(partial + (i * NV + j) * L);
    }
  }
  for (int64_t k = 0; k < depth;) {
    if (coming.left()) coming.pack_part();
    const int64_t stop = min(depth, k + coming.pace);
#pragma GCC unroll 1
    for (; k < stop; ++k, a += MR, b += NV * L) {
      Vec<T> right[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) right[j] = load(b + j * L);
#pragma GCC unroll 8
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(a[i]);
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] += value * right[j];
      }
    }
  }
  T* to = stretch.ends ? y : partial;
  const int64_t step = stretch.ends ? y_row : NV * L;
  if (stretch.ends && stretch.add) {
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) sum[i][j] += load(y + i * y_row + j * L);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < MR; ++i, to += step) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) store(to + j * L, sum[i][j]);
  }
}

template <class T>
using PacedTile = void (*)(int64_t, const T*, const T*, Stretch, T*, T*, int64_t, Coming<T>&);

template <class T, int... I>
constexpr PacedTile<T> pick_paced(int64_t rows, int64_t vectors, std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  constexpr PacedTile<T> kTable[] = {&paced_tile<T, I / V + 1, I % V + 1>...};
  return kTable[(rows - 1) * V + vectors - 1];
}

constexpr auto kTileShapes =
    std::make_integer_sequence<int, TileShape::kRows * TileShape::kVectors>{};

// All rows of packed `a` by a packed panel of `columns` of b from n on; a tile's elements of `a` begin `skip` steps
// down a chain of `chain`.
template <class T>
void multiply_panel(const FewRows<T>& p, const Panels& panels, const T* a, int64_t chain,
                    int64_t skip, const T* b, int64_t depth, int64_t n, int64_t columns,
                    Stretch stretch, T* partial, Coming<T>& coming) {
  constexpr int64_t L = kLanes<T>;
  const int64_t vectors = ceil_div(columns, L), width = vectors * L;
  alignas(GS_VECTOR_BYTES) T edge[TileShape::kRows * kPanelColumns<T>];
  const bool edged = columns < width && stretch.ends;
  if (edged && stretch.add) __builtin_memset(edge, 0, sizeof(edge));  // lanes that are added to
  for (int64_t i = 0; i < panels.count; ++i) {
    const int64_t m = panels.begin(i), rows = panels.rows(i);
    const auto run = pick_paced<T>(rows, vectors, kTileShapes);
    const T* const left = a + m * chain + skip * rows;
    T* const y = p.y + m * p.N + n;
    T* const part = partial + m * width;
    if (!edged) {
      run(depth, left, b, stretch, part, y, p.N, coming);
      continue;
    }
    for (int64_t r = 0; stretch.add && r < rows; ++r) {
      copy_run(edge + r * width, y + r * p.N, columns);
    }
    run(depth, left, b, stretch, part, edge, width, coming);
    for (int64_t r = 0; r < rows; ++r) copy_run(y + r * p.N, edge + r * width, columns);
  }
}

// A power of two of kDepth's steps, as many as a block has room for.
template <class T>
int64_t block_depth(int64_t wide) {
  int64_t depth = kDepth;
  while (depth > 16 && depth * wide * int64_t{sizeof(T)} > kBlockBytes) depth /= 2;
  return depth;
}

template <class T>
size_t few_rows(const FewRows<T>& p) {
  constexpr int64_t L = kLanes<T>;
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
  const int64_t columns = task_columns(p, L);
  const int64_t most = clamp(kSumBytes / p.M, 2 * TileShape::kVectors * GS_VECTOR_BYTES, kRowBytes);
  const int64_t wide = balanced(columns, most / static_cast<int64_t>(sizeof(T)) / L * L, L);
  const Panels panels(p.M);
  const int64_t deep = block_depth<T>(wide), room = min(p.K, deep) * wide;
  const int64_t kept = p.K <= deep ? 0 : p.M * wide;  // sums of chains that are not at their ends
  const size_t need = static_cast<size_t>(2 * room + kept) * sizeof(T);
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
      const auto at = [&](int64_t k, int64_t n) {
        return Block<T>(k, min(deep, p.K - k), n, min(wide, n1 - n));
      };
      Coming<T> coming;
      Block<T> now = at(0, n0);
      for (bool turn = false, ready = false; now.depth; turn = !turn) {
        T* const here = own + turn * room;
        if (!ready && p.b_column == 1) {
          coming.begin(now, p.b, p.b_row, now.depth == p.K, here);
          while (coming.left()) coming.pack_part();
        } else if (!ready) {
          for (int64_t j = 0; j < now.panels; ++j) {
            const int64_t n = now.first(j) * L, vectors = now.first(j + 1) - now.first(j);
            pack_panel(p.b + now.k * p.b_row + (now.n + n) * p.b_column, p.b_column, p.b_row,
                       now.depth, static_cast<int>(min(vectors * L, now.wide - n)),
                       static_cast<int>(vectors * L), here + n * now.depth);
          }
        }
        // Further down these columns, or the next ones.
        Block<T> then;
        if (now.k + deep < p.K) {
          then = at(now.k + deep, now.n);
        } else if (now.n + now.wide < n1) {
          then = at(0, now.n + now.wide);
        }
        ready = p.b_column == 1;
        coming.pace = kIdle;
        if (ready && then.depth) {
          coming.begin(then, p.b, p.b_row, then.k + then.depth == p.K, own + !turn * room);
          coming.pace = max(1, now.panels * panels.count * now.depth / coming.parts());
        }
        const int64_t k = now.k / kDepth * kDepth, chain = min(kDepth, p.K - k), skip = now.k - k;
        const Stretch stretch{skip == 0, skip + now.depth == chain, p.bias || k > 0};
        for (int64_t j = 0; j < now.panels; ++j) {
          const int64_t n = now.first(j) * L;
          multiply_panel(p, panels, packed + k / kDepth * left, chain, skip, here + n * now.depth,
                         now.depth, now.n + n, min(now.first(j + 1) * L, now.wide) - n, stretch,
                         own + 2 * room + p.M * n, coming);
        }
        while (ready && coming.left()) coming.pack_part();
        now = then;
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

// sums[i * lanes + j] (+)= sum over k of w[i * row + k] x[k * lanes + j] for MR rows and NV vectors of lanes, the sum
// cut into chains. next: rows that follow, fetched meanwhile.
template <class T, int MR, int NV>
__attribute__((noinline)) void turned_tile(const T* w, int64_t row, const T* x, int64_t lanes,
                                           int64_t K, const T* next, T* sums, bool add) {
  constexpr int L = kLanes<T>, kHalf = (MR + 1) / 2;
  constexpr int kEach = max(1, 64 / static_cast<int64_t>(sizeof(T)) / kFetched);
  const T *low = w, *high = w + (MR > kHalf ? kHalf * row : 0);
  asm("" : "+r"(high), "+r"(next));  // pointers of their own: matmul_direct.cpp
  for (int64_t left = K;; left -= kChain) {
    Vec<T> sum[MR][NV];
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
    }
    const auto step = [&]() __attribute__((always_inline)) {
      Vec<T> right[NV];
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) right[j] = load(x + j * L);
      x += lanes;
#pragma GCC unroll 8
      for (int i = 0; i < MR; ++i) {
        const Vec<T> value = splat(i < kHalf ? low[i * row] : high[(i - kHalf) * row]);
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] += value * right[j];
      }
      ++low;
      ++high;
    };
    const int64_t chain = min(left, kChain);
    int64_t k = 0;
    for (; k + kFetched * kEach <= chain; k += kFetched * kEach) {
      const T* line = next;
#pragma GCC unroll 1
      for (int i = 0; i < kFetched; ++i) {
        __builtin_prefetch(line, 0, 2);
        line += row;
#pragma GCC unroll 4
        for (int j = 0; j < kEach; ++j) step();
      }
      next += kFetched * kEach;
    }
#pragma GCC unroll 1
    for (; k < chain; ++k) step();
    if (add) {
#pragma GCC unroll 8
      for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
        for (int j = 0; j < NV; ++j) sum[i][j] += load(sums + i * lanes + j * L);
      }
    }
#pragma GCC unroll 8
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) store(sums + i * lanes + j * L, sum[i][j]);
    }
    if (left <= kChain) return;
    add = true;
  }
}

template <class T>
using TurnedTile = void (*)(const T*, int64_t, const T*, int64_t, int64_t, const T*, T*, bool);

template <class T, int... I>
constexpr TurnedTile<T> pick_turned(int64_t rows, int64_t vectors,
                                    std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kVectors;
  constexpr TurnedTile<T> kTable[] = {&turned_tile<T, I / V + 1, I % V + 1>...};
  return kTable[(rows - 1) * V + vectors - 1];
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
            const T* const from = p.b + (n + r) * p.b_column + s * depth;
            // Of the next rows of this block, or further along its first ones, or of the next block.
            const int64_t first = n + rows < p.N ? n + rows : n;
            const T* const next = r + TileShape::kRows < rows ? from + TileShape::kRows * p.b_column
                                  : s + 1 < steps             ? p.b + n * p.b_column + k1
                                                              : p.b + first * p.b_column;
            for (int64_t j = 0, v; j < lanes; j += v * L) {
              v = even_part((lanes - j) / L, TileShape::kVectors);
              pick_turned<T>(high, v, kTileShapes)(from, p.b_column, packed + s * depth * lanes + j,
                                                   lanes, k1 - s * depth, j ? from : next,
                                                   sums + r * lanes + j, s > 0);
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
