"""An engine prepares a case and runs blocks of it: in this process, or in one of its own.

Nothing of gradsmith is imported at the top: the processes of other libraries do without it.
"""

from __future__ import annotations

import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from .case import Case
from .harness import Block
from .programs import jax_program, numpy_program, program
from .steps import SPECIAL, optimizer_forms

__all__ = ["Engine", "Local", "Remote", "Unsupported", "importable"]

Array = np.ndarray[Any, Any]

#: Runs in a process: the benchmarks as a package of their own, without gradsmith.
START = """
import importlib.util as u, sys
spec = u.spec_from_file_location("benches", sys.argv[1] + "/__init__.py",
                                 submodule_search_locations=[sys.argv[1]])
sys.modules["benches"] = module = u.module_from_spec(spec)
spec.loader.exec_module(module)
from benches.worker import main
main(*sys.argv[2:])
"""
#: glibc keeps what was freed, in huge pages: no page faults once warm.
NO_FAULTS = {
    "MALLOC_MMAP_THRESHOLD_": str(4 << 30),
    "MALLOC_TRIM_THRESHOLD_": str(64 << 30),
    "MALLOC_TOP_PAD_": str(256 << 20),
    "THP_MEM_ALLOC_ENABLE": "1",
}


class Unsupported(Exception):
    """The engine has nothing of the kind; no failure."""


def importable(engine: str) -> bool:
    """Whether the library of an engine is installed; it is not imported."""
    return importlib.util.find_spec(engine.split("-")[0]) is not None


class Engine(Protocol):
    """What times a case.

    Attributes:
        name: as in results.ENGINES.
    """

    name: str

    def prepare(self, case: Case, kind: str, seconds: float) -> list[str]:
        """Makes the calls ready; returns the names of the ways in which the case is run.

        Raises:
            Unsupported: there is no such op, or no such pass.
        """
        ...

    def block(self, variant: str) -> list[float]:
        """Times a block of calls: seconds of each sample."""
        ...

    def results(self) -> list[Array]:
        """What the case computes: its result, or the gradients of the training pass."""
        ...

    def memory(self) -> dict[str, float]:
        """Of the process: page faults of a step, bytes at most, bytes before the case."""
        ...

    def close(self) -> None:
        """Ends what was started."""
        ...


def _status(name: str) -> int:
    """Bytes of a field of /proc/self/status, 0 where there is none."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith(name + ":"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


class Local:
    """An engine in this process.

    Args:
        name: as in results.ENGINES.
        threads: how many it may use.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        self.package = name.split("-")[0]
        self.tuned = name.endswith("-tuned")
        self.exact = name.endswith("-exact")
        self.lib: Any = importlib.import_module(self.package)
        if self.package == "jax":
            for module in ("jax.numpy", "jax.nn", "jax.scipy.special", "jax.lax"):
                importlib.import_module(module)
        self.blocks: dict[str, Block] = {}
        self.calls: dict[str, Callable[[], object]] = {}
        self.case: Case | None = None
        self.base = _status("VmRSS")
        self.faults: list[float] = []
        self._set_threads(threads)

    def _set_threads(self, threads: int) -> None:
        if self.package in ("gradsmith", "torch"):
            self.lib.set_num_threads(threads)

    def _variants(self, case: Case, kind: str) -> list[str]:
        """Tuned: the ways of which the quickest counts."""
        if self.package != "torch" or not self.tuned:
            return ["default"]
        if case.op == "optimizer":
            return optimizer_forms(self.lib, case.options["kind"])
        layouts = ["contiguous"]
        if case.op == "net":
            images = len(case.options["image"]) == 3
        else:
            images = any(len(i.shape) == 4 and not i.high for i in case.inputs[:1])
        if images and "attention" not in case.op:
            layouts.append("channels_last")
        if case.op != "net":
            return layouts
        best = optimizer_forms(self.lib, case.options["optimizer"])[-1]
        return [f"{x}, {best}" for x in layouts]

    def prepare(self, case: Case, kind: str, seconds: float = 0.03) -> list[str]:
        self.close()
        if self.package == "gradsmith":
            self.lib.empty_cache()  # every case begins as in a fresh process
        self.case, self.kind = case, kind
        self._set_threads(case.threads or self.threads)
        if self.tuned and case.op == "chain":  # nothing there can be tuned
            raise Unsupported
        if self.exact and not ("F.conv" in case.op or case.op == "net"):
            raise Unsupported
        with self._precision():
            for variant in self._variants(case, kind):
                self.calls[variant] = self._call(case, kind, variant)
                self.blocks[variant] = Block(self.calls[variant], seconds)
        return list(self.calls)

    def _call(self, case: Case, kind: str, variant: str) -> Callable[[], object]:
        if case.op in SPECIAL:
            if self.package not in ("gradsmith", "torch"):
                raise Unsupported
            return SPECIAL[case.op](self.lib, case, kind, variant)
        if self.package == "numpy":
            return self._numpy(case, kind)
        if self.package == "jax":
            return self._jax(case, kind)
        self.tensors = [self.lib.from_numpy(a) for a in case.build()]
        if variant == "channels_last":
            order = self.lib.channels_last
            self.tensors = [
                t.contiguous(memory_format=order) if t.ndim == 4 else t for t in self.tensors
            ]
        return _tensor_call(self.lib, case, kind, self.tensors)

    def _numpy(self, case: Case, kind: str) -> Callable[[], object]:
        found = numpy_program(case)
        if found is None or kind != "forward":
            raise Unsupported
        arrays = case.build()
        return lambda: found(*arrays)

    def _jax(self, case: Case, kind: str) -> Callable[[], object]:
        found = jax_program(self.lib, case)
        if found is None or case.dtype != "float32":
            raise Unsupported
        jax, arrays = self.lib, [self.lib.numpy.asarray(a) for a in case.build()]
        if kind == "forward":
            compiled = jax.jit(found)
            return lambda: jax.block_until_ready(compiled(*arrays))
        wanted = [n for n, i in enumerate(case.inputs) if i.differentiable]

        seed = jax.numpy.asarray(case.cotangent(jax.eval_shape(found, *arrays).shape))

        def gradients(seed: Any, *inputs: Any) -> Any:
            def of(*chosen: Any) -> Any:
                every = list(inputs)
                for n, value in zip(wanted, chosen, strict=True):
                    every[n] = value
                return found(*every)

            y, back = jax.vjp(of, *[inputs[n] for n in wanted])
            return y, back(seed)

        trained = jax.jit(gradients)
        return lambda: jax.block_until_ready(trained(seed, *arrays))

    def _precision(self) -> Any:
        return _Precision(self.lib if self.exact else None)

    def block(self, variant: str) -> list[float]:
        block = self.blocks[variant]
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        with self._precision():
            samples = block()
        after = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        self.faults.append((after - before) / block.ran)
        return samples

    def results(self) -> list[Array]:
        case = self.case
        if case is None or case.op in SPECIAL:
            return []
        variant = next(iter(self.calls))
        with self._precision():
            y = self.calls[variant]()
        if self.package == "jax" and self.kind == "training":
            return [np.asarray(g) for g in y[1]]  # type: ignore[index]
        if self.package in ("numpy", "jax"):
            return [np.asarray(y)]
        if self.kind == "forward":
            return [_numpy(y)]
        leaves = [t for t, i in zip(self.tensors, case.inputs, strict=True) if i.differentiable]
        return [_numpy(t.grad) for t in leaves]

    def memory(self) -> dict[str, float]:
        faults = sorted(self.faults[1:]) or [0.0]
        return {
            "faults": faults[len(faults) // 2],
            "peak": float(_status("VmHWM")),
            "base": float(self.base),
        }

    def close(self) -> None:
        self.calls, self.blocks, self.faults, self.tensors = {}, {}, [], []


class _Precision:
    """conv_precision "exact" while it holds, where there is such a setting."""

    def __init__(self, lib: Any) -> None:
        self.lib = lib

    def __enter__(self) -> None:
        if self.lib is not None:
            cpu = self.lib.backends.cpu
            self.before = getattr(cpu, "conv_precision", None)
            if self.before is None:
                raise Unsupported
            cpu.conv_precision = "exact"

    def __exit__(self, *_: object) -> None:
        if self.lib is not None:
            self.lib.backends.cpu.conv_precision = self.before


def _numpy(y: Any) -> Array:
    """A tensor as an array of its own."""
    return np.array(y.detach().numpy())


def _tensor_call(lib: Any, case: Case, kind: str, tensors: list[Any]) -> Callable[[], object]:
    """What is timed in gradsmith or PyTorch."""
    call = program(lib, case)
    if kind == "forward":

        def forward() -> object:
            with lib.no_grad():
                return call(*tensors)

        return forward
    leaves = [t for t, i in zip(tensors, case.inputs, strict=True) if i.differentiable]
    for leaf in leaves:
        leaf.requires_grad_()
    seed = lib.from_numpy(case.cotangent(call(*tensors).shape))

    def training() -> object:
        for leaf in leaves:
            leaf.grad = None
        y = call(*tensors)
        y.backward(seed)
        return y

    return training


def environment(name: str, threads: int) -> dict[str, str]:
    """The variables of an engine's process."""
    found = {**os.environ, "OMP_NUM_THREADS": str(threads), "OPENBLAS_NUM_THREADS": str(threads)}
    if name.startswith("numpy"):
        # 2^24 cycles, 10 ms. Its idle threads spin for 117 ms otherwise and take a core from the
        # next engines' blocks: half the speed. A product right after another is as quick with it.
        found.setdefault("OPENBLAS_THREAD_TIMEOUT", "24")
    if name.endswith("-tuned"):
        found |= NO_FAULTS
        if name.startswith("numpy") and "avx512f" in _flags():
            found["OPENBLAS_CORETYPE"] = "SkylakeX"
    if name == "jax":
        found["JAX_PLATFORMS"] = "cpu"
        if threads == 1:
            found["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false"
    return found


def _flags() -> set[str]:
    """What this processor can do, as Linux names it."""
    try:
        for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
            if line.startswith("flags"):
                return set(line.split())
    except OSError:
        pass
    return set()


class Remote:
    """An engine in a process of its own, where variables decide or another library disturbs.

    Args:
        name: as in results.ENGINES.
        threads: how many it may use.
    """

    def __init__(self, name: str, threads: int) -> None:
        self.name, self.threads = name, threads
        command = [sys.executable, "-c", START, str(Path(__file__).parent), name, str(threads)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=environment(name, threads),
        )  # fmt: skip

    def _ask(self, **question: Any) -> Any:
        process = self.process
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(question) + "\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError(f"the process of {self.name} ended")
        answer = json.loads(line)
        if "unsupported" in answer:
            raise Unsupported
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer["answer"]

    def prepare(self, case: Case, kind: str, seconds: float = 0.03) -> list[str]:
        return self._ask(do="prepare", key=case.key, kind=kind, seconds=seconds)

    def block(self, variant: str) -> list[float]:
        return self._ask(do="block", variant=variant)

    def results(self) -> list[Array]:
        with tempfile.TemporaryDirectory() as folder:
            path = str(Path(folder, "results.npz"))
            count = self._ask(do="results", path=path)
            with np.load(path) as file:
                return [file[f"arr_{n}"] for n in range(count)]

    def memory(self) -> dict[str, float]:
        return self._ask(do="memory")

    def close(self) -> None:
        if self.process.poll() is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            try:
                self.process.wait(10)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
