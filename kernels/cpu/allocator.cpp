// The caching allocator under every output.
//
// Why: fresh large memory costs a page fault for every 4 KiB, which holds elementwise ops at
// 3-5 GB/s where warm huge pages give 48 (measured, kernels/README.md). So freed blocks are kept by
// size class and handed out again; large blocks are 2 MiB aligned with huge pages asked for.
//
// Size classes: four steps to each power of two (at most 25 % waste), from 64 bytes up. What is
// held in all, in use or cached, is bounded by 1.5 times the peak in use plus 64 MiB (the half: sizes
// change between phases of a program). Beyond it large blocks of sizes that nobody has asked for in
// the last half second go back to the system, of an earlier phase; where there are none, the freed
// block itself. (Without the former the sizes of a new phase were never kept: a 26 MB cat took 0.8 ms
// for ever instead of 0.15.)
#include <malloc.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>
#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

#include <cstddef>
#include <cstdint>

#include "exposed.h"
#include "runtime.h"
#include "unwritten.h"

namespace gradsmith {
namespace {

constexpr size_t kSmallest = 64;
constexpr int kClasses = 4 * 48;
constexpr size_t kHugePage = size_t{2} << 20;
constexpr size_t kLarge = size_t{1} << 20;  // from here on: mmap and huge pages
constexpr int64_t kAlwaysKept = int64_t{64} << 20;
constexpr int64_t kStale = 500;  // milliseconds

struct FreeBlock {
  FreeBlock* next;
};

struct Cache {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  FreeBlock* free[kClasses] = {};
  int64_t used[kClasses] = {};  // when a large class last was, in milliseconds
  MemoryStats stats = {};
  int64_t fail_in = 0;
  int64_t unwritten = -1;  // unwritten.h
};
Cache cache;

struct Lock {
  Lock() { pthread_mutex_lock(&cache.mutex); }
  ~Lock() { pthread_mutex_unlock(&cache.mutex); }
  Lock(const Lock&) = delete;
  Lock& operator=(const Lock&) = delete;
};

// A fork while another thread holds the mutex would leave it held for ever in the child.
const bool fork_safe = [] {
  pthread_atfork([] { pthread_mutex_lock(&cache.mutex); },
                 [] { pthread_mutex_unlock(&cache.mutex); },
                 [] { pthread_mutex_unlock(&cache.mutex); });
  return true;
}();

// In units of 64 bytes: classes 0..3 hold 1..4 units; from there four steps to each power of two.
int class_of(size_t bytes) {
  const size_t units = bytes ? (bytes + kSmallest - 1) / kSmallest : 1;
  if (units <= 4) return static_cast<int>(units) - 1;
  const int e = 63 - __builtin_clzll(units);
  const size_t base = size_t{1} << e;
  const size_t steps = (units - base + base / 4 - 1) / (base / 4);  // 0..4
  return 3 + 4 * (e - 2) + static_cast<int>(steps);
}

size_t class_bytes(int c) {
  if (c < 3) return kSmallest * static_cast<size_t>(c + 1);
  const size_t base = size_t{4} << ((c - 3) / 4);
  return kSmallest * (base + base / 4 * static_cast<size_t>((c - 3) % 4));
}

void* system_allocate(size_t bytes) {
  if (bytes < kLarge) return aligned_alloc(64, (bytes + 63) / 64 * 64);
  // Over-map by one huge page, then cut the ends off, so that the block starts on a huge page.
  const size_t length = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* raw =
      mmap(nullptr, length + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  const uintptr_t start = reinterpret_cast<uintptr_t>(raw);
  const uintptr_t aligned = (start + kHugePage - 1) / kHugePage * kHugePage;
  if (aligned > start) munmap(raw, aligned - start);
  const uintptr_t end = start + length + kHugePage;
  if (end > aligned + length) {
    munmap(reinterpret_cast<void*>(aligned + length), end - aligned - length);
  }
  madvise(reinterpret_cast<void*>(aligned), length, MADV_HUGEPAGE);
  return reinterpret_cast<void*>(aligned);
}

void system_release(void* memory, size_t bytes) {
  GS_EXPOSE(memory, bytes, bytes);
  if (bytes < kLarge) {
    free(memory);
  } else {
    munmap(memory, (bytes + kHugePage - 1) / kHugePage * kHugePage);
  }
}

void release_cached() {
  for (int c = 0; c < kClasses; ++c) {
    while (FreeBlock* block = cache.free[c]) {
      cache.free[c] = block->next;
      system_release(block, class_bytes(c));
    }
  }
  cache.stats.cached = 0;
}

int64_t milliseconds() {
  timespec now;
#ifdef CLOCK_MONOTONIC_COARSE
  clock_gettime(CLOCK_MONOTONIC_COARSE, &now);  // 4 ms apart, but 5 ns to ask for
#else
  clock_gettime(CLOCK_MONOTONIC, &now);
#endif
  return int64_t{now.tv_sec} * 1000 + now.tv_nsec / 1000000;
}

// Gives stale blocks back, until that is `excess` bytes.
void release_stale(int64_t excess, int64_t now) {
  for (int c = kClasses - 1; c >= 0 && excess > 0; --c) {
    const size_t bytes = class_bytes(c);
    if (bytes < kLarge) return;
    if (now - cache.used[c] < kStale) continue;
    while (cache.free[c] && excess > 0) {
      FreeBlock* const block = cache.free[c];
      cache.free[c] = block->next;
      system_release(block, bytes);
      cache.stats.cached -= static_cast<int64_t>(bytes);
      excess -= static_cast<int64_t>(bytes);
    }
  }
}

void fill(void* memory, size_t bytes, int64_t word) {
  volatile uint32_t* const words = static_cast<uint32_t*>(memory);
  for (size_t i = 0; i < bytes / sizeof(uint32_t); ++i) words[i] = static_cast<uint32_t>(word);
}

}  // namespace

void* allocate(size_t bytes) {
  if (bytes > (size_t{1} << 52)) return nullptr;
  const int c = class_of(bytes);
  const int64_t size = static_cast<int64_t>(class_bytes(c));
  Lock lock;
  if (cache.fail_in > 0 && --cache.fail_in == 0) return nullptr;
  if (static_cast<size_t>(size) >= kLarge) cache.used[c] = milliseconds();
  void* memory = cache.free[c];
  if (memory) {
    cache.free[c] = cache.free[c]->next;
    cache.stats.cached -= size;
  } else {
    memory = system_allocate(static_cast<size_t>(size));
    if (!memory) {
      release_cached();
      memory = system_allocate(static_cast<size_t>(size));
      if (!memory) return nullptr;
    }
    ++cache.stats.system_allocations;
  }
  ++cache.stats.allocations;
  cache.stats.in_use += size;
  if (cache.stats.in_use > cache.stats.peak) cache.stats.peak = cache.stats.in_use;
  GS_EXPOSE(memory, static_cast<size_t>(size), static_cast<size_t>(size));
  if (cache.unwritten >= 0) fill(memory, static_cast<size_t>(size), cache.unwritten);
  GS_EXPOSE(memory, bytes, static_cast<size_t>(size));
  return memory;
}

void release(void* memory, size_t bytes) {
  if (!memory) return;
  const int c = class_of(bytes);
  const int64_t size = static_cast<int64_t>(class_bytes(c));
  Lock lock;
  cache.stats.in_use -= size;
  const int64_t most = cache.stats.peak + cache.stats.peak / 2 + kAlwaysKept;
  const auto held = [&] { return cache.stats.in_use + cache.stats.cached + size; };
  if (static_cast<size_t>(size) >= kLarge) {
    const int64_t now = cache.used[c] = milliseconds();
    if (held() > most) release_stale(held() - most, now);
  }
  if (held() > most) {
    system_release(memory, static_cast<size_t>(size));
    return;
  }
  GS_EXPOSE(memory, sizeof(FreeBlock), static_cast<size_t>(size));
  auto* block = static_cast<FreeBlock*>(memory);
  block->next = cache.free[c];
  cache.free[c] = block;
  cache.stats.cached += size;
}

void empty_cache() {
  release_scratch();
  Lock lock;
  release_cached();
#if defined(__GLIBC__)
  malloc_trim(0);  // free() alone keeps the pages of blocks below kLarge
#endif
  cache.stats.peak = cache.stats.in_use;
}

MemoryStats memory_stats() {
  Lock lock;
  return cache.stats;
}

void fail_allocation(int64_t nth) {
  Lock lock;
  cache.fail_in = nth;
}

void fill_unwritten(int64_t word) {
  Lock lock;
  cache.unwritten = word;
}

__attribute__((noinline)) bool met_denormal() {
  uint32_t below[1 << 15];
  fill(below, sizeof(below), cache.unwritten);
#if defined(__x86_64__)
  const unsigned flags = _mm_getcsr();
  _mm_setcsr(flags & ~unsigned{_MM_EXCEPT_DENORM});
  return flags & _MM_EXCEPT_DENORM;
#else
  return false;
#endif
}

namespace {

// Bytes of a cache, as the kernel reports it (glibc's sysconf gives a whole package's); 0 where unknown.
int64_t cache_bytes(const char* path) {
  long kib = 0;
  if (FILE* file = fopen(path, "r")) {
    if (fscanf(file, "%ldK", &kib) != 1) kib = 0;
    fclose(file);
  }
  return kib > 0 ? int64_t{kib} << 10 : 0;
}

// Read as the module is loaded: a static of a function would be locked while a first thread reads it,
// and for ever in the child of a fork at that time.
const int64_t kSecondLevel = cache_bytes("/sys/devices/system/cpu/cpu0/cache/index2/size");
const int64_t kThirdLevel = cache_bytes("/sys/devices/system/cpu/cpu0/cache/index3/size");

constexpr int64_t kUnknownSecond = int64_t{1} << 20, kUnknownCache = int64_t{32} << 20;
constexpr int64_t kNearCache = int64_t{64} << 20;  // a third level beyond it is no few cores' own

}  // namespace

int64_t second_level_cache() { return kSecondLevel > 0 ? kSecondLevel : kUnknownSecond; }

int64_t cached_result(int64_t second_level, int64_t third_level, int threads) {
  if (third_level > kNearCache && second_level > 0) {
    return 3 * second_level * int64_t{threads};
  }
  const int64_t last = third_level > 0 ? third_level : second_level;
  return (last > 0 ? last : kUnknownCache) / 2;
}

bool beyond_cache(int64_t bytes) {
  constexpr int64_t kLeast = int64_t{4} << 20;  // small work does not ask
  return bytes > kLeast && bytes > cached_result(kSecondLevel, kThirdLevel, num_threads());
}

}  // namespace gradsmith
