"""Ops, layers and optimizers compute nothing themselves, and nothing stands in for a kernel.

Arrays are only handed to kernels. NumPy and CuPy are storage: types, memory, conversion. Host data
(references, data sets, augmentation, reports) may be prepared with NumPy in HOST_DATA.
"""

import ast
import re

import pytest
from source_tree import ROOT, files, tree

#: Folders that prepare or show host data with NumPy. (engine/testing, the float64 second opinion,
#: is not judged at all.)
HOST_DATA = (
    "engine/datasets",
    "engine/transforms",
    "engine/train",
    "engine/utils/data",
    "engine/cli",
)
#: What the rest may take from NumPy: types, memory, conversion, printing.
STORAGE = {
    *("ndarray", "generic", "dtype", "number", "integer", "floating", "bool_"),
    *("float16", "float32", "float64", "uint8", "uint16", "uint32", "uint64"),
    *("int8", "int16", "int32", "int64", "iinfo", "finfo", "nan", "inf"),
    *("array", "asarray", "ascontiguousarray", "frombuffer", "from_dlpack", "empty", "zeros"),
    *("array2string", "errstate", "get_include", "lib", "random"),
}
#: And from CuPy: arrays, the runtime, modules, streams.
CUPY = {"ndarray", "cuda", "empty", "asnumpy", "from_dlpack"}
#: Forbidden everywhere but in engine/testing, the second opinion in float64.
BLAS = {
    *("matmul", "dot", "vdot", "inner", "outer", "einsum", "tensordot", "kron", "linalg", "fft"),
    *("convolve", "correlate"),
}
#: Libraries whose kernels would stand in for ours.
LIBRARIES = {
    *("scipy", "cupyx", "cublas", "cudnn", "cutlass", "numexpr", "opt_einsum", "mkl", "bottleneck"),
}
#: The one file that may call library solvers: factorisations are not hand-written.
SOLVERS = "kernels/solvers.py"
#: Attributes of an array that read no element.
METADATA = {"shape", "dtype", "ndim", "size", "strides", "flags", "base", "itemsize", "nbytes"}


def aliases(source, package):
    """The names by which a module knows numpy or cupy."""
    return {
        alias.asname or alias.name.split(".")[0]
        for node in ast.walk(source)
        if isinstance(node, ast.Import)
        for alias in node.names
        if alias.name.split(".")[0] == package
    }


def foreign_compute(source, host_data=False):
    """Uses of NumPy and CuPy that compute, and of libraries that do."""
    result = []
    numpy, cupy = aliases(source, "numpy"), aliases(source, "cupy")
    for node in ast.walk(source):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            module, name = node.value.id, node.attr
            if module in numpy and (name in BLAS or not host_data and name not in STORAGE):
                result.append(f"line {line}: {module}.{name}")
            if module in cupy and name not in CUPY:
                result.append(f"line {line}: {module}.{name}")
        elif isinstance(node, (ast.Import, ast.ImportFrom)):
            origin = getattr(node, "module", None)
            names = [alias.name for alias in node.names]
            ours = getattr(node, "level", 0) and not origin  # from . import: gradsmith's own
            for whole in [] if ours else [origin] if origin else names:
                parts = whole.split(".")
                if LIBRARIES & set(parts) or (parts[0] in ("numpy", "cupy") and BLAS & set(parts)):
                    result.append(f"line {line}: imports {whole}")
            if origin in ("numpy", "cupy") and not getattr(node, "level", 0):
                allowed = STORAGE if origin == "numpy" else CUPY
                if not host_data:
                    result += [f"line {line}: {origin}.{n}" for n in names if n not in allowed]
                result += [f"line {line}: {origin}.{n}" for n in names if n in BLAS]
        elif isinstance(node, ast.BinOp) and isinstance(node.op, ast.MatMult) and not host_data:
            result.append(f"line {line}: {ast.unparse(node)}")
    return result


class _Arrays(ast.NodeVisitor):
    """Finds arithmetic on arrays in one function.

    `arrays` are names that hold arrays (in an op's body: its inputs, what it saved, the gradient,
    what kernels returned); `tensor._data` is one everywhere.
    """

    def __init__(self, arrays):
        self.arrays = set(arrays)
        self.found = []

    def is_array(self, node):
        if isinstance(node, ast.Name):
            return node.id in self.arrays
        if isinstance(node, ast.Attribute):
            return node.attr == "_data"
        if isinstance(node, ast.Subscript):
            return self.is_array(node.value)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            return isinstance(node.func.value, ast.Name) and node.func.value.id == "k"
        if isinstance(node, ast.IfExp):
            return self.is_array(node.body) or self.is_array(node.orelse)
        return False

    def report(self, node):
        self.found.append(f"line {node.lineno}: {ast.unparse(node)}")

    def visit_Assign(self, node):
        if self.is_array(node.value):
            for target in node.targets:
                names = target.elts if isinstance(target, ast.Tuple) else [target]
                self.arrays |= {n.id for n in names if isinstance(n, ast.Name)}
        self.generic_visit(node)

    def visit_BinOp(self, node):
        if self.is_array(node.left) or self.is_array(node.right):
            self.report(node)
        self.generic_visit(node)

    def visit_UnaryOp(self, node):
        if self.is_array(node.operand) and not isinstance(node.op, ast.Not):
            self.report(node)
        self.generic_visit(node)

    def visit_AugAssign(self, node):
        if self.is_array(node.target) or self.is_array(node.value):
            self.report(node)
        self.generic_visit(node)

    def visit_Compare(self, node):
        identity = all(isinstance(o, (ast.Is, ast.IsNot)) for o in node.ops)
        if not identity and any(self.is_array(n) for n in [node.left, *node.comparators]):
            self.report(node)
        self.generic_visit(node)

    def visit_Call(self, node):
        f = node.func
        if isinstance(f, ast.Attribute) and self.is_array(f.value) and f.attr not in METADATA:
            self.report(node)
        if isinstance(f, ast.Name) and f.id in ("sum", "max", "min", "abs", "pow", "round"):
            if any(self.is_array(a) for a in node.args):
                self.report(node)
        self.generic_visit(node)


def array_names(function):
    """The names that hold arrays when an op's body begins: from its @op or @x.gradient."""
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and getattr(decorator.func, "id", "") == "op":
            inputs = next(w.value.value for w in decorator.keywords if w.arg == "inputs")
            return {name.rstrip("*?|") for name in inputs.split()}
        if isinstance(decorator, ast.Attribute) and decorator.attr == "gradient":
            # saved may also hold shapes and dtypes: only what is computed with them is looked at.
            return {function.args.args[2].arg}
    return set()


def array_compute(source):
    """Arithmetic on arrays in the functions of a module."""
    found = []
    for node in ast.walk(source):
        if isinstance(node, ast.FunctionDef):
            visitor = _Arrays(array_names(node))
            for statement in node.body:
                visitor.visit(statement)
            found += visitor.found
    return found


# ---- the sources ----


def relative(path):
    return str(path.relative_to(ROOT))


PRODUCT = files("*.py", folders=("engine", "kernels"))
JUDGED = [
    p for p in PRODUCT if not relative(p).startswith("engine/testing/") and relative(p) != SOLVERS
]
THIN = [
    p for p in PRODUCT if relative(p).startswith(("engine/ops/", "engine/nn/", "engine/optim/"))
]


@pytest.mark.parametrize("path", THIN, ids=relative)
def test_no_arithmetic_on_arrays(path):
    assert array_compute(tree(path)) == []


@pytest.mark.parametrize("path", JUDGED, ids=relative)
def test_nothing_stands_in_for_a_kernel(path):
    assert foreign_compute(tree(path), host_data=relative(path).startswith(HOST_DATA)) == []


def test_host_data_folders_exist():
    """An allowance for what is gone would let something else in."""
    assert [f for f in (*HOST_DATA, SOLVERS) if not (ROOT / f).exists()] == []


def test_no_library_kernels_in_the_c_sources():
    pattern = re.compile(
        r'#\s*include\s*[<"](\S*(?:cblas|mkl|openblas|cublas|cudnn|cutlass|dnnl|cub/)\S*)'
    )
    sources = files("*.cpp", "*.h", "*.cu", "*.cuh", folders=("kernels", "bindings"))
    assert [f"{p.name}: {m}" for p in sources for m in pattern.findall(p.read_text())] == []
    assert pattern.findall("#include <cublas_v2.h>")


# ---- the checks see what they are for ----

BODY = """
@op(inputs="x weight bias?")
def f(k, x, weight, bias, stride):
    {}
"""
GRADIENT = """
@f.gradient
def _(k, saved, grad_y, need, stride):
    {}
"""


@pytest.mark.parametrize(
    "code",
    [
        BODY.format("return x * weight, ()"),
        BODY.format("y = k.matmul(x, weight)\n    return y + bias, ()"),
        BODY.format("y = k.exp(x)\n    y += 1\n    return y, ()"),
        BODY.format("return x.sum(0), ()"),
        BODY.format("return -x, ()"),
        BODY.format("return k.exp(x) * 2, ()"),
        BODY.format("return k.copy(x > 0, bool), ()"),
        BODY.format("return sum(x), ()"),
        BODY.format("return x[0] - x[1], ()"),
        GRADIENT.format("return (grad_y * 2,)"),
        GRADIENT.format("return (grad_y.transpose(1, 0) if need[0] else None,)"),
        "def relu(x):\n    return Tensor._make(x._data * (x._data > 0))",
        "def step(p, lr):\n    p._data -= lr",
        "def norm(x):\n    return x._data.sum()",
    ],
)
def test_arithmetic_is_seen(code):
    assert array_compute(ast.parse(code)) != []


@pytest.mark.parametrize(
    "code",
    [
        BODY.format("return k.conv(x, weight, bias, x.shape[0] * 2, stride), (x, tuple(x.shape))"),
        BODY.format(
            "return k.exp(x) if bias is None else k.add(x, bias), (getattr(x, 'shape', ()),)"
        ),
        "def f(x):\n    n = len(x._data.shape)\n    return x * n",
    ],
)
def test_handing_on_is_allowed(code):
    assert array_compute(ast.parse(code)) == []


@pytest.mark.parametrize(
    "code,host_data",
    [
        ("import numpy as np\ny = np.matmul(a, b)", False),
        ("import numpy as np\ny = np.matmul(a, b)", True),
        ("import numpy\ny = numpy.exp(a)", False),
        ("from numpy import einsum", True),
        ("from numpy.linalg import norm", True),
        ("import numpy.linalg", True),
        ("import cupy\ny = cupy.sum(a)", False),
        ("import cupy as cp\ny = cp.exp(a)", True),
        ("from cupyx.scipy import signal", True),
        ("import scipy.signal", True),
        ("y = a @ b", False),
    ],
)
def test_a_stand_in_is_seen(code, host_data):
    assert foreign_compute(ast.parse(code), host_data) != []
