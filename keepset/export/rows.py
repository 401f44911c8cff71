"""The facts of a picture that travel with it, the same in every format."""

from __future__ import annotations

import csv
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from keepset.export.selection import FACTS, ExportedImage
from keepset.text import plain_cell

__all__ = ["COLUMNS", "ExportTable", "facts"]

COLUMNS = ("name", "label", "split", "is_valid", "sha256", "given_label", *FACTS)
_OURS = {"name", "label", "split", "is_valid", "sha256", "given_label"}


def facts(item: ExportedImage) -> dict[str, Any]:
    """JSON-ready: where it came from and whom to credit; what is not known is left out."""
    found = {"sha256": item.sha256, "given_label": item.given_label} | {k: getattr(item, k) for k in FACTS}
    return {k: v for k, v in found.items() if v is not None}


class ExportTable:
    """A CSV file, a row a picture. Texts of strangers that a spreadsheet would run as a formula are quoted."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("w", encoding="utf-8", newline="")
        self.rows = csv.DictWriter(self.file, COLUMNS, lineterminator="\n", restval="")
        self.rows.writeheader()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        self.file.close()

    def add(self, item: ExportedImage, name: str) -> None:
        ours = {
            "name": name,
            "label": item.label,
            "split": item.split,
            "is_valid": "True" if item.split == "valid" else "False",
        }
        theirs = {k: v if k in _OURS else _plain(v) for k, v in facts(item).items()}
        self.rows.writerow(theirs | ours)


def _plain(value: Any) -> Any:
    return plain_cell(value) if isinstance(value, str) else value
