"""Recurrent layers and cells."""

from __future__ import annotations

import math
import warnings
from typing import Any

from ...ops import recurrent_layers as ops
from ...ops.creation import empty, zeros
from ...ops.index import index_select
from ...tensor import Parameter, Tensor
from .. import init
from ..module import Module
from ..utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"RNN_TANH": 1, "RNN_RELU": 1, "LSTM": 4, "GRU": 3}


def _size(name: str, argument: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name}: {argument} must be an int; got {value!r}")
    if value <= 0:
        raise ValueError(f"{name}: {argument} must be positive; got {value}")
    return value


def _flag(name: str, argument: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name}: {argument} must be a bool; got {value!r}")
    return value


class RNNBase(Module):
    """What RNN, LSTM and GRU share: parameters, their names and their start, and the forward.

    Parameters of layer k: weight_ih_l{k}, weight_hh_l{k}, bias_ih_l{k}, bias_hh_l{k}, with
    projections weight_hr_l{k}; those of the reverse direction end in _reverse. All of them start
    uniformly in [-b, b], b = 1 / sqrt(hidden_size).
    """

    def __init__(
        self,
        mode: str,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        if mode not in _GATES:
            raise ValueError(f"{name}: mode must be one of {sorted(_GATES)}; got {mode!r}")
        number = isinstance(dropout, (int, float)) and not isinstance(dropout, bool)
        if not number or not 0 <= dropout <= 1:
            raise ValueError(f"{name}: dropout must be a number in [0, 1]; got {dropout!r}")
        if dropout > 0 and num_layers == 1:
            warnings.warn(
                f"{name}: dropout acts between layers; got dropout={dropout} with num_layers=1",
                stacklevel=3,
            )
        self.mode = mode
        self.input_size = _size(name, "input_size", input_size)
        self.hidden_size = _size(name, "hidden_size", hidden_size)
        self.num_layers = _size(name, "num_layers", num_layers)
        self.bias = _flag(name, "bias", bias)
        self.batch_first = _flag(name, "batch_first", batch_first)
        self.dropout = float(dropout)
        self.bidirectional = bool(bidirectional)
        if not 0 <= proj_size < hidden_size:
            raise ValueError(
                f"{name}: proj_size must be in [0, hidden_size); got {proj_size} "
                f"with hidden_size={hidden_size}"
            )
        self.proj_size = proj_size
        self._all_weights: list[list[str]] = []
        out, gates = proj_size or hidden_size, _GATES[mode] * hidden_size
        directions = 2 if bidirectional else 1
        for layer in range(num_layers):
            for suffix in ("", "_reverse")[:directions]:
                features = input_size if layer == 0 else out * directions
                shapes = {"weight_ih": (gates, features), "weight_hh": (gates, out)}
                if bias:
                    shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
                if proj_size:
                    shapes["weight_hr"] = (proj_size, hidden_size)
                names = [f"{kind}_l{layer}{suffix}" for kind in shapes]
                for full, shape in zip(names, shapes.values(), strict=True):
                    setattr(self, full, Parameter(empty(shape, device=device, dtype=dtype)))
                self._all_weights.append(names)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters anew: U(-b, b) with b = 1 / sqrt(hidden_size), as PyTorch."""
        bound = 1.0 / math.sqrt(self.hidden_size)
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def flatten_parameters(self) -> None:
        """Nothing: there is no cuDNN whose weights would have to lie in one block."""

    @property
    def all_weights(self) -> list[list[Parameter]]:
        """The parameters of each layer and direction."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def _weights(self) -> list[ops.Weights]:
        """The same, by their part."""
        groups = []
        for names in self._all_weights:
            kinds = {name.split("_l")[0]: getattr(self, name) for name in names}
            groups.append(
                ops.Weights(
                    kinds["weight_ih"],
                    kinds["weight_hh"],
                    kinds.get("bias_ih"),
                    kinds.get("bias_hh"),
                    kinds.get("weight_hr"),
                )
            )
        return groups

    def _run(
        self, input: Any, h_0: Tensor | None, c_0: Tensor | None
    ) -> tuple[Any, Tensor, Tensor | None]:
        """(output, h_n, c_n) of padded, unbatched or packed input."""
        name = type(self).__name__
        packed = isinstance(input, PackedSequence)
        x: Tensor = input.data if packed else input
        if not isinstance(x, Tensor):
            raise TypeError(f"{name}: input must be a tensor; got {type(x).__name__}")
        states = {"h_0": h_0} | ({"c_0": c_0} if self.mode == "LSTM" else {})
        if packed:
            alone, ndim = False, 3
        else:
            ndim = x.dim()
            if ndim not in (2, 3):
                raise ValueError(f"{name}: input must be 2-D or 3-D; got shape {tuple(x.shape)}")
            alone = ndim == 2
        for argument, state in states.items():
            if state is not None and state.dim() != ndim:
                raise RuntimeError(
                    f"{name}: {argument} must be {ndim}-D, as the input is; "
                    f"got shape {tuple(state.shape)}"
                )
        if x.shape[-1] != self.input_size:
            raise RuntimeError(
                f"{name}: input's last dim must be input_size={self.input_size}; "
                f"got shape {tuple(x.shape)}"
            )
        first = next(self.parameters())
        if x.dtype is not first.dtype:
            raise ValueError(
                f"{name}: input must have the weights' dtype {first.dtype.name}; got "
                f"{x.dtype.name} (convert it with .to(dtype))"
            )
        options: list[Any] = [self._weights(), self.dropout, self.training, self.bidirectional]
        mode = self.mode.lower()
        if packed:
            order = input.sorted_indices
            sizes, batch = input.batch_sizes, int(input.batch_sizes[0].item())
            h_0, c_0 = (None if s is None else permuted(s, order) for s in (h_0, c_0))
            y, *finals = ops.layers(name, mode, x, sizes._data, batch, h_0, c_0, *options)
            finals = [permuted(s, input.unsorted_indices) for s in finals]
            output: Any = PackedSequence(y, sizes, order, input.unsorted_indices)
        else:
            if alone:
                x = x.unsqueeze(0 if self.batch_first else 1)
                h_0, c_0 = (None if s is None else s.unsqueeze(1) for s in (h_0, c_0))
            if x.shape[1 if self.batch_first else 0] == 0:
                raise RuntimeError(
                    f"{name}: sequences must have at least one step; got shape {tuple(x.shape)}"
                )
            output, *finals = ops.dense(name, mode, x, self.batch_first, h_0, c_0, *options)
            if alone:
                output = output.squeeze(0 if self.batch_first else 1)
                finals = [s.squeeze(1) for s in finals]
        return output, finals[0], (finals[1] if len(finals) > 1 else None)

    def extra_repr(self) -> str:
        """Sizes and options that are not the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        for option, default in (
            ("proj_size", 0),
            ("num_layers", 1),
            ("bias", True),
            ("batch_first", False),
            ("dropout", 0.0),
            ("bidirectional", False),
        ):
            value = getattr(self, option)
            if value != default:
                text += f", {option}={value}"
        return text


def permuted(state: Tensor, order: Tensor | None) -> Tensor:
    """The batch (dim 1) of a state in another order."""
    return state if order is None else index_select(state, 1, order)


class RNN(RNNBase):
    """A stack of plain recurrent layers.

    Formula: h_t = tanh(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh), or relu of it

    Shape: input (T, N, input_size), (N, T, input_size) with batch_first, (T, input_size), or a
    PackedSequence; h_0 (num_layers * directions, N, hidden_size) -> output (T, N, directions *
    hidden_size) and h_n of h_0's shape

    Args:
        input_size, hidden_size: the features of input and state.
        num_layers: layers on top of one another, 1.
        nonlinearity: 'tanh' or 'relu'.
        bias: whether there are b_ih and b_hh.
        batch_first: whether input and output are (N, T, features).
        dropout: the probability of dropout on the output of every layer but the last.
        bidirectional: whether each layer also runs from the last step to the first.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: a bad option.
        RuntimeError: shapes that do not fit.

    Source: Elman 1990.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"RNN: nonlinearity must be 'tanh' or 'relu'; got {nonlinearity!r}")
        options = (num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype)
        super().__init__(f"RNN_{nonlinearity.upper()}", input_size, hidden_size, *options)
        self.nonlinearity = nonlinearity

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        output, h_n, _ = self._run(input, hx, None)
        return output, h_n


class LSTM(RNNBase):
    """A stack of LSTM layers.

    Formula: i, f, g, o = sigm, sigm, tanh, sigm of (W_ih x_t + b_ih + W_hh h_{t-1} + b_hh);
    c_t = f c_{t-1} + i g; h_t = o tanh(c_t), or W_hr times it with proj_size

    Shape: input (T, N, input_size), (N, T, input_size) with batch_first, (T, input_size), or a
    PackedSequence; h_0 (num_layers * directions, N, H), c_0 (.., N, hidden_size) -> output (T, N,
    directions * H) and (h_n, c_n); H is proj_size or hidden_size

    Args:
        input_size, hidden_size: the features of input and state.
        num_layers: layers on top of one another, 1.
        bias: whether there are b_ih and b_hh.
        batch_first: whether input and output are (N, T, features).
        dropout: the probability of dropout on the output of every layer but the last.
        bidirectional: whether each layer also runs from the last step to the first.
        proj_size: the features that h is projected to; 0: not at all.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: a bad option.
        RuntimeError: shapes that do not fit.

    Source: Hochreiter & Schmidhuber 1997; Sak et al. 2014 (projection).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = (num_layers, bias, batch_first, dropout, bidirectional, proj_size, device, dtype)
        super().__init__("LSTM", input_size, hidden_size, *options)

    def forward(
        self, input: Any, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Any, tuple[Tensor, Tensor]]:
        h_0, c_0 = (None, None) if hx is None else hx
        output, h_n, c_n = self._run(input, h_0, c_0)
        assert c_n is not None
        return output, (h_n, c_n)


class GRU(RNNBase):
    """A stack of GRU layers.

    Formula: r, z = sigm(W_ih x_t + b_ih + W_hh h_{t-1} + b_hh); n = tanh(x_n + r (W_n h_{t-1} +
    b_n)); h_t = (1 - z) n + z h_{t-1}

    Shape: input (T, N, input_size), (N, T, input_size) with batch_first, (T, input_size), or a
    PackedSequence; h_0 (num_layers * directions, N, hidden_size) -> output (T, N, directions *
    hidden_size) and h_n of h_0's shape

    Args:
        input_size, hidden_size: the features of input and state.
        num_layers: layers on top of one another, 1.
        bias: whether there are b_ih and b_hh.
        batch_first: whether input and output are (N, T, features).
        dropout: the probability of dropout on the output of every layer but the last.
        bidirectional: whether each layer also runs from the last step to the first.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        ValueError, TypeError: a bad option.
        RuntimeError: shapes that do not fit.

    Source: Cho et al. 2014.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        options = (num_layers, bias, batch_first, dropout, bidirectional, 0, device, dtype)
        super().__init__("GRU", input_size, hidden_size, *options)

    def forward(self, input: Any, hx: Tensor | None = None) -> tuple[Any, Tensor]:
        output, h_n, _ = self._run(input, hx, None)
        return output, h_n


# ---- cells ----


class RNNCellBase(Module):
    """What the cells share: weight_ih, weight_hh, bias_ih, bias_hh, uniform in +- 1 / sqrt(H)."""

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool,
        num_chunks: int,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        options = {"device": device, "dtype": dtype}
        self.weight_ih = Parameter(empty((gates, input_size), **options))
        self.weight_hh = Parameter(empty((gates, hidden_size), **options))
        for name in ("bias_ih", "bias_hh"):
            self.register_parameter(name, Parameter(empty((gates,), **options)) if bias else None)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws all parameters anew: U(-b, b) with b = 1 / sqrt(hidden_size), as PyTorch."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0.0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def _run(self, cell: Any, input: Tensor, states: tuple[Tensor | None, ...]) -> Any:
        """The cell on input (N, features) or (features,); None states are zeros."""
        name = type(self).__name__
        for argument, t in {"input": input, **dict(zip("hc", states, strict=False))}.items():
            if t is not None and t.dim() not in (1, 2):
                raise ValueError(f"{name}: {argument} must be 1-D or 2-D; got {tuple(t.shape)}")
        alone = input.dim() == 1
        if alone:
            input = input.unsqueeze(0)
        shape = (input.shape[0], self.hidden_size)
        full = [
            zeros(shape, dtype=input.dtype, device=input.device)
            if s is None
            else (s.unsqueeze(0) if alone and s.dim() == 1 else s)
            for s in states
        ]
        hx = full[0] if len(full) == 1 else tuple(full)
        result = cell(input, hx, self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh)
        if not alone:
            return result
        if isinstance(result, tuple):
            return tuple([t.squeeze(0) for t in result])
        return result.squeeze(0)

    def extra_repr(self) -> str:
        """Sizes and options that are not the defaults."""
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        nonlinearity = getattr(self, "nonlinearity", "tanh")
        return text if nonlinearity == "tanh" else f"{text}, nonlinearity={nonlinearity}"


class RNNCell(RNNCellBase):
    """One step of a plain recurrent layer.

    Formula: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or relu of it

    Shape: input (N, input_size) or (input_size,), h (N, hidden_size) or (hidden_size,) -> h'

    Args:
        input_size, hidden_size: the features of input and state.
        bias: whether there are b_ih and b_hh.
        nonlinearity: 'tanh' or 'relu'.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        RuntimeError: shapes that do not fit; another nonlinearity.

    Source: Elman 1990.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        nonlinearity: str = "tanh",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 1, device, dtype)
        self.nonlinearity = nonlinearity

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        cells = {"tanh": ops.rnn_tanh_cell, "relu": ops.rnn_relu_cell}
        if self.nonlinearity not in cells:
            raise RuntimeError(
                f"RNNCell: nonlinearity must be 'tanh' or 'relu'; got {self.nonlinearity!r}"
            )
        return self._run(cells[self.nonlinearity], input, (hx,))


class LSTMCell(RNNCellBase):
    """One step of an LSTM.

    Formula: i, f, g, o = sigm, sigm, tanh, sigm of (W_ih x + b_ih + W_hh h + b_hh);
    c' = f c + i g; h' = o tanh(c')

    Shape: input (N, input_size) or (input_size,), h and c (N, hidden_size) or (hidden_size,) ->
    (h', c')

    Args:
        input_size, hidden_size: the features of input and state.
        bias: whether there are b_ih and b_hh.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Hochreiter & Schmidhuber 1997.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 4, device, dtype)

    def forward(
        self, input: Tensor, hx: tuple[Tensor, Tensor] | None = None
    ) -> tuple[Tensor, Tensor]:
        return self._run(ops.lstm_cell, input, (None, None) if hx is None else tuple(hx))


class GRUCell(RNNCellBase):
    """One step of a GRU.

    Formula: r, z = sigm(W_ih x + b_ih + W_hh h + b_hh); n = tanh(x_n + r (W_n h + b_n));
    h' = (1 - z) n + z h

    Shape: input (N, input_size) or (input_size,), h (N, hidden_size) or (hidden_size,) -> h'

    Args:
        input_size, hidden_size: the features of input and state.
        bias: whether there are b_ih and b_hh.
        device, dtype: of the parameters; default: the default ones.

    Raises:
        RuntimeError: shapes that do not fit.

    Source: Cho et al. 2014.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(input_size, hidden_size, bias, 3, device, dtype)

    def forward(self, input: Tensor, hx: Tensor | None = None) -> Tensor:
        return self._run(ops.gru_cell, input, (hx,))
