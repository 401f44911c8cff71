"""The layout of Hugging Face datasets: Parquet files with the pictures' bytes, and a card that names the splits.

``datasets.load_dataset("FOLDER")`` reads it; its split names are used, so ``valid`` becomes ``validation``.
Types: https://huggingface.co/docs/datasets/about_dataset_features
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from keepset.export.originals import Originals
from keepset.export.selection import FACTS, ExportedImage, Selection
from keepset.stages import Progress

__all__ = ["SHARD_BYTES", "SPLITS", "front_matter", "write_huggingface"]

SHARD_BYTES = 500_000_000
"""Size from which a new file is begun."""
_GROUP_BYTES = 32_000_000
SPLITS = {"train": "train", "valid": "validation", "test": "test"}
_NUMBERS = {"width": "int32", "height": "int32", "bytes": "int64"}
_TEXTS = ("sha256", "given_label", *(c for c in FACTS if c not in _NUMBERS))


def write_huggingface(folder: Path, chosen: Selection, originals: Originals, progress: Progress) -> list[str]:
    """``data/<split>-00000-of-00002.parquet`` ...: image, label, and the sources."""
    (folder / "data").mkdir()
    schema = _schema(chosen.labels)
    for split in chosen.splits:
        _write_split(folder / "data" / SPLITS[split], _rows(chosen, split, originals, progress), schema)
    return []


def _rows(chosen: Selection, split: str, originals: Originals, progress: Progress) -> Iterator[dict[str, Any]]:
    numbers = {label: i for i, label in enumerate(chosen.labels)}
    for item in chosen.items(split):
        name, data = originals.read(item)
        yield _row(item, numbers[item.label], name, data)
        progress.advance()


def _row(item: ExportedImage, label: int, name: str, data: bytes) -> dict[str, Any]:
    more = {c: getattr(item, c) for c in (*_TEXTS, *_NUMBERS)}
    return {"image": {"bytes": data, "path": name}, "label": label, **more}


def _write_split(stem: Path, rows: Iterator[dict[str, Any]], schema: pa.Schema) -> None:
    """One row group in memory; the number of shards, which their names hold, is known at the end."""
    parts: list[Path] = []
    writer, size = None, 0
    try:
        for group in _groups(rows, min(_GROUP_BYTES, SHARD_BYTES)):
            if writer is None or size >= SHARD_BYTES:
                if writer is not None:
                    writer.close()
                parts.append(stem.with_name(f"{stem.name}-{len(parts):05d}.parquet"))
                writer, size = pq.ParquetWriter(parts[-1], schema, compression="snappy"), 0
            writer.write_table(pa.Table.from_pylist(group, schema), row_group_size=len(group))
            size += sum(len(r["image"]["bytes"]) for r in group)
    finally:
        if writer is not None:
            writer.close()
    for part in parts:
        part.rename(part.with_name(f"{part.stem}-of-{len(parts):05d}.parquet"))


def _groups(rows: Iterator[dict[str, Any]], most: int) -> Iterator[list[dict[str, Any]]]:
    group: list[dict[str, Any]] = []
    size = 0
    for row in rows:
        group.append(row)
        size += len(row["image"]["bytes"])
        if size >= most or len(group) >= 1000:
            yield group
            group, size = [], 0
    if group:
        yield group


def _features(labels: tuple[str, ...]) -> dict[str, Any]:
    return {
        "image": {"_type": "Image"},
        "label": {"names": list(labels), "_type": "ClassLabel"},
        **{c: {"dtype": "string", "_type": "Value"} for c in _TEXTS},
        **{c: {"dtype": kind, "_type": "Value"} for c, kind in _NUMBERS.items()},
    }


def _schema(labels: tuple[str, ...]) -> pa.Schema:
    image = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    numbers = [(c, getattr(pa, kind)()) for c, kind in _NUMBERS.items()]
    told = json.dumps({"info": {"features": _features(labels)}}, ensure_ascii=False)
    columns = [("image", image), ("label", pa.int64()), *((c, pa.string()) for c in _TEXTS), *numbers]
    return pa.schema(columns, metadata={b"huggingface": told.encode()})


def front_matter(chosen: Selection) -> dict[str, Any]:
    """What the card must say so that the folder loads as it was written."""
    columns: list[dict[str, Any]] = [
        {"name": "image", "dtype": "image"},
        {"name": "label", "dtype": {"class_label": {"names": {str(i): c for i, c in enumerate(chosen.labels)}}}},
        *({"name": c, "dtype": "string"} for c in _TEXTS),
        *({"name": c, "dtype": kind} for c, kind in _NUMBERS.items()),
    ]
    files = [{"split": SPLITS[s], "path": f"data/{SPLITS[s]}-*"} for s in chosen.splits]
    sizes = [{"name": SPLITS[s], "num_examples": sum(n.values())} for s, n in chosen.counts.items()]
    return {
        "configs": [{"config_name": "default", "data_files": files}],
        "dataset_info": {"features": columns, "splits": sizes},
    }
