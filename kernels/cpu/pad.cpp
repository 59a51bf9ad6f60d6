// Padding by repetition: pad pad_bwd. (Padding with a constant is a fill and a copy.)
//
// Formula: y[i] = x[map(i)] along each of the last `before.n` (at most three) dimensions; mode 1
//   mirrors without repeating the edge, 2 repeats the edge, 3 goes round. pad_bwd is the adjoint.
// Layout: contiguous; pad moves elements by their size, pad_bwd sums float32 and float64.
// Split: pad by rows of y; pad_bwd by planes of grad_x (all but the padded dimensions), each summed in
//   the order of grad_y.
// Working set: a row of either side; three tables of 8 bytes a position.
// Cost: reads and writes each side once; rows are copied whole but for the padding.
// Limits: mirrored and circular padding within the size, as PyTorch; else kShape.
#include "lists/pad.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;
constexpr int kPadded = 3;
enum Mode : int64_t { kReflect = 1, kReplicate = 2, kCircular = 3 };

struct Padding {
  int64_t planes = 1;
  int64_t in[kPadded] = {1, 1, 1}, out[kPadded] = {1, 1, 1}, before[kPadded] = {0, 0, 0};
  int64_t* map[kPadded];  // position in y -> position in x
  int64_t in_plane = 1, out_plane = 1;
  size_t bytes = 0;
};

int64_t source(int64_t mode, int64_t j, int64_t n) {
  if (mode == kReplicate) return j < 0 ? 0 : j >= n ? n - 1 : j;
  if (mode == kReflect) return j < 0 ? -j : j >= n ? 2 * (n - 1) - j : j;
  return j < 0 ? j + n : j >= n ? j - n : j;
}

// Fills `p`, its tables too, which the caller releases.
Status describe(Padding& p, int ndim, const int64_t* in, const int64_t* out, const Ints& before,
                int64_t mode) {
  const int lead = ndim - before.n, first = kPadded - before.n;
  if (before.n > kPadded || lead < 0 || mode < kReflect || mode > kCircular) {
    return {Code::kShape, {0, 0}};
  }
  for (int d = 0; d < ndim; ++d) {
    if (d < lead) {
      if (in[d] != out[d]) return {Code::kShape, {0, d}};
      p.planes *= in[d];
      continue;
    }
    const int k = d - lead + first;
    p.in[k] = in[d];
    p.out[k] = out[d];
    p.before[k] = before.v[d - lead];
    const int64_t after = out[d] - in[d] - p.before[k];
    const int64_t most = max64(p.before[k], after);
    const int64_t limit = mode == kReflect ? in[d] - 1 : mode == kCircular ? in[d] : INT64_MAX;
    if (p.before[k] < 0 || after < 0 || most > limit || (in[d] == 0 && out[d] > 0)) {
      return {Code::kShape, {0, d}};
    }
  }
  for (int k = 0; k < kPadded; ++k) {
    p.in_plane *= p.in[k];
    p.out_plane *= p.out[k];
  }
  p.bytes = static_cast<size_t>(p.out[0] + p.out[1] + p.out[2] + 1) * sizeof(int64_t);
  p.map[0] = static_cast<int64_t*>(allocate(p.bytes));
  if (!p.map[0]) return {Code::kOutOfMemory, {static_cast<int64_t>(p.bytes), 0}};
  for (int k = 0; k < kPadded; ++k) {
    if (k) p.map[k] = p.map[k - 1] + p.out[k - 1];
    for (int64_t i = 0; i < p.out[k]; ++i) p.map[k][i] = source(mode, i - p.before[k], p.in[k]);
  }
  return kDone;
}

template <class T>
void pad_typed(const Padding& p, const char* from, char* to) {
  const T* const x = reinterpret_cast<const T*>(from);
  T* const y = reinterpret_cast<T*>(to);
  const int64_t width = p.out[2], n = p.in[2], begin = p.before[2], end = begin + n;
  const int64_t rows = p.planes * p.out[0] * p.out[1];
  parallel_for(rows, max64(kBlock / max64(width, 1), 1), [&](int64_t first, int64_t last) {
    for (int64_t row = first; row < last; ++row) {
      const int64_t h = row % p.out[1], rest = row / p.out[1];
      const int64_t d = rest % p.out[0], plane = rest / p.out[0];
      const T* const src = x + ((plane * p.in[0] + p.map[0][d]) * p.in[1] + p.map[1][h]) * n;
      T* const dst = y + row * width;
      for (int64_t i = 0; i < begin; ++i) dst[i] = src[p.map[2][i]];
      __builtin_memcpy(dst + begin, src, static_cast<size_t>(n) * sizeof(T));
      for (int64_t i = end; i < width; ++i) dst[i] = src[p.map[2][i]];
    }
  });
}

template <class T>
void pad_bwd_typed(const Padding& p, const char* from, char* to) {
  const T* const grad_y = reinterpret_cast<const T*>(from);
  T* const grad_x = reinterpret_cast<T*>(to);
  const int64_t width = p.out[2], n = p.in[2], begin = p.before[2], end = begin + n;
  const int64_t rows = p.out[0] * p.out[1];
  parallel_for(p.planes, max64(kBlock / max64(p.out_plane, 1), 1), [&](int64_t a, int64_t b) {
    for (int64_t plane = a; plane < b; ++plane) {
      T* const sums = grad_x + plane * p.in_plane;
      __builtin_memset(sums, 0, static_cast<size_t>(p.in_plane) * sizeof(T));
      for (int64_t row = 0; row < rows; ++row) {
        const int64_t h = row % p.out[1], d = row / p.out[1];
        const T* const src = grad_y + plane * p.out_plane + row * width;
        T* const dst = sums + (p.map[0][d] * p.in[1] + p.map[1][h]) * n;
        for (int64_t i = 0; i < begin; ++i) dst[p.map[2][i]] += src[i];
        int64_t i = 0;
        for (; i + kLanes<T> <= n; i += kLanes<T>) {
          store<T>(dst + i, load<T>(dst + i) + load<T>(src + begin + i));
        }
        for (; i < n; ++i) dst[i] += src[begin + i];
        for (i = end; i < width; ++i) dst[p.map[2][i]] += src[i];
      }
    }
  });
}

}  // namespace

Status pad(const PadArgs& args) {
  Padding p;
  if (args.out_shape.n != args.x.ndim) return {Code::kShape, {0, 0}};
  const int64_t size = item_size(args.x.dtype);
  if (size == 0) return kNoDType;
  const Status status =
      describe(p, args.x.ndim, args.x.shape, args.out_shape.v, args.before, args.mode);
  if (status.code != Code::kOk) return status;
  if (args.y.size) {
    switch (size) {
      case 1: pad_typed<uint8_t>(p, args.x.data, args.y.data); break;
      case 2: pad_typed<uint16_t>(p, args.x.data, args.y.data); break;
      case 4: pad_typed<uint32_t>(p, args.x.data, args.y.data); break;
      default: pad_typed<uint64_t>(p, args.x.data, args.y.data); break;
    }
  }
  release(p.map[0], p.bytes);
  return kDone;
}

Status pad_bwd(const PadBwdArgs& args) {
  Padding p;
  if (args.x_shape.n != args.grad_y.ndim) return {Code::kShape, {0, 0}};
  const DType dtype = args.grad_y.dtype;
  if (dtype != DType::kFloat32 && dtype != DType::kFloat64) return kNoDType;
  const Status status =
      describe(p, args.x_shape.n, args.x_shape.v, args.grad_y.shape, args.before, args.mode);
  if (status.code != Code::kOk) return status;
  if (args.grad_x.size) {
    if (dtype == DType::kFloat32) {
      pad_bwd_typed<float>(p, args.grad_y.data, args.grad_x.data);
    } else {
      pad_bwd_typed<double>(p, args.grad_y.data, args.grad_x.data);
    }
  }
  release(p.map[0], p.bytes);
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
