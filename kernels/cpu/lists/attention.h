// The attention kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct AttentionFwdArgs {
  Array query, key, value, mask;
  Ints out_shape, rows_shape;
  bool causal;
  double scale, p;
  uint64_t seed, offset;
  Array y, log_sum;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AttentionFwdArgs, query, kArray),
        GS_FIELD(AttentionFwdArgs, key, kArray),
        GS_FIELD(AttentionFwdArgs, value, kArray),
        GS_FIELD(AttentionFwdArgs, mask, kMaybe),
        GS_FIELD(AttentionFwdArgs, out_shape, kInts),
        GS_FIELD(AttentionFwdArgs, rows_shape, kInts),
        GS_FIELD(AttentionFwdArgs, causal, kBool),
        GS_FIELD(AttentionFwdArgs, scale, kDouble),
        GS_FIELD(AttentionFwdArgs, p, kDouble),
        GS_FIELD(AttentionFwdArgs, seed, kUInt),
        GS_FIELD(AttentionFwdArgs, offset, kUInt),
        GS_OUT(AttentionFwdArgs, y, "out_shape", "query"),
        GS_OUT(AttentionFwdArgs, log_sum, "rows_shape", "query"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct AttentionBwdArgs {
  Array grad_y, query, key, value, mask, y, log_sum;
  Ints mask_shape;
  bool causal;
  double scale, p;
  uint64_t seed, offset;
  Array grad_query, grad_key, grad_value, grad_mask;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(AttentionBwdArgs, grad_y, kArray),
        GS_FIELD(AttentionBwdArgs, query, kArray),
        GS_FIELD(AttentionBwdArgs, key, kArray),
        GS_FIELD(AttentionBwdArgs, value, kArray),
        GS_FIELD(AttentionBwdArgs, mask, kMaybe),
        GS_FIELD(AttentionBwdArgs, y, kArray),
        GS_FIELD(AttentionBwdArgs, log_sum, kContiguous),
        GS_FIELD(AttentionBwdArgs, mask_shape, kInts),
        GS_FIELD(AttentionBwdArgs, causal, kBool),
        GS_FIELD(AttentionBwdArgs, scale, kDouble),
        GS_FIELD(AttentionBwdArgs, p, kDouble),
        GS_FIELD(AttentionBwdArgs, seed, kUInt),
        GS_FIELD(AttentionBwdArgs, offset, kUInt),
        GS_OUT(AttentionBwdArgs, grad_query, "query", "query"),
        GS_OUT(AttentionBwdArgs, grad_key, "key", "query"),
        GS_OUT(AttentionBwdArgs, grad_value, "value", "query"),
        GS_OUT(AttentionBwdArgs, grad_mask, "mask_shape", "query"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_ATTENTION_KERNELS(X) \
  X(attention_fwd, AttentionFwdArgs) \
  X(attention_bwd, AttentionBwdArgs)
// clang-format on

}  // namespace gradsmith
