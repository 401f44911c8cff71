from __future__ import annotations

import hashlib
import json
import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from keepset import manifests
from keepset.config import DownloadConfig, RunConfig, parse_config
from keepset.download import download, merge
from keepset.download.address import is_public
from keepset.download.fetch import Fetched, Trouble
from keepset.download.local import copy_in
from keepset.errors import ConfigError
from keepset.scrape import scrape
from keepset.storage.journal import Journal
from keepset.workspace import Workspace
from tests.download_fixtures import PICTURE, Web, hostile_web
from tests.factories import add_revision
from tests.processes import PATIENCE_S, kill_when, ran, started


def workspace(tmp_path: Path, urls: list[str], allow: str = "", **download_config: Any) -> tuple[Workspace, RunConfig]:
    (tmp_path / "a.txt").write_text("\n".join(urls) + "\n")
    (tmp_path / "b.txt").write_text("http://b.invalid/never.jpg\n")
    raw = {
        "classes": {"a": {"lists": ["a.txt"]}, "b": {"lists": ["b.txt"]}},
        "download": {"allow_private": [allow.removeprefix("http://")], "per_host_rate": 1000.0, "retries": 1}
        | download_config,
    }
    config = parse_config(raw, base=tmp_path)
    ws = Workspace.create(tmp_path / "ws", "x")
    ws.save_config(config)
    scrape(ws, config)
    return ws, config


def folder_workspace(tmp_path: Path, *pictures: str) -> tuple[Workspace, RunConfig]:
    """A workspace whose class a is the folder bears with these pictures, each a file of its own; scraped."""
    for name in pictures:
        (tmp_path / "bears" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "bears" / name).write_bytes(PICTURE + name.encode(errors="surrogateescape"))
    config = parse_config({"classes": {"a": {"folders": ["bears"]}, "b": {"urls": ["null"]}}}, base=tmp_path)
    ws = Workspace.create(tmp_path / "ws", "x")
    scrape(ws, config)
    return ws, config


def outcomes(ws: Workspace, base: str) -> dict[str, str]:
    rows = manifests.read(ws.downloads, "downloads").rows()
    return {r["url"].removeprefix(base): r["reason"] or "ok" for r in rows if "b.invalid" not in r["url"]}


DOWNLOAD = """
import sys
from pathlib import Path
from keepset.download import download
from keepset.workspace import Workspace
ws = Workspace.open(Path(sys.argv[1]))
download(ws, ws.config())
status = Path("/proc/self/status").read_text()  # not ru_maxrss: that begins with what the parent had
print(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM")))
"""


@pytest.mark.slow
def test_a_hostile_list_ends_soon_with_each_items_reason(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        wanted = {
            "/good/1": "ok", "/signed?sig=a%2Bb%3D&size=1": "ok", "/flaky": "ok", "/nowhere": "not_found",
            "/cut": "truncated", "/html": "not_an_image", "/empty": "empty_body", "/forbidden": "forbidden",
            "/optout": "opted_out", "/loop": "too_many_redirects", "/tofile": "blocked_scheme",
            "/toprivate": "blocked_address", "/endless": "too_large", "/drip": "too_slow", "/bomb": "decompression_bomb",
        }  # fmt: skip
        private = {
            f"http://{h}/x.jpg": "blocked_address"
            for h in ("10.0.0.1", "127.0.0.2", "2130706433", "0x7f000001", "0177.0.0.1", "[::1]", "[::ffff:10.0.0.1]",
                      "[64:ff9b::a00:1]", "169.254.169.254", "localhost", "127.1", "0", "0.0.0.0", "017700000001",
                      "0x7f.0.0.1", "192.168.1.1", "100.64.0.1", "224.0.0.1", "[::]", "[fe80::1]", "[fd00::1]",
                      "[::ffff:7f00:1]", "[2002:a00:1::]")
        }  # fmt: skip
        urls = [base + path for path in wanted] + list(private)
        ws, _ = workspace(tmp_path, urls, base, retries=3)
        done = ran(DOWNLOAD, ws.root)
        assert outcomes(ws, base) == wanted | private
        assert int(done.stdout) < 250_000, "kB at most"
        assert asked["/nowhere"] == asked["/html"] == asked["/forbidden"] == 1  # what is final is asked once
        assert asked["/drip"] == 1
        assert (asked["/flaky"], asked["/cut"]) == (2, 4)  # what is transient, again
    kept = [p for p in (ws.root / "blobs").rglob("*") if p.is_file()]
    assert len(kept) == 2  # /signed and /flaky are the same picture
    assert not list((ws.journal / "parts").iterdir())


def test_robots_txt_is_obeyed_unless_switched_off(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        urls = [f"{base}/good/1", f"{base}/private/x.jpg", f"{base}/private/x.png"]
        ws, config = workspace(tmp_path, urls, base)
        download(ws, config)
        assert outcomes(ws, base) == {
            "/good/1": "ok",
            "/private/x.jpg": "robots_disallowed",
            "/private/x.png": "not_found",
        }
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


@pytest.mark.slow
def test_a_kill_loses_no_finished_download(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    go_on = threading.Event()

    def held(self: Web) -> None:
        if self.asked.total() > 40:  # it is at work until it is killed
            go_on.wait(PATIENCE_S)
        self.answer(PICTURE + self.path.encode())

    monkeypatch.setattr(Web, "on_good", held)
    with hostile_web() as (base, asked):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(60)], base)
        child = started(DOWNLOAD, ws.root)
        with Journal(ws.journal / "download.sqlite") as journal:
            kill_when(child, lambda: len(journal) >= 30, "thirty downloads")
            assert 30 <= len(journal) < 60
        go_on.set()
        download(ws, config)
        assert set(outcomes(ws, base).values()) == {"ok"}
        twice = [p for p, n in asked.items() if n > 1]
        assert len(twice) <= config.download.per_host  # only what was in flight


def test_a_folder_is_copied_in_and_its_links_but_nothing_outside_of_it(tmp_path: Path) -> None:
    folder, cache = tmp_path / "bears", tmp_path / "cache" / "blobs"
    folder.mkdir()
    cache.mkdir(parents=True)
    (folder / "one.jpg").write_bytes(PICTURE)
    (folder / "notes.txt").write_text("no picture")
    (folder / "empty.jpg").touch()
    (cache / "8a3f").write_bytes(PICTURE + b"!")  # as Hugging Face's cache, DVC and git-annex keep files
    (folder / "link.jpg").symlink_to(cache / "8a3f")
    (tmp_path / "secret.jpg").write_bytes(PICTURE + b"?")
    (tmp_path / "b.txt").write_text(f"{(tmp_path / 'secret.jpg').as_uri()}\n")
    config = parse_config({"classes": {"a": {"folders": ["bears"]}, "b": {"lists": ["b.txt"]}}}, base=tmp_path)
    ws = Workspace.create(tmp_path / "ws", "x")
    urls = scrape(ws, config)
    assert urls.summary["scheme_not_allowed"] == 1  # a list never reads a local file
    download(ws, config)
    reasons = {"one.jpg": "ok", "notes.txt": "not_an_image", "link.jpg": "ok", "empty.jpg": "empty_body"}
    assert local_rows(ws) == reasons
    elsewhere = parse_config({"classes": {"a": {"folders": ["cache"]}, "b": {"lists": ["b.txt"]}}}, base=tmp_path)
    (folder / "one.jpg").write_bytes(PICTURE + b"another")  # its folder is not the class's any more
    download(ws, elsewhere)
    rows = manifests.read(ws.downloads, "downloads").rows()
    assert next(r["detail"] for r in rows if r["url"].endswith("one.jpg")).count("outside_its_folder") == 1
    assert copied(tmp_path / "bears" / ".." / "secret.jpg", folder) == "outside_its_folder"


def local_rows(ws: Workspace) -> dict[str, str]:
    rows = manifests.read(ws.downloads, "downloads").rows()
    return {Path(r["url"]).name: r["reason"] or "ok" for r in rows if r["url"].startswith("file:")}


def copied(file: Path, folder: Path, **config: Any) -> str:
    """What becomes of a row of that file, where ``folder`` is the class's."""
    row, facts = {"url": f"file://{file}", "source": "folder"}, Fetched()
    try:
        copy_in(row, [folder], folder / "copy.part", DownloadConfig(**config), facts)
    except Trouble as e:
        return str(e.reason)
    return facts.format or ""


def test_a_local_file_that_is_none_or_too_large_has_its_own_reason(tmp_path: Path) -> None:
    (tmp_path / "empty.jpg").touch()
    (tmp_path / "large.jpg").write_bytes(PICTURE + bytes(3_000_000))
    os.mkfifo(tmp_path / "pipe.jpg")
    assert copied(tmp_path / "empty.jpg", tmp_path) == "empty_body"
    assert copied(tmp_path / "large.jpg", tmp_path, max_bytes=1_000_000) == "too_large"
    assert copied(tmp_path / "large.jpg", tmp_path, max_bytes=4_000_000) == "jpeg"
    assert copied(tmp_path / "pipe.jpg", tmp_path) == "not_found"
    assert copied(tmp_path / "gone.jpg", tmp_path) == "not_found"


def test_folders_need_no_way_out_and_urls_name_the_one_that_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("all_proxy", "socks5://127.0.0.1:9")
    ws, config = folder_workspace(tmp_path, "one.jpg")
    assert download(ws, config).summary == {"ok": 1}
    other = {"a": {"folders": ["bears"]}, "b": {"urls": ["http://pictures.invalid/1.jpg"]}}
    config = parse_config({"classes": other}, base=tmp_path)
    scrape(ws, config)
    with pytest.raises(ConfigError, match="socks5"):
        download(ws, config)


def test_names_that_are_no_utf_8_are_read_as_they_are(tmp_path: Path) -> None:
    ws, config = folder_workspace(tmp_path, os.fsdecode(b"b\xe4r/caf\xe9 100%?.jpg"))
    download(ws, config)
    assert local_rows(ws) == {"caf%E9%20100%25%3F.jpg": "ok"}
    assert not download(ws, config).changed


def test_a_file_of_a_folder_that_changed_in_place_is_taken_again(tmp_path: Path) -> None:
    ws, config = folder_workspace(tmp_path, "one.jpg", "two.jpg")
    folder = tmp_path / "bears"
    assert download(ws, config).changed
    assert not download(ws, config).changed

    def taken() -> dict[str, tuple[str, str | None]]:
        rows = manifests.read(ws.downloads, "downloads").rows()
        return {Path(r["url"]).name: (r["sha256"], r["detail"]) for r in rows}

    before = taken()
    (folder / "two.jpg").write_bytes(PICTURE + b"mended")
    assert not scrape(ws, config).changed
    assert download(ws, config).changed
    after = taken()
    assert after["one.jpg"] == before["one.jpg"]
    assert after["two.jpg"][0] == hashlib.sha256(PICTURE + b"mended").hexdigest()
    assert ws.blob(before["two.jpg"][0]).exists(), "revisions stand on the earlier copy"
    (folder / "two.jpg").write_text("no picture any more")
    assert download(ws, config).changed
    assert taken()["two.jpg"][0] == after["two.jpg"][0]
    assert "not_an_image" in str(taken()["two.jpg"][1])
    (folder / "one.jpg").unlink()
    assert not download(ws, config).changed, "what is said is said once, and a file that is gone changes nothing"


def age(ws: Workspace, days: float) -> None:
    """Make everything that is known look ``days`` older."""
    then = (datetime.now(UTC) - timedelta(days=days)).isoformat()
    with Journal(ws.journal / "download.sqlite") as journal:
        for r in manifests.read(ws.downloads, "downloads").rows():
            journal.put(r["url"], journal.get([r["url"]])[r["url"]] | {"finished_at": then})
    merge(ws, ws.config())


@pytest.mark.slow
def test_what_is_old_is_asked_for_again_and_sent_only_if_it_changed(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        paths = ["/versioned", "/good/1", "/nowhere"]
        ws, config = workspace(tmp_path, [base + p for p in paths], base, refresh_days=7.0)
        download(ws, config)
        first = manifests.read(ws.downloads, "downloads")
        assert not download(ws, config).changed
        age(ws, 8)
        assert download(ws, config).changed
        same = manifests.read(ws.downloads, "downloads")
        assert (asked["/versioned"], asked["304"]) == (2, 1)
        assert asked["/nowhere"] == 2  # failures as well
        assert same.content_hash == first.content_hash  # so that no later stage has anything to do
        assert not download(ws, config).changed
        age(ws, 8)
        download(ws, config)
        rows = {r["url"].removeprefix(base): r for r in manifests.read(ws.downloads, "downloads").rows()}
        old = {r["url"].removeprefix(base): r for r in first.rows()}
        assert rows["/versioned"]["sha256"] != old["/versioned"]["sha256"]
        assert rows["/good/1"]["sha256"] == old["/good/1"]["sha256"]
        assert ws.blob(old["/versioned"]["sha256"]).exists()  # a revision may stand on it


def test_a_picture_that_is_gone_later_is_kept_with_a_word_on_it(tmp_path: Path) -> None:
    with hostile_web() as (base, _):
        ws, config = workspace(tmp_path, [f"{base}/good/1"], base, refresh_days=7.0, retries=0)
        download(ws, config)
    age(ws, 8)  # and the server is away
    download(ws, config)
    row = manifests.read(ws.downloads, "downloads").rows()[0]
    assert (row["status"], row["reason"]) == ("ok", None)
    assert "connect_failed" in row["detail"]


def test_a_host_that_asks_to_wait_is_left_alone_and_holds_up_nobody(tmp_path: Path) -> None:
    with hostile_web() as (slow, asked), hostile_web() as (quick, _):
        urls = [f"{slow}/limited"] + [f"{slow}/good/{i}" for i in range(5)] + [f"{slow}/later"]
        urls += [f"{quick}/good/{i}" for i in range(20)]
        raw = [base.removeprefix("http://") for base in (slow, quick)]
        ws, config = workspace(tmp_path, urls, allow_private=raw, connections=2, per_host=1)
        download(ws, config)
        rows = {r["url"]: r for r in manifests.read(ws.downloads, "downloads").rows()}
        assert rows[f"{slow}/limited"]["status"] == "ok"
        assert asked["/limited"] == 2
        assert rows[f"{slow}/later"]["reason"] == "http_server_error"  # a day is too long to wait here
        assert asked["/later"] == 1
        last_quick = max(r["finished_at"] for u, r in rows.items() if u.startswith(quick))
        assert last_quick < min(r["finished_at"] for u, r in rows.items() if "/good/" in u and u.startswith(slow))


def test_the_robots_txt_of_a_redirects_other_host_is_obeyed(tmp_path: Path) -> None:
    with hostile_web() as (base, _), hostile_web() as (other, asked):
        raw = [b.removeprefix("http://") for b in (base, other)]
        url = f"{base}/elsewhere?{other}/private/x.jpg"
        ws, config = workspace(tmp_path, [url], allow_private=raw)
        download(ws, config)
        assert outcomes(ws, base)[url.removeprefix(base)] == "robots_disallowed"
        assert not asked


def test_a_file_that_is_not_the_one_described_is_refused(tmp_path: Path) -> None:
    with hostile_web() as (base, _):
        right = hashlib.sha1(PICTURE, usedforsecurity=False).hexdigest()
        ws, config = workspace(tmp_path, [], base)
        lines = ["url,sha1", f"{base}/optout,{right}", f"{base}/good/2,{right}"]
        (tmp_path / "a.txt").write_text("\n".join(lines))
        config = config.model_copy(update={"download": config.download.model_copy(update={"robots": False})})
        scrape(ws, config)
        download(ws, config)
        assert outcomes(ws, base) == {"/optout": "ok", "/good/2": "checksum_mismatch"}


def test_a_full_disk_stops_the_run_with_a_word_and_loses_nothing(tmp_path: Path) -> None:
    with hostile_web() as (base, _):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(40)], base)
        code = (
            "import sys, resource; from pathlib import Path; from keepset.workspace import Workspace\n"
            "from keepset.download import download; from keepset.errors import WorkspaceNotWritable\n"
            "import signal; signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
            "ws = Workspace.open(Path(sys.argv[1])); config = ws.config()\n"
            "from keepset.storage.journal import Journal; Journal(ws.journal / 'download.sqlite')\n"
            "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))  # no file may grow beyond this\n"
            "try: download(ws, config)\n"
            "except WorkspaceNotWritable as e: print(e.message, e.remedy)"
        )
        assert "cannot be written" in ran(code, ws.root).stdout
        download(ws, config)
        assert set(outcomes(ws, base).values()) == {"ok"}


def test_a_blob_that_a_power_cut_left_short_is_fetched_again(tmp_path: Path) -> None:
    with hostile_web() as (base, asked):
        ws, config = workspace(tmp_path, [f"{base}/good/{i}" for i in range(3)], base)
        download(ws, config)
        blob = ws.blob(manifests.read(ws.downloads, "downloads").rows()[1]["sha256"])
        whole = blob.read_bytes()
        blob.write_bytes(whole[:100])
        ws.downloads.unlink()
        download(ws, config)
        assert blob.read_bytes() == whole
        assert sorted(asked.values()) == [1, 1, 2]


def test_what_is_public() -> None:
    public = ("93.184.216.34", "2606:4700::1111", "::ffff:93.184.216.34")
    private = (
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "127.0.0.1", "0.0.0.0", "169.254.169.254", "100.64.0.1", "224.0.0.1",
        "255.255.255.255", "::1", "::", "fe80::1", "fc00::1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "ff02::1",
        "fe80::1%eth0",
    )  # fmt: skip
    assert {a: is_public(a) for a in public + private} == dict.fromkeys(public, True) | dict.fromkeys(private, False)


def test_rot_tells_what_is_gone_moved_or_changed_and_where_else_a_picture_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from keepset.manifests import Header
    from tests.factories import dataset_row
    from tests.test_cli import run

    with hostile_web() as (base, asked):
        kinds = ("same", "gone", "page", "longer", "busy", "moved")
        monkeypatch.setattr(Web, "on_rot", lambda self: self.answer(PICTURE + self.path.encode()), raising=False)
        monkeypatch.setattr(Web, "on_twin", lambda self: self.answer(PICTURE + b"/rot/gone"), raising=False)
        urls = [f"{base}/rot/{k}" for k in kinds] + [f"{base}/twin/1", f"{base}/versioned/1"]
        ws, config = workspace(tmp_path, urls, base, retries=0)
        download(ws, config)
        rows = {r["url"].removeprefix(base): r for r in manifests.read(ws.downloads, "downloads").rows() if r["sha256"]}
        assert rows["/twin/1"]["sha256"] == rows["/rot/gone"]["sha256"]
        shas = {r["sha256"] for r in rows.values()}
        manifests.write(ws.images, [
            {"sha256": s, "label": "a", "other_labels": [], "status": "ok", "warnings": [], "url": "x", "copies": 1, "source": "list",
             "bytes": 1, "landing_page": f"http://p.example/{s[:4]}"} for s in shas
        ], Header("images", "validate", "f"))  # fmt: skip
        add_revision(ws, [dataset_row(s, "a", i, 1) for i, s in enumerate(sorted(shas))])

        def now(self: Web) -> None:
            kind = self.path.rpartition("/")[2]
            if kind == "moved":
                self.answer(b"", 301, Location="/good/rot")
            elif kind == "page":
                self.answer(b"<!doctype html>", Content_Type="text/html")
            else:
                more = b"!" if kind == "longer" else b""
                code = {"gone": 404, "busy": 503}.get(kind, 200)
                self.answer(PICTURE + self.path.encode() + more, code)

        def archived(self: Web) -> None:
            self.answer(PICTURE if "/rot/page" in self.path else b"", 200 if "/rot/page" in self.path else 404)

        monkeypatch.setattr(Web, "on_rot", now)
        monkeypatch.setattr(Web, "on_archive", archived, raising=False)
        monkeypatch.setattr(Web, "on_good", lambda self: self.answer(PICTURE + b"/rot/moved"))
        asked.clear()
        code, out, _ = run(capsys, "rot", "-w", ws.root, "--json", "--archive", f"{base}/archive/")
        found = json.loads(out)
        assert code == 0
        bad = {a["url"].removeprefix(base): a for a in found["addresses"]}
        assert {u: a["state"] for u, a in bad.items()} == {
            "/rot/gone": "gone", "/rot/page": "gone", "/rot/longer": "changed", "/rot/busy": "no_answer", "/rot/moved": "moved",
        }  # fmt: skip
        assert found["counts"]["same"] == 3
        assert bad["/rot/gone"]["elsewhere"] == [f"{base}/twin/1"]
        assert bad["/rot/page"]["elsewhere"] == [f"{base}/archive/{base}/rot/page"]
        assert bad["/rot/longer"]["landing_page"].startswith("http://p.example/")
        assert set(found["lost"]) == {rows[f"/rot/{k}"]["sha256"] for k in ("longer", "busy")}
        assert asked["304"] == 1  # what has an ETag is asked for by it
        assert "All are in the workspace." in run(capsys, "rot", "-w", ws.root)[1]
        assert all(ws.blob(s).exists() for s in shas)
