// Products without packing (matmul_direct.h).
//
// multiply_direct  Register tiles (gemm.h) that read the left operand where it is, each element of it
//                  broadcast from memory, and the last columns through a mask. Pays where packing is
//                  no small part of the work: few multiplications an element of `a`, or everything in
//                  L1 and L2.
// matrix_vector    Four rows at once, lanes along k; sixteen rows' sums are turned over together.
// vector_matrix    Eight rows of b at once are added to the row of sums, which stays in L1: b is read
//                  once, in the order of memory. Stretches of kChain rows are tasks with sums of their
//                  own, added in order, so that the bits are those of one chain after the other.
// Cost             2 M N K FLOPs; nothing written but y.
// Memory           a row of sums a stretch (vector_matrix); nothing else.
// Split            multiply_direct: none. The others: stretches of rows or columns, by the shape alone.
// Accuracy         multiply_direct, vector_matrix: chains of kChain multiply-adds, their sums added in
//                  order. matrix_vector: two chains a lane.
#include "matmul_direct.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// ---- tiles ----

constexpr int64_t kFetchSteps = 32;  // with so many steps of K a row of y is fetched
// Steps that columns of `a` are fetched ahead while they are packed. Lines powers of two apart share the first level's
// sets, so that 16 drive each other out: g^T x of 512 and 768 cubed 294 -> 313 GFLOP/s (Emerald Rapids, 2 threads).
constexpr int64_t kPackAhead = 8;

template <class T>
struct Direct {
  int64_t K, a_row, a_column, b_row, y_row;
  int64_t ahead;  // how far behind b the next rows are fetched, in elements; 0: everything is near
  bool add, padded, fetch_y;
  T* copy;    // nullptr, or where b's rows go, in whole vectors
  T* copy_a;  // nullptr, or where a's columns go
  const Feed<T>* feed;
};

// `tail`: the columns of the last vector.
template <class T, int MR, int NV>
__attribute__((noinline)) void direct_tile(const Direct<T>& d, const T* a, const T* b,
                                           const T* bias, T* y, int64_t tail) {
  constexpr int L = kLanes<T>;
  const auto load_last = [tail](const T* p) {
    if constexpr (GS_VECTOR_BYTES > 16) {
      return load_n(p, tail);
    } else {
      return load(p);
    }
  };
  // Nothing but multiply-adds may take a vector port: a masked load does (AVX-512 on Intel), and so does an
  // address kept in a vector register. So a's rows have two bases and `next` is a pointer of its own, which
  // the compiler cannot derive from the others: it would keep a register for every row. 160 -> 174 of 178
  // GFLOP/s a core (Emerald Rapids, 8 x 48, K = 256).
  constexpr int kHalf = (MR + 1) / 2;
  const int64_t a_row = d.a_row, a_column = d.a_column, b_row = d.b_row;
  const int64_t ahead_a = kPackAhead * a_column;
  const T *low = a, *high = a + (MR > kHalf ? kHalf * a_row : 0), *next = b + d.ahead;
  asm("" : "+r"(high), "+r"(next));
  const T* line = y;
  T *copy = d.copy, *copy_a = d.copy_a;
  int64_t feed_rows = d.feed ? d.feed->some : 0;
  const T* feed_line = d.feed ? d.feed->from : nullptr;
  constexpr bool kPacks = !std::is_integral_v<T> && NV <= TileShape::kVectors;
  for (int64_t rest = d.K;; rest -= kChain) {
    Vec<T> sum[MR][NV];
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
      for (int j = 0; j < NV; ++j) sum[i][j] = Vec<T>{};
    }
    const int64_t chain = min(rest, kChain);
    const auto steps = [&](int64_t n, auto load_end, auto fetch, auto write,
                           auto write_a) __attribute__((always_inline)) {
#pragma GCC unroll 1
      for (int64_t k = 0; k < n; ++k) {
        Vec<T> row[NV];
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
          row[j] = j + 1 < NV ? load(b + j * L) : load_end(b + j * L);
          if constexpr (fetch) __builtin_prefetch(next + j * L);
          if constexpr (write) store(copy + j * L, row[j]);
        }
        if constexpr (write) copy += NV * L;
        if constexpr (write_a) {
          __builtin_prefetch(low + ahead_a);
          __builtin_memcpy(copy_a, low, MR * sizeof(T));
          copy_a += MR;
        }
#pragma GCC unroll 16
        for (int i = 0; i < MR; ++i) {
          const Vec<T> value = splat(write_a     ? low[i]
                                     : i < kHalf ? low[i * a_row]
                                                 : high[(i - kHalf) * a_row]);
#pragma GCC unroll 8
          for (int j = 0; j < NV; ++j) sum[i][j] += value * row[j];
        }
        low += a_column;
        high += a_column;
        b += b_row;
        if constexpr (fetch) next += b_row;
      }
    };
    constexpr std::true_type kYes{};
    constexpr std::false_type kNo{};
    bool written = false;
    if constexpr (kPacks) {
      written = copy;
      if (written && copy_a) {
        steps(chain, load_last, kYes, kYes, kYes);
      } else if (written) {
        steps(chain, load_last, kYes, kYes, kNo);
      }
    }
    if (MR > 1 && d.ahead && !written) {
      steps(chain, load_last, kYes, kNo, kNo);
    } else if (!written) {
      for (int64_t k = 0, n; k < chain; k += n) {
        n = min(kFetchSteps, chain - k);
        // All lines at once would fill the buffers that b's loads wait for: 165 instead of 173 GFLOP/s a core.
        if (d.fetch_y && line < y + MR * d.y_row) {
#pragma GCC unroll 8
          for (int j = 0; j < NV; ++j) __builtin_prefetch(line + j * L);
          __builtin_prefetch(line + NV * L - 1);
          line += d.y_row;
        }
        if constexpr (kPacks && kFeeds<T>) {
          if (feed_rows > 0) {
            --feed_rows;
#pragma GCC unroll 32
            for (int j = 0; j < Feed<T>::kVectors; ++j) __builtin_prefetch(feed_line + j * L);
            feed_line += d.feed->step;
          }
        }
        if constexpr (kPacks) {
          if (copy_a) {  // b is packed
            steps(n, [](const T* p) { return load(p); }, kNo, kNo, kYes);
            continue;
          }
        }
        if (tail == L || d.padded) {
          steps(n, [](const T* p) { return load(p); }, kNo, kNo, kNo);
        } else {
          steps(n, load_last, kNo, kNo, kNo);
        }
      }
    }
    const bool more = d.add || rest < d.K;
    if (more || bias) {
      const T* const from = more ? y : bias;
      const int64_t step = more ? d.y_row : 0;
#pragma GCC unroll 16
      for (int i = 0; i < MR; ++i) {
#pragma GCC unroll 8
        for (int j = 0; j < NV; ++j) {
          sum[i][j] +=
              j + 1 < NV ? load(from + i * step + j * L) : load_last(from + i * step + j * L);
        }
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < MR; ++i) {
      T* const to = y + i * d.y_row;
#pragma GCC unroll 8
      for (int j = 0; j + 1 < NV; ++j) store(to + j * L, sum[i][j]);
      if (GS_VECTOR_BYTES == 64 || tail < L) {
        if constexpr (GS_VECTOR_BYTES > 16) store_n(to + (NV - 1) * L, sum[i][NV - 1], tail);
      } else {
        store(to + (NV - 1) * L, sum[i][NV - 1]);
      }
    }
    if (rest <= kChain) return;
  }
}

template <class T>
using DirectTile = void (*)(const Direct<T>&, const T*, const T*, const T*, T*, int64_t);

// Integers have few tiles, of all rows or of one: each takes time to compile.
template <class T>
constexpr int kWidest = std::is_integral_v<T> ? TileShape::kVectors : TileShape::kMaxVectors;

template <class T, int MR, int NV>
constexpr DirectTile<T> direct_or_none() {
  if constexpr (NV <= min(TileShape::vectors(MR), kWidest<T>) &&
                (!std::is_integral_v<T> || MR == 1 || MR == TileShape::kRows)) {
    return &direct_tile<T, MR, NV>;
  } else {
    return nullptr;
  }
}

template <class T>
struct DirectTable {
  DirectTile<T> entry[TileShape::kRows * TileShape::kMaxVectors];
  DirectTile<T> get(int rows, int64_t vectors) const {
    return entry[(rows - 1) * TileShape::kMaxVectors + vectors - 1];
  }
};

template <class T, int... I>
constexpr DirectTable<T> make_direct(std::integer_sequence<int, I...>) {
  constexpr int V = TileShape::kMaxVectors;
  return {{direct_or_none<T, I / V + 1, I % V + 1>()...}};
}

template <class T>
constexpr DirectTable<T> kDirect =
    make_direct<T>(std::make_integer_sequence<int, TileShape::kRows * TileShape::kMaxVectors>{});

template <class T>
void multiply(const DirectProduct<T>& p) {
  constexpr int64_t L = kLanes<T>;
  constexpr int64_t kNear = (256 << 10) / sizeof(T), kAhead = 16, kCopyAhead = 8;
  const Panels panels(p.M);
  // Rows of b that are used once come from afar: the processor fetches no columns by itself.
  const bool near = panels.count > 1 || p.K * p.N <= kNear;
  Direct<T> d{p.K,   p.a_row,  p.a_column, p.b_row, p.y_row, near ? 0 : kAhead * p.b_row,
              p.add, p.padded, p.fetch_y,  nullptr, nullptr, p.feed};
  const int64_t most = min(panels.vectors(), kWidest<T>);
  const T *a = p.a, *b = p.b;
  T* y = p.y;
  for (int64_t i = 0; i < p.count; ++i, a += p.a_step, b += p.b_step, y += p.y_step) {
    for (int64_t n = 0; n < p.N;) {
      // Divisions would take as long as a tiny product.
      const int64_t left = ceil_div(p.N - n, L),
                    vectors = left <= most ? left : even_part(left, most);
      const int64_t columns = min(vectors * L, p.N - n), tail = columns - (vectors - 1) * L;
      const T* const bias = p.bias ? p.bias + n : nullptr;
      if constexpr (std::is_integral_v<T>) {
        int64_t m = 0;
        while (m < p.M) {
          const int rows = m + TileShape::kRows <= p.M ? TileShape::kRows : 1;
          kDirect<T>.get(rows, vectors)(d, a + m * p.a_row, b + n, bias, y + m * p.y_row + n, tail);
          m += rows;
        }
      } else {
        int64_t m = 0;
        for (int64_t r = 0; r < panels.count; ++r) {
          const int rows = panels.rows(r);
          if (p.copy && i == 0 && r == 0) {
            d.copy = p.copy;
            d.ahead = kCopyAhead * p.b_row;
          }
          if (p.copy_a) d.copy_a = p.copy_a + m * p.K;
          kDirect<T>.get(rows, vectors)(d, a + m * p.a_row, b + n, bias, y + m * p.y_row + n, tail);
          m += rows;
          if constexpr (kFeeds<T>) {
            if (p.feed && !d.copy)
              p.feed->copy(p.feed->some);  // the tile that packs b fetches nothing else
          }
          if (d.copy) {
            d.copy = nullptr;
            d.ahead = 0;
            d.padded = true;
            d.b_row = vectors * L;
            b = p.copy;
          }
        }
      }
      n += columns;
    }
  }
}

// ---- vectors ----

constexpr int64_t kTaskBytes = 256 << 10;  // of the matrix, read by one task

// sums[r]: the lanes' sums of rows[r] times x, for 4 rows (or fewer: the last repeats).
template <class T>
void four_rows(const T* const* rows, const T* x, int64_t K, int64_t ahead, Vec<T>* sums) {
  constexpr int64_t L = kLanes<T>;
#pragma GCC unroll 4
  for (int r = 0; r < 4; ++r) sums[r] = Vec<T>{};
  for (int64_t k = 0; k < K;) {
    const int64_t stop = min(K, k + 2 * kChain * L);
    Vec<T> even[4] = {}, odd[4] = {};
#pragma GCC unroll 1
    for (; k + 2 * L <= stop; k += 2 * L) {
      const Vec<T> first = load(x + k), second = load(x + k + L);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        __builtin_prefetch(rows[r] + k + ahead);
        __builtin_prefetch(rows[r] + k + ahead + L);
        even[r] += first * load(rows[r] + k);
        odd[r] += second * load(rows[r] + k + L);
      }
    }
    for (; k < stop; k += L) {
      const int64_t n = min(L, stop - k);
      const Vec<T> part = n == L ? load(x + k) : load_n(x + k, n);
#pragma GCC unroll 4
      for (int r = 0; r < 4; ++r) {
        even[r] += part * (n == L ? load(rows[r] + k) : load_n(rows[r] + k, n));
      }
    }
#pragma GCC unroll 4
    for (int r = 0; r < 4; ++r) sums[r] += even[r] + odd[r];
  }
}

template <class T>
size_t rows_by_vector(const T* a, int64_t row, const T* x, int64_t step, const T* bias, T* y,
                      int64_t M, int64_t K) {
  constexpr int64_t L = kLanes<T>, kGroup = L < 4 ? 4 : L, kLong = 8192 / sizeof(T);
  if (step != 1 && K > 1) {
    const size_t bytes = static_cast<size_t>(K) * sizeof(T);
    T* const own = static_cast<T*>(thread_scratch(bytes));
    if (!own) return bytes;
    for (int64_t k = 0; k < K; ++k) own[k] = x[k * step];
    x = own;
  }
  const int64_t grain =
      round_up(max(1, kTaskBytes / (max(K, 1) * static_cast<int64_t>(sizeof(T)))), kGroup);
  // Long rows: further along them; short ones: the next four.
  const int64_t ahead = K >= kLong ? kLong / 4 : 4 * row;
  parallel_for(M, grain, [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; m += kGroup) {
      Vec<T> sums[kGroup];
      for (int64_t i = 0; i < kGroup; i += 4) {
        if (m + i >= end) {
          for (int64_t r = i; r < i + 4; ++r) sums[r] = Vec<T>{};
          continue;
        }
        const T* rows[4];
        for (int r = 0; r < 4; ++r) rows[r] = a + min(m + i + r, end - 1) * row;
        four_rows(rows, x, K, ahead, sums + i);
      }
      for (int64_t i = 0; i < kGroup && m + i < end; i += L) {
        const int64_t n = min(L, end - m - i);
        Vec<T> v = sum_lanes<T>(sums + i);
        if (bias) v += n == L ? load(bias + m + i) : load_n(bias + m + i, n);
        if (n == L) {
          store(y + m + i, v);
        } else {
          store_n(y + m + i, v, n);
        }
      }
    }
  });
  return 0;
}

// y[j] (+)= sum of x[r] b[r][j] over G rows, in order.
template <class T, int G>
GS_INLINE void add_rows(const T* x, int64_t step, const T* b, int64_t row, T* y, int64_t n,
                        bool first, int64_t ahead) {
  constexpr int64_t L = kLanes<T>;
  Vec<T> factor[G];
#pragma GCC unroll 8
  for (int r = 0; r < G; ++r) factor[r] = splat(x[r * step]);
  int64_t j = 0;
#pragma GCC unroll 1
  for (; j + L <= n; j += L) {
    Vec<T> sum = first ? Vec<T>{} : load(y + j);
#pragma GCC unroll 8
    for (int r = 0; r < G; ++r) {
      __builtin_prefetch(b + r * row + j + ahead);
      sum += factor[r] * load(b + r * row + j);
    }
    store(y + j, sum);
  }
  if (j < n) {
    Vec<T> sum = first ? Vec<T>{} : load_n(y + j, n - j);
#pragma GCC unroll 8
    for (int r = 0; r < G; ++r) sum += factor[r] * load_n(b + r * row + j, n - j);
    store_n(y + j, sum, n - j);
  }
}

// Of b's rows [k0, k1) and n columns.
template <class T>
void rows_summed(const T* x, int64_t step, const T* b, int64_t row, T* y, int64_t n, int64_t K) {
  constexpr int G = 8;
  int64_t k = 0;
  for (; k + G <= K; k += G) {
    add_rows<T, G>(x + k * step, step, b + k * row, row, y, n, k == 0, G * row);
  }
  for (; k < K; ++k) add_rows<T, 1>(x + k * step, step, b + k * row, row, y, n, k == 0, row);
}

template <class T>
size_t vector_by_rows(const T* x, int64_t step, const T* b, int64_t row, const T* bias, T* y,
                      int64_t N, int64_t K) {
  constexpr int64_t kColumns = 16384 / sizeof(T);  // a stretch of sums, in L1
  const int64_t stretches = ceil_div(K, kChain);
  const int64_t wide =
      min(kColumns, kTaskBytes / (min(K, kChain) * static_cast<int64_t>(sizeof(T))));
  const int64_t columns = balanced(N, wide, 64);
  const int64_t across = ceil_div(N, columns);
  const size_t bytes = static_cast<size_t>((stretches - 1) * N) * sizeof(T);
  T* const parts = bytes ? static_cast<T*>(allocate(bytes)) : nullptr;
  if (bytes && !parts) return bytes;
  parallel_for(stretches * across, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t s = i / across, n = i % across * columns, k = s * kChain;
      rows_summed(x + k * step, step, b + k * row + n, row, (s ? parts + (s - 1) * N : y) + n,
                  min(columns, N - n), min(kChain, K - k));
    }
  });
  if (bias || stretches > 1) {
    constexpr int64_t L = kLanes<T>;
    parallel_for(N, max(1024, (1 << 16) / stretches), [&](int64_t begin, int64_t end) {
      for (int64_t j = begin; j < end; j += L) {
        const int64_t n = min(L, end - j);
        const auto get = [=](const T* p) { return n == L ? load(p) : load_n(p, n); };
        Vec<T> sum = get(y + j);
        if (bias) sum += get(bias + j);
        for (int64_t s = 1; s < stretches; ++s) sum += get(parts + (s - 1) * N + j);
        if (n == L) {
          store(y + j, sum);
        } else {
          store_n(y + j, sum, n);
        }
      }
    });
  }
  release(parts, bytes);
  return 0;
}

template <class T>
void outer(const T* a, int64_t step, const T* b, T* y, int64_t M, int64_t N) {
  constexpr int L = kLanes<T>;
  const bool past = GS_VECTOR_BYTES == 64 && N % L == 0 &&
                    beyond_cache(M * N * int64_t{sizeof(T)}) &&
                    reinterpret_cast<uintptr_t>(y) % GS_VECTOR_BYTES == 0;
  parallel_for(M, max(1, (1 << 17) / max(1, N)), [&](int64_t begin, int64_t end) {
    for (int64_t m = begin; m < end; ++m) {
      const Vec<T> factor = splat(a[m * step]);
      T* const to = y + m * N;
      int64_t n = 0;
      if (past) {  // what no cache keeps
        for (; n < N; n += L) store_stream<T>(to + n, factor * load(b + n));
        continue;
      }
      for (; n + L <= N; n += L) store(to + n, factor * load(b + n));
      if (n < N) store_n(to + n, factor * load_n(b + n, N - n), N - n);
    }
    if (past) stream_fence();
  });
}

}  // namespace

void multiply_direct(const DirectProduct<float>& p) { multiply(p); }
void multiply_direct(const DirectProduct<double>& p) { multiply(p); }
void multiply_direct(const DirectProduct<uint32_t>& p) { multiply(p); }
void multiply_direct(const DirectProduct<uint64_t>& p) { multiply(p); }

size_t matrix_vector(const float* a, int64_t row, const float* x, int64_t step, const float* bias,
                     float* y, int64_t M, int64_t K) {
  return rows_by_vector(a, row, x, step, bias, y, M, K);
}
size_t matrix_vector(const double* a, int64_t row, const double* x, int64_t step,
                     const double* bias, double* y, int64_t M, int64_t K) {
  return rows_by_vector(a, row, x, step, bias, y, M, K);
}

size_t vector_matrix(const float* x, int64_t step, const float* b, int64_t row, const float* bias,
                     float* y, int64_t N, int64_t K) {
  return vector_by_rows(x, step, b, row, bias, y, N, K);
}
size_t vector_matrix(const double* x, int64_t step, const double* b, int64_t row,
                     const double* bias, double* y, int64_t N, int64_t K) {
  return vector_by_rows(x, step, b, row, bias, y, N, K);
}

void outer_product(const float* a, int64_t step, const float* b, float* y, int64_t M, int64_t N) {
  outer(a, step, b, y, M, N);
}
void outer_product(const double* a, int64_t step, const double* b, double* y, int64_t M,
                   int64_t N) {
  outer(a, step, b, y, M, N);
}

}  // namespace GS_ISA
}  // namespace gradsmith
