"""A data set with everything that an export has to get right: kinds of files, copies, deletions, odd class names."""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keepset import manifests
from keepset.files import write_bytes
from keepset.manifests import Header
from keepset.workspace import Workspace
from tests.factories import add_revision, config, dataset_row, image_row

LABELS = (".hidden", "bär", "con")
CREDIT = "=cmd()|'evil' <b>Ann</b>"


@dataclass
class Mixed:
    """``files``: bytes by sha256. ``active`` holds what an export has by default; ``copy`` and ``deleted`` do not."""

    ws: Workspace
    files: dict[str, bytes] = field(default_factory=dict)
    rows: dict[str, dict[str, Any]] = field(default_factory=dict)
    copy: str = ""
    deleted: str = ""

    @property
    def active(self) -> set[str]:
        return set(self.rows) - {self.copy, self.deleted}

    def of(self, split: str) -> set[str]:
        return {s for s in self.active if self.rows[s]["split"] == split}


def make_mixed(root: Path, per_class: int = 6) -> Mixed:
    cfg = config(root, LABELS)
    ws = Workspace.create(root / "ws", "Mixed | set")
    ws.save_config(cfg)
    mixed, images = Mixed(ws), []
    for i in range(per_class * len(LABELS)):
        label, kind = LABELS[i % 3], ("JPEG", "PNG", "WEBP", "GIF")[i % 4]
        data, picture = _file(i, kind)
        sha = hashlib.sha256(data).hexdigest()
        write_bytes(ws.blob(sha), data)
        images.append(image_row(sha, label, data, picture, i) | {
            "format": kind.lower(), "creator": CREDIT, "license_url": "javascript:alert(1)",
            "url": "file:///home/me/secret/cat.jpg" if i == 4 else f"https://u:p@example.org/{i}?X-Amz-Signature=1",
        })  # fmt: skip
        row = dataset_row(sha, label, i, 3)
        mixed.rows[sha] = row | {"split": "test" if i // 3 == 1 else row["split"]}
        mixed.files[sha] = data
    shas = list(mixed.rows)
    mixed.copy, mixed.deleted = shas[6], shas[7]
    mixed.rows[mixed.copy] |= {"dup_of": shas[9], "dup_kind": "exact"}
    mixed.rows[mixed.deleted] |= {"active": False}
    done = manifests.write(ws.images, images, Header("images", "validate", "factory"))
    write_revision(mixed, 1, done.content_hash)
    return mixed


def write_revision(mixed: Mixed, number: int, parent: str = "") -> None:
    add_revision(mixed.ws, mixed.rows.values(), "split" if number == 1 else "batch:b0001", {"images": parent})


def _file(i: int, kind: str) -> tuple[bytes, Image.Image]:
    noise = np.random.default_rng(i).integers(0, 256, (40, 56, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    out = io.BytesIO()
    exif = Image.Exif()
    exif[0x0112], exif[0x010E] = 6, f"holiday {i}"  # on its side, with a description
    picture.save(out, kind, **({"exif": exif} if kind == "JPEG" else {}))
    return out.getvalue(), picture


@pytest.fixture
def mixed(tmp_path: Path) -> Mixed:
    return make_mixed(tmp_path)
