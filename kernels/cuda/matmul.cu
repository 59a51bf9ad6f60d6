// matmul: y[.., m, n] = bias[n] + sum_k a[.., m, k] b[.., k, n]
//
// matmul_epilogue: the same with a residual added and an activation (epilogue.cuh) of each element, as
//           it is stored.
// matmul_add: y = alpha (a @ b) + beta c likewise; c broadcast by stride 0.
//
// Layout    a (.., M, K), b (.., K, N), any strides, batch dimensions broadcast by stride 0; bias
//           (N) or none; y (.., M, N) contiguous. A transposed operand costs no copy: threads walk
//           along whichever index is contiguous.
// Split     a block owns one tile of y; tiles of all batches are numbered in blockIdx.x.
// Memory    shared: two tiles (simt, gemm.cuh); STAGES tiles of both operands (tf32, dynamic).
// Cost      2 M N K FLOPs; reads a ceil(N / BLOCK_N) times and b ceil(M / BLOCK_M) times.
//
// matmul_simt (float32, float64): gemm.cuh; float rounding, one chain of K multiply-adds a result:
//   error at most K eps sum|a b|.
// matmul_tf32 (float32): tensor cores, mma.m16n8k8. Operands are rounded to tf32 (10 mantissa
//   bits), so the error is about 2^-10 sum|a b|; used only where tf32 is allowed. A ring of STAGES
//   tiles in dynamic shared memory is filled by cp.async; WARPS_M x WARPS_N warps own equal parts
//   of the tile.
// Limits    16 dimensions; M, N, K and strides of 63 bits.
// Source    NVIDIA, "CUTLASS: Efficient GEMM in CUDA"; PTX ISA, mma.m16n8k8.
#include "common.cuh"
#include "epilogue.cuh"
#include "gemm.cuh"
#include "ptx.cuh"

using gs::int64;

struct MatmulShape {
  int64 M, N, K;
  int64 a_row, a_column, b_row, b_column;  // strides in elements
  int64 tiles_m, tiles_n;
};

// What a kernel with kEpilogue does to a sum: f(alpha sum + beta c). Factors of integers are whole.
struct MatmulEnding {
  int64 c_row, c_column;  // strides in elements
  double alpha, beta;
  int64 activation;
};

namespace {

// Element (outer, inner) at outer * outer_stride + inner * inner_stride.
template <class T, bool kInner>
struct StridedMatrix {
  static constexpr bool kInnerFast = kInner;
  using Outer = int64;  // offsets; -1 out of range
  using Inner = int64;

  const T* data;
  int64 outer_count, outer_stride, inner_stride;

  __device__ __forceinline__ Outer outer(int64 i) const { return i < outer_count ? i : -1; }
  __device__ __forceinline__ Inner inner(int64 k) const { return k; }
  __device__ __forceinline__ T load(Outer i, Inner k) const {
    return i >= 0 && k >= 0 ? data[i * outer_stride + k * inner_stride] : T(0);
  }
};

template <class T, bool kEpilogue>
struct StoreRows {
  T* y;
  const T* bias;
  int64 N;
  const T* c;  // of this batch, or none
  MatmulEnding ending;
  __device__ __forceinline__ int64 column(int64 n) const { return n; }
  __device__ __forceinline__ void operator()(int64 m, int64 n, T value) const {
    if (bias) value += bias[n];
    if constexpr (kEpilogue) {
      value *= static_cast<T>(ending.alpha);
      if (c) value += static_cast<T>(ending.beta) * c[m * ending.c_row + n * ending.c_column];
      if constexpr (T(0.5) != T(0)) value = gs::activated(value, ending.activation);
    }
    y[m * N + n] = value;
  }
};

// Which tile of which batch this block owns.
struct Place {
  int64 batch, m, n;
  __device__ explicit Place(const MatmulShape& shape) {
    const int64 tile = blockIdx.x;
    n = tile % shape.tiles_n;
    const int64 rest = tile / shape.tiles_n;
    m = rest % shape.tiles_m;
    batch = rest / shape.tiles_m;
  }
};

}  // namespace

template <class T, class Tile, bool kAInnerFast, bool kBInnerFast, bool kEpilogue = false>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    matmul_simt(const T* __restrict__ a, const T* __restrict__ b, const T* __restrict__ bias,
                const T* __restrict__ c, T* __restrict__ y, MatmulShape shape,
                gs::StridedLoop<3> batches, MatmulEnding ending) {
  const Place place(shape);
  int64 offset[3];
  gs::locate(batches, place.batch, offset);
  const StridedMatrix<T, kAInnerFast> in_a{a + offset[0], shape.M, shape.a_row, shape.a_column};
  const StridedMatrix<T, kBInnerFast> in_b{b + offset[1], shape.N, shape.b_column, shape.b_row};
  const int64 first = place.batch * shape.M * shape.N;
  const StoreRows<T, kEpilogue> store{y + first, bias, shape.N, c ? c + offset[2] : nullptr,
                                      ending};
  gs::multiply_tile<T, Tile>(in_a, in_b, store, shape.M, shape.N, place.m * Tile::BLOCK_M,
                             place.n * Tile::BLOCK_N, 0, shape.K);
}

// ---- tensor cores -------------------------------------------------------------------------------

template <int kM, int kN, int kK, int kStages, int kWarpsM, int kWarpsN>
struct TensorTile {
  static constexpr int BLOCK_M = kM;
  static constexpr int BLOCK_N = kN;
  static constexpr int BLOCK_K = kK;
  static constexpr int STAGES = kStages;
  static constexpr int WARPS_M = kWarpsM;
  static constexpr int WARPS_N = kWarpsN;
  static constexpr int kThreads = 32 * kWarpsM * kWarpsN;
  static constexpr int kBlocks = 1;
};

namespace {

// One operand's tile in shared memory: rows along its slow index. The padding spreads a fragment's
// reads over all banks: 4 where lanes step through rows by g and columns by t, 8 the other way.
template <int kOuter, int kInner, bool kInnerFast>
struct SharedTile {
  static constexpr int kRows = kInnerFast ? kOuter : kInner;
  static constexpr int kColumns = kInnerFast ? kInner : kOuter;
  static constexpr int kPitch = kColumns + (kInnerFast ? 4 : 8);
  static constexpr int kFloats = kRows * kPitch;

  static __device__ __forceinline__ int at(int outer, int inner) {
    return kInnerFast ? outer * kPitch + inner : inner * kPitch + outer;
  }

  // Issues the copies of (outer0.., k0..) in pieces of kBytes; what is out of range becomes zero.
  template <int kBytes, int kThreads>
  static __device__ __forceinline__ void load(float* tile, const float* data, int64 outer0,
                                              int64 k0, int64 outers, int64 inners,
                                              int64 outer_stride, int64 inner_stride) {
    constexpr int kPiece = kBytes / 4;
    constexpr int kPieces = kRows * kColumns / kPiece;
#pragma unroll
    for (int i = static_cast<int>(threadIdx.x); i < kPieces; i += kThreads) {
      const int row = i / (kColumns / kPiece), column = i % (kColumns / kPiece) * kPiece;
      const int64 outer = outer0 + (kInnerFast ? row : column);
      const int64 inner = k0 + (kInnerFast ? column : row);
      const int64 left = kInnerFast ? inners - inner : outers - outer;  // along the piece
      const bool inside = outer < outers && inner < inners;
      const int bytes = !inside ? 0 : left < kPiece ? static_cast<int>(left) * 4 : kBytes;
      const float* from = inside ? data + outer * outer_stride + inner * inner_stride : data;
      ptx::cp_async<kBytes>(tile + row * kPitch + column, from, bytes);
    }
  }
};

}  // namespace

// kBytes: 16 where the fast index is contiguous and its rows begin on 16 bytes, else 4.
template <class Tile, bool kAInnerFast, bool kBInnerFast, int kBytes, bool kEpilogue = false>
__global__ void __launch_bounds__(Tile::kThreads, Tile::kBlocks)
    matmul_tf32(const float* __restrict__ a, const float* __restrict__ b,
                const float* __restrict__ bias, const float* __restrict__ c, float* __restrict__ y,
                MatmulShape shape, gs::StridedLoop<3> batches, MatmulEnding ending) {
  constexpr int BLOCK_K = Tile::BLOCK_K, STAGES = Tile::STAGES;
  constexpr int kWarpM = Tile::BLOCK_M / Tile::WARPS_M, kWarpN = Tile::BLOCK_N / Tile::WARPS_N;
  constexpr int kTilesM = kWarpM / 16, kTilesN = kWarpN / 8;
  using TileA = SharedTile<Tile::BLOCK_M, BLOCK_K, kAInnerFast>;
  using TileB = SharedTile<Tile::BLOCK_N, BLOCK_K, kBInnerFast>;
  constexpr int kStageFloats = TileA::kFloats + TileB::kFloats;
  static_assert(kStageFloats % 4 == 0 && TileA::kFloats % 4 == 0, "tiles begin on 16 bytes");

  GS_DYN_SMEM(float, smem);
  const Place place(shape);
  int64 offset[3];
  gs::locate(batches, place.batch, offset);
  a += offset[0];
  b += offset[1];
  y += place.batch * shape.M * shape.N;
  if (c) c += offset[2];
  const int64 m0 = place.m * Tile::BLOCK_M, n0 = place.n * Tile::BLOCK_N;
  const int steps = static_cast<int>(gs::ceil_div(shape.K, static_cast<int64>(BLOCK_K)));

  const auto load = [&](int step) {
    if (step < steps) {
      float* stage = smem + step % STAGES * kStageFloats;
      const int64 k0 = static_cast<int64>(step) * BLOCK_K;
      TileA::template load<kBytes, Tile::kThreads>(stage, a, m0, k0, shape.M, shape.K, shape.a_row,
                                                   shape.a_column);
      TileB::template load<kBytes, Tile::kThreads>(stage + TileA::kFloats, b, n0, k0, shape.N,
                                                   shape.K, shape.b_column, shape.b_row);
    }
    ptx::cp_async_commit();  // empty at the end, so that the count of groups stays right
  };

  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int g = lane / 4, t = lane % 4;  // a fragment's group and place in it
  const int warp_m = warp / Tile::WARPS_N * kWarpM, warp_n = warp % Tile::WARPS_N * kWarpN;
  float sum[kTilesM][kTilesN][4] = {};

  for (int step = 0; step < STAGES - 1; ++step) load(step);
  for (int step = 0; step < steps; ++step) {
    ptx::cp_async_wait<STAGES - 2>();
    __syncthreads();  // this stage has landed, and all have left the one that is filled next
    load(step + STAGES - 1);
    const float* stage_a = smem + step % STAGES * kStageFloats;
    const float* stage_b = stage_a + TileA::kFloats;
#pragma unroll
    for (int k = 0; k < BLOCK_K; k += 8) {
      unsigned fragment_a[kTilesM][4], fragment_b[kTilesN][2];
#pragma unroll
      for (int i = 0; i < kTilesM; ++i) {
#pragma unroll
        for (int r = 0; r < 4; ++r) {
          const int m = warp_m + 16 * i + g + 8 * (r % 2);
          fragment_a[i][r] = ptx::f32_to_tf32(stage_a[TileA::at(m, k + t + 4 * (r / 2))]);
        }
      }
#pragma unroll
      for (int j = 0; j < kTilesN; ++j) {
#pragma unroll
        for (int r = 0; r < 2; ++r) {
          const int n = warp_n + 8 * j + g;
          fragment_b[j][r] = ptx::f32_to_tf32(stage_b[TileB::at(n, k + t + 4 * r)]);
        }
      }
#pragma unroll
      for (int i = 0; i < kTilesM; ++i) {
#pragma unroll
        for (int j = 0; j < kTilesN; ++j) {
          ptx::mma_m16n8k8_tf32(sum[i][j], fragment_a[i], fragment_b[j]);
        }
      }
    }
  }
  ptx::cp_async_wait<0>();

  const StoreRows<float, kEpilogue> store{y, bias, shape.N, c, ending};
#pragma unroll
  for (int i = 0; i < kTilesM; ++i) {
#pragma unroll
    for (int j = 0; j < kTilesN; ++j) {
#pragma unroll
      for (int r = 0; r < 4; ++r) {
        const int64 m = m0 + warp_m + 16 * i + g + 8 * (r / 2);
        const int64 n = n0 + warp_n + 8 * j + 2 * t + r % 2;
        if (m < shape.M && n < shape.N) store(m, n, sum[i][j][r]);
      }
    }
  }
}
