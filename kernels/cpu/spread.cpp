// Reductions about a center: var sum_squares sum_exp.
//
// Formula: var = sum of (x - mean)^2 / max(n - correction, 0), or its root, mean = first + sum of (x - first) / n;
// sum of x^2; sum of e^(x - center).
// Layout: as reduce.h.
// Split: as reduce.h; var in two passes.
// Working set: as reduce.h, and a float64 center for each result.
// Cost: reads x once (var: twice).
// Accuracy: float64 throughout: one rounding for float32. e^d within 1 ULP of float64; of float32 elements
//   within 2^-34, from a shorter polynomial where there are tables (the result's ULP is 2^-23).
// Limits: float32 and float64.
#include "reduce.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

template <class T>
struct Differences : Sum<T> {
  static constexpr bool kCentered = true;
  static GS_INLINE double enter(double x, double center) { return x - center; }
  static GS_INLINE Vec<double> enter_v(Vec<double> x, double center) { return x - center; }
};

// The first element of each result's.
template <class T>
void first_elements(const Split& s, const char* x, double* to) {
  const int64_t stride = s.kept.stride[0][s.kept.ndim - 1];
  parallel_for(s.outputs, kBlock, [&](int64_t begin, int64_t end) {
    for_rows<1>(s.kept, {x}, begin, end, [&](int64_t at, const char* const* p, int64_t n) {
      for (int64_t i = 0; i < n; ++i) {
        T first;
        __builtin_memcpy(&first, p[0] + i * stride, sizeof(T));
        to[at + i] = first;
      }
    });
  });
}

template <class T>
Status var_typed(const VarArgs& args) {
  const Split s = split_dims(args.x, args.dims);
  if (s.outputs != args.y.size) return {Code::kShape, {0, 0}};
  const auto bytes = static_cast<size_t>(args.y.size) * sizeof(double);
  double* const means = static_cast<double*>(allocate(bytes));
  if (!means) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const double count = static_cast<double>(reduced_extent(args.x, args.dims));
  const double divisor = count > args.correction ? count - args.correction : 0;
  T* const out = reinterpret_cast<T*>(args.y.data);
  const bool root = args.root;
  // Sums of what is beyond the first element: where all are equal the variance is 0, not what rounding
  // makes of the mean.
  if (count > 0) {
    first_elements<T>(s, args.x.data, means);
  } else {
    for (int64_t i = 0; i < args.y.size; ++i) means[i] = 0;
  }
  Status status = reduce_to<Differences<T>, T>(args.x, args.dims, args.y, means,
                                               [=](int64_t i, const double* sums, int64_t n) {
                                                 for (int64_t k = 0; k < n; ++k)
                                                   means[i + k] += sums[k] / count;
                                               });
  if (status.code == Code::kOk) {
    status = reduce_to<Squares<T>, T>(
        args.x, args.dims, args.y, means, [=](int64_t i, const double* sums, int64_t n) {
          for (int64_t k = 0; k < n; ++k) {
            const double var = sums[k] / divisor;
            out[i + k] = static_cast<T>(root ? __builtin_sqrt(var) : var);
          }
        });
  }
  release(means, bytes);
  return status;
}

template <class T>
Status sum_squares_typed(const ReduceArgs& args) {
  T* const out = reinterpret_cast<T*>(args.y.data);
  return reduce_to<OwnSquares<T>, T>(
      args.x, args.dims, args.y, nullptr,
      [=](int64_t i, const double* sums, int64_t n) { put_values<T>(out + i, sums, n); });
}

template <class T>
Status sum_exp_typed(const SumExpArgs& args) {
  const auto bytes = static_cast<size_t>(args.y.size) * sizeof(double);
  double* const centers = static_cast<double*>(allocate(bytes));
  if (!centers) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const T* const given = reinterpret_cast<const T*>(args.center.data);
  for (int64_t i = 0; i < args.y.size; ++i) centers[i] = given[i];
  T* const out = reinterpret_cast<T*>(args.y.data);
  const Status status = reduce_to<Exponentials<T>, T>(
      args.x, args.dims, args.y, centers,
      [=](int64_t i, const double* sums, int64_t n) { put_values<T>(out + i, sums, n); });
  release(centers, bytes);
  return status;
}

}  // namespace

Status var(const VarArgs& args) {
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) return var_typed<float>(args);
  if (args.x.dtype == DType::kFloat64) return var_typed<double>(args);
  return kNoDType;
}

Status sum_squares(const ReduceArgs& args) {
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) return sum_squares_typed<float>(args);
  if (args.x.dtype == DType::kFloat64) return sum_squares_typed<double>(args);
  return kNoDType;
}

Status sum_exp(const SumExpArgs& args) {
  if (args.center.size != args.y.size) return {Code::kShape, {1, 0}};
  if (args.y.size == 0) return kDone;
  if (args.x.dtype == DType::kFloat32) return sum_exp_typed<float>(args);
  if (args.x.dtype == DType::kFloat64) return sum_exp_typed<double>(args);
  return kNoDType;
}

}  // namespace GS_ISA
}  // namespace gradsmith
