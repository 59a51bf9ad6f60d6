"""What a benchmark case is: an op on inputs of a realistic shape, as data.

Nothing of gradsmith is imported here: processes that time other libraries read the cases too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np

__all__ = ["PASSES", "Case", "Input"]

PASSES = ("forward", "training")
Array = np.ndarray[Any, Any]
#: The arrays of the case that was built last: each engine takes a copy.
_LAST: dict[tuple[tuple[Input, ...], str], list[Array]] = {}


@dataclass(frozen=True)
class Input:
    """One input: standard normal numbers, or integers below `high`.

    Attributes:
        shape: its shape.
        high: integers in [0, high); 0: floats.
        grad: whether the training pass wants its gradient.
        positive: absolute values, away from 0. unit: in (0, 1).
        scale: what the floats are multiplied by.
        places: 0, places, 2 places ..: where bags of that size begin.
        distinct: no number twice, so that there is one order of them: even steps, shuffled.
    """

    shape: tuple[int, ...]
    high: int = 0
    grad: bool = True
    positive: bool = False
    unit: bool = False
    scale: float = 1.0
    places: int = 0
    distinct: bool = False

    @property
    def differentiable(self) -> bool:
        """Whether the training pass has a gradient of it."""
        return self.grad and not self.high and not self.places

    def build(self, rng: np.random.Generator, dtype: str = "float32") -> Array:
        """The values: of `dtype`, or int64."""
        if self.places:
            return np.arange(self.shape[0]) * self.places
        if self.high:
            return rng.integers(0, self.high, self.shape)
        if self.distinct:
            n = prod(self.shape)
            return ((rng.permutation(n) - n / 2) / n * 4).reshape(self.shape).astype(dtype)
        if self.unit:
            return (rng.random(self.shape) * 0.98 + 0.01).astype(dtype)
        x = rng.standard_normal(self.shape, dtype=np.float32) * np.float32(self.scale)
        return (np.abs(x) + np.float32(0.1) if self.positive else x).astype(dtype)


@dataclass(frozen=True)
class Case:
    """One op at one size.

    Attributes:
        family: its class in the table of targets.
        name: what it is; no other case of the class has it.
        op: a name in `programs`, or a function of the library: "exp"; "F.relu" for
            nn.functional's.
        inputs: what it is called with.
        args, options: and then with these.
        dtype: of the floats among the inputs and of the arithmetic.
        passes: "forward", "training" (forward with backward; a whole step) or both.
        quick: whether --quick runs it.
        random: its results are drawn: there is no error to measure.
        calls: ops in one call; times are given for one of them.
        threads: on so many, whatever the run has; 0: the run's.
        apart: cases in a row with one name here have processes that no other case has run in, as
            the memory that a process holds already decides their time, or is measured itself.
    """

    family: str
    name: str
    op: str
    inputs: tuple[Input, ...] = ()
    args: tuple[Any, ...] = ()
    options: dict[str, Any] = field(default_factory=dict)
    dtype: str = "float32"
    passes: tuple[str, ...] = PASSES
    quick: bool = False
    random: bool = False
    calls: int = 1
    threads: int = 0
    apart: str = ""

    @property
    def key(self) -> tuple[str, str, str]:
        """What names it."""
        return self.family, self.name, self.dtype

    @property
    def label(self) -> str:
        """`matmul 1024: 1024x1024x1024`, with its type unless that is float32."""
        return f"{self.family}: {self.name}" + ("" if self.dtype == "float32" else f" {self.dtype}")

    def build(self) -> list[Array]:
        """The inputs, as copies; the same in every process."""
        key = (self.inputs, self.dtype)
        if key not in _LAST:
            _LAST.clear()
            _LAST[key] = [
                i.build(np.random.default_rng(n), self.dtype) for n, i in enumerate(self.inputs)
            ]
        return [a.copy() for a in _LAST[key]]

    def cotangent(self, shape: Sequence[int]) -> Array:
        """What the training pass begins with: random, so that no gradient vanishes by symmetry."""
        dtype = np.float64 if self.dtype == "float64" else np.float32
        rng = np.random.default_rng(len(self.inputs) + 1)
        return rng.standard_normal(tuple(shape), dtype=np.float32).astype(dtype)

    def in_float64(self) -> Case:
        """The same in float64."""
        return replace(self, dtype="float64")

    def flops(self, kind: str, out: Sequence[int]) -> float:
        """Operations of multiply-adds, 2 each; those by the padding's zeros count too.

        0 where multiply-adds are not what takes the time. The training pass needs as many again for
        each gradient.

        Args:
            kind: the pass.
            out: the result's shape.
        """
        shapes = [i.shape for i in self.inputs]
        if self.op in ("matmul", "bmm"):
            forward = 2.0 * prod(out) * shapes[0][-1]
        elif self.op in ("F.linear", "linear_relu"):
            forward = 2.0 * prod(out) * shapes[1][-1]
        elif self.op.startswith("F.conv_transpose"):
            forward = 2.0 * prod(shapes[0]) * prod(shapes[1][1:])
        elif self.op.startswith("F.conv"):
            forward = 2.0 * prod(out) * prod(shapes[1][1:])
        elif self.op == "einsum":
            forward = 2.0 * prod(out) * shapes[0][-1]
        elif self.op == "F.scaled_dot_product_attention":
            forward = 4.0 * prod(shapes[0]) * shapes[0][-2]
            return forward if kind == "forward" else 3.5 * forward
        else:
            return 0.0
        if kind == "forward":
            return forward
        return forward * (1 + sum(i.differentiable for i in self.inputs[:2]))

    def bytes(self, kind: str, out: Sequence[int]) -> float:
        """Bytes that must be read and written at least, were each array moved once.

        Forward: the inputs and the result. Training: besides, the result's gradient and the inputs
        once more, and a gradient written for each input that has one.
        """
        indexed = self.family == "indexing" and any(i.high or i.places for i in self.inputs)
        if indexed or self.op in ("net", "chain", "recurrent"):
            return 0.0
        size = 8 if self.dtype == "float64" else 4
        read = sum(prod(i.shape) * (8 if i.high or i.places else size) for i in self.inputs)
        written = prod(out) * size
        if self.op == "optimizer":
            return float(self.options["moved"]) * size
        if kind == "forward":
            return float(read + written)
        gradients = sum(prod(i.shape) * size for i in self.inputs if i.differentiable)
        return float(2 * read + 2 * written + gradients)
