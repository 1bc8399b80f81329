"""The wheel house: pip itself downloads, resolves and installs, from a folder of tiny wheels in place of an index."""

import hashlib
import os
import shutil
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

from tests.tools.test_launcher import BACKEND, installed, start, write_copy
from tools import wheels


def write_wheel(folder, name, version="1", *, requires=(), files=None):
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    needs = "".join(f"Requires-Dist: {each}\n" for each in requires)
    with zipfile.ZipFile(path, "w") as wheel:
        for file, content in (files or {}).items():
            wheel.writestr(file, content)
        wheel.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n{needs}")
        wheel.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def index(tmp_path, monkeypatch):
    """In place of a package index: `lesson`, which needs `helper`, of which there are two versions, and a backend."""
    folder = tmp_path / "index"
    write_wheel(folder, "lesson", requires=["helper"])
    write_wheel(folder, "helper", "1")
    write_wheel(folder, "helper", "2")
    write_wheel(folder, "tinybackend", files={"tinybackend.py": BACKEND})
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", folder.as_uri())
    monkeypatch.setattr(wheels, "constraints", lambda: ["helper==1"])  # what is installed here, and was tried
    return folder


@pytest.fixture
def workshop(tmp_path):
    copy = write_copy(tmp_path / "a workshop")
    (copy / "requirements.txt").write_text("# what it runs on\n\nlesson==1  # and its helper\n")
    build = '[build-system]\nrequires = ["tinybackend>=1"]\nbuild-backend = "tinybackend"\n'
    (copy / "pyproject.toml").write_text(build)
    return copy


def names(folder):
    return sorted(path.name.partition("-py3")[0] for path in folder.glob("*.whl"))


def test_requirements_are_those_of_the_workshop_and_of_its_build(workshop):
    assert wheels.requirements(workshop) == ["lesson==1", "tinybackend>=1"]
    real = wheels.requirements()
    assert f"torch=={metadata.version('torch').partition('+')[0]}" in real
    assert any(each.startswith("setuptools") for each in real) and not any("#" in each for each in real)


def test_constraints_are_the_versions_that_are_installed():
    pins = dict(pin.split("==") for pin in wheels.constraints())
    assert pins["torch"] == metadata.version("torch")
    assert pins["sympy"] == metadata.version("sympy")  # which only torch names
    assert not {"optimizer-workshop", "pip", "setuptools"} & set(pins)


def test_a_class_without_network_installs_from_the_folder(index, workshop, capfd):
    other = write_wheel(workshop / "wheels", "torch", "9")  # fetched on another machine before: it stays
    other = other.rename(other.with_name("torch-9-cp313-cp313-win_amd64.whl"))
    assert wheels.main(["wheels"], root=workshop) == 0
    assert names(workshop / "wheels") == ["helper-1", "lesson-1", "tinybackend-1", other.name]
    note = (workshop / "wheels" / wheels.NOTE).read_text(encoding="utf-8")
    assert "4 files" in note and "cp313 win_amd64" in note
    assert str(workshop / "wheels") in capfd.readouterr().out
    shutil.rmtree(index)

    # As the note says, and in a folder with a space in its name; the build of the workshop itself is isolated.
    ran = start(workshop, "lab", PIP_NO_INDEX="1", PIP_FIND_LINKS="wheels")
    assert ran.code == 0, ran.err
    assert ran.handed.name == "jupyterlab.py"
    site = next((workshop / ".venv").glob("[Ll]ib/**/site-packages"))
    installed = {path.name.partition("-")[0] for path in site.glob("*-1.dist-info")}
    assert installed == {"lesson", "helper", "tiny"}


@pytest.mark.parametrize("missing", ["lesson-1", "helper-1", "tinybackend-1"])
def test_what_is_missing_is_told(index, workshop, missing, capfd):
    next(index.glob(f"{missing}-*")).unlink()
    assert wheels.main(["wheels"], root=workshop) == 2
    out, err = capfd.readouterr()  # pip tells what depends on what in its output
    said = err.strip().splitlines()[-1]
    assert said.startswith("workshop: ") and "not complete" in said and missing.partition("-")[0] in out + said
    assert not (workshop / "wheels" / wheels.NOTE).exists()


def test_a_package_in_source_form_is_not_taken(index, workshop):
    """It would be built in the classroom, with tools that are not there."""
    next(index.glob("helper-1-*")).unlink()
    source = index / "helper-1"
    source.mkdir()
    (source / "pyproject.toml").write_text('[project]\nname = "helper"\nversion = "1"\n')
    (source / "PKG-INFO").write_text("Metadata-Version: 2.1\nName: helper\nVersion: 1\n")
    shutil.make_archive(str(source), "gztar", index, "helper-1")
    assert wheels.main(["wheels"], root=workshop) == 2
    assert "helper-1" not in names(workshop / "wheels")


def test_a_folder_that_does_not_suffice_is_noticed(index, workshop, monkeypatch, capfd):
    """The check is by pip and by the folder alone, not by what pip said that it had downloaded."""
    pip = wheels.pip

    def forgetful(*words, **options):
        pip(*words, **options)
        if words[0] == "download":
            (workshop / "wheels/helper-1-py3-none-any.whl").unlink()

    monkeypatch.setattr(wheels, "pip", forgetful)
    assert wheels.main(["wheels"], root=workshop) == 2
    assert "helper" in capfd.readouterr().err.strip().splitlines()[-1]


def test_a_folder_that_cannot_be_made_is_told(index, workshop, capfd):
    (workshop / "wheels").write_text("a file")
    assert wheels.main(["wheels"], root=workshop) == 2
    said = capfd.readouterr().err
    assert said.startswith("workshop: ") and len(said.splitlines()) == 1


def test_the_note_names_every_kind_of_machine(tmp_path):
    for kind in ("cp311-cp311-manylinux_2_28_x86_64", "cp312-cp312-macosx_11_0_arm64"):
        (tmp_path / f"torch-2.13.0+cpu-{kind}.whl").write_bytes(b"0" * 1_500_000)
    note = wheels.note(Path(tmp_path))
    assert "    cp311 manylinux_2_28_x86_64\n    cp312 macosx_11_0_arm64\n" in note
    assert "2 files, 3 MB" in note and "PIP_NO_INDEX=1 PIP_FIND_LINKS=wheels python3 workshop.py lab" in note


def test_the_lock_decides_which_version_is_installed_and_a_file_with_another_hash_is_refused(index, workshop):
    (wheel,) = index.glob("helper-1-*.whl")
    right, other = hashlib.sha256(wheel.read_bytes()).hexdigest(), hashlib.sha256(b"").hexdigest()
    lock = workshop / "requirements.lock"
    lock.write_text(f"helper==1 --hash=sha256:{other}\n")
    refused = start(workshop, "lab", PIP_FIND_LINKS=index.as_uri())
    assert refused.code == 2 and refused.handed is None and "hash" in refused.err.lower()
    lock.write_text(f"helper==1 --hash=sha256:{right}\n")
    ran = start(workshop, "lab", PIP_FIND_LINKS=index.as_uri())
    assert ran.code == 0 and installed(workshop / ".venv", "helper")  # version 1; without the lock it would be 2
    assert "Installing" not in start(workshop, "lab", PIP_FIND_LINKS=index.as_uri()).out
    lock.write_text(f"helper==1 --hash=sha256:{right}\n# changed\n")
    assert "Installing" in start(workshop, "lab", PIP_FIND_LINKS=index.as_uri()).out
