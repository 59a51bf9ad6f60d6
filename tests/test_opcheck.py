"""opcheck and its report: what passes, what must be found, what the data looks like."""

from __future__ import annotations

import dataclasses
import json
import shlex
from typing import Any

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.autograd.op import OPS
from gradsmith.testing import CHECKS, OpReport, find_ops, opcheck
from gradsmith.testing.opdb import ErrorSample, OpInfo, Sample, op_infos
from gradsmith.testing.opdb.record import Arr

NAMES = ("relu", "conv2d", "sum", "max_pool2d", "matmul", "cross_entropy")


def broken(name: str, **changes: Any) -> OpInfo:
    """An op of the database with something else in its place."""
    return dataclasses.replace(find_ops(name)[0], **changes)


@pytest.mark.parametrize("name", NAMES)
def test_ops_pass(name: str) -> None:
    report = opcheck(name, samples=4)
    assert report.passed and report.status == "passed" and not report.failures
    assert [c.check for c in report.checks] == list(CHECKS)
    ran = {c.check for c in report.checks if c.status == "passed"}
    assert ran >= set(CHECKS) - {"devices"}
    assert all(c.count > 0 for c in report.checks if c.status == "passed")
    assert report.ulp is not None and report.count > 100


def test_layouts_and_places_of_every_op() -> None:
    """What no other test loops over: a seeded sample of every op."""
    failures = []
    for i, info in enumerate(op_infos()):
        small = [s for s in info.samples() if not {"large", "slow"} & s.tags]
        report = opcheck(
            info,
            samples=small[i * 7 % len(small) :][:1] if small else 1,
            dtype="float32" if i % 2 else "float64",
            checks=("unchanged", "layouts", "inplace", "repeat"),
            seed=i,
            raise_exception=False,
        )
        failures += [str(f) for f in report.failures]
    assert not failures, "\n".join(failures)


def test_an_op_is_found_by_name_record_and_function() -> None:
    assert find_ops("relu") == find_ops(gs.relu)
    assert {i.name for i in find_ops(OPS["conv"])} >= {"conv1d", "conv2d", "conv3d"}
    info = find_ops("relu")[0]
    assert find_ops(info) == [info]
    with pytest.raises(ValueError, match="no op of the sample database is called 'nonsense'"):
        opcheck("nonsense")
    with pytest.raises(TypeError, match="must be a name, an OpInfo or an op record; got int"):
        opcheck(3)


def test_what_is_asked_for_is_run() -> None:
    seen = []
    report = opcheck(
        "relu",
        dtype="float32",
        isa=gs.backends.cpu.isas()[0],
        threads=1,
        checks=("layouts", "forward"),
        samples=2,
        on_result=seen.append,
    )
    assert [c.check for c in report.checks] == ["forward", "layouts"] == [c.check for c in seen]
    assert report.dtypes == ("float32",)
    assert (report.isa, report.threads) == (gs.backends.cpu.isas()[0], 1)
    one = find_ops("relu")[0].samples()[3]
    for asked in (one.id, [one.id], one, lambda s: s.id == one.id):
        assert opcheck("relu", samples=asked, checks="forward").samples == 1
    for wrong, match in (
        ({"checks": "fast"}, "checks are forward, .*; got 'fast'"),
        ({"dtype": "float8"}, "relu runs in .*; got 'float8'"),
        ({"samples": "nonsense"}, "no sample of relu has the id 'nonsense'"),
        ({"device": "tpu"}, "device must be 'cpu' or 'cuda'; got 'tpu'"),
        ({"isa": "v9"}, "this processor runs"),
    ):
        with pytest.raises(ValueError, match=match):
            opcheck("relu", **wrong)


def test_settings_are_as_before() -> None:
    before = gs.backends.cpu.isa(), gs.get_num_threads()
    opcheck("relu", isa=gs.backends.cpu.isas()[0], threads=1, samples=1)
    assert (gs.backends.cpu.isa(), gs.get_num_threads()) == before


def test_when_the_time_is_over_the_report_says_so() -> None:
    report = opcheck("relu", budget=0.0)
    assert report.status == "skipped" and report.passed
    assert {c.status for c in report.checks} == {"skipped"}
    assert "the time was over" in report.checks[0].reason


def test_a_report_is_plain_data() -> None:
    def wrong(lib: Any, x: Any) -> Any:
        return lib.relu(x) * 1.001

    info = broken("relu", call=wrong)
    report = opcheck(info, raise_exception=False, checks=("forward", "errors", "second"))
    data = json.loads(json.dumps(report.to_dict()))
    assert OpReport.from_dict(data) == report
    assert data["passed"] is False and data["status"] == "failed"
    assert data["checks"][0]["failures"][0]["message"].startswith("relu output 0: ")
    assert data["checks"][0]["failed"] > len(data["checks"][0]["failures"]) == 5


def test_a_failure_has_one_command_that_repeats_it(monkeypatch: pytest.MonkeyPatch) -> None:
    info = find_ops("matmul")[0]
    monkeypatch.setattr(type(info), "expected", lambda *_: (np.float64(0.5),))
    report = opcheck(info, checks="forward", raise_exception=False, dtype="float32", threads=2)
    failure = report.failures[0]
    words = shlex.split(failure.reproduce)
    assert words[:4] == ["gradsmith", "validate", "--ops", "^matmul$"]
    options = dict(zip(words[4::2], words[5::2], strict=True))
    assert options == {
        "--sample": failure.sample,
        "--checks": "forward",
        "--dtype": "float32",
        "--device": "cpu",
        "--isa": gs.backends.cpu.isa(),
        "--threads": "2",
    }
    assert failure.reproduce in str(failure)


class Remembers(gs.Function):
    """Its gradient counts its calls."""

    calls = 0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return gs.relu(x)

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        Remembers.calls += 1
        return grad_y * (1.0 + 1e-7 * Remembers.calls)


def _writes(lib: Any, x: Any) -> Any:
    y = lib.relu(x)
    array = x.detach().numpy()
    if array.size and array.flags.writeable:
        array[...] = 0.0
    return y


def _memory(lib: Any, x: Any) -> Any:
    """Reads its memory from the first byte on, whatever the strides."""
    array = x.detach().numpy()
    if array.size and not array.flags.c_contiguous and 0 not in array.strides:
        low = np.lib.stride_tricks.as_strided(array, (array.size,), (array.itemsize,))
        if array.strides[-1] > 0:
            return lib.relu(gs.from_numpy(low.reshape(array.shape).copy()) + x * 0.0)
    return lib.relu(x)


def _by_threads(lib: Any, x: Any) -> Any:
    return lib.relu(x) * (1.0 + 1e-6 * lib.get_num_threads())


def _by_isa(lib: Any, x: Any) -> Any:
    return lib.relu(x) * (1.0 if lib.backends.cpu.isa() == lib.backends.cpu.isas()[-1] else 1.1)


_calls = [0]


def _by_call(lib: Any, x: Any) -> Any:
    _calls[0] += 1
    return lib.relu(x) + 1e-9 * (_calls[0] % 2)


class Unsaved(gs.Function):
    """Keeps the array itself, not a saved tensor: a change in place goes unseen."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.array = x.detach().numpy()
        return x * x

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        return grad_y * gs.from_numpy(ctx.array) * 2.0


class Detached(gs.Function):
    """The right first gradient, but no second one."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        return grad_y * (ctx.saved_tensors[0] * 2.0).detach()


class Coarse(gs.Function):
    """A gradient that is right in float64 only."""

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        return x * 3.0

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        return grad_y * (3.0 if grad_y.dtype is gs.float64 else 3.001)


SQUARE = {"reference": np.square, "samples": lambda: [Sample((Arr((3, 5)),)), Sample((Arr(()),))]}
TRIPLE = {**SQUARE, "reference": lambda x: 3 * x}

SEEDED: dict[str, tuple[str, OpInfo]] = {
    "forward": ("output 0", broken("relu", call=lambda lib, x: lib.relu(x) * 1.01)),
    "unchanged": ("an input was changed", broken("relu", call=_writes)),
    "gradient": ("two passes differ", broken("relu", call=lambda _, x: Remembers.apply(x))),
    "second": ("worst at input 0", broken("relu", call=lambda _, x: Detached.apply(x), **SQUARE)),
    "precision": ("gradient 0", broken("relu", call=lambda _, x: Coarse.apply(x), **TRIPLE)),
    "layouts": ("layout ", broken("relu", call=_memory)),
    "inplace": ("no error: grad", broken("relu", call=lambda _, x: Unsaved.apply(x), **SQUARE)),
    "repeat": ("a second run", broken("relu", call=_by_call)),
    "threads": ("at 2 threads", broken("relu", call=_by_threads)),
    "isas": ("v", broken("relu", call=_by_isa)),
    "errors": (
        "must raise TypeError; nothing was raised",
        broken("relu", errors=(ErrorSample((Arr((2,)),), {}, TypeError, "x"),)),
    ),
}


def test_an_op_without_an_empty_sample_is_run_on_nothing() -> None:
    def never_empty(lib: Any, x: Any) -> Any:
        return lib.relu(x) if x.numel() else lib.zeros(1, 5, dtype=x.dtype)

    info = broken("relu", samples=lambda: [Sample((Arr((3, 5)),))])
    assert opcheck(info, checks="layouts").passed
    with pytest.raises(AssertionError, match=r"layout empty: output 0 has the shape \(1, 5\)"):
        opcheck(dataclasses.replace(info, call=never_empty), checks="layouts")


class SlightlyCoarse(Coarse):
    """Off by 5e-5 in float32."""

    @staticmethod
    def backward(ctx: Any, grad_y: Any) -> Any:
        return grad_y * (3.0 if grad_y.dtype is gs.float64 else 3.00005)


def test_precision_of_an_elementwise_op_does_not_depend_on_its_size() -> None:
    samples = lambda: [Sample((Arr((300, 200)),))]  # noqa: E731
    info = broken("relu", call=lambda _, x: SlightlyCoarse.apply(x), **TRIPLE)
    info = dataclasses.replace(info, samples=samples)
    assert not opcheck(info, checks="precision", raise_exception=False).passed
    right = dataclasses.replace(info, call=lambda _, x: Coarse.apply(x * 1.0) * 0.0 + x * 3.0)
    assert opcheck(right, checks="precision").passed


@pytest.mark.parametrize("check", SEEDED)
def test_what_is_wrong_is_found(check: str) -> None:
    match, info = SEEDED[check]
    if check == "isas" and len(gs.backends.cpu.isas()) == 1:
        pytest.skip("this processor runs one build only")
    with pytest.raises(AssertionError, match=f"relu: failed(.|\n)*{check}(.|\n)*{match}"):
        opcheck(info, checks=check)


def test_devices_are_compared(cuda: str) -> None:
    report = opcheck("sum", checks=("devices", "forward"), samples=3)
    assert report.check("devices").status == "passed"

    def differs(lib: Any, x: Any) -> Any:
        return lib.relu(x) * (1.0 if x.device.type == "cpu" else 1.5)

    info = broken("relu", call=differs)
    assert opcheck(info, checks="forward", samples=2).passed
    with pytest.raises(AssertionError, match="cpu against cuda: output 0"):
        opcheck(info, checks="devices", samples=2)
    with pytest.raises(AssertionError, match="on cuda(.|\n)*forward"):
        opcheck(info, checks="forward", samples=2, device="cuda")


def test_op_of_ones_own() -> None:
    info = OpInfo(
        name="cube",
        covers=(),
        call=lambda lib, x: x * x * x,
        reference=lambda x: x**3,
        samples=lambda: [Sample((Arr((3, 4)),)), Sample((Arr((2, 3), layout="f"),))],
        ulp=2.0,
    )
    report = opcheck(info)
    assert report.op == "cube" and report.samples == 2
    wrong = dataclasses.replace(info, reference=lambda x: x**3 + 1.0)
    report = opcheck(wrong, raise_exception=False)
    assert report.failures and report.failures[0].reproduce == ""
