"""Inputs that broke other libraries, in processes of their own, on both devices.

The outcome is an exception with a clear message or a right answer: never a signal, a hang, an
access out of bounds or silent garbage. The cases stand in tests/bad_inputs, a process for each
file; where a case takes it down, the next process goes on behind that one.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from pathlib import Path

import gradsmith as gs
import pytest

FOLDER = Path(__file__).parent / "bad_inputs"
FILES = sorted(path.stem for path in FOLDER.glob("cases_*.py"))
#: Seconds for one case.
PATIENCE = 90.0


def _start(device: str, *arguments: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "GRADSMITH_BAD_INPUTS_DEVICE": device}
    if device == "cuda" and not gs.cuda.is_available():
        environment["GRADSMITH_CUDA_EMULATOR"] = "1"
    return subprocess.Popen(
        [sys.executable, str(FOLDER / "child.py"), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
    )


def _lines(child: subprocess.Popen[str]) -> queue.Queue[str | None]:
    """What the child writes, line by line; None at the end."""
    lines: queue.Queue[str | None] = queue.Queue()

    def read() -> None:
        assert child.stdout is not None
        for line in child.stdout:
            lines.put(line)
        lines.put(None)

    threading.Thread(target=read, daemon=True).start()
    return lines


def run_cases(stem: str, device: str) -> dict[str, str]:
    """The cases of a file: name -> "" or what went wrong."""
    results: dict[str, str] = {}
    behind: tuple[str, ...] = ()
    while True:
        child = _start(device, stem, *behind)
        lines = _lines(child)
        running, heard = "the imports", []
        while True:
            try:
                line = lines.get(timeout=PATIENCE)
            except queue.Empty:
                child.kill()
                results[running] = f"no answer for {PATIENCE} s\n{''.join(heard)[-3000:]}"
                break
            if line is None:
                if running:
                    words = f"exit status {child.wait()}\n{''.join(heard)[-3000:]}"
                    results[running] = words
                break
            try:
                kind, name, *rest = json.loads(line)
            except ValueError:
                heard.append(line)
                continue
            if kind == "begin":
                running, heard = name, []
            else:
                few = "nothing was checked" if kind == "ok" and rest[0] < 1 else ""
                results[name] = few or ("" if kind == "ok" else rest[0])
                running = ""
        child.wait()
        if not running or running == "the imports":
            return results
        behind = (running,)


@pytest.mark.whole
@pytest.mark.parametrize("where", ["cpu", "cuda"])
@pytest.mark.parametrize("file", FILES)
def test_bad_inputs(file: str, where: str) -> None:
    results = run_cases(file, where)
    wrong = {name: words for name, words in results.items() if words}
    assert results and not wrong, "\n\n".join(f"{name}: {words}" for name, words in wrong.items())


def test_every_row_has_cases() -> None:
    """The table's rows: cases (which run on both devices), or a reason."""
    sys.path.insert(0, str(FOLDER))
    try:
        from rows import ROWS, WITHOUT
    finally:
        sys.path.remove(str(FOLDER))
    names = json.loads(_start("cpu", "list").communicate(timeout=120)[0].splitlines()[-1])
    met = {name.partition(": ")[0] for name in names}
    assert met <= set(ROWS), met - set(ROWS)
    assert met | set(WITHOUT) == set(ROWS), set(ROWS) - met - set(WITHOUT)
    assert not met & set(WITHOUT) and len(names) >= 60


def test_a_crash_is_its_cases_own() -> None:
    """A process that dies is told from the cases before and behind the one that it died in."""
    found = run_cases("crash_on_purpose", "cpu")
    assert found["arguments: before the crash"] == found["behind"] == ""
    assert "exit status -" in found["crash"]
