// Which ISA's kernels run: one table of function pointers an ISA, chosen at load time.
#include "dispatch.h"

namespace gradsmith {

#define GS_DECLARE(isa)                               \
  GS_DECLARE_ISA(isa)                                 \
  namespace isa {                                     \
  double ceiling(const CeilingLoop&);                 \
  ConvAlgorithm conv_algorithm_of(const ConvShapes&); \
  }

#if defined(__x86_64__)
GS_DECLARE(v2)
#if !defined(GS_BASELINE_ONLY)
#if !defined(GS_WITHOUT_V3)
GS_DECLARE(v3)
#endif
GS_DECLARE(v4)
#endif
#else
GS_DECLARE(neon)
#endif

namespace {

// A kernel's entry in a table: from plain memory to its own Args.
template <class Args, Status (*kernel)(const Args&)>
Status call(const void* args) {
  return kernel(*static_cast<const Args*>(args));
}

#if defined(__x86_64__)
#define GS_ENTRY(name, Args) call<Args, v2::name>,
constexpr Kernel kV2[] = {GS_KERNELS(GS_ENTRY)};
#undef GS_ENTRY
#if defined(GS_BASELINE_ONLY)
constexpr Isa kIsas[] = {{"v2", kV2, v2::ceiling, v2::conv_algorithm_of}};
#else
#if !defined(GS_WITHOUT_V3)
#define GS_ENTRY(name, Args) call<Args, v3::name>,
constexpr Kernel kV3[] = {GS_KERNELS(GS_ENTRY)};
#undef GS_ENTRY
#endif
#define GS_ENTRY(name, Args) call<Args, v4::name>,
constexpr Kernel kV4[] = {GS_KERNELS(GS_ENTRY)};
#undef GS_ENTRY
constexpr Isa kIsas[] = {{"v2", kV2, v2::ceiling, v2::conv_algorithm_of},
#if !defined(GS_WITHOUT_V3)
                         {"v3", kV3, v3::ceiling, v3::conv_algorithm_of},
#endif
                         {"v4", kV4, v4::ceiling, v4::conv_algorithm_of}};
#endif
#else
#define GS_ENTRY(name, Args) call<Args, neon::name>,
constexpr Kernel kNeon[] = {GS_KERNELS(GS_ENTRY)};
#undef GS_ENTRY
constexpr Isa kIsas[] = {{"neon", kNeon, neon::ceiling, neon::conv_algorithm_of}};
#endif

}  // namespace

int isa_count() {
#if defined(__x86_64__) && !defined(GS_BASELINE_ONLY)
  constexpr int kCount = sizeof(kIsas) / sizeof(kIsas[0]);
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("ssse3") || !__builtin_cpu_supports("sse4.2") ||
      !__builtin_cpu_supports("popcnt")) {
    return 0;
  }
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("bmi") || !__builtin_cpu_supports("bmi2")) {
    return 1;
  }
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512cd") || !__builtin_cpu_supports("avx512dq") ||
      !__builtin_cpu_supports("avx512vl")) {
    return kCount - 1;
  }
  return kCount;
#else
  return 1;
#endif
}

const Isa& isa(int index) { return kIsas[index]; }

}  // namespace gradsmith
