// The recurrent kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct RnnFwdArgs {
  Array x, h_0, weight_hh, bias_hh, batch_sizes;
  Ints h_shape;
  bool relu, reverse;
  Array y, h_n;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RnnFwdArgs, x, kContiguous),
        GS_FIELD(RnnFwdArgs, h_0, kOptional),
        GS_FIELD(RnnFwdArgs, weight_hh, kContiguous),
        GS_FIELD(RnnFwdArgs, bias_hh, kOptional),
        GS_FIELD(RnnFwdArgs, batch_sizes, kIndices),
        GS_FIELD(RnnFwdArgs, h_shape, kInts),
        GS_FIELD(RnnFwdArgs, relu, kBool),
        GS_FIELD(RnnFwdArgs, reverse, kBool),
        GS_OUT(RnnFwdArgs, y, "x", "x"),
        GS_OUT(RnnFwdArgs, h_n, "h_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct RnnBwdArgs {
  Array grad_y, grad_h_n, y, h_0, weight_hh, batch_sizes;
  Ints h_shape;
  bool relu, reverse;
  Array grad_x, grad_h_0, h_before;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RnnBwdArgs, grad_y, kContiguous),
        GS_FIELD(RnnBwdArgs, grad_h_n, kContiguous),
        GS_FIELD(RnnBwdArgs, y, kContiguous),
        GS_FIELD(RnnBwdArgs, h_0, kOptional),
        GS_FIELD(RnnBwdArgs, weight_hh, kContiguous),
        GS_FIELD(RnnBwdArgs, batch_sizes, kIndices),
        GS_FIELD(RnnBwdArgs, h_shape, kInts),
        GS_FIELD(RnnBwdArgs, relu, kBool),
        GS_FIELD(RnnBwdArgs, reverse, kBool),
        GS_OUT(RnnBwdArgs, grad_x, "y", "y"),
        GS_OUT(RnnBwdArgs, grad_h_0, "h_shape", "y"),
        GS_OUT(RnnBwdArgs, h_before, "y", "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct LstmFwdArgs {
  Array x, h_0, c_0, weight_hh, bias_hh, weight_hr, batch_sizes;
  Ints y_shape, h_shape, c_shape, saved_shape;
  bool reverse;
  Array y, h_n, c_n, saved;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(LstmFwdArgs, x, kContiguous),
        GS_FIELD(LstmFwdArgs, h_0, kOptional),
        GS_FIELD(LstmFwdArgs, c_0, kOptional),
        GS_FIELD(LstmFwdArgs, weight_hh, kContiguous),
        GS_FIELD(LstmFwdArgs, bias_hh, kOptional),
        GS_FIELD(LstmFwdArgs, weight_hr, kOptional),
        GS_FIELD(LstmFwdArgs, batch_sizes, kIndices),
        GS_FIELD(LstmFwdArgs, y_shape, kInts),
        GS_FIELD(LstmFwdArgs, h_shape, kInts),
        GS_FIELD(LstmFwdArgs, c_shape, kInts),
        GS_FIELD(LstmFwdArgs, saved_shape, kInts),
        GS_FIELD(LstmFwdArgs, reverse, kBool),
        GS_OUT(LstmFwdArgs, y, "y_shape", "x"),
        GS_OUT(LstmFwdArgs, h_n, "h_shape", "x"),
        GS_OUT(LstmFwdArgs, c_n, "c_shape", "x"),
        GS_OUT(LstmFwdArgs, saved, "saved_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct LstmBwdArgs {
  Array grad_y, grad_h_n, grad_c_n, saved, y, h_0, c_0, weight_hh, weight_hr, batch_sizes;
  Ints x_shape, h_shape, c_shape, projected_shape;
  bool reverse;
  Array grad_x, grad_h_0, grad_c_0, h_before, grad_projected;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(LstmBwdArgs, grad_y, kContiguous),
        GS_FIELD(LstmBwdArgs, grad_h_n, kContiguous),
        GS_FIELD(LstmBwdArgs, grad_c_n, kContiguous),
        GS_FIELD(LstmBwdArgs, saved, kContiguous),
        GS_FIELD(LstmBwdArgs, y, kContiguous),
        GS_FIELD(LstmBwdArgs, h_0, kOptional),
        GS_FIELD(LstmBwdArgs, c_0, kOptional),
        GS_FIELD(LstmBwdArgs, weight_hh, kContiguous),
        GS_FIELD(LstmBwdArgs, weight_hr, kOptional),
        GS_FIELD(LstmBwdArgs, batch_sizes, kIndices),
        GS_FIELD(LstmBwdArgs, x_shape, kInts),
        GS_FIELD(LstmBwdArgs, h_shape, kInts),
        GS_FIELD(LstmBwdArgs, c_shape, kInts),
        GS_FIELD(LstmBwdArgs, projected_shape, kInts),
        GS_FIELD(LstmBwdArgs, reverse, kBool),
        GS_OUT(LstmBwdArgs, grad_x, "x_shape", "y"),
        GS_OUT(LstmBwdArgs, grad_h_0, "h_shape", "y"),
        GS_OUT(LstmBwdArgs, grad_c_0, "c_shape", "y"),
        GS_OUT(LstmBwdArgs, h_before, "y", "y"),
        GS_OUT(LstmBwdArgs, grad_projected, "projected_shape", "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct GruFwdArgs {
  Array x, h_0, weight_hh, bias_hh, batch_sizes;
  Ints y_shape, h_shape, saved_shape;
  bool reverse;
  Array y, h_n, saved;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(GruFwdArgs, x, kContiguous),
        GS_FIELD(GruFwdArgs, h_0, kOptional),
        GS_FIELD(GruFwdArgs, weight_hh, kContiguous),
        GS_FIELD(GruFwdArgs, bias_hh, kOptional),
        GS_FIELD(GruFwdArgs, batch_sizes, kIndices),
        GS_FIELD(GruFwdArgs, y_shape, kInts),
        GS_FIELD(GruFwdArgs, h_shape, kInts),
        GS_FIELD(GruFwdArgs, saved_shape, kInts),
        GS_FIELD(GruFwdArgs, reverse, kBool),
        GS_OUT(GruFwdArgs, y, "y_shape", "x"),
        GS_OUT(GruFwdArgs, h_n, "h_shape", "x"),
        GS_OUT(GruFwdArgs, saved, "saved_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct GruBwdArgs {
  Array grad_y, grad_h_n, saved, y, h_0, weight_hh, batch_sizes;
  Ints x_shape, h_shape;
  bool reverse;
  Array grad_x, grad_hidden, grad_h_0, h_before;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(GruBwdArgs, grad_y, kContiguous),
        GS_FIELD(GruBwdArgs, grad_h_n, kContiguous),
        GS_FIELD(GruBwdArgs, saved, kContiguous),
        GS_FIELD(GruBwdArgs, y, kContiguous),
        GS_FIELD(GruBwdArgs, h_0, kOptional),
        GS_FIELD(GruBwdArgs, weight_hh, kContiguous),
        GS_FIELD(GruBwdArgs, batch_sizes, kIndices),
        GS_FIELD(GruBwdArgs, x_shape, kInts),
        GS_FIELD(GruBwdArgs, h_shape, kInts),
        GS_FIELD(GruBwdArgs, reverse, kBool),
        GS_OUT(GruBwdArgs, grad_x, "x_shape", "y"),
        GS_OUT(GruBwdArgs, grad_hidden, "x_shape", "y"),
        GS_OUT(GruBwdArgs, grad_h_0, "h_shape", "y"),
        GS_OUT(GruBwdArgs, h_before, "y", "y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_RECURRENT_KERNELS(X) \
  X(rnn_fwd, RnnFwdArgs) \
  X(rnn_bwd, RnnBwdArgs) \
  X(lstm_fwd, LstmFwdArgs) \
  X(lstm_bwd, LstmBwdArgs) \
  X(gru_fwd, GruFwdArgs) \
  X(gru_bwd, GruBwdArgs)
// clang-format on

}  // namespace gradsmith
