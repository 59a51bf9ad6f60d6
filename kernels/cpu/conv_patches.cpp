// Convolutions whose windows lie side by side (a kernel as large as its stride, no padding): their im2col
// matrix (conv_columns.cpp) is the inputs in another order, the patches (N, C * taps, positions), and what is
// left is a pointwise convolution of C * taps channels, with the weights as they are. U-Net's transposed
// convolutions, patch embeddings.
//
// Method     x is split into patches, or the patches' gradient is joined to grad_x (and a transposed
//            convolution's bias added), between that pass and conv_pointwise*.cpp.
// Split      planes (image, channel), on the pool; then as the pointwise kernels.
// Memory     the patches: as large as x. Read and written once: many products an input repay that.
// Cost       N4 512 -> 256 16x16 k2 s2, 2 threads of a Xeon with AVX-512: transposed 239 -> 260 GFLOP/s, its
//            input gradient 249 -> 279, its weight gradient 236 -> 262; 3 -> 192 224x224 k16 s16: input
//            gradient 20 -> 217, the others 1.3 and 1.9 times as fast.
// Accuracy   the pointwise kernels'. Limits: float32, float64; one group.
#include "conv_columns.h"
#include "conv_pointwise.h"
#include "conv_settings.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// Whether windows lie side by side and reordering the inputs is repaid: by many products an input, or where
// other kernels are slow, which take strides of 2 (filters as lanes) or 4 (as phases) and more channels.
bool takes_patches(const Geometry& g, ConvPass pass) {
  const bool slow = pass == ConvPass::kForward ? g.stride[2] > 2 && g.K >= 128
                                               : (g.stride[2] > 4 || g.C < 12) && g.K >= 64;
  if (g.groups != 1 || g.taps() < 2 || g.N == 0 || g.C == 0 || (g.K < 512 && !slow)) return false;
  for (int d = 0; d < kSpatial; ++d) {
    if (g.kernel[d] != g.stride[d] || g.padding[d] != 0 || g.in[d] != g.out[d] * g.stride[d]) {
      return false;
    }
    if (g.kernel[d] > 1 && g.dilation[d] != 1) return false;
  }
  return g.out_positions() > 0;
}

// Every second of 2 * kLanes elements, from the second one on.
template <class T, int... I>
GS_INLINE Vec<T> odd_lanes(Vec<T> a, Vec<T> b, std::integer_sequence<int, I...>) {
  return shuffle<T, 2 * I + 1 ...>(a, b);
}

// to[t * pitch + j] = from[j * taps + t], j < n
template <class T>
void split_row(const T* from, int64_t taps, int64_t n, T* to, int64_t pitch) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  for (; taps == 2 && j + L <= n; j += L) {
    constexpr auto kAll = std::make_integer_sequence<int, L>{};
    const Vec<T> a = load(from + 2 * j), b = load(from + 2 * j + L);
    store(to + j, even_lanes<T>(a, b, kAll));
    store(to + pitch + j, odd_lanes<T>(a, b, kAll));
  }
  for (; j < n; ++j) {
    for (int64_t t = 0; t < taps; ++t) to[t * pitch + j] = from[j * taps + t];
  }
}

// to[j * taps + t] = from[t * pitch + j] + add, j < n
template <class T>
void join_row(const T* from, int64_t pitch, int64_t taps, int64_t n, T add, T* to) {
  constexpr int L = kLanes<T>;
  int64_t j = 0;
  for (; taps == 2 && j + L <= n; j += L) {
    Vec<T> a, b;
    interleave<T>(load(from + j) + splat(add), load(from + pitch + j) + splat(add), a, b);
    store(to + 2 * j, a);
    store(to + 2 * j + L, b);
  }
  for (; j < n; ++j) {
    for (int64_t t = 0; t < taps; ++t) to[j * taps + t] = from[t * pitch + j] + add;
  }
}

// Calls row(plane, offset of a row of inputs, offset of its first tap's positions) for all rows of inputs.
template <class Row>
void for_patch_rows(const Geometry& g, const Row& row) {
  const int64_t in_size = g.in_positions(), positions = g.out_positions();
  parallel_for(g.N * g.C, max(1, (1 << 14) / in_size), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      for (int64_t z = 0; z < g.in[0]; ++z) {
        for (int64_t y = 0; y < g.in[1]; ++y) {
          const int64_t tap =
              (z % g.kernel[0] * g.kernel[1] + y % g.kernel[1]) * g.kernel[2] * positions;
          row(i, i * in_size + (z * g.in[1] + y) * g.in[2],
              i * in_size + tap + (z / g.kernel[0] * g.out[1] + y / g.kernel[1]) * g.out[2]);
        }
      }
    }
  });
}

template <class T>
void split_patches(const Geometry& g, const T* x, T* patches) {
  for_patch_rows(g, [&](int64_t, int64_t from, int64_t to) {
    split_row(x + from, g.kernel[2], g.out[2], patches + to, g.out_positions());
  });
}

template <class T>
void join_patches(const Geometry& g, const T* patches, const T* bias, T* x) {
  for_patch_rows(g, [&](int64_t plane, int64_t to, int64_t from) {
    join_row(patches + from, g.out_positions(), g.kernel[2], g.out[2],
             bias ? bias[plane % g.C] : T(0), x + to);
  });
}

// The pointwise convolution's shapes and options.
struct Patches {
  Ints x{{}, 3}, weight{{}, 3}, y{{}, 3}, one{{1}, 1}, zero{{0}, 1};

  explicit Patches(const Geometry& g) {
    x.v[0] = y.v[0] = g.N;
    x.v[1] = weight.v[1] = g.C * g.taps();
    x.v[2] = y.v[2] = g.out_positions();
    weight.v[0] = y.v[1] = g.K;
    weight.v[2] = 1;
  }
  static Array array(const Array& like, const Ints& shape, void* data) {
    Array made = like;
    made.data = static_cast<char*>(data);
    made.shape = shape.v;
    made.stride = nullptr;  // contiguous
    made.ndim = 3;
    return made;
  }
  // The same case as a pointwise one; `data`: of its x or grad_x.
  ConvFwdArgs plain(const ConvFwdArgs& a, void* data) const {
    return {array(a.x, x, data),
            array(a.weight, weight, a.weight.data),
            a.bias,
            y,
            one,
            zero,
            one,
            1,
            array(a.y, y, a.y.data),
            a.epilogue};
  }
  ConvBwdInputArgs plain(const ConvBwdInputArgs& a, void* data) const {
    return {array(a.grad_y, y, a.grad_y.data),
            array(a.weight, weight, a.weight.data),
            Array{},
            x,
            one,
            zero,
            one,
            1,
            array(a.grad_x, x, data)};
  }
  ConvBwdWeightArgs plain(const ConvBwdWeightArgs& a, void* data) const {
    return {array(a.grad_y, y, a.grad_y.data),
            array(a.x, x, data),
            weight,
            one,
            zero,
            one,
            1,
            array(a.grad_weight, weight, a.grad_weight.data)};
  }
};

bool pointwise(const ConvFwdArgs& args, Status* status) { return pointwise_fwd(args, status); }
bool pointwise(const ConvBwdInputArgs& args, Status* status) {
  return pointwise_bwd_input(args, status);
}
bool pointwise(const ConvBwdWeightArgs& args, Status* status) {
  return pointwise_bwd_weight(args, status);
}

// Computes the pass, or says only whether it would (`status` is nullptr), with patches of x, or of grad_x.
template <class T, class Args>
bool run_patches(const Args& args, const Geometry& g, const char* x, char* grad_x, const char* bias,
                 Status* status) {
  const Patches shapes(g);
  if (!status) return pointwise(shapes.plain(args, nullptr), nullptr);
  CallMemory patches;
  if (!patches.get(g.N * g.C * g.in_positions() * int64_t{sizeof(T)})) {
    *status = patches.missing();
    return true;
  }
  T* const data = static_cast<T*>(patches.data);
  if (x) split_patches(g, reinterpret_cast<const T*>(x), data);
  if (!pointwise(shapes.plain(args, data), status)) return false;
  if (grad_x && status->code == Code::kOk) {
    join_patches(g, data, reinterpret_cast<const T*>(bias), reinterpret_cast<T*>(grad_x));
  }
  return true;
}

template <class Args>
bool patches(const Args& args, DType dtype, const Geometry& g, const char* x, char* grad_x,
             const char* bias, Status* status) {
  return dtype == DType::kFloat32 ? run_patches<float>(args, g, x, grad_x, bias, status)
                                  : run_patches<double>(args, g, x, grad_x, bias, status);
}

}  // namespace

bool patches_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  return checked.code == Code::kOk && takes_patches(g, ConvPass::kForward) &&
         patches(args, args.x.dtype, g, args.x.data, nullptr, nullptr, status);
}

bool patches_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  return checked.code == Code::kOk && takes_patches(g, ConvPass::kInput) &&
         patches(args, args.grad_y.dtype, g, nullptr, args.grad_x.data, args.bias.data, status);
}

bool patches_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  return checked.code == Code::kOk && takes_patches(g, ConvPass::kWeight) &&
         patches(args, args.x.dtype, g, args.x.data, nullptr, nullptr, status);
}

}  // namespace GS_ISA
}  // namespace gradsmith
