"""summary: a model's layers with their output shapes, parameters and multiply-adds, as a table."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ..autograd.grad_mode import no_grad
from ..dtype import dtype as DType
from ..ops.creation import zeros
from ..tensor import Tensor
from .module import Module

__all__ = ["LayerSummary", "ModelSummary", "summary"]


@dataclass
class LayerSummary:
    """One row of a summary.

    Attributes:
        name: the dotted name; "" for the model itself.
        kind: the name of its class.
        depth: 0 for the model itself.
        output_shape: of its (first) output in its first call; None if it was not called.
        parameters: how many numbers its own parameters have, without those of layers below.
        trainable: how many of them get gradients.
        multiply_adds: in all its calls, without those of layers below.
        calls: how often it was called.
    """

    name: str
    kind: str
    depth: int
    output_shape: tuple[int, ...] | None = None
    parameters: int = 0
    trainable: int = 0
    multiply_adds: int = 0
    calls: int = 0


@dataclass
class ModelSummary:
    """What `summary` returns; `print` shows the table.

    Attributes:
        layers: the model and every module below it.
        parameters: how many numbers the parameters have; shared ones count once.
        trainable: how many of them get gradients.
        multiply_adds: of one forward.
        input_shapes: of what the forward was given.
    """

    layers: list[LayerSummary] = field(default_factory=list)
    parameters: int = 0
    trainable: int = 0
    multiply_adds: int = 0
    input_shapes: list[tuple[int, ...]] = field(default_factory=list)

    @property
    def flops(self) -> int:
        """Floating-point operations of one forward: two for each multiply-add."""
        return 2 * self.multiply_adds

    HEAD = ("Layer (type)", "Output shape", "Parameters", "Multiply-adds")

    def _rows(self) -> list[tuple[str, str, str, str]]:
        rows = []
        for layer in self.layers:
            own = layer.name.rpartition(".")[2]
            label = f"{'  ' * layer.depth}{own}: {layer.kind}" if own else layer.kind
            if layer.calls > 1:
                label += f" x{layer.calls}"
            shape = "-" if layer.output_shape is None else str(list(layer.output_shape))
            rows.append(
                (
                    label,
                    shape,
                    f"{layer.parameters:,}" if layer.parameters else "-",
                    f"{layer.multiply_adds:,}" if layer.multiply_adds else "-",
                )
            )
        return rows

    def _foot(self) -> list[str]:
        return [
            f"Parameters: {self.parameters:,} ({self.trainable:,} trainable)",
            f"Multiply-adds: {self.multiply_adds:,} ({_short(self.flops)}FLOPs) for input "
            + ", ".join(str(list(shape)) for shape in self.input_shapes),
        ]

    def __str__(self) -> str:
        rows = [self.HEAD, *self._rows()]
        widths = [max(len(row[i]) for row in rows) for i in range(4)]
        lines = [
            "  ".join(
                cell.ljust(width) if i < 2 else cell.rjust(width)
                for i, (cell, width) in enumerate(zip(row, widths, strict=True))
            ).rstrip()
            for row in rows
        ]
        rule = "-" * max(len(line) for line in (*lines, *self._foot()))
        return "\n".join([lines[0], rule, *lines[1:], rule, *self._foot()])

    __repr__ = __str__

    def __rich__(self) -> Any:
        """The table for `rich.print`."""
        from rich.table import Table

        table = Table(caption="\n".join(self._foot()), caption_justify="left")
        for i, title in enumerate(self.HEAD):
            table.add_column(title, justify="left" if i < 2 else "right", no_wrap=i != 0)
        for row in self._rows():
            table.add_row(*[cell.replace("[", "\\[") for cell in row])
        return table

    def show(self) -> None:
        """Prints the table, with rich where it is installed."""
        try:
            from rich import print as show
        except ImportError:
            show = print
        show(self)


def _short(number: int) -> str:
    """12.3 G."""
    for limit, unit in ((10**12, "T"), (10**9, "G"), (10**6, "M"), (10**3, "k")):
        if number >= limit:
            return f"{number / limit:.2f} {unit}"
    return f"{number} "


def _multiply_adds(module: Any, args: Any, output: Any) -> int:
    """The multiply-adds of one call of a layer that has weights; 0 for other modules."""
    kind = {c.__name__ for c in type(module).__mro__}
    weight = getattr(module, "weight", None)
    x = args[0] if args and isinstance(args[0], Tensor) else None
    if kind & {"Conv1d", "Conv2d", "Conv3d"} and weight is not None:
        return output.numel() * math.prod(weight.shape[1:])
    if kind & {"ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"} and weight is not None:
        return x.numel() * math.prod(weight.shape[1:]) if x is not None else 0
    if "Linear" in kind and weight is not None:
        return output.numel() * int(weight.shape[1])
    if "Bilinear" in kind and weight is not None:
        return output.numel() * math.prod(weight.shape[1:])
    if kind & {"RNN", "LSTM", "GRU", "RNNCell", "LSTMCell", "GRUCell"} and x is not None:
        weights = sum(p.numel() for n, p in module._parameters.items() if "weight" in n)
        # each weight works once for every step of every sequence
        return x.numel() // int(x.shape[-1]) * weights
    if "MultiheadAttention" in kind and len(args) > 1:
        return _attention(module, *args[:3])
    return 0


def _attention(module: Any, query: Tensor, key: Tensor, value: Any = None) -> int:
    """Projections, scores and weighted sums of MultiheadAttention."""
    embed = int(module.embed_dim)
    batch_first = bool(getattr(module, "batch_first", False))
    along = -2 if batch_first or query.ndim == 2 else 0
    target, source = int(query.shape[along]), int(key.shape[along])
    batch = query.numel() // (target * int(query.shape[-1]))
    value = key if value is None else value
    projected = target * (int(query.shape[-1]) + embed) * embed
    projected += source * (int(key.shape[-1]) + int(value.shape[-1])) * embed
    return batch * (projected + 2 * target * source * embed)


def _first_tensor(output: Any) -> Tensor | None:
    if isinstance(output, Tensor):
        return output
    values = output.values() if isinstance(output, dict) else output
    if isinstance(output, (tuple, list, dict)):
        for value in values:
            found = _first_tensor(value)
            if found is not None:
                return found
    return None


def summary(
    model: Module,
    input_size: Any = None,
    *,
    input_data: Any = None,
    dtypes: Sequence[DType] | None = None,
    depth: int | None = None,
    device: Any = None,
) -> ModelSummary:
    """A model's layers with output shapes, parameters and multiply-adds; found by one forward.

    Args:
        model: runs once, in eval mode and without gradients; is as before afterwards.
        input_size: the shape of its input, with the batch; or several shapes, for several inputs.
        input_data: the input itself instead: a tensor, or a tuple or list of arguments.
        dtypes: of the inputs of input_size; default: float32.
        depth: how deep rows go; default: all the way.
        device: where the inputs of input_size are made; default: where the parameters are.

    Returns:
        A ModelSummary: print it, or read its fields.

    Raises:
        ValueError: neither or both of input_size and input_data.

    Counted are convolutions, linear and bilinear layers, recurrent layers and attention; what a
    forward does through functions (F.conv2d, matmul) is no layer, and is not in the count.
    """
    if (input_size is None) == (input_data is None):
        raise ValueError(
            "summary: give one of input_size and input_data; got "
            + ("neither" if input_size is None else "both")
        )
    if input_size is not None:
        one = all(hasattr(n, "__index__") for n in input_size)
        sizes = [tuple(input_size)] if one else [tuple(size) for size in input_size]
        first = next(model.parameters(), None)
        if device is None and first is not None:
            device = first.device
        kinds: list[Any] = list(dtypes) if dtypes is not None else [None] * len(sizes)
        args = [
            zeros(size, dtype=kind, device=device) for size, kind in zip(sizes, kinds, strict=True)
        ]
    else:
        args = list(input_data) if isinstance(input_data, (tuple, list)) else [input_data]
    result = ModelSummary()
    result.input_shapes = [tuple(a.shape) for a in args if isinstance(a, Tensor)]
    rows: dict[int, LayerSummary] = {}
    seen: set[int] = set()
    handles = []
    modes = [(m, m.training) for m in model.modules()]
    for name, module in model.named_modules():
        row = LayerSummary(name, type(module).__name__, name.count(".") + 1 if name else 0)
        for p in module.parameters(recurse=False):
            row.parameters += p.numel()
            row.trainable += p.numel() if p.requires_grad else 0
            if id(p) not in seen:
                seen.add(id(p))
                result.parameters += p.numel()
                result.trainable += p.numel() if p.requires_grad else 0
        rows[id(module)] = row
        handles.append(module.register_forward_hook(_noting(row)))
    try:
        with no_grad():
            model.eval()
            model(*args)
    finally:
        for handle in handles:
            handle.remove()
        for module, training in modes:
            module.training = training
            if module._hooks is not None and module._hooks.empty():
                module.__dict__.pop("_hooks", None)
    result.multiply_adds = sum(row.multiply_adds for row in rows.values())
    result.layers = [r for r in rows.values() if depth is None or r.depth <= depth]
    return result


def _noting(row: LayerSummary) -> Any:
    """A hook that enters a call in a row."""

    def hook(module: Any, args: Any, output: Any) -> None:
        found = _first_tensor(output)
        if row.calls == 0 and found is not None:
            row.output_shape = tuple(found.shape)
        row.calls += 1
        row.multiply_adds += _multiply_adds(module, args, found)

    return hook
