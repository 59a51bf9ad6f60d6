// matmul: y[.., m, n] = bias[n] + sum_k a[.., m, k] * b[.., k, n]
//
// matmul_epilogue: the same with a residual added and an activation of each element (epilogue.h), while
//            its block is in the cache.
// matmul_add: y = alpha * (a @ b) + beta * c likewise; c broadcasts to y, any strides.
//
// Layout     a (..., M, K) or (K,), b (..., K, N) or (K,), any strides, batches broadcast; bias (N,);
//            y (..., M, N) contiguous. Transposes cost nothing extra: packing reads any strides.
// Method     Goto and van de Geijn 2008: a row block of `a` is packed k-major for the register tile
//            (gemm.h), kDepth of the reduction at a time; `b` is packed in column panels, or read where
//            it is when it has few rows to be used for. Large matrices: matmul_large.h. When both
//            operands are contiguous along k and y is small in M or N, dot tiles need no packing. Small
//            `b`, vectors (matmul_direct.h), few rows (matmul_few_rows.h), tiny and long products
//            (matmul_small.h) have kernels of their own.
// Split      row blocks (and column blocks when there are few) of one matrix, or whole matrices of a
//            batch. Less than kSerialWork stays on the calling thread.
// Cache      a block of `a`: kBlockRows * kDepth elements (131 KB in float32), in L2; a panel of `b`:
//            kDepth * tile width (98 KB with AVX-512, 33 KB with AVX2), streamed from L2 or L3.
// Cost       2 M N K FLOPs; packing writes M K + K N elements.
// Accuracy   one chain of K multiply-adds an element (fused with v3 and v4): error at most
//            K eps sum |a b|; the same bits for every number of threads.
// Limits     float32, float64; int32, int64 (matmul_integers.h) without bias. K = 0 gives the bias, or zeros.
#include "aligned.h"
#include "dot_product.h"
#include "matmul_direct.h"
#include "matmul_dots.h"
#include "matmul_few_rows.h"
#include "matmul_integers.h"
#include "matmul_large.h"
#include "matmul_narrow.h"
#include "matmul_product.h"
#include "matmul_short.h"
#include "matmul_small.h"
#include "matmul_stream.h"
#include "matmul_vectors.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kDepth = 512;  // whole chains of gemm.h: the same bits on every way
constexpr int64_t kBlockRows = 64;
constexpr int64_t kDotDepth = 2048;
constexpr double kSerialWork = 1.5e6;  // FLOPs: about 7 us of one core
constexpr double kSplitWork = 1.2e6;   // from which on two blocks pay: the pool takes 0.7 us
constexpr double kBigMatrix = 1e8;     // FLOPs of a matrix that is split over all threads
constexpr int64_t kTasks = 16;         // at least so many blocks where the work allows
constexpr int64_t kDirectRows = 64;    // up to so many rows `b` is not worth packing
constexpr int64_t kDotRows = 48;
constexpr int64_t kDotColumns = 16;
constexpr int64_t kDotSteps = 8;          // of K a row: adding up lanes is less than turning `b`
constexpr int64_t kTurnedSteps = 64;      // of K from which on a tile's sums are worth turning
constexpr int64_t kVectorWork = 1 << 14;  // multiplications of a row by a matrix in L1
constexpr int64_t kOuterBlock = 1 << 14;  // elements of an outer product that more is done to
constexpr int64_t kTinySteps = 1 << 13;   // of tiny products' K: about 10 us of one core
constexpr int64_t kClashRows = 48;

// ---- dot tiles ----

template <class T>
void dot_block(const Product<T>& p, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
  constexpr int MI = TileShape::kDotRows, NJ = TileShape::kDotColumns;
  alignas(GS_VECTOR_BYTES) T c[kDotSums<T>];
  const int64_t down = ceil_div(m1 - m0, MI), across = ceil_div(n1 - n0, NJ), whole = 0;
  for (int64_t k0 = 0; k0 < p.K; k0 += kDotDepth) {
    const int64_t depth = min(kDotDepth, p.K - k0);
    for (int64_t j = 0; j < across; ++j) {
      const int64_t n = n0 + (n1 - n0) * j / across;
      const int columns = static_cast<int>(n0 + (n1 - n0) * (j + 1) / across - n);
      int64_t offset[NJ];
      T add[NJ];
      for (int i = 0; i < columns; ++i) {
        offset[i] = i * p.b.column;
        add[i] = p.bias && k0 == 0 ? p.bias[n + i] : T{};
      }
      for (int64_t i = 0; i < down; ++i) {
        const int64_t m = m0 + (m1 - m0) * i / down;
        const int rows = static_cast<int>(m0 + (m1 - m0) * (i + 1) / down - m);
        kDots<T>.get(rows, columns)(1, depth, p.a.at(m, k0), p.a.row, p.b.at(k0, n), offset, &whole,
                                    c);
        for (int r = 0; r < rows; ++r) {
          T* y = p.y + (m + r) * p.N + n;
          for (int j = 0; j < columns; ++j) {
            y[j] = k0 == 0 ? c[r * columns + j] + add[j] : y[j] + c[r * columns + j];
          }
        }
      }
    }
  }
}

// ---- packed tiles ----

template <class T>
constexpr int64_t kLineGap = 64 / sizeof(T);  // pack_panel may write a vector beyond a panel

// Elements of scratch that block() needs.
template <class T>
int64_t block_scratch(int64_t rows, int64_t depth, bool pack_b) {
  constexpr int64_t kWidth = TileShape::kMaxVectors * kLanes<T>;
  const int64_t a = round_up(rows * depth, kLineGap<T>) + kLineGap<T>;
  return a + (pack_b ? depth * kWidth : 0);
}

// One panel of columns times all packed rows.
template <class T>
void multiply_panel(const Panels& panels, const T* packed_a, StridedRows<T> b, int64_t depth, T* y,
                    int64_t N, int64_t columns, bool add) {
  constexpr int L = kLanes<T>;
  const int vectors = static_cast<int>(ceil_div(columns, L));
  const Start start = add ? Start::kOutput : Start::kZero;
  alignas(GS_VECTOR_BYTES) T edge[TileShape::kRows * TileShape::kMaxVectors * L];
  // Lanes behind the last column are added to.
  if (add && columns < vectors * L) __builtin_memset(edge, 0, sizeof(edge));
  for (int64_t panel = 0; panel < panels.count; ++panel) {
    const int rows = panels.rows(panel);
    const auto run = kTiles<T, StridedRows<T>>.get(rows, vectors);
    const T* a = packed_a + panels.begin(panel) * depth;
    T* c = y + panels.begin(panel) * N;
    if (columns == vectors * L) {
      run(depth, a, b, c, N, start, nullptr);
      continue;
    }
    const int64_t width = vectors * L;
    if (add) {
      for (int i = 0; i < rows; ++i) copy_run(edge + i * width, c + i * N, columns);
    }
    run(depth, a, b, edge, width, start, nullptr);
    for (int i = 0; i < rows; ++i) copy_run(c + i * N, edge + i * width, columns);
  }
}

// Rows [m0, m1) and columns [n0, n1) of y, over [k0, k1) of the reduction.
template <class T>
void block(const Product<T>& p, int64_t m0, int64_t m1, int64_t n0, int64_t n1, int64_t k0,
           int64_t k1, bool add, T* scratch) {
  constexpr int L = kLanes<T>;
  const Panels panels(m1 - m0);
  if (p.bias && !add) {
    fill_bias(p, m0, m1, n0, n1);
    add = true;
  }
  for (int64_t k = k0; k < k1; k += kDepth) {
    const int64_t depth = min(kDepth, k1 - k);
    T* a = scratch;
    for (int64_t i = 0; i < panels.count; ++i) {
      const int rows = panels.rows(i);
      pack_panel(p.a.at(m0 + panels.begin(i), k), p.a.row, p.a.column, depth, rows, rows,
                 a + panels.begin(i) * depth);
    }
    T* own = a + round_up((m1 - m0) * depth, kLineGap<T>) + kLineGap<T>;
    for (int64_t n = n0, columns = 0; n < n1; n += columns) {
      const int64_t vectors = even_part(ceil_div(n1 - n, L), panels.vectors());
      columns = min(vectors * L, n1 - n);
      StridedRows<T> b;
      if (p.b.column == 1 && columns % L == 0 && m1 - m0 <= kDirectRows) {
        b = {p.b.at(k, n), p.b.row};
      } else {
        const int pitch = static_cast<int>(round_up(columns, L));
        pack_panel(p.b.at(k, n), p.b.column, p.b.row, depth, static_cast<int>(columns), pitch, own);
        b = {own, pitch};
      }
      multiply_panel(panels, a, b, depth, p.y + m0 * p.N + n, p.N, columns, add);
    }
    add = true;
  }
}

// One large matrix, of so many.
template <class T>
Status large(const Product<T>& p, int64_t count) {
  LargeProduct<T> q{p.a.data, p.a.row, p.a.column, p.b.data, p.b.row, p.b.column,
                    p.bias,   p.y,     p.M,        p.N,      p.K,     count * p.M * p.N,
                    &p,       nullptr};
  if (p.addend || p.activation || p.residual) {
    q.finish = [](const void* context, int64_t m0, int64_t m1, int64_t n0, int64_t n1) {
      activate(*static_cast<const Product<T>*>(context), m0, m1, n0, n1);
    };
  }
  const size_t bytes = multiply_large(q);
  return bytes ? out_of_memory(bytes) : kDone;
}

// Whether even few rows are multiplied as many are, each thread by blocks of `b` that it packs for itself: as long
// as two threads' second levels nearly hold it, faster than few_rows (64x512x784 221 -> 173 us, 128x512x784
// 419 -> 338; 64x2048x2048 2 % slower; Emerald Rapids).
template <class T>
bool by_blocks(const Product<T>& p) {
  return p.M > TileShape::kRows && p.b.column == 1 && p.N > kDotColumns &&
         p.work() >= kSerialWork && !fits_near(p, 4) && fits_near(p, kByBlocks);
}

// Whether dot tiles take fewer steps than vectors along a narrow `b`, whose lanes are not all used:
// about 4 more cycles an element of y to add up the lanes.
template <class T>
bool dots_are_less(const Product<T>& p) {
  constexpr int64_t L = kLanes<T>;
  return 2 * p.N <= L && p.K * (L - p.N) > 8 * L * p.N;
}

// From one packed row to the next: whole vectors, no large power of two.
template <class T>
constexpr int64_t near_pitch(int64_t columns) {
  const int64_t pitch = round_up(columns, kLanes<T>);
  return pitch * static_cast<int64_t>(sizeof(T)) % 512 ? pitch : pitch + kLanes<T>;
}

// Columns [n0, n1) of `b` as rows of whole vectors.
template <class T>
void pack_all(const Product<T>& p, int64_t n0, int64_t n1, T* to) {
  const int64_t pitch = near_pitch<T>(n1 - n0);
  pack_panel(p.b.at(0, n0), p.b.column, p.b.row, p.K, static_cast<int>(n1 - n0),
             static_cast<int>(pitch), to);
}

// Into how many blocks to cut so many FLOPs: an even number, so that two threads have the same.
int64_t even_blocks(double work) {
  if (work < kSplitWork) return 1;
  return round_up(max(2, static_cast<int64_t>(work / kSerialWork)), 2);
}

// Matrices or blocks of one matrix that one thread does from start to end.
template <class T>
Status run_separate(const Product<T>& p, const Batches& batches) {
  // Dot tiles: along k both operands are contiguous (`b` after a small copy when it is narrow).
  const bool few_rows =
      p.M <= kDotRows && p.b.row == 1 && (p.K >= kDotSteps * p.M || !fits_near(p));
  const bool few_columns = p.N <= kDotColumns && p.M > p.N && (p.b.column != 1 || dots_are_less(p));
  const bool dots = p.a.column == 1 && p.K >= 2 * kLanes<T> && (few_rows || few_columns);
  const bool turn_b = dots && p.b.row != 1;
  // The tiles that read `a` where it is; a small `b` that is not contiguous along its rows is copied.
  // So is one whose rows are a large power of two apart: a tile's columns of it share few sets of L1.
  const bool clash = p.b.column == 1 && p.M >= kBlockRows && p.K >= kClashRows &&
                     p.b.row * int64_t{sizeof(T)} % 1024 == 0;
  const bool pack_b =
      !dots && p.M > 1 && (p.b.column != 1 || clash) && direct_columns<T>(p.N) &&
      (fits_near(p) || (p.a.column == 1 && p.M >= kBlockRows && !clash && fits_near(p, 4)));
  const bool direct = pack_b || (!dots && p.b.column == 1 && direct_columns<T>(p.N) &&
                                 (p.M <= TileShape::kRows || fits_near(p) ||
                                  (fits_near(p, 4) && p.M <= (clash ? 2 : 4) * kBlockRows)));

  // Blocks of about equal work; few enough that packing them separately does not matter.
  const double total = p.work() * static_cast<double>(batches.count);
  const int64_t unit = dots ? TileShape::kDotRows : TileShape::kRows;
  const int64_t width = dots ? TileShape::kDotColumns : TileShape::kVectors * kLanes<T>;
  const int64_t blocks = even_blocks(total);
  const int64_t wanted = min(blocks, kTasks);
  const int64_t parts = ceil_div(wanted, batches.count);
  int64_t rows = balanced(p.M, dots || pack_b ? p.M : 4 * kBlockRows, unit);
  int64_t columns = p.N;
  if (parts > 1) {
    if (direct && p.M >= 2 * unit) {
      rows = min(rows, balanced(p.M, ceil_div(p.M, parts), unit));
    } else if (p.N >= p.M) {
      columns = max(2 * width, balanced(p.N, ceil_div(p.N, parts), width));
    } else {
      rows = min(rows, max(2 * unit, balanced(p.M, ceil_div(p.M, parts), unit)));
    }
  }
  const int64_t down = ceil_div(p.M, rows), across = ceil_div(p.N, columns);
  const int64_t tasks = batches.count * down * across;
  // Matrices of a batch in four blocks at least: who is done first helps the other.
  const int64_t grain = ceil_div(tasks, total < 2 * kSplitWork ? blocks : max(blocks, 4));
  const int64_t scratch_elements =
      turn_b || pack_b
          ? near_pitch<T>(p.N) * p.K + kLineGap<T>
          : (dots || direct ? 0 : block_scratch<T>(min(rows, p.M), min(kDepth, p.K), true));
  bool enough = true;
  parallel_for(tasks, grain, [&](int64_t begin, int64_t end) {
    T* scratch = nullptr;
    if (scratch_elements) {
      scratch = static_cast<T*>(thread_scratch(static_cast<size_t>(scratch_elements) * sizeof(T)));
      if (!scratch) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
    }
    for (int64_t i = begin, done = 1; i < end; i += done) {
      const int64_t batch = i / (down * across), part = i % (down * across);
      const int64_t m0 = part / across * rows, n0 = part % across * columns;
      const int64_t m1 = min(p.M, m0 + rows), n1 = min(p.N, n0 + columns);
      Product<T> q = p;
      int64_t a_offset, b_offset;
      batches.offsets(batch, &a_offset, &b_offset);
      q.a.data += a_offset;
      q.b.data += b_offset;
      q.y += batch * p.M * p.N;
      if (q.residual) q.residual += batch * p.M * p.N;
      if (direct) {
        DirectProduct<T> d{q.a.at(m0, 0),
                           q.a.row,
                           q.a.column,
                           q.b.at(0, n0),
                           q.b.row,
                           q.bias ? q.bias + n0 : nullptr,
                           q.y + m0 * q.N + n0,
                           q.N,
                           m1 - m0,
                           n1 - n0,
                           q.K};
        if (pack_b) {
          pack_all(q, n0, n1, scratch);
          d.b = scratch;
          d.b_row = near_pitch<T>(n1 - n0);
          d.padded = true;
        } else if (down * across == 1) {  // as many matrices as lie at equal steps
          done = min(end - i, batches.run(batch, &d.a_step, &d.b_step));
          d.count = done;
          d.y_step = q.M * q.N;
        }
        multiply_direct(d);
        activate(q, m0, m0 + (m1 - m0) * done, n0, n1);
        continue;
      }
      if (!dots) {
        block(q, m0, m1, n0, n1, 0, p.K, false, scratch);
        activate(q, m0, m1, n0, n1);
        continue;
      }
      if (turn_b) {  // few columns: one block across
        for (int64_t n = 0; n < p.N; ++n) {
          for (int64_t k = 0; k < p.K; ++k) scratch[n * p.K + k] = *q.b.at(k, n);
        }
        q.b = {scratch, 1, p.K};
      }
      dot_block(q, m0, m1, n0, n1);
      activate(q, m0, m1, n0, n1);
    }
  });
  return enough ? kDone : out_of_memory(static_cast<size_t>(scratch_elements) * sizeof(T));
}

// One row or one column: true if a kernel for vectors has taken it.
template <class T>
bool vector_product(const Product<T>& p, Status* status) {
  const bool row = p.M == 1 && p.b.row == 1 && p.N > 1;
  size_t bytes = 0;  // that were not to be had
  if (row) {
    bytes = matrix_vector(p.b.data, p.b.column, p.a.data, p.a.column, p.bias, p.y, p.N, p.K);
  } else if (p.N == 1 && !p.bias && p.a.column == 1) {
    bytes = matrix_vector(p.a.data, p.a.row, p.b.data, p.b.row, nullptr, p.y, p.M, p.K);
  } else if (p.M == 1 && p.b.column == 1 && p.K * p.N >= kVectorWork) {
    bytes = vector_matrix(p.a.data, p.a.column, p.b.data, p.b.row, p.bias, p.y, p.N, p.K);
  } else {
    return false;
  }
  *status = bytes ? out_of_memory(bytes) : kDone;
  activate(p, 0, p.M, 0, p.N);
  return true;
}

// A batch of tiny products: true if the kernel for them has taken it.
template <class T>
bool tiny(const Product<T>& p, const Batches& batches) {
  int64_t a_step, b_step;
  batches.run(0, &a_step, &b_step);
  TinyProducts<T> q{p.a.data,   p.a.row, p.a.column, a_step, p.b.data, p.b.row,
                    p.b.column, b_step,  p.y,        p.M,    p.N,      p.K};
  if (p.bias || !tiny_products(q)) return false;
  parallel_for(batches.count, kTinySteps / p.K, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin, some; i < end; i += some) {
      int64_t a, b;
      batches.offsets(i, &a, &b);
      some = min(end - i, batches.run(i, &a_step, &b_step));
      TinyProducts<T> part = q;
      part.a += a;
      part.b += b;
      part.y += i * p.M * p.N;
      multiply_tiny(part, some);
    }
    activate(p, begin * p.M, end * p.M, 0, p.N);
  });
  return true;
}

// A long product: true if the kernel for them has taken it.
template <class T>
bool long_reduction(const Product<T>& p, Status* status) {
  if (p.b.column != 1 || !direct_columns<T>(p.N) || !long_product(p.M, p.N, p.K, sizeof(T))) {
    return false;
  }
  const size_t bytes = multiply_long(DirectProduct<T>{p.a.data, p.a.row, p.a.column, p.b.data,
                                                      p.b.row, p.bias, p.y, p.N, p.M, p.N, p.K});
  *status = bytes ? out_of_memory(bytes) : kDone;
  activate(p, 0, p.M, 0, p.N);
  return true;
}

// One matrix for the kernels of few rows or columns; what is due to complete ones: finish(&p, first, last).
template <class T>
FewRows<T> whole(const Product<T>& p, void (*finish)(const void*, int64_t, int64_t)) {
  return {p.a.data, p.a.row, p.a.column, p.b.data, p.b.row, p.b.column, p.bias,
          p.y,      p.M,     p.N,        p.K,      &p,      finish};
}

// Few rows: true if a kernel for them has taken it.
template <class T>
bool few_rows(const Product<T>& p, Status* status) {
  const bool turned = p.b.row == 1 && p.b.column != 1 && p.N > kDotColumns;
  const bool large = p.work() >= kSerialWork && p.N > kDotColumns && !fits_near(p, 4);
  if (!turned && !large) return false;
  // A small b is turned rather than a and y, where these are no smaller.
  if (turned && fits_near(p) && p.M > kDotRows && p.N <= 2 * p.M) return false;
  const FewRows<T> q = whole(p, [](const void* context, int64_t n0, int64_t n1) {
    const auto& product = *static_cast<const Product<T>*>(context);
    activate(product, 0, product.M, n0, n1);
  });
  const bool far = p.M <= kStreamRows && from_afar(p);
  const size_t bytes = far                             ? multiply_stream(q)
                       : turned && p.K >= kTurnedSteps ? multiply_turned(q)
                                                       : multiply_few_rows(q);
  *status = bytes ? out_of_memory(bytes) : kDone;
  return true;
}

// Few columns, many results of short sums, very few rows: true if a kernel for them has taken it.
template <class T>
bool one_side_is_short(const Product<T>& p, Status* status) {
  FewRows<T> q = whole(p, [](const void* context, int64_t m0, int64_t m1) {
    const auto& product = *static_cast<const Product<T>*>(context);
    activate(product, m0, m1, 0, product.N);
  });
  size_t bytes = 0;
  if (narrow_product(q)) {
    bytes = multiply_narrow(q);
  } else if (short_product(q)) {
    if (!p.addend && !p.activation && !p.residual) q.finish = nullptr;
    bytes = multiply_short(q);
  } else if (dots_product(q)) {
    q.finish = [](const void* context, int64_t n0, int64_t n1) {
      const auto& product = *static_cast<const Product<T>*>(context);
      activate(product, 0, product.M, n0, n1);
    };
    bytes = multiply_dots(q);
  } else {
    return false;
  }
  *status = bytes ? out_of_memory(bytes) : kDone;
  return true;
}

// ---- arguments ----

template <class T>
Status run(const MatmulArgs& args, const Array& a, const Array& b, const Ending& ending) {
  Product<T> p;
  constexpr int64_t size = sizeof(T);
  p.a = {reinterpret_cast<const T*>(a.data), a.stride[a.ndim - 2] / size,
         a.stride[a.ndim - 1] / size};
  p.b = {reinterpret_cast<const T*>(b.data), b.stride[b.ndim - 2] / size,
         b.stride[b.ndim - 1] / size};
  p.bias = reinterpret_cast<const T*>(args.bias.data);
  p.y = reinterpret_cast<T*>(args.y.data);
  p.M = a.shape[a.ndim - 2];
  p.K = a.shape[a.ndim - 1];
  p.N = b.shape[b.ndim - 1];
  p.activation = ending.activation;
  if (ending.residual) p.residual = reinterpret_cast<const T*>(ending.residual->data);
  Addend<T> addend{reinterpret_cast<const T*>(ending.c), ending.c_spread,
                   static_cast<T>(ending.alpha), static_cast<T>(ending.beta), p.y};
  if (ending.scaled) p.addend = &addend;
  Batches batches = fold_batches(a, b, args.out_shape, p);
  // A column under a matrix that is contiguous downwards: y's transpose is the column's row by that
  // matrix turned, which is contiguous along its rows.
  if (p.N == 1 && p.M > 1 && p.a.row == 1 && p.a.column != 1 && !p.bias &&
      !(p.addend && (batches.count > 1 || addend.spread.dims > 1))) {
    addend.spread.column = addend.spread.dims ? addend.spread.stride[0] : 0;
    addend.spread.dims = 0;
    const Matrix<T> turned{p.a.data, p.a.column, p.a.row};
    p.a = {p.b.data, p.b.column, p.b.row};
    p.b = turned;
    p.N = p.M;
    p.M = 1;
    for (int d = 0; d < batches.dims; ++d) {
      const int64_t stride = batches.a_stride[d];
      batches.a_stride[d] = batches.b_stride[d];
      batches.b_stride[d] = stride;
    }
  }
  if (p.K == 0) {
    fill_bias(p, 0, batches.count * p.M, 0, p.N);
    activate(p, 0, batches.count * p.M, 0, p.N);
    return kDone;
  }
  const bool simple = batches.count == 1 && !p.bias;
  if (simple && p.K == 1 && p.N >= kLanes<T> && p.b.column == 1) {
    const bool more = p.addend || p.activation || p.residual;  // follows where the rows are near
    parallel_for(p.M, more ? max(1, kOuterBlock / p.N) : p.M, [&](int64_t begin, int64_t end) {
      const int64_t rows = end - begin;
      outer_product(p.a.at(begin, 0), p.a.row, p.b.data, p.y + begin * p.N, rows, p.N);
      activate(p, begin, end, 0, p.N);
    });
    return kDone;
  }
  if (simple && p.M == 1 && p.N == 1 && p.a.column == 1 && p.b.row == 1 && p.K >= 512) {
    p.y[0] = dot_product(p.a.data, p.b.data, p.K);
    activate(p, 0, 1, 0, 1);
    return kDone;
  }
  Status status;
  if (batches.count == 1 && (p.M == 1 || p.N == 1) && vector_product(p, &status)) return status;
  if (batches.count > 1 && tiny(p, batches)) return kDone;
  if (batches.count == 1 && p.M > 1 && long_reduction(p, &status)) return status;
  if (batches.count == 1 && one_side_is_short(p, &status)) return status;
  const bool far = p.M > 1 && from_afar(p), blocks = batches.count == 1 && by_blocks(p);
  if (batches.count == 1 && !blocks && (far || p.M > TileShape::kRows) && p.M <= 2 * kBlockRows &&
      few_rows(p, &status)) {
    return status;
  }
  const bool narrow = p.b.column == 1 && direct_columns<T>(p.N) && fits_near(p);
  const bool little =
      (p.M <= 2 * kBlockRows && !blocks) || p.N <= kDotColumns || p.work() < kSerialWork;
  // Many results of short sums: memory bounds them, and only `large` stores past the caches.
  const bool written =
      batches.count > 1 && p.K <= kChain && beyond_cache(batches.count * p.M * p.N * int64_t{size});
  const bool separate = narrow || (batches.count > 1 && p.work() < kBigMatrix);
  if (little || (separate && !written)) return run_separate(p, batches);
  for (int64_t batch = 0; batch < batches.count; ++batch) {
    Product<T> q = p;
    int64_t a_offset, b_offset;
    batches.offsets(batch, &a_offset, &b_offset);
    q.a.data += a_offset;
    q.b.data += b_offset;
    q.y += batch * p.M * p.N;
    if (q.residual) q.residual += batch * p.M * p.N;
    status = large(q, batches.count);
    if (status.code != Code::kOk) return status;
  }
  return kDone;
}

Status multiply(const MatmulArgs& args, const Ending& ending) {
  if (args.a.ndim == 1 || args.b.ndim == 1) {
    MatmulArgs matrices;
    int64_t space[8];
    const Status fit = as_matrices(args, &matrices, space);
    return fit.code == Code::kOk ? multiply(matrices, ending) : fit;
  }
  const DType dtype = args.a.dtype;
  if (ending.residual && ending.residual->dtype != dtype) return kNoDType;
  if (args.b.dtype != dtype || (args.bias.data && args.bias.dtype != dtype)) return kNoDType;
  const bool integers = dtype == DType::kInt32 || dtype == DType::kInt64;
  if (integers ? args.bias.data || ending.activation || ending.residual
               : dtype != DType::kFloat32 && dtype != DType::kFloat64) {
    return kNoDType;
  }
  const Status status = check(args);
  if (status.code != Code::kOk || args.y.size == 0) return status;
  const Aligned a(args.a), b(args.b);
  if ((a.bytes && !a.memory) || (b.bytes && !b.memory)) {
    return out_of_memory(a.bytes + b.bytes);
  }
  if (integers) return multiply_integers(args, a.array, b.array, ending);
  return dtype == DType::kFloat32 ? run<float>(args, a.array, b.array, ending)
                                  : run<double>(args, a.array, b.array, ending);
}

}  // namespace

Status matmul(const MatmulArgs& args) { return multiply(args, {}); }

Status matmul_epilogue(const MatmulEpilogueArgs& args) {
  if (args.activation < kIdentity || args.activation > kSilu) return {Code::kShape, {4, 0}};
  Ending ending;
  ending.activation = args.activation;
  if (args.residual.data) ending.residual = &args.residual;
  if (ending.residual && args.residual.size != args.y.size) {
    return {Code::kShape, {3, args.residual.size}};
  }
  return multiply({args.a, args.b, args.bias, args.out_shape, args.y}, ending);
}

Status matmul_add(const MatmulAddArgs& args) {
  Ending ending;
  ending.scaled = true;
  ending.alpha = args.alpha;
  ending.beta = args.beta;
  Array none{};
  const bool given = args.c.data && args.y.size;
  const Aligned c(given ? args.c : none);
  if (given) {
    if (args.c.dtype != args.a.dtype) return kNoDType;
    if (c.bytes && !c.memory) return out_of_memory(c.bytes);
    if (!spread(c.array, args.out_shape, args.b.ndim > 1, &ending.c_spread)) {
      return {Code::kShape, {2, args.c.ndim}};
    }
    ending.c = c.array.data;
  }
  return multiply({args.a, args.b, none, args.out_shape, args.y}, ending);
}

}  // namespace GS_ISA
}  // namespace gradsmith
