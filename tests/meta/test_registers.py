"""The hot loops of matrix products and convolutions keep their tiles in registers.

A tile is held to be hot where a loop around no other does multiply-adds and no other arithmetic of
vectors. A vector of it on the stack costs two accesses a step: too many accumulators for the
registers of an ISA, or a trip count above its `#pragma GCC unroll`.
"""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from collections import Counter
from collections.abc import Iterator

import pytest
from gradsmith import _cpu

#: Multiply-adds from which on a loop is a tile's.
LEAST = 6
#: Beside multiply-adds and what is not of vectors: loads, stores, broadcasts.
MOVES = ("vmov", "vbroadcast", "vpbroadcast")
MULTIPLY_ADD = re.compile(r"vfn?m(add|sub)\d+p[sd]")
STACK = re.compile(r"(^|,|\s)-?(0x[0-9a-f]+)?\(%rsp[,)]|-0x[0-9a-f]+\(%rbp[,)]")

Loop = list[tuple[str, str]]


def parsed(text: str) -> Iterator[tuple[int, str, str]]:
    """Address, operation and operands of each instruction of `objdump -d`."""
    for line in text.splitlines():
        address, found, rest = line.partition(":\t")
        if found:
            operation, _, operands = rest.partition(" ")
            yield int(address, 16), operation, operands.strip()


def loops(text: str, longest: int = 8192) -> Iterator[Loop]:
    """The loops around no other, of at most so many bytes."""
    program = list(parsed(text))
    index = {address: n for n, (address, _, _) in enumerate(program)}
    latest = -1  # where the last loop of all so far begins that any later one may hold
    for end, (address, operation, operands) in enumerate(program):
        if operation[0] != "j":
            continue
        target = operands.split(" ", 1)[0]
        begin = index.get(int(target, 16), end) if re.fullmatch("[0-9a-f]+", target) else end
        if begin >= end or address - program[begin][0] > longest:
            continue
        if latest < begin:
            yield [(op, args) for _, op, args in program[begin : end + 1]]
        latest = max(latest, begin)


def of_a_tile(loop: Loop) -> bool:
    """Whether it does multiply-adds and no other arithmetic of vectors."""
    vectors = [op for op, _ in loop if op[0] == "v"]
    tile = [op for op in vectors if MULTIPLY_ADD.match(op)]
    return len(tile) >= LEAST and all(
        op.startswith(MOVES) or MULTIPLY_ADD.match(op) for op in vectors
    )


def on_the_stack(loop: Loop) -> list[str]:
    """The instructions on vectors that read or write the stack."""
    return [f"{op} {args}" for op, args in loop if "mm" in args and STACK.search(args)]


def test_what_is_a_tile_and_what_is_spilled() -> None:
    tile = [f"{n:x}:\tvfmadd231ps %ymm0,%ymm1,%ymm{n}" for n in range(6)]
    spill = "6:\tvmovaps %ymm3,-0x40(%rbp)\n7:\tvmovaps 0x20(%rsp),%ymm3"
    end = "8:\tjne    0 <name>"
    (kept,) = loops("\n".join([*tile, end]))
    assert of_a_tile(kept) and on_the_stack(kept) == []
    (spilled,) = loops("\n".join([*tile, spill, end]))
    assert of_a_tile(spilled) and len(on_the_stack(spilled)) == 2
    (other,) = loops("\n".join([*tile, "6:\tvdivps %ymm0,%ymm1,%ymm2", end]))
    assert not of_a_tile(other)
    outer = "9:\tmov    %rax,%rbx\na:\tjmp    0 <name>"
    assert len(list(loops("\n".join([*tile, end, outer])))) == 1


@pytest.fixture(scope="module")
def tiles() -> list[Loop]:
    """The hot loops of the kernels as they are built."""
    if platform.machine() != "x86_64":
        pytest.skip("reads x86-64's instructions")
    if shutil.which("objdump") is None:
        pytest.skip("needs objdump (binutils)")
    dump = subprocess.run(
        ["objdump", "-d", "--no-show-raw-insn", _cpu.__file__],
        capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    return [loop for loop in loops(dump) if of_a_tile(loop)]


def test_the_ceiling_does_the_multiply_adds_that_it_counts(tiles: list[Loop]) -> None:
    """A chain that a compiler makes a constant, or leaves out, is counted but not computed."""
    bare = [  # without a load: the ceilings' alone
        Counter(("zmm" if "%zmm" in args else "ymm", op[-1]) for op, args in loop if op[0] == "v")
        for loop in tiles
        if all(op[0] != "v" or MULTIPLY_ADD.match(op) for op, _ in loop)
        and not any("(" in args for op, args in loop if op[0] == "v")
    ]
    expected = [("ymm", "d", 12), ("ymm", "s", 12), ("zmm", "d", 24), ("zmm", "s", 24)]
    assert sorted((*kind, n) for c in bare for kind, n in c.items()) == expected


def test_tiles_stay_in_registers(tiles: list[Loop]) -> None:
    width = Counter("zmm" if any("%zmm" in args for _, args in t) else "ymm" for t in tiles)
    assert width["ymm"] >= 60 and width["zmm"] >= 200, width  # AVX2's and AVX-512's
    spilled = [found for tile in tiles if (found := on_the_stack(tile))]
    assert not spilled, spilled[:5]
