// The weight gradient of the depthwise convolutions of conv_depthwise_rows.cpp.
//
// Formula: as in conv_depthwise_weight.cpp.
// How: a block is kRows rows of grad_y, one vector wide, in registers. For one column of taps, its sums
//   are in registers too, and each row of x is loaded once, for all the taps that it takes part in.
// Layout: contiguous operands, two dimensions, dilation along rows only.
// Split: by blocks of channels whose planes lie side by side; few also by slices of the images, added in
//   order at the end.
// Working set: a few rows of two planes, a vector for each tap of the channels.
// Cost: 2 N K taps positions FLOPs; x and grad_y read once.
// Accuracy: lanes, then planes in order; chains of at most a plane and kChain vectors.
// Limits: AVX2 and AVX-512 (masked loads); float32, float64.
#include "conv_depthwise.h"
#include "conv_depthwise_rows.h"

namespace gradsmith {
namespace GS_ISA {

#if defined(__AVX2__)
namespace {

constexpr int64_t kMostSlices = 16;
constexpr int64_t kChannelBlock = 16384;  // elements of the planes of a block of channels

// sums[tap] += the products of R rows of grad_y, `lanes` wide, with what the tap reads of x.
template <class T, int KH, int S, int R>
GS_INLINE void products_block(const Shape<T>& s, const T* x, const BlockRows& block, int64_t column,
                              int64_t lanes, const T* grad_y, Vec<T>* sums) {
  constexpr int kIn = (R - 1) * S + KH;
  const int64_t width = s.in[1];
  const Mask<T> present = lanes_between<T>(0, lanes);
  Vec<T> g[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) g[r] = load_lanes_of<T>(grad_y + r * s.out[1], present);
  for (int64_t kx = 0; kx < s.kernel[1]; ++kx, sums += KH) {
    const int64_t first = column * S + kx * s.dilation - s.padding[1];
    const Columns<T, S> columns(first, width, lanes);
    const T* from = x + block.first * width + first;
    Vec<T> sum[KH];
#pragma GCC unroll 8
    for (int ky = 0; ky < KH; ++ky) sum[ky] = sums[ky];
#pragma GCC unroll 20
    for (int i = 0; i < kIn; ++i, from += width) {
      Vec<T> v{};
      if (i >= block.low && i < block.high) v = columns.load(from);
#pragma GCC unroll 8
      for (int ky = 0; ky < KH; ++ky) {
        if ((i - ky) % S == 0 && i >= ky && (i - ky) / S < R) sum[ky] += g[(i - ky) / S] * v;
      }
    }
#pragma GCC unroll 8
    for (int ky = 0; ky < KH; ++ky) sums[ky] = sum[ky];
  }
}

// All of a plane; sums: (columns of taps, rows of taps).
template <class T, int KH, int S>
void products_plane(const Shape<T>& s, const T* x, const T* grad_y, Vec<T>* sums) {
  constexpr int64_t L = kLanes<T>;
  int64_t row = 0;
  for (; row + kRows <= s.out[0]; row += kRows, grad_y += kRows * s.out[1]) {
    const BlockRows block(s, row);
    for (int64_t c = 0; c < s.out[1]; c += L) {
      prefetch_ahead(x + (row * s.in[1] + kRows * S * c) * S, kRows * S * S * L);
      prefetch_ahead(grad_y + kRows * c, kRows * L);
      products_block<T, KH, S, kRows>(s, x, block, c, min(L, s.out[1] - c), grad_y + c, sums);
    }
  }
  for (; row < s.out[0]; ++row, grad_y += s.out[1]) {
    const BlockRows block(s, row);
    for (int64_t c = 0; c < s.out[1]; c += L) {
      products_block<T, KH, S, 1>(s, x, block, c, min(L, s.out[1] - c), grad_y + c, sums);
    }
  }
}

template <class T>
using ProductsFunction = void (*)(const Shape<T>&, const T*, const T*, Vec<T>*);

template <class T>
ProductsFunction<T> products_function(const Shape<T>& s) {
  switch (s.kernel[0] * 2 + s.stride) {
    case 7: return products_plane<T, 3, 1>;
    case 8: return products_plane<T, 3, 2>;
    case 11: return products_plane<T, 5, 1>;
    case 12: return products_plane<T, 5, 2>;
    case 15: return products_plane<T, 7, 1>;
    default: return products_plane<T, 7, 2>;
  }
}

template <class T>
struct WeightGradient {
  Shape<T> shape;
  int64_t images;
  const T *x, *grad_y;
  T* grad_weight;

  // Output channels [k0, k1), whole groups, over images [first, last): to[channel * taps + tap], from
  // sums of as many vectors. `plane` adds to them, in the order of `turned`: columns of taps first.
  template <class Plane>
  void channels(int64_t k0, int64_t k1, int64_t first, int64_t last, bool turned,
                const Plane& plane, Vec<T>* sums, T* to) const {
    constexpr int L = kLanes<T>;
    const Shape<T>& s = shape;
    const int64_t taps = s.taps(), all = (k1 - k0) * taps, K = s.channels * s.multiplier;
    const int64_t vectors = s.out[0] * ceil_div(s.out[1], L);
    const int64_t most = max(1, kChain / max(1, vectors));
    for (int64_t i = 0; i < all; ++i) to[i] = T(0);
    for (int64_t n = first; n < last; n += most) {
      for (int64_t i = 0; i < round_up(all, L); ++i) sums[i] = Vec<T>{};
      for (int64_t image = n; image < min(last, n + most); ++image) {
        for (int64_t k = k0; k < k1; ++k) {
          plane(x + (image * s.channels + k / s.multiplier) * s.in_size(),
                grad_y + (image * K + k) * s.out_size(), sums + (k - k0) * taps);
        }
      }
      for (int64_t i = 0; i < all; i += L) {
        Vec<T> rows[L];
#pragma GCC unroll 16
        for (int j = 0; j < L; ++j) rows[j] = sums[i + j];
        const Vec<T> sum = sum_lanes<T>(rows);
        const int64_t count = min(L, all - i);
        for (int64_t j = 0; j < count; ++j) {
          const int64_t t = (i + j) % taps;
          const int64_t tap = turned ? t % s.kernel[0] * s.kernel[1] + t / s.kernel[0] : t;
          to[i + j - t + tap] += sum[j];
        }
      }
    }
  }

  Status run() const {
    const Shape<T>& s = shape;
    const int64_t taps = s.taps(), K = s.channels * s.multiplier, all = K * taps;
    const int64_t at_once =  // channels of x
        clamp(min(kChannelBlock / s.in_size(), 1024 / (taps * s.multiplier)), 1, 16);
    const int64_t blocks = ceil_div(s.channels, at_once);
    const int64_t slices = clamp(min(kMostSlices / blocks, images), 1, kMostSlices);
    const auto bytes = static_cast<size_t>(slices * all) * sizeof(T);
    T* const parts = slices > 1 ? static_cast<T*>(allocate(bytes)) : grad_weight;
    if (!parts) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
    const int64_t vectors = round_up(at_once * s.multiplier * taps, kLanes<T>);
    const int64_t work = at_once * s.multiplier * ceil_div(images, slices) *
                         (s.out_size() * taps + s.in_size() + 16 * taps);
    const auto rows = products_function(s);
    bool enough = true;
    parallel_for(blocks * slices, max(1, (1 << 17) / work), [&](int64_t begin, int64_t end) {
      const auto scratch = static_cast<size_t>(vectors) * sizeof(Vec<T>);
      Vec<T>* const sums = static_cast<Vec<T>*>(thread_scratch(scratch));
      if (!sums) {
        __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
        return;
      }
      const auto each = [&](bool turned, const auto& plane) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t slice = i / blocks, c = i % blocks * at_once;
          const int64_t k0 = c * s.multiplier, k1 = min(s.channels, c + at_once) * s.multiplier;
          channels(k0, k1, images * slice / slices, images * (slice + 1) / slices, turned, plane,
                   sums, parts + slice * all + k0 * taps);
        }
      };
#if defined(__AVX512F__)
      if (Flat<T>::takes(s)) {
        const Flat<T> flat(s);
        const int64_t next = s.channels * s.in_size();  // image; its planes are as large as ours
        each(false, [&](const T* from, const T* grad, Vec<T>* to) {
          prefetch(from + next, s.in_size());
          prefetch(grad + next * s.multiplier, s.in_size());
          flat.products(from, grad, to);
        });
        return;
      }
#endif
      each(true, [&](const T* a, const T* b, Vec<T>* to) { rows(s, a, b, to); });
    });
    if (slices > 1) {
      for (int64_t i = 0; enough && i < all; ++i) {
        T sum = parts[i];
        for (int64_t slice = 1; slice < slices; ++slice) sum += parts[slice * all + i];
        grad_weight[i] = sum;
      }
      release(parts, bytes);
    }
    if (!enough) {
      return {Code::kOutOfMemory, {vectors * static_cast<int64_t>(sizeof(Vec<T>)), 0}};
    }
    return kDone;
  }
};

template <class T>
bool backward_weight(const ConvBwdWeightArgs& args, const Geometry& g, Status* status) {
  WeightGradient<T> w;
  if (!shape_of(g, &w.shape)) return false;
  if (!status) return true;
  w.images = g.N;
  w.x = reinterpret_cast<const T*>(args.x.data);
  w.grad_y = reinterpret_cast<const T*>(args.grad_y.data);
  w.grad_weight = reinterpret_cast<T*>(args.grad_weight.data);
  *status = w.run();
  return true;
}

}  // namespace

bool depthwise_rows_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? backward_weight<float>(args, g, status)
                                              : backward_weight<double>(args, g, status);
}

#else

bool depthwise_rows_bwd_weight(const ConvBwdWeightArgs&, Status*) { return false; }

#endif

}  // namespace GS_ISA
}  // namespace gradsmith
