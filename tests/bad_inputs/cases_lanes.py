"""NaN and infinities at every place of a vector, in the tail, beside the padding."""

from __future__ import annotations

from harness import F, case, counted, device, gs, np, of, right

#: Lengths: below, at and beyond every vector.
LENGTHS = (1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 31, 33, 40, 67) if device == "cpu" else (1, 5, 33)


def _rows(length, value, dtype):
    """A row for each place where the value may stand."""
    x = np.random.default_rng(length).standard_normal((length, length)).astype(dtype)
    x[np.arange(length), np.arange(length)] = value
    return x


@case("NaN in a lane", "maxima, minima and their places")
def extremes():
    for dtype in (np.float32, np.float64):
        for length in LENGTHS:
            for value in (np.nan, np.inf, -np.inf):
                a = _rows(length, value, dtype)
                for x, d in ((a, 1), (a.T, 0)):
                    y = of(x, dtype)
                    right(lambda: gs.amax(y, d), x.max(d))
                    right(lambda: gs.amin(y, d), x.min(d))
                    right(lambda: gs.argmax(y, d), x.argmax(d))
                    right(lambda: gs.argmin(y, d), x.argmin(d))
                    values, places = gs.max(y, d)
                    right(lambda: values, x.max(d))
                    right(lambda: places, x.argmax(d))
                    values, places = gs.min(y, d)
                    right(lambda: values, x.min(d))
                    right(lambda: places, x.argmin(d))
                right(lambda: gs.max(of(a, dtype)), a.max())
                right(lambda: gs.min(of(a, dtype)), a.min())
                right(lambda: gs.argmax(of(a, dtype)), a.argmax())


@case("NaN in a lane", "sorting")
def sorting():
    for length in LENGTHS:
        for value in (np.nan, np.inf, -np.inf):
            x = _rows(length, value, np.float32)
            y = of(x)
            right(lambda: gs.sort(y, 1)[0], np.sort(x, 1))
            right(lambda: gs.sort(y, 1, stable=True)[1], np.argsort(x, 1, kind="stable"))
            down = np.sort(x, 1)[:, ::-1]  # NaN first
            right(lambda: gs.sort(y, 1, descending=True)[0], down)
            k = min(3, length)
            right(lambda: gs.topk(y, k, 1)[0], down[:, :k])
            right(lambda: gs.topk(y, k, 1, largest=False)[0], np.sort(x, 1)[:, :k])


@case("NaN in a lane", "softmax and sums")
def softmax():
    for length in LENGTHS:
        for value in (np.nan, np.inf, -np.inf):
            x = _rows(length, value, np.float32)
            with np.errstate(all="ignore"):
                wide = x.astype(np.float64)
                e = np.exp(wide - wide.max(1, keepdims=True))
                p = e / e.sum(1, keepdims=True)
                for y, d in ((of(x), 1), (of(x.T.copy()), 0)):
                    wanted = p if d else p.T
                    right(lambda: gs.softmax(y, d), wanted)
                    right(lambda: gs.log_softmax(y, d).exp(), wanted)
                    right(lambda: gs.sum(y, d), wide.sum(1))
                    right(lambda: gs.cumsum(y, d), np.cumsum(wide if d else wide.T, d))
                right(lambda: gs.prod(of(x), 1), wide.prod(1))


@case("NaN in a lane", "comparisons and the functions of an element")
def elements():
    for length in LENGTHS:
        for value in (np.nan, np.inf, -np.inf):
            x = _rows(length, value, np.float32)
            zero = np.zeros_like(x)
            y, z = of(x), of(zero)
            right(lambda: gs.maximum(y, z), np.maximum(x, zero))
            right(lambda: gs.minimum(z, y), np.minimum(zero, x))
            right(lambda: gs.clamp(y, -1.0, 1.0), np.clip(x, -1, 1))
            right(lambda: F.relu(y), np.where(np.isnan(x), x, np.maximum(x, 0)))
            right(lambda: gs.isnan(y), np.isnan(x))
            right(lambda: gs.isfinite(y), np.isfinite(x))
            right(lambda: gs.tanh(y), np.tanh(x))
            right(lambda: gs.where(of(x > 0, np.bool_), y, z), np.where(x > 0, x, zero))


@case("NaN in a lane", "two and three dimensional pooling")
def pooling():
    sizes = range(2, 14) if device == "cpu" else (2, 5)
    for size in sizes:
        for value in (np.nan, np.inf, -np.inf):
            x = np.random.default_rng(size).standard_normal((size, 1, size, size)).astype("f")
            x[np.arange(size), 0, size // 2, np.arange(size)] = value
            padded = np.pad(x, ((0, 0), (0, 0), (1, 1), (1, 1)), constant_values=-np.inf)
            windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), (2, 3))
            right(lambda: F.max_pool2d(of(x), 3, 1, 1), windows.max((-1, -2)))
            flat = F.max_pool3d(of(x[:, :, None]), (1, 3, 3), 1, (0, 1, 1))
            right(lambda: flat[:, :, 0], windows.max((-1, -2)))
            right(lambda: F.adaptive_max_pool2d(of(x), 1)[:, 0, 0, 0], x.max((1, 2, 3)))
            y, places = F.max_pool2d(of(x), 2, return_indices=True)
            assert int(places.min().item()) >= 0 and int(places.max().item()) < size * size
            counted()
