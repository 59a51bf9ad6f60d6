// Recurrent layers, forward: rnn_fwd lstm_fwd gru_fwd. The backward is recurrent_bwd.cpp.
//
// rnn:  h' = tanh(x + W h + b), or relu
// lstm: i, f, g, o = sigm, sigm, tanh, sigm of (x + W h + b); c' = f c + i g; h' = o tanh(c'), times the
//       transpose of weight_hr where there is one
// gru:  r, z = sigm of (x + W h + b); n = tanh(x_n + r (W_n h + b_n)); h' = (1 - z) n + z h
// Layout: contiguous. x (rows, gates * H) is the input's part of the gates, the rows of a time step
//   one after another; saved (rows, gates * H + H [+ H]) are the gates, and the cell (lstm; with a
//   projection the unprojected output too) or W_n h + b_n (gru).
// Split: blocks of the batch's rows, each of which one thread takes through all time steps, so that no
//   step waits for another thread. Borders follow from the batch and the weights' size.
// Working set: the packed weights (gates * H * H elements), shared, best in L2; a block's rows of the
//   gates, of which the next step's are fetched ahead. What lstm saves goes past the caches where it is
//   larger than they are.
// Cost: 2 gates H^2 FLOPs a row, in register tiles (gemm.h); x is read, saved and y are written once.
// Accuracy: one chain of multiply-adds an element on top of x + b; activations within 3 ULP.
// Source: Hochreiter and Schmidhuber 1997; Cho et al. 2014; Sak et al. 2014 (projection).
#include "recurrent.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// to = x + bias for n rows of `width` elements.
template <class T>
void add_bias(const T* x, const T* bias, int64_t n, int64_t width, T* to, int64_t stride) {
  for (int64_t r = 0; r < n; ++r, x += width, to += stride) {
    for_lanes<T>(width, [&](int64_t j, int64_t m) {
      put<T>(to + j, bias ? get<T>(x + j, m) + get<T>(bias + j, m) : get<T>(x + j, m), m);
    });
  }
}

template <class T>
Status rnn_typed(const RnnFwdArgs& args, const Steps& steps, int64_t H) {
  const T *const x = data<T>(args.x), *const bias = data<T>(args.bias_hh);
  T *const y = data<T>(args.y), *const h_n = data<T>(args.h_n);
  const bool relu = args.relu;
  const Weights<T> weights(data<T>(args.weight_hh), 1, H, H, H);
  if (!weights.data) return weights.no_memory();
  return for_row_blocks<T>(
      steps, left_elements<T>(steps.block_rows, H), [&](int64_t first, int64_t rows, T* left) {
        start_state(h_n + first * H, data<T>(args.h_0), first, rows, H);
        steps.for_each(first, rows, args.reverse, [&](int64_t, int64_t at, int64_t n) {
          T *const out = y + at * H, *const h = h_n + first * H;
          add_bias(x + at * H, bias, n, H, out, H);
          pack_left(h, H, 1, n, H, left);
          multiply_packed(left, weights.data, n, H, H, out, H, true);
          for_lanes<T>(n * H, [&](int64_t j, int64_t m) {
            const Vec<T> v = get<T>(out + j, m);
            const Vec<T> result = relu ? (v <= T(0) ? Vec<T>{} : v) : quick_tanh<T>(v);
            put<T>(out + j, result, m);
            put<T>(h + j, result, m);
          });
        });
      });
}

template <class T>
Status lstm_typed(const LstmFwdArgs& args, const Steps& steps, int64_t H, int64_t P) {
  const T *const x = data<T>(args.x), *const bias = data<T>(args.bias_hh);
  T *const y = data<T>(args.y), *const h_n = data<T>(args.h_n), *const c_n = data<T>(args.c_n);
  T* const saved = data<T>(args.saved);
  const bool projects = args.weight_hr.data != nullptr;
  const int64_t G = 4 * H, S = args.saved_shape.v[1];
  const Weights<T> weights(data<T>(args.weight_hh), 1, P, P, G);
  const Weights<T> projection(data<T>(args.weight_hr), 1, H, H, projects ? P : 0);
  if (!weights.data || !projection.data) return weights.no_memory();
  const int64_t left_size = round_up(left_elements<T>(steps.block_rows, max(H, P)), kLanes<T>);
  const int64_t bytes = steps.total * S * static_cast<int64_t>(sizeof(T));
  const bool stream = H % kLanes<T> == 0 && beyond_cache(bytes) &&
                      reinterpret_cast<uintptr_t>(saved) % GS_VECTOR_BYTES == 0;
  return for_row_blocks<T>(
      steps, left_size + steps.block_rows * G, [&](int64_t first, int64_t rows, T* left) {
        T *const h = h_n + first * P, *const c = c_n + first * H, *const gates = left + left_size;
        start_state(h, data<T>(args.h_0), first, rows, P);
        start_state(c, data<T>(args.c_0), first, rows, H);
        steps.for_each(first, rows, args.reverse, [&](int64_t t, int64_t at, int64_t n) {
          const int64_t next = args.reverse ? (t > 0 ? at - steps.sizes[t - 1] : at)
                                            : (t + 1 < steps.count ? at + steps.sizes[t] : at);
          add_bias(x + at * G, bias, n, G, gates, G);
          pack_left(h, P, 1, n, P, left);
          multiply_packed(left, weights.data, n, G, P, gates, G, true);
          for (int64_t r = 0; r < n; ++r) {
            T *const g = gates + r * G, *const cell = c + r * H, *const kept = saved + (at + r) * S;
            const T* const ahead = x + min(next + r, steps.total - 1) * G;
            T* const out = projects ? kept + 5 * H : y + (at + r) * H;
            for_lanes<T>(H, [&](int64_t j, int64_t m) {
#pragma GCC unroll 4
              for (int k = 0; k < 4; ++k) __builtin_prefetch(ahead + k * H + j);
              const Vec<T> in = quick_sigmoid<T>(get<T>(g + j, m));
              const Vec<T> forget = quick_sigmoid<T>(get<T>(g + H + j, m));
              const Vec<T> candidate = quick_tanh<T>(get<T>(g + 2 * H + j, m));
              const Vec<T> output = quick_sigmoid<T>(get<T>(g + 3 * H + j, m));
              const Vec<T> state = forget * get<T>(cell + j, m) + in * candidate;
              const Vec<T> hidden = output * quick_tanh<T>(state);
              const Vec<T> all[] = {in, forget, candidate, output, state};
#pragma GCC unroll 5
              for (int k = 0; k < 5; ++k) {
                if (stream) {
                  store_stream<T>(kept + k * H + j, all[k]);
                } else {
                  put<T>(kept + k * H + j, all[k], m);
                }
              }
              put<T>(cell + j, state, m);
              put<T>(out + j, hidden, m);
              if (!projects) put<T>(h + r * H + j, hidden, m);
            });
          }
          if (projects) {
            pack_left(saved + at * S + 5 * H, S, 1, n, H, left);
            multiply_packed(left, projection.data, n, P, H, y + at * P, P, false);
            copy(h, y + at * P, n * P);
          }
        });
        if (stream) stream_fence();
      });
}

template <class T>
Status gru_typed(const GruFwdArgs& args, const Steps& steps, int64_t H) {
  const T *const x = data<T>(args.x), *const bias = data<T>(args.bias_hh);
  T *const y = data<T>(args.y), *const h_n = data<T>(args.h_n), *const saved = data<T>(args.saved);
  const int64_t G = 3 * H, S = 4 * H;
  const Weights<T> weights(data<T>(args.weight_hh), 1, H, H, G);
  if (!weights.data) return weights.no_memory();
  const int64_t left_size = left_elements<T>(steps.block_rows, H);
  return for_row_blocks<T>(
      steps, left_size + steps.block_rows * G, [&](int64_t first, int64_t rows, T* left) {
        T *const h = h_n + first * H, *const hidden = left + left_size;
        start_state(h, data<T>(args.h_0), first, rows, H);
        steps.for_each(first, rows, args.reverse, [&](int64_t, int64_t at, int64_t n) {
          pack_left(h, H, 1, n, H, left);
          multiply_packed(left, weights.data, n, G, H, hidden, G, false);
          for (int64_t r = 0; r < n; ++r) {
            const T *const in = x + (at + r) * G, *const own = hidden + r * G;
            T *const kept = saved + (at + r) * S, *const state = h + r * H;
            T* const out = y + (at + r) * H;
            for_lanes<T>(H, [&](int64_t j, int64_t m) {
              Vec<T> w[3];
#pragma GCC unroll 4
              for (int k = 0; k < 3; ++k) {
                w[k] = get<T>(own + k * H + j, m);
                if (bias) w[k] += get<T>(bias + k * H + j, m);
              }
              const Vec<T> reset = quick_sigmoid<T>(get<T>(in + j, m) + w[0]);
              const Vec<T> update = quick_sigmoid<T>(get<T>(in + H + j, m) + w[1]);
              const Vec<T> fresh = quick_tanh<T>(get<T>(in + 2 * H + j, m) + reset * w[2]);
              const Vec<T> next = fresh + update * (get<T>(state + j, m) - fresh);
              put<T>(kept + j, reset, m);
              put<T>(kept + H + j, update, m);
              put<T>(kept + 2 * H + j, fresh, m);
              put<T>(kept + 3 * H + j, w[2], m);
              put<T>(state + j, next, m);
              put<T>(out + j, next, m);
            });
          }
        });
      });
}

}  // namespace

Status rnn_fwd(const RnnFwdArgs& args) {
  const Array& x = args.x;
  Steps steps;
  const int64_t H = columns(args.weight_hh);
  if (!is_float(x.dtype) || args.batch_sizes.dtype != DType::kInt64) return kNoDType;
  if (!is_matrix(x, -1, H) || !is_matrix(args.weight_hh, H, H) || !is_row(args.bias_hh, H)) {
    return {Code::kShape, {0, 0}};
  }
  const Status status = steps.read(args.batch_sizes, x.shape[0], args.h_shape, H);
  if (status.code != Code::kOk) return status;
  if (!is_state(args.h_0, steps, H)) return {Code::kShape, {1, 0}};
  if (args.h_n.size == 0) return kDone;
  return x.dtype == DType::kFloat32 ? rnn_typed<float>(args, steps, H)
                                    : rnn_typed<double>(args, steps, H);
}

Status lstm_fwd(const LstmFwdArgs& args) {
  const Array& x = args.x;
  Steps steps;
  const bool projects = args.weight_hr.data != nullptr;
  const int64_t P = columns(args.weight_hh), H = projects ? columns(args.weight_hr) : P;
  if (!is_float(x.dtype) || args.batch_sizes.dtype != DType::kInt64) return kNoDType;
  if (!is_matrix(x, -1, 4 * H) || !is_matrix(args.weight_hh, 4 * H, P) ||
      !is_row(args.bias_hh, 4 * H) || (projects && !is_matrix(args.weight_hr, P, H)) ||
      !has_shape(args.y_shape, x.shape[0], P) ||
      !has_shape(args.saved_shape, x.shape[0], (projects ? 6 : 5) * H)) {
    return {Code::kShape, {0, 0}};
  }
  const Status status = steps.read(args.batch_sizes, x.shape[0], args.h_shape, P);
  if (status.code != Code::kOk) return status;
  if (!is_state(args.h_0, steps, P) || !is_state(args.c_0, steps, H) ||
      !has_shape(args.c_shape, steps.batch, H)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.c_n.size == 0 || args.h_n.size == 0) return kDone;
  return x.dtype == DType::kFloat32 ? lstm_typed<float>(args, steps, H, P)
                                    : lstm_typed<double>(args, steps, H, P);
}

Status gru_fwd(const GruFwdArgs& args) {
  const Array& x = args.x;
  Steps steps;
  const int64_t H = columns(args.weight_hh);
  if (!is_float(x.dtype) || args.batch_sizes.dtype != DType::kInt64) return kNoDType;
  if (!is_matrix(x, -1, 3 * H) || !is_matrix(args.weight_hh, 3 * H, H) ||
      !is_row(args.bias_hh, 3 * H) || !has_shape(args.y_shape, x.shape[0], H) ||
      !has_shape(args.saved_shape, x.shape[0], 4 * H)) {
    return {Code::kShape, {0, 0}};
  }
  const Status status = steps.read(args.batch_sizes, x.shape[0], args.h_shape, H);
  if (status.code != Code::kOk) return status;
  if (!is_state(args.h_0, steps, H)) return {Code::kShape, {1, 0}};
  if (args.h_n.size == 0) return kDone;
  return x.dtype == DType::kFloat32 ? gru_typed<float>(args, steps, H)
                                    : gru_typed<double>(args, steps, H);
}

}  // namespace GS_ISA
}  // namespace gradsmith
