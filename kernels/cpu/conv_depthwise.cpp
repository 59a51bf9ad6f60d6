// Depthwise convolution: each output channel reads one input channel, so nothing is shared between
// channels and the limit is memory: 18 FLOPs an output element for a 3x3 kernel.
//
// y[n, c m + j, p] = bias + sum over taps of x[n, c, p * stride - padding + tap * dilation] * w[c m + j]
// and, with one output channel a group, its input gradient: at stride 1 the same with the kernel turned
// round and padding dilation * (kernel - 1) - padding; else by the inputs' remainders modulo the stride,
// each of which reads its own taps at step 1 of grad_y. The weight gradient: conv_depthwise_weight.cpp.
// How: a plane (one image and channel) is copied into a padded one (conv_depthwise_plane.h); a row of
//   outputs is made four vectors at a time, all taps from the padded plane, the weights broadcast.
// Layout: contiguous operands; 1 to 3 dimensions, any stride, dilation and padding.
// Split: by planes. Working set: the padded plane (13 KB for 56x56), at most kMostPlane elements.
// Cost: 2 N K taps positions FLOPs; x read once, y written once. 3x3, N8, one thread of a shared Zen 5
//   with AVX-512, forward / all three of a training step: C128 56x56 1.4 / 5.4 ms (PyTorch's
//   contiguous 3.8 / 13.2), C512 14x14 0.58 / 2.3 (0.68 / 3.0).
// Accuracy: one chain of multiply-adds over the taps in order, the bias first.
#include "conv_depthwise.h"

#include "conv_depthwise_plane.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kMostRemainders = 64;

// Which elements of a plane make an output, and what they are multiplied with.
template <class T>
struct Taps {
  int64_t count;
  const int64_t* offset;
  const T* weight;
};

// kCount vectors of outputs: vector i from row + i * step, the padded plane at its first output.
template <class T, int kCount>
GS_INLINE void sum_taps(const T* row, int64_t step, const Taps<T>& taps, Vec<T> start,
                        Vec<T>* sum) {
#pragma GCC unroll 4
  for (int i = 0; i < kCount; ++i) sum[i] = start;
  for (int64_t t = 0; t < taps.count; ++t) {
    const Vec<T> factor = splat<T>(taps.weight[t]);
    const T* const from = row + taps.offset[t];
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) sum[i] += factor * load<T>(from + i * step);
  }
}

// kCount vectors of a row of y; the last one has `tail` lanes.
template <class T, int kCount>
GS_INLINE void outputs(const T* row, const Taps<T>& taps, Vec<T> start, T* to, int64_t tail) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[kCount];
  sum_taps<T, kCount>(row, L, taps, start, sum);
#pragma GCC unroll 4
  for (int i = 0; i < kCount - 1; ++i) store<T>(to + i * L, sum[i]);
  if (tail == L) {
    store<T>(to + (kCount - 1) * L, sum[kCount - 1]);
  } else {
    store_n<T>(to + (kCount - 1) * L, sum[kCount - 1], tail);
  }
}

template <class T>
void row_of_outputs(const T* row, const Taps<T>& taps, Vec<T> start, T* to, int64_t size) {
  constexpr int64_t L = kLanes<T>;
  int64_t left = size;
  for (; left > 4 * L; left -= 4 * L, row += 4 * L, to += 4 * L) {
    outputs<T, 4>(row, taps, start, to, L);
  }
  const int64_t vectors = ceil_div(left, L), tail = left - (vectors - 1) * L;
  switch (vectors) {
    case 1: return outputs<T, 1>(row, taps, start, to, tail);
    case 2: return outputs<T, 2>(row, taps, start, to, tail);
    case 3: return outputs<T, 3>(row, taps, start, to, tail);
    default: return outputs<T, 4>(row, taps, start, to, tail);
  }
}

// `count` rows of less than a vector, `step` apart in the padded plane; four at a time.
template <class T>
void short_rows(const T* row, int64_t step, const Taps<T>& taps, Vec<T> start, T* to, int64_t size,
                int64_t count) {
  for (; count >= 4; count -= 4, row += 4 * step) {
    Vec<T> sum[4];
    sum_taps<T, 4>(row, step, taps, start, sum);
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i, to += size) store_n<T>(to, sum[i], size);
  }
  for (; count > 0; --count, row += step, to += size) {
    Vec<T> sum[1];
    sum_taps<T, 1>(row, step, taps, start, sum);
    store_n<T>(to, sum[0], size);
  }
}

template <class T>
struct Depthwise : PaddedPlane<T> {
  using P = PaddedPlane<T>;
  using P::padded, P::pitch, P::elements, P::taps, P::offset, P::in, P::out, P::stride;

  int64_t planes, multiplier;  // N * C; output channels of each
  int64_t channels;
  const T* x;
  const T* weight;  // (channels * multiplier, taps)
  const T* bias;    // nullptr: none
  T* y;
  bool turned;  // the kernel, in every dimension
  const ConvEpilogue* epilogue = nullptr;

  void plane_of_outputs(const T* plane, const Taps<T>& all, Vec<T> start, T* to) const {
    for (int64_t z = 0; z < out[0]; ++z) {
      const T* row = plane + z * stride[0] * padded[1] * pitch;
      const int64_t step = stride[1] * pitch;
      if (out[2] < kLanes<T>) {
        short_rows(row, step, all, start, to, out[2], out[1]);
        to += out[1] * out[2];
        continue;
      }
      for (int64_t r = 0; r < out[1]; ++r, row += step, to += out[2]) {
        row_of_outputs(row, all, start, to, out[2]);
      }
    }
  }

  Status run() const {
    const int64_t in_size = in[0] * in[1] * in[2], out_size = out[0] * out[1] * out[2];
    const int64_t work = out_size * multiplier * taps + elements;
    const int64_t at_once = P::at_once(), ahead = planes_ahead(in_size) * in_size;
    bool enough = true;
    parallel_for(planes, max(1, (1 << 17) / work), [&](int64_t begin, int64_t end) {
      const auto all_elements = static_cast<size_t>(at_once * elements);
      T* const filled = static_cast<T*>(thread_scratch((all_elements + kMostTaps) * sizeof(T)));
      if (!filled) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
      T* const w = filled + all_elements;
      __builtin_memset(filled, 0, all_elements * sizeof(T));
      for (int64_t first = begin; first < end; first += at_once) {
        const int64_t last = min(end, first + at_once);
        for (int64_t i = first; i < last; ++i) {
          P::fill(x + i * in_size, filled + (i - first) * elements, ahead);
        }
        for (int64_t i = first; i < last; ++i) {
          const T* const plane = filled + (i - first) * elements;
          for (int64_t j = 0; j < multiplier; ++j) {
            const int64_t k = i % channels * multiplier + j;
            for (int64_t t = 0; t < taps; ++t) {
              w[t] = weight[k * taps + (turned ? taps - 1 - t : t)];
            }
            plane_of_outputs(plane, {taps, offset, w}, splat<T>(bias ? bias[k] : T(0)),
                             y + (i * multiplier + j) * out_size);
            finish(epilogue, y + (i * multiplier + j) * out_size, out_size);
          }
        }
      }
    });
    if (!enough) return {Code::kOutOfMemory, {elements * int64_t{sizeof(T)}, 0}};
    return kDone;
  }
};

// The input gradient at strides beyond 1. Input i = r + j * stride, r one of the stride's remainders,
// reads grad_y at j + shift(tap) for the taps whose tap * dilation - padding has the remainder r.
template <class T>
struct StridedGradient {
  int64_t planes, channels;
  const T *grad_y, *weight, *bias;
  T* grad_x;
  int64_t in[kSpatial], out[kSpatial], stride[kSpatial];

  int64_t low[kSpatial], padded[kSpatial], steps[kSpatial];  // of the padded plane of grad_y
  int64_t pitch, elements, taps;
  // The taps, sorted by the remainders (z, y, x) that they belong to.
  int64_t begin[kMostRemainders + 1], offset[kMostTaps], number[kMostTaps];

  int64_t remainders() const { return stride[0] * stride[1] * stride[2]; }

  bool prepare(const Geometry& g) {
    constexpr int L = kLanes<T>;
    taps = g.taps();
    if (taps == 0 || taps > kMostTaps) return false;
    int64_t shift[kSpatial][kMostTaps], remainder[kSpatial][kMostTaps];
    for (int d = 0; d < kSpatial; ++d) {
      in[d] = g.in[d];
      out[d] = g.out[d];
      stride[d] = g.stride[d];
      if (stride[d] > kMostRemainders || in[d] > kMostPlane || out[d] > kMostPlane) return false;
      if (g.padding[d] > kMostPlane || g.padding[d] < -kMostPlane) return false;
      if ((g.kernel[d] - 1) * g.dilation[d] > kMostPlane) return false;
      int64_t high = 0;
      low[d] = 0;
      for (int64_t t = 0; t < g.kernel[d]; ++t) {
        const int64_t reach = t * g.dilation[d] - g.padding[d];
        const int64_t r = ((reach % stride[d]) + stride[d]) % stride[d];
        remainder[d][t] = r;
        shift[d][t] = (r - reach) / stride[d];
        low[d] = max(low[d], -shift[d][t]);
        high = max(high, shift[d][t]);
      }
      steps[d] = ceil_div(in[d], stride[d]);
      padded[d] = low[d] + max(steps[d] + high, out[d]);
    }
    if (remainders() > kMostRemainders) return false;
    pitch = padded[2] + L;
    if (padded[1] * pitch > kMostPlane || padded[0] * padded[1] * pitch > kMostPlane) return false;
    elements = padded[0] * padded[1] * pitch;
    int64_t at = 0;
    for (int64_t r = 0; r < remainders(); ++r) {
      begin[r] = at;
      const int64_t rz = r / (stride[1] * stride[2]), ry = r / stride[2] % stride[1];
      for (int64_t t = 0; t < taps; ++t) {
        const int64_t z = t / (g.kernel[1] * g.kernel[2]), y = t / g.kernel[2] % g.kernel[1];
        const int64_t x = t % g.kernel[2];
        if (remainder[0][z] != rz || remainder[1][y] != ry) continue;
        if (remainder[2][x] != r % stride[2]) continue;
        offset[at] = ((shift[0][z] + low[0]) * padded[1] + shift[1][y] + low[1]) * pitch +
                     shift[2][x] + low[2];
        number[at++] = t;
      }
    }
    begin[remainders()] = at;
    return true;
  }

  // A row of grad_x from the rows of its remainders, each `line` elements long.
  void merge(const T* rows, int64_t line, T* to) const {
    constexpr int L = kLanes<T>;
    if (stride[2] == 2) {
      for (int64_t i = 0; i < in[2]; i += 2 * L) {
        Vec<T> a, b;
        interleave<T>(load<T>(rows + i / 2), load<T>(rows + line + i / 2), a, b);
        const int64_t left = in[2] - i;
        if (left >= 2 * L) {
          store<T>(to + i, a);
          store<T>(to + i + L, b);
        } else if (left > L) {
          store<T>(to + i, a);
          store_n<T>(to + i + L, b, left - L);
        } else if (left == L) {
          store<T>(to + i, a);
        } else {
          store_n<T>(to + i, a, left);
        }
      }
      return;
    }
    for (int64_t r = 0; r < stride[2]; ++r) {
      const T* const from = rows + r * line;
      for (int64_t i = r, j = 0; i < in[2]; i += stride[2], ++j) to[i] = from[j];
    }
  }

  void fill(const T* from, T* plane) const {
    const int64_t size = out[0] * out[1] * out[2], ahead = planes_ahead(size) * size;
    for (int64_t z = 0; z < out[0]; ++z) {
      for (int64_t r = 0; r < out[1]; ++r, from += out[2]) {
        prefetch(from + ahead, out[2]);
        copy_run(plane + ((z + low[0]) * padded[1] + r + low[1]) * pitch + low[2], from, out[2]);
      }
    }
  }

  // A plane of grad_x from a filled one; `rows` has room for `line` elements of each remainder.
  void gradient(const T* plane, const T* w, Vec<T> start, T* rows, int64_t line, T* to) const {
    for (int64_t z = 0; z < in[0]; ++z) {
      for (int64_t r = 0; r < in[1]; ++r, to += in[2]) {
        const T* const row = plane + (z / stride[0] * padded[1] + r / stride[1]) * pitch;
        const int64_t remainder = (z % stride[0] * stride[1] + r % stride[1]) * stride[2];
        for (int64_t x = 0; x < stride[2] && x < in[2]; ++x) {
          const int64_t at = begin[remainder + x];
          const Taps<T> some{begin[remainder + x + 1] - at, offset + at, w + at};
          if (stride[2] == 1) {
            row_of_outputs(row, some, start, to, in[2]);
          } else {  // whole vectors: a masked store is not forwarded to the load in merge()
            row_of_outputs(row, some, start, rows + x * line, round_up(steps[2], kLanes<T>));
          }
        }
        if (stride[2] > 1) merge(rows, line, to);
      }
    }
  }

  Status run() const {
    constexpr int L = kLanes<T>;
    const int64_t in_size = in[0] * in[1] * in[2], out_size = out[0] * out[1] * out[2];
    const int64_t line = round_up(steps[2], L) + L;
    const int64_t at_once = clamp(kPlanesAtOnce / elements, 1, 8);
    const int64_t all = at_once * elements + kMostTaps + stride[2] * line;
    const int64_t work = out_size * taps + in_size + elements;
    bool enough = true;
    parallel_for(planes, max(1, (1 << 17) / work), [&](int64_t first, int64_t end) {
      T* const filled = static_cast<T*>(thread_scratch(static_cast<size_t>(all) * sizeof(T)));
      if (!filled) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
      T *const w = filled + at_once * elements, *const rows = w + kMostTaps;
      __builtin_memset(filled, 0, static_cast<size_t>(at_once * elements) * sizeof(T));
      for (int64_t i = first; i < end; i += at_once) {
        const int64_t last = min(end, i + at_once);
        for (int64_t j = i; j < last; ++j) {
          fill(grad_y + j * out_size, filled + (j - i) * elements);
        }
        for (int64_t j = i; j < last; ++j) {
          const int64_t c = j % channels;
          for (int64_t t = 0; t < taps; ++t) w[t] = weight[c * taps + number[t]];
          gradient(filled + (j - i) * elements, w, splat<T>(bias ? bias[c] : T(0)), rows, line,
                   grad_x + j * in_size);
        }
      }
    });
    if (!enough) return {Code::kOutOfMemory, {all * int64_t{sizeof(T)}, 0}};
    return kDone;
  }
};

template <class T>
bool strided_input(const ConvBwdInputArgs& args, const Geometry& g, Status* status) {
  StridedGradient<T> s;
  s.planes = g.N * g.C;
  s.channels = g.C;
  s.grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  s.weight = reinterpret_cast<const T*>(args.weight.data);
  s.bias = reinterpret_cast<const T*>(args.bias.data);
  s.grad_x = reinterpret_cast<T*>(args.grad_x.data);
  if (!s.prepare(g)) return false;
  if (status) *status = s.run();
  return true;
}

bool is_depthwise(const Geometry& g) {
  return g.groups == g.C && g.C > 1 && g.N > 0 && g.K > 0 && g.out_positions() > 0;
}

template <class T>
bool forward(const ConvFwdArgs& args, const Geometry& g, Status* status) {
  Depthwise<T> d;
  d.planes = g.N * g.C;
  d.channels = g.C;
  d.multiplier = g.K / g.C;
  d.x = reinterpret_cast<const T*>(args.x.data);
  d.weight = reinterpret_cast<const T*>(args.weight.data);
  d.bias = reinterpret_cast<const T*>(args.bias.data);
  d.y = reinterpret_cast<T*>(args.y.data);
  d.turned = false;
  d.epilogue = args.epilogue;
  for (int i = 0; i < kSpatial; ++i) {
    d.in[i] = g.in[i];
    d.out[i] = g.out[i];
    d.kernel[i] = g.kernel[i];
    d.stride[i] = g.stride[i];
    d.first[i] = -g.padding[i];
    d.dilation[i] = g.dilation[i];
  }
  if (!d.prepare()) return false;
  if (status && d.epilogue) d.epilogue->done = true;
  if (status) *status = d.run();
  return true;
}

template <class T>
bool backward_input(const ConvBwdInputArgs& args, const Geometry& g, Status* status) {
  Depthwise<T> d;
  if (g.K != g.C) return false;
  if (g.stride[0] > 1 || g.stride[1] > 1 || g.stride[2] > 1) {
    return strided_input<T>(args, g, status);
  }
  d.planes = g.N * g.C;
  d.channels = g.C;
  d.multiplier = 1;
  d.x = reinterpret_cast<const T*>(args.grad_y.data);
  d.weight = reinterpret_cast<const T*>(args.weight.data);
  d.bias = reinterpret_cast<const T*>(args.bias.data);
  d.y = reinterpret_cast<T*>(args.grad_x.data);
  d.turned = true;
  for (int i = 0; i < kSpatial; ++i) {
    d.in[i] = g.out[i];
    d.out[i] = g.in[i];
    d.kernel[i] = g.kernel[i];
    d.stride[i] = 1;
    d.first[i] = g.padding[i] - (g.kernel[i] - 1) * g.dilation[i];
    d.dilation[i] = g.dilation[i];
  }
  if (!d.prepare()) return false;
  if (status) *status = d.run();
  return true;
}

}  // namespace

bool depthwise_fwd(const ConvFwdArgs& args, Status* status) {
  if (depthwise_rows_fwd(args, status)) return true;
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  if (!is_depthwise(g)) return false;
  return args.x.dtype == DType::kFloat32 ? forward<float>(args, g, status)
                                         : forward<double>(args, g, status);
}

bool depthwise_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  if (depthwise_rows_bwd_input(args, status)) return true;
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  if (!is_depthwise(g)) return false;
  return args.grad_y.dtype == DType::kFloat32 ? backward_input<float>(args, g, status)
                                              : backward_input<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
