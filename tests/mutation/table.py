"""The kill table: what became of each mutant, family by family, and why survivors are no faults."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .mutant import Mutant

EXPLAINED = Path(__file__).with_name("explained.json")
LEAST = 0.95

#: What killed it: the first that is in the failing test's name or in its message.
_BY = (
    ("hang", ("hang", "no thread can go on", "endless")),
    ("crash", ("crash:", "KernelFault", "guard page")),
    ("determinism", ("test_determinism", "schedule", "same_bits", "threads", "few_blocks")),
    ("gradient", ("gradient", "derivative", "vjp", "grad")),
    ("grid", ("grid", "integer_grid", "exact")),
    ("layout", ("layout", "stride", "aligned", "views")),
    ("refusal", ("error", "refus", "bad_inputs")),
    ("forward", ("",)),
)
HOW = tuple(name for name, _ in _BY)


def killer(result: dict[str, Any]) -> str:
    """One word for what noticed a mutant."""
    message, test = result.get("message", ""), result.get("test", "")
    for name, signs in _BY:
        text = message if name in ("hang", "crash") else test.lower()
        if any(sign in text for sign in signs):
            return name
    return "forward"


def explanations() -> dict[str, str]:
    """Key -> why a mutant changes no result."""
    if not EXPLAINED.exists():
        return {}
    found = json.loads(EXPLAINED.read_text(encoding="utf-8"))
    return {key: entry["because"] for key, entry in found.items()}


class Report:
    """What became of a sample."""

    def __init__(self, mutants: Sequence[Mutant], results: dict[str, dict[str, Any]]) -> None:
        known = explanations()
        self.killed: list[tuple[Mutant, str]] = []
        self.explained: list[tuple[Mutant, str]] = []
        self.survived: list[tuple[Mutant, dict[str, Any]]] = []
        self.invalid: list[Mutant] = []
        self.missing: list[Mutant] = []
        for m in mutants:
            result = results.get(m.key)
            if result is None:
                self.missing.append(m)
            elif result["state"] == "invalid":
                self.invalid.append(m)
            elif result["state"] == "killed":
                self.killed.append((m, killer(result)))
            elif m.key in known:
                self.explained.append((m, known[m.key]))
            else:
                self.survived.append((m, result))

    def rate(self) -> float:
        """The part killed of those that change something."""
        total = len(self.killed) + len(self.survived)
        return len(self.killed) / total if total else 1.0

    def good(self) -> bool:
        """Whether enough were killed and all were run."""
        return self.rate() >= LEAST and not self.missing

    def text(self) -> str:
        """The table and the survivors."""
        lines = self._rows()
        lines.append("")
        for m, result in self.survived:
            what = "no test reaches it" if result["state"] == "unreached" else "survived"
            lines.append(
                f"{what} ({result['ran']} of {result['of']} tests): {m.key} {m.layer} "
                f"{m.path}:{m.line} {m.function}: {m.kind}: {m.change}"
            )
        lines.append(
            f"{len(self.killed)} killed, {len(self.explained)} equivalent, "
            f"{len(self.survived)} survived, {len(self.invalid)} do not compile, "
            f"{len(self.missing)} not run: {100 * self.rate():.1f} %"
        )
        return "\n".join(lines)

    def _rows(self) -> list[str]:
        lines = [
            "| sources | family | mutants | killed | "
            + " | ".join(HOW)
            + " | equivalent | survive |",
            "|---|---|" + "---|" * (len(HOW) + 4),
        ]
        groups: dict[tuple[str, str], dict[str, Any]] = {}

        def at(m: Mutant) -> dict[str, Any]:
            empty = {"how": Counter(), "equal": 0, "left": 0}
            return groups.setdefault((m.layer, m.family), empty)

        for m, how in self.killed:
            at(m)["how"][how] += 1
        for m, _ in self.explained:
            at(m)["equal"] += 1
        for m, _ in self.survived:
            at(m)["left"] += 1

        def row(layer: str, family: str, g: dict[str, Any]) -> str:
            killed = sum(g["how"].values())
            cells = [layer, family, killed + g["equal"] + g["left"], killed]
            cells += [g["how"][name] or "" for name in HOW]
            cells += [g["equal"] or "", g["left"] or ""]
            return "| " + " | ".join(map(str, cells)) + " |"

        whole: dict[str, Any] = {"how": Counter(), "equal": 0, "left": 0}
        for (layer, family), g in sorted(groups.items()):
            lines.append(row(layer, family, g))
            whole["how"].update(g["how"])
            whole["equal"] += g["equal"]
            whole["left"] += g["left"]
        lines.append(row("all", "", whole))
        return lines

    def write(self, page: Path, options: argparse.Namespace) -> None:
        """Puts the table between the page's marks."""
        tuned = " of the tuned kernels" if options.tuned else ""
        begin, end = f"<!-- kill table{tuned} -->", f"<!-- end of the kill table{tuned} -->"
        text = page.read_text(encoding="utf-8")
        before, rest = text.split(begin)
        _, after = rest.split(end)
        counted = len(self.killed) + len(self.explained) + len(self.survived)
        effective = len(self.killed) + len(self.survived)
        lines = [
            begin,
            f"`python -m tests.mutation{' --tuned' * options.tuned} --count {options.count} "
            f"--seed {options.seed}`: {counted} mutants ({len(self.invalid)} more did not "
            f"compile), {len(self.explained)} of them equivalent; of the other {effective} the "
            f"tests killed {len(self.killed)}: **{100 * self.rate():.1f} %**.",
            "",
            *self._rows(),
            "",
        ]
        if self.survived:
            lines += ["Survivors:", ""]
            lines += [f"- {_described(m)}" for m, _ in self.survived]
            lines.append("")
        lines += ["Equivalent, with the reason:", ""]
        lines += [f"- {_described(m)}: {why}" for m, why in self.explained]
        lines.append(end)
        page.write_text(before + "\n".join(lines) + after, encoding="utf-8")


def _described(m: Mutant) -> str:
    before, after = (text if len(text) <= 90 else text[:87] + "..." for text in (m.before, m.after))
    return f"`{m.path}:{m.line}` {m.function}: `{before}` -> `{after}`"
