// How convolutions are to be computed, as the program says (conv_settings.cpp). Compiled once, for
// the baseline ISA.
#pragma once

#include "args.h"

namespace gradsmith {

enum class ConvPass : int32_t { kForward, kInput, kWeight };
// In the order of kConvAlgorithms.
enum class ConvAlgorithm : int32_t {
  kAuto,
  kDirect,
  kDepthwise,
  kColumns,
  kWinograd4,
  kWinograd3,
  kWinograd2,
  kPointwise,
  kPhases
};
constexpr const char* kConvAlgorithms[] = {"auto",         "direct",       "depthwise",
                                           "columns",      "winograd_4x4", "winograd_3x3",
                                           "winograd_2x2", "pointwise",    "phases"};

// Whether float32 must keep to sums in order: Winograd's algorithm errs more.
bool conv_exact();
void set_conv_exact(bool exact);
// The algorithm that is taken wherever it can be; kAuto: the quickest.
ConvAlgorithm conv_forced();
void set_conv_forced(ConvAlgorithm algorithm);

// The shapes of a pass, to be asked about.
struct ConvShapes {
  ConvPass pass;
  DType dtype;
  Ints x, weight, y, stride, padding, dilation;
  int64_t groups;
};

// Which algorithm a pass takes now; kAuto: the shapes do not fit together.
using ConvQuestion = ConvAlgorithm (*)(const ConvShapes&);

}  // namespace gradsmith
