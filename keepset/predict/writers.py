"""Rows of predictions for scripts: JSON lines or CSV."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from typing import TextIO

from keepset.predict.files import Row
from keepset.text import no_formula

__all__ = ["write_csv", "write_json_lines"]

_FLAT = ("input", "status", "label", "probability", "outcome", "unfamiliar", "distance", "model_id", "reason", "detail")


def write_json_lines(rows: Iterable[Row], out: TextIO) -> None:
    """One JSON object a line, each as soon as it is known."""
    for row in rows:
        out.write(json.dumps(row.as_dict(), ensure_ascii=False) + "\n")
        out.flush()


def write_csv(rows: Iterable[Row], out: TextIO) -> None:
    """The flat columns, and ``probabilities`` as JSON. A name that a spreadsheet would run is behind an apostrophe."""
    table = csv.DictWriter(out, [*_FLAT, "probabilities"], lineterminator="\n")
    table.writeheader()
    for row in rows:
        flat = {k: no_formula(v) if isinstance(v, str) else v for k, v in row.as_dict().items()}
        table.writerow(flat | {"probabilities": json.dumps(flat["probabilities"], ensure_ascii=False)})
