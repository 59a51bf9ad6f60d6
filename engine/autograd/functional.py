"""Derivatives of functions: jacobian, hessian, vjp, jvp, hvp, vhp, as PyTorch's functional API.

A function takes one tensor or a tuple of them and returns one tensor or a tuple; results have the
structure of PyTorch's: a tensor where the argument was one tensor, else a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..tensor import Tensor
from .backward import grad
from .dispatch import apply
from .grad_mode import enable_grad
from .op import BY_KERNEL

__all__ = ["hessian", "hvp", "jacobian", "jvp", "vhp", "vjp"]

_Function = Callable[..., Any]
_Tensors = Any  # a tensor or a tuple of tensors


def _as_tuple(name: str, argument: str, value: Any) -> tuple[tuple[Tensor, ...], bool]:
    """The tensors, and whether they came in a tuple."""
    several = isinstance(value, (tuple, list))
    values = tuple(value) if several else (value,)
    for i, v in enumerate(values):
        if not isinstance(v, Tensor):
            raise TypeError(
                f"{name}: {argument} must be a tensor or a tuple of tensors; "
                f"got {type(v).__name__} at {i}"
            )
    return values, several


def _prepared(name: str, inputs: Any, create_graph: bool) -> tuple[tuple[Tensor, ...], bool]:
    """The inputs as tensors of their own that require a gradient."""
    values, several = _as_tuple(name, "inputs", inputs)
    if create_graph:  # views, so that what is computed belongs to the caller's graph too
        return tuple([v.reshape(v.shape) if v.requires_grad else _leaf(v) for v in values]), several
    return tuple([_leaf(v) for v in values]), several


def _leaf(v: Tensor) -> Tensor:
    return v.detach().requires_grad_()


def _called(
    name: str, func: _Function, inputs: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], bool]:
    return _as_tuple(name, "the function's outputs", func(*inputs))


def _like(value: tuple[Any, ...], several: bool) -> Any:
    return value if several else value[0]


def _detached(values: tuple[Tensor, ...], create_graph: bool) -> tuple[Tensor, ...]:
    return values if create_graph else tuple([v.detach() for v in values])


def _zeros(t: Tensor) -> Tensor:
    return Tensor._make(t._table().full(t._data.shape, 0.0, t._data.dtype))


def _filled(
    name: str,
    grads: tuple[Tensor | None, ...],
    inputs: tuple[Tensor, ...],
    strict: bool,
    create_graph: bool,
) -> tuple[Tensor, ...]:
    """The gradients, with zeros for what the outputs do not depend on."""
    result = []
    for i, (g, x) in enumerate(zip(grads, inputs, strict=True)):
        if g is None:
            if strict:
                raise RuntimeError(f"{name}: the outputs do not depend on input {i} (strict=True)")
            g = _zeros(x)
        elif strict and create_graph and not g.requires_grad:
            raise RuntimeError(
                f"{name}: the derivative by input {i} does not depend on the inputs (strict=True)"
            )
        result.append(g)
    return tuple(result)


def _gradients(
    outputs: tuple[Tensor, ...],
    inputs: tuple[Tensor, ...],
    grad_outputs: tuple[Tensor, ...],
    create_graph: bool,
    retain_graph: bool = True,
) -> tuple[Tensor | None, ...]:
    """grad(), where outputs that depend on nothing are left out."""
    pairs = [(y, g) for y, g in zip(outputs, grad_outputs, strict=True) if y.requires_grad]
    if not pairs:
        return (None,) * len(inputs)
    return grad(
        [y for y, _ in pairs],
        inputs,
        [g for _, g in pairs],
        retain_graph=retain_graph,
        create_graph=create_graph,
        allow_unused=True,
    )


def _vector(name: str, v: Any, like: tuple[Tensor, ...], of: str) -> tuple[Tensor, ...]:
    """The vector, checked; None: 1, for one output of one element."""
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise RuntimeError(
                f"{name}: v can be left out only for one {of} of one element; got shapes "
                f"{[tuple(t.shape) for t in like]}"
            )
        t = like[0]
        return (Tensor._make(t._table().full(t._data.shape, 1.0, t._data.dtype)),)
    values, _ = _as_tuple(name, "v", v)
    if [tuple(t.shape) for t in values] != [tuple(t.shape) for t in like]:
        raise RuntimeError(
            f"{name}: v must have the shapes of the {of}s {[tuple(t.shape) for t in like]}; got "
            f"{[tuple(t.shape) for t in values]}"
        )
    return values


def vjp(
    func: _Function,
    inputs: _Tensors,
    v: _Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The vector-Jacobian product, v^T J, in one backward pass.

    Args:
        func: tensors -> a tensor or a tuple of tensors.
        inputs: where to differentiate.
        v: of the outputs' shapes; None: 1, for one output of one element.
        create_graph: the results can be differentiated again.
        strict: raise if an output does not depend on an input, instead of zeros.

    Returns:
        (func(*inputs), v^T J).

    Raises:
        TypeError: what is not a tensor. RuntimeError: shapes of v; strict.
    """
    with enable_grad():
        xs, several_in = _prepared("vjp", inputs, create_graph)
        ys, several_out = _called("vjp", func, xs)
        vs = _vector("vjp", v, ys, "output")
        grads = _gradients(ys, xs, vs, create_graph)
        result = _filled("vjp", grads, xs, strict, create_graph)
    return (
        _like(_detached(ys, create_graph), several_out),
        _like(_detached(result, create_graph), several_in),
    )


def jvp(
    func: _Function,
    inputs: _Tensors,
    v: _Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The Jacobian-vector product, J v: the directional derivative.

    It is the derivative of u^T J by u, which is linear in u: two backward passes, and every op on
    the way needs a second derivative.

    Args:
        func, inputs, create_graph, strict: as for vjp.
        v: of the inputs' shapes; None: 1, for one input of one element.

    Returns:
        (func(*inputs), J v).

    Raises:
        TypeError, RuntimeError: as vjp. NotImplementedError: an op without a second derivative.

    Source: J. Townsend, "A new trick for calculating Jacobian vector products", 2017.
    """
    with enable_grad():
        xs, _ = _prepared("jvp", inputs, create_graph)
        vs = _vector("jvp", v, xs, "input")
        ys, several_out = _called("jvp", func, xs)
        us = tuple([_zeros(y).requires_grad_() for y in ys])
        grads = _gradients(ys, xs, us, create_graph=True)
        rows = _filled("jvp", grads, xs, strict, create_graph)
        products = _gradients(rows, us, vs, create_graph)
        result = _filled("jvp", products, us, strict, create_graph)
    return (
        _like(_detached(ys, create_graph), several_out),
        _like(_detached(result, create_graph), several_out),
    )


def jacobian(
    func: _Function,
    inputs: _Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:
    """The Jacobian: the derivative of every element of the outputs by every element of the inputs.

    Shape: output (*Y), input (*X) -> (*Y, *X); a tuple for several inputs, and of these a tuple
    for several outputs, as PyTorch nests them.

    Args:
        func, inputs, create_graph, strict: as for vjp.
        vectorize: accepted as PyTorch does; the rows are computed one by one.
        strategy: "reverse-mode": a backward pass for each element of the outputs.

    Raises:
        TypeError, RuntimeError: as vjp. NotImplementedError: strategy="forward-mode".
    """
    if strategy != "reverse-mode":
        if strategy == "forward-mode":
            raise NotImplementedError("jacobian: strategy must be 'reverse-mode'; got forward-mode")
        raise ValueError(f"jacobian: strategy must be 'reverse-mode'; got {strategy!r}")
    with enable_grad():
        xs, several_in = _prepared("jacobian", inputs, create_graph)
        ys, several_out = _called("jacobian", func, xs)
        blocks = []
        for j, y in enumerate(ys):
            rows: list[list[Tensor]] = [[] for _ in xs]
            if strict and not y.requires_grad:
                raise RuntimeError(
                    f"jacobian: output {j} does not depend on the inputs (strict=True)"
                )
            flat = y.reshape((-1,))
            for i in range(y.numel()):
                seed = _zeros(flat)
                seed[i] = 1.0
                grads = _gradients((flat,), xs, (seed,), create_graph)
                for row, g in zip(
                    rows, _filled("jacobian", grads, xs, strict, create_graph), strict=True
                ):
                    row.append(g if create_graph else g.detach())
            blocks.append(
                tuple(
                    [
                        _stacked(row, x).reshape((*y.shape, *x.shape))
                        for row, x in zip(rows, xs, strict=True)
                    ]
                )
            )
    return _like(tuple([_like(block, several_in) for block in blocks]), several_out)


def _stacked(rows: list[Tensor], x: Tensor) -> Tensor:
    """The gradients by x one after another, as (rows, elements of x)."""
    count, size = len(rows), x.numel()
    if not count:
        return Tensor._make(x._table().full((0, size), 0.0, x._data.dtype))
    flat = tuple([row.reshape((1, size)) for row in rows])
    return apply(BY_KERNEL["cat"], flat, (0, (count, size)))


def _scalar(name: str, func: _Function) -> _Function:
    """func, checked to return one tensor of one element, as a 0-dim tensor."""

    def checked(*xs: Tensor) -> Tensor:
        y = func(*xs)
        if not isinstance(y, Tensor) or y.numel() != 1:
            got = tuple(y.shape) if isinstance(y, Tensor) else type(y).__name__
            raise RuntimeError(f"{name}: the function must return one element; got {got}")
        return y.reshape(())

    return checked


def hessian(
    func: _Function,
    inputs: _Tensors,
    create_graph: bool = False,
    strict: bool = False,
    vectorize: bool = False,
    outer_jacobian_strategy: str = "reverse-mode",
) -> Any:
    """The Hessian of a function of one output element: second derivatives by every pair of inputs.

    Shape: inputs (*X) -> (*X, *X); for several inputs a tuple of tuples.

    Args:
        func: tensors -> a tensor of one element. The rest as for jacobian.

    Raises:
        RuntimeError: a function of several output elements; else as jacobian.
    """
    several = isinstance(inputs, (tuple, list))
    checked = _scalar("hessian", func)

    def gradient(*xs: Tensor) -> Any:
        y = checked(*xs)
        if strict and not y.requires_grad:
            raise RuntimeError("hessian: the output does not depend on the inputs (strict=True)")
        one = Tensor._make(y._table().full((), 1.0, y._data.dtype))
        grads = _gradients((y,), xs, (one,), create_graph=True)
        return _like(_filled("hessian", grads, xs, strict, True), several)

    return jacobian(gradient, inputs, create_graph, strict, vectorize, outer_jacobian_strategy)


def vhp(
    func: _Function,
    inputs: _Tensors,
    v: _Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The product of a vector and the Hessian, v^T H, of a function of one output element.

    Args:
        func: tensors -> a tensor of one element.
        v: of the inputs' shapes; None: 1, for one input of one element.

    Returns:
        (func(*inputs), v^T H).

    Raises:
        As vjp; RuntimeError for a function of several output elements.
    """
    checked = _scalar("vhp", func)
    with enable_grad():
        xs, several = _prepared("vhp", inputs, create_graph)
        vs = _vector("vhp", v, xs, "input")
        y = checked(*xs)
        one = Tensor._make(y._table().full((), 1.0, y._data.dtype))
        grads = _gradients((y,), xs, (one,), create_graph=True)
        rows = _filled("vhp", grads, xs, strict, create_graph)
        result = _filled("vhp", _gradients(rows, xs, vs, create_graph), xs, strict, create_graph)
    return (
        _detached((y,), create_graph)[0],
        _like(_detached(result, create_graph), several),
    )


def hvp(
    func: _Function,
    inputs: _Tensors,
    v: _Tensors | None = None,
    create_graph: bool = False,
    strict: bool = False,
) -> tuple[Any, Any]:
    """The product of the Hessian and a vector, H v: as vhp, for a Hessian is symmetric.

    Returns:
        (func(*inputs), H v).
    """
    return vhp(func, inputs, v, create_graph, strict)
