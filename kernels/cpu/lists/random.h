// The random kernels: each one's arguments, and the list of them.
#pragma once

#include "../args.h"

namespace gradsmith {

// One field a line, which clang-format would put in columns.
// clang-format off

struct DropoutArgs {
  Array x;
  double p;
  uint64_t seed, offset;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(DropoutArgs, x, kContiguous),
        GS_FIELD(DropoutArgs, p, kDouble),
        GS_FIELD(DropoutArgs, seed, kUInt),
        GS_FIELD(DropoutArgs, offset, kUInt),
        GS_OUT(DropoutArgs, y, "x", "x"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

// uniform: first = low, second = high; normal: first = mean, second = std
struct RandomArgs {
  Ints shape;
  double first, second;
  uint64_t seed, offset;
  DType dtype;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RandomArgs, shape, kInts),
        GS_FIELD(RandomArgs, first, kDouble),
        GS_FIELD(RandomArgs, second, kDouble),
        GS_FIELD(RandomArgs, seed, kUInt),
        GS_FIELD(RandomArgs, offset, kUInt),
        GS_FIELD(RandomArgs, dtype, kDType),
        GS_OUT(RandomArgs, y, "shape", "dtype"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct BernoulliArgs {
  Array p;
  uint64_t seed, offset;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(BernoulliArgs, p, kContiguous),
        GS_FIELD(BernoulliArgs, seed, kUInt),
        GS_FIELD(BernoulliArgs, offset, kUInt),
        GS_OUT(BernoulliArgs, y, "p", "p"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct RandintArgs {
  Ints shape;
  int64_t low, high;
  uint64_t seed, offset;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(RandintArgs, shape, kInts),
        GS_FIELD(RandintArgs, low, kInt),
        GS_FIELD(RandintArgs, high, kInt),
        GS_FIELD(RandintArgs, seed, kUInt),
        GS_FIELD(RandintArgs, offset, kUInt),
        GS_OUT(RandintArgs, y, "shape", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

struct PermutationArgs {
  Ints shape;
  uint64_t seed, offset;
  Array y;
  static FieldList fields() {
    static constexpr Field list[] = {
        GS_FIELD(PermutationArgs, shape, kInts),
        GS_FIELD(PermutationArgs, seed, kUInt),
        GS_FIELD(PermutationArgs, offset, kUInt),
        GS_OUT(PermutationArgs, y, "shape", "int64"),
    };
    return {list, sizeof(list) / sizeof(Field)};
  }
};

#define GS_RANDOM_KERNELS(X) \
  X(permutation, PermutationArgs) \
  X(dropout, DropoutArgs) \
  X(uniform, RandomArgs) \
  X(normal, RandomArgs) \
  X(bernoulli, BernoulliArgs) \
  X(randint, RandintArgs)
// clang-format on

}  // namespace gradsmith
