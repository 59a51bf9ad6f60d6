// Softmax kernels: softmax softmax_bwd (log_softmax is in loss.cpp).
//
// softmax: y = e^(x - m) / sum(e^(x - m)) along one dimension, m the maximum there. A row with a NaN or
//   +inf, or of -inf alone, gives NaN, as in PyTorch. Its backward: grad_x = y (grad_y - sum(grad_y y)).
// Layout: contiguous, the dimension anywhere: (outer, extent, inner); see softmax.h.
// Split: a block is a number of rows, or of strips of neighbouring rows.
// Working set: one row, or a strip of 1 KB by the extent.
// Cost: reads x twice and y once more (from cache for rows within it), writes y twice.
// Accuracy: exp as vector_math.h states; sums of contiguous rows in float64.
#include "softmax.h"

#include "lists/softmax.h"

namespace gradsmith {
namespace GS_ISA {

Status softmax(const SoftmaxArgs& args) {
  return along_dim::forward<false>(args.x, args.dim, args.y);
}

Status softmax_bwd(const SoftmaxBwdArgs& args) {
  return along_dim::backward<false>(args.grad_y, args.y, args.dim, args.grad_x);
}

}  // namespace GS_ISA
}  // namespace gradsmith
