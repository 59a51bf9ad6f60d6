"""Samples of taking and putting by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import index as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample, given

__all__ = ["infos"]

_NOT = {
    "differentiable": False,
    "second": False,
    "second_reason": "indices",
    "keeps_dtype": False,
}


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _classes(shape: tuple[int, ...], n: int, *values: int, dtype: str = "int64") -> Arr:
    return Arr(shape, ("classes", n, *values), dtype=dtype)


#: (x, index, dim): an index of 0 to 2 dims along each dim.
_TAKEN = (
    ((5, 4), (3,), 0),
    ((5, 4), (2, 3), 0),
    ((3, 5, 4), (7,), 1),
    ((3, 5), (9,), 1),
    ((4, 3, 37), (5,), 0),
    ((6,), (), 0),
    ((3, 5, 2), (0,), 1),
    ((0, 5, 3), (2,), 1),
)


def _take_samples(backward: bool) -> list[Sample]:
    samples = []
    for x, index, dim in _TAKEN:
        y = (*x[:dim], *index, *x[dim + 1 :])
        for skip, layout in ((-1, "c"), (1, "reversed"), (-1, "f")):
            if layout == "f" and len(x) < 2:
                continue
            options = {
                "dim": dim,
                "skip": skip,
                ("x_shape" if backward else "out_shape"): (x if backward else y),
            }
            first = Arr(y if backward else x, "normal", layout)
            samples.append(Sample((first, _classes(index, x[dim])), options))
    return samples


def _put_samples() -> list[Sample]:
    """Each place once, or the finite differences of src would see what is overwritten."""

    def row(x: Any, places: Any, dim: int, one: bool = False, layout: str = "c") -> Sample:
        index = Arr((len(places),), ("values", *places), dtype="int64")
        src = Arr((1,) if one else (*x[:dim], len(places), *x[dim + 1 :]))
        return Sample((Arr(x, "normal", layout), src, index), {"dim": dim})

    return [
        row((5, 4), (3, 0, 4), 0),
        row((3, 5, 4), (4, 2), 1, layout="f"),
        row((3, 5), (4, 0, 1, 3, 2), 1, layout="reversed"),
        row((4, 3, 37), (2,), 0),
        row((4, 5), (1, 3), 1, one=True),
        row((6,), (5, 2), 0, one=True),
        Sample((Arr((4, 5)), Arr((0, 5)), _classes((0,), 4)), {"dim": 0}, _tags("empty")),
    ]


def _put_dim_samples() -> list[Sample]:
    """Each place once, as in _put_samples; the last shows that the last of equal ones stays."""

    def row(x: Any, indices: Any, dim: int, one: bool = False, layout: str = "c") -> Sample:
        n = x[dim]
        if indices[dim] <= 1:
            places = Arr(indices, ("classes", n), dtype="int64")
        elif dim == len(x) - 1:  # down each row
            places = Arr(indices, ("values", *range(n - 1, -1, -1)), dtype="int64")
        else:
            values = np.broadcast_to(
                np.arange(n).reshape([-1 if d == dim else 1 for d in range(len(x))]), x
            )
            places = given(values)
        return Sample(
            (Arr(x, "normal", layout), Arr((1,) if one else indices), places), {"dim": dim}
        )

    last = Sample(
        (Arr((3, 4)), Arr((3, 5), grad=False), given([[0, 1, 0, 3, 0]] * 3)),
        {"dim": 1},
        _tags("torch_differs"),
    )
    return [
        row((4, 5), (4, 5), 1),
        row((3, 5, 4), (3, 5, 4), 1, layout="f"),
        row((3, 5, 4), (3, 1, 4), 1, layout="reversed"),
        row((5, 37), (5, 37), 0),
        row((5, 3), (1, 3), 0, one=True),
        row((3, 40), (3, 40), 1, one=True),
        row((0, 5), (0, 5), 1).tagged("empty"),
        row((6,), (6,), 0),
        last,
    ]


def _dim_samples(backward: bool) -> list[Sample]:
    """Indices along dim 1 (or 0), for gather_dim and scatter_sum."""
    samples = []
    for x_shape, out_shape, dim in (
        ((3, 5, 4), (3, 4), 1),
        ((3, 5, 4), (3, 1, 4), 1),
        ((3, 5, 4), (3, 7, 4), 1),
        ((5, 7), (7,), 0),
        ((17, 5), (17,), 1),
        ((3, 5), (3, 40), 1),
        ((5,), (), 0),
        ((0, 5), (0,), 1),
        ((5, 37), (3, 37), 0),
    ):
        indices = _classes(out_shape, 5)
        if backward:
            options: dict[str, Any] = {"x_shape": x_shape, "dim": dim}
            first = [Arr(out_shape), Arr(out_shape, "normal", "reversed")]
        else:
            options = {"dim": dim, "out_shape": out_shape}
            first = [Arr(x_shape), Arr(x_shape, "normal", "f")]
        samples += [Sample((x, indices), options) for x in first]
    return samples


def _gather(lib: Any, x: Any, index: Any, dim: int) -> Any:
    return lib.gather(x, dim, index)


def _gather_samples() -> list[Sample]:
    def row(shape: Any, index: Any, dim: int, layout: str = "c", tags: Any = ()) -> Sample:
        n = shape[dim] if shape else 1
        return Sample(
            (Arr(shape, "normal", layout), _classes(index, n)), {"dim": dim}, _tags(*tags)
        )

    return [
        row((3, 5), (3, 2), 1),
        row((3, 5), (2, 5), 0),
        row((3, 5), (2, 4), -1),
        row((4, 3, 5), (4, 9, 5), 1, "f", ("strided",)),
        row((4, 3, 5), (2, 3, 4), 1, "reversed", ("negative",)),
        row((1, 7), (1, 7), 0, tags=("size1",)),
        row((17,), (23,), 0, tags=("odd",)),
        row((), (), 0, tags=("size1",)),
        row((3, 5), (0, 2), 1, tags=("empty",)),
    ]


def _scatter(lib: Any, x: Any, src: Any, index: Any, dim: int, **options: Any) -> Any:
    return lib.scatter(x, dim, index, src, **options)


def _scatter_reference(x: Any, src: Any, index: Any, dim: int, **options: Any) -> Any:
    return reference.scatter(x, dim, index, src, **options)


def _scatter_samples(add: bool) -> list[Sample]:
    def row(
        shape: Any, src: Any, index: Any, dim: int, layout: str = "c", tags: Any = ()
    ) -> Sample:
        n = shape[dim] if shape else 1
        if add:
            fill: Any = ("classes", n)
        else:  # each place once
            fill = ("values", *[j % n for j in range(n)])
        places = Arr(index, fill, dtype="int64")
        first = src if src is None or isinstance(src, float) else Arr(src)
        return Sample((Arr(shape, "normal", layout), first, places), {"dim": dim}, _tags(*tags))

    rows = [
        row((4, 5), (4, 5), (4, 5), 1),
        # torch has no gradient of a src larger than the index.
        row((5, 3), (6, 4), (2, 3) if add else (1, 3), 0, tags=("torch_differs",)),
        row((3, 5, 4), (3, 2, 4), (3, 2, 4), 1, "f", ("strided",))
        if add
        else row((3, 1, 4), (3, 2, 4), (3, 1, 4), 1, "f", ("strided", "torch_differs")),
        row((3, 5), (3, 5), (2, 5), 1, "reversed", ("negative", "torch_differs")),
        row((19,), (31,) if add else (19,), (31,) if add else (19,), 0, tags=("odd",)),
        row((), (), (), 0, tags=("size1",)),
        row((3, 5), (3, 5), (0, 5), 0, tags=("empty", "torch_differs")),
    ]
    if not add:
        rows.append(row((3, 5), 2.5, (3, 4), 1))
    return rows


def _along(name: str) -> Any:
    def call(lib: Any, x: Any, index: Any, source: Any, dim: int, **options: Any) -> Any:
        return getattr(lib, name)(x, dim, index, source, **options)

    return call


def _along_samples() -> list[Sample]:
    return [
        Sample((Arr((5, 4)), _classes((3,), 5, 2), Arr((3, 4))), {"dim": 0}),
        Sample((Arr((3, 5, 2)), _classes((4,), 5), Arr((3, 4, 2), "normal", "f")), {"dim": 1}),
        Sample((Arr((7,)), _classes((9,), 7), Arr((9,))), {"dim": -1}),
        Sample(
            (Arr((3, 5), "normal", "reversed"), _classes((0,), 5), Arr((3, 0))),
            {"dim": 1},
            _tags("empty"),
        ),
    ]


def _nonzero(lib: Any, x: Any) -> Any:
    return lib.nonzero(x)


def _nonzero_samples() -> list[Sample]:
    return [
        Sample((Arr((3, 5), "ties"),)),
        Sample((Arr((700,), "ties"),), tags=_tags("odd")),
        Sample((Arr((2, 3, 4), "ties", "f"),), tags=_tags("strided")),
        Sample((Arr((37,), ("specials", 0)),), tags=_tags("special")),
        Sample((Arr((40,), "zeros"),)),
        Sample((Arr((0, 3)),), tags=_tags("empty")),
        Sample((Arr((9, 2), "ties", dtype="bool"),)),
        Sample((Arr((5,), "ties", dtype="int32"),)),
    ]


def _triangle_samples() -> list[Sample]:
    return [
        *[Sample((Arr((4, 5)),), {"diagonal": d}) for d in (0, 1, -2, 7, -7)],
        Sample((Arr((2, 3, 3), "normal", "f"),), {}, _tags("strided")),
        Sample((Arr((5, 2), "normal", "reversed"),), {"diagonal": -1}, _tags("negative")),
        Sample((Arr((1, 1)),), {}, _tags("size1")),
        Sample((Arr((0, 3)),), {}, _tags("empty")),
        Sample((Arr((9, 35), ("specials", 2)),), {"diagonal": 3}, _tags("special")),
    ]


def _embedding_samples() -> list[Sample]:
    return [
        Sample((_classes((4,), 6), Arr((6, 3)))),
        Sample((_classes((2, 5), 6, 2, 2), Arr((6, 17)))),
        Sample((_classes((), 6), Arr((6, 3), "normal", "f"))),
        Sample((_classes((0,), 6), Arr((6, 3))), {}, _tags("empty")),
        Sample((_classes((3, 2), 6, dtype="int32"), Arr((6, 3)))),
    ]


def _embedding(lib: Any, index: Any, weight: Any, **options: Any) -> Any:
    return lib.nn.functional.embedding(index, weight, **options)


def _index_flat(lib: Any, indices: Any, sizes: Any, out_shape: Any) -> Any:
    from ...autograd.dispatch import apply
    from ...autograd.op import OPS

    return apply(OPS["index_flat"], tuple(indices), (sizes, out_shape))


def _records() -> list[OpInfo]:
    """The records themselves."""

    def rows(x: Any, index: Any, dim: int, **options: Any) -> int:
        return max(index.size, 1)

    return [
        OpInfo(
            name="take",
            covers=("take",),
            call=by_record("take"),
            reference=reference.take,
            samples=lambda: _take_samples(False),
            torch=False,
        ),
        OpInfo(
            name="index_sum",
            covers=("index_sum",),
            call=by_record("index_sum"),
            reference=reference.index_sum,
            samples=lambda: _take_samples(True),
            terms=rows,
            torch=False,
        ),
        OpInfo(
            name="put",
            covers=("put",),
            call=by_record("put"),
            reference=reference.put,
            samples=_put_samples,
            torch=False,
        ),
        OpInfo(
            name="put_dim",
            covers=("put_dim",),
            call=by_record("put_dim"),
            reference=reference.put_dim,
            samples=_put_dim_samples,
            torch=False,
        ),
        OpInfo(
            name="index_flat",
            covers=("index_flat",),
            call=_index_flat,
            reference=reference.index_flat,
            samples=lambda: [
                Sample(
                    ([_classes((5,), 5, 0, -1), _classes((5,), 4)],),
                    {"sizes": (5, 4), "out_shape": (5,)},
                ),
                Sample(
                    ([_classes((2, 1), 5, -5), _classes((3,), 4), _classes((2, 3), 7)],),
                    {"sizes": (5, 4, 7), "out_shape": (2, 3)},
                ),
                Sample(([_classes((0,), 5)],), {"sizes": (5,), "out_shape": (0,)}),
            ],
            errors=(
                ErrorSample(
                    ([_classes((2,), 1, 5)],),
                    {"sizes": (5,), "out_shape": (2,)},
                    IndexError,
                    r"index_flat: index out of range: must be in \[0, 5\); got 5",
                ),
            ),
            torch=False,
            **_NOT,
        ),
        OpInfo(
            name="flat_along",
            covers=("flat_along",),
            call=by_record("flat_along"),
            reference=reference.flat_along,
            samples=lambda: [
                Sample((_classes(i, x[d]),), {"x_shape": x, "dim": d})
                for x, i, d in (
                    ((3, 5), (3, 2), 1),
                    ((3, 5), (7, 4), 0),
                    ((2, 3, 4), (2, 6, 3), 1),
                    ((6,), (9,), 0),
                )
            ],
            torch=False,
            **_NOT,
        ),
        OpInfo(
            name="gather_dim",
            covers=("gather_dim",),
            call=by_record("gather_dim"),
            reference=reference.gather_dim,
            samples=lambda: _dim_samples(False),
            torch=False,
        ),
        OpInfo(
            name="scatter_sum",
            covers=("scatter_sum",),
            call=by_record("scatter_sum"),
            reference=reference.scatter_sum,
            samples=lambda: _dim_samples(True),
            terms=lambda src, indices, x_shape, dim: max(indices.size, 1),
            torch=False,
        ),
    ]


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((3, 4))
    bad = _classes((3, 2), 4, 4)
    good = _classes((3, 2), 3)

    def error(
        inputs: Any, dim: Any, kind: type[Exception], match: str, **options: Any
    ) -> ErrorSample:
        return ErrorSample(inputs, {"dim": dim, **options}, kind, match)

    gather_errors = (
        error((x, bad), 1, IndexError, r"index out of range: must be in \[0, 4\); got 4"),
        error((x, good), 2, IndexError, "gather: dim must be in"),
        error((x, _classes((3,), 2)), 1, RuntimeError, "as many dims as input"),
        error((x, _classes((4, 2), 2)), 1, RuntimeError, "must not be larger than input"),
        error((x, Arr((3, 2))), 1, TypeError, "gather: index must be of integers"),
    )
    scatter_errors = (
        error((x, Arr((3, 2)), bad), 1, IndexError, "index out of range"),
        error((x, Arr((3, 1)), good), 1, RuntimeError, "must not be larger than src"),
        error((x, Arr((4, 4)), _classes((4, 2), 2)), 1, RuntimeError, "larger than input"),
        error((x, Arr((3, 2), dtype="int32"), good), 1, RuntimeError, "must have input's dtype"),
    )
    select_errors = (
        ErrorSample((x, 0, good), {}, IndexError, "index must have at most 1 dim"),
        ErrorSample((x, 0, _classes((2,), 3, 3)), {}, IndexError, "index out of range"),
        ErrorSample((x, 2, _classes((2,), 3)), {}, IndexError, "dim must be in"),
        ErrorSample((x, 0, Arr((2,))), {}, TypeError, "index must be of integers"),
    )
    return [
        *_records(),
        OpInfo(
            name="gather",
            covers=("gather_dim",),
            call=_gather,
            reference=lambda x, index, dim: reference.gather(x, dim, index),
            samples=_gather_samples,
            errors=gather_errors,
            torch_gradient="",
        ),
        OpInfo(
            name="take_along_dim",
            covers=("gather_dim",),
            call=by_path("take_along_dim"),
            reference=lambda x, i, dim=None: np.take_along_axis(x, i, dim),
            samples=lambda: [
                Sample((Arr((3, 5)), _classes((3, 2), 5)), {"dim": 1}),
                Sample((Arr((3, 1)), _classes((1, 4), 3)), {"dim": 0}),
                Sample((Arr((3, 5)), _classes((6,), 15))),
            ],
        ),
        OpInfo(
            name="scatter",
            covers=("put", "put_dim", "flat_along"),
            call=_scatter,
            reference=_scatter_reference,
            samples=lambda: _scatter_samples(False),
            errors=scatter_errors,
        ),
        OpInfo(
            name="scatter_add",
            covers=("scatter_sum", "index_sum"),
            call=lambda lib, x, src, index, dim: lib.scatter_add(x, dim, index, src),
            reference=lambda x, src, index, dim: reference.scatter(x, dim, index, src, "add"),
            samples=lambda: _scatter_samples(True),
            errors=scatter_errors,
            terms=lambda x, src, index, dim: max(index.size, 1),
            magnitude=lambda x, src, index, dim: reference.scatter(
                np.abs(x), dim, index, np.abs(src), "add"
            ),
        ),
        OpInfo(
            name="index_select",
            covers=("take",),
            call=by_path("index_select"),
            reference=lambda x, dim, index: np.take(
                x, index.reshape(-1) if x.ndim else 0, axis=dim if x.ndim else None
            ),
            samples=lambda: [
                Sample((Arr((5, 4)), 0, _classes((3,), 5))),
                Sample((Arr((3, 5, 2), "normal", "f"), 1, _classes((7,), 5)), {}, _tags("strided")),
                Sample((Arr((3, 5)), -1, _classes((), 5))),
                Sample(
                    (Arr((3, 5), "normal", "expanded"), 0, _classes((4,), 3)), {}, _tags("expanded")
                ),
            ],
            errors=select_errors,
        ),
        OpInfo(
            name="index_add",
            covers=("index_sum",),
            call=_along("index_add"),
            reference=lambda x, i, s, dim, alpha=1: reference.index_add(x, dim, i, s, alpha),
            samples=lambda: [
                *_along_samples(),
                Sample((Arr((5, 4)), _classes((3,), 5), Arr((3, 4))), {"dim": 0, "alpha": -2.5}),
            ],
            terms=lambda x, index, source, dim, alpha=1: max(index.size, 1) + 2,
            magnitude=lambda x, i, s, dim, alpha=1: reference.index_add(
                abs(x), dim, i, abs(s), abs(alpha)
            ),
        ),
        OpInfo(
            name="index_fill",
            covers=("put",),
            call=_along("index_fill"),
            reference=lambda x, i, v, dim: reference.put(x, np.array([v]), i, dim),
            samples=lambda: [
                Sample((Arr((5, 4)), _classes((3,), 5), 2.0), {"dim": 0}),
                Sample((Arr((3, 5), "normal", "f"), _classes((2,), 5), -1.0), {"dim": 1}),
            ],
        ),
        OpInfo(
            name="index_copy",
            covers=("put",),
            call=_along("index_copy"),
            reference=lambda x, i, s, dim: reference.put(x, s, i, dim),
            samples=lambda: [
                Sample(
                    (Arr((5, 4)), Arr((3,), ("values", 4, 0, 2), dtype="int64"), Arr((3, 4))),
                    {"dim": 0},
                ),
            ],
        ),
        OpInfo(
            name="masked_select",
            covers=("take", "nonzero", "nonzero_count"),
            call=by_path("masked_select"),
            reference=reference.masked_select,
            samples=lambda: [
                Sample((Arr((3, 5)), Arr((3, 5), "ties", dtype="bool"))),
                Sample((Arr((3, 5), "normal", "f"), Arr((5,), "ties", dtype="bool"))),
                Sample((Arr((1, 5)), Arr((4, 1), "ties", dtype="bool"))),
                Sample((Arr((40,)), Arr((40,), "zeros", dtype="bool"))),
            ],
            errors=(
                ErrorSample((x, Arr((3, 4))), {}, TypeError, "mask must be of bools"),
                ErrorSample(
                    (x, Arr((3,), "ties", dtype="bool")), {}, RuntimeError, "match or broadcast"
                ),
            ),
        ),
        OpInfo(
            name="nonzero",
            covers=("nonzero", "nonzero_count"),
            call=_nonzero,
            reference=reference.nonzero,
            samples=_nonzero_samples,
            **_NOT,
        ),
        OpInfo(
            name="tril",
            covers=("triangle",),
            call=by_path("tril"),
            reference=reference.triangle,
            samples=_triangle_samples,
            errors=(ErrorSample((Arr((3,)),), {}, RuntimeError, "tril: at least 2 dims"),),
        ),
        OpInfo(
            name="triu",
            covers=("triangle",),
            call=by_path("triu"),
            reference=lambda x, diagonal=0: reference.triangle(x, diagonal, True),
            samples=_triangle_samples,
        ),
        OpInfo(
            name="one_hot",
            covers=("put",),
            call=by_path("nn.functional.one_hot"),
            reference=reference.one_hot,
            samples=lambda: [
                Sample((_classes((5,), 4),), {"num_classes": 4}),
                Sample((_classes((2, 3), 4, 3),)),
                Sample((_classes((), 4),), {"num_classes": 6}),
            ],
            errors=(
                ErrorSample(
                    (_classes((3,), 4, 4),), {"num_classes": 4}, IndexError, "index out of range"
                ),
                ErrorSample((Arr((3,)),), {}, TypeError, "must be of integers"),
            ),
            **_NOT,
        ),
        OpInfo(
            name="embedding_options",
            covers=("embedding",),
            call=_embedding,
            reference=reference.embedding,
            samples=lambda: [
                Sample((_classes((2, 5), 6, 2, 2), Arr((6, 17))), {"padding_idx": 2}),
                Sample(
                    (_classes((7,), 3), Arr((3, 4), "normal", "f")), {"scale_grad_by_freq": True}
                ),
                Sample((_classes((), 6), Arr((6, 3))), {"padding_idx": -1}),
            ],
            differentiable=False,
            second=False,
            second_reason="padding_idx changes the gradient alone; test_index compares with torch",
        ),
        OpInfo(
            name="embedding",
            covers=("embedding",),
            call=_embedding,
            reference=reference.embedding,
            samples=_embedding_samples,
            errors=(
                ErrorSample(
                    (_classes((2,), 3, 3), Arr((3, 2))), {}, IndexError, "index out of range"
                ),
                ErrorSample((_classes((2,), 3), Arr((3,))), {}, RuntimeError, "must have 2 dims"),
                ErrorSample(
                    (_classes((2,), 3), Arr((3, 2))),
                    {"padding_idx": 3},
                    ValueError,
                    "padding_idx must be in",
                ),
                ErrorSample((Arr((2,)), Arr((3, 2))), {}, TypeError, "must be of integers"),
            ),
        ),
    ]
