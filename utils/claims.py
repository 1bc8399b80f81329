"""What a lesson claims: each experiment with its verdict and its evidence, noted as it is judged, listed at the end."""

from IPython.display import Markdown

from utils import replication
from utils.comparison import Comparison


class Claims(dict):
    """{claim: (verdict, evidence)}, in order. A cell that runs again replaces its own rows."""

    def __init__(self, lesson: str):
        super().__init__()
        self._lesson = lesson  # its number, such as "02d"

    def judge(self, claim: str, found: Comparison, *, unit: str = "") -> None:
        """Note and print the verdict of a comparison; `unit` says what its difference is measured in."""
        evidence = f"{found}, {unit}" if unit else str(found)
        self[claim] = found.verdict, evidence
        print(f"{claim}: {found.verdict}, {evidence}")

    def exact(self, claim: str, holds: bool, evidence: str) -> None:
        """Note whether an identity holds, which needs no seeds."""
        self[claim] = "exact" if holds else "refuted", evidence

    def verdict(self, claim: str) -> str:
        """Its word."""
        return self[claim][0]

    def table(self) -> Markdown:
        """Every claim with its evidence, and how often its verdict held on other seeds."""
        return replication.table([[claim, *row] for claim, row in self.items()], self._lesson)
