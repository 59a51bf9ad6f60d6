"""Checks of gradients and values, and the samples they run on: for our tests and for yours."""

from .comparing import assert_close, assert_equal, to_numpy
from .gradcheck import (
    GradcheckError,
    GradcheckResult,
    check_gradients,
    gradcheck,
    gradgradcheck,
)
from .opcheck import CHECKS, find_ops, opcheck
from .report import CheckResult, Failure, OpReport
from .validate import own_op, validate

__all__ = [
    "CHECKS",
    "CheckResult",
    "Failure",
    "GradcheckError",
    "GradcheckResult",
    "OpReport",
    "assert_close",
    "assert_equal",
    "check_gradients",
    "find_ops",
    "gradcheck",
    "gradgradcheck",
    "opcheck",
    "own_op",
    "to_numpy",
    "validate",
]
