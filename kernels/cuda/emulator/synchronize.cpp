// What threads of a block wait for: barriers, warp collectives, spins, asynchronous copies.
#include <algorithm>
#include <memory>
#include <vector>

#include "block.h"
#include "shared_memory.h"

namespace gs_emulator {
namespace {

constexpr int kNamedBarriers = 16;
constexpr long kSpinLimit = 200000;  // fruitless spins before a livelock is reported
constexpr long kAtomicsBeforeYield = 256;

long spins = 0, progress_at_spin = 0;

// ---- barriers ----

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

// ---- warp collectives ----

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

// ---- asynchronous copies ----

void land(const PendingCopy& copy) {
  tsan_writes(copy.to, copy.bytes);
  Unseen unseen;
  std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.source_bytes));
  std::memset(static_cast<unsigned char*>(copy.to) + copy.source_bytes, 0,
              static_cast<size_t>(copy.bytes - copy.source_bytes));
}

}  // namespace

void reset_synchronization(int threads) {
  spins = 0;
  std::memset(barriers, 0, sizeof(barriers));
  collectives.clear();
  collectives.resize(static_cast<size_t>((threads + 31) / 32));
}

void on_thread_exit() {
  Barrier& b = barriers[0];
  if (b.arrived > 0 && b.arrived >= live) open_barrier(b);
}

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
  make_ready(self());
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
  tsan_reads(from, source_bytes);
  tsan_writes(to, bytes);
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

}  // namespace gs_emulator
