// Whether ops are recorded for a backward pass: flags of each thread, and the blocks that set them.
//
// Every op of a forward pass asks, and every evaluation is inside such a block: an empty
// `with no_grad():` takes 0.85 us with a threading.local and __enter__ and __exit__ in Python, a third
// of a small product's call, and 0.25 here (Emerald Rapids). What is not hot is in
// autograd/grad_mode.py.
#pragma once

#define PY_SSIZE_T_CLEAN
#include <Python.h>

#include <new>
#include <string>

namespace gradsmith {

struct GradMode {
  bool enabled = true, inference = false;
};
inline thread_local GradMode grad_mode;

// ---- the flags, as attributes of one object ----

template <bool GradMode::* flag>
PyObject* get_flag(PyObject*, void*) {
  return PyBool_FromLong(grad_mode.*flag);
}

template <bool GradMode::* flag>
int set_flag(PyObject*, PyObject* value, void*) {
  const int wanted = value ? PyObject_IsTrue(value) : 0;
  if (wanted < 0) return -1;
  grad_mode.*flag = wanted == 1;
  return 0;
}

inline PyObject* make_grad_mode() {
  static PyGetSetDef flags[] = {
      {"enabled", get_flag<&GradMode::enabled>, set_flag<&GradMode::enabled>,
       "Whether ops of this thread are recorded.", nullptr},
      {"inference", get_flag<&GradMode::inference>, set_flag<&GradMode::inference>,
       "Whether this thread is inside inference_mode().", nullptr},
      {nullptr, nullptr, nullptr, nullptr, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_getset, flags},
      {Py_tp_doc, const_cast<char*>("Whether ops are recorded: flags of each thread.")},
      {0, nullptr}};
  static PyType_Spec spec = {"gradsmith._cpu.GradMode", sizeof(PyObject), 0, Py_TPFLAGS_DEFAULT,
                             slots};
  PyObject* type = PyType_FromSpec(&spec);
  if (!type) return nullptr;
  PyObject* mode = PyObject_CallNoArgs(type);
  Py_DECREF(type);
  return mode;
}

// ---- the blocks ----

struct GradBlock {
  PyObject_HEAD
  // What was set before, a character an entry: a block may be entered again inside itself. Short strings lie
  // in the object.
  std::string before;
};

// block(): one to enter. block(function): what calling it with the function gives, which Python says.
inline PyObject* block_new(PyTypeObject* type, PyObject* args, PyObject* options) {
  PyObject* function = nullptr;
  static const char* names[] = {"function", nullptr};
  if ((options || PyTuple_GET_SIZE(args)) &&
      !PyArg_ParseTupleAndKeywords(args, options, "|O", const_cast<char**>(names), &function)) {
    return nullptr;
  }
  PyObject* self = type->tp_alloc(type, 0);
  if (!self) return nullptr;
  new (&reinterpret_cast<GradBlock*>(self)->before) std::string();
  if (!function || function == Py_None) return self;
  PyObject* decorated = PyObject_CallOneArg(self, function);
  Py_DECREF(self);
  return decorated;
}

inline void block_free(PyObject* self) {
  PyTypeObject* type = Py_TYPE(self);
  reinterpret_cast<GradBlock*>(self)->before.~basic_string();
  type->tp_free(self);
  Py_DECREF(type);
}

template <bool wanted>
PyObject* block_enter(PyObject* self, PyObject*) {
  try {
    reinterpret_cast<GradBlock*>(self)->before.push_back(grad_mode.enabled);
  } catch (const std::bad_alloc&) {
    return PyErr_NoMemory();
  }
  grad_mode.enabled = wanted;
  Py_RETURN_NONE;
}

inline PyObject* block_exit(PyObject* self, PyObject* const*, Py_ssize_t) {
  std::string& before = reinterpret_cast<GradBlock*>(self)->before;
  if (before.empty()) {
    PyErr_SetString(PyExc_RuntimeError, "the block was left more often than entered");
    return nullptr;
  }
  grad_mode.enabled = before.back();
  before.pop_back();
  Py_RETURN_NONE;
}

// The base of no_grad (wanted: false) or enable_grad.
template <bool wanted>
PyObject* make_grad_block() {
  static PyMethodDef methods[] = {
      {"__enter__", block_enter<wanted>, METH_NOARGS, nullptr},
      {"__exit__", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(block_exit)),
       METH_FASTCALL, nullptr},
      {nullptr, nullptr, 0, nullptr}};
  static PyType_Slot slots[] = {
      {Py_tp_new, reinterpret_cast<void*>(block_new)},
      {Py_tp_dealloc, reinterpret_cast<void*>(block_free)},
      {Py_tp_methods, methods},
      {Py_tp_doc, const_cast<char*>("A block in which ops are recorded, or are not.")},
      {0, nullptr}};
  static PyType_Spec spec = {wanted ? "gradsmith._cpu.EnableGrad" : "gradsmith._cpu.NoGrad",
                             sizeof(GradBlock), 0, Py_TPFLAGS_DEFAULT | Py_TPFLAGS_BASETYPE, slots};
  return PyType_FromSpec(&spec);
}

}  // namespace gradsmith
