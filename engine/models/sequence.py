"""Models of sequences: recurrent, convolutional, and a small transformer."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from .. import Tensor, nn, no_grad
from ..nn import functional as F
from ..ops.creation import tensor
from ..random import Generator
from ..utils.data.sampler import uniform_numbers

__all__ = ["TCN", "CharRNN", "TransformerLM", "sample"]


def sample(logits: Tensor, temperature: float = 1.0, generator: Generator | None = None) -> int:
    """One token drawn from the softmax of its scores.

    Args:
        logits: Scores, (V,).
        temperature: Scores are divided by it; 0: the token of the highest score.
        generator: Of the random number; default: the default generator.

    Raises:
        ValueError: A temperature below 0.
    """
    scores = logits.detach().tolist()
    if not temperature >= 0:
        raise ValueError(f"sample: temperature must be >= 0; got {temperature}")
    highest = max(scores)
    if temperature == 0:
        return scores.index(highest)
    weights = [math.exp((s - highest) / temperature) for s in scores]
    left = float(uniform_numbers(1, generator)[0]) * math.fsum(weights)
    for i, weight in enumerate(weights):
        left -= weight
        if left < 0:
            return i
    return max(i for i, weight in enumerate(weights) if weight)


class CharRNN(nn.Module):
    """A recurrent language model: the next character from those before it.

    Shape: tokens (N, T) int64 -> logits (N, T, vocab_size), state

    Args:
        vocab_size: Number of characters.
        hidden_size: Size of the state.
        num_layers: Recurrent layers above one another.
        cell: "rnn", "lstm" or "gru".
        embedding_size: Size of a character's vector; default: hidden_size.
        dropout: Probability of dropping a feature between the layers.

    Raises:
        ValueError: Another cell.

    Source: Karpathy (2015), The unreasonable effectiveness of recurrent neural networks.
    """

    def __init__(
        self,
        vocab_size: int,
        hidden_size: int = 128,
        num_layers: int = 1,
        cell: str = "lstm",
        embedding_size: int | None = None,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        cells = {"rnn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}
        if cell not in cells:
            raise ValueError(f"CharRNN: cell must be one of {tuple(cells)}; got {cell!r}")
        size = hidden_size if embedding_size is None else embedding_size
        self.embedding = nn.Embedding(vocab_size, size)
        self.rnn = cells[cell](size, hidden_size, num_layers, batch_first=True, dropout=dropout)
        self.decoder = nn.Linear(hidden_size, vocab_size)

    def forward(self, tokens: Tensor, state: Any = None) -> tuple[Tensor, Any]:
        out, state = self.rnn(self.embedding(tokens), state)
        return self.decoder(out), state

    def generate(
        self,
        prompt: Sequence[int],
        length: int,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> list[int]:
        """The prompt and `length` more tokens, drawn one after another.

        Args:
            prompt: The tokens it begins with, at least one.
            length: How many more.
            temperature, generator: As `sample`.
        """
        tokens = list(prompt)
        device = self.decoder.weight.device
        was_training = self.training
        self.eval()
        try:
            with no_grad():
                logits, state = self(tensor([tokens]).to(device))
                for _ in range(length):
                    tokens.append(sample(logits[0, -1], temperature, generator))
                    logits, state = self(tensor([tokens[-1:]]).to(device), state)
        finally:
            self.train(was_training)
        return tokens


class TemporalBlock(nn.Module):
    """Two causal, dilated convolutions beside a shortcut.

    Shape: (N, n_inputs, T) -> (N, n_outputs, T)

    Args:
        n_inputs, n_outputs: Channels in and out.
        kernel_size, dilation: Of the convolutions.
        dropout: Probability of dropping a feature behind each.
    """

    def __init__(
        self, n_inputs: int, n_outputs: int, kernel_size: int, dilation: int, dropout: float
    ) -> None:
        super().__init__()
        self.padding = (kernel_size - 1) * dilation
        options: dict[str, Any] = {"padding": self.padding, "dilation": dilation}
        self.conv1 = nn.Conv1d(n_inputs, n_outputs, kernel_size, **options)
        self.conv2 = nn.Conv1d(n_outputs, n_outputs, kernel_size, **options)
        self.dropout = nn.Dropout(dropout)
        self.downsample = nn.Conv1d(n_inputs, n_outputs, 1) if n_inputs != n_outputs else None

    def _causal(self, conv: nn.Module, x: Tensor) -> Tensor:
        """Each output sees its own step and those before: what is behind is cut off."""
        return self.dropout(F.relu(conv(x)[:, :, : x.shape[2]]))

    def forward(self, x: Tensor) -> Tensor:
        out = self._causal(self.conv2, self._causal(self.conv1, x))
        return F.relu(out + (x if self.downsample is None else self.downsample(x)))


class TCN(nn.Module):
    """A temporal convolutional network: each output sees the steps up to its own.

    Shape: (N, num_inputs, T) -> (N, num_channels[-1], T), or (N, num_outputs, T)

    Args:
        num_inputs: Channels in.
        num_channels: Channels of the blocks; block i has a dilation of 2^i.
        kernel_size: Of the convolutions.
        dropout: Probability of dropping a feature.
        num_outputs: Of a linear layer on every step; None: no such layer.

    Source: Bai, Kolter, Koltun (2018), An empirical evaluation of generic convolutional and
    recurrent networks, without weight normalisation.
    """

    def __init__(
        self,
        num_inputs: int,
        num_channels: Sequence[int],
        kernel_size: int = 2,
        dropout: float = 0.2,
        num_outputs: int | None = None,
    ) -> None:
        super().__init__()
        sizes = [num_inputs, *num_channels]
        self.network = nn.Sequential(
            *[
                TemporalBlock(sizes[i], sizes[i + 1], kernel_size, 2**i, dropout)
                for i in range(len(num_channels))
            ]
        )
        self.linear = None if num_outputs is None else nn.Conv1d(sizes[-1], num_outputs, 1)

    @property
    def receptive_field(self) -> int:
        """How many steps back an output sees, its own included."""
        blocks: Any = self.network
        return 1 + sum(2 * block.padding for block in blocks)

    def forward(self, x: Tensor) -> Tensor:
        out = self.network(x)
        return out if self.linear is None else self.linear(out)


class TransformerBlock(nn.Module):
    """Causal self-attention and a two-layer network, each behind a norm and beside a shortcut.

    Shape: (N, T, width), unchanged

    Args:
        width: Size of a step's vector.
        heads: Number of attention heads.
        dropout: Probability of dropping a feature.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.ln_1 = nn.LayerNorm(width)
        self.attn = nn.Linear(width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.ln_2 = nn.LayerNorm(width)
        self.fc = nn.Linear(width, 4 * width)
        self.out = nn.Linear(4 * width, width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        n, t, width = x.shape
        qkv = self.attn(self.ln_1(x)).reshape(n, t, 3, self.heads, width // self.heads)
        query, key, value = (qkv[:, :, i].transpose(1, 2) for i in range(3))
        p = self.dropout if self.training else 0.0
        y = F.scaled_dot_product_attention(query, key, value, dropout_p=p, is_causal=True)
        x = x + self.drop(self.proj(y.transpose(1, 2).reshape(n, t, width)))
        return x + self.drop(self.out(F.gelu(self.fc(self.ln_2(x)))))


class TransformerLM(nn.Module):
    """A small transformer language model: the next token from those before it.

    Shape: tokens (N, T) int64 -> logits (N, T, vocab_size), T at most context

    Args:
        vocab_size: Number of tokens.
        context: Longest sequence.
        width: Size of a step's vector; a multiple of heads.
        heads: Number of attention heads.
        layers: Number of blocks.
        dropout: Probability of dropping a feature.

    Raises:
        ValueError: A width that is no multiple of heads.
        RuntimeError: When called: a sequence longer than context.

    Source: Radford et al. (2019), Language models are unsupervised multitask learners; the output
    layer's weight is the embedding's.
    """

    def __init__(
        self,
        vocab_size: int,
        context: int = 128,
        width: int = 128,
        heads: int = 4,
        layers: int = 4,
        dropout: float = 0.1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(
                f"TransformerLM: width must be a multiple of heads; got {width}, {heads}"
            )
        self.context = context
        self.wte = nn.Embedding(vocab_size, width)
        self.wpe = nn.Embedding(context, width)
        self.drop = nn.Dropout(dropout)
        self.h = nn.ModuleList([TransformerBlock(width, heads, dropout) for _ in range(layers)])
        self.ln_f = nn.LayerNorm(width)
        for name, param in self.named_parameters():
            if param.ndim == 2:
                deep = name.endswith(("proj.weight", "out.weight"))
                nn.init.normal_(param, 0.0, 0.02 / (math.sqrt(2 * layers) if deep else 1.0))
            elif name.endswith("bias"):
                nn.init.zeros_(param)

    def forward(self, tokens: Tensor) -> Tensor:
        t = int(tokens.shape[1])
        if t > self.context:
            raise RuntimeError(
                f"TransformerLM: sequences must have at most {self.context} tokens; got {t}"
            )
        positions = tensor(list(range(t))).to(tokens.device)
        x = self.drop(self.wte(tokens) + self.wpe(positions))
        for block in self.h:
            x = block(x)
        return F.linear(self.ln_f(x), self.wte.weight)

    def generate(
        self,
        prompt: Sequence[int],
        length: int,
        temperature: float = 1.0,
        generator: Generator | None = None,
    ) -> list[int]:
        """The prompt and `length` more tokens, drawn one after another.

        Args:
            prompt: The tokens it begins with, at least one.
            length: How many more.
            temperature, generator: As `sample`.
        """
        tokens = list(prompt)
        device = self.wte.weight.device
        was_training = self.training
        self.eval()
        try:
            with no_grad():
                for _ in range(length):
                    logits = self(tensor([tokens[-self.context :]]).to(device))
                    tokens.append(sample(logits[0, -1], temperature, generator))
        finally:
            self.train(was_training)
        return tokens
