// The plain data a CPU kernel gets, and how each kernel's arguments are listed.
//
// A kernel is `Status name(const NameArgs&)`: pointers, sizes, strides and options, nothing of
// Python. Each Args struct lists its fields once, in `fields()`; the binding reads that list to parse
// Python's arguments, to make inputs contiguous where the kernel wants them so, and to allocate the
// results. This header is shared by all ISA builds: plain structs only, no functions that a
// kernel calls (an inline function is one weak symbol compiled for several ISAs, and the linker picks
// one of them); `fields()` is only called by the binding.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gradsmith {

constexpr int kMaxDims = 16;

enum class DType : int32_t {
  kFloat32,
  kFloat64,
  kInt32,
  kInt64,
  kBool,
  kUInt8,
  kInt8,
  kInt16,
  kFloat16,
  kBFloat16,
  kOther,
};

// A strided array. Strides are in bytes and may be 0 or negative.
struct Array {
  char* data;             // nullptr: the optional array is absent
  const int64_t* shape;   // ndim entries
  const int64_t* stride;  // ndim entries, bytes
  int64_t size;           // product of the shape
  int32_t ndim;
  DType dtype;
  bool contiguous;  // C order, aligned to its element
};

// A tuple of ints: a shape, or one option per dimension.
struct Ints {
  int64_t v[kMaxDims];
  int32_t n;
};

struct Arrays {
  const Array* v;
  int64_t n;
};

// What a kernel answers. Anything but kOk becomes a Python exception, worded by gradsmith.errors.
enum class Code : int32_t {
  kOk,
  kDType,         // no kernel for this dtype
  kShape,         // shapes that do not fit together; detail[0] is the argument
  kIndex,         // an index out of range: detail = value, limit
  kRange,         // a value that must be in [0, 1] is not; detail[0] is the argument
  kOutOfMemory,   // detail[0] bytes
  kZeroDivision,  // an integer divided by 0
};

struct Status {
  Code code;
  int64_t detail[2];
};

// ---- the list of fields of an Args struct ----

// Arrays of the kinds kArray, kMaybe, kContiguous, kOptional and kOperand must be of one dtype.
enum class Kind : uint8_t {
  kArray,       // any strides
  kMaybe,       // like kArray, or None: data == nullptr
  kContiguous,  // copied to C order (and alignment) first where it is not
  kOptional,    // like kContiguous, or None: data == nullptr
  kIndices,     // like kContiguous, of a dtype of its own (indices, labels, host values)
  kOperand,     // kArray, or a Python number: a 0-dim array of the other operand's dtype
  kMask,        // bools of any strides, which broadcast with the operands
  kInPlace,     // an array that is written: must be writeable
  kArrays,      // a list of arrays, any strides
  kInPlaces,    // a list of arrays that are written, any strides
  kInts,        // tuple of ints
  kInt,         // int64_t
  kUInt,        // uint64_t
  kDouble,      // double
  kBool,        // bool
  kDType,       // DType
  kOut,         // a result: allocated by the binding
};

struct Field {
  const char* name;
  Kind kind;
  uint16_t offset;
  // For kOut: the field whose shape it takes (an array or a tuple; nullptr: the kernel is
  // elementwise, the result is the broadcast of all its arrays, in their order of memory), and the
  // field whose dtype it takes, or "int32", "int64", "bool".
  const char* shape_of = nullptr;
  const char* dtype_of = nullptr;
};

struct FieldList {
  const Field* v;
  size_t n;
};

#define GS_FIELD(Args, name, kind) \
  ::gradsmith::Field { #name, ::gradsmith::Kind::kind, offsetof(Args, name) }
#define GS_OUT(Args, name, shape_of, dtype_of) \
  ::gradsmith::Field { #name, ::gradsmith::Kind::kOut, offsetof(Args, name), shape_of, dtype_of }

}  // namespace gradsmith
