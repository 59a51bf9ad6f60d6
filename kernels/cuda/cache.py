"""Compiled kernels on disk, so that each is built once.

A file's name holds its key (everything the build depends on) and a digest of its content, which is
checked on load. The folder belongs to the user alone: what is in it gets executed.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import stat
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from ... import environment

__all__ = ["directory", "fetch", "key_of", "source_with_includes"]

_INCLUDE = re.compile(r'^\s*#\s*include\s*"([^"]+)"', re.MULTILINE)


def directory() -> Path:
    """The cache's folder, made if need be.

    Raises:
        RuntimeError: if others than the user may write to it.
    """
    if environment.CACHE_DIR:
        folder = Path(environment.CACHE_DIR)
    else:
        base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(base) / "gradsmith"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    if (
        not stat.S_ISDIR(found.st_mode)
        or found.st_uid != os.geteuid()
        or stat.S_IMODE(found.st_mode) & 0o022
    ):
        raise RuntimeError(
            f"kernel cache: {folder} must be a folder that only you can write to; got mode "
            f"{stat.S_IMODE(found.st_mode):o}, owner {found.st_uid} "
            "(chmod 700 it, or set GRADSMITH_CACHE_DIR)"
        )
    return folder


def source_with_includes(path: Path, folders: Sequence[Path] = ()) -> list[tuple[str, str]]:
    """(path, text) of a source file and of every file it includes with quotes, directly or not."""
    found: dict[Path, str] = {}
    waiting = [path.resolve()]
    while waiting:
        file = waiting.pop()
        if file in found:
            continue
        text = found[file] = file.read_text(encoding="utf-8")
        for name in _INCLUDE.findall(text):
            for folder in (file.parent, *folders):
                if (folder / name).is_file():
                    waiting.append((folder / name).resolve())
                    break
    return [(str(file), text) for file, text in found.items()]


def key_of(*parts: object) -> str:
    """A short name for everything that a build depends on."""
    return hashlib.sha256(repr(parts).encode()).hexdigest()[:24]


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()[:24]


def fetch(stem: str, key: str, suffix: str, build: Callable[[Path], None]) -> Path:
    """The file that `build(path)` writes, from the cache if it is there and whole.

    Several processes may ask at once: one builds, the others wait for it.
    """
    folder = directory()
    if (found := _find(folder, stem, key, suffix)) is not None:
        return found
    with open(folder / f"{stem}-{key}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if (found := _find(folder, stem, key, suffix)) is not None:
            return found
        handle, name = tempfile.mkstemp(prefix=f".{stem}-", suffix=suffix, dir=folder)
        os.close(handle)
        partial = Path(name)
        try:
            build(partial)
            final = folder / f"{stem}-{key}-{_digest(partial)}{suffix}"
            partial.chmod(0o700)
            os.replace(partial, final)
        finally:
            partial.unlink(missing_ok=True)
        Path(lock.name).unlink(missing_ok=True)
    return final


def _find(folder: Path, stem: str, key: str, suffix: str) -> Path | None:
    """The cached file, if its content is what its name says; a damaged one is removed."""
    for path in folder.glob(f"{stem}-{key}-*{suffix}"):
        if path.lstat().st_uid == os.geteuid() and path.name == (
            f"{stem}-{key}-{_digest(path)}{suffix}"
        ):
            return path
        path.unlink(missing_ok=True)
    return None
