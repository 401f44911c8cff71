from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import RunConfig, parse_config
from keepset.download import download
from keepset.download.address import is_public
from keepset.scrape import scrape
from keepset.workspace import Workspace
from tests.download_fixtures import PICTURE, hostile_web


def workspace(
    tmp_path: Path, urls: list[str], allow: str = "", **download_config: Any
) -> tuple[Workspace, RunConfig]:
    (tmp_path / "a.txt").write_text("\n".join(urls) + "\n")
    (tmp_path / "b.txt").write_text("http://b.invalid/never.jpg\n")
    raw = {
        "classes": {"a": {"lists": ["a.txt"]}, "b": {"lists": ["b.txt"]}},
        "download": {"allow_private": [allow.removeprefix("http://")], "per_host_rate": 1000.0, "retries": 1,
                     **download_config},
    }  # fmt: skip
    config = parse_config(raw, base=tmp_path)
    ws = Workspace.create(tmp_path / "ws", "x")
    ws.save_config(config)
    scrape(ws, config)
    return ws, config


def outcomes(ws: Workspace, base: str) -> dict[str, str]:
    rows = manifests.read(ws.downloads, "downloads").rows()
    return {r["url"].removeprefix(base): r["reason"] or "ok" for r in rows if "b.invalid" not in r["url"]}


@pytest.mark.slow
def test_a_hostile_list_ends_soon_with_each_items_reason(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        wanted = {
            "/good/1": "ok", "/signed?sig=a%2Bb%3D&size=1": "ok", "/flaky": "ok", "/nowhere": "not_found",
            "/cut": "truncated", "/html": "not_an_image", "/empty": "empty_body", "/forbidden": "forbidden",
            "/optout": "opted_out", "/loop": "too_many_redirects", "/tofile": "blocked_scheme",
            "/toprivate": "blocked_address", "/endless": "too_large", "/drip": "timeout", "/bomb": "decompression_bomb",
        }  # fmt: skip
        private = {
            f"http://{h}/x.jpg": "blocked_address"
            for h in ("10.0.0.1", "127.0.0.2", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:10.0.0.1]",
                      "[64:ff9b::a00:1]", "169.254.169.254", "localhost")
        }  # fmt: skip
        urls = [base + path for path in wanted] + list(private)
        ws, config = workspace(tmp_path, urls, base, deadline_s=3.0, max_bytes=2_000_000)
        begin = time.monotonic()
        download(ws, config)
        took = time.monotonic() - begin
        assert outcomes(ws, base) == wanted | private
        assert took < 20
        assert asked["/nowhere"] == asked["/html"] == asked["/forbidden"] == 1  # what is final is asked once
        assert asked["/flaky"] == asked["/cut"] == 2  # what is transient, again
    kept = [p for p in (ws.root / "blobs").rglob("*") if p.is_file()]
    assert len(kept) == 2  # /signed and /flaky are the same picture
    assert not [p for p in (ws.journal / "parts").glob("*") if p.stat().st_size > 3_000_000]


def test_robots_txt_is_obeyed_unless_switched_off(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        urls = [f"{base}/good/1", f"{base}/private/x.jpg", f"{base}/private/x.png"]
        ws, config = workspace(tmp_path, urls, base)
        download(ws, config)
        assert outcomes(ws, base) == {
            "/good/1": "ok", "/private/x.jpg": "robots_disallowed", "/private/x.png": "not_found"
        }  # fmt: skip
        assert "/private/x.jpg" not in asked  # forbidden means: not even asked
        off = tmp_path / "off"
        off.mkdir()
        ws, config = workspace(off, [*urls, f"{base}/optout"], base, robots=False)
        download(ws, config)
        assert outcomes(ws, base)["/private/x.jpg"] == "not_found"
        assert outcomes(ws, base)["/optout"] == "ok"


def test_running_again_asks_nobody_and_retry_failed_asks_only_for_failures(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(5)] + [f"{base}/nowhere"], base)
        assert download(ws, config).changed
        before = dict(asked)
        again = download(ws, config)
        assert not again.changed
        assert "up to date" in again.message
        assert asked == before
        download(ws, config, retry_failed=True)
        assert {p: n - before[p] for p, n in asked.items() if n != before[p]} == {"/nowhere": 1}


def test_a_kill_loses_no_finished_download(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(120)], base, per_host_rate=60.0)
        code = (
            "import sys; from pathlib import Path; from keepset.workspace import Workspace\n"
            "from keepset.download import download\n"
            "ws = Workspace.open(Path(sys.argv[1])); download(ws, ws.config())"
        )
        child = subprocess.Popen([sys.executable, "-c", code, str(ws.root)])
        journal = ws.journal / "download.jsonl"
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline and (
            not journal.exists() or journal.read_bytes().count(b"\n") < 30
        ):
            time.sleep(0.02)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        finished = journal.read_bytes().count(b"\n")
        assert 30 <= finished < 120
        with journal.open("ab") as f:
            f.write(b'{"url_id": "torn')  # and the power went as well
        download(ws, config)
        assert set(outcomes(ws, base).values()) == {"ok"}
        twice = [p for p, n in asked.items() if n > 1]
        assert len(twice) <= config.download.per_host  # only what was in flight


def test_a_folder_is_copied_in_and_nothing_outside_of_it(tmp_path: Path) -> None:
    folder = tmp_path / "bears"
    folder.mkdir()
    (folder / "one.jpg").write_bytes(PICTURE)
    (folder / "notes.txt").write_text("no picture")
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(PICTURE + b"!")
    (folder / "link.jpg").symlink_to(secret)
    (tmp_path / "b.txt").write_text(f"{secret.as_uri()}\n")
    config = parse_config(
        {"classes": {"a": {"folders": ["bears"]}, "b": {"lists": ["b.txt"]}}}, base=tmp_path
    )
    ws = Workspace.create(tmp_path / "ws", "x")
    urls = scrape(ws, config)
    assert urls.summary["scheme_not_allowed"] == 1  # a list never reads a local file
    download(ws, config)
    rows = {
        Path(r["url"]).name: r["reason"] or "ok" for r in manifests.read(ws.downloads, "downloads").rows()
    }
    assert rows == {"one.jpg": "ok", "notes.txt": "not_an_image", "secret.jpg": "blocked_scheme"}


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True), ("2606:4700::1111", True), ("10.1.2.3", False), ("172.16.0.1", False),
        ("192.168.1.1", False), ("127.0.0.1", False), ("0.0.0.0", False), ("169.254.169.254", False),
        ("100.64.0.1", False), ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False),
        ("fe80::1", False), ("fc00::1", False), ("::ffff:127.0.0.1", False), ("::ffff:93.184.216.34", True),
        ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False), ("ff02::1", False), ("fe80::1%eth0", False),
    ],
)  # fmt: skip
def test_what_is_public(address: str, public: bool) -> None:
    assert is_public(address) is public
