// attention_fwd: y = softmax(scale query key^T + mask) value, and each row's log of the sum. The backward
// is attention_bwd.cpp.
//
// Method: blocks of scores, the softmax kept up while going over the keys: with m the largest score so
//   far, l the sum of e^(s - m) and y the weighted sum, a larger m rescales both. No L x S array exists.
//   A row of which every score is -inf gives zeros, and log_sum = inf, as in PyTorch.
// Layout: any strides; y (.., L, V) and log_sum (.., L) contiguous. Blocks of scores lie keys x queries
//   (attention.h).
// Split: a batch, or a part of its queries where there are few batches; each thread packs what it needs.
// Working set: a key block (kKeys x (E + V)), a block of scores (18 KB), kPanelColumns rows of query and y.
//   Up to kOneBlock keys, not causal, are one block: y is rescaled, and a chain waited for, once a block.
// Cost: 2 L S (E + V) FLOPs and L S exponentials; half of it where causal.
// Accuracy: products are chains of multiply-adds; exp within 1.1 ULP (exp_quick, vector_math.h).
// Source: Milakov and Gimelshein 2018 (online softmax); Dao et al. 2022, "FlashAttention".
#include "attention.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

constexpr int64_t kOneBlock = 128;

// e^x for x <= 0, also -inf.
template <class T>
GS_INLINE Vec<T> exp_down(Vec<T> x) {
  return exp_quick<T>(greater(splat<T>(MathConstants<T>::kExpMin), x));  // a NaN stays
}

// Lane by lane: the softmax so far of up to kPanelColumns queries.
template <class T>
struct Running {
  static constexpr int kVectors = TileShape::kVectors;
  T maximum[kPanelColumns<T>], sum[kPanelColumns<T>];

  Running() {
    for (int64_t i = 0; i < kPanelColumns<T>; ++i) {
      maximum[i] = -T(__builtin_inf());
      sum[i] = 0;
    }
  }

  // Scores become e^(s - m); y (V x pitch) is rescaled where m grew.
  void take(T* scores, int64_t keys, int64_t pitch, T* y, int64_t V) {
    constexpr int64_t N = kLanes<T>;
    for (int64_t i = 0; i < pitch; i += N) {
      const Vec<T> old = load(maximum + i);
      Vec<T> most[4] = {old, old, old, old};  // four chains
      int64_t j = 0;
      for (; j + 4 <= keys; j += 4) {
#pragma GCC unroll 4
        for (int k = 0; k < 4; ++k) {
          most[k] = greater(load(scores + (j + k) * pitch + i), most[k]);
        }
      }
      for (; j < keys; ++j) most[0] = greater(load(scores + j * pitch + i), most[0]);
      const Vec<T> m = greater(greater(most[0], most[1]), greater(most[2], most[3]));
      // A row without any score but -inf: e^-inf, not e^NaN.
      const Vec<T> shift = m == splat<T>(-T(__builtin_inf())) ? Vec<T>{} : m;
      Vec<T> sums[2] = {};
      for (j = 0; j + 2 <= keys; j += 2) {
#pragma GCC unroll 2
        for (int k = 0; k < 2; ++k) {
          T* const at = scores + (j + k) * pitch + i;
          const Vec<T> e = exp_down<T>(load(at) - shift);
          sums[k] += e;
          store(at, e);
        }
      }
      for (; j < keys; ++j) {
        T* const at = scores + j * pitch + i;
        const Vec<T> e = exp_down<T>(load(at) - shift);
        sums[0] += e;
        store(at, e);
      }
      const Vec<T> factor = exp_down<T>(old - shift);
      store(sum + i, load(sum + i) * factor + (sums[0] + sums[1]));
      store(maximum + i, m);
      if (V > 0 && any_lane<T>(factor != splat<T>(T(1)))) {
        for (int64_t d = 0; d < V; ++d) store(y + d * pitch + i, load(y + d * pitch + i) * factor);
      }
    }
  }
};

template <class T>
struct Forward {
  Sizes s;
  Rules rules;
  Operand<T> query, key, value, mask;
  const int64_t* shape;
  T *y, *log_sum;
  int64_t block, key_size, value_size, square, scratch;  // block: its keys

  Forward(const AttentionFwdArgs& args, const Sizes& sizes, const Array (&in)[4])
      : s(sizes),
        rules{args.causal, args.scale, args.p, args.seed, args.offset},
        query(in[0]),
        key(in[1]),
        value(in[2]),
        mask(in[3]),
        shape(args.query.shape),
        y(reinterpret_cast<T*>(args.y.data)),
        log_sum(reinterpret_cast<T*>(args.log_sum.data)) {
    constexpr int64_t W = kPanelColumns<T>;
    block = s.S <= kOneBlock && !rules.causal ? kOneBlock : kKeys;
    const int64_t blocks = max(1, ceil_div(s.S, block));
    key_size = left_elements<T>(block, s.E);
    value_size = left_elements<T>(s.V, block);
    square = right_elements<T>(block, W);
    scratch = blocks * (key_size + value_size) + 2 * square + right_elements<T>(s.E, W) +
              2 * (right_elements<T>(s.V, W) + kLanes<T>);
  }

  // Queries [begin, end) of a batch.
  void run(int64_t batch, int64_t begin, int64_t end, T* memory) const {
    constexpr int64_t W = kPanelColumns<T>, N = kLanes<T>;
    const Matrix<T> q = query.of(batch, shape), k = key.of(batch, shape);
    const Matrix<T> v = value.of(batch, shape), m = mask.of(batch, shape);
    const int64_t seen = keys_seen(s, rules, end), blocks = ceil_div(seen, block);
    T* const keys = memory;
    T* const values = keys + blocks * key_size;
    T* const scores = values + blocks * value_size;
    T* const other = scores + square;
    T* const columns = other + square;
    T* const out = columns + right_elements<T>(s.E, W);
    T* const turned = out + right_elements<T>(s.V, W) + N;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t j = b * block, count = min(block, seen - j);
      pack_left(k.at(j, 0), k.row, k.column, count, s.E, keys + b * key_size);
      pack_left(v.at(j, 0), v.column, v.row, s.V, count, values + b * value_size);
    }
    Dropout<T> dropout(rules.p);
    const T scale = static_cast<T>(rules.scale);
    for (int64_t i = begin; i < end; i += W) {
      const int64_t n = min(W, end - i), pitch = round_up(n, N);
      pack_right(q.at(i, 0), q.column, q.row, s.E, n, columns);
      for (int64_t e = 0; e < s.E * pitch; e += N) store(columns + e, load(columns + e) * scale);
      Running<T> running;
      const int64_t here = keys_seen(s, rules, i + n);
      if (here == 0) __builtin_memset(out, 0, static_cast<size_t>(s.V * pitch) * sizeof(T));
      for (int64_t j = 0; j < here; j += block) {
        const int64_t b = j / block, count = min(block, seen - j);
        make_scores(s, rules, keys + b * key_size, columns, m, i, n, j, count, other, scores);
        running.take(scores, count, pitch, out, j > 0 ? s.V : 0);
        if (rules.p > 0) {
          for (int64_t r = 0; r < count; ++r) {
            dropout.draw(s, rules, batch, j + r, i, n);
            for (int64_t e = 0; e < pitch; e += N) {
              T* const at = scores + r * pitch + e;
              store(at, select<T>(dropout.factor(e) != T(0), load(at) * dropout.scale, Vec<T>{}));
            }
          }
        }
        multiply_packed(values + b * value_size, scores, s.V, pitch, count, out, pitch, j > 0);
      }
      T logs[W];
      for (int64_t e = 0; e < pitch; e += N) {
        const Vec<T> sum = load(running.sum + e);
        const IVec<T> none = sum == T(0);
        const Vec<T> inverse = none ? Vec<T>{} : splat<T>(T(1)) / sum;
        for (int64_t d = 0; d < s.V; ++d) {
          store(out + d * pitch + e, load(out + d * pitch + e) * inverse);
        }
        const Vec<T> log = load(running.maximum + e) + vlog<T>(sum);
        store(logs + e, none ? splat<T>(T(__builtin_inf())) : log);
      }
      const int64_t row = batch * s.L + i;
      __builtin_memcpy(log_sum + row, logs, static_cast<size_t>(n) * sizeof(T));
      if (s.V > 0) put_transposed(out, pitch, n, s.V, turned, y + row * s.V);
    }
  }

  Status run_all() const {
    constexpr int64_t W = kPanelColumns<T>;
    // Each part packs all keys and values: not for a few rows where there are batches enough.
    const int64_t most = s.batch >= kTasks / 2 ? s.L / (4 * W) : ceil_div(s.L, W);
    const int64_t parts = clamp(kTasks / s.batch, 1, max(1, most));
    const int64_t rows = balanced(s.L, ceil_div(s.L, parts), W), across = ceil_div(s.L, rows);
    const size_t bytes = static_cast<size_t>(scratch) * sizeof(T);
    bool enough = true;
    parallel_for(s.batch * across, 1, [&](int64_t first, int64_t last) {
      for (int64_t t = first; t < last; ++t) {
        T* const memory = static_cast<T*>(thread_scratch(bytes));
        if (!memory) {
          __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
          return;
        }
        const int64_t begin = t % across * rows;
        run(t / across, begin, min(s.L, begin + rows), memory);
      }
    });
    if (enough) return kDone;
    return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  }
};

}  // namespace

Status attention_fwd(const AttentionFwdArgs& args) {
  if (!is_float(args.query.dtype)) return kNoDType;
  Sizes s;
  const Status status = read_sizes(args.query, args.key, args.value, args.mask, s);
  if (status.code != Code::kOk) return status;
  if (args.y.size != s.batch * s.L * s.V || args.log_sum.size != s.batch * s.L) {
    return {Code::kShape, {4, 0}};
  }
  if (!(args.p >= 0 && args.p <= 1)) return {Code::kShape, {5, 0}};
  if (args.log_sum.size == 0) return kDone;
  const Aligned query(args.query), key(args.key), value(args.value), mask(args.mask);
  for (const Aligned* a : {&query, &key, &value, &mask}) {
    if (a->bytes && !a->memory) return {Code::kOutOfMemory, {static_cast<int64_t>(a->bytes), 0}};
  }
  const Array in[4] = {query.array, key.array, value.array, mask.array};
  return args.query.dtype == DType::kFloat32 ? Forward<float>(args, s, in).run_all()
                                             : Forward<double>(args, s, in).run_all();
}

}  // namespace GS_ISA
}  // namespace gradsmith
