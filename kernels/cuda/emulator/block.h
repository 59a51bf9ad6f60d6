// The runtime's own view of the block that runs: its threads as fibers, and who runs next.
#pragma once

#include <memory>
#include <vector>

#include "cuda_language.h"
#include "thread_sanitizer.h"

#if !defined(__x86_64__) || defined(GS_UCONTEXT)
#define GS_PORTABLE_SWITCH 1
#include <ucontext.h>
#endif

namespace gs_emulator {

// ---- limits (those of sm_80 to sm_90) ----

constexpr int kMaxThreads = 1024;
constexpr size_t kMaxStaticShared = 48 << 10;
constexpr size_t kMaxShared = 227 << 10;
constexpr size_t kPage = 4096;
constexpr unsigned char kPoison = 0xFF;  // floats read NaN, integers -1

// ---- schedules ----

enum Schedule {
  kForward,  // threads in order
  kReverse,  // threads and blocks in reverse order
  kRandom,   // any order, drawn anew at every wait
  kSkewed,   // one warp runs as far ahead of the others as the barriers let it
};
enum Copies {
  kLate,    // an asynchronous copy lands when it is waited for, not before
  kEarly,   // it lands at once
  kEither,  // drawn for each copy
};

struct Settings {
  int schedule = kForward;
  int copies = kLate;
  uint64_t seed = 1;
  int timeout_seconds = 60;
};
extern Settings settings;

class Random {
 public:
  void seed(uint64_t s) { state_ = s * 0x9E3779B97F4A7C15ull + 0x2545F4914F6CDD1Dull; }
  uint64_t next() {
    state_ ^= state_ << 13;
    state_ ^= state_ >> 7;
    state_ ^= state_ << 17;
    return state_;
  }
  size_t below(size_t n) { return static_cast<size_t>(next() % n); }
  template <class T>
  void shuffle(std::vector<T>& items) {
    for (size_t i = items.size(); i > 1; --i) std::swap(items[i - 1], items[below(i)]);
  }

 private:
  uint64_t state_ = 1;
};
extern Random rng;

// ---- fibers ----

enum class State { kReady, kWaiting, kFinished };

struct PendingCopy {
  void* to;
  const void* from;
  int bytes, source_bytes;
};

struct Fiber : Thread {
  State state;
  const void* waits_on;  // the barrier or collective
  const char* wait_kind;
  const char* wait_file;
  int wait_line;
  long atomics;
  void* stack_pointer;
  std::vector<PendingCopy> open_copies;
  std::vector<std::vector<PendingCopy>> copy_groups;
#ifdef GS_PORTABLE_SWITCH
  ucontext_t context;
#endif
  void* tsan_fiber = nullptr;  // of the pool in use
  void* tsan_fibers[kPools] = {};
};

extern Fiber host;  // the caller of run()
extern std::vector<std::unique_ptr<Fiber>> fibers;
extern int threads_in_block;
extern int live;       // threads that have not finished
extern long progress;  // barriers passed, collectives done, threads finished
extern bool failed;
extern char error[1024];

inline Fiber* self() { return static_cast<Fiber*>(current); }

// Fibers and stacks for blocks of this many threads; false when memory is out.
bool reserve_fibers(int threads);
// All threads of a block at the start of `main`, in pool `pool`.
void start_fibers(int threads, int pool, void (*main)());
// Whether an address is in the guard page below a stack.
bool is_stack_guard(const void* address);

void switch_to(Fiber* to);
// Gives the processor to the next ready fiber; with none left, back to run(), which sees whether
// all have finished or are stuck.
void run_next();
void wait_here(const void* on, const char* kind, const char* file, int line);
void make_ready(Fiber* f, bool front = false);

// Makes ready, in the schedule's order, the fibers first..last-1 for which `chosen` holds.
template <class Chosen>
void make_ready_in_order(int first, int last, Chosen chosen) {
  static std::vector<int> order;
  if (settings.schedule == kForward) {
    for (int i = first; i < last; ++i)
      if (chosen(fibers[i].get())) make_ready(fibers[i].get());
    return;
  }
  if (settings.schedule == kReverse) {
    for (int i = last - 1; i >= first; --i)
      if (chosen(fibers[i].get())) make_ready(fibers[i].get());
    return;
  }
  order.clear();
  if (settings.schedule == kRandom) {
    for (int i = first; i < last; ++i)
      if (chosen(fibers[i].get())) order.push_back(i);
    rng.shuffle(order);
    for (int i : order) make_ready(fibers[i].get());
    return;
  }
  for (int warp = first / 32; warp <= (last - 1) / 32; ++warp) order.push_back(warp);
  rng.shuffle(order);
  for (int warp : order)
    for (int i = std::max(first, warp * 32); i < std::min(last, warp * 32 + 32); ++i)
      if (chosen(fibers[i].get())) make_ready(fibers[i].get());
}

// ---- barriers and collectives (synchronize.cpp) ----

// Forgets the last block's.
void reset_synchronization(int threads);
// A thread that ends may be the last one that a barrier waits for.
void on_thread_exit();

// ---- words ----

inline bool same_place(const char* file_a, int line_a, const char* file_b, int line_b) {
  return line_a == line_b && (file_a == file_b || std::strcmp(file_a, file_b) == 0);
}

inline const char* short_name(const char* file) {
  const char* slash = std::strrchr(file, '/');
  return slash ? slash + 1 : file;
}

}  // namespace gs_emulator
