// The indexing kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct TakeArgs {
  Array x;
  Array index;
  int64_t dim;
  int64_t skip;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(TakeArgs, x, kContiguous),
        GS_FIELD(TakeArgs, index, kIndices),
        GS_FIELD(TakeArgs, dim, kInt),
        GS_FIELD(TakeArgs, skip, kInt),
        GS_FIELD(TakeArgs, out_shape, kInts),
        GS_OUT(TakeArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct IndexSumArgs {
  Array grad_y;
  Array index;
  int64_t dim;
  int64_t skip;
  Ints x_shape;
  Array grad_x;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(IndexSumArgs, grad_y, kContiguous),
        GS_FIELD(IndexSumArgs, index, kIndices),
        GS_FIELD(IndexSumArgs, dim, kInt),
        GS_FIELD(IndexSumArgs, skip, kInt),
        GS_FIELD(IndexSumArgs, x_shape, kInts),
        GS_OUT(IndexSumArgs, grad_x, "x_shape", "grad_y"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PutArgs {
  Array x;
  Array src;
  Array index;
  int64_t dim;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PutArgs, x, kContiguous),
        GS_FIELD(PutArgs, src, kContiguous),
        GS_FIELD(PutArgs, index, kIndices),
        GS_FIELD(PutArgs, dim, kInt),
        GS_OUT(PutArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PutIntoArgs {
  Array dst;
  Array src;
  Array index;
  int64_t dim;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PutIntoArgs, dst, kInPlace),
        GS_FIELD(PutIntoArgs, src, kContiguous),
        GS_FIELD(PutIntoArgs, index, kIndices),
        GS_FIELD(PutIntoArgs, dim, kInt),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PutDimArgs {
  Array x;
  Array src;
  Array indices;
  int64_t dim;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PutDimArgs, x, kContiguous),
        GS_FIELD(PutDimArgs, src, kContiguous),
        GS_FIELD(PutDimArgs, indices, kIndices),
        GS_FIELD(PutDimArgs, dim, kInt),
        GS_OUT(PutDimArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct IndexFlatArgs {
  Arrays indices;
  Ints sizes;
  Ints out_shape;
  Array flat;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(IndexFlatArgs, indices, kArrays),
        GS_FIELD(IndexFlatArgs, sizes, kInts),
        GS_FIELD(IndexFlatArgs, out_shape, kInts),
        GS_OUT(IndexFlatArgs, flat, "out_shape", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct FlatAlongArgs {
  Array indices;
  Ints x_shape;
  int64_t dim;
  Array flat;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(FlatAlongArgs, indices, kIndices),
        GS_FIELD(FlatAlongArgs, x_shape, kInts),
        GS_FIELD(FlatAlongArgs, dim, kInt),
        GS_OUT(FlatAlongArgs, flat, "indices", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct GatherDimArgs {
  Array x;
  Array indices;
  int64_t dim;
  Ints out_shape;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(GatherDimArgs, x, kContiguous),
        GS_FIELD(GatherDimArgs, indices, kIndices),
        GS_FIELD(GatherDimArgs, dim, kInt),
        GS_FIELD(GatherDimArgs, out_shape, kInts),
        GS_OUT(GatherDimArgs, y, "out_shape", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct ScatterSumArgs {
  Array src;
  Array indices;
  Ints x_shape;
  int64_t dim;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(ScatterSumArgs, src, kContiguous),
        GS_FIELD(ScatterSumArgs, indices, kIndices),
        GS_FIELD(ScatterSumArgs, x_shape, kInts),
        GS_FIELD(ScatterSumArgs, dim, kInt),
        GS_OUT(ScatterSumArgs, y, "x_shape", "src"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct NonzeroCountArgs {
  Array x;
  Array count;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(NonzeroCountArgs, x, kContiguous),
        GS_OUT(NonzeroCountArgs, count, "", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct NonzeroArgs {
  Array x;
  Ints out_shape;
  Array indices;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(NonzeroArgs, x, kContiguous),
        GS_FIELD(NonzeroArgs, out_shape, kInts),
        GS_OUT(NonzeroArgs, indices, "out_shape", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct TriangleArgs {
  Array x;
  int64_t diagonal;
  bool upper;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(TriangleArgs, x, kContiguous),
        GS_FIELD(TriangleArgs, diagonal, kInt),
        GS_FIELD(TriangleArgs, upper, kBool),
        GS_OUT(TriangleArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_INDEX_KERNELS(X) \
  X(take, TakeArgs) \
  X(index_sum, IndexSumArgs) \
  X(put, PutArgs) \
  X(put_into, PutIntoArgs) \
  X(put_dim, PutDimArgs) \
  X(index_flat, IndexFlatArgs) \
  X(flat_along, FlatAlongArgs) \
  X(gather_dim, GatherDimArgs) \
  X(scatter_sum, ScatterSumArgs) \
  X(nonzero_count, NonzeroCountArgs) \
  X(nonzero, NonzeroArgs) \
  X(triangle, TriangleArgs)
// clang-format on

}  // namespace gradsmith
