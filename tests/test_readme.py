"""What the README shows, runs."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
TEXT = (ROOT / "README.md").read_text()


def test_example_runs_and_learns():
    code = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)[0]
    assert 15 <= len(code.splitlines()) <= 26
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert run.returncode == 0, run.stderr
    accuracy = float(re.search(r"test accuracy ([\d.]+)%", run.stdout)[1])
    assert accuracy > 93


def test_ten_lines_validate_a_kernel():
    """They pass, and name what is missing once a term is left out of the gradient."""
    code = re.findall(r"```python\n(.*?)```", TEXT, flags=re.S)[1]
    assert len([line for line in code.splitlines() if line.strip()]) <= 10
    exec(code, {})
    wrong = code.replace("(s + x * s * (1 - s))", "(x * s * (1 - s))")
    assert wrong != code
    found = (
        r"worst at input 0 \[\d+\]: analytic .*, numeric .*missing term: .* = grad_y \* y / input 0"
    )
    with pytest.raises(RuntimeError, match=found):
        exec(wrong, {})


def test_links_lead_somewhere():
    pages = [ROOT / n for n in ("README.md", "CONTRIBUTING.md", "SECURITY.md", "CHANGELOG.md")]
    for page in [*pages, *(ROOT / "docs").rglob("*.md"), *(ROOT / "kernels").rglob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: {target}"


def test_commands_are_the_documented_ones():
    """CI takes its test command from here, word for word."""
    commands = re.findall(r"^    (python3 -m venv .*)$", TEXT, flags=re.M)
    assert [c.split("&& ")[-1] for c in commands] == [
        ".venv/bin/gradsmith demo",
        ".venv/bin/pytest",
    ]
    assert ["'.[demo]'" in commands[0], "'.[test]'" in commands[1]] == [True, True]
