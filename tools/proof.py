"""Run the tests: `python -m tools.proof [NUMBER ...] [OPTIONS] [-- pytest arguments]`, without a number all of them.

With numbers only what belongs to those lessons runs: the notebook through nbval, the checks of its exercises, its lab.
With `--torch 2.14.1`, `--torch newest` or `--python 3.12` it runs in an environment of its own: tools/other_torch.py.
With --colab nothing runs but the cells and the labs, with the versions that Google Colab has.
"""

import argparse
import ast
import json
import re
import subprocess
import sys
from pathlib import Path

from tools.installation import InstallationTrouble
from tools.notebooks import UnknownLesson, find_all
from tools.other_torch import prove

ROOT = Path(__file__).resolve().parent.parent


def tests_of(lesson: Path, *, root: Path = ROOT) -> list[str]:
    """The notebook, and the files of tests for the checks and the lab that its cells call; relative to `root`."""
    from IPython.core.inputtransformer2 import TransformerManager  # these here: `--help` need not wait for them

    from utils import checks, labs

    called, shown = set(), set()
    for cell in json.loads(lesson.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            for node in ast.walk(ast.parse(TransformerManager().transform_cell("".join(cell["source"])))):
                name = getattr(node, "attr", getattr(node, "id", None))
                called |= {name} & set(checks.__all__)
                if isinstance(node, ast.Attribute) and ast.unparse(node.value) == "labs":
                    shown.add(name)
    wanted = [_mirror(getattr(checks, name).__module__) for name in sorted(called)]
    wanted += [f"tests/labs/test_{getattr(labs, name).__module__.split('.')[2]}*.py" for name in sorted(shown)]
    wanted = dict.fromkeys(wanted)
    found = [path for pattern in wanted for path in sorted(root.glob(pattern))]
    return [str(path.relative_to(root)) for path in (lesson, *found)]


def _mirror(module: str) -> str:
    """Where the tests of a module of utils stand: utils.checks.concepts → tests/checks/test_concepts.py."""
    _utils, *rooms, name = module.split(".")
    return "/".join(["tests", *rooms, f"test_{name}.py"])


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> int:
    """Run pytest and return its exit code; 2 if there is no lesson with one of the numbers."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    cut = arguments.index("--") if "--" in arguments else len(arguments)
    parser = argparse.ArgumentParser(prog="workshop.py test", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("number", nargs="*", help="of a lesson, such as 1, 01 or 02a; none: everything")
    parser.add_argument("--quick", action="store_true", help="leave out what needs a browser")
    parser.add_argument(
        "--torch", default="", metavar="VERSION", help="such as 2.14.1, or newest: runs all cells with it"
    )
    parser.add_argument("--python", default="", metavar="VERSION", help="such as 3.12: runs all cells with it")
    parser.add_argument("--colab", action="store_true", help="only the cells and the labs, as on Google Colab")
    options = parser.parse_args(arguments[:cut])
    if options.colab:
        return subprocess.call([sys.executable, "-m", "tests.colab", *options.number], cwd=root)
    extra = arguments[cut + 1 :]
    try:
        paths = [path for lesson in find_all(options.number) for path in tests_of(lesson)] if options.number else []
    except UnknownLesson as trouble:
        print(f"workshop: {trouble}", file=sys.stderr)
        return 2
    workers = [] if any(re.match(r"-n|--numprocesses", word) for word in extra) else ["-n", "auto"]
    if options.torch or options.python:
        try:
            return prove(options.torch, options.python, [*workers, *dict.fromkeys(paths), *extra])
        except InstallationTrouble as trouble:
            print(f"workshop: {trouble}", file=sys.stderr)
            return 2
    quick = ["-m", "not browser"] if options.quick else []
    return subprocess.call([sys.executable, "-m", "pytest", *workers, *quick, *dict.fromkeys(paths), *extra], cwd=root)


if __name__ == "__main__":
    sys.exit(main())
