"""The work of a campaign in a process of its own: what ends that process is a failure, and no end.

`Isolated` starts `python -m gradsmith.testing.isolation`, which runs one op's checks, or cases of
the grid, at a time and says each case before it begins. A signal (an abort, an access out of
bounds), an exit, or a case without end is the failure of the case that was said last; the next
process goes on behind it. The process is started afresh, never forked: a GPU survives no fork.
"""

from __future__ import annotations

import faulthandler
import json
import os
import re
import select
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from .. import _cpu
from ..cuda import is_emulated
from .opcheck import CHECKS, opcheck
from .opdb import OpInfo, op_infos
from .report import FAILED, CheckResult, Failure, OpReport, reproduce_command

if TYPE_CHECKING:
    from .campaign import Plan

__all__ = ["COMMAND", "PATIENCE", "Isolated", "IsolationError", "serve"]

#: What is started.
COMMAND = (sys.executable, "-m", "gradsmith.testing.isolation")
#: Seconds that one case may take; the kernels of a GPU are compiled within.
PATIENCE = 120.0
#: Seconds that it may take to start.
START = 120.0
#: How much later than the process itself its end is seen to from outside.
GRACE = 10.0


class IsolationError(RuntimeError):
    """The process could not be started, or what it was asked for is no question of it."""


class Ended(Exception):
    """The process is gone; the argument says how, in words."""


class Isolated:
    """The process that does a campaign's work, and the next one when it has ended.

    Args:
        plan: the campaign's plan.
        patience: seconds that one case may take.
    """

    def __init__(self, plan: Plan, patience: float = PATIENCE) -> None:
        self.plan = plan
        self.patience = patience
        self._child: Any = None
        self._heard = b""
        self._words: Any = None

    # ---- the process ----

    def _start(self) -> Any:
        """The process, started if there is none."""
        if self._child is not None:
            return self._child
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        if is_emulated():
            environment["GRADSMITH_CUDA_EMULATOR"] = "1"
        self._heard = b""
        self._words = tempfile.TemporaryFile()
        self._child = subprocess.Popen(
            [*COMMAND, str(self.patience)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._words,
            env=environment,
        )
        try:
            self._answer(START)
        except Ended as ended:
            raise IsolationError(f"isolation: the process did not start: {ended}") from None
        return self._child

    def close(self) -> None:
        """Ends the process."""
        child, self._child = self._child, None
        if child is not None:
            child.kill()
            child.wait()
            for pipe in (child.stdin, child.stdout, self._words):
                pipe.close()

    def _ask(self, request: Any) -> None:
        child = self._start()
        try:
            child.stdin.write(json.dumps(request).encode() + b"\n")
            child.stdin.flush()
        except BrokenPipeError:
            raise Ended(self._how()) from None

    def _answer(self, least: float = 0.0) -> Any:
        """The next line that the process writes, within the patience or `least`."""
        until = time.monotonic() + max(least, self.patience + GRACE)
        pipe = self._child.stdout.fileno()
        while b"\n" not in self._heard:
            if not select.select([pipe], [], [], max(0.0, until - time.monotonic()))[0]:
                self._child.kill()
                raise Ended(self._how(stopped=True))
            read = os.read(pipe, 1 << 16)
            if not read:
                raise Ended(self._how())
            self._heard += read
        line, _, self._heard = self._heard.partition(b"\n")
        return json.loads(line)

    def _how(self, stopped: bool = False) -> str:
        """How the process ended, and where, of what it wrote last."""
        status = self._child.wait()
        self._words.seek(0)
        words = self._words.read().decode(errors="replace")[-20_000:]
        self.close()
        if stopped or "Timeout (" in words:
            how = f"no end after {self.patience:g} s; it was stopped"
            words = words[words.rfind("Timeout (") :]
        elif status < 0:
            how = f"the process crashed: {signal.Signals(-status).name}"
        else:
            how = f"the process ended with exit status {status}"
        found = re.search(r"ERROR: .*|runtime error: .*|^\w*(?:Error|Exception): .*", words, re.M)
        if found:
            how += f" ({found[0][:300]})"
        # The innermost frame that is no machinery of the checks.
        frames = re.findall(r'File "([^"]+)", line (\d+) in (\S+)', words)
        frame = next((f for f in frames if "/testing/" not in f[0]), None)
        return how + (f", in {frame[2]} ({frame[0]}:{frame[1]})" if frame else "")

    # ---- the work ----

    def check(
        self, info: OpInfo, dtypes: Sequence[str], checks: Sequence[str], samples: Sequence[str]
    ) -> OpReport:
        """opcheck of one op on samples by their ids, its crashes as failures."""
        began = time.perf_counter()
        left, ids = [c for c in CHECKS if c in checks], list(samples)
        results: list[CheckResult] = []
        while left:
            running = [left[0], ids[0], None]
            cases = 0
            try:
                self._ask(["check", info.name, [*dtypes], left, ids, _settings(self.plan)])
                while True:
                    kind, *said = self._answer()
                    if kind == "case":
                        cases, running = cases + 1, said
                    elif kind == "result":
                        results.append(CheckResult.from_dict(said[0]))
                        left, cases = left[1:], 0
                        running = [left[0] if left else "", ids[0], None]
                    elif kind == "done":
                        break
                    else:
                        raise IsolationError(f"isolation: {info.name}: {said[0]}")
            except Ended as ended:
                if not left:  # it ended behind the last check, whose result is here
                    break
                name, sample, dtype = running
                failure = self._failure(info, name, sample, dtype, str(ended))
                results.append(
                    CheckResult(name, FAILED, count=max(1, cases), failures=(failure,), failed=1)
                )
                if name == "errors" and sample in ids[:-1]:
                    ids = ids[ids.index(sample) + 1 :]
                else:
                    left = left[left.index(name) + 1 :]
        plan = self.plan
        return OpReport(
            op=info.name,
            dtypes=tuple(dtypes),
            device=plan.device,
            isa=(plan.isa or _cpu.isa()) if plan.device == "cpu" else None,
            threads=plan.threads or _cpu.num_threads(),
            seed=plan.seed,
            samples=len(samples),
            checks=_one_of_each(results),
            seconds=time.perf_counter() - began,
        )

    def _failure(
        self, info: OpInfo, check: str, sample: str, dtype: str | None, message: str
    ) -> Failure:
        plan = self.plan
        on_cpu = plan.device == "cpu"
        isa = (plan.isa or _cpu.isa()) if on_cpu else None
        threads = (plan.threads or _cpu.num_threads()) if on_cpu else None
        words = reproduce_command(
            info.name,
            sample=sample,
            check=check,
            dtype=dtype if check not in ("gradient", "second", "inplace", "errors") else None,
            device=plan.device,
            isa=isa,
            threads=threads,
            seed=plan.seed,
        )
        return Failure(info.name, check, sample, dtype, plan.device, isa, threads, message, words)

    def cases(self, cases: Sequence[tuple[str, int]]) -> Iterator[Any]:
        """Cases of the grid, (family, index) each, one after another; a crash as a failed one."""
        from .grid import Failure as Failed
        from .grid import Result, failure, select

        left = list(cases)
        while left:
            try:
                self._ask(["cases", left, self.plan.device])
                while left:
                    kind, *said = self._answer()
                    if kind == "error":
                        raise IsolationError(f"isolation: {left[0][0]}: {said[0]}")
                    found = [Failed(*f) for f in said[0]]
                    left = left[1:]
                    yield Result(cases=1, failed=len(found), failures=found)
            except Ended as ended:
                (family, index), left = left[0], left[1:]
                lost = failure(select(family)[0], index, self.plan.device, str(ended))
                yield Result(cases=1, failed=1, failures=[lost])


def _settings(plan: Plan) -> dict[str, Any]:
    """A plan's arguments of opcheck."""
    return {"device": plan.device, "isa": plan.isa, "threads": plan.threads, "seed": plan.seed}


def _one_of_each(results: Sequence[CheckResult]) -> tuple[CheckResult, ...]:
    """One result a check: that of the refusals comes in parts where one of them crashed."""
    from .outcome import joined

    found: dict[str, CheckResult] = {}
    for result in results:
        before = found.get(result.check)
        found[result.check] = result if before is None else joined(before, result)
    return tuple(found.values())


# ---- in the process ----


class _Watch:
    """Ends this process, saying where it stands, when a case has taken longer than the patience.

    It is set anew at most every quarter of that: each time is a thread of its own.
    """

    def __init__(self, patience: float) -> None:
        self.patience = patience
        self.since = -patience

    def __call__(self) -> None:
        now = time.monotonic()
        if now - self.since > self.patience / 4:
            self.since = now
            faulthandler.dump_traceback_later(self.patience, exit=True)


def serve(patience: float) -> None:
    """Does what comes on standard input, a line of JSON each, and answers in such lines."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what kernels and users' code print is no answer
    faulthandler.enable()
    watch = _Watch(patience)
    infos = {info.name: info for info in op_infos()}

    def say(*words: Any) -> None:
        print(json.dumps(words), file=answers, flush=True)

    def case(*words: Any) -> None:
        watch()
        say("case", *words)

    def check(
        name: str, dtypes: list[str], checks: list[str], ids: list[str], settings: dict[str, Any]
    ) -> None:
        opcheck(
            infos[name],
            dtype=dtypes,
            checks=checks,
            samples=ids,
            on_case=case,
            on_result=lambda result: say("result", result.to_dict()),
            raise_exception=False,
            **settings,
        )
        say("done")

    def cases(cases: list[tuple[str, int]], device: str) -> None:
        from . import grid

        for family, index in cases:
            watch()
            found = grid.run_case(family, index, device).failures
            say(
                "case",
                [
                    (f.family, f.index, {"dtype": f.parameters.get("dtype")}, f.message, f.command)
                    for f in found
                ],
            )

    say("ready")
    for line in sys.stdin:
        kind, *arguments = json.loads(line)
        try:
            (check if kind == "check" else cases)(*arguments)
        except Exception:
            say("error", traceback.format_exc())
        faulthandler.cancel_dump_traceback_later()
        watch.since = -patience


if __name__ == "__main__":
    serve(float(sys.argv[1]))
