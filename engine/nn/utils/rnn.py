"""Sequences of several lengths in one batch: packing, padding and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from ...dtype import int64
from ...ops.creation import full, tensor
from ...ops.index import index_select
from ...ops.view import cat
from ...tensor import Tensor

__all__ = [
    "PackedSequence",
    "invert_permutation",
    "pack_padded_sequence",
    "pack_sequence",
    "pad_packed_sequence",
    "pad_sequence",
    "unpack_sequence",
    "unpad_sequence",
]


class _Packed(NamedTuple):
    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None
    unsorted_indices: Tensor | None


class PackedSequence(_Packed):
    """Sequences of several lengths, step by step: what pack_padded_sequence and pack_sequence make.

    Attributes:
        data: (rows of all steps, ...); step t has the t-th elements of the sequences that are so
            long, the longest sequence first.
        batch_sizes: int64, on the CPU: how many rows each step has.
        sorted_indices: the places that the sequences had before they were sorted; None: they were
            sorted.
        unsorted_indices: the inverse of sorted_indices.
    """

    def __new__(
        cls,
        data: Any,
        batch_sizes: Tensor | None = None,
        sorted_indices: Tensor | None = None,
        unsorted_indices: Tensor | None = None,
    ) -> PackedSequence:
        if batch_sizes is None:
            data, batch_sizes = data
        assert batch_sizes is not None
        if batch_sizes.device.type != "cpu":
            raise ValueError(
                "PackedSequence: batch_sizes must be on the CPU; got a tensor on "
                f"{batch_sizes.device}"
            )
        if unsorted_indices is None:
            unsorted_indices = invert_permutation(sorted_indices)
        return super().__new__(cls, data, batch_sizes, sorted_indices, unsorted_indices)

    def to(self, *args: Any, **kwargs: Any) -> PackedSequence:
        """The same with data of another dtype or device."""
        data = self.data.to(*args, **kwargs)
        if data is self.data:
            return self
        indices = [
            None if t is None else t.to(data.device)
            for t in (self.sorted_indices, self.unsorted_indices)
        ]
        return PackedSequence(data, self.batch_sizes, *indices)

    def cpu(self) -> PackedSequence:
        """The same on the CPU."""
        return self.to("cpu")

    def cuda(self, device: Any = None) -> PackedSequence:
        """The same on the GPU."""
        return self.to("cuda" if device is None else device)

    def double(self) -> PackedSequence:
        """The same with data of float64."""
        return self._converted("double")

    def float(self) -> PackedSequence:
        """The same with data of float32."""
        return self._converted("float")

    def _converted(self, method: str) -> PackedSequence:
        return self.to(getattr(self.data, method)().dtype)

    @property
    def is_cuda(self) -> bool:
        """Whether data is on the GPU."""
        return self.data.device.type == "cuda"


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one; None for None."""
    if permutation is None:
        return None
    places = permutation.tolist()
    inverse = [0] * len(places)
    for i, place in enumerate(places):
        inverse[place] = i
    return tensor(inverse, dtype=int64, device=permutation.device)


def _picked(x: Tensor, dim: int, places: list[int]) -> Tensor:
    """x[..., places, ...] along dim 0 or 1."""
    return index_select(x, dim, tensor(places, dtype=int64, device=x.device))


def _runs(sizes: list[int]) -> list[tuple[int, int, int]]:
    """Neighbouring steps of one size: (first step, step behind the last, size)."""
    runs: list[tuple[int, int, int]] = []
    for t, n in enumerate(sizes):
        if runs and runs[-1][2] == n:
            runs[-1] = (runs[-1][0], t + 1, n)
        else:
            runs.append((t, t + 1, n))
    return runs


def pack_padded_sequence(
    input: Tensor, lengths: Any, batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """Packs a padded batch of sequences.

    Shape: (T, N, ...), or (N, T, ...) with batch_first -> data (sum of lengths, ...)

    Args:
        lengths: of the N sequences, a list or a tensor on the CPU.
        batch_first: whether the batch is dim 0.
        enforce_sorted: whether lengths must fall; otherwise the sequences are sorted here, and
            pad_packed_sequence brings them back.

    Raises:
        RuntimeError: lengths that are not positive, too long, of another number, or not sorted.
    """
    name = "pack_padded_sequence"
    values = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    if input.dim() < 2:
        raise RuntimeError(f"{name}: input must be at least 2-D; got shape {tuple(input.shape)}")
    dim = 0 if batch_first else 1
    longest = input.shape[1 - dim]
    if len(values) != input.shape[dim]:
        raise RuntimeError(
            f"{name}: there must be a length for each of the {input.shape[dim]} sequences; "
            f"got {len(values)}"
        )
    if not values or min(values) <= 0 or max(values) > longest:
        raise RuntimeError(f"{name}: lengths must be in [1, {longest}]; got {values}")
    order = None
    if not enforce_sorted:
        places = sorted(range(len(values)), key=lambda i: -values[i])
        order = tensor(places, dtype=int64, device=input.device)
        values = [values[i] for i in places]
        input = _picked(input, dim, places)
    elif any(a < b for a, b in zip(values, values[1:], strict=False)):
        raise RuntimeError(
            f"{name}: lengths must be sorted, the longest first; got {values} "
            "(pass enforce_sorted=False)"
        )
    if batch_first:
        input = input.transpose(0, 1)
    sizes = [sum(1 for n in values if n > t) for t in range(values[0])]
    rest = tuple(input.shape[2:])
    parts = [
        input[first:end, :n].reshape(((end - first) * n, *rest)) for first, end, n in _runs(sizes)
    ]
    data = cat(parts, 0)
    return PackedSequence(data, tensor(sizes, dtype=int64, device="cpu"), order, None)


def pad_packed_sequence(
    sequence: PackedSequence,
    batch_first: bool = False,
    padding_value: float = 0.0,
    total_length: int | None = None,
) -> tuple[Tensor, Tensor]:
    """The inverse of pack_padded_sequence: the padded batch, in its first order, and the lengths.

    Shape: data (rows, ...) -> (T, N, ...), or (N, T, ...) with batch_first; lengths (N,) of int64

    Args:
        padding_value: what stands behind the shorter sequences.
        total_length: T; default: the longest sequence's length.

    Raises:
        ValueError: a total_length below the longest sequence's length.
    """
    sizes = sequence.batch_sizes.tolist()
    longest = len(sizes)
    if total_length is not None:
        if total_length < longest:
            raise ValueError(
                f"pad_packed_sequence: total_length must be at least the longest sequence's "
                f"length {longest}; got {total_length}"
            )
        longest = total_length
    batch, rest = sizes[0], tuple(sequence.data.shape[1:])

    def padding(*lead: int) -> Tensor:
        data = sequence.data
        return full((*lead, *rest), padding_value, dtype=data.dtype, device=data.device)

    parts = []
    offset = 0
    for first, end, n in _runs(sizes):
        steps = end - first
        part = sequence.data[offset : offset + steps * n].reshape((steps, n, *rest))
        offset += steps * n
        parts.append(part if n == batch else cat([part, padding(steps, batch - n)], 1))
    if longest > len(sizes):
        parts.append(padding(longest - len(sizes), batch))
    padded = cat(parts, 0) if len(parts) > 1 else parts[0]
    lengths = [sum(1 for n in sizes if n > i) for i in range(batch)]
    if sequence.unsorted_indices is not None:
        places = sequence.unsorted_indices.tolist()
        padded = _picked(padded, 1, places)
        lengths = [lengths[i] for i in places]
    if batch_first:
        padded = padded.transpose(0, 1)
    return padded, tensor(lengths, dtype=int64, device="cpu")


def pad_sequence(
    sequences: Any,
    batch_first: bool = False,
    padding_value: float = 0.0,
    padding_side: str = "right",
) -> Tensor:
    """Sequences of several lengths as one padded tensor.

    Shape: N tensors (L_i, ...) -> (T, N, ...), or (N, T, ...) with batch_first; T = max L_i

    Args:
        padding_value: what fills up the shorter sequences.
        padding_side: 'right', behind them, or 'left'.

    Raises:
        RuntimeError: no sequences, or sequences whose other dims differ.
    """
    if not isinstance(sequences, Iterable):
        raise RuntimeError(
            f"pad_sequence: sequences must be a list of tensors; got {type(sequences).__name__}"
        )
    if padding_side not in ("left", "right"):
        raise RuntimeError(
            f"pad_sequence: padding_side must be 'left' or 'right'; got {padding_side!r}"
        )
    items: list[Tensor] = list(sequences)
    if not items:
        raise RuntimeError("pad_sequence: there must be at least one sequence; got none")
    rest = tuple(items[0].shape[1:])
    for i, t in enumerate(items):
        if t.dim() < 1 or tuple(t.shape[1:]) != rest:
            raise RuntimeError(
                f"pad_sequence: sequences must match but in dim 0; got {tuple(items[0].shape)} "
                f"and {tuple(t.shape)} (sequence {i})"
            )
    longest = max(t.shape[0] for t in items)
    rows = []
    for t in items:
        if t.shape[0] < longest:
            shape = (longest - t.shape[0], *rest)
            padding = full(shape, padding_value, dtype=t.dtype, device=t.device)
            t = cat([t, padding] if padding_side == "right" else [padding, t], 0)
        rows.append(t.unsqueeze(0 if batch_first else 1))
    return cat(rows, 0 if batch_first else 1)


def unpad_sequence(
    padded_sequences: Tensor, lengths: Any, batch_first: bool = False
) -> list[Tensor]:
    """The inverse of pad_sequence: one tensor of its own length for each sequence.

    Shape: (T, N, ...), or (N, T, ...) with batch_first -> N tensors (L_i, ...)
    """
    if not batch_first:
        padded_sequences = padded_sequences.transpose(0, 1)
    values = lengths.tolist() if isinstance(lengths, Tensor) else list(lengths)
    return [padded_sequences[i, :n] for i, n in enumerate(values)]


def pack_sequence(sequences: list[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Packs a list of sequences (L_i, ...); see pack_padded_sequence.

    Args:
        enforce_sorted: whether the lengths must fall.
    """
    lengths = [t.shape[0] for t in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The inverse of pack_sequence."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
