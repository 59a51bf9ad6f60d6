// The products of Winograd's planes: [filters x channels] with [channels x tiles].
//
// Method     a register tile of filters by vectors of tiles; what the next step reads is fetched to L2 with
//            the multiply-adds, which leave the ports of loads half idle.
// Cache      a panel of filters in L1; a plane's tiles in L2.
// Accuracy   an output is one chain through the channels of a call, added to what is there.
#pragma once

#include "conv_winograd_points.h"
#include "gemm.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// The register tile: rows are filters, and kGroup of them lie side by side, in whole vectors.
#if defined(__AVX512F__) || defined(__aarch64__)
constexpr int kFilters = 8;
#else
constexpr int kFilters = 4;
#endif
constexpr int kVectors = 3;
constexpr int kGroup = L > kFilters ? L : kFilters;
constexpr int kPrefetch = 1024;  // elements ahead in the filters
constexpr int kRowsAhead = 16;   // channels ahead in the patches

// What is read after the products: rows of memory that are fetched to L2 meanwhile, one with each product.
struct Ahead {
  struct Part {
    const float* at;
    int64_t rows, length, stride;  // in elements
  };
  static constexpr int kParts = 16;
  Part part[kParts];
  int parts = 0, now = 0;
  int64_t row = 0;

  void add(const float* at, int64_t rows, int64_t length, int64_t stride) {
    if (parts < kParts && rows > 0 && length > 0) part[parts++] = {at, rows, length, stride};
  }
  bool take(const float** at, int64_t* length) {
    if (now == parts) return false;
    const Part& of = part[now];
    *at = of.at + row * of.stride;
    *length = of.length;
    if (++row == of.rows) ++now, row = 0;
    return true;
  }
};

// c[i][t] (+)= sum_k a[k * kGroup + i] * b[k * pitch + t] for R filters and NV vectors; what is at `next`
// is fetched to L2, `ahead` elements a step.
template <int R, int NV>
__attribute__((noinline)) void product(int64_t depth, const float* a, const float* b, float* c,
                                       int64_t pitch, const float* next, int64_t ahead, bool add) {
  V sum[R][NV];
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) sum[i][j] = V{};
  }
#pragma GCC unroll 1
  for (int64_t k = 0; k < depth; ++k) {
    V right[NV];
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      right[j] = load(b + j * L);
      __builtin_prefetch(b + kRowsAhead * pitch + j * L);
    }
#pragma GCC unroll 16
    for (int i = 0; i < R; ++i) {
      const V left = splat(a[i]);
#pragma GCC unroll 4
      for (int j = 0; j < NV; ++j) sum[i][j] += left * right[j];
    }
    __builtin_prefetch(a + kPrefetch);
    __builtin_prefetch(next, 0, 2);
    next += ahead;
    a += kGroup;
    b += pitch;
  }
#pragma GCC unroll 16
  for (int i = 0; i < R; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < NV; ++j) {
      if (add) sum[i][j] += load(c + i * pitch + j * L);
      store(c + i * pitch + j * L, sum[i][j]);
    }
  }
}

// All products of one plane: filters [0, filters) of whole groups, `group_stride` apart, by `tiles`
// tiles. Those of the next plane, at `next`, are fetched meanwhile, and some of what `ahead` is.
void multiply(int64_t filters, int64_t depth, int64_t tiles, const float* a, int64_t group_stride,
              const float* b, float* c, int64_t pitch, const float* next, bool add, Ahead* ahead) {
  constexpr void (*const kProducts[])(int64_t, const float*, const float*, float*, int64_t,
                                      const float*, int64_t, bool) = {
      product<kFilters, 1>, product<kFilters, 2>, product<kFilters, 3>};
  const int64_t vectors = ceil_div(tiles, L), part = even_part(vectors, kVectors);
  int64_t left = pitch / L;  // products that fetch the next plane
  for (int64_t k = 0, rows; k < filters; k += rows) {
    const float* panel = a + k / kGroup * group_stride + k % kGroup;
    // One vector's loads take longer than its multiply-adds: fewer of them with more filters.
    const bool wide = vectors == 1 && kGroup >= 2 * kFilters && k + 2 * kFilters <= filters;
    rows = wide ? 2 * kFilters : kFilters;
    for (int64_t v = 0; v < vectors; v += part) {
      const int64_t n = min(part, vectors - v);
      const float* from = next;
      int64_t step = L, length;
      if (left > 0) {
        --left;
        next += depth * L;
      } else if (ahead->take(&from, &length)) {
        step = ceil_div(length, depth);
      } else {
        from = b;
      }
      (wide ? product<2 * kFilters, 1> : kProducts[n - 1])(
          depth, panel, b + v * L, c + k * pitch + v * L, pitch, from, step, add);
    }
  }
}

}  // namespace
}  // namespace GS_ISA
}  // namespace gradsmith
