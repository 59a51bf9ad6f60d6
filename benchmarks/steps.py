"""Cases that are more than one op: training steps, optimizer steps, chains of small ops.

The networks are written once, of whichever library's layers: the same modules are trained in all.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from .case import Case

__all__ = ["SPECIAL", "nets", "optimizer_forms", "optimizers", "overheads"]

TRAINING = ("training",)
Run = Callable[[], object]

# ---- training steps ----


def nets() -> list[Case]:
    """Whole training steps: forward, loss, backward, optimizer."""
    found = []
    for name, net, n, image, optimizer, quick in (
        ("LeNet-5 N32", "lenet", 32, (1, 28, 28), "SGD", True),
        ("LeNet-5 N512", "lenet", 512, (1, 28, 28), "SGD", False),
        ("MLP N128", "mlp", 128, (784,), "SGD", True),
        ("MLP N1", "mlp", 1, (784,), "SGD", False),
        ("ResNet-18 N8 3x64x64", "resnet18", 8, (3, 64, 64), "SGD", True),
        ("ResNet-18 N1 3x224x224", "resnet18", 1, (3, 224, 224), "SGD", False),
        ("digits net N32, Adam", "digits", 32, (1, 8, 8), "Adam", False),
        ("U-Net N2 3x64x64", "unet", 2, (3, 64, 64), "Adam", False),
    ):
        options = {"net": net, "n": n, "image": image, "optimizer": optimizer}
        found.append(
            Case("training step", name, "net", options=options, passes=TRAINING, quick=quick,
                 apart=name)
        )  # fmt: skip
    return found


def _lenet(nn: Any) -> Any:
    """LeNet-5 with max pooling and ReLU."""
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip


def _mlp(nn: Any) -> Any:
    return nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 256), nn.ReLU(), nn.Linear(256, 10)
    )


def _digits(nn: Any) -> Any:
    """The network of `gradsmith demo`, without its dropout."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(),
        nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(256, 10),
    )  # fmt: skip


def _resnet18(nn: Any) -> Any:
    class Block(nn.Module):
        """Two 3x3 convolutions beside a shortcut."""

        def __init__(self, ins: int, outs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(ins, outs, 3, stride, 1, bias=False)
            self.bn1, self.relu = nn.BatchNorm2d(outs), nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(outs, outs, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(outs)
            self.short = (
                nn.Sequential(nn.Conv2d(ins, outs, 1, stride, bias=False), nn.BatchNorm2d(outs))
                if stride > 1 or ins != outs
                else nn.Identity()
            )

        def forward(self, x: Any) -> Any:
            y = self.bn2(self.conv2(self.relu(self.bn1(self.conv1(x)))))
            return self.relu(y + self.short(x))

    blocks, ins = [], 64
    for outs in (64, 128, 256, 512):
        blocks += [Block(ins, outs, 1 if outs == 64 else 2), Block(outs, outs, 1)]
        ins = outs
    return nn.Sequential(
        nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True),
        nn.MaxPool2d(3, 2, 1), *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(512, 1000),
    )  # fmt: skip


def _unet(nn: Any) -> Any:
    def twice(ins: int, outs: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(ins, outs, 3, padding=1), nn.ReLU(inplace=True),
            nn.Conv2d(outs, outs, 3, padding=1), nn.ReLU(inplace=True),
        )  # fmt: skip

    class Level(nn.Module):
        """Down, what is below, up again beside the shortcut."""

        def __init__(self, ins: int, outs: int, deeper: int) -> None:
            super().__init__()
            self.down, self.pool = twice(ins, outs), nn.MaxPool2d(2)
            below = Level(outs, 2 * outs, deeper - 1) if deeper else twice(outs, 2 * outs)
            self.below, self.up = below, nn.ConvTranspose2d(2 * outs, outs, 2, 2)
            self.join = twice(outs, outs)

        def forward(self, x: Any) -> Any:
            shortcut = self.down(x)
            return self.join(self.up(self.below(self.pool(shortcut))) + shortcut)

    return nn.Sequential(
        Level(3, 32, 2), nn.Conv2d(32, 10, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


NETS: dict[str, Callable[[Any], Any]] = {
    "lenet": _lenet, "mlp": _mlp, "resnet18": _resnet18, "digits": _digits, "unet": _unet,
}  # fmt: skip


def _optimizer(lib: Any, kind: str, parameters: Any, how: dict[str, Any]) -> Any:
    options = {
        "SGD": {"lr": 0.01, "momentum": 0.9},
        "plain SGD": {"lr": 0.01},
        "Adam": {"lr": 1e-4},
        "AdamW": {"lr": 1e-4},
        "RMSprop": {"lr": 1e-4},
        "Adagrad": {"lr": 1e-4},
    }[kind]
    return getattr(lib.optim, kind.split()[-1])(parameters, **options, **how)


def optimizer_forms(lib: Any, kind: str) -> list[str]:
    """The forms of PyTorch's step that this optimizer has, the quickest last: not all are fused."""
    taken = inspect.signature(getattr(lib.optim, kind.split()[-1])).parameters
    return [form for form in ("foreach", "fused") if form in taken]


def _fill(lib: Any, parameters: Any, rng: np.random.Generator, scale: float | None = None) -> None:
    """The same values in every library."""
    with lib.no_grad():
        for p in parameters:
            width = prod(tuple(p.shape)[1:]) if scale is None else 1
            factor = width**-0.5 if scale is None else scale
            values = rng.standard_normal(tuple(p.shape), dtype=np.float32) * np.float32(factor)
            p.copy_(lib.from_numpy(values))


def _net_step(lib: Any, case: Case, variant: str) -> Run:
    """The step; variants: contiguous or channels_last with a form of the optimizer, as shipped."""
    options, rng = case.options, np.random.default_rng(0)
    x = rng.standard_normal((options["n"], *options["image"]), dtype=np.float32)
    y = rng.integers(0, 10, options["n"])
    model = NETS[options["net"]](lib.nn)
    weights = [p for p in model.parameters() if len(p.shape) > 1]
    _fill(lib, weights, rng)
    how = {form: True for form in ("foreach", "fused") if form in variant}
    optimizer = _optimizer(lib, options["optimizer"], model.parameters(), how)
    images, labels = lib.from_numpy(x), lib.from_numpy(y)
    if "channels_last" in variant:
        model = model.to(memory_format=lib.channels_last)
        images = images.contiguous(memory_format=lib.channels_last)
    loss = lib.nn.functional.cross_entropy

    def step() -> None:
        optimizer.zero_grad()
        loss(model(images), labels).backward()
        optimizer.step()

    return step


# ---- optimizers ----

#: Arrays of the parameters' size that a step must read and write at least.
MOVED = {"plain SGD": 3, "SGD": 5, "Adam": 7, "AdamW": 7, "RMSprop": 5, "Adagrad": 5}


def _resnet18_shapes() -> list[tuple[int, ...]]:
    shapes: list[tuple[int, ...]] = [(64, 3, 7, 7), (64,), (64,)]
    ins = 64
    for outs in (64, 128, 256, 512):
        for first in (ins, outs):
            shapes += [(outs, first, 3, 3), (outs,), (outs,), (outs, outs, 3, 3), (outs,), (outs,)]
        if ins != outs:
            shapes += [(outs, ins, 1, 1), (outs,), (outs,)]
        ins = outs
    return [*shapes, (1000, 512), (1000,)]


SHAPES: dict[str, list[tuple[int, ...]]] = {
    "ResNet-18": _resnet18_shapes(),
    "LeNet-5": [(6, 1, 5, 5), (6,), (16, 6, 5, 5), (16,), (120, 400), (120,), (84, 120), (84,),
                (10, 84), (10,)],
    "one of 10 million": [(10_000_000,)],
}  # fmt: skip


def optimizers() -> list[Case]:
    """One step each: the parameters of ResNet-18 (11.7 million in 62 tensors), of LeNet-5, one."""
    found = []
    for shapes, kinds in (
        ("ResNet-18", tuple(MOVED)),
        ("LeNet-5", ("SGD", "Adam")),
        ("one of 10 million", ("Adam",)),
    ):
        size = sum(prod(s) for s in SHAPES[shapes])
        for kind in kinds:
            options = {"kind": kind, "shapes": shapes, "moved": MOVED[kind] * size}
            quick = shapes == "ResNet-18" and kind in ("SGD", "Adam")
            found.append(
                Case("optimizer", f"{kind} of {shapes}", "optimizer", options=options,
                     passes=TRAINING, quick=quick)
            )  # fmt: skip
    return found


def _optimizer_step(lib: Any, case: Case, variant: str) -> Run:
    rng = np.random.default_rng(0)
    parameters = []
    for shape in SHAPES[case.options["shapes"]]:
        p = lib.from_numpy(rng.standard_normal(shape, dtype=np.float32) * np.float32(0.05))
        p = p.requires_grad_()
        grad = rng.standard_normal(shape, dtype=np.float32) * np.float32(0.01)
        p.grad = lib.from_numpy(grad)
        parameters.append(p)
    how = {variant: True} if variant in ("fused", "foreach") else {}
    return _optimizer(lib, case.options["kind"], parameters, how).step


# ---- eager overhead ----

#: Ops in a chain.
CHAIN = 20
#: Microseconds an op at most, on a core like an AMD EPYC's of 2024: pass -> target.
TARGETS = {"forward": 1.4, "training": 4.0}


def overheads() -> list[Case]:
    """What an eager op costs beside its kernel: float32[16] (broadcast: [4, 4] with [4])."""
    found = []
    for name, passes in (
        ("an operand", ("forward", "training")),
        ("recorded", ("forward",)),
        ("both operands", TRAINING),
        ("broadcast", ("forward", "training")),
    ):
        options = {"chain": name, "target_us": TARGETS}
        found.append(
            Case("overhead", f"chain of 20, {name}", "chain", options=options, passes=passes,
                 calls=CHAIN, threads=1, quick=True)
        )  # fmt: skip
    return found


def _chain(x: Any, w: Any) -> Any:
    """20 ops: a product and a sum, 10 times."""
    y = x
    for _ in range(CHAIN // 2):
        y = y * w
        y = y + w
    return y


def _chain_run(lib: Any, case: Case, kind: str) -> Run:
    name = case.options["chain"]
    rng = np.random.default_rng(0)
    shapes = ((4, 4), (4,)) if name == "broadcast" else ((16,), (16,))
    x, w = (lib.from_numpy(rng.random(s, dtype=np.float32)) for s in shapes)
    if name == "recorded":
        x = x.requires_grad_()
    if kind == "forward":
        return lambda: _chain(x, w)
    gradient = lib.ones_like(x)
    leaf = x.requires_grad_()
    if name != "an operand":
        w = w.requires_grad_()

    def run() -> None:
        leaf.grad = w.grad = None
        _chain(leaf, w).backward(gradient)

    return run


#: op -> makes what is timed: (library, case, pass, variant).
SPECIAL: dict[str, Callable[[Any, Case, str, str], Run]] = {
    "net": lambda lib, case, kind, variant: _net_step(lib, case, variant),
    "optimizer": lambda lib, case, kind, variant: _optimizer_step(lib, case, variant),
    "chain": lambda lib, case, kind, variant: _chain_run(lib, case, kind),
}
