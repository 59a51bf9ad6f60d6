"""Reading data files that are not trusted: sizes are compared before memory is set aside."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path

__all__ = ["FormatError", "content_of", "found_file"]

#: The magic numbers of files that are something else, and what to say of them.
_OTHERS = (
    (b"\x80\x02", "a Python pickle"),
    (b"\x80\x03", "a Python pickle"),
    (b"\x80\x04", "a Python pickle"),
    (b"\x80\x05", "a Python pickle"),
    (b"PK\x03\x04", "a zip archive"),
    (b"BZh", "a bzip2 archive"),
    (b"\xfd7zXZ", "an xz archive"),
    (b"<!DO", "an HTML page (a download that failed)"),
    (b"<htm", "an HTML page (a download that failed)"),
    (b"<HTM", "an HTML page (a download that failed)"),
)


class FormatError(ValueError):
    """A data file that is not what it should be; the message names the file and what differs."""


def found_file(folder: str | Path, names: tuple[str, ...]) -> Path:
    """The first of these files that a folder has.

    Raises:
        FileNotFoundError: it has none of them.
    """
    folder = Path(folder)
    for name in names:
        if (folder / name).is_file():
            return folder / name
    there = sorted(p.name for p in folder.iterdir())[:8] if folder.is_dir() else None
    found = "no such folder" if there is None else (", ".join(there) or "an empty folder")
    raise FileNotFoundError(f"{folder}: {' or '.join(names)} expected; found {found}")


def content_of(path: Path, most: int) -> bytes:
    """The bytes of a file, unpacked if it is gzip.

    Args:
        path: the file.
        most: more bytes than this are refused, before they are unpacked.

    Raises:
        FileNotFoundError: there is no such file.
        FormatError: a file that is too large, or a gzip file that is damaged.
    """
    if not path.is_file():
        found = "a folder" if path.is_dir() else "nothing"
        raise FileNotFoundError(f"{path}: a file expected; found {found}")
    with open(path, "rb") as stream:
        packed = stream.read(2) == b"\x1f\x8b"
    if not packed:
        size = path.stat().st_size
        if size > most:
            raise FormatError(f"{path}: at most {most:,} bytes expected; found {size:,}")
        return path.read_bytes()
    try:
        with gzip.open(path, "rb") as stream:
            content = stream.read(most + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise FormatError(f"{path}: the gzip file is damaged or cut off: {error}") from error
    if len(content) > most:
        raise FormatError(f"{path}: at most {most:,} bytes expected; it unpacks to more")
    return content


def what_it_is(content: bytes) -> str:
    """Words for what a file seems to be."""
    for magic, words in _OTHERS:
        if content.startswith(magic):
            return words
    return f"the bytes {content[:4].hex(' ')}" if content else "an empty file"
