"""torch's compiler, which torch loads with the first optimizer although nothing is compiled, waits until it is wanted.

It takes longer to load than torch itself: two seconds of every kernel that makes an optimizer.
"""

import importlib
import sys
from collections.abc import Callable
from functools import wraps
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

NAME = "torch._dynamo"


class _Waiting(ModuleType):
    """Stands in the place of torch._dynamo. It does what an optimizer asks of it outside of a compilation: nothing."""

    def __init__(self):
        super().__init__(NAME)
        self.__path__ = []  # a package, whose parts _Parts finds
        self._decorated = []

    def graph_break(self, msg: str = "") -> None:
        """Only a compilation has a graph."""

    def disable(self, fn: Callable, recursive: bool = True, *, wrapping: bool = True) -> Callable:
        """`fn`; torch keeps what it gets here, and asks again once the compiler is loaded."""

        @wraps(fn)
        def uncompiled(*args, **kwargs):
            return fn(*args, **kwargs)

        # A step asks for it twice, and where torch has to search for it, that takes longer than an addition.
        sys.modules["torch"]._dynamo = self
        self._decorated.append(fn)
        return uncompiled

    def __getattr__(self, name: str):
        if name.startswith("__"):  # asked by who looks through all modules, not by who wants to compile
            raise AttributeError(f"module {NAME!r} has no attribute {name!r}")
        return getattr(_load(), name)


class _Parts(MetaPathFinder, Loader):
    """Whoever imports a part of the compiler wants the whole, and gets the part that the whole has loaded."""

    def find_spec(self, name: str, path=None, target=None) -> ModuleSpec | None:
        """None for all others."""
        if not name.startswith(f"{NAME}.") or not isinstance(sys.modules.get(NAME), _Waiting):
            return None
        _load()
        self._part = sys.modules.pop(name, None)  # as long as it is there, Python would load it a second time
        return ModuleSpec(name, self) if self._part else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        """The part, which keeps its own spec."""
        self._spec = self._part.__spec__
        return self._part

    def exec_module(self, module: ModuleType) -> None:
        """It has run."""
        vars(module)["__spec__"] = self._spec  # the module of settings lets nobody set an attribute


def _load() -> ModuleType:
    waiting = sys.modules.get(NAME)
    if isinstance(waiting, _Waiting):
        del sys.modules[NAME]
        for fn in waiting._decorated:
            vars(fn).pop("__dynamo_disable", None)
    return importlib.import_module(NAME)


def let_it_wait() -> None:
    """From now on the first optimizer does not load it, unless it is loaded already."""
    if NAME not in sys.modules:
        sys.modules[NAME] = _Waiting()
        sys.meta_path.insert(0, _Parts())
