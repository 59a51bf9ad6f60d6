"""Data sets side by side and one after another, weighted and distributed samplers, k-fold."""

from __future__ import annotations

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.utils.data import (
    ChainDataset,
    ConcatDataset,
    DataLoader,
    DistributedSampler,
    IterableDataset,
    StackDataset,
    TensorDataset,
    WeightedRandomSampler,
    k_fold,
)


class Stream(IterableDataset):
    def __init__(self, *values):
        self.values = values

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


def test_chains():
    chain = Stream(1, 2) + Stream(3)
    assert isinstance(chain, ChainDataset) and list(chain) == [1, 2, 3] and len(chain) == 3
    assert [b.tolist() for b in DataLoader(chain, batch_size=2)] == [[1, 2], [3]]
    with pytest.raises(TypeError, match="use ConcatDataset"):
        list(ChainDataset([TensorDataset(gs.zeros(2))]))


def test_stacks():
    a, b = TensorDataset(gs.tensor([0, 1, 2, 3])), TensorDataset(gs.tensor([0, 10, 20, 30]))
    pairs = StackDataset(a, b)
    assert len(pairs) == 4 and [t[0].item() for t in pairs[2]] == [2, 20]
    named = StackDataset(x=a, y=ConcatDataset([b]))
    assert set(named[1]) == {"x", "y"}
    batch = next(iter(DataLoader(named, batch_size=3)))
    assert batch["y"][0].tolist() == [0, 10, 20]
    assert next(iter(DataLoader(pairs, batch_size=2)))[1][0].tolist() == [0, 10]
    with pytest.raises(ValueError, match=r"one length; got \[4, 2\]"):
        StackDataset(a, TensorDataset(gs.zeros(2)))
    with pytest.raises(ValueError, match="got none"):
        StackDataset()
    with pytest.raises(ValueError, match="got both"):
        StackDataset(a, y=b)


def test_weights_are_followed():
    gs.manual_seed(0)
    sampler = WeightedRandomSampler([0.0, 1.0, 3.0, 0.0], 20_000)
    counts = np.bincount(list(sampler), minlength=4)
    assert counts[0] == counts[3] == 0 and abs(counts[2] / counts[1] - 3) < 0.2
    assert len(sampler) == 20_000
    firsts = [
        next(iter(WeightedRandomSampler(gs.tensor([1.0, 3.0]), 2, False))) for _ in range(4000)
    ]
    assert abs(np.mean(firsts) - 0.75) < 0.03
    for _ in range(20):
        drawn = list(WeightedRandomSampler([1, 5, 0, 2], 3, replacement=False))
        assert sorted(drawn) == [0, 1, 3]
    a = list(WeightedRandomSampler([1, 2, 3], 9, generator=gs.Generator().manual_seed(1)))
    assert a == list(WeightedRandomSampler([1, 2, 3], 9, generator=gs.Generator().manual_seed(1)))
    for weights, n, replacement, message in (
        ([1, -1], 1, True, "finite and >= 0"),
        ([0, 0], 1, True, "got 0"),
        ([1, 0], 2, False, "got 1"),
        ([[1]], 1, True, "1-dimensional"),
    ):
        with pytest.raises(ValueError, match=message):
            WeightedRandomSampler(weights, n, replacement)
    with pytest.raises(TypeError, match="replacement must be a bool"):
        WeightedRandomSampler([1], 1, 1)


def test_processes_share_a_data_set():
    for n, drop_last in ((10, False), (10, True), (2, False)):
        shares = [DistributedSampler(range(n), 4, r, seed=3, drop_last=drop_last) for r in range(4)]
        lists = [list(s) for s in shares]
        assert len({len(x) for x in lists}) == 1 == len({len(s) for s in shares})
        every = sum(lists, [])
        assert len(set(every)) == (8 if drop_last else n)
        again = list(shares[0])
        assert again == lists[0]
        shares[0].set_epoch(5)
        assert n == 2 or list(shares[0]) != lists[0]
    assert list(DistributedSampler(range(5), 2, 1, shuffle=False)) == [1, 3, 0]
    with pytest.raises(ValueError, match=r"rank must be in \[0, 2\); got 2"):
        DistributedSampler(range(5), 2, 2)


def test_k_fold():
    data = TensorDataset(gs.tensor(list(range(11))))
    gs.manual_seed(0)
    folds = k_fold(data, 3)
    assert [len(v) for _, v in folds] == [4, 4, 3]
    values = [[v[i][0].item() for i in range(len(v))] for _, v in folds]
    assert sorted(sum(values, [])) == list(range(11)) != sum(values, [])
    for (training, validation), own in zip(folds, values, strict=True):
        rest = [training[i][0].item() for i in range(len(training))]
        assert sorted(rest + own) == list(range(11)) and len(validation) == len(own)
    gs.manual_seed(0)
    assert k_fold(data, 3)[1][1].indices == folds[1][1].indices
    plain = k_fold(data, 11, shuffle=False)
    assert plain[4][1].indices == [4]
    with pytest.raises(ValueError, match=r"k must be in \[2, 11\].*got 12"):
        k_fold(data, 12)
    with pytest.raises(TypeError, match="k must be an int"):
        k_fold(data, 2.5)
