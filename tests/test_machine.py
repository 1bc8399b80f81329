"""The report on the student's machine: each fault is found and comes with what to do."""

import re
from importlib import metadata

import psutil
import pytest
import torch

from utils import machine


def write(folder, text):
    path = folder / "requirements.txt"
    path.write_text(text)
    return path


def rows(report):
    return {what: (found, advice) for what, found, advice in report.rows}


def test_the_environment_of_the_tests_is_ready():
    report = machine.check_machine()
    assert report, repr(report)
    assert rows(report)["torch"][0].startswith("2.13.0")
    pins = re.findall(r"^[\w-]+==", machine.REQUIREMENTS.read_text(), re.M)
    assert rows(report)["other packages"][0].startswith(f"{len(pins) - 1} ")
    assert "**Ready.**" in report._repr_markdown_()


def test_a_missing_and_an_old_package_are_named_with_what_to_do(tmp_path):
    version = metadata.version("numpy")
    path = write(tmp_path, f"# comment\nno-such-package==1.0\nnumpy==0.1\npytest=={metadata.version('pytest')}\n")
    report = machine.check_machine(path)
    assert not report
    found = rows(report)
    assert found["no-such-package"] == ("missing", machine.INSTALL)
    assert found["numpy"][0] == version and "0.1 was tested" in found["numpy"][1]
    assert found["other packages"][0].startswith("1 ")
    assert "✗" in report._repr_markdown_() and "Not ready yet" in report._repr_markdown_()


def test_a_local_build_of_the_pinned_version_is_right(tmp_path, monkeypatch):
    monkeypatch.setattr(metadata, "version", lambda name: "2.13.0+cu130")
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
