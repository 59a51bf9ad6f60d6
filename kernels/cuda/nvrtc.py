"""NVRTC, NVIDIA's runtime compiler, through ctypes: it needs neither a GPU nor a driver nor CuPy.

Its library and headers come from the wheels nvidia-cuda-nvrtc, nvidia-cuda-runtime and
nvidia-cuda-crt (all in `gradsmith[cuda13]`), or from an installed CUDA toolkit.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import functools
import os
import site
import sys
from collections.abc import Sequence
from pathlib import Path

__all__ = ["available", "compile_source", "include_folders", "version"]


def _roots() -> list[Path]:
    """Folders that may hold lib/ and include/ of a CUDA toolkit, the wheels' first."""
    packages = [*site.getsitepackages(), site.getusersitepackages(), *sys.path]
    roots = []
    for package in packages:
        nvidia = Path(package) / "nvidia"
        roots += [nvidia / "cu13", nvidia / "cuda_nvrtc", nvidia / "cuda_runtime"]
    for variable in ("CUDA_PATH", "CUDA_HOME"):
        if os.environ.get(variable):
            roots.append(Path(os.environ[variable]))
    roots.append(Path("/usr/local/cuda"))
    return list(dict.fromkeys(root for root in roots if root.is_dir()))


@functools.cache
def include_folders() -> tuple[Path, ...]:
    """The CUDA headers' folders, which NVRTC does not search by itself."""
    return tuple(root / "include" for root in _roots() if (root / "include").is_dir())


@functools.cache
def _library() -> ctypes.CDLL:
    candidates = []
    for root in _roots():
        for folder in ("lib", "lib64"):
            candidates += sorted(
                path
                for path in (root / folder).glob("libnvrtc.so*")
                if "alt" not in path.name and "builtins" not in path.name
            )
    found = ctypes.util.find_library("nvrtc")
    for candidate in [*map(str, candidates), *([found] if found else [])]:
        try:
            return ctypes.CDLL(candidate)
        except OSError:
            continue
    raise RuntimeError(
        "NVRTC: its library was not found "
        "(pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-crt)"
    )


def available() -> bool:
    """Whether NVRTC can be loaded."""
    try:
        _library()
    except RuntimeError:
        return False
    return True


def version() -> str:
    """NVRTC's version, e.g. "13.0"."""
    major, minor = ctypes.c_int(), ctypes.c_int()
    _check(_library().nvrtcVersion(ctypes.byref(major), ctypes.byref(minor)))
    return f"{major.value}.{minor.value}"


def _check(code: int) -> None:
    if code:
        text = _library().nvrtcGetErrorString
        text.restype = ctypes.c_char_p
        raise RuntimeError(f"NVRTC: {text(code).decode()}")


class _Program:
    """An nvrtcProgram, destroyed at the end of a with block."""

    def __init__(self, source: str, file_name: str) -> None:
        self._handle = ctypes.c_void_p()
        _check(
            _library().nvrtcCreateProgram(
                ctypes.byref(self._handle), source.encode(), file_name.encode(), 0, None, None
            )
        )

    def __enter__(self) -> _Program:
        return self

    def __exit__(self, *error: object) -> None:
        _library().nvrtcDestroyProgram(ctypes.byref(self._handle))

    def add_name(self, name: str) -> None:
        _check(_library().nvrtcAddNameExpression(self._handle, name.encode()))

    def compile(self, options: Sequence[str]) -> int:
        array = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        return int(_library().nvrtcCompileProgram(self._handle, len(options), array))

    def text(self, what: str) -> bytes:
        """The program's "ProgramLog" or "CUBIN"."""
        size = ctypes.c_size_t()
        _check(getattr(_library(), f"nvrtcGet{what}Size")(self._handle, ctypes.byref(size)))
        buffer = ctypes.create_string_buffer(size.value)
        _check(getattr(_library(), f"nvrtcGet{what}")(self._handle, buffer))
        return buffer.raw

    def lowered(self, name: str) -> str:
        result = ctypes.c_char_p()
        _check(_library().nvrtcGetLoweredName(self._handle, name.encode(), ctypes.byref(result)))
        return (result.value or b"").decode()


def compile_source(
    source: str, file_name: str, names: Sequence[str], options: Sequence[str]
) -> tuple[bytes, dict[str, str], str]:
    """Compiles CUDA C++ to a cubin.

    Args:
        source: the text.
        file_name: what messages call it.
        names: name expressions of the kernels to instantiate.
        options: NVRTC's, --gpu-architecture=sm_XX among them.

    Returns:
        The cubin, name expression -> lowered (mangled) name, and the compiler's log.

    Raises:
        RuntimeError: with the compiler's messages.
    """
    with _Program(source, file_name) as program:
        for name in names:
            program.add_name(name)
        code = program.compile(options)
        log = program.text("ProgramLog").rstrip(b"\0").decode(errors="replace")
        if code:
            raise RuntimeError(f"{file_name} does not compile ({' '.join(options)}):\n{log}")
        return program.text("CUBIN"), {name: program.lowered(name) for name in names}, log
