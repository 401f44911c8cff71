"""Rows of predictions for scripts: JSON lines, CSV or Parquet."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from keepset.files import atomic_path
from keepset.predict.files import Row
from keepset.text import no_formula

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["write_csv", "write_json_lines", "write_parquet"]

_FLAT = (
    "input", "status", "label", "probability", "outcome", "unfamiliar", "distance", "model_id", "reason", "detail",
)  # fmt: skip


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


def write_parquet(rows: Iterable[Row], path: Path) -> None:
    """One file, whole or not at all; ``probabilities`` is a map from class to probability."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pylist([_mapped(r) for r in rows], _schema())
    with atomic_path(path) as part, part.open("wb") as file:  # Arrow itself takes no name that is no UTF-8
        pq.write_table(table, file, compression="zstd")


def _mapped(row: Row) -> dict[str, Any]:
    flat = row.as_dict()
    probabilities = flat["probabilities"]
    return flat | {"probabilities": None if probabilities is None else list(probabilities.items())}


def _schema() -> pa.Schema:
    import pyarrow as pa

    kinds: dict[str, Any] = dict.fromkeys(_FLAT, pa.string()) | {
        "probability": pa.float64(), "distance": pa.float64(), "unfamiliar": pa.bool_(),
    }  # fmt: skip
    return pa.schema([*kinds.items(), ("probabilities", pa.map_(pa.string(), pa.float64()))])
