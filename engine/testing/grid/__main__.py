"""The grid from the command line: a stretch of a family's cases, or one case again.

python -m gradsmith.testing.grid --family conv --start 0 --count 100000 --seed 0 --device cpu
python -m gradsmith.testing.grid --family conv2d --case 1234567
"""

from __future__ import annotations

import argparse
import sys

from .runner import FAMILIES, Result, plan, run, run_case, select

_EPILOG = "families: " + ", ".join(f"{f.name} ({f.space.size:.1e})" for f in FAMILIES.values())


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        "python -m gradsmith.testing.grid",
        description="Cases of small integers, whose results must be exact in every bit.",
        epilog=_EPILOG,
    )
    parser.add_argument(
        "--family", default="all", help="a family, what several begin with, or all (default)"
    )
    parser.add_argument("--case", type=int, metavar="INDEX", help="this one case alone")
    parser.add_argument("--start", type=int, default=0, help="first position of each (default: 0)")
    parser.add_argument(
        "--count", type=int, default=20000, help="cases of all families together (default: 20000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the order of cases (default: 0)")
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument(
        "--emulator", action="store_true", help="let the emulator be the device cuda"
    )
    parser.add_argument(
        "--largest", type=int, metavar="WORK", help="pass over cases of more multiply-adds"
    )
    return parser.parse_args(arguments)


def main(arguments: list[str] | None = None) -> int:
    """Runs the command; returns its exit status, 1 where a case failed."""
    options = _arguments(arguments)
    if options.emulator:
        from ... import cuda

        cuda.use_emulator()
    try:
        families = select(options.family)
        if options.case is not None:
            result = run_case(families[0].name, options.case, options.device)
        else:
            result = _stretches(options, families)
    except (ValueError, IndexError) as error:
        print(error, file=sys.stderr)
        return 2
    for failure in result.failures:
        print(failure)
    print(f"{result.cases} cases, {result.failed} failed; {result.seconds:.1f} s")
    return 1 if result.failed else 0


def _stretches(options: argparse.Namespace, families: list) -> Result:
    """Every family's part of the count."""
    total = Result()
    for name, count in plan(options.count, families):

        def show(part: Result, name: str = name, count: int = count) -> None:
            if sys.stderr.isatty():
                line = f"\r{name}: {part.cases} of {count}, {part.failed} failed "
                print(line, end="", file=sys.stderr, flush=True)

        part = run(
            name, options.start, count, options.seed, options.device, options.largest, report=show
        )
        passes = ", ".join(f"{k} {v}" for k, v in sorted(part.passes.items()))
        lead = "\r" if sys.stderr.isatty() else ""
        print(f"{lead}{name}: {part.cases} cases, {part.failed} failed ({passes})")
        total.add(part)
    return total


if __name__ == "__main__":
    sys.exit(main())
