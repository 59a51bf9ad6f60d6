// The thread pool.
//
// Workers spin briefly for the next region, then sleep: back-to-back kernels of a training step meet
// warm workers (~0.5 us), an idle process costs nothing. Each thread has a run of neighbouring blocks,
// the same one in every region of that many blocks, so that it meets in its own cache what it wrote
// there a kernel ago; who is done takes blocks of the others' runs. A region closes when its blocks
// have been handed out: a worker that is still waking up then stays outside, and the caller waits only
// for those inside (waking takes 50 to 100 us in a virtual machine). After a fork the child has no
// workers; it starts new ones when it first needs them.
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>

#include "exposed.h"
#include "runtime.h"

namespace gradsmith {

void run_pass(int64_t blocks, int64_t bytes, Task task, void* context);  // pass.h: for each ISA

namespace {

constexpr int kMaxThreads = 256;
constexpr int kSpins = 12000;  // 100 to 250 us of pause instructions before a worker sleeps

struct Region {
  Task task;
  void* context;
  int shares;
  bool back;  // each share from its end
};

// The blocks of a run that nobody has taken yet. A cache line each: its owner alone writes it, mostly.
struct alignas(64) Share {
  std::atomic<int64_t> next{0};
  int64_t begin = 0, end = 0;
};

struct Pool {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
  Region region = {};
  // The region's number; how many helpers it takes (workers with an index below that may enter; 0: it
  // is closed); how many workers are inside. In one word, so that nobody enters a closed region, and
  // the others never read `region`, which may change under them.
  std::atomic<uint64_t> gate{0};
  Share share[kMaxThreads];      // the caller's, then the workers'
  std::atomic<int> starting{0};  // 1 until a new worker has seen the gate
  std::atomic<int> sleepers{0};
  std::atomic<bool> busy{false};
  int workers = 0;
};
Pool pool;
constexpr uint64_t kInside = 0xffff, kHelperOne = 0x10000, kHelpers = 0xffff0000;

inline uint64_t number_of(uint64_t gate) { return gate >> 32; }

std::atomic<int> thread_count{0};  // 0: not decided yet
thread_local bool inside_region = false;
std::atomic<bool> went_back{false};  // the last region

struct Scratch {
  void* memory = nullptr;
  size_t bytes = 0;
  ~Scratch() { clear(); }
  void clear() {
    release(memory, bytes);
    memory = nullptr;
    bytes = 0;
  }
};
thread_local Scratch scratch;
Scratch* worker_scratch[kMaxThreads] = {};  // read and changed by who holds `busy`

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

void work(const Region& region, int own) {
  inside_region = true;
  for (int k = 0; k < region.shares; ++k) {
    Share& share = pool.share[(own + k) % region.shares];
    while (share.next.load(std::memory_order_relaxed) < share.end) {
      const int64_t block = share.next.fetch_add(1, std::memory_order_relaxed);
      if (block >= share.end) break;
      region.task(region.context, region.back ? share.begin + share.end - 1 - block : block);
    }
  }
  inside_region = false;
}

// Whether the worker entered the region that the gate shows.
bool enter(uintptr_t index) {
  uint64_t gate = pool.gate.load(std::memory_order_acquire);
  while (index < (gate & kHelpers) / kHelperOne) {
    if (pool.gate.compare_exchange_weak(gate, gate + 1, std::memory_order_acquire)) return true;
  }
  return false;
}

void* worker_main(void* argument) {
  const auto index = reinterpret_cast<uintptr_t>(argument);
  worker_scratch[index] = &scratch;
  uint64_t seen = number_of(pool.gate.load(std::memory_order_acquire));
  pool.starting.store(0, std::memory_order_release);  // ready: the creator waits for this
  for (;;) {
    int spins = 0;
    while (number_of(pool.gate.load(std::memory_order_acquire)) == seen && spins < kSpins) {
      pause();
      ++spins;
    }
    if (number_of(pool.gate.load(std::memory_order_acquire)) == seen) {
      pthread_mutex_lock(&pool.mutex);
      pool.sleepers.fetch_add(1);
      while (number_of(pool.gate.load()) == seen) {
        pthread_cond_wait(&pool.wake, &pool.mutex);
      }
      pool.sleepers.fetch_sub(1);
      pthread_mutex_unlock(&pool.mutex);
    }
    // The number before entering: if a region comes between, it is entered once, and looked at again.
    seen = number_of(pool.gate.load(std::memory_order_acquire));
    if (enter(index)) {
      work(pool.region, static_cast<int>(index) + 1);
      pool.gate.fetch_sub(1, std::memory_order_release);
    }
  }
  return nullptr;
}

// Starts workers up to `count`; returns how many there are. The caller holds `busy`.
int ensure_workers(int count) {
  while (pool.workers < count) {
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_t thread;
    pool.starting.store(1, std::memory_order_relaxed);
    const int error = pthread_create(&thread, &attributes, worker_main,
                                     reinterpret_cast<void*>(static_cast<uintptr_t>(pool.workers)));
    pthread_attr_destroy(&attributes);
    if (error) {
      pool.starting.store(0, std::memory_order_relaxed);
      break;
    }
    while (pool.starting.load(std::memory_order_acquire)) sched_yield();
    ++pool.workers;
  }
  return pool.workers;
}

// The child of a fork has the memory of the pool but none of its threads.
const bool fork_safe = [] {
  pthread_atfork(nullptr, nullptr, [] {
    pthread_mutex_init(&pool.mutex, nullptr);
    pthread_cond_init(&pool.wake, nullptr);
    pool.workers = 0;
    pool.gate.store(pool.gate.load() & ~(kInside | kHelpers));
    pool.starting.store(0);
    pool.sleepers.store(0);
    pool.busy.store(false);
  });
  return true;
}();

int env_threads(const char* name) {
  const char* text = getenv(name);
  if (!text || !*text) return 0;
  char* end = nullptr;
  const long n = strtol(text, &end, 10);
  if (end == text || n < 1) return 0;  // OMP_NUM_THREADS may be a list: "4,2" gives 4
  return n > kMaxThreads ? kMaxThreads : static_cast<int>(n);
}

// CPUs that the cgroup's quota allows, rounded up; 0 when there is no quota.
int cgroup_quota() {
  double quota = 0, period = 0;
  if (FILE* file = fopen("/sys/fs/cgroup/cpu.max", "r")) {  // cgroup v2: "max 100000" or "50000 .."
    if (fscanf(file, "%lf %lf", &quota, &period) != 2) quota = 0;
    fclose(file);
  } else {
    if (FILE* q = fopen("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", "r")) {
      if (fscanf(q, "%lf", &quota) != 1) quota = 0;
      fclose(q);
    }
    if (FILE* p = fopen("/sys/fs/cgroup/cpu/cpu.cfs_period_us", "r")) {
      if (fscanf(p, "%lf", &period) != 1) period = 0;
      fclose(p);
    }
  }
  if (quota <= 0 || period <= 0) return 0;
  const int cpus = static_cast<int>(quota / period + 0.999);
  return cpus < 1 ? 1 : cpus;
}

// turns: backwards, unless the last region was.
void run(int64_t blocks, Task task, void* context, bool turns) {
  const int threads = num_threads();
  bool back = false, expected = false;
  if (!inside_region) {
    back = turns && !went_back.load(std::memory_order_relaxed);
    went_back.store(back, std::memory_order_relaxed);
  }
  if (threads <= 1 || blocks <= 1 || inside_region ||
      !pool.busy.compare_exchange_strong(expected, true, std::memory_order_acquire)) {
    for (int64_t b = 0; b < blocks; ++b) task(context, back ? blocks - 1 - b : b);
    return;
  }
  int helpers = threads - 1;
  if (blocks - 1 < helpers) helpers = static_cast<int>(blocks - 1);
  const int ready = ensure_workers(helpers);
  if (ready < helpers) helpers = ready;
  const int shares = helpers + 1;
  pool.region = Region{task, context, shares, back};
  for (int i = 0; i < shares; ++i) {
    pool.share[i].begin = blocks * i / shares;
    pool.share[i].next.store(pool.share[i].begin, std::memory_order_relaxed);
    pool.share[i].end = blocks * (i + 1) / shares;
  }
  // A worker that goes to sleep adds itself to `sleepers` and then looks at the gate once more; the
  // order here is the other way round, so one of the two sees the other (both sequential).
  const uint64_t number = number_of(pool.gate.load(std::memory_order_relaxed)) + 1;
  pool.gate.store(number << 32 | static_cast<uint64_t>(helpers) * kHelperOne);
  if (pool.sleepers.load()) {
    pthread_mutex_lock(&pool.mutex);
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.mutex);
  }
  work(pool.region, 0);
  pool.gate.fetch_and(~kHelpers, std::memory_order_acquire);
  int spins = 0;
  while (pool.gate.load(std::memory_order_acquire) & kInside) {
    if (++spins > kSpins) {
      sched_yield();
    } else {
      pause();
    }
  }
  pool.busy.store(false, std::memory_order_release);
}

}  // namespace

int default_num_threads() {
  if (const int n = env_threads("GRADSMITH_NUM_THREADS")) return n;
  if (const int n = env_threads("OMP_NUM_THREADS")) return n;
  cpu_set_t set;
  int cpus = 1;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) cpus = CPU_COUNT(&set);
  const int quota = cgroup_quota();
  if (quota && quota < cpus) cpus = quota;
  return cpus < 1 ? 1 : (cpus > kMaxThreads ? kMaxThreads : cpus);
}

int num_threads() {
  int n = thread_count.load(std::memory_order_relaxed);
  if (!n) {
    n = default_num_threads();
    thread_count.store(n, std::memory_order_relaxed);
  }
  return n;
}

void set_num_threads(int n) {
  thread_count.store(n < 1 ? 1 : (n > kMaxThreads ? kMaxThreads : n), std::memory_order_relaxed);
}

void run_blocks(int64_t blocks, Task task, void* context) { run(blocks, task, context, false); }
void run_pass(int64_t blocks, int64_t bytes, Task task, void* context) {
  const int64_t near = second_level_cache() * num_threads();
  run(blocks, task, context, bytes > near && bytes <= 6 * near);
}

void* thread_scratch(size_t bytes) {
  if (bytes > scratch.bytes) {
    release(scratch.memory, scratch.bytes);
    scratch.memory = allocate(bytes);
    scratch.bytes = scratch.memory ? bytes : 0;
  }
  if (scratch.memory) GS_EXPOSE(scratch.memory, bytes, scratch.bytes);
  return scratch.memory;
}

void release_scratch() {
  if (!inside_region) scratch.clear();
  bool expected = false;
  if (!pool.busy.compare_exchange_strong(expected, true, std::memory_order_acquire)) return;
  for (int i = 0; i < pool.workers; ++i) worker_scratch[i]->clear();  // none is inside a region
  pool.busy.store(false, std::memory_order_release);
}

}  // namespace gradsmith
