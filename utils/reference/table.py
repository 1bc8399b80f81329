"""A table of words that reads well in a notebook and in a terminal."""

from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Table:
    """Rows of text under headers: Markdown in a notebook, aligned columns elsewhere. Cells may hold Markdown."""

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]

    def _repr_markdown_(self) -> str:
        return tabulate([[cell.replace("|", "\\|") for cell in row] for row in self.rows], self.headers, "pipe")

    def __repr__(self) -> str:
        rows = [[cell.replace("`", "") for cell in row] for row in self.rows]
        return tabulate(rows, self.headers, "simple", disable_numparse=True)
