// Epilogues of products: conv_epilogue, epilogue_bwd, and what matmul_epilogue and matmul_add take from here.
//
// conv_epilogue: y = f(conv(x, weight) + bias + residual), f none, relu, gelu, tanh, sigmoid or silu. The
//   convolution's algorithm finishes each run of elements while it is in the cache (epilogue.h); after
//   one that does not, y is gone over once more.
// epilogue_bwd: grad_z = grad_y f'(z), and its sums over all dims but one (the bias's gradient), in one
//   pass: `value` is y for relu, tanh and sigmoid, z = the sum before f for gelu and silu.
// Layout: contiguous; epilogue_bwd as (outer, C, inner).
// Split: planes, or pieces of them; where planes are small, rows of channels * inner columns: chunks of
//   rows times blocks of columns.
// Working set: a piece of a plane, or a row of sums.
// Cost: epilogue_bwd reads grad_y and value once and writes grad_z once; apart, f' and the sum read
//   grad_z once more.
// Accuracy: f as vector_math.h and activation.h state; sums in lanes of T, at most kPiece elements or
//   kRows rows of them, then in float64 in order: the same bits for any number of threads.
// Limits: float32, float64.
#include "epilogue.h"

#include "activation.h"
#include "lists/epilogue.h"
#include "norm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kPiece = 4096;    // elements of a plane that are summed in lanes of T
constexpr int64_t kInner = 128;     // up to so many elements a plane, images are rows
constexpr int64_t kRows = 64;       // of a chunk, at most
constexpr int64_t kColumns = 4096;  // of a block: their sums stay in the first-level cache
constexpr int64_t kBlock = 16384;
constexpr int64_t kActivations = 6;

template <class T, int kA>
GS_INLINE Vec<T> activated(Vec<T> x) {
  if constexpr (kA == kRelu) return x <= T(0) ? Vec<T>{} : x;  // NaN stays
  if constexpr (kA == kGelu) return gelu<T>(x);
  if constexpr (kA == kTanh) return vtanh<T>(x);
  if constexpr (kA == kSigmoid) return vsigmoid<T>(x);
  if constexpr (kA == kSilu) return weighed<T>(x, x);
  return x;
}

// g f'(z), from y = f(z) or from z
template <class T, int kA>
GS_INLINE Vec<T> slope(Vec<T> g, Vec<T> v) {
  if constexpr (kA == kRelu) return v <= T(0) ? Vec<T>{} : g;  // where y is NaN the gradient passes
  if constexpr (kA == kGelu) return gelu_slope<T>(g, v);
  if constexpr (kA == kTanh) return g * (T(1) - v * v);
  if constexpr (kA == kSigmoid) return g * (v * (T(1) - v));
  if constexpr (kA == kSilu) return silu_slope<T>(g, v);
  return g;
}

template <class T, int kA>
void rows_of(const T* residual, T* y, int64_t pitch, int64_t rows, int64_t n) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t r = 0; r < rows; ++r, y += pitch) {
    int64_t i = 0;
    if (!residual) {
      for (; i + L <= n; i += L) store<T>(y + i, activated<T, kA>(load<T>(y + i)));
      if (i < n) store_n<T>(y + i, activated<T, kA>(load_n<T>(y + i, n - i)), n - i);
      continue;
    }
    for (; i + L <= n; i += L) {
      store<T>(y + i, activated<T, kA>(load<T>(y + i) + load<T>(residual + i)));
    }
    if (i < n) {
      const Vec<T> sum = load_n<T>(y + i, n - i) + load_n<T>(residual + i, n - i);
      store_n<T>(y + i, activated<T, kA>(sum), n - i);
    }
    residual += pitch;
  }
}

template <class T>
void finish_with(int64_t activation, const T* residual, T* y, int64_t pitch, int64_t rows,
                 int64_t n) {
  switch (activation) {
    case kRelu: return rows_of<T, kRelu>(residual, y, pitch, rows, n);
    case kGelu: return rows_of<T, kGelu>(residual, y, pitch, rows, n);
    case kTanh: return rows_of<T, kTanh>(residual, y, pitch, rows, n);
    case kSigmoid: return rows_of<T, kSigmoid>(residual, y, pitch, rows, n);
    case kSilu: return rows_of<T, kSilu>(residual, y, pitch, rows, n);
    default:
      if (residual) rows_of<T, kIdentity>(residual, y, pitch, rows, n);
  }
}

template <class T>
void accumulate_run(T alpha, T beta, const T* c, int64_t step, T* y, int64_t n) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t i = 0; i < n; i += L) {
    const int64_t m = min64(L, n - i);
    Vec<T> sum = load_up_to<T>(y + i, m) * alpha;
    if (c) sum += (step ? load_lanes<T>(c + i * step, step, m) : splat(*c)) * beta;
    store_up_to<T>(y + i, sum, m);
  }
}

// ---- the gradient ----

// A run of grad_z; its sum. stream: past the caches, `to` is aligned to the vector.
template <class T, int kA>
double slope_run(const T* g, const T* v, T* to, int64_t n, bool stream) {
  Vec<T> sums[kSums] = {};
  for_vectors<T>(n, [&](int64_t i, int m, int a) {
    const Vec<T> d = slope<T, kA>(load_up_to<T>(g + i, m), load_up_to<T>(v + i, m));
    if (stream && m == kLanes<T>) {
      store_stream<T>(to + i, d);
    } else {
      store_up_to<T>(to + i, d, m);
    }
    sums[a] += first_lanes<T>(d, m, T(0));
  });
  if (stream) stream_fence();
  return sum_all<T>(sums);
}

// Rows of grad_z, `step` apart; the sums of their columns.
template <class T, int kA>
void slope_rows(const T* g, const T* v, T* to, int64_t step, int64_t rows, int64_t columns,
                T* sums) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t r = 0; r < rows; ++r, g += step, v += step, to += step) {
    for (int64_t i = 0; i < columns; i += L) {
      const int64_t m = min64(L, columns - i);
      const Vec<T> d = slope<T, kA>(load_up_to<T>(g + i, m), load_up_to<T>(v + i, m));
      store_up_to<T>(to + i, d, m);
      store_up_to<T>(sums + i, r ? load_up_to<T>(sums + i, m) + d : d, m);
    }
  }
}

template <class T>
struct Slopes {
  double (*run)(const T*, const T*, T*, int64_t, bool);
  void (*rows)(const T*, const T*, T*, int64_t, int64_t, int64_t, T*);
};
template <class T, int kA>
constexpr Slopes<T> kSlopes = {slope_run<T, kA>, slope_rows<T, kA>};
template <class T>
constexpr Slopes<T> kAllSlopes[kActivations] = {kSlopes<T, kIdentity>, kSlopes<T, kRelu>,
                                                kSlopes<T, kGelu>,     kSlopes<T, kTanh>,
                                                kSlopes<T, kSigmoid>,  kSlopes<T, kSilu>};

template <class T>
Status backward(const EpilogueBwdArgs& args, int64_t outer, int64_t channels, int64_t inner) {
  const T* const g = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const v = reinterpret_cast<const T*>(args.value.data);
  T* const to = reinterpret_cast<T*>(args.grad_z.data);
  T* const sums = reinterpret_cast<T*>(args.sums.data);
  const Slopes<T>& f = kAllSlopes<T>[args.activation];
  if (inner > kInner) {
    constexpr int64_t L = kLanes<T>;
    const int64_t pieces = (inner + kPiece - 1) / kPiece;
    const int64_t piece = ((inner + pieces - 1) / pieces + L - 1) / L * L;
    const bool stream = beyond_cache(args.value.size * int64_t{sizeof(T)}) && inner % L == 0 &&
                        reinterpret_cast<uintptr_t>(to) % GS_VECTOR_BYTES == 0;
    const int64_t count = outer * channels * pieces;
    const Scratch scratch(static_cast<size_t>(count) * sizeof(double));
    if (!scratch.memory) return out_of_memory(scratch.bytes);
    double* const parts = static_cast<double*>(scratch.memory);
    parallel_for(count, max64(kBlock / min64(piece, inner), 1), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const int64_t at = i % pieces * piece, from = i / pieces * inner + at;
        const int64_t n = max64(0, min64(piece, inner - at));
        parts[i] = f.run(g + from, v + from, to + from, n, stream);
      }
    });
    for (int64_t c = 0; c < channels; ++c) {
      double all = 0;
      for (int64_t n = 0; n < outer; ++n) {
        for (int64_t k = 0; k < pieces; ++k) all += parts[(n * channels + c) * pieces + k];
      }
      sums[c] = static_cast<T>(all);
    }
    return kDone;
  }
  const int64_t wanted =
      max64((outer + kRows - 1) / kRows, min64(min64(4, outer), args.value.size / kBlock));
  const int64_t rows = (outer + wanted - 1) / wanted, chunks = (outer + rows - 1) / rows;
  const int64_t some = min64(kColumns / inner, channels);  // channels of a block
  const int64_t blocks = (channels + some - 1) / some, step = channels * inner;
  const Scratch scratch(static_cast<size_t>(chunks > 1 ? chunks * channels : 0) * sizeof(T));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  T* const parts = chunks > 1 ? static_cast<T*>(scratch.memory) : sums;
  parallel_for(
      chunks * blocks, max64(kBlock / (rows * some * inner), 1), [&](int64_t begin, int64_t end) {
        alignas(64) T lines[kColumns];
        for (int64_t i = begin; i < end; ++i) {
          const int64_t row = i / blocks * rows, c = i % blocks * some;
          const int64_t from = row * step + c * inner, n = min64(some, channels - c);
          T* const part = parts + i / blocks * channels + c;
          f.rows(g + from, v + from, to + from, step, min64(rows, outer - row), n * inner,
                 inner > 1 ? lines : part);
          for (int64_t k = 0; inner > 1 && k < n; ++k) {
            const T* const line = lines + k * inner;
            part[k] = static_cast<T>(row_sum<T>(
                inner, [&](int64_t j, int64_t left) { return load_up_to<T>(line + j, left); }));
          }
        }
      });
  if (chunks == 1) return kDone;
  constexpr int64_t kWidth = 512;
  const int64_t widths = (channels + kWidth - 1) / kWidth;
  parallel_for(widths, max64(kBlock / (chunks * min64(channels, kWidth)), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t b = begin; b < end; ++b) {
                   const int64_t first = b * kWidth, n = min64(kWidth, channels - first);
                   double all[kWidth] = {};
                   for (int64_t k = 0; k < chunks; ++k) {
                     const T* const part = parts + k * channels + first;
                     for (int64_t i = 0; i < n; ++i) all[i] += static_cast<double>(part[i]);
                   }
                   for (int64_t i = 0; i < n; ++i) sums[first + i] = static_cast<T>(all[i]);
                 }
               });
  return kDone;
}

}  // namespace

void finish_rows(int64_t activation, const float* residual, float* y, int64_t pitch, int64_t rows,
                 int64_t n) {
  finish_with(activation, residual, y, pitch, rows, n);
}
void finish_rows(int64_t activation, const double* residual, double* y, int64_t pitch, int64_t rows,
                 int64_t n) {
  finish_with(activation, residual, y, pitch, rows, n);
}

void accumulate(float alpha, float beta, const float* c, int64_t step, float* y, int64_t n) {
  accumulate_run(alpha, beta, c, step, y, n);
}
void accumulate(double alpha, double beta, const double* c, int64_t step, double* y, int64_t n) {
  accumulate_run(alpha, beta, c, step, y, n);
}

Status conv_epilogue(const ConvEpilogueArgs& args) {
  if (args.activation < 0 || args.activation >= kActivations) return {Code::kShape, {4, 0}};
  if (args.residual.data) {
    if (args.residual.dtype != args.x.dtype) return kNoDType;
    if (args.residual.size != args.y.size) return {Code::kShape, {3, args.residual.size}};
  }
  const ConvEpilogue epilogue{args.activation, args.residual.data, args.y.data, false};
  ConvFwdArgs conv;
  conv.x = args.x;
  conv.weight = args.weight;
  conv.bias = args.bias;
  conv.out_shape = args.out_shape;
  conv.stride = args.stride;
  conv.padding = args.padding;
  conv.dilation = args.dilation;
  conv.groups = args.groups;
  conv.y = args.y;
  conv.epilogue = &epilogue;
  const Status status = conv_with_epilogue(conv);
  if (status.code != Code::kOk || epilogue.done) return status;
  parallel_for(args.y.size, kBlock, [&](int64_t begin, int64_t end) {
    if (args.y.dtype == DType::kFloat32) {
      finish(&epilogue, reinterpret_cast<float*>(args.y.data) + begin, end - begin);
    } else {
      finish(&epilogue, reinterpret_cast<double*>(args.y.data) + begin, end - begin);
    }
  });
  return status;
}

Status epilogue_bwd(const EpilogueBwdArgs& args) {
  const Array& value = args.value;
  if (!is_float(value.dtype) || args.grad_y.dtype != value.dtype) return kNoDType;
  if (args.grad_y.size != value.size) return {Code::kShape, {0, args.grad_y.size}};
  if (args.dim < 0 || args.dim >= value.ndim || args.sums.size != value.shape[args.dim]) {
    return {Code::kShape, {2, args.dim}};
  }
  if (args.activation < 0 || args.activation >= kActivations) return {Code::kShape, {4, 0}};
  int64_t outer = 1, inner = 1;
  for (int64_t d = 0; d < args.dim; ++d) outer *= value.shape[d];
  for (int64_t d = args.dim + 1; d < value.ndim; ++d) inner *= value.shape[d];
  if (value.size == 0) {
    if (args.sums.size) {
      __builtin_memset(args.sums.data, 0,
                       static_cast<size_t>(args.sums.size) *
                           (value.dtype == DType::kFloat32 ? sizeof(float) : sizeof(double)));
    }
    return kDone;
  }
  return value.dtype == DType::kFloat32
             ? backward<float>(args, outer, value.shape[args.dim], inner)
             : backward<double>(args, outer, value.shape[args.dim], inner);
}

}  // namespace GS_ISA
}  // namespace gradsmith
