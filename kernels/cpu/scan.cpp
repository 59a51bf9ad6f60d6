// Scans along a dimension: cumsum cumprod recurrence prod_bwd.
//
// Formula: y_j = x_0 + .. + x_j (cumsum), x_0 * .. * x_j (cumprod); exclusive: without x_j; reverse: from
//   the end. recurrence: y_j = b_j + a_j y_{j-1}; reverse: y_j = b_j + a_{j+1} y_{j+1}, its adjoint.
//   prod_bwd: grad_x_j = grad_y * product of the x_i of its row, i != j, without a division.
// Layout: contiguous, as (outer, extent, inner); lanes run along inner, or where that is 1, for float32's
//   sums and products, along outer: squares are transposed in registers. prod_bwd: lanes are neighbours.
// Split: by outer and strips of inner; a row is one thread's, in order. prod_bwd: blocks of 2048 elements.
// Working set: a strip of 512 running values; prod_bwd: 2048 products, float64.
// Cost: reads each operand once, writes the result once; prod_bwd reads rows of more than a block twice.
// Accuracy: the running value is float64, rounded once an element; int64 is exact.
#include "lists/scan.h"
#include "strided.h"
#include "transpose.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
constexpr int64_t kStrip = 512;

// step(running, element): folds element (its place in the array) into a running value and writes it.
// rows(o, extent, count): where inner is 1, scans the first of `count` rows from row o on, as many as it
// can at once, and says how many those are.
template <class Wide, class Rows, class Step>
void scan(int ndim, const int64_t* shape, int64_t dim, bool reverse, Wide start, const Rows& rows,
          const Step& step) {
  int64_t outer = 1, extent = 1, inner = 1;
  for (int d = 0; d < ndim; ++d) (d < dim ? outer : d == dim ? extent : inner) *= shape[d];
  if (outer * extent * inner == 0) return;
  if (inner == 1) {  // four rows at a time: a row alone waits for its own sums
    const int64_t grain = (max64(kBlock / extent, 1) + 15) / 16 * 16;
    parallel_for(outer, extent >= kBlock ? 1 : grain, [&](int64_t begin, int64_t end) {
      int64_t o = begin;
      while (const int64_t done = rows(o, extent, end - o)) o += done;
      for (; o + 4 <= end; o += 4) {
        Wide running[4] = {start, start, start, start};
        for (int64_t t = 0; t < extent; ++t) {
          const int64_t j = reverse ? extent - 1 - t : t;
#pragma GCC unroll 4
          for (int k = 0; k < 4; ++k) step(running[k], (o + k) * extent + j, t == 0 ? -1 : 1);
        }
      }
      for (; o < end; ++o) {
        Wide running = start;
        for (int64_t t = 0; t < extent; ++t) {
          step(running, o * extent + (reverse ? extent - 1 - t : t), t == 0 ? -1 : 1);
        }
      }
    });
    return;
  }
  const int64_t strip = min64(kStrip, inner), strips = (inner + strip - 1) / strip;
  const int64_t grain = max64(kBlock / (extent * strip), 1);
  parallel_for(outer * strips, grain, [&](int64_t begin, int64_t end) {
    for (int64_t s = begin; s < end; ++s) {
      const int64_t o = s / strips, first = s % strips * strip;
      const int64_t n = min64(strip, inner - first);
      Wide running[kStrip];
      for (int64_t i = 0; i < n; ++i) running[i] = start;
      for (int64_t t = 0; t < extent; ++t) {
        const int64_t j = reverse ? extent - 1 - t : t;
        const int64_t row = (o * extent + j) * inner + first;
        for (int64_t i = 0; i < n; ++i) step(running[i], row + i, t == 0 ? -1 : inner);
      }
    }
  });
}

// kLanes rows of `extent` elements each, one behind another; the running values are lanes. The same
// operations as row by row.
template <bool kProduct>
void cumulate_rows(const float* x, float* y, int64_t extent, bool exclusive, bool reverse) {
  constexpr int kN = kLanes<float>, kHalf = kN / 2;
  alignas(GS_VECTOR_BYTES) float columns[kN][kN];
  Vec<double> running[2] = {splat<double>(kProduct), splat<double>(kProduct)};
  for (int64_t t = 0; t < extent; t += kN) {
    const int64_t n = min64(kN, extent - t), first = reverse ? extent - t - n : t;
    Vec<float> a[kN];
#pragma GCC unroll 16
    for (int i = 0; i < kN; ++i) {
      const float* const row = x + i * extent + first;
      a[i] = n == kN ? load<float>(row) : load_n<float>(row, n);
    }
    transpose_vectors<float>(a);
#pragma GCC unroll 16
    for (int i = 0; i < kN; ++i) store<float>(columns[i], a[i]);
    for (int64_t s = 0; s < n; ++s) {
      float* const column = columns[reverse ? n - 1 - s : s];
#pragma GCC unroll 2
      for (int h = 0; h < 2; ++h) {
        HalfFloats part;
        __builtin_memcpy(&part, column + h * kHalf, sizeof(part));
        const Vec<double> value = widen(part);
        const Vec<double> next = kProduct ? running[h] * value : running[h] + value;
        part = __builtin_convertvector(exclusive ? running[h] : next, HalfFloats);
        __builtin_memcpy(column + h * kHalf, &part, sizeof(part));
        running[h] = next;
      }
    }
#pragma GCC unroll 16
    for (int i = 0; i < kN; ++i) a[i] = load<float>(columns[i]);
    transpose_vectors<float>(a);
#pragma GCC unroll 16
    for (int i = 0; i < kN; ++i) {
      float* const row = y + i * extent + first;
      if (n == kN) {
        store<float>(row, a[i]);
      } else {
        store_n<float>(row, a[i], n);
      }
    }
  }
}

template <class T, class Wide, bool kProduct>
void cumulate(const CumArgs& args) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const bool exclusive = args.exclusive;
  const auto rows = [=](int64_t o, int64_t extent, int64_t count) {
    if constexpr (std::is_same_v<T, float>) {
      if (count < kLanes<T>) return int64_t{0};
      cumulate_rows<kProduct>(x + o * extent, y + o * extent, extent, exclusive, args.reverse);
      return int64_t{kLanes<T>};
    }
    return int64_t{0};
  };
  scan<Wide>(args.x.ndim, args.x.shape, args.dim, args.reverse, Wide(kProduct), rows,
             [=](Wide& running, int64_t at, int64_t) {
               const Wide next = kProduct ? running * static_cast<Wide>(x[at])
                                          : running + static_cast<Wide>(x[at]);
               y[at] = static_cast<T>(exclusive ? running : next);
               running = next;
             });
}

template <bool kProduct>
Status cumulate_any(const CumArgs& args) {
  if (args.dim < 0 || args.dim >= args.x.ndim) return {Code::kShape, {0, 0}};
  switch (args.x.dtype) {
    case DType::kFloat32: cumulate<float, double, kProduct>(args); return kDone;
    case DType::kFloat64: cumulate<double, double, kProduct>(args); return kDone;
    case DType::kInt64: cumulate<int64_t, uint64_t, kProduct>(args); return kDone;
    default: return kNoDType;
  }
}

template <class T>
void recur(const RecurrenceArgs& args) {
  const T* const a = reinterpret_cast<const T*>(args.a.data);
  const T* const b = reinterpret_cast<const T*>(args.b.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const bool reverse = args.reverse;
  scan<double>(
      args.b.ndim, args.b.shape, args.dim, reverse, 0.0,
      [](int64_t, int64_t, int64_t) { return int64_t{0}; },
      [=](double& running, int64_t at, int64_t inner) {
        double sum = static_cast<double>(b[at]);
        // Behind the first: a_j y_{j-1}, or from the end a_{j+1} y_{j+1}.
        if (inner > 0) sum += static_cast<double>(a[reverse ? at + inner : at]) * running;
        running = sum;
        y[at] = static_cast<T>(sum);
      });
}

// ---- prod_bwd ----

constexpr int64_t kProducts = 2048;  // elements of a block

// Running products: a chain a lane, of every 2 * kLanes-th element.
struct Chains {
  Vec<double> half[2];
};
constexpr int64_t kChains = 2 * kLanes<double>;

// The first n <= kChains elements from x on; 1 in the rest.
template <class T>
GS_INLINE Chains factors_at(const T* x, int64_t n) {
  Chains v;
  if constexpr (std::is_same_v<T, float>) {
    const Vec<float> ones = splat(1.0f);
    const Vec<float> all = n >= kChains
                               ? load<float>(x)
                               : select<float>(lane_mask<float>(n), load_n<float>(x, n), ones);
    HalfFloats half[2];
    __builtin_memcpy(half, &all, sizeof(all));
    for (int h = 0; h < 2; ++h) v.half[h] = widen(half[h]);
  } else {
    constexpr int64_t kN = kLanes<double>;
    for (int h = 0; h < 2; ++h) {
      const int64_t left = n - h * kN;
      v.half[h] = splat(1.0);
      if (left >= kN) {
        v.half[h] = load<double>(x + h * kN);
      } else if (left > 0) {
        v.half[h] =
            select<double>(lane_mask<double>(left), load_n<double>(x + h * kN, left), v.half[h]);
      }
    }
  }
  return v;
}

template <class T>
GS_INLINE void put_factors(T* y, const Chains& v, int64_t n) {
  if constexpr (std::is_same_v<T, float>) {
    HalfFloats half[2];
    for (int h = 0; h < 2; ++h) half[h] = __builtin_convertvector(v.half[h], HalfFloats);
    Vec<float> all;
    __builtin_memcpy(&all, half, sizeof(all));
    n >= kChains ? store<float>(y, all) : store_n<float>(y, all, n);
  } else {
    constexpr int64_t kN = kLanes<double>;
    for (int h = 0; h < 2; ++h) {
      const int64_t left = n - h * kN;
      if (left >= kN) {
        store<double>(y + h * kN, v.half[h]);
      } else if (left > 0) {
        store_n<double>(y + h * kN, v.half[h], left);
      }
    }
  }
}

// The product of the other lanes of v, and in `all` that of every lane, which no lane of it is without.
GS_INLINE Vec<double> other_lanes(Vec<double> v, double& all) {
  Vec<double> others = splat(1.0);
#pragma GCC unroll 4
  for (int step = 1; step < kLanes<double>; step *= 2) {
    const Vec<double> mirrored = shuffle<double>(v, v, lane_numbers<double>() ^ step);
    others *= mirrored;
    v *= mirrored;
  }
  all = v[0];
  return others;
}

// The product of n elements.
template <class T>
double product_of(const T* x, int64_t n) {
  Chains running = {{splat(1.0), splat(1.0)}};
  for (int64_t i = 0; i < n; i += kChains) {
    const Chains v = factors_at<T>(x + i, n - i);
    for (int h = 0; h < 2; ++h) running.half[h] *= v.half[h];
  }
  double all;
  other_lanes(running.half[0] * running.half[1], all);
  return all;
}

// y_j = factor * the product of the other x of the n <= kProducts: the lane's chain before and behind j,
// and the other lanes' chains.
template <class T>
GS_INLINE void multiply_others(const T* x, T* y, int64_t n, double factor) {
  Chains behind[kProducts / kChains];
  Chains running = {{splat(1.0), splat(1.0)}};
  for (int64_t i = (n - 1) / kChains; i >= 0; --i) {
    behind[i] = running;
    const Chains v = factors_at<T>(x + i * kChains, n - i * kChains);
    for (int h = 0; h < 2; ++h) running.half[h] *= v.half[h];
  }
  double all;
  const Vec<double> others = other_lanes(running.half[0] * running.half[1], all) * factor;
  Chains before = {{others * running.half[1], others * running.half[0]}};
  for (int64_t i = 0; i * kChains < n; ++i) {
    const Chains v = factors_at<T>(x + i * kChains, n - i * kChains);
    Chains result;
    for (int h = 0; h < 2; ++h) {
      result.half[h] = before.half[h] * behind[i].half[h];
      before.half[h] *= v.half[h];
    }
    put_factors<T>(y + i * kChains, result, n - i * kChains);
  }
}

template <class T>
Status prod_bwd_typed(const ProdBwdArgs& args) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const grad = reinterpret_cast<const T*>(args.grad_y.data);
  T* const y = reinterpret_cast<T*>(args.grad_x.data);
  const int64_t extent = args.x.shape[args.x.ndim - 1], rows = args.grad_y.size;
  if (args.x.size == 0) return kDone;
  if (extent <= kProducts) {
    parallel_for(rows, max64(kBlock / extent, 1), [&](int64_t begin, int64_t end) {
      for (int64_t o = begin; o < end; ++o) {
        multiply_others<T>(x + o * extent, y + o * extent, extent, static_cast<double>(grad[o]));
      }
    });
    return kDone;
  }
  // Each block's product, then of each row the products of a block's other blocks.
  const int64_t blocks = (extent + kProducts - 1) / kProducts;
  const size_t bytes = static_cast<size_t>(2 * rows * blocks) * sizeof(double);
  double* const product = static_cast<double*>(thread_scratch(bytes));
  if (!product) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  double* const others = product + rows * blocks;
  const auto each = [&](const auto& body) {
    parallel_for(rows * blocks, kBlock / kProducts, [&](int64_t begin, int64_t end) {
      for (int64_t b = begin; b < end; ++b) {
        const int64_t first = b % blocks * kProducts;
        body(b, b / blocks * extent + first, min64(kProducts, extent - first));
      }
    });
  };
  each([&](int64_t b, int64_t at, int64_t n) { product[b] = product_of<T>(x + at, n); });
  for (int64_t o = 0; o < rows; ++o) {
    const int64_t first = o * blocks;
    double running = 1.0;
    for (int64_t b = blocks - 1; b >= 0; --b) {
      others[first + b] = running;
      running *= product[first + b];
    }
    running = static_cast<double>(grad[o]);
    for (int64_t b = 0; b < blocks; ++b) {
      others[first + b] *= running;
      running *= product[first + b];
    }
  }
  each([&](int64_t b, int64_t at, int64_t n) { multiply_others<T>(x + at, y + at, n, others[b]); });
  return kDone;
}

}  // namespace

Status cumsum(const CumArgs& args) { return cumulate_any<false>(args); }

Status cumprod(const CumArgs& args) { return cumulate_any<true>(args); }

Status recurrence(const RecurrenceArgs& args) {
  if (args.dim < 0 || args.dim >= args.b.ndim || args.a.ndim != args.b.ndim) {
    return {Code::kShape, {0, 0}};
  }
  for (int d = 0; d < args.b.ndim; ++d) {
    if (args.a.shape[d] != args.b.shape[d]) return {Code::kShape, {0, d}};
  }
  if (args.b.dtype == DType::kFloat32) {
    recur<float>(args);
  } else if (args.b.dtype == DType::kFloat64) {
    recur<double>(args);
  } else {
    return kNoDType;
  }
  return kDone;
}

Status prod_bwd(const ProdBwdArgs& args) {
  if (args.x.ndim != args.grad_y.ndim + 1) return {Code::kShape, {0, 0}};
  for (int d = 0; d < args.grad_y.ndim; ++d) {
    if (args.x.shape[d] != args.grad_y.shape[d]) return {Code::kShape, {0, d}};
  }
  if (args.x.dtype == DType::kFloat32) return prod_bwd_typed<float>(args);
  if (args.x.dtype == DType::kFloat64) return prod_bwd_typed<double>(args);
  return kNoDType;
}

}  // namespace GS_ISA
}  // namespace gradsmith
