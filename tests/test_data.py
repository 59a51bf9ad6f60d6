"""utils.data: data sets, samplers, collation, and the loader with and without worker processes."""

from __future__ import annotations

import collections
import gc
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
import time
from multiprocessing import resource_tracker

import gradsmith as gs
import numpy as np
import pytest
from gradsmith.utils import data
from gradsmith.utils.data import (
    BatchSampler,
    ConcatDataset,
    DataLoader,
    Dataset,
    IterableDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    default_collate,
    default_convert,
    get_worker_info,
    random_split,
)


@pytest.fixture(autouse=True)
def no_worker_stays():
    """Fails a test that leaves a process or a file descriptor behind."""
    resource_tracker.ensure_running()  # which "spawn" starts, and keeps
    files = len(os.listdir("/proc/self/fd"))

    def left():
        return multiprocessing.active_children() or len(os.listdir("/proc/self/fd")) > files

    yield
    if left():
        gc.collect()
    assert not left()


@pytest.fixture(autouse=True)
def no_hang():
    """Ends a test that waits for ever."""

    def stop(*_):
        raise TimeoutError("the test hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(60)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


class Squares(Dataset):
    """i -> (i, i * i as an array of some size)."""

    def __init__(self, n=20, size=3):
        self.n = n
        self.size = size

    def __len__(self):
        return self.n

    def __getitem__(self, i):
        if not 0 <= i < self.n:
            raise IndexError(i)
        return i, np.full(self.size, i * i, np.float32)


class Stream(IterableDataset):
    """0..n-1, or each worker's share of it."""

    def __init__(self, n, sizes=None):
        self.n = n
        self.sizes = sizes

    def __iter__(self):
        info = get_worker_info()
        if info is None:
            return iter(range(self.n))
        if self.sizes is not None:
            return iter(range(100 * info.id, 100 * info.id + self.sizes[info.id]))
        return iter(range(info.id, self.n, info.num_workers))


def firsts(loader):
    """The first element of every batch, as a list."""
    return [batch[0].tolist() for batch in loader]


# ---- data sets ----


def test_tensor_dataset_subset_and_concatenation():
    x, y = gs.tensor(np.arange(12).reshape(6, 2)), gs.tensor(np.arange(6))
    both = TensorDataset(x, y)
    assert len(both) == 6 and both[2][0].tolist() == [4, 5] and both[-1][1].item() == 5
    part = Subset(both, [4, 1])
    assert len(part) == 2 and part[0][1].item() == 4
    assert [s[1].item() for s in part.__getitems__([1, 0])] == [1, 4]
    joined = part + both
    assert isinstance(joined, ConcatDataset) and len(joined) == 8
    assert joined.cumulative_sizes == [2, 8]
    assert [joined[i][1].item() for i in (0, 1, 2, -1)] == [4, 1, 0, 5]
    with pytest.raises(IndexError, match=r"index must be in \[-8, 8\); got 8"):
        joined[8]
    with pytest.raises(ValueError, match="one first dimension in common; got shapes"):
        TensorDataset(x, gs.zeros(5))
    with pytest.raises(ValueError, match="in common"):
        TensorDataset(gs.tensor(1.0))
    with pytest.raises(TypeError, match="must be tensors; got ndarray"):
        TensorDataset(np.zeros(3))
    with pytest.raises(ValueError, match="datasets must not be empty"):
        ConcatDataset([])
    with pytest.raises(TypeError, match="an IterableDataset has no indices"):
        ConcatDataset([Stream(3)])
    with pytest.raises(NotImplementedError, match="Dataset: the data set has no __getitem__"):
        Dataset()[0]


def test_random_split_is_a_partition_that_the_seed_decides():
    whole = Squares(11)
    parts = random_split(whole, [0.5, 0.3, 0.2], gs.Generator().manual_seed(3))
    again = random_split(whole, [0.5, 0.3, 0.2], gs.Generator().manual_seed(3))
    assert [len(p) for p in parts] == [6, 3, 2]
    assert sorted(i for p in parts for i in p.indices) == list(range(11))
    assert [p.indices for p in parts] == [p.indices for p in again]
    assert [len(p) for p in random_split(whole, [4, 7, 0])] == [4, 7, 0]
    for lengths in ([1, 2], [0.5, 0.2], [12, -1], [1.5, -0.5]):
        with pytest.raises(ValueError, match="random_split: "):
            random_split(whole, lengths)


# ---- samplers ----


def test_samplers():
    source = range(7)
    assert list(SequentialSampler(source)) == list(range(7))
    gs.manual_seed(1)
    first, second = list(RandomSampler(source)), list(RandomSampler(source))
    assert sorted(first) == list(range(7)) and first != second
    gs.manual_seed(1)
    assert list(RandomSampler(source)) == first
    assert len(list(RandomSampler(source, num_samples=17))) == 17
    drawn = list(RandomSampler(source, replacement=True, num_samples=500))
    assert set(drawn) == set(range(7)) and len(drawn) == 500
    assert sorted(SubsetRandomSampler([3, 5, 9])) == [3, 5, 9]
    assert list(BatchSampler(source, 3)) == [[0, 1, 2], [3, 4, 5], [6]]
    assert list(BatchSampler(source, 3, True)) == [[0, 1, 2], [3, 4, 5]]
    assert len(BatchSampler(source, 3)) == 3 and len(BatchSampler(source, 3, True)) == 2
    assert list(RandomSampler(range(0))) == []
    for make, kind in (
        (lambda: RandomSampler(source, num_samples=0), ValueError),
        (lambda: RandomSampler(source, replacement=1), TypeError),
        (lambda: BatchSampler(source, 0), ValueError),
        (lambda: BatchSampler(source, True), TypeError),
        (lambda: BatchSampler(source, 2, "no"), TypeError),
    ):
        with pytest.raises(kind, match="Sampler: "):
            make()


def test_permutations_are_uniform():
    gs.manual_seed(0)
    seen = collections.Counter(tuple(RandomSampler(range(3))) for _ in range(3000))
    assert len(seen) == 6 and all(400 < n < 600 for n in seen.values())


# ---- collation ----

Point = collections.namedtuple("Point", ["x", "y"])


def test_default_collate():
    batch = default_collate([(np.zeros(2, np.float32), 1, 2.0, "a", True, {"k": [1, 2]})] * 3)
    assert isinstance(batch, list)
    assert batch[0].shape == (3, 2) and batch[0].dtype is gs.float32
    assert batch[1].tolist() == [1, 1, 1] and batch[1].dtype is gs.int64
    assert batch[2].dtype is gs.float64 and batch[3] == ["a"] * 3
    assert batch[4].dtype is gs.bool_
    assert [t.tolist() for t in batch[5]["k"]] == [[1, 1, 1], [2, 2, 2]]
    point = default_collate([Point(1, gs.ones(2)), Point(2, gs.zeros(2))])
    assert isinstance(point, Point) and point.y.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert default_collate([np.float32(1.5)] * 2).tolist() == [1.5, 1.5]
    x = gs.ones(2, requires_grad=True)
    default_collate([x * 2.0, x * 3.0]).sum().backward()
    assert x.grad.tolist() == [5.0, 5.0]
    for samples, kind, message in (
        ([object()] * 2, TypeError, "got object .give a collate_fn."),
        ([np.array(["a"])], TypeError, "arrays must be of numbers; got dtype <U1"),
        ([np.zeros(2), np.zeros(3)], RuntimeError, r"one shape; got \(2,\) .* \(3,\) in sample 1"),
        ([(1, 2), (1,)], RuntimeError, "as many elements; got 2 in the first, 1 in sample 1"),
        ([gs.ones(1), 3], TypeError, "one type; got Tensor, int"),
    ):
        with pytest.raises(kind, match=message):
            default_collate(samples)


def test_default_convert():
    converted = default_convert({"a": (np.zeros(2), "s"), "b": [np.float32(1)]})
    assert isinstance(converted["a"][0], gs.Tensor) and converted["a"][1] == "s"
    assert converted["b"][0].item() == 1.0
    assert default_convert(Point(np.zeros(1), 2)).y == 2


@pytest.mark.parametrize("samples", [[1, 2], [1.0, 2.5], [(1, 2.0)], [{"a": 1}], ["a", "b"]])
def test_collation_is_torchs(samples):
    torch = pytest.importorskip("torch")

    def plain(value):
        if isinstance(value, (gs.Tensor, torch.Tensor)):
            return str(value.dtype).split(".")[1], value.tolist()
        if isinstance(value, dict):
            return {k: plain(v) for k, v in value.items()}
        return type(value), [plain(v) if not isinstance(v, str) else v for v in value]

    theirs = torch.utils.data.default_collate(samples)
    assert plain(default_collate(samples)) == plain(theirs)


# ---- the loader in this process ----


def test_order_batches_and_length():
    loader = DataLoader(Squares(7), batch_size=3)
    batches = list(loader)
    assert [b[0].tolist() for b in batches] == [[0, 1, 2], [3, 4, 5], [6]]
    assert batches[1][1].shape == (3, 3) and batches[1][1].tolist()[2] == [25.0] * 3
    assert len(loader) == 3
    short = DataLoader(Squares(7), batch_size=3, drop_last=True)
    assert len(short) == len(list(short)) == 2
    single = DataLoader(Squares(3), batch_size=None)
    assert [i for i, _ in single] == [0, 1, 2] and len(single) == 3
    assert isinstance(next(iter(single))[1], gs.Tensor)
    chosen = DataLoader(Squares(9), sampler=[8, 2, 5], batch_size=2)
    assert firsts(chosen) == [[8, 2], [5]]
    assert firsts(DataLoader(Squares(9), batch_sampler=[[1], [2, 3]])) == [[1], [2, 3]]
    collated = DataLoader(Squares(4), batch_size=2, collate_fn=lambda s: [i for i, _ in s])
    assert list(collated) == [[0, 1], [2, 3]]
    with pytest.raises(ValueError, match="batch_size cannot be set after construction"):
        loader.batch_size = 4


def test_batches_are_torchs():
    torch = pytest.importorskip("torch")
    for options in ({"batch_size": 4}, {"batch_size": 4, "drop_last": True}, {"batch_size": None}):
        theirs = torch.utils.data.DataLoader(Squares(10), **options)
        ours = DataLoader(Squares(10), **options)
        assert len(ours) == len(theirs)
        for a, b in zip(ours, theirs, strict=True):
            assert type(a) is type(b)
            np.testing.assert_array_equal(np.asarray(a[0]), np.asarray(b[0]))
            np.testing.assert_array_equal(a[1].numpy(), b[1].numpy())


def test_the_seed_decides_the_order():
    def order(workers=0, generator=None):
        loader = DataLoader(Squares(20), 4, shuffle=True, num_workers=workers, generator=generator)
        return [firsts(loader), firsts(loader)]

    gs.manual_seed(5)
    a = order()
    gs.manual_seed(5)
    assert order() == a and a[0] != a[1]
    assert sorted(sum(a[0], [])) == list(range(20))
    gs.manual_seed(5)
    assert order(workers=2) == a
    b = order(generator=gs.Generator().manual_seed(9))
    assert order(generator=gs.Generator().manual_seed(9)) == b != a


def test_gathered_batches_are_those_of_the_samples():
    x, y = gs.randn(30, 2, 3), gs.tensor(np.arange(30))
    plain = TensorDataset(x, y)
    subset = Subset(Subset(plain, range(29, -1, -1)), list(range(3, 20)))

    class Odd(TensorDataset):
        def __getitem__(self, i):
            return super().__getitem__(2 * i)

        def __len__(self):
            return 15

    for dataset in (plain, subset, Odd(x, y)):
        fast = list(DataLoader(dataset, 4))
        slow = list(DataLoader(dataset, 4, collate_fn=lambda s: default_collate(s)))
        assert len(fast) == len(slow)
        for a, b in zip(fast, slow, strict=True):
            assert type(a) is type(b)
            for p, q in zip(a, b, strict=True):
                np.testing.assert_array_equal(p.numpy(), q.numpy())
                assert p.dtype is q.dtype and p.numpy().flags.writeable
    with pytest.raises(IndexError):
        list(DataLoader(plain, sampler=[31]))


def test_getitems_is_used():
    class Many(Squares):
        def __getitems__(self, indices):
            return [(-i, np.zeros(1)) for i in indices]

    assert firsts(DataLoader(Many(5), 3)) == [[0, -1, -2], [-3, -4]]


def test_streams():
    assert [b.tolist() for b in DataLoader(Stream(5), 2)] == [[0, 1], [2, 3], [4]]
    assert [b.tolist() for b in DataLoader(Stream(5), 2, drop_last=True)] == [[0, 1], [2, 3]]
    assert list(DataLoader(Stream(3), None)) == [0, 1, 2]
    with pytest.raises(TypeError, match="has no len"):
        len(DataLoader(Stream(3)))


WRONG = [
    ({"num_workers": -1}, "num_workers must be an int >= 0; got -1"),
    ({"num_workers": 1.5}, "num_workers must be an int >= 0; got 1.5"),
    ({"timeout": -1}, "timeout must be >= 0; got -1"),
    ({"prefetch_factor": 2}, "prefetch_factor needs num_workers > 0"),
    ({"num_workers": 1, "prefetch_factor": 0}, "prefetch_factor must be >= 1; got 0"),
    ({"persistent_workers": True}, "persistent_workers needs num_workers > 0"),
    ({"multiprocessing_context": "fork"}, "multiprocessing_context needs num_workers > 0"),
    ({"sampler": [1], "shuffle": True}, "sampler excludes shuffle"),
    ({"batch_sampler": [[1]], "batch_size": 2}, "batch_sampler excludes batch_size"),
    ({"batch_sampler": [[1]], "drop_last": True}, "batch_sampler excludes batch_size"),
    ({"batch_size": None, "drop_last": True}, "drop_last needs a batch_size"),
    ({"batch_size": 0}, "batch_size must be >= 1; got 0"),
    ({"dataset": Stream(3), "shuffle": True}, "an IterableDataset has its own order; got shuffle"),
    ({"dataset": Stream(3), "sampler": [1]}, "an IterableDataset has its own order; got sampler"),
    ({"dataset": Stream(3), "batch_sampler": [[1]]}, "has its own order; got batch_sampler"),
]


@pytest.mark.parametrize("options, message", WRONG, ids=range(len(WRONG)))
def test_options_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        DataLoader(**{"dataset": Squares(3), **options})


# ---- workers ----


@pytest.mark.parametrize("context", ["fork", "spawn"])
def test_workers_give_the_same_batches(context):
    n, size = 12, 5000  # a batch of 4 is 80 kB: through shared memory
    loader = DataLoader(Squares(n, size), 4, num_workers=2, multiprocessing_context=context)
    batches = list(loader)
    for got, wanted in zip(batches, DataLoader(Squares(n, size), 4), strict=True):
        np.testing.assert_array_equal(got[0].numpy(), wanted[0].numpy())
        np.testing.assert_array_equal(got[1].numpy(), wanted[1].numpy())
        got[1].add_(1.0)  # its memory is its own
        assert got[1].numpy()[0, 0] == wanted[1].numpy()[0, 0] + 1


@pytest.mark.parametrize("size", [1, 3, 17000])
def test_messages_of_every_size_arrive(size):
    class Mixed(Dataset):
        def __len__(self):
            return 3

        def __getitem__(self, i):
            return {
                "text": "x" * (100_000 * i),
                "array": np.arange(size * i, dtype=np.int32).reshape(i, size),
                "fortran": np.asfortranarray(np.arange(2.0 * size).reshape(2, size)),
                "strided": np.arange(2.0 * size)[::2],
                "empty": np.zeros((0, 3)),
                "tensor": gs.ones(size),
            }

    loader = DataLoader(Mixed(), None, num_workers=1, collate_fn=lambda s: s)
    for got, wanted in zip(loader, (Mixed()[i] for i in range(3)), strict=True):
        assert got["text"] == wanted["text"]
        for key in ("array", "fortran", "strided", "empty"):
            np.testing.assert_array_equal(got[key], wanted[key])
            assert got[key].flags.writeable
        assert got["tensor"].tolist() == wanted["tensor"].tolist()


def test_shared_memory_outlives_the_workers():
    loader = DataLoader(Squares(4, 100_000), 2, num_workers=1)
    kept = [batch[1] for batch in loader]
    del loader
    gc.collect()
    assert kept[1].numpy()[1, -1] == 9.0
    del kept


def test_workers_run_kernels_after_the_parent_did():
    class Computed(Dataset):
        def __len__(self):
            return 4

        def __getitem__(self, i):
            return (gs.ones(200, 200) @ gs.ones(200, 200)).sum() * float(i)

    (gs.ones(400, 400) @ gs.ones(400, 400)).sum()  # the parent's threads have run
    loader = DataLoader(Computed(), 2, num_workers=2)
    assert [b.tolist() for b in loader] == [[0.0, 8e6], [16e6, 24e6]]


def test_worker_info_seeds_and_init_fn():
    class Told(Dataset):
        def __len__(self):
            return 8

        def __getitem__(self, i):
            info = get_worker_info()
            drawn = (random.random(), float(np.random.rand()), gs.rand(1).item())
            return info.id, info.num_workers, info.seed, self.mark, drawn, gs.get_num_threads()

    def mark(worker):
        get_worker_info().dataset.mark = 10 * worker

    def passes(persistent):
        gs.manual_seed(2)
        loader = DataLoader(
            Told(),
            None,
            num_workers=2,
            worker_init_fn=mark,
            persistent_workers=persistent,
            collate_fn=lambda s: s,
        )
        return [list(loader), list(loader)]

    assert get_worker_info() is None
    first, second = passes(False)
    assert [s[0] for s in first] == [0, 1] * 4 and {s[1] for s in first} == {2}
    assert [s[3] for s in first] == [0, 10] * 4 and {s[5] for s in first} == {1}
    assert first[1][2] == first[0][2] + 1
    assert len({s[4] for s in first + second}) == 16  # no two draws are the same
    assert passes(False) == [first, second]  # and the seed decides them all
    assert passes(True)[0] == first


def test_streams_are_shared_out_among_workers():
    loader = DataLoader(Stream(10), 2, num_workers=2)
    assert [b.tolist() for b in loader] == [[0, 2], [1, 3], [4, 6], [5, 7], [8], [9]]
    uneven = DataLoader(Stream(0, sizes=[1, 5, 0]), 2, num_workers=3)
    assert [b.tolist() for b in uneven] == [[0], [100, 101], [102, 103], [104]]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_streams_of_workers_are_in_torchs_order():
    torch = pytest.importorskip("torch")

    class Theirs(torch.utils.data.IterableDataset):
        def __iter__(self):
            info = torch.utils.data.get_worker_info()
            return iter(range(100 * info.id, 100 * info.id + sizes[info.id]))

    for sizes in ([7, 2, 4], [0, 9, 1], [3, 3, 3]):
        theirs = torch.utils.data.DataLoader(Theirs(), batch_size=2, num_workers=3)
        ours = DataLoader(Stream(0, sizes), 2, num_workers=3)
        assert [b.tolist() for b in ours] == [b.tolist() for b in theirs]


def test_persistent_workers_are_kept_and_start_anew():
    class Where(Squares):
        def __getitem__(self, i):
            return i, os.getpid()

    loader = DataLoader(Where(12), 2, num_workers=2, persistent_workers=True)
    passes = [list(loader) for _ in range(3)]
    assert [[b[0].tolist() for b in p] for p in passes] == [firsts(DataLoader(Where(12), 2))] * 3
    pids = {pid for p in passes for b in p for pid in b[1].tolist()}
    assert len(pids) == 2 and os.getpid() not in pids
    iterator = iter(loader)
    assert next(iterator)[0].tolist() == [0, 1]
    assert firsts(loader) == firsts(DataLoader(Where(12), 2))  # what was under way is dropped
    streams = DataLoader(Stream(6), 2, num_workers=2, persistent_workers=True)
    assert [[b.tolist() for b in streams] for _ in range(2)] == [[[0, 2], [1, 3], [4], [5]]] * 2


class OddError(Exception):
    def __init__(self, a, b):
        super().__init__(f"{a} {b}")


class Failing(Squares):
    """Raises at one index."""

    def __init__(self, error, n=6, at=3):
        super().__init__(n)
        self.error = error
        self.at = at

    def __getitem__(self, i):
        if i == self.at:
            raise self.error
        return super().__getitem__(i)


@pytest.mark.parametrize(
    "error, kind",
    [
        (ValueError("bad pixel"), ValueError),
        (KeyError("bad pixel"), KeyError),
        (OddError("bad", "pixel"), RuntimeError),
        (StopIteration("bad pixel"), RuntimeError),
    ],
)
def test_errors_come_with_the_workers_traceback(error, kind):
    loader = DataLoader(Failing(error), 1, num_workers=2)
    got = []
    with pytest.raises(kind) as raised:
        for batch in loader:
            got.append(batch[0].item())
    message = str(raised.value)
    assert got == [0, 1, 2]
    assert f"Caught {type(error).__name__} in DataLoader worker process 1." in message
    assert "Original Traceback" in message and "in __getitem__" in message
    assert "bad pixel" in message and "raise self.error" in message


def test_the_loop_may_go_on_behind_an_error():
    iterator = iter(DataLoader(Failing(ValueError("once")), 1, num_workers=2))
    got = []
    for _ in range(6):
        try:
            got.append(next(iterator)[0].item())
        except ValueError:
            got.append(None)
    assert got == [0, 1, 2, None, 4, 5]
    with pytest.raises(StopIteration):
        next(iterator)


def test_errors_elsewhere_in_a_worker():
    def broken_init(worker):
        raise OSError("no such disk")

    with pytest.raises(OSError, match="(?s)worker process 0.*no such disk"):
        next(iter(DataLoader(Squares(), num_workers=1, worker_init_fn=broken_init)))

    class Local(Exception):
        pass

    with pytest.raises(RuntimeError, match="(?s)Caught Local.*odd"):
        next(iter(DataLoader(Failing(Local("odd"), at=0), num_workers=1)))
    unpicklable = DataLoader(Squares(), num_workers=1, collate_fn=lambda s: threading.Lock())
    with pytest.raises(TypeError, match="(?s)worker process 0.*pickle"):
        next(iter(unpicklable))
    with pytest.raises(Exception, match="pickle"):
        iter(
            DataLoader(
                Squares(), num_workers=1, collate_fn=lambda s: s, multiprocessing_context="spawn"
            )
        )


class Deadly(Squares):
    """Ends the process at one index."""

    def __init__(self, how, at=4):
        super().__init__(8, 50_000)
        self.how = how
        self.at = at

    def __getitem__(self, i):
        if i == self.at:
            if self.how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            elif self.how == "exit":
                os._exit(3)
            else:
                raise SystemExit(4)
        return super().__getitem__(i)


@pytest.mark.parametrize(
    "how, words",
    [
        ("kill", "worker 0 .pid .*. was ended by signal SIGKILL .as the system does when memory"),
        ("exit", "worker 0 .pid .*. exited with code 3"),
        ("leave", "worker 0 .pid .*. exited with code 4"),
    ],
)
def test_a_dead_worker_is_noticed(how, words):
    iterator = iter(DataLoader(Deadly(how), 1, num_workers=2))
    got = []
    with pytest.raises(RuntimeError, match=words):
        for batch in iterator:
            got.append(batch[0].item())
    assert got == [0, 1, 2, 3]
    with pytest.raises(RuntimeError, match="the workers have ended: worker 0"):
        next(iterator)


def test_persistent_workers_are_replaced_after_a_death(tmp_path):
    class Once(Squares):
        def __getitem__(self, i):
            if i == 2 and not (tmp_path / "died").exists():
                (tmp_path / "died").touch()
                os._exit(1)
            return super().__getitem__(i)

    loader = DataLoader(Once(4), 1, num_workers=1, persistent_workers=True)
    with pytest.raises(RuntimeError, match="exited with code 1"):
        list(loader)
    assert firsts(loader) == [[0], [1], [2], [3]]


class Slow(Squares):
    def __getitem__(self, i):
        time.sleep(0.0 if i < 2 else 60.0)
        return super().__getitem__(i)


def test_timeout():
    iterator = iter(DataLoader(Slow(6), 1, num_workers=2, timeout=0.3))
    assert [next(iterator)[0].item() for _ in range(2)] == [0, 1]
    with pytest.raises(RuntimeError, match="worker 0 gave no batch within timeout=0.3 seconds"):
        next(iterator)


@pytest.mark.parametrize("size", [10, 1_000_000])
def test_leaving_the_loop_ends_the_workers(size, monkeypatch):
    class Texts(Dataset):
        def __len__(self):
            return 100

        def __getitem__(self, i):
            return "x" * size, np.zeros(size, np.float32)

    monkeypatch.setattr("gradsmith.utils.data.processes._GRACE", 25.0)
    iterator = iter(DataLoader(Texts(), 1, num_workers=2, prefetch_factor=4))
    processes = iterator.workers.processes
    next(iterator)
    del iterator
    gc.collect()
    assert multiprocessing.active_children() == []
    assert [process.exitcode for process in processes] == [0, 0]  # they were asked, not made to


PARENT = """
import os, signal, sys, time
import numpy as np
from gradsmith.utils.data import DataLoader, Dataset

class Endless(Dataset):
    def __len__(self):
        return 10**9

    def __getitem__(self, i):
        return os.getpid(), np.zeros(100_000), "x" * 300_000

iterator = iter(DataLoader(Endless(), 1, num_workers=2))
print([next(iterator)[0].item() for _ in range(2)], flush=True)
time.sleep(60)
"""


def test_workers_end_with_their_parent():
    with subprocess.Popen([sys.executable, "-c", PARENT], stdout=subprocess.PIPE) as parent:
        pids = json.loads(parent.stdout.readline())
        parent.kill()
    assert len(set(pids)) == 2
    deadline = time.monotonic() + 15
    while any(_runs(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(_runs(pid) for pid in pids)


def _runs(pid):
    """Whether the process is there and is no zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_an_interrupted_loop_leaves_the_loader_usable(monkeypatch):
    loader = DataLoader(Squares(6), 1, num_workers=2, persistent_workers=True)
    iterator = iter(loader)
    next(iterator)
    with monkeypatch.context() as patch:

        def interrupted(*_):
            raise KeyboardInterrupt

        patch.setattr("gradsmith.utils.data.processes.receive", interrupted)
        with pytest.raises(KeyboardInterrupt):
            next(iterator)
    with pytest.raises(RuntimeError, match="receiving a batch was interrupted"):
        next(iterator)
    assert firsts(loader) == [[i] for i in range(6)]


def test_large_tasks_do_not_block():
    # Indices and batches both larger than what a pipe holds.
    loader = DataLoader(
        TensorDataset(gs.tensor(np.arange(150_000))),
        batch_sampler=[list(range(i, 150_000 - i)) for i in range(8)],
        num_workers=2,
        prefetch_factor=4,
    )
    assert [len(b[0]) for b in loader] == [150_000 - 2 * i for i in range(8)]


def test_two_loops_at_once_and_threads():
    loader = DataLoader(Squares(6), 1, num_workers=1)
    pairs = [(a[0].item(), b[0].item()) for a, b in zip(loader, loader, strict=True)]
    assert pairs == [(i, i) for i in range(6)]
    results = {}

    def go(name):
        results[name] = firsts(DataLoader(Squares(9), 2, num_workers=1))

    threads = [threading.Thread(target=go, args=(i,)) for i in range(3)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert list(results.values()) == [firsts(DataLoader(Squares(9), 2))] * 3


def test_pin_memory_says_that_it_has_no_effect():
    with pytest.warns(UserWarning, match="pin_memory has no effect yet"):
        DataLoader(Squares(2), pin_memory=True)


def test_everything_listed_is_there():
    assert all(hasattr(data, name) for name in data.__all__)
