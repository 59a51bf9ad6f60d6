// One call of a kernel from Python: its arguments read, its results allocated.
//
// A kernel's list of fields (kernels.h) drives it: arrays, numbers, tuples and lists go into the Args
// struct, inputs are copied to C order where the kernel wants it, and results are made of the shape
// and dtype that the fields say. What goes wrong is raised as Fault, (kernel, kind, details...), which
// gradsmith.errors words.
#pragma once

#include <algorithm>
#include <atomic>
#include <stdexcept>
#include <string>
#include <vector>

#include "../kernels/cpu/dispatch.h"
#include "block.h"
#include "dtype.h"
#include "order.h"

namespace gradsmith {

// Arrays below this many elements in all keep the GIL: releasing it costs more than they take.
constexpr int64_t kReleaseGilAbove = 16384;
// The most arguments and results of a kernel.
constexpr int kMaxInputs = 24, kMaxResults = 8;

constexpr size_t max_args_size() {
  size_t most = 0;
#define GS_SIZE(name, Args) most = sizeof(Args) > most ? sizeof(Args) : most;
  GS_KERNELS(GS_SIZE)
#undef GS_SIZE
  return most;
}

// A field of a kernel, with the names that it refers to looked up.
struct FieldInfo {
  Field field;
  int shape_from = -1;  // index of a field; -1: the broadcast of the operands; -2: 0-dim
  int dtype_from = -1;  // index of a field; -1: fixed_dtype
  DType fixed_dtype = DType::kOther;
};

struct KernelInfo {
  const char* name;
  std::vector<FieldInfo> fields;
  int inputs = 0;  // fields that Python passes
  int outputs = 0;
  bool elementwise = false;  // the result is as the operands broadcast, in their order of memory
};

inline std::vector<KernelInfo> kernel_infos;
inline std::atomic<const Kernel*> kernels_in_use{nullptr};
inline PyObject* fault_type = nullptr;

inline int field_named(const KernelInfo& info, const char* name) {
  for (size_t i = 0; i < info.fields.size(); ++i) {
    if (std::string(info.fields[i].field.name) == name) return static_cast<int>(i);
  }
  throw std::logic_error(std::string(info.name) + ": no field " + name);
}

inline bool is_element_operand(const Field& field) {
  return field.kind == Kind::kArray || field.kind == Kind::kOperand || field.kind == Kind::kMask;
}

// The field of an elementwise kernel's only operand; -1: it has several.
inline int sole_array(const KernelInfo& info) {
  int found = -1, count = 0;
  for (size_t i = 0; i < info.fields.size(); ++i) {
    if (!is_element_operand(info.fields[i].field)) continue;
    found = static_cast<int>(i);
    ++count;
  }
  return count == 1 ? found : -1;
}

template <class Args>
KernelInfo describe(const char* name) {
  KernelInfo info;
  info.name = name;
  const FieldList list = Args::fields();
  for (size_t i = 0; i < list.n; ++i) info.fields.push_back({list.v[i]});
  for (FieldInfo& f : info.fields) {
    if (f.field.kind != Kind::kOut) {
      ++info.inputs;
      continue;
    }
    ++info.outputs;
    const char* shape = f.field.shape_of;
    info.elementwise = info.elementwise || !shape;
    f.shape_from = !shape ? sole_array(info) : *shape ? field_named(info, shape) : -2;
    const std::string dtype = f.field.dtype_of;
    if (dtype == "int32") {
      f.fixed_dtype = DType::kInt32;
    } else if (dtype == "int64") {
      f.fixed_dtype = DType::kInt64;
    } else if (dtype == "bool") {
      f.fixed_dtype = DType::kBool;
    } else {
      f.dtype_from = field_named(info, f.field.dtype_of);
    }
  }
  if (info.inputs > kMaxInputs || info.outputs > kMaxResults) {
    throw std::logic_error(std::string(name) +
                           ": more arguments or results than a call has room for");
  }
  return info;
}

// One call of a kernel: what lives from the parsing of its arguments to its results.
class Call {
 public:
  Call(const KernelInfo& info, int index) : info_(info), index_(index) {}
  ~Call() {
    for (int i = 0; i < temporaries_; ++i) release(temporary_[i].memory, temporary_[i].bytes);
    for (int i = 0; i < made_; ++i) Py_XDECREF(results_[i]);
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  PyObject* run(PyObject* const* args, Py_ssize_t nargs) {
    if (nargs != info_.inputs) {
      PyErr_Format(PyExc_TypeError, "%s: takes %d arguments; got %zd", info_.name, info_.inputs,
                   nargs);
      return nullptr;
    }
    int arg = 0;
    for (const FieldInfo& f : info_.fields) {
      if (f.field.kind == Kind::kOut) {
        if (!make_result(f)) return nullptr;
      } else if (!parse(f.field, args[arg++])) {
        return nullptr;
      } else if (arg == info_.inputs && !finish_inputs()) {
        return nullptr;
      }
    }
    const Kernel kernel = kernels_in_use.load(std::memory_order_relaxed)[index_];
    Status status;
    if (elements_ > kReleaseGilAbove) {
      Py_BEGIN_ALLOW_THREADS;
      status = kernel(frame_);
      Py_END_ALLOW_THREADS;
    } else {
      status = kernel(frame_);
    }
    if (status.code != Code::kOk) return fault(status);
    return take_results();
  }

 private:
  template <class T>
  T& at(const Field& field) {
    return *reinterpret_cast<T*>(frame_ + field.offset);
  }

  PyObject* raise(const char* kind, PyObject* detail = nullptr) {
    PyObject* value = detail ? Py_BuildValue("(ssN)", info_.name, kind, detail)
                             : Py_BuildValue("(ss)", info_.name, kind);
    if (value) {
      PyErr_SetObject(fault_type, value);
      Py_DECREF(value);
    }
    return nullptr;
  }

  PyObject* fault(const Status& status) {
    const auto a = static_cast<long long>(status.detail[0]);
    const auto b = static_cast<long long>(status.detail[1]);
    switch (status.code) {
      case Code::kDType: return raise("dtype");
      case Code::kShape: return raise("shape", PyLong_FromLongLong(a));
      case Code::kRange: return raise("range", Py_BuildValue("L", a));
      case Code::kZeroDivision: return raise("zero_division");
      case Code::kIndex: return raise("index", Py_BuildValue("(LL)", a, b));
      default: break;
    }
    PyErr_Format(PyExc_MemoryError, "%s: cannot allocate %lld bytes", info_.name, a);
    return nullptr;
  }

  bool read_array(const Field& field, PyObject* object, Array* out) {
    if (!PyArray_Check(object)) {
      raise("not_array", Py_BuildValue("(ss)", field.name, Py_TYPE(object)->tp_name));
      return false;
    }
    auto* array = reinterpret_cast<PyArrayObject*>(object);
    const int flags = PyArray_FLAGS(array);
    out->data = PyArray_BYTES(array);
    out->shape = reinterpret_cast<const int64_t*>(PyArray_DIMS(array));
    out->stride = reinterpret_cast<const int64_t*>(PyArray_STRIDES(array));
    out->ndim = PyArray_NDIM(array);
    const PyArray_Descr* descr = PyArray_DESCR(array);
    out->dtype = PyDataType_ISNOTSWAPPED(descr) ? dtype_of_number(descr->type_num) : DType::kOther;
    out->contiguous = (flags & NPY_ARRAY_C_CONTIGUOUS) && (flags & NPY_ARRAY_ALIGNED);
    int64_t size = 1;
    for (int i = 0; i < out->ndim; ++i) size *= out->shape[i];
    out->size = size;
    elements_ += size;
    strided_ = strided_ || !out->contiguous;
    if (out->dtype == DType::kOther) {
      raise("dtype");
      return false;
    }
    if (out->ndim > kMaxDims) {
      raise("ndim", PyLong_FromLong(out->ndim));
      return false;
    }
    return true;
  }

  // Arrays of a kernel are of one dtype; the first one decides.
  bool same_dtype(const Array& array) {
    if (dtype_ == DType::kOther) {
      dtype_ = array.dtype;
    } else if (dtype_ != array.dtype && info_.outputs) {
      raise("dtype_mismatch");
      return false;
    }
    return true;
  }

  bool make_contiguous(Array* array) {
    if (array->contiguous) return true;
    Temporary& t = temporary_[temporaries_];
    t.bytes = static_cast<size_t>(array->size * item_bytes(array->dtype));
    t.memory = allocate(t.bytes);
    if (!t.memory) {
      PyErr_Format(PyExc_MemoryError, "%s: cannot allocate %zu bytes to make an input contiguous",
                   info_.name, t.bytes);
      return false;
    }
    ++temporaries_;
    int64_t step = item_bytes(array->dtype);
    for (int i = array->ndim - 1; i >= 0; --i) {
      t.stride[i] = step;
      step *= array->shape[i];
    }
    CopyArgs copy{};
    copy.x = *array;
    copy.dtype = array->dtype;
    copy.y = *array;
    copy.y.data = static_cast<char*>(t.memory);
    copy.y.stride = t.stride;
    copy.y.contiguous = true;
    const Kernel kernel = kernels_in_use.load(std::memory_order_relaxed)[copy_index()];
    const Status status = kernel(&copy);
    if (status.code != Code::kOk) {
      fault(status);
      return false;
    }
    *array = copy.y;
    return true;
  }

  static int copy_index() {
    static const int index = [] {
      for (size_t i = 0; i < kernel_infos.size(); ++i) {
        if (std::string(kernel_infos[i].name) == "copy") return static_cast<int>(i);
      }
      return -1;
    }();
    return index;
  }

  bool read_arrays(const Field& field, PyObject* object, bool in_place) {
    if (!PyList_Check(object) && !PyTuple_Check(object)) {
      PyErr_Format(PyExc_TypeError, "%s: %s must be a list of arrays", info_.name, field.name);
      return false;
    }
    const Py_ssize_t n = PySequence_Fast_GET_SIZE(object);
    lists_.emplace_back(static_cast<size_t>(n));
    std::vector<Array>& list = lists_.back();
    for (Py_ssize_t i = 0; i < n; ++i) {
      PyObject* item = PySequence_Fast_GET_ITEM(object, i);
      Array& array = list[static_cast<size_t>(i)];
      if (!read_array(field, item, &array) || !same_dtype(array)) return false;
      if (in_place && !writeable(field, item)) return false;
    }
    at<Arrays>(field) = {list.data(), static_cast<int64_t>(n)};
    return true;
  }

  bool writeable(const Field& field, PyObject* array) {
    if (PyArray_ISWRITEABLE(reinterpret_cast<PyArrayObject*>(array))) return true;
    raise("read_only", Py_BuildValue("s", field.name));
    return false;
  }

  bool read_ints(const Field& field, PyObject* object) {
    Ints& ints = at<Ints>(field);
    if (!PyTuple_Check(object) || PyTuple_GET_SIZE(object) > kMaxDims) {
      if (PyTuple_Check(object)) {
        raise("ndim", PyLong_FromSsize_t(PyTuple_GET_SIZE(object)));
      } else {
        PyErr_Format(PyExc_TypeError, "%s: %s must be a tuple of ints", info_.name, field.name);
      }
      return false;
    }
    ints.n = static_cast<int32_t>(PyTuple_GET_SIZE(object));
    for (int i = 0; i < ints.n; ++i) {
      ints.v[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(object, i));
      if (ints.v[i] == -1 && PyErr_Occurred()) {
        if (PyErr_ExceptionMatches(PyExc_OverflowError)) {
          PyErr_Clear();
          raise("size");
        }
        return false;
      }
    }
    return true;
  }

  bool parse(const Field& field, PyObject* object) {
    switch (field.kind) {
      case Kind::kOperand:
        if (!PyArray_Check(object) && (PyFloat_Check(object) || PyLong_Check(object))) {
          return read_number(field, object);
        }
        [[fallthrough]];
      case Kind::kArray: {
        Array& array = at<Array>(field);
        return read_array(field, object, &array) && same_dtype(array);
      }
      case Kind::kMaybe: {
        Array& array = at<Array>(field);
        array = Array{};
        return object == Py_None || (read_array(field, object, &array) && same_dtype(array));
      }
      case Kind::kOptional:
        if (object == Py_None) {
          at<Array>(field) = Array{};
          return true;
        }
        [[fallthrough]];
      case Kind::kContiguous: {
        Array& array = at<Array>(field);
        return read_array(field, object, &array) && same_dtype(array) && make_contiguous(&array);
      }
      case Kind::kIndices: {
        Array& array = at<Array>(field);
        return read_array(field, object, &array) && make_contiguous(&array);
      }
      case Kind::kMask: {
        Array& array = at<Array>(field);
        if (!read_array(field, object, &array)) return false;
        if (array.dtype != DType::kBool) raise("dtype");
        return array.dtype == DType::kBool;
      }
      case Kind::kInPlace: {
        Array& array = at<Array>(field);
        return read_array(field, object, &array) && same_dtype(array) && writeable(field, object);
      }
      case Kind::kArrays: return read_arrays(field, object, false);
      case Kind::kInPlaces: return read_arrays(field, object, true);
      case Kind::kInts: return read_ints(field, object);
      case Kind::kInt: {
        const long long v = PyLong_AsLongLong(object);
        at<int64_t>(field) = v;
        return !(v == -1 && PyErr_Occurred());
      }
      case Kind::kUInt: {
        const unsigned long long v = PyLong_AsUnsignedLongLong(object);
        at<uint64_t>(field) = v;
        return !(v == static_cast<unsigned long long>(-1) && PyErr_Occurred());
      }
      case Kind::kDouble: {
        const double v = PyFloat_AsDouble(object);
        at<double>(field) = v;
        return !(v == -1.0 && PyErr_Occurred());
      }
      case Kind::kBool: {
        const int v = PyObject_IsTrue(object);
        at<bool>(field) = v == 1;
        return v >= 0;
      }
      case Kind::kDType: {
        if (!PyArray_DescrCheck(object)) {
          PyErr_Format(PyExc_TypeError, "%s: %s must be a numpy.dtype", info_.name, field.name);
          return false;
        }
        const DType dtype = dtype_of_number(reinterpret_cast<PyArray_Descr*>(object)->type_num);
        at<DType>(field) = dtype;
        if (dtype == DType::kOther) raise("dtype");
        return dtype != DType::kOther;
      }
      case Kind::kOut: break;
    }
    return false;
  }

  // A Python number as a 0-dim array, of a dtype that the array operands decide.
  bool read_number(const Field& field, PyObject* object) {
    const double value = PyFloat_AsDouble(object);
    if (value == -1.0 && PyErr_Occurred()) return false;
    number_value_ = value;
    number_int_ = 0;
    if (PyLong_Check(object)) {
      // The low bits, as PyTorch does: a number that an integer dtype does not hold wraps around.
      number_int_ = static_cast<int64_t>(PyLong_AsUnsignedLongLongMask(object));
      number_wide_ = !fits_64_bits(object);
    } else if (value > -9.2e18 && value < 9.2e18) {
      number_int_ = static_cast<int64_t>(value);
    }
    number_kind_ = PyBool_Check(object) ? 0 : PyLong_Check(object) ? 1 : 2;
    number_ = &at<Array>(field);
    *number_ = Array{};
    return true;
  }

  bool finish_inputs() {
    if (!number_) return true;
    if (dtype_ == DType::kOther) {
      PyErr_Format(PyExc_TypeError, "%s: one operand must be an array", info_.name);
      return false;
    }
    // A float beside integers, or a number beside bools: the result is of another dtype.
    const int kind = dtype_ == DType::kBool ? 0 : is_floating(dtype_) ? 2 : 1;
    if (number_kind_ > kind && info_.outputs) {
      raise("dtype_mismatch");
      return false;
    }
    if (number_wide_ && !is_floating(dtype_)) {
      PyErr_Format(PyExc_OverflowError, "%s: an int beside integers must fit into 64 bits",
                   info_.name);
      return false;
    }
    switch (dtype_) {
      case DType::kFloat32: number_storage_.f32 = static_cast<float>(number_value_); break;
      case DType::kFloat64: number_storage_.f64 = number_value_; break;
      case DType::kInt32: number_storage_.i32 = static_cast<int32_t>(number_int_); break;
      case DType::kInt64: number_storage_.i64 = number_int_; break;
      case DType::kBool: number_storage_.b = number_value_ != 0; break;
      case DType::kUInt8:
      case DType::kInt8: number_storage_.i8 = static_cast<int8_t>(number_int_); break;
      case DType::kInt16: number_storage_.i16 = static_cast<int16_t>(number_int_); break;
      default: return convert_number();
    }
    *number_ = number_array(&number_storage_, dtype_);
    return true;
  }

  static Array number_array(void* storage, DType dtype) {
    static const int64_t no_dims[1] = {1};
    return {static_cast<char*>(storage), no_dims, no_dims, 1, 0, dtype, true};
  }

  // The number in a dtype that C++ has not: the copy kernel converts it.
  bool convert_number() {
    CopyArgs copy{};
    copy.x = number_array(&number_value_, DType::kFloat64);
    copy.y = number_array(&number_storage_, dtype_);
    copy.dtype = dtype_;
    const Kernel kernel = kernels_in_use.load(std::memory_order_relaxed)[copy_index()];
    const Status status = kernel(&copy);
    *number_ = copy.y;
    if (status.code != Code::kOk) fault(status);
    return status.code == Code::kOk;
  }

  bool broadcast(Ints* shape) {
    shape->n = 0;
    for (const FieldInfo& f : info_.fields) {
      if (is_element_operand(f.field)) shape->n = std::max(shape->n, at<Array>(f.field).ndim);
    }
    for (int i = 0; i < shape->n; ++i) {
      int64_t size = 1;
      for (const FieldInfo& f : info_.fields) {
        if (!is_element_operand(f.field)) continue;
        const Array& a = at<Array>(f.field);
        const int dim = i - (shape->n - a.ndim);
        if (dim < 0 || a.shape[dim] == 1 || a.shape[dim] == size) continue;
        if (size != 1) {
          raise("broadcast");
          return false;
        }
        size = a.shape[dim];
      }
      shape->v[i] = size;
    }
    return true;
  }

  bool make_result(const FieldInfo& f) {
    const int64_t* shape = nullptr;
    int ndim = 0;
    Ints broadcast_shape;
    if (f.shape_from == -1) {
      if (!broadcast(&broadcast_shape)) return false;
      shape = broadcast_shape.v;
      ndim = broadcast_shape.n;
    } else if (f.shape_from >= 0) {
      const Field& source = info_.fields[static_cast<size_t>(f.shape_from)].field;
      if (source.kind == Kind::kInts) {
        shape = at<Ints>(source).v;
        ndim = at<Ints>(source).n;
      } else {
        shape = at<Array>(source).shape;
        ndim = at<Array>(source).ndim;
      }
    }
    DType dtype = f.fixed_dtype;
    if (f.dtype_from >= 0) {
      const Field& source = info_.fields[static_cast<size_t>(f.dtype_from)].field;
      dtype = source.kind == Kind::kDType ? at<DType>(source)
              : source.kind == Kind::kArrays || source.kind == Kind::kOperand
                  ? dtype_
                  : at<Array>(source).dtype;
    }
    int64_t count = 1;
    for (int i = 0; i < ndim; ++i) {
      if (shape[i] < 0 || __builtin_mul_overflow(count, shape[i], &count)) {
        raise("size");
        return false;
      }
    }
    if (dtype == DType::kOther) {
      raise("dtype");
      return false;
    }
    const bool ordered = info_.elementwise && strided_ && count && find_order(ndim, shape);
    int64_t strides[kMaxDims];
    if (ordered) order_.permute(item_bytes(dtype), strides);
    PyObject* result = new_array(number_of_dtype(dtype), ndim, shape, count, item_bytes(dtype),
                                 ordered ? strides : nullptr);
    if (!result) return false;
    results_[made_++] = result;
    elements_ += count;
    auto* array = reinterpret_cast<PyArrayObject*>(result);
    if (ordered) {
      at<Array>(f.field) = order_.result(PyArray_BYTES(array), count, dtype);
      return true;
    }
    at<Array>(f.field) = {PyArray_BYTES(array),
                          reinterpret_cast<const int64_t*>(PyArray_DIMS(array)),
                          reinterpret_cast<const int64_t*>(PyArray_STRIDES(array)),
                          count,
                          ndim,
                          dtype,
                          true};
    return true;
  }

  // Whether an elementwise result lies in another order than C's.
  bool find_order(int ndim, const int64_t* shape) {
    for (const FieldInfo& f : info_.fields) {
      if (is_element_operand(f.field)) order_.operand[order_.count++] = &at<Array>(f.field);
    }
    return order_.find(ndim, shape);
  }

  PyObject* take_results() {
    if (info_.outputs == 1) {
      made_ = 0;
      return results_[0];
    }
    if (info_.outputs == 0) Py_RETURN_NONE;
    PyObject* tuple = PyTuple_New(info_.outputs);
    if (!tuple) return nullptr;
    for (int i = 0; i < info_.outputs; ++i) PyTuple_SET_ITEM(tuple, i, results_[i]);
    made_ = 0;
    return tuple;
  }

  struct Temporary {
    void* memory;
    size_t bytes;
    int64_t stride[kMaxDims];
  };

  const KernelInfo& info_;
  const int index_;
  alignas(16) char frame_[max_args_size()];
  DType dtype_ = DType::kOther;
  int64_t elements_ = 0;
  bool strided_ = false;  // an array is not contiguous
  Ordered order_;
  Array* number_ = nullptr;
  bool number_wide_ = false;  // an int of more than 64 bits
  int number_kind_ = 0;       // 0: bool, 1: int, 2: float
  double number_value_ = 0;
  int64_t number_int_ = 0;
  union {
    float f32;
    double f64;
    int32_t i32;
    int64_t i64;
    int16_t i16;
    int8_t i8;
    bool b;
  } number_storage_ = {};
  Temporary temporary_[kMaxInputs];
  int temporaries_ = 0;
  PyObject* results_[kMaxResults] = {};
  int made_ = 0;
  std::vector<std::vector<Array>> lists_;
};

}  // namespace gradsmith
