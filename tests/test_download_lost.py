"""Pictures that are gone on purpose never come back; those that are gone by accident do."""

from __future__ import annotations

from pathlib import Path

import pytest

from keepset import manifests, split, validate
from keepset.clean import purge
from keepset.config import RunConfig, parse_config
from keepset.download import download, is_current, plan, run_shard
from keepset.errors import TrainingError
from keepset.images.pixels import Preprocess
from keepset.pipeline.failures import failures
from keepset.scrape import scrape
from keepset.stages import SILENT
from keepset.train.pixels_cache import PixelCache
from keepset.workspace import Workspace
from tests.download_fixtures import hostile_web
from tests.factories import add_revision
from tests.test_download import age, outcomes, workspace


def delete(ws: Workspace, url: str) -> str:
    """As an approved batch does: a new revision where the picture of that URL is not active. Its sha256."""
    rows = manifests.read(ws.downloads, "downloads").rows()
    sha = next(str(r["sha256"]) for r in rows if r["url"] == url)
    before = ws.revisions()[-1]
    changed = [
        r | ({"active": False, "changed_in": before + 1, "changed_by": "b0001"} if r["sha256"] == sha else {})
        for r in ws.current_dataset().rows()
    ]
    add_revision(ws, changed, "batch:b0001")
    return sha


def built(ws: Workspace, config: RunConfig) -> None:
    for stage in (scrape, download, validate.validate, split.split):
        stage(ws, config)


def test_a_purged_picture_never_comes_back_by_any_url_or_file(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        urls = [f"{base}/good/{i}" for i in range(4)]
        ws, config = workspace(tmp_path, urls, base, refresh_days=7.0)
        built(ws, config)
        sha = delete(ws, urls[0])
        cache = PixelCache(ws, Preprocess())
        cache.fill([sha], SILENT)
        inbox = ws.root / "inbox" / sha[:2] / f"{sha}.jpg"
        inbox.parent.mkdir(parents=True)
        data = ws.blob(sha).read_bytes()
        inbox.write_bytes(data)
        assert purge(ws, who="anna", dry_run=False).summary["images"] == 1
        assert not [p for p in ws.root.rglob("*") if sha in p.name], "decoded pixels and the inbox's copy too"

        assert "1 left out, purged before" in download(ws, config).message
        assert outcomes(ws, base)["/good/0"] == "purged"
        assert dict(asked) == {f"/good/{i}": 1 for i in range(4)}, "nothing was asked for"
        assert not download(ws, config).changed
        built(ws, config)
        assert ws.revisions() == [1, 2], "the data set is what it was"

        ways = tmp_path / "mine"
        ways.mkdir()
        (ways / "copy.jpg").write_bytes(data)
        (tmp_path / "a.txt").write_text("\n".join([*urls, f"{base}/elsewhere?/good/0", f"{base}/good/9"]) + "\n")
        more = {"a": {"lists": ["a.txt"], "folders": ["mine"]}, "b": {"lists": ["b.txt"]}}
        config = parse_config({"classes": more, "download": config.download.model_dump()}, base=tmp_path)
        built(ws, config)
        download(ws, config, retry_failed=True)
        age(ws, 8)
        built(ws, config)
        rows = manifests.read(ws.downloads, "downloads").rows()
        found = {r["url"].removeprefix(base).removeprefix(ways.as_uri()): r["reason"] for r in rows}
        gone = {"/good/0", "/elsewhere?/good/0", "/copy.jpg"}
        assert {n for n, reason in found.items() if reason == "purged"} == gone
        assert found["/good/9"] is None
        assert not [p for p in ws.root.rglob("*") if sha in p.name]
        remedy = next(f.remedy for f in failures(ws) if f.reason == "purged")
        assert "not fetched again" in remedy


def test_a_lost_file_is_fetched_again_as_every_message_says(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(3)], base)
        built(ws, config)
        sha = str(manifests.read(ws.downloads, "downloads").rows()[1]["sha256"])
        whole = ws.blob(sha).read_bytes()
        ws.blob(sha).unlink()
        with pytest.raises(TrainingError, match="is missing") as caught:
            PixelCache(ws, Preprocess()).fill([sha], SILENT)
        assert "`keepset download`" in caught.value.remedy
        assert not is_current(ws, config)
        for shard in plan(ws, config):
            run_shard(ws, config, shard)
        assert ws.blob(sha).read_bytes() == whole
        ws.blob(sha).unlink()
        assert download(ws, config).changed
        assert ws.blob(sha).read_bytes() == whole
        assert asked["/good/1"] == 3
        assert not download(ws, config).changed


def test_a_file_that_is_lost_for_good_is_told_once(tmp_path: Path) -> None:
    with hostile_web() as (base, _):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(3)], base, retries=0)
        built(ws, config)
    ws.blob(str(manifests.read(ws.downloads, "downloads").rows()[1]["sha256"])).unlink()
    assert download(ws, config).summary["connect_failed"] == 1
    assert not download(ws, config).changed
