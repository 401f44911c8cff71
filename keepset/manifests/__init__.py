"""Reading and writing manifests: the only module that touches their Parquet files.

A manifest is written to a temporary file, synced, and renamed: a reader sees the old one or the new one,
never half of one. The file's metadata holds, as JSON under the key ``keepset``: the schema's name and
version, the stage that wrote it, its fingerprint (same fingerprint: nothing to do again), its parents'
content hashes, the run config, and the manifest's own content hash over its stable columns.
"""

from __future__ import annotations

from keepset.manifests.reading import (
    Header,
    Manifest,
    batches,
    each,
    fingerprint,
    picked,
    read,
    read_header,
    table,
    up_to_date,
)
from keepset.manifests.tables import content_hash, table_from_rows
from keepset.manifests.writing import Writer, write, writing

__all__ = [
    "Header",
    "Manifest",
    "Writer",
    "batches",
    "content_hash",
    "each",
    "fingerprint",
    "picked",
    "read",
    "read_header",
    "table",
    "table_from_rows",
    "up_to_date",
    "write",
    "writing",
]
