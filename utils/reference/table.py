"""A table of words that reads well in a notebook and in a terminal."""

from dataclasses import dataclass

from tabulate import tabulate


@dataclass(frozen=True)
class Table:
    """Rows of text under headers: Markdown in a notebook, aligned columns elsewhere. Cells may hold Markdown.

    `note` is a line below them.
    """

    headers: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""

    def without(self, header: str) -> "Table":
        """The table without a column that a lesson still asks for. Raises ValueError if it has none of that name."""
        if header not in self.headers:
            raise ValueError(f"the table has no column {header!r}; it has {list(self.headers)}")
        k = self.headers.index(header)
        headers, *rows = (row[:k] + row[k + 1 :] for row in (self.headers, *self.rows))
        return Table(headers, tuple(rows), self.note)

    def _repr_markdown_(self) -> str:
        rows = [[cell.replace("|", "\\|") for cell in row] for row in self.rows]
        return self._with_note(tabulate(rows, self.headers, "pipe"))

    def __repr__(self) -> str:
        rows = [[cell.replace("`", "") for cell in row] for row in self.rows]
        return self._with_note(tabulate(rows, self.headers, "simple", disable_numparse=True))

    def _with_note(self, table: str) -> str:
        return f"{table}\n\n{self.note}" if self.note else table
