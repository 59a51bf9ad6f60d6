// Passes along arrays: regions of the pool whose blocks take memory in order, each element once.
//
// Such a pass begins at that end of each thread's blocks where the region before it stopped, and so goes
// forwards and backwards in turns: what was used last, and is still in the core's own caches, is what it
// meets first. Emerald Rapids, two threads, 2 MB of second level each, the same arrays again and again:
//   6.4 MB of float32 read and as many written   relu 234 -> 203 us, copy 240 -> 208
//   13 MB read and 6.4 written                   add 353 -> 309
//   6.4 and 12.6 MB read                         sums 117 -> 96, 227 -> 200
//   relu and its gradient                        590 -> 552
// Only what touches one to six times the second-level caches turns. Below, everything stays in them, and
// the block that one thread takes over from another would be a different one each time (0.6 MB: 15 %
// slower); far above, little is left there, and a fetch beyond a block's end is for the next block (51 MB:
// 0 to 6 % slower). Within a block addresses rise as ever. Which way a pass goes changes no bits: blocks do
// not depend on one another.
#pragma once

#include "simd.h"

namespace gradsmith {

// run_blocks for such a pass, which touches so many bytes.
void run_pass(int64_t blocks, int64_t bytes, Task task, void* context);

namespace GS_ISA {

// parallel_for for such a pass.
template <class Body>
static inline void parallel_pass(int64_t n, int64_t grain, int64_t bytes, const Body& body) {
  struct Context {
    const Body* body;
    int64_t n, grain;
  };
  Context context{&body, n, grain};
  const int64_t blocks = (n + grain - 1) / grain;
  if (blocks <= 1) {
    if (n > 0) body(int64_t{0}, n);
    return;
  }
  run_pass(
      blocks, bytes,
      [](void* p, int64_t block) {
        const auto& c = *static_cast<const Context*>(p);
        const int64_t begin = block * c.grain;
        (*c.body)(begin, begin + c.grain < c.n ? begin + c.grain : c.n);
      },
      &context);
}

}  // namespace GS_ISA
}  // namespace gradsmith
