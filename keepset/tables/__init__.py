"""The one reader of tables: CSV, TSV, text, JSON, JSON lines, Excel and Parquet, as people and tools write them.

What had to be guessed (encoding, separator, header, which column holds what) is in ``Table.notes``, to be shown.
"""

from __future__ import annotations

from pathlib import Path

from keepset.errors import SourceError
from keepset.tables.cells import is_web_address
from keepset.tables.table import Table, TableRow, text_at

__all__ = ["Table", "TableRow", "is_web_address", "open_table", "text_at"]


def open_table(path: Path) -> Table:
    """Look at a file and say what it is. Raises ``SourceError``: unreadable, damaged, or not a table at all."""
    from keepset.tables import structured, textual

    try:
        with path.open("rb") as f:
            head = f.read(4096)
        if (kind := structured.kind_of(head, path)) is not None:
            return structured.opened(path, kind)
        return textual.opened(path)
    except OSError as e:
        raise SourceError(f"{path} cannot be read: {e.strerror or e}.", "Check the file.") from e
