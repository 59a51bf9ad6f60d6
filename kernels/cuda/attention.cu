// Attention: attention_fwd, and for its gradients attention_delta, attention_bwd_query,
// attention_bwd_key.
//
// Formula   P = softmax(scale query key^T + mask), y = dropout(P) value. The softmax is kept up while
//           going over the keys (the largest score m and the sum l of e^(s - m) so far). With log_sum = m
//           + log l and delta = sum of grad_y y: grad_value = P^T grad_y, grad_s = P (grad_y value^T -
//           delta) (the mask's gradient), grad_query = scale grad_s key, grad_key = scale grad_s^T
//           query. A row that sees no key gives zeros, log_sum = inf.
// Layout    operands with any strides; results and log_sum, delta contiguous, batch by batch.
// Split     a block owns kRows queries (attention_bwd_key: keys) of a batch and kWidth features of the
//           result; 8 neighbouring threads a row. Scores are made again in each, never stored.
// Memory    shared: four tiles of 32 x 33 values; a thread's results (kWidth / 8, twice that in
//           attention_bwd_key) in registers.
// Cost      forward 2 L S (E + V) FLOPs a batch, backward about 2 L S (5 E + 5 V); the block of scores
//           that the causal rule hides is left out.
// Accuracy  sums in T, one chain over the features for a score, one over the keys for a result; exp and
//           log as CUDA's library.
// Limits    none: wide features take several blocks.
// Source    Milakov and Gimelshein 2018; Dao et al. 2022, "FlashAttention".
#include "common.cuh"
#include "philox.cuh"

using gs::int64;
using gs::uint64;

constexpr int kRows = 32;  // rows and columns of a tile of scores
constexpr int kTeam = 8;   // threads of a row
constexpr int kEach = kRows / kTeam;
constexpr int kPitch = kRows + 1;
constexpr int kThreads = kRows * kTeam;

template <class T>
using Tile = T[kRows][kPitch];

__device__ __forceinline__ float exponential(float x) { return expf(x); }
__device__ __forceinline__ double exponential(double x) { return exp(x); }
__device__ __forceinline__ float logarithm(float x) { return logf(x); }
__device__ __forceinline__ double logarithm(double x) { return log(x); }

template <class T>
__device__ __forceinline__ T infinity() {
  return static_cast<T>(__int_as_float(0x7f800000));
}

struct Shape {
  int64 L, S, E, V;
  int64 query_row, query_column, key_row, key_column, value_row, value_column;
  int64 mask_row, mask_column;
  int64 tiles;         // of rows a block owns, in a batch
  int64 causal;        // 0 or 1
  double scale, kept;  // kept: 1 / (1 - p)
  int64 limit;         // of the words that keep a weight; 0: no dropout
  uint64 seed, offset;
};

// Rows of one batch's operand.
template <class T>
struct Rows {
  const T* data;
  int64 count, width, row, column;
  __device__ __forceinline__ T at(int64 i, int64 d) const {
    return i < count && d < width ? data[i * row + d * column] : T(0);
  }
};

// The thread's place: its row of the tile, and its first column; the others are kTeam apart.
struct Place {
  int row, lane;
  __device__ Place()
      : row(static_cast<int>(threadIdx.x) / kTeam), lane(static_cast<int>(threadIdx.x) % kTeam) {}
};

// tile = kRows x kRows values from (i0, d0) on.
template <class T>
__device__ __forceinline__ void load_tile(const Rows<T>& from, int64 i0, int64 d0, Tile<T>& tile) {
  for (int e = static_cast<int>(threadIdx.x); e < kRows * kRows; e += kThreads) {
    tile[e / kRows][e % kRows] = from.at(i0 + e / kRows, d0 + e % kRows);
  }
}

// out[k] = row (a0 + place.row) of a times row (b0 + place.lane + k kTeam) of b.
template <class T>
__device__ __forceinline__ void multiply_rows(const Place& place, const Rows<T>& a, int64 a0,
                                              const Rows<T>& b, int64 b0, Tile<T>& tile_a,
                                              Tile<T>& tile_b, T (&out)[kEach]) {
#pragma unroll
  for (int k = 0; k < kEach; ++k) out[k] = T(0);
  if (a.width == 0) __syncthreads();  // what the caller writes next is read until here
  for (int64 d = 0; d < a.width; d += kRows) {
    __syncthreads();  // until all have used what was there
    load_tile(a, a0, d, tile_a);
    load_tile(b, b0, d, tile_b);
    __syncthreads();
#pragma unroll 8
    for (int c = 0; c < kRows; ++c) {
      const T x = tile_a[place.row][c];
#pragma unroll
      for (int k = 0; k < kEach; ++k) out[k] += x * tile_b[place.lane + k * kTeam][c];
    }
  }
}

// sum[..] += sum over c of weights[place.row][c] * b(b0 + c, d0 + ..): kWidth features from d0 on.
template <class T, int kWidth>
__device__ __forceinline__ void add_rows(const Place& place, const Tile<T>& weights,
                                         const Rows<T>& b, int64 b0, int64 d0, Tile<T>& tile_b,
                                         T (&sum)[kWidth / kTeam]) {
#pragma unroll
  for (int chunk = 0; chunk < kWidth / kRows; ++chunk) {
    __syncthreads();
    load_tile(b, b0, d0 + chunk * kRows, tile_b);
    __syncthreads();
#pragma unroll 8
    for (int c = 0; c < kRows; ++c) {
      const T w = weights[place.row][c];
#pragma unroll
      for (int k = 0; k < kEach; ++k) {
        sum[chunk * kEach + k] += w * tile_b[c][place.lane + k * kTeam];
      }
    }
  }
}

// Writes the thread's part of a row of `width` features.
template <class T, int kWidth>
__device__ __forceinline__ void store_row(const Place& place, const T (&sum)[kWidth / kTeam],
                                          T scale, int64 d0, int64 width, T* to) {
#pragma unroll
  for (int k = 0; k < kWidth / kTeam; ++k) {
    const int64 d = d0 + (k / kEach) * kRows + (k % kEach) * kTeam + place.lane;
    if (d < width) to[d] = sum[k] * scale;
  }
}

// The score of query i and key j from their product; -inf where the key is not seen.
template <class T>
__device__ __forceinline__ T score(const Shape& s, T product, const T* mask, int64 i, int64 j) {
  if (i >= s.L || j >= s.S || (s.causal && j > i)) return -infinity<T>();
  const T v = product * static_cast<T>(s.scale);
  return mask ? v + mask[i * s.mask_row + j * s.mask_column] : v;
}

// 1 / (1 - p) where the weight of query i and key j is kept, else 0.
template <class T>
__device__ __forceinline__ T dropout(const Shape& s, int64 batch, int64 i, int64 j) {
  if (s.limit == 0) return T(1);
  const int64 place = (batch * s.S + j) * ((s.L + 3) / 4 * 4) + i;
  const gs::Words words = gs::philox(s.seed, s.offset + static_cast<uint64>(place / 4));
  const unsigned word = words.w[place % 4];
  return static_cast<int64>(word >> 8) >= s.limit ? static_cast<T>(s.kept) : T(0);
}

// The operands' rows of a batch.
template <class T>
struct Operands {
  Rows<T> query, key, value;
  const T* mask;
  __device__ Operands(const Shape& s, const gs::StridedLoop<4>& batches, int64 batch, const T* q,
                      const T* k, const T* v, const T* m) {
    int64 offset[4];
    gs::locate(batches, batch, offset);
    query = {q + offset[0], s.L, s.E, s.query_row, s.query_column};
    key = {k + offset[1], s.S, s.E, s.key_row, s.key_column};
    value = {v + offset[2], s.S, s.V, s.value_row, s.value_column};
    mask = m ? m + offset[3] : nullptr;
  }
};

// A reduction over the threads of a row.
template <class T, class Combine>
__device__ __forceinline__ T over_team(T v, const Combine& combine) {
#pragma unroll
  for (int lanes = kTeam / 2; lanes > 0; lanes /= 2) {
    v = combine(v, __shfl_xor_sync(0xffffffffu, v, lanes));
  }
  return v;
}

template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 1)
    attention_fwd(const T* __restrict__ query, const T* __restrict__ key,
                  const T* __restrict__ value, const T* __restrict__ mask, T* __restrict__ y,
                  T* __restrict__ log_sum, Shape s, gs::StridedLoop<4> batches) {
  GS_SHARED(T[kRows][kPitch], tile_a);
  GS_SHARED(T[kRows][kPitch], tile_b);
  GS_SHARED(T[kRows][kPitch], weights);
  const Place place;
  const int64 batch = blockIdx.x / s.tiles, i0 = blockIdx.x % s.tiles * kRows;
  const int64 d0 = static_cast<int64>(blockIdx.y) * kWidth, i = i0 + place.row;
  const Operands<T> in(s, batches, batch, query, key, value, mask);
  const auto larger = [](T a, T b) { return a > b ? a : b; };
  const auto add = [](T a, T b) { return a + b; };
  T most = -infinity<T>(), total = T(0), sum[kWidth / kTeam] = {};
  const int64 end = s.causal && i0 + kRows < s.S ? i0 + kRows : s.S;
  for (int64 j0 = 0; j0 < end; j0 += kRows) {
    T w[kEach];
    multiply_rows(place, in.query, i0, in.key, j0, tile_a, tile_b, w);
    T m = most;
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      w[k] = score(s, w[k], in.mask, i, j0 + place.lane + k * kTeam);
      m = larger(w[k], m);
    }
    m = over_team(m, larger);
    const T shift = m == -infinity<T>() ? T(0) : m;
    const T factor = exponential(most - shift);
    T more = T(0);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const int64 j = j0 + place.lane + k * kTeam;
      const T e = exponential(w[k] - shift), kept = dropout<T>(s, batch, i, j);
      more += e;
      weights[place.row][place.lane + k * kTeam] = kept != T(0) ? e * kept : T(0);
    }
    total = total * factor + over_team(more, add);
    most = m;
#pragma unroll
    for (int k = 0; k < kWidth / kTeam; ++k) sum[k] *= factor;
    add_rows<T, kWidth>(place, weights, in.value, j0, d0, tile_b, sum);
  }
  if (i >= s.L) return;
  const bool none = total == T(0);
  const int64 row = batch * s.L + i;
  store_row<T, kWidth>(place, sum, none ? T(0) : T(1) / total, d0, s.V, y + row * s.V);
  if (blockIdx.y == 0 && place.lane == 0) {
    log_sum[row] = none ? infinity<T>() : most + logarithm(total);
  }
}

// delta[row] = sum of grad_y y over a row's features; a warp a row.
template <class T>
__global__ void attention_delta(const T* __restrict__ grad_y, const T* __restrict__ y,
                                T* __restrict__ delta, int64 rows, int64 width) {
  const int64 step = gs::grid_threads() / gs::kWarpSize;
  const int lane = static_cast<int>(threadIdx.x) % gs::kWarpSize;
  for (int64 row = gs::grid_thread() / gs::kWarpSize; row < rows; row += step) {
    T sum = T(0);
    for (int64 d = lane; d < width; d += gs::kWarpSize) {
      sum += grad_y[row * width + d] * y[row * width + d];
    }
    sum = gs::warp_sum(sum);
    if (lane == 0) delta[row] = sum;
  }
}

// A row of grad_s for each query: grad_query, and the mask's gradient where it is wanted.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 1)
    attention_bwd_query(const T* __restrict__ grad_y, const T* __restrict__ query,
                        const T* __restrict__ key, const T* __restrict__ value,
                        const T* __restrict__ mask, const T* __restrict__ log_sum,
                        const T* __restrict__ delta, T* __restrict__ grad_query,
                        T* __restrict__ grad_mask, Shape s, gs::StridedLoop<4> batches) {
  GS_SHARED(T[kRows][kPitch], tile_a);
  GS_SHARED(T[kRows][kPitch], tile_b);
  GS_SHARED(T[kRows][kPitch], grads);
  const Place place;
  const int64 batch = blockIdx.x / s.tiles, i0 = blockIdx.x % s.tiles * kRows;
  const int64 d0 = static_cast<int64>(blockIdx.y) * kWidth, i = i0 + place.row;
  const Operands<T> in(s, batches, batch, query, key, value, mask);
  const Rows<T> g{grad_y + batch * s.L * s.V, s.L, s.V, s.V, 1};
  const T log_total = i < s.L ? log_sum[batch * s.L + i] : infinity<T>();
  const T own = i < s.L ? delta[batch * s.L + i] : T(0);
  T sum[kWidth / kTeam] = {};
  for (int64 j0 = 0; j0 < s.S; j0 += kRows) {
    T w[kEach], dp[kEach];
    multiply_rows(place, in.query, i0, in.key, j0, tile_a, tile_b, w);
    multiply_rows(place, g, i0, in.value, j0, tile_a, tile_b, dp);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const int64 j = j0 + place.lane + k * kTeam;
      const T p = exponential(score(s, w[k], in.mask, i, j) - log_total);
      const T kept = dropout<T>(s, batch, i, j);
      const T grad = p * ((kept != T(0) ? dp[k] * kept : T(0)) - own);
      grads[place.row][place.lane + k * kTeam] = grad;
      if (grad_mask && blockIdx.y == 0 && i < s.L && j < s.S) {
        grad_mask[(batch * s.L + i) * s.S + j] = grad;
      }
    }
    add_rows<T, kWidth>(place, grads, in.key, j0, d0, tile_b, sum);
  }
  if (i >= s.L) return;
  T* const to = grad_query + (batch * s.L + i) * s.E;
  store_row<T, kWidth>(place, sum, static_cast<T>(s.scale), d0, s.E, to);
}

// The rows are keys, the columns queries.
template <class T, int kWidth>
__global__ void __launch_bounds__(kThreads, 1)
    attention_bwd_key(const T* __restrict__ grad_y, const T* __restrict__ query,
                      const T* __restrict__ key, const T* __restrict__ value,
                      const T* __restrict__ mask, const T* __restrict__ log_sum,
                      const T* __restrict__ delta, T* __restrict__ grad_key,
                      T* __restrict__ grad_value, Shape s, gs::StridedLoop<4> batches) {
  GS_SHARED(T[kRows][kPitch], tile_a);
  GS_SHARED(T[kRows][kPitch], tile_b);
  GS_SHARED(T[kRows][kPitch], weights);
  GS_SHARED(T[kRows][kPitch], grads);
  const Place place;
  const int64 batch = blockIdx.x / s.tiles, j0 = blockIdx.x % s.tiles * kRows;
  const int64 d0 = static_cast<int64>(blockIdx.y) * kWidth, j = j0 + place.row;
  const Operands<T> in(s, batches, batch, query, key, value, mask);
  const Rows<T> g{grad_y + batch * s.L * s.V, s.L, s.V, s.V, 1};
  T to_key[kWidth / kTeam] = {}, to_value[kWidth / kTeam] = {};
  for (int64 i0 = s.causal ? j0 : 0; i0 < s.L; i0 += kRows) {
    T w[kEach], dp[kEach];
    multiply_rows(place, in.key, j0, in.query, i0, tile_a, tile_b, w);
    multiply_rows(place, in.value, j0, g, i0, tile_a, tile_b, dp);
#pragma unroll
    for (int k = 0; k < kEach; ++k) {
      const int column = place.lane + k * kTeam;
      const int64 i = i0 + column;
      const T log_total = i < s.L ? log_sum[batch * s.L + i] : infinity<T>();
      const T own = i < s.L ? delta[batch * s.L + i] : T(0);
      const T p = exponential(score(s, w[k], in.mask, i, j) - log_total);
      const T kept = dropout<T>(s, batch, i, j);
      weights[place.row][column] = kept != T(0) ? p * kept : T(0);
      grads[place.row][column] = p * ((kept != T(0) ? dp[k] * kept : T(0)) - own);
    }
    add_rows<T, kWidth>(place, weights, g, i0, d0, tile_b, to_value);
    add_rows<T, kWidth>(place, grads, in.query, i0, d0, tile_b, to_key);
  }
  if (j >= s.S) return;
  const int64 row = batch * s.S + j;
  const T scale = static_cast<T>(s.scale);
  store_row<T, kWidth>(place, to_key, scale, d0, s.E, grad_key + row * s.E);
  store_row<T, kWidth>(place, to_value, T(1), d0, s.V, grad_value + row * s.V);
}
