"""save and load: nested state as a safetensors file. Nothing that is read is ever unpickled.

The tensors stand in the file under dotted names, so that a state_dict is a plain safetensors file;
what is around them (dicts, lists, numbers, ...) stands in its metadata as JSON.
"""

from __future__ import annotations

import math
import os
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from .device import device as Device
from .dtype import (
    bfloat16,
    bool_,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from .dtype import dtype as DType
from .tensor import Parameter, Size, Tensor

__all__ = ["load", "save"]

#: The metadata's entry with the structure, and the version of how it is written.
KEY, VERSION = "gradsmith", 1
#: The most bytes that a header may have: as the safetensors package.
MOST_HEADER = 100_000_000

_DTYPES: dict[str, DType] = {
    "F64": float64,
    "F32": float32,
    "F16": float16,
    "BF16": bfloat16,
    "I64": int64,
    "I32": int32,
    "I16": int16,
    "I8": int8,
    "U8": uint8,
    "BOOL": bool_,
}
_OTHERS = (
    (b"PK\x03\x04", "a zip archive, as torch.save writes them (a pickle with tensors)", True),
    (b"\x1f\x8b", "a gzip file", False),
    (b"\x89HDF", "an HDF5 file", False),
    (b"\x93NUMPY", "a NumPy .npy file", False),
)
_CONVERT = """
gradsmith never unpickles a file: a pickle runs what it names. Convert it where PyTorch is:
    import torch; from safetensors.torch import save_file
    state = torch.load({old!r}, map_location="cpu", weights_only=True)
    save_file({{k: v.contiguous() for k, v in state.items()}}, {new!r})"""


def _package() -> Any:
    try:
        import safetensors
        import safetensors.numpy
    except ImportError as error:
        raise ImportError(
            "save and load: need safetensors (pip install 'gradsmith[io]')"
        ) from error
    return safetensors


# ---- structure to JSON ----


class _Writer:
    """Takes a nested state apart: tensors by name, the rest as JSON."""

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._known: dict[Any, str] = {}  # the memory of a tensor -> its name

    def _name(self, path: tuple[str, ...], t: Tensor) -> str:
        data = t._data
        memory = (t.device.type, t.data_ptr(), data.shape, data.strides, str(data.dtype))
        if t.numel() and memory in self._known:
            return self._known[memory]
        name = base = ".".join(path) or "tensor"
        count = 1
        while name in self.tensors or name == "__metadata__":
            count += 1
            name = f"{base}#{count}"
        self.tensors[name] = t
        self._known[memory] = name
        return name

    def pack(self, value: Any, path: tuple[str, ...] = ()) -> Any:
        kind = type(value)
        if value is None or kind in (bool, int, str):
            return value
        if kind is float:
            return value if math.isfinite(value) else {"float": repr(value)}
        if isinstance(value, Tensor):
            packed: dict[str, Any] = {"tensor": self._name(path, value)}
            if isinstance(value, Parameter):
                packed["parameter"] = True
            if value.requires_grad:
                packed["requires_grad"] = True
            if str(value.device) != "cpu":
                packed["device"] = str(value.device)
            return packed
        if isinstance(value, (np.ndarray, np.generic)):
            try:
                t = Tensor._make(np.array(value))
                t.dtype  # noqa: B018  raises for what gradsmith has not
            except TypeError:
                raise _cannot(value, path) from None
            key = "array" if isinstance(value, np.ndarray) else "scalar"
            return {key: self._name(path, t)}
        if kind in (dict, OrderedDict) or isinstance(value, dict):
            items = [
                [self._pack_key(k, path), self.pack(v, (*path, str(k)))] for k, v in value.items()
            ]
            if kind is dict and all(type(k) is str for k in value):
                return {"dict": dict(items)}
            return {"ordered" if isinstance(value, OrderedDict) else "items": items}
        if kind is list:
            return [self.pack(v, (*path, str(i))) for i, v in enumerate(value)]
        if kind in (tuple, Size):
            packed_items = [self.pack(v, (*path, str(i))) for i, v in enumerate(value)]
            return {"size" if kind is Size else "tuple": packed_items}
        if kind in (set, frozenset):
            return {kind.__name__: sorted((self.pack(v, path) for v in value), key=repr)}
        if kind in (bytes, bytearray):
            import base64

            return {"bytes": base64.b64encode(value).decode()}
        if kind is DType:
            return {"dtype": value.name}
        if kind is Device:
            return {"device": str(value)}
        raise _cannot(value, path)

    def _pack_key(self, key: Any, path: tuple[str, ...]) -> Any:
        if isinstance(key, (Tensor, np.ndarray)):
            raise TypeError(
                f"save: keys must be strings, numbers or tuples of them; got {type(key).__name__} "
                f"at {_at(path)}"
            )
        return self.pack(key, path)


def _at(path: tuple[str, ...]) -> str:
    return ".".join(path) or "the top"


def _cannot(value: Any, path: tuple[str, ...]) -> TypeError:
    hint = " (save its state_dict())" if hasattr(value, "state_dict") else ""
    return TypeError(
        "save: the state must be made of dicts, lists, tuples, sets, tensors, arrays, numbers, "
        f"strings, bytes, bools and None; got {type(value).__name__} at {_at(path)}{hint}"
    )


# ---- save ----


def save(obj: Any, f: str | os.PathLike[str] | BinaryIO) -> None:
    """Writes nested state to a safetensors file, whole or not at all.

    The file is written beside its place, brought to the disk, and renamed: there is never half a
    file under the name. Tensors that are the same memory are written once.

    Args:
        obj: dicts, lists, tuples, sets, tensors, NumPy arrays, numbers, strings, bytes, bools,
            None; e.g. `model.state_dict()`, or {"model": ..., "optimizer": ..., "epoch": 3}.
        f: the path, or a binary file object.

    Raises:
        TypeError: something else in it; the message says where.
        ValueError: a structure that contains itself.
        ImportError: without the package safetensors.
        OSError: the file cannot be written.
    """
    import json

    safetensors = _package()
    writer = _Writer()
    try:
        structure = json.dumps({"version": VERSION, "structure": writer.pack(obj)}, allow_nan=False)
    except RecursionError:
        raise ValueError(
            "save: the structure must not contain itself, nor be hundreds of levels deep"
        ) from None
    arrays = {}
    for name, t in writer.tensors.items():
        host = t.detach()._host()
        arrays[name] = np.array(host, order="C").reshape(host.shape)
    metadata = {KEY: structure}
    if hasattr(f, "write"):
        f.write(safetensors.numpy.save(arrays, metadata))  # type: ignore[union-attr]
        return
    target = Path(os.path.realpath(os.fspath(f)))  # type: ignore[arg-type]
    if not target.parent.is_dir():
        raise FileNotFoundError(f"save: the folder must exist; got {target}")
    content = safetensors.numpy.save(arrays, metadata)
    temporary = target.parent / f".{target.name}.{os.urandom(6).hex()}.tmp"
    try:
        with open(temporary, "xb") as stream:
            if target.exists():
                os.chmod(temporary, target.stat().st_mode & 0o777)
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(target.parent)


def _sync_folder(folder: Path) -> None:
    """Brings the rename to the disk, where folders can be synced."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(descriptor)
    except OSError:
        pass
    finally:
        os.close(descriptor)


# ---- load ----


def load(
    f: str | os.PathLike[str] | BinaryIO,
    map_location: Any = None,
    *,
    weights_only: bool = True,
    mmap: bool = False,
) -> Any:
    """Reads what `save` wrote, or any safetensors file as a dict of tensors by name.

    Args:
        f: the path, or a binary file object.
        map_location: where tensors go: a device; a dict from devices to devices; or a function
            of (tensor on the CPU, the device it was saved from) that returns a tensor. Default:
            the device that each was saved from.
        weights_only: only True: there is no other way, as nothing is unpickled.
        mmap: leave the tensors in the file, mapped into memory; changes stay private.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file that is no safetensors file (the message says how to convert PyTorch's),
            is damaged, cut off, or not what it says of itself.
        ImportError: without the package safetensors.

    Differs from PyTorch: files of torch.save are pickles, which are refused.
    """
    if weights_only is not True:
        raise ValueError(
            f"load: weights_only must be True, nothing is unpickled; got {weights_only!r}"
        )
    safetensors = _package()
    if hasattr(f, "read"):
        if mmap:
            raise ValueError("load: mmap needs the path of a file; got a file object")
        content = f.read()  # type: ignore[union-attr]
        return _Reader(safetensors, "the file object", bytes(content), map_location).read()
    path = Path(os.fspath(f))  # type: ignore[arg-type]
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"load: {path}: a file expected; found {found}")
    import mmap as memory_maps

    with open(path, "rb") as stream:
        if os.fstat(stream.fileno()).st_size == 0:
            raise ValueError(f"load: {path}: must be a safetensors file; found an empty file")
        # Private: what is written to the tensors does not go to the file.
        memory = memory_maps.mmap(stream.fileno(), 0, access=memory_maps.ACCESS_COPY)
    return _Reader(safetensors, str(path), memory, map_location, mmap, path).read()


class _Refused(ValueError):
    """A file that is not what it should be."""


class _NoDevice(RuntimeError):
    """A device that a tensor should be on and that is not here."""


class _Reader:
    """Puts the state of one file together again."""

    def __init__(
        self,
        safetensors: Any,
        name: str,
        content: Any,
        map_location: Any,
        mapped: bool = False,
        path: Path | None = None,
    ) -> None:
        self.safetensors = safetensors
        self.name = name
        self.content = content
        self.map_location = map_location
        self.mapped = mapped
        self.path = path
        self.made: dict[Any, Tensor] = {}

    def wrong(self, message: str) -> ValueError:
        return _Refused(f"load: {self.name}: {message}")

    def read(self) -> Any:
        import json

        header = self._header()
        metadata = header.pop("__metadata__", {})
        self.header = header
        self.begin = 8 + int.from_bytes(self.content[:8], "little")
        text = metadata.get(KEY)
        if text is None:
            return {name: self._tensor(name, {}) for name in header}
        try:
            document = json.loads(text)
            if not isinstance(document, dict) or document.get("version") != VERSION:
                found = document.get("version") if isinstance(document, dict) else document
                raise self.wrong(f"the structure must be of version {VERSION}; found {found!r}")
            return self._unpack(document.get("structure"))
        except RecursionError:
            raise self.wrong("the structure is nested too deeply") from None
        except json.JSONDecodeError as error:
            raise self.wrong(f"the structure is no JSON: {error}") from None

    def _header(self) -> dict[str, Any]:
        """The checked header: name -> dtype, shape, offsets."""
        import json

        head = bytes(self.content[:8])
        self._refuse_others(head)
        size = len(self.content)
        if size < 8:
            raise self.wrong(f"must be a safetensors file; found {size} bytes")
        length = int.from_bytes(head, "little")
        if length > MOST_HEADER:
            raise self.wrong(
                f"must be a safetensors file; its first 8 bytes, {head.hex()}, would be a header "
                f"of {length:,} bytes"
            )
        if 8 + length > size:
            raise self.wrong(
                f"the file is cut off: its header has {length} bytes; found {size - 8} after it"
            )
        try:
            if self.path is not None:
                with self.safetensors.safe_open(self.path, framework="numpy"):
                    pass
            else:
                self.safetensors.deserialize(self.content)
        except self.safetensors.SafetensorError as error:
            raise self.wrong(
                f"is damaged, cut off or no safetensors file: {error} ({size} bytes)"
            ) from None
        header = json.loads(bytes(self.content[8 : 8 + length]))
        end = max([0, *(e["data_offsets"][1] for n, e in header.items() if n != "__metadata__")])
        if 8 + length + end > size:  # changed since it was checked
            raise self.wrong(f"the file is cut off: {8 + length + end} bytes expected; got {size}")
        return header

    def _refuse_others(self, head: bytes) -> None:
        words, pickled = "", False
        for magic, what, is_pickle in _OTHERS:
            if head.startswith(magic):
                words, pickled = what, is_pickle
        # The length of a header is 8 bytes, little-endian: the upper ones are 0.
        if (
            head[:1] == b"\x80"
            and head[1:2] in (b"\x02", b"\x03", b"\x04", b"\x05")
            and any(head[3:])
        ):
            words, pickled = "a pickle", True
        if words:
            old = str(self.path) if self.path is not None else "model.pt"
            new = str(Path(old).with_suffix(".safetensors"))
            convert = _CONVERT.format(old=old, new=new) if pickled else ""
            raise self.wrong(f"must be a safetensors file; found {words}{convert}")

    # -- tensors --

    def _array(self, name: str) -> Tensor:
        """A tensor of the file, on the CPU."""
        entry = self.header[name]
        own = _DTYPES.get(entry["dtype"])
        if own is None:
            raise self.wrong(
                f"tensor {name!r} is {entry['dtype']}; gradsmith has {', '.join(_DTYPES)}"
            )
        shape = tuple(entry["shape"])
        first, last = entry["data_offsets"]
        part = memoryview(self.content)[self.begin + first : self.begin + last]
        if self.mapped and (self.begin + first) % own.itemsize == 0:
            array = np.frombuffer(part, own.numpy).reshape(shape)
            t = Tensor._make(array)
        else:
            array = np.empty(shape, own.numpy)
            array.reshape(-1).view(np.uint8)[:] = np.frombuffer(part, np.uint8)
            t = Tensor._make(array)
        if own is bool_ and np.frombuffer(part, np.uint8).max(initial=0) > 1:
            raise self.wrong(f"tensor {name!r} is BOOL; found bytes other than 0 and 1")
        return t

    def _tensor(self, name: Any, entry: dict[str, Any]) -> Tensor:
        if not isinstance(name, str) or name not in self.header:
            raise self.wrong(f"the structure names a tensor {name!r}; the file has none")
        where = entry.get("device", "cpu")
        requires_grad, parameter = bool(entry.get("requires_grad")), bool(entry.get("parameter"))
        key = (name, where, requires_grad, parameter)
        if key in self.made:
            return self.made[key]
        t = self._placed(self._array(name), where)
        if parameter:
            t = Parameter(t, requires_grad=False)
        if requires_grad:
            if not t.dtype.is_floating_point:
                raise self.wrong(f"tensor {name!r} is {t.dtype} and cannot require a gradient")
            t.requires_grad_()
        self.made[key] = t
        return t

    def _placed(self, t: Tensor, where: Any) -> Tensor:
        location = self.map_location
        if callable(location) and not isinstance(location, Device):
            moved: Any = location(t, where)
            return t if moved is None else moved
        if isinstance(location, dict):
            target = location.get(where, location.get(str(where).partition(":")[0], where))
        else:
            target = where if location is None else location
        if str(target) == "cpu":
            return t
        try:
            return t.to(target)
        except (RuntimeError, NotImplementedError, ImportError, ValueError) as error:
            why = f"map_location sends a tensor to {target}"
            hint = ""
            if location is None:
                why = f"a tensor was saved on {where}"
                hint = " (map_location='cpu' loads it on the CPU)"
            raise _NoDevice(
                f"load: {self.name}: {why}, which is not here: {error}{hint}"
            ) from error

    # -- JSON to structure --

    def _unpack(self, value: Any) -> Any:
        if value is None or isinstance(value, (bool, int, float, str)):
            return value
        if isinstance(value, list):
            return [self._unpack(v) for v in value]
        if "tensor" in value:
            return self._tensor(value["tensor"], value)
        if len(value) != 1:
            raise self.wrong(f"the structure has an entry of {sorted(value)[:4]}")
        ((tag, content),) = value.items()
        make = _UNPACK.get(tag)
        if make is None:
            raise self.wrong(f"the structure has an entry {tag!r} that gradsmith does not know")
        try:
            return make(self, content)
        except (_Refused, _NoDevice, RecursionError):
            raise
        except (TypeError, AttributeError, KeyError, ValueError, RuntimeError) as error:
            raise self.wrong(f"the structure's entry {tag!r} is malformed: {error}") from None

    def _items(self, content: Any) -> list[tuple[Any, Any]]:
        items = []
        for entry in content:
            if not isinstance(entry, list) or len(entry) != 2:
                raise TypeError(f"{entry!r} is no pair")
            items.append((self._unpack(entry[0]), self._unpack(entry[1])))
        return items


def _dtype_named(reader: _Reader, name: Any) -> DType:
    for kind in _DTYPES.values():
        if kind.name == name:
            return kind
    raise reader.wrong(f"the structure names a dtype {name!r}")


def _float_named(reader: _Reader, text: Any) -> float:
    if text not in ("nan", "inf", "-inf"):
        raise reader.wrong(f"the structure has a number {text!r}")
    return float(text)


def _decoded(text: Any) -> bytes:
    import base64

    return base64.b64decode(text, validate=True)


def _listed(reader: _Reader, content: Any) -> list[Any]:
    if not isinstance(content, list):
        raise TypeError(f"a list expected; found {type(content).__name__}")
    return [reader._unpack(v) for v in content]


_UNPACK: dict[str, Callable[[_Reader, Any], Any]] = {
    "float": _float_named,
    "array": lambda r, v: r._tensor(v, {"array": True})._host(),
    "scalar": lambda r, v: r._tensor(v, {})._host()[()],
    "dict": lambda r, v: {key: r._unpack(item) for key, item in v.items()},
    "items": lambda r, v: dict(r._items(v)),
    "ordered": lambda r, v: OrderedDict(r._items(v)),
    "tuple": lambda r, v: tuple(_listed(r, v)),
    "size": lambda r, v: Size(_listed(r, v)),
    "set": lambda r, v: set(_listed(r, v)),
    "frozenset": lambda r, v: frozenset(_listed(r, v)),
    "bytes": lambda r, v: _decoded(v),
    "dtype": _dtype_named,
    "device": lambda r, v: Device(v),
}
