// Dilated convolutions as plain ones: with stride 1 and a padding that is a multiple of the dilation d,
// output o reads inputs o + (r - padding / d) * d only, all of o's remainder modulo d. The rows and
// columns of one remainder in each dimension, a phase, are an image of their own, and
//
//   y[n, k, a + d * m] = plain(x[n, :, a + d * j])[k, m]   for each of the d remainders a
//
// is a convolution without dilation, with padding / d, of N * d * d smaller images: one that Winograd's
// algorithm takes. Its input gradient and its weight gradient are those of the plain one alike. Where
// phases are many and small, Winograd's algorithm reads and writes them where they are.
//
// Layout     images of phases (n, z, y, x) of ceil(size / d) rows, zero where an image has fewer: zeros
//            of padding, as the plain convolution would put there itself.
// Split      (image, some channels), by the shape alone; the plain convolution as it splits.
// Memory     one copy of the input and one of the output, where they are not left in their places.
// Cost       2 N K out C taps FLOPs or Winograd's part of them; the copies move each element twice.
// Accuracy   the plain convolution's.
#include "conv_phases.h"

#include "conv_plan.h"
#include "conv_winograd.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {

Status conv_fwd(const ConvFwdArgs& args);
Status conv_bwd_input(const ConvBwdInputArgs& args);
Status conv_bwd_weight(const ConvBwdWeightArgs& args);

namespace {

constexpr int64_t kBlock = 1 << 13;  // elements of the channels of a task

// Planes of `size` positions, cut into phases of `small` positions.
struct Phases {
  int64_t images, channels, size[kSpatial], step[kSpatial], small[kSpatial];

  Phases(const Geometry& g, int64_t channels, const int64_t* sizes)
      : images(g.N), channels(channels) {
    for (int d = 0; d < kSpatial; ++d) {
      size[d] = sizes[d];
      step[d] = g.kernel[d] > 1 ? g.dilation[d] : 1;
      small[d] = ceil_div(sizes[d], step[d]);
    }
  }
  int64_t count() const { return step[0] * step[1] * step[2]; }
  int64_t positions() const { return small[0] * small[1] * small[2]; }
  int64_t elements() const { return images * count() * channels * positions(); }
};

// Calls row(first element of a phase's row, first element of the large array's, how many that has) for
// every row of every phase; the second and the third are 0 beyond the last row. A few channels at a time:
// they stay in the cache while their phases, far apart, are written or read in stretches.
template <class Row>
void for_rows(const Phases& p, const Row& row) {
  const int64_t size = p.size[0] * p.size[1] * p.size[2];
  const int64_t some = clamp(kBlock / max(1, size), 1, p.channels);
  const int64_t blocks = ceil_div(p.channels, some), small = p.positions();
  parallel_for(p.images * blocks, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t image = i / blocks, first = i % blocks * some;
      const int64_t last = min(first + some, p.channels);
      for (int64_t phase = 0; phase < p.count(); ++phase) {
        const int64_t a_z = phase / (p.step[1] * p.step[2]), a_y = phase / p.step[2] % p.step[1];
        const int64_t a_x = phase % p.step[2];
        const int64_t n = ceil_div(p.size[2] - a_x, p.step[2]);
        for (int64_t c = first; c < last; ++c) {
          const int64_t from = (image * p.channels + c) * size + a_x;
          int64_t at = ((image * p.count() + phase) * p.channels + c) * small;
          for (int64_t z = a_z; z < a_z + p.small[0] * p.step[0]; z += p.step[0]) {
            for (int64_t y = a_y; y < a_y + p.small[1] * p.step[1]; y += p.step[1]) {
              const bool inside = z < p.size[0] && y < p.size[1];
              row(at, inside ? from + (z * p.size[1] + y) * p.size[2] : 0, inside ? n : 0);
              at += p.small[2];
            }
          }
        }
      }
    }
  });
}

// to = the phases of from.
template <class T>
void split(const Phases& p, const char* from_data, char* to_data) {
  const T* const from = reinterpret_cast<const T*>(from_data);
  T* const to = reinterpret_cast<T*>(to_data);
  for_rows(p, [&](int64_t small, int64_t large, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[small + i] = from[large + i * p.step[2]];
    for (int64_t i = n; i < p.small[2]; ++i) to[small + i] = T(0);
  });
}

// to = what the phases `from` are of.
template <class T>
void join(const Phases& p, const char* from_data, char* to_data) {
  const T* const from = reinterpret_cast<const T*>(from_data);
  T* const to = reinterpret_cast<T*>(to_data);
  for_rows(p, [&](int64_t small, int64_t large, int64_t n) {
    for (int64_t i = 0; i < n; ++i) to[large + i * p.step[2]] = from[small + i];
  });
}

// The shape of an array of phases: images of as many dims as `like` has.
Ints shape_of(const Phases& p, const Array& like) {
  Ints shape{};
  shape.n = like.ndim;
  shape.v[0] = p.images * p.count();
  shape.v[1] = p.channels;
  for (int d = 2; d < like.ndim; ++d) shape.v[d] = p.small[kSpatial - like.ndim + d];
  return shape;
}

// An array of that shape. Its memory is this object's.
struct PhaseArray {
  Ints shape{};
  Array array{};
  int64_t stride[kSpatial + 2];

  PhaseArray(const Phases& p, const Array& like) {
    shape = shape_of(p, like);
    int64_t step = item_size(like.dtype);
    for (int d = like.ndim - 1; d >= 0; --d) {
      stride[d] = step;
      step *= shape.v[d];
    }
    array = {static_cast<char*>(allocate(bytes(like.dtype, p))),
             shape.v,
             stride,
             p.elements(),
             like.ndim,
             like.dtype,
             true};
  }
  ~PhaseArray() {
    if (array.data) release(array.data, static_cast<size_t>(array.size * item_size(array.dtype)));
  }
  PhaseArray(const PhaseArray&) = delete;

  Status missing() const { return {Code::kOutOfMemory, {array.size * item_size(array.dtype), 0}}; }

 private:
  static size_t bytes(DType dtype, const Phases& p) {
    return static_cast<size_t>(p.elements() * item_size(dtype));
  }
};

void split(const Phases& p, const Array& from, const Array& to) {
  from.dtype == DType::kFloat32 ? split<float>(p, from.data, to.data)
                                : split<double>(p, from.data, to.data);
}
void join(const Phases& p, const Array& from, const Array& to) {
  from.dtype == DType::kFloat32 ? join<float>(p, from.data, to.data)
                                : join<double>(p, from.data, to.data);
}

// The plain convolution's padding and dilation.
void plain_options(const Ints& dilation, const Geometry& g, Ints* padding, Ints* ones) {
  for (int i = 0; i < dilation.n; ++i) {
    const int d = kSpatial - dilation.n + i;
    padding->v[i] = g.kernel[d] > 1 ? padding->v[i] / dilation.v[i] : padding->v[i];
    ones->v[i] = 1;
  }
}

// The tiles of Winograd's algorithm that reads and writes every dilation-th row and column where they
// are, if it is what takes the plain convolution: of few tiles. 0: none.
template <class Args>
int winograd_tile(Args plain, const Geometry& g) {
  Geometry small;
  if (!phase_geometry(g, &small)) return 0;
  const ConvAlgorithm way = plan_conv(plain);
  const int tile = way == ConvAlgorithm::kWinograd4   ? 4
                   : way == ConvAlgorithm::kWinograd3 ? 3
                   : way == ConvAlgorithm::kWinograd2 ? 2
                                                      : 0;
  return tile > 0 && phases_stay(g, small, tile) ? tile : 0;
}

}  // namespace

Status phases_fwd(const ConvFwdArgs& args) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return checked;
  const Phases of_x(g, g.C, g.in), of_y(g, g.K, g.out);
  const Ints x_shape = shape_of(of_x, args.x), y_shape = shape_of(of_y, args.y);
  ConvFwdArgs plain = args;
  plain.epilogue = nullptr;
  plain.x.shape = x_shape.v;
  plain.out_shape = y_shape;
  plain_options(args.dilation, g, &plain.padding, &plain.dilation);
  if (const int tile = winograd_tile(plain, g)) return winograd_fwd(args, tile);
  const PhaseArray x(of_x, args.x), y(of_y, args.y);
  if (!x.array.data) return x.missing();
  if (!y.array.data) return y.missing();
  plain.x = x.array;
  plain.y = y.array;
  split(of_x, args.x, x.array);
  const Status status = conv_fwd(plain);
  if (status.code == Code::kOk) join(of_y, y.array, args.y);
  return status;
}

Status phases_bwd_input(const ConvBwdInputArgs& args) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return checked;
  const Phases of_x(g, g.C, g.in), of_y(g, g.K, g.out);
  const Ints x_shape = shape_of(of_x, args.grad_x), y_shape = shape_of(of_y, args.grad_y);
  ConvBwdInputArgs plain = args;
  plain.grad_y.shape = y_shape.v;
  plain.x_shape = x_shape;
  plain_options(args.dilation, g, &plain.padding, &plain.dilation);
  if (const int tile = winograd_tile(plain, g)) return winograd_bwd_input(args, tile);
  const PhaseArray grad_x(of_x, args.grad_x), grad_y(of_y, args.grad_y);
  if (!grad_x.array.data) return grad_x.missing();
  if (!grad_y.array.data) return grad_y.missing();
  plain.grad_y = grad_y.array;
  plain.grad_x = grad_x.array;
  split(of_y, args.grad_y, grad_y.array);
  const Status status = conv_bwd_input(plain);
  if (status.code == Code::kOk) join(of_x, grad_x.array, args.grad_x);
  return status;
}

Status phases_bwd_weight(const ConvBwdWeightArgs& args) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return checked;
  const Phases of_x(g, g.C, g.in), of_y(g, g.K, g.out);
  const PhaseArray x(of_x, args.x), grad_y(of_y, args.grad_y);
  if (!x.array.data) return x.missing();
  if (!grad_y.array.data) return grad_y.missing();
  ConvBwdWeightArgs plain = args;
  plain.grad_bias = nullptr;
  plain.x = x.array;
  plain.grad_y = grad_y.array;
  plain_options(args.dilation, g, &plain.padding, &plain.dilation);
  split(of_x, args.x, x.array);
  split(of_y, args.grad_y, grad_y.array);
  return conv_bwd_weight(plain);
}

}  // namespace GS_ISA
}  // namespace gradsmith
