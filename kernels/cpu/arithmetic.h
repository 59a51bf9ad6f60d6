// Integer versions of the elementwise family's arithmetic, which is written for vectors of floats.
#pragma once

#include "lists/elementwise.h"
#include "simd.h"

namespace gradsmith {
namespace GS_ISA {

// int64 int32 int16 int8 uint8: the low bits of the result. bool: add is "or", mul "and", abs and
// others have none.
Status integer_add(const BinaryArgs& args);
Status integer_sub(const BinaryArgs& args);
Status integer_mul(const BinaryArgs& args);
Status integer_neg(const UnaryArgs& args);
Status integer_abs(const UnaryArgs& args);

}  // namespace GS_ISA
}  // namespace gradsmith
