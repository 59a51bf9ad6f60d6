// Matrix products of int32 and int64: the tiles of matmul_direct.h over unsigned numbers, which wrap around.
//
// Layout  a (..., M, K), b (..., K, N), any strides, batch dims broadcast; y (..., M, N) contiguous. Rows of
//         `b` that are not contiguous, or end in part of a vector where there are no masks, are copied first.
// Split   blocks of rows of one matrix.
// Cost    2 M N K operations; matmul_add (alpha, beta, c) goes over a block once it is done.
// Memory  the copies of a matrix of `b` and of its results, where they are needed.
#include "matmul_integers.h"
#include "gemm.h"
#include "matmul_direct.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kTaskWork = 1 << 19;  // multiplications: about 50 us of one core

// Rows [m0, m1) of all of y: y = alpha y + beta c.
template <class U>
void accumulate(const Ending& ending, U* y, int64_t m0, int64_t m1, int64_t N) {
  const U alpha = static_cast<U>(static_cast<int64_t>(ending.alpha));
  const U beta = static_cast<U>(static_cast<int64_t>(ending.beta));
  const int64_t step = ending.c_spread.column;
  for (int64_t m = m0; m < m1; ++m) {
    U* const to = y + m * N;
    const U* const c =
        ending.c ? reinterpret_cast<const U*>(ending.c) + ending.c_spread.row(m) : nullptr;
    if (!c) {
      for (int64_t n = 0; n < N; ++n) to[n] *= alpha;
    } else if (step == 1) {
      for (int64_t n = 0; n < N; ++n) to[n] = alpha * to[n] + beta * c[n];
    } else {
      for (int64_t n = 0; n < N; ++n) to[n] = alpha * to[n] + beta * c[n * step];
    }
  }
}

template <class U>
Status multiply(const MatmulArgs& args, const Array& a, const Array& b, const Ending& ending) {
  constexpr int64_t size = sizeof(U);
  const Ints& out = args.out_shape;
  const int64_t M = a.shape[a.ndim - 2], K = a.shape[a.ndim - 1], N = b.shape[b.ndim - 1];
  const int64_t a_row = a.stride[a.ndim - 2] / size, a_column = a.stride[a.ndim - 1] / size;
  const int64_t b_row = b.stride[b.ndim - 2] / size, b_column = b.stride[b.ndim - 1] / size;
  const bool copy = !(b_column == 1 || N == 1) || !direct_columns<U>(N);
  const int64_t pitch = copy ? round_up(N, kLanes<U>) : b_row;
  const size_t bytes = copy ? static_cast<size_t>(K * pitch + M * pitch) * sizeof(U) : 0;
  U* const own = bytes ? static_cast<U*>(allocate(bytes)) : nullptr;
  if (bytes && !own) return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  const bool wide = copy && !direct_columns<U>(N);  // y has no room for whole vectors
  const int64_t columns = wide ? pitch : N;
  const int64_t rows = min(M, max(64, round_up(kTaskWork / max(1, K * N), TileShape::kRows)));
  const int64_t batches = args.y.size / (M * N);
  const U* before = nullptr;
  for (int64_t batch = 0; batch < batches; ++batch) {
    const U* from_a = reinterpret_cast<const U*>(a.data);
    const U* from_b = reinterpret_cast<const U*>(b.data);
    int64_t rest = batch;
    for (int d = out.n - 3; d >= 0; --d) {
      const int64_t index = rest % out.v[d];
      rest /= out.v[d];
      const int da = d - (out.n - a.ndim), db = d - (out.n - b.ndim);
      if (da >= 0 && a.shape[da] != 1) from_a += index * (a.stride[da] / size);
      if (db >= 0 && b.shape[db] != 1) from_b += index * (b.stride[db] / size);
    }
    if (copy && from_b != before) {
      for (int64_t k = 0; k < K; ++k) {
        for (int64_t n = 0; n < pitch; ++n) {
          own[k * pitch + n] = n < N ? from_b[k * b_row + n * b_column] : 0;
        }
      }
      before = from_b;
    }
    U* const y = reinterpret_cast<U*>(args.y.data) + batch * M * N;
    U* const to = wide ? own + K * pitch : y;
    parallel_for(M, rows, [&](int64_t begin, int64_t end) {
      multiply_direct(DirectProduct<U>{from_a + begin * a_row, a_row, a_column, copy ? own : from_b,
                                       pitch, nullptr, to + begin * columns, columns, end - begin,
                                       columns, K});
      if (ending.scaled && !wide) {
        accumulate(ending, reinterpret_cast<U*>(args.y.data), batch * M + begin, batch * M + end,
                   N);
      }
    });
    for (int64_t m = 0; wide && m < M; ++m) {
      __builtin_memcpy(y + m * N, to + m * pitch, static_cast<size_t>(N) * sizeof(U));
    }
    if (ending.scaled && wide) {
      accumulate(ending, reinterpret_cast<U*>(args.y.data), batch * M, (batch + 1) * M, N);
    }
  }
  release(own, bytes);
  return kDone;
}

}  // namespace

Status multiply_integers(const MatmulArgs& args, const Array& a, const Array& b,
                         const Ending& ending) {
  const bool narrow = a.dtype == DType::kInt32;
  if (a.shape[a.ndim - 1] == 0) {
    __builtin_memset(args.y.data, 0, static_cast<size_t>(args.y.size) * (narrow ? 4 : 8));
    if (!ending.scaled) return kDone;
    const int64_t N = b.shape[b.ndim - 1], rows = args.y.size / N;
    if (narrow) {
      accumulate(ending, reinterpret_cast<uint32_t*>(args.y.data), 0, rows, N);
    } else {
      accumulate(ending, reinterpret_cast<uint64_t*>(args.y.data), 0, rows, N);
    }
    return kDone;
  }
  return narrow ? multiply<uint32_t>(args, a, b, ending) : multiply<uint64_t>(args, a, b, ending);
}

}  // namespace GS_ISA
}  // namespace gradsmith
