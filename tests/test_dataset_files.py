"""MNIST, CIFAR and image folders from files: what is read, and what is said of wrong files."""

from __future__ import annotations

import gzip
import pickle

import numpy as np
import pytest
from gradsmith import transforms
from gradsmith.datasets import (
    CIFAR10,
    CIFAR100,
    EMNIST,
    KMNIST,
    MNIST,
    FashionMNIST,
    ImageFolder,
    read_cifar,
    read_idx,
)
from gradsmith.utils.data import DataLoader

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def idx(array):
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    head = bytes([0, 0, codes[array.dtype.name], array.ndim])
    head += b"".join(n.to_bytes(4, "big") for n in array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


@pytest.fixture
def mnist(tmp_path):
    """A folder of an MNIST of 7 training and 3 test images."""
    for part, n in (("train", 7), ("t10k", 3)):
        images = RNG.integers(0, 256, (n, 28, 28), np.uint8)
        labels = RNG.integers(0, 10, n, np.uint8)
        (tmp_path / f"{part}-images-idx3-ubyte").write_bytes(idx(images))
        with gzip.open(tmp_path / f"{part}-labels-idx1-ubyte.gz", "wb") as stream:
            stream.write(idx(labels))
    return tmp_path


@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "int32", "float32", "float64"])
def test_idx_of_every_dtype(dtype, tmp_path):
    array = (RNG.standard_normal((3, 2, 4)) * 50).astype(dtype)
    (tmp_path / "x").write_bytes(idx(array))
    found = read_idx(tmp_path / "x")
    assert found.dtype == array.dtype and found.flags.writeable
    np.testing.assert_array_equal(found, array)
    (tmp_path / "x").write_bytes(gzip.compress(idx(array[:0]), mtime=0))
    assert read_idx(tmp_path / "x").shape == (0, 2, 4)


GOOD = idx(np.arange(12, dtype=np.uint8).reshape(3, 4))


@pytest.mark.parametrize(
    "content,message",
    [
        (b"", "found an empty file"),
        (b"\0\0", "an IDX file begins with 00 00"),
        (b"\0\0\x07\1\0\0\0\0", "found the bytes 00 00 07 01"),
        (b"\0\0\x08\0", "found the bytes 00 00 08 00"),
        (pickle.dumps([1]), "found a Python pickle"),
        (b"<!DOCTYPE html>", "an HTML page"),
        (b"PK\x03\x04....", "a zip archive"),
        (GOOD[:10], "the header is cut off: 12 bytes expected; found 10"),
        (GOOD[:-1], r"cut off: \(3, 4\) uint8 values need 12 bytes; found 11"),
        (GOOD + b"x", "too long: .* need 12 bytes; found 13"),
        (b"\0\0\x0e\3" + b"\xff" * 12, "cut off: .* found 0"),
        (gzip.compress(GOOD, mtime=0)[:-9], "the gzip file is damaged or cut off"),
        (gzip.compress(GOOD, mtime=0)[:6], "the gzip file is damaged or cut off"),
    ],
)
def test_wrong_idx_files_are_named(content, message, tmp_path):
    path = tmp_path / "train-images-idx3-ubyte"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_idx(path)
    assert str(path) in str(raised.value)


def test_a_gzip_file_that_unpacks_to_too_much(tmp_path, monkeypatch):
    import gradsmith.datasets.idx as module

    monkeypatch.setattr(module, "MOST", 1000)
    (tmp_path / "x").write_bytes(gzip.compress(bytes(10_000), mtime=0))
    with pytest.raises(ValueError, match="at most 1,000 bytes expected; it unpacks to more"):
        read_idx(tmp_path / "x")
    (tmp_path / "x").write_bytes(bytes(10_000))
    with pytest.raises(ValueError, match="at most 1,000 bytes expected; found 10,000"):
        read_idx(tmp_path / "x")


@pytest.mark.parametrize("kind", [MNIST, FashionMNIST, KMNIST])
def test_mnist_family(kind, mnist):
    data = kind(mnist, train=True)
    assert len(data) == 7 and len(kind(mnist, train=False)) == 3
    image, label = data[2]
    assert image.mode == "L" and image.size == (28, 28)
    np.testing.assert_array_equal(np.asarray(image), data.data[2])
    assert label == data.targets[2] and type(label) is int
    assert len(data.classes) == 10 and data.class_to_idx[data.classes[3]] == 3
    both = kind(mnist, transform=transforms.ToTensor(), target_transform=lambda y: y + 100)
    x, y = both[0]
    assert x.shape == (1, 28, 28) and y >= 100
    batch, labels = next(iter(DataLoader(both, batch_size=4)))
    assert batch.shape == (4, 1, 28, 28) and labels.shape == (4,)
    assert "train, 7 images" in repr(data)


def test_mnist_in_torchvisions_folders(mnist, tmp_path):
    raw = tmp_path / "root" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    for path in mnist.glob("*ubyte*"):
        path.rename(raw / path.name)
    assert len(MNIST(tmp_path / "root")) == 7


def test_mnist_files_that_do_not_belong_together(mnist):
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(6, np.uint8)))
    with pytest.raises(ValueError, match="a label for each of 7 images .* found 6"):
        MNIST(mnist)
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.full(7, 10, np.uint8)))
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.9; found 10"):
        MNIST(mnist)
    (mnist / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros((7, 1), np.uint8)))
    with pytest.raises(ValueError, match="must hold 1-dimensional bytes"):
        MNIST(mnist)
    (mnist / "t10k-images-idx3-ubyte").unlink()
    with pytest.raises(
        FileNotFoundError, match="t10k-images-idx3-ubyte or .* expected; found t10k-lab"
    ):
        MNIST(mnist, train=False)
    with pytest.raises(FileNotFoundError, match="no such folder"):
        MNIST(mnist / "no")


def test_emnist_is_upright(tmp_path):
    images = RNG.integers(0, 256, (4, 28, 28), np.uint8)
    for kind, array in (("images-idx3", images), ("labels-idx1", np.arange(1, 5, dtype=np.uint8))):
        (tmp_path / f"emnist-letters-test-{kind}-ubyte").write_bytes(idx(array))
    data = EMNIST(tmp_path, "letters", train=False)
    np.testing.assert_array_equal(data.data, images.swapaxes(1, 2))
    assert len(data.classes) == 27 and data.classes[data[0][1]] == "a"
    with pytest.raises(ValueError, match="split must be one of"):
        EMNIST(tmp_path, "all")


# ---- CIFAR ----


def cifar_bytes(n, label_bytes, classes):
    labels = RNG.integers(0, classes, (n, label_bytes), np.uint8)
    if label_bytes == 2:
        labels[:, 0] %= 20
    pixels = RNG.integers(0, 256, (n, 3072), np.uint8)
    return np.concatenate([labels, pixels], axis=1).tobytes(), labels, pixels


def test_cifar10(tmp_path):
    folder = tmp_path / "cifar-10-batches-bin"
    folder.mkdir()
    parts = [cifar_bytes(3, 1, 10) for _ in range(5)]
    for i, (content, _, _) in enumerate(parts, 1):
        (folder / f"data_batch_{i}.bin").write_bytes(content)
    data = CIFAR10(tmp_path)
    assert len(data) == 15 and data.data.shape == (15, 32, 32, 3)
    image, label = data[4]
    assert image.mode == "RGB" and image.size == (32, 32)
    assert label == parts[1][1][1, 0] and data.classes[0] == "airplane"
    x = transforms.ToTensor()(image).numpy()
    np.testing.assert_allclose(x.ravel() * 255, parts[1][2][1], atol=1e-4)
    assert data.class_to_idx["truck"] == 9 and "15 images" in repr(data)
    with pytest.raises(FileNotFoundError, match="test_batch.bin"):
        CIFAR10(tmp_path, train=False)


def test_cifar100(tmp_path):
    content, labels, _ = cifar_bytes(5, 2, 100)
    (tmp_path / "test.bin").write_bytes(content)
    data = CIFAR100(tmp_path, train=False)
    np.testing.assert_array_equal(data.targets, labels[:, 1])
    np.testing.assert_array_equal(data.coarse_targets, labels[:, 0])
    assert len(data.classes) == 100 and data.classes[-1] == "worm"


def test_wrong_cifar_files_are_named(tmp_path):
    path = tmp_path / "test_batch.bin"
    path.write_bytes(cifar_bytes(2, 1, 10)[0][:-1])
    with pytest.raises(ValueError, match="multiple of 3073 bytes.*found 6145 bytes"):
        read_cifar(path)
    path.write_bytes(b"")
    with pytest.raises(ValueError, match="an empty file"):
        read_cifar(path)
    path.write_bytes(bytes([10]) + bytes(3072))
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.9; found 10"):
        CIFAR10(tmp_path, train=False)


def test_cifars_pickles_are_refused(tmp_path):
    path = tmp_path / "test_batch"
    path.write_bytes(pickle.dumps({b"data": np.zeros((1, 3072), np.uint8)}))
    with pytest.raises(ValueError, match="pickles, is never read.*binary version"):
        CIFAR10(tmp_path, train=False)
    path.rename(tmp_path / "test_batch.bin")
    with pytest.raises(ValueError, match="a Python pickle .*never unpickled.*binary"):
        CIFAR10(tmp_path, train=False)


# ---- folders ----


@pytest.fixture
def folder(tmp_path):
    for name, colour in (("dog", (255, 0, 0)), ("cat", (0, 255, 0))):
        (tmp_path / name / "more").mkdir(parents=True)
        for i, file in enumerate(("b.png", "a.jpg", "more/c.bmp")):
            Image.new("RGB", (6 + i, 5), colour).save(tmp_path / name / file)
        (tmp_path / name / "notes.txt").write_text("no image")
    return tmp_path


def test_image_folder(folder):
    data = ImageFolder(
        folder, transforms.Compose([transforms.Resize((4, 4)), transforms.ToTensor()])
    )
    assert data.classes == ["cat", "dog"] and data.class_to_idx == {"cat": 0, "dog": 1}
    assert data.targets == [0, 0, 0, 1, 1, 1]
    assert [p.rsplit("/", 1)[1] for p, _ in data.samples[:3]] == ["a.jpg", "b.png", "c.bmp"]
    x, y = data[4]
    assert y == 1 and x.shape == (3, 4, 4) and x.numpy()[:, 0, 0].tolist() == [1.0, 0.0, 0.0]
    batches = list(DataLoader(data, batch_size=4, num_workers=2))
    assert [tuple(b.shape) for b, _ in batches] == [(4, 3, 4, 4), (2, 3, 4, 4)]
    text = ImageFolder(folder, is_valid_file=lambda p: p.endswith(".txt"), loader=lambda p: p)
    assert len(text) == 2 and text[1][0].endswith("dog/notes.txt")
    assert "2 classes, 6 images" in repr(data)


def test_wrong_folders_and_images_are_named(folder):
    with pytest.raises(FileNotFoundError, match="found nothing"):
        ImageFolder(folder / "no")
    with pytest.raises(FileNotFoundError, match="found no folder in it"):
        ImageFolder(folder / "cat" / "more")
    (folder / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="found none for empty"):
        ImageFolder(folder)
    data = ImageFolder(folder, allow_empty=True)
    assert data.classes == ["cat", "dog", "empty"]
    whole = (folder / "cat" / "b.png").read_bytes()
    for content in (b"", b"not an image", whole[:20], whole[:45]):
        (folder / "cat" / "b.png").write_bytes(content)
        with pytest.raises(ValueError, match=r"cat/b\.png: an image expected; found \d+ bytes"):
            data[1]
    with pytest.raises(ValueError, match="b.png: an image expected"):
        list(DataLoader(data, collate_fn=list, batch_size=6, num_workers=1))
