// Matrix products of int32 and int64 (matmul_integers.cpp).
#pragma once

#include "matmul_product.h"
#include "simd.h"

namespace gradsmith {
namespace GS_ISA {

// y = a b, sums wrap around. Of `args` the arguments but a and b count, which are aligned; y is not empty.
Status multiply_integers(const MatmulArgs& args, const Array& a, const Array& b,
                         const Ending& ending);

}  // namespace GS_ISA
}  // namespace gradsmith
