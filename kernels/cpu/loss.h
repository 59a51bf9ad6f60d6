// What the losses of classification share: targets over classes.
#pragma once

#include "lists/loss.h"
#include "rows.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kBlock = 16384;

enum Reduction : int64_t { kNone = 0, kMean = 1, kSum = 2 };

// x is (batch, classes, inner), target (batch, inner); an unbatched x is one sample.
struct Classes {
  int64_t batch = 1, classes = 0, inner = 1;
};

[[maybe_unused]] bool make_classes(int ndim, const int64_t* shape, const Array& target,
                                   const Array& weight, Classes& c) {
  if (ndim < 1) return false;
  if (ndim == 1) {
    c.classes = shape[0];
  } else {
    c.batch = shape[0];
    c.classes = shape[1];
    for (int d = 2; d < ndim; ++d) c.inner *= shape[d];
  }
  return target.size == c.batch * c.inner && (!weight.data || weight.size == c.classes);
}

// The first target, other than ignore_index, that is no class.
[[maybe_unused]] Status check_targets(const int64_t* target, int64_t n, int64_t classes,
                                      int64_t ignore_index) {
  for (int64_t i = 0; i < n; ++i) {
    const int64_t t = target[i];
    if (t != ignore_index && (t < 0 || t >= classes)) return {Code::kIndex, {t, classes}};
  }
  return kDone;
}

[[maybe_unused]] bool is_float(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64;
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
