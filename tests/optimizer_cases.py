"""What the tests of optimizers and their kernels run: every optimizer with its options."""

from __future__ import annotations

import itertools
from typing import Any

#: (optimizer, options)
CASES: list[tuple[str, dict[str, Any]]] = [
    ("SGD", {}),
    ("SGD", {"momentum": 0.9}),
    ("SGD", {"momentum": 0.9, "nesterov": True}),
    ("SGD", {"momentum": 0.8, "dampening": 0.3}),
    ("SGD", {"momentum": 0.9, "weight_decay": 0.05, "nesterov": True, "maximize": True}),
    ("ASGD", {}),
    ("ASGD", {"lambd": 0.01, "alpha": 0.5, "t0": 5, "weight_decay": 0.1}),
    ("Adagrad", {}),
    ("Adagrad", {"lr_decay": 0.1, "weight_decay": 0.1, "initial_accumulator_value": 0.5}),
    ("Adagrad", {"eps": 1e-3, "maximize": True}),
    ("Adadelta", {}),
    ("Adadelta", {"rho": 0.6, "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("RMSprop", {}),
    ("RMSprop", {"momentum": 0.9}),
    ("RMSprop", {"centered": True, "alpha": 0.8}),
    ("RMSprop", {"centered": True, "momentum": 0.5, "weight_decay": 0.1, "maximize": True}),
    ("Rprop", {}),
    ("Rprop", {"etas": (0.3, 1.5), "step_sizes": (1e-2, 0.1), "maximize": True}),
    ("Adam", {}),
    ("Adam", {"betas": (0.5, 0.9), "eps": 1e-3}),
    ("Adam", {"betas": (0.0, 0.0)}),
    ("Adam", {"weight_decay": 0.1, "amsgrad": True, "betas": (0.8, 0.6)}),
    ("Adam", {"weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("Adam", {"maximize": True, "weight_decay": 0.2}),
    ("AdamW", {}),
    ("AdamW", {"weight_decay": 0.3, "maximize": True, "amsgrad": True}),
    ("Adamax", {}),
    ("Adamax", {"betas": (0.5, 0.9), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("NAdam", {}),
    ("NAdam", {"momentum_decay": 0.1, "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("NAdam", {"betas": (0.7, 0.9), "weight_decay": 0.1, "maximize": True}),
    ("RAdam", {}),
    ("RAdam", {"betas": (0.8, 0.95), "weight_decay": 0.1, "decoupled_weight_decay": True}),
    ("RAdam", {"betas": (0.8, 0.6), "eps": 1e-3, "weight_decay": 0.1, "maximize": True}),
    ("Lion", {}),
    ("Lion", {"betas": (0.5, 0.9), "weight_decay": 0.1, "maximize": True}),
]
NAMES = [name for name, _ in itertools.groupby(CASES, lambda case: case[0])]
IDS = [f"{name}{i}" for i, (name, _) in enumerate(CASES)]


def of_torch(name: str) -> bool:
    """Whether PyTorch has it."""
    return name != "Lion"
