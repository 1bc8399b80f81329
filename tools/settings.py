"""What JupyterLab is told for the workshop, in the environment of the Python that runs it: `python -m tools.settings`.

The launcher writes it at every set-up; without the launcher, on a hub for example, that command does the same. No news,
no question for updates, since a lesson needs no network; no button that starts a page by chance; a notebook is saved
every ten seconds.
"""

# Standard library only: the launcher imports it before anything is installed.

import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

SETTINGS = {  # file in the environment → what JupyterLab reads there
    "etc/jupyter/jupyter_lab_config.json": {
        "LabApp": {"news_url": None, "check_for_updates_class": "jupyterlab.NeverCheckForUpdate"},
    },
    "share/jupyter/lab/settings/overrides.d/workshop.json": {
        # news_url alone does not stop the page asking for news
        "@jupyterlab/apputils-extension:notification": {"fetchNews": "false"},
        # A tab that is closed by chance, or a computer that sleeps, then costs a few seconds of work, not two minutes.
        "@jupyterlab/docmanager-extension:plugin": {"autosaveInterval": 10},
        # A second thread for sliders would answer them while a cell runs, but a quarter later at all other times.
        "@jupyterlab/apputils-extension:kernels-settings": {"commsOverSubshells": "disabled"},
    },
    # Voilà comes with the slides; its button would start a page of its own by chance.
    "etc/jupyter/labconfig/page_config.d/workshop.json": {
        "disabledExtensions": {"@voila-dashboards/jupyterlab-preview": True}
    },
}


def write(env: Path) -> list[Path]:
    """Write the settings into an environment and return the files; what else stands in one of them stays.

    A file that holds no settings, since a disk was full, say, is put aside as `….damaged`.
    """
    for name, settings in SETTINGS.items():
        file = env / name
        file.parent.mkdir(parents=True, exist_ok=True)
        present = _read(file, settings)
        if present is None:
            os.replace(file, f"{file}.damaged")
        present = present or {}
        merged = {section: {**present.get(section, {}), **values} for section, values in settings.items()}
        scratch = file.with_name(f".{file.name}.{os.getpid()}")
        try:
            scratch.write_text(json.dumps({**present, **merged}, indent=1), encoding="utf-8")
            os.replace(scratch, file)
        finally:
            scratch.unlink(missing_ok=True)
    return [env / name for name in SETTINGS]


def _read(file: Path, sections: Iterable[str]) -> dict | None:
    """What it holds; None if that is no settings, or one of these sections is none."""
    if not file.is_file():
        return {}
    with suppress(ValueError):
        held = json.loads(file.read_text(encoding="utf-8-sig"))
        if isinstance(held, dict) and all(isinstance(held.get(each, {}), dict) for each in sections):
            return held
    return None


if __name__ == "__main__":
    print("JupyterLab's settings for the workshop:", *write(Path(sys.prefix)), sep="\n")
