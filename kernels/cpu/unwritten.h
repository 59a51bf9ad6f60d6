// For tests: whether a kernel computes with what nobody has written, even where it drops the result.
//
// Why: lanes behind the end of a row may hold anything, denormal numbers among it, which cost an Intel core
// about 150 cycles an instruction: a convolution of 2x2 images took 54 ms for 3 (allocator.cpp has the code).
#pragma once

#include <cstdint>

namespace gradsmith {

// Memory that allocate() hands out from now on holds this word everywhere; -1: whatever it held.
void fill_unwritten(int64_t word);

// Whether an operand of the calling thread's was denormal since the last call, which also puts the word on the
// stack below. Always false where the processor does not say (Arm).
bool met_denormal();

}  // namespace gradsmith
