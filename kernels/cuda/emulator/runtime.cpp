// Launches: every block of a grid, one after another; see runtime.h. One launch at a time in a
// process (Python holds a lock).
//
// The runtime is built without -fsanitize even when the kernels have it; see thread_sanitizer.h.
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>
#include <vector>

#include "block.h"
#include "faults.h"
#include "shared_memory.h"

namespace gs_emulator {

uint3 block_idx{};
dim3 block_dim, grid_dim;
unsigned char* dynamic_shared = nullptr;
SharedMemory shared;

namespace {

Body body = nullptr;
void** body_arguments = nullptr;
int pool = 0;
char launch_tag[8], done_tag[8], pool_tags[kPools][8];  // for ThreadSanitizer

void fiber_main() {
  tsan_acquire(launch_tag);
  tsan_acquire(pool_tags[pool]);
  body(body_arguments);
  {
    Unseen unseen;
    self()->state = State::kFinished;
    --live;
    ++progress;
    on_thread_exit();
  }
  tsan_release(pool_tags[pool]);
  tsan_release(done_tag);
  run_next();
  std::abort();  // a finished fiber is never made ready
}

void describe_deadlock() {
  std::string text;
  char line[256];
  std::snprintf(line, sizeof(line),
                "block (%u,%u,%u): deadlock: %d of %d threads never finish:", block_idx.x,
                block_idx.y, block_idx.z, live, threads_in_block);
  text = line;
  // One line for each place, with how many wait there.
  std::vector<std::pair<const Fiber*, int>> places;
  for (int i = 0; i < threads_in_block; ++i) {
    const Fiber* f = fibers[i].get();
    if (f->state == State::kFinished) continue;
    auto it = std::find_if(places.begin(), places.end(), [&](const auto& p) {
      return same_place(p.first->wait_file, p.first->wait_line, f->wait_file, f->wait_line);
    });
    if (it != places.end()) {
      ++it->second;
    } else {
      places.emplace_back(f, 1);
    }
  }
  for (const auto& [f, count] : places) {
    std::snprintf(line, sizeof(line), " %d wait in %s at %s:%d (first: thread %u);", count,
                  f->wait_kind, short_name(f->wait_file), f->wait_line, f->linear);
    text += line;
  }
  std::snprintf(error, sizeof(error), "%s", text.c_str());
  failed = true;
}

// Runs the block at block_idx with the fibers and memory of a pool.
bool run_block(size_t dynamic_bytes, int which_pool) {
  pool = which_pool;
  const int n = threads_in_block;
  {
    Unseen unseen;
    if (!shared.start_block(dynamic_bytes, pool)) {
      std::snprintf(error, sizeof(error), "out of memory for shared memory");
      return false;
    }
    reset_synchronization(n);
    start_fibers(n, pool, fiber_main);
  }
  run_next();
  if (failed) return false;
  if (live > 0) {
    describe_deadlock();
    return false;
  }
  if (const char* name = shared.overrun()) {
    std::snprintf(
        error, sizeof(error),
        "block (%u,%u,%u): out of bounds: something was written behind the shared array `%s`",
        block_idx.x, block_idx.y, block_idx.z, name);
    return false;
  }
  return true;
}

uint64_t greatest_common_divisor(uint64_t a, uint64_t b) {
  while (b) {
    const uint64_t r = a % b;
    a = b;
    b = r;
  }
  return a;
}

}  // namespace

void* shared_slot(const void* key, size_t bytes, size_t alignment, const char* name) {
  Unseen unseen;
  return shared.slot(key, bytes, alignment, name);
}

unsigned shared_offset(const void* address) { return shared.offset(address); }

int run(Body kernel_body, void** arguments, const LaunchConfig& config) {
  const auto& g = config.grid;
  const auto& b = config.block;
  failed = false;
  error[0] = 0;
  const bool block_ok = b[0] >= 1 && b[1] >= 1 && b[2] >= 1 && b[0] <= 1024 && b[1] <= 1024 &&
                        b[2] <= 64 && b[0] * b[1] * b[2] <= kMaxThreads;
  const bool grid_ok =
      g[0] >= 1 && g[1] >= 1 && g[2] >= 1 && g[0] <= 0x7fffffffu && g[1] <= 65535 && g[2] <= 65535;
  if (!block_ok || !grid_ok || config.shared_bytes > kMaxShared) {
    std::snprintf(
        error, sizeof(error),
        "launch: %s out of range; got grid (%llu,%llu,%llu), block (%llu,%llu,%llu), %llu "
        "bytes of shared memory",
        !grid_ok ? "grid" : (!block_ok ? "block" : "shared memory"),
        static_cast<unsigned long long>(g[0]), static_cast<unsigned long long>(g[1]),
        static_cast<unsigned long long>(g[2]), static_cast<unsigned long long>(b[0]),
        static_cast<unsigned long long>(b[1]), static_cast<unsigned long long>(b[2]),
        static_cast<unsigned long long>(config.shared_bytes));
    return 1;
  }
  threads_in_block = static_cast<int>(b[0] * b[1] * b[2]);
  grid_dim = dim3(unsigned(g[0]), unsigned(g[1]), unsigned(g[2]));
  block_dim = dim3(unsigned(b[0]), unsigned(b[1]), unsigned(b[2]));
  body = kernel_body;
  body_arguments = arguments;
  rng.seed(settings.seed);
  if (!reserve_fibers(threads_in_block)) {
    std::snprintf(error, sizeof(error), "out of memory for the threads' stacks");
    return 1;
  }
  current = &host;
  host.tsan_fiber = tsan_this_fiber();
  tsan_release(launch_tag);
  Watch watch;
  const uint64_t blocks = g[0] * g[1] * g[2];
  uint64_t stride = 1, first = 0;  // random: visit block (i * stride + first) mod blocks
  if (settings.schedule >= kRandom && blocks > 2) {
    do {
      stride = 1 + rng.next() % (blocks - 1);
    } while (greatest_common_divisor(stride, blocks) != 1);
    first = rng.next() % blocks;
  }
  bool ok = true;
  for (uint64_t i = 0; ok && i < blocks; ++i) {
    uint64_t block = settings.schedule == kReverse ? blocks - 1 - i : i;
    if (settings.schedule >= kRandom)
      block = static_cast<uint64_t>((static_cast<unsigned __int128>(i) * stride + first) % blocks);
    block_idx = {static_cast<unsigned>(block % g[0]), static_cast<unsigned>(block / g[0] % g[1]),
                 static_cast<unsigned>(block / (g[0] * g[1]))};
    ok = run_block(config.shared_bytes, static_cast<int>(i % kPools));
  }
  tsan_acquire(done_tag);
  current = nullptr;
  return ok ? 0 : 1;
}

}  // namespace gs_emulator

extern "C" __attribute__((visibility("default"))) const char* gs_error() {
  return gs_emulator::error;
}

extern "C" __attribute__((visibility("default"))) void gs_configure(int schedule, int copies,
                                                                    uint64_t seed,
                                                                    int timeout_seconds) {
  gs_emulator::settings = {schedule, copies, seed, timeout_seconds};
}
