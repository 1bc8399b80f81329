"""Stored outputs: what tools.refresh writes into a notebook; and the test command notices those that are not true."""

import base64
import io
import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook
from PIL import Image

from tests.support.nbval_extension import picture_differences
from tools import refresh
from tools.notebooks import is_still

ROOT = Path(__file__).resolve().parents[2]

# Next to the throw-away notebooks: pictures that cost a kernel no import of matplotlib.
DRAWING = '''
import base64, io, os
import numpy as np
from PIL import Image

class Bars:
    """A picture of one bar; `shade` makes a difference that only the pixels show."""
    def __init__(self, height, alt="a bar that is drawn for a test", mime="text/html"):
        pixels = np.full((100, 120, 3), 255, np.uint8)
        pixels[100 - height :, 40:80] = 40
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
        data = base64.b64encode(file.getvalue()).decode()
        html = f'<p>Look:</p><img alt="{alt}" src="data:image/png;base64,{data}">'
        self.bundle = {"text/plain": "a bar", mime: html if mime == "text/html" else data}

    def _repr_mimebundle_(self, include=None, exclude=None):
        return self.bundle

def note_kernel():
    with open("kernels.txt", "a") as file:
        print(os.getpid(), file=file)
'''


def write(path: Path, *sources: str, tags: dict[int, list[str]] | None = None) -> Path:
    """A notebook of these code cells, with the ids c0, c1, …; `tags` by position."""
    cells = [new_code_cell(source, id=f"c{i}") for i, source in enumerate(sources)]
    for i, names in (tags or {}).items():
        cells[i].metadata.tags = names
    notebook = new_notebook(cells=cells, nbformat_minor=5)
    path.write_text(json.dumps(notebook), encoding="utf-8")
    (path.parent / "drawing.py").write_text(DRAWING)
    return path


def read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


# ---- refresh


@pytest.fixture(scope="module")
def stored(tmp_path_factory) -> Path:
    """A notebook with each kind of output, refreshed once."""
    path = write(
        tmp_path_factory.mktemp("stored") / "00-kinds.ipynb",
        "import ipywidgets, sys\nfrom IPython.display import HTML, display\nfrom drawing import Bars",
        "print('one', flush=True)\nprint('two', flush=True)\ndisplay(HTML('<b>three</b>'))\nprint('a\\rb – é')",
        "slot = display(HTML('<progress>'), display_id=True)\nslot.update({}, raw=True)",
        "display(Bars(30))\nslider = ipywidgets.IntSlider(3)\nslider",
        "1 / 0",
        "Bars(30)",
        tags={4: ["raises-exception"]},
    )
    raw = read(path)
    raw["cells"].insert(0, new_markdown_cell("# Kinds", id="title"))
    del raw["cells"][-1]["id"]
    raw["cells"][1]["metadata"] |= {"execution": {"iopub.execute_input": "2020-01-01"}, "tags": ["setup"]}
    raw["metadata"] = {
        "widgets": {},
        "kernelspec": {"name": "elsewhere"},
        "language_info": {"version": "3.0"},
        "kept": 1,
    }
    path.write_text(json.dumps(raw), encoding="utf-8")
    assert refresh.refresh(path) is True
    return path


def test_a_second_refresh_changes_no_byte(stored):
    before, written = stored.read_bytes(), stored.stat().st_mtime_ns
    assert refresh.refresh(stored) is False
    assert stored.read_bytes() == before
    assert stored.stat().st_mtime_ns == written


TIME = "import time\nf'| {f\"{time.time_ns() % 10**9 / 10 ** (time.time_ns() % 3)} ms\":20} |'"


def test_times_shown_on_purpose_stay_until_more_than_their_numbers_differs(tmp_path):
    path = write(tmp_path / "00-times.ipynb", TIME, "6 * 7", tags={0: ["nbval-ignore-output"]})

    def shown():
        return [output["data"]["text/plain"] for cell in read(path)["cells"] for output in cell["outputs"]]

    assert refresh.refresh(path)
    before, (time, _) = path.read_bytes(), shown()
    assert not refresh.refresh(path) and path.read_bytes() == before
    raw = read(path)
    raw["cells"].insert(0, new_code_cell("6 * 9", id="new"))  # what is around it changes: it stays, with its new place
    raw["cells"][2]["source"] = ["6 * 8"]
    path.write_text(json.dumps(raw))
    assert refresh.refresh(path) and shown() == [["54"], time, ["48"]]
    assert read(path)["cells"][1]["outputs"][0]["execution_count"] == 2
    raw["cells"][1]["source"] = [TIME.replace(" ms", " µs")]
    path.write_text(json.dumps(raw))
    assert refresh.refresh(path) and " µs" in str(shown()) and " ms" not in str(shown())
    raw = read(path)
    raw["cells"][1]["outputs"] = []
    before = shown()[1]
    path.write_text(json.dumps(raw))
    assert refresh.refresh(path) and shown()[1] != before


def test_outputs_are_normalised(stored):
    cells = read(stored)["cells"]
    assert [cell.get("execution_count") for cell in cells] == [None, 1, 2, 3, 4, 5, 6]
    stream, shown, last = cells[2]["outputs"]
    assert (stream["text"], shown["data"]["text/html"], last["text"]) == (
        ["one\n", "two\n"],
        ["<b>three</b>"],
        ["b – é\n"],
    )
    assert cells[3]["outputs"] == []  # a progress display that ended empty
    picture, view = cells[4]["outputs"]
    assert picture["data"]["text/html"][0].startswith("<p>Look:</p><img alt=")
    assert list(view["data"]) == ["text/plain"] and view["data"]["text/plain"] == ["IntSlider(value=3)"]
    assert cells[5]["outputs"][0]["ename"] == "ZeroDivisionError"
    assert cells[6]["outputs"][0]["execution_count"] == 6


def test_metadata_is_of_no_machine(stored):
    notebook = read(stored)
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    assert notebook["metadata"] == {"kept": 1, "kernelspec": kernel, "language_info": {"name": "python"}}
    assert notebook["cells"][1]["metadata"] == {"tags": ["setup"]}
    assert [cell["id"] for cell in notebook["cells"][:3]] == ["title", "c0", "c1"]
    assert notebook["cells"][6]["id"].startswith("cell-06-")


def test_file_is_written_as_jupyterlab_writes_it(stored):
    text = stored.read_text(encoding="utf-8")
    assert text == json.dumps(json.loads(text), indent=1, ensure_ascii=False, sort_keys=True) + "\n"
    assert "é" in text
    assert [path.name for path in stored.parent.iterdir() if path.name.startswith(".0")] == []


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x = [][0]", "IndexError: list index out of range at `x = [][0]`"),
        ("import os; os._exit(1)", "the kernel died"),
        ("object()", "belongs to one machine: '0x"),
        ("print('see /home/someone/x.py')", "belongs to one machine: '/home/someone/x.py'"),
        ("from time import sleep; sleep(60)", "not done after 5 s"),
    ],
)
def test_a_cell_that_fails_leaves_the_file_alone(tmp_path, source, message):
    path = write(tmp_path / "01-bad.ipynb", "1", source)
    before = path.read_bytes()
    with pytest.raises(refresh.RefreshError) as error:
        refresh.refresh(path, cell_seconds=5 if "sleep" in source else 60)
    assert message in str(error.value)
    assert str(error.value).startswith("01-bad.ipynb, cell c1: ")
    assert path.read_bytes() == before


def test_cells_must_have_code_and_ids_of_their_own(tmp_path):
    with pytest.raises(refresh.RefreshError, match="cell c1: an empty code cell"):
        refresh.refresh(write(tmp_path / "01-empty.ipynb", "1", " \n"))
    path = write(tmp_path / "02-twice.ipynb", "1", "2")
    path.write_text(path.read_text().replace('"c1"', '"c0"'))
    with pytest.raises(refresh.RefreshError, match=r"02-twice.ipynb: more than one cell has the id c0"):
        refresh.refresh(path)


def test_what_was_saved_meanwhile_is_not_lost(tmp_path):
    path = write(tmp_path / "01-open.ipynb", "open('01-open.ipynb', 'a').write(' ')")
    with pytest.raises(refresh.RefreshError, match="was saved while it ran"):
        refresh.refresh(path)
    assert path.read_text().endswith("} ")


def test_the_picture_of_a_lab_keeps_its_role(tmp_path):
    """The lab writes it (test_find_edge), tools read it, and a refresh in between must not lose it."""
    still = "display({'text/html': '<img>'}, metadata={'workshop': {'role': 'lab-still'}}, raw=True)"
    path = write(tmp_path / "01-a-lab.ipynb", f"{still}\n1")
    assert refresh.refresh(path)
    assert [is_still(output) for output in read(path)["cells"][-1]["outputs"]] == [True, False]


def test_command_line(tmp_path, capsys, monkeypatch):
    for name in ("00-first.ipynb", "01-second.ipynb"):
        write(tmp_path / name, "1")
    ran = []
    monkeypatch.setattr(refresh, "refresh", lambda path: ran.append(path.name) or len(ran) > 1)

    assert refresh.main([], folder=tmp_path) == 0
    assert ran == ["00-first.ipynb", "01-second.ipynb"]
    first, second = capsys.readouterr().out.splitlines()
    assert first.startswith("00-first.ipynb: unchanged, ") and second.startswith("01-second.ipynb: stored, ")

    assert refresh.main(["1"], folder=tmp_path) == 0
    assert ran[2:] == ["01-second.ipynb"]

    assert refresh.main(["01", "7"], folder=tmp_path) == 2
    assert capsys.readouterr().err == "no notebook `7`; there are: 00, 01\n"
    assert len(ran) == 3

    for name in ("02a-third.ipynb", "02b-fourth.ipynb"):
        write(tmp_path / name, "1")
    for numbers, names in {("2",): ["02a-third.ipynb", "02b-fourth.ipynb"], ("2b",): ["02b-fourth.ipynb"]}.items():
        ran.clear()
        assert refresh.main(list(numbers), folder=tmp_path) == 0
        assert ran == names
    assert refresh.main(["2c"], folder=tmp_path) == 2
    assert capsys.readouterr().err == "no notebook `2c`; there are: 00, 01, 02a, 02b\n"
    for name in ("02a-third.ipynb", "02b-fourth.ipynb"):
        (tmp_path / name).unlink()

    def fail(path):
        raise refresh.RefreshError("00-first.ipynb, cell c0: ValueError: no")

    monkeypatch.setattr(refresh, "refresh", fail)
    assert refresh.main(["0"], folder=tmp_path) == 1
    assert capsys.readouterr().err == "00-first.ipynb, cell c0: ValueError: no\n"


# ---- pictures


def figure(title="SGD needs 40 steps, Adam 60", *, slower=1.0, rounding=0.0, beside=0) -> list[dict]:
    """The outputs of a cell that shows a real figure: three lines with markers."""
    steps = np.arange(60)
    with plt.style.context("utils.workshop"):
        fig, ax = plt.subplots()
        for tau, wiggle in ((10, 1.0), (15, slower), (20, 1.0)):
            noise = 1 + rounding * np.random.default_rng(tau).standard_normal(60)
            ax.plot(steps, np.exp(-steps / (tau * wiggle)) * noise, marker="o")
        ax.set(title=title, xlabel="step", ylabel="loss")
        file = io.BytesIO()
        fig.savefig(file, format="png")
        plt.close(fig)
    if beside:
        pixels = np.asarray(Image.open(file)).copy()
        pixels[300 : 300 + 11, 600 : 600 + beside, :3] ^= 255  # about what a marker leaves that lands one pixel aside
        file = io.BytesIO()
        Image.fromarray(pixels).save(file, "png")
    data = base64.b64encode(file.getvalue()).decode()
    html = f'<img alt="Three losses" src="data:image/png;base64,{data}">'
    return [{"output_type": "display_data", "metadata": {}, "data": {"text/html": html}}]


@pytest.mark.parametrize("change", [{"rounding": 1e-7}, {"rounding": 1e-5}, {"beside": 3}], ids=str)
def test_rounding_of_another_processor_is_no_difference(change):
    assert picture_differences(figure(**change), figure()) == []


@pytest.mark.parametrize(
    "change",
    [
        {"slower": 1.01},
        {"slower": 1.1},
        {"title": "SGD needs 40 steps, Adam 68"},
        {"title": "SGD needs 10 steps, Adam 60"},
        {"beside": 6},
    ],
    ids=str,
)
def test_a_moved_curve_or_a_changed_digit_is_a_difference(change):
    (problem,) = picture_differences(figure(**change), figure())
    assert problem.startswith("picture 1 of 1 (Three losses): ") and "of the pixels differ" in problem


def test_number_size_and_readability_of_pictures():
    def bare(size):
        file = io.BytesIO()
        Image.new("RGB", size).save(file, "png")
        return {"output_type": "display_data", "data": {"image/png": base64.b64encode(file.getvalue()).decode()}}

    assert picture_differences([bare((20, 10))], [bare((20, 10))]) == []
    assert picture_differences([bare((20, 10))] * 2, [bare((20, 10))]) == ["1 pictures are stored, the run made 2"]
    (problem,) = picture_differences([bare((20, 10))], [bare((30, 10))])
    assert "30 × 10 pixels are stored, the run made 20 × 10" in problem
    broken = {"output_type": "display_data", "data": {"image/png": "bm90IGEgcGljdHVyZQ=="}}
    (problem,) = picture_differences([bare((20, 10))], [broken])
    assert "not a readable PNG" in problem


# ---- the test command on notebooks


@pytest.fixture(scope="module")
def verdicts(tmp_path_factory) -> dict[str, tuple[str, str, float]]:
    """The project's own pytest settings on throw-away notebooks: "file/Cell place" → (outcome, message, seconds)."""
    folder = tmp_path_factory.mktemp("notebooks")
    start = "from drawing import Bars, note_kernel\nnote_kernel()"
    shows = write(
        folder / "shows.ipynb",
        start,
        "Bars(30)",
        "Bars(30)",
        "Bars(30)",
        "Bars(30, mime='image/png')",
        "import time\nBars(int(time.time() * 10) % 99)",
        "from IPython.display import HTML\nslot = display(HTML('50 %'), display_id=True)\nslot.update({}, raw=True)",
        "import ipywidgets\nipywidgets.IntSlider(3)",
        "print(1)",
        tags={5: ["nbval-ignore-output"]},
    )
    refresh.refresh(shows)
    notebook = read(shows)
    outputs = [cell["outputs"] for cell in notebook["cells"]]
    other: dict = {}
    exec(DRAWING, other)
    outputs[2][0]["data"]["text/html"] = other["Bars"](31).bundle["text/html"]
    outputs[3][0]["data"]["text/html"] = other["Bars"](30, alt="another bar, or so").bundle["text/html"]
    outputs[4][0]["data"]["image/png"] = other["Bars"](31, mime="image/png").bundle["image/png"]
    outputs[8][0]["text"] = ["2\n"]
    shows.write_text(json.dumps(notebook), encoding="utf-8")

    write(folder / "dies.ipynb", start, "import os\nos._exit(1)", "1")
    write(folder / "loops.ipynb", start, "import time\nwhile True:\n    time.sleep(0.1)", "1")
    (folder / "kernels.txt").unlink()
    for name in ("dies.ipynb", "loops.ipynb"):  # as if they had run: nbval compares no outputs of cells never run
        notebook = read(folder / name)
        for count, cell in enumerate(notebook["cells"], start=1):
            cell["execution_count"] = count
        (folder / name).write_text(json.dumps(notebook), encoding="utf-8")

    report = folder / "report.xml"
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", "--rootdir", folder, "-n", "2"]
    command += ["-p", "no:hypothesispytest"]  # each of three processes would import hypothesis, and none uses it
    command += ["--nbval-cell-timeout=8", f"--junitxml={report}", *sorted(folder.glob("*.ipynb"))]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    run = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert report.exists(), run.stdout + run.stderr
    found = {"kernels": (str(len((folder / "kernels.txt").read_text().split())), "", 0.0)}
    for case in ET.parse(report).iter("testcase"):
        problem = next(iter(case), None)
        outcome = "passed" if problem is None else problem.tag
        text = "" if problem is None else f"{problem.get('message')} {problem.text}"
        place = f"{case.get('classname')}/{case.get('name')}".replace(".ipynb", "")
        found[place] = (outcome, text, float(case.get("time")))
    return found


@pytest.mark.parametrize(
    ("place", "what"),
    [
        ("shows/Cell 1", "a picture that is as stored"),
        ("shows/Cell 5", "a picture that varies, in a cell marked so"),
        ("shows/Cell 6", "a progress display that ends empty"),
        ("shows/Cell 7", "a widget"),
    ],
)
def test_true_outputs_pass(verdicts, place, what):
    assert verdicts[place][:2] == ("passed", ""), what


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("shows/Cell 2", "cell c2: picture 1 of 1 (a bar that is drawn for a test): 0.333% of the pixels differ"),
        ("shows/Cell 3", "another bar, or so"),
        ("shows/Cell 4", "cell c4: picture 1 of 1 (image/png): 0.333% of the pixels differ"),
        ("shows/Cell 8", "Cell outputs differ"),
    ],
)
def test_changed_pictures_alt_texts_and_prints_fail(verdicts, place, message):
    outcome, text, _ = verdicts[place]
    assert outcome == "failure" and message in text


def test_a_dead_kernel_fails_at_once(verdicts):
    outcome, text, _ = verdicts["dies/Cell 1"]
    assert outcome == "failure" and "The kernel died in cell c1" in text
    assert "Timeout" not in text
    assert verdicts["dies/Cell 2"][0] == "skipped"


def test_an_endless_cell_is_stopped(verdicts):
    outcome, text, _ = verdicts["loops/Cell 1"]
    assert outcome == "failure" and "Timeout of 8 seconds exceeded" in text


def test_two_workers_start_one_kernel_per_notebook(verdicts):
    assert verdicts["kernels"][0] == "3"
    assert sum(place.startswith("shows/") for place in verdicts) == 9
