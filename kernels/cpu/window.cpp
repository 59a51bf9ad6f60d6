// Sliding windows as columns: unfold (im2col) and fold (col2im), its adjoint.
//
// Formula: y[n, (c, i, j), (p, q)] = x[n, c, p * stride - padding + i * dilation, ..]; 0 outside of x.
//   fold adds each column's elements to where unfold takes them from.
// Layout: contiguous; x (N, C, H, W), columns (N, C * kh * kw, L); float32 and float64.
// Split: by channels; fold sums a channel's taps in order.
// Working set: a plane and its columns.
// Cost: reads and writes each side once; fold writes a plane kh * kw times, in cache.
// Limits: two spatial dimensions.
#include "lists/window.h"
#include "strided.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 32768;

struct Windows {
  int64_t planes, in[2], out[2];
};

Status describe(const UnfoldArgs& args, const int64_t* image, const int64_t* columns,
                Windows* windows) {
  const Ints* const options[] = {&args.kernel, &args.stride, &args.padding, &args.dilation};
  for (const Ints* option : options) {
    if (option->n != 2) return {Code::kShape, {0, 0}};
  }
  int64_t taps = 1, positions = 1;
  for (int k = 0; k < 2; ++k) {
    if (args.kernel.v[k] < 1 || args.stride.v[k] < 1 || args.padding.v[k] < 0 ||
        args.dilation.v[k] < 1) {
      return {Code::kShape, {0, 0}};
    }
    const int64_t room =
        image[2 + k] + 2 * args.padding.v[k] - args.dilation.v[k] * (args.kernel.v[k] - 1) - 1;
    windows->in[k] = image[2 + k];
    windows->out[k] = room < 0 ? 0 : room / args.stride.v[k] + 1;
    taps *= args.kernel.v[k];
    positions *= windows->out[k];
  }
  windows->planes = image[0] * image[1];
  const bool fits =
      columns[0] == image[0] && columns[1] == image[1] * taps && columns[2] == positions;
  return fits ? kDone : Status{Code::kShape, {0, 0}};
}

// run(row of the plane, row of the columns, first and last position in it whose element is in x).
template <class Run>
GS_INLINE void for_taps(const UnfoldArgs& args, const Windows& w, const Run& run) {
  int64_t column = 0;
  for (int64_t i = 0; i < args.kernel.v[0]; ++i) {
    for (int64_t j = 0; j < args.kernel.v[1]; ++j, column += w.out[0] * w.out[1]) {
      const int64_t left = j * args.dilation.v[1] - args.padding.v[1], step = args.stride.v[1];
      const int64_t first = left < 0 ? min64((-left + step - 1) / step, w.out[1]) : 0;
      const int64_t last =
          left >= w.in[1] ? first : max64(first, min64((w.in[1] - 1 - left) / step + 1, w.out[1]));
      for (int64_t p = 0; p < w.out[0]; ++p) {
        const int64_t h = p * args.stride.v[0] + i * args.dilation.v[0] - args.padding.v[0];
        const bool inside = h >= 0 && h < w.in[0];
        run(h * w.in[1] + left, column + p * w.out[1], first, inside ? last : first, inside);
      }
    }
  }
}

template <class T>
void unfold_typed(const UnfoldArgs& args, const Windows& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const int64_t step = args.stride.v[1], width = w.out[1], plane = w.in[0] * w.in[1];
  const int64_t columns = args.kernel.v[0] * args.kernel.v[1] * w.out[0] * w.out[1];
  parallel_for(w.planes, max64(kBlock / max64(columns, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      for_taps(args, w, [&](int64_t row, int64_t column, int64_t first, int64_t last, bool inside) {
        T* const to = y + c * columns + column;
        if (!inside) {
          for (int64_t q = 0; q < width; ++q) to[q] = T(0);
          return;
        }
        const T* const from = x + c * plane + row;
        for (int64_t q = 0; q < first; ++q) to[q] = T(0);
        for (int64_t q = first; q < last; ++q) to[q] = from[q * step];
        for (int64_t q = last; q < width; ++q) to[q] = T(0);
      });
    }
  });
}

template <class T>
void fold_typed(const UnfoldArgs& args, const Windows& w) {
  const T* const x = reinterpret_cast<const T*>(args.x.data);
  T* const y = reinterpret_cast<T*>(args.y.data);
  const int64_t step = args.stride.v[1], plane = w.in[0] * w.in[1];
  const int64_t columns = args.kernel.v[0] * args.kernel.v[1] * w.out[0] * w.out[1];
  parallel_for(w.planes, max64(kBlock / max64(columns, 1), 1), [&](int64_t begin, int64_t end) {
    for (int64_t c = begin; c < end; ++c) {
      T* const sums = y + c * plane;
      for (int64_t i = 0; i < plane; ++i) sums[i] = T(0);
      for_taps(args, w, [&](int64_t row, int64_t column, int64_t first, int64_t last, bool inside) {
        if (!inside) return;
        const T* const from = x + c * columns + column;
        for (int64_t q = first; q < last; ++q) sums[row + q * step] += from[q];
      });
    }
  });
}

}  // namespace

Status unfold(const UnfoldArgs& args) {
  if (args.x.ndim != 4 || args.out_shape.n != 3) return {Code::kShape, {0, 0}};
  Windows w;
  const Status status = describe(args, args.x.shape, args.out_shape.v, &w);
  if (status.code != Code::kOk) return status;
  if (args.x.dtype == DType::kFloat32) {
    unfold_typed<float>(args, w);
  } else if (args.x.dtype == DType::kFloat64) {
    unfold_typed<double>(args, w);
  } else {
    return kNoDType;
  }
  return kDone;
}

Status fold(const UnfoldArgs& args) {
  if (args.x.ndim != 3 || args.out_shape.n != 4) return {Code::kShape, {0, 0}};
  Windows w;
  const Status status = describe(args, args.out_shape.v, args.x.shape, &w);
  if (status.code != Code::kOk) return status;
  if (args.x.dtype == DType::kFloat32) {
    fold_typed<float>(args, w);
  } else if (args.x.dtype == DType::kFloat64) {
    fold_typed<double>(args, w);
  } else {
    return kNoDType;
  }
  return kDone;
}

}  // namespace GS_ISA
}  // namespace gradsmith
