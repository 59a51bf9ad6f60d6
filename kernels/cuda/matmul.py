"""Launcher of matmul.cu."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import numpy as np

from . import memory, settings
from .arguments import (
    CXX_NAME,
    Fault,
    address,
    broadcast,
    check_arrays,
    check_floats,
    contiguous,
    element_strides,
    operand_strides,
    size_of,
    strided_loop,
)
from .epilogue import ACTIVATIONS
from .launch import Module, launch

__all__ = ["ENTRIES", "matmul"]


class Tile(NamedTuple):
    """gs::Tile of gemm.cuh."""

    block_m: int
    block_n: int
    block_k: int
    thread_m: int
    thread_n: int

    @property
    def threads(self) -> int:
        return self.block_m // self.thread_m * (self.block_n // self.thread_n)

    @property
    def cxx(self) -> str:
        return f"gs::Tile<{', '.join(map(str, self))}>"


class TensorTile(NamedTuple):
    """TensorTile of matmul.cu."""

    block_m: int
    block_n: int
    block_k: int
    stages: int
    warps_m: int
    warps_n: int

    @property
    def threads(self) -> int:
        return 32 * self.warps_m * self.warps_n

    @property
    def cxx(self) -> str:
        return f"TensorTile<{', '.join(map(str, self))}>"

    def smem(self, a_inner_fast: bool, b_inner_fast: bool) -> int:
        """Bytes of the ring, as SharedTile lays it out."""

        def floats(outer: int, inner_fast: bool) -> int:
            if inner_fast:
                return outer * (self.block_k + 4)
            return self.block_k * (outer + 8)

        stage = floats(self.block_m, a_inner_fast) + floats(self.block_n, b_inner_fast)
        return 4 * self.stages * stage


#: C++ type -> tiles, largest first; the last one takes what the others would waste much of.
TILES = {
    "float": (Tile(128, 128, 8, 8, 8), Tile(32, 32, 8, 4, 4)),
    "double": (Tile(64, 64, 8, 4, 4), Tile(32, 32, 8, 4, 4)),
}
TENSOR_TILES = (TensorTile(128, 128, 16, 3, 2, 4), TensorTile(64, 64, 16, 3, 2, 2))
INTEGER_TILE = Tile(32, 32, 8, 4, 4)
#: A large tile is chosen only if this many of them can be at work.
_ENOUGH_TILES = 64
_INTEGERS = (np.dtype(np.int32), np.dtype(np.int64))

_ORDERS = [(a, b) for a in ("true", "false") for b in ("true", "false")]

SIMT = Module(
    "matmul.cu",
    [
        f"matmul_simt<{t}, {tile.cxx}, {a}, {b}>"
        for t, tiles in TILES.items()
        for tile in tiles
        for a, b in _ORDERS
    ]
    + [
        f"matmul_simt<{t}, {INTEGER_TILE.cxx}, true, false{ending}>"
        for t in ("int", "long long")
        for ending in ("", ", true")
    ]
    # With an epilogue: the smaller tile of each.
    + [
        f"matmul_simt<{t}, {tiles[-1].cxx}, {a}, {b}, true>"
        for t, tiles in TILES.items()
        for a, b in _ORDERS
    ],
)
TENSOR = Module(
    "matmul.cu",
    [
        f"matmul_tf32<{tile.cxx}, {a}, {b}, {nbytes}>"
        for tile in TENSOR_TILES
        for a, b in _ORDERS
        for nbytes in ((16, 4) if tile is TENSOR_TILES[-1] else (16,))
    ]
    + [
        f"matmul_tf32<{TENSOR_TILES[-1].cxx}, {a}, {b}, {nbytes}, true>"
        for a, b in _ORDERS
        for nbytes in (16, 4)
    ],
)


def choose_tile(tiles: Any, rows: int, columns: int, batches: int) -> Any:
    """The largest tile of which enough can be at work, or else the smallest."""
    for tile in tiles[:-1]:
        count = -(-rows // tile.block_m) * -(-columns // tile.block_n) * batches
        if rows >= tile.block_m and columns >= tile.block_n and count >= _ENOUGH_TILES:
            return tile
    return tiles[-1]


class Ending(NamedTuple):
    """What follows the sums: f(alpha sum + beta c), c broadcast to y or None."""

    c: Any = None
    alpha: float = 1.0
    beta: float = 1.0
    activation: int = 0


def matmul(a: Any, b: Any, bias: Any, out_shape: tuple[int, ...]) -> Any:
    """y[.., m, n] = bias[n] + sum_k a[.., m, k] b[.., k, n]"""
    return _multiply("matmul", a, b, bias, out_shape, Ending())


def matmul_add(
    a: Any, b: Any, c: Any, out_shape: tuple[int, ...], alpha: float, beta: float
) -> Any:
    """The product times alpha, and beta times c, which is spread over it."""
    if c is not None:
        check_arrays("matmul_add", a=a, c=c)
        lead = len(out_shape) - c.ndim
        if lead < 0 or any(m not in (1, n) for m, n in zip(c.shape, out_shape[lead:], strict=True)):
            raise Fault("matmul_add", "shape", 2)
        c = memory.strided(
            c, tuple(out_shape), tuple(c.itemsize * s for s in operand_strides(c, out_shape))
        )
    return _multiply("matmul_add", a, b, None, out_shape, Ending(c, alpha, beta))


def matmul_epilogue(
    a: Any, b: Any, bias: Any, residual: Any, out_shape: tuple[int, ...], activation: int
) -> Any:
    """The same, a residual added to it, and an activation of each element."""
    if not 0 <= activation < ACTIVATIONS:
        raise Fault("matmul_epilogue", "shape", 4)
    if residual is not None:
        check_floats("matmul_epilogue", a=a, residual=residual)
        if residual.size != size_of("matmul_epilogue", out_shape):
            raise Fault("matmul_epilogue", "shape", 3)
        residual = contiguous(residual)
        if residual.shape != tuple(out_shape):
            raise Fault("matmul_epilogue", "shape", 3)
    ending = Ending(residual, activation=activation)
    return _multiply("matmul_epilogue", a, b, bias, out_shape, ending)


def _multiply(
    name: str, a: Any, b: Any, bias: Any, out_shape: tuple[int, ...], ending: Ending
) -> Any:
    """ending.c: of out_shape."""
    c = ending.c
    epilogue = c is not None or ending.alpha != 1 or ending.activation != 0
    integers = getattr(a, "dtype", None) in _INTEGERS
    if integers:
        check_arrays(name, a=a, b=b, bias=bias, c=c)
        if bias is not None or name == "matmul_epilogue":
            raise Fault(name, "dtype")
        t = CXX_NAME[a.dtype]
    else:
        t = check_floats(name, a=a, b=b, bias=bias, c=c)
    if 1 in (a.ndim, b.ndim) and a.ndim in (1, 2) and b.ndim in (1, 2):
        return _multiply_vectors(name, a, b, bias, out_shape, ending)
    if a.ndim < 2 or b.ndim < 2:
        raise Fault(name, "shape", 0 if a.ndim < 2 else 1)
    *a_batch, M, K = a.shape
    *b_batch, b_K, N = b.shape
    if b_K != K or (bias is not None and bias.shape != (N,)):
        raise Fault(name, "shape", 1 if b_K != K else 2)
    batch = broadcast(name, tuple(a_batch), tuple(b_batch))
    if (*batch, M, N) != tuple(out_shape):
        raise Fault(name, "shape", 0)
    y = memory.empty(tuple(out_shape), a.dtype)
    if y.size == 0:
        return y
    a_batch_strides = operand_strides(a, (*batch, M, K))[:-2]
    b_batch_strides = operand_strides(b, (*batch, K, N))[:-2]
    a_row, a_column = element_strides(a)[-2:]
    b_row, b_column = element_strides(b)[-2:]
    *c_batch_strides, c_row, c_column = (
        (0,) * len(out_shape) if c is None else operand_strides(c, tuple(out_shape))
    )
    c_batch_strides = tuple(c_batch_strides)
    # Batches that share one b and lie behind one another in a (and c) are more rows of one matrix.
    while (
        batch
        and not b_batch_strides[-1]
        and a_batch_strides[-1] == M * a_row
        and c_batch_strides[-1] == M * c_row
    ):
        M *= batch[-1]
        batch, a_batch_strides, b_batch_strides, c_batch_strides = (
            batch[:-1],
            a_batch_strides[:-1],
            b_batch_strides[:-1],
            c_batch_strides[:-1],
        )
    batches = size_of(name, batch)
    loop = strided_loop(batch, a_batch_strides, b_batch_strides, c_batch_strides)
    a_inner_fast, b_inner_fast = abs(a_column) <= abs(a_row), abs(b_row) < abs(b_column)
    order = f"{str(a_inner_fast).lower()}, {str(b_inner_fast).lower()}"
    smem = 0
    ending_cxx = ", true>" if epilogue else ">"
    if integers:
        module, tile = SIMT, INTEGER_TILE
        kernel = f"matmul_simt<{t}, {tile.cxx}, true, false{ending_cxx}"
    elif t == "float" and settings.allow_tf32:
        module = TENSOR
        aligned = _in_vectors(a, a_batch_strides, a_row, a_column) and _in_vectors(
            b, b_batch_strides, b_row, b_column
        )
        large = aligned and not epilogue
        tile = choose_tile(TENSOR_TILES, M, N, batches) if large else TENSOR_TILES[-1]
        smem = tile.smem(a_inner_fast, b_inner_fast)
        kernel = f"matmul_tf32<{tile.cxx}, {order}, {16 if aligned else 4}{ending_cxx}"
    else:
        module = SIMT
        tile = TILES[t][-1] if epilogue else choose_tile(TILES[t], M, N, batches)
        kernel = f"matmul_simt<{t}, {tile.cxx}, {order}{ending_cxx}"
    tiles_m, tiles_n = -(-M // tile.block_m), -(-N // tile.block_n)
    shape = struct.pack("9q", M, N, K, a_row, a_column, b_row, b_column, tiles_m, tiles_n)
    grid = (tiles_m * tiles_n * batches,)
    packed = struct.pack("2q2dq", c_row, c_column, ending.alpha, ending.beta, ending.activation)
    args = (a, b, contiguous(bias), c, y, shape, loop, packed)
    launch(module, kernel, grid, (tile.threads,), smem, args)
    return y


def _multiply_vectors(
    name: str, a: Any, b: Any, bias: Any, out_shape: tuple[int, ...], ending: Ending
) -> Any:
    """A vector on the left is a row, one on the right a column; out_shape lacks that dimension."""
    shape = (*a.shape[:-1], *b.shape[1:])
    if tuple(out_shape) != shape:
        raise Fault(name, "shape", 3)
    c = ending.c
    if c is not None:
        strides = (
            *(c.strides[:1] if a.ndim == 2 else (0,)),
            *(c.strides[-1:] if b.ndim == 2 else (0,)),
        )
        c = memory.strided(c, (*(a.shape[:-1] or (1,)), *(b.shape[1:] or (1,))), strides)
    if a.ndim == 1:
        a = memory.strided(a, (1, *a.shape), (0, *a.strides))
    if b.ndim == 1:
        b = memory.strided(b, (*b.shape, 1), (*b.strides, 0))
    y = _multiply(name, a, b, bias, (a.shape[0], b.shape[1]), ending._replace(c=c))
    return memory.strided(y, shape, (y.dtype.itemsize,) * len(shape))


def _in_vectors(x: Any, batch_strides: tuple[int, ...], row: int, column: int) -> bool:
    """Whether 16-byte copies along the fast index are aligned in every row and batch."""
    fast, slow = (column, row) if abs(column) <= abs(row) else (row, column)
    return fast == 1 and address(x) % 16 == 0 and all(s % 4 == 0 for s in (slow, *batch_strides))


ENTRIES = {"matmul": matmul, "matmul_add": matmul_add, "matmul_epilogue": matmul_epilogue}
