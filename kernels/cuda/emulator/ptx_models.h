// Functional models of the functions in ptx.cuh, for the emulator. Sums are float32 in order of k:
// the hardware's order and rounding inside one instruction are not specified.
#pragma once

#ifndef GS_EMULATOR
#error "ptx_models.h is for the emulator"
#endif

namespace ptx {
namespace model {

struct Fragments {
  unsigned a[4];
  unsigned b[2];
  float c[4];
};

inline float from_tf32(unsigned bits) {
  return __uint_as_float(bits & 0xffffe000u);  // the hardware ignores the low 13 bits
}

inline float from_bf16(unsigned bits) { return __uint_as_float(bits << 16); }

inline float from_f16(unsigned bits) {
  const unsigned sign = (bits & 0x8000u) << 16;
  const unsigned exponent = (bits >> 10) & 0x1f, mantissa = bits & 0x3ff;
  if (exponent == 0x1f) return __uint_as_float(sign | 0x7f800000u | (mantissa << 13));
  if (exponent == 0) {  // zero or subnormal: mantissa * 2^-24
    const float magnitude = static_cast<float>(mantissa) * 5.9604644775390625e-8f;
    return sign ? -magnitude : magnitude;
  }
  return __uint_as_float(sign | ((exponent + 112) << 23) | (mantissa << 13));
}

// D = C + A(16xK) * B(Kx8), with C and D spread over the lanes as in ptx.cuh.
template <int K>
inline void multiply(const float (&a)[16][K], const float (&b)[K][8], const gs_emulator::Slots& in,
                     gs_emulator::Slots& out) {
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    Fragments fragments;
    std::memcpy(&fragments, in.lane[lane], sizeof(fragments));
    float d[4];
    for (int i = 0; i < 4; ++i) {
      const int row = g + 8 * (i / 2), column = 2 * t + i % 2;
      float sum = 0;
      for (int k = 0; k < K; ++k) sum += a[row][k] * b[k][column];
      d[i] = fragments.c[i] + sum;
    }
    std::memcpy(out.lane[lane], d, sizeof(d));
  }
}

inline void mma_tf32(const gs_emulator::Slots& in, gs_emulator::Slots& out) {
  float a[16][8], b[8][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    Fragments f;
    std::memcpy(&f, in.lane[lane], sizeof(f));
    for (int i = 0; i < 4; ++i) a[g + 8 * (i % 2)][t + 4 * (i / 2)] = from_tf32(f.a[i]);
    for (int i = 0; i < 2; ++i) b[t + 4 * i][g] = from_tf32(f.b[i]);
  }
  multiply<8>(a, b, in, out);
}

template <float (*from_16_bits)(unsigned)>
inline void mma_16_bit(const gs_emulator::Slots& in, gs_emulator::Slots& out) {
  float a[16][16], b[16][8];
  for (int lane = 0; lane < 32; ++lane) {
    const int g = lane / 4, t = lane % 4;
    Fragments f;
    std::memcpy(&f, in.lane[lane], sizeof(f));
    for (int half = 0; half < 2; ++half) {
      const int shift = 16 * half;
      for (int i = 0; i < 4; ++i)
        a[g + 8 * (i % 2)][2 * t + half + 8 * (i / 2)] = from_16_bits((f.a[i] >> shift) & 0xffff);
      for (int i = 0; i < 2; ++i)
        b[2 * t + half + 8 * i][g] = from_16_bits((f.b[i] >> shift) & 0xffff);
    }
  }
  multiply<16>(a, b, in, out);
}

inline void mma(const char* name, gs_emulator::Combine combine, float (&d)[4],
                const unsigned (&a)[4], const unsigned (&b)[2]) {
  Fragments f;
  std::memcpy(f.a, a, sizeof(f.a));
  std::memcpy(f.b, b, sizeof(f.b));
  std::memcpy(f.c, d, sizeof(f.c));
  gs_emulator::collective(~0u, name, &f, sizeof(f), combine, d, sizeof(d), __FILE__, __LINE__);
}

inline void ldmatrix(const char* name, bool transposed, unsigned (&r)[4], const void* row) {
  if (reinterpret_cast<uintptr_t>(row) % 16)
    gs_emulator::fail("%s: row address %p is not 16-byte aligned", name, row);
  const uint16_t* rows[32];
  gs_emulator::exchange(~0u, name, &row, sizeof(row), rows, __FILE__, __LINE__);
  const int lane = static_cast<int>(gs_emulator::current->lane);
  for (int m = 0; m < 4; ++m) {
    r[m] = 0;
    for (int half = 0; half < 2; ++half) {
      const int i = lane / 4, j = 2 * (lane % 4) + half;
      const unsigned value = transposed ? rows[8 * m + j][i] : rows[8 * m + i][j];
      r[m] |= value << (16 * half);
    }
  }
}

}  // namespace model

inline unsigned shared_address(const void* p) { return gs_emulator::shared_offset(p); }

inline unsigned f32_to_tf32(float x) {
  unsigned bits = __float_as_uint(x);
  if ((bits & 0x7f800000u) != 0x7f800000u) bits = (bits + 0x1000u) & 0xffffe000u;
  return bits;
}

inline void mma_m16n8k8_tf32(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  model::mma("mma.m16n8k8.tf32", model::mma_tf32, d, a, b);
}
inline void mma_m16n8k16_bf16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  model::mma("mma.m16n8k16.bf16", model::mma_16_bit<model::from_bf16>, d, a, b);
}
inline void mma_m16n8k16_f16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
  model::mma("mma.m16n8k16.f16", model::mma_16_bit<model::from_f16>, d, a, b);
}
inline void ldmatrix_x4(unsigned (&r)[4], const void* row) {
  model::ldmatrix("ldmatrix", false, r, row);
}
inline void ldmatrix_x4_trans(unsigned (&r)[4], const void* row) {
  model::ldmatrix("ldmatrix.trans", true, r, row);
}

template <int kBytes>
inline void cp_async(void* to, const void* from, int source_bytes = kBytes) {
  static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16, "cp.async moves 4, 8 or 16 bytes");
  gs_emulator::copy_async(to, from, kBytes, source_bytes);
}
inline void cp_async_commit() { gs_emulator::copy_async_commit(); }
template <int kPending>
inline void cp_async_wait() {
  gs_emulator::copy_async_wait(kPending);
}

inline void bar_sync(int id, int threads) {
  gs_emulator::named_barrier(id, threads, true, "bar.sync", id);
}
inline void bar_arrive(int id, int threads) {
  gs_emulator::named_barrier(id, threads, false, "bar.arrive", id);
}

}  // namespace ptx
