"""The report on the student's machine: each fault is found and comes with what to do."""

import ast
import json
import sys
from importlib import metadata
from pathlib import Path

import psutil
import pytest
import torch

from tools.notebooks import lessons
from utils import machine


def write(folder, text):
    path = folder / "requirements.txt"
    path.write_text(text)
    return path


def rows(report):
    return {what: (found, advice) for what, found, advice in report.rows}


def test_the_environment_of_the_tests_is_ready(monkeypatch):
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 4e9}))
    report = machine.check_machine()
    assert report, repr(report)
    assert rows(report)["torch"][0].startswith(torch.__version__.partition("+")[0])  # a CUDA build says 2.13.0+cu130
    assert rows(report)["other packages"][0].startswith(f"{len(machine.LESSONS_NEED) - 1} ")
    assert "**Ready.**" in report._repr_markdown_()


def test_it_looks_at_what_lessons_import():
    imported = set()
    sources = [path.read_text(encoding="utf-8") for path in Path(machine.__file__).parent.rglob("*.py")]
    for cells in (json.loads(lesson.read_text(encoding="utf-8"))["cells"] for lesson in lessons()):
        sources += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    for node in (node for source in sources for node in ast.walk(ast.parse(source))):
        if isinstance(node, ast.Import):
            imported |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported.add(node.module.partition(".")[0])
    on_pypi = {"sklearn": "scikit-learn", "PIL": "pillow"}
    brought = {"IPython", "traitlets"}  # by ipykernel, which the lessons need though they do not import it
    others = imported - set(sys.stdlib_module_names) - brought - {"utils"}
    assert {on_pypi.get(name, name) for name in others} == set(machine.LESSONS_NEED) - {"ipykernel"}


def test_a_missing_and_an_old_package_are_named_with_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(machine, "LESSONS_NEED", ("no-such-package", "numpy", "scipy"))
    monkeypatch.setattr(machine, "place", lambda: machine.LAUNCHER)
    pins = f"# comment\nno-such-package==1.0\nnumpy==0.1\nscipy=={metadata.version('scipy')}\nno-matter==1.0\n"
    report = machine.check_machine(write(tmp_path, pins))
    assert not report
    found = rows(report)
    assert found["no-such-package"] == ("missing", machine.INSTALL[machine.LAUNCHER])
    assert found["numpy"][0] == metadata.version("numpy") and "0.1 was tested" in found["numpy"][1]
    assert found["other packages"][0].startswith("1 ") and "no-matter" not in found
    assert "✗" in report._repr_markdown_() and "Not ready yet" in report._repr_markdown_()


@pytest.mark.parametrize(
    ("where", "advice"),
    [
        (machine.COLAB, "run `%pip install no-such-package==1.0` in a cell, then *Runtime → Restart session*"),
        (machine.BINDER, "its image lacks `no-such-package==1.0`: tell whoever gave you the link"),
        (machine.HUB, "tell whoever runs this hub that `no-such-package==1.0` is missing"),
        (machine.ELSEWHERE, "run `%pip install no-such-package==1.0` in a cell, then restart the kernel"),
    ],
)
def test_elsewhere_another_version_will_do_and_the_advice_is_of_the_place(tmp_path, monkeypatch, where, advice):
    monkeypatch.setattr(machine.sys, "prefix", str(tmp_path))
    for name in ("BINDER_SERVICE_HOST", "JUPYTERHUB_USER"):
        monkeypatch.delenv(name, raising=False)
    if where == machine.COLAB:
        monkeypatch.setitem(machine.sys.modules, "google.colab", machine)
    if where in (machine.BINDER, machine.HUB):  # a Binder is a hub, too
        monkeypatch.setenv("JUPYTERHUB_USER", "anna")
    if where == machine.BINDER:
        monkeypatch.setenv("BINDER_SERVICE_HOST", "10.0.0.1")
    assert machine.place() == where
    monkeypatch.setattr(machine, "LESSONS_NEED", ("no-such-package", "numpy"))
    found = rows(machine.check_machine(write(tmp_path, "no-such-package==1.0\nnumpy==0.1\n")))
    assert found["no-such-package"] == ("missing", advice)
    assert found["numpy"] == (f"{metadata.version('numpy')} (0.1 was tested: last digits may differ)", "")
    (tmp_path / "workshop-set-up").touch()
    assert machine.place() == machine.LAUNCHER


def test_an_installation_without_the_list_is_not_checked(tmp_path):
    report = machine.check_machine(tmp_path / "requirements.txt")
    assert rows(report)["packages"] == ("not checked: requirements.txt is not there", "")


def test_a_local_build_of_the_pinned_version_is_right(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cu130")
    monkeypatch.setattr(machine, "place", lambda: machine.LAUNCHER)
    assert rows(machine.check_machine(write(tmp_path, "torch==2.13.0\n")))["torch"] == ("2.13.0+cu130", "")
    assert rows(machine.check_machine(write(tmp_path, "torch==2.13.1\n")))["torch"][1]


def test_an_old_python_and_little_memory(tmp_path, monkeypatch):
    monkeypatch.setattr(machine.sys, "version_info", (3, 10, 4))
    monkeypatch.setattr(machine.psutil, "virtual_memory", lambda: type("Memory", (), {"available": 0.4e9}))
    found = rows(machine.check_machine(write(tmp_path, "")))
    assert found["Python"] == ("3.10.4", "install Python 3.11 or newer")
    assert found["free memory"][0] == "0.4 GB" and "close other programs" in found["free memory"][1]


@pytest.mark.parametrize("there", [True, False])
def test_a_gpu_is_named_and_never_needed(monkeypatch, there):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: there)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "Some GPU")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    found, advice = rows(machine.check_machine())["processor"]
    assert found.startswith(f"{psutil.cpu_count()} cores") and advice == ""
    assert ("Some GPU" in found) == there


def test_the_kernel_answers_the_widget_that_asks():
    widget = machine.WidgetCheck()
    assert widget.answer == 0
    widget.question = 3  # what the page sends
    assert widget.answer == 3
    bundle = widget._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/plain"].startswith("✗ Widgets are not drawn here")
