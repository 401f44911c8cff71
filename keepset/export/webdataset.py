"""WebDataset shards: plain tar files, a picture being ``<sha256>.jpg``, ``.cls`` and ``.json`` in a row."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from keepset.export.originals import Originals
from keepset.export.rows import facts
from keepset.export.selection import Selection
from keepset.stages import Progress

__all__ = ["SHARD_BYTES", "write_webdataset"]

SHARD_BYTES = 500_000_000
"""Size from which a new tar is begun."""


def write_webdataset(folder: Path, chosen: Selection, originals: Originals, progress: Progress) -> list[str]:
    """``<split>-000000.tar`` ...; ``.cls`` is the class's place in ``classes.json``. Same data, same bytes."""
    numbers = {label: i for i, label in enumerate(chosen.labels)}
    (folder / "classes.json").write_text(json.dumps(chosen.labels, ensure_ascii=False) + "\n", encoding="utf-8")
    for split in chosen.splits:
        with _Shards(folder, split) as shards:
            for item in chosen.items(split):
                name, data = originals.read(item)
                key, _, extension = name.partition(".")
                told = {"label": item.label, "split": split} | facts(item)
                shards.add(key, {
                    extension: data,
                    "cls": str(numbers[item.label]).encode(),
                    "json": json.dumps(told, ensure_ascii=False).encode(),
                })  # fmt: skip
                progress.advance()
    return []


class _Shards:
    def __init__(self, folder: Path, split: str) -> None:
        self.folder, self.split = folder, split
        self.number, self.size = 0, 0
        self.tar: tarfile.TarFile | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        if self.tar is not None:
            self.tar.close()

    def add(self, key: str, parts: Mapping[str, bytes]) -> None:
        tar = self._tar()
        for extension, data in parts.items():
            member = tarfile.TarInfo(f"{key}.{extension}")  # its time is 0 and its owner nobody
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
            self.size += len(data) + 1024
        tar.members = []  # type: ignore[attr-defined]  # it would remember each for ever

    def _tar(self) -> tarfile.TarFile:
        if self.tar is not None and self.size >= SHARD_BYTES:
            self.tar.close()
            self.tar, self.size = None, 0
        if self.tar is None:
            path = self.folder / f"{self.split}-{self.number:06d}.tar"
            self.tar = tarfile.open(path, "w", format=tarfile.USTAR_FORMAT)  # noqa: SIM115 - closed above
            self.number += 1
        return self.tar
