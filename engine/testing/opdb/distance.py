"""Samples of the distances."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import distance as reference
from .calls import by_path, by_record
from .record import Arr, ErrorSample, OpInfo, Sample, given

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


def _cosine_samples() -> list[Sample]:
    def pair(a: Any, b: Any, *tags: str, la: str = "c", fill: Any = "normal", **o: Any) -> Sample:
        return Sample((Arr(a, fill, la), Arr(b)), o, _tags(*tags))

    return [
        pair((4, 5), (4, 5)),
        pair((4, 5), (4, 5), dim=0),
        pair((4, 5), (1, 5), dim=-1),
        pair((5,), (5,), dim=0),
        pair((2, 3, 4), (2, 3, 4)),
        pair((1, 1), (1, 1), "size1"),
        pair((0, 3), (0, 3), "empty"),
        pair((7, 37), (7, 37), "odd"),
        pair((4, 6), (4, 6), "strided", la="strided"),
        pair((4, 6), (4, 6), "negative", la="reversed"),
        pair((4, 6), (4, 6), "expanded", la="expanded"),
        Sample((Arr((3, 4), ("values", 3e-5)), Arr((3, 4))), {"eps": 0.5}, _tags("special")),
    ]


def _pair_samples(p: tuple[float, ...]) -> list[Sample]:
    samples = [Sample((Arr((4, 5)), Arr((4, 5))), {"p": value}) for value in p]
    return [
        *samples,
        Sample((Arr((4, 5)), Arr((5,))), {"keepdim": True}),
        Sample((Arr((5,)), Arr((5,)))),
        Sample((Arr((2, 3, 4)), Arr((3, 4))), {"p": 1.0, "eps": 0.1}),
        Sample((Arr((0, 4)), Arr((0, 4))), {}, _tags("empty")),
        Sample((Arr((3, 37), "normal", "f"), Arr((3, 37))), {}, _tags("odd", "strided")),
    ]


_PS = (1.0, 2.0, 3.0, 1.5, float("inf"))


def _cdist_samples() -> list[Sample]:
    samples = [Sample((Arr((4, 3)), Arr((5, 3))), {"p": p}) for p in _PS]
    return [
        *samples,
        Sample((Arr((3, 70)), Arr((41, 70))), {"p": 1.0}, _tags("odd")),
        Sample((Arr((2, 20, 3)), Arr((2, 5, 3), "normal", "f"))),
        Sample((Arr((4, 3), "ties"), Arr((5, 3), "ties")), {"p": 0.0}, _tags("special")),
        Sample((Arr((2, 30, 3)), Arr((1, 4, 3)))),
        Sample((Arr((27, 3), "normal", "f"), Arr((2, 3), "normal", "reversed"))),
        Sample((Arr((4, 3)), Arr((5, 3))), {"compute_mode": "use_mm_for_euclid_dist"}),
        Sample((Arr((30, 3)), Arr((5, 3))), {"compute_mode": "donot_use_mm_for_euclid_dist"}),
        Sample((Arr((0, 3)), Arr((5, 3))), {}, _tags("empty")),
        Sample((Arr((2, 4, 3)), Arr((5, 3))), {"p": 1.0}),
    ]


def _bwd_samples() -> list[Sample]:
    """Lengths of their own, so that the gradient to them is seen too."""

    def sample(a: Any, b: Any, p: float, layout: str = "c") -> Sample:
        y = (*a[:-1], b[-2])
        arrays = (Arr(y), Arr(y, "positive", layout), Arr(a), Arr(b, "normal", layout))
        return Sample(arrays, {"p": p})

    row = given([[1.5, 0.25]])
    return [
        *(sample((4, 3), (5, 3), p) for p in (1.0, 2.0, 3.0, 1.5, 0.5)),
        sample((2, 3, 37), (2, 4, 37), 2.0),
        sample((3, 5), (70, 5), 1.0, "f"),
        sample((3, 2), (0, 2), 2.0).tagged("empty"),
        sample((3, 2), (4, 2), 0.0),
        # |a - b| is y once in each dimension.
        Sample(
            (Arr((1, 1)), given([[1.0]]), given([[0.5, 0.75]]), given([[1.5, 1.0]])),
            {"p": float("inf")},
            _tags("special"),
        ),
        Sample((Arr((1, 1)), given([[0.0]]), row, row), {"p": 2.0}, _tags("special")),
    ]


def _norm_samples() -> list[Sample]:
    def sample(shape: Any, p: float, dims: Any, out: Any, fill: Any = "normal") -> Sample:
        return Sample((Arr(shape, fill),), {"p": p, "dims": dims, "out_shape": out})

    samples = [
        sample((3, 4), p, dims, out)
        for p in (1.0, 2.0, 3.0, 0.5)
        for dims, out in (((1,), (3,)), ((0,), (1, 4)), ((0, 1), ()))
    ]
    zeros = Sample((Arr((3, 4), "zeros"),), {"p": 2.0, "dims": (1,), "out_shape": (3,)})
    return [*samples, zeros.tagged("special")]


def _euclidean_size(a: Any, b: Any, out_shape: Any) -> Any:
    """The rounding of the squares, through the root of the smallest distance."""
    y = reference.cdist(a, b)
    scale = np.max(np.abs(a), initial=1) + np.max(np.abs(b), initial=1)
    return y + 4 * a.shape[-1] * scale**2 / np.maximum(y, 1e-3)


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((3, 4))
    return [
        OpInfo(
            name="cosine_similarity",
            covers=("vector_norm",),
            call=by_path("nn.functional.cosine_similarity"),
            reference=reference.cosine_similarity,
            samples=_cosine_samples,
            errors=(
                ErrorSample((x, Arr((5,))), {}, RuntimeError, "must match or broadcast"),
                ErrorSample((x, x), {"dim": 2}, IndexError, "cosine_similarity: dim must be in"),
                ErrorSample((x, 1.0), {}, TypeError, "cosine_similarity: x2 must be a tensor"),
            ),
            terms=lambda a, b, **o: int(np.max(a.shape)) + 8,
            magnitude=lambda a, b, **o: np.abs(reference.cosine_similarity(a, b, **o)) + 1.0,
        ),
        OpInfo(
            name="pairwise_distance",
            covers=("vector_norm",),
            call=by_path("nn.functional.pairwise_distance"),
            reference=reference.pairwise_distance,
            samples=lambda: _pair_samples(_PS),
            errors=(ErrorSample((x, Arr((5,))), {}, RuntimeError, "must match or broadcast"),),
            terms=lambda a, b, **o: int(a.shape[-1]) + 16,
            magnitude=lambda a, b, **o: (
                reference.pairwise_distance(np.abs(a), -np.abs(b), **{**o, "p": 1.0}) + 1.0
            ),
        ),
        OpInfo(
            name="cdist",
            covers=("euclidean", "distance"),
            call=by_path("cdist"),
            reference=reference.cdist,
            samples=_cdist_samples,
            errors=(
                ErrorSample((x, Arr((2, 5))), {}, RuntimeError, "cdist: both must be"),
                ErrorSample((x, x), {"p": -1.0}, RuntimeError, "cdist: p must be >= 0; got -1.0"),
                ErrorSample((x, x), {"compute_mode": "no"}, ValueError, "compute_mode must be"),
            ),
            terms=lambda a, b, **o: int(a.shape[-1]) + 16,
            magnitude=lambda a, b, **o: (
                _euclidean_size(a, b, ())
                if o.get("p", 2.0) == 2
                else reference.cdist(a, b, p=1.0) + 1.0
            ),
            torch_gradient="",
        ),
        OpInfo(
            name="euclidean",
            covers=("euclidean",),
            call=by_record("euclidean"),
            reference=lambda a, b, out_shape: reference.cdist(a, b),
            samples=lambda: [
                Sample((Arr((4, 3)), Arr((5, 3))), {"out_shape": (4, 5)}),
                Sample((Arr((2, 4, 3)), Arr((1, 5, 3))), {"out_shape": (2, 4, 5)}),
            ],
            terms=lambda a, b, **o: int(a.shape[-1]) + 16,
            magnitude=_euclidean_size,
            torch=False,
        ),
        OpInfo(
            name="distance_bwd",
            covers=("distance_bwd",),
            call=by_record("distance_bwd"),
            reference=reference.distance_bwd,
            samples=_bwd_samples,
            terms=lambda g, y, a, b, p: int(b.shape[-2]) + 16,
            magnitude=lambda g, y, a, b, p: (
                reference.distance_bwd(np.abs(g), y, np.abs(a), -np.abs(b), p) * 2 + 1.0
            ),
            torch=False,
        ),
        OpInfo(
            name="square_form",
            covers=("square_form",),
            call=by_record("square_form"),
            reference=lambda x, out_shape: reference.square_form(x, out_shape[0]),
            samples=lambda: [
                Sample((Arr((n * (n - 1) // 2,), "normal", layout),), {"out_shape": (n, n)})
                for n, layout in ((4, "c"), (7, "reversed"), (1, "c"), (2, "c"))
            ],
            torch=False,
        ),
        OpInfo(
            name="pair_sum",
            covers=("pair_sum",),
            call=by_record("pair_sum"),
            reference=lambda x, out_shape: (x + x.T)[np.triu_indices(len(x), 1)],
            samples=lambda: [
                Sample((Arr((n, n), "normal", layout),), {"out_shape": (n * (n - 1) // 2,)})
                for n, layout in ((4, "c"), (7, "f"), (1, "c"), (5, "reversed"))
            ],
            torch=False,
        ),
        OpInfo(
            name="pdist",
            covers=("distance", "distance_bwd"),
            call=by_path("nn.functional.pdist"),
            reference=reference.pdist,
            samples=lambda: [
                *(Sample((Arr((5, 3)),), {"p": p}) for p in _PS),
                Sample((Arr((2, 4), "normal", "f"),), {}, _tags("strided")),
                Sample((Arr((1, 3)),), {}, _tags("size1", "empty")),
                Sample((Arr((37, 2)),), {"p": 1.0}, _tags("odd")),
                Sample((Arr((4, 3), "ties"),), {"p": 0.0}, _tags("special")),
            ],
            errors=(
                ErrorSample((Arr((3,)),), {}, RuntimeError, "pdist: input must be 2-D"),
                ErrorSample((x,), {"p": -1.0}, RuntimeError, "pdist: p must be >= 0"),
            ),
            terms=lambda a, **o: int(a.shape[-1]) + 16,
            magnitude=lambda a, **o: reference.pdist(a, p=1.0) + 1.0,
        ),
        OpInfo(
            name="vector_norm_op",
            covers=("vector_norm",),
            call=by_record("vector_norm"),
            reference=lambda x, p, dims, out_shape: reference.norm(x, p, dims).reshape(out_shape),
            samples=_norm_samples,
            terms=lambda x, **o: int(x.size) + 32,
            magnitude=lambda x, p, dims, out_shape: (
                2 * np.abs(reference.norm(x, p, dims).reshape(out_shape)) + 1.0
            ),
            torch=False,
        ),
    ]
