"""Samples of the dropout family: each call starts the generator anew, so that it is a function."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from ..reference import dropout as reference
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _call(name: str) -> Callable[..., Any]:
    def call(lib: Any, x: Any, *, seed: int = 0, **options: Any) -> Any:
        lib.manual_seed(seed)
        return getattr(lib.nn.functional, name)(x, **options)

    return call


def _samples(shapes: tuple[tuple[int, ...], ...]) -> list[Sample]:
    found = []
    for p in (0.0, 0.3, 1.0):
        for shape in shapes:
            tags = frozenset({"empty"} if 0 in shape else ())
            found.append(Sample((Arr(shape),), {"p": p, "training": True, "seed": 11}, tags))
    last = shapes[-1]
    found.append(Sample((Arr(last),), {"p": 0.5, "training": False}))
    for layout, tag in (("f", "strided"), ("reversed", "negative"), ("expanded", "expanded")):
        options = {"p": 0.5, "training": True, "seed": 2**63}
        found.append(Sample((Arr(last, "normal", layout),), options, frozenset({tag})))
    return found


def _with_lowest(x: Any, **options: Any) -> Any:
    return abs(x) + 4.0


def _few(*arrays: Any, **options: Any) -> int:
    return 4


def _info(name: str, function: Any, shapes: Any, wrong: tuple[ErrorSample, ...]) -> OpInfo:
    outside = ErrorSample((Arr(shapes[-1]),), {"p": 1.5}, ValueError, rf"{name}: p must be in")
    return OpInfo(
        name=name,
        covers=("dropout", "mul"),
        call=_call(name),
        reference=function,
        samples=partial(_samples, shapes),
        errors=(outside, *wrong),
        ulp=4.0,
        torch=False,
        # The lowest value of SELU is added and taken away again.
        magnitude=_with_lowest if name == "alpha_dropout" else None,
        terms=_few if name == "alpha_dropout" else None,
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    found = []
    for n, shapes in (
        (1, ((0, 3, 4), (3, 5), (2, 7, 5))),
        (2, ((2, 3, 4), (2, 0, 4, 4), (3, 5, 2, 3))),
        (3, ((3, 2, 2, 2), (2, 3, 1, 2, 3))),
    ):
        flat = ErrorSample((Arr((3,)),), {}, RuntimeError, rf"dropout{n}d: input must have")
        found.append(
            _info(f"dropout{n}d", partial(reference.channels, n), shapes, (flat,)),
        )
    elementwise = ((0,), (), (1,), (37,), (3, 5))
    found.append(_info("alpha_dropout", reference.alpha_dropout, elementwise, ()))
    scalar = ErrorSample((Arr(()),), {"p": 0.5}, RuntimeError, "drop_path: input must be")
    found.append(_info("drop_path", reference.drop_path, ((0, 2), (7,), (5, 2, 3)), (scalar,)))
    return found
