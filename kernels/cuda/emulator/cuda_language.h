// The part of the CUDA language that the kernels use, for g++: types, qualifiers, built-in
// variables, warp functions, atomics and intrinsics. Included before every .cu file that the
// emulator builds.
//
// What the emulator shows: results, index errors, races (ThreadSanitizer), divergence, deadlocks.
// What it cannot show: fences and weak memory, true asynchronous timing, bank conflicts,
// coalescing, occupancy, bit-exact tensor-core sums, approximate intrinsics (they are exact here),
// descriptor encodings, and speed.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <type_traits>

#define GS_EMULATOR 1

// ---- types -----------------------------------------------------------------------------------

struct uint3 {
  unsigned x, y, z;
};
struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

#define GS_VECTOR_TYPES(T, name)                                                     \
  struct alignas(2 * sizeof(T)) name##2 { T x, y; };                                 \
  struct name##3 { T x, y, z; };                                                     \
  struct alignas(4 * sizeof(T) < 16 ? 4 * sizeof(T) : 16) name##4 { T x, y, z, w; }; \
  inline name##2 make_##name##2(T x, T y) { return {x, y}; }                         \
  inline name##3 make_##name##3(T x, T y, T z) { return {x, y, z}; }                 \
  inline name##4 make_##name##4(T x, T y, T z, T w) { return {x, y, z, w}; }
GS_VECTOR_TYPES(float, float)
GS_VECTOR_TYPES(double, double)
GS_VECTOR_TYPES(int, int)
#undef GS_VECTOR_TYPES
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }

// ---- qualifiers and built-in variables ---------------------------------------------------------

#define __global__
#define __device__
#define __host__
#define __constant__ static const
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __launch_bounds__(...)
#define __grid_constant__
#define __align__(n) alignas(n)
#define __restrict__ __restrict

#include "runtime.h"

#define threadIdx (gs_emulator::current->thread_idx)
#define blockIdx (gs_emulator::block_idx)
#define blockDim (gs_emulator::block_dim)
#define gridDim (gs_emulator::grid_dim)
#define warpSize 32

// ---- shared memory -----------------------------------------------------------------------------

// A static shared array: one slot of the block's arena for each declaration.
#define GS_SHARED(T, name)                 \
  static char name##_slot;                 \
  using name##_type = T;                   \
  auto& name = *static_cast<name##_type*>( \
      gs_emulator::shared_slot(&name##_slot, sizeof(name##_type), alignof(name##_type), #name))

#define GS_DYN_SMEM(T, name) T* const name = reinterpret_cast<T*>(gs_emulator::dynamic_shared)

// ---- barriers and warp functions ---------------------------------------------------------------

#define __syncthreads() gs_emulator::block_barrier(__FILE__, __LINE__)
#define __syncthreads_or(p) \
  gs_emulator::block_vote(gs_emulator::Vote::kAny, (p), __FILE__, __LINE__)
#define __syncthreads_and(p) \
  gs_emulator::block_vote(gs_emulator::Vote::kAll, (p), __FILE__, __LINE__)
#define __syncthreads_count(p) \
  gs_emulator::block_vote(gs_emulator::Vote::kCount, (p), __FILE__, __LINE__)
#define __syncwarp(...) gs_emulator::sync_warp(__FILE__, __LINE__, ##__VA_ARGS__)
#define __shfl_sync(mask, v, lane, ...)                                       \
  gs_emulator::shuffle(gs_emulator::Shuffle::kIndex, mask, v, lane, __FILE__, \
                       __LINE__, ##__VA_ARGS__)
#define __shfl_up_sync(mask, v, delta, ...) \
  gs_emulator::shuffle(gs_emulator::Shuffle::kUp, mask, v, delta, __FILE__, __LINE__, ##__VA_ARGS__)
#define __shfl_down_sync(mask, v, delta, ...)                                 \
  gs_emulator::shuffle(gs_emulator::Shuffle::kDown, mask, v, delta, __FILE__, \
                       __LINE__, ##__VA_ARGS__)
#define __shfl_xor_sync(mask, v, lanes, ...)                                 \
  gs_emulator::shuffle(gs_emulator::Shuffle::kXor, mask, v, lanes, __FILE__, \
                       __LINE__, ##__VA_ARGS__)
#define __ballot_sync(mask, p) gs_emulator::ballot(mask, (p) != 0, __FILE__, __LINE__)
#define __any_sync(mask, p) (gs_emulator::ballot(mask, (p) != 0, __FILE__, __LINE__) != 0)
#define __all_sync(mask, p) (gs_emulator::ballot(mask, (p) == 0, __FILE__, __LINE__) == 0)
inline unsigned __activemask() { return ~0u; }
inline void __threadfence() { gs_emulator::fence(); }
inline void __threadfence_block() { gs_emulator::fence(); }
inline void __nanosleep(unsigned) { gs_emulator::spin("__nanosleep"); }
#define __trap() gs_emulator::fail("trap at %s:%d", __FILE__, __LINE__)
#undef assert
#define assert(condition) \
  ((condition) ? (void)0  \
               : gs_emulator::fail("assertion %s at %s:%d", #condition, __FILE__, __LINE__))

// ---- atomics: real ones, so that ThreadSanitizer knows them ------------------------------------

namespace gs_emulator {

// Apply `update` to *address in one atomic step and return the value before.
template <class T, class F>
inline T atomic_update(T* address, F update) {
  static_assert(sizeof(T) == 4 || sizeof(T) == 8, "atomics are 32 or 64 bits wide");
  using Bits = std::conditional_t<sizeof(T) == 4, uint32_t, uint64_t>;
  Bits* bits = reinterpret_cast<Bits*>(address);
  atomic_step();
  Bits before = __atomic_load_n(bits, __ATOMIC_RELAXED);
  for (;;) {
    T old_value, new_value;
    std::memcpy(&old_value, &before, sizeof(T));
    new_value = update(old_value);
    Bits after;
    std::memcpy(&after, &new_value, sizeof(T));
    if (__atomic_compare_exchange_n(bits, &before, after, false, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED)) {
      return old_value;
    }
  }
}

}  // namespace gs_emulator

#define GS_ATOMIC(name, T, expression)                                                          \
  inline T name(T* address, T v) {                                                              \
    return gs_emulator::atomic_update(address,                                                  \
                                      [=]([[maybe_unused]] T old) -> T { return expression; }); \
  }
GS_ATOMIC(atomicAdd, float, old + v)
GS_ATOMIC(atomicAdd, double, old + v)
#define GS_INTEGER_ATOMICS(T)                                                                 \
  GS_ATOMIC(atomicAdd, T, old + v)                                                            \
  GS_ATOMIC(atomicMax, T, old > v ? old : v)                                                  \
  GS_ATOMIC(atomicMin, T, old < v ? old : v)                                                  \
  GS_ATOMIC(atomicOr, T, old | v)                                                             \
  GS_ATOMIC(atomicAnd, T, old& v)                                                             \
  GS_ATOMIC(atomicExch, T, v)                                                                 \
  inline T atomicCAS(T* address, T expected, T v) {                                           \
    return gs_emulator::atomic_update(address,                                                \
                                      [=](T old) -> T { return old == expected ? v : old; }); \
  }
GS_INTEGER_ATOMICS(int)
GS_INTEGER_ATOMICS(unsigned)
GS_INTEGER_ATOMICS(long long)
GS_INTEGER_ATOMICS(unsigned long long)
#undef GS_INTEGER_ATOMICS
#undef GS_ATOMIC

// ---- intrinsics --------------------------------------------------------------------------------

template <class T>
inline T __ldg(const T* address) {
  return *address;
}
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __frcp_rn(float x) { return 1.0f / x; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __fadd_rn(float a, float b) { return a + b; }
inline float __fmul_rn(float a, float b) {
  volatile float product = a * b;  // never contracted into a fused multiply-add
  return product;
}
inline double __dmul_rn(double a, double b) {
  volatile double product = a * b;
  return product;
}
inline double __dadd_rn(double a, double b) { return a + b; }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / std::sqrt(x); }
inline void sincospif(float x, float* s, float* c) {
  const double angle = 3.14159265358979323846 * std::remainder(static_cast<double>(x), 2.0);
  *s = static_cast<float>(std::sin(angle));
  *c = static_cast<float>(std::cos(angle));
}
inline void sincospi(double x, double* s, double* c) {
  const double angle = 3.14159265358979323846 * std::remainder(x, 2.0);
  *s = std::sin(angle);
  *c = std::cos(angle);
}
inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return x ? __builtin_clz(static_cast<unsigned>(x)) : 32; }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<uint64_t>(a) * b) >> 32);
}
inline unsigned long long __umul64hi(unsigned long long a, unsigned long long b) {
  return static_cast<unsigned long long>((static_cast<unsigned __int128>(a) * b) >> 64);
}

namespace gs_emulator {
template <class To, class From>
inline To bit_cast(From from) {
  static_assert(sizeof(To) == sizeof(From), "bit_cast needs equal sizes");
  To to;
  std::memcpy(&to, &from, sizeof(To));
  return to;
}
}  // namespace gs_emulator
inline unsigned __float_as_uint(float x) { return gs_emulator::bit_cast<unsigned>(x); }
inline float __uint_as_float(unsigned x) { return gs_emulator::bit_cast<float>(x); }
inline int __float_as_int(float x) { return gs_emulator::bit_cast<int>(x); }
inline float __int_as_float(int x) { return gs_emulator::bit_cast<float>(x); }
inline long long __double_as_longlong(double x) { return gs_emulator::bit_cast<long long>(x); }
inline double __longlong_as_double(long long x) { return gs_emulator::bit_cast<double>(x); }

// min and max as CUDA overloads them: mixed integer arguments take the wider, unsigned type; the
// floating forms prefer the number over a NaN.
template <class A, class B,
          class = std::enable_if_t<std::is_integral<A>::value && std::is_integral<B>::value>>
inline constexpr std::common_type_t<A, B> min(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) < static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b);
}
template <class A, class B,
          class = std::enable_if_t<std::is_integral<A>::value && std::is_integral<B>::value>>
inline constexpr std::common_type_t<A, B> max(A a, B b) {
  using T = std::common_type_t<A, B>;
  return static_cast<T>(a) > static_cast<T>(b) ? static_cast<T>(a) : static_cast<T>(b);
}
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }
using std::isfinite;
using std::isinf;
using std::isnan;

inline unsigned __cvta_generic_to_shared(const void* address) {
  return gs_emulator::shared_offset(address);
}
