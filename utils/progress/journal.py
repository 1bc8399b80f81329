"""answers.json: what a student predicted, measured and brought about. Nothing that was stored is ever lost.

The file lies in the folder of the student's copies, which is known by its name, `my-work`. In any other folder, such as
that of the lessons themselves, answers live as long as the kernel and nothing is written.

    {"format": 1,
     "answers": [{"time", "lesson", "name", "question", "answer", "shown", "after_result"}, …],
     "results": [{"time", "lesson", "name", "question", "measured", "shown"}, …],
     "exercises": [{"time", "lesson", "name" of the check, "said" by it}, …],       passed, each once
     "goals": [{"time", "lesson", "name": its words, "of": how many the lab has}, …],  reached, each once
     "boards": [{"time", "lesson", "name" of the recipe, "score", "said", "source"}, …]}    each look

`shown` is the answer in words. A file of an earlier version has the first two lists only, and no `shown`.

Each write makes the whole file anew beside the old one and takes its name, under a lock, so a crash leaves the old file
or the new one. A write that fails (full disk, no permission) is made up for by the next one. A drive of the network may
have no locks; each kernel writes all that it has noted itself, so what another one wrote over comes back.
Lists that only a newer version knows stay in the file.
"""

import errno
import json
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path, PurePath

from filelock import FileLock, Timeout

from utils.internals.files import put_aside, replace_whole

FOLDER, FILE, FORMAT = "my-work", "answers.json", 1
LOCK_SECONDS = 5
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP)  # what a file system says that has none
LISTS = ("answers", "results", "exercises", "goals", "boards")


class Journal:
    """The entries of one kernel, and of the file if the folder is a student's.

    folder    where the kernel began
    lesson    the notebook's number, such as "01"; by default from the name that Jupyter tells its kernels, else empty
    trouble   the sentence that says why the last write failed; else empty
    """

    def __init__(self, folder: Path, *, lesson: str | None = None):
        self.folder = folder
        self.path = folder / FILE if folder.name == FOLDER else None
        self.lesson = _lesson() if lesson is None else lesson
        self.trouble = self._damage = ""
        self._mine = {kind: [] for kind in LISTS}
        self._noted: set[tuple[str, str]] = set()  # what is known to be stored: a slider asks at each move
        self._one_at_a_time = threading.RLock()  # JupyterLab may answer a button in a thread of its own

    @property
    def is_students(self) -> bool:
        """Whether this is the folder of a student's copies."""
        return self.path is not None

    @property
    def lessons_folder(self) -> Path:
        """Where the lessons are as the workshop wrote them, or, if that is unknown, the copies of them."""
        originals = self.folder.parent / "notebooks"
        return originals if self.is_students and originals.is_dir() else self.folder

    def add(self, kind: str, **entry) -> None:
        """Append an entry to one of the LISTS, with the time, and store it; `trouble` says if that failed."""
        with self._one_at_a_time:
            self._mine[kind].append({"time": datetime.now().astimezone().isoformat(), "lesson": self.lesson, **entry})
            self._store()

    def _store(self) -> None:
        self.trouble = ""
        if self.path:
            try:
                with self._locked():
                    content = {"format": FORMAT, **self._all(anew=True)}
                    text = json.dumps(content, ensure_ascii=False, indent=1) + "\n"
                    replace_whole(text.encode(errors="backslashreplace"), self.path)  # half a pair, as JSON has it
            except OSError as error:
                self.trouble = (
                    f"Your answer could not be stored in {FOLDER}/{FILE} ({_reason(error)}). It holds until this "
                    "kernel ends, and the next answer tries again."
                )

    def tell(self) -> str:
        """What the student should know of the file: `trouble`, and, once, what became of a damaged one."""
        damage, self._damage = self._damage, ""
        return " ".join(filter(None, [damage, self.trouble]))

    def entries(self, kind: str) -> list[dict]:
        """All entries of one of the LISTS, those of other kernels and earlier days first."""
        with self._one_at_a_time:
            try:
                with self._locked():
                    return self._all()[kind]
            except OSError:
                return self._all()[kind]  # a folder in which no lock can be made can still be read

    def note(self, kind: str, name: str, *, each_time: bool = False, **more) -> None:
        """Store that a student has done this, once in a lesson. Never raises: it must not be in the way of doing it."""
        with suppress(Exception), self._one_at_a_time:
            if self.is_students and (each_time or not self.known(kind, name)):
                self.add(kind, name=name, **more)
            elif self.trouble:  # it may be this that is not stored yet
                self._store()

    def known(self, kind: str, name: str) -> bool:
        """Whether this was noted before in this lesson; never raises."""
        key = (kind, name)
        if self.is_students and key not in self._noted:
            with suppress(Exception):
                if any(each["name"] == name and each.get("lesson") == self.lesson for each in self.entries(kind)):
                    self._noted.add(key)
        return key in self._noted

    @contextmanager
    def _locked(self) -> Iterator[None]:
        if self.path is None or not self.path.parent.is_dir():
            yield
            return
        lock = FileLock(self.path.with_name(f".{FILE}.lock"), timeout=LOCK_SECONDS)
        try:
            lock.acquire()
        except NotImplementedError:
            pass
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
        try:
            yield
        finally:
            lock.release()

    def _all(self, *, anew: bool = False) -> dict[str, list[dict]]:
        """What the file holds, and what only this kernel knows yet. A damaged file counts as none."""
        stored = {kind: [] for kind in LISTS}
        if self.path:
            try:
                stored = read(self.path)
            except FileNotFoundError:
                pass
            except ValueError:
                if anew and (aside := put_aside(self.path)):
                    self._damage = (
                        f"{FOLDER}/{FILE} was damaged, or a newer version of the workshop wrote it. It is now "
                        f"{aside.name}, and a new one was begun."
                    )
            except OSError:
                if anew:
                    raise  # what cannot be read must not be written over
        mine = {kind: [each for each in self._mine[kind] if each not in stored[kind]] for kind in LISTS}
        return stored | {kind: stored[kind] + mine[kind] for kind in LISTS}


def read(path: Path) -> dict[str, list[dict]]:
    """What a file holds: all LISTS, and what else there is.

    Raises ValueError if that is no journal, OSError if it cannot be read.
    """
    try:
        content = json.loads(path.read_bytes())
    except RecursionError:  # brackets within brackets, thousands deep
        raise ValueError("no journal") from None
    match content:
        case {"format": 1, "answers": list(), "results": list()}:
            lists = {kind: content.get(kind, []) for kind in LISTS}
            if all(isinstance(each, list) and all(map(_is_entry, each)) for each in lists.values()):
                return {name: more for name, more in content.items() if name != "format"} | lists
    raise ValueError("no journal")


def _is_entry(each: object) -> bool:
    return isinstance(each, dict) and isinstance(each.get("name"), str)


def _lesson() -> str:
    """From Jupyter's name of the session, the notebook's path; empty where there is none."""
    return PurePath(os.environ.get("JPY_SESSION_NAME", "")).name.partition("-")[0]


def _reason(error: Exception) -> str:
    if isinstance(error, Timeout):
        return "another notebook is writing"
    return getattr(error, "strerror", None) or type(error).__name__
