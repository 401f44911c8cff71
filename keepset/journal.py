"""Journals: what a stage has finished, one JSON row a line, so that a kill loses nothing that was done.

The batches' decision log (``keepset.review.log``) is another thing: there each line counts as a version, so a torn
one stays; here it is cut off, and its item is done again.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from keepset.files import mend_tail

__all__ = ["append_to", "read"]

Row = dict[str, Any]


def read(path: Path, key: str) -> dict[str, Row]:
    """The last row of each ``key``; a line cut by a kill is no row."""
    done: dict[str, Row] = {}
    if path.exists():
        with path.open(encoding="utf-8") as f:
            for line in f:
                if line.endswith("\n"):
                    row = json.loads(line)
                    done[row[key]] = row
    return done


@contextlib.contextmanager
def append_to(path: Path) -> Iterator[Callable[[Row], None]]:
    """Yield a function that appends one row. Each row leaves this process at once, so only a power cut can lose it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    mend_tail(path)
    with path.open("a", encoding="utf-8") as log:

        def append(row: Row) -> None:
            log.write(json.dumps(row) + "\n")
            log.flush()

        yield append
