"""Memory that tensors leave is kept for the next ones."""

import ctypes
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # of mallopt(3)


def keep_freed_memory() -> None:
    """Let glibc keep up to 1 GB of what is freed, in place of giving it back; elsewhere nothing changes.

    By default a freed tensor of more than 128 kB goes back to the system, which hands out cleared pages for the next
    one. A training may do that at every step, and then a small conv net takes a tenth longer, beside others a fifth.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, 2**30)
        mallopt(_MMAP_THRESHOLD, 2**25)  # the most that it takes
