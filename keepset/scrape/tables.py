"""Tables of local pictures: CSV files with the columns name and label, such as fast.ai's ``cleaned.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from keepset.errors import SourceError
from keepset.reasons import Split
from keepset.scrape.found import Found

__all__ = ["read_rows", "read_table"]

_SIDES = {
    "train": Split.TRAIN,
    "valid": Split.VALID,
    "val": Split.VALID,
    "validation": Split.VALID,
    "test": Split.TEST,
}
_FACTS = ("title", "creator", "license", "license_url", "landing_page")


def read_table(path: str, label: str) -> Iterator[Found]:
    """The rows of one class. A name is relative to the table's own folder; one that leads out of it is no picture.

    Raises ``SourceError``.
    """
    root = Path(path).resolve().parent
    for rank, (row, _) in enumerate(read_rows(Path(path))):
        if row["label"].strip() != label:
            continue
        file = (root / row["name"]).resolve()
        url = file.as_uri() if file.is_relative_to(root) and "\0" not in row["name"] else row["name"]
        facts = {k: row.get(k) or None for k in _FACTS}
        yield Found(url, "table", path, rank, **facts)  # type: ignore[arg-type]


def read_rows(path: Path) -> Iterator[tuple[dict[str, str], Split | None]]:
    """Each row, and the side it gives: by a column ``split``, or ``is_valid``, if there is one."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as f:
            rows = csv.DictReader(f)
            missing = {"name", "label"} - set(rows.fieldnames or ())
            if missing:
                raise SourceError(
                    f"The table {path} has no column '{min(missing)}'.",
                    "It needs the columns name (of the file) and label, as fast.ai's cleaned.csv has them.",
                )
            for row in rows:
                if row["name"] and row["label"]:
                    yield row, _side(row)
    except OSError as e:
        raise SourceError(f"The table {path} cannot be read: {e}.", "Check the file.") from e
    except csv.Error as e:
        raise SourceError(f"The table {path} is no CSV: {e}.", "Check the file.") from e


def _side(row: dict[str, str]) -> Split | None:
    if row.get("split"):
        return _SIDES.get(row["split"].strip().lower())
    is_valid = (row.get("is_valid") or "").strip().lower()
    return {"true": Split.VALID, "1": Split.VALID, "false": Split.TRAIN, "0": Split.TRAIN}.get(is_valid)
