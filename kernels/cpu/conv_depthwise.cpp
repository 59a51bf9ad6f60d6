// Depthwise convolution: each output channel reads one input channel, so nothing is shared between
// channels and the limit is memory: 18 FLOPs an output element for a 3x3 kernel.
//
// y[n, c m + j, p] = bias + sum over taps of x[n, c, p * stride - padding + tap * dilation] * w[c m + j]
// and, at stride 1 with one output channel a group, its input gradient: the same with the kernel turned
// round and padding dilation * (kernel - 1) - padding.
// How: a plane (one image and channel) is copied into a padded one, whose rows are split by the
//   stride's remainders so that consecutive outputs read consecutive elements; a row of outputs is made
//   four vectors at a time, all taps from the padded plane, the weights broadcast.
// Layout: contiguous operands; 1 to 3 dimensions, any stride, dilation and padding.
// Split: by planes. Working set: the padded plane (13 KB for 56x56), at most kMostPlane elements.
// Cost: 2 N K taps positions FLOPs; x read once, y written once. 56x56 3x3, N8 C128, 2 threads of a
//   Zen 5 with AVX-512: 40 -> 70 GFLOP/s.
// Accuracy: one chain of multiply-adds over the taps in order, the bias first.
#include "conv_depthwise.h"

#include "conv.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kMostPlane = 1 << 20;
constexpr int kMostTaps = 1024;

template <class T>
struct Depthwise {
  int64_t planes, multiplier;  // N * C; output channels of each
  int64_t channels;
  const T* x;
  const T* weight;  // (channels * multiplier, taps)
  const T* bias;    // nullptr: none
  T* y;
  int64_t in[kSpatial], out[kSpatial], kernel[kSpatial], stride[kSpatial], first[kSpatial],
      dilation[kSpatial];
  bool turned;  // the kernel, in every dimension

  // The padded plane: what output 0's tap 0 to the last output's last tap read.
  int64_t padded[kSpatial];
  int64_t part;   // elements of a row with one remainder modulo the stride
  int64_t pitch;  // of a row: all remainders
  bool flat;
  int64_t row_size;  // outputs that are made at once
  int64_t taps, elements;
  int64_t offset[kMostTaps];  // of each tap

  bool prepare() {
    constexpr int L = kLanes<T>;
    taps = kernel[0] * kernel[1] * kernel[2];
    if (taps == 0 || taps > kMostTaps) return false;
    for (int d = 0; d < kSpatial; ++d) {
      const int64_t reach = (kernel[d] - 1) * dilation[d] + 1;
      if (out[d] < 1 || in[d] < 1 || reach > kMostPlane || out[d] > kMostPlane) return false;
      if (stride[d] > kMostPlane) return false;
      padded[d] = (out[d] - 1) * stride[d] + reach;
      if (padded[d] > kMostPlane) return false;
    }
    // Rows shorter than a vector follow one another, and are made as one row; else a row's last
    // vectors read beyond it.
    flat = out[2] < L && stride[1] == 1 && stride[2] == 1;
    part = flat ? padded[2] : round_up(ceil_div(padded[2], stride[2]), L) + 4 * L;
    pitch = part * stride[2];
    row_size = flat ? (out[1] - 1) * pitch + out[2] : out[2];
    if (pitch > kMostPlane || padded[1] * pitch > kMostPlane) return false;
    elements = padded[0] * padded[1] * pitch + (flat ? 4 * L : 0);
    if (elements > kMostPlane) return false;
    int64_t t = 0;
    for (int64_t z = 0; z < kernel[0]; ++z) {
      for (int64_t y_ = 0; y_ < kernel[1]; ++y_) {
        for (int64_t x_ = 0; x_ < kernel[2]; ++x_) {
          const int64_t at = x_ * dilation[2];
          offset[t++] = (z * dilation[0] * padded[1] + y_ * dilation[1]) * pitch +
                        at % stride[2] * part + at / stride[2];
        }
      }
    }
    return true;
  }

  // Copies a plane of x; what is outside is zero already and stays so.
  void fill(const T* plane, T* to) const {
    for (int64_t z = 0; z < padded[0]; ++z) {
      const int64_t in_z = z + first[0];
      if (in_z < 0 || in_z >= in[0]) continue;
      for (int64_t r = 0; r < padded[1]; ++r) {
        const int64_t in_y = r + first[1];
        if (in_y < 0 || in_y >= in[1]) continue;
        const T* const from = plane + (in_z * in[1] + in_y) * in[2];
        T* const row = to + (z * padded[1] + r) * pitch;
        const int64_t low = max(0, -first[2]), high = min(padded[2], in[2] - first[2]);
        if (stride[2] == 1) {
          if (high > low) {
            __builtin_memcpy(row + low, from + low + first[2],
                             static_cast<size_t>(high - low) * sizeof(T));
          }
        } else {
          for (int64_t s = 0; s < stride[2]; ++s) {
            const int64_t j0 = max(0, ceil_div_signed(low - s, stride[2]));
            const int64_t j1 = max(0, ceil_div_signed(high - s, stride[2]));
            const T* const begin = from + first[2] + s;
            for (int64_t j = j0; j < j1; ++j) row[s * part + j] = begin[j * stride[2]];
          }
        }
      }
    }
  }

  // kCount vectors of a row of y from `row`, the padded plane at its first output; the last one has
  // `tail` lanes.
  template <int kCount>
  GS_INLINE void outputs(const T* row, const T* w, Vec<T> start, T* to, int64_t tail) const {
    constexpr int L = kLanes<T>;
    Vec<T> sum[kCount];
#pragma GCC unroll 4
    for (int i = 0; i < kCount; ++i) sum[i] = start;
    for (int64_t t = 0; t < taps; ++t) {
      const Vec<T> factor = splat<T>(w[t]);
      const T* const from = row + offset[t];
#pragma GCC unroll 4
      for (int i = 0; i < kCount; ++i) sum[i] += factor * load<T>(from + i * L);
    }
#pragma GCC unroll 4
    for (int i = 0; i < kCount - 1; ++i) store<T>(to + i * L, sum[i]);
    if (tail == L) {
      store<T>(to + (kCount - 1) * L, sum[kCount - 1]);
    } else {
      store_n<T>(to + (kCount - 1) * L, sum[kCount - 1], tail);
    }
  }

  void row_of_outputs(const T* row, const T* w, Vec<T> start, T* to) const {
    constexpr int64_t L = kLanes<T>;
    int64_t left = row_size;
    for (; left > 4 * L; left -= 4 * L, row += 4 * L, to += 4 * L) {
      outputs<4>(row, w, start, to, L);
    }
    const int64_t vectors = ceil_div(left, L), tail = left - (vectors - 1) * L;
    switch (vectors) {
      case 1: return outputs<1>(row, w, start, to, tail);
      case 2: return outputs<2>(row, w, start, to, tail);
      case 3: return outputs<3>(row, w, start, to, tail);
      default: return outputs<4>(row, w, start, to, tail);
    }
  }

  Status run() const {
    const int64_t in_size = in[0] * in[1] * in[2], out_size = out[0] * out[1] * out[2];
    const int64_t work = out_size * multiplier * taps + elements;
    bool enough = true;
    parallel_for(planes, max(1, (1 << 17) / work), [&](int64_t begin, int64_t end) {
      const int64_t spare = flat ? row_size + kLanes<T> : 0;
      const auto bytes = static_cast<size_t>(elements + kMostTaps + spare) * sizeof(T);
      T* const plane = static_cast<T*>(thread_scratch(bytes));
      if (!plane) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
      T *const w = plane + elements, *const made = w + kMostTaps;
      __builtin_memset(plane, 0, static_cast<size_t>(elements) * sizeof(T));
      for (int64_t i = begin; i < end; ++i) {
        fill(x + i * in_size, plane);
        for (int64_t j = 0; j < multiplier; ++j) {
          const int64_t k = i % channels * multiplier + j;
          for (int64_t t = 0; t < taps; ++t) {
            w[t] = weight[k * taps + (turned ? taps - 1 - t : t)];
          }
          const Vec<T> start = splat<T>(bias ? bias[k] : T(0));
          T* to = y + (i * multiplier + j) * out_size;
          for (int64_t z = 0; z < out[0]; ++z) {
            if (flat) {
              row_of_outputs(plane + z * stride[0] * padded[1] * pitch, w, start, made);
              for (int64_t r = 0; r < out[1]; ++r, to += out[2]) {
                store_n<T>(to, load<T>(made + r * pitch), out[2]);
              }
              continue;
            }
            for (int64_t r = 0; r < out[1]; ++r, to += out[2]) {
              const int64_t at = z * stride[0] * padded[1] + r * stride[1];
              row_of_outputs(plane + at * pitch, w, start, to);
            }
          }
        }
      }
    });
    if (!enough) return {Code::kOutOfMemory, {elements * int64_t{sizeof(T)}, 0}};
    return kDone;
  }
};

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
  for (int i = 0; i < kSpatial; ++i) {
    d.in[i] = g.in[i];
    d.out[i] = g.out[i];
    d.kernel[i] = g.kernel[i];
    d.stride[i] = g.stride[i];
    d.first[i] = -g.padding[i];
    d.dilation[i] = g.dilation[i];
  }
  if (!d.prepare()) return false;
  *status = d.run();
  return true;
}

template <class T>
bool backward_input(const ConvBwdInputArgs& args, const Geometry& g, Status* status) {
  Depthwise<T> d;
  if (g.K != g.C) return false;
  d.planes = g.N * g.C;
  d.channels = g.C;
  d.multiplier = 1;
  d.x = reinterpret_cast<const T*>(args.grad_y.data);
  d.weight = reinterpret_cast<const T*>(args.weight.data);
  d.bias = reinterpret_cast<const T*>(args.bias.data);
  d.y = reinterpret_cast<T*>(args.grad_x.data);
  d.turned = true;
  for (int i = 0; i < kSpatial; ++i) {
    if (g.stride[i] != 1) return false;
    d.in[i] = g.out[i];
    d.out[i] = g.in[i];
    d.kernel[i] = g.kernel[i];
    d.stride[i] = 1;
    d.first[i] = g.padding[i] - (g.kernel[i] - 1) * g.dilation[i];
    d.dilation[i] = g.dilation[i];
  }
  if (!d.prepare()) return false;
  *status = d.run();
  return true;
}

}  // namespace

bool depthwise_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x.shape, args.x.ndim, args.weight.shape,
                                       args.weight.ndim, args.out_shape.v, args.out_shape.n,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk) return false;
  if (!is_depthwise(g)) return false;
  return args.x.dtype == DType::kFloat32 ? forward<float>(args, g, status)
                                         : forward<double>(args, g, status);
}

bool depthwise_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args.x_shape.v, args.x_shape.n, args.weight.shape,
                                       args.weight.ndim, args.grad_y.shape, args.grad_y.ndim,
                                       args.stride, args.padding, args.dilation, args.groups, &g);
  if (checked.code != Code::kOk) return false;
  if (!is_depthwise(g)) return false;
  return args.grad_y.dtype == DType::kFloat32 ? backward_input<float>(args, g, status)
                                              : backward_input<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
