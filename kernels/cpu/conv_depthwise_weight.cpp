// The weight gradient of a depthwise convolution: each kernel reads one input channel and one output
// channel, so there is no product of matrices in it, only sums over positions.
//
// grad_weight[k, tap] = sum over n, p of grad_y[n, k, p] * x[n, k / m, p * stride - padding + tap * dilation]
// How: a plane of x is copied into a padded one (conv_depthwise_plane.h); each vector of grad_y is
//   multiplied with kSums taps' vectors of the plane, which are summed lane by lane in registers.
// Layout: contiguous operands; 1 to 3 dimensions, any stride, dilation and padding.
// Split: by channels; few channels also by slices of the images, added in order at the end.
// Working set: the padded plane (13 KB for 56x56), at most kMostPlane elements.
// Cost: 2 N K taps positions FLOPs; x and grad_y read once, grad_y once more for each kSums taps.
// Accuracy: lanes, then planes in order; chains of at most a plane and kChain vectors.
#include "conv_depthwise.h"

#include "conv_depthwise_plane.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int kSums = 9;  // taps at once: a 3x3 kernel
constexpr int64_t kMostSlices = 16;

template <class T>
struct WeightGradient : PaddedPlane<T> {
  using P = PaddedPlane<T>;
  using P::padded, P::pitch, P::elements, P::taps, P::offset, P::in, P::out, P::stride;

  int64_t images, channels, multiplier;
  const T *x, *grad_y;
  T* grad_weight;

  // sums[t] += the products of a plane of grad_y with the vectors at taps t0 + t of the padded plane.
  void multiply(const T* plane, const T* from, int64_t t0, Vec<T>* sums) const {
    constexpr int L = kLanes<T>;
    Vec<T> sum[kSums];
    const T* at[kSums];
#pragma GCC unroll 16
    for (int t = 0; t < kSums; ++t) {
      sum[t] = sums[t];
      at[t] = plane + offset[t0 + t < taps ? t0 + t : taps - 1];
    }
    for (int64_t z = 0; z < out[0]; ++z) {
      for (int64_t r = 0; r < out[1]; ++r, from += out[2]) {
        int64_t i = (z * stride[0] * padded[1] + r * stride[1]) * pitch, j = 0;
        for (; j + L <= out[2]; j += L, i += L) {
          const Vec<T> g = load(from + j);
#pragma GCC unroll 16
          for (int t = 0; t < kSums; ++t) sum[t] += g * load(at[t] + i);
        }
        if (const int64_t tail = out[2] - j) {
          const Vec<T> g = load_n(from + j, tail);
#pragma GCC unroll 16
          for (int t = 0; t < kSums; ++t) sum[t] += g * load_n(at[t] + i, tail);
        }
      }
    }
#pragma GCC unroll 16
    for (int t = 0; t < kSums; ++t) sums[t] = sum[t];
  }

  // The sums of output channel k over images [first, last): to[tap].
  void channel(int64_t k, int64_t first, int64_t last, T* planes, T* to) const {
    const int64_t in_size = in[0] * in[1] * in[2], out_size = out[0] * out[1] * out[2];
    const int64_t vectors = out[0] * out[1] * ceil_div(out[2], kLanes<T>);
    const int64_t c = k / multiplier, most = max(1, kChain / max(1, vectors));
    const int64_t at_once = P::at_once(), apart = channels * planes_ahead(in_size);
    const int64_t x_ahead = apart * in_size, y_ahead = apart * multiplier * out_size;
    for (int64_t t = 0; t < taps; ++t) to[t] = T(0);
    for (int64_t n = first; n < last; n += most) {
      const int64_t end = min(last, n + most);
      Vec<T> sums[round_up(kMostTaps, kSums)];
      const int64_t all = round_up(taps, kSums);
      for (int64_t t = 0; t < all; ++t) sums[t] = Vec<T>{};
      for (int64_t m = n; m < end; m += at_once) {
        const int64_t stop = min(end, m + at_once);
        for (int64_t i = m; i < stop; ++i) {
          P::fill(x + (i * channels + c) * in_size, planes + (i - m) * elements, x_ahead);
        }
        for (int64_t i = m; i < stop; ++i) {
          const T* const from = grad_y + (i * channels * multiplier + k) * out_size;
          prefetch(from + y_ahead, out_size);
          for (int64_t t = 0; t < taps; t += kSums) {
            multiply(planes + (i - m) * elements, from, t, sums + t);
          }
        }
      }
      for (int64_t t = 0; t < taps; t += kLanes<T>) {
        Vec<T> rows[kLanes<T>];
#pragma GCC unroll 16
        for (int i = 0; i < kLanes<T>; ++i) rows[i] = t + i < all ? sums[t + i] : Vec<T>{};
        const Vec<T> sum = sum_lanes<T>(rows);
        const int64_t count = min(kLanes<T>, taps - t);
        for (int64_t i = 0; i < count; ++i) to[t + i] += sum[i];
      }
    }
  }

  Status run() const {
    const int64_t K = channels * multiplier, all = K * taps;
    const int64_t slices = clamp(min(kMostSlices / K, images), 1, kMostSlices);
    const auto bytes = static_cast<size_t>(slices * all) * sizeof(T);
    T* const parts = slices > 1 ? static_cast<T*>(allocate(bytes)) : grad_weight;
    if (!parts) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
    const int64_t work =
        ceil_div(images, slices) * (out[0] * out[1] * out[2] * taps + elements + 16 * taps);
    bool enough = true;
    parallel_for(K * slices, max(1, (1 << 17) / work), [&](int64_t begin, int64_t end) {
      const auto bytes_of_planes = static_cast<size_t>(P::at_once() * elements) * sizeof(T);
      T* const planes = static_cast<T*>(thread_scratch(bytes_of_planes));
      if (!planes) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
      __builtin_memset(planes, 0, bytes_of_planes);
      for (int64_t i = begin; i < end; ++i) {
        const int64_t k = i % K, s = i / K;
        channel(k, images * s / slices, images * (s + 1) / slices, planes, parts + i * taps);
      }
    });
    if (slices > 1) {
      for (int64_t i = 0; enough && i < all; ++i) {
        T sum = parts[i];
        for (int64_t s = 1; s < slices; ++s) sum += parts[s * all + i];
        grad_weight[i] = sum;
      }
      release(parts, bytes);
    }
    if (!enough) return {Code::kOutOfMemory, {elements * int64_t{sizeof(T)}, 0}};
    return kDone;
  }
};

template <class T>
bool backward_weight(const ConvBwdWeightArgs& args, const Geometry& g, Status* status) {
  WeightGradient<T> w;
  w.images = g.N;
  w.channels = g.C;
  w.multiplier = g.K / g.C;
  w.x = reinterpret_cast<const T*>(args.x.data);
  w.grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  w.grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  for (int i = 0; i < kSpatial; ++i) {
    w.in[i] = g.in[i];
    w.out[i] = g.out[i];
    w.kernel[i] = g.kernel[i];
    w.stride[i] = g.stride[i];
    w.first[i] = -g.padding[i];
    w.dilation[i] = g.dilation[i];
  }
  if (!w.prepare()) return false;
  if (status) *status = w.run();
  return true;
}

}  // namespace

bool depthwise_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  if (depthwise_rows_bwd_weight(args, status)) return true;
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  if (g.groups != g.C || g.C <= 1 || g.N == 0 || g.K == 0 || g.out_positions() == 0) return false;
  return args.grad_y.dtype == DType::kFloat32 ? backward_weight<float>(args, g, status)
                                              : backward_weight<double>(args, g, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
