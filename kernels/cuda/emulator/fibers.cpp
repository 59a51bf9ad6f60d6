// Threads as fibers: stacks, the switch between them, the queue of those that can run.
#include <sys/mman.h>

#include <cstdlib>

#include "block.h"

namespace gs_emulator {

Thread* current = nullptr;
Fiber host;
std::vector<std::unique_ptr<Fiber>> fibers;
int threads_in_block = 0;
int live = 0;
long progress = 0;
Settings settings;
Random rng;

namespace {

constexpr size_t kStackBytes = 64 << 10;

#ifndef GS_PORTABLE_SWITCH
// Saves the callee-saved registers on the stack and changes stacks: 11-17 ns, against 200 ns for
// swapcontext, which saves the signal mask too.
extern "C" void gs_switch_stack(void** save, void* to);
asm(R"(
.text
.globl gs_switch_stack
.hidden gs_switch_stack
.type gs_switch_stack,@function
gs_switch_stack:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size gs_switch_stack,.-gs_switch_stack
)");
#endif

// The ready fibers, first to run first.
class ReadyQueue {
 public:
  void reset(size_t threads) {
    size_t capacity = 1;
    while (capacity < threads + 1) capacity *= 2;
    if (ring_.size() < capacity) ring_.resize(capacity);
    mask_ = ring_.size() - 1;
    head_ = tail_ = 0;
  }
  bool empty() const { return head_ == tail_; }
  void push_back(Fiber* f) { ring_[tail_++ & mask_] = f; }
  void push_front(Fiber* f) { ring_[--head_ & mask_] = f; }
  Fiber* pop() { return ring_[head_++ & mask_]; }

 private:
  std::vector<Fiber*> ring_;
  size_t head_ = 0, tail_ = 0, mask_ = 0;
} ready;

class Stacks {
 public:
  // Bytes [low, high) of fiber i's stack; the page below is a guard.
  unsigned char* low(int i) const { return memory_ + i * kStackBytes + kPage; }
  unsigned char* high(int i) const { return memory_ + (i + 1) * kStackBytes; }
  bool is_guard(const void* address) const {
    auto* p = static_cast<const unsigned char*>(address);
    return p >= memory_ && p < memory_ + count_ * kStackBytes &&
           static_cast<size_t>(p - memory_) % kStackBytes < kPage;
  }
  bool reserve(int count) {
    if (count <= count_) return true;
    if (memory_ == nullptr) {
      void* p = mmap(nullptr, kPools * kMaxThreads * kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p == MAP_FAILED) return false;
      memory_ = static_cast<unsigned char*>(p);
    }
    for (int i = count_; i < count; ++i) mprotect(memory_ + i * kStackBytes, kPage, PROT_NONE);
    count_ = count;
    return true;
  }

 private:
  unsigned char* memory_ = nullptr;
  int count_ = 0;
} stacks;

void prepare_fiber(int i, int pool, void (*main)()) {
  Fiber& f = *fibers[i];
  const unsigned t = static_cast<unsigned>(i);
  f.linear = t;
  f.lane = t % 32;
  f.warp = t / 32;
  f.thread_idx = {t % block_dim.x, t / block_dim.x % block_dim.y, t / (block_dim.x * block_dim.y)};
  f.state = State::kReady;
  f.waits_on = nullptr;
  f.atomics = 0;
  f.open_copies.clear();
  f.copy_groups.clear();
  if (f.tsan_fibers[pool] == nullptr) f.tsan_fibers[pool] = tsan_new_fiber();
  f.tsan_fiber = f.tsan_fibers[pool];
  const int stack = i * kPools + pool;
  // Stacks start at staggered offsets: at equal ones they would share a few cache sets.
  unsigned char* top = stacks.high(stack) - 64 - (t * 832) % 16384;
  top -= reinterpret_cast<uintptr_t>(top) % 64;
#ifdef GS_PORTABLE_SWITCH
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = stacks.low(stack);
  f.context.uc_stack.ss_size = static_cast<size_t>(top - stacks.low(stack));
  f.context.uc_link = nullptr;
  makecontext(&f.context, main, 0);
#else
  void** sp = reinterpret_cast<void**>(top);
  *--sp = nullptr;  // the return address of main: keeps the stack aligned as a call leaves it
  *--sp = reinterpret_cast<void*>(main);
  for (int k = 0; k < 6; ++k) *--sp = nullptr;
  f.stack_pointer = sp;
#endif
}

}  // namespace

bool reserve_fibers(int threads) {
  while (static_cast<int>(fibers.size()) < threads) fibers.push_back(std::make_unique<Fiber>());
  return stacks.reserve(threads * kPools);
}

void start_fibers(int threads, int pool, void (*main)()) {
  live = threads;
  ready.reset(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) prepare_fiber(i, pool, main);
  make_ready_in_order(0, threads, [](Fiber*) { return true; });
}

bool is_stack_guard(const void* address) { return stacks.is_guard(address); }

void switch_to(Fiber* to) {
  Fiber* from = self();
  if (to == from) return;
  tsan_switch(to->tsan_fiber);
  current = to;
#ifdef GS_PORTABLE_SWITCH
  swapcontext(&from->context, &to->context);
#else
  gs_switch_stack(&from->stack_pointer, to->stack_pointer);
#endif
}

void run_next() { switch_to(ready.empty() ? &host : ready.pop()); }

void wait_here(const void* on, const char* kind, const char* file, int line) {
  Fiber* me = self();
  me->state = State::kWaiting;
  me->waits_on = on;
  me->wait_kind = kind;
  me->wait_file = file;
  me->wait_line = line;
  run_next();
}

void make_ready(Fiber* f, bool front) {
  f->state = State::kReady;
  f->waits_on = nullptr;
  if (front) {
    ready.push_front(f);
  } else {
    ready.push_back(f);
  }
}

}  // namespace gs_emulator
