"""One start at a time: a second one waits until the first has set the environment up."""

# Standard library only: nothing is installed yet.

import hashlib
import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO


@contextmanager
def alone(env: Path) -> Iterator[None]:
    """Hold the environment for this process, after waiting for who holds it; the system lets go of one that dies.

    The lock lies outside, since the first start makes the environment anew.
    """
    name = hashlib.sha256(str(env).encode(errors="surrogatepass")).hexdigest()[:16]
    with open(Path(tempfile.gettempdir()) / f"workshop-{name}.lock", "ab") as lock:
        waits = False
        while not _taken(lock):
            if not waits:
                print(f"Another start is setting up {env}: waiting for it.", flush=True)
            waits = True
            time.sleep(0.2)
        yield


def _taken(lock: BinaryIO) -> bool:
    """Whether the lock is this process's now."""
    try:
        if os.name == "nt":
            import msvcrt

            lock.seek(0)
            msvcrt.locking(lock.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the second is what Windows says
        return False
    except OSError:  # no locks in this file system
        return True
    return True
