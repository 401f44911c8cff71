"""A table of any format: its columns, its rows, and which column holds what."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from keepset.storage.localfiles import shown
from keepset.tables.cells import cell_text
from keepset.tables.columns import ALIASES, normal

__all__ = ["Table", "TableRow", "text_at"]

_SAMPLE = 200


@dataclass(frozen=True)
class TableRow:
    """``line``: its number in the file, from 1, for people. ``problem``: why it cannot be read as the others."""

    line: int
    cells: tuple[Any, ...]
    problem: str | None = None


@dataclass
class Table:
    """A table whose rows are read when asked for. ``columns`` is empty where the file is a plain list of lines."""

    path: Path
    columns: tuple[str, ...]
    read: Callable[[], Iterator[TableRow]]
    notes: list[str] = field(default_factory=list)
    chosen: dict[str, int | None] = field(default_factory=dict)

    def rows(self) -> Iterator[TableRow]:
        """Every row that is not blank. Raises ``SourceError``."""
        return self.read()

    def sample(self) -> list[TableRow]:
        return list(islice(self.read(), _SAMPLE))

    def candidates(self, role: str) -> list[int]:
        """The columns that a role's names fit, the most telling name first."""
        names = [normal(c) for c in self.columns]
        return [names.index(alias) for alias in ALIASES[role] if alias in names]

    def find(self, role: str, fits: Callable[[str], bool] | None = None) -> int | None:
        """The column of a role; of several the one whose cells fit best."""
        if role not in self.chosen:
            self.chosen[role] = self._choose(role, fits)
        return self.chosen[role]

    def _choose(self, role: str, fits: Callable[[str], bool] | None) -> int | None:
        found = self.candidates(role)
        if not found or not fits or len(found) == 1:
            return found[0] if found else None
        sample = self.sample()
        share = {c: sum(fits(text_at(r, c)) for r in sample) for c in found}
        return max(found, key=lambda c: (share[c], -found.index(c)))

    def announce(self, role: str, meaning: str) -> None:
        """Note which column was taken for a role, unless it is the only one and has the role's own name."""
        column = self.find(role)
        if column is not None and (len(self.candidates(role)) > 1 or normal(self.columns[column]) != role):
            self.notes.append(f"{shown(self.path.name)}: the {meaning} is in the column '{self.columns[column]}'.")

    def text(self, row: TableRow, role: str) -> str:
        """The cell of a role as text; "" where there is no such column or nothing in it."""
        column = self.find(role)
        return "" if column is None else text_at(row, column)


def text_at(row: TableRow, column: int) -> str:
    """A cell as text; "" where the row ends before it."""
    return cell_text(row.cells[column]) if column < len(row.cells) else ""
