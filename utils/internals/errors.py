"""What an error says, and whether a `raise` in Python made it."""

import dis
from types import CodeType


def text_of(error: BaseException) -> str:
    """Type and text, of a length that can be searched."""
    try:
        text = str(error).strip()[:2000]
    except Exception:
        text = ""
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def in_short(error: str) -> str:
    """The first line of an error, at most 220 characters."""
    return error.split("\n")[0][:220]


def raised_in(error: BaseException) -> CodeType | None:
    """The code whose `raise` made the error; None if it came out of code in C, or out of an operation.

    CPython's name for a `raise` is RAISE_VARARGS; tests/test_guard.py says if that is no longer so.
    """
    last = error.__traceback__
    while last.tb_next:
        last = last.tb_next
    code = last.tb_frame.f_code
    return code if code.co_code[last.tb_lasti] == dis.opmap["RAISE_VARARGS"] else None
