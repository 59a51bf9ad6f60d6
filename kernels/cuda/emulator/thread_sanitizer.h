// What the runtime tells ThreadSanitizer: which accesses are its own, and what happens before what.
//
// Threads of a block are the sanitizer's fibers, ordered by barriers, collectives and the launch.
// Blocks of one launch are not ordered, so a race between blocks is found too. Making a fiber is
// slow, so blocks take turns in kPools sets of fibers, stacks and shared memory; a block is ordered
// only after the one that had its set before.
#pragma once

namespace gs_emulator {

#ifdef GS_TSAN

extern "C" {
void* __tsan_create_fiber(unsigned);
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

constexpr int kPools = 3;

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

inline void tsan_acquire(void* tag) { __tsan_acquire(tag); }
inline void tsan_release(void* tag) { __tsan_release(tag); }
inline void tsan_reads(const void* at, int bytes) {
  __tsan_read_range(const_cast<void*>(at), static_cast<unsigned long>(bytes));
}
inline void tsan_writes(void* at, int bytes) {
  __tsan_write_range(at, static_cast<unsigned long>(bytes));
}
inline void* tsan_new_fiber() { return __tsan_create_fiber(0); }
inline void* tsan_this_fiber() { return __tsan_get_current_fiber(); }
inline void tsan_switch(void* fiber) { __tsan_switch_to_fiber(fiber, 1 /* orders nothing */); }

#else

constexpr int kPools = 1;

class Unseen {
 public:
  Unseen() {}
  ~Unseen() {}
  Unseen(const Unseen&) = delete;
};
inline void tsan_acquire(void*) {}
inline void tsan_release(void*) {}
inline void tsan_reads(const void*, int) {}
inline void tsan_writes(void*, int) {}
inline void* tsan_new_fiber() { return nullptr; }
inline void* tsan_this_fiber() { return nullptr; }
inline void tsan_switch(void*) {}

#endif

}  // namespace gs_emulator
