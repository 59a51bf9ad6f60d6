"""Memory shared with NumPy and PyTorch: both ways, who keeps it alive, copies, pickles."""

from __future__ import annotations

import copy
import gc
import pickle
from typing import Any

import gradsmith as gs
import numpy as np
import pytest


def leaf(*values: float) -> Any:
    """A float64 leaf."""
    return gs.tensor(list(values), dtype=gs.float64, requires_grad=True)


def in_use() -> int:
    """Bytes that tensors hold."""
    gc.collect()
    return gs.memory_stats()["in_use"]


def test_numpy_shares_memory_both_ways() -> None:
    array = np.arange(6.0).reshape(2, 3)
    t = gs.from_numpy(array)
    array[0, 0] = 100.0
    assert t[0, 0].item() == 100.0
    t[1].zero_()
    assert array[1].tolist() == [0.0, 0.0, 0.0]
    assert t.numpy() is array or np.shares_memory(t.numpy(), array)


def test_dlpack_with_numpy() -> None:
    before = in_use()
    t = gs.full((3, 4), 2.0)
    array = np.from_dlpack(t)
    assert np.shares_memory(array, t.numpy())
    del t  # the consumer keeps the memory
    junk = [gs.zeros(3, 4) for _ in range(8)]
    assert (array == 2.0).all()
    del array, junk
    assert in_use() == before
    source = np.arange(12.0)[::-2]
    t = gs.from_dlpack(source)
    assert t.tolist() == source.tolist()
    source[0] = -1.0
    assert t[0].item() == -1.0
    del source
    gc.collect()
    assert t[0].item() == -1.0


def test_dlpack_capsules_dropped_and_consumed_twice() -> None:
    before = in_use()
    t = gs.zeros(10)
    for _ in range(10):
        t.__dlpack__()  # dropped without being consumed
    capsules = [t.__dlpack__()]

    class Producer:
        """Hands out the same capsule again."""

        def __dlpack__(self, **kwargs: Any) -> Any:
            return capsules[0]

        def __dlpack_device__(self) -> tuple[int, int]:
            return (1, 0)

    first = gs.from_dlpack(Producer())
    assert first.shape == (10,)
    with pytest.raises((BufferError, ValueError, RuntimeError)):
        gs.from_dlpack(Producer())
    assert first.tolist() == [0.0] * 10
    capsules.clear()
    del first, t
    assert in_use() == before


def test_dlpack_refuses_what_requires_a_gradient() -> None:
    with pytest.raises(BufferError, match="requires a gradient; use tensor.detach"):
        np.from_dlpack(leaf(1.0))
    assert np.from_dlpack(leaf(1.0).detach()).tolist() == [1.0]


def test_dlpack_of_read_only_memory() -> None:
    """Never written through: an error, or a tensor that refuses changes in place."""
    source = np.arange(3.0)
    source.flags.writeable = False
    try:
        t = gs.from_dlpack(source)
    except (BufferError, ValueError):
        return
    with pytest.raises(ValueError, match="read-only"):
        t.zero_()
    assert source.tolist() == [0.0, 1.0, 2.0]


def test_read_only_numpy_is_never_written() -> None:
    source = np.arange(3.0)
    source.flags.writeable = False
    t = gs.from_numpy(source)
    assert (t * 2.0).tolist() == [0.0, 2.0, 4.0]
    with pytest.raises(ValueError, match="read-only"):
        t.add_(1.0)
    assert source.tolist() == [0.0, 1.0, 2.0]


def test_dlpack_with_torch() -> None:
    torch = pytest.importorskip("torch")
    before = in_use()
    t = gs.full((3, 4), 2.0)
    theirs = torch.from_dlpack(t)
    theirs[0, 0] = 7.0
    assert t[0, 0].item() == 7.0
    del t
    junk = [gs.zeros(3, 4) for _ in range(8)]
    assert theirs[0, 0].item() == 7.0 and theirs[1, 1].item() == 2.0
    del theirs, junk
    assert in_use() == before
    source = torch.arange(12.0).reshape(3, 4).t()
    ours = gs.from_dlpack(source)
    assert ours.shape == (4, 3) and ours.stride() == source.stride()
    ours[0, 0].add_(5.0)
    assert source[0, 0].item() == 5.0
    del source
    gc.collect()
    assert ours[0, 0].item() == 5.0


def test_pickle_and_deepcopy() -> None:
    x = leaf(1.0, 2.0)
    for other in (copy.deepcopy(x), pickle.loads(pickle.dumps(x))):
        assert other.tolist() == [1.0, 2.0] and other.requires_grad and other.is_leaf
        assert other.data_ptr() != x.data_ptr()
    with pytest.raises(RuntimeError, match="only leaves can be copied"):
        copy.deepcopy(x * 2.0)


def test_dlpack_of_a_dtype_that_numpy_lacks() -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(BufferError, match="from_dlpack: NumPy, .*bfloat16: convert to float32"):
        gs.from_dlpack(torch.zeros(2, dtype=torch.bfloat16))
