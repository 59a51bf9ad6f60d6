"""Recurrent layers as ops: rnn, lstm and gru, one layer in one direction each."""

from __future__ import annotations

from ..autograd.op import op

__all__: list[str] = []

_NO_SECOND = "no second derivative of {} yet"


def _weight_gradient(k, grad_gates, h_before):
    """grad_gates^T h_before: the sum over all rows of all steps."""
    shape = (grad_gates.shape[1], h_before.shape[1])
    return k.matmul(k.permute(grad_gates, (1, 0)), h_before, None, shape)


def _bias_gradient(k, grad_gates):
    return k.sum(grad_gates, (0,), (grad_gates.shape[1],))


@op(
    inputs="x h_0? weight_hh bias_hh?",
    kernel="rnn_fwd",
    outputs=2,
    differentiable=2,
    formula="h' = tanh(x + W h + b), or relu of it",
    source="Elman 1990",
)
def rnn_(k, x, h_0, weight_hh, bias_hh, batch_sizes, h_shape, relu, reverse):
    y, h_n = k.rnn_fwd(x, h_0, weight_hh, bias_hh, batch_sizes, h_shape, relu, reverse)
    return (y, h_n), (y, h_0, weight_hh)


@rnn_.gradient
def _(k, saved, grads, need, batch_sizes, h_shape, relu, reverse):
    y, h_0, weight_hh = saved
    grad_x, grad_h_0, h_before = k.rnn_bwd(
        grads[0], grads[1], y, h_0, weight_hh, batch_sizes, h_shape, relu, reverse
    )
    return (
        grad_x,
        grad_h_0,
        _weight_gradient(k, grad_x, h_before) if need[2] else None,
        _bias_gradient(k, grad_x) if need[3] else None,
    )


@op(
    inputs="grad_y grad_h_n y h_0? weight_hh",
    kernel="rnn_bwd",
    outputs=3,
    differentiable=3,
    formula="grad_x = (grad_y + W^T grad_x of the next step) * (1 - y^2), or where y > 0",
)
def rnn_bwd_(k, grad_y, grad_h_n, y, h_0, weight_hh, batch_sizes, h_shape, relu, reverse):
    return k.rnn_bwd(grad_y, grad_h_n, y, h_0, weight_hh, batch_sizes, h_shape, relu, reverse), ()


@rnn_bwd_.gradient
def _(k, saved, grads, need, batch_sizes, h_shape, relu, reverse):
    raise NotImplementedError(_NO_SECOND.format("rnn"))


@op(
    inputs="x h_0? c_0? weight_hh bias_hh? weight_hr?",
    kernel="lstm_fwd",
    outputs=3,
    differentiable=3,
    formula="i, f, g, o = sigm, sigm, tanh, sigm of (x + W h + b); c' = f c + i g; h' = o tanh(c')",
    source="Hochreiter & Schmidhuber 1997; the projection W_hr h': Sak et al. 2014",
)
def lstm_(
    k,
    x,
    h_0,
    c_0,
    weight_hh,
    bias_hh,
    weight_hr,
    batch_sizes,
    y_shape,
    h_shape,
    c_shape,
    saved_shape,
    reverse,
):
    shapes = (y_shape, h_shape, c_shape, saved_shape)
    y, h_n, c_n, gates = k.lstm_fwd(
        x, h_0, c_0, weight_hh, bias_hh, weight_hr, batch_sizes, *shapes, reverse
    )
    return (y, h_n, c_n), (gates, y, h_0, c_0, weight_hh, weight_hr)


@lstm_.gradient
def _(k, saved, grads, need, batch_sizes, y_shape, h_shape, c_shape, saved_shape, reverse):
    gates, y, h_0, c_0, weight_hh, weight_hr = saved
    rows, hidden = y_shape[0], c_shape[1]
    projects = weight_hr is not None
    options = (
        batch_sizes,
        (rows, 4 * hidden),
        h_shape,
        c_shape,
        y_shape if projects else (0,),
        reverse,
    )
    grad_x, grad_h_0, grad_c_0, h_before, grad_projected = k.lstm_bwd(
        *grads, gates, y, h_0, c_0, weight_hh, weight_hr, *options
    )
    grad_hr = None
    if need[5]:
        output = k.slice(gates, (0, 5 * hidden), (1, 1), (rows, hidden))
        grad_hr = _weight_gradient(k, grad_projected, output)
    return (
        grad_x,
        grad_h_0,
        grad_c_0,
        _weight_gradient(k, grad_x, h_before) if need[3] else None,
        _bias_gradient(k, grad_x) if need[4] else None,
        grad_hr,
    )


@op(
    inputs="grad_y grad_h_n grad_c_n saved y h_0? c_0? weight_hh weight_hr?",
    kernel="lstm_bwd",
    outputs=5,
    differentiable=5,
    formula="the gates' gradients before their activations, from the last step to the first",
)
def lstm_bwd_(
    k,
    grad_y,
    grad_h_n,
    grad_c_n,
    saved,
    y,
    h_0,
    c_0,
    weight_hh,
    weight_hr,
    batch_sizes,
    x_shape,
    h_shape,
    c_shape,
    projected_shape,
    reverse,
):
    options = (batch_sizes, x_shape, h_shape, c_shape, projected_shape, reverse)
    return k.lstm_bwd(
        grad_y, grad_h_n, grad_c_n, saved, y, h_0, c_0, weight_hh, weight_hr, *options
    ), ()


@lstm_bwd_.gradient
def _(k, saved, grads, need, *options):
    raise NotImplementedError(_NO_SECOND.format("lstm"))


@op(
    inputs="x h_0? weight_hh bias_hh?",
    kernel="gru_fwd",
    outputs=2,
    differentiable=2,
    formula="r, z = sigm(x + W h + b); n = tanh(x_n + r (W_n h + b_n)); h' = (1 - z) n + z h",
    source="Cho et al. 2014",
)
def gru_(k, x, h_0, weight_hh, bias_hh, batch_sizes, y_shape, h_shape, saved_shape, reverse):
    y, h_n, gates = k.gru_fwd(
        x, h_0, weight_hh, bias_hh, batch_sizes, y_shape, h_shape, saved_shape, reverse
    )
    return (y, h_n), (gates, y, h_0, weight_hh)


@gru_.gradient
def _(k, saved, grads, need, batch_sizes, y_shape, h_shape, saved_shape, reverse):
    gates, y, h_0, weight_hh = saved
    x_shape = (y_shape[0], 3 * y_shape[1])
    grad_x, grad_hidden, grad_h_0, h_before = k.gru_bwd(
        *grads, gates, y, h_0, weight_hh, batch_sizes, x_shape, h_shape, reverse
    )
    return (
        grad_x,
        grad_h_0,
        _weight_gradient(k, grad_hidden, h_before) if need[2] else None,
        _bias_gradient(k, grad_hidden) if need[3] else None,
    )


@op(
    inputs="grad_y grad_h_n saved y h_0? weight_hh",
    kernel="gru_bwd",
    outputs=4,
    differentiable=4,
    formula="the gates' gradients before their activations, from the last step to the first",
)
def gru_bwd_(k, grad_y, grad_h_n, saved, y, h_0, weight_hh, batch_sizes, x_shape, h_shape, reverse):
    return k.gru_bwd(
        grad_y, grad_h_n, saved, y, h_0, weight_hh, batch_sizes, x_shape, h_shape, reverse
    ), ()


@gru_bwd_.gradient
def _(k, saved, grads, need, batch_sizes, x_shape, h_shape, reverse):
    raise NotImplementedError(_NO_SECOND.format("gru"))
