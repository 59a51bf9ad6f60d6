// Each function of ptx.cuh on fragments that the test lays out lane by lane.
#include "common.cuh"
#include "ptx.cuh"

struct Tf32 {
  static __device__ void run(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    ptx::mma_m16n8k8_tf32(d, a, b);
  }
};
struct Bf16 {
  static __device__ void run(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    ptx::mma_m16n8k16_bf16(d, a, b);
  }
};
struct F16 {
  static __device__ void run(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    ptx::mma_m16n8k16_f16(d, a, b);
  }
};

// a, b, d: [lane][register]
template <class Type>
__global__ void mma(const unsigned* a, const unsigned* b, float* d) {
  const int lane = threadIdx.x;
  unsigned fragment_a[4], fragment_b[2];
  float fragment_d[4];
  for (int i = 0; i < 4; ++i) fragment_a[i] = a[lane * 4 + i];
  for (int i = 0; i < 2; ++i) fragment_b[i] = b[lane * 2 + i];
  for (int i = 0; i < 4; ++i) fragment_d[i] = d[lane * 4 + i];
  Type::run(fragment_d, fragment_a, fragment_b);
  for (int i = 0; i < 4; ++i) d[lane * 4 + i] = fragment_d[i];
}

// x: 32 rows of 8 16-bit values (4 matrices of 8 rows); out[lane][matrix]
template <bool kTransposed>
__global__ void ldmatrix(const unsigned short* x, unsigned* out) {
  GS_SHARED(unsigned short[32 * 8], rows);
  for (int i = 0; i < 8; ++i) rows[threadIdx.x * 8 + i] = x[threadIdx.x * 8 + i];
  __syncthreads();
  unsigned r[4];
  if constexpr (kTransposed) {
    ptx::ldmatrix_x4_trans(r, rows + threadIdx.x * 8);
  } else {
    ptx::ldmatrix_x4(r, rows + threadIdx.x * 8);
  }
  for (int i = 0; i < 4; ++i) out[threadIdx.x * 4 + i] = r[i];
}

__global__ void round_tf32(const float* x, float* y, int n) {
  const int i = threadIdx.x;
  if (i < n) y[i] = __uint_as_float(ptx::f32_to_tf32(x[i]));
}

// y[lane * 4 ...] gets `bytes[lane]` bytes of x, the rest of 16 zeros.
__global__ void copy_zero_fill(const float* x, const int* bytes, float* y) {
  GS_SHARED(float[32 * 4], tile);
  const int lane = threadIdx.x;
  ptx::cp_async<16>(tile + 4 * lane, x + 4 * lane, bytes[lane]);
  ptx::cp_async_commit();
  ptx::cp_async_wait<0>();
  for (int i = 0; i < 4; ++i) y[4 * lane + i] = tile[4 * lane + i];
}
