// Recurrent layers, backward: rnn_bwd lstm_bwd gru_bwd. The forward is recurrent.cpp.
//
// From the last step that forward took to its first: the gradient of h' is grad_y plus what later
// steps gave (grad_h_0 holds it on the way, and grad_c_0 the cell's); the cell's derivative makes
// grad_x, the gradient before the activations; times W it is the gradient of h. The weights'
// gradient is one product over all rows, grad_x^T h_before, made by the caller: h_before are the
// states that each row began with. For the gru grad_hidden is grad_x with the new gate's part times r.
// Layout: as the forward. Split: as the forward. Working set: packed weights, a block's rows.
// Cost: 2 gates H^2 FLOPs a row; saved, y and grad_y are read once, three arrays written once.
// Accuracy: one chain of multiply-adds an element; tanh of the cell is computed again.
#include "recurrent.h"

namespace gradsmith {
namespace GS_ISA {
namespace {

// h_before of n rows at `at` of step t: y of the step before, or the state at the start.
template <class T>
void copy_before(const Steps& steps, int64_t t, int64_t at, int64_t first, int64_t n, bool reverse,
                 const T* y, const T* h_0, int64_t width, T* to) {
  int64_t from = 0;
  const int64_t rows = steps.before(t, at, first, n, reverse, &from);
  if (rows) copy(to + at * width, y + from * width, rows * width);
  if (rows < n) {
    start_state(to + (at + rows) * width, h_0, first + rows, n - rows, width);
  }
}

template <class T>
Status rnn_bwd_typed(const RnnBwdArgs& args, const Steps& steps, int64_t H) {
  const T *const grad_y = data<T>(args.grad_y), *const y = data<T>(args.y);
  T *const grad_x = data<T>(args.grad_x), *const grad_h_0 = data<T>(args.grad_h_0);
  const bool relu = args.relu;
  const Weights<T> weights(data<T>(args.weight_hh), H, 1, H, H);
  if (!weights.data) return weights.no_memory();
  return for_row_blocks<T>(
      steps, left_elements<T>(steps.block_rows, H), [&](int64_t first, int64_t rows, T* left) {
        T* const h = grad_h_0 + first * H;
        start_state(h, data<T>(args.grad_h_n), first, rows, H);
        steps.for_each(first, rows, !args.reverse, [&](int64_t t, int64_t at, int64_t n) {
          T* const grad = grad_x + at * H;
          for_lanes<T>(n * H, [&](int64_t j, int64_t m) {
            const Vec<T> g = get<T>(grad_y + at * H + j, m) + get<T>(h + j, m);
            const Vec<T> v = get<T>(y + at * H + j, m);
            put<T>(grad + j, relu ? (v <= T(0) ? Vec<T>{} : g) : g * (T(1) - v * v), m);
          });
          copy_before(steps, t, at, first, n, args.reverse, y, data<T>(args.h_0), H,
                      data<T>(args.h_before));
          pack_left(grad, H, 1, n, H, left);
          multiply_packed(left, weights.data, n, H, H, h, H, false);
        });
      });
}

template <class T>
Status lstm_bwd_typed(const LstmBwdArgs& args, const Steps& steps, int64_t H, int64_t P) {
  const T *const grad_y = data<T>(args.grad_y), *const y = data<T>(args.y);
  const T *const saved = data<T>(args.saved), *const c_0 = data<T>(args.c_0);
  T *const grad_x = data<T>(args.grad_x), *const projected = data<T>(args.grad_projected);
  const bool projects = args.weight_hr.data != nullptr;
  const int64_t G = 4 * H, S = (projects ? 6 : 5) * H;
  const Weights<T> weights(data<T>(args.weight_hh), P, 1, G, P);
  const Weights<T> projection(data<T>(args.weight_hr), H, 1, P, projects ? H : 0);
  if (!weights.data || !projection.data) return weights.no_memory();
  const int64_t left_size = left_elements<T>(steps.block_rows, max(G, P));
  return for_row_blocks<T>(
      steps, left_size + steps.block_rows * H, [&](int64_t first, int64_t rows, T* left) {
        T *const h = data<T>(args.grad_h_0) + first * P, *const hidden = left + left_size;
        T* const c = data<T>(args.grad_c_0) + first * H;
        start_state(h, data<T>(args.grad_h_n), first, rows, P);
        start_state(c, data<T>(args.grad_c_n), first, rows, H);
        steps.for_each(first, rows, !args.reverse, [&](int64_t t, int64_t at, int64_t n) {
          T* const sum = projects ? projected + at * P : hidden;
          for_lanes<T>(n * P, [&](int64_t j, int64_t m) {
            put<T>(sum + j, get<T>(grad_y + at * P + j, m) + get<T>(h + j, m), m);
          });
          if (projects) {
            pack_left(sum, P, 1, n, P, left);
            multiply_packed(left, projection.data, n, H, P, hidden, H, false);
          }
          int64_t from = 0;
          const int64_t known = steps.before(t, at, first, n, args.reverse, &from);
          for (int64_t r = 0; r < n; ++r) {
            const T *const g = saved + (at + r) * S, *const grad_hidden = hidden + r * H;
            const T* const before = r < known ? saved + (from + r) * S + 4 * H
                                    : c_0     ? c_0 + (first + r) * H
                                              : nullptr;
            T *const grad = grad_x + (at + r) * G, *const cell = c + r * H;
            for_lanes<T>(H, [&](int64_t j, int64_t m) {
              const Vec<T> in = get<T>(g + j, m), forget = get<T>(g + H + j, m);
              const Vec<T> candidate = get<T>(g + 2 * H + j, m);
              const Vec<T> output = get<T>(g + 3 * H + j, m);
              const Vec<T> shown = vtanh<T>(get<T>(g + 4 * H + j, m));
              const Vec<T> gh = get<T>(grad_hidden + j, m);
              const Vec<T> gc = get<T>(cell + j, m) + gh * output * (T(1) - shown * shown);
              const Vec<T> old = before ? get<T>(before + j, m) : Vec<T>{};
              put<T>(grad + j, gc * candidate * in * (T(1) - in), m);
              put<T>(grad + H + j, gc * old * forget * (T(1) - forget), m);
              put<T>(grad + 2 * H + j, gc * in * (T(1) - candidate * candidate), m);
              put<T>(grad + 3 * H + j, gh * shown * output * (T(1) - output), m);
              put<T>(cell + j, gc * forget, m);
            });
          }
          copy_before(steps, t, at, first, n, args.reverse, y, data<T>(args.h_0), P,
                      data<T>(args.h_before));
          pack_left(grad_x + at * G, G, 1, n, G, left);
          multiply_packed(left, weights.data, n, P, G, h, P, false);
        });
      });
}

template <class T>
Status gru_bwd_typed(const GruBwdArgs& args, const Steps& steps, int64_t H) {
  const T *const grad_y = data<T>(args.grad_y), *const y = data<T>(args.y);
  const T* const saved = data<T>(args.saved);
  T *const grad_x = data<T>(args.grad_x), *const grad_hidden = data<T>(args.grad_hidden);
  const T* const h_before = data<T>(args.h_before);
  const int64_t G = 3 * H, S = 4 * H;
  const Weights<T> weights(data<T>(args.weight_hh), H, 1, G, H);
  if (!weights.data) return weights.no_memory();
  return for_row_blocks<T>(
      steps, left_elements<T>(steps.block_rows, G), [&](int64_t first, int64_t rows, T* left) {
        T* const h = data<T>(args.grad_h_0) + first * H;
        start_state(h, data<T>(args.grad_h_n), first, rows, H);
        steps.for_each(first, rows, !args.reverse, [&](int64_t t, int64_t at, int64_t n) {
          copy_before(steps, t, at, first, n, args.reverse, y, data<T>(args.h_0), H,
                      data<T>(args.h_before));
          for (int64_t r = 0; r < n; ++r) {
            const T *const kept = saved + (at + r) * S, *const old = h_before + (at + r) * H;
            const T* const gy = grad_y + (at + r) * H;
            T *const gx = grad_x + (at + r) * G, *const gh = grad_hidden + (at + r) * G;
            T* const state = h + r * H;
            for_lanes<T>(H, [&](int64_t j, int64_t m) {
              const Vec<T> reset = get<T>(kept + j, m), update = get<T>(kept + H + j, m);
              const Vec<T> fresh = get<T>(kept + 2 * H + j, m);
              const Vec<T> g = get<T>(gy + j, m) + get<T>(state + j, m);
              const Vec<T> grad_n = g * (T(1) - update) * (T(1) - fresh * fresh);
              const Vec<T> grad_z = g * (get<T>(old + j, m) - fresh) * update * (T(1) - update);
              const Vec<T> grad_r = grad_n * get<T>(kept + 3 * H + j, m) * reset * (T(1) - reset);
              put<T>(gx + j, grad_r, m);
              put<T>(gh + j, grad_r, m);
              put<T>(gx + H + j, grad_z, m);
              put<T>(gh + H + j, grad_z, m);
              put<T>(gx + 2 * H + j, grad_n, m);
              put<T>(gh + 2 * H + j, grad_n * reset, m);
              put<T>(state + j, g * update, m);
            });
          }
          pack_left(grad_hidden + at * G, G, 1, n, G, left);
          multiply_packed(left, weights.data, n, H, G, h, H, true);
        });
      });
}

}  // namespace

Status rnn_bwd(const RnnBwdArgs& args) {
  const Array& y = args.y;
  Steps steps;
  const int64_t H = columns(args.weight_hh);
  if (!is_float(y.dtype) || args.batch_sizes.dtype != DType::kInt64) return kNoDType;
  if (!is_matrix(y, -1, H) || !is_matrix(args.weight_hh, H, H) ||
      !is_matrix(args.grad_y, y.shape[0], H)) {
    return {Code::kShape, {0, 0}};
  }
  const Status status = steps.read(args.batch_sizes, y.shape[0], args.h_shape, H);
  if (status.code != Code::kOk) return status;
  if (!is_state(args.h_0, steps, H) || !is_state(args.grad_h_n, steps, H)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.grad_h_0.size == 0) return kDone;
  return y.dtype == DType::kFloat32 ? rnn_bwd_typed<float>(args, steps, H)
                                    : rnn_bwd_typed<double>(args, steps, H);
}

Status lstm_bwd(const LstmBwdArgs& args) {
  const Array& y = args.y;
  Steps steps;
  const bool projects = args.weight_hr.data != nullptr;
  const int64_t P = columns(args.weight_hh), H = projects ? columns(args.weight_hr) : P;
  if (!is_float(y.dtype) || args.batch_sizes.dtype != DType::kInt64) return kNoDType;
  if (!is_matrix(y, -1, P) || !is_matrix(args.weight_hh, 4 * H, P) ||
      !is_matrix(args.grad_y, y.shape[0], P) ||
      !is_matrix(args.saved, y.shape[0], (projects ? 6 : 5) * H) ||
      !has_shape(args.x_shape, y.shape[0], 4 * H) ||
      (projects &&
       (!is_matrix(args.weight_hr, P, H) || !has_shape(args.projected_shape, y.shape[0], P)))) {
    return {Code::kShape, {0, 0}};
  }
  const Status status = steps.read(args.batch_sizes, y.shape[0], args.h_shape, P);
  if (status.code != Code::kOk) return status;
  if (!is_state(args.h_0, steps, P) || !is_state(args.c_0, steps, H) ||
      !is_state(args.grad_h_n, steps, P) || !is_state(args.grad_c_n, steps, H) ||
      !has_shape(args.c_shape, steps.batch, H)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.grad_c_0.size == 0 || args.grad_h_0.size == 0) return kDone;
  return y.dtype == DType::kFloat32 ? lstm_bwd_typed<float>(args, steps, H, P)
                                    : lstm_bwd_typed<double>(args, steps, H, P);
}

Status gru_bwd(const GruBwdArgs& args) {
  const Array& y = args.y;
  Steps steps;
  const int64_t H = columns(args.weight_hh);
  if (!is_float(y.dtype) || args.batch_sizes.dtype != DType::kInt64) return kNoDType;
  if (!is_matrix(y, -1, H) || !is_matrix(args.weight_hh, 3 * H, H) ||
      !is_matrix(args.grad_y, y.shape[0], H) || !is_matrix(args.saved, y.shape[0], 4 * H) ||
      !has_shape(args.x_shape, y.shape[0], 3 * H)) {
    return {Code::kShape, {0, 0}};
  }
  const Status status = steps.read(args.batch_sizes, y.shape[0], args.h_shape, H);
  if (status.code != Code::kOk) return status;
  if (!is_state(args.h_0, steps, H) || !is_state(args.grad_h_n, steps, H)) {
    return {Code::kShape, {1, 0}};
  }
  if (args.grad_h_0.size == 0) return kDone;
  return y.dtype == DType::kFloat32 ? gru_bwd_typed<float>(args, steps, H)
                                    : gru_bwd_typed<double>(args, steps, H);
}

}  // namespace GS_ISA
}  // namespace gradsmith
