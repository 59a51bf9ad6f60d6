"""Lower layers never import higher ones, and `import gradsmith` brings nothing but NumPy."""

import ast
import subprocess
import sys

import pytest
from source_tree import imports, modules, tree

#: From the lowest to the highest. A module belongs to the longest name that it begins with.
LAYERS = (
    ("_cpu", "environment"),
    ("errors", "kernels", "device", "dtype", "memory_format", "printing"),
    ("autograd", "tensor", "random"),
    ("ops",),
    ("nn", "optim", "linalg", "backends", "cuda", "utils", "serialization", "backend", "profiler"),
    ("models", "train", "datasets", "transforms", "testing"),
    ("benchmarks",),
    ("cli", "__main__"),
)
#: What the package's own __init__ may import: not the layers above these.
ROOT_LAYER = 4
#: Where PyTorch and JAX may be imported, inside functions.
COMPARE = ("gradsmith.benchmarks", "gradsmith.testing.accuracy", "gradsmith.testing.adapters")


def layer_of(module):
    if module == "gradsmith":
        return ROOT_LAYER
    part = module.split(".")[1]
    found = [i for i, names in enumerate(LAYERS) if part in names]
    assert found, f"{module}: in no layer; add {part!r} to LAYERS"
    return found[0]


def violations(module, source, is_package=False):
    """What is wrong with the imports of a module."""
    result = []
    for name, line, relative in imports(source, module, is_package):
        where = f"{module}:{line}: imports {name}"
        top = name.split(".")[0]
        if top == "gradsmith":
            if name == "gradsmith":
                # The package's own attributes, __version__ say: for those above it.
                if layer_of(module) < ROOT_LAYER:
                    result.append(f"{where}: the package itself, above its layer")
            elif layer_of(name) > layer_of(module):
                result.append(f"{where}: a higher layer")
            engine = not module.startswith("gradsmith.benchmarks")
            if engine and not relative:
                result.append(f"{where}: must be a relative import")
        elif top in ("torch", "jax", "tensorflow"):
            allowed = any(module == c or module.startswith(c + ".") for c in COMPARE)
            at_top = any(getattr(node, "lineno", 0) == line for node in source.body)
            if not allowed or at_top:
                result.append(f"{where}: only inside functions of {', '.join(COMPARE)}")
    return result


@pytest.mark.parametrize("module", sorted(set(modules()) - {"gradsmith._cpu"}))
def test_imports_go_down(module):
    path = modules()[module]
    assert violations(module, tree(path), path.name == "__init__.py") == []


@pytest.mark.parametrize(
    "module,source,fault",
    [
        ("gradsmith.tensor", "from .ops import view", "a higher layer"),
        ("gradsmith.kernels.views", "def f():\n    from ..autograd import op", "a higher layer"),
        ("gradsmith.ops.conv", "from ..nn import functional", "a higher layer"),
        ("gradsmith.train.fit", "from ..cli import demo", "a higher layer"),
        ("gradsmith.ops.conv", "from gradsmith.tensor import Tensor", "relative"),
        ("gradsmith.ops.conv", "from .. import ones", "above its layer"),
        ("gradsmith.nn.module", "def f():\n    import torch", "only inside functions"),
        ("gradsmith.benchmarks.step", "import torch", "only inside functions"),
    ],
)
def test_a_wrong_import_is_seen(module, source, fault):
    (found,) = violations(module, ast.parse(source))
    assert fault in found


def test_bindings_include_only_the_kernels():
    """The bottom: the module's C++ takes nothing but kernels/cpu."""
    from source_tree import ROOT, files

    for path in files("*.cpp", "*.h", folders=("bindings", "kernels/cpu")):
        for line in path.read_text().splitlines():
            if line.startswith('#include "'):
                target = (path.parent / line.split('"')[1]).resolve().relative_to(ROOT)
                upward = target.parts[0] == "bindings" and path.parent.name == "cpu"
                assert not upward, f"{path}: {line}"


def test_import_gradsmith_brings_only_numpy():
    """Nothing of the extras, and nothing of gradsmith that only a command needs."""
    code = (
        "import sys, numpy; before = set(sys.modules); import gradsmith; "
        "print(*sorted(set(sys.modules) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    new = run.stdout.split()
    assert "gradsmith.tensor" in new
    foreign = {
        name.split(".")[0]
        for name in new
        if name.split(".")[0] not in {"gradsmith", "numpy", *sys.stdlib_module_names}
        and not name.startswith("__editable__")
    }
    assert foreign == set()
    heavy = [
        n
        for n in new
        if n.startswith("gradsmith.")
        and n.split(".")[1] in {"cli", "benchmarks", "testing", "nn", "optim", "utils", "profiler"}
    ]
    assert heavy == []
    assert [n for n in new if n.startswith("gradsmith.kernels.cuda.")] == []


def test_import_gradsmith_installs_every_method():
    """What is imported later adds functions and layers, but nothing to Tensor."""
    code = (
        "import gradsmith; before = set(dir(gradsmith.Tensor)); "
        "import gradsmith.nn, gradsmith.optim, gradsmith.utils.data, gradsmith.testing; "
        "print(*sorted(set(dir(gradsmith.Tensor)) - before))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.split() == []
