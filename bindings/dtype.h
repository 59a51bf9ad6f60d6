// NumPy's dtypes and the kernels': their numbers, their sizes.
#pragma once

#include "../kernels/cpu/args.h"
#include "block.h"

namespace gradsmith {

// The type number of ml_dtypes' bfloat16, which NumPy gave it when ml_dtypes was imported; -1 until
// gradsmith.bfloat16 is first used.
inline int bfloat16_number = -1;

inline DType dtype_of_number(int type_number) {
  switch (type_number) {
    case NPY_FLOAT: return DType::kFloat32;
    case NPY_DOUBLE: return DType::kFloat64;
    case NPY_INT: return DType::kInt32;
    case NPY_LONG: return DType::kInt64;
    case NPY_LONGLONG: return DType::kInt64;
    case NPY_BOOL: return DType::kBool;
    case NPY_UBYTE: return DType::kUInt8;
    case NPY_BYTE: return DType::kInt8;
    case NPY_SHORT: return DType::kInt16;
    case NPY_HALF: return DType::kFloat16;
    default: break;
  }
  return type_number == bfloat16_number ? DType::kBFloat16 : DType::kOther;
}

inline int number_of_dtype(DType dtype) {
  switch (dtype) {
    case DType::kFloat32: return NPY_FLOAT;
    case DType::kFloat64: return NPY_DOUBLE;
    case DType::kInt32: return NPY_INT;
    case DType::kInt64: return NPY_LONG;
    case DType::kBool: return NPY_BOOL;
    case DType::kUInt8: return NPY_UBYTE;
    case DType::kInt8: return NPY_BYTE;
    case DType::kInt16: return NPY_SHORT;
    case DType::kFloat16: return NPY_HALF;
    case DType::kBFloat16: return bfloat16_number;
    case DType::kOther: break;
  }
  return NPY_NOTYPE;
}

inline int64_t item_bytes(DType dtype) {
  switch (dtype) {
    case DType::kFloat32:
    case DType::kInt32: return 4;
    case DType::kFloat64:
    case DType::kInt64: return 8;
    case DType::kInt16:
    case DType::kFloat16:
    case DType::kBFloat16: return 2;
    default: return 1;
  }
}

inline bool is_floating(DType dtype) {
  return dtype == DType::kFloat32 || dtype == DType::kFloat64 || dtype == DType::kFloat16 ||
         dtype == DType::kBFloat16;
}

// Whether an int lies in [-2^63, 2^64); exactly, which its double would not say.
inline bool fits_64_bits(PyObject* object) {
  int beyond = 0;
  PyLong_AsLongLongAndOverflow(object, &beyond);
  if (beyond <= 0) return beyond == 0;
  PyLong_AsUnsignedLongLong(object);
  const bool fits = !PyErr_Occurred();
  PyErr_Clear();
  return fits;
}

}  // namespace gradsmith
