"""Reads NumPy archives that are not trusted: no pickles, and no more than is expected."""

from __future__ import annotations

import hashlib
import io
import zipfile
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

__all__ = ["read_npz"]

# A .npy header of a plain array is 128 bytes; NumPy itself refuses more than 10,000.
_MAX_HEADER = 10_000


def read_npz(
    path: str | Path,
    members: Mapping[str, tuple[tuple[int, ...], str]],
    sha256: str | None = None,
) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz`` file whose contents are known beforehand.

    The sizes that the file declares are compared with the expected ones before memory is set
    aside for them, and with what the file holds.

    Args:
        path: The file.
        members: For each array its shape and its dtype's name; no other may be in the file.
        sha256: The file's hash in hexadecimal; None: not checked.

    Returns:
        The arrays by name.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is not what was expected; the message says in what.
    """
    path = Path(path)
    try:
        content = path.read_bytes()
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError) as error:
        raise FileNotFoundError(
            f"{path}: data file expected; found {'a folder' if path.is_dir() else 'nothing'} "
            "(reinstall the package, or pass the right path)"
        ) from error
    if sha256 is not None:
        found = hashlib.sha256(content).hexdigest()
        if found != sha256:
            raise ValueError(
                f"{path}: the file must have sha256 {sha256}; found {found}, "
                f"{len(content)} bytes (the file is damaged: reinstall the package)"
            )
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = sorted(archive.namelist())
            wanted = sorted(f"{name}.npy" for name in members)
            if names != wanted:
                raise ValueError(f"{path}: must hold {wanted}; found {names}")
            return {
                name: _read_member(path, archive, name, shape, np.dtype(dtype))
                for name, (shape, dtype) in members.items()
            }
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError) as error:
        raise ValueError(
            f"{path}: must be a NumPy .npz archive; found {len(content)} bytes that are not: "
            f"{error}"
        ) from error


def _read_member(
    path: Path, archive: zipfile.ZipFile, name: str, shape: tuple[int, ...], dtype: np.dtype
) -> np.ndarray:
    """One array, after its header was compared with what is expected."""
    wanted_bytes = dtype.itemsize
    for size in shape:
        wanted_bytes *= size
    declared = archive.getinfo(f"{name}.npy").file_size
    if not wanted_bytes < declared <= wanted_bytes + _MAX_HEADER:
        raise ValueError(
            f"{path}: {name} must hold {shape} {dtype}, {wanted_bytes} bytes and a header; "
            f"found a declared size of {declared} bytes"
        )
    with archive.open(f"{name}.npy") as stream:
        data = io.BytesIO(stream.read(declared))
    try:
        version = np.lib.format.read_magic(data)
        if version != (1, 0):
            raise ValueError(f"version must be (1, 0); found {version}")
        header = np.lib.format.read_array_header_1_0(data, max_header_size=_MAX_HEADER)
    except ValueError as error:
        raise ValueError(f"{path}: {name} must be a .npy array; found {error}") from error
    found_shape, fortran, found_dtype = header
    if found_shape != shape or found_dtype != dtype or fortran:
        order = "Fortran" if fortran else "C"
        raise ValueError(
            f"{path}: {name} must be {shape} {dtype} in C order; "
            f"found {found_shape} {found_dtype} in {order} order"
        )
    held = len(data.getbuffer()) - data.tell()
    if held != wanted_bytes:
        raise ValueError(f"{path}: {name} must hold {wanted_bytes} bytes; found {held}")
    return np.frombuffer(data.getvalue(), dtype, offset=data.tell()).reshape(shape)
