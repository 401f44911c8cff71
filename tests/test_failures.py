from __future__ import annotations

import json
from pathlib import Path

import pytest

from keepset.pipeline.failures import failures, listed
from keepset.reasons import REMEDIES, DownloadReason, ImageReason, UrlReason
from keepset.stages import Stage
from tests.test_cli import run
from tests.test_download import workspace


def test_every_reason_has_a_remedy() -> None:
    vocabularies = {"urls": UrlReason, "downloads": DownloadReason, "images": ImageReason}
    assert {name: set(REMEDIES[name]) for name in REMEDIES} == {n: set(v) for n, v in vocabularies.items()}


def test_failures_are_summed_by_reason_and_host_and_listed_one_by_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from keepset.download import download

    urls = ["http://10.0.0.1/1.jpg", "http://10.0.0.1/2.jpg", "http://10.0.0.2/3.jpg", "null"]
    ws, config = workspace(tmp_path, urls, retries=0)
    download(ws, config)
    blocked = next(f for f in failures(ws) if f.reason == "blocked_address")
    assert (blocked.count, blocked.hosts) == (3, (("10.0.0.1", 2), ("10.0.0.2", 1)))
    assert "allow_private" in blocked.remedy
    assert [(f.stage, f.reason) for f in failures(ws, Stage.SCRAPE)] == [(Stage.SCRAPE, "not_a_url")]
    assert [r["url"] for _, r in listed(ws, Stage.DOWNLOAD)][:3] == urls[:3]
    shown = run(capsys, "failures", "-w", ws.root)[1]
    assert "10.0.0.1 2" in shown
    assert "not_a_url" in shown
    assert json.loads(run(capsys, "failures", "-w", ws.root, "--json")[1])[0]["count"] == 1
