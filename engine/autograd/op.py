"""The record of an op: declared once, it feeds dispatch, gradients, errors, checks and docs."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["BY_KERNEL", "OPS", "Op", "op"]

#: name -> op, in the order of declaration.
OPS: dict[str, Op] = {}
#: kernel -> the op of that kernel: what a recorded backward calls.
BY_KERNEL: dict[str, Op] = {}


class Op:
    """An op: how its output is computed from kernels, and its gradient.

    `forward(k, *inputs, *options) -> (output, saved)` runs on the device's arrays with the device's
    kernel table k. `backward(k, saved, grad_y, need, *options)` returns a gradient, or None, for
    each input; it runs on arrays with the same table, or, under create_graph, on tensors with the
    recording table: it is written once. `need[i]` is true where input i's gradient is wanted. What
    it returns is new, or grad_y or a saved array or a view of them; never from an option or a
    cache, as a leaf takes over what nobody else holds (backward.py). Saved arrays lie flat.

    Attributes:
        inputs: names of the tensor inputs, in order. One name with a star: a list of tensors.
        options: names of the options behind the inputs.
        outputs: how many tensors forward's output is (a tuple if more than one); only the first
            `differentiable` of them have a gradient.
        operands: some inputs may be numbers, arrays or of several dtypes, which are promoted.
        promotes: for each input whether it is one of those.
        origins: what each saved value is, once a call has shown it (see dispatch.binary).
        formula, source: for the docs.
        views: the output is a view of the first input.
    """

    __slots__ = (
        "name",
        "inputs",
        "options",
        "kernel",
        "forward",
        "backward",
        "outputs",
        "differentiable",
        "variadic",
        "operands",
        "promotes",
        "views",
        "origins",
        "formula",
        "source",
    )

    def __init__(self, name: str, forward: Callable[..., Any], **record: Any) -> None:
        self.name = name
        self.forward = forward
        self.backward: Callable[..., Any] | None = None
        names = record["inputs"].split()
        self.variadic = names[0].endswith("*")
        self.promotes = tuple([n.endswith("|") for n in names])
        self.operands = any(self.promotes)
        self.inputs = tuple(n.rstrip("*?|") for n in names)
        code = forward.__code__
        self.options = code.co_varnames[1 + len(names) : code.co_argcount]
        self.kernel: str | None = record["kernel"]
        self.outputs: int = record["outputs"]
        self.differentiable: int = record["differentiable"]
        self.views: bool = record["views"]
        self.origins: list[list[int | None] | None] = [None, None, None]
        self.formula: str = record["formula"]
        self.source: str = record["source"]

    def gradient(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Decorator: `function` is this op's backward."""
        self.backward = function
        return function

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.inputs + self.options)})>"


def op(
    *,
    inputs: str,
    kernel: str | None = None,
    outputs: int = 1,
    differentiable: int = 1,
    views: bool = False,
    formula: str = "",
    source: str = "",
    name: str = "",
) -> Callable[[Callable[..., Any]], Op]:
    """Decorator: declares the op that the function is the forward of.

    Args:
        inputs: names of the tensor inputs, "x weight bias?"; "xs*" for a list.
        kernel: the entry of the kernel list that the op is, with the same arguments; backwards that
            call this entry are then differentiable themselves.
        name: the op's name, if it is not the function's.
    """

    def declare(forward: Callable[..., Any]) -> Op:
        record = Op(
            name or forward.__name__.rstrip("_"),
            forward,
            inputs=inputs,
            kernel=kernel,
            outputs=outputs,
            differentiable=differentiable,
            views=views,
            formula=formula,
            source=source,
        )
        if record.name in OPS:
            raise ValueError(f"op: {record.name} is declared already")
        OPS[record.name] = record
        if kernel is not None:
            if kernel in BY_KERNEL:
                raise ValueError(f"op: kernel {kernel} is declared already")
            BY_KERNEL[kernel] = record
        return record

    return declare
