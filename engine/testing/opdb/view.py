"""Samples of views and copies."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import view as reference
from .calls import by_path, by_record
from .elementwise import LAYOUTS
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tag(layout: str) -> frozenset[str]:
    if layout == "c":
        return frozenset()
    name = {"reversed": "negative"}.get(layout, "expanded" if "exp" in layout else "strided")
    return frozenset({name})


def _everywhere(
    shape: tuple[int, ...], *options: dict[str, Any], layouts: Any = ("c", *LAYOUTS)
) -> list[Sample]:
    """Each option on each layout."""
    return [
        Sample((Arr(shape, "normal", layout),), o, _tag(layout))
        for o in options
        for layout in layouts
    ]


def _index(lib: Any, x: Any, key: Any) -> Any:
    return x[key]


_KEYS: tuple[Any, ...] = (
    0,
    -1,
    slice(None),
    slice(1, 3),
    slice(None, None, 2),
    slice(-2, None),
    slice(3, 1),
    (slice(None), 1),
    (slice(None), slice(1, 4, 2)),
    (slice(1, 3), -1, slice(0, 0)),
    (Ellipsis, 0),
    (0, Ellipsis, slice(1, None, 3)),
    None,
    (slice(None), None, 2),
    (1, 2, 3),
    Ellipsis,
)


def _index_errors() -> tuple[ErrorSample, ...]:
    x = Arr((3, 4))

    def row(key: Any, error: type[Exception], match: str, torch: bool = True) -> ErrorSample:
        return ErrorSample((x,), {"key": key}, error, match, torch)

    return (
        row(3, IndexError, r"index: index 3 is out of range for dim of size 3"),
        row(-4, IndexError, r"index -4 is out of range"),
        row((0, 4), IndexError, r"index 4 is out of range for dim of size 4"),
        row((0, 0, 0), IndexError, r"too many indices for shape \(3, 4\)"),
        row((Ellipsis, Ellipsis), IndexError, "only one ellipsis", torch=False),
        row(slice(None, None, -1), ValueError, "step must be positive"),
        row(slice(None, None, 0), ValueError, "zero"),
        row(1.5, IndexError, "only ints, slices"),
        row("a", IndexError, "only ints, slices"),
    )


def _cat(lib: Any, xs: Any, **options: Any) -> Any:
    return lib.cat(xs, **options)


def _cat_samples() -> list[Sample]:
    def group(*shapes: Any, dim: int = 0, layout: str = "c", tags: Any = frozenset()) -> Sample:
        return Sample((tuple(Arr(s, "normal", layout) for s in shapes),), {"dim": dim}, tags)

    samples = [
        group((3,), (4,)),
        group((3,)),
        group((2, 3), (1, 3), (5, 3)),
        group((2, 3), (2, 1), (2, 4), dim=1),
        group((2, 3), (2, 1), dim=-1),
        group((2, 3, 4), (2, 2, 4), dim=1),
        group((1, 1), (1, 1), tags=frozenset({"size1"})),
        group((0, 3), (2, 3), tags=frozenset({"empty"})),
        group((0, 3), (0, 3), tags=frozenset({"empty"})),
        group((2, 0), (2, 0), dim=1, tags=frozenset({"empty"})),
        group((0,), (2, 3), (0,), (1, 3), tags=frozenset({"empty"})),  # shape (0,) fits anywhere
        group((61, 513), (67, 513), tags=frozenset({"large"})),
        group((61, 513), (61, 100), dim=1, tags=frozenset({"large"})),
    ]
    for layout in LAYOUTS:
        samples.append(group((3, 5), (4, 5), layout=layout, tags=_tag(layout)))
        samples.append(group((3, 5), (3, 17), dim=1, layout=layout, tags=_tag(layout)))
    mixed = (Arr((3, 5), "normal", "f"), Arr((3, 5)), Arr((3, 5), "normal", "reversed"))
    return [*samples, Sample((mixed,), {"dim": 1}, frozenset({"strided"}))]


def _cast(lib: Any, x: Any, dtype: str) -> Any:
    return x.to(getattr(lib, dtype))


def _reshape_samples() -> list[Sample]:
    samples = _everywhere(
        (4, 6), {"shape": (24,)}, {"shape": (2, 2, 3, 2)}, {"shape": (6, 4)}, {"shape": (-1, 3)}
    )
    return samples + [
        Sample((Arr(()),), {"shape": (1, 1)}, frozenset({"size1"})),
        Sample((Arr((1, 1)),), {"shape": ()}, frozenset({"size1"})),
        Sample((Arr((0, 3)),), {"shape": (3, 0, 2)}, frozenset({"empty"})),
        Sample((Arr((0, 3)),), {"shape": (-1, 3)}, frozenset({"empty"})),
        *_everywhere((2, 3, 4), {"shape": (6, 4)}, {"shape": (2, 12)}, {"shape": (2, 1, 3, 4)}),
    ]


def _slice_bwd_samples() -> list[Sample]:
    rows = (
        ((7,), (3,), (1,), (2,)),
        ((5, 6), (2, 3), (1, 0), (2, 2)),
        ((5, 6), (5, 6), (0, 0), (1, 1)),
        ((5, 6), (0, 3), (0, 1), (1, 1)),
        ((2, 3, 4), (1, 3, 2), (1, 0, 1), (1, 1, 2)),
        ((3, 37), (2, 18), (1, 1), (1, 2)),
    )
    return [
        Sample(
            (Arr(y, "normal", layout),),
            {"x_shape": x, "start": start, "step": step},
            _tag(layout),
        )
        for x, y, start, step in rows
        for layout in ("c", "f", "reversed")
    ]


def infos() -> list[OpInfo]:
    """The family's ops."""
    shape_error = (
        ErrorSample((Arr((2, 3)),), {"shape": (4,)}, RuntimeError, r"reshape: shape \(4,\) has 4"),
        ErrorSample((Arr((2, 3)),), {"shape": (-1, 4)}, RuntimeError, "do not divide into"),
        ErrorSample((Arr((2, 3)),), {"shape": (-1, -1)}, RuntimeError, "at most one -1"),
        ErrorSample((Arr((2, 3)),), {"shape": (-2, 3)}, RuntimeError, "sizes must be >= 0"),
        ErrorSample((Arr((0, 3)),), {"shape": (-1, 0)}, RuntimeError, "do not divide"),
        ErrorSample((Arr((2, 3)),), {"shape": (2.0, 3)}, TypeError, "shape must be an int"),
    )
    permute_error = (
        ErrorSample((Arr((2, 3)),), {"dims": (0, 0)}, RuntimeError, "permute: dims must be each"),
        ErrorSample((Arr((2, 3)),), {"dims": (0,)}, RuntimeError, "permute: dims must be each of"),
        ErrorSample((Arr((2, 3)),), {"dims": (0, 2)}, IndexError, "permute: dim must be in"),
        ErrorSample((Arr((2, 3)),), {"dims": (0, -3)}, IndexError, "permute: dim must be in"),
    )
    expand_error = (
        ErrorSample((Arr((2, 3)),), {"shape": (2, 4)}, RuntimeError, "expand: only dims of size 1"),
        ErrorSample((Arr((2, 3)),), {"shape": (3,)}, RuntimeError, "expand: only dims of size 1"),
        ErrorSample((Arr((1,)),), {"shape": (-1, 2)}, RuntimeError, "expand: only dims of size 1"),
        ErrorSample((Arr((1,)),), {"shape": (-2,)}, RuntimeError, "expand: only dims of size 1"),
    )
    x = Arr((2, 3))
    cat_error = (
        ErrorSample(((),), {"dim": 0}, TypeError, "cat: tensors must be a sequence", torch=False),
        ErrorSample(((x, Arr((2, 4))),), {"dim": 0}, RuntimeError, "cat: shapes must match but"),
        ErrorSample(((x, Arr((3,))),), {"dim": 0}, RuntimeError, "cat: shapes must match but"),
        ErrorSample(((x, x),), {"dim": 2}, IndexError, "cat: dim must be in"),
        ErrorSample(((x, x),), {"dim": -3}, IndexError, "cat: dim must be in"),
        ErrorSample(((Arr(()), Arr(())),), {"dim": 0}, RuntimeError, "at least one dimension"),
        ErrorSample(((x, 3.0),), {"dim": 0}, TypeError, "cat: tensors must be a sequence"),
    )

    def simple(
        name: str,
        covers: str,
        call: Any,
        ref: Any,
        samples: list[Sample],
        errors: tuple[ErrorSample, ...] = (),
        **more: Any,
    ) -> OpInfo:
        def listed() -> list[Sample]:
            return samples

        return OpInfo(
            name=name,
            covers=(covers,),
            call=call,
            reference=ref,
            samples=listed,
            errors=errors,
            **more,
        )

    one = {"shape": (3, 5)}
    return [
        simple(
            "reshape",
            "reshape",
            lambda lib, x, shape: lib.reshape(x, shape),
            lambda x, shape: x.reshape(shape),
            _reshape_samples(),
            shape_error,
        ),
        simple(
            "view",
            "reshape",
            lambda lib, x, shape: x.view(*shape),
            lambda x, shape: x.reshape(shape),
            _everywhere((4, 6), {"shape": (2, 2, 6)}, {"shape": (4, 3, 2)}, layouts=("c", "f")),
            (
                ErrorSample(
                    (Arr((4, 6), "normal", "f"),),
                    {"shape": (24,)},
                    RuntimeError,
                    r"view: shape \(24,\) cannot show memory",
                ),
            ),
        ),
        simple(
            "flatten",
            "reshape",
            by_path("flatten"),
            lambda x, start_dim=0, end_dim=-1: x.reshape(
                *x.shape[: start_dim % x.ndim],
                int(np.prod(x.shape[start_dim % x.ndim : end_dim % x.ndim + 1])),
                *x.shape[end_dim % x.ndim + 1 :],
            ),
            _everywhere((2, 3, 4), {}, {"start_dim": 1}, {"start_dim": 0, "end_dim": 1}),
            (
                ErrorSample((x,), {"start_dim": 2}, IndexError, "flatten: dim must be in"),
                ErrorSample(
                    (x,), {"start_dim": 1, "end_dim": 0}, RuntimeError, "start_dim must not be"
                ),
            ),
        ),
        simple(
            "squeeze",
            "reshape",
            by_path("squeeze"),
            lambda x, dim=None: (
                np.squeeze(x) if dim is None else (np.squeeze(x, dim) if x.shape[dim] == 1 else x)
            ),
            _everywhere((3, 1, 5, 1), {}, {"dim": 1}, {"dim": -1}, {"dim": 0}),
            (ErrorSample((x,), {"dim": 2}, IndexError, "squeeze: dim must be in"),),
        ),
        simple(
            "unsqueeze",
            "reshape",
            by_path("unsqueeze"),
            lambda x, dim: np.expand_dims(x, dim),
            _everywhere((3, 5), {"dim": 0}, {"dim": 2}, {"dim": -1}, {"dim": -3}),
            (
                ErrorSample((x,), {"dim": 3}, IndexError, "unsqueeze: dim must be in"),
                ErrorSample((x,), {"dim": -4}, IndexError, "unsqueeze: dim must be in"),
            ),
        ),
        simple(
            "permute",
            "permute",
            lambda lib, x, dims: lib.permute(x, dims),
            lambda x, dims: np.transpose(x, dims),
            [
                *_everywhere((2, 3, 5), {"dims": (2, 0, 1)}, {"dims": (0, 2, 1)}),
                *_everywhere((2, 3, 5), {"dims": (-1, 0, 1)}, layouts=("c",)),
                Sample((Arr((0, 3)),), {"dims": (1, 0)}, frozenset({"empty"})),
                Sample((Arr(()),), {"dims": ()}, frozenset({"size1"})),
            ],
            permute_error,
        ),
        simple(
            "transpose",
            "permute",
            by_path("transpose"),
            lambda x, dim0, dim1: np.swapaxes(x, dim0, dim1),
            _everywhere((2, 3, 5), {"dim0": 0, "dim1": 2}, {"dim0": -1, "dim1": -2}),
            (ErrorSample((x,), {"dim0": 0, "dim1": 2}, IndexError, "transpose: dim must be in"),),
        ),
        simple(
            "movedim",
            "permute",
            lambda lib, x, source, destination: lib.movedim(x, source, destination),
            lambda x, source, destination: np.moveaxis(x, source, destination),
            _everywhere(
                (2, 3, 5),
                {"source": 0, "destination": 2},
                {"source": (0, 2), "destination": (1, 0)},
                layouts=("c", "f"),
            ),
            (
                ErrorSample(
                    (x,), {"source": (0, 0), "destination": (0, 1)}, RuntimeError, "movedim: "
                ),
            ),
        ),
        simple(
            "expand",
            "expand",
            lambda lib, x, shape: x.expand(*shape),
            reference.expand,
            [
                *_everywhere((3, 1), {"shape": (3, 4)}, {"shape": (2, 3, 4)}, layouts=("c", "f")),
                Sample((Arr((1, 3)),), {"shape": (2, -1)}),
                Sample((Arr((1,)),), {"shape": (0,)}, frozenset({"empty"})),
                Sample((Arr(()),), {"shape": (2, 2)}, frozenset({"size1"})),
                Sample((Arr((1, 1)),), {"shape": (37, 5)}),
            ],
            expand_error,
        ),
        simple(
            "index",
            "slice",
            _index,
            lambda x, key: x[key],
            [
                Sample((Arr((4, 5, 6), "normal", layout),), {"key": key}, _tag(layout))
                for key in _KEYS
                for layout in ("c", "f", "strided", "reversed", "expanded")
            ]
            + [
                Sample((Arr(()),), {"key": key}, frozenset({"size1"}))
                for key in ((), Ellipsis, None, (None, Ellipsis, None))
            ],
            _index_errors(),
        ),
        simple(
            "slice_bwd",
            "slice_bwd",
            by_record("slice_bwd"),
            reference.slice_bwd,
            _slice_bwd_samples(),
            torch=False,
        ),
        simple("cat", "cat", _cat, reference.cat, _cat_samples(), cat_error),
        simple(
            "clone",
            "convert",
            by_path("clone"),
            lambda x: x,
            [
                *_everywhere((3, 5), {}),
                *_everywhere((4, 3, 37), {}),
                Sample((Arr(()),), {}, frozenset({"size1"})),
                Sample((Arr((0, 2)),), {}, frozenset({"empty"})),
                Sample((Arr((79,), ("specials", 0)),), {}, frozenset({"special"})),
                Sample((Arr((257, 513), "normal", "f"),), {}, frozenset({"large"})),
            ],
        ),
        simple(
            "contiguous",
            "copy",
            lambda lib, x: x.contiguous(),
            lambda x: x,
            _everywhere((3, 5), {}),
        ),
        simple(
            "cast",
            "convert",
            _cast,
            reference.cast,
            [
                Sample((Arr((5, 7), "integers", layout),), {"dtype": dtype}, _tag(layout))
                for dtype in ("float32", "float64", "int32", "int64", "bool")
                for layout in ("c", "f", "strided", "reversed")
            ]
            + [
                Sample((Arr((37,), ("classes", 100), dtype=a),), {"dtype": b})
                for a in ("int32", "int64", "bool", "float32", "float64")
                for b in ("float32", "float64", "int32", "int64", "bool")
            ],
            (ErrorSample((x,), {"dtype": "nonsense"}, AttributeError, "nonsense"),),
            keeps_dtype=False,
            differentiable=False,
            second=False,
            second_reason="to float32 finite differences see nothing; test_gradients has its own",
        ),
        simple(
            "transfer",
            "transfer",
            lambda lib, x: _to_cpu(x),
            lambda x: x,
            _everywhere((3, 5), {}, layouts=("c", "f", "reversed")),
            torch=False,
        ),
        simple(
            "strides_kept",
            "reshape",
            lambda lib, x: x.T.reshape(5, 3).t(),
            lambda x: x.T.reshape(5, 3).T,
            _everywhere(one["shape"], {}),
        ),
    ]


def _to_cpu(x: Any) -> Any:
    from ...autograd.dispatch import apply
    from ...autograd.op import OPS

    return apply(OPS["transfer"], (x,), ("cpu",))
