// The emulator's runtime; see runtime.h. One launch at a time in a process (Python holds a lock).
//
// Built without -fsanitize even when the kernels have it: under GS_TSAN it tells ThreadSanitizer
// the happens-before edges (barriers, collectives, launch) and hides its own accesses (class
// Unseen).
#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#include <algorithm>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "cuda_language.h"

#if !defined(__x86_64__) || defined(GS_UCONTEXT)
#define GS_PORTABLE_SWITCH 1
#endif

#ifdef GS_TSAN
extern "C" {
void* __tsan_create_fiber(unsigned);
void __tsan_destroy_fiber(void*);
void __tsan_switch_to_fiber(void*, unsigned);
void* __tsan_get_current_fiber();
void __tsan_acquire(void*);
void __tsan_release(void*);
void __tsan_read_range(void*, unsigned long);
void __tsan_write_range(void*, unsigned long);
void AnnotateIgnoreReadsBegin(const char*, int);
void AnnotateIgnoreReadsEnd(const char*, int);
void AnnotateIgnoreWritesBegin(const char*, int);
void AnnotateIgnoreWritesEnd(const char*, int);
}
#endif

namespace gs_emulator {

Thread* current = nullptr;
uint3 block_idx{};
dim3 block_dim, grid_dim;
unsigned char* dynamic_shared = nullptr;

namespace {

// ---- limits (those of sm_80 to sm_90) ----------------------------------------------------------

constexpr int kMaxThreads = 1024;
constexpr size_t kMaxStaticShared = 48 << 10;
constexpr size_t kMaxShared = 227 << 10;
constexpr int kNamedBarriers = 16;
constexpr size_t kPage = 4096;
constexpr unsigned char kPoison = 0xFF;  // floats read NaN, integers -1
constexpr size_t kCanary = 64;           // poisoned bytes behind a shared array, checked at the end
constexpr long kSpinLimit = 200000;      // fruitless spins before a livelock is reported
constexpr long kAtomicsBeforeYield = 256;

constexpr size_t kStackBytes = 64 << 10;

// ---- ThreadSanitizer ----------------------------------------------------------------------------

#ifdef GS_TSAN
// Accesses of the runtime itself (and of libc functions it calls) are no accesses of the kernel's.
class Unseen {
 public:
  Unseen() {
    AnnotateIgnoreReadsBegin(__FILE__, __LINE__);
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
  }
  ~Unseen() {
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
    AnnotateIgnoreReadsEnd(__FILE__, __LINE__);
  }
  Unseen(const Unseen&) = delete;
};
void tsan_acquire(void* tag) { __tsan_acquire(tag); }
void tsan_release(void* tag) { __tsan_release(tag); }
#else
class Unseen {
 public:
  Unseen() {}
  ~Unseen() {}
  Unseen(const Unseen&) = delete;
};
void tsan_acquire(void*) {}
void tsan_release(void*) {}
#endif

// ---- schedules ----------------------------------------------------------------------------------

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
} settings;

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
} rng;

// ---- fibers -------------------------------------------------------------------------------------

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
  void* tsan_fiber = nullptr;
};

Fiber host;  // the caller of run()
std::vector<std::unique_ptr<Fiber>> fibers;
int threads_in_block = 0;
int live = 0;
long progress = 0;  // barriers passed, collectives done, threads finished
long spins = 0, progress_at_spin = 0;
Body body = nullptr;
void** body_arguments = nullptr;
bool failed = false;
char error[1024];
int launch_tag, done_tag;  // addresses for ThreadSanitizer

Fiber* self() { return static_cast<Fiber*>(current); }

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

void switch_to(Fiber* to) {
  Fiber* from = self();
  if (to == from) return;
#ifdef GS_TSAN
  __tsan_switch_to_fiber(to->tsan_fiber, 1 /* makes no happens-before edge */);
#endif
  current = to;
#ifdef GS_PORTABLE_SWITCH
  swapcontext(&from->context, &to->context);
#else
  gs_switch_stack(&from->stack_pointer, to->stack_pointer);
#endif
}

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

// Gives the processor to the next ready fiber; with none left, back to run(), which sees whether
// all have finished or are stuck.
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

void make_ready(Fiber* f, bool front = false) {
  f->state = State::kReady;
  f->waits_on = nullptr;
  if (front) {
    ready.push_front(f);
  } else {
    ready.push_back(f);
  }
}

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

void on_thread_exit();

void fiber_main() {
  tsan_acquire(&launch_tag);
  body(body_arguments);
  {
    Unseen unseen;
    self()->state = State::kFinished;
    --live;
    ++progress;
    on_thread_exit();
  }
  tsan_release(&done_tag);
  run_next();
  std::abort();  // a finished fiber is never made ready
}

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
#ifdef GS_TSAN
  // Blocks are concurrent: a stack that the last block used must be new memory to the sanitizer.
  // (Without guard pages: setting them would take longer than the block.)
  bool renew(int count) {
    if (memory_ != nullptr) munmap(memory_, count_ * kStackBytes);
    void* p = mmap(nullptr, count * kStackBytes, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    memory_ = p == MAP_FAILED ? nullptr : static_cast<unsigned char*>(p);
    count_ = p == MAP_FAILED ? 0 : count;
    return memory_ != nullptr;
  }
  bool reserve(int) { return true; }
#else
  bool reserve(int count) {
    if (count <= count_) return true;
    if (memory_ == nullptr) {
      void* p = mmap(nullptr, kMaxThreads * kStackBytes, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
      if (p == MAP_FAILED) return false;
      memory_ = static_cast<unsigned char*>(p);
    }
    for (int i = count_; i < count; ++i) mprotect(memory_ + i * kStackBytes, kPage, PROT_NONE);
    count_ = count;
    return true;
  }
#endif

 private:
  unsigned char* memory_ = nullptr;
  int count_ = 0;
} stacks;

void prepare_fiber(int i) {
  Fiber& f = *fibers[i];
  const unsigned t = static_cast<unsigned>(i);
  f.linear = t;
  f.lane = t % 32;
  f.warp = t / 32;
  f.thread_idx = {t % block_dim.x, t / block_dim.x % block_dim.y, t / (block_dim.x * block_dim.y)};
  f.atomics = 0;
  f.open_copies.clear();
  f.copy_groups.clear();
  // Stacks start at staggered offsets: at equal ones they would share a few cache sets.
  unsigned char* top = stacks.high(i) - 64 - (t * 832) % 16384;
  top -= reinterpret_cast<uintptr_t>(top) % 64;
#ifdef GS_PORTABLE_SWITCH
  getcontext(&f.context);
  f.context.uc_stack.ss_sp = stacks.low(i);
  f.context.uc_stack.ss_size = static_cast<size_t>(top - stacks.low(i));
  f.context.uc_link = nullptr;
  makecontext(&f.context, fiber_main, 0);
#else
  void** sp = reinterpret_cast<void**>(top);
  *--sp = nullptr;  // the return address of fiber_main: keeps the stack aligned as a call leaves it
  *--sp = reinterpret_cast<void*>(fiber_main);
  for (int k = 0; k < 6; ++k) *--sp = nullptr;
  f.stack_pointer = sp;
#endif
}

// ---- shared memory ------------------------------------------------------------------------------

unsigned char* map_with_guard(size_t bytes) {
  void* p =
      mmap(nullptr, bytes + kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return nullptr;
  mprotect(static_cast<unsigned char*>(p) + bytes, kPage, PROT_NONE);
  return static_cast<unsigned char*>(p);
}

// One block's shared memory: static arrays in an arena that ends at a guard page, growing down with
// a canary behind each; dynamic memory in another.
class SharedMemory {
 public:
  bool start_block(size_t dynamic_bytes) {
    slots_.clear();
    static_used_ = 0;
    dynamic_bytes_ = dynamic_bytes;
#ifdef GS_TSAN
    // Blocks are concurrent: each gets its own memory, or their accesses would look like races.
    static_ = map_with_guard(kStaticArena);
    arena_ = map_with_guard(kDynamicArena);
    mapped_.push_back(static_);
    mapped_.push_back(arena_);
#else
    if (static_ == nullptr) static_ = map_with_guard(kStaticArena);
    if (arena_ == nullptr) arena_ = map_with_guard(kDynamicArena);
#endif
    if (static_ == nullptr || arena_ == nullptr) return false;
    // 128-byte alignment is what the bulk copies need; the slack behind is canary.
    padded_ = (dynamic_bytes + 127) / 128 * 128;
    dynamic_shared = arena_ + kDynamicArena - padded_;
    std::memset(dynamic_shared, kPoison, padded_);
    return true;
  }

  void* slot(const void* key, size_t bytes, size_t alignment, const char* name) {
    for (const Slot& s : slots_)
      if (s.key == key) return s.address;
    const size_t canary = slots_.empty() ? 0 : kCanary;
    static_used_ += bytes + canary;
    alignment = std::max<size_t>(alignment, 16);
    static_used_ = (static_used_ + alignment - 1) / alignment * alignment;
    if (static_used_ > kStaticArena) fail("static shared memory is above 48 KiB at `%s`", name);
    unsigned char* address = static_ + kStaticArena - static_used_;
    unsigned char* end = slots_.empty() ? static_ + kStaticArena : slots_.back().address;
    std::memset(address, kPoison, static_cast<size_t>(end - address));
    slots_.push_back({key, address, bytes, end, name});
    size_t total = dynamic_bytes_;
    for (const Slot& s : slots_) total += s.bytes;
    if (total > kMaxShared) fail("shared memory: %zu bytes, at most %zu", total, kMaxShared);
    return address;
  }

  // The name of an array behind which something was written, or null.
  const char* overrun() const {
    for (const Slot& s : slots_)
      if (touched(s.address + s.bytes, s.end)) return s.name;
    if (touched(dynamic_shared + dynamic_bytes_, dynamic_shared + padded_)) return "dynamic";
    return nullptr;
  }

  bool contains(const void* address) const {
    auto* p = static_cast<const unsigned char*>(address);
    return (arena_ != nullptr && p >= arena_ && p < arena_ + kDynamicArena + kPage) ||
           (static_ != nullptr && p >= static_ && p < static_ + kStaticArena + kPage);
  }

  unsigned offset(const void* address) const {
    auto* p = static_cast<const unsigned char*>(address);
    if (p >= dynamic_shared && p < dynamic_shared + padded_)
      return static_cast<unsigned>(p - dynamic_shared);
    return static_cast<unsigned>(p - static_ + (256 << 10));
  }

  void end_launch() {
#ifdef GS_TSAN
    for (unsigned char* p : mapped_)
      munmap(p, (p == nullptr ? 0 : kPage + (is_static(p) ? kStaticArena : kDynamicArena)));
    mapped_.clear();
#endif
  }

 private:
  struct Slot {
    const void* key;
    unsigned char* address;
    size_t bytes;
    unsigned char* end;  // where the canary ends
    const char* name;
  };
  static constexpr size_t kStaticArena = kMaxStaticShared + (16 << 10);  // and the canaries
  static constexpr size_t kDynamicArena = 228 << 10;

  static bool touched(const unsigned char* from, const unsigned char* to) {
    for (; from < to; ++from)
      if (*from != kPoison) return true;
    return false;
  }
#ifdef GS_TSAN
  bool is_static(const unsigned char* p) const {
    return (std::find(mapped_.begin(), mapped_.end(), p) - mapped_.begin()) % 2 == 0;
  }
  std::vector<unsigned char*> mapped_;  // static and dynamic arenas in turn
#endif
  unsigned char* static_ = nullptr;
  unsigned char* arena_ = nullptr;
  size_t static_used_ = 0, dynamic_bytes_ = 0, padded_ = 0;
  std::vector<Slot> slots_;
} shared;

// ---- barriers -----------------------------------------------------------------------------------

struct Barrier {
  int arrived;       // threads that have arrived in this generation
  int wanted;        // 0: every live thread
  const char* file;  // where the first one stands
  int line;
  unsigned generation;
  int votes, vote_kind;
  int result[2];    // of the last two generations
  char tags[2][8];  // for ThreadSanitizer; two, because one would join neighbouring generations
} barriers[kNamedBarriers];

bool same_place(const char* file_a, int line_a, const char* file_b, int line_b) {
  return line_a == line_b && (file_a == file_b || std::strcmp(file_a, file_b) == 0);
}

const char* short_name(const char* file) {
  const char* slash = std::strrchr(file, '/');
  return slash ? slash + 1 : file;
}

void open_barrier(Barrier& b) {
  ++b.generation;
  ++progress;
  b.result[b.generation & 1] = b.votes;
  b.arrived = 0;
  b.votes = 0;
  make_ready_in_order(0, threads_in_block, [&](Fiber* f) { return f->waits_on == &b; });
}

// Joins barrier `b`; returns its vote.
int arrive(Barrier& b, int wanted, bool wait, int vote_kind, int predicate, const char* kind,
           const char* file, int line) {
  Unseen unseen;
  if (b.arrived == 0) {
    b.file = file;
    b.line = line;
    b.wanted = wanted;
    b.vote_kind = vote_kind;
    b.votes = vote_kind == static_cast<int>(Vote::kAll) ? 1 : 0;
  } else if (wanted == 0 && !same_place(b.file, b.line, file, line)) {
    fail("divergent __syncthreads: this thread is at %s:%d, others wait at %s:%d", short_name(file),
         line, short_name(b.file), b.line);
  } else if (b.wanted != wanted) {
    fail("named barrier: this thread at %s:%d waits for %d threads, others at %s:%d for %d",
         short_name(file), line, wanted, short_name(b.file), b.line, b.wanted);
  }
  if (vote_kind == static_cast<int>(Vote::kCount)) b.votes += predicate != 0;
  if (vote_kind == static_cast<int>(Vote::kAny)) b.votes |= predicate != 0;
  if (vote_kind == static_cast<int>(Vote::kAll)) b.votes &= predicate != 0;
  ++b.arrived;
  const unsigned mine = b.generation + 1;
  char* tag = b.tags[mine & 1];
  tsan_release(tag);
  Fiber* me = self();
  if (b.arrived >= (b.wanted ? b.wanted : live)) {
    if (wait) {  // among the others: the schedule decides who goes on first
      me->state = State::kWaiting;
      me->waits_on = &b;
    }
    open_barrier(b);
    if (wait) run_next();
  } else if (wait) {
    wait_here(&b, kind, file, line);
  }
  if (wait) tsan_acquire(tag);
  return b.result[mine & 1];
}

// ---- warp collectives ---------------------------------------------------------------------------

// The collectives of one warp under one mask. Slots alternate between two generations: a lane may
// deposit for the next one while another has yet to read this one's.
struct Collective {
  unsigned mask = 0;
  unsigned arrived = 0;
  unsigned generation = 0;
  const char* operation = nullptr;
  const char* file = nullptr;
  int line = 0;
  Slots in[2], out[2];
};

std::vector<std::vector<std::unique_ptr<Collective>>> collectives;  // by warp

Collective& find_collective(unsigned warp, unsigned mask) {
  auto& list = collectives[warp];
  for (auto& c : list)
    if (c->mask == mask) return *c;
  list.push_back(std::make_unique<Collective>());
  list.back()->mask = mask;
  return *list.back();
}

// Waits for the lanes of `mask`; returns which of the two generations' slots hold the result.
Collective& meet(unsigned mask, const char* operation, const void* in, size_t in_bytes,
                 Combine combine, unsigned* parity, const char* file, int line) {
  Fiber* me = self();
  if (!((mask >> me->lane) & 1u))
    fail("%s at %s:%d: lane %u is not in its mask %08x", operation, short_name(file), line,
         me->lane, mask);
  Collective& c = find_collective(me->warp, mask);
  if (c.arrived != 0 &&
      (!same_place(c.file, c.line, file, line) || std::strcmp(c.operation, operation)))
    fail("divergent warp: %s at %s:%d, other lanes are in %s at %s:%d", operation, short_name(file),
         line, c.operation, short_name(c.file), c.line);
  c.operation = operation;
  c.file = file;
  c.line = line;
  const unsigned p = *parity = c.generation & 1;
  if (in_bytes) std::memcpy(c.in[p].lane[me->lane], in, in_bytes);
  c.arrived |= 1u << me->lane;
  const int left = threads_in_block - static_cast<int>(me->warp) * 32;
  const unsigned existing = left >= 32 ? ~0u : (1u << left) - 1;
  tsan_release(c.in[p].lane);
  if (c.arrived != (mask & existing)) {
    wait_here(&c, operation, file, line);
  } else {
    if (combine) combine(c.in[p], c.out[p]);
    c.arrived = 0;
    ++c.generation;
    ++progress;
    const int first = static_cast<int>(me->warp) * 32;
    const int last = std::min(first + 32, threads_in_block);
    if (settings.schedule == kSkewed) {  // this warp goes on before all others
      for (int i = last - 1; i >= first; --i)
        if (fibers[i]->waits_on == &c) make_ready(fibers[i].get(), true);
    } else {
      me->state = State::kWaiting;
      me->waits_on = &c;
      make_ready_in_order(first, last, [&](Fiber* f) { return f->waits_on == &c; });
      run_next();
    }
  }
  tsan_acquire(c.in[p].lane);
  return c;
}

// ---- asynchronous copies ------------------------------------------------------------------------

void land(const PendingCopy& copy) {
#ifdef GS_TSAN
  __tsan_write_range(copy.to, static_cast<unsigned long>(copy.bytes));
#endif
  Unseen unseen;
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.source_bytes));
  std::memset(static_cast<unsigned char*>(copy.to) + copy.source_bytes, 0,
              static_cast<size_t>(copy.bytes - copy.source_bytes));
}

// ---- faults and the clock: reported as errors of the thread that runs ---------------------------

#ifndef GS_TSAN  // which has handlers of its own

// Where a signal met the program, as an offset in its library; Python turns it into file and line.
uintptr_t code_offset(const void* context) {
  const auto* c = static_cast<const ucontext_t*>(context);
#if defined(__x86_64__)
  const auto at = static_cast<uintptr_t>(c->uc_mcontext.gregs[REG_RIP]);
#elif defined(__aarch64__)
  const auto at = static_cast<uintptr_t>(c->uc_mcontext.pc);
#else
  const uintptr_t at = 0;
#endif
  Dl_info library;
  if (at == 0 || !dladdr(reinterpret_cast<void*>(at), &library)) return 0;
  return at - reinterpret_cast<uintptr_t>(library.dli_fbase);
}

void on_fault(int signal, siginfo_t* info, void* context) {
  if (current == nullptr || current == &host) {  // not ours: let it happen again, unhandled
    ::signal(signal, SIG_DFL);
    return;
  }
  // The fault came from the kernel's own code, on the alternate stack now: leaving it for the
  // host's stack is safe, and no signal is blocked (SA_NODEFER).
  const auto at = static_cast<unsigned long>(code_offset(context));
  if (signal == SIGILL || signal == SIGTRAP)
    fail("misaligned access, or an index beyond the bounds of an array (code 0x%lx)", at);
  if (stacks.is_guard(info->si_addr)) fail("stack overflow (local arrays above 60 KiB?)");
  const char* what = shared.contains(info->si_addr) ? "shared memory" : "memory";
  fail("out of bounds: %s access at %p (code 0x%lx)", what, info->si_addr, at);
}

long progress_at_tick = -1;

void on_tick(int, siginfo_t*, void*) {
  if (current == nullptr || current == &host) return;
  if (progress == progress_at_tick)
    fail("livelock: no thread of the block reached a barrier or its end in %d s",
         settings.timeout_seconds);
  progress_at_tick = progress;
}

#endif

// Catches faults and runs the clock while a launch lasts, then puts everything back.
class Watch {
 public:
  Watch() {
#ifndef GS_TSAN
    static unsigned char* alternate = nullptr;
    if (alternate == nullptr) alternate = map_with_guard(kAlternateStack);
    stack_t stack{};
    stack.ss_sp = alternate;
    stack.ss_size = kAlternateStack;
    sigaltstack(&stack, &old_stack_);
    struct sigaction action{};
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    action.sa_sigaction = on_fault;
    sigaction(SIGSEGV, &action, &old_segv_);
    sigaction(SIGBUS, &action, &old_bus_);
    sigaction(SIGILL, &action, &old_ill_);
    sigaction(SIGTRAP, &action, &old_trap_);
    action.sa_sigaction = on_tick;
    sigaction(tick_signal(), &action, &old_tick_);
    progress_at_tick = -1;
    sigevent event{};
    event.sigev_notify = SIGEV_THREAD_ID;
    event.sigev_signo = tick_signal();
#ifndef sigev_notify_thread_id
#define sigev_notify_thread_id _sigev_un._tid
#endif
    event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
    timed_ = settings.timeout_seconds > 0 && timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    if (timed_) {
      itimerspec every{};
      every.it_value.tv_sec = every.it_interval.tv_sec = settings.timeout_seconds;
      timer_settime(timer_, 0, &every, nullptr);
    }
#endif
  }
  ~Watch() {
#ifndef GS_TSAN
    if (timed_) timer_delete(timer_);
    sigaction(tick_signal(), &old_tick_, nullptr);
    sigaction(SIGTRAP, &old_trap_, nullptr);
    sigaction(SIGILL, &old_ill_, nullptr);
    sigaction(SIGBUS, &old_bus_, nullptr);
    sigaction(SIGSEGV, &old_segv_, nullptr);
    if (old_stack_.ss_sp == nullptr) old_stack_.ss_flags = SS_DISABLE;
    sigaltstack(&old_stack_, nullptr);
#endif
  }
  Watch(const Watch&) = delete;

 private:
#ifndef GS_TSAN
  static constexpr size_t kAlternateStack = 64 << 10;
  static int tick_signal() { return SIGRTMIN + 7; }
  stack_t old_stack_{};
  struct sigaction old_segv_{}, old_bus_{}, old_ill_{}, old_trap_{}, old_tick_{};
  timer_t timer_{};
  bool timed_ = false;
#endif
};

// A thread that ends may be the last one that a barrier waits for.
void on_thread_exit() {
  Barrier& b = barriers[0];
  if (b.arrived > 0 && b.arrived >= live) open_barrier(b);
}

// ---- running a block ----------------------------------------------------------------------------

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

bool run_block(size_t dynamic_bytes) {
  const int n = threads_in_block;
  {
    Unseen unseen;
    if (!shared.start_block(dynamic_bytes)) {
      std::snprintf(error, sizeof(error), "out of memory for shared memory");
      return false;
    }
    live = n;
    spins = 0;
    ready.reset(static_cast<size_t>(n));
    std::memset(barriers, 0, sizeof(barriers));
#ifdef GS_TSAN
    if (!stacks.renew(n)) {
      std::snprintf(error, sizeof(error), "out of memory for the threads' stacks");
      return false;
    }
#endif
    collectives.clear();
    collectives.resize(static_cast<size_t>((n + 31) / 32));
    for (int i = 0; i < n; ++i) {
      prepare_fiber(i);
#ifdef GS_TSAN
      fibers[i]->tsan_fiber = __tsan_create_fiber(0);
#endif
    }
    make_ready_in_order(0, n, [](Fiber*) { return true; });
  }
  run_next();
#ifdef GS_TSAN
  for (int i = 0; i < n; ++i) __tsan_destroy_fiber(fibers[i]->tsan_fiber);
#endif
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

// ---- the interface ------------------------------------------------------------------------------

void fail(const char* format, ...) {
  char text[512];
  va_list arguments;
  va_start(arguments, format);
  std::vsnprintf(text, sizeof(text), format, arguments);
  va_end(arguments);
  if (current != nullptr && current != &host) {
    const uint3& t = current->thread_idx;
    std::snprintf(error, sizeof(error), "block (%u,%u,%u) thread (%u,%u,%u): %s", block_idx.x,
                  block_idx.y, block_idx.z, t.x, t.y, t.z, text);
  }
  failed = true;
  switch_to(&host);
  std::abort();  // nobody comes back to a failed block
}

void* shared_slot(const void* key, size_t bytes, size_t alignment, const char* name) {
  Unseen unseen;
  return shared.slot(key, bytes, alignment, name);
}

unsigned shared_offset(const void* address) { return shared.offset(address); }

void block_barrier(const char* file, int line) {
  arrive(barriers[0], 0, true, -1, 0, "__syncthreads", file, line);
}

int block_vote(Vote vote, int predicate, const char* file, int line) {
  return arrive(barriers[0], 0, true, static_cast<int>(vote), predicate, "__syncthreads", file,
                line);
}

void named_barrier(int id, int threads, bool wait, const char* file, int line) {
  if (id < 1 || id >= kNamedBarriers) fail("named barrier: id must be 1 to 15; got %d", id);
  if (threads <= 0 || threads % 32 || threads > threads_in_block)
    fail("named barrier: threads must be a multiple of 32 within the block; got %d", threads);
  arrive(barriers[id], threads, wait, -1, 0, "named barrier", file, line);
}

void spin(const char* what) {
  if (progress != progress_at_spin) {
    progress_at_spin = progress;
    spins = 0;
  }
  if (++spins > kSpinLimit) fail("livelock: no progress while threads spin in %s", what);
  ready.push_back(self());
  run_next();
}

void atomic_step() {
  Fiber* me = self();
  if (me == nullptr || ++me->atomics % kAtomicsBeforeYield) return;
  Unseen unseen;
  spin("an atomic loop");
}

void fence() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

void collective(unsigned mask, const char* operation, const void* in, size_t in_bytes,
                Combine combine, void* out, size_t out_bytes, const char* file, int line) {
  Unseen unseen;
  unsigned parity;
  Collective& c = meet(mask, operation, in, in_bytes, combine, &parity, file, line);
  if (out_bytes) std::memcpy(out, c.out[parity].lane[self()->lane], out_bytes);
}

void exchange(unsigned mask, const char* operation, const void* in, size_t bytes, void* all,
              const char* file, int line) {
  Unseen unseen;
  unsigned parity;
  Collective& c = meet(mask, operation, in, bytes, nullptr, &parity, file, line);
  for (int lane = 0; lane < 32; ++lane)
    std::memcpy(static_cast<unsigned char*>(all) + lane * bytes, c.in[parity].lane[lane], bytes);
}

void shuffle_bytes(Shuffle kind, unsigned mask, void* value, size_t bytes, int argument, int width,
                   const char* file, int line) {
  static const char* const kNames[] = {"__shfl_sync", "__shfl_up_sync", "__shfl_down_sync",
                                       "__shfl_xor_sync"};
  Unseen unseen;
  unsigned parity;
  const char* name = kNames[static_cast<int>(kind)];
  Collective& c = meet(mask, name, value, bytes, nullptr, &parity, file, line);
  const int lane = static_cast<int>(self()->lane);
  const int base = lane & ~(width - 1);
  int source = lane;
  switch (kind) {
    case Shuffle::kIndex: source = base + (argument & (width - 1)); break;
    case Shuffle::kUp: source = lane - argument < base ? lane : lane - argument; break;
    case Shuffle::kDown: source = lane + argument >= base + width ? lane : lane + argument; break;
    case Shuffle::kXor: source = (lane ^ argument) >= base + width ? lane : lane ^ argument; break;
  }
  const int existing = threads_in_block - static_cast<int>(self()->warp) * 32;
  if (!((mask >> source) & 1u) || source >= existing)
    fail("%s at %s:%d reads lane %d, which does not take part (mask %08x)", name, short_name(file),
         line, source, mask);
  std::memcpy(value, c.in[parity].lane[source], bytes);
}

unsigned ballot(unsigned mask, bool predicate, const char* file, int line) {
  Unseen unseen;
  unsigned parity;
  const unsigned char vote = predicate;
  Collective& c = meet(mask, "vote", &vote, 1, nullptr, &parity, file, line);
  unsigned result = 0;
  const int existing = std::min(32, threads_in_block - static_cast<int>(self()->warp) * 32);
  for (int lane = 0; lane < existing; ++lane)
    if (((mask >> lane) & 1u) && c.in[parity].lane[lane][0]) result |= 1u << lane;
  return result;
}

void sync_warp(const char* file, int line, unsigned mask) {
  Unseen unseen;
  unsigned parity;
  meet(mask, "__syncwarp", nullptr, 0, nullptr, &parity, file, line);
}

void copy_async(void* to, const void* from, int bytes, int source_bytes) {
  if (source_bytes < 0 || source_bytes > bytes)
    fail("cp.async: source size %d of %d bytes", source_bytes, bytes);
  const auto low_bits = static_cast<uintptr_t>(bytes - 1);
  if (reinterpret_cast<uintptr_t>(to) & low_bits)
    fail("cp.async: destination %p is not %d-byte aligned", to, bytes);
  if (source_bytes > 0 && (reinterpret_cast<uintptr_t>(from) & low_bits))
    fail("cp.async: source %p is not %d-byte aligned", from, bytes);
  if (!shared.contains(to)) fail("cp.async: destination %p is not in shared memory", to);
  const PendingCopy copy{to, from, bytes, source_bytes};
  if (settings.copies == kEarly || (settings.copies == kEither && (rng.next() & 1))) {
    land(copy);
    return;
  }
#ifdef GS_TSAN
  __tsan_read_range(const_cast<void*>(from), static_cast<unsigned long>(source_bytes));
  __tsan_write_range(to, static_cast<unsigned long>(bytes));
#endif
  Unseen unseen;
  self()->open_copies.push_back(copy);
}

void copy_async_commit() {
  Unseen unseen;
  Fiber* me = self();
  me->copy_groups.push_back(std::move(me->open_copies));
  me->open_copies.clear();
}

void copy_async_wait(int pending_groups) {
  auto& groups = self()->copy_groups;
  const size_t keep = static_cast<size_t>(pending_groups);
  const size_t done = groups.size() > keep ? groups.size() - keep : 0;
  for (size_t i = 0; i < done; ++i)
    for (const PendingCopy& copy : groups[i]) land(copy);
  Unseen unseen;
  groups.erase(groups.begin(), groups.begin() + static_cast<ptrdiff_t>(done));
}

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
  while (static_cast<int>(fibers.size()) < threads_in_block)
    fibers.push_back(std::make_unique<Fiber>());
  if (!stacks.reserve(threads_in_block)) {
    std::snprintf(error, sizeof(error), "out of memory for the threads' stacks");
    return 1;
  }
  current = &host;
#ifdef GS_TSAN
  host.tsan_fiber = __tsan_get_current_fiber();
#endif
  tsan_release(&launch_tag);
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
    ok = run_block(config.shared_bytes);
  }
  tsan_acquire(&done_tag);
  shared.end_launch();
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
