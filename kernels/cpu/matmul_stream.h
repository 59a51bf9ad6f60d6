// Products of few rows and a matrix that is read from afar (matmul_stream.cpp).
#pragma once

#include "matmul_few_rows.h"

namespace gradsmith {
namespace GS_ISA {

// Rows that multiply_stream takes at most.
constexpr int64_t kStreamRows = 16;

// For b_column = 1: b is read once, in the order of memory. On the pool. The bytes that were not to be had, or 0.
size_t multiply_stream(const FewRows<float>& p);
size_t multiply_stream(const FewRows<double>& p);

}  // namespace GS_ISA
}  // namespace gradsmith
