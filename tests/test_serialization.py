"""save and load: what goes in comes out; other files are refused in words."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import zipfile
from collections import OrderedDict

import gradsmith as gs
import numpy as np
import pytest
from gradsmith import nn, optim
from gradsmith.testing.comparing import same_bytes

pytest.importorskip("safetensors")

DTYPES = [gs.float16, gs.bfloat16, gs.float32, gs.float64]
DTYPES += [gs.int8, gs.int16, gs.int32, gs.int64, gs.uint8, gs.bool_]


def roundtrip(value, path, **options):
    gs.save(value, path)
    return gs.load(path, **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mmap", [False, True])
def test_every_dtype_comes_back_bit_for_bit(dtype, mmap, tmp_path):
    bits = np.random.default_rng(0).integers(0, 256, 48, np.uint8)
    if dtype is gs.bool_:
        bits = bits & 1
    values = bits.view(dtype.numpy).reshape(2, 3, -1)
    tensors = {"x": gs.from_numpy(values), "none": gs.from_numpy(values[:0]), "v": values[0, 0, 0]}
    tensors["strided"] = gs.from_numpy(values.transpose(2, 0, 1)[::-1])
    found = roundtrip(tensors, tmp_path / "x.safetensors", mmap=mmap)
    for name, t in tensors.items():
        a, b = (
            np.asarray(getattr(t, "_data", t)),
            np.asarray(getattr(found[name], "_data", found[name])),
        )
        assert a.dtype == b.dtype and a.shape == b.shape
        assert same_bytes(a, b)
    assert found["x"].dtype is dtype


def test_nested_state_comes_back(tmp_path):
    state = {
        "a": [1, -2.5, None, True, "text", (1, (2,)), [], {}],
        "keys": {1: "int", (1, "x"): "tuple", None: 0, 2.5: 1},
        "ordered": OrderedDict(b=1, a=2),
        "big": 2**100,
        "bytes": b"\x00\xff",
        "set": {1, 2},
        "size": gs.zeros(2, 3).shape,
        "dtype": gs.bfloat16,
        "device": gs.device("cpu"),
        "generator": gs.Generator().manual_seed(2**64 - 1).get_state(),
        "small": 5e-324,
        "inf": [float("inf"), -float("inf")],
    }
    found = roundtrip(state, tmp_path / "s")
    assert found == state
    assert type(found["size"]) is gs.Size and type(found["ordered"]) is OrderedDict
    assert [type(k) for k in found["keys"]] == [int, tuple, type(None), float]
    nan = roundtrip([float("nan"), np.float32(2.5), np.arange(3)], tmp_path / "s")
    assert nan[0] != nan[0] and type(nan[1]) is np.float32 and nan[2].tolist() == [0, 1, 2]
    assert roundtrip(None, tmp_path / "s") is None
    assert roundtrip(3, str(tmp_path / "s")) == 3


def test_parameters_and_shared_tensors(tmp_path):
    shared = gs.randn(1000)
    state = {
        "p": nn.Parameter(gs.ones(2)),
        "frozen": nn.Parameter(gs.ones(2), requires_grad=False),
        "leaf": gs.ones(2, requires_grad=True),
        "a": shared,
        "b": shared.detach(),
    }
    found = roundtrip(state, tmp_path / "s")
    assert isinstance(found["p"], nn.Parameter) and found["p"].requires_grad
    assert isinstance(found["frozen"], nn.Parameter) and not found["frozen"].requires_grad
    assert type(found["leaf"]) is gs.Tensor and found["leaf"].requires_grad
    assert found["a"] is found["b"]
    assert os.path.getsize(tmp_path / "s") < 7000
    y = (found["p"] * 2).sum()
    assert roundtrip({"y": y}, tmp_path / "s")["y"].item() == 4.0  # the value, no history


def test_model_and_optimizer_go_on_as_before(tmp_path):
    def made():
        gs.manual_seed(0)
        model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
        return model, optim.Adam(model.parameters(), lr=0.1)

    def steps(model, optimizer, n):
        for _ in range(n):
            optimizer.zero_grad()
            (model(gs.ones(2, 3)) * model(gs.ones(2, 3))).sum().backward()
            optimizer.step()
        return [p.detach().numpy().copy() for p in model.parameters()]

    model, optimizer = made()
    steps(model, optimizer, 3)
    gs.save({"model": model.state_dict(), "optimizer": optimizer.state_dict()}, tmp_path / "c")
    expected = steps(model, optimizer, 3)
    gs.manual_seed(5)
    model = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    optimizer = optim.Adam(model.parameters(), lr=0.5)
    found = gs.load(tmp_path / "c")
    model.load_state_dict(found["model"])
    optimizer.load_state_dict(found["optimizer"])
    for a, b in zip(steps(model, optimizer, 3), expected, strict=True):
        np.testing.assert_array_equal(a, b)


def test_mapped_tensors_are_private(tmp_path):
    gs.save({"x": gs.zeros(8)}, tmp_path / "s")
    found = gs.load(tmp_path / "s", mmap=True)["x"]
    found.fill_(3.0)
    assert found.tolist() == [3.0] * 8
    assert gs.load(tmp_path / "s")["x"].tolist() == [0.0] * 8


def test_file_objects(tmp_path):
    buffer = io.BytesIO()
    gs.save({"x": gs.ones(2)}, buffer)
    buffer.seek(0)
    assert gs.load(buffer)["x"].tolist() == [1.0, 1.0]
    with pytest.raises(ValueError, match="mmap needs the path"):
        gs.load(buffer, mmap=True)


def test_a_state_dict_is_a_plain_safetensors_file(tmp_path):
    from safetensors.numpy import load_file, save_file

    layer = nn.Sequential(nn.Linear(2, 3))
    gs.save(layer.state_dict(), tmp_path / "s.safetensors")
    arrays = load_file(tmp_path / "s.safetensors")
    np.testing.assert_array_equal(arrays["0.weight"], layer[0].weight.detach().numpy())
    save_file({"0.bias": np.ones(3, np.float32), "0.weight": arrays["0.weight"]}, tmp_path / "t")
    found = gs.load(tmp_path / "t")
    assert found["0.bias"].tolist() == [1.0] * 3
    assert str(layer.load_state_dict(found)) == "<All keys matched successfully>"


def test_names_that_would_collide_stay_apart(tmp_path):
    state = {"a": {"b": gs.zeros(1)}, "a.b": gs.ones(1), "__metadata__": gs.ones(2)}
    found = roundtrip(state, tmp_path / "s")
    assert found["a"]["b"].item() == 0.0 and found["a.b"].item() == 1.0
    assert found["__metadata__"].tolist() == [1.0, 1.0]


def test_locations(cuda, tmp_path):
    gs.save({"x": gs.ones(2, device="cuda"), "y": gs.ones(2)}, tmp_path / "s")
    found = gs.load(tmp_path / "s")
    assert found["x"].is_cuda and not found["y"].is_cuda
    assert not gs.load(tmp_path / "s", map_location="cpu")["x"].is_cuda
    assert gs.load(tmp_path / "s", map_location="cuda")["y"].is_cuda
    assert gs.load(tmp_path / "s", map_location={"cuda:0": "cpu", "cuda": "cpu"})["x"].tolist()
    seen = []
    found = gs.load(tmp_path / "s", map_location=lambda t, where: seen.append(where))
    assert sorted(seen)[0] == "cpu" and not found["x"].is_cuda


def test_what_cannot_be_saved_is_named(tmp_path):
    path = tmp_path / "s"
    with pytest.raises(TypeError, match=r"got object at a\.1"):
        gs.save({"a": [1, object()]}, path)
    with pytest.raises(TypeError, match=r"got Linear at model \(save its state_dict\(\)\)"):
        gs.save({"model": nn.Linear(1, 1)}, path)
    with pytest.raises(TypeError, match="got ndarray at the top"):
        gs.save(np.array(["x"]), path)
    with pytest.raises(TypeError, match="keys must be strings"):
        gs.save({gs.ones(1): 1}, path)
    around = []
    around.append(around)
    with pytest.raises(ValueError, match="must not contain itself"):
        gs.save(around, path)
    with pytest.raises(FileNotFoundError, match="the folder must exist"):
        gs.save(1, tmp_path / "no" / "s")
    assert os.listdir(tmp_path) == []


def test_a_failed_save_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "s"
    gs.save({"x": 1}, path)
    os.chmod(path, 0o640)

    def full(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as m:
        m.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space left"):
            gs.save({"x": 2}, path)
    assert gs.load(path) == {"x": 1} and os.listdir(tmp_path) == ["s"]
    link = tmp_path / "link"
    link.symlink_to(path)
    gs.save({"x": 3}, link)
    assert link.is_symlink() and gs.load(path) == {"x": 3}
    assert path.stat().st_mode & 0o777 == 0o640


# ---- files that are something else ----


def zipped(path):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


class Bomb:
    def __reduce__(self):
        return os.mkdir, ("must-not-be-made",)


@pytest.mark.parametrize(
    "write,words",
    [
        (zipped, "a zip archive, as torch.save writes them"),
        (lambda p: p.write_bytes(pickle.dumps(Bomb())), "a pickle"),
        (lambda p: p.write_bytes(pickle.dumps({"x": 1}, 2)), "a pickle"),
    ],
)
def test_pickles_are_refused_with_the_way_to_convert(write, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "model.pt"
    write(path)
    with pytest.raises(ValueError) as raised:
        gs.load(path)
    message = str(raised.value)
    assert words in message and "never unpickles" in message
    assert "torch.load(" in message and "weights_only=True" in message
    assert "save_file(" in message and "model.safetensors" in message
    assert not os.path.exists("must-not-be-made")
    with pytest.raises(ValueError, match="weights_only must be True"):
        gs.load(path, weights_only=False)


def test_the_words_convert_a_file_of_torch(tmp_path):
    torch = pytest.importorskip("torch")
    path = tmp_path / "model.pt"
    torch.save(torch.nn.Linear(2, 3).state_dict(), path)
    with pytest.raises(ValueError) as raised:
        gs.load(path)
    code = "\n".join(line.strip() for line in str(raised.value).splitlines()[2:5])
    exec(code, {})
    assert nn.Linear(2, 3).load_state_dict(gs.load(tmp_path / "model.safetensors"))


def good(tmp_path):
    gs.save({"w": gs.ones(4), "n": 1}, tmp_path / "good")
    return (tmp_path / "good").read_bytes()


def with_header(header, data=b""):
    text = json.dumps(header).encode() if not isinstance(header, bytes) else header
    return len(text).to_bytes(8, "little") + text + data


def one(dtype="F32", shape=(1,), offsets=(0, 4), data=b"\0" * 4, metadata=None):
    header = {"x": {"dtype": dtype, "shape": list(shape), "data_offsets": list(offsets)}}
    if metadata is not None:
        header["__metadata__"] = {"gradsmith": metadata}
    return with_header(header, data)


def structure(value):
    return one(metadata=json.dumps({"version": 1, "structure": value}))


BAD = [
    (b"", "empty file|found 0 bytes"),
    (b"abc", "found 3 bytes"),
    (b"\xff" * 30, "would be a header of"),
    (b"<html> not found", "would be a header of"),
    (with_header(b"[]"), "is damaged"),
    (with_header(b"{"), "is damaged"),
    (with_header(b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}"), "is damaged"),
    (one(offsets=(0, 8)), "is damaged"),
    (one(shape=(2**62, 8), offsets=(0, 4)), "is damaged"),
    (one(offsets=(4, 8), data=b"\0" * 8), "is damaged"),
    (one(dtype="F99"), "is damaged"),
    (one(data=b"\0" * 2), "is damaged|cut off"),
    (one(data=b"\0" * 9), "is damaged"),
    (one("C64", data=b"\0" * 8, offsets=(0, 8)), "'x' is C64; gradsmith has F64"),
    (one("BOOL", (4,), data=b"\0\1\2\0"), "'x' is BOOL; found bytes other than 0 and 1"),
    (one(metadata="{"), "structure is no JSON"),
    (one(metadata="[" * 100_000), "nested too deeply|no JSON"),
    (one(metadata="[]"), "must be of version 1; found"),
    (one(metadata='{"version": 2}'), "must be of version 1; found 2"),
    (structure({"tensor": "y"}), "names a tensor 'y'"),
    (structure({"tensor": ["x"]}), "names a tensor"),
    (structure({"run": "rm"}), "'run' that gradsmith does not know"),
    (structure({"tuple": 1, "list": 2}), "has an entry of"),
    (structure({"tuple": 1}), "'tuple' is malformed"),
    (structure({"items": [[1]]}), "'items' is malformed"),
    (structure({"items": [[[], 1]]}), "'items' is malformed"),
    (structure({"set": [[1]]}), "'set' is malformed"),
    (structure({"dict": [1]}), "'dict' is malformed"),
    (structure({"float": "1e9"}), "has a number '1e9'"),
    (structure({"dtype": "__class__"}), "names a dtype"),
    (structure({"bytes": "?"}), "'bytes' is malformed"),
]


@pytest.mark.parametrize("content,words", BAD)
def test_damaged_files_are_refused_in_words(content, words, tmp_path):
    path = tmp_path / "bad"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=words):
        gs.load(path)
    with pytest.raises(ValueError, match=words):
        gs.load(io.BytesIO(content))


def test_every_cut_off_file_is_refused(tmp_path):
    content = good(tmp_path)
    for length in range(len(content)):
        with pytest.raises(ValueError, match="load: the file object"):
            gs.load(io.BytesIO(content[:length]))


def test_changed_bytes_load_or_are_refused(tmp_path):
    content = bytearray(good(tmp_path))
    rng = np.random.default_rng(0)
    for _ in range(300):
        changed = bytearray(content)
        for position in rng.integers(0, len(content), 3):
            changed[position] = rng.integers(0, 256)
        try:
            gs.load(io.BytesIO(bytes(changed)))
        except ValueError:
            pass


def test_missing_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="found nothing"):
        gs.load(tmp_path / "no")
    with pytest.raises(FileNotFoundError, match="found a folder"):
        gs.load(tmp_path)


def test_without_the_package():
    code = (
        "import sys; sys.modules['safetensors'] = None; import gradsmith\n"
        "try: gradsmith.save({}, 'x')\nexcept ImportError as e: print(e)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "save and load: need safetensors (pip install 'gradsmith[io]')"


def test_a_device_that_is_not_here_is_no_fault_of_the_file(tmp_path):
    gs.save({"a": gs.ones(2)}, tmp_path / "state.safetensors")
    with pytest.raises(RuntimeError, match="map_location sends a tensor to cuda:7") as caught:
        gs.load(tmp_path / "state.safetensors", map_location={"cpu": "cuda:7"})
    assert "malformed" not in str(caught.value)
