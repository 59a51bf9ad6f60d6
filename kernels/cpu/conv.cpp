// conv: y[n, k, o] = bias[k] + sum_{c, r} x[n, c, o * stride - padding + r * dilation] * w[k, c, r]
// and its two gradients, for 1 to 3 spatial dims.
#include "kernels.h"
#include "simd.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

struct Geometry {
  int64_t N, C, K, groups;
  int64_t in[3], out[3], kernel[3], stride[3], padding[3], dilation[3];
};

template <class Get>
void fill(int64_t (&to)[3], int nd, int64_t missing, const Get& get) {
  for (int d = 0; d < 3; ++d) to[d] = d < 3 - nd ? missing : get(d - (3 - nd));
}

Geometry geometry(const int64_t* x, const int64_t* weight, const int64_t* y, int nd,
                  const Ints& stride, const Ints& padding, const Ints& dilation, int64_t groups) {
  Geometry g;
  g.N = x[0];
  g.C = x[1];
  g.K = weight[0];
  g.groups = groups;
  fill(g.in, nd, 1, [&](int d) { return x[d + 2]; });
  fill(g.out, nd, 1, [&](int d) { return y[d + 2]; });
  fill(g.kernel, nd, 1, [&](int d) { return weight[d + 2]; });
  fill(g.stride, nd, 1, [&](int d) { return stride.v[d]; });
  fill(g.padding, nd, 0, [&](int d) { return padding.v[d]; });
  fill(g.dilation, nd, 1, [&](int d) { return dilation.v[d]; });
  return g;
}

// body(x index, y index, weight index) for every product of the convolution.
template <class Body>
void for_products(const Geometry& g, const Body& body) {
  const int64_t cg = g.C / g.groups, kg = g.K / g.groups;
  for (int64_t n = 0; n < g.N; ++n)
    for (int64_t k = 0; k < g.K; ++k)
      for (int64_t c = 0; c < cg; ++c)
        for (int64_t r = 0; r < g.kernel[0]; ++r)
          for (int64_t s = 0; s < g.kernel[1]; ++s)
            for (int64_t t = 0; t < g.kernel[2]; ++t)
              for (int64_t o = 0; o < g.out[0]; ++o)
                for (int64_t p = 0; p < g.out[1]; ++p)
                  for (int64_t q = 0; q < g.out[2]; ++q) {
                    const int64_t z = o * g.stride[0] - g.padding[0] + r * g.dilation[0];
                    const int64_t y = p * g.stride[1] - g.padding[1] + s * g.dilation[1];
                    const int64_t x = q * g.stride[2] - g.padding[2] + t * g.dilation[2];
                    if (z < 0 || z >= g.in[0] || y < 0 || y >= g.in[1] || x < 0 || x >= g.in[2])
                      continue;
                    const int64_t channel = k / kg * cg + c;
                    body(((n * g.C + channel) * g.in[0] + z) * g.in[1] * g.in[2] + y * g.in[2] + x,
                         ((n * g.K + k) * g.out[0] + o) * g.out[1] * g.out[2] + p * g.out[2] + q,
                         ((k * cg + c) * g.kernel[0] + r) * g.kernel[1] * g.kernel[2] +
                             s * g.kernel[2] + t);
                  }
}

template <class T>
void fill_bias(T* y, const Array& bias, int64_t N, int64_t channels, int64_t inner) {
  const T* b = reinterpret_cast<const T*>(bias.data);
  for (int64_t n = 0; n < N; ++n)
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < inner; ++i) *y++ = b ? b[c] : T{};
}

template <class T>
Status forward(const ConvFwdArgs& args) {
  const Geometry g = geometry(args.x.shape, args.weight.shape, args.out_shape.v, args.x.ndim - 2,
                              args.stride, args.padding, args.dilation, args.groups);
  const T* x = reinterpret_cast<const T*>(args.x.data);
  const T* w = reinterpret_cast<const T*>(args.weight.data);
  T* y = reinterpret_cast<T*>(args.y.data);
  fill_bias(y, args.bias, g.N, g.K, g.out[0] * g.out[1] * g.out[2]);
  for_products(g, [&](int64_t i, int64_t o, int64_t f) { y[o] += x[i] * w[f]; });
  return kDone;
}

template <class T>
Status backward_input(const ConvBwdInputArgs& args) {
  const Geometry g =
      geometry(args.x_shape.v, args.weight.shape, args.grad_y.shape, args.x_shape.n - 2,
               args.stride, args.padding, args.dilation, args.groups);
  const T* gy = reinterpret_cast<const T*>(args.grad_y.data);
  const T* w = reinterpret_cast<const T*>(args.weight.data);
  T* gx = reinterpret_cast<T*>(args.grad_x.data);
  fill_bias(gx, args.bias, g.N, g.C, g.in[0] * g.in[1] * g.in[2]);
  for_products(g, [&](int64_t i, int64_t o, int64_t f) { gx[i] += gy[o] * w[f]; });
  return kDone;
}

template <class T>
Status backward_weight(const ConvBwdWeightArgs& args) {
  const Geometry g = geometry(args.x.shape, args.weight_shape.v, args.grad_y.shape,
                              args.x.ndim - 2, args.stride, args.padding, args.dilation,
                              args.groups);
  const T* gy = reinterpret_cast<const T*>(args.grad_y.data);
  const T* x = reinterpret_cast<const T*>(args.x.data);
  T* gw = reinterpret_cast<T*>(args.grad_weight.data);
  for (int64_t i = 0; i < args.grad_weight.size; ++i) gw[i] = T{};
  for_products(g, [&](int64_t i, int64_t o, int64_t f) { gw[f] += gy[o] * x[i]; });
  return kDone;
}

}  // namespace

Status conv_fwd(const ConvFwdArgs& args) {
  if (args.weight.dtype != args.x.dtype) return kNoDType;
  if (args.x.dtype == DType::kFloat32) return forward<float>(args);
  if (args.x.dtype == DType::kFloat64) return forward<double>(args);
  return kNoDType;
}

Status conv_bwd_input(const ConvBwdInputArgs& args) {
  if (args.weight.dtype != args.grad_y.dtype) return kNoDType;
  if (args.weight.dtype == DType::kFloat32) return backward_input<float>(args);
  if (args.weight.dtype == DType::kFloat64) return backward_input<double>(args);
  return kNoDType;
}

Status conv_bwd_weight(const ConvBwdWeightArgs& args) {
  if (args.x.dtype != args.grad_y.dtype) return kNoDType;
  if (args.x.dtype == DType::kFloat32) return backward_weight<float>(args);
  if (args.x.dtype == DType::kFloat64) return backward_weight<double>(args);
  return kNoDType;
}

}  // namespace GS_ISA
}  // namespace gradsmith
