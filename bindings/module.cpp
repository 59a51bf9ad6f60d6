// The module gradsmith._cpu: one METH_FASTCALL entry a kernel, and the runtime's settings.
//
// Entries are plain C-API functions (0.8 us for a small op where a pybind11 function takes 1.3);
// pybind11 carries what is not hot.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <climits>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "../kernels/cpu/conv_settings.h"
#include "../kernels/cpu/unwritten.h"
#include "call.h"
#include "grad_mode.h"
#include "slots.h"

namespace py = pybind11;

namespace gradsmith {
namespace {

int isa_in_use = 0;

template <int index>
PyObject* entry(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  return Call(kernel_infos[index], index).run(args, nargs);
}

// strided(x, shape, strides): a view of x's memory with other byte strides. The caller (kernels/
// views.py) answers for staying inside it.
PyObject* strided(PyObject*, PyObject* const* args, Py_ssize_t nargs) {
  if (nargs != 3 || !PyArray_Check(args[0]) || !PyTuple_Check(args[1]) || !PyTuple_Check(args[2]) ||
      PyTuple_GET_SIZE(args[1]) != PyTuple_GET_SIZE(args[2]) ||
      PyTuple_GET_SIZE(args[1]) > kMaxDims) {
    PyErr_SetString(PyExc_TypeError,
                    "strided: takes an array, a shape and as many strides, at most 16");
    return nullptr;
  }
  npy_intp shape[kMaxDims], strides[kMaxDims];
  const auto ndim = static_cast<int>(PyTuple_GET_SIZE(args[1]));
  for (int i = 0; i < ndim; ++i) {
    shape[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(args[1], i));
    strides[i] = PyLong_AsLongLong(PyTuple_GET_ITEM(args[2], i));
  }
  if (PyErr_Occurred()) return nullptr;
  auto* x = reinterpret_cast<PyArrayObject*>(args[0]);
  PyArray_Descr* descr = PyArray_DESCR(x);
  Py_INCREF(descr);
  PyObject* view = PyArray_NewFromDescr(&PyArray_Type, descr, ndim, shape, strides, PyArray_DATA(x),
                                        PyArray_FLAGS(x) & NPY_ARRAY_WRITEABLE, nullptr);
  if (!view) return nullptr;
  PyArray_UpdateFlags(reinterpret_cast<PyArrayObject*>(view), NPY_ARRAY_UPDATE_ALL);
  Py_INCREF(x);
  if (PyArray_SetBaseObject(reinterpret_cast<PyArrayObject*>(view),
                            reinterpret_cast<PyObject*>(x)) < 0) {
    Py_DECREF(view);
    return nullptr;
  }
  return view;
}

enum KernelIndex : int {
#define GS_INDEX(name, Args) k_##name,
  GS_KERNELS(GS_INDEX)
#undef GS_INDEX
};

PyMethodDef kernel_methods[] = {
#define GS_METHOD(name, Args)                                                           \
  {#name, reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(entry<k_##name>)), \
   METH_FASTCALL, nullptr},
    GS_KERNELS(GS_METHOD)
#undef GS_METHOD
        {"strided", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(strided)),
         METH_FASTCALL, nullptr},
    {"slot_maker", reinterpret_cast<PyCFunction>(reinterpret_cast<void (*)()>(slot_maker)),
     METH_FASTCALL, nullptr},
    {nullptr, nullptr, 0, nullptr}};

const char* kind_name(Kind kind) {
  switch (kind) {
    case Kind::kArray: return "array";
    case Kind::kContiguous: return "contiguous";
    case Kind::kMaybe:
    case Kind::kOptional: return "optional";
    case Kind::kIndices: return "indices";
    case Kind::kOperand: return "operand";
    case Kind::kMask: return "mask";
    case Kind::kInPlace: return "in_place";
    case Kind::kArrays: return "arrays";
    case Kind::kInPlaces: return "in_places";
    case Kind::kInts: return "ints";
    case Kind::kInt: return "int";
    case Kind::kUInt: return "uint";
    case Kind::kDouble: return "double";
    case Kind::kBool: return "bool";
    case Kind::kDType: return "dtype";
    case Kind::kOut: return "out";
  }
  return "";
}

void set_isa(const std::string& name) {
  std::string names;
  for (int i = 0; i < isa_count(); ++i) {
    if (name == isa(i).name) {
      isa_in_use = i;
      kernels_in_use.store(isa(i).kernels);
      return;
    }
    names += std::string(i ? ", " : "") + isa(i).name;
  }
  throw py::value_error("set_isa: this processor runs " + names + "; got '" + name + "'");
}

Ceiling ceiling_named(const std::string& name) {
  const std::pair<const char*, Ceiling> known[] = {{"fma32", Ceiling::kFma32},
                                                   {"fma64", Ceiling::kFma64},
                                                   {"read", Ceiling::kRead},
                                                   {"copy", Ceiling::kCopy},
                                                   {"triad", Ceiling::kTriad},
                                                   {"copy_stream", Ceiling::kCopyStream},
                                                   {"triad_stream", Ceiling::kTriadStream}};
  std::string names;
  for (const auto& [text, what] : known) {
    if (name == text) return what;
    names += (names.empty() ? "" : ", ") + std::string(text);
  }
  throw py::value_error("ceiling_loop: kind must be one of " + names + "; got '" + name + "'");
}

// Runs a loop of ceilings.h with the ISA and threads named.
double ceiling_loop(const std::string& kind, const std::string& isa_name, int threads,
                    int64_t rounds, const py::object& memory) {
  CeilingLoop loop{ceiling_named(kind), threads, rounds, nullptr, 0};
  const bool registers = loop.what == Ceiling::kFma32 || loop.what == Ceiling::kFma64;
  py::buffer_info info;
  if (!registers) {
    info = py::buffer(memory).request(true);
    if (reinterpret_cast<uintptr_t>(info.ptr) % 64) {
      throw py::value_error("ceiling_loop: memory must begin at a multiple of 64");
    }
    loop.memory = static_cast<float*>(info.ptr);
    loop.count = info.size * info.itemsize / static_cast<int64_t>(sizeof(float));
  }
  CeilingFunction run = nullptr;
  for (int i = 0; i < isa_count(); ++i) {
    if (isa_name == isa(i).name) run = isa(i).ceiling;
  }
  if (!run) throw py::value_error("ceiling_loop: this processor has no ISA '" + isa_name + "'");
  if (rounds < 1) {
    throw py::value_error("ceiling_loop: rounds must be at least 1; got " + std::to_string(rounds));
  }
  const int before = num_threads();
  if (threads >= 1) set_num_threads(threads);
  double work = 0;
  {
    py::gil_scoped_release free;
    work = run(loop);
  }
  set_num_threads(before);
  if (work <= 0) {
    throw py::value_error("ceiling_loop: too little memory, or not 1 to 256 threads; got " +
                          std::to_string(loop.count * 4) + " bytes for " + std::to_string(threads) +
                          " threads");
  }
  return work;
}

Ints ints(const std::vector<int64_t>& values) {
  Ints answer{};
  answer.n = static_cast<int32_t>(std::min<size_t>(values.size(), kMaxDims));
  std::copy_n(values.begin(), answer.n, answer.v);
  return answer;
}

std::vector<std::string> conv_plan(const std::vector<int64_t>& x,
                                   const std::vector<int64_t>& weight,
                                   const std::vector<int64_t>& y,
                                   const std::vector<int64_t>& stride,
                                   const std::vector<int64_t>& padding,
                                   const std::vector<int64_t>& dilation, int64_t groups,
                                   bool is_float64) {
  ConvShapes shapes{ConvPass::kForward,
                    is_float64 ? DType::kFloat64 : DType::kFloat32,
                    ints(x),
                    ints(weight),
                    ints(y),
                    ints(stride),
                    ints(padding),
                    ints(dilation),
                    groups};
  std::vector<std::string> names;
  for (ConvPass pass : {ConvPass::kForward, ConvPass::kInput, ConvPass::kWeight}) {
    shapes.pass = pass;
    const ConvAlgorithm plan = isa(isa_in_use).conv_algorithm(shapes);
    if (plan == ConvAlgorithm::kAuto) {
      throw py::value_error("conv_plan: the shapes do not fit together");
    }
    names.emplace_back(kConvAlgorithms[static_cast<int>(plan)]);
  }
  return names;
}

void set_conv_algorithm(const std::string& name) {
  std::string names;
  int index = 0;
  for (const char* known : kConvAlgorithms) {
    if (name == known) return set_conv_forced(static_cast<ConvAlgorithm>(index));
    names += std::string(index++ ? ", " : "") + known;
  }
  throw py::value_error("conv_algorithm: must be one of " + names + "; got '" + name + "'");
}

}  // namespace
}  // namespace gradsmith

using namespace gradsmith;  // NOLINT: the module's own names

PYBIND11_MODULE(_cpu, m) {
  m.doc() = "gradsmith's CPU kernels and their runtime.";
  if (_import_array() < 0) throw py::error_already_set();
  if (!make_block_type()) throw py::error_already_set();
  if (isa_count() == 0) {
    throw py::import_error("gradsmith needs an x86-64-v2 processor (SSE4.2) or arm64");
  }
#define GS_DESCRIBE(name, Args) kernel_infos.push_back(describe<Args>(#name));
  GS_KERNELS(GS_DESCRIBE)
#undef GS_DESCRIBE
  set_isa(isa(isa_count() - 1).name);
  for (PyMethodDef* method = kernel_methods; method->ml_name; ++method) {
    m.attr(method->ml_name) = py::reinterpret_steal<py::object>(PyCFunction_New(method, nullptr));
  }
  fault_type = PyErr_NewExceptionWithDoc(
      "gradsmith._cpu.Fault", "A kernel refused its arguments: (kernel, kind, details...).",
      PyExc_Exception, nullptr);
  m.attr("Fault") = py::reinterpret_borrow<py::object>(fault_type);
  const std::pair<const char*, PyObject*> of_grad_mode[] = {
      {"grad_mode", make_grad_mode()},
      {"NoGrad", make_grad_block<false>()},
      {"EnableGrad", make_grad_block<true>()}};
  for (const auto& [name, made] : of_grad_mode) {
    if (!made) throw py::error_already_set();
    m.attr(name) = py::reinterpret_steal<py::object>(made);
  }

  m.def(
      "kernels",
      [] {
        py::dict list;
        for (const KernelInfo& info : kernel_infos) {
          py::list fields;
          for (const FieldInfo& f : info.fields) {
            fields.append(py::make_tuple(f.field.name, kind_name(f.field.kind)));
          }
          list[info.name] = fields;
        }
        return list;
      },
      "The compiled kernels: {name: [(field, kind), ...]}.");
  m.def(
      "elementwise",
      [] {
        std::vector<std::string> names;
        for (const KernelInfo& info : kernel_infos) {
          if (info.elementwise) names.emplace_back(info.name);
        }
        return names;
      },
      "The elementwise kernels: their results take the operands' order of memory.");
  m.def(
      "set_bfloat16",
      [](py::object dtype) {
        if (!PyArray_DescrCheck(dtype.ptr())) {
          throw py::type_error("set_bfloat16: needs a numpy.dtype");
        }
        bfloat16_number = reinterpret_cast<PyArray_Descr*>(dtype.ptr())->type_num;
      },
      py::arg("dtype"),
      "Says which NumPy dtype bfloat16 is: ml_dtypes', which nothing here imports.");
  m.def(
      "isas",
      [] {
        std::vector<std::string> names;
        for (int i = 0; i < isa_count(); ++i) names.emplace_back(isa(i).name);
        return names;
      },
      "The ISA builds that this processor can run, least first.");
  m.def("isa", [] { return std::string(isa(isa_in_use).name); }, "The ISA build in use.");
  m.def("set_isa", &set_isa, py::arg("name"), "Uses the kernels of this ISA build.");
  m.def("conv_exact", &conv_exact, "Whether convolutions keep to sums in order.");
  m.def("set_conv_exact", &set_conv_exact, py::arg("exact"), "Sets conv_exact.");
  m.def(
      "conv_algorithms",
      [] {
        return std::vector<std::string>(std::begin(kConvAlgorithms), std::end(kConvAlgorithms));
      },
      "The names that set_conv_algorithm takes.");
  m.def(
      "conv_algorithm",
      [] { return std::string(kConvAlgorithms[static_cast<int>(conv_forced())]); },
      "The algorithm that convolutions take where they can; auto: the quickest.");
  m.def("conv_plan", &conv_plan, py::arg("x"), py::arg("weight"), py::arg("y"), py::arg("stride"),
        py::arg("padding"), py::arg("dilation"), py::arg("groups"), py::arg("is_float64"),
        "Which algorithm each pass of a convolution takes: forward, input and weight gradient.");
  m.def("set_conv_algorithm", &set_conv_algorithm, py::arg("name"), "Sets conv_algorithm.");
  m.def("num_threads", &num_threads, "How many threads the kernels use.");
  m.def(
      "set_num_threads",
      [](const py::object& n) {
        if (!PyIndex_Check(n.ptr()) || PyBool_Check(n.ptr())) {
          throw py::type_error("set_num_threads: n must be an int; got " +
                               std::string(py::repr(n)));
        }
        const Py_ssize_t count = PyNumber_AsSsize_t(n.ptr(), nullptr);  // huge ones: the largest
        if (count == -1 && PyErr_Occurred()) throw py::error_already_set();
        if (count < 1) {
          throw py::value_error("set_num_threads: n must be at least 1; got " +
                                std::string(py::repr(n)));
        }
        set_num_threads(static_cast<int>(std::min<Py_ssize_t>(count, INT_MAX)));
      },
      py::arg("n"), "Sets how many threads the kernels use, 256 at most.");
  m.def("ceiling_loop", &ceiling_loop, py::arg("kind"), py::arg("isa"), py::arg("threads"),
        py::arg("rounds"), py::arg("memory") = py::none(),
        "Runs a loop that is nothing but multiply-adds or memory; FLOPs or bytes that it came to.");
  m.def(
      "memory_stats",
      [] {
        const MemoryStats s = memory_stats();
        py::dict d;
        d["in_use"] = s.in_use;
        d["cached"] = s.cached;
        d["peak"] = s.peak;
        d["allocations"] = s.allocations;
        d["system_allocations"] = s.system_allocations;
        return d;
      },
      "Bytes in use, cached and at the peak, and counts of allocations.");
  m.def("empty_cache", &empty_cache,
        "Gives the memory that is kept for reuse back to the system: freed blocks, and what the "
        "threads "
        "pack into. Tensors are not touched. The peak of memory_stats starts anew.");
  m.def("cached_result", &cached_result, py::arg("second_level"), py::arg("third_level"),
        py::arg("threads"),
        "The largest result that is stored through caches of so many bytes, not past them.");
  m.def("fail_allocation", &fail_allocation, py::arg("nth"),
        "For tests: the nth allocation from now fails; 0 for none.");
  m.def("fill_unwritten", &fill_unwritten, py::arg("word"),
        "For tests: new memory holds this word of 32 bits; -1 for whatever it held.");
  m.def("met_denormal", &met_denormal,
        "For tests: whether this thread has computed with a denormal number since the last call.");
}
