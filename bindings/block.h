// Arrays over the caching allocator's memory.
//
// A result is a NumPy array whose base object, a Block, owns the memory and gives it back to the
// cache when the last view of it is gone.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#define NPY_NO_DEPRECATED_API NPY_2_0_API_VERSION
#include <numpy/arrayobject.h>

#include "../kernels/cpu/runtime.h"

namespace gradsmith {

struct Block {
  PyObject_HEAD
  void* memory;
  size_t bytes;
};

inline Block* free_blocks = nullptr;  // Block objects for reuse, linked through `memory`; GIL held
inline int free_block_count = 0;
constexpr int kMaxFreeBlocks = 256;

inline void block_dealloc(PyObject* self) {
  auto* block = reinterpret_cast<Block*>(self);
  PyTypeObject* type = Py_TYPE(self);
  release(block->memory, block->bytes);
  if (free_block_count < kMaxFreeBlocks) {
    block->memory = free_blocks;
    free_blocks = block;
    ++free_block_count;
  } else {
    PyObject_Free(self);
  }
  Py_DECREF(type);
}

inline PyTypeObject* block_type = nullptr;

// Makes block_type; false with an exception set if it fails.
inline bool make_block_type() {
  static PyType_Slot slots[] = {
      {Py_tp_dealloc, reinterpret_cast<void*>(block_dealloc)},
      {Py_tp_doc, const_cast<char*>("Owner of memory from gradsmith's caching allocator.")},
      {0, nullptr}};
  static PyType_Spec spec = {"gradsmith._cpu.Block", sizeof(Block), 0,
                             Py_TPFLAGS_DEFAULT | Py_TPFLAGS_DISALLOW_INSTANTIATION, slots};
  block_type = reinterpret_cast<PyTypeObject*>(PyType_FromSpec(&spec));
  return block_type != nullptr;
}

// A new array over fresh memory, C-contiguous or of other strides without gaps, or nullptr with
// MemoryError set.
inline PyObject* new_array(int type_number, int ndim, const int64_t* shape, int64_t count,
                           int64_t item_bytes, const int64_t* strides = nullptr) {
  int64_t bytes;
  if (__builtin_mul_overflow(count, item_bytes, &bytes)) {
    PyErr_SetString(PyExc_MemoryError, "the result has more bytes than 64 bits can count");
    return nullptr;
  }
  void* memory = allocate(static_cast<size_t>(bytes));
  if (!memory) {
    PyErr_Format(PyExc_MemoryError, "cannot allocate %lld bytes for the result",
                 static_cast<long long>(bytes));
    return nullptr;
  }
  Block* block = free_blocks;
  if (block) {
    free_blocks = static_cast<Block*>(block->memory);
    --free_block_count;
    PyObject_Init(reinterpret_cast<PyObject*>(block), block_type);
  } else {
    block = PyObject_New(Block, block_type);
    if (!block) {
      release(memory, static_cast<size_t>(bytes));
      return nullptr;
    }
  }
  block->memory = memory;
  block->bytes = static_cast<size_t>(bytes);
  static_assert(sizeof(npy_intp) == sizeof(int64_t), "gradsmith needs a 64-bit platform");
  PyObject* array =
      PyArray_NewFromDescr(&PyArray_Type, PyArray_DescrFromType(type_number), ndim,
                           const_cast<npy_intp*>(reinterpret_cast<const npy_intp*>(shape)),
                           const_cast<npy_intp*>(reinterpret_cast<const npy_intp*>(strides)),
                           memory, strides ? NPY_ARRAY_BEHAVED : NPY_ARRAY_CARRAY, nullptr);
  if (!array) {
    Py_DECREF(block);
    return nullptr;
  }
  if (strides) PyArray_UpdateFlags(reinterpret_cast<PyArrayObject*>(array), NPY_ARRAY_UPDATE_ALL);
  // Steals the reference to block, also when it fails.
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(array),
                            reinterpret_cast<PyObject*>(block)) < 0) {
    Py_DECREF(array);
    return nullptr;
  }
  return array;
}

}  // namespace gradsmith
