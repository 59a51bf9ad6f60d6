"""Changes in place of tensors whose elements share memory."""

from __future__ import annotations

from harness import F, case, counted, device, gs, np, of, right, t

#: Changes in place: name -> call of a float tensor of any shape.
CHANGES = {
    **{
        name: (lambda x, name=name: getattr(x, name)())
        for name in (
            "abs_ ceil_ cos_ erf_ exp_ expm1_ floor_ log1p_ log2_ log_ neg_ reciprocal_ relu_ "
            "round_ rsqrt_ sigmoid_ sign_ sin_ sqrt_ square_ tan_ tanh_ trunc_ zero_ logical_not_"
        ).split()
    },
    **{
        name: (lambda x, name=name: getattr(x, name)(2.0))
        for name in (
            "add_ sub_ mul_ div_ pow_ fmod_ remainder_ floor_divide_ fill_ clamp_min_ clamp_max_ "
            "eq_ ne_ lt_ le_ gt_ ge_"
        ).split()
    },
    **{
        name + " itself": (lambda x, name=name: getattr(x, name)(x))
        for name in "add_ sub_ mul_ div_ copy_ fmod_ logical_and_ logical_or_".split()
    },
    "addcmul_": lambda x: x.addcmul_(x, x),
    "addcdiv_": lambda x: x.addcdiv_(x, x),
    "lerp_": lambda x: x.lerp_(x, 0.5),
    "clamp_": lambda x: x.clamp_(0.0, 1.0),
    "masked_fill_": lambda x: x.masked_fill_(x > 0, 3.0),
    "tril_": lambda x: x.tril_(),
    "triu_": lambda x: x.triu_(),
    "uniform_": lambda x: x.uniform_(),
    "normal_": lambda x: x.normal_(),
    "bernoulli_": lambda x: x.bernoulli_(0.5),
    "exponential_": lambda x: x.exponential_(),
    "fill_diagonal_": lambda x: x.fill_diagonal_(1.0),
    "elu_": lambda x: F.elu_(x),
    "leaky_relu_": lambda x: F.leaky_relu_(x),
    "hardtanh_": lambda x: F.hardtanh_(x),
    "threshold_": lambda x: F.threshold_(x, 0.0, 1.0),
    "dropout": lambda x: F.dropout(x, 0.5, inplace=True),
    "index_fill_": lambda x: x.index_fill_(0, of([1], np.int64), 1.0),
    "index_add_": lambda x: x.index_add_(0, of([1], np.int64), x[:1].clone()),
    "index_copy_": lambda x: x.index_copy_(0, of([1], np.int64), x[:1].clone()),
    "index_put_": lambda x: x.index_put_((of([1], np.int64),), of(1.0)),
    "scatter_": lambda x: x.scatter_(0, of([[1, 0, 1]], np.int64), 1.0),
    "scatter_add_": lambda x: x.scatter_add_(0, of([[1, 0, 1]], np.int64), x[:1].clone()),
    "an index": lambda x: x.__setitem__(0, 5.0),
    "a mask": lambda x: x.__setitem__(x > 0, 5.0),
}


@case("overlapping memory", "every op in place of expanded memory")
def expanded():
    for name, change in CHANGES.items():
        y = of([[0.5, 1.5, 2.5]])
        before = y.cpu().numpy().copy()
        wide = y.expand(3, 3)
        try:
            change(wide)
        except (RuntimeError, ValueError, NotImplementedError) as error:
            assert len(str(error)) > 10, name
            assert np.array_equal(y.cpu().numpy(), before), f"{name} refused, and changed it"
        else:
            alone = of(before)
            change(alone) if "_ " not in name else None
            shown = wide.cpu().numpy()
            assert (shown == shown[:1]).all() or np.isnan(shown).any(), name
        counted()


@case("overlapping memory", "windows of one another")
def windows():
    for name, change in CHANGES.items():
        x = of(np.arange(8.0))
        before = x.cpu().numpy().copy()
        rolled = x.unfold(0, 3, 1)[:3] if device == "cpu" or name else None
        try:
            change(rolled)
        except (RuntimeError, ValueError, NotImplementedError, IndexError) as error:
            assert len(str(error)) > 10, name
            assert np.array_equal(x.cpu().numpy(), before), f"{name} refused, and changed it"
        counted()


@case("overlapping memory", "operands that overlap the result")
def shifted():
    for name, f in (
        ("add_", np.add),
        ("sub_", np.subtract),
        ("mul_", np.multiply),
        ("div_", np.divide),
        ("copy_", lambda a, b: b.copy()),
        ("fmod_", np.fmod),
    ):
        for n in (5, 33, 70):
            a = np.random.default_rng(n).uniform(1, 2, n + 1).astype("f")
            for left, right_part in (
                (slice(1, None), slice(0, -1)),
                (slice(0, -1), slice(1, None)),
                (slice(None), slice(None, None, -1)),
            ):
                x, wanted = of(a), a.copy()
                wanted[left] = f(a[left], a[right_part])
                other = x.flip(0) if right_part.step == -1 else x[right_part]
                getattr(x[left], name)(other)
                right(lambda: x, wanted)
        for n in (2, 5, 17):
            a = np.random.default_rng(n).uniform(1, 2, (n, n)).astype("f")
            x = of(a)
            getattr(x, name)(x.T)
            right(lambda: x, f(a, a.T))
            x = of(a)
            getattr(x, name)(x[0])  # the first row, which changes too
            right(lambda: x, f(a, np.broadcast_to(a[0].copy(), a.shape)))
            x = of(a)
            getattr(x, name)(x[:, :1])
            right(lambda: x, f(a, np.broadcast_to(a[:, :1].copy(), a.shape)))


@case("overlapping memory", "three operands")
def three():
    a = np.random.default_rng(0).uniform(1, 2, (6, 6)).astype("f")
    x = of(a)
    x.addcmul_(x.T, x[0])
    right(lambda: x, a + a.T * a[0])
    x = of(a)
    x.addcdiv_(x.T, x[:, :1])
    right(lambda: x, a + a.T / a[:, :1])
    x = of(a)
    x.lerp_(x.T, 0.25)
    right(lambda: x, a + 0.25 * (a.T - a))
    x = of(a)
    x.masked_fill_(x.T > 1.5, 0.0)
    right(lambda: x, np.where(a.T > 1.5, 0, a))
    x = of(a)
    x[1:] = x[:-1]
    right(lambda: x, np.concatenate([a[:1], a[:-1]]))
    x = of(a)
    x[:, :3] = x[:, 3:] + x[:, :3]
    right(lambda: x[:, :3], a[:, :3] + a[:, 3:])
    y = of(a)
    y.index_add_(0, of([0, 1, 2, 3, 4, 5], np.int64), y)
    right(lambda: y, 2 * a)
    z = t(3, 1).expand(3, 4)
    w = t(3, 4)
    w.copy_(z)
    right(lambda: w, z.cpu().numpy())
    assert gs.equal(w, z)
