"""Every compute op launches a kernel of ours on each device: nothing else does its work."""

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.autograd.op import OPS
from gradsmith.kernels import KERNELS, VIEWS, table
from gradsmith.kernels.solvers import SOLVERS
from gradsmith.testing import opdb

#: Ops that read no element: views, the move between devices; and the solvers, not kernels of ours.
NO_KERNEL = {*VIEWS, *SOLVERS, "transfer"}
COMPUTE = [name for name, op in OPS.items() if op.kernel not in NO_KERNEL]


class Launches:
    """Counts the kernels that run on a device, and those that each op's forward runs."""

    def __init__(self, device, monkeypatch):
        self.device = device
        self.of_op = {}
        if device == "cpu":
            self.calls = 0
            t = table("cpu")
            for name in KERNELS:
                monkeypatch.setattr(t, name, self.counted(getattr(t, name)))
        for name, op in OPS.items():
            monkeypatch.setattr(op, "forward", self.watched(name, op.forward))

    def counted(self, entry):
        def call(*args):
            self.calls += 1
            return entry(*args)

        return call

    def watched(self, name, forward):
        def call(*args):
            before = self.count()
            result = forward(*args)
            self.of_op[name] = max(self.of_op.get(name, 0), self.count() - before)
            return result

        return call

    def count(self):
        if self.device == "cpu":
            return self.calls
        from gradsmith.kernels.cuda import launch

        return launch.count


def arrays_of(values):
    for value in values:
        yield from arrays_of(value) if isinstance(value, list) else [value]


def small_samples(info):
    """(sample, arrays), those of few elements first; none without any."""
    found = []
    for sample in info.samples():
        if not {"large", "slow"} & sample.tags:
            arrays = sample.build(np.float32)
            sizes = [a.size for a in arrays_of(arrays) if isinstance(a, np.ndarray)]
            if sizes and min(sizes) > 0 and max(sizes) > 1:
                found.append((sum(sizes), sample, arrays))
    assert found, f"{info.name}: no sample with elements"
    return [entry[1:] for entry in sorted(found, key=lambda entry: entry[0])]


@pytest.fixture(params=["cpu", "cuda"])
def device(request):
    if request.param == "cuda" and not gs.cuda.is_available():
        gs.cuda.use_emulator()
    return request.param


@pytest.mark.parametrize("name", COMPUTE)
def test_op_launches_a_kernel(name, device, monkeypatch):
    launches = Launches(device, monkeypatch)
    for info in opdb.op_infos():
        for sample, arrays in small_samples(info) if name in info.covers else ():
            info.call(gs, *[placed(a, device) for a in arrays], **sample.options)
            if name in launches.of_op:
                break
    assert launches.of_op.get(name, 0) >= 1


def placed(value, device):
    if isinstance(value, list):
        return [placed(v, device) for v in value]
    return opdb.place(value, device) if isinstance(value, np.ndarray) else value


def test_a_view_launches_none(device, monkeypatch):
    """The counter counts kernels, not calls of ops."""
    launches = Launches(device, monkeypatch)
    x = opdb.place(np.ones((2, 3), np.float32), device)
    x.permute(1, 0)
    assert launches.of_op == {"permute": 0}


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "NAdam"])
def test_optimizer_step_is_one_launch_on_the_cpu(name, monkeypatch):
    launches = Launches("cpu", monkeypatch)
    params = [gs.ones(3, requires_grad=True), gs.ones(2, 2, requires_grad=True)]
    for p in params:
        p.grad = gs.ones(*p.shape)
    optimizer = getattr(gs.optim, name)(params, lr=0.1)
    optimizer.step()  # the first one makes the state
    before = launches.count()
    optimizer.step()
    assert launches.count() == before + 1
