"""python -m gradsmith.testing.accuracy [--write FILE] [--ops REGEX]: the table of errors."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

from .page import measured_rows, read, text, unexplained
from .rows import cases


def main() -> int:
    """Measures, prints or writes the page; 1 where a row needs a reason and has none."""
    program = "python -m gradsmith.testing.accuracy"
    parser = argparse.ArgumentParser(prog=program, description=__doc__)
    parser.add_argument("--write", metavar="FILE", help="where the page goes; default: printed")
    parser.add_argument(
        "--ops", metavar="REGEX", default="", help="only these ops; --write keeps the others' rows"
    )
    parser.add_argument("--no-torch", action="store_true", help="leave PyTorch out")
    options = parser.parse_args()
    rows = []
    for row in measured_rows(re.compile(options.ops), not options.no_torch):
        rows.append(row)
        if sys.stderr.isatty():
            print(f"\r{len(rows)} rows, {row.case.op:40}", end="", file=sys.stderr)
    everything = rows
    if options.ops and options.write and Path(options.write).exists():
        known = read(Path(options.write).read_text())
        known.update({(r.case.op, r.case.dtype, r.case.range): r for r in rows})
        keys = [(c.op, c.dtype, c.range) for c in cases()]
        everything = [known[key] for key in keys if key in known]
    page = text(everything, not options.no_torch)
    if options.write:
        Path(options.write).write_text(page)
    else:
        print(page)
    missing = unexplained(rows)
    for row in missing:
        print(
            f"no reason: {row.case.op}, {row.case.dtype}, {row.case.range}: "
            f"{row.ours:.3g}, PyTorch {row.torch:.3g}",
            file=sys.stderr,
        )
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
