// Batch normalisation: batch_norm batch_norm_bwd batch_norm_eval batch_norm_update.
//
// x is (N, C, L), L the product of the spatial sizes. batch_norm: mean and (biased) variance of each
//   channel c over N and L, y = (x - mean) / sqrt(var + eps) * weight[c] + bias[c]. Its backward, with
//   h = x's normalised values, M = N * L: grad_x = weight / sqrt(var + eps) *
//   (g - sum(g) / M - h * sum(g * h) / M), grad_weight = sum(g * h), grad_bias = sum(g);
//   not training: mean and var are given, and grad_x = weight / sqrt(var + eps) * g.
//   batch_norm_eval: the same formula with a given mean (or 0) and variance. batch_norm_update, in
//   place: running += momentum * (batch - running), the variance times count / (count - 1).
// Layout: contiguous.
// Split: channels whose elements fit in the second-level cache: a block is whole channels, which are
//   summed and then written. Larger ones: chunks of all channels, then planes. L = 1: chunks of rows
//   times kWide vectors of channels, then rows.
// Working set: one channel (at most kCached bytes), or one chunk.
// Cost: x is read from memory once (twice for large channels), y written once.
// Accuracy: each chunk's mean first, then the squares about it, in lanes of T; chunks combine in
//   float64 (Chan, Golub, LeVeque 1979).
// Source: Ioffe & Szegedy 2015.
#include "norm.h"
#include "pass.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;
constexpr int64_t kCached = int64_t{1} << 20;  // bytes of a channel that is read again from cache
constexpr int64_t kRows = 128;                 // rows of a chunk where L is 1

struct Channels {
  int64_t batch = 0, channels = 0, length = 1;
  // A channel's chunks: `planes` planes each, or pieces of `piece` elements of one plane.
  int64_t planes = 1, piece = 1, pieces = 1, chunks = 0;

  int64_t count() const { return batch * length; }
  int64_t plane_step() const { return channels * length; }
};

bool make_channels(const Array& x, const Array& like, Channels& c) {
  if (x.ndim < 2 || like.size != x.shape[1]) return false;
  c.batch = x.shape[0];
  c.channels = x.shape[1];
  for (int d = 2; d < x.ndim; ++d) c.length *= x.shape[d];
  const int64_t length = max64(c.length, 1);
  if (length == 1) {
    c.chunks = (c.batch + kRows - 1) / kRows;
    return true;
  }
  c.pieces = (length + kChunk - 1) / kChunk;
  c.piece = (length + c.pieces - 1) / c.pieces;
  c.planes = c.pieces > 1 ? 1 : max64(kChunk / length, 1);
  c.chunks = (c.batch + c.planes - 1) / c.planes * c.pieces;
  return true;
}

bool fits(const Array& optional, const Channels& c) {
  return !optional.data || optional.size == c.channels;
}

// Where chunk k of channel c lies: runs of n elements.
struct Chunk {
  int64_t offset, n, runs;
};
GS_INLINE Chunk chunk_at(const Channels& s, int64_t c, int64_t k) {
  const int64_t plane = k / s.pieces * s.planes, at = k % s.pieces * s.piece;
  return {(plane * s.channels + c) * s.length + at, min64(s.piece, s.length - at),
          min64(s.planes, s.batch - plane)};
}

// f(c, n, offset, length) for every plane, or piece of one.
template <class T, class F>
void for_planes(const Channels& s, const F& f) {
  const int64_t items = s.batch * s.channels * s.pieces;
  const int64_t bytes = 2 * s.batch * s.channels * s.length * int64_t{sizeof(T)};
  parallel_pass(items, max64(kBlock / s.piece, 1), bytes, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t plane = i / s.pieces, at = i % s.pieces * s.piece;
      f(plane % s.channels, plane * s.length + at, min64(s.piece, s.length - at));
    }
  });
}

// The results of chunk(c, k) of every channel, combined in order and handed to done(c, all): a block
// is whole channels, or else chunks, which then need memory.
template <class Part, class ChunkOf, class Done>
Status for_channels(const Channels& s, bool whole, const ChunkOf& chunk, const Done& done) {
  if (whole) {
    parallel_for(s.channels, max64(kBlock / max64(s.count(), 1), 1),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t c = begin; c < end; ++c) {
                     Part all{};
                     for (int64_t k = 0; k < s.chunks; ++k) all.add(chunk(c, k));
                     done(c, all);
                   }
                 });
    return kDone;
  }
  const Scratch scratch(static_cast<size_t>(s.channels * s.chunks) * sizeof(Part));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  Part* const parts = static_cast<Part*>(scratch.memory);
  parallel_for(s.channels * s.chunks, max64(kBlock / (s.piece * s.planes), 1),
               [&](int64_t begin, int64_t end) {
                 for (int64_t i = begin; i < end; ++i) parts[i] = chunk(i / s.chunks, i % s.chunks);
               });
  for (int64_t c = 0; c < s.channels; ++c) {
    Part all{};
    for (int64_t k = 0; k < s.chunks; ++k) all.add(parts[c * s.chunks + k]);
    done(c, all);
  }
  return kDone;
}

struct DotsSum : Dots {
  void add(const Dots& b) {
    grad += b.grad;
    product += b.product;
  }
};

template <class T>
T element(const Array& array, int64_t i, T otherwise) {
  return array.data ? reinterpret_cast<const T*>(array.data)[i] : otherwise;
}

// ---- L = 1: lanes are channels ----

constexpr int kWide = 4;  // vectors of channels side by side

// For `rows` rows of m <= kWide * kLanes channels, `step` apart.
template <class T, class F>
GS_INLINE void for_columns_of(const T* x, int64_t step, int64_t rows, int m, const F& f) {
  constexpr int kN = kLanes<T>;
  if (m == kWide * kN) {
    for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int a = 0; a < kWide; ++a) f(r * step + a * kN, a, load<T>(x + r * step + a * kN), kN);
    }
    return;
  }
  for (int64_t r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int a = 0; a < kWide; ++a) {
      const int n = m - a * kN < kN ? m - a * kN : kN;
      if (n > 0) f(r * step + a * kN, a, load_up_to<T>(x + r * step + a * kN, n), n);
    }
  }
}

template <class T>
void column_moments(const T* x, int64_t step, int64_t rows, int m, Moments* parts) {
  Vec<T> middle[kWide] = {}, first[kWide] = {}, second[kWide] = {};
  for_columns_of<T>(x, step, rows, m, [&](int64_t, int a, Vec<T> v, int) { middle[a] += v; });
#pragma GCC unroll 4
  for (int a = 0; a < kWide; ++a) middle[a] = middle[a] / static_cast<T>(rows);
  for_columns_of<T>(x, step, rows, m, [&](int64_t, int a, Vec<T> v, int) {
    const Vec<T> d = v - middle[a];
    first[a] += d;
    second[a] += d * d;
  });
  const auto count = static_cast<double>(rows);
  for (int i = 0; i < m; ++i) {
    const int a = i / kLanes<T>, k = i % kLanes<T>;
    const double s1 = static_cast<double>(first[a][k]);
    parts[i] = {count, static_cast<double>(middle[a][k]) + s1 / count,
                static_cast<double>(second[a][k]) - s1 * s1 / count};
  }
}

template <class T>
void column_dots(const T* g, const T* x, const T* mean, int64_t step, int64_t rows, int m,
                 DotsSum* parts) {
  Vec<T> middle[kWide] = {}, grads[kWide] = {}, products[kWide] = {};
  for_columns_of<T>(mean, 0, 1, m, [&](int64_t, int a, Vec<T> v, int) { middle[a] = v; });
  for_columns_of<T>(g, step, rows, m, [&](int64_t at, int a, Vec<T> v, int n) {
    grads[a] += v;
    products[a] += v * (load_up_to<T>(x + at, n) - middle[a]);
  });
  for (int i = 0; i < m; ++i) {
    parts[i].grad = static_cast<double>(grads[i / kLanes<T>][i % kLanes<T>]);
    parts[i].product = static_cast<double>(products[i / kLanes<T>][i % kLanes<T>]);
  }
}

// part(first row, rows, first channel, channels, parts) of every chunk of rows; done(c, all).
template <class T, class Part, class ChunkOf, class Done>
Status for_columns(const Channels& s, const ChunkOf& part, const Done& done) {
  const Scratch scratch(static_cast<size_t>(s.channels * s.chunks) * sizeof(Part));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  Part* const parts = static_cast<Part*>(scratch.memory);
  constexpr int64_t kGroup = kWide * kLanes<T>;
  const int64_t groups = (s.channels + kGroup - 1) / kGroup;
  parallel_for(
      s.chunks * groups, max64(kBlock / (kRows * kGroup), 1), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t chunk = i / groups, c = i % groups * kGroup;
          part(chunk * kRows, min64(kRows, s.batch - chunk * kRows), c,
               static_cast<int>(min64(kGroup, s.channels - c)), parts + chunk * s.channels + c);
        }
      });
  for (int64_t c = 0; c < s.channels; ++c) {
    Part all{};
    for (int64_t k = 0; k < s.chunks; ++k) all.add(parts[k * s.channels + c]);
    done(c, all);
  }
  return kDone;
}

template <class F>
void for_rows_of(const Channels& s, const F& f) {
  parallel_for(s.batch, max64(kBlock / s.channels, 1), [&](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) f(r * s.channels);
  });
}

// y = (x - mean[c]) * scale[c] + bias[c] for all rows.
template <class T>
void scale_rows(const Channels& s, const T* x, const T* mean, const T* scale, const T* bias, T* y) {
  for_rows_of(s, [&](int64_t at) {
    for_vectors<T>(s.channels, [&](int64_t c, int m, int) {
      Vec<T> v = load_up_to<T>(x + at + c, m);
      if (mean) v -= load_up_to<T>(mean + c, m);
      v *= load_up_to<T>(scale + c, m);
      if (bias) v += load_up_to<T>(bias + c, m);
      store_up_to<T>(y + at + c, v, m);
    });
  });
}

// ---- the kernels ----

template <class T>
T inverse_root(T var, double eps) {
  return static_cast<T>(1 / square_root(static_cast<double>(var) + eps));
}

template <class T>
Status batch_norm_typed(const BatchNormArgs& args, const Channels& s) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const bool beyond = beyond_cache(args.y.size * int64_t{sizeof(T)});
  T* const mean = reinterpret_cast<T*>(args.mean.data);
  T* const var = reinterpret_cast<T*>(args.var.data);
  const auto store_stats = [&](int64_t c, const Moments& all) {
    mean[c] = static_cast<T>(all.mean);
    var[c] = static_cast<T>(all.squares / all.count);
  };
  const auto scale_of = [&](int64_t c) {
    return inverse_root<T>(var[c], args.eps) * element<T>(args.weight, c, 1);
  };
  if (s.length == 1) {
    const Scratch scratch(static_cast<size_t>(s.channels) * sizeof(T));
    if (!scratch.memory) return out_of_memory(scratch.bytes);
    T* const scale = static_cast<T*>(scratch.memory);
    const Status status = for_columns<T, Moments>(
        s,
        [&](int64_t row, int64_t rows, int64_t c, int m, Moments* parts) {
          column_moments<T>(x + row * s.channels + c, s.channels, rows, m, parts);
        },
        [&](int64_t c, const Moments& all) {
          store_stats(c, all);
          scale[c] = scale_of(c);
        });
    if (status.code != Code::kOk) return status;
    scale_rows<T>(s, x, mean, scale, reinterpret_cast<const T*>(args.bias.data), y);
    return kDone;
  }
  const bool whole = s.count() * static_cast<int64_t>(sizeof(T)) <= kCached;
  const Status status = for_channels<Moments>(
      s, whole,
      [&](int64_t c, int64_t k) {
        const Chunk at = chunk_at(s, c, k);
        return moments_of<T>(x + at.offset, at.n, at.runs, s.plane_step(), true);
      },
      [&](int64_t c, const Moments& all) {
        store_stats(c, all);
        if (!whole) return;
        const T scale = scale_of(c), shift = element<T>(args.bias, c, 0);
        for (int64_t n = 0; n < s.batch; ++n) {
          const int64_t at = (n * s.channels + c) * s.length;
          scale_run<T>(x + at, y + at, s.length, mean[c], scale, shift, beyond);
        }
      });
  if (status.code != Code::kOk || whole) return status;
  for_planes<T>(s, [&](int64_t c, int64_t at, int64_t n) {
    scale_run<T>(x + at, y + at, n, mean[c], scale_of(c), element<T>(args.bias, c, 0), beyond);
  });
  return kDone;
}

template <class T>
Status batch_norm_bwd_typed(const BatchNormBwdArgs& args, const Channels& s) {
  const T* const g = reinterpret_cast<const T*>(args.grad_y.data);
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const mean = reinterpret_cast<const T*>(args.mean.data);
  const T* const var = reinterpret_cast<const T*>(args.var.data);
  T* const grad_x = reinterpret_cast<T*>(args.grad_x.data);
  const bool beyond = beyond_cache(args.grad_x.size * int64_t{sizeof(T)});
  T* const grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  T* const grad_bias = reinterpret_cast<T*>(args.grad_bias.data);
  const Scratch scratch(static_cast<size_t>(s.channels) * sizeof(Gradient<T>));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  auto* const gradients = static_cast<Gradient<T>*>(scratch.memory);
  const auto store_sums = [&](int64_t c, const Dots& all) {
    const double r = 1 / square_root(static_cast<double>(var[c]) + args.eps);
    const double scale = r * static_cast<double>(element<T>(args.weight, c, 1));
    const auto count = static_cast<double>(s.count());
    grad_weight[c] = static_cast<T>(all.product * r);
    grad_bias[c] = static_cast<T>(all.grad);
    gradients[c] = {mean[c], static_cast<T>(scale),
                    static_cast<T>(args.training ? -scale * r * r * all.product / count : 0.0),
                    static_cast<T>(args.training ? -scale * all.grad / count : 0.0)};
  };
  if (s.length == 1) {
    const Status status = for_columns<T, DotsSum>(
        s,
        [&](int64_t row, int64_t rows, int64_t c, int m, DotsSum* parts) {
          const int64_t at = row * s.channels + c;
          column_dots<T>(g + at, x + at, mean + c, s.channels, rows, m, parts);
        },
        store_sums);
    if (status.code != Code::kOk) return status;
    // The gradients' fields as rows, for lanes of channels.
    const Scratch fields(static_cast<size_t>(s.channels) * 3 * sizeof(T));
    if (!fields.memory) return out_of_memory(fields.bytes);
    T* const scale = static_cast<T*>(fields.memory);
    T *const slope = scale + s.channels, *const shift = slope + s.channels;
    for (int64_t c = 0; c < s.channels; ++c) {
      scale[c] = gradients[c].scale;
      slope[c] = gradients[c].slope;
      shift[c] = gradients[c].shift;
    }
    for_rows_of(s, [&](int64_t at) {
      for_vectors<T>(s.channels, [&](int64_t c, int m, int) {
        const Vec<T> d = load_up_to<T>(x + at + c, m) - load_up_to<T>(mean + c, m);
        const Vec<T> rest = d * load_up_to<T>(slope + c, m) + load_up_to<T>(shift + c, m);
        const Vec<T> v = load_up_to<T>(g + at + c, m) * load_up_to<T>(scale + c, m) + rest;
        store_up_to<T>(grad_x + at + c, v, m);
      });
    });
    return kDone;
  }
  const bool whole = 2 * s.count() * static_cast<int64_t>(sizeof(T)) <= kCached;
  const Status status = for_channels<DotsSum>(
      s, whole,
      [&](int64_t c, int64_t k) {
        const Chunk at = chunk_at(s, c, k);
        DotsSum sum;
        sum.add(dots_of<T>(g + at.offset, x + at.offset, at.n, at.runs, s.plane_step(), mean[c]));
        return sum;
      },
      [&](int64_t c, const Dots& all) {
        store_sums(c, all);
        if (!whole) return;
        for (int64_t n = 0; n < s.batch; ++n) {
          const int64_t at = (n * s.channels + c) * s.length;
          gradient_run<T>(g + at, x + at, grad_x + at, s.length, gradients[c], beyond);
        }
      });
  if (status.code != Code::kOk || whole) return status;
  for_planes<T>(s, [&](int64_t c, int64_t at, int64_t n) {
    gradient_run<T>(g + at, x + at, grad_x + at, n, gradients[c], beyond);
  });
  return kDone;
}

template <class T>
Status batch_norm_eval_typed(const BatchNormEvalArgs& args, const Channels& s) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  const T* const var = reinterpret_cast<const T*>(args.var.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const bool beyond = beyond_cache(args.y.size * int64_t{sizeof(T)});
  const Scratch scratch(static_cast<size_t>(s.channels) * sizeof(T));
  if (!scratch.memory) return out_of_memory(scratch.bytes);
  T* const scale = static_cast<T*>(scratch.memory);
  for (int64_t c = 0; c < s.channels; ++c) {
    scale[c] = inverse_root<T>(var[c], args.eps) * element<T>(args.weight, c, 1);
  }
  if (s.length == 1) {
    scale_rows<T>(s, x, reinterpret_cast<const T*>(args.mean.data), scale,
                  reinterpret_cast<const T*>(args.bias.data), y);
    return kDone;
  }
  for_planes<T>(s, [&](int64_t c, int64_t at, int64_t n) {
    scale_run<T>(x + at, y + at, n, element<T>(args.mean, c, 0), scale[c],
                 element<T>(args.bias, c, 0), beyond);
  });
  return kDone;
}

template <class T>
void batch_norm_update_typed(const BatchNormUpdateArgs& args) {
  const auto count = static_cast<double>(args.count);
  for (int64_t c = 0; c < args.mean.size; ++c) {
    const auto move = [&](const Array& running, double batch) {
      char* const p = running.data + c * running.stride[0];
      const auto before = static_cast<double>(load_one<T>(p));
      store_one<T>(p, static_cast<T>(args.momentum * batch + (1 - args.momentum) * before));
    };
    move(args.running_mean, static_cast<double>(element<T>(args.mean, c, 0)));
    move(args.running_var, static_cast<double>(element<T>(args.var, c, 0)) * (count / (count - 1)));
  }
}

}  // namespace

Status batch_norm(const BatchNormArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Channels s;
  if (!make_channels(args.x, args.mean, s) || !fits(args.weight, s) || !fits(args.bias, s)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.x.size == 0) {
    const size_t bytes =
        static_cast<size_t>(s.channels) * (args.x.dtype == DType::kFloat32 ? 4 : 8);
    if (bytes) __builtin_memset(args.mean.data, 0, bytes);
    if (bytes) __builtin_memset(args.var.data, 0, bytes);
    return kDone;
  }
  return args.x.dtype == DType::kFloat32 ? batch_norm_typed<float>(args, s)
                                         : batch_norm_typed<double>(args, s);
}

Status batch_norm_bwd(const BatchNormBwdArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Channels s;
  if (!make_channels(args.x, args.mean, s) || args.grad_y.size != args.x.size ||
      args.var.size != s.channels || !fits(args.weight, s)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.x.size == 0) {
    const size_t bytes =
        static_cast<size_t>(s.channels) * (args.x.dtype == DType::kFloat32 ? 4 : 8);
    if (bytes) __builtin_memset(args.grad_weight.data, 0, bytes);
    if (bytes) __builtin_memset(args.grad_bias.data, 0, bytes);
    return kDone;
  }
  return args.x.dtype == DType::kFloat32 ? batch_norm_bwd_typed<float>(args, s)
                                         : batch_norm_bwd_typed<double>(args, s);
}

Status batch_norm_eval(const BatchNormEvalArgs& args) {
  if (!is_float(args.x.dtype)) return kNoDType;
  Channels s;
  if (!make_channels(args.x, args.var, s) || !fits(args.mean, s) || !fits(args.weight, s) ||
      !fits(args.bias, s)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.x.size == 0) return kDone;
  return args.x.dtype == DType::kFloat32 ? batch_norm_eval_typed<float>(args, s)
                                         : batch_norm_eval_typed<double>(args, s);
}

Status batch_norm_update(const BatchNormUpdateArgs& args) {
  const DType dtype = args.mean.dtype;
  if (!is_float(dtype) || args.var.dtype != dtype || args.running_mean.dtype != dtype ||
      args.running_var.dtype != dtype) {
    return kNoDType;
  }
  const int64_t n = args.mean.size;
  if (args.var.size != n || args.running_mean.ndim != 1 || args.running_var.ndim != 1 ||
      args.running_mean.size != n || args.running_var.size != n) {
    return {Code::kShape, {0, 0}};
  }
  if (dtype == DType::kFloat32) {
    batch_norm_update_typed<float>(args);
  } else {
    batch_norm_update_typed<double>(args);
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
