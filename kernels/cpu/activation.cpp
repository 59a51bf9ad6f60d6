// Activations: activation, activation_bwd, activation_bwd_bwd; prelu, prelu_bwd, negative_product; gate,
// gate_bwd.
//
// y = f(x), grad_x = grad_y f'(x) and p f''(x), p = grad grad_y, for the functions f of kActivations
//   (kernels/__init__.py ACTIVATIONS, in that order) with up to three options a, b, c. Where f is
//   piecewise linear the gradient is chosen, not multiplied, so that 0 stays 0 beside infinities.
// Layout, Split, Working set: those of the driver, elementwise_rows.cpp.
// Cost: reads each operand once, writes the result once.
// Accuracy: exp, log, tanh, sigmoid, erf as vector_math.h states, and the roundings of the formula. gelu,
//   its slope: 4 ULP, of the slope's two terms' magnitudes (vector_normal.h). gelu by tanh: 4 + 6 |u| ULP,
//   u the tanh's argument, whose rounding e^-2u multiplies. x and a times a sigmoid: 3 ULP.
// Limits: 16 dimensions.
#include "lists/activation.h"

#include "activation.h"
#include "elementwise.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

template <class T>
struct Options {
  T a, b, c;
  explicit Options(const double* o)
      : a(static_cast<T>(o[0])), b(static_cast<T>(o[1])), c(static_cast<T>(o[2])) {}
};

// An activation: value(x), slope(g, x) = g f'(x), curvature(p, x) = p f''(x).
#define GS_ACTIVATION(Name)    \
  template <class T>           \
  struct Name : Options<T> {   \
    using V = Vec<T>;          \
    using Options<T>::Options; \
    using Options<T>::a, Options<T>::b, Options<T>::c;

#define GS_PIECEWISE_LINEAR \
  GS_INLINE V curvature(V, V) const { return V{}; }

// x > 0 ? x : a x
GS_ACTIVATION(LeakyRelu)
GS_INLINE V value(V x) const { return x > T(0) ? x : x * a; }
GS_INLINE V slope(V g, V x) const { return x > T(0) ? g : g * a; }
GS_PIECEWISE_LINEAR
};

// x <= 0 ? a (e^(c x) - 1) : b x; elu, celu and selu
GS_ACTIVATION(Elu)
GS_INLINE V value(V x) const { return x <= T(0) ? vexpm1<T>(x * c) * a : x * b; }
GS_INLINE V slope(V g, V x) const { return x <= T(0) ? g * (vexp<T>(x * c) * (a * c)) : g * b; }
GS_INLINE V curvature(V p, V x) const {
  return x <= T(0) ? p * (vexp<T>(x * c) * (a * c * c)) : V{};
}
};

// x P(X <= x) for a normal X
GS_ACTIVATION(Gelu)
GS_INLINE V value(V x) const { return gelu<T>(x); }
GS_INLINE V slope(V g, V x) const { return gelu_slope<T>(g, x); }
GS_INLINE V curvature(V p, V x) const {
  const V t = normal_distance<T>(x);
  return p * (normal_density<T>(x) * (T(2) - t * t));
}
};

// x / 2 (1 + tanh u) = x s, s = 1 / (1 + e^-2u), u = sqrt(2 / pi) (x + 0.044715 x^3); with s(1 - s) both
// ways out as small as it is
GS_ACTIVATION(GeluTanh)
static constexpr double kScale = 2 * 0.7978845608028654, kCube = 0.044715;
static GS_INLINE V inner(V x) { return (x + x * x * x * T(kCube)) * T(kScale); }  // 2 u
static GS_INLINE V inner_slope(V x) { return (x * x * T(3 * kCube) + T(1)) * T(kScale); }
static GS_INLINE void shares(V x, V& s, V& spread) {  // spread = s (1 - s)
  const V u = inner(x), e = decay<T>(u), rest = T(1) / (e + T(1));
  s = u < T(0) ? e * rest : rest;
  spread = e * rest * rest;
}
GS_INLINE V value(V x) const { return weighed<T>(x, inner(x)); }
GS_INLINE V slope(V g, V x) const {
  V s, spread;
  shares(x, s, spread);
  return g * (s + x * spread * inner_slope(x));
}
GS_INLINE V curvature(V p, V x) const {
  V s, spread;
  shares(x, s, spread);
  const V u = inner_slope(x);
  return p * (spread * (u * T(2) + x * (x * T(6 * kCube * kScale) + u * u * (T(1) - s - s))));
}
}
;

// x s, s = 1 / (1 + e^-x)
GS_ACTIVATION(Silu)
GS_INLINE V value(V x) const { return weighed<T>(x, x); }
GS_INLINE V slope(V g, V x) const { return silu_slope<T>(g, x); }
GS_INLINE V curvature(V p, V x) const {
  const V s = vsigmoid<T>(x);
  return p * (s * (T(1) - s) * (x * (T(1) - s - s) + T(2)));
}
}
;

// x w, w = tanh(ln(1 + e^x)) = n / (n + 2), n = e^x (e^x + 2)
GS_ACTIVATION(Mish)
// Where w rounds to 1 and 1 - w to nothing: x beyond it must not multiply what is left of that.
static GS_INLINE V within(V x) { return lesser(splat<T>(T(sizeof(T) == 4 ? 20 : 40)), x); }
static GS_INLINE void share(V x, V& w, V& rest) {  // rest = 1 - w
  const V e = vexp<T>(within(x));
  const V n = e * (e + T(2));
  w = n / (n + T(2));
  rest = T(2) / (n + T(2));
}
GS_INLINE V value(V x) const {
  V w, rest;
  share(x, w, rest);
  return x * w;
}
GS_INLINE V slope(V g, V x) const {
  V w, rest;
  share(x, w, rest);
  return g * (w + within(x) * vsigmoid<T>(x) * rest * (w + T(1)));
}
GS_INLINE V curvature(V p, V x) const {
  V w, rest;
  share(x, w, rest);
  const V s = vsigmoid<T>(x);
  return p * (s * rest * (w + T(1)) * (within(x) * (T(1) - s - w * s * T(2)) + T(2)));
}
}
;

// ln(1 / (1 + e^-x))
GS_ACTIVATION(LogSigmoid)
GS_INLINE V value(V x) const { return (x < T(0) ? x : V{}) - vlog1p<T>(vexp<T>(-vabs<T>(x))); }
GS_INLINE V slope(V g, V x) const { return g * vsigmoid<T>(-x); }
GS_INLINE V curvature(V p, V x) const {
  const V s = vsigmoid<T>(x);
  return -(p * (s * (T(1) - s)));
}
}
;

// min(max(x, low), high); a NaN stays
template <class T>
GS_INLINE Vec<T> clamp(Vec<T> x, T low, T high) {
  return lesser(splat<T>(high), greater(splat<T>(low), x));
}

// min(max(x + 3, 0), 6) / 6
GS_ACTIVATION(HardSigmoid)
GS_INLINE V value(V x) const { return clamp<T>(x + T(3), T(0), T(6)) / T(6); }
GS_INLINE V slope(V g, V x) const {
  const V inside = x < T(3) ? g * T(1.0 / 6) : V{};
  return x > T(-3) ? inside : V{};
}
GS_PIECEWISE_LINEAR
}
;

// min(max(x, a), b)
GS_ACTIVATION(HardTanh)
GS_INLINE V value(V x) const { return clamp<T>(x, a, b); }
GS_INLINE V slope(V g, V x) const {
  const V below = x >= b ? V{} : g;
  return x <= a ? V{} : below;
}
GS_PIECEWISE_LINEAR
}
;

// x min(max(x + 3, 0), 6) / 6
GS_ACTIVATION(HardSwish)
GS_INLINE V value(V x) const { return x * (clamp<T>(x + T(3), T(0), T(6)) / T(6)); }
GS_INLINE V slope(V g, V x) const {
  const V inside = x < T(3) ? g * (x / T(3) + T(0.5)) : g;
  return x <= T(-3) ? V{} : inside;
}
GS_INLINE V curvature(V p, V x) const {
  const V inside = x < T(3) ? p * T(1.0 / 3) : V{};
  return x > T(-3) ? inside : V{};
}
}
;

// a x > b ? x : ln(1 + e^(a x)) / a
GS_ACTIVATION(Softplus)
GS_INLINE V value(V x) const {
  const V z = x * a;
  const V soft = (z > T(0) ? z : V{}) + vlog1p<T>(vexp<T>(-vabs<T>(z)));
  return z > b ? x : soft / a;
}
GS_INLINE V slope(V g, V x) const {
  const V z = x * a;
  return z > b ? g : g * vsigmoid<T>(z);
}
GS_INLINE V curvature(V p, V x) const {
  const V z = x * a;
  const V s = vsigmoid<T>(z);
  return z > b ? V{} : p * (s * (T(1) - s) * a);
}
}
;

// x / (1 + |x|)
GS_ACTIVATION(SoftSign)
GS_INLINE V value(V x) const { return x / (vabs<T>(x) + T(1)); }
GS_INLINE V slope(V g, V x) const {
  const V d = vabs<T>(x) + T(1);
  return g / (d * d);
}
GS_INLINE V curvature(V p, V x) const {
  const V d = vabs<T>(x) + T(1);
  const V c2 = p * T(2) / (d * d * d);
  return x > T(0) ? -c2 : (x < T(0) ? c2 : V{});
}
}
;

// x - a for x > a, x + a for x < -a, else 0; a NaN stays
GS_ACTIVATION(SoftShrink)
GS_INLINE V value(V x) const {
  const V low = x < -a ? x + a : x * T(0);
  return x > a ? x - a : low;
}
GS_INLINE V slope(V g, V x) const { return vabs<T>(x) <= a ? V{} : g; }
GS_PIECEWISE_LINEAR
}
;

// 0 where |x| <= a, else x
GS_ACTIVATION(HardShrink)
GS_INLINE V value(V x) const { return vabs<T>(x) <= a ? V{} : x; }
GS_INLINE V slope(V g, V x) const { return vabs<T>(x) <= a ? V{} : g; }
GS_PIECEWISE_LINEAR
}
;

// x - tanh(x)
GS_ACTIVATION(TanhShrink)
GS_INLINE V value(V x) const { return x - vtanh<T>(x); }
GS_INLINE V slope(V g, V x) const {
  const V t = vtanh<T>(x);
  return g * (t * t);
}
GS_INLINE V curvature(V p, V x) const {
  const V t = vtanh<T>(x);
  return p * (t * (T(1) - t * t) * T(2));
}
}
;

// x <= a ? b : x
GS_ACTIVATION(Threshold)
GS_INLINE V value(V x) const { return x <= a ? splat<T>(b) : x; }
GS_INLINE V slope(V g, V x) const { return x <= a ? V{} : g; }
GS_PIECEWISE_LINEAR
}
;

// In the order of ACTIVATIONS in kernels/__init__.py.
#define GS_ACTIVATIONS(X, T)                                                \
  {X(LeakyRelu, T),  X(Elu, T),        X(Gelu, T),       X(GeluTanh, T),    \
   X(Silu, T),       X(Mish, T),       X(LogSigmoid, T), X(HardSigmoid, T), \
   X(HardTanh, T),   X(HardSwish, T),  X(Softplus, T),   X(SoftSign, T),    \
   X(SoftShrink, T), X(HardShrink, T), X(TanhShrink, T), X(Threshold, T)}

template <class Activation, class T>
struct Value : Activation {
  using Activation::Activation;
  GS_INLINE Vec<T> operator()(Vec<T> x) const { return this->value(x); }
};
template <class Activation, class T>
struct Slope : Activation {
  using Activation::Activation;
  GS_INLINE Vec<T> operator()(Vec<T> g, Vec<T> x) const { return this->slope(g, x); }
};
template <class Activation, class T>
struct Curvature : Activation {
  using Activation::Activation;
  GS_INLINE Vec<T> operator()(Vec<T> h, Vec<T> g, Vec<T> x) const {
    return this->curvature(h * g, x);
  }
};

#define GS_VALUE(Name, T) row_of<Value<Name<T>, T>, T, 1, 2>
#define GS_SLOPE(Name, T) row_of<Slope<Name<T>, T>, T, 2, 2>
#define GS_CURVATURE(Name, T) row_of<Curvature<Name<T>, T>, T, 3, 1>

constexpr RowFunction kValue32[] = GS_ACTIVATIONS(GS_VALUE, float);
constexpr RowFunction kValue64[] = GS_ACTIVATIONS(GS_VALUE, double);
constexpr RowFunction kSlope32[] = GS_ACTIVATIONS(GS_SLOPE, float);
constexpr RowFunction kSlope64[] = GS_ACTIVATIONS(GS_SLOPE, double);
constexpr RowFunction kCurvature32[] = GS_ACTIVATIONS(GS_CURVATURE, float);
constexpr RowFunction kCurvature64[] = GS_ACTIVATIONS(GS_CURVATURE, double);
constexpr int64_t kKinds = sizeof(kValue32) / sizeof(RowFunction);

template <int N>
Status run(int64_t kind, const RowFunction* narrow, const RowFunction* wide,
           const Array* const (&x)[N], const Array& y, double a, double b, double c) {
  if (kind < 0 || kind >= kKinds) return {Code::kShape, {N, 0}};
  for (const Array* operand : x) {
    if (operand->dtype != y.dtype) return kNoDType;
  }
  if (y.dtype != DType::kFloat32 && y.dtype != DType::kFloat64) return kNoDType;
  const double options[] = {a, b, c};
  run_rows((y.dtype == DType::kFloat32 ? narrow : wide)[kind], N, x, y, options);
  return kDone;
}

template <class T>
struct Prelu {
  GS_INLINE Vec<T> operator()(Vec<T> x, Vec<T> w) const { return x > T(0) ? x : x * w; }
};
template <class T>
struct PreluBwd {
  GS_INLINE Vec<T> operator()(Vec<T> g, Vec<T> x, Vec<T> w) const { return x > T(0) ? g : g * w; }
};
template <class T>
struct NegativeProduct {
  GS_INLINE Vec<T> operator()(Vec<T> u, Vec<T> v, Vec<T> x) const {
    return x > T(0) ? Vec<T>{} : u * v;
  }
};
template <class T>
struct Gate {
  GS_INLINE Vec<T> operator()(Vec<T> a, Vec<T> b) const { return weighed<T>(a, b); }
};
template <class T>
struct GateBwd {
  GS_INLINE Vec<T> operator()(Vec<T> g, Vec<T> a, Vec<T> b) const {
    const Vec<T> e = decay<T>(b), d = e + T(1);
    return g * a * (e / (d * d));  // either side of 0 alike
  }
};

}  // namespace

Status activation(const ActivationArgs& args) {
  return run<1>(args.kind, kValue32, kValue64, {&args.x}, args.y, args.a, args.b, args.c);
}
Status activation_bwd(const ActivationBwdArgs& args) {
  return run<2>(args.kind, kSlope32, kSlope64, {&args.grad_y, &args.x}, args.grad_x, args.a, args.b,
                args.c);
}
Status activation_bwd_bwd(const ActivationBwdBwdArgs& args) {
  return run<3>(args.kind, kCurvature32, kCurvature64, {&args.grad, &args.grad_y, &args.x}, args.y,
                args.a, args.b, args.c);
}
Status prelu(const PreluArgs& args) {
  return float_rows<Prelu, 2>({&args.x, &args.weight}, args.y);
}
Status prelu_bwd(const PreluBwdArgs& args) {
  return float_rows<PreluBwd, 3>({&args.grad_y, &args.x, &args.weight}, args.grad_x);
}
Status negative_product(const NegativeProductArgs& args) {
  return float_rows<NegativeProduct, 3>({&args.u, &args.v, &args.x}, args.y);
}
Status gate(const GateArgs& args) { return float_rows<Gate, 2, 2>({&args.a, &args.b}, args.y); }
Status gate_bwd(const GateBwdArgs& args) {
  return float_rows<GateBwd, 3, 2>({&args.grad_y, &args.a, &args.b}, args.grad_b);
}

}  // namespace GS_ISA
}  // namespace gradsmith
