// Products of large matrices (matmul_large.h).
//
// Method     blocks of columns of `b` are packed in panels by the thread that multiplies by them: what one
//            core has written reaches another one slowly (256x256 on two Zen 5 cores: 18 us to pack `b`
//            together and 5 us alone). The first rows' tiles pack a row-major `b` as they read it: 256x256x256
//            took 5 % less than with packing before (Emerald Rapids). `a` is read where it is when it is
//            contiguous along k, else packed kBlockRows at a time; where it is contiguous downwards (g^T x) by
//            the first tiles that read it, in the shadow of their multiply-adds: 256 cubed 276 -> 313, 1024 cubed
//            297 -> 304 GFLOP/s (Emerald Rapids, 2 threads), and a large one between the tiles of the rows before
//            (Feed). Tiles are those of matmul_direct.h.
// Split      blocks of columns by parts of the rows, by the shape alone, part after part of the reduction (kDepth
//            steps, or kPackedDepth). A thread that goes on with the next rows of the same columns finds them packed.
// Cache      kRowBytes * kDepth of packed `b` (512 KB) in L2, a panel of it (98 KB in float32 with AVX-512)
//            streamed for kBlockRows rows of `a` (131 KB); kPackedBytes where `a` is packed. The lines of a tile's
//            results are fetched while it is computed. Results beyond half of the last level that nothing is added
//            to are stored past the caches.
// Memory     kRowBytes * kDepth (512 KB) a thread; where `a` is packed 1 MB and kBlockRows of it (66 to 131 KB,
//            twice that in float64), twice these where ahead.
// Cost       2 M N K FLOPs; packing writes K N elements, and M K for each block of columns where
//            `a` is packed.
// Accuracy   chains of kChain multiply-adds whose sums are added in order, as in matmul.cpp.
#include "matmul_large.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Steps of the reduction in a block of `b`, whole chains of gemm.h, and bytes of its rows.
constexpr int64_t kDepth = 512, kRowBytes = 1024;
// Where `a` is packed too, which is done for each block of columns, these are wider, and shorter unless that leaves
// little or rows are packed ahead. By 512 steps of 2048 bytes g^T x of 512 cubed took 2 % more, 400x300 of 700 steps
// 3 (ahead 3 % less to 3 more, by the shape); `a` in place by 256 steps of 2048 bytes 1 to 7 % more (Emerald Rapids,
// 2 threads).
constexpr int64_t kPackedDepth = 256, kPackedBytes = 1 << 20;
constexpr int64_t kBlockRows = 64;
constexpr int64_t kTasks = 16;       // at least so many blocks where the rows allow
constexpr int64_t kTallRows = 1024;  // from which on the parts of the rows even out the work

// Which columns a thread has packed: for which call, which of its blocks, and where.
struct PackedBlock {
  uint64_t call = 0;
  int64_t block = 0;
  const void* memory = nullptr;
};
thread_local PackedBlock packed_block;

// Likewise the rows of `a` that a thread has packed while it multiplied others.
struct PackedRows {
  uint64_t call = 0;
  int64_t m = 0;
  const void* memory = nullptr;
};
thread_local PackedRows packed_rows;
uint64_t calls = 0;

// A block's columns: panels of whole vectors, spread evenly.
template <class T>
struct Columns {
  int64_t n0, n1, vectors, panels;
  Columns(int64_t begin, int64_t end)
      : n0(begin),
        n1(end),
        vectors(ceil_div(end - begin, kLanes<T>)),
        panels(ceil_div(vectors, TileShape::kVectors)) {}
  int64_t first(int64_t panel) const { return min(n1, n0 + vectors * panel / panels * kLanes<T>); }
};

// multiply_direct, also without masks for the last columns.
template <class T>
void multiply_tiles(const DirectProduct<T>& d) {
  if (direct_columns<T>(d.N)) return multiply_direct(d);
  constexpr int64_t kWidth = TileShape::kVectors * kLanes<T>;
  alignas(64) T edge[kBlockRows * kWidth], bias[kWidth] = {};
  DirectProduct<T> q = d;
  q.N = round_up(d.N, kLanes<T>);
  q.y = edge;
  q.y_row = q.N;
  if (d.bias) {
    copy_run(bias, d.bias, d.N);
    q.bias = bias;
  }
  if (d.add) __builtin_memset(edge, 0, sizeof(edge));  // lanes behind the last column are added to
  for (int64_t i = 0; i < d.count; ++i, q.a += d.a_step) {
    q.count = 1;
    for (int64_t m = 0; d.add && m < d.M; ++m) {
      copy_run(edge + m * q.N, d.y + i * d.y_step + m * d.y_row, d.N);
    }
    multiply_direct(q);
    for (int64_t m = 0; m < d.M; ++m) {
      copy_run(d.y + i * d.y_step + m * d.y_row, edge + m * q.N, d.N);
    }
  }
}

// Where a thread packs rows of `a`, kBlockRows at a time.
template <class T>
struct RowMemory {
  T *own, *spare;  // of those that are multiplied; of the next ones meanwhile, or nullptr
  uint64_t call;
  int64_t
      after;  // the first row behind those of this task that the thread is to multiply; -1: none

  // The row that the block behind rows [m, m1) starts with, if it is whole.
  int64_t next(int64_t m, int64_t m1) const {
    if (!spare) return -1;
    if (m + kBlockRows >= m1) return after;
    return m + 2 * kBlockRows <= m1 ? m + kBlockRows : -1;
  }
  // Whether the rows from m on are packed already; then in `own`. Either way they count as packed no more: their
  // memory is written next.
  bool take(int64_t m) {
    PackedRows& r = packed_rows;
    const bool found =
        spare && r.call == call && r.m == m && (r.memory == own || r.memory == spare);
    if (found && r.memory == spare) std::swap(own, spare);
    r.call = 0;
    return found;
  }
};

// Rows [m0, m1) of a block of columns, `depth` steps of the reduction from k on; past: the caches. pack: the
// columns, each panel before its first rows.
template <class T>
void block_rows(const LargeProduct<T>& p, const Columns<T>& columns, int64_t m0, int64_t m1,
                int64_t k, int64_t depth, bool pack, T* packed, RowMemory<T>& memory, bool past) {
  constexpr int64_t kWidth = TileShape::kVectors * kLanes<T>;
  alignas(64) T block[kBlockRows * kWidth];
  const bool in_place = p.a_column == 1;
  const T* const b = p.b + k * p.b_row;
  for (int64_t m = m0; m < m1; m += kBlockRows) {
    const int64_t rows = min(kBlockRows, m1 - m);
    const Panels panels(rows);
    const T* const a = p.a + m * p.a_row + k * p.a_column;
    // Columns of `a` are packed between the tiles of the rows before, or by the first tiles that read them.
    const bool ready = memory.take(m);
    T* const own = memory.own;
    const bool copy_a =
        !in_place && !ready && p.a_row == 1 && direct_columns<T>(columns.first(1) - columns.n0);
    for (int64_t i = 0; !in_place && !ready && !copy_a && i < panels.count; ++i) {
      pack_panel(a + panels.begin(i) * p.a_row, p.a_row, p.a_column, depth, panels.rows(i),
                 panels.rows(i), own + panels.begin(i) * depth);
    }
    const int64_t next = memory.next(m, m1);
    const bool feeds = kFeeds<T> && next >= 0;
    Feed<T> feed{};
    if (feeds) {
      constexpr int64_t kStep = TileShape::kRows;
      feed = {p.a + next + k * p.a_column,
              p.a_column,
              memory.spare,
              kStep,
              kStep * depth,
              ceil_div(depth, columns.panels * max(1, panels.count - 1)),
              depth};
    }
    const bool first_rows = pack && m == m0;
    for (int64_t i = 0; i < columns.panels; ++i) {
      const int64_t n = columns.first(i), wide = columns.first(i + 1) - n;
      // Rows of b are packed by the first tile that reads them.
      T* const panel = packed + (n - columns.n0) * depth;
      const bool copy = first_rows && p.b_column == 1 && direct_columns<T>(wide);
      if (first_rows && !copy) {
        pack_panel(b + n * p.b_column, p.b_column, p.b_row, depth, static_cast<int>(wide),
                   static_cast<int>(round_up(wide, kLanes<T>)), panel);
      }
      DirectProduct<T> d{a,
                         p.a_row,
                         1,
                         copy ? b + n : panel,
                         copy ? p.b_row : round_up(wide, kLanes<T>),
                         p.bias && k == 0 ? p.bias + n : nullptr,
                         p.y + m * p.N + n,
                         p.N,
                         rows,
                         wide,
                         depth,
                         k > 0};
      d.fetch_y = !past;
      d.padded = !copy;
      d.copy = copy ? panel : nullptr;
      d.feed = feeds ? &feed : nullptr;
      if (past) {
        d.y = block;
        d.y_row = kWidth;
      }
      T* const y = d.y;
      const bool whole = in_place || (copy_a && i == 0);
      if (!in_place && whole) {
        d.a_column = p.a_column;
        d.copy_a = own;
      }
      if (whole) multiply_tiles(d);
      for (int64_t part = whole ? 2 : 0; part < 2; ++part) {  // the tall panels, the short ones
        const int64_t first = part ? panels.tall : 0;
        d.count = part ? panels.count - panels.tall : panels.tall;
        if (d.count == 0) continue;
        d.M = d.a_column = panels.rows(first);
        d.a_row = 1;
        d.a = own + panels.begin(first) * depth;
        d.a_step = d.M * depth;
        d.y = y + panels.begin(first) * d.y_row;
        d.y_step = d.M * d.y_row;
        multiply_tiles(d);
        if (d.copy) {  // packed by now
          d.b = panel;
          d.b_row = round_up(wide, kLanes<T>);
          d.padded = true;
          d.copy = nullptr;
        }
      }
      for (int64_t r = 0; past && r < rows; ++r) {
        T* const to = p.y + (m + r) * p.N + n;
        for (int64_t j = 0; j < wide; j += kLanes<T>) {
          store_stream<T>(to + j, load(block + r * kWidth + j));
        }
      }
    }
    if (feeds) {
      feed.copy(feed.rows);
      packed_rows = {memory.call, next, memory.spare};
    }
  }
}

template <class T>
size_t large(const LargeProduct<T>& p) {
  constexpr int64_t L = kLanes<T>, kWidth = TileShape::kVectors * L, kSize = sizeof(T);
  const bool in_place = p.a_column == 1;
  // Lines of a large `a` come from so far along a mesh that the first tiles wait for them: 1536 cubed, g^T x
  // 293 -> 306 GFLOP/s (Emerald Rapids, 2 threads). In the second level's reach 3 to 10 % are lost.
  const bool feeds = kFeeds<T> && p.a_row == 1 && !in_place && second_level_cache() > (1 << 20) &&
                     2 * p.M * p.K * kSize > 3 * second_level_cache();
  const bool shorter = !in_place && !feeds && p.K >= 2 * kPackedDepth;
  const int64_t most = min(shorter ? kPackedDepth : kDepth, p.K);
  const int64_t row_bytes = in_place ? kRowBytes : kPackedBytes / max(most, kPackedDepth);
  int64_t across = ceil_div(p.N, row_bytes / kSize);
  if (p.M < kTallRows) across = min(round_up(across, 2), ceil_div(p.N, 2 * kWidth));
  const int64_t wide = balanced(p.N, ceil_div(p.N, across), L);
  across = ceil_div(p.N, wide);
  const int64_t parts = clamp(ceil_div(kTasks, across), 1, ceil_div(p.M, kBlockRows));
  const int64_t rows = balanced(p.M, ceil_div(p.M, parts), TileShape::kRows);
  const int64_t down = ceil_div(p.M, rows);
  const int64_t right = wide * most + L;
  const int64_t block = kBlockRows * most + L;
  const int64_t left = in_place ? 0 : feeds ? 2 * block : block;
  const size_t need = static_cast<size_t>((right + left) * kSize);
  // Results that no cache keeps, and that nothing is added to.
  const bool past = GS_VECTOR_BYTES == 64 && p.K == most && !p.finish && p.N % L == 0 &&
                    beyond_cache(p.results * kSize) &&
                    reinterpret_cast<uintptr_t>(p.y) % GS_VECTOR_BYTES == 0;
  bool enough = true;
  for (int64_t k = 0; k < p.K; k += most) {
    const int64_t depth = min(most, p.K - k);
    const uint64_t call = __atomic_add_fetch(&calls, 1, __ATOMIC_RELAXED);
    parallel_for(across * down, 1, [&](int64_t begin, int64_t end) {
      T* const scratch = static_cast<T*>(thread_scratch(need));
      if (!scratch) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
      for (int64_t i = begin; i < end; ++i) {
        const int64_t c = i / down, m0 = i % down * rows, m1 = min(p.M, m0 + rows);
        const Columns<T> columns(c * wide, min(p.N, (c + 1) * wide));
        PackedBlock& ready = packed_block;
        const bool pack = ready.call != call || ready.block != c || ready.memory != scratch;
        ready = {call, c, scratch};
        const int64_t after = m1 < p.M ? m1 : 0;
        const bool goes_on = m1 < p.M || c + 1 < across;
        T* const own = scratch + right;
        RowMemory<T> memory{own, feeds ? own + block : nullptr, call,
                            goes_on && min(rows, p.M - after) >= kBlockRows ? after : -1};
        block_rows(p, columns, m0, m1, k, depth, pack, scratch, memory, past);
        if (past) stream_fence();
        if (k + depth == p.K && p.finish) p.finish(p.context, m0, m1, columns.n0, columns.n1);
      }
    });
  }
  return enough ? 0 : need;
}

}  // namespace

size_t multiply_large(const LargeProduct<float>& p) { return large(p); }
size_t multiply_large(const LargeProduct<double>& p) { return large(p); }

}  // namespace GS_ISA
}  // namespace gradsmith
