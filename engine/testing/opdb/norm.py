"""Samples of normalisation."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..reference import norm as reference
from .calls import by_path
from .record import Arr, ErrorSample, OpInfo, Sample

__all__ = ["infos"]


def _tags(*names: str) -> frozenset[str]:
    return frozenset(names)


_LAYOUTS = {
    "f": "strided",
    "strided": "strided",
    "channels_last": "strided",
    "reversed": "negative",
    "offset": "strided",
    "expanded_last": "expanded",
}


def _weights(n: Any, weight: bool = True, bias: bool = True) -> tuple[Any, Any]:
    shape = n if isinstance(n, tuple) else (n,)
    return Arr(shape) if weight else None, Arr(shape) if bias else None


# ---- batch_norm ----


def _batch_samples() -> list[Sample]:
    training = {"training": True}
    samples = [
        Sample((Arr(shape), None, None, *_weights(shape[1])), training, tags)
        for shape, tags in (
            ((5, 3), _tags()),
            ((17, 37), _tags("odd")),
            ((3, 4, 5), _tags()),
            ((2, 3, 5, 7), _tags("odd")),
            ((2, 2, 3, 2, 3), _tags()),
            ((0, 3, 2), _tags("empty")),
            ((150, 70), _tags("large")),
            ((2, 2, 5003), _tags("large")),
        )
    ]
    x = Arr((3, 4, 6))
    samples += [
        Sample((x, None, None), training),
        Sample((Arr((2, 1)), None, None), {**training, "eps": 0.5}, _tags("size1")),
        Sample((x, None, None, Arr((4,)), None), training),
        Sample((x, None, None, None, Arr((4,))), {**training, "eps": 0.1}),
        Sample((Arr((3, 5), ("diagonal", float("nan"))), None, None), training, _tags("special")),
        Sample((Arr((5, 3, 4), ("diagonal", np.inf)), None, None), training, _tags("special")),
    ]
    for layout, tag in _LAYOUTS.items():
        laid = Arr((3, 4, 7), "normal", layout)
        samples.append(Sample((laid, None, None, *_weights(4)), training, _tags(tag)))
    for shape in ((5, 3), (2, 3, 5), (0, 3, 2)):
        running = (Arr((3,), grad=False), Arr((3,), "positive", grad=False))
        tag = _tags() if shape[0] else _tags("empty")
        samples.append(Sample((Arr(shape), *running, *_weights(3)), {}, tag))
        samples.append(Sample((Arr(shape), *running), {"eps": 0.01}, tag))
    return samples


def _size(x: Any, axes: Any, eps: float, weight: Any = 1.0, bias: Any = 0.0) -> Any:
    """What rounding is relative to: |x| and |mean| are subtracted, then scaled."""
    with np.errstate(all="ignore"):
        if not x.size:
            return x
        _, rstd = reference._normalised(x, axes, eps)
        return (np.abs(x) + np.mean(np.abs(x), axis=axes, keepdims=True)) * rstd * (
            np.abs(weight) + 1
        ) + np.abs(bias)


def _batch_size(
    x: Any, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None, **options: Any
) -> Any:
    w = reference._channelwise(weight, x.ndim, 1.0)
    b = reference._channelwise(bias, x.ndim, 0.0)
    eps = options.get("eps", 1e-5)
    if not options.get("training"):
        v = reference._channelwise(var, x.ndim, 1.0)
        m = reference._channelwise(mean, x.ndim, 0.0)
        return (np.abs(x) + np.abs(m)) / np.sqrt(v + eps) * np.abs(w) + np.abs(b)
    return _size(x, reference._but_channels(x), eps, w, b)


def _per_channel(x: Any, *rest: Any, **options: Any) -> int:
    return max(x.size // max(x.shape[1], 1), 1)


def _batch_bwd(lib: Any, grad_y: Any, x: Any, weight: Any = None, **options: Any) -> Any:
    """The record, with the statistics of x that it is a function of."""
    from ...autograd.dispatch import apply
    from ...autograd.op import OPS

    eps = options["eps"]
    _y, mean, var = apply(OPS["batch_norm"], (x, None, None), ((x.shape[1],), eps))
    if not options["training"]:
        mean, var = mean.detach(), var.detach()
    inputs = (grad_y, x, weight, mean, var)
    return apply(OPS["batch_norm_bwd"], inputs, (eps, options["training"]))


def _batch_bwd_samples() -> list[Sample]:
    return [
        Sample((Arr(shape), Arr(shape), *weight), {"eps": 1e-3, "training": True}, tags)
        for shape, tags in (
            ((5, 3), _tags()),
            ((9, 37), _tags("odd")),
            ((3, 2, 5), _tags()),
            ((2, 3, 3, 5), _tags("odd")),
        )
        for weight in ((), (Arr((shape[1],)),))
    ]


def _gradient_size(grad_y: Any, x: Any, axes: Any, weight: Any, eps: float, **_: Any) -> Any:
    """Bounds of the sums of absolute values, as wide as the widest element."""
    u = np.abs(_size(x, axes, eps))
    g = np.abs(grad_y)
    _, rstd = reference._normalised(x, axes, eps)
    h = g * np.abs(weight)
    mean = np.mean(h, axis=axes, keepdims=True), np.mean(h * u, axis=axes, keepdims=True)
    return rstd * (h + mean[0] + u * mean[1]), g * u, g


def _batch_bwd_size(grad_y: Any, x: Any, weight: Any = None, **options: Any) -> Any:
    axes = reference._but_channels(x)
    w = reference._channelwise(weight, x.ndim, 1.0)
    grad_x, product, grad = _gradient_size(grad_y, x, axes, w, options["eps"])
    return grad_x, np.sum(product, axis=axes), np.sum(grad, axis=axes)


# ---- rows ----


def _layer_samples(bias: bool) -> list[Sample]:
    def row(shape: Any, last: Any, layout: str = "c", *tags: str, **options: Any) -> Sample:
        w, b = _weights(last)
        inputs = (Arr(shape, "normal", layout), last, w)
        return Sample((*inputs, b) if bias else inputs, {"eps": 1e-5, **options}, _tags(*tags))

    samples = [
        row((4, 5), (5,)),
        row((2, 3, 4), (3, 4)),
        row((2, 3, 4), (4,)),
        row((7,), (7,), "c", "odd"),
        row((17, 37), (37,), "c", "odd"),
        row((3, 1), (1,), "c", "size1", eps=0.5),
        row((0, 4), (4,), "c", "empty"),
        row((2, 9001), (9001,), "c", "large"),
        row((70, 150), (150,), "c", "large"),
        row((2, 5), (5,), eps=0.5),
        Sample((Arr((3, 6)), (6,)), {"eps": 1e-5}),
        Sample((Arr((3, 6)), (6,), Arr((6,))), {"eps": 1e-3}),
        Sample((Arr((5, 5), ("diagonal", float("nan"))), (5,)), {"eps": 1e-5}, _tags("special")),
        Sample((Arr((5, 5), ("diagonal", np.inf)), (5,)), {"eps": 1e-5}, _tags("special")),
    ]
    if bias:
        samples.append(Sample((Arr((3, 6)), (6,), None, Arr((6,))), {"eps": 1e-5}))
    return samples + [row((3, 4, 7), (7,), k, tag) for k, tag in _LAYOUTS.items() if "exp" not in k]


def _layer_size(x: Any, last: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    axes = tuple(range(x.ndim - len(last), x.ndim))
    return _size(x, axes, eps, 1.0 if weight is None else weight, 0.0 if bias is None else bias)


def _layer_terms(x: Any, last: Any, *rest: Any, **options: Any) -> int:
    return int(np.prod(last))


def _rms_size(x: Any, last: Any, weight: Any = None, eps: float = 1e-5) -> Any:
    return np.abs(reference.rms_norm(x, last, weight, eps)) * 2


def _group_samples() -> list[Sample]:
    def row(shape: Any, groups: int, *tags: str, layout: str = "c", **options: Any) -> Sample:
        inputs = (Arr(shape, "normal", layout), groups, *_weights(shape[1]))
        return Sample(inputs, options, _tags(*tags))

    samples = [
        row((2, 4, 3), 2),
        row((2, 6, 3, 5), 3),
        row((2, 6, 3, 5), 1),
        row((2, 3, 5, 4), 3, "odd"),
        row((3, 8), 2),
        row((2, 4, 2, 3, 2), 2, eps=0.1),
        row((0, 4, 3), 2, "empty"),
        row((1, 2, 4201), 1, "large"),
        Sample((Arr((2, 4, 5)), 2)),
        Sample((Arr((2, 4, 5)), 2, Arr((4,)))),
        # torch's backward needs a weight where there is a bias
        Sample((Arr((2, 4, 5)), 2, None, Arr((4,))), {}, _tags("torch_differs")),
        Sample((Arr((2, 4, 5), ("diagonal", float("nan"))), 4), {}, _tags("special")),
        row((1, 2, 1), 1, "size1"),
    ]
    return samples + [row((2, 4, 7), 2, tag, layout=k) for k, tag in _LAYOUTS.items() if k != "f"]


def _group_size(x: Any, groups: int, weight: Any = None, bias: Any = None, **options: Any) -> Any:
    if not x.size:
        return x
    u = _size(x.reshape(x.shape[0], groups, -1), 2, options.get("eps", 1e-5)).reshape(x.shape)
    w = np.abs(reference._channelwise(weight, x.ndim, 1.0))
    return u * (w + 1) + np.abs(reference._channelwise(bias, x.ndim, 0.0))


def _instance_samples() -> list[Sample]:
    running = (Arr((3,), grad=False), Arr((3,), "positive", grad=False))
    return [
        Sample((Arr((2, 3, 4)), None, None, *_weights(3))),
        Sample((Arr((2, 3, 4, 5)), None, None, *_weights(3)), {"eps": 0.1}),
        Sample((Arr((1, 3, 2, 3, 3)), None, None)),
        Sample((Arr((2, 3, 5)), *running, *_weights(3)), {"use_input_stats": False}),
        Sample((Arr((2, 3, 5), "normal", "channels_last"), None, None), {}, _tags("strided")),
        Sample((Arr((2, 3, 37)), None, None), {}, _tags("odd")),
        Sample((Arr((2, 3, 5), ("diagonal", float("nan"))), None, None), {}, _tags("special")),
    ]


def _instance_size(
    x: Any, mean: Any = None, var: Any = None, weight: Any = None, bias: Any = None, **options: Any
) -> Any:
    if options.get("use_input_stats", True):
        return _group_size(x, x.shape[1], weight, bias, eps=options.get("eps", 1e-5))
    return _batch_size(x, mean, var, weight, bias)


def _row_bwd(lib: Any, grad_y: Any, x: Any, weight: Any = None, **options: Any) -> Any:
    """The record, with the statistics of x that it is a function of."""
    from ...autograd.dispatch import apply
    from ...autograd.op import OPS

    shared = tuple(options[key] for key in ("groups", "inner", "eps", "centered"))
    rows, length = x.shape
    _y, mean, var = apply(OPS["row_norm"], (x, None, None), ((rows,), *shared))
    inputs = (grad_y, x, weight, mean, var)
    weights = shared[0] * (length // shared[1])
    return apply(OPS["row_norm_bwd"], inputs, ((weights,), *shared))


def _row_bwd_samples() -> list[Sample]:
    samples = []
    for shape, groups, inner, centered in (
        ((4, 5), 1, 1, True),
        ((4, 5), 1, 1, False),
        ((17, 37), 1, 1, True),
        ((4, 6), 2, 3, True),
        ((6, 6), 2, 1, True),
        ((4, 7), 4, 7, True),
        ((4, 6), 1, 2, False),
    ):
        options = {"groups": groups, "inner": inner, "eps": 1e-3, "centered": centered}
        pair = (Arr(shape), Arr(shape))
        samples.append(Sample(pair, options))
        samples.append(Sample((*pair, Arr((groups * shape[1] // inner,))), options))
    return samples


def _row_bwd_size(grad_y: Any, x: Any, weight: Any = None, **options: Any) -> Any:
    groups, inner = options["groups"], options["inner"]
    full = (x.shape[0] // groups, groups, x.shape[1] // inner, inner)
    w = 1.0 if weight is None else weight.reshape(1, groups, full[2], 1)
    grad_y, x = grad_y.reshape(full), x.reshape(full)
    grad_x, product, grad = _gradient_size(grad_y, x, (2, 3), w, options["eps"])
    sums = [np.sum(v, axis=(0, 3)).reshape(-1) for v in (product, grad)]
    return grad_x.reshape(-1, full[2] * inner), *sums


def _normalize_samples() -> list[Sample]:
    x = Arr((3, 4, 5), "nonzero")
    samples = [Sample((x,), {"p": p, "dim": d}) for p in (1, 2, 3.0) for d in (1, -1)]
    return [
        *samples,
        Sample((Arr((3, 4, 5), "distinct"),), {"p": float("inf"), "dim": 1}),
        Sample((x,), {"dim": (0, 2)}),
        Sample((x,), {"eps": 10.0}),
        Sample((Arr((3, 4), "zeros"),), {"eps": 0.5}, _tags("kink")),
        Sample((Arr((3, 5), "nonzero", "reversed"),), {}, _tags("negative")),
        Sample((Arr((2, 4), ("values", np.nan, 1.0, 2.0)),), {}, _tags("special")),
    ]


def _response_samples() -> list[Sample]:
    return [
        Sample((Arr((2, 5, 4)), 3)),
        Sample((Arr((2, 6, 3, 2)), 2), {"alpha": 0.5, "beta": 0.5, "k": 2.0}),
        Sample((Arr((1, 7, 3)), 5), {"alpha": 1.0}),
        Sample((Arr((2, 3, 2, 2, 2)), 4)),
        Sample((Arr((2, 3, 5)), 1)),
        Sample((Arr((2, 4, 5), "normal", "reversed"), 3), {}, _tags("negative")),
        Sample((Arr((0, 4, 5)), 3), {}, _tags("empty")),
    ]


# ---- refusals ----


def _batch_errors() -> tuple[ErrorSample, ...]:
    x = Arr((4, 3, 2))
    training = {"training": True}
    return (
        ErrorSample((Arr((1, 3)), None, None), training, ValueError, "expected more than 1 value"),
        ErrorSample((Arr((1, 3, 1, 1)), None, None), training, ValueError, "more than 1 value per"),
        ErrorSample((x, None, None), {}, RuntimeError, "running_mean and running_var must be"),
        ErrorSample((x, None, None, Arr((2,))), training, RuntimeError, r"weight must have shape"),
        ErrorSample((x, Arr((2,)), Arr((3,))), {}, RuntimeError, r"running_mean must have shape"),
        ErrorSample((Arr((4,)), None, None), training, RuntimeError, r"input must be \(N, C"),
        ErrorSample(("x", None, None), training, TypeError, "input must be a tensor"),
    )


def infos() -> list[OpInfo]:
    """The family's ops."""
    x = Arr((4, 6))
    return [
        OpInfo(
            name="batch_norm",
            covers=("batch_norm", "batch_norm_eval"),
            call=by_path("nn.functional.batch_norm"),
            reference=reference.batch_norm,
            samples=_batch_samples,
            errors=_batch_errors(),
            terms=_per_channel,
            magnitude=_batch_size,
        ),
        OpInfo(
            name="batch_norm_bwd",
            covers=("batch_norm_bwd",),
            call=_batch_bwd,
            reference=reference.batch_norm_bwd,
            samples=_batch_bwd_samples,
            terms=_per_channel,
            magnitude=_batch_bwd_size,
            torch=False,
        ),
        OpInfo(
            name="layer_norm",
            covers=("row_norm",),
            call=by_path("nn.functional.layer_norm"),
            reference=reference.layer_norm,
            samples=lambda: _layer_samples(True),
            errors=(
                ErrorSample((x, (5,)), {}, RuntimeError, "normalized_shape must be the last"),
                ErrorSample((x, ()), {}, RuntimeError, "normalized_shape must be the last"),
                ErrorSample((x, (1, 4, 6)), {}, RuntimeError, "normalized_shape must be the last"),
                ErrorSample((x, (6,), Arr((5,))), {}, RuntimeError, r"weight must have shape"),
                ErrorSample(("x", (6,)), {}, TypeError, "input must be a tensor"),
            ),
            terms=_layer_terms,
            magnitude=_layer_size,
        ),
        OpInfo(
            name="rms_norm",
            covers=("row_norm",),
            call=by_path("nn.functional.rms_norm"),
            reference=reference.rms_norm,
            samples=lambda: _layer_samples(False),
            errors=(
                ErrorSample((x, (5,)), {}, RuntimeError, "normalized_shape must be the last"),
                ErrorSample((x, (6,), Arr((5,))), {}, RuntimeError, r"weight must have shape"),
            ),
            terms=_layer_terms,
            magnitude=_rms_size,
        ),
        OpInfo(
            name="group_norm",
            covers=("row_norm",),
            call=by_path("nn.functional.group_norm"),
            reference=reference.group_norm,
            samples=_group_samples,
            errors=(
                ErrorSample((x, 4), {}, RuntimeError, "num_groups must divide the channels"),
                ErrorSample((x, 0), {}, ValueError, "groups must be >= 1"),
                ErrorSample((x, 2, Arr((5,))), {}, RuntimeError, "weight must have shape"),
                ErrorSample((Arr((4,)), 2), {}, RuntimeError, r"input must be \(N, C"),
                ErrorSample((Arr((1, 1)), 1), {}, ValueError, "expected more than 1 value"),
            ),
            terms=lambda x, groups, *rest, **options: max(x.size // groups, 1),
            magnitude=_group_size,
        ),
        OpInfo(
            name="instance_norm",
            covers=("row_norm", "batch_norm_eval"),
            call=by_path("nn.functional.instance_norm"),
            reference=reference.instance_norm,
            samples=_instance_samples,
            errors=(
                ErrorSample((Arr((2, 3, 1)),), {}, ValueError, "expected more than 1 spatial"),
                ErrorSample((Arr((2, 3)),), {}, RuntimeError, r"input must be \(N, C, L", False),
                ErrorSample(
                    (Arr((2, 3, 4)),),
                    {"use_input_stats": False},
                    RuntimeError,
                    "running_mean and running_var must be given",
                ),
            ),
            terms=_per_channel,
            magnitude=_instance_size,
        ),
        OpInfo(
            name="row_norm_bwd",
            covers=("row_norm_bwd",),
            call=_row_bwd,
            reference=reference.row_norm_bwd,
            samples=_row_bwd_samples,
            terms=lambda grad_y, x, *rest, **options: x.size,
            magnitude=_row_bwd_size,
            torch=False,
        ),
        OpInfo(
            name="normalize",
            covers=("div", "sum"),
            call=by_path("nn.functional.normalize"),
            reference=reference.normalize,
            samples=_normalize_samples,
            errors=(
                ErrorSample((x,), {"dim": 2}, IndexError, "dim must be in"),
                ErrorSample((x,), {"p": -1.0}, ValueError, "p must be > 0", False),
            ),
            terms=lambda x, **options: x.size,
            widen=8.0,
            exception="other powers go through logarithms",
        ),
        OpInfo(
            name="local_response_norm",
            covers=("avg_pool",),
            call=by_path("nn.functional.local_response_norm"),
            reference=reference.local_response_norm,
            samples=_response_samples,
            errors=(
                ErrorSample((Arr((4, 6)), 3), {}, ValueError, "3 dimensions or more"),
                ErrorSample((Arr((2, 3, 4)), 0), {}, ValueError, "size must be >= 1"),
            ),
            terms=lambda x, size, **options: size,
            magnitude=lambda x, size, **options: np.abs(x) * 4,
        ),
    ]
