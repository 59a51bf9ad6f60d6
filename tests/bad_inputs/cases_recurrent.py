"""Recurrent layers: the rank and the sizes of each argument; convolution's empty arguments."""

from __future__ import annotations

from harness import F, case, gs, np, of, refused, right, t

nn = gs.nn
#: mode -> gates.
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "gru": 3, "lstm": 4}


def _moved(shape):
    """Shapes of another rank, or with a size of another value."""
    yield shape[1:]
    yield (*shape, 1)
    for i in range(len(shape)):
        yield (*shape[:i], shape[i] + 1, *shape[i + 1 :])


def _layer(mode, x, h, weights, c=None):
    states = (t(*h), t(*(c or h))) if mode == "lstm" else t(*h)
    params = [t(*shape) for shape in weights]
    return getattr(gs, mode)(t(*x), states, params, True, 1, 0.0, False, False, False)


@case("recurrent ranks", "layers")
def layers():
    for mode, gates in GATES.items():
        x, h = (5, 2, 3), (1, 2, 4)
        weights = [(4 * gates, 3), (4 * gates, 4), (4 * gates,), (4 * gates,)]
        y = _layer(mode, x, h, weights)[0]
        assert tuple(y.shape) == (5, 2, 4)
        # a rank less or a further size: the batch's and the time's may vary by themselves
        for wrong in ((2,), (3,), (5, 2, 3, 1), (5, 3, 3), (5, 2, 4)):
            refused(lambda: _layer(mode, wrong, h, weights))
        for wrong in _moved(h):
            refused(lambda: _layer(mode, x, wrong, weights))
            if mode == "lstm":
                refused(lambda: _layer(mode, x, h, weights, wrong))
        for i, shape in enumerate(weights):
            for wrong in _moved(shape):
                changed = [*weights[:i], wrong, *weights[i + 1 :]]
                refused(lambda: _layer(mode, x, h, changed))
        for count in (0, 1, 3, 5):
            refused(lambda: _layer(mode, x, h, (weights * 2)[:count]))


@case("recurrent ranks", "cells")
def cells():
    for mode, gates in GATES.items():
        cell = getattr(gs, f"{mode}_cell")

        def run(x, h, *weights):
            state = (t(*h), t(*h)) if mode == "lstm" else t(*h)
            return cell(t(*x), state, *[t(*shape) for shape in weights])

        weights = [(4 * gates, 3), (4 * gates, 4), (4 * gates,), (4 * gates,)]
        run((2, 3), (2, 4), *weights)
        for wrong in ((3, 1, 1), (2, 4), (2, 3, 1)):
            refused(lambda: run(wrong, (2, 4), *weights))
        for wrong in ((2, 5), (3, 4), (2, 4, 1)):
            refused(lambda: run((2, 3), wrong, *weights))
        for i, shape in enumerate(weights):
            for wrong in _moved(shape):
                changed = [*weights[:i], wrong, *weights[i + 1 :]]
                refused(lambda: run((2, 3), (2, 4), *changed))


@case("recurrent ranks", "modules")
def modules():
    for make in (nn.RNN, nn.GRU, nn.LSTM):
        layer = make(3, 4).to(gs.device(t(1).device))
        for wrong in ((), (3,), (5, 2, 4), (5, 2, 3, 1)):
            refused(lambda: layer(t(*wrong)))
        refused(lambda: layer(t(5, 2, 3), t(1)))
        refused(lambda: layer(None), TypeError, AttributeError, RuntimeError)
        for option in ({"hidden_size": 0}, {"num_layers": 0}, {"dropout": 2.0}, {"dropout": -1.0}):
            refused(lambda: make(**{"input_size": 3, "hidden_size": 4, **option}))
    for sizes in ([2, 3], [-1], [0, 1], [9], [2**63 - 1]):
        refused(lambda: nn.utils.rnn.pack_padded_sequence(t(5, 2, 3), sizes))


@case("depthwise without channels")
def depthwise():
    for n in (1, 2, 3):
        conv = getattr(F, f"conv{n}d")
        refused(lambda: conv(t(2, 0, *(5,) * n), t(0, 1, *(3,) * n), groups=0))
        none = np.zeros((2, 0, *(3,) * n))
        right(lambda: conv(t(2, 4, *(5,) * n), t(0, 1, *(3,) * n), groups=4), none)
        refused(lambda: conv(t(2, 0, *(5,) * n), t(4, 1, *(3,) * n), groups=4))
        right(lambda: conv(t(2, 0, *(5,) * n), t(0, 0, *(3,) * n)), np.zeros((2, 0, *(3,) * n)))
        refused(lambda: getattr(nn, f"Conv{n}d")(0, 0, 3, groups=0))
        refused(lambda: getattr(nn, f"Conv{n}d")(4, 4, 3, groups=3))


@case("empty kernel_size")
def empty_kernel_size():
    for n in (1, 2, 3):
        x = t(1, 1, *(4,) * n)
        for name in ("max_pool", "avg_pool"):
            for kernel in ([], ()):
                refused(lambda: getattr(F, f"{name}{n}d")(x, kernel))
        refused(lambda: getattr(F, f"lp_pool{n}d")(x, 2.0, []))
        refused(lambda: getattr(F, f"adaptive_avg_pool{n}d")(x, []))
        refused(lambda: getattr(F, f"adaptive_max_pool{n}d")(x, []))
        for option in ("kernel_size", "stride", "dilation"):
            options = {"in_channels": 1, "out_channels": 1, "kernel_size": 2, option: []}
            refused(lambda: getattr(nn, f"Conv{n}d")(**options)(t(1, 1, *(4,) * n)))
    refused(lambda: F.unfold(t(1, 1, 4, 4), []))
    refused(lambda: F.fold(t(1, 4, 4), [], 2))
    refused(lambda: F.interpolate(t(1, 1, 4, 4), size=[]))
    refused(lambda: F.interpolate(t(1, 1, 4, 4), scale_factor=[]))
    refused(lambda: F.pad(t(1, 1, 4), [1]))
    refused(lambda: F.layer_norm(t(2, 3), []))


@case("empty bias or scale", "normalisation")
def empty_scales():
    x = t(2, 4, 3)
    for length in (0, 1, 3, 5):
        w = t(length)
        refused(lambda: F.layer_norm(x, (3,), w if length != 3 else t(4)))
        refused(lambda: F.layer_norm(x, (3,), None, w if length != 3 else t(4)))
        refused(lambda: F.rms_norm(x, (3,), w if length != 3 else t(4)))
        refused(lambda: F.group_norm(x, 2, w))
        refused(lambda: F.group_norm(x, 2, t(4), w))
        refused(lambda: F.batch_norm(x, t(4), t(4), w))
        refused(lambda: F.batch_norm(x, t(4), t(4), t(4), w))
        refused(lambda: F.batch_norm(x, w, t(4)))
        refused(lambda: F.batch_norm(x, t(4), w))
        refused(lambda: F.instance_norm(x, weight=w))
        if length != 1:
            refused(lambda: F.prelu(x, w))
        refused(lambda: F.conv_transpose1d(x, t(4, 2, 3), t(length) if length != 2 else None))
        refused(lambda: F.bilinear(t(2, 3), t(2, 3), t(4, 3, 3), t(length)))
    refused(lambda: F.conv1d(x, t(6, 4, 3), of(np.zeros(6), np.int64)))
    refused(lambda: F.linear(x, t(5, 3), of(np.zeros(5), np.float64)))
    for groups in (0, -1, 3, 5, 2**31, 2.0, None):
        refused(lambda: F.group_norm(x, groups))
    refused(lambda: F.cross_entropy(t(3, 4), of([0, 1, 2], np.int64), weight=t(0)))
    refused(lambda: F.cross_entropy(t(3, 4), of([0, 1, 2], np.int64), weight=t(5)))
    refused(lambda: F.nll_loss(t(3, 4), of([0, 1, 2], np.int64), weight=t(4, 1)))
