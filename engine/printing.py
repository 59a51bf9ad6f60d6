"""How tensors are written out: PyTorch's text, and `set_printoptions`."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

__all__ = ["get_printoptions", "set_printoptions"]


@dataclass(frozen=True)
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_PROFILES = {
    "default": _Options(),
    "short": _Options(precision=2, edgeitems=2),
    "full": _Options(threshold=math.inf),
}
#: Beyond these, numbers are written with an exponent: the largest, the least, and their ratio.
_LARGEST, _LEAST, _RATIO = 1e8, 1e-4, 1000.0

_options = _Options()


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """Sets how tensors are written out; what is None stays as it is, but for sci_mode.

    Args:
        precision: digits behind the point (default 4).
        threshold: how many elements are written in full (default 1000).
        edgeitems: how many at each end of a dimension are written of more (default 3).
        linewidth: characters of a line (default 80).
        profile: 'default', 'short' (2 digits, 2 at each end) or 'full' (no threshold), before the
            others.
        sci_mode: whether numbers have an exponent; None: where they differ by more than 1000 times,
            or are beyond 1e8, or below 1e-4.

    Raises:
        ValueError: another profile, or a number that is negative.
        TypeError: something else than numbers.
    """
    global _options
    if profile is not None and profile not in _PROFILES:
        raise ValueError(
            f"set_printoptions: profile must be one of {tuple(_PROFILES)}; got {profile!r}"
        )
    chosen = _options if profile is None else _PROFILES[profile]
    given = {
        "precision": precision,
        "threshold": threshold,
        "edgeitems": edgeitems,
        "linewidth": linewidth,
    }
    for name, value in given.items():
        if value is None:
            continue
        numbers = (int, float) if name == "threshold" else (int,)
        if not isinstance(value, numbers) or isinstance(value, bool):
            raise TypeError(f"set_printoptions: {name} must be a number; got {value!r}")
        if not value >= 0:
            raise ValueError(f"set_printoptions: {name} must be >= 0; got {value}")
        chosen = replace(chosen, **{name: value})
    _options = replace(chosen, sci_mode=sci_mode)


def get_printoptions() -> dict[str, Any]:
    """The options of `set_printoptions` in force, by name."""
    return dict(vars(_options))


class _Words:
    """One number's text, as wide as that of the widest among `values`."""

    def __init__(self, values: Any) -> None:
        self.floating = values.dtype.kind == "f"
        self.width = 1
        self.whole = True
        self.exponent = False
        if not self.floating:
            texts = [str(v) for v in values.reshape(-1).tolist()]
            self.width = max([len(text) for text in texts], default=1)
            return
        # Zeros, NaN and infinities are written as wide as they are.
        found = [v for v in values.reshape(-1).tolist() if v and math.isfinite(v)]
        if not found:
            return
        most, least = max(map(abs, found)), min(map(abs, found))
        self.whole = all([v == math.ceil(v) for v in found])
        self.exponent = (
            most / least > _RATIO or most > _LARGEST or (not self.whole and least < _LEAST)
        )
        if _options.sci_mode is not None:
            self.exponent = bool(_options.sci_mode)
        self.width = max([len(self._text(v)) for v in found])

    def _text(self, value: float) -> str:
        if self.exponent:
            return f"{value:.{_options.precision}e}"
        if self.whole:
            return f"{value:.0f}." if math.isfinite(value) else f"{value:.0f}"
        return f"{value:.{_options.precision}f}"

    def of(self, value: Any) -> str:
        return (self._text(value) if self.floating else str(value)).rjust(self.width)


def _shown(size: int, cut: bool) -> tuple[list[int], int | None]:
    """Which places of a dimension are written, and before which of them the dots stand."""
    edge = _options.edgeitems
    if not cut or size <= 2 * edge:
        return list(range(size)), None
    return [*range(edge), *range(size - edge, size)], edge


def _edges(values: Any, cut: bool) -> Any:
    """What is written of the array, as an array."""
    for d, size in enumerate(values.shape):
        places, dots = _shown(size, cut)
        if dots is not None:
            values = values[(slice(None),) * d + (places,)]
    return values


def _lines(values: Any, indent: int, cut: bool, words: _Words) -> str:
    if values.ndim == 0:
        return words.of(values.item())
    places, dots = _shown(values.shape[0], cut)
    if values.ndim == 1:
        texts = [words.of(v) for v in values[places].tolist()]
        if dots is not None:
            texts.insert(dots, " ...")
        a_line = max(1, (_options.linewidth - indent) // (words.width + 2))
        rows = [", ".join(texts[i : i + a_line]) for i in range(0, len(texts), a_line)]
        return "[" + (",\n" + " " * (indent + 1)).join(rows) + "]"
    texts = [_lines(values[i], indent + 1, cut, words) for i in places]
    if dots is not None:
        texts.insert(dots, "...")
    return "[" + ("," + "\n" * (values.ndim - 1) + " " * (indent + 1)).join(texts) + "]"


def written(values: Any, extras: list[str], prefix: str = "tensor(") -> str:
    """A tensor's text.

    Args:
        values: its elements, a NumPy array.
        extras: what stands behind them, such as a dtype.
    """
    if values.size:
        cut = values.size > _options.threshold
        text = prefix + _lines(values, len(prefix), cut, _Words(_edges(values, cut)))
    else:
        text = prefix + "[]"
    used = len(text) - text.rfind("\n") + 1
    for extra in extras:
        if used + len(extra) + 2 > _options.linewidth:
            text += ",\n" + " " * len(prefix) + extra
            used = len(prefix) + len(extra)
        else:
            text += ", " + extra
            used += len(extra) + 2
    return text + ")"
