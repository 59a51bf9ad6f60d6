"""The command: draws mutants, builds them, runs their tests, writes the kill table.

    python -m tests.mutation --count 340 --seed 1 --jobs 2 --write docs/proof.md
    python -m tests.mutation --tuned --count 90 --seed 1 --write docs/proof.md
    python -m tests.mutation --files kernels/cuda/scan.cu engine/ops/softmax.py --count 20
    python -m tests.mutation --key 1a2b3c4d5e        one mutant again, with all its tests
    python -m tests.mutation --tuned --sanitize --key 1a2b3c4d5e    the same under AddressSanitizer
    python -m tests.mutation --ci                    the fixed small sample of CI

Results are kept (build/mutation/results.json) by the mutant's key and the source's text: a run that
was ended goes on where it was, and after a change only what it touches runs again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import table
from .mutant import ROOT, Mutant, digest, every_mutant, sample
from .schemata import Build, by_file

#: Tests that reach no kernel but by training for long, or that look at something else.
NOT_RUN = {
    "test_allocator",
    "test_cli",
    "test_compile_gate",
    "test_concurrency",
    "test_course_program",
    "test_data",
    "test_data_sets",
    "test_dataset_files",
    "test_datasets",
    "test_interop",
    "test_lr_scheduler",
    "test_models",
    "test_mutation",
    "test_packaging",
    "test_pytest_plugin",
    "test_profiler",
    "test_readme",
    "test_report",
    "test_serialization",
    "test_torch_parity",
    "test_train",
    "test_train_run",
    "test_transforms",
    "test_transforms_images",
}


#: What --tuned runs: the tests of the CPU's kernels and the allocator, with the exact grids.
TUNED = {
    "tests": [
        f"tests/test_{name}.py"
        for name in (
            *("allocator", "conv_modes", "conv_pointwise", "conv_winograd", "epilogue"),
            *("kernels_conv", "kernels_copy", "kernels_elementwise", "kernels_matmul"),
            *("kernels_phases", "kernels_pool", "kernels_random", "kernels_reduce", "memory"),
            *("conv_tap_planes", "noticed", "properties_conv", "unwritten", "vector_math"),
        )
    ],
    # Not what needs a process of its own.
    "k": "not cuda and not exhaustion and not fresh_process and not of_one_input",
}


#: What CI runs: a few CUDA sources in the emulator, two of the CPU's, one of them a way for speed
#: (depthwise convolutions by rows), and the ops above them.
CI = {
    "count": 44,
    "seed": 4,
    "files": [
        "kernels/cpu/conv_depthwise_rows.",
        "kernels/cpu/scan.cpp",
        "kernels/cuda/scan.cu",
        "kernels/cuda/softmax.cu",
        "kernels/cuda/softmax_rows.cuh",
        "engine/ops/scan.py",
        "engine/ops/softmax.py",
        "engine/ops/adaptive.py",
    ],
    "tests": [
        "tests/test_cuda_ops.py",
        "tests/test_cuda_reduce.py",
        "tests/test_ops.py",
        "tests/test_gradients.py",
        "tests/test_determinism.py",
        "tests/test_kernels_conv.py",
        "tests/test_kernels_reduce.py",
        "tests/test_noticed.py",
    ],
    "k": "scan or cum or prod or softmax or adaptive or logsumexp or recurrence or depthwise",
}


def test_files() -> list[str]:
    """The tests that are run on mutants."""
    return [
        str(p.relative_to(ROOT))
        for p in sorted((ROOT / "tests").glob("test_*.py"))
        if p.stem not in NOT_RUN
    ]


def run_plan(
    folder: Path,
    mutants: Sequence[Mutant],
    jobs: int,
    budget: float,
    tests: Sequence[str],
    arguments: Sequence[str],
    paths: dict[str, str],
    sanitize: bool = False,
    isa: str = "",
) -> dict[str, dict[str, Any]]:
    """Builds the mutants, runs their tests; key -> result.

    A mutant that was killed is not run again while its source stays as it is, nor one that is
    explained; another that survived is, for there may be new tests.
    """
    explained = table.explanations()
    folder.mkdir(parents=True, exist_ok=True)
    out, store = folder / "results.jsonl", folder / "results.json"
    texts = {m.path: digest(ROOT / m.path) for m in mutants}
    results: dict[str, dict[str, Any]] = json.loads(store.read_text()) if store.exists() else {}

    def gather() -> None:
        """What a run wrote, one that was ended too, becomes part of the store."""
        if out.exists():
            for line in out.read_text().splitlines():
                result = json.loads(line)
                results[result.pop("key")] = result
            out.unlink()
        store.write_text(json.dumps(results, indent=1))

    gather()
    numbered = list(enumerate(mutants, 1))
    began = time.monotonic()
    build = Build(folder, numbered, jobs, sanitize, isa)
    build.build()
    for n, m in numbered:
        if n in build.invalid:
            results[m.key] = {"state": "invalid", "message": build.invalid[n]}
    print(
        f"{len(mutants)} mutants, {len(build.invalid)} do not compile; "
        f"built in {time.monotonic() - began:.0f} s",
        flush=True,
    )
    kept = [(n, m) for n, m in numbered if n not in build.invalid]

    def is_done(m: Mutant) -> bool:
        found = results.get(m.key, {})
        settled = found.get("state") == "killed" or m.key in explained
        return settled and found.get("source") == texts[m.path]

    waiting = [n for n, m in kept if not is_done(m)]
    plan = {
        "folder": str(folder),
        "jobs": jobs,
        "budget": budget,
        "switch": str(build.switch),
        "module": str(build.module) if build.has_cpu else "",
        "tree": str(build.tree),
        "python": {
            path: {m.site: n for n, m in found}
            for path, found in by_file([(n, m) for n, m in kept if m.site >= 0]).items()
        },
        "cuda": [path.name for path in build.emulated()],
        "keys": {n: m.key for n, m in kept},
        "sources": {m.key: texts[m.path] for _, m in kept},
        "numbers": waiting,
        "tests": list(tests),
        "arguments": list(arguments),
        "paths": paths,
        "coverage": str(folder / "coverage.json"),
        "results": str(out),
    }
    (folder / "plan.json").write_text(json.dumps(plan))
    if waiting:
        command = [sys.executable, "-m", "tests.mutation.session", str(folder / "plan.json")]
        environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **build.environment()}
        began = time.monotonic()
        run = subprocess.run(command, cwd=ROOT, env=environment, preexec_fn=lambda: os.nice(5))
        print(f"tests ran for {time.monotonic() - began:.0f} s", flush=True)
        if run.returncode not in (0, 1, 5):
            raise SystemExit(f"the tests' process ended with {run.returncode}")
    gather()
    return {m.key: results[m.key] for m in mutants if m.key in results}


def add_results(store: Path, found: dict[str, dict[str, Any]]) -> None:
    """What a run with AddressSanitizer or of another ISA killed is killed for the others too."""
    results = json.loads(store.read_text()) if store.exists() else {}
    results.update({key: r for key, r in found.items() if r["state"] == "killed"})
    store.write_text(json.dumps(results, indent=1))


def main(arguments: Sequence[str] | None = None) -> int:
    """The command."""
    parser = argparse.ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("--count", type=int, default=340, help="about how many mutants")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--files", nargs="*", default=[], help="parts of paths to mutate")
    parser.add_argument("--key", nargs="*", default=[], help="these mutants only")
    parser.add_argument("--tests", nargs="*", default=[], help="test files; default: all that fit")
    parser.add_argument("-k", default="", help="pytest's -k")
    parser.add_argument("--budget", type=float, default=60.0, help="seconds of tests a mutant")
    parser.add_argument("--folder", type=Path, default=ROOT / "build/mutation")
    parser.add_argument("--tuned", action="store_true", help="of the tuned CPU kernels alone")
    parser.add_argument("--sanitize", action="store_true", help="build with AddressSanitizer")
    parser.add_argument("--isa", default="", help="the build's; default: v3 on x86-64")
    parser.add_argument("--list", action="store_true", help="only list the sample")
    parser.add_argument("--write", type=Path, help="put the table into this page")
    parser.add_argument("--ci", action="store_true", help="the fixed small sample of CI")
    parser.add_argument("--fresh", action="store_true", help="take nothing from earlier runs")
    options = parser.parse_args(arguments)
    if options.ci:
        vars(options).update(CI)
    if options.tuned:
        vars(options).update({k: v for k, v in TUNED.items() if not vars(options)[k]})
    mutants = every_mutant(options.files, options.tuned)
    print(f"{len(mutants)} places and changes in all", flush=True)
    if options.key:
        chosen = [m for m in mutants if m.key in options.key]
    else:
        chosen = sample(mutants, options.count, options.seed)
    if options.list:
        for m in chosen:
            print(f"{m.key} {m.path}:{m.line} {m.function}: {m.kind}: {m.change}")
        return 0
    tests = options.tests or test_files()
    extra = ["-k", options.k] if options.k else []
    paths = {m.key: m.path for m in mutants}
    if options.fresh:
        for name in ("results.jsonl", "results.json", "coverage.json"):
            (options.folder / name).unlink(missing_ok=True)
    folder = options.folder.resolve()
    work = folder / f"{options.isa}{'sanitized' * options.sanitize}"
    common = (options.jobs, options.budget, tests, extra, paths, options.sanitize, options.isa)
    results = run_plan(work, chosen, *common)
    if work != folder:
        add_results(folder / "results.json", results)
    report = table.Report(chosen, results)
    print(report.text())
    if not options.files:
        places = {*paths, *(m.key for m in every_mutant(tuned=not options.tuned))}
        void = sorted(set(table.explanations()) - places)
        print(f"explained.json has {len(void)} void entries, of places that have changed: {void}")
    if options.write:
        report.write(options.write, options)
    return 0 if report.good() else 1


if __name__ == "__main__":
    sys.exit(main())
