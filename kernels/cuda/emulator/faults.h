// Faults of a kernel, turned into errors of the thread that runs.
#pragma once

#include <signal.h>
#include <time.h>

#include <cstddef>

namespace gs_emulator {

// Catches faults and runs the clock while a launch lasts, then puts everything back.
class Watch {
 public:
  Watch();
  ~Watch();
  Watch(const Watch&) = delete;

 private:
#ifndef GS_TSAN
  stack_t old_stack_{};
  struct sigaction old_segv_{}, old_bus_{}, old_ill_{}, old_trap_{}, old_tick_{};
  timer_t timer_{};
  bool timed_ = false;
#endif
};

}  // namespace gs_emulator
