// The copy kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct CopyArgs {
  Array x;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CopyArgs, x, kArray),
        GS_FIELD(CopyArgs, dtype, kDType),
        GS_OUT(CopyArgs, y, "x", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ConvertArgs {
  Array x;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ConvertArgs, x, kArray),
        GS_FIELD(ConvertArgs, dtype, kDType),
        GS_OUT(ConvertArgs, y, nullptr, "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CopyIntoArgs {
  Array dst, src;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CopyIntoArgs, dst, kInPlace),
        GS_FIELD(CopyIntoArgs, src, kOperand),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct FullArgs {
  Ints shape;
  double value;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(FullArgs, shape, kInts),
        GS_FIELD(FullArgs, value, kDouble),
        GS_FIELD(FullArgs, dtype, kDType),
        GS_OUT(FullArgs, y, "shape", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct SliceBwdArgs {
  Array grad_y;
  Ints x_shape, start, step;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(SliceBwdArgs, grad_y, kArray),
        GS_FIELD(SliceBwdArgs, x_shape, kInts),
        GS_FIELD(SliceBwdArgs, start, kInts),
        GS_FIELD(SliceBwdArgs, step, kInts),
        GS_OUT(SliceBwdArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct CatArgs {
  Arrays xs;
  int64_t dim;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(CatArgs, xs, kArrays),
        GS_FIELD(CatArgs, dim, kInt),
        GS_FIELD(CatArgs, out_shape, kInts),
        GS_OUT(CatArgs, y, "out_shape", "xs"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_COPY_KERNELS(X) \
  X(copy, CopyArgs) \
  X(convert, ConvertArgs) \
  X(copy_into, CopyIntoArgs) \
  X(full, FullArgs) \
  X(slice_bwd, SliceBwdArgs) \
  X(cat, CatArgs)
// clang-format on

}  // namespace gradsmith
