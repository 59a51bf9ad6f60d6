"""Samples of the products made of matmul, and of einsum."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from ..reference import products as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _of(*shapes: Any, layouts: tuple[str, ...] = (), tags: Any = (), **options: Any) -> Sample:
    # With beta = 0 the first input has no gradient; PyTorch's is 0.
    inputs = tuple(
        Arr(
            s,
            "normal",
            layouts[i] if i < len(layouts) else "c",
            grad=i > 0 or options.get("beta") != 0,
        )
        for i, s in enumerate(shapes)
    )
    return Sample(inputs, options, _tags(*tags))


def _record(
    a: Any, b: Any, c: Any, alpha: float = 1.0, beta: float = 1.0, layouts: Any = (), tags: Any = ()
) -> Sample:
    y = np.matmul(np.zeros(a), np.zeros(b)).shape
    layouts = (*layouts, "c", "c", "c")
    inputs = tuple(
        None if s is None else Arr(s, "normal", layout)
        for s, layout in zip((a, b, c), layouts[:3], strict=True)
    )
    options = {"out_shape": y, "alpha": alpha, "beta": beta, "c_shape": c}
    return Sample(inputs, options, _tags(*tags))


def _terms(*arrays: Any, **options: Any) -> int:
    return 8 + max(int(np.size(a)) for a in arrays)


def _absolute(function: Callable[..., Any]) -> Callable[..., Any]:
    def size(*arrays: Any, **options: Any) -> Any:
        options = {k: abs(v) if k in ("beta", "alpha") else v for k, v in options.items()}
        return function(*[np.abs(a) for a in arrays], **options) + 1e-3

    return size


def _info(
    name: str, function: Any, samples: list[Sample], errors: Any = (), **record: Any
) -> OpInfo:
    return OpInfo(
        name=name,
        covers=(),
        call=record.pop("call", by_path(name)),
        reference=function,
        samples=lambda: samples,
        errors=tuple(errors),
        terms=_terms,
        magnitude=record.pop("magnitude", _absolute(function)),
        **record,
    )


def _error(match: str, *shapes: Any, error: Any = RuntimeError, **options: Any) -> ErrorSample:
    return ErrorSample(tuple(Arr(s) for s in shapes), options, error, match)


def _einsum_call(equation: str) -> Callable[..., Any]:
    def call(lib: Any, *operands: Any, **options: Any) -> Any:
        return lib.einsum(options.get("equation", equation), *operands)

    return call


#: Equation, and the shapes of its operands.
EINSUMS: tuple[tuple[str, tuple[Any, ...]], ...] = (
    ("ij,jk->ik", ((2, 3), (3, 4))),
    ("ij,jk", ((2, 3), (3, 4))),
    ("ii", ((3, 3),)),
    ("iji->j", ((3, 2, 3),)),
    ("...ij,...jk->...ik", ((5, 2, 3), (3, 4))),
    ("bi,bj->bij", ((3, 2), (3, 4))),
    ("bij->bji", ((2, 3, 4),)),
    ("ij->", ((2, 3),)),
    ("i,j,k->kji", ((2,), (3,), (4,))),
    ("bn,anm,bm->ba", ((2, 3), (5, 3, 4), (2, 4))),
    ("i...->...", ((2, 3, 4),)),
    ("ba", ((2, 3),)),
    ("ij,jk->ik", ((0, 3), (3, 4))),
)


def _einsums() -> list[OpInfo]:
    found = []
    for i, (equation, shapes) in enumerate(EINSUMS):

        def function(*arrays: Any, equation: str = equation) -> Any:
            return reference.einsum(equation, *arrays)

        tags = ("empty",) if any(0 in s for s in shapes) else ()
        samples = [_of(*shapes, tags=tags)]
        if not tags and all(len(s) > 1 for s in shapes):
            samples.append(_of(*shapes, layouts=("f", "reversed"), tags=("negative",)))
        found.append(
            _info(f"einsum_{i}" if i else "einsum", function, samples, call=_einsum_call(equation))
        )
    errors = (
        ("ij,jk->il", ((2, 3), (3, 4)), "a subscript that no operand has"),
        ("ij->i", ((2, 3, 4),), "2 subscripts do not fit"),
        ("ij,jk", ((2, 3), (4, 5)), "a subscript has sizes 3 and 4"),
        ("ij,jk", ((2, 3),), "the equation has 2 operands; got 1"),
        ("i1", ((2, 3),), "subscripts are letters"),
    )
    for i, (equation, shapes, match) in enumerate(errors):
        info = found[i]
        found[i] = replace(info, errors=(_error(match, *shapes, equation=equation),))
    return found


def infos() -> list[OpInfo]:
    """The family's ops."""
    vector = [_of((2, 3), (3,)), _of((17, 37), (37,), layouts=("f", "reversed"))]
    added = [
        {"beta": 0.5, "alpha": 2.0},
        {"beta": 0.0},
        {},
    ]
    outer = reference.added
    return [
        _info("mv", np.matmul, vector, [_error("mv: vec must be 1-D", (2, 3), (3, 1))]),
        _info(
            "dot",
            np.dot,
            [_of((5,), (5,)), _of((0,), (0,), tags=("empty",)), _of((37,), (37,), tags=("odd",))],
            [
                _error("dot: input must be 1-D", (2, 3), (3,)),
                _error("both must have as many elements", (2,), (3,)),
            ],
        ),
        _info("vdot", np.dot, [_of((5,), (5,))], [_error("vdot: ", (2,), (3,))]),
        _info(
            "inner",
            np.inner,
            [_of((3,), (3,)), _of((2, 3), (4, 5, 3)), _of((), (3,)), _of((2, 3), ())],
            [_error("inner: the last dims must be equal", (2, 3), (4,))],
        ),
        _info(
            "outer",
            np.outer,
            [_of((2,), (3,)), _of((0,), (3,), tags=("empty",)), _of((1,), (1,), tags=("size1",))],
            [_error("outer: input must be 1-D", (2, 2), (3,))],
        ),
        _info("ger", np.outer, [_of((2,), (3,))]),
        _info(
            "addmm",
            reference.added,
            [
                *(_of((2, 4), (2, 3), (3, 4), **o) for o in added),
                _of((4,), (2, 3), (3, 4)),
                _of((), (2, 3), (3, 4), alpha=0.5),
                _of((2, 1), (2, 0), (0, 4), tags=("empty",)),
                _of((4,), (5, 3), (3, 4), layouts=("c", "f", "last2"), tags=("strided",)),
            ],
            [
                _error("input must broadcast to", (3, 4), (2, 3), (3, 4)),
                _error("addmm: mat2 must be 2-D", (2, 4), (2, 3), (3,)),
                _error("addmm: the last dim of a", (2, 4), (2, 3), (4, 4)),
            ],
        ),
        _info(
            "addmv",
            reference.added,
            [_of((2,), (2, 3), (3,), **o) for o in added] + [_of((1,), (2, 3), (3,))],
            [_error("addmv: vec must be 1-D", (2,), (2, 3), (3, 1))],
        ),
        _info(
            "addr",
            lambda x, a, b, **o: outer(x, a, b, product=np.outer, **o),
            [_of((2, 3), (2,), (3,), **o) for o in added],
            [_error("addr: vec1 must be 1-D", (2, 3), (2, 1), (3,))],
        ),
        _info(
            "baddbmm",
            reference.added,
            [_of((2, 3, 4), (2, 3, 5), (2, 5, 4), **o) for o in added]
            + [_of((4,), (2, 3, 5), (2, 5, 4))],
            [_error("baddbmm: batches must be equal", (3, 4), (2, 3, 5), (3, 5, 4))],
        ),
        _info(
            "addbmm",
            lambda x, a, b, **o: outer(x, a, b, product=lambda p, q: (p @ q).sum(0), **o),
            [_of((3, 4), (2, 3, 5), (2, 5, 4), **o) for o in added],
            [_error("addbmm: batches must be equal", (3, 4), (2, 3, 5), (3, 5, 4))],
        ),
        replace(
            _info(
                "matmul_add_record",
                reference.matmul_add,
                [
                    _record((2, 5), (5, 3), (2, 3)),
                    _record((2, 5), (5, 3), (3,), 0.5, -2.0),
                    _record((2, 5), (5, 3), (2, 1), -3.0, 0.5, layouts=("f", "last2")),
                    _record((4, 2, 5), (5, 3), (4, 1, 3), 2.0, 3.0),
                    _record((2, 1, 2, 5), (3, 5, 4), (3, 1, 4), 0.5, 0.25),
                    _record((2, 5), (5,), (2,), 0.5, 2.0),
                    _record((5,), (5, 3), (1,), 2.0, -1.0),
                    _record((2, 5), (5, 3), None, 3.0, 0.0),
                    _record((2, 0), (0, 3), (3,), 2.0, 3.0, tags=("empty",)),
                    _record((40, 33), (33, 35), (40, 35), 0.5, 2.0, layouts=("c", "f", "f")),
                ],
                call=by_record("matmul_add"),
                magnitude=lambda a, b, c, **o: (
                    reference.matmul_add(
                        np.abs(a),
                        np.abs(b),
                        None if c is None else np.abs(c),
                        **{k: abs(v) if k in ("alpha", "beta") else v for k, v in o.items()},
                    )
                    + 1e-3
                ),
            ),
            covers=("matmul_add",),
            torch=False,
        ),
        _info(
            "chain_matmul",
            reference.chain,
            [_of((2, 3)), _of((2, 3), (3, 4), (4, 1)), _of((5, 2), (2, 6), (6, 3), (3, 2))],
            [_error("chain_matmul: the last dim of a", (2, 3), (4, 3))],
        ),
        _info(
            "tensordot",
            reference.tensordot,
            [
                _of((2, 3, 4), (3, 4, 5)),
                _of((2, 3), (4, 5), dims=0),
                _of((2, 3, 4), (3, 2, 5), dims=([0, 1], [1, 0])),
                _of((2, 3), (2, 3), dims=2, layouts=("f", "reversed"), tags=("negative",)),
            ],
            [
                _error("contracted dims must be of equal size", (2, 3), (2, 3), dims=1),
                _error("dims must be as many of each", (2, 3), (3, 2), dims=([0], [0, 1])),
            ],
        ),
        _info(
            "kron",
            reference.kron,
            [
                _of((2, 3), (4, 5)),
                _of((2,), (4, 5)),
                _of((2, 3, 2), (4,)),
                _of((), (3,)),
                _of((0, 2), (2, 2), tags=("empty",)),
            ],
        ),
        _info(
            "cross",
            reference.cross,
            [
                _of((2, 3), (2, 3), dim=1),
                _of((3, 4), (3, 4), dim=0),
                _of((1, 3), (4, 3), dim=-1),
                _of((3,), (3,), dim=0, layouts=("reversed",), tags=("negative",)),
            ],
            [
                _error("dim 1 must have size 3", (2, 4), (2, 4), dim=1),
                _error("dim must be in", (2, 3), (2, 3), dim=2, error=IndexError),
            ],
            magnitude=lambda a, b, dim=-1: (
                np.ones(np.broadcast_shapes(a.shape, b.shape))
                * 2
                * np.max(np.abs(a))
                * np.max(np.abs(b))
            ),
        ),
        _info(
            "bilinear",
            reference.bilinear,
            [
                _of((2, 7, 3), (2, 7, 4), (5, 3, 4), (5,)),
                _of((7, 3), (7, 4), (5, 3, 4)),
                _of((3,), (4,), (5, 3, 4), (5,)),
                _of((0, 3), (0, 4), (5, 3, 4), (5,), tags=("empty",)),
            ],
            [
                _error("bilinear: weight must be", (7, 3), (6, 4), (5, 3, 4)),
                _error("bilinear: bias must have shape", (7, 3), (7, 4), (5, 3, 4), (4,)),
            ],
            call=by_path("nn.functional.bilinear"),
        ),
        *_einsums(),
    ]
