"""Every error sample: the exception's type, and a message that names the rule and the values."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.testing.checks import check_error
from gradsmith.testing.opdb import ErrorSample, OpInfo, op_infos

CASES = [
    pytest.param(info, sample, id=f"{info.name}-{i}-{sample.id}")
    for info in op_infos()
    for i, sample in enumerate(info.errors)
]


@pytest.mark.parametrize("info,sample", CASES)
def test_error(info: OpInfo, sample: ErrorSample) -> None:
    check_error(info, sample, "cpu")


#: Methods, as the samples call them: what is no tensor has no such method.
METHODS = {
    *("broadcast_to", "broadcast_tensors", "cast", "clone", "contiguous", "expand", "flatten"),
    *(
        "fliplr",
        "flipud",
        "linalg_cholesky",
        "linalg_eigh",
        "linalg_inv",
        "linalg_solve",
        "slogdet",
    ),
    *("masked_fill", "meshgrid", "moveaxis", "movedim", "multi_margin_loss", "log_softmax"),
    *("multilabel_margin_loss", "permute", "ravel", "repeat", "reshape", "squeeze", "strides_kept"),
    *("swapdims", "tile", "transpose", "unsqueeze", "view", "windows"),
}


@pytest.mark.parametrize("info", [i for i in op_infos() if i.torch], ids=lambda i: i.name)
def test_what_is_no_tensor_is_refused(info: OpInfo) -> None:
    """Every op that users call, with a string in the place of its tensors."""
    sample = info.samples()[-1]
    arguments = [
        "x" if isinstance(a, np.ndarray) else ["x"] * len(a) if isinstance(a, list) else a
        for a in sample.build("float32")
    ]
    if all(isinstance(a, str) for a in arguments) and info.name in ("add", "integer_add"):
        return  # Python adds strings
    error = (TypeError, AttributeError) if info.name in METHODS else TypeError
    with pytest.raises(error):
        info.call(gs, *arguments, **sample.options)


# ---- what is not an op's call ----

X = gs.tensor([[1.0, 2.0], [3.0, 4.0]])


@pytest.mark.parametrize(
    "call,error,match",
    [
        (lambda: gs.zeros(-1), RuntimeError, r"zeros: sizes must be >= 0; got \(-1,\)"),
        (lambda: gs.zeros(2.5), TypeError, "zeros: size must be an int; got 2.5"),
        (lambda: gs.zeros(2**40, 2**40), RuntimeError, "63 bits"),
        (lambda: gs.full((2,), 1.0, dtype="nonsense"), TypeError, "nonsense"),
        (lambda: gs.tensor([[1, 2], [3]]), ValueError, "tensor: data must be numbers in a regular"),
        (lambda: gs.tensor(["a"]), TypeError, "gradsmith has"),
        (lambda: gs.tensor([1], requires_grad=True), RuntimeError, "only floating-point tensors"),
        (lambda: gs.from_numpy([1.0]), TypeError, "from_numpy: needs a numpy.ndarray; got list"),
        (lambda: gs.from_dlpack(3), TypeError, "from_dlpack: needs an object with __dlpack__"),
        (lambda: X.item(), RuntimeError, r"item: the tensor must have one element; got shape"),
        (lambda: bool(X), RuntimeError, "ambiguous"),
        (lambda: len(gs.tensor(1.0)), TypeError, "len: a 0-dim tensor has no length"),
        (lambda: range(gs.tensor(1.5)), TypeError, "needs an integer tensor"),
        (lambda: X.size(2), IndexError, r"size: dim must be in \[-2, 2\)"),
        (lambda: X.to("nowhere"), RuntimeError, "type must be 'cpu' or 'cuda'; got 'nowhere'"),
        (lambda: X.to("cuda:7"), RuntimeError, "one cuda device, number 0"),
        (lambda: X.to(3), TypeError, "to: takes a dtype, a device or a tensor; got 3"),
        (lambda: gs.device("cpu:x"), RuntimeError, "wants 'type' or 'type:index'"),
        (lambda: gs.set_default_dtype(gs.int32), TypeError, "needs a floating-point dtype"),
        (lambda: gs.manual_seed(1.5), TypeError, "seed must be an int"),
        (lambda: gs.set_num_threads(0), ValueError, "n must be at least 1; got 0"),
        (lambda: gs.set_num_threads(-(10**30)), ValueError, "n must be at least 1; got -10"),
        (lambda: gs.set_num_threads("2"), TypeError, "set_num_threads: n must be an int; got '2'"),
        (lambda: gs.set_num_threads(True), TypeError, "n must be an int; got True"),
        (lambda: gs.nn.functional.dropout(X, 1.5), ValueError, r"p must be in \[0, 1\]; got 1.5"),
        (lambda: gs.nn.functional.dropout(X, -0.1), ValueError, r"p must be in \[0, 1\]"),
        (lambda: gs.nn.functional.dropout(X, float("nan")), ValueError, r"p must be in \[0, 1\]"),
        (lambda: X.view(3), RuntimeError, r"view: shape \(3,\) has 3 elements"),
        (lambda: X + gs.tensor([1.0, 2.0, 3.0]), RuntimeError, "add: shapes must match or broad"),
        (lambda: gs.Parameter([1.0]), TypeError, "Parameter: data must be a tensor; got list"),
        (lambda: X.__deepcopy__({}).requires_grad_().numpy(), RuntimeError, "detach"),
    ],
)
def test_other_errors(call: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()  # type: ignore[operator]


def test_mixed_devices_are_named(cuda: str) -> None:
    x = gs.tensor([1.0, 2.0])
    for call in (lambda: x + x.to(cuda), lambda: x.to(cuda) * x, lambda: x.to(cuda) @ x):
        with pytest.raises(RuntimeError, match="on one device.*'cpu', 'cuda'"):
            call()


def test_any_whole_number_of_threads() -> None:
    before = gs.get_num_threads()
    try:
        for n, taken in ((np.int64(2), 2), (10**12, 256), (1, 1)):
            gs.set_num_threads(n)
            assert gs.get_num_threads() == taken
    finally:
        gs.set_num_threads(before)
