"""Files, none of which is ever left half written, or overwritten but by what says that it replaces."""

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path


@contextmanager
def written(content: bytes, path: Path) -> Iterator[Path]:
    """A finished file beside `path`, to be moved there; what is left of it at the end is removed."""
    scratch = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with scratch.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        yield scratch
    finally:
        scratch.unlink(missing_ok=True)


def replace_whole(content: bytes, path: Path) -> None:
    """Give `path` this content; whoever reads it meanwhile, or after a crash, finds the old content or the new one."""
    with written(content, path) as scratch:
        os.replace(scratch, path)


def place(finished: Path, path: Path) -> bool:
    """Give the finished file the name `path`; False, and nothing done, if that name is taken."""
    try:
        os.link(finished, path)  # which fails on every system if the name is taken; renaming would overwrite
    except FileExistsError:
        return False
    except OSError:  # a memory stick, say: its file system knows no links
        return rename(finished, path)
    return True


def rename(old: Path, new: Path) -> bool:
    """Rename; False, and nothing done, if the new name is taken. FileNotFoundError if there is no `old`."""
    try:
        new.open("xb").close()  # of any number of processes one makes this empty file
    except FileExistsError:
        return False
    try:
        os.replace(old, new)  # and replaces it, and nothing else
    except OSError:
        new.unlink()
        raise
    return True


def put_aside(path: Path) -> Path | None:
    """Rename a file to a dated name that was free, and return it; None if there is no such file (any more)."""
    for aside in dated(path):
        try:
            if rename(path, aside):
                return aside
        except FileNotFoundError:
            return None


def dated(path: Path, kind: str = "") -> Iterator[Path]:
    """Names beside `path` with the date of today in them: notes.2026-03-01.txt, then notes.2026-03-01-2.txt, …"""
    for number in count(1):
        yield path.with_name(f"{path.stem}.{kind}{date.today()}{f'-{number}' if number > 1 else ''}{path.suffix}")
