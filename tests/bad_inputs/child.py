"""Runs the cases of a file, one after another, and says so on lines of JSON.

python child.py STEM [BEHIND]: begin NAME, then ok NAME COUNT or failed NAME WORDS, from the case
behind BEHIND on. A case that takes the process down is the one that began and did not end.
python child.py list: the names of all cases.
"""

from __future__ import annotations

import faulthandler
import importlib
import json
import os
import sys
import traceback
from pathlib import Path

import harness


def run(stem: str, behind: str = "") -> None:
    """Runs the cases of a file."""
    importlib.import_module(stem)
    if stem == "crash_on_purpose":
        harness.CASES["crash"] = os.abort
        harness.CASES["behind"] = harness.still_works
    names = list(harness.CASES)
    faulthandler.enable()
    harness.begin()
    for name in names[names.index(behind) + 1 :] if behind else names:
        print(json.dumps(["begin", name]), flush=True)
        before = harness.checked()
        try:
            harness.CASES[name]()
            harness.still_works()
            result = ["ok", name, harness.checked() - before - 1]
        except BaseException:
            result = ["failed", name, traceback.format_exc()[-3000:]]
        print(json.dumps(result), flush=True)


def show() -> None:
    """Prints the names of all cases."""
    for path in sorted(Path(__file__).parent.glob("cases_*.py")):
        importlib.import_module(path.stem)
    print(json.dumps(list(harness.CASES)))


if __name__ == "__main__":
    show() if sys.argv[1:] == ["list"] else run(*sys.argv[1:])
