// What follows a product while its block is in the cache: a residual that is added, an activation.
//
// matmul.cpp and the convolutions call finish_rows() (finish()) for the runs of elements that they have
// completed; which activations there are, and what they compute, is epilogue.cpp's alone. A convolution
// that does not call finish() leaves `done` unset, and conv_epilogue goes over the output after it.
#pragma once

#include "lists/conv.h"
#include "simd.h"

namespace gradsmith {

// The epilogue of a convolution.
struct ConvEpilogue {
  int64_t activation;
  const char* residual;  // laid out as y; nullptr: none
  const char* y;
  mutable bool done;  // the kernel takes care of it
};

namespace GS_ISA {

// The numbers of the activations (kernels/__init__.py).
enum Activation { kIdentity, kRelu, kGelu, kTanh, kSigmoid, kSilu };

// y = f(y + residual) for `rows` rows of n elements, `pitch` from one to the next in both; residual may be
// nullptr.
void finish_rows(int64_t activation, const float* residual, float* y, int64_t pitch, int64_t rows,
                 int64_t n);
void finish_rows(int64_t activation, const double* residual, double* y, int64_t pitch, int64_t rows,
                 int64_t n);

// y = alpha * y + beta * c for n elements, `step` from one of c to the next; c may be nullptr.
void accumulate(float alpha, float beta, const float* c, int64_t step, float* y, int64_t n);
void accumulate(double alpha, double beta, const double* c, int64_t step, double* y, int64_t n);

// The epilogue, if there is one, of rows of the output at `y`, in their place.
template <class T>
GS_INLINE void finish(const ConvEpilogue* epilogue, T* y, int64_t pitch, int64_t rows, int64_t n) {
  if (!epilogue) return;
  const char* residual = epilogue->residual;
  if (residual) residual += reinterpret_cast<const char*>(y) - epilogue->y;
  finish_rows(epilogue->activation, reinterpret_cast<const T*>(residual), y, pitch, rows, n);
}

// The same of n neighbours, which may still lie elsewhere, at `from`.
template <class T>
GS_INLINE void finish(const ConvEpilogue* epilogue, const T* y, T* from, int64_t n) {
  if (!epilogue) return;
  const char* residual = epilogue->residual;
  if (residual) residual += reinterpret_cast<const char*>(y) - epilogue->y;
  finish_rows(epilogue->activation, reinterpret_cast<const T*>(residual), from, n, 1, n);
}
template <class T>
GS_INLINE void finish(const ConvEpilogue* epilogue, T* y, int64_t n) {
  finish(epilogue, y, y, n);
}

// conv_fwd with the epilogue of `args` (conv.cpp).
Status conv_with_epilogue(const ConvFwdArgs& args);

}  // namespace GS_ISA
}  // namespace gradsmith
