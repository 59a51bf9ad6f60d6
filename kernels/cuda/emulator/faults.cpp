// Errors of a kernel: fail(), and the signals that become one.
#include "faults.h"

#include <dlfcn.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdarg>
#include <cstdio>
#include <cstdlib>

#include "block.h"
#include "shared_memory.h"

#ifndef sigev_notify_thread_id  // glibc has the field, but older ones no name for it
#define sigev_notify_thread_id _sigev_un._tid
#endif

namespace gs_emulator {

bool failed = false;
char error[1024];

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

#ifdef GS_TSAN  // which has handlers of its own

Watch::Watch() {}
Watch::~Watch() {}

#else

namespace {

constexpr size_t kAlternateStack = 64 << 10;

int tick_signal() { return SIGRTMIN + 7; }

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
  if (is_stack_guard(info->si_addr)) fail("stack overflow (local arrays above 60 KiB?)");
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

}  // namespace

Watch::Watch() {
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
  event.sigev_notify_thread_id = static_cast<pid_t>(syscall(SYS_gettid));
  timed_ = settings.timeout_seconds > 0 && timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
  if (timed_) {
    itimerspec every{};
    every.it_value.tv_sec = every.it_interval.tv_sec = settings.timeout_seconds;
    timer_settime(timer_, 0, &every, nullptr);
  }
}

Watch::~Watch() {
  if (timed_) timer_delete(timer_);
  sigaction(tick_signal(), &old_tick_, nullptr);
  sigaction(SIGTRAP, &old_trap_, nullptr);
  sigaction(SIGILL, &old_ill_, nullptr);
  sigaction(SIGBUS, &old_bus_, nullptr);
  sigaction(SIGSEGV, &old_segv_, nullptr);
  if (old_stack_.ss_sp == nullptr) old_stack_.ss_flags = SS_DISABLE;
  sigaltstack(&old_stack_, nullptr);
}

#endif

}  // namespace gs_emulator
