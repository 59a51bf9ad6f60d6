// matmul: y = a @ b (+ bias), batch dims broadcast, any strides.
#include "simd.h"
#include "kernels.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

template <class T>
void multiply(const MatmulArgs& args, const char* a, const char* b, T* y, int64_t M, int64_t N,
              int64_t K) {
  const int64_t am = args.a.stride[args.a.ndim - 2], ak = args.a.stride[args.a.ndim - 1];
  const int64_t bk = args.b.stride[args.b.ndim - 2], bn = args.b.stride[args.b.ndim - 1];
  const T* bias = reinterpret_cast<const T*>(args.bias.data);
  for (int64_t m = 0; m < M; ++m) {
    for (int64_t n = 0; n < N; ++n) {
      T sum = bias ? bias[n] : T{};
      for (int64_t k = 0; k < K; ++k) {
        sum += *reinterpret_cast<const T*>(a + m * am + k * ak) *
               *reinterpret_cast<const T*>(b + k * bk + n * bn);
      }
      y[m * N + n] = sum;
    }
  }
}

template <class T>
Status run(const MatmulArgs& args) {
  const Ints& out = args.out_shape;
  const int64_t M = args.a.shape[args.a.ndim - 2], K = args.a.shape[args.a.ndim - 1];
  const int64_t N = args.b.shape[args.b.ndim - 1];
  const int batch_dims = out.n - 2;
  int64_t batches = 1;
  for (int d = 0; d < batch_dims; ++d) batches *= out.v[d];
  T* y = reinterpret_cast<T*>(args.y.data);
  for (int64_t batch = 0; batch < batches; ++batch) {
    const char *a = args.a.data, *b = args.b.data;
    int64_t rest = batch;
    for (int d = batch_dims - 1; d >= 0; --d) {
      const int64_t index = rest % out.v[d];
      rest /= out.v[d];
      const int da = d - (out.n - args.a.ndim), db = d - (out.n - args.b.ndim);
      if (da >= 0 && args.a.shape[da] != 1) a += index * args.a.stride[da];
      if (db >= 0 && args.b.shape[db] != 1) b += index * args.b.stride[db];
    }
    multiply(args, a, b, y + batch * M * N, M, N, K);
  }
  return kDone;
}

}  // namespace

Status matmul(const MatmulArgs& args) {
  if (args.b.dtype != args.a.dtype) return kNoDType;
  switch (args.a.dtype) {
    case DType::kFloat32:
      return run<float>(args);
    case DType::kFloat64:
      return run<double>(args);
    default:
      return kNoDType;
  }
}

}  // namespace GS_ISA
}  // namespace gradsmith
