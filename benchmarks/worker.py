"""The process of one engine: a question a line on standard input, an answer a line.

`engines.Remote` starts it and asks.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

import numpy as np

from .cases import find
from .engines import Local, Unsupported

__all__ = ["main"]


def _answer(engine: Local, question: dict[str, Any]) -> Any:
    do = question["do"]
    if do == "prepare":
        case = find(*question["key"])
        return engine.prepare(case, question["kind"], question["seconds"])
    if do == "block":
        return engine.block(question["variant"])
    if do == "results":
        results = engine.results()
        np.savez(question["path"], *results)
        return len(results)
    if do == "memory":
        return engine.memory()
    raise ValueError(f"no such question: {do}")


def main(name: str, threads: str) -> None:
    """Answers until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints is no answer
    engine: Local | None = None
    for line in sys.stdin:
        try:
            engine = engine or Local(name, int(threads))
            found = {"answer": _answer(engine, json.loads(line))}
        except Unsupported:
            found = {"unsupported": True}
        except Exception as error:  # the other process words it
            found = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(found) + "\n")
        answers.flush()
