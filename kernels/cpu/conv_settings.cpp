// The settings of convolutions.
#include "conv_settings.h"

#include <atomic>

namespace gradsmith {
namespace {

std::atomic<bool> exact{false};
std::atomic<ConvAlgorithm> forced{ConvAlgorithm::kAuto};

}  // namespace

bool conv_exact() { return exact.load(std::memory_order_relaxed); }
void set_conv_exact(bool value) { exact.store(value, std::memory_order_relaxed); }

ConvAlgorithm conv_forced() { return forced.load(std::memory_order_relaxed); }
void set_conv_forced(ConvAlgorithm algorithm) {
  forced.store(algorithm, std::memory_order_relaxed);
}

}  // namespace gradsmith
