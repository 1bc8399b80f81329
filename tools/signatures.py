"""Tell where the arguments of torch's optimizers and schedulers are not the stored ones: `python -m tools.signatures`.

The exit code is 1 where something differs. With `--store` those of the installed torch are stored instead.
"""

import argparse
import json
import sys

from utils.reference.optimizers import optimizer_classes
from utils.reference.schedulers import scheduler_classes
from utils.reference.versions import FILE, INSTALLED, arguments_of, stored
from utils.reference.versions import differences as differences_of


def installed() -> dict:
    """What signatures.json holds if it is made from the installed torch."""
    kinds = {"optimizer": optimizer_classes(), "scheduler": scheduler_classes()}
    found = {kind: {name: arguments_of(of) for name, of in classes.items()} for kind, classes in kinds.items()}
    return {"torch": INSTALLED, **found}


def differences() -> list[str]:
    """A few words on each."""
    return differences_of("optimizer", optimizer_classes()) + differences_of("scheduler", scheduler_classes())


def main(arguments: list[str] | None = None) -> int:
    """Tell, or store."""
    parser = argparse.ArgumentParser(prog="python -m tools.signatures", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--store", action="store_true", help=f"write {FILE.name}")
    if parser.parse_args(arguments).store:
        FILE.write_text(json.dumps(installed(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return 0
    found = differences()
    print(
        f"The arguments of torch {INSTALLED} beside those of torch {stored()['torch']}:",
        *(found or ["all the same"]),
        sep="\n  ",
    )
    return bool(found)


if __name__ == "__main__":
    sys.exit(main())
