// Reductions about a center: var sum_squares sum_exp.
//
// Formula: var = sum of (x - mean)^2 / max(n - correction, 0), or its root; sum of x^2; sum of e^(x - center).
// Layout: as reduce.h.
// Split: as reduce.h; var in two passes.
// Working set: as reduce.h, and a float64 center for each result.
// Cost: reads x once (var: twice).
// Accuracy: float64 throughout: one rounding for float32. e^d within 1 ULP of float64.
// Limits: float32 and float64.
#include "reduce.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

template <class T>
Status var_typed(const VarArgs& args) {
  const auto bytes = static_cast<size_t>(args.y.size) * sizeof(double);
  double* const means = static_cast<double*>(allocate(bytes));
  if (!means) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const double count = static_cast<double>(reduced_extent(args.x, args.dims));
  const double divisor = count > args.correction ? count - args.correction : 0;
  T* const out = reinterpret_cast<T*>(args.y.data);
  const bool root = args.root;
  Status status = reduce_to<Sum<T>, T>(args.x, args.dims, args.y, nullptr,
                                       [=](int64_t i, double sum) { means[i] = sum / count; });
  if (status.code == Code::kOk) {
    status = reduce_to<Squares<T>, T>(args.x, args.dims, args.y, means, [=](int64_t i, double sum) {
      const double var = sum / divisor;
      out[i] = static_cast<T>(root ? __builtin_sqrt(var) : var);
    });
  }
  release(means, bytes);
  return status;
}

template <class T>
Status sum_squares_typed(const ReduceArgs& args) {
  T* const out = reinterpret_cast<T*>(args.y.data);
  return reduce_to<OwnSquares<T>, T>(args.x, args.dims, args.y, nullptr,
                                     [=](int64_t i, double sum) { out[i] = static_cast<T>(sum); });
}

template <class T>
Status sum_exp_typed(const SumExpArgs& args) {
  const auto bytes = static_cast<size_t>(args.y.size) * sizeof(double);
  double* const centers = static_cast<double*>(allocate(bytes));
  if (!centers) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const T* const given = reinterpret_cast<const T*>(args.center.data);
  for (int64_t i = 0; i < args.y.size; ++i) centers[i] = given[i];
  T* const out = reinterpret_cast<T*>(args.y.data);
  const Status status =
      reduce_to<Exponentials<T>, T>(args.x, args.dims, args.y, centers,
                                    [=](int64_t i, double sum) { out[i] = static_cast<T>(sum); });
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
