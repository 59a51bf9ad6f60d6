// Depthwise convolution of planes with 3, 5 or 7 rows of taps, at stride 1 or 2, read where they lie: the
// usual layers of MobileNet and its kin. (Other shapes: conv_depthwise.cpp, which copies each plane.)
//
// Formulas: as in conv_depthwise.cpp and conv_depthwise_weight.cpp.
// How: a block is kRows rows of outputs, one vector wide. For one column of taps, its weights and the
//   block's sums are in registers; each row of inputs is loaded once, for all the rows of outputs that
//   it takes part in. Lanes left and right of the plane are masked in the load and so zero. Planes
//   narrower than half a vector: a vector is a stretch of the plane, over the ends of its rows, with a
//   table of masks. The weight gradient: the same with rows of grad_y in the registers.
//   The input gradient is the forward with the kernel turned round; at stride 2 (3x3, padding 1) a
//   vector of grad_y and its neighbours make two rows of two vectors.
// Layout: contiguous operands, two dimensions, dilation along rows only.
// Split: by planes; the weight gradient by channels, few channels by slices of the images, too.
// Working set: a few rows of a plane.
// Cost: 2 N K taps positions FLOPs; x read once, y written once.
// Accuracy: one chain of multiply-adds over the taps, the bias first; the weight gradient as in
//   conv_depthwise_weight.cpp.
// Limits: AVX2 and AVX-512 (masked loads); float32, float64.
#include "conv_depthwise_rows.h"

#include "conv_depthwise.h"
#include "epilogue.h"

namespace gradsmith {
namespace GS_ISA {

#if defined(__AVX2__)
namespace {

// `rows` (at most kRows) rows of outputs, `lanes` wide. kInside: all rows of inputs are in the plane.
template <class T, int KH, int S, bool kNarrow, bool kInside>
void output_block(const Shape<T>& s, const T* x, const BlockRows& block, int64_t column,
                  int64_t lanes, const T* weight, Vec<T> start, int64_t rows, T* y) {
  constexpr int kIn = (kRows - 1) * S + KH;
  const int64_t width = s.in[1], needed = (rows - 1) * S + KH;
  const int64_t step = s.turned ? -1 : 1;
  Vec<T> sum[kRows];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) sum[r] = start;
  for (int64_t kx = 0; kx < s.kernel[1]; ++kx) {
    const int64_t first = column * S + kx * s.dilation - s.padding[1];
    const Columns<T, S, kNarrow> columns(first, width, lanes);
    const T* from = x + block.first * width + first;
    Vec<T> w[KH];
#pragma GCC unroll 8
    for (int ky = 0; ky < KH; ++ky) w[ky] = splat<T>(weight[(ky * s.kernel[1] + kx) * step]);
#pragma GCC unroll 20
    for (int i = 0; i < kIn; ++i, from += width) {
      Vec<T> v{};
      if constexpr (kInside) {
        v = columns.load(from);
      } else {
        if (i >= needed) break;
        if (i >= block.low && i < block.high) v = columns.load(from);
      }
#pragma GCC unroll 8
      for (int ky = 0; ky < KH; ++ky) {
        if ((i - ky) % S == 0 && i >= ky && (i - ky) / S < kRows) sum[(i - ky) / S] += w[ky] * v;
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    if (!kInside && r >= rows) break;
    if (lanes == kLanes<T>) {
      store<T>(y + r * s.out[1], sum[r]);
    } else {
      store_n<T>(y + r * s.out[1], sum[r], lanes);
    }
  }
}

template <class T, int KH, int S, bool kNarrow = false>
void output_plane(const Shape<T>& s, const T* x, const T* weight, Vec<T> start, T* y) {
  constexpr int64_t L = kLanes<T>;
  for (int64_t row = 0; row < s.out[0]; row += kRows, y += kRows * s.out[1]) {
    const int64_t rows = min(kRows, s.out[0] - row);
    const BlockRows block(s, row);
    const bool inside = rows == kRows && block.all_inside((kRows - 1) * S + KH);
    for (int64_t c = 0; c < s.out[1]; c += L) {
      const int64_t lanes = min(L, s.out[1] - c);
      prefetch_ahead(x + (row * s.in[1] + rows * S * c) * S, rows * S * S * lanes);
      prefetch_for_stores(y + rows * c, rows * lanes);
      if (inside) {
        output_block<T, KH, S, kNarrow, true>(s, x, block, c, lanes, weight, start, rows, y + c);
      } else {
        output_block<T, KH, S, kNarrow, false>(s, x, block, c, lanes, weight, start, rows, y + c);
      }
    }
  }
}

template <class T>
using PlaneFunction = void (*)(const Shape<T>&, const T*, const T*, Vec<T>, T*);

template <class T>
PlaneFunction<T> plane_function(const Shape<T>& s) {
  switch (s.kernel[0] * 2 + s.stride) {
    case 7: return output_plane<T, 3, 1>;
    case 8: return 2 * s.out[1] <= kLanes<T> ? output_plane<T, 3, 2, true> : output_plane<T, 3, 2>;
    case 11: return output_plane<T, 5, 1>;
    case 12: return output_plane<T, 5, 2>;
    case 15: return output_plane<T, 7, 1>;
    default: return output_plane<T, 7, 2>;
  }
}

template <class T>
struct Planes2 {
  Shape<T> shape;
  const T *x, *weight, *bias;
  T* y;
  const ConvEpilogue* epilogue = nullptr;

  void run() const {
    const Shape<T>& s = shape;
    const int64_t work = s.out_size() * s.multiplier * s.taps() + s.in_size();
    const int64_t taps = s.taps(), last = s.turned ? taps - 1 : 0;
    const auto rows = plane_function(s);
#if defined(__AVX512F__)
    const bool is_flat = Flat<T>::takes(s);
#endif
    parallel_for(s.planes, max(1, (1 << 17) / work), [&](int64_t begin, int64_t end) {
      const auto each = [&](const auto& plane) {
        for (int64_t i = begin; i < end; ++i) {
          for (int64_t j = 0; j < s.multiplier; ++j) {
            const int64_t k = i % s.channels * s.multiplier + j;
            T* const to = y + (i * s.multiplier + j) * s.out_size();
            plane(x + i * s.in_size(), weight + k * taps + last, splat<T>(bias ? bias[k] : T(0)),
                  to);
            finish(epilogue, to, s.out_size());
          }
        }
      };
#if defined(__AVX512F__)
      if (is_flat) {
        const Flat<T> flat(s);
        const int64_t step = s.turned ? -1 : 1;
        each([&](const T* from, const T* w, Vec<T> start, T* to) {
          flat.plane(from, w, step, start, to);
        });
        return;
      }
#endif
      each([&](const T* from, const T* w, Vec<T> start, T* to) { rows(s, from, w, start, to); });
    });
  }
};

// ---- the input gradient at stride 2: 3x3, padding 1 ----

// Inputs (2j, 2c) .. (2j + 1, 2c + 1) from outputs (j, c) .. (j + 1, c + 1).
template <class T>
void strided_gradient(const Shape<T>& s, const T* grad_y, const T* w, Vec<T> start, T* grad_x) {
  constexpr int64_t L = kLanes<T>;
  const int64_t height = s.in[0], width = s.in[1];
  Vec<T> k[9];
#pragma GCC unroll 9
  for (int t = 0; t < 9; ++t) k[t] = splat<T>(w[t]);
  for (int64_t j = 0; 2 * j < height; ++j, grad_y += s.out[1], grad_x += 2 * width) {
    const bool here = j < s.out[0], below = j + 1 < s.out[0], second = 2 * j + 1 < height;
    prefetch_ahead(grad_y, s.out[1]);
    prefetch_for_stores(grad_x, 2 * width);
    for (int64_t c = 0; 2 * c < width; c += L) {
      const Columns<T, 1> left(c, s.out[1], L), right(c + 1, s.out[1], L);
      const int64_t lanes = width - 2 * c;  // of the two vectors
      const T* const from = grad_y + c;
      const Vec<T> a = here ? left.load(from) : Vec<T>{};
      const Vec<T> b = here ? right.load(from + 1) : Vec<T>{};
      const auto put = [&](Vec<T> even, Vec<T> odd, T* to) {
        Vec<T> low, high;
        interleave<T>(even, odd, low, high);
        if (lanes >= 2 * L) {
          store<T>(to, low);
          store<T>(to + L, high);
        } else {
          store_lanes_of<T>(to, low, lanes_between<T>(0, lanes));
          store_lanes_of<T>(to + L, high, lanes_between<T>(0, lanes - L));
        }
      };
      put(start + a * k[4], start + a * k[5] + b * k[3], grad_x + 2 * c);
      if (second) {
        const Vec<T> d = below ? left.load(from + s.out[1]) : Vec<T>{};
        const Vec<T> e = below ? right.load(from + s.out[1] + 1) : Vec<T>{};
        put(start + a * k[7] + d * k[1], (start + a * k[8] + b * k[6]) + (d * k[2] + e * k[0]),
            grad_x + width + 2 * c);
      }
    }
  }
}

template <class T>
void strided_gradients(const Shape<T>& s, const T* grad_y, const T* weight, const T* bias,
                       T* grad_x) {
  parallel_for(s.planes, max(1, (1 << 17) / (6 * s.in_size())), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i % s.channels;
      strided_gradient(s, grad_y + i * s.out_size(), weight + c * 9,
                       splat<T>(bias ? bias[c] : T(0)), grad_x + i * s.in_size());
    }
  });
}

template <class T>
bool forward(const ConvFwdArgs& args, const Geometry& g, Status* status) {
  Planes2<T> p;
  if (!shape_of(g, &p.shape)) return false;
  if (!status) return true;
  p.x = reinterpret_cast<const T*>(args.x.data);
  p.weight = reinterpret_cast<const T*>(args.weight.data);
  p.bias = reinterpret_cast<const T*>(args.bias.data);
  p.y = reinterpret_cast<T*>(args.y.data);
  p.epilogue = args.epilogue;
  if (p.epilogue) p.epilogue->done = true;
  p.run();
  *status = kDone;
  return true;
}

template <class T>
bool backward_input(const ConvBwdInputArgs& args, const Geometry& g, Status* status) {
  Planes2<T> p;
  Shape<T>& s = p.shape;
  if (!shape_of(g, &s) || s.multiplier != 1) return false;
  const bool strided = s.stride == 2;
  if (strided && (s.kernel[0] != 3 || s.kernel[1] != 3 || s.padding[0] != 1 || s.padding[1] != 1 ||
                  s.dilation != 1)) {
    return false;
  }
  if (!status) return true;
  p.x = reinterpret_cast<const T*>(args.grad_y.data);
  p.weight = reinterpret_cast<const T*>(args.weight.data);
  p.bias = reinterpret_cast<const T*>(args.bias.data);
  p.y = reinterpret_cast<T*>(args.grad_x.data);
  *status = kDone;
  if (strided) {
    strided_gradients(s, p.x, p.weight, p.bias, p.y);
    return true;
  }
  s.turned = true;
  for (int d = 0; d < 2; ++d) {
    s.in[d] = g.out[d + 1];
    s.out[d] = g.in[d + 1];
    s.padding[d] = (s.kernel[d] - 1) * g.dilation[d + 1] - s.padding[d];
  }
  p.run();
  return true;
}

}  // namespace

bool depthwise_rows_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.x.dtype == DType::kFloat32 ? forward<float>(args, g, status)
                                         : forward<double>(args, g, status);
}

bool depthwise_rows_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  return args.grad_y.dtype == DType::kFloat32 ? backward_input<float>(args, g, status)
                                              : backward_input<double>(args, g, status);
}

#else

bool depthwise_rows_fwd(const ConvFwdArgs&, Status*) { return false; }
bool depthwise_rows_bwd_input(const ConvBwdInputArgs&, Status*) { return false; }

#endif

}  // namespace GS_ISA
}  // namespace gradsmith
