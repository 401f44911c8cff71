"""The whole way on a bucket, each step on a machine that knows nothing, against the same way on disk."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from keepset import manifests
from keepset.config import RunConfig, load_config
from keepset.demo.pictures import Planted, plant
from keepset.demo.server import serve
from keepset.review import list_batches, submit
from keepset.storage import leases, locate
from keepset.workspace import Workspace
from tests.processes import PATIENCE_S, Silent, kill_when, serving, started
from tests.storage_fixtures import another_machine
from tests.test_end_to_end import SMALL, keepset, write_config


def _config(folder: Path, planted: list[Planted], base: str) -> RunConfig:
    urls: dict[str, list[str]] = {}
    for p in planted:
        urls.setdefault(p.label, []).append(base + p.path)
    return load_config(write_config(folder, urls, base.removeprefix("http://"), train=SMALL))


def _approve(ws: Workspace, config: RunConfig) -> None:
    submit(list_batches(ws)[-1], "approve", who="ann", undecided="suggested", confirm=True)


def _steps() -> Iterator[Callable[[Workspace, RunConfig], object]]:
    from keepset.clean import clean
    from keepset.download import download
    from keepset.pipeline import retrain
    from keepset.review import review
    from keepset.scrape import scrape
    from keepset.split import split
    from keepset.validate import validate

    yield from (scrape, download, validate, split)
    yield from (lambda ws, config: list(retrain(ws, config)), review, _approve, clean)
    yield from (lambda ws, config: list(retrain(ws, config)), review)


def _hashes(ws: Workspace) -> dict[str, str]:
    paths = [*ws.stage_manifests.values(), *(ws.dataset(n) for n in ws.revisions())]
    paths += [m / "predictions.parquet" for m in sorted(ws.models.iterdir()) if m.suffix != ".json"]
    paths += [b.folder / "candidates.parquet" for b in list_batches(ws)]
    return {str(p.relative_to(ws.root)): manifests.read_header(p).content_hash for p in paths}


def test_the_whole_way_equals_the_one_on_disk(s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = plant(seed=5, per_class=12)
    with serve(planted) as base:
        config = _config(tmp_path, planted, base)
        disk = Workspace.create(tmp_path / "disk", config.name)
        store = Workspace.create(locate(s3) / "bears", config.name)
        for ws in (disk, store):
            ws.save_config(config)
        for n, step in enumerate(_steps()):
            step(disk, config)
            another_machine(monkeypatch, tmp_path / f"machine{n}")
            step(Workspace.open(store.root), store.config())
    another_machine(monkeypatch, tmp_path / "last")
    hashes = _hashes(store)
    assert hashes == _hashes(disk)
    assert {"manifests/images.parquet", "datasets/000002.parquet"} < hashes.keys()
    assert store.promoted() == disk.promoted()
    assert [r["action"] for r in store.audit_log()] == [r["action"] for r in disk.audit_log()]
    _same_files(store, disk)
    monkeypatch.setenv("KEEPSET_CACHE", str(tmp_path / "cli"))
    state = keepset("status", "-w", f"{s3}/bears")
    assert state["workspace"] == f"{s3}/bears"
    assert [r["revision"] for r in state["revisions"]] == [1, 2]


def _same_files(store: Workspace, disk: Workspace) -> None:
    """Every picture and thumbnail is there, and nothing of the local folders has gone up."""
    prefix = f"{store.root.key}/"  # type: ignore[attr-defined]
    there = {key.removeprefix(prefix): size for key, size in store.root.bucket.sizes(prefix)}  # type: ignore[attr-defined]
    for folder in ("blobs", "thumbs"):
        mine = {str(p.relative_to(disk.root)): p.stat().st_size for p in (disk.root / folder).rglob("*") if p.is_file()}
        assert mine
        assert {k: v for k, v in there.items() if k.startswith(f"{folder}/")} == mine
    assert not [k for k in there if k.startswith(("cache/", "logs/", "scratch/")) or k.endswith(".sqlite")]


# -- killed, and gone on with elsewhere --------------------------------------------------------------

_DOWNLOAD = """
import sys
from keepset.download import download
from keepset.storage import journals, locate
from keepset.workspace import Workspace
journals.SEND_AFTER_ROWS = 5
ws = Workspace.open(locate(sys.argv[1]))
download(ws, ws.config())
"""


class _Held(Silent):
    """Answers forty requests, and the others when ``go_on`` is set."""

    pages: dict[str, Planted]
    asked: Counter[str]
    go_on: threading.Event

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        self.asked[self.path] += 1
        if self.asked.total() > 40:
            self.go_on.wait(PATIENCE_S)
        body = page.body if page else b""
        self.send_response(200 if page else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def test_a_killed_download_goes_on_from_an_empty_cache(
    s3: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keepset.download import download
    from keepset.scrape import scrape

    monkeypatch.setattr(leases, "STALE_S", 4.0)  # of the killed machine's lock
    pages = {p.path: p for p in plant(seed=6, per_class=24) if p.http_status == 200}
    asked: Counter[str] = Counter()
    go_on = threading.Event()
    with serving(_Held, pages=pages, asked=asked, go_on=go_on) as port:
        config = _config(tmp_path, list(pages.values()), f"http://127.0.0.1:{port}")
        ws = Workspace.create(locate(s3), "x")
        ws.save_config(config)
        scrape(ws, config)
        finished = _killed_half_way(ws, tmp_path / "killed")
        go_on.set()
        before = Counter(asked)
        another_machine(monkeypatch, tmp_path / "fresh")
        done = download(ws, config)
    rows = manifests.read(ws.downloads, "downloads").rows()
    assert len(rows) == len(pages)
    assert done.summary["ok"] == sum(r["status"] == "ok" for r in rows)
    again = {path for path in before if asked[path] > before[path]}
    assert 5 <= len(finished) < len(pages)
    assert not again & finished  # what was sent before the kill is not fetched again
    assert {r["sha256"] for r in rows if r["status"] == "ok"} == {
        p.name for folder in (ws.root / "blobs").iterdir() for p in folder.iterdir()
    }


def _killed_half_way(ws: Workspace, cache: Path) -> set[str]:
    """Paths whose rows another machine can see, after a download was killed with some of them sent."""
    from urllib.parse import urlsplit

    from keepset.storage.journals import open_journal

    process = started(_DOWNLOAD, ws.root, KEEPSET_CACHE=str(cache))
    parts = ws.root / "journal" / "download"
    kill_when(process, lambda: len(list(parts.iterdir())) >= 3, "some rows to be sent")
    urls = [r["url"] for r in manifests.read(ws.urls, "urls").rows()]
    with open_journal(ws, "download") as journal:
        return {urlsplit(u).path for u in journal.get(urls)}
