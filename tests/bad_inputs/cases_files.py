"""Files that are damaged, hostile, or of another kind."""

from __future__ import annotations

import io
import json
import os
import pickle
import tempfile
import zipfile
from pathlib import Path

from gradsmith import datasets
from harness import case, counted, device, gs, np, refused, right

FOLDER = Path(tempfile.mkdtemp(prefix="gradsmith-bad-inputs-"))
#: What would be run if a pickle were read.
MARK = FOLDER / "must-not-be-made"


def _file(name, content):
    path = FOLDER / name
    path.write_bytes(content)
    return path


class _Hostile:
    def __reduce__(self):
        return (os.mkdir, (str(MARK),))


def _load(path):
    return gs.load(path, map_location=device)


def _named(path, call):
    """Refused, and the message has the file's name."""
    try:
        call()
    except (ValueError, OSError) as error:
        assert str(path) in str(error), f"{path} is not named: {error}"
        counted()
        return
    raise AssertionError(f"not refused: {path}")


@case("pickle")
def pickles():
    content = pickle.dumps({"w": _Hostile()})
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as out:
        out.writestr("archive/data.pkl", content)
        out.writestr("archive/version", "3")
    for name, data in (
        ("model.pt", content),
        ("model.pth", archive.getvalue()),
        ("model.ckpt", pickle.dumps([1, 2], protocol=0)),
        ("model.safetensors", content),
    ):
        path = _file(name, data)
        _named(path, lambda: _load(path))
        refused(lambda: _load(io.BytesIO(data)), ValueError)
    refused(lambda: gs.load(_file("x.pt", content), weights_only=False), ValueError)
    assert not MARK.exists(), "a pickle was run"


def _safetensors(header, data=b"", length=None):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def _entry(offsets, shape=(2,), dtype="F32"):
    return {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}


@case("safetensors")
def safetensors():
    data = bytes(16)
    bad = {
        "empty": b"",
        "short": b"\1\0\0",
        "header beyond the file": _safetensors({"x": _entry((0, 8))}, data, 2**20),
        "header of 2^63": _safetensors({}, data, 2**63),
        "header of 2^64 - 1": _safetensors({}, data, 2**64 - 1),
        "no JSON": _safetensors(b"\xff\xfe{"),
        "a list": _safetensors(b"[1]"),
        "deep": _safetensors(b'{"x":' * 3000 + b"1" + b"}" * 3000),
        "overlapping": _safetensors({"x": _entry((0, 8)), "y": _entry((4, 12))}, data),
        "a hole": _safetensors({"x": _entry((0, 8)), "y": _entry((12, 20))}, bytes(20)),
        "backwards": _safetensors({"x": _entry((8, 0))}, data),
        "negative": _safetensors({"x": _entry((-8, 0))}, data),
        "beyond the end": _safetensors({"x": _entry((0, 1 << 40), (1 << 38,))}, data),
        "shape of 2^64": _safetensors({"x": _entry((0, 8), (2**32, 2**32))}, data),
        "shape of 2^63 - 1": _safetensors({"x": _entry((0, 8), (2**63 - 1,))}, data),
        "negative shape": _safetensors({"x": _entry((0, 8), (-2,))}, data),
        "shape of floats": _safetensors({"x": _entry((0, 8), (2.0,))}, data),
        "other size": _safetensors({"x": _entry((0, 8), (3,))}, data),
        "unknown dtype": _safetensors({"x": _entry((0, 8), (2,), "F77")}, data),
        "dtype of a number": _safetensors({"x": _entry((0, 8), (2,), 3)}, data),
        "missing keys": _safetensors({"x": {"dtype": "F32"}}, data),
        "cut off": _safetensors({"x": _entry((0, 16), (4,))}, data[:9]),
        "too long": _safetensors({"x": _entry((0, 8))}, data + b"!"),
    }
    for name, content in bad.items():
        path = _file(f"{name}.safetensors", content)
        try:
            _named(path, lambda: _load(path))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    many = {f"t{i}": _entry((4 * i, 4 * i + 4), (1,)) for i in range(100_000)}
    path = _file("many.safetensors", _safetensors(many, bytes(400_000)))
    assert len(_load(path)) == 100_000
    path = _file("good.safetensors", _safetensors({"x": _entry((0, 8))}, bytes(8)))
    right(lambda: _load(path)["x"], [0.0, 0.0])
    refused(lambda: _load(FOLDER / "absent.safetensors"), FileNotFoundError)
    refused(lambda: _load(FOLDER), OSError, ValueError)


def _npz(name, **members):
    path = FOLDER / name
    with zipfile.ZipFile(path, "w") as out:
        for key, content in members.items():
            out.writestr(f"{key}.npy", content)
    return path


def _npy(shape, dtype="<f4", data=b""):
    text = f"{{'descr': {dtype!r}, 'fortran_order': False, 'shape': {shape}, }}".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text + data


@case("npz")
def npz():
    objects = io.BytesIO()
    np.save(objects, np.array([_Hostile()], object), allow_pickle=True)
    bad = {
        "pickled": _npz("pickled.npz", x=objects.getvalue()),
        "32 GiB": _npz("large.npz", x=_npy((2**33,))),
        "2^63": _npz("larger.npz", x=_npy((2**32, 2**32))),
        "negative": _npz("negative.npz", x=_npy((-1,))),
        "cut off": _npz("cut.npz", x=_npy((4,), data=bytes(7))),
        "no array": _npz("none.npz", x=b"hello"),
        "objects": _npz("objects.npz", x=_npy((1,), "|O", bytes(8))),
        "no zip": _file("nozip.npz", b"PK\3\4" + bytes(40)),
        "empty": _file("empty.npz", b""),
        "a pickle": _file("pickle.npz", pickle.dumps(_Hostile())),
        "a single array": _file("single.npz", _npy((1,), data=bytes(4))),
    }
    for name, path in bad.items():
        try:
            _named(path, lambda: datasets.read_npz(path, {"x": ((2,), "float32")}))
        except AssertionError as error:
            raise AssertionError(f"{name}: {error}") from error
    assert not MARK.exists(), "a pickle was run"
    good = _npz("good.npz", x=_npy((2,), data=np.ones(2, "<f4").tobytes()))
    assert datasets.read_npz(good, {"x": ((2,), "float32")})["x"].tolist() == [1.0, 1.0]
    counted()


@case("image files")
def images():
    def idx(kind, sizes, data=b""):
        head = bytes([0, 0, kind, len(sizes)]) + b"".join(n.to_bytes(4, "big") for n in sizes)
        return head + data

    for name, content in {
        "empty": b"",
        "magic": b"\1\0\x08\1\0\0\0\0",
        "kind": idx(0x07, [0]),
        "no dims": idx(0x08, []),
        "header": idx(0x08, [2, 2])[:9],
        "short": idx(0x08, [2, 2], bytes(3)),
        "long": idx(0x08, [2, 2], bytes(5)),
        "huge": idx(0x0E, [2**32 - 1] * 3),
        "255 dims": bytes([0, 0, 8, 255]) + bytes(4 * 255),
        "pickle": pickle.dumps(_Hostile()),
    }.items():
        path = _file(f"idx-{name}", content)
        _named(path, lambda: datasets.read_idx(path))
    row = bytes([3]) + bytes(3072)
    for name, content in {"empty": b"", "short": row[:-1], "long": row + b"x"}.items():
        path = _file(f"cifar-{name}.bin", content)
        _named(path, lambda: datasets.read_cifar(path))
    folder = FOLDER / "cifar"
    folder.mkdir(exist_ok=True)
    (folder / "test_batch.bin").write_bytes(row + bytes([10]) + bytes(3072))
    _named(folder / "test_batch.bin", lambda: datasets.CIFAR10(folder, train=False))
    (folder / "test_batch.bin").write_bytes(row)
    assert len(datasets.CIFAR10(folder, train=False)) == 1
    mnist = FOLDER / "mnist"
    mnist.mkdir(exist_ok=True)
    (mnist / "t10k-images-idx3-ubyte").write_bytes(idx(8, [2, 28, 28], bytes(2 * 784)))
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(8, [3], bytes(3)))
    refused(lambda: datasets.MNIST(mnist, train=False), ValueError)
    (mnist / "t10k-labels-idx1-ubyte").write_bytes(idx(8, [2], bytes([1, 77])))
    refused(lambda: datasets.MNIST(mnist, train=False), ValueError)
    refused(lambda: datasets.MNIST(FOLDER / "absent", train=False), OSError, RuntimeError)
