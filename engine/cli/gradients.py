"""Checks the gradient of each op that a network used, layer by layer, against differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import Tensor, float64, from_numpy, manual_seed
from ..nn import functional as F
from ..testing.gradcheck import check_gradients
from ..train import DigitsRecipe
from .result import GradientCheck

__all__ = ["check_network", "ops_behind"]

IMAGES = 2
# Differences in float64 with a step of 1e-6 are good to about 1e-9; a wrong gradient is off by its
# own size. A kink (relu at 0, a tie of max) is allowed for by the check itself.
TOLERANCE = 1e-6


def ops_behind(tensor: Tensor) -> list[str]:
    """Names of the ops that made a tensor and have a gradient, first to last, each once."""
    found: dict[str, Any] = {}
    seen = set()
    pending = [tensor._node]
    while pending:
        node = pending.pop()
        if isinstance(node, tuple):  # (node, which of its outputs), or (leaf,)
            node = node[0] if len(node) == 2 else None
        if node is None or node in seen:
            continue
        seen.add(node)
        name, number = node.op.name, node.number
        found[name] = min(found.get(name, number), number)
        pending += node.edges
    return sorted(found, key=lambda name: found[name])


def check_network(recipe: DigitsRecipe, device: str = "cpu") -> list[GradientCheck]:
    """Check each layer of the digits network and its loss, on inputs of the layer's own shape.

    Args:
        recipe: Says how wide the network is.
        device: Whose kernels are checked.

    Returns:
        A check for every op that the network's loss is made of, in their order; of several layers
        that use the same op, the worst counts.
    """
    from ..models import DigitsNet

    manual_seed(recipe.seed)
    model = DigitsNet(recipe.width, recipe.dropout).to(float64).to(device)
    model.train()
    rng = np.random.default_rng(0)

    def drawn(shape: tuple[int, ...]) -> Tensor:
        return from_numpy(rng.normal(0.0, 1.0, shape)).to(device)

    checks: dict[str, GradientCheck] = {}
    x = drawn((IMAGES, 1, 8, 8))
    for layer in (*model.features, *model.classifier):
        _check(checks, _repeatable(layer), drawn(tuple(x.shape)), tuple(layer.parameters()))
        x = layer(x).detach()
    target = from_numpy(rng.integers(0, 10, IMAGES)).to(device)
    _check(checks, lambda scores: F.cross_entropy(scores, target), drawn(tuple(x.shape)), ())
    used = ops_behind(F.cross_entropy(model(drawn((IMAGES, 1, 8, 8))), target))
    return [
        checks.get(name) or GradientCheck(name, 0, None, TOLERANCE, False, "was not checked")
        for name in used
    ]


def _repeatable(layer: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """The layer with the same random numbers at every call: dropout then drops the same."""

    def call(x: Tensor) -> Tensor:
        manual_seed(0)
        return layer(x)

    return call


def _check(
    checks: dict[str, GradientCheck],
    function: Callable[[Tensor], Tensor],
    x: Tensor,
    parameters: tuple[Any, ...],
) -> None:
    """Check one function; the result is entered for each op that it is made of."""
    x = x.requires_grad_()
    result = check_gradients(function, (x,), atol=TOLERANCE, rtol=TOLERANCE, parameters=parameters)
    for name in ops_behind(function(x)):
        check = GradientCheck(
            name, result.checked, result.error, TOLERANCE, result.passed, result.message
        )
        before = checks.get(name)
        checks[name] = check if before is None else _both(before, check)


def _both(first: GradientCheck, second: GradientCheck) -> GradientCheck:
    """Two checks of one op as one: the larger error, and whether both passed."""
    errors = [check.error for check in (first, second) if check.error is not None]
    return GradientCheck(
        first.op,
        first.samples + second.samples,
        float(np.max(errors)),  # NaN wins
        TOLERANCE,
        first.passed and second.passed,
        first.note or second.note,
    )
