"""Imports run one way, and no lesson imports what the launcher runs; import-linter keeps the contracts."""

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from IPython.core.inputtransformer2 import TransformerManager

ROOT = Path(__file__).resolve().parents[1]
LINT = [
    sys.executable,
    "-c",
    "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))",
]


def lint(folder: Path) -> subprocess.CompletedProcess:
    return subprocess.run(LINT, cwd=folder, capture_output=True, text=True)


def test_the_layers_are_kept():
    found = lint(ROOT)
    assert found.returncode == 0, found.stdout


@pytest.mark.parametrize(
    ("file", "line", "broken"),
    [
        ("utils/surfaces.py", "from utils import plots", "Imports in utils run from the labs down"),
        ("utils/descent.py", "def later():\n    import utils.labs.race", "Imports in utils run from the labs down"),
        ("utils/new_room.py", "", "Imports in utils run from the labs down"),  # it is on no floor yet
        ("utils/labs/shell.py", "def later():\n    from utils.labs import race", "No import runs in a circle"),
        ("utils/training.py", "from tools import refresh", "knows nothing of the launcher"),
    ],
)
def test_a_wrong_import_is_seen(tmp_path, file, line, broken):
    for folder in ("utils", "tools"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    with (tmp_path / file).open("a", encoding="utf-8") as module:
        module.write(f"\n{line}\n")
    found = lint(tmp_path)
    assert found.returncode and f"{broken} BROKEN" in found.stdout, found.stdout


@pytest.mark.parametrize("path", sorted((ROOT / "notebooks").glob("*.ipynb")), ids=lambda path: path.stem)
def test_no_lesson_imports_the_tools(path):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            tree = ast.parse(TransformerManager().transform_cell("".join(cell["source"])))
            imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
            named = [alias.name for node in imports for alias in node.names]
            named += [node.module or "" for node in imports if isinstance(node, ast.ImportFrom)]
            assert not [name for name in named if name.split(".")[0] in ("tools", "tests")], cell["id"]
