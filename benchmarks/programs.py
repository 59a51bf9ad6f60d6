"""What a case's op is in each library: gradsmith's and PyTorch's names are the same.

NumPy and JAX have their own; where a library has nothing of the kind there is no entry.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .case import Case

__all__ = ["jax_program", "numpy_program", "program"]

Array = np.ndarray[Any, Any]
Program = Callable[..., Any]


def _strided(lib: Any, a: Any, b: Any) -> Any:
    return a[:, ::2] * b[:, ::2]


def _batch_norm(lib: Any, x: Any, w: Any, b: Any) -> Any:
    return lib.nn.functional.batch_norm(x, None, None, w, b, training=True)


def _batch_norm_eval(lib: Any, x: Any, w: Any, b: Any) -> Any:
    mean, var = b.detach(), w.detach() * w.detach() + 0.5
    return lib.nn.functional.batch_norm(x, mean, var, w, b, training=False)


#: What is more than a call of one function.
PROGRAMS: dict[str, Program] = {
    "layer_norm": lambda lib, x, w, b: lib.nn.functional.layer_norm(x, (x.shape[-1],), w, b),
    "group_norm": lambda lib, x, w, b: lib.nn.functional.group_norm(x, 8, w, b),
    "batch_norm": _batch_norm,
    "batch_norm_eval": _batch_norm_eval,
    "masked_fill": lambda lib, a: a.masked_fill(a.detach() > 0, 0.0),
    "where": lambda lib, a, b: lib.where(a > 0, a, b),
    "neg_t": lambda lib, a: -a.T,
    "mul_strided": _strided,
    "transpose": lambda lib, x: x.t().contiguous(),
    "to_nhwc": lambda lib, x: x.permute(0, 2, 3, 1).contiguous(),
    "cat": lambda lib, a, b: lib.cat([a, b], 1),
    "mask": lambda lib, x: x[x > 0],
    "gather": lambda lib, x, i: lib.gather(x, 1, i),
    "index_select": lambda lib, x, i: lib.index_select(x, 0, i),
    "sort": lambda lib, x, dim: lib.sort(x, dim)[0],
    "topk": lambda lib, x, k, dim: lib.topk(x, k, dim)[0],
    "norm": lambda lib, x, dim: x.norm(dim=dim),
    "einsum": lambda lib, a, b: lib.einsum("bij,bjk->bik", a, b),
    "linear_relu": lambda lib, x, w, b: lib.nn.functional.relu(lib.nn.functional.linear(x, w, b)),
}


def _recurrent(lib: Any, kind: str, size: int, hidden: int) -> Program:
    """A layer with weights that are the same in every library."""
    layer, rng = getattr(lib.nn, kind)(size, hidden), np.random.default_rng(0)
    with lib.no_grad():
        for p in layer.parameters():
            values = (rng.random(tuple(p.shape)) - 0.5) * 2 * hidden**-0.5
            p.copy_(lib.from_numpy(values.astype(np.float32)))

    def call(x: Any) -> Any:
        nonlocal layer
        if x.dtype == lib.float64 and next(iter(layer.parameters())).dtype != lib.float64:
            layer = layer.double()
        return layer(x)[0]

    return call


def program(lib: Any, case: Case) -> Program:
    """The case in gradsmith or PyTorch: call(*tensors)."""
    args, options = case.args, case.options
    if case.op == "recurrent":
        return _recurrent(lib, options["kind"], case.inputs[0].shape[-1], options["hidden"])
    if case.op in PROGRAMS:
        composed = PROGRAMS[case.op]
        return lambda *tensors: composed(lib, *tensors, *args, **options)
    name = case.op.removeprefix("F.")
    function = getattr(lib if name == case.op else lib.nn.functional, name)
    return lambda *tensors: function(*tensors, *args, **options)


# ---- NumPy ----


def _numpy_softmax(x: Array, dim: int) -> Array:
    e = np.exp(x - x.max(dim, keepdims=True))
    return e / e.sum(dim, keepdims=True)


_NUMPY: dict[str, Program] = {
    "matmul": np.matmul,
    "bmm": np.matmul,
    "einsum": np.matmul,
    "F.linear": lambda x, w, b: x @ w.T + b,
    "linear_relu": lambda x, w, b: np.maximum(x @ w.T + b, 0),
    "abs": np.abs, "exp": np.exp, "sin": np.sin, "cos": np.cos, "tanh": np.tanh,
    "floor": np.floor, "expm1": np.expm1, "log": np.log, "sqrt": np.sqrt, "log1p": np.log1p,
    "log2": np.log2, "add": np.add, "mul": np.multiply, "div": np.divide,
    "maximum": np.maximum, "remainder": np.remainder, "floor_divide": np.floor_divide,
    "fmod": np.fmod, "pow": np.power, "lt": np.less,
    "clamp": np.clip,
    "where": lambda a, b: np.where(a > 0, a, b),
    "neg_t": lambda a: -a.T,
    "mul_strided": lambda a, b: a[:, ::2] * b[:, ::2],
    "F.relu": lambda x: np.maximum(x, 0),
    "F.softmax": _numpy_softmax,
    "sum": np.sum, "mean": np.mean, "amax": np.max, "argmax": np.argmax, "cumsum": np.cumsum,
    "prod": np.prod, "sort": np.sort,
    "var": lambda x, dim: np.var(x, dim, ddof=1),
    "norm": lambda x, dim: np.linalg.norm(x, axis=dim),
    "cat": lambda a, b: np.concatenate([a, b], 1),
    "transpose": lambda x: np.ascontiguousarray(x.T),
    "to_nhwc": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)),
    "tril": np.tril, "flip": np.flip,
    "mask": lambda x: x[x > 0],
    "index_select": lambda x, i: x[i],
    "F.embedding": lambda i, x: x[i],
    "gather": lambda x, i: np.take_along_axis(x, i, 1),
}  # fmt: skip


def numpy_program(case: Case) -> Program | None:
    """The case in NumPy, or None."""
    function = _NUMPY.get(case.op)
    if function is None:
        return None
    if case.op == "flip":  # a copy, as elsewhere
        return lambda x: np.flip(x, *case.args).copy()
    return lambda *arrays: function(*arrays, *case.args, **case.options)


# ---- JAX ----

_JAX = {"add", "abs", "exp", "sin", "cos", "tanh", "floor", "expm1", "log", "sqrt", "log1p",
        "log2", "maximum", "remainder", "floor_divide", "fmod", "matmul", "sum", "mean", "argmax",
        "cumsum", "prod", "tril"}  # fmt: skip
_JAX_RENAMED = {"mul": "multiply", "div": "divide", "pow": "power", "lt": "less", "amax": "max",
                "bmm": "matmul", "einsum": "matmul", "clamp": "clip"}  # fmt: skip
_JAX_NN = {"relu", "leaky_relu", "elu", "selu", "silu", "softplus", "relu6", "mish"}


def _jax_conv(lib: Any, case: Case) -> Program:
    nd, options = len(case.inputs[0].shape) - 2, case.options

    def each(name: str, default: int) -> tuple[int, ...]:
        value = options.get(name, default)
        return (value,) * nd if isinstance(value, int) else tuple(value)

    def call(x: Any, w: Any, *bias: Any) -> Any:
        y = lib.lax.conv_general_dilated(
            x, w, each("stride", 1), [(p, p) for p in each("padding", 0)],
            rhs_dilation=each("dilation", 1), feature_group_count=options.get("groups", 1),
        )  # fmt: skip
        return y + bias[0].reshape(1, -1, *(1,) * nd) if bias else y

    return call


def jax_program(lib: Any, case: Case) -> Program | None:
    """The case in JAX, not compiled yet, or None."""
    jnp, nn, op = lib.numpy, lib.nn, case.op
    args, options = case.args, case.options
    if op.startswith("F.conv") and "transpose" not in op:
        return _jax_conv(lib, case)
    own: dict[str, Program] = {
        "F.linear": lambda x, w, b: x @ w.T + b,
        "linear_relu": lambda x, w, b: nn.relu(x @ w.T + b),
        "sigmoid": nn.sigmoid,
        "erf": lib.scipy.special.erf,
        "rsqrt": lib.lax.rsqrt,
        "logsumexp": nn.logsumexp,
        "where": lambda a, b: jnp.where(a > 0, a, b),
        "var": lambda x, dim: jnp.var(x, dim, ddof=1),
        "F.gelu": lambda x, approximate="none": nn.gelu(x, approximate=approximate == "tanh"),
        "F.softmax": lambda x, dim: nn.softmax(x, dim),
        "F.log_softmax": lambda x, dim: nn.log_softmax(x, dim),
        "cat": lambda a, b: jnp.concatenate([a, b], 1),
    }
    name = op.removeprefix("F.")
    if op in own:
        function = own[op]
    elif op in _JAX or op in _JAX_RENAMED:
        function = getattr(jnp, _JAX_RENAMED.get(op, op))
    elif name != op and name in _JAX_NN:
        function = getattr(nn, name)
    else:
        return None
    return lambda *arrays: function(*arrays, *args, **options)
