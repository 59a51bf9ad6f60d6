"""Checks of gradients and values, and the samples they run on: for our tests and for yours."""

from .comparing import assert_close, assert_equal, to_numpy
from .gradcheck import (
    GradcheckError,
    GradcheckResult,
    check_gradients,
    gradcheck,
    gradgradcheck,
)

__all__ = [
    "GradcheckError",
    "GradcheckResult",
    "assert_close",
    "assert_equal",
    "check_gradients",
    "gradcheck",
    "gradgradcheck",
    "to_numpy",
]
