"""Axes out of range, in every op that takes one; index ops with indices out of range."""

from __future__ import annotations

import numpy as np
from harness import F, case, gs, of, refused, t

#: name -> a call with an axis of a (2, 3) tensor, whose valid axes are -2 to 1.
OF_ONE = {
    **{
        name: (lambda x, d, name=name: getattr(gs, name)(x, d))
        for name in (
            "all any amax amin argmax argmin argsort cumprod cumsum flip logsumexp max mean min "
            "prod softmax log_softmax sort squeeze std std_mean sum unbind var var_mean"
        ).split()
    },
    "argmax keepdim": lambda x, d: gs.argmax(x, dim=d, keepdim=True),
    "cat": lambda x, d: gs.cat([x, x], d),
    "chunk": lambda x, d: gs.chunk(x, 2, d),
    "cosine_similarity": lambda x, d: F.cosine_similarity(x, x, d),
    "diagonal": lambda x, d: gs.diagonal(x, 0, d, 0),
    "flatten": lambda x, d: gs.flatten(x, d),
    "flip of several": lambda x, d: gs.flip(x, (0, d)),
    "gather": lambda x, d: gs.gather(x, d, of([[0]], np.int64)),
    "glu": lambda x, d: F.glu(t(2, 4), d),
    "index_add": lambda x, d: gs.index_add(x, d, of([0], np.int64), x),
    "index_copy": lambda x, d: gs.index_copy(x, d, of([0], np.int64), x),
    "index_fill": lambda x, d: gs.index_fill(x, d, of([0], np.int64), 1.0),
    "index_select": lambda x, d: gs.index_select(x, d, of([0], np.int64)),
    "maxout": lambda x, d: F.maxout(t(2, 4), 2, d),
    "mean of several": lambda x, d: gs.mean(x, (0, d)),
    "moveaxis": lambda x, d: gs.moveaxis(x, d, 0),
    "movedim": lambda x, d: gs.movedim(x, 0, d),
    "narrow": lambda x, d: gs.narrow(x, d, 0, 1),
    "norm": lambda x, d: gs.norm(x, 2, d),
    "norm of order 3": lambda x, d: gs.norm(x, 3, d),
    "normalize": lambda x, d: F.normalize(x, dim=d),
    "permute": lambda x, d: gs.permute(x, (0, d)),
    "roll": lambda x, d: gs.roll(x, 1, d),
    "scatter": lambda x, d: gs.scatter(x, d, of([[0]], np.int64), 1.0),
    "scatter_add": lambda x, d: gs.scatter_add(x, d, of([[0]], np.int64), x),
    "select": lambda x, d: gs.select(x, d, 0),
    "size": lambda x, d: x.size(d),
    "softmin": lambda x, d: F.softmin(x, d),
    "split": lambda x, d: gs.split(x, 1, d),
    "stride": lambda x, d: x.stride(d),
    "sum of several": lambda x, d: gs.sum(x, (0, d)),
    "swapaxes": lambda x, d: gs.swapaxes(x, 0, d),
    "take_along_dim": lambda x, d: gs.take_along_dim(x, of([[0]], np.int64), d),
    "tensordot": lambda x, d: gs.tensordot(x, x, ([d], [0])),
    "topk": lambda x, d: gs.topk(x, 1, d),
    "transpose": lambda x, d: gs.transpose(x, 0, d),
    "unflatten": lambda x, d: gs.unflatten(x, d, (1, -1)),
    "unfold": lambda x, d: x.unfold(d, 1, 1),
    "var of several": lambda x, d: gs.var(x, (0, d)),
    "vector_norm": lambda x, d: gs.linalg.vector_norm(x, 2, d),
}
FAR = (-3, 2, 100, 2**31, -(2**31), 2**32, 2**63, -(2**63) - 1)


def _axes(names):
    x = t(2, 3)
    for name in names:
        for d in FAR:
            try:
                refused(lambda: OF_ONE[name](x, d), IndexError)
            except AssertionError as error:
                raise AssertionError(f"{name}, {d}: {error}") from error


@case("axis", "every op, a to l")
def axes_a_to_l():
    _axes([name for name in OF_ONE if name < "m"])


@case("axis", "every op, m to z")
def axes_m_to_z():
    _axes([name for name in OF_ONE if name >= "m"])


@case("axis", "new ones")
def new_axes():
    x = t(2, 3)
    for d in (-4, 3, 2**31, -(2**63), 2**63):
        refused(lambda: gs.unsqueeze(x, d), IndexError)
        refused(lambda: gs.stack([x, x], d), IndexError)
        refused(lambda: gs.cross(t(3, 3), t(3, 3), dim=d), IndexError)


@case("axis", "of a scalar")
def axes_of_a_scalar():
    x = of(1.0)
    for d in (-2, 1, 2**31):
        for name in ("sum", "amax", "softmax", "cumsum", "sort", "argmax", "squeeze", "var"):
            refused(lambda: OF_ONE[name](x, d), IndexError)


@case("axis", "of other types")
def axes_of_other_types():
    x = t(2, 3)
    for name in OF_ONE:
        for d in ("0", 1.0, object(), [None]):
            try:
                refused(lambda: OF_ONE[name](x, d), TypeError)
            except AssertionError as error:
                raise AssertionError(f"{name}, {d}: {error}") from error


# ---- indices ----


def _with(bad, shape, dtype=np.int64):
    values = np.zeros(shape, dtype)
    values.reshape(-1)[-1] = bad
    return of(values, dtype)


@case("pooling indices", "every op that takes indices")
def every_index_op():
    x = t(4, 5)
    for bad in (4, -5, 5, 2**31, 2**32, -(2**31) - 1, 2**63 - 1, -(2**63)):
        row = _with(bad, (3,))
        table = _with(bad, (3, 5))
        calls = {
            "index_select": lambda: gs.index_select(x, 0, row),
            "index_add": lambda: gs.index_add(x, 0, row, t(3, 5)),
            "index_copy": lambda: gs.index_copy(x, 0, row, t(3, 5)),
            "index_fill": lambda: gs.index_fill(x, 0, row, 1.0),
            "gather": lambda: gs.gather(x, 0, table),
            "scatter": lambda: gs.scatter(x, 0, table, 1.0),
            "scatter_add": lambda: gs.scatter_add(x, 0, table, t(3, 5)),
            "take_along_dim": lambda: gs.take_along_dim(x, table, 0),
            "getitem": lambda: x[row],
            "embedding": lambda: F.embedding(row, x),
            "embedding_bag": lambda: F.embedding_bag(row.reshape(1, 3), x),
            "one_hot": lambda: F.one_hot(row, 4),
        }
        for name, call in calls.items():
            try:
                refused(call, IndexError, RuntimeError)
            except AssertionError as error:
                raise AssertionError(f"{name}, {bad}: {error}") from error
        y = x.clone()

        def assign():
            y[row] = 1.0

        refused(assign, IndexError)
        refused(lambda: y.index_put_((row,), of(1.0)), IndexError)
    refused(lambda: x[4], IndexError)
    refused(lambda: gs.select(x, 0, 4), IndexError)
    refused(lambda: gs.select(x, 0, -5), IndexError)
    for start, length in ((5, 1), (0, 5), (-5, 1), (2, 3), (0, -1), (2**63, 1), (0, 2**63 - 1)):
        refused(lambda: gs.narrow(x, 0, start, length), IndexError, RuntimeError, ValueError)


@case("pooling indices", "max_unpool")
def unpool_indices():
    for n in (1, 2, 3):
        unpool = getattr(F, f"max_unpool{n}d")
        for bad in (-1, 4**n, 2**31, 2**32, 2**63 - 1, -(2**63)):
            shape = (1, 1, *(2,) * n)
            refused(lambda: unpool(t(*shape), _with(bad, shape), 2), IndexError, RuntimeError)
        refused(lambda: unpool(t(1, 1, *(2,) * n), of(np.zeros((1, 1, *(3,) * n)), np.int64), 2))
        refused(lambda: unpool(t(1, 1, *(2,) * n), t(1, 1, *(2,) * n), 2))


@case("pooling indices", "of other dtypes")
def index_dtypes():
    x = t(4, 5)
    for wrong in (of([0.0, 1.0]), of([True, False], np.bool_)):
        refused(lambda: gs.index_select(x, 0, wrong))
        refused(lambda: gs.gather(x, 0, wrong.reshape(1, 2)))
        refused(lambda: F.embedding(wrong, x))
    refused(lambda: x[of([0.5])])


@case("pooling indices", "sizes of sorts and draws")
def counts():
    x = t(4, 5)
    for k in (6, -1, 2**31, 2**63 - 1, 2**63, "1", 1.5, None):
        refused(lambda: gs.topk(x, k, 1))
    for n in (0, -1, 3, 2**63 - 1):
        refused(lambda: gs.multinomial(of([1.0, 2.0]), n))
    for weights in ([-1.0, 2.0], [np.nan, 1.0], [np.inf, 1.0], [0.0, 0.0]):
        refused(lambda: gs.multinomial(of(weights), 1))
