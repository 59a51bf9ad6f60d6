"""einsum: sums of products by labels, contracted as matrix products."""

from __future__ import annotations

from functools import lru_cache
from math import prod
from typing import Any

from ..tensor import Tensor
from .matmul import matmul
from .operands import need_tensors

__all__ = ["einsum"]

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_REST = -1  # stands for the dimensions of an ellipsis in a parsed term


def einsum(equation: Any, *operands: Any) -> Tensor:
    """Einstein's summation: products of operands, summed over the labels that the result has not.

    Args:
        equation: "ij,jk->ik": a letter a dimension; ... the dimensions without one, which
            broadcast; a letter twice in one operand takes the diagonal. Without -> the result has
            the letters that appear once, in alphabetical order, behind the ellipsis. Or the
            first operand: einsum(a, [0, 1], b, [1, 2], [0, 2]).
        operands: tensors; or one list of them.

    Raises:
        RuntimeError: an equation that does not fit the operands.
    """
    if not isinstance(equation, str):
        terms, output, tensors = _from_lists((equation, *operands))
    else:
        if len(operands) == 1 and isinstance(operands[0], (list, tuple)):
            operands = tuple(operands[0])
        terms, output = _parse(equation)
        tensors = list(operands)
        if len(terms) == len(tensors) == 2 and all(isinstance(t, Tensor) for t in tensors):
            x, y = tensors
            plan = _plan(equation, tuple(x._data.shape), tuple(y._data.shape))
            if plan is not None:
                return _follow(plan, x, y)
    for i, t in enumerate(tensors):
        need_tensors("einsum", **{f"operands[{i}]": t})
    if len(terms) != len(tensors):
        raise RuntimeError(
            f"einsum: the equation has {len(terms)} operands; got {len(tensors)} tensors"
        )
    return _contract(terms, output, tensors)


@lru_cache(maxsize=256)
def _plan(equation: str, a: tuple[int, ...], b: tuple[int, ...]) -> tuple[Any, ...] | None:
    """How two operands become one product, without sums, diagonals or broadcasting; None: not so.

    Found once for each equation and shapes: it takes longer than a small product.
    """
    (in_x, in_y), output = _parse(equation)
    if len(in_x) != len(a) or len(in_y) != len(b) or _REST in (*in_x, *in_y):
        return None
    if len(set(in_x)) != len(in_x) or len(set(in_y)) != len(in_y):
        return None
    sizes = dict(zip(in_x, a, strict=True))
    if any(sizes.setdefault(v, n) != n for v, n in zip(in_y, b, strict=True)):
        return None
    result = _result([in_x, in_y], output, [in_x, in_y], 0, sizes)
    batch = [v for v in in_x if v in in_y and v in result]
    inner = [v for v in in_x if v in in_y and v not in result]
    rows = [v for v in in_x if v not in in_y]
    columns = [v for v in in_y if v not in in_x]
    if any(v not in result for v in (*rows, *columns)):
        return None
    m, k, n = (prod([sizes[v] for v in labels]) for labels in (rows, inner, columns))
    lead = (prod([sizes[v] for v in batch]),) if batch else ()
    labels = [*batch, *rows, *columns]
    return (
        tuple([in_x.index(v) for v in (*batch, *rows, *inner)]),
        (*lead, m, k if inner else 1),
        tuple([in_y.index(v) for v in (*batch, *inner, *columns)]),
        (*lead, k if inner else 1, n),
        bool(inner),
        tuple([sizes[v] for v in labels]),
        tuple([labels.index(v) for v in result]),
    )


def _follow(plan: tuple[Any, ...], x: Tensor, y: Tensor) -> Tensor:
    order_x, shape_x, order_y, shape_y, inner, shape, order = plan
    x, y = _arranged(x, order_x, shape_x), _arranged(y, order_y, shape_y)
    z = matmul(x, y) if inner else x * y
    z = z if z._data.shape == shape else z.reshape(shape)
    return z if order == tuple(range(len(order))) else z.permute(*order)


def _arranged(t: Tensor, order: tuple[int, ...], shape: tuple[int, ...]) -> Tensor:
    if order != tuple(range(len(order))):
        t = t.permute(*order)
    return t if t._data.shape == shape else t.reshape(shape)


def _parse(equation: str) -> tuple[list[list[int]], list[int] | None]:
    text = equation.replace(" ", "")
    left, arrow, right = text.partition("->")
    if any(c in right for c in ",>-"):
        raise RuntimeError(f"einsum: one result; got {equation!r}")
    return [_term(t, equation) for t in left.split(",")], _term(right, equation) if arrow else None


def _term(text: str, equation: str) -> list[int]:
    found: list[int] = []
    i = 0
    while i < len(text):
        if text.startswith("...", i):
            if _REST in found:
                raise RuntimeError(f"einsum: one ellipsis an operand; got {equation!r}")
            found.append(_REST)
            i += 3
        elif text[i] in _LETTERS:
            found.append(_LETTERS.index(text[i]))
            i += 1
        else:
            raise RuntimeError(f"einsum: subscripts are letters; got {text[i]!r} in {equation!r}")
    return found


def _from_lists(args: tuple[Any, ...]) -> tuple[list[list[int]], list[int] | None, list[Any]]:
    """The form einsum(a, [0, 1], b, [1, 2], [0, 2])."""

    def term(labels: Any) -> list[int]:
        found = [_REST if v is Ellipsis else int(v) for v in labels]
        if any(v != _REST and not 0 <= v < 52 for v in found) or found.count(_REST) > 1:
            raise RuntimeError(f"einsum: labels are ints in [0, 52) and one ...; got {labels}")
        return found

    output = term(args[-1]) if len(args) % 2 else None
    pairs = args[: len(args) // 2 * 2]
    return [term(v) for v in pairs[1::2]], output, list(pairs[::2])


def _contract(terms: list[list[int]], output: list[int] | None, tensors: list[Tensor]) -> Tensor:
    # The ellipsis' dimensions get labels of their own, counted from the right: -1, -2, ...
    wide = 0
    for term, t in zip(terms, tensors, strict=True):
        named = len([v for v in term if v != _REST])
        if (named > t.ndim) or (named < t.ndim and _REST not in term):
            raise RuntimeError(
                f"einsum: {named} subscripts do not fit an operand of shape {tuple(t.shape)}"
            )
        wide = max(wide, t.ndim - named)
    full = []
    for term, t in zip(terms, tensors, strict=True):
        named = len([v for v in term if v != _REST])
        full.append(_spread(term, t.ndim - named))
    sizes: dict[int, int] = {}
    for labels, t in zip(full, tensors, strict=True):
        for label, n in zip(labels, t._data.shape, strict=True):
            if sizes.setdefault(label, n) == 1:
                sizes[label] = n
            elif n not in (1, sizes[label]):
                raise RuntimeError(
                    f"einsum: a subscript has sizes {sizes[label]} and {n}; got "
                    f"{[tuple(x.shape) for x in tensors]}"
                )
    result = _result(terms, output, full, wide, sizes)
    done: tuple[Tensor, list[int]] | None = None
    for i, (labels, t) in enumerate(zip(full, tensors, strict=True)):
        operand = _prepared(t, labels, sizes)
        later = {v for other in full[i + 1 :] for v in other} | set(result)
        done = _summed(operand, later) if done is None else _pair(done, operand, later, sizes)
    if done is None:
        raise RuntimeError("einsum: takes at least one operand")
    t, labels = _summed(done, set(result))
    missing = [v for v in result if v not in labels]  # of size 1 everywhere
    if missing:
        t = t.reshape((*t._data.shape, *[1] * len(missing)))
        labels = [*labels, *missing]
    order = [labels.index(v) for v in result]
    return t if order == list(range(len(order))) else t.permute(*order)


def _spread(term: list[int], rest: int) -> list[int]:
    """The term with -rest .. -1 for the ellipsis."""
    found: list[int] = []
    for v in term:
        found += list(range(-rest, 0)) if v == _REST else [v]
    return found


def _result(
    terms: list[list[int]],
    output: list[int] | None,
    full: list[list[int]],
    wide: int,
    sizes: dict[int, int],
) -> list[int]:
    if output is None:
        counts: dict[int, int] = {}
        for labels in full:
            for v in labels:
                counts[v] = counts.get(v, 0) + 1
        return [*range(-wide, 0), *sorted(v for v, n in counts.items() if n == 1 and v >= 0)]
    result = _spread(output, wide)
    if len(set(result)) != len(result):
        raise RuntimeError("einsum: a subscript appears twice in the result")
    if any(v not in sizes for v in result):
        raise RuntimeError("einsum: the result has a subscript that no operand has")
    return result


def _prepared(t: Tensor, labels: list[int], sizes: dict[int, int]) -> tuple[Tensor, list[int]]:
    """Diagonals of repeated labels; without the dimensions of size 1 that broadcast."""
    labels = list(labels)
    i = 0
    while i < len(labels):
        shape = t._data.shape
        if shape[i] == 1 and (sizes[labels[i]] != 1 or labels[i] in labels[i + 1 :]):
            # Of size 1 beside larger ones: it is the same for all of them.
            t = t.reshape((*shape[:i], *shape[i + 1 :]))
            del labels[i]
        elif labels[i] in labels[i + 1 :]:
            j = labels.index(labels[i], i + 1)
            if shape[j] == 1:
                t = t.reshape((*shape[:j], *shape[j + 1 :]))
            else:
                t = _diagonal(t, i, j)
            del labels[j]
        else:
            i += 1
    return t, labels


def _diagonal(t: Tensor, i: int, j: int) -> Tensor:
    """The elements with equal indices in dims i < j of one size, along dim i."""
    n = t._data.shape[i]
    rest = [d for d in range(t.ndim) if d not in (i, j)]
    shape = tuple([t._data.shape[d] for d in rest])
    flat = t.permute(*rest, i, j).reshape((*shape, n * n))
    line = flat[(..., slice(0, None, n + 1))] if n else flat
    return line.movedim(len(rest), i)


def _summed(operand: tuple[Tensor, list[int]], kept: set[int]) -> tuple[Tensor, list[int]]:
    """The operand without the labels that nothing needs any more."""
    t, labels = operand
    dims = tuple([i for i, v in enumerate(labels) if v not in kept])
    if not dims:
        return operand
    from .reduce import sum

    return sum(t, dims), [v for v in labels if v in kept]


def _pair(
    a: tuple[Tensor, list[int]], b: tuple[Tensor, list[int]], later: set[int], sizes: dict[int, int]
) -> tuple[Tensor, list[int]]:
    """Two operands as one: batches of matrix products."""
    a = _summed(a, later | set(b[1]))
    b = _summed(b, later | set(a[1]))
    (x, in_x), (y, in_y) = a, b
    both = [v for v in in_x if v in in_y]
    batch = [v for v in both if v in later]
    inner = [v for v in both if v not in later]
    rows = [v for v in in_x if v not in in_y]
    columns = [v for v in in_y if v not in in_x]

    def count(labels: list[int]) -> int:
        n = 1
        for v in labels:
            n *= sizes[v]
        return n

    m, k, n, batches = count(rows), count(inner), count(columns), count(batch)
    x = x.permute(*[in_x.index(v) for v in (*batch, *rows, *inner)])
    y = y.permute(*[in_y.index(v) for v in (*batch, *inner, *columns)])
    lead = (batches,) if batch else ()
    if inner:
        z = matmul(x.reshape((*lead, m, k)), y.reshape((*lead, k, n)))
    else:
        z = x.reshape((*lead, m, 1)) * y.reshape((*lead, 1, n))
    labels = [*batch, *rows, *columns]
    return z.reshape(tuple([sizes[v] for v in labels])), labels
