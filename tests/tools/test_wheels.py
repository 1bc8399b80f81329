"""The wheel house: pip itself downloads, resolves and installs, from a folder of tiny wheels in place of an index."""

import functools
import hashlib
import http.server
import os
import shutil
import sys
import threading
import urllib.request
import zipfile
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.tools.test_launcher import (
    BACKEND,
    OUTSIDE,
    bare,
    bare_with_uv,
    by_pip_only,
    by_uv_only,
    copy_environment,
    installed,
    installer,
    packages,
    pinned_uv,
    start,
    surroundings,
    write_copy,
)
from tools import installation, wheels

__all__ = ["bare", "bare_with_uv", "installer", "pinned_uv"]  # fixtures


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
def environment(request, installer):
    """What the installer finds: only its own program is there."""
    return request.getfixturevalue("bare_with_uv" if installer else "bare")


@pytest.fixture
def workshop(tmp_path, index, installer, environment):
    """A copy with an environment; it pins uv, if it does, in the index, too."""
    place, _, pin = installer.rpartition("\n")[0].partition("\n")
    if pin:
        (wheel,) = Path(urllib.request.url2pathname(place.partition("file://")[2])).glob("uv-*.whl")
        shutil.copytree(wheel.parent, tmp_path / "uv")
        shutil.copy(wheel, index)
    copy = write_copy(tmp_path / "a workshop", pin)
    copy_environment(environment, copy / ".venv")
    (copy / "requirements.txt").write_text("# what it runs on\n\nlesson==1  # and its helper\n")
    build = '[build-system]\nrequires = ["tinybackend>=1"]\nbuild-backend = "tinybackend"\n'
    (copy / "pyproject.toml").write_text(build)
    return copy


def names(folder):
    return sorted(path.name.partition("-py3")[0] for path in folder.glob("*.whl"))


@by_pip_only
def test_requirements_are_those_of_the_workshop_and_of_its_build(workshop):
    assert wheels.requirements(workshop) == ["lesson==1", "tinybackend>=1"]
    real = wheels.requirements()
    assert f"torch=={metadata.version('torch').partition('+')[0]}" in real
    assert any(each.startswith("setuptools") for each in real) and not any("#" in each for each in real)


def test_constraints_are_the_versions_that_are_installed():
    pins = dict(pin.split("==") for pin in wheels.constraints())
    assert pins["torch"] == metadata.version("torch")
    assert pins["sympy"] == metadata.version("sympy")  # which only torch names
    assert pins["setuptools"] == metadata.version("setuptools")  # in the lock, since torch names it
    assert not {"optimizer-workshop", "pip"} & set(pins)


def test_a_class_without_network_installs_from_the_folder(index, workshop, bare, capfd):
    shutil.rmtree(workshop / ".venv")
    copy_environment(bare, workshop / ".venv")  # uv comes from the folder, too
    other = write_wheel(workshop / "wheels", "torch", "9")  # fetched on another machine before: it stays
    other = other.rename(other.with_name("torch-9-cp313-cp313-win_amd64.whl"))
    assert wheels.main(["wheels"], root=workshop) == 0
    uv = names(index.parent / "uv")
    assert names(workshop / "wheels") == ["helper-1", "lesson-1", "tinybackend-1", other.name, *uv]
    note = (workshop / "wheels" / wheels.NOTE).read_text(encoding="utf-8")
    assert f"{4 + len(uv)} files" in note and "cp313 win_amd64" in note
    assert str(workshop / "wheels") in capfd.readouterr().out
    shutil.rmtree(index)

    # As the note says, and in a folder with a space in its name; the build of the workshop itself is isolated.
    ran = start(workshop, "lab", PIP_NO_INDEX="1", PIP_FIND_LINKS="wheels")
    assert ran.code == 0, ran.err
    assert bool(packages(workshop / ".venv", "uv-*")) == bool(uv) and "pip tries" not in ran.out
    assert ran.handed.name == "jupyterlab.py"
    site = next((workshop / ".venv").glob("[Ll]ib/**/site-packages"))
    installed = {path.name.partition("-")[0] for path in site.glob("*-1.dist-info")}
    assert installed == {"lesson", "helper", "tiny"}


@by_pip_only
@pytest.mark.parametrize("missing", ["lesson-1", "helper-1", "tinybackend-1"])
def test_what_is_missing_is_told(index, workshop, missing, capfd):
    next(index.glob(f"{missing}-*")).unlink()
    assert wheels.main(["wheels"], root=workshop) == 2
    out, err = capfd.readouterr()  # pip tells what depends on what in its output
    said = err.strip().splitlines()[-1]
    assert said.startswith("workshop: ") and "not complete" in said and missing.partition("-")[0] in out + said
    assert not (workshop / "wheels" / wheels.NOTE).exists()


@by_pip_only
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


@by_pip_only
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


@by_pip_only
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
    # Nor do uv's own settings change that, from variables or from files.
    astray = {"UV_NO_VERIFY_HASHES": "1", "UV_NO_INDEX": "0", "UV_FIND_LINKS": "nowhere", "UV_CONFIG_FILE": "nowhere"}
    with (workshop / "pyproject.toml").open("a") as file:
        file.write("[tool.uv.pip]\nrequire-hashes = false\nverify-hashes = false\n")
    refused = start(workshop, "lab", PIP_FIND_LINKS=index.as_uri(), **astray)
    assert refused.code == 2 and refused.handed is None and "hash" in refused.err.lower()
    lock.write_text(f"helper==1 --hash=sha256:{right}\n")
    ran = start(workshop, "lab", PIP_FIND_LINKS=index.as_uri(), **astray)
    assert "pip tries" not in ran.out
    assert ran.code == 0 and installed(workshop / ".venv", "helper")  # version 1; without the lock it would be 2
    assert "Setting up" not in start(workshop, "lab", PIP_FIND_LINKS=index.as_uri()).out
    lock.write_text(f"helper==1 --hash=sha256:{right}\n# changed\n")
    assert "Setting up" in start(workshop, "lab", PIP_FIND_LINKS=index.as_uri()).out


@by_pip_only
def test_a_package_that_an_interrupted_start_left_half_made_is_installed_again(index, workshop):
    """Its description is there, so that pip and uv would take it for installed; what they write last is not."""
    write_wheel(index, "helper", "1", files={"helper.py": "whole = True"})
    (workshop / "requirements.txt").write_text("helper==1\n")
    assert start(workshop, "lab", PIP_FIND_LINKS=index.as_uri()).code == 0
    (package,) = packages(workshop / ".venv", "helper-1")
    module = package.parent / "helper.py"
    (package / "INSTALLER").unlink()
    module.unlink()
    (workshop / ".venv/workshop-set-up").write_text("unfinished")
    assert start(workshop, "lab", PIP_FIND_LINKS=index.as_uri()).code == 0
    assert module.read_text() == "whole = True" and (package / "INSTALLER").exists()


@by_uv_only
def test_a_file_of_pips_settings_holds_for_uv(index, workshop, tmp_path):
    """As on a machine that only knows the index of its house, where somebody holds a version back."""
    (tmp_path / "held-back.txt").write_text("helper<2\n")
    settings = f"no-index = true\nfind-links = {index.as_uri()}\nconstraint = {tmp_path / 'held-back.txt'}\n"
    (tmp_path / "pip.conf").write_text(f"[global]\n{settings}")
    (workshop / "requirements.txt").write_text("helper\n")
    ran = start(workshop, "lab", PIP_CONFIG_FILE=str(tmp_path / "pip.conf"), PIP_NO_INDEX="true")
    assert ran.code == 0, ran.out + ran.err
    assert installed(workshop / ".venv", "helper") and "pip tries" not in ran.out and "pip installs" not in ran.out


# torch's build


class Index(http.server.SimpleHTTPRequestHandler):
    """Files of a folder; what is not there is 404, as on an index."""

    def log_message(self, *_):
        pass


@pytest.fixture
def served(tmp_path):
    """An index of its own for the CPU build, as torch has it, and a local file for the usual one."""
    usual, cpu = tmp_path / "usual", tmp_path / "served/cpu/torch"
    write_wheel(usual, "torch", "1")
    cpu.mkdir(parents=True)
    wheel = write_wheel(cpu, "torch", "1+cpu")
    (cpu / "index.html").write_text(f'<a href="{wheel.name.replace("+", "%2B")}">{wheel.name}</a>')
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Index, directory=str(tmp_path / "served"))
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", usual
        server.shutdown()


on_linux = pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the usual build is the one for the CPU")


@on_linux
def test_torch_comes_in_its_cpu_build_where_there_is_no_gpu(tmp_path, served, installer, environment):
    address, usual = served
    copy = write_copy(tmp_path / "copy", installer)
    copy_environment(environment, copy / ".venv")
    (copy / "requirements.txt").write_text("torch==1\n")
    module = copy / "tools/installation.py"
    source = module.read_text().replace("https://download.pytorch.org/whl/cpu", f"{address}/cpu")
    for usual_one, ours in (("/dev/nvidiactl", "none"), ("/dev/dxg", "none"), ("ANSWER = 4 ", "ANSWER = 60 ")):
        assert usual_one in source
        source = source.replace(usual_one, ours)
    module.write_text(source)
    settings = {"PIP_NO_INDEX": "0", "PIP_INDEX_URL": f"{address}/empty", "PIP_FIND_LINKS": usual.as_uri()}
    ran = start(copy, "lab", **settings)
    assert ran.code == 0, ran.out + ran.err
    assert packages(copy / ".venv", "torch-1+cpu") and "pip tries" not in ran.out, ran.out
    assert "No NVIDIA GPU here" in ran.out and "WORKSHOP_TORCH=any" in ran.out
    (package,) = packages(copy / ".venv", "torch-1+cpu")
    (package / "INSTALLER").unlink()  # as if that start had been interrupted while torch was unpacked
    (copy / ".venv/workshop-set-up").write_text("unfinished")
    again = start(copy, "lab", **settings)
    assert again.code == 0 and "No NVIDIA GPU here" in again.out, again.out + again.err
    assert packages(copy / ".venv", "torch-1+cpu")


def test_ctrl_c_ends_what_takes_long_to_clean_up_and_is_still_ctrl_c(monkeypatch):
    def interrupted(said):
        raise KeyboardInterrupt

    monkeypatch.setattr(installation, "CLEANING", 0.01)
    monkeypatch.setattr(installation, "PAUSES", {True: 0.01, False: 0.01})
    with pytest.raises(KeyboardInterrupt):
        installation.step("waits", sys.executable, "-c", "import time; time.sleep(60)", count=interrupted)


def test_what_a_python_prints_is_read_whatever_encoding_the_system_has(monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "latin-1")
    assert installation.ask(Path(sys.executable), "-c", "print('Jürgen')") == "Jürgen"


@on_linux
@pytest.mark.parametrize(
    ("place", "settings", "variable", "gpu", "told"),
    [
        ("cpu", {"index-url": "https://a"}, "", False, "No NVIDIA GPU here"),
        ("cpu", {}, "", True, ""),
        ("cpu", {}, "any", False, ""),
        ("cpu", {"extra-index-url": "http://127.0.0.1:9/pytorch.org/cu130"}, "", False, ""),
        ("cpu", {"no-index": "1"}, "", False, ""),
        ("gone", {"index-url": "https://a"}, "", False, "cannot be reached"),
    ],
    ids=["no GPU", "a GPU", "asked for", "an index of torch's in pip's settings", "no index", "index out of reach"],
)
def test_the_index_of_the_cpu_build_is_added_where_nobody_has_decided(
    served, monkeypatch, capsys, place, settings, variable, gpu, told
):
    address = f"{served[0]}/{place}"
    monkeypatch.setattr(installation, "CPU_TORCH", address)
    monkeypatch.setattr(installation, "ANSWER", 60)  # beside other tests a Python may start late
    monkeypatch.setattr(installation, "HAS_GPU", gpu)
    monkeypatch.setenv("WORKSHOP_TORCH", variable)
    variables = surroundings()
    installers = SimpleNamespace(settings=settings, pip=[OUTSIDE], variables=variables)
    added = installation.torch_from(installers)
    assert added == ([f"--extra-index-url={address}"] if told == "No NVIDIA GPU here" else [])
    said = capsys.readouterr().out
    assert told in said if told else not said
