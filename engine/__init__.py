"""gradsmith: a tensor engine of hand-written kernels under a thin autograd with PyTorch's names."""

from . import _cpu, environment

if environment.ISA:
    _cpu.set_isa(environment.ISA)

from math import e, inf, nan, pi
from typing import TYPE_CHECKING

from . import autograd, backends, cuda
from ._cpu import empty_cache, memory_stats, set_num_threads
from ._cpu import num_threads as get_num_threads
from .autograd.function import Function
from .autograd.anomaly import is_anomaly_enabled
from .autograd.grad_mode import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from .backends import are_deterministic_algorithms_enabled, use_deterministic_algorithms
from .device import device
from .dtype import (
    bfloat16,
    bool_,
    can_cast,
    finfo,
    iinfo,
    dtype,
    float16,
    float32,
    float64,
    get_default_dtype,
    int8,
    int16,
    int32,
    int64,
    promote_types,
    set_default_dtype,
    uint8,
)
from .ops.arithmetic import *
from .ops.choose import *
from .ops.compare import *
from .ops.arrange import *
from .ops.activation import *
from .ops.creation import *
from .ops.creation import get_default_device, set_default_device
from .ops.conv import *
from .ops import convert, inplace, operators, view_changes, window  # install Tensor's methods
from .ops.elementwise import *
from .ops.index import *
from .ops.loss import *
from .ops.math import *
from .ops.matmul import *
from .ops.pair_loss import *
from .ops.distance import *
from .ops.einsum import *
from .ops.margin_loss import *
from .ops.products import *
from .ops.epilogue import *
from .ops.linalg import *
from .ops.linalg_norms import *
from .ops.interop import *
from .ops.like import *
from .ops.pool import *
from .ops.promote import *
from .ops.random import *
from .ops.ranges import *
from .ops.recurrent_layers import *
from .ops.reduce import *
from .ops.scan import *
from .ops.sort import *
from .ops.spread import *
from .ops.subscript import *
from .ops.in_place_names import *
from .ops.softmax import *
from .ops.view import *
from .ops.top_level import *  # behind the others: forms that take the place of theirs
from .memory_format import *
from .printing import get_printoptions, set_printoptions
from .random import (
    Generator,
    default_generator,
    get_rng_state,
    initial_seed,
    manual_seed,
    seed,
    set_rng_state,
)
from .tensor import Parameter, Size, Tensor

from .backend import backend
from .serialization import load, save

__version__ = "0.1.0"

if TYPE_CHECKING:
    from . import linalg, nn, optim, profiler, utils
    from .nn.summary import summary

#: Imported when they are first used, so that importing gradsmith stays quick: name -> its module.
_LAZY = {
    "datasets": "",
    "linalg": "",
    "models": "",
    "nn": "",
    "optim": "",
    "profiler": "",
    "summary": "nn.summary",
    "testing": "",
    "train": "",
    "transforms": "",
    "utils": "",
}


def __getattr__(name: str) -> object:
    import importlib

    if name not in _LAZY:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    module = _LAZY[name]
    if not module:
        return importlib.import_module(f".{name}", __name__)
    value = getattr(importlib.import_module(f".{module}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})


def _of_testing(name: str) -> object:
    from importlib import import_module

    return getattr(import_module(".testing", __name__), name)


autograd.later.update({name: _of_testing for name in ("gradcheck", "gradgradcheck")})

newaxis = None

float = float32
double = float64
half = float16
long = int64
short = int16
int = int32
bool = bool_
