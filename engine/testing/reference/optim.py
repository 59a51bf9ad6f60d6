"""Optimizers in float64 NumPy, one parameter at a time, as torch.optim writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

__all__ = ["STEPS", "average", "total_norm", "trajectory"]

Array = np.ndarray[Any, Any]
Options = dict[str, Any]

#: Options that an optimizer has without being told.
DEFAULTS: dict[str, Options] = {
    "SGD": {"lr": 1e-3, "momentum": 0, "dampening": 0, "nesterov": False},
    "ASGD": {"lr": 1e-2, "lambd": 1e-4, "alpha": 0.75, "t0": 1e6},
    "Adagrad": {"lr": 1e-2, "lr_decay": 0, "initial_accumulator_value": 0, "eps": 1e-10},
    "Adadelta": {"lr": 1.0, "rho": 0.9, "eps": 1e-6},
    "RMSprop": {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "momentum": 0, "centered": False},
    "Rprop": {"lr": 1e-2, "etas": (0.5, 1.2), "step_sizes": (1e-6, 50)},
    "Adam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "amsgrad": False},
    "Adamax": {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8},
    "NAdam": {"lr": 2e-3, "betas": (0.9, 0.999), "eps": 1e-8, "momentum_decay": 4e-3},
    "RAdam": {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8},
    "Lion": {"lr": 1e-4, "betas": (0.9, 0.99), "decoupled_weight_decay": True},
}
DEFAULTS["AdamW"] = {**DEFAULTS["Adam"], "weight_decay": 1e-2, "decoupled_weight_decay": True}


def _sgd(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    if o["momentum"]:
        s["b"] = g if t == 1 else o["momentum"] * s["b"] + (1 - o["dampening"]) * g
        g = g + o["momentum"] * s["b"] if o["nesterov"] else s["b"]
    return p - o["lr"] * g


def _asgd(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    eta, mu = s.get("eta", o["lr"]), s.get("mu", 1.0)
    p = p * (1 - o["lambd"] * eta) - eta * g
    s["ax"] = p if mu == 1 else s["ax"] + mu * (p - s["ax"])
    s["eta"] = o["lr"] / (1 + o["lambd"] * o["lr"] * t) ** o["alpha"]
    s["mu"] = 1 / max(1.0, t - o["t0"])
    return p


def _adagrad(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    s["sum"] = s.get("sum", o["initial_accumulator_value"]) + g * g
    return p - o["lr"] / (1 + (t - 1) * o["lr_decay"]) * g / (np.sqrt(s["sum"]) + o["eps"])


def _adadelta(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    rho, eps = o["rho"], o["eps"]
    s["square"] = rho * s.get("square", 0) + (1 - rho) * g * g
    d = np.sqrt(s.get("delta", 0) + eps) / np.sqrt(s["square"] + eps) * g
    s["delta"] = rho * s.get("delta", 0) + (1 - rho) * d * d
    return p - o["lr"] * d


def _rmsprop(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    alpha = o["alpha"]
    s["square"] = alpha * s.get("square", 0) + (1 - alpha) * g * g
    power = s["square"]
    if o["centered"]:
        s["mean"] = alpha * s.get("mean", 0) + (1 - alpha) * g
        power = power - s["mean"] ** 2
    d = g / (np.sqrt(power) + o["eps"])
    if o["momentum"]:
        d = s["b"] = o["momentum"] * s.get("b", 0) + d
    return p - o["lr"] * d


def _rprop(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    turn = np.sign(s.get("g", 0) * g)
    factor = np.where(turn > 0, o["etas"][1], np.where(turn < 0, o["etas"][0], 1.0))
    s["r"] = np.clip(s.get("r", o["lr"]) * factor, *o["step_sizes"])
    s["g"] = np.where(turn < 0, 0.0, g)
    return p - s["r"] * np.sign(s["g"])


def _averages(g: Array, s: Options, o: Options) -> tuple[Array, Array]:
    beta1, beta2 = o["betas"]
    s["m"] = beta1 * s.get("m", 0) + (1 - beta1) * g
    s["v"] = beta2 * s.get("v", 0) + (1 - beta2) * g * g
    return s["m"], s["v"]


def _adam(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    beta1, beta2 = o["betas"]
    m, v = _averages(g, s, o)
    if o["amsgrad"]:
        v = s["most"] = np.maximum(s.get("most", 0), v)
    return p - o["lr"] * (m / (1 - beta1**t)) / (np.sqrt(v / (1 - beta2**t)) + o["eps"])


def _adamax(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    m, _ = _averages(g, s, o)
    s["u"] = np.maximum(o["betas"][1] * s.get("u", 0), np.abs(g) + o["eps"])
    return p - o["lr"] / (1 - o["betas"][0] ** t) * m / s["u"]


def _nadam(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    beta1, beta2 = o["betas"]
    m, v = _averages(g, s, o)
    mu, following = (beta1 * (1 - 0.5 * 0.96 ** (n * o["momentum_decay"])) for n in (t, t + 1))
    s["product"] = s.get("product", 1.0) * mu
    ahead = following / (1 - s["product"] * following) * m
    direction = (1 - mu) / (1 - s["product"]) * g + ahead
    return p - o["lr"] * direction / (np.sqrt(v / (1 - beta2**t)) + o["eps"])


def _radam(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    beta1, beta2 = o["betas"]
    m, v = _averages(g, s, o)
    m = m / (1 - beta1**t)
    rho = 2 / (1 - beta2) - 1
    now = rho - 2 * t * beta2**t / (1 - beta2**t)
    if now <= 5:
        return p - o["lr"] * m
    r = np.sqrt((now - 4) * (now - 2) * rho / ((rho - 4) * (rho - 2) * now))
    return p - o["lr"] * r * m * np.sqrt(1 - beta2**t) / (np.sqrt(v) + o["eps"])


def _lion(p: Array, g: Array, s: Options, t: int, o: Options) -> Array:
    beta1, beta2 = o["betas"]
    m = s.get("m", np.zeros_like(p))
    s["m"] = beta2 * m + (1 - beta2) * g
    return p - o["lr"] * np.sign(beta1 * m + (1 - beta1) * g)


#: Optimizer -> step(p, g, state, t, options): the parameter after step t.
STEPS: dict[str, Callable[[Array, Array, Options, int, Options], Array]] = {
    "SGD": _sgd,
    "ASGD": _asgd,
    "Adagrad": _adagrad,
    "Adadelta": _adadelta,
    "RMSprop": _rmsprop,
    "Rprop": _rprop,
    "Adam": _adam,
    "AdamW": _adam,
    "Adamax": _adamax,
    "NAdam": _nadam,
    "RAdam": _radam,
    "Lion": _lion,
}


def trajectory(name: str, p: Array, grads: Iterable[Array], **options: Any) -> Array:
    """The parameter after a step of optimizer `name` for each gradient."""
    o = {"maximize": False, "weight_decay": 0, "decoupled_weight_decay": False}
    o |= DEFAULTS[name] | options
    state: Options = {}
    for t, grad in enumerate(grads, 1):
        g = -grad if o["maximize"] else grad
        if o["decoupled_weight_decay"]:
            p = p * (1 - o["lr"] * o["weight_decay"])
        else:
            g = g + o["weight_decay"] * p
        p = STEPS[name](p, g, state, t, o)
    return p


def total_norm(arrays: Iterable[Array], norm_type: float = 2.0) -> float:
    """The norm of all elements of all arrays; p = 0 counts the arrays that are not all 0."""
    arrays = [np.abs(np.asarray(a, np.float64)).ravel() for a in arrays]
    if norm_type == 0:
        return float(sum(bool(a.any()) for a in arrays))
    x = np.concatenate(arrays)
    if np.isinf(norm_type):
        return float(x.max() if norm_type > 0 else x.min())
    return float((x**norm_type).sum() ** (1 / norm_type))


def average(values: Iterable[Array], decay: float | None = None) -> Array:
    """The mean of all values; with `decay` their exponential moving average."""
    result = None
    for n, value in enumerate(values):
        if result is None:
            result = np.asarray(value, np.float64)
            continue
        weight = 1 / (n + 1) if decay is None else 1 - decay
        result = result + weight * (value - result)
    assert result is not None
    return result
