"""The standing court: `python -m tests.third_party` leads 190 optimizers of eight packages before every judge.

It installs the packages of requirements.txt into build/third_party, which nothing else uses, and prints a table of
what each judge says. It takes some minutes; the tests take a fixed sample, in CI and where the packages are there.
With names of judges it asks these only; the whole goes to build/third_party.json. Exits with 1 if a judge is wrong.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

from tabulate import tabulate

ROOT = Path(__file__).parents[2]
FOLDER, PINS = ROOT / "build" / "third_party", Path(__file__).with_name("requirements.txt")


def install() -> Path:
    """The folder that holds the packages, installed anew if the pins have changed."""
    pins, stamp = hashlib.sha256(PINS.read_bytes()).hexdigest(), FOLDER / "pins"
    if not stamp.exists() or stamp.read_text() != pins:
        pip = [
            sys.executable,
            "-m",
            "pip",
            "install",
            "--no-deps",
            "--upgrade",
            "--target",
            str(FOLDER),
            "-r",
            str(PINS),
        ]
        subprocess.run(pip, check=True)
        stamp.write_text(pins)
    return FOLDER


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.third_party", description=__doc__.partition("\n")[0])
    parser.add_argument("judges", nargs="*", help="sweep, examiner, descend, race; all if none is named")
    parser.add_argument("--only", default="", help="only optimizers whose name holds this")
    parser.add_argument("--json", type=Path, default=ROOT / "build" / "third_party.json", help="where all words go")
    options = parser.parse_args(arguments)
    sys.path.append(str(install()))
    import torch

    from tests.third_party.contenders import contenders
    from tests.third_party.judges import JUDGES, judged

    if unknown := set(options.judges) - set(JUDGES):
        parser.error(f"no judge {', '.join(sorted(unknown))}; there are {', '.join(JUDGES)}")
    torch.set_num_threads(1)
    names = options.judges or list(JUDGES)
    words = {}
    for optimizer, make in contenders().items():
        if options.only in optimizer:
            words[optimizer] = {name: judged(name, make) for name in names}
            print(optimizer, *words[optimizer].values(), sep=" | ", flush=True)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(json.dumps(words, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    short = [[optimizer, *(word.partition(":")[0] for word in said.values())] for optimizer, said in words.items()]
    print("\n" + tabulate(short, headers=["optimizer", *names], tablefmt="github") + "\n")
    for name in names:
        kinds = Counter(said[name].partition(":")[0].partition(" to ")[0] for said in words.values())
        print(f"{name}:", "; ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    return int(any(word.startswith("WRONG") for said in words.values() for word in said.values()))


if __name__ == "__main__":
    sys.exit(main())
