// What AddressSanitizer may see touched of memory that is handed out again and again.
//
// The allocator's blocks and a thread's scratch are longer than what is asked for, and stay allocated once they are
// given back: without this an access beyond an array, or to one that has been released, would go unseen.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
// Of a block of `size` bytes the first `bytes` may be touched, the others not.
#define GS_EXPOSE(memory, bytes, size)            \
  (ASAN_UNPOISON_MEMORY_REGION((memory), (size)), \
   ASAN_POISON_MEMORY_REGION(static_cast<char*>(memory) + (bytes), (size) - (bytes)))
#else
#define GS_EXPOSE(memory, bytes, size) ((void)0)
#endif
