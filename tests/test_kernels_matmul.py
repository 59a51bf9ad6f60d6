"""The CPU matmul kernel: exact on integers, bounded on floats, the same bits on any threads."""

import numpy as np
import pytest
from gradsmith import _cpu
from gradsmith.kernels import table
from gradsmith.testing.comparing import same_bytes
from integer_grid import assert_same, builds, integers

K = table("cpu")
FLOATS = (np.float32, np.float64)
# Around the borders of register tiles, vectors and blocks.
SIZES = (1, 2, 3, 5, 7, 8, 9, 13, 16, 17, 31, 33, 48, 49, 64, 65, 100, 129)
LAYOUTS = ("plain", "transposed", "reversed", "stepped", "expanded")
BATCHES = (
    ((), ()),
    ((), ()),
    ((3,), ()),
    ((), (2,)),
    ((2, 3), (2, 3)),
    ((2, 1), (1, 3)),
    ((5, 2), (2,)),
    ((1,), (4,)),
)


@pytest.fixture
def samples(pytestconfig):
    return 10000 if pytestconfig.getoption("--full", default=False) else 1000


def operand(rng, shape, dtype, layout):
    """An array of `shape` that lies in memory as `layout` says."""
    *batch, rows, columns = shape
    if layout == "transposed":
        return integers(rng, (*batch, columns, rows), dtype).swapaxes(-1, -2)
    if layout == "reversed":
        return integers(rng, shape, dtype)[..., ::-1, ::-1]
    if layout == "stepped":
        return integers(rng, (*batch, rows * 2, columns * 3), dtype)[..., ::2, ::3]
    if layout == "expanded":
        return np.broadcast_to(integers(rng, (*batch, rows, 1), dtype), shape)
    return integers(rng, shape, dtype)


def matmul(a, b, bias=None):
    batch = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return K.matmul(a, b, bias, (*batch, a.shape[-2], b.shape[-1]))


def reference(a, b, bias=None):
    y = np.matmul(a.astype(np.float64), b.astype(np.float64))
    return y if bias is None else y + bias.astype(np.float64)


@pytest.mark.parametrize("dtype", FLOATS)
def test_integers_exact(dtype, samples):
    rng = np.random.default_rng(1)
    for _ in range(samples):
        m, n, k = (int(v) for v in rng.choice(SIZES, 3))
        batch_a, batch_b = BATCHES[rng.integers(len(BATCHES))]
        layout_a, layout_b = rng.choice(LAYOUTS, 2)
        a = operand(rng, (*batch_a, m, k), dtype, layout_a)
        b = operand(rng, (*batch_b, k, n), dtype, layout_b)
        bias = integers(rng, (n,), dtype) if rng.random() < 0.5 else None
        expected = reference(a, b, bias)
        for build in builds():
            what = (build, a.shape, b.shape, layout_a, layout_b, bias is not None)
            assert_same(matmul(a, b, bias), expected, what)


@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (200, 300, 500),  # columns packed by the threads that use them
        (1025, 200, 400),  # a last row block of one row
        (200, 300, 513),  # one step of the reduction more than is packed at a time
        (130, 1100, 4100),  # in parts along K and N
        (40, 30, 5000),  # dot tiles in parts along K
        (4000, 10, 300),  # few columns
        (3, 4000, 300),  # few rows, read in place
        (1, 3000, 700),  # a row: the matrix is read once, or along its rows
        (2500, 1, 600),  # a column
        (70, 1000, 700),  # few rows: the panels of b are packed by who uses them, or y is turned
        (1100, 200, 10),  # nothing is packed
        (16, 17, 8200),  # slices of the reduction
        (100, 33, 3000),
        (7, 6001, 540),  # few rows by a matrix that is read from afar
        (6, 2051, 700),
        (19, 6001, 540),
        (600, 8192, 5),  # results past the caches
    ],
)
@pytest.mark.parametrize("layout", ["plain", "transposed"])
def test_integers_exact_large(m, n, k, layout):
    rng = np.random.default_rng(2)
    a = operand(rng, (m, k), np.float32, layout)
    b = operand(rng, (k, n), np.float32, layout)
    bias = integers(rng, (n,), np.float32)
    expected = reference(a, b, bias)
    for build in builds((2,)):
        assert_same(matmul(a, b, bias), expected, (build, m, n, k, layout))


def test_batches_beyond_the_caches():
    """28 MB of results of short sums: stored past the caches where columns are whole vectors."""
    rng = np.random.default_rng(15)
    for n in (512, 509):
        a, b = integers(rng, (27, 512, 24), np.float32), integers(rng, (27, 24, n), np.float32)
        expected = np.matmul(a.astype(np.float64), b.astype(np.float64))
        for build in builds((1, 2)):
            assert_same(matmul(a, b), expected.astype(np.float32), (build, n))


@pytest.mark.parametrize("dtype", FLOATS)
def test_few_columns(dtype):
    """Every width, with a sum that ends anywhere, rows that lie apart, and more than one chain."""
    rng = np.random.default_rng(13)
    for n in range(2, 10):
        for m, k in ((64, 16), (129, 19), (1001, 64), (70, 33), (131, 1027)):
            a = integers(rng, (m, k + 3), dtype)[:, :k]
            for layout in LAYOUTS:
                b = operand(rng, (k, n), dtype, layout)
                bias = integers(rng, (n,), dtype) if m % 2 else None
                expected = reference(a, b, bias)
                for build in builds((2,)):
                    assert_same(matmul(a, b, bias), expected, (build, m, n, k, layout))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [
        (9, 2050, 530),  # two tiles, a step that is short
        (33, 2500, 513),  # blocks beside one another, the last one narrow; a step of one row
        (64, 1024, 1100),  # whole vectors, rows a power of two apart
        (127, 499, 2200),  # several steps, one task
        (70, 28099, 40),  # blocks of less than a step
        # Up to 4 MB: packed by each thread, as for many rows.
        (9, 530, 300),
        (33, 784, 513),
        (128, 99, 1100),
        (70, 4099, 40),
        (20, 4608, 530),  # blocks of part of a chain
        (33, 4611, 600),
    ],
)
def test_few_rows_by_blocks(m, n, k, dtype):
    """A block of b is packed while the one before is multiplied: every order of them."""
    rng = np.random.default_rng(31)
    a, wide = integers(rng, (m, k), dtype), integers(rng, (k, n + 5), dtype)
    for b in (wide[:, :n], wide[:, 3 : n + 3], np.ascontiguousarray(wide[:, :n])):
        for bias in (None, integers(rng, (n,), dtype)):
            expected = reference(a, b, bias)
            for build in builds((1, 3)):
                assert_same(matmul(a, b, bias), expected, (build, m, n, k, bias is None))


@pytest.mark.parametrize("transposed", [False, True])
def test_packed_operands_are_given_back(transposed):
    """Of few rows by a large matrix: what all threads share is no thread's scratch."""
    rng = np.random.default_rng(33)
    a, b = integers(rng, (128, 4200), np.float32), integers(rng, (4200, 600), np.float32)
    if transposed:
        b = np.ascontiguousarray(b.T).T
    matmul(a, b)
    before = _cpu.memory_stats()["in_use"]
    for _ in range(3):
        matmul(a, b)
    assert _cpu.memory_stats()["in_use"] <= before


@pytest.mark.parametrize("dtype", FLOATS)
def test_small_layers(dtype):
    """x W^T where either is turned, by each thread for itself or by one for all."""
    rng = np.random.default_rng(14)
    for m, n, k in (
        (32, 120, 400),
        (97, 103, 101),
        (49, 98, 64),
        (20, 33, 70),
        (100, 300, 513),
        (33, 130, 2600),
    ):
        a, b = integers(rng, (m, k), dtype), operand(rng, (k, n), dtype, "transposed")
        bias = integers(rng, (n,), dtype)
        for build in builds((1, 2, 7)):
            assert_same(matmul(a, b, bias), reference(a, b, bias), (build, m, n, k))


@pytest.mark.parametrize("dtype", FLOATS)
def test_very_few_rows(dtype):
    """x W^T of 2 to 8 rows: columns left over, sums that end anywhere, rows that lie apart."""
    rng = np.random.default_rng(16)
    for m in range(2, 9):
        for n, k in ((500, 1537), (1201, 531), (64, 12000)):
            a = integers(rng, (m, k + 3), dtype)[:, :k]
            b = integers(rng, (n, k + 1), dtype)[:, :k].T
            bias = integers(rng, (n,), dtype) if n % 2 else None
            apart = operand(rng, (k, n), dtype, "stepped")
            for build in builds((1, 2)):
                assert_same(matmul(a, b, bias), reference(a, b, bias), (build, m, n, k))
                assert_same(matmul(a, apart, bias), reference(a, apart, bias), (build, m, n, k))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_many_results_of_short_sums(layout, dtype):
    """g^T x: whole vectors and parts of one; a bias and rows of `b` that lie apart."""
    rng = np.random.default_rng(17)
    for m, n, k in ((515, 512, 8), (64, 4099, 2), (301, 1003, 17), (2050, 150, 32)):
        a = operand(rng, (m, k), dtype, layout)
        b = integers(rng, (k, n + 5), dtype)[:, :n]
        bias = integers(rng, (n,), dtype) if m % 2 else None
        for build in builds((2,)):
            assert_same(matmul(a, b, bias), reference(a, b, bias), (build, m, n, k))


def test_short_sums_past_the_caches():
    """28 MB of results, of whole vectors and not; by single rows and by tiles of several."""
    rng = np.random.default_rng(18)
    for n, k in ((4096, 8), (4099, 8), (4096, 13), (4099, 13)):
        a, b = integers(rng, (k, 1750), np.float32).T, integers(rng, (k, n), np.float32)
        for build in builds((2,)):
            assert_same(matmul(a, b), reference(a, b), (build, n, k))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", ["plain", "transposed", "stepped"])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(129, 203, 263), (193, 145, 520), (257, 129, 258), (70, 331, 900)]
)
def test_columns_packed_by_the_first_rows(m, n, k, layout, dtype):
    """`b` lies in a wider matrix of NaN: what is read beyond its columns must reach no result."""
    rng = np.random.default_rng(9)
    a = operand(rng, (m, k), dtype, layout)
    around = np.full((k, n + 40), np.nan, dtype)
    b = around[:, 3 : n + 3]
    b[...] = integers(rng, (k, n), dtype)
    bias = integers(rng, (n,), dtype)
    expected = reference(a, b, bias)
    for build in builds():
        assert_same(matmul(a, b, bias), expected, (build, m, n, k, layout))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("layout", ["plain", "transposed"])
@pytest.mark.parametrize(
    ("m", "n", "k"), [(129, 203, 263), (200, 47, 520), (330, 530, 258), (1100, 530, 730)]
)
def test_rows_packed_by_the_first_tiles(m, n, k, layout, dtype):
    """g^T x: `a` is contiguous downwards, in a wider matrix of NaN; the same bits on any threads.

    The last `a`, 3.2 MB, is packed between the tiles of the rows before where the second level is
    large.
    """
    rng = np.random.default_rng(21)
    around = np.full((k, m + 40), np.nan, dtype)
    a = around[:, 5 : m + 5].T
    a[...] = integers(rng, (m, k), dtype)
    b = operand(rng, (k, n), dtype, layout)
    bias = integers(rng, (n,), dtype)
    expected = reference(a, b, bias)
    for build in builds():
        assert_same(matmul(a, b, bias), expected, (build, m, n, k, layout))
    around[...] = rng.standard_normal(around.shape)
    first = {}
    for build in builds():
        y = matmul(a, b)
        assert same_bytes(first.setdefault(build.split(",")[0], y), y), build
        # What is packed on the way or before is multiplied alike.
        assert same_bytes(y, matmul(np.ascontiguousarray(a), b)), build


def test_rows_packed_before_and_not_taken():
    """Who takes another thread's block has lost the rows that it packed for its own next one."""
    rng = np.random.default_rng(22)
    a, b = integers(rng, (730, 1100), np.float32).T, integers(rng, (730, 530), np.float32)
    expected = reference(a, b).astype(np.float32)
    for build in builds((2,)):
        widest = build.startswith(
            _cpu.isas()[-1]
        )  # packs them so; who takes what is left to chance
        for turn in range(50 if widest else 1):
            assert same_bytes(matmul(a, b), expected), (build, turn)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("m", "n", "k"),
    [(129, 131, 150), (200, 100, 200), (256, 72, 300), (257, 100, 200), (255, 256, 130)],
)
def test_batches_of_middling_columns(m, n, k, dtype):
    """`b` is too large for L1 and read where it is, or packed where its rows share cache sets."""
    rng = np.random.default_rng(15)
    around = np.full((2, k, n + 40), np.nan, dtype)
    b = around[:, :, 3 : n + 3]
    b[...] = integers(rng, (2, k, n), dtype)
    for layout in ("plain", "transposed", "stepped"):
        a = operand(rng, (2, m, k), dtype, layout)
        for right in (b, b.copy()):
            expected = reference(a, right)
            for build in builds((1, 2, 3)):
                assert_same(matmul(a, right), expected, (build, m, n, k, layout))


@pytest.mark.parametrize(("m", "n", "k"), [(1024, 256, 96), (1025, 100, 300), (1301, 200, 513)])
@pytest.mark.parametrize("layout", ["plain", "transposed"])
def test_tall_products_of_few_columns(m, n, k, layout):
    rng = np.random.default_rng(16)
    a, b = operand(rng, (m, k), np.float32, layout), operand(rng, (k, n), np.float32, layout)
    bias = integers(rng, (n,), np.float32)
    expected = reference(a, b, bias)
    for build in builds((1, 2, 7)):
        assert_same(matmul(a, b, bias), expected, (build, m, n, k, layout))


@pytest.mark.parametrize("dtype", FLOATS)
def test_batches_of_tiny_products(dtype):
    """A matrix in one vector or two, of every layout; more of them than one task takes."""
    rng = np.random.default_rng(11)
    shapes = ((1, 1, 1), (3, 3, 3), (4, 4, 4), (2, 5, 3), (5, 3, 1), (1, 16, 2), (5, 5, 5))
    for m, n, k in shapes:
        for layout_a, layout_b in zip(LAYOUTS, LAYOUTS[1:] + LAYOUTS[:1], strict=True):
            a = operand(rng, (3, 1000, m, k), dtype, layout_a)[:, ::2]
            b = operand(rng, (500, k, n), dtype, layout_b)
            expected = reference(a, b)
            for build in builds((2,)):
                assert_same(matmul(a, b), expected, (build, m, n, k, layout_a, layout_b))


@pytest.mark.parametrize("dtype", [*FLOATS, np.int32, np.int64])
def test_vectors(dtype):
    """A vector is a row on the left and a column on the right, whose dimension y lacks."""
    rng = np.random.default_rng(9)
    for k in (1, 5, 40, 700):
        a, b, matrix = (integers(rng, s, dtype) for s in (k, 2 * k, (k, 37)))
        for build in builds((2,)):
            assert_same(K.matmul(a, b[::2], None, ()), reference(a, b[::2]), (build, k))
            assert_same(K.matmul(a, b[k:], None, ()), reference(a, b[k:]), (build, k))
            assert_same(K.matmul(a, matrix, None, (37,)), reference(a, matrix), (build, k))
            assert_same(K.matmul(matrix.T, a, None, (37,)), reference(matrix.T, a), (build, k))
            with pytest.raises(_cpu.Fault, match="shape"):
                K.matmul(a, matrix, None, (1, 37))


@pytest.mark.parametrize("dtype", FLOATS)
def test_vectors_of_any_stride(dtype):
    """Elements of a vector that are apart or backwards; rows longer than a task."""
    rng = np.random.default_rng(12)
    for k, n in ((5, 9), (43, 70), (700, 37), (70_003, 5)):
        vectors = [integers(rng, 3 * k, dtype)[::3], integers(rng, k, dtype)[::-1]]
        matrix, turned = integers(rng, (k, n), dtype), integers(rng, (n, k), dtype).T
        for build in builds((2,)):
            for a in vectors:
                for b in (matrix, turned):
                    what = (build, k, a.strides, b.strides)
                    assert_same(K.matmul(a, b, None, (n,)), reference(a, b), what)
                    assert_same(K.matmul(b.T, a, None, (n,)), reference(b.T, a), what)


@pytest.mark.parametrize("dtype", FLOATS)
def test_dot_products_that_end_anywhere(dtype):
    """One element beyond whole vectors, blocks of them (256 of 2 to 16 lanes) or slices."""
    rng = np.random.default_rng(13)
    for k in (*range(1, 20), *(256 * lanes + d for lanes in (2, 4, 8, 16) for d in (0, 1)), 32769):
        a, b = integers(rng, k, dtype), integers(rng, k, dtype)
        for build in builds((2,)):
            assert_same(K.matmul(a, b, None, ()), reference(a, b), (build, k))


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_whole_numbers_wrap_around(dtype):
    rng = np.random.default_rng(10)
    top = np.iinfo(dtype).max
    for m, n, k in ((1, 1, 3), (9, 17, 5), (20, 33, 300), (70, 50, 40)):
        a, b = (rng.integers(-top, top, s, dtype) for s in ((2, m, k), (k, n)))
        for build in builds((2,)):
            for right in (b, np.ascontiguousarray(b.T).T):
                np.testing.assert_array_equal(matmul(a, right), np.matmul(a, right), build)
            same = np.broadcast_to(a[..., :1], a.shape)  # of stride 0
            np.testing.assert_array_equal(matmul(same, b), np.matmul(same, b), build)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_whole_numbers_without_products(dtype):
    """Zeros, also in memory that held something else."""
    for build in builds((1,)):
        del build
        K.matmul(np.ones((20, 3), dtype), np.ones((3, 30), dtype), None, (20, 30))
        y = K.matmul(np.ones((20, 0), dtype), np.ones((0, 30), dtype), None, (20, 30))
        assert y.dtype == dtype and not y.any()


def test_a_row_in_stretches():
    """Sums of several chains, by tasks of no whole vectors: none writes into the next one."""
    rng = np.random.default_rng(11)
    a, b = integers(rng, (1, 700), np.float32), integers(rng, (1, 22000), np.float32)
    wide = np.broadcast_to(b, (700, 22000))
    expected = a.sum(dtype=np.float64) * b
    for build in builds((1,)):
        assert_same(matmul(a, wide), expected, build)


def test_every_tail():
    rng = np.random.default_rng(3)
    a = integers(rng, (19, 35), np.float32)
    b = integers(rng, (35, 70), np.float32)
    for build in builds((1,)):
        for m in range(1, 20):
            for n in (*range(1, 36), 47, 63, 64, 65, 70):
                k = 1 + (m * 5 + n) % 35
                got = matmul(a[:m, :k], b[:k, :n])
                assert_same(got, reference(a[:m, :k], b[:k, :n]), (build, m, n, k))
                got = matmul(a[:m, :k], b.T[:n, :k].T if n <= 35 else b[:k, :n])
                expected = reference(a[:m, :k], b.T[:n, :k].T if n <= 35 else b[:k, :n])
                assert_same(got, expected, (build, m, n, k, "transposed"))


def test_outer_product_past_the_caches():
    rng = np.random.default_rng(5)
    a, b = integers(rng, (1100, 1), np.float32), integers(rng, (1, 4096), np.float32)
    for build in builds((2,)):
        assert_same(matmul(a, b), reference(a, b), build)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(
    ("shape_a", "shape_b"),
    [
        ((300, 513), (513, 257)),
        ((32, 400), (400, 1200)),
        ((20, 65, 70), (70, 33)),
        ((7, 900), (900, 9)),
        ((1, 3000), (3000, 900)),
        ((64, 1000), (1000, 700)),
        ((20, 530), (530, 4611)),
        ((1100, 10), (10, 300)),
        ((9, 600), (600, 5555)),
        ((16, 4096), (4096, 16)),
        ((7000, 3, 3), (7000, 3, 3)),
        ((4001, 70), (70, 7)),
        ((3001, 601), (601, 3)),
        ((90, 90), (90, 90)),
        ((700, 8), (8, 500)),
        ((703, 30), (30, 500)),
        ((6, 40), (40, 70000)),
        ((6, 200, 200), (6, 200, 100)),
        ((1100, 256), (256, 200)),
    ],
)
def test_same_bits_on_any_number_of_threads(dtype, shape_a, shape_b):
    rng = np.random.default_rng(4)
    a = rng.standard_normal(shape_a).astype(dtype)
    b = rng.standard_normal(shape_b).astype(dtype)
    bias = rng.standard_normal(shape_b[-1]).astype(dtype)
    first = {}
    for build in builds():
        y = matmul(a, b, bias)
        isa = build.split(",")[0]
        assert same_bytes(first.setdefault(isa, y), y), build


@pytest.mark.parametrize("dtype", FLOATS)
def test_error_within_bound(dtype):
    rng = np.random.default_rng(5)
    a = rng.standard_normal((70, 600)).astype(dtype)
    b = rng.standard_normal((600, 90)).astype(dtype)
    exact = np.matmul(a.astype(np.longdouble), b.astype(np.longdouble))
    bound = 600 * np.finfo(dtype).eps * np.matmul(np.abs(a), np.abs(b))
    for build in builds((1,)):
        error = np.abs(matmul(a, b) - exact)
        assert not (error > bound).any(), build


@pytest.mark.parametrize("dtype", FLOATS)
def test_empty(dtype):
    bias = np.arange(5, dtype=dtype)
    for build in builds((1, 2)):
        for shape_a, shape_b in [
            ((0, 3), (3, 5)),
            ((3, 4), (4, 0)),
            ((3, 0), (0, 5)),
            ((0, 2, 3), (3, 5)),
            ((2, 3, 0), (2, 0, 5)),
            ((0, 0), (0, 0)),
        ]:
            a, b = np.ones(shape_a, dtype), np.ones(shape_b, dtype)
            assert_same(matmul(a, b), reference(a, b), (build, shape_a, shape_b))
        assert_same(
            matmul(np.ones((3, 0), dtype), np.ones((0, 5), dtype), bias),
            np.broadcast_to(bias, (3, 5)),
            build,
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite_stays_in_its_row_and_column(value):
    rng = np.random.default_rng(6)
    for m, n, k in [(9, 50, 40), (70, 70, 20), (5, 3, 33), (200, 100, 130), (150, 7, 19)]:
        a = integers(rng, (m, k), np.float32)
        b = integers(rng, (k, n), np.float32)
        a[m - 1, k - 1] = value
        b[k // 2, n - 1] = value
        with np.errstate(invalid="ignore"):
            expected = reference(a, b)
        for build in builds((2,)):
            assert_same(matmul(a, b), expected, (build, m, n, k))
            turned = np.ascontiguousarray(b.T).T
            assert_same(matmul(a, turned), expected, (build, m, n, k, "transposed"))


def test_elements_across_their_natural_borders():
    rng = np.random.default_rng(7)
    record = np.zeros(12, dtype=[("tag", "u1"), ("value", "f4")])
    record["value"] = rng.integers(-3, 4, 12)
    a = record["value"].reshape(3, 4)
    b = integers(rng, (4, 5), np.float32)
    for build in builds((1,)):
        assert_same(matmul(a, b), reference(a, b), build)
        assert_same(matmul(b.T, a.T), reference(b.T, a.T), build)


def test_inputs_unchanged():
    rng = np.random.default_rng(8)
    a, b = rng.standard_normal((150, 60)), rng.standard_normal((60, 150))
    before = a.copy(), b.copy()
    matmul(a, b, b[0])
    np.testing.assert_array_equal(a, before[0])
    np.testing.assert_array_equal(b, before[1])


@pytest.mark.parametrize(
    ("a", "b", "bias", "out"),
    [
        ((3, 4), (5, 6), None, (3, 6)),
        ((3, 4), (4, 6), (5,), (3, 6)),
        ((3, 4), (4, 6), None, (3, 7)),
        ((3, 4), (4, 6), None, (6,)),
        ((2, 3, 4), (3, 4, 6), None, (2, 3, 6)),
        ((4,), (4, 6), None, (1, 6)),
    ],
)
def test_shapes_that_do_not_fit(a, b, bias, out):
    bias = None if bias is None else np.ones(bias)
    for _ in builds((1,)):
        with pytest.raises(_cpu.Fault, match="shape"):
            K.matmul(np.ones(a), np.ones(b), bias, out)


def test_dtypes():
    ones = np.ones((3, 3), np.float32)
    for _ in builds((1,)):
        for other in (np.ones((3, 3)), np.ones((3, 3), np.int64)):
            with pytest.raises(_cpu.Fault, match="dtype"):
                K.matmul(ones, other, None, (3, 3))
        with pytest.raises(_cpu.Fault, match="dtype"):
            K.matmul(ones.astype(np.bool_), ones.astype(np.bool_), None, (3, 3))
        with pytest.raises(_cpu.Fault, match="dtype"):
            K.matmul_epilogue(ones.astype(np.int64), ones.astype(np.int64), None, None, (3, 3), 1)


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_integers_wrap_around(dtype):
    rng = np.random.default_rng(6)
    a = rng.integers(-(2**31), 2**31 - 1, (5, 70)).astype(dtype)
    b = rng.integers(-(2**31), 2**31 - 1, (70, 90)).astype(dtype)
    for _ in builds((1, 3)):
        with np.errstate(over="ignore"):
            np.testing.assert_array_equal(K.matmul(a, b, None, (5, 90)), a @ b)


@pytest.mark.parametrize("shape", [(300, 70, 200), (3, 1030, 5), (700, 400, 130), (900, 33, 6)])
def test_epilogue_equals_the_product_and_its_activation(shape):
    rng = np.random.default_rng(7)
    m, k, n = shape
    a, b = rng.standard_normal((m, k)), rng.standard_normal((k, n))
    bias, residual = rng.standard_normal(n), rng.standard_normal((m, n))
    for _ in builds((1, 3)):
        z = K.matmul(a, b, bias, (m, n))
        for code, function in ((0, None), (1, K.relu), (3, K.tanh), (4, K.sigmoid)):
            y = K.matmul_epilogue(a, b, bias, None, (m, n), code)
            np.testing.assert_array_equal(y, z if function is None else function(z))
            y = K.matmul_epilogue(a, b, bias, residual, (m, n), code)
            np.testing.assert_array_equal(y, (function or np.copy)(z + residual))


@pytest.mark.parametrize("dtype", [*FLOATS, np.int32, np.int64])
@pytest.mark.parametrize(
    ("a", "b"),
    [
        ((40, 30), (30, 50)),
        ((1, 700), (700, 90)),  # a row
        ((90, 40), (40, 1)),  # a column
        ((300, 1), (1, 200)),  # an outer product
        ((5, 3, 3), (5, 3, 3)),  # tiny products
        ((2, 1, 9, 20), (3, 20, 17)),
        ((4, 6, 50), (50, 33)),  # a batch that becomes one matrix
        ((16, 2100), (2100, 24)),  # a long reduction
        ((80, 600), (600, 400)),  # few rows
        ((7, 600), (600, 400)),
        ((600, 9), (9, 500)),  # short sums
        ((200, 130), (130, 260)),  # packed by all threads
    ],
)
def test_product_added_to(a, b, dtype):
    """c in every way it may broadcast and lie, alpha and beta, exact on integers."""
    rng = np.random.default_rng(12)
    right = {"c": integers(rng, b, dtype)}
    right["t"] = np.ascontiguousarray(right["c"].swapaxes(-1, -2)).swapaxes(-1, -2)
    left = integers(rng, a, dtype)
    product = np.matmul(left.astype(np.float64), right["c"].astype(np.float64))
    full = integers(rng, (*product.shape[:-1], 2 * product.shape[-1]), dtype)
    cs = [
        full[..., ::2],
        full[..., :1],
        full[..., :1, : product.shape[-1]],
        full.reshape(-1)[:1].reshape(()),
    ]
    cs.append(full.swapaxes(-1, -2)[..., : product.shape[-1], :].copy().swapaxes(-1, -2))
    for i, c in enumerate((*cs, None)):
        alpha, beta = (1.0, 1.0) if i == 0 else (-2.0, 3.0)
        expected = alpha * product + (0 if c is None else beta * c.astype(np.float64))
        for build in builds((2,)):
            for layout, other in right.items():
                y = K.matmul_add(left, other, c, product.shape, alpha, beta)
                assert_same(y, expected, (build, i, layout))


def test_product_added_to_refuses():
    ones = np.ones((3, 3), np.float32)
    for c in (np.ones((2, 3), np.float32), np.ones((1, 3, 3), np.float32)):
        with pytest.raises(_cpu.Fault, match="shape"):
            K.matmul_add(ones, ones, c, (3, 3), 1.0, 1.0)
    with pytest.raises(_cpu.Fault, match="dtype"):
        K.matmul_add(ones, ones, np.ones((3, 3)), (3, 3), 1.0, 1.0)


@pytest.mark.parametrize(
    "shape", [(50, 70, 300), (3, 1500, 300), (70, 600, 300), (1, 900, 300), (600, 700, 9)]
)
@pytest.mark.parametrize("dtype", FLOATS)
def test_epilogue_is_exact_on_integers(shape, dtype):
    """Packed tiles, few rows and one; read along the rows of b, or down its columns."""
    rng = np.random.default_rng(12)
    m, n, k = shape
    bias, residual = integers(rng, (n,), dtype), integers(rng, (m, n), dtype)
    for layout in ("plain", "transposed"):
        a, b = operand(rng, (m, k), dtype, "plain"), operand(rng, (k, n), dtype, layout)
        expected = np.maximum(reference(a, b, bias) + residual, 0)
        for build in builds((2,)):
            y = K.matmul_epilogue(a, b, bias, residual, (m, n), 1)
            assert_same(y, expected, (build, layout))


@pytest.mark.parametrize(
    ("shape_a", "shape_b", "layouts"),
    [
        ((300, 600), (600, 500), ("plain", "plain")),  # large
        ((520, 600), (600, 500), ("transposed", "transposed")),
        ((1100, 730), (730, 530), ("transposed", "plain")),  # with rows packed ahead
        ((64, 700), (700, 512), ("plain", "transposed")),  # a layer's, turned
        ((120, 784), (784, 512), ("plain", "transposed")),
        ((20, 1000), (1000, 2100), ("plain", "plain")),  # few rows
        ((8, 1024), (1024, 3300), ("plain", "plain")),  # in the order of memory
        ((1, 1024), (1024, 1000), ("plain", "plain")),
        ((1000, 1024), (1024, 1), ("plain", "plain")),
        ((4096, 16), (16, 512), ("transposed", "plain")),  # short sums
        ((16, 8192), (8192, 16), ("plain", "plain")),  # a long one
        ((4000, 64), (64, 8), ("plain", "plain")),  # few columns
        ((9, 200, 100), (9, 100, 130), ("plain", "stepped")),
    ],
)
def test_memory_of_a_product_that_is_out(shape_a, shape_b, layouts):
    """No result when an allocation of any thread fails, neither a wrong one nor a crash."""
    rng = np.random.default_rng(41)
    a, b = (
        operand(rng, s, np.float32, x) for s, x in zip((shape_a, shape_b), layouts, strict=True)
    )
    expected = reference(a, b).astype(np.float32)
    for _ in builds((2,)):
        failed = 0
        for nth in range(1, 7):
            _cpu.empty_cache()
            _cpu.fail_allocation(nth)
            try:
                y = matmul(a, b)
            except MemoryError:
                failed += 1
            else:
                assert np.array_equal(y, expected), nth
            finally:
                _cpu.fail_allocation(0)
        assert 1 <= failed < 6, failed
        assert np.array_equal(matmul(a, b), expected)
