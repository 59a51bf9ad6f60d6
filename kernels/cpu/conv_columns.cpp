// The gradients of a convolution of small images with many channels, by its im2col matrix; and the
// convolution where there are so few outputs that packing the weights would take longest, or where the
// weights of one tap are large: matmul packs what it multiplies next, and that stays in L2.
//
// columns[(c, tap), (n, p)] = x[n, c, p * stride - padding + tap * dilation], zero outside, with the
// positions p of all images in a row:
//   y[n, k, p] = bias[k] + weight columns, weight being (K, C * taps);
//   grad_weight = grad_y^T columns^T,  grad_y^T being (K, N * positions);
//   grad_x[n, c, i] = bias[c] (of a transposed convolution) + the sum over the taps and positions that
//     read i of (weight^T grad_y^T).
// Why: with 7x7 images the planes of conv.h lose half of their lanes, and packing K * C * 9 weights is
//   not repaid; one large product of matrices has neither. N8 C512 7x7 K512 3x3, 2 threads of a
//   Zen 5 with AVX-512: input gradient 255 -> 311, weight gradient 185 -> 357 GFLOP/s; N2: 140 -> 265
//   and 121 -> 384.
//   1 x 1 image, C512 K512 3x3: 0.45 -> 1.35 times as fast as PyTorch (one thread).
// Where there is one output position, the columns are the images themselves: if the window covers the
//   image, or one tap alone reads the one pixel there is (3x3, padded). Then nothing is copied but, of the
//   second, the weights of that tap; y = x weight^T as in a linear layer. C512 K512 3x3, 1 x 1 image, 8 images:
//   forward 658 -> 89 us, weight gradient with forward 1415 -> 231 (2 threads).
// Where windows lie side by side, no matrix is built at all: conv_patches.cpp.
// Layout: any stride, dilation and padding; one group; contiguous operands.
// Split: the product as matmul splits it; columns by rows, grad_x by (image, channel).
// Working set: columns are C * taps * N * positions elements (7 MB above); within kMostColumns.
// Cost: 2 N K C taps positions FLOPs, columns written and read once.
// Accuracy: each sum is one chain of multiply-adds (the weight's over images and positions, the
//   input's over output channels, then over taps in order).
#include "conv_columns.h"

#include "conv.h"
#include "lists/matmul.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {

Status matmul(const MatmulArgs& args);

namespace {

constexpr int64_t kMostColumns = 64 << 20;  // bytes
constexpr int64_t kFewOutputs = 16;         // of a channel: weights are not worth being packed
constexpr int64_t kLargeWeights = 4 << 20;  // of one tap, in bytes: nor if they leave the caches

// An array of two dimensions with strides in elements.
struct Matrix {
  int64_t shape[2], stride[2];
  Array array;

  Matrix(void* data, int64_t rows, int64_t columns, int64_t row_stride, int64_t column_stride,
         DType dtype, int64_t size)
      : shape{rows, columns}, stride{row_stride * size, column_stride * size} {
    array.data = static_cast<char*>(data);
    array.shape = shape;
    array.stride = stride;
    array.size = rows * columns;
    array.ndim = 2;
    array.dtype = dtype;
    array.contiguous = column_stride == 1 && row_stride == columns;
  }
  Matrix(const Matrix&) = delete;
};

Status multiply(const Matrix& a, const Matrix& b, const Matrix& y, const Array& bias = {}) {
  MatmulArgs args{};
  args.a = a.array;
  args.b = b.array;
  args.bias = bias;
  args.y = y.array;
  args.out_shape.n = 2;
  args.out_shape.v[0] = y.shape[0];
  args.out_shape.v[1] = y.shape[1];
  return matmul(args);
}

// Memory of this call.
struct Memory {
  void* data;
  size_t bytes;
  explicit Memory(int64_t n)
      : data(allocate(static_cast<size_t>(n))), bytes(static_cast<size_t>(n)) {}
  ~Memory() {
    if (data) release(data, bytes);
  }
  Memory(const Memory&) = delete;
  Status missing() const { return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}}; }
};

// A tap of the kernel: its index in each dimension.
struct Tap {
  int64_t index[kSpatial];
  Tap(const Geometry& g, int64_t tap)
      : index{tap / (g.kernel[1] * g.kernel[2]), tap / g.kernel[2] % g.kernel[1],
              tap % g.kernel[2]} {}
  // The input index that output position 0 reads.
  int64_t first(const Geometry& g, int d) const { return index[d] * g.dilation[d] - g.padding[d]; }
};

// Calls row(input offset, output offset, low, high) for each output row (z, y) of the tap: positions
// [low, high) of the row read inputs within the image, low reading `input offset`; low == high where
// the row reads none.
template <class Row>
GS_INLINE void for_tap_rows(const Geometry& g, const Tap& tap, const Row& row) {
  const int64_t x_first = tap.first(g, 2), step = g.stride[2];
  const int64_t low = clamp(ceil_div_signed(-x_first, step), 0, g.out[2]);
  const int64_t high = clamp(ceil_div_signed(g.in[2] - x_first, step), low, g.out[2]);
  for (int64_t z = 0; z < g.out[0]; ++z) {
    const int64_t in_z = tap.first(g, 0) + z * g.stride[0];
    for (int64_t y = 0; y < g.out[1]; ++y) {
      const int64_t in_y = tap.first(g, 1) + y * g.stride[1];
      const bool inside = in_z >= 0 && in_z < g.in[0] && in_y >= 0 && in_y < g.in[1];
      const int64_t at = (z * g.out[1] + y) * g.out[2];
      row((in_z * g.in[1] + in_y) * g.in[2] + x_first + low * step, at, low, inside ? high : low);
    }
  }
}

// to[k, n, p] = from[n, k, p]
template <class T>
void channels_first(const Geometry& g, const T* from, T* to) {
  const int64_t positions = g.out_positions();
  parallel_for(g.K, max(1, (1 << 15) / max(1, g.N * positions)), [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t n = 0; n < g.N; ++n) {
        __builtin_memcpy(to + (k * g.N + n) * positions, from + (n * g.K + k) * positions,
                         static_cast<size_t>(positions) * sizeof(T));
      }
    }
  });
}

template <class T>
void fill_columns(const Geometry& g, const T* x, T* columns) {
  const int64_t taps = g.taps(), positions = g.out_positions(), step = g.stride[2];
  const int64_t row_size = g.N * positions;
  parallel_for(g.C * taps, max(1, (1 << 15) / max(1, row_size)), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i / taps;
      const Tap tap(g, i % taps);
      for (int64_t n = 0; n < g.N; ++n) {
        const T* const from = x + (n * g.C + c) * g.in_positions();
        T* const to = columns + i * row_size + n * positions;
        if (taps == 1 && i + 1 < end) prefetch(from + g.in_positions(), g.in_positions());
        for_tap_rows(g, tap, [&](int64_t in, int64_t out, int64_t low, int64_t high) {
          T* const row = to + out;
          for (int64_t j = 0; j < low; ++j) row[j] = T(0);
          for (int64_t j = low; j < high; ++j) row[j] = from[in + (j - low) * step];
          for (int64_t j = high; j < g.out[2]; ++j) row[j] = T(0);
        });
      }
    }
  });
}

// grad_x[n, c] = bias[c] and the sum of the columns (c, tap) at the inputs that they were read from.
template <class T>
void gather_columns(const Geometry& g, const T* columns, const T* bias, T* grad_x) {
  const int64_t taps = g.taps(), positions = g.out_positions(), step = g.stride[2];
  const int64_t in_size = g.in_positions();
  parallel_for(
      g.N * g.C, max(1, (1 << 14) / (taps * max(1, positions))), [&](int64_t begin, int64_t end) {
        for (int64_t i = begin; i < end; ++i) {
          const int64_t n = i / g.C, c = i % g.C;
          T* const plane = grad_x + i * in_size;
          for (int64_t j = 0; j < in_size; ++j) plane[j] = bias ? bias[c] : T(0);
          for (int64_t t = 0; t < taps; ++t) {
            const T* const from = columns + ((c * taps + t) * g.N + n) * positions;
            for_tap_rows(g, Tap(g, t), [&](int64_t in, int64_t out, int64_t low, int64_t high) {
              for (int64_t j = low; j < high; ++j) plane[in + (j - low) * step] += from[out + j];
            });
          }
        }
      });
}

template <class T>
Status fwd(const ConvFwdArgs& args, const Geometry& g) {
  constexpr int64_t size = sizeof(T);
  const DType dtype = args.x.dtype;
  const int64_t positions = g.out_positions(), row_size = g.N * positions, rows = g.C * g.taps();
  const Memory columns(rows * row_size * size), product(g.K * row_size * size);
  if (!columns.data) return columns.missing();
  if (!product.data) return product.missing();
  fill_columns(g, reinterpret_cast<const T*>(args.x.data), static_cast<T*>(columns.data));
  const Status status = multiply(Matrix(args.weight.data, g.K, rows, rows, 1, dtype, size),
                                 Matrix(columns.data, rows, row_size, row_size, 1, dtype, size),
                                 Matrix(product.data, g.K, row_size, row_size, 1, dtype, size));
  if (status.code != Code::kOk) return status;
  const T* const bias = reinterpret_cast<const T*>(args.bias.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  parallel_for(g.K, max(1, (1 << 15) / row_size), [&](int64_t begin, int64_t end) {
    constexpr int L = kLanes<T>;
    for (int64_t k = begin; k < end; ++k) {
      const T* from = static_cast<const T*>(product.data) + k * row_size;
      const Vec<T> add = splat(bias ? bias[k] : T(0));
      for (int64_t n = 0; n < g.N; ++n, from += positions) {
        T* const to = y + (n * g.K + k) * positions;
        int64_t j = 0;
        for (; j + L <= positions; j += L) store(to + j, load(from + j) + add);
        if (j < positions) store_n(to + j, load_n(from + j, positions - j) + add, positions - j);
      }
    }
  });
  return kDone;
}

template <class T>
Status bwd_input(const ConvBwdInputArgs& args, const Geometry& g) {
  constexpr int64_t size = sizeof(T);
  const DType dtype = args.grad_y.dtype;
  const int64_t row_size = g.N * g.out_positions(), rows = g.C * g.taps();
  const Memory first(g.K * row_size * size), columns(rows * row_size * size);
  if (!first.data) return first.missing();
  if (!columns.data) return columns.missing();
  channels_first(g, reinterpret_cast<const T*>(args.grad_y.data), static_cast<T*>(first.data));
  const Status status = multiply(Matrix(args.weight.data, rows, g.K, 1, rows, dtype, size),
                                 Matrix(first.data, g.K, row_size, row_size, 1, dtype, size),
                                 Matrix(columns.data, rows, row_size, row_size, 1, dtype, size));
  if (status.code != Code::kOk) return status;
  gather_columns(g, static_cast<const T*>(columns.data), reinterpret_cast<const T*>(args.bias.data),
                 reinterpret_cast<T*>(args.grad_x.data));
  return kDone;
}

template <class T>
Status bwd_weight(const ConvBwdWeightArgs& args, const Geometry& g) {
  constexpr int64_t size = sizeof(T);
  const DType dtype = args.grad_y.dtype;
  const int64_t row_size = g.N * g.out_positions(), rows = g.C * g.taps();
  const Memory first(g.K * row_size * size), columns(rows * row_size * size);
  if (!first.data) return first.missing();
  if (!columns.data) return columns.missing();
  channels_first(g, reinterpret_cast<const T*>(args.grad_y.data), static_cast<T*>(first.data));
  fill_columns(g, reinterpret_cast<const T*>(args.x.data), static_cast<T*>(columns.data));
  return multiply(Matrix(first.data, g.K, row_size, row_size, 1, dtype, size),
                  Matrix(columns.data, row_size, rows, 1, row_size, dtype, size),
                  Matrix(args.grad_weight.data, g.K, rows, rows, 1, dtype, size));
}

// ---- one output position, whose columns are the images ----

// A window over the whole image, or one tap that reads the only pixel.
struct Window {
  bool found = false;
  int64_t tap = 0, step = 1;  // of the weights: the first element read, and from one to the next

  explicit Window(const Geometry& g) {
    if (g.groups != 1 || g.N == 0 || g.C == 0 || g.K == 0) return;
    if (g.taps() == 0 || g.out_positions() != 1) return;
    bool whole = true, pixel = true;
    for (int d = 0; d < kSpatial; ++d) {
      const int64_t at = g.padding[d] / g.dilation[d];
      whole = whole && g.kernel[d] == g.in[d] && g.padding[d] == 0 &&
              (g.kernel[d] == 1 || g.dilation[d] == 1);
      pixel = pixel && g.in[d] == 1 && at * g.dilation[d] == g.padding[d] && at >= 0 &&
              at < g.kernel[d];
      tap = tap * g.kernel[d] + at;
    }
    found = whole || pixel;
    if (whole) tap = 0;
    if (!whole) step = g.taps();
  }
};

// to[i] = from[i * step]
template <class T>
void gather_tap(const T* from, int64_t step, int64_t n, T* to) {
  parallel_for(n, 1 << 14, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) to[i] = from[i * step];
  });
}

// The weights (K, depth) of the products: in place, or those of the tap that reads.
template <class T>
struct Weights {
  int64_t depth, copied;
  Memory copy;
  Matrix matrix;

  Weights(const Geometry& g, const Window& w, char* weight, DType dtype, bool turned)
      : depth(g.C * g.taps() / w.step),
        copied(w.step > 1 ? g.K * depth : 0),
        copy(copied * int64_t{sizeof(T)}),
        matrix(copied ? copy.data : weight, turned ? depth : g.K, turned ? g.K : depth,
               turned ? 1 : depth, turned ? depth : 1, dtype, sizeof(T)) {
    if (copied && copy.data) {
      gather_tap(reinterpret_cast<const T*>(weight) + w.tap, w.step, copied,
                 static_cast<T*>(copy.data));
    }
  }
  bool missing() const { return copied && !copy.data; }
};

template <class T>
Status window_fwd(const ConvFwdArgs& args, const Geometry& g, const Window& w) {
  const Weights<T> weights(g, w, args.weight.data, args.x.dtype, true);
  if (weights.missing()) return weights.copy.missing();
  const Matrix x(args.x.data, g.N, weights.depth, weights.depth, 1, args.x.dtype, sizeof(T));
  return multiply(x, weights.matrix, Matrix(args.y.data, g.N, g.K, g.K, 1, args.x.dtype, sizeof(T)),
                  args.bias);
}

template <class T>
Status window_bwd_input(const ConvBwdInputArgs& args, const Geometry& g, const Window& w) {
  const DType dtype = args.grad_y.dtype;
  const Weights<T> weights(g, w, args.weight.data, dtype, false);
  if (weights.missing()) return weights.copy.missing();
  const int64_t depth = weights.depth, each = g.in_positions();
  const bool spread = args.bias.data && each > 1;  // to all elements of a channel
  const Memory wide(spread ? depth * int64_t{sizeof(T)} : 0);
  if (spread && !wide.data) return wide.missing();
  const Matrix row(wide.data, 1, depth, depth, 1, dtype, sizeof(T));
  for (int64_t i = 0; spread && i < depth; ++i) {
    static_cast<T*>(wide.data)[i] = reinterpret_cast<const T*>(args.bias.data)[i / each];
  }
  return multiply(Matrix(args.grad_y.data, g.N, g.K, g.K, 1, dtype, sizeof(T)), weights.matrix,
                  Matrix(args.grad_x.data, g.N, depth, depth, 1, dtype, sizeof(T)),
                  spread ? row.array : args.bias);
}

template <class T>
Status window_bwd_weight(const ConvBwdWeightArgs& args, const Geometry& g, const Window& w) {
  const DType dtype = args.grad_y.dtype;
  const int64_t depth = g.C * g.taps() / w.step, n = g.K * depth;
  const Matrix grad_y(args.grad_y.data, g.K, g.N, 1, g.K, dtype, sizeof(T));
  const Matrix x(args.x.data, g.N, depth, depth, 1, dtype, sizeof(T));
  if (w.step == 1) {
    return multiply(grad_y, x,
                    Matrix(args.grad_weight.data, g.K, depth, depth, 1, dtype, sizeof(T)));
  }
  const Memory product(n * int64_t{sizeof(T)});
  if (!product.data) return product.missing();
  const Status status =
      multiply(grad_y, x, Matrix(product.data, g.K, depth, depth, 1, dtype, sizeof(T)));
  if (status.code != Code::kOk) return status;
  const T* const from = static_cast<const T*>(product.data);
  T* const to = reinterpret_cast<T*>(args.grad_weight.data);
  parallel_for(n, 1 << 12, [&](int64_t begin, int64_t end) {
    __builtin_memset(to + begin * w.step, 0,
                     static_cast<size_t>((end - begin) * w.step) * sizeof(T));
    for (int64_t i = begin; i < end; ++i) to[i * w.step + w.tap] = from[i];
  });
  return kDone;
}

// Whether the columns are small, and what they save is not: images enough to be lanes themselves
// (conv_image_lanes.h) are quicker so. least: of C * K; products of fewer channels are short.
template <class T>
bool pays(const Geometry& g, int64_t least) {
  if (g.groups != 1 || g.taps() == 0 || g.N == 0 || g.out_positions() == 0) return false;
  if (g.N >= kLanes<T> || g.out_positions() > 100 || g.C * g.K < least) return false;
  return g.C * g.taps() * g.N * g.out_positions() * int64_t{sizeof(T)} <= kMostColumns;
}

}  // namespace

bool columns_fwd(const ConvFwdArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  const bool single = args.x.dtype == DType::kFloat32;
  if (const Window w(g); w.found) {
    if (status) *status = single ? window_fwd<float>(args, g, w) : window_fwd<double>(args, g, w);
    return true;
  }
  if (patches_fwd(args, status)) return true;
  const bool large = g.C * g.K * (single ? 4 : 8) >= kLargeWeights;
  if (g.taps() == 1 ? !large : g.N * g.out_positions() > kFewOutputs) return false;
  const int64_t least = 128 * 128;
  if (!(single ? pays<float>(g, least) : pays<double>(g, least))) return false;
  if (status) *status = single ? fwd<float>(args, g) : fwd<double>(args, g);
  return true;
}

bool columns_bwd_input(const ConvBwdInputArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  const bool single = args.grad_y.dtype == DType::kFloat32;
  if (const Window w(g); w.found) {
    if (status) {
      *status = single ? window_bwd_input<float>(args, g, w) : window_bwd_input<double>(args, g, w);
    }
    return true;
  }
  if (patches_bwd_input(args, status)) return true;
  const int64_t least = 256 * 256;
  if (g.taps() < 2 || !(single ? pays<float>(g, least) : pays<double>(g, least))) return false;
  if (status) *status = single ? bwd_input<float>(args, g) : bwd_input<double>(args, g);
  return true;
}

bool columns_bwd_weight(const ConvBwdWeightArgs& args, Status* status) {
  Geometry g;
  const Status checked = make_geometry(args, &g);
  if (checked.code != Code::kOk) return false;
  const bool single = args.grad_y.dtype == DType::kFloat32;
  if (const Window w(g); w.found) {
    if (status) {
      *status =
          single ? window_bwd_weight<float>(args, g, w) : window_bwd_weight<double>(args, g, w);
    }
    return true;
  }
  if (patches_bwd_weight(args, status)) return true;
  const int64_t least = 128 * 128;
  // From here on channels as lanes are quicker (conv_weight_lanes.cpp).
  if (g.out[2] >= 4 && g.N * g.out_positions() > 64 && g.C >= 32) return false;
  if (g.taps() < 2) return false;
  if (!(single ? pays<float>(g, least) : pays<double>(g, least))) return false;
  if (status) *status = single ? bwd_weight<float>(args, g) : bwd_weight<double>(args, g);
  return true;
}

}  // namespace GS_ISA
}  // namespace gradsmith
