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

// Bytes of the last level of this processor's cache, as the kernel reports it (glibc's sysconf gives a
// whole package's); 32 MiB where unknown.
int64_t last_level_cache();

struct MemoryStats {
  int64_t in_use, cached, peak, allocations, system_allocations;
};
MemoryStats memory_stats();

// Test hook: the nth allocation from now fails (0: none).
void fail_allocation(int64_t nth);

}  // namespace gradsmith
