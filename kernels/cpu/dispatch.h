// The ISA builds of the kernels. Compiled once, for the baseline ISA.
#pragma once

#include "ceilings.h"
#include "conv_settings.h"
#include "kernels.h"

namespace gradsmith {

struct Isa {
  const char* name;
  const Kernel* kernels;  // in the order of GS_KERNELS
  CeilingFunction ceiling;
  ConvQuestion conv_algorithm;
};

// How many of the ISAs, from the least, this processor can run; 0: none.
int isa_count();
const Isa& isa(int index);

}  // namespace gradsmith
