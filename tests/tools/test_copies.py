"""The students' copies: nothing a student wrote is ever lost, whatever happens in which order.

Most tests work on a small workshop of three notebooks, the rule of what a copy shows also on the real ones. Crashes,
full disks and races are real: processes that end, write against a limit, or run at the same time.
"""

import errno
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from contextlib import suppress
from datetime import date
from pathlib import Path
from types import SimpleNamespace

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from playwright.sync_api import expect

from tests.support.jupyter_page import NotebookPage, jupyter_lab
from tools import copies
from tools.copies import CopyTrouble, prepare, student_copy
from utils.internals import files as naming

ROOT = Path(__file__).resolve().parents[2]
REAL = sorted((ROOT / "notebooks").glob("[0-9][0-9]*.ipynb"))
STEMS = ["00-first", "01-second", "02a-third"]


def text(source, **more):
    return {"cell_type": "markdown", "id": "t", "metadata": {}, "source": source} | more


def note(source="> *For the instructor.* They will say up."):
    return text(source, metadata={"slideshow": {"slide_type": "notes"}})


def code(source="1 + 1", shown="2", mime="text/plain"):
    outputs = [{"output_type": "display_data", "data": {mime: shown}, "metadata": {}}] if shown else []
    return {"cell_type": "code", "id": "c", "execution_count": 7, "metadata": {}, "source": source, "outputs": outputs}


def ask(source="What will come?"):
    return text(source, metadata={"tags": ["predict"]})


def bet():
    """A prediction that is asked by code; what it shows is the question."""
    return code('predict("up", "What will come?", ["up", "down"])', "**Predict:** What?", "text/markdown") | {
        "metadata": {"tags": ["predict"]}
    }


def reveal(source="It came.", *tags):
    return text(source, metadata={"tags": [*tags, "reveal"]})


def lab():
    cell = code("labs.find_edge()", '<img alt="a lab" src="data:image/png;base64,AAAA">', "text/html")
    cell["outputs"][0]["metadata"] = {"workshop": {"role": "lab-still"}}
    return cell


def notebook(*cells):
    return {"cells": list(cells), "metadata": {"kernelspec": {"name": "python3"}}, "nbformat": 4, "nbformat_minor": 5}


def lesson(title="A lesson"):
    return notebook(text(f"# {title}\n[next](01-second.ipynb)"), text("## One\n**Predict:** what?"), code())


def write(path, content):
    path.parent.mkdir(exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content, indent=1), encoding="utf-8")


TODAY = date(2026, 3, 1)  # for this process; others, and a run at midnight, have a calendar of their own
DATED = re.compile(r"\.\d{4}-\d\d-\d\d(-\d+)?\.ipynb$")


@pytest.fixture(autouse=True)
def calendar(monkeypatch):
    monkeypatch.setattr(naming, "date", SimpleNamespace(today=lambda: TODAY))


@pytest.fixture
def workshop(tmp_path):
    for stem in STEMS:
        write(tmp_path / "notebooks" / f"{stem}.ipynb", lesson(stem))
    return tmp_path


def files(folder):
    """Name → bytes of everything in the folder, hidden files too."""
    return {path.name: path.read_bytes() for path in folder.glob("*") if path.is_file()}


def own(workshop, stem="01-second"):
    return workshop / "my-work" / f"{stem}.ipynb"


def edit(workshop, what, stem="01-second"):
    """Change a copy as a student does in JupyterLab; the bytes that must never be lost."""
    mine = json.loads(own(workshop, stem).read_text(encoding="utf-8"))
    mine["cells"].append(text(what))
    write(own(workshop, stem), mine)
    return own(workshop, stem).read_bytes()


def update(workshop, title, stem="01-second"):
    """What a pull does to an original."""
    write(workshop / "notebooks" / f"{stem}.ipynb", lesson(title))


# What a copy shows


@pytest.mark.parametrize(
    ("cells", "shown"),
    [
        pytest.param([code(), text("# A\nWhat is an lr?"), code(), lab()], "yyy", id="nothing is predicted: all stays"),
        pytest.param([code(), ask(), code(), code()], "ynn", id="the answers go, what was before stays"),
        pytest.param(
            [ask(), code(), reveal(), code(), text("## Verdicts"), code()],
            "nnn",
            id="what is built on the answer gives it away as well",
        ),
        pytest.param([ask("# A"), code(), text("### Lab 1"), lab(), code()], "nyn", id="the picture of a lab stays"),
        pytest.param([ask("# A"), reveal(), lab()], "y", id="and where the answer was given"),
        pytest.param([ask("# A"), code(), text("Drag."), lab()], "nn", id="not where it is the answer"),
        pytest.param([ask(), reveal("It came. And now?", "predict"), lab()], "n", id="nor where the next one is asked"),
        pytest.param([text("**Predict:** up?"), code()], "y", id="a cell is what its tag says, not its text"),
        pytest.param([ask("# A"), text("**What you saw.**"), lab()], "n", id="and so is the end of a prediction"),
        pytest.param(
            [ask("# A"), text("## B"), code("x", '<img class="lab-still">', "text/html")], "n", id="and a picture"
        ),
        pytest.param([code(), bet(), code(), bet(), code()], "yynyn", id="a question asked by code stays"),
        pytest.param([text("# A"), bet(), lab(), reveal(), lab()], "yny", id="and holds for the lab below it"),
        pytest.param([note("**Predict** is what they do."), code(), note()], "y", id="a note asks nothing"),
    ],
)
def test_no_stored_output_answers_a_prediction(cells, shown):
    original = notebook(*cells)
    before = json.dumps(original)
    copy = student_copy(original)
    assert json.dumps(original) == before
    code_cells = [cell for cell in copy["cells"] if cell["cell_type"] == "code"]
    assert "".join("y" if cell["outputs"] else "n" for cell in code_cells) == shown
    assert all(cell["execution_count"] is None for cell in code_cells)
    seen = [cell for cell in cells if "slideshow" not in cell["metadata"]]
    assert all(old["source"] in new["source"] for old, new in zip(seen, copy["cells"], strict=True))


def test_a_quick_question_folds_its_code_which_answers_it_and_keeps_its_choices():
    quick = code()
    quick["metadata"]["tags"] = ["quiz"]
    copied = student_copy(notebook(ask(), quick))["cells"][1]
    assert copied["metadata"]["jupyter"] == {"source_hidden": True} and copied["outputs"] == quick["outputs"] != []


def test_what_was_seen_is_folded_until_it_is_wanted():
    told, found, plain = reveal("**What you saw.** It fell."), code(), code()
    found["metadata"]["tags"] = ["reveal"]
    original = notebook(ask(), plain, found, told)
    asked, run, hidden, folded = student_copy(original)["cells"]
    assert asked == ask() and "jupyter" not in run["metadata"]
    assert hidden["metadata"]["jupyter"] == {"source_hidden": True} and hidden["source"] == found["source"]
    assert folded["source"].startswith("<details><summary>") and folded["source"].endswith("\n\n</details>")
    assert f"</summary>\n\n{told['source']}\n\n" in folded["source"]  # a blank line, or it would not be Markdown


def test_only_what_is_for_the_instructor_is_left_out():
    slides = [text(kind, metadata={"slideshow": {"slide_type": kind}}) for kind in ("slide", "fragment", "skip", "-")]
    odd = [text("as JupyterLab writes it", metadata={"slideshow": {}}), text("of a hand", metadata={"slideshow": None})]
    original = notebook(note(), *slides, note(), note(), *odd, note())
    copy = student_copy(original)
    assert copy["cells"] == slides + odd
    assert copy["metadata"]["workshop"]["made_from"] == copies.fingerprint(original)  # of all of it: a note may change


@pytest.mark.parametrize("path", REAL, ids=[path.stem for path in REAL])
def test_copies_of_the_real_notebooks(path):
    original = copies.read(path)
    copy = student_copy(original)
    notes = [cell for cell in original["cells"] if cell["metadata"]["slideshow"]["slide_type"] == "notes"]
    assert all("*For the instructor" in "".join(cell["source"]) for cell in notes)
    assert "For the instructor" not in json.dumps(copy, ensure_ascii=False)

    def kept(cell):  # what a copy has of the original: everything, or, where it tells what was seen, all but its fold
        if {"reveal", "quiz"} & {*cell["metadata"].get("tags", [])}:
            metadata = {key: value for key, value in cell["metadata"].items() if key != "jupyter"}
            source = "".join(cell["source"])
            opened = re.fullmatch(r"<details><summary>.*?</summary>\n\n(.*)\n\n</details>", source, re.S)
            cell = {**cell, "metadata": metadata, "source": opened[1] if opened else source}
        return {**cell, "source": "".join(cell["source"]), "outputs": 0, "execution_count": 0}

    assert [kept(cell) for cell in copy["cells"]] == [kept(cell) for cell in original["cells"] if cell not in notes]
    folded = [cell for cell in copy["cells"] if "reveal" in cell["metadata"].get("tags", [])]
    hidden = [cell for cell in folded if cell["metadata"].get("jupyter") or cell["source"].startswith("<details>")]
    assert hidden == folded
    # By other means than the code's: from the first prediction on, only cells that ask, or call a lab.
    asked = next(
        i
        for i, cell in enumerate(original["cells"])
        if re.search(r"\*\*Predict[:.* ]|^predict\(", "".join(cell["source"]))
    )
    late = copy["cells"][asked:]
    shown = [cell for cell in late if cell.get("outputs")]
    assert all(re.search(r"\blabs\.\w+\(|^(predict|quiz)\(", "".join(cell["source"]), re.M) for cell in shown)
    for cell in shown:
        if "".join(cell["source"]).startswith("predict("):
            (output,) = cell["outputs"]
            assert "".join(output["data"]["text/markdown"]).startswith("**Predict:** ")
    assert any(cell.get("outputs") for cell in original["cells"][asked:])  # so that the line above has said something
    stored = json.dumps([cell["outputs"] for cell in shown])
    assert not re.search("What you saw|verdict|Measured", stored)


def test_the_labs_of_the_real_notebooks_keep_their_pictures():
    kept = Counter()
    for path in REAL:
        for cell in student_copy(copies.read(path))["cells"]:
            kept[path.name[:2]] += 'class="lab-still' in "".join(
                "".join(output.get("data", {}).get("text/html", "")) for output in cell.get("outputs", [])
            )
    assert kept["00"] == 0  # its prediction is about the lab
    assert kept["01"] == 1 and kept["02"] == 1


# Making copies


def test_first_use_makes_a_copy_of_every_notebook_and_leaves_the_originals(workshop):
    before = files(workshop / "notebooks")
    assert prepare("00-first", root=workshop) == []
    assert files(workshop / "notebooks") == before
    made = files(workshop / "my-work")
    assert set(made) == set(before)  # the same names: a link leads from copy to copy; and no scratch file is left
    for name, content in made.items():
        copy, original = json.loads(content), json.loads(before[name])
        assert [cell["source"] for cell in copy["cells"]] == [cell["source"] for cell in original["cells"]]
        assert copy["metadata"]["kernelspec"] == original["metadata"]["kernelspec"]
        assert content.endswith(b"\n") and b"\r" not in content


def test_later_starts_touch_nothing(workshop):
    prepare(root=workshop)
    edit(workshop, "mine")
    write(workshop / "my-work/notes.txt", "mine, too")
    before = files(workshop / "my-work")
    times = {path.name: path.stat().st_mtime_ns for path in (workshop / "my-work").iterdir()}
    for stem in (*STEMS, None):
        assert prepare(stem, root=workshop) == []
    assert files(workshop / "my-work") == before
    assert times == {path.name: path.stat().st_mtime_ns for path in (workshop / "my-work").iterdir()}


def test_a_copy_that_was_deleted_or_a_new_notebook_is_copied(workshop):
    prepare(root=workshop)
    mine = edit(workshop, "mine")
    own(workshop, "00-first").unlink()
    write(workshop / "notebooks/03-new.ipynb", lesson("new"))
    assert prepare("03-new", root=workshop) == []
    assert set(files(workshop / "my-work")) == {f"{stem}.ipynb" for stem in (*STEMS, "03-new")}
    assert own(workshop).read_bytes() == mine
    shutil.rmtree(workshop / "my-work")
    assert prepare(root=workshop) == []
    assert len(files(workshop / "my-work")) == 4


def test_an_update_touches_no_copy_and_is_told_in_one_line(workshop):
    prepare(root=workshop)
    mine = edit(workshop, "mine")
    untouched = own(workshop, "02a-third").read_bytes()
    update(workshop, "new 1")
    update(workshop, "new 2", "02a-third")
    (line,) = prepare("00-first", root=workshop)
    assert "changed 01, 02a since" in line and "lab 01 --fresh" in line and "\n" not in line
    assert "lab 02a --fresh" in prepare("02a-third", root=workshop)[0]  # the example is the one that is opened
    assert own(workshop).read_bytes() == mine
    assert own(workshop, "02a-third").read_bytes() == untouched
    said = prepare("01-second", root=workshop, fresh=True)
    assert len(said) == 2 and "changed 02a since" in said[1]
    assert "new 1" in own(workshop).read_text(encoding="utf-8")


def test_only_text_and_code_count_as_a_change(workshop):
    prepare(root=workshop)
    path = workshop / "notebooks/01-second.ipynb"
    original = json.loads(path.read_text(encoding="utf-8"))
    original["cells"][2] |= {"outputs": [], "execution_count": None}
    original["cells"][2]["metadata"] = {"slideshow": {"slide_type": "skip"}}
    path.write_bytes(json.dumps(original).replace("{", "{\r\n").encode())  # another layout and line ends, as on Windows
    assert prepare("01-second", root=workshop) == []
    original["cells"][2]["source"] = ["1 + ", "2"]
    write(path, original)
    assert len(prepare("01-second", root=workshop)) == 1
    original["cells"][2]["source"] = ["1 ", "+ 1"]  # nbformat splits lines, others do not
    write(path, original)
    assert prepare("01-second", root=workshop) == []


@pytest.mark.parametrize("metadata", [{}, None, {"workshop": 3}, {"workshop": {"made": "by hand"}}])
def test_of_a_copy_made_by_hand_nothing_is_claimed(workshop, metadata):
    prepare(root=workshop)
    write(own(workshop), lesson("an old one, copied by hand") | {"metadata": metadata})
    mine = own(workshop).read_bytes()
    assert prepare("01-second", root=workshop) == []
    assert own(workshop).read_bytes() == mine


# Live coding


def test_a_copy_for_live_coding_has_a_name_of_its_own_and_touches_nothing(workshop):
    write(workshop / "notebooks/01-second.ipynb", notebook(text("# A"), note(), ask(), code()))
    prepare(root=workshop)
    mine, before = edit(workshop, "mine"), files(workshop / "my-work")
    names = [f"01-second.live-{TODAY}{end}.ipynb" for end in ("", "-2")]
    for name in names:  # twice on one day
        assert copies.prepare_live("01-second", root=workshop) == workshop / "my-work" / name
    there = files(workshop / "my-work")
    assert own(workshop).read_bytes() == mine and {**before, **there} == there
    assert set(there) == {*before, *names}
    made = json.loads(there[names[0]])
    assert made == json.loads(there[names[1]]) == student_copy(copies.read(workshop / "notebooks/01-second.ipynb"))
    assert [cell["cell_type"] for cell in made["cells"]] == ["markdown", "markdown", "code"]
    assert made["cells"][-1]["outputs"] == []


def test_trouble_with_a_copy_for_live_coding_is_told(workshop):
    with pytest.raises(CopyTrouble, match="no notebook `07-lost`"):
        copies.prepare_live("07-lost", root=workshop)
    write(workshop / "notebooks/01-second.ipynb", "<<<<<<< HEAD")
    with pytest.raises(CopyTrouble, match=r"git checkout HEAD notebooks/01-second\.ipynb"):
        copies.prepare_live("01-second", root=workshop)
    (workshop / "my-work").rmdir()
    write(workshop / "my-work", "a file")
    assert_one_line(start(workshop, "00-first", "--live"), "my-work")


# A fresh start


def test_fresh_puts_the_old_copy_aside_under_a_dated_name_each_time(workshop):
    prepare(root=workshop)
    others = {name: content for name, content in files(workshop / "my-work").items() if "01-" not in name}
    mine = [edit(workshop, "first try")]
    names = []
    for attempt in ("second try", "third try", None):  # all in the same minute
        (line,) = prepare("01-second", root=workshop, fresh=True)
        names.append(re.search(r"is now (\S+\.ipynb)", line)[1])
        assert "try" not in own(workshop).read_text(encoding="utf-8")
        if attempt:
            mine.append(edit(workshop, attempt))
    assert names == [f"01-second.{TODAY}{end}.ipynb" for end in ("", "-2", "-3")]
    assert [(workshop / "my-work" / name).read_bytes() for name in names] == mine
    assert {name: content for name, content in files(workshop / "my-work").items() if "01-" not in name} == others


def test_fresh_overwrites_no_file_that_has_the_dated_name_already(workshop):
    prepare(root=workshop)
    mine = edit(workshop, "mine")
    taken = own(workshop).with_name(f"01-second.{TODAY}.ipynb")
    write(taken, "the student called a file so")
    (own(workshop).with_name(f"01-second.{TODAY}-2.ipynb")).mkdir()
    prepare("01-second", root=workshop, fresh=True)
    assert taken.read_text() == "the student called a file so"
    assert own(workshop).with_name(f"01-second.{TODAY}-3.ipynb").read_bytes() == mine


def test_fresh_without_a_copy_makes_one(workshop):
    assert prepare("01-second", root=workshop, fresh=True) == []
    assert len(files(workshop / "my-work")) == 3


# Damage


NESTED = "[" * 100_000 + "]" * 100_000


@pytest.mark.parametrize(
    "content", ["", '{"cells": [{"so', "[]", "{}", '{"cells": [1]}', "\xff", pytest.param(NESTED, id="nested")]
)
def test_a_damaged_copy_stays_until_the_student_asks(workshop, content):
    prepare(root=workshop)
    own(workshop).write_bytes(content.encode("latin-1"))
    for stem in STEMS:  # perhaps it is just being saved; the other notebooks open as ever
        (line,) = prepare(stem, root=workshop)
        assert "my-work/01-second.ipynb is damaged" in line and "lab 01 --fresh" in line
    assert own(workshop).read_bytes() == content.encode("latin-1")
    prepare("01-second", root=workshop, fresh=True)
    assert own(workshop).with_name(f"01-second.{TODAY}.ipynb").read_bytes() == content.encode("latin-1")
    assert prepare("01-second", root=workshop) == []


def test_a_copy_that_cannot_be_read_stops_no_other_lesson(workshop):
    prepare(root=workshop)
    own(workshop).unlink()
    own(workshop).mkdir()  # an error of the system, whoever runs the test
    own(workshop, "02a-third").unlink()
    (line,) = prepare("00-first", root=workshop)
    assert "my-work/01-second.ipynb cannot be read" in line and "close the program that holds it" in line
    assert own(workshop, "02a-third").is_file() and own(workshop).is_dir()


def test_a_damaged_original_is_told_and_stops_only_who_wants_its_copy(workshop):
    prepare(root=workshop)
    mine = edit(workshop, "mine")
    conflict = "<<<<<<< HEAD\n{}\n=======\n"
    write(workshop / "notebooks/01-second.ipynb", conflict)
    (line,) = prepare("00-first", root=workshop)
    assert "notebooks/01-second.ipynb is damaged" in line
    assert len(prepare("01-second", root=workshop)) == 1  # the student's own is there and opens
    before = files(workshop / "my-work")
    with pytest.raises(CopyTrouble, match=r"git checkout HEAD notebooks/01-second\.ipynb"):
        prepare("01-second", root=workshop, fresh=True)
    assert files(workshop / "my-work") == before
    assert own(workshop).read_bytes() == mine
    own(workshop).unlink()
    with pytest.raises(CopyTrouble, match="damaged"):
        prepare("01-second", root=workshop)
    assert (workshop / "notebooks/01-second.ipynb").read_text() == conflict


def test_an_unknown_notebook_is_told(workshop):
    with pytest.raises(CopyTrouble, match="no notebook `07-lost`"):
        prepare("07-lost", root=workshop)


# Machines that do not cooperate

POSIX = pytest.mark.skipif(os.name == "nt", reason="limits and permissions are those of POSIX")


def start(workshop, *words, before=""):
    """`python -m tools.copies` on the small workshop, in a process that runs the Python in `before` first."""
    program = (
        f"import sys, os\nfrom pathlib import Path\nfrom tools import copies\n{before}\n"
        f"sys.exit(copies.main(sys.argv[1:], root=Path({str(workshop)!r})))"
    )
    environment = os.environ | {"JUPYTER_SERVER_URL": "http://nowhere"}  # so it does not start one
    return subprocess.Popen(
        [sys.executable, "-c", program, *words],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
    )


def assert_one_line(process, *words):
    err = process.communicate(timeout=60)[1]
    assert process.returncode == 2, err
    assert len(err.splitlines()) == 1 and err.startswith("workshop: "), err
    for word in words:
        assert word in err


@POSIX
@pytest.mark.parametrize("fresh", [False, True])
def test_a_full_disk_is_told_in_one_line_and_changes_nothing(workshop, fresh):
    if fresh:
        prepare(root=workshop)
        edit(workshop, "mine")
    before = files(workshop / "my-work")
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))"  # writing more fails, as when full
    process = start(workshop, "01-second", *(["--fresh"] if fresh else []), before=limit)
    assert_one_line(process, "my-work", os.strerror(errno.EFBIG), "free some disk space", "--originals")
    assert files(workshop / "my-work") == before  # and no torn file


@POSIX
@pytest.mark.parametrize("fresh", [False, True])
def test_a_folder_that_is_read_only_is_told_in_one_line(workshop, fresh):
    prepare(root=workshop)
    mine = edit(workshop, "mine")
    if not fresh:
        own(workshop, "02a-third").unlink()
    if os.geteuid() == 0:  # who may write everywhere, except in /proc and the like
        if not Path("/proc/self").exists():
            pytest.skip("root may write everywhere on this system")
        kept = (workshop / "my-work").rename(workshop / "elsewhere")
        (workshop / "my-work").symlink_to("/proc/self")
        words = ["01-second"]
    else:
        kept = workshop / "my-work"
        kept.chmod(0o555)
        words = ["01-second", *(["--fresh"] if fresh else [])]
    try:
        assert_one_line(start(workshop, *words), "my-work", "make the folder writable", "--originals")
        assert (kept / "01-second.ipynb").read_bytes() == mine
    finally:
        kept.chmod(0o755)


def test_a_file_called_my_work_is_told(workshop):
    write(workshop / "my-work", "what is this?")
    with pytest.raises(CopyTrouble, match="my-work"):
        prepare(root=workshop)
    assert (workshop / "my-work").read_text() == "what is this?"


def test_a_file_system_without_links_will_do(workshop, monkeypatch):
    def link(*_):
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    test_fresh_puts_the_old_copy_aside_under_a_dated_name_each_time(workshop)
    scratch = workshop / "my-work/finished"
    scratch.write_text("new")
    assert not copies.place(scratch, own(workshop))
    assert scratch.read_text() == "new" and own(workshop).read_text() != "new"


def test_a_rename_that_fails_leaves_both_names_as_they_were(workshop, monkeypatch):
    prepare(root=workshop)
    before = files(workshop / "my-work")

    def replace(*_):
        raise PermissionError(errno.EACCES, "Permission denied")  # on Windows: another program has the file open

    monkeypatch.setattr(os, "replace", replace)
    with pytest.raises(CopyTrouble, match="Permission denied"):
        prepare("01-second", root=workshop, fresh=True)
    assert files(workshop / "my-work") == before


# A process that ends at any moment

CRASH = """
touched = 0
def count(event, arguments):
    global touched
    if event in ("open", "os.rename", "os.link", "os.remove", "os.mkdir") and "my-work" in str(arguments[0]):
        touched += 1
        if touched == {at}:
            os._exit(9)
sys.addaudithook(count)
"""


@pytest.mark.parametrize("links", [True, False], ids=["with links", "without links"])
def test_a_crash_at_any_moment_loses_nothing(workshop, links):
    """Each touch of a file in my-work is once the last thing that the process does not live to do."""
    no_links = "def no(*_): raise OSError(1, 'no links')\nos.link = no" if not links else ""
    crashed = 0
    for at in range(1, 100):
        shutil.rmtree(workshop / "my-work", ignore_errors=True)
        prepare(root=workshop)
        mine = edit(workshop, "mine")
        own(workshop, "02a-third").unlink()
        process = start(workshop, "01-second", "--fresh", before=f"{no_links}\n{CRASH.format(at=at)}")
        process.communicate(timeout=60)
        visible = {name: content for name, content in files(workshop / "my-work").items() if name[0] != "."}
        assert mine in visible.values(), f"lost at touch {at}"
        for name, content in visible.items():
            # Between making sure of a name and using it, it is the name of an empty file, never of a torn one.
            assert not content or copies.read(workshop / "my-work" / name), name
            assert content or not links or DATED.search(name)
        if process.returncode == 0:
            break
        assert process.returncode == 9
        crashed += 1
        prepare(root=workshop)  # the next start goes on
        assert mine in files(workshop / "my-work").values()
        assert all(own(workshop, stem).exists() for stem in STEMS)
    assert process.returncode == 0 and crashed >= 8


# Launchers at the same time


@pytest.mark.parametrize("fresh", [0, 1, 4])
def test_launchers_at_the_same_time_lose_nothing(workshop, fresh):
    prepare(root=workshop)
    mine = edit(workshop, "mine")
    own(workshop, "00-first").unlink()
    words = [["01-second", "--fresh"]] * fresh + [["00-first"]] * (6 - fresh)
    ready = "print('ready', flush=True)\ninput()"  # imports are done; the line that it waits for lets all go at once
    processes = [start(workshop, *each, before=ready) for each in words]
    assert all(process.stdout.readline() == "ready\n" for process in processes)
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    said = [process.communicate(timeout=60) for process in processes]
    assert [process.returncode for process in processes] == [0] * 6, said
    there = files(workshop / "my-work")
    asides = [name for name in there if DATED.search(name)]
    assert mine in there.values()
    assert (own(workshop).read_bytes() == mine) == (fresh == 0)
    assert min(fresh, 1) <= len(asides) <= fresh
    assert set(there) == {f"{stem}.ipynb" for stem in STEMS} | set(asides)
    for name in there:
        copies.read(workshop / "my-work" / name)


def test_many_fresh_starts_at_the_same_time_lose_nothing(workshop, monkeypatch):
    """Closer together than processes can be: six threads ask for fresh copies; a seventh saves where one vanished."""
    prepare(root=workshop)
    saved, troubles = [], []
    place = copies.place

    def place_late(finished, path):  # the gap between the old copy and the new one is long enough to save into
        time.sleep(0.005)
        return place(finished, path)

    monkeypatch.setattr(copies, "place", place_late)

    def ask_for_fresh_copies():
        for _ in range(15):
            try:
                prepare("01-second", root=workshop, fresh=True)
            except CopyTrouble as trouble:
                troubles.append(str(trouble))

    threads = [threading.Thread(target=ask_for_fresh_copies) for _ in range(6)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        content = json.dumps(lesson(f"edit {len(saved)}")).encode()
        with copies.written(content, own(workshop)) as finished:
            if place(finished, own(workshop)):
                saved.append(content)
    for thread in threads:
        thread.join()
    assert troubles == []
    everything = files(workshop / "my-work")
    assert saved and set(saved) <= set(everything.values())
    assert len([name for name in everything if DATED.search(name)]) > 15
    assert not any(name.startswith(".") for name in everything)


# Any order


class AnyOrder(RuleBasedStateMachine):
    """First use, edits, saves that tear a file, updates, fresh starts and deletions, in any order."""

    @initialize()
    def begin(self):
        self.folder = tempfile.TemporaryDirectory()
        self.root = Path(self.folder.name)
        self.updates = 0
        self.titles = {}  # stem → the title of the original
        self.made_from = {}  # stem → the title that its present copy was made from; None: unknown
        self.kept = []  # what the student wrote and has not deleted
        for stem in STEMS:
            self.titles[stem] = stem
            update(self.root, stem, stem)

    def path(self, stem):
        return own(self.root, stem)

    @rule(stem=st.sampled_from(STEMS), fresh=st.booleans())
    def lab(self, stem, fresh):
        before = files(self.root / "my-work")
        said = prepare(stem, root=self.root, fresh=fresh)
        after = files(self.root / "my-work")
        for name, content in before.items():
            if fresh and name == f"{stem}.ipynb":
                moved = [new for new in after.keys() - before.keys() if after[new] == content]
                assert len(moved) == 1 and moved[0] in "".join(said)
            else:
                assert after[name] == content
        for each in STEMS:
            if f"{each}.ipynb" not in before or (fresh and each == stem):
                self.made_from[each] = self.titles[each]
                assert f"# {self.titles[each]}\\n" in self.path(each).read_text(encoding="utf-8")
        changed = next((line for line in said if line.startswith("The workshop has changed")), "")
        stale = [each for each in STEMS if self.made_from[each] not in (None, self.titles[each])]
        named = re.match(r"The workshop has changed (.*) since", changed)
        assert (named[1].split(", ") if named else []) == [each.partition("-")[0] for each in stale]

    @rule(stem=st.sampled_from(STEMS), words=st.text(st.characters(codec="utf-8"), max_size=9))
    def student_writes(self, stem, words):
        if self.path(stem).exists():
            with suppress(ValueError):
                copies.read(self.path(stem))
                self.kept.append(edit(self.root, words, stem))

    @rule(stem=st.sampled_from(STEMS))
    def copied_by_hand(self, stem):
        write(self.path(stem), lesson("by hand"))
        self.made_from[stem] = None

    @rule(stem=st.sampled_from(STEMS), size=st.integers(0, 60))
    def torn_while_saving(self, stem, size):
        if self.path(stem).exists():
            content = self.path(stem).read_bytes()[:size]
            self.path(stem).write_bytes(content)
            self.made_from[stem] = None

    @rule(stem=st.sampled_from(STEMS), back=st.booleans())
    def update_of_the_workshop(self, stem, back):
        self.updates += 1
        self.titles[stem] = stem if back else f"version {self.updates}"
        update(self.root, self.titles[stem], stem)

    @rule(stem=st.sampled_from(STEMS))
    def student_deletes(self, stem):
        self.path(stem).unlink(missing_ok=True)

    @precondition(lambda self: self.kept)
    @rule()
    def student_deletes_everything(self):
        shutil.rmtree(self.root / "my-work", ignore_errors=True)

    @invariant()
    def originals_are_the_workshops(self):
        for stem, title in self.titles.items():
            assert json.loads((self.root / f"notebooks/{stem}.ipynb").read_bytes()) == lesson(title)

    @invariant()
    def no_scratch_is_left(self):
        assert not any(name.startswith(".") for name in files(self.root / "my-work"))

    def teardown(self):
        if hasattr(self, "folder"):
            self.folder.cleanup()


AnyOrder.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
test_any_order = AnyOrder.TestCase


# On the command line


@pytest.fixture
def started(monkeypatch):
    """What JupyterLab would be started with."""
    calls = []
    monkeypatch.setattr(copies.runpy, "run_module", lambda name, **_: calls.append((name, sys.argv[1:])))
    monkeypatch.setattr(sys, "argv", ["copies"])
    monkeypatch.delenv("JUPYTER_SERVER_URL", raising=False)
    return calls


@pytest.mark.parametrize("option", [[], ["--fresh"]])
def test_jupyterlab_opens_the_copy(workshop, started, option):
    assert copies.main(["01-second", *option, "--", "--no-browser", "--", "x"], root=workshop) == 0
    assert started == [
        (
            "jupyterlab",
            [
                copies.NO_SHIM,
                copies.WHERE_ONE_WAS,
                "--LabApp.default_url=/lab/tree/my-work/01-second.ipynb",
                "--no-browser",
                "--",
                "x",
            ],
        )
    ]
    assert own(workshop).exists()


def test_originals_makes_no_copies(workshop, started):
    assert copies.main(["01-second", "--originals"], root=workshop) == 0
    assert started[0][1][-1] == "--LabApp.default_url=/lab/tree/notebooks/01-second.ipynb"
    assert not (workshop / "my-work").exists()


def test_in_a_terminal_of_jupyterlab_no_second_one_is_started(workshop, started, monkeypatch, capsys):
    monkeypatch.setenv("JUPYTER_SERVER_URL", "http://127.0.0.1:8888/")
    assert copies.main(["01-second"], root=workshop) == 0
    assert started == [] and own(workshop).exists()
    assert "open my-work/01-second.ipynb" in capsys.readouterr().out


def test_without_a_notebook_only_copies_are_made(workshop, started, capsys):
    assert copies.main([], root=workshop) == 0
    assert started == [] and len(files(workshop / "my-work")) == 3
    assert capsys.readouterr().out == f"Your copies are in {workshop / 'my-work'}.\n"


def test_a_folder_that_is_not_the_workshops_is_refused(tmp_path, capsys):
    assert copies.main([], root=tmp_path) == 2
    assert "there is no lesson in notebooks/" in capsys.readouterr().err and not list(tmp_path.iterdir())


def run(workshop, stem, *, at):
    """What JupyterLab saves when a cell was run, at this time."""
    own(workshop, stem).write_text(json.dumps(lesson() | {"cells": [code()]}), encoding="utf-8")
    os.utime(own(workshop, stem), (at, at))


def test_it_opens_where_you_were(workshop, started, capsys):
    def opened():
        assert copies.main(["00-first", "--resume"], root=workshop) == 0
        return started.pop()[1][-1].rpartition("/")[2], capsys.readouterr().out

    assert opened() == ("00-first.ipynb", "Opening my-work/00-first.ipynb, because you have not run a cell yet.\n")
    edit(workshop, "mine, and nothing run", "02a-third")
    assert opened()[0] == "00-first.ipynb"
    run(workshop, "02a-third", at=1000)
    run(workshop, "00-first", at=900)
    assert opened() == (
        "02a-third.ipynb",
        "Opening my-work/02a-third.ipynb, where you last ran a cell; `lab 00` opens the first lesson.\n",
    )
    run(workshop, "01-second", at=2000)
    assert opened()[0] == "01-second.ipynb"
    run(workshop, "01-second.2026-03-01", at=3000)  # put aside
    own(workshop, "02a-third").write_text("{")  # damaged, or being saved
    assert opened()[0] == "01-second.ipynb"
    prepare("01-second", root=workshop, fresh=True)
    assert opened()[0] == "00-first.ipynb"
    assert copies.main(["02a-third"], root=workshop) == 0 and started.pop()[1][-1].endswith("02a-third.ipynb")


@pytest.mark.parametrize(
    "words", [["01-second", "--fresh", "--originals"], ["--fresh"], ["--resume"], ["--originals"], ["--new"]]
)
def test_options_that_make_no_sense_are_refused(workshop, started, words, capsys):
    with pytest.raises(SystemExit) as exit:
        copies.main(words, root=workshop)
    assert exit.value.code == 2 and started == [] and not (workshop / "my-work").exists()


def test_git_ignores_the_copies():
    if not (ROOT / ".git").exists() or not shutil.which("git"):
        pytest.skip("not a git checkout")
    ignored = subprocess.run(["git", "check-ignore", "-q", "my-work/00-start-here.ipynb"], cwd=ROOT, check=False)
    assert ignored.returncode == 0


# In JupyterLab


def read_when_saved(path):
    """JupyterLab empties the file and writes it again: for a moment it holds no notebook."""
    end = time.monotonic() + 20
    while True:
        try:
            return copies.read(path)
        except ValueError:
            assert time.monotonic() < end
            time.sleep(0.05)


def test_jupyterlab_starts_without_a_warning(workshop):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    program = f"from pathlib import Path; from tools.copies import main; main(root=Path({str(workshop)!r}))"
    folders = {f"JUPYTER_{kind}_DIR": str(workshop / kind.lower()) for kind in ("CONFIG", "DATA", "RUNTIME")}
    jupyter = ["--no-browser", f"--port={port}", "--allow-root", f"--ServerApp.root_dir={workshop}"]
    lab = subprocess.Popen(
        [sys.executable, "-c", program, "01-second", "--", *jupyter],
        cwd=ROOT,
        env={name: value for name, value in os.environ.items() if name != "JUPYTER_SERVER_URL"} | folders,
        stderr=subprocess.PIPE,
        text=True,
    )
    said = []
    try:
        for line in lab.stderr:
            said.append(line)
            if "is running at" in line:
                break
    finally:
        lab.terminate()
        lab.communicate(timeout=60)
    assert "is running at" in said[-1]
    assert not [line for line in said if "Warning" in line or line.startswith("[W ")]


def test_a_copy_opens_runs_and_leads_to_the_next_copy(browser, tmp_path):
    root = tmp_path / "notebooks"  # what this JupyterLab sees: a workshop in which only the notebooks are real
    for folder in ("notebooks", "assets"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns(".*"))
    before = files(root / "notebooks")
    prepare(root=root)
    start_here = own(root, "00-start-here")
    with jupyter_lab(tmp_path) as jupyter:
        opened = NotebookPage.open(browser, jupyter, "my-work/00-start-here.ipynb")
        page = opened.page
        shown = page.locator(".jp-Notebook .jp-OutputArea-output")
        expect(shown).to_have_count(1)
        expect(shown).to_contain_text("Predict:")  # a question answers nothing
        opened.run_all()
        page.get_by_text("Not yet: replace the").wait_for(timeout=180_000)  # the last cell with an output
        before_the_move = opened.alt
        opened.handle("lr").press("ArrowRight")
        expect(opened.plot).not_to_have_attribute("aria-label", before_the_move)
        opened.save(start_here)
        saved = read_when_saved(start_here)
        ran = [
            cell for cell in saved["cells"] if cell["cell_type"] == "code" and "lab" in cell["metadata"].get("tags", [])
        ]
        assert (
            all(cell["outputs"] for cell in ran)
            and ran
            and saved["metadata"]["workshop"]
            == {"made_from": copies.fingerprint(copies.read(ROOT / "notebooks/00-start-here.ipynb"))}
        )
        assert prepare("00-start-here", root=root) == []

        page.get_by_role("link", name="01 · Optimizer concepts").click()
        page.wait_for_url(f"{jupyter.url}/lab/tree/my-work/01-optimizer-concepts.ipynb*", timeout=180_000)
        page.get_by_role("heading", name="01 · Optimizer concepts").wait_for(timeout=180_000)
        page.locator("img.lab-still-edge").last.wait_for(state="attached", timeout=180_000)
    assert files(root / "notebooks") == before
