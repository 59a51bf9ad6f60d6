// attention_bwd: the gradients of query, key, value and mask. The forward is attention.cpp.
//
// With P = e^(s - log_sum), made again block by block, and delta = sum over V of grad_y y:
//   grad_value = P^T grad_y; grad_s = P (grad_y value^T - delta), which is the mask's gradient;
//   grad_query = scale grad_s key; grad_key = scale grad_s^T query. With dropout the first product takes
//   the P that were kept, and grad_y value^T counts where they were.
// Layout: any strides; results contiguous. Blocks of scores lie keys x queries (attention.h).
// Split: a batch, or a part of its keys where there are few batches: these make partial results of
//   grad_query, added up in order. Borders follow from the shape.
// Working set: a key block four times over, a block of P and of grad_s (36 KB), rows of the gradients.
// Cost: 2 L S (3 E + 2 V) FLOPs and L S exponentials; half of it where causal.
// Accuracy: chains of multiply-adds, a partial sum for each query block in grad_key and grad_value.
// Source: Dao et al. 2022, "FlashAttention".
#include "attention.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

template <class T>
struct Backward {
  Sizes s;
  Rules rules;
  Operand<T> grad_y, query, key, value, mask, y;
  const int64_t* shape;
  const T* log_sum;
  T *grad_query, *grad_key, *grad_value, *grad_mask;
  int64_t parts, part_keys;
  // Elements: a key block packed as k, k^T and v; a block of scores; all scratch.
  int64_t key_size, turned_size, value_size, square, scratch;

  Backward(const AttentionBwdArgs& args, const Sizes& sizes, const Array (&in)[6])
      : s(sizes),
        rules{args.causal, args.scale, args.p, args.seed, args.offset},
        grad_y(in[0]),
        query(in[1]),
        key(in[2]),
        value(in[3]),
        mask(in[4]),
        y(in[5]),
        shape(args.query.shape),
        log_sum(reinterpret_cast<const T*>(args.log_sum.data)),
        grad_query(reinterpret_cast<T*>(args.grad_query.data)),
        grad_key(reinterpret_cast<T*>(args.grad_key.data)),
        grad_value(reinterpret_cast<T*>(args.grad_value.data)),
        grad_mask(args.grad_mask.size ? reinterpret_cast<T*>(args.grad_mask.data) : nullptr) {
    constexpr int64_t W = kPanelColumns<T>;
    const int64_t wanted = clamp(kTasks / max(s.batch, 1) / 2, 1, max(1, ceil_div(s.S, kKeys)));
    part_keys = balanced(s.S, ceil_div(max(s.S, 1), wanted), kKeys);
    parts = max(1, ceil_div(s.S, part_keys));
    const int64_t blocks = ceil_div(part_keys, kKeys);
    key_size = left_elements<T>(kKeys, s.E);
    turned_size = left_elements<T>(s.E, kKeys);
    value_size = left_elements<T>(kKeys, s.V);
    square = right_elements<T>(kKeys, W);
    scratch = blocks * (key_size + turned_size + value_size) + 3 * square +
              left_elements<T>(kKeys, W) + 3 * right_elements<T>(s.E, W) +
              right_elements<T>(s.V, W) + right_elements<T>(W, s.E) + right_elements<T>(W, s.V) +
              3 * kLanes<T> + 2 * W;
  }

  // All queries, keys of one part. grad_q: (L, E) of this batch and part.
  void run(int64_t batch, int64_t part, T* grad_q, T* memory) const {
    constexpr int64_t W = kPanelColumns<T>, N = kLanes<T>;
    const Matrix<T> g = grad_y.of(batch, shape), q = query.of(batch, shape);
    const Matrix<T> k = key.of(batch, shape), v = value.of(batch, shape);
    const Matrix<T> m = mask.of(batch, shape), o = y.of(batch, shape);
    const int64_t first = part * part_keys, last = min(s.S, first + part_keys);
    const int64_t blocks = ceil_div(last - first, kKeys);
    const T scale = static_cast<T>(rules.scale);
    T* const keys = memory;
    T* const turned = keys + blocks * key_size;
    T* const values = turned + blocks * turned_size;
    T* const scores = values + blocks * value_size;
    T* const grads = scores + square;
    T* const other = grads + square;
    T* const left = other + square;
    T* const q_columns = left + left_elements<T>(kKeys, W);
    T* const q_rows = q_columns + right_elements<T>(s.E, W);
    T* const g_columns = q_rows + right_elements<T>(W, s.E);
    T* const g_rows = g_columns + right_elements<T>(s.V, W);
    T* const sum = g_rows + right_elements<T>(W, s.V);
    T* const swap = sum + right_elements<T>(s.E, W) + N;
    T* const logs = swap + right_elements<T>(s.E, W) + 2 * N;
    T* const delta = logs + W;
    for (int64_t b = 0; b < blocks; ++b) {
      const int64_t j = first + b * kKeys, count = min(kKeys, last - j);
      pack_left(k.at(j, 0), k.row, k.column, count, s.E, keys + b * key_size);
      pack_left(k.at(j, 0), k.column, k.row, s.E, count, turned + b * turned_size);
      pack_left(v.at(j, 0), v.row, v.column, count, s.V, values + b * value_size);
    }
    T* const to_key = grad_key + (batch * s.S + first) * s.E;
    T* const to_value = grad_value + (batch * s.S + first) * s.V;
    __builtin_memset(to_key, 0, static_cast<size_t>((last - first) * s.E) * sizeof(T));
    __builtin_memset(to_value, 0, static_cast<size_t>((last - first) * s.V) * sizeof(T));
    Dropout<T> dropout(rules.p);
    for (int64_t i = 0; i < s.L; i += W) {
      const int64_t n = min(W, s.L - i), pitch = round_up(n, N);
      const int64_t here = min(last, keys_seen(s, rules, i + n));
      __builtin_memset(sum, 0, static_cast<size_t>(s.E * pitch) * sizeof(T));
      if (here > first) {
        pack_right(q.at(i, 0), q.column, q.row, s.E, n, q_columns);
        pack_right(q.at(i, 0), q.row, q.column, n, s.E, q_rows);
        pack_right(g.at(i, 0), g.column, g.row, s.V, n, g_columns);
        pack_right(g.at(i, 0), g.row, g.column, n, s.V, g_rows);
        for (int64_t e = 0; e < s.E * pitch; e += N) {
          store(q_columns + e, load(q_columns + e) * scale);
        }
        for (int64_t e = 0; e < right_elements<T>(n, s.E); e += N) {
          store(q_rows + e, load(q_rows + e) * scale);
        }
        read_rows(batch, i, n, g, o, logs, delta);
      }
      for (int64_t j = first; j < here; j += kKeys) {
        const int64_t b = (j - first) / kKeys, count = min(kKeys, last - j);
        make_scores(s, rules, keys + b * key_size, q_columns, m, i, n, j, count, other, scores);
        multiply_packed(values + b * value_size, g_columns, count, pitch, s.V, grads, pitch, false);
        turn_scores(batch, i, n, j, count, logs, delta, dropout, scores, grads);
        pack_left(scores, pitch, 1, count, n, left);
        multiply_packed(left, g_rows, count, s.V, n, to_value + (j - first) * s.V, s.V, true);
        pack_left(grads, pitch, 1, count, n, left);
        multiply_packed(left, q_rows, count, s.E, n, to_key + (j - first) * s.E, s.E, true);
        multiply_packed(turned + b * turned_size, grads, s.E, pitch, count, sum, pitch, true);
        if (grad_mask) put_mask(batch, i, n, j, count, grads, pitch);
      }
      for (int64_t e = 0; e < s.E * pitch; e += N) store(sum + e, load(sum + e) * scale);
      if (s.E > 0) put_transposed(sum, pitch, n, s.E, swap, grad_q + i * s.E);
    }
  }

  // log_sum and sum of grad_y y of n rows; lanes beyond them as a row that sees no key.
  void read_rows(int64_t batch, int64_t i, int64_t n, Matrix<T> g, Matrix<T> o, T* logs,
                 T* delta) const {
    for (int64_t r = 0; r < kPanelColumns<T>; ++r) {
      logs[r] = r < n ? log_sum[batch * s.L + i + r] : T(__builtin_inf());
      delta[r] = 0;
      if (r >= n) continue;
      const T *const a = g.at(i + r, 0), *const b = o.at(i + r, 0);
      if (g.column == 1 && o.column == 1) {
        Vec<T> sums{};
        int64_t d = 0;
        for (; d + kLanes<T> <= s.V; d += kLanes<T>) sums += load(a + d) * load(b + d);
        if (d < s.V) sums += load_n(a + d, s.V - d) * load_n(b + d, s.V - d);
        T all = 0;
        for (int l = 0; l < kLanes<T>; ++l) all += sums[l];
        delta[r] = all;
      } else {
        T all = 0;
        for (int64_t d = 0; d < s.V; ++d) all += a[d * g.column] * b[d * o.column];
        delta[r] = all;
      }
    }
  }

  // Scores become the probabilities that value is weighted with, grads (of those) that of the scores.
  void turn_scores(int64_t batch, int64_t i, int64_t n, int64_t j, int64_t count, const T* logs,
                   const T* delta, Dropout<T>& dropout, T* scores, T* grads) const {
    constexpr int64_t N = kLanes<T>;
    const int64_t pitch = round_up(n, N);
    for (int64_t r = 0; r < count; ++r) {
      T *const row = scores + r * pitch, *const grad = grads + r * pitch;
      if (rules.p > 0) dropout.draw(s, rules, batch, j + r, i, n);
      for (int64_t e = 0; e < pitch; e += N) {
        const Vec<T> p = vexp<T>(load(row + e) - load(logs + e));
        Vec<T> kept = p, dp = load(grad + e);
        if (rules.p > 0) {
          const Vec<T> factor = dropout.factor(e);
          const IVec<T> keep = factor != T(0);
          kept = keep ? p * factor : Vec<T>{};
          dp = keep ? dp * factor : Vec<T>{};
        }
        store(row + e, kept);
        store(grad + e, p * (dp - load(delta + e)));
      }
    }
  }

  void put_mask(int64_t batch, int64_t i, int64_t n, int64_t j, int64_t count, const T* grads,
                int64_t pitch) const {
    for (int64_t q = 0; q < n; ++q) {
      T* const row = grad_mask + (batch * s.L + i + q) * s.S + j;
      for (int64_t r = 0; r < count; ++r) row[r] = grads[r * pitch + q];
    }
  }

  Status run_all() const {
    const int64_t plane = s.L * s.E, whole = s.batch * plane;
    if (grad_mask) {  // blocks that no query sees are left out
      __builtin_memset(grad_mask, 0, static_cast<size_t>(s.batch * s.L * s.S) * sizeof(T));
    }
    const size_t partial_bytes = static_cast<size_t>((parts - 1) * whole) * sizeof(T);
    T* const partial = parts > 1 ? static_cast<T*>(allocate(partial_bytes)) : nullptr;
    if (parts > 1 && !partial) {
      return {Code::kOutOfMemory, {static_cast<int64_t>(partial_bytes), 0}};
    }
    const size_t bytes = static_cast<size_t>(scratch) * sizeof(T);
    bool enough = true;
    parallel_for(s.batch * parts, 1, [&](int64_t begin, int64_t end) {
      for (int64_t t = begin; t < end; ++t) {
        T* const memory = static_cast<T*>(thread_scratch(bytes));
        if (!memory) {
          __atomic_store_n(&enough, false, __ATOMIC_RELAXED);
          return;
        }
        const int64_t batch = t / parts, part = t % parts;
        T* const to = part ? partial + (part - 1) * whole : grad_query;
        run(batch, part, to + batch * plane, memory);
      }
    });
    if (enough && partial) {
      constexpr int64_t N = kLanes<T>, kBlock = 16384;
      parallel_for(whole, kBlock, [&](int64_t begin, int64_t end) {
        for (int64_t part = 0; part + 1 < parts; ++part) {
          const T* const more = partial + part * whole;
          int64_t e = begin;
          for (; e + N <= end; e += N) store(grad_query + e, load(grad_query + e) + load(more + e));
          for (; e < end; ++e) grad_query[e] += more[e];
        }
      });
    }
    if (partial) release(partial, partial_bytes);
    if (enough) return kDone;
    return {Code::kOutOfMemory, {static_cast<int64_t>(bytes), 0}};
  }
};

}  // namespace

Status attention_bwd(const AttentionBwdArgs& args) {
  if (!is_float(args.query.dtype)) return kNoDType;
  Sizes s;
  const Status status = read_sizes(args.query, args.key, args.value, args.mask, s);
  if (status.code != Code::kOk) return status;
  if (!is_batch(args.grad_y, args.query, s.L, s.V) || !is_batch(args.y, args.query, s.L, s.V)) {
    return {Code::kShape, {0, 0}};
  }
  if (args.log_sum.size != s.batch * s.L) return {Code::kShape, {6, 0}};
  if (args.grad_mask.size && args.grad_mask.size != s.batch * s.L * s.S) {
    return {Code::kShape, {7, 0}};
  }
  if (!(args.p >= 0 && args.p <= 1)) return {Code::kShape, {8, 0}};
  if (s.batch == 0) return kDone;
  const Aligned grad_y(args.grad_y), query(args.query), key(args.key), value(args.value);
  const Aligned mask(args.mask), y(args.y);
  for (const Aligned* a : {&grad_y, &query, &key, &value, &mask, &y}) {
    if (a->bytes && !a->memory) return {Code::kOutOfMemory, {static_cast<int64_t>(a->bytes), 0}};
  }
  const Array in[6] = {grad_y.array, query.array, key.array, value.array, mask.array, y.array};
  return args.query.dtype == DType::kFloat32 ? Backward<float>(args, s, in).run_all()
                                             : Backward<double>(args, s, in).run_all();
}

}  // namespace GS_ISA
}  // namespace gradsmith
