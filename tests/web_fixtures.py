"""A workspace with an open batch, served by the real app on loopback."""

from __future__ import annotations

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import uvicorn

from keepset import manifests
from keepset.files import write_bytes
from keepset.manifests import Header
from keepset.review import Batch, load_batch
from keepset.web.app import create_gallery
from tests.factories import add_revision
from tests.processes import PATIENCE_S, wait_for
from tests.review_fixtures import Case


@contextlib.contextmanager
def served(root: Path, token: str = "") -> Iterator[str]:
    """The app in a thread on a free loopback port; yields its address."""
    config = uvicorn.Config(create_gallery(root, token=token), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started, "the app to start", every_s=0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)


@contextlib.contextmanager
def asking(root: Path, token: str = "") -> Iterator[httpx.Client]:
    """A client of the app; it waits as long as a busy machine needs, and follows no redirect."""
    with served(root, token) as url, httpx.Client(base_url=url, trust_env=False, timeout=PATIENCE_S) as client:
        yield client


def large_batch(case: Case, n: int) -> Batch:
    """A second batch, of ``n`` candidates that share a few pictures; every second one is a copy of the one before."""
    small = case.open_batch()
    row, image = small.candidates().rows()[0], manifests.read(case.ws.images, "images").rows()[0]
    standing = case.ws.current_dataset().rows()
    picture = case.ws.thumb(row["sha256"])
    shas = [hashlib.sha256(f"candidate {i}".encode()).hexdigest() for i in range(n)]
    candidates, images, dataset = [], manifests.read(case.ws.images, "images").rows(), list(standing)
    for i, sha in enumerate(shas):
        case.ws.thumb(sha).parent.mkdir(parents=True, exist_ok=True)
        case.ws.thumb(sha).hardlink_to(picture)
        copy = [shas[i - 1]] if i % 2 == 0 and i else []
        more = {"sha256": sha, "split": "valid" if i % 5 == 0 else "train", "group_id": sha}
        reasons = ["near_duplicate"] if copy else ["label_issue"]
        candidates.append(row | more | {"rank": i, "group_members": copy, "reasons": reasons})
        images.append(image | {"sha256": sha, "url": f"https://pictures.example/{i}.jpg"})
        dataset.append(standing[0] | more)
    manifests.write(case.ws.images, images, Header("images", "validate", "large"))
    add_revision(case.ws, dataset)
    folder = case.ws.batches / "b0002-00000000"
    manifests.write(folder / "candidates.parquet", candidates, Header("candidates", "review", "large"))
    record = json.loads((small.folder / "batch.json").read_text()) | {"id": folder.name, "number": 2, "revision": 2}
    write_bytes(folder / "batch.json", json.dumps(record).encode())
    return load_batch(case.ws, folder.name)
