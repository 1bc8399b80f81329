"""Wrong answers to an exercise, made from the right one."""

import inspect
from collections.abc import Callable


def changed(function: Callable, old: str, new: str) -> Callable:
    """`function` with a piece of its source exchanged; it must hold that piece."""
    source = inspect.getsource(function)
    assert old in source
    namespace = dict(function.__globals__)
    exec(source.replace(old, new), namespace)
    return namespace[function.__name__]
