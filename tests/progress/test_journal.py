"""answers.json: nothing stored is lost by a crash, a full disk, a damaged file or two kernels at once.

Crashes and races are real: processes that are killed, and two that write at the same time.
"""

import errno
import json
import os
import random
import subprocess
import sys
import time
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import pytest

from utils.internals import files
from utils.progress.journal import Journal

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my-work").mkdir()
    return tmp_path / "my-work"


def file(folder):
    return json.loads((folder / "answers.json").read_text(encoding="utf-8"))


def names(folder):
    return [entry["name"] for entry in file(folder)["answers"]]


def visible(folder):
    return sorted(path.name for path in folder.iterdir() if path.name[0] != ".")


def test_entries_are_appended_with_their_time(folder):
    journal = Journal(folder)
    journal.add("answers", name="a", answer="ä")
    journal.add("results", name="a", measured=2.5)
    Journal(folder).add("answers", name="b", answer=["x"])
    assert names(folder) == ["a", "b"] and file(folder)["format"] == 1
    assert [entry["answer"] for entry in journal.entries("answers")] == ["ä", ["x"]]
    assert file(folder)["results"][0]["measured"] == 2.5 and "T" in file(folder)["results"][0]["time"]
    assert journal.trouble == "" and visible(folder) == ["answers.json"]


def test_in_any_other_folder_answers_live_in_memory(tmp_path):
    journal = Journal(tmp_path)
    journal.add("answers", name="a")
    assert not journal.is_students and [entry["name"] for entry in journal.entries("answers")] == ["a"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fails", ["open", "fsync", "replace"])
def test_on_a_full_disk_the_old_file_stays_and_the_next_answer_makes_up_for_it(folder, monkeypatch, fails):
    journal = Journal(folder)
    journal.add("answers", name="a")

    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    really = Path.open
    with monkeypatch.context() as patch:
        if fails == "open":
            patch.setattr(
                Path, "open", lambda path, mode="r", *more: (full if "x" in mode else really)(path, mode, *more)
            )
        else:
            patch.setattr(os, fails, full)
        journal.add("answers", name="b")
    assert "could not be stored in my-work/answers.json (No space left on device)" in journal.trouble
    assert names(folder) == ["a"] and visible(folder) == ["answers.json"]
    assert [entry["name"] for entry in journal.entries("answers")] == ["a", "b"]
    journal.add("answers", name="c")
    assert journal.trouble == "" and names(folder) == ["a", "b", "c"]


def test_a_folder_that_may_not_be_written_to_is_told(folder, monkeypatch):
    (folder / "answers.json").write_text(json.dumps({"format": 1, "answers": [{"name": "a"}], "results": []}))

    def denied(*_, **__):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("utils.progress.journal.FileLock", denied)
    journal = Journal(folder)
    journal.add("answers", name="b")
    assert "Permission denied" in journal.trouble and names(folder) == ["a"]
    assert [entry["name"] for entry in journal.entries("answers")] == ["a", "b"]


def test_a_folder_that_is_gone_is_told(folder):
    journal = Journal(folder)
    folder.rmdir()
    journal.add("answers", name="a")
    assert "could not be stored" in journal.trouble and len(journal.entries("answers")) == 1


def test_what_was_noted_on_a_full_disk_is_stored_once_it_is_done_again(folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    journal = Journal(folder)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        journal.note("exercises", "check_resume", said="Right.")
        assert "No space left" in journal.tell() and visible(folder) == []
    journal.note("exercises", "check_resume", said="Right.")
    assert journal.tell() == "" and [each["name"] for each in file(folder)["exercises"]] == ["check_resume"]


@pytest.mark.parametrize("says", [OSError(errno.ENOLCK, "No locks available"), OSError(errno.EOPNOTSUPP, "no"), None])
def test_a_drive_without_locks_stores_all_the_same(folder, monkeypatch, says):
    def none(*_, **__):
        raise says or NotImplementedError

    monkeypatch.setattr("utils.progress.journal.FileLock.acquire", none)
    one, other = Journal(folder), Journal(folder)
    one.add("answers", name="a")
    other.add("answers", name="b")
    assert one.trouble == other.trouble == "" and names(folder) == ["a", "b"]
    (folder / "answers.json").unlink()  # as if another kernel, which had not seen them yet, had written over them
    one.add("answers", name="c")
    assert names(folder) == ["a", "c"]


DAMAGED = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b'{"format": 1}',
    b"[" * 100_000,
    b'{"format": 2, "answers": [], "results": []}',
]
DAMAGED += [b'{"format": 1, "answers": [3], "results": []}']


@pytest.mark.parametrize("content", DAMAGED)
def test_a_damaged_file_is_put_aside_each_time_under_a_free_name(monkeypatch, folder, content):
    monkeypatch.setattr(files, "date", SimpleNamespace(today=lambda: date(2026, 3, 1)))  # also at midnight
    for count in (1, 2):
        (folder / "answers.json").write_bytes(content)
        journal = Journal(folder)
        assert journal.entries("answers") == [] and (folder / "answers.json").read_bytes() == content
        journal.add("answers", name="a")
        aside = folder / f"answers.2026-03-01{'-2' if count == 2 else ''}.json"
        assert aside.name in journal.tell() and journal.tell() == "" and aside.read_bytes() == content
        assert names(folder) == ["a"]
    assert len(visible(folder)) == 3


def test_a_file_that_cannot_be_read_is_not_written_over(folder):
    (folder / "answers.json").mkdir()  # an error of the system, whoever runs the test
    journal = Journal(folder)
    journal.add("answers", name="a")
    assert "could not be stored" in journal.trouble and (folder / "answers.json").is_dir()


WRITER = """
import sys
from pathlib import Path
from utils.progress.journal import Journal
journal = Journal(Path(sys.argv[1]))
print("ready", flush=True)
input()
for k in range(int(sys.argv[3])):
    journal.add("answers", name=f"{sys.argv[2]}-{k}")
    print(k, flush=True)
"""


def start(folder, name, count, before=""):
    process = subprocess.Popen(
        [sys.executable, "-c", before + WRITER, str(folder), name, str(count)],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


def go(process):
    process.stdin.write("\n")
    process.stdin.flush()


def test_two_kernels_at_once_lose_nothing(folder):
    writers = [start(folder, name, 60) for name in ("one", "two")]
    for writer in writers:
        go(writer)
    for writer in writers:
        writer.communicate(timeout=60)
    assert sorted(names(folder)) == sorted(f"{name}-{k}" for name in ("one", "two") for k in range(60))


def test_a_process_that_is_killed_leaves_a_whole_file_with_all_that_it_said_was_stored(folder):
    chance, stored = random.Random(0), set()
    for number in range(8):
        writer = start(folder, str(number), 10_000)
        go(writer)
        assert writer.stdout.readline() == "0\n"
        time.sleep(chance.uniform(0, 0.05))
        writer.kill()
        said = writer.communicate()[0].split("\n")[:-1]  # a line that was begun counts for nothing
        stored |= {f"{number}-{k}" for k in range(1 + len(said))}
        assert stored <= set(names(folder)) and visible(folder) == ["answers.json"]
    Journal(folder).add("answers", name="last")  # neither the lock nor a scratch file of the dead is in the way
    assert names(folder)[-1] == "last"


# A killed process may lie between any two touches of the disk; each of them is once the last.
CRASH = """
import os, sys
touched = 0
def last(event, arguments):
    global touched
    if event in ("open", "os.rename", "os.remove") and "my-work" in str(arguments[0]):
        touched += 1
        if touched == {at}:
            os.kill(os.getpid(), 9)
sys.addaudithook(last)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL")
@pytest.mark.parametrize("damaged", [False, True])
def test_killed_at_every_touch_of_the_disk(folder, damaged):
    crashed = 0
    for at in range(1, 40):
        for path in folder.iterdir():
            path.unlink()
        if damaged:
            (folder / "answers.json").write_bytes(b"{")
        else:
            Journal(folder).add("answers", name="before")
        writer = start(folder, "new", 1, before=CRASH.format(at=at))
        go(writer)
        writer.communicate(timeout=60)
        kept = {path.read_bytes() for path in folder.iterdir() if path.name[0] != "."}
        if damaged:
            assert b"{" in kept
        else:
            assert names(folder) in (["before"], ["before", "new-0"])
        if writer.returncode == 0:
            break
        assert writer.returncode == -9
        crashed += 1
        Journal(folder).add("answers", name="after")
        assert names(folder)[-1] == "after"
    assert writer.returncode == 0 and crashed >= 4


# What is noted of its own accord


def test_what_was_done_is_noted_once_in_a_lesson_also_by_the_next_kernel(folder):
    for lesson in ("01", "01", "02a"):
        kernel = Journal(folder, lesson=lesson)
        for _ in range(2):
            kernel.note("goals", "κ = 10", of=3)
    assert [(each["lesson"], each["name"], each["of"]) for each in file(folder)["goals"]] == [
        ("01", "κ = 10", 3),
        ("02a", "κ = 10", 3),
    ]
    assert Journal(folder, lesson="02a").known("goals", "κ = 10")
    assert not Journal(folder, lesson="03").known("goals", "κ = 10")
    assert not Journal(folder, lesson="02a").known("goals", "κ = 30")
    assert not Journal(folder, lesson="02a").known("exercises", "κ = 10")


def test_each_look_is_noted(folder):
    journal = Journal(folder)
    for score in ("98.4 %", "98.6 %"):
        journal.note("boards", "`my_recipe`", each_time=True, score=score)
    assert [each["score"] for each in file(folder)["boards"]] == ["98.4 %", "98.6 %"]


def test_in_any_other_folder_nothing_is_noted(tmp_path):
    journal = Journal(tmp_path)
    journal.note("exercises", "check_resume")
    assert journal.entries("exercises") == [] and list(tmp_path.iterdir()) == []


def test_a_file_of_the_first_version_is_taken_on(folder):
    (folder / "answers.json").write_text('{"format": 1, "answers": [{"name": "a"}], "results": []}')
    Journal(folder).note("exercises", "check_resume")
    assert names(folder) == ["a"] and file(folder)["exercises"][0]["name"] == "check_resume"


def test_what_a_newer_version_added_stays(folder):
    newer = {"format": 1, "answers": [{"name": "a"}], "results": [], "badges": [{"name": "x"}], "theme": "dark"}
    (folder / "answers.json").write_text(json.dumps(newer))
    Journal(folder).add("answers", name="b")
    assert names(folder) == ["a", "b"] and file(folder)["badges"] == newer["badges"] and file(folder)["theme"] == "dark"


@pytest.mark.skipif(sys.platform == "win32", reason="links need a permission there")
def test_my_work_may_be_a_link_to_another_folder(tmp_path):
    (tmp_path / "far").mkdir()
    (tmp_path / "my-work").symlink_to("far")
    tell = "from utils import progress; progress.mine.note('goals', 'κ = 10'); print(progress.mine.lesson)"
    at = {**os.environ, "PYTHONPATH": str(ROOT), "JPY_SESSION_NAME": str(tmp_path / "my-work" / "01-lesson.ipynb")}
    done = subprocess.run([sys.executable, "-c", tell], cwd=tmp_path / "far", env=at, capture_output=True, text=True)
    assert done.stdout == "01\n" and [each["name"] for each in file(tmp_path / "far")["goals"]] == ["κ = 10"], done


@pytest.mark.parametrize("trouble", [OSError(errno.ENOSPC, "full"), TypeError("not JSON"), RuntimeError("anything")])
def test_noting_is_never_in_the_way(folder, monkeypatch, trouble):
    def fails(*_, **__):
        raise trouble

    journal = Journal(folder)
    monkeypatch.setattr("utils.progress.journal.replace_whole", fails)
    monkeypatch.setattr("utils.progress.journal.json.loads", fails)
    (folder / "answers.json").write_text("{}")
    journal.note("exercises", "check_resume")
    assert (folder / "answers.json").read_text() == "{}"


def test_half_a_pair_is_stored_as_any_text(folder):
    journal = Journal(folder)
    journal.note("exercises", "check_resume", said="\ud800 ∞")
    assert journal.trouble == "" and Journal(folder).entries("exercises")[0]["said"] == "\ud800 ∞"


def test_what_became_of_a_damaged_file_is_told_with_the_next_answer(folder):
    (folder / "answers.json").write_text("{")
    journal = Journal(folder)
    journal.note("exercises", "check_resume")
    journal.add("answers", name="a")
    assert "was damaged" in journal.tell() and journal.tell() == ""
