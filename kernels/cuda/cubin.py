"""What a cubin says of its kernels: registers, memory, parameter sizes. No GPU, no CUDA tools.

A cubin is an ELF file. Each kernel has a section .text.<name>, and .nv.info.<name> with attributes;
the section .nv.info has attributes of all kernels, by symbol number.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

__all__ = ["KernelInfo", "read"]

# Attributes of .nv.info sections (EIATTR_*).
_MAX_THREADS = 0x05
_FRAME_SIZE = 0x11
_KERNEL_PARAMETER = 0x17
_REGISTERS = 0x2F
# Section types.
_SYMBOL_TABLE = 2
# Attribute formats: 4 has a payload of its own, the others hold their value in the head.
_WITH_PAYLOAD = 4


@dataclass
class KernelInfo:
    """One kernel's needs."""

    registers: int = 0
    #: Static shared memory, bytes.
    shared: int = 0
    #: Local memory a thread (stack frame: spills, and arrays that are indexed at run time), bytes.
    stack: int = 0
    #: From __launch_bounds__; 0 without.
    max_threads: int = 0
    #: Size of each parameter, in order.
    parameter_bytes: tuple[int, ...] = ()
    code_bytes: int = 0
    _parameters: list[tuple[int, int]] = field(default_factory=list, repr=False)


class _Section(NamedTuple):
    name: str
    kind: int
    data: bytes
    size: int
    link: int
    info: int


def read(cubin: bytes) -> dict[str, KernelInfo]:
    """Lowered kernel name -> what it needs.

    Raises:
        ValueError: if the bytes are no cubin.
    """
    if cubin[:4] != b"\x7fELF":
        raise ValueError("cubin: not an ELF file")
    sections = list(_sections(cubin))
    kernels: dict[str, KernelInfo] = {}
    for section in sections:
        if section.name.startswith(".text."):
            kernel = kernels[section.name.removeprefix(".text.")] = KernelInfo()
            kernel.code_bytes = section.size
    for section in sections:
        if section.name.startswith(".nv.shared."):
            kernel = kernels.get(section.name.removeprefix(".nv.shared."))
            if kernel is not None:
                kernel.shared = section.size
        elif section.name.startswith(".nv.info."):
            _read_own(kernels[section.name.removeprefix(".nv.info.")], section.data)
        elif section.name == ".nv.info":
            _read_common(kernels, _symbols(sections), section.data)
    for kernel in kernels.values():
        kernel.parameter_bytes = tuple(size for _, size in sorted(kernel._parameters))
    return kernels


def _sections(cubin: bytes) -> Iterator[_Section]:
    (table,) = struct.unpack_from("<Q", cubin, 0x28)
    entry_size, count, names_index = struct.unpack_from("<HHH", cubin, 0x3A)
    heads = [struct.unpack_from("<IIQQQQIIQQ", cubin, table + i * entry_size) for i in range(count)]
    names_at = heads[names_index][4]
    for name, kind, _flags, _address, offset, size, link, info, *_ in heads:
        start = names_at + name
        text = cubin[start : cubin.index(b"\0", start)].decode()
        yield _Section(text, kind, cubin[offset : offset + size], size, link, info)


def _symbols(sections: list[_Section]) -> list[str]:
    table = next(section for section in sections if section.kind == _SYMBOL_TABLE)
    names = sections[table.link].data
    result = []
    for at in range(0, len(table.data), 24):
        (name,) = struct.unpack_from("<I", table.data, at)
        result.append(names[name : names.index(b"\0", name)].decode())
    return result


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + 4 <= len(data):
        kind, attribute, value = struct.unpack_from("<BBH", data, at)
        at += 4
        if kind == _WITH_PAYLOAD:
            yield attribute, data[at : at + value]
            at += value


def _read_own(kernel: KernelInfo, data: bytes) -> None:
    for attribute, payload in _attributes(data):
        if attribute == _MAX_THREADS:
            x, y, z = struct.unpack("<III", payload)
            kernel.max_threads = x * y * z
        elif attribute == _KERNEL_PARAMETER:
            _index, ordinal, _offset, packed = struct.unpack("<IHHI", payload)
            kernel._parameters.append((ordinal, packed >> 18))


def _read_common(kernels: dict[str, KernelInfo], symbols: list[str], data: bytes) -> None:
    for attribute, payload in _attributes(data):
        if attribute in (_REGISTERS, _FRAME_SIZE):
            symbol, value = struct.unpack("<II", payload)
            kernel = kernels.get(symbols[symbol])
            if kernel is None:
                continue
            if attribute == _REGISTERS:
                kernel.registers = value
            else:
                kernel.stack = value
