// Shared memory of the block that runs: poisoned, guarded, with canaries.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <vector>

#include "block.h"

namespace gs_emulator {

constexpr size_t kCanary = 64;  // poisoned bytes behind a shared array, checked at the end

inline unsigned char* map_with_guard(size_t bytes) {
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
  bool start_block(size_t dynamic_bytes, int pool) {
    slots_.clear();
    static_used_ = 0;
    dynamic_bytes_ = dynamic_bytes;
    Arenas& own = arenas_[pool];
    if (own.fixed == nullptr) own.fixed = map_with_guard(kStaticArena);
    if (own.dynamic == nullptr) own.dynamic = map_with_guard(kDynamicArena);
    static_ = own.fixed;
    arena_ = own.dynamic;
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
  struct Arenas {
    unsigned char *fixed = nullptr, *dynamic = nullptr;
  };
  Arenas arenas_[kPools];
  unsigned char* static_ = nullptr;
  unsigned char* arena_ = nullptr;
  size_t static_used_ = 0, dynamic_bytes_ = 0, padded_ = 0;
  std::vector<Slot> slots_;
};
extern SharedMemory shared;

}  // namespace gs_emulator
