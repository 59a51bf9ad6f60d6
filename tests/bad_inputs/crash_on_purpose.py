"""A case, then one that takes the process down (child.py adds it), then another."""

from __future__ import annotations

from harness import case, still_works


@case("arguments", "before the crash")
def before() -> None:
    still_works()
