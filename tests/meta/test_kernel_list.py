"""One kernel list, two devices, and every op whole: gradient, samples, reference, formula."""

import ast

import gradsmith as gs
import gradsmith.nn  # with it every op is declared
import pytest
from gradsmith import _cpu
from gradsmith.autograd.op import BY_KERNEL, OPS
from gradsmith.kernels import KERNELS, VIEWS, table
from gradsmith.kernels.solvers import SOLVERS
from gradsmith.testing import opdb
from source_tree import ROOT, files, tree

#: Kernels that are no ops: they make tensors, move memory, or step an optimizer.
NO_OPS = {"ramp", "copy_into", "put_into", "full", "uniform", "normal", "total_norm"}
NO_OPS |= {name for name in KERNELS if name.endswith("_step")}
NO_OPS |= {"batch_norm_update"}  # running statistics
NO_OPS |= {"bernoulli", "randint", "permutation"}
#: Ops that are not differentiable by nature, with the reason.
NOT_DIFFERENTIABLE: dict[str, str] = {
    "index_flat": "indices",
    "any": "bools",
    "all": "bools",
    "flat_along": "indices",
    "nonzero_count": "a count",
    "nonzero": "indices",
    "sort_order": "indices",
    "topk_order": "indices",
    **dict.fromkeys(
        (
            *("eq", "ne", "lt", "le", "gt", "ge", "isinf", "isfinite"),
            *("logical_and", "logical_or", "logical_xor", "logical_not"),
            *("bitwise_and", "bitwise_or", "bitwise_xor", "bitwise_not"),
            *("bitwise_left_shift", "bitwise_right_shift"),
        ),
        "its result is bool or integer",
    ),
}
#: Kernels whose field on the CPU has another name than in the list: one struct serves several.
SHARED_STRUCT = {"uniform", "normal"}


def names_of(signature):
    """`("x", "weight?", ...)` without the marks."""
    return [name.rstrip("*?|") for name in signature.split()]


@pytest.mark.parametrize("kernel", KERNELS)
def test_cpu_kernel_has_the_lists_arguments(kernel):
    arguments, results = KERNELS[kernel]
    fields = _cpu.kernels()[kernel]
    inputs = [name for name, kind in fields if kind != "out"]
    outputs = [name for name, kind in fields if kind == "out"]
    assert len(inputs) == len(arguments.split())
    assert len(outputs) == len(results.split())
    if kernel not in SHARED_STRUCT:
        assert inputs == names_of(arguments)


def test_cpu_kernels_are_the_list():
    assert set(_cpu.kernels()) == set(KERNELS)
    assert table("cpu").missing == ()


def test_cuda_kernels_are_the_list():
    """What the launchers register, looked at without a device."""
    from gradsmith.kernels.cuda import launchers

    assert sorted(set(KERNELS) - set(launchers.entries())) == []
    assert sorted(set(launchers.entries()) - set(KERNELS)) == []


@pytest.mark.parametrize("kernel", KERNELS)
def test_cuda_launcher_has_the_lists_arguments(kernel):
    """Python launchers: as many positional arguments as the list says."""
    import inspect

    from gradsmith.kernels.cuda import launchers

    entry = launchers.entries()[kernel]
    expected = names_of(KERNELS[kernel][0])
    # The CPU's entries take positions only; so must these be callable.
    inspect.signature(entry).bind(*expected)
    with pytest.raises(TypeError):
        inspect.signature(entry).bind(*expected, "one more")


def test_a_missing_kernel_is_named():
    from gradsmith.kernels import KernelTable

    t = KernelTable("cpu", {}, dict.fromkeys(VIEWS))
    assert t.missing == tuple(KERNELS)
    with pytest.raises(NotImplementedError, match=r"exp: no kernel on cpu for dtype \['float32'\]"):
        t.exp(gs.ones(2)._data)
    with pytest.raises(ValueError, match="names that the list lacks"):
        KernelTable("cpu", {"expp": None}, dict.fromkeys(VIEWS))


def test_every_kernel_is_an_op():
    """Else a backward that calls it could not be differentiated."""
    assert sorted(set(KERNELS) - set(BY_KERNEL) - NO_OPS) == []
    assert sorted(NO_OPS & set(BY_KERNEL)) == []
    assert sorted(set(VIEWS) - set(BY_KERNEL)) == []
    assert sorted(set(SOLVERS) - set(BY_KERNEL)) == []


def kernels_called(source):
    """Every `k.name(...)` of a module."""
    return {
        node.attr
        for node in ast.walk(source)
        if isinstance(node, ast.Attribute)
        and isinstance(node.value, ast.Name)
        and node.value.id == "k"
    }


def test_bodies_call_only_what_the_list_has():
    known = {*KERNELS, *VIEWS, *SOLVERS, "transfer", "device"}
    called = {
        path.name: kernels_called(tree(path)) - known
        for path in files("*.py", folders=("engine/ops",))
    }
    assert {name: unknown for name, unknown in called.items() if unknown} == {}
    assert kernels_called(ast.parse("y = k.expp(x)")) - known == {"expp"}


def test_gradients_call_only_ops():
    """What a recorded backward calls must be an op: second derivatives exist."""
    called = set()
    for path in files("*.py", folders=("engine/ops",)):
        for node in tree(path).body:
            if isinstance(node, ast.FunctionDef) and any(
                isinstance(d, ast.Attribute) and d.attr == "gradient" for d in node.decorator_list
            ):
                called |= kernels_called(node)
    assert len(called) > 20
    assert sorted(called - set(BY_KERNEL) - {"device"}) == []


@pytest.mark.parametrize("name", OPS)
def test_op_is_whole(name):
    op = OPS[name]
    assert op.formula, "no formula for the docs"
    if op.backward is None:
        assert name in NOT_DIFFERENTIABLE, "no gradient, and not declared to have none"
    covering = [info for info in opdb.op_infos() if name in info.covers]
    assert covering, "no samples in gradsmith.testing.opdb"
    for info in covering:
        assert info.reference is not None, f"{info.name}: no float64 reference"
        assert len(info.samples()) > 0, f"{info.name}: no samples"


def test_samples_cover_only_ops_that_exist():
    unknown = {n for info in opdb.op_infos() for n in info.covers} - set(OPS)
    assert sorted(unknown) == []


def test_the_same_stem_in_every_folder():
    """A family has one name: op file, CPU and CUDA kernels, samples, reference."""
    kernels = {p.stem for p in (ROOT / "kernels/cuda").glob("*.cu")}
    assert kernels, "no CUDA sources"
    cpu = {p.stem for p in (ROOT / "kernels/cpu").glob("*.cpp")}
    ops = {p.stem for p in (ROOT / "engine/ops").glob("*.py")}
    launchers = {p.stem for p in (ROOT / "kernels/cuda").glob("*.py")}
    assert sorted(kernels - cpu) == []
    assert sorted(kernels - launchers) == []
    assert sorted(kernels - ops - {"copy"}) == []
    references = {p.stem for p in (ROOT / "engine/testing/reference").glob("[a-z]*.py")}
    samples = {p.stem for p in (ROOT / "engine/testing/opdb").glob("[a-z]*.py")}
    samples -= {"record", "calls"}  # what all families use
    assert sorted(references - ops) == []
    assert sorted(samples - ops) == []
