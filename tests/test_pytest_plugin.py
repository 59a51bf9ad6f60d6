"""The pytest plugin and `validate`: a kernel of one's own as parametrised tests."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing import validate
from gradsmith.testing.opdb import Arr, Sample

ROOT = Path(__file__).resolve().parents[1]
EXAMPLE = ROOT / "docs/examples/own_kernel"


def run_pytest(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """A pytest of its own, with the plugin as an installed wheel has it."""
    place = f"import sys; sys.path.insert(0, {str(ROOT / 'bindings')!r})"
    code = f"{place}; import pytest; sys.exit(pytest.main())"
    command = [sys.executable, "-c", code, "-p", "pytest_gradsmith", "-p", "no:cacheprovider"]
    return subprocess.run(
        [*command, *options],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )


def test_the_example_project_passes_and_can_fail(tmp_path: Path) -> None:
    project = tmp_path / "own_kernel"
    shutil.copytree(EXAMPLE, project)
    run = run_pytest(project, "-q")
    assert run.returncode == 0, run.stdout + run.stderr
    passed = int(re.search(r"(\d+) passed", run.stdout)[1])
    assert passed >= 20
    kernel = project / "own_kernel.py"
    right = kernel.read_text()
    wrong = right.replace(" - x * r**3 * np.mean(g * x, axis=-1, keepdims=True)", "")
    assert wrong != right
    kernel.write_text(wrong)
    run = run_pytest(project, "-q", "-x")
    assert run.returncode == 1 and "gradient" in run.stdout, run.stdout
    assert re.search("worst at input 0 .*analytic .*numeric ", run.stdout), run.stdout


def test_the_plugin_imports_nothing_before_it_is_used(tmp_path: Path) -> None:
    (tmp_path / "test_none.py").write_text(
        "import sys\n"
        "def test_none():\n"
        "    assert 'pytest_gradsmith' in sys.modules\n"
        "    assert not {'gradsmith', 'numpy'} & set(sys.modules)\n"
    )
    run = run_pytest(tmp_path, "-q", "--strict-markers")
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_fixtures(tmp_path: Path) -> None:
    (tmp_path / "test_fixtures.py").write_text(
        "import gradsmith as gs, numpy as np, pytest\n"
        "def test_all(gradcheck, gradgradcheck, opcheck, assert_close, gradsmith_rng,\n"
        "             gradsmith_device, gradsmith_threads):\n"
        "    x = gs.from_numpy(gradsmith_rng.standard_normal(3)).requires_grad_()\n"
        "    assert gradcheck(gs.exp, x) and gradgradcheck(gs.exp, x)\n"
        "    assert opcheck('relu', samples=1, checks='forward').passed\n"
        "    assert_close(x.detach(), x.detach())\n"
        "    assert gs.ones(1, device=gradsmith_device).device.type == 'cuda'\n"
        "    gradsmith_threads(1)\n"
        "    assert gs.get_num_threads() == 1\n"
        "numbers = []\n"
        "@pytest.mark.parametrize('i', [0, 0, 1])\n"
        "def test_numbers(i, gradsmith_rng):\n"
        "    numbers.append(gradsmith_rng.random())\n"
        "    assert len(set(numbers)) == len(numbers)\n"
    )
    run = run_pytest(tmp_path, "-q", "--gradsmith-device", "cuda", "--gradsmith-seed", "3")
    assert run.returncode == 0, run.stdout + run.stderr


def test_the_entry_point_is_declared() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    assert '[project.entry-points.pytest11]\npytest_gradsmith = "pytest_gradsmith"\n' in text


# ---- validate in this process ----


def cases(*args: Any, **options: Any) -> dict[str, Any]:
    """The cases that the decorator makes, by their ids."""

    @validate(*args, **options)
    def test() -> None: ...

    (mark,) = test.pytestmark
    return {case.id: case for case in mark.args[1]}


def failing(*args: Any, **options: Any) -> set[str]:
    """The checks that fail."""
    found = set()
    for case in cases(*args, **options).values():
        try:
            case.run()
        except AssertionError:
            found.add(case.check)
    return found


def swish(x: np.ndarray) -> np.ndarray:
    return x / (1 + np.exp(-x))


def swish_vjp(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
    s = 1 / (1 + np.exp(-x))
    return grad_y * (s + x * s * (1 - s))


X = np.random.default_rng(0).standard_normal((3, 5))


@validate(swish, [X, Sample((Arr((0, 3)),)), Sample((Arr(()),), name="scalar")], vjp=swish_vjp)
def test_decorated(report: Any, full: bool) -> None:
    """The body runs after the check, with fixtures."""
    assert report.passed and report.op == "swish" and full in (False, True)


def test_what_is_wrong_with_a_numpy_kernel_is_found() -> None:
    assert failing(swish, [X], vjp=swish_vjp) == set()
    assert failing(swish, [X], vjp=swish_vjp, reference=swish) == set()
    assert "gradient" in failing(swish, [X], vjp=lambda g, x: swish_vjp(g, x) * 1.01)
    assert "forward" in failing(swish, [X], vjp=swish_vjp, reference=lambda x: swish(x) * 1.01)

    def writes(x: np.ndarray) -> np.ndarray:
        y = swish(x)
        if x.flags.writeable:
            x[...] = 0
        return y

    assert "unchanged" in failing(writes, [X], vjp=swish_vjp, reference=swish)

    def from_memory(x: np.ndarray) -> np.ndarray:
        base = x if x.base is None or x.size == 0 else x
        return swish(np.ndarray(base.shape, base.dtype, np.asarray(base, order="K").tobytes("A")))

    assert "layouts" in failing(from_memory, [X], vjp=swish_vjp, reference=swish)


def test_a_function_of_ones_own() -> None:
    class Cube(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x * x

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad_y * x * x * 3.0

    found = cases(Cube.apply, [X], reference=lambda x: x**3, name="cube")
    kinds = {case.check for case in found.values()}
    assert kinds == {
        *("forward", "unchanged", "gradient", "second", "precision", "layouts", "inplace"),
        *("repeat", "threads"),
    }
    assert failing(Cube.apply, [X], reference=lambda x: x**3) == set()
    assert failing(Cube.apply, [X], reference=lambda x: x**2 * abs(x)) == {"forward"}


def test_without_a_reference_a_function_is_compared_with_itself() -> None:
    class Exp(gs.Function):
        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            y = gs.exp(x)
            ctx.save_for_backward(y)
            return y

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            return grad_y * ctx.saved_tensors[0]

    assert failing(Exp.apply, [X]) == set()
    assert failing(lambda x: (gs.exp(x), gs.sin(x)), [X], dtypes=("float32",)) == set()
    assert "forward" not in {case.check for case in cases(Exp.apply, [X]).values()}


def test_an_op_of_the_database_and_of_the_backend() -> None:
    found = cases("relu", 3)
    assert {"forward", "isas", "second"} <= {case.check for case in found.values()}
    for case in list(found.values())[:10]:
        case.run()
    conv = gs.backend("cpu").conv2d
    sample = Sample((Arr((1, 2, 5, 5)), Arr((3, 2, 3, 3))), {"padding": 1})
    assert failing(conv, [sample]) == set()


def test_a_kernel_in_float32_only() -> None:
    def kernel(x: np.ndarray) -> np.ndarray:
        return swish(x.astype(np.float32))

    def vjp(grad_y: np.ndarray, x: np.ndarray) -> np.ndarray:
        return swish_vjp(grad_y, x).astype(np.float32)

    only = {"reference": swish, "dtypes": ("float32",)}
    assert failing(kernel, [X], vjp=vjp, **only) == set()
    wrong = failing(kernel, [X], vjp=lambda g, x: vjp(g, x) * np.float32(1.001), **only)
    assert wrong == {"gradient"}


def test_what_validate_refuses() -> None:
    with pytest.raises(ValueError, match="checks are forward, .*; got 'fast'"):
        validate(swish, [X], vjp=swish_vjp, checks=("fast",))
    with pytest.raises(ValueError, match="at least one sample"):
        validate(swish, [], vjp=swish_vjp)
    with pytest.raises(ValueError, match="no op of the sample database"):
        validate("nonsense")


# ---- other frameworks, where they are installed ----


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_torch() -> None:
    torch = pytest.importorskip("torch")
    from gradsmith.testing import GradcheckError, gradcheck, gradgradcheck

    class Scaled(torch.autograd.Function):
        factor = 2.0

        @staticmethod
        def forward(ctx: Any, x: Any) -> Any:
            ctx.save_for_backward(x)
            return x * x

        @staticmethod
        def backward(ctx: Any, grad_y: Any) -> Any:
            (x,) = ctx.saved_tensors
            return grad_y * x * Scaled.factor

    x = torch.from_numpy(X).requires_grad_()
    assert gradcheck(Scaled.apply, x) and gradgradcheck(Scaled.apply, x)
    assert gradcheck(torch.nn.Linear(5, 2).double(), x.detach().requires_grad_())
    model = torch.nn.Linear(5, 2).double()
    assert gradcheck(model, x, parameters=tuple(model.parameters()))
    assert gradcheck(Scaled.apply, x.detach().float().requires_grad_())
    assert gradcheck(torch.relu, torch.tensor([0.0, 1.0, -1.0]).double().requires_grad_())
    assert failing(Scaled.apply, [x.detach()], reference=np.square) == set()
    assert failing(torch.exp, [torch.linspace(-1, 1, 5)]) == set()
    assert failing(Scaled.apply, [torch.linspace(-1, 1, 5)]) == set()
    Scaled.factor = 1.0
    with pytest.raises(GradcheckError, match=r"wrong scale: analytic = 0\.5 x numeric"):
        gradcheck(Scaled.apply, x)
    assert "gradient" in failing(Scaled.apply, [x.detach()], reference=np.square)


def test_jax() -> None:
    jax = pytest.importorskip("jax")
    from gradsmith.testing import GradcheckError, gradcheck, gradgradcheck

    jax.config.update("jax_enable_x64", True)
    x = jax.numpy.asarray(X)
    assert gradcheck(jax.nn.swish, x) and gradgradcheck(jax.numpy.sin, x)
    assert gradcheck(jax.nn.relu, jax.numpy.asarray([0.0, 1.0, -1.0]))
    assert gradcheck(jax.numpy.sin, x.astype("float32"))

    @jax.custom_vjp
    def square(x: Any) -> Any:
        return x * x

    square.defvjp(lambda x: (x * x, x), lambda x, g: (-2 * x * g,))
    with pytest.raises(GradcheckError, match="wrong sign"):
        gradcheck(square, x)
    assert failing(jax.numpy.sin, [x], reference=np.sin) == set()
    assert "gradient" in failing(square, [x], reference=np.square)
