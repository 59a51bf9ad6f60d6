"""One process with all mutants in it: runs the tests once without, then in a fork a mutant.

`python -m tests.mutation.session PLAN` is started by the command. It imports gradsmith with the
mutated modules in the place of the real ones and hands the collected tests over to `Runner`: the
first run says which mutants each test reaches, and so what a mutant's fork has to run.
"""

from __future__ import annotations

import builtins
import importlib.abc
import importlib.machinery
import importlib.util
import json
import os
import resource
import select
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from . import python_sites
from .mutant import ROOT, digest
from .schemata import Switch

#: More than what the process has already.
MEMORY = 6 << 30


class _Loader(importlib.abc.SourceLoader):
    def __init__(self, name: str, path: Path, numbers: dict[int, int]) -> None:
        self.name, self.path, self.numbers = name, path, numbers

    def get_filename(self, fullname: str) -> str:
        return str(self.path)

    def get_data(self, path: str) -> bytes:
        return Path(path).read_bytes()

    def get_code(self, fullname: str) -> Any:
        tree = python_sites.switched(self.path.read_text(encoding="utf-8"), self.numbers)
        return compile(tree, str(self.path), "exec", dont_inherit=True)


class Finder(importlib.abc.MetaPathFinder):
    """Finds the mutated modules instead of the real ones."""

    def __init__(self, module: Path | None, python: dict[str, dict[int, int]]) -> None:
        self.module = module
        self.python = {self._dotted(path): (path, numbers) for path, numbers in python.items()}

    @staticmethod
    def _dotted(path: str) -> str:
        folder, *parts = Path(path).with_suffix("").parts
        return ".".join([{"engine": "gradsmith", "kernels": "gradsmith.kernels"}[folder], *parts])

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> Any:
        """The import system's question."""
        if fullname == "gradsmith._cpu" and self.module is not None:
            extension = importlib.machinery.ExtensionFileLoader(fullname, str(self.module))
            return importlib.util.spec_from_file_location(
                fullname, str(self.module), loader=extension
            )
        if fullname in self.python:
            file, numbers = self.python[fullname]
            loader = _Loader(fullname, ROOT / file, numbers)
            return importlib.util.spec_from_file_location(fullname, ROOT / file, loader=loader)
        return None


def mutate_emulator(tree: Path, cache_folder: Path, names: Sequence[str], jobs: int) -> None:
    """The emulator's kernels of these sources come from the mutated tree, and check bounds."""
    import gradsmith as gs
    from gradsmith import environment
    from gradsmith.kernels.cuda import launch, launchers
    from gradsmith.kernels.cuda.emulator import build

    launchers.entries()
    mutated = [module for module in launch.modules if module.source.name in names]
    for module in mutated:
        module.source = tree / module.source.name
    # -O1 without debugging symbols: less to compile.
    plain = build._flags()
    quick = [{"-O2": "-O1", "-g1": "-g0"}.get(f, f) for f in plain if not f.startswith("-W")]
    original = build.kernel_library

    def kernel_library(source: Path, names: Any, defines: Any = (), checked: bool = False) -> Path:
        if source.parent != tree:
            return original(source, names, defines, checked)
        before = build.KERNELS, build._flags, environment.CACHE_DIR
        build.KERNELS, build._flags = tree, lambda: (*quick, "-w")  # type: ignore[assignment]
        environment.CACHE_DIR = str(cache_folder)
        try:
            return original(source, names, defines, True)
        finally:
            build.KERNELS, build._flags, environment.CACHE_DIR = before

    build.kernel_library = kernel_library
    gs.cuda.use_emulator()
    build.runtime_library()
    # Compiled by processes of their own, side by side; then there is nothing to wait for.
    waiting = sorted(mutated, key=lambda m: -m.source.stat().st_size)
    running: set[int] = set()
    while waiting or running:
        while waiting and len(running) < jobs:
            module = waiting.pop(0)
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    kernel_library(module.source, module.names, module.defines)
                    status = 0
                finally:
                    os._exit(status)
            running.add(pid)
        running.discard(os.wait()[0])
    for module in mutated:
        module.load(module.names[0])


class Runner:
    """The plugin that runs pytest's items in its own way."""

    def __init__(self, plan: dict[str, Any], switch: Switch) -> None:
        self.plan, self.switch = plan, switch
        self.jobs: int = plan["jobs"]
        self.items: list[pytest.Item] = []
        self.seconds: list[float] = []
        self.reports: list[pytest.TestReport] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Kept until the item is over."""
        self.reports.append(report)

    def run_item(self, index: int) -> tuple[str, str]:
        """(outcome, message) of an item."""
        item = self.items[index]
        self.reports.clear()
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=None)
        for report in self.reports:
            if report.failed:
                crash = getattr(report.longrepr, "reprcrash", None)
                return "failed", crash.message if crash else str(report.longrepr)
        skipped = any(report.skipped for report in self.reports)
        return ("skipped" if skipped else "passed"), ""

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        self.items = session.items
        print(f"{len(self.items)} tests collected", flush=True)
        self.mutate(self.coverage(Path(self.plan["coverage"])), Path(self.plan["results"]))
        return True

    # ---- what reaches what ----

    def coverage(self, kept: Path) -> list[dict[str, Any]]:
        """For each item: seconds, outcome and the keys of the mutants it reaches.

        What an earlier run found of tests whose file is the same is taken: where other sources have
        changed since, a mutant's tests may be chosen a little worse (--fresh forgets it). Mutants
        that it did not know are looked for in the tests that reached others of their file.
        """
        keys: dict[int, str] = {int(n): key for n, key in self.plan["keys"].items()}
        path: dict[str, str] = self.plan["paths"]
        known: dict[str, Any] = {"keys": [], "items": {}}
        if kept.exists():
            known = json.loads(kept.read_text())
        unknown = {path[key] for key in set(keys.values()) - set(known["keys"])}
        if not unknown <= {path.get(key) for key in known["keys"]}:
            known = {"keys": [], "items": {}}
        names = [item.nodeid for item in self.items]
        files = {item.path: digest(item.path) for item in self.items}
        texts = [files[item.path] for item in self.items]
        missing = [
            i
            for i, name in enumerate(names)
            if (item := known["items"].get(name)) is None
            or item.get("file", texts[i]) != texts[i]
            or unknown & {path.get(key) for key in item["reached"]}
        ]
        began = time.monotonic()
        self.switch.choose(-1)
        # Chunks of neighbours: their fixtures are made once a chunk.
        size = max(1, min(200, len(missing) // (4 * self.jobs)))
        chunks = [missing[i : i + size] for i in range(0, len(missing), size)]

        def work(turn: int, say: Any) -> None:
            for i in chunks[turn]:
                say({"item": i, "seconds": 0.0, "outcome": "failed", "reached": []})
                self.switch.clear()
                start = time.monotonic()
                outcome, message = self.run_item(i)
                seconds = round(time.monotonic() - start, 4)
                reached = [keys[n] for n in self.switch.reached() if n in keys]
                found = {"item": i, "seconds": seconds, "outcome": outcome, "reached": reached}
                say({**found, "file": texts[i], "message": message[:300]})

        def heard(turn: int, answer: dict[str, Any]) -> None:
            known["items"][names[answer.pop("item")]] = answer

        def over(turn: int, how: str) -> None:
            if how:
                print(f"{names[chunks[turn][0]]} and its neighbours: {how}", flush=True)

        self._fork_each(len(chunks), work, heard, over, lambda _: 300.0)
        known["keys"] = sorted({*known["keys"], *keys.values()})
        items = [
            known["items"].get(name) or {"seconds": 0.0, "outcome": "failed", "reached": []}
            for name in names
        ]
        bad = [n for n, item in zip(names, items, strict=True) if item["outcome"] == "failed"]
        print(
            f"{len(missing)} tests run without a mutant in {time.monotonic() - began:.0f} s; "
            f"{len(bad)} fail and are left out {bad[:10]}",
            flush=True,
        )
        kept.write_text(json.dumps(known))
        return items

    # ---- mutants ----

    def tests_of(self, key: str, coverage: Sequence[dict[str, Any]]) -> list[int]:
        """The items that reach a mutant: the functions in turn, of each the quickest first."""
        groups: dict[str, list[int]] = {}
        for i, item in enumerate(coverage):
            if item["outcome"] == "passed" and key in item["set"]:
                groups.setdefault(self.items[i].nodeid.partition("[")[0], []).append(i)
        for group in groups.values():
            group.sort(key=lambda i: coverage[i]["seconds"])
        queues = sorted(groups.values(), key=lambda g: coverage[g[0]]["seconds"])
        order = []
        for turn in range(max(map(len, queues), default=0)):
            order += [queue[turn] for queue in queues if turn < len(queue)]
        return order

    def mutate(self, coverage: list[dict[str, Any]], out: Path) -> None:
        """Runs each mutant's tests until one fails."""
        for item in coverage:
            item["set"] = set(item["reached"])
        numbers = [(int(n), key) for n, key in self.plan["keys"].items()]
        numbers = [(n, key) for n, key in numbers if n in set(self.plan["numbers"])]
        tests = {n: self.tests_of(key, coverage) for n, key in numbers}
        state: dict[int, dict[str, Any]] = {}
        budget: float = self.plan["budget"]
        with out.open("a") as log:

            def write(turn: int, result: dict[str, Any]) -> None:
                key = waiting[turn][1]
                found = {"key": key, "source": self.plan["sources"][key], **result}
                log.write(json.dumps(found) + "\n")
                log.flush()

            waiting = [pair for pair in numbers if not tests[pair[0]]]
            for turn in range(len(waiting)):
                write(turn, {"state": "unreached", "of": 0, "ran": 0})
            waiting = [pair for pair in numbers if tests[pair[0]]]

            def work(turn: int, say: Any) -> None:
                number = waiting[turn][0]
                self.switch.choose(number)
                used = 0.0
                ran = 0
                for i in tests[number]:
                    if used > budget:
                        break
                    say({"at": i, "ran": ran})
                    outcome, message = self.run_item(i)
                    ran += 1
                    used += coverage[i]["seconds"]
                    if outcome == "failed":
                        say({"killed": i, "message": message[:300], "ran": ran})
                        return
                say({"survived": True, "ran": ran})

            def heard(turn: int, answer: dict[str, Any]) -> None:
                state.setdefault(turn, {}).update(answer)

            def over(turn: int, how: str) -> None:
                found = state.pop(turn, {})
                of = len(tests[waiting[turn][0]])
                result: dict[str, Any] = {"ran": found.get("ran", 0), "of": of}
                if "survived" in found:
                    result["state"] = "survived"
                else:
                    at = found.get("killed", found.get("at"))
                    result["state"] = "killed"
                    result["test"] = self.items[at].nodeid if at is not None else ""
                    result["message"] = found.get("message", how or "ended")
                write(turn, result)

            def patience(turn: int) -> float:
                at = state.get(turn, {}).get("at")
                return 15.0 + 20 * (coverage[at]["seconds"] if at is not None else 0)

            self._fork_each(len(waiting), work, heard, over, patience)

    # ---- forks ----

    def _fork_each(self, count: int, work: Any, heard: Any, over: Any, patience: Any) -> None:
        """Calls work(n, say) in a fork for each n, `jobs` at a time.

        heard(n, answer) is called with what it says, over(n, how) at its end: "" or why it ended.
        """
        running: dict[int, tuple[int, int, float, bytes]] = {}  # fd: n, pid, last word, rest
        turn = 0
        looked = time.monotonic()
        while turn < count or running:
            while turn < count and len(running) < self.jobs:
                read, write = os.pipe()
                sys.stdout.flush()
                pid = os.fork()
                if pid == 0:
                    os.close(read)
                    self._child(turn, work, write)
                os.close(write)
                running[read] = (turn, pid, time.monotonic(), b"")
                turn += 1
            ready, _, _ = select.select(list(running), [], [], 1.0)
            # Where this process stood still itself, so did the others: that is no hang.
            slept = time.monotonic() - looked - 3.0
            looked = time.monotonic()
            if slept > 0:
                running = {fd: (n, p, last + slept, r) for fd, (n, p, last, r) in running.items()}
            for fd in list(running):
                n, pid, last, rest = running[fd]
                if fd in ready:
                    data = os.read(fd, 1 << 16)
                    *lines, rest = (rest + data).split(b"\n")
                    for line in lines:
                        heard(n, json.loads(line))
                    running[fd] = (n, pid, time.monotonic(), rest)
                    if data:
                        continue
                    status = os.waitpid(pid, 0)[1]
                    how = ""
                    if os.WIFSIGNALED(status):
                        how = f"crash: {signal.Signals(os.WTERMSIG(status)).name}"
                    elif os.WEXITSTATUS(status):
                        how = f"crash: exit status {os.WEXITSTATUS(status)}"
                elif time.monotonic() - last > patience(n):
                    os.kill(pid, signal.SIGKILL)
                    os.waitpid(pid, 0)
                    how = "hang"
                else:
                    continue
                os.close(fd)
                del running[fd]
                over(n, how)

    def _child(self, turn: int, work: Any, write: int) -> None:
        status = 1
        try:
            nothing = os.open(os.devnull, os.O_RDWR)
            for fd in (0, 1, 2):
                os.dup2(nothing, fd)
            soft = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
            resource.setrlimit(resource.RLIMIT_AS, (soft + MEMORY, soft + MEMORY))
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))

            def say(answer: dict[str, Any]) -> None:
                os.write(write, json.dumps(answer).encode() + b"\n")

            work(turn, say)
            status = 0
        finally:
            os._exit(status)


def main() -> int:
    """Runs the command's plan."""
    plan = json.loads(Path(sys.argv[1]).read_text())
    switch = Switch(Path(plan["switch"]))
    builtins.gs_mutant_is = switch.asked  # type: ignore[attr-defined]
    python = {
        path: {int(site): number for site, number in sites.items()}
        for path, sites in plan["python"].items()
    }
    module = Path(plan["module"]) if plan["module"] else None
    sys.meta_path.insert(0, Finder(module, python))
    # With PyTorch in the process its threads would not survive the forks.
    sys.modules["torch"] = None  # type: ignore[assignment]
    if plan["cuda"]:
        folder = Path(plan["folder"])
        mutate_emulator(Path(plan["tree"]) / "cuda", folder / "cache", plan["cuda"], plan["jobs"])
    arguments = ["-q", "-p", "no:cacheprovider", "--capture=no", "--rootdir", str(ROOT)]
    arguments += [
        "-o",
        "addopts=--strict-markers",
        "-p",
        "no:faulthandler",
        *plan["arguments"],
        *plan["tests"],
    ]
    return int(pytest.main(arguments, plugins=[Runner(plan, switch)]))


if __name__ == "__main__":
    sys.exit(main())
