// The emulator's runtime: threads of a block as fibers, barriers, warp collectives, asynchronous
// copies, shared memory. A kernel's .cu file sees it through cuda_language.h.
//
// One block runs at a time; its threads are fibers that run until they wait (a barrier, a warp
// function, a spin). The schedule decides who runs next, so that one kernel can be seen under
// several interleavings: see `Schedule` in block.h.
#pragma once

#include <cstddef>
#include <cstdint>
#include <type_traits>
#include <utility>

// uint3 and dim3 are defined in cuda_language.h, which includes this file.

namespace gs_emulator {

#pragma GCC visibility push(default)  // the interface of the runtime's library

// What a kernel sees of the thread that runs now.
struct Thread {
  uint3 thread_idx;
  unsigned linear, lane, warp;
};
extern Thread* current;
extern uint3 block_idx;
extern dim3 block_dim, grid_dim;
extern unsigned char* dynamic_shared;

// ---- errors: name block and thread, end the launch ---------------------------------------------

[[noreturn]] void fail(const char* format, ...) __attribute__((format(printf, 1, 2)));

// ---- shared memory -----------------------------------------------------------------------------

// The block's static shared array of one declaration (`key` is unique to it), NaN-poisoned.
void* shared_slot(const void* key, size_t bytes, size_t alignment, const char* name);

// Offset of an address within shared memory, as a 32-bit shared address would be.
unsigned shared_offset(const void* address);

// ---- barriers ----------------------------------------------------------------------------------

enum class Vote { kAny, kAll, kCount };
void block_barrier(const char* file, int line);
int block_vote(Vote vote, int predicate, const char* file, int line);

// bar.sync / bar.arrive of barrier `id` (1..15) among `threads` threads.
void named_barrier(int id, int threads, bool wait, const char* file, int line);

// Let the others run: inside a loop that waits for another thread.
void spin(const char* what);
// Counts an atomic operation; now and then lets the others run, so that spin locks make progress.
void atomic_step();
void fence();

// ---- warp collectives --------------------------------------------------------------------------

constexpr int kSlotBytes = 64;
// What the lanes of a collective hand in and get back: one slot a lane.
struct Slots {
  alignas(16) unsigned char lane[32][kSlotBytes];
};
using Combine = void (*)(const Slots& in, Slots& out);

// Waits until every lane of `mask` has called with the same `operation`, then `combine` computes
// the results once (null: each lane gets all inputs, to pick from with collective_input).
void collective(unsigned mask, const char* operation, const void* in, size_t in_bytes,
                Combine combine, void* out, size_t out_bytes, const char* file, int line);

// The same, but hands back what every lane gave: `all` gets 32 values of `bytes` bytes.
void exchange(unsigned mask, const char* operation, const void* in, size_t bytes, void* all,
              const char* file, int line);

enum class Shuffle { kIndex, kUp, kDown, kXor };
void shuffle_bytes(Shuffle kind, unsigned mask, void* value, size_t bytes, int argument, int width,
                   const char* file, int line);
unsigned ballot(unsigned mask, bool predicate, const char* file, int line);
void sync_warp(const char* file, int line, unsigned mask = 0xffffffffu);

// ---- asynchronous copies (cp.async) ------------------------------------------------------------

void copy_async(void* to, const void* from, int bytes, int source_bytes);
void copy_async_commit();
void copy_async_wait(int pending_groups);

// ---- launch ------------------------------------------------------------------------------------

using Body = void (*)(void** arguments);

// What Python hands to a kernel library's entry; 64-bit so that no count is cut.
struct LaunchConfig {
  uint64_t grid[3], block[3], shared_bytes;
};
int run(Body body, void** arguments, const LaunchConfig& config);

#pragma GCC visibility pop

template <class T>
inline T shuffle(Shuffle kind, unsigned mask, T value, int argument, const char* file, int line,
                 int width = 32) {
  static_assert(std::is_trivially_copyable<T>::value && sizeof(T) <= 8, "shuffle moves scalars");
  shuffle_bytes(kind, mask, &value, sizeof(T), argument, width, file, line);
  return value;
}

// ---- a kernel's C++ signature, for checking arguments ------------------------------------------

// One letter a type, as Python's struct module names them; 'v' is anything else.
template <class T>
constexpr char scalar_code() {
  using U = std::remove_cv_t<T>;
  if (std::is_same<U, bool>::value) return '?';
  if (std::is_same<U, float>::value) return 'f';
  if (std::is_same<U, double>::value) return 'd';
  if (std::is_integral<U>::value) {
    constexpr bool kSigned = std::is_signed<U>::value;
    switch (sizeof(U)) {
      case 1: return kSigned ? 'b' : 'B';
      case 2: return kSigned ? 'h' : 'H';
      case 4: return kSigned ? 'i' : 'I';
      default: return kSigned ? 'q' : 'Q';
    }
  }
  return 'v';
}

struct Parameter {
  char code;     // 'P' for a pointer, 'S' for a struct by value, else the scalar's code
  char pointee;  // code of what a pointer points to
  uint32_t bytes;
  const char* text;  // the compiler's spelling of a function whose template argument is the type
};

template <class T>
constexpr Parameter parameter() {
  using U = std::remove_cv_t<std::remove_pointer_t<T>>;
  char code = scalar_code<T>();
  char pointee = 0;
  if constexpr (std::is_pointer<T>::value) {
    code = 'P';
    if constexpr (!std::is_void<U>::value) pointee = scalar_code<U>();
  } else if (code == 'v') {
    code = 'S';
  }
  return {code, pointee, sizeof(T), __PRETTY_FUNCTION__};
}

template <auto kernel>
struct Kernel;

template <class... Args, void (*kernel)(Args...)>
struct Kernel<kernel> {
  static constexpr size_t kCount = sizeof...(Args);

  static void body(void** arguments) { call(arguments, std::index_sequence_for<Args...>{}); }

  static constexpr Parameter kParameters[kCount + 1] = {parameter<std::decay_t<Args>>()..., {}};

 private:
  template <size_t... I>
  static void call([[maybe_unused]] void** arguments, std::index_sequence<I...>) {
    kernel(*static_cast<std::decay_t<Args>*>(arguments[I])...);
  }
};

// One kernel of a library, as Python looks it up.
struct Entry {
  Body body;
  const Parameter* parameters;
  uint64_t count;
};

template <auto kernel>
constexpr Entry entry() {
  return {Kernel<kernel>::body, Kernel<kernel>::kParameters, Kernel<kernel>::kCount};
}

}  // namespace gs_emulator
