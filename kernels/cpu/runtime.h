// What the CPU kernels stand on: the thread pool (threads.cpp) and the allocator (allocator.cpp).
// Compiled once, for the baseline ISA.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gradsmith {

// ---- threads ----

using Task = void (*)(void* context, int64_t block);

// Runs task(context, b) for every b in [0, blocks), on the calling thread and the pool's. Blocks run
// in any order and at the same time: they must not depend on one another, and their borders must
// follow from the shape alone, so that the bits do not depend on the number of threads. A call from
// inside a task, from a second Python thread while the pool is busy, or with one thread runs them
// in order on the calling thread.
void run_blocks(int64_t blocks, Task task, void* context);

int num_threads();
void set_num_threads(int n);
int default_num_threads();  // min(affinity, cgroup quota), or GRADSMITH_NUM_THREADS, OMP_NUM_THREADS

// 64-byte aligned memory of the calling thread, for packing and partial results. Valid until this
// thread asks again. nullptr when memory is out.
void* thread_scratch(size_t bytes);

// Gives back the scratch of the calling thread and, unless they are at work, of the pool's.
void release_scratch();

// ---- allocator ----

// 64-byte aligned; 2 MiB aligned with huge pages asked for when large. nullptr when memory is out.
void* allocate(size_t bytes);
void release(void* memory, size_t bytes);

// Gives what is cached, scratch included, back to the system.
void empty_cache();

// Whether a result of so many bytes should be stored past the caches: beyond cached_result() of this
// processor and the threads in use.
bool beyond_cache(int64_t bytes);

// The largest result that plain stores serve better, of caches of so many bytes (0: unknown or none).
//   A third level up to 64 MB is a few cores' own: half of it (Zen 5, 32 MB: 61 against 46 GB/s for a
//   51 MB relu; inside it stores past the caches halve the speed).
//   A larger one lies along a mesh with the other slices of a package and is shared with whoever runs
//   there; reading a line of it before it is written costs more than writing to memory. Three times the
//   second levels of the threads in use: Emerald Rapids, 260 MB, two threads, us a MB of y = x + 1
//     MB        alone    y read next   y and what is made of it
//     6.4     44 to 31      59 to 71      78 to 85
//     12.6    74 to 32      77 to 68     111 to 85
//     25.7    52 to 32      82 to 65      93 to 84
//     51      59 to 31      89 to 65     136 to 87
//   and below, such a store where a plain one was just before takes three times as long as either.
int64_t cached_result(int64_t second_level, int64_t third_level, int threads);

// Bytes of a core's second level; 1 MB where unknown.
int64_t second_level_cache();

struct MemoryStats {
  int64_t in_use, cached, peak, allocations, system_allocations;
};
MemoryStats memory_stats();

// Test hook: the nth allocation from now fails (0: none).
void fail_allocation(int64_t nth);

}  // namespace gradsmith
