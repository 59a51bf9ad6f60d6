"""`gradsmith <command>`: finds the command, words its errors, gives the exit status.

Exit status: 0 done; 1 the command failed or a check did not pass; 2 wrong arguments; 130 Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from types import ModuleType

from . import bench, demo, info, train, validate
from .errors import CommandError

__all__ = ["main"]

#: name -> module with SUMMARY, add_arguments(parser) and run(options) -> exit status. What a
#: command needs beyond NumPy is imported when it runs.
COMMANDS: dict[str, ModuleType] = {
    "demo": demo,
    "train": train,
    "validate": validate,
    "bench": bench,
    "info": info,
}


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    from .. import __version__

    top = argparse.ArgumentParser(
        prog="gradsmith", description="A tensor engine of hand-written kernels."
    )
    top.add_argument("--version", action="version", version=f"gradsmith {__version__}")
    commands = top.add_subparsers(dest="command", metavar="command", required=True)
    for name, module in COMMANDS.items():
        module.add_arguments(
            commands.add_parser(name, help=module.SUMMARY, description=module.__doc__)
        )
    return top


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options; words of `what` may stand behind one: argparse takes the first group alone."""
    top = parser()
    options, rest = top.parse_known_args(arguments)
    if rest and (not hasattr(options, "what") or any(word.startswith("-") for word in rest)):
        top.error(f"unrecognized arguments: {' '.join(rest)}")
    if rest:
        options.what = [*options.what, *rest]
    return options


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line.

    Args:
        arguments: The words behind `gradsmith`; None: those of the process.

    Returns:
        The exit status.
    """
    options = _options(arguments)
    try:
        status = COMMANDS[options.command].run(options)
        sys.stdout.flush()
        return status
    except CommandError as error:
        print(f"gradsmith {options.command}: {error}", file=sys.stderr)
        return error.status
    except NotImplementedError as error:  # a kernel that the device lacks
        print(f"gradsmith {options.command}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nstopped by Ctrl-C", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our output has enough (`gradsmith info | head`). Python would complain again
        # when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
