"""A workspace of any size without a picture in it: manifests and journals as the stages leave them, rows made up."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from keepset import download, manifests
from keepset.config import RunConfig, parse_config
from keepset.manifests import Header
from keepset.storage.journal import Journal
from keepset.storage.journals import open_journal
from keepset.validate import stage as validation
from keepset.workspace import Workspace

__all__ = ["HOSTS", "config", "fill_download_journal", "fill_validate_journal", "scraped", "trained"]

LABELS = ("apple", "boat", "house")
HOSTS = 5_000
_AT = datetime.fromisoformat("2026-01-01T00:00:00+00:00")
_PIECE = 20_000
Row = dict[str, Any]


def config(root: Path) -> RunConfig:
    classes = {label: {"pages": [f"http://127.0.0.1:9/{label}"]} for label in LABELS}
    return parse_config(
        {
            "name": "made up",
            "classes": classes,
            "scrape": {"max_per_class": 10**9},
            "train": {"weights": "none"},  # there are no pictures in which copies could be looked for by features
        },
        base=root,
    )


def scraped(root: Path, n: int) -> Workspace:
    """With ``urls.parquet`` of ``n`` rows over 5,000 hosts."""
    ws = Workspace.create(root, "made up")
    ws.save_config(config(root))
    with manifests.writing(ws.urls, "urls") as out:
        for start in range(0, n, _PIECE):
            out.add([_url(i) for i in range(start, min(n, start + _PIECE))])
        out.commit(Header("urls", "scrape", "made up"))
    return ws


def _url(i: int) -> Row:
    host = f"images{i * 7919 % HOSTS}.example"
    return {
        "url_id": f"{i:016x}", "url": f"https://{host}/photos/{i % 97:02d}/{i:012d}_medium.jpg", "label": LABELS[i % 3],
        "status": "ok", "source": "list", "query": "list.txt", "rank": i, "discovered_at": _AT,
    }  # fmt: skip


def _sha(i: int) -> str:
    return hashlib.sha256(i.to_bytes(8, "big")).hexdigest()


def fill_download_journal(ws: Workspace, n: int) -> Path:
    """Every URL fetched, in the journal and nowhere else."""
    with download._journal(ws) as journal:
        _put(journal, ((_url(i)["url"], _fetched(i)) for i in range(n)))
        return journal.path


def _fetched(i: int) -> Row:
    return {
        "reason": None, "detail": None, "sha256": _sha(i), "bytes": 91_000 + i % 1000, "format": "jpeg",
        "status": "ok", "http_status": 200, "final_url": _url(i)["url"], "content_type": "image/jpeg",
        "etag": f'"{i:016x}"', "last_modified": "Thu, 01 Jan 2026 00:00:00 GMT", "attempts": 1, "seconds": 0.123456,
        "finished_at": _AT.isoformat(),
    }  # fmt: skip


def fill_validate_journal(ws: Workspace, n: int) -> Path:
    """Every image looked at and good, hashes at random."""
    rng = np.random.default_rng(0)
    with open_journal(ws, validation._journal_name(ws.config())) as journal:
        _put(journal, ((_sha(i), _looked_at(i, int(rng.integers(2**63)))) for i in range(n)))
        return journal.path


def _looked_at(i: int, phash: int) -> Row:
    return {
        "sha256": _sha(i), "status": "ok", "warnings": [], "bytes": 91_000 + i % 1000, "format": "jpeg", "mode": "RGB",
        "frames": 1, "width": 890, "height": 595, "brightness": 0.481236, "contrast": 0.218734,
        "sharpness": 1234.5678, "entropy": 7.345678, "phash": phash, "tries": 1,
    }  # fmt: skip


def _put(journal: Journal, rows: Iterator[tuple[str, Row]]) -> None:
    journal.db.execute("BEGIN")  # one transaction: how the rows came is not what is measured
    for key, row in rows:
        journal.put(key, row)
    journal.db.execute("COMMIT")


WIDTHS = (1280, 1280, 1280)
"""Features per image of each of the three networks of the default."""


def trained(ws: Workspace) -> None:
    """A model of the current revision, with predictions and features [n, sum(``WIDTHS``)] float32."""
    from keepset.files import write_bytes

    data = ws.current_dataset()
    shas = data.table["sha256"].to_pylist()
    labels, sides = data.table["label"].to_pylist(), data.table["split"].to_pylist()
    rng = np.random.default_rng(0)
    folder = ws.models / ("0" * 16)
    with manifests.writing(folder / "predictions.parquet", "predictions") as out:
        for start in range(0, len(shas), _PIECE):
            part = range(start, min(len(shas), start + _PIECE))
            out.add([_predicted(shas[i], labels[i], sides[i], rng) for i in part])
        out.commit(Header("predictions", "train", "0" * 16, {"dataset": data.content_hash}))
    _write_features(folder / "features.safetensors", shas, rng)
    write_bytes(folder / "model.json", _record(ws, data))
    ws.promote("0" * 16, "made up")


def _write_features(path: Path, shas: list[str], rng: np.random.Generator) -> None:
    """As safetensors writes them, but a piece at a time: a million rows are 15 GB."""
    shape = (len(shas), sum(WIDTHS))
    said = {"sha256": "\n".join(shas), "widths": ",".join(map(str, WIDTHS))}
    table = {"dtype": "F32", "shape": shape, "data_offsets": (0, shape[0] * shape[1] * 4)}
    header = json.dumps({"__metadata__": said, "features": table}).encode()
    header += b" " * (-len(header) % 8)
    with path.open("wb") as f:
        f.write(len(header).to_bytes(8, "little") + header)
        for start in range(0, shape[0], _PIECE):
            f.write(rng.random((min(_PIECE, shape[0] - start), shape[1]), np.float32).data)


def _predicted(sha: str, label: str, side: str, rng: np.random.Generator) -> Row:
    probs = rng.dirichlet((5.0, 1.0, 1.0))
    k = LABELS.index(label)
    mine = np.roll(probs, k).tolist()
    best = LABELS[int(np.argmax(mine))]
    loss = float(-np.log(mine[k]))
    return {
        "sha256": sha, "label": label, "split": side, "predicted": best, "loss": loss, "model_probs": mine,
        "cv_predicted": best, "cv_loss": loss, "cv_probs": mine, "ood_distance": float(rng.uniform(0.05, 0.2)),
    }  # fmt: skip


def _record(ws: Workspace, data: manifests.Manifest) -> bytes:
    return json.dumps({
        "id": "0" * 16, "arch": "lite0+lite1+lite2", "weights": "packaged", "classes": list(LABELS),
        "preprocess": {"resize": 256, "crop": 224, "mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic"},
        "dataset_revision": data.header.extra["revision"], "dataset_hash": data.content_hash, "seed": 7,
        "threads": 1, "device": "cpu", "config": {"train": {"arch": "lite0+lite1+lite2"}}, "winner": "linear_head", "candidates": {}, "temperature": 1.0,
        "metrics": {"valid": {"n": 1, "errors": 0, "error_rate": 0.0, "low": 0.0, "high": 0.3, "nll": 0.3, "ece": 0.05}},
        "history": [], "lr_find": {}, "ood": {"quantile99": 0.25}, "created_at": _AT.isoformat(), "seconds": 5.0,
    }).encode()  # fmt: skip
