"""The stage around the looking: what is retried, what stops the run, which warnings are kept, and from where it runs."""

from __future__ import annotations

import hashlib
import io
import os
import subprocess
import sys
from pathlib import Path
from typing import NoReturn

import pytest
from PIL import Image, ImageCms, ImageDraw, ImageFont, ImageOps

from keepset import duplicates, manifests, split, validate
from keepset.demo.draw import CLASSES, draw
from keepset.errors import StageError, WorkspaceNotWritable
from keepset.files import write_bytes
from keepset.manifests import Header
from keepset.validate.worker import memory_limit_gap
from tests.factories import Told, saved
from tests.processes import PATIENCE_S
from tests.test_hostile_images import JPEG, PHOTO, rows, workspace


def test_what_may_be_the_machines_fault_is_tried_again_by_the_next_run(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0132], exif.get_ifd(0x8769)[0x9003] = "2021:02:03 04:05:06", "2019:05:31 10:00:00"
    ws, cfg, names = workspace(
        tmp_path, {"jpeg": saved(PHOTO, "JPEG", quality=75, exif=exif), "png": saved(PHOTO, "PNG")}
    )
    sha = next(s for s, n in names.items() if n == "jpeg")
    away = tmp_path / "away"
    ws.blob(sha).rename(away)
    assert "tried again" in validate.validate(ws, cfg).message
    assert rows(ws, names)["jpeg"]["reason"] == "file_missing"
    assert not validate.is_current(ws, cfg)
    away.rename(ws.blob(sha))
    assert validate.validate(ws, cfg).changed
    found = rows(ws, names)
    assert found["jpeg"]["status"] == "ok"
    assert [(found[n]["jpeg_quality"], found[n]["year"]) for n in ("jpeg", "png")] == [(75, 2019), (None, None)]
    assert not validate.validate(ws, cfg).changed


def test_what_the_data_set_holds_is_compared_with_what_takes_its_place(tmp_path: Path) -> None:
    again = saved(PHOTO, "JPEG", quality=60)  # the same picture, saved anew at the same address
    ws, cfg, names = workspace(
        tmp_path, {"before": JPEG, "other": saved(PHOTO.transpose(Image.Transpose.ROTATE_90), "PNG")}
    )
    validate.validate(ws, cfg)
    split.split(ws, cfg)
    before = next(s for s, n in names.items() if n == "before")
    old = manifests.read(ws.downloads, "downloads")
    write_bytes(ws.blob(new := hashlib.sha256(again).hexdigest()), again)
    fresh = [r | ({"sha256": new} if r["sha256"] == before else {}) for r in old.rows()]
    manifests.write(ws.downloads, fresh, Header("downloads", "download", "later"))
    assert validate.validate(ws, cfg).changed
    seen = {r["sha256"]: r for r in manifests.read(ws.images, "images").rows()}
    assert set(seen) == {*names, new}
    assert seen[before]["group_id"] == seen[new]["group_id"]
    assert seen[before]["url"] == seen[new]["url"]
    split.split(ws, cfg)
    placed = {r["sha256"]: r for r in ws.current_dataset().rows()}
    assert (placed[new]["split"], placed[new]["fold"]) == (placed[before]["split"], placed[before]["fold"])
    assert not validate.validate(ws, cfg).changed


def test_merging_before_all_was_looked_at_is_an_error_not_a_loss(tmp_path: Path) -> None:
    ws, cfg, _ = workspace(tmp_path, {"jpeg": JPEG})
    with pytest.raises(StageError, match="1 downloaded images were not looked at"):
        validate.merge(ws, cfg)
    assert not ws.images.exists()


def test_a_thumbnail_that_cannot_be_written_stops_the_run_and_blames_no_image(tmp_path: Path) -> None:
    ws, cfg, names = workspace(tmp_path, {"jpeg": JPEG})
    folder = ws.thumb(next(iter(names))).parent
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.write_text("a file where the folder belongs")
    with pytest.raises(WorkspaceNotWritable) as caught:
        validate.validate(ws, cfg)
    assert caught.value.remedy
    folder.unlink()
    validate.validate(ws, cfg)
    assert rows(ws, names)["jpeg"]["status"] == "ok"


def test_warnings_are_kept_apart_from_rejects(tmp_path: Path) -> None:
    damaged = bytearray(saved(PHOTO, "JPEG", quality=95))
    damaged[len(damaged) // 2 : len(damaged) // 2 + 3] = b"\xff\xd5\x00"  # a restart where none belongs
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    lab = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    ws, cfg, names = workspace(tmp_path, {
        "clean": JPEG, "sloppy": bytes(damaged), "jpeg_tail": JPEG + b"PK\x03\x04 a zip", "padded": JPEG + b"\0" * 99,
        "png_tail": saved(PHOTO, "PNG") + b"<script>", "webp_tail": saved(PHOTO, "WEBP") + b"more",
        "srgb": saved(PHOTO, "PNG", icc_profile=srgb), "lab": saved(PHOTO, "JPEG", icc_profile=lab),
    })  # fmt: skip
    validate.validate(ws, cfg)
    assert {n: (r["status"], r["warnings"]) for n, r in rows(ws, names).items()} == {
        "clean": ("ok", []), "padded": ("ok", []), "srgb": ("ok", []), "sloppy": ("ok", ["sloppy_jpeg"]),
        "jpeg_tail": ("ok", ["trailing_data"]), "png_tail": ("ok", ["trailing_data"]),
        "webp_tail": ("ok", ["trailing_data"]), "lab": ("ok", ["icc_ignored"]),
    }  # fmt: skip


def test_a_script_without_a_main_guard_runs_once(tmp_path: Path) -> None:
    ws, _, _ = workspace(tmp_path, {"jpeg": JPEG})
    script = tmp_path / "mine.py"
    script.write_text(
        "print('once')\n"
        "import sys; from pathlib import Path\n"
        "from keepset.validate import validate\n"
        "from keepset.workspace import Workspace\n"
        "from tests.factories import config\n"
        f"print(validate(Workspace.open(Path({str(ws.root)!r})), config(Path({str(tmp_path)!r}))).message)\n"
    )
    path = os.pathsep.join(p for p in sys.path if p)
    done = subprocess.run(
        [sys.executable, str(script)], capture_output=True, text=True, timeout=PATIENCE_S, check=False,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(Path.cwd()), path])},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("once") == 1
    assert "1 images are good" in done.stdout


def test_where_memory_cannot_be_limited_that_is_said() -> None:
    assert memory_limit_gap("linux") is None
    assert "no memory limit" in str(memory_limit_gap("darwin"))


def test_the_thumbnail_is_drawn_again_if_it_was_lost(tmp_path: Path) -> None:
    ws, cfg, names = workspace(tmp_path, {"jpeg": JPEG})
    validate.validate(ws, cfg)
    sha = next(iter(names))
    ws.thumb(sha).write_bytes(b"")
    ws.images.unlink()
    validate.validate(ws, cfg)
    with Image.open(io.BytesIO(ws.thumb(sha).read_bytes())) as thumb:
        assert thumb.size == (160, 120)
    assert manifests.read_header(ws.images).rows == 1


def test_copies_that_no_hash_sees_are_found_by_features_and_only_new_pictures_are_compared(tmp_path: Path) -> None:
    """Drawings: four, a mirrored crop of the first, and later a captioned copy of the second."""
    drawn = [draw(label, 7 + i, width=640, height=480) for i, label in enumerate((*CLASSES, "house"))]
    files = {f"drawn{i}": saved(d, "JPEG", quality=90) for i, d in enumerate(drawn)}
    files["cut"] = saved(ImageOps.mirror(drawn[0].crop((60, 40, 600, 450))), "JPEG", quality=80)
    ws, cfg, names = workspace(tmp_path, files)
    message = validate.validate(ws, cfg, progress=(first := Told())).message
    assert "0 exact and 1 near duplicates" in message
    assert _compared(first)
    seen = rows(ws, names)
    by_name = {n: s for s, n in names.items()}
    assert seen["cut"]["dup_of"] == by_name["drawn0"]
    assert seen["cut"]["dup_how"].startswith("crop, 7")
    assert seen["cut"]["dup_how"].endswith("mirrored")
    split.split(ws, cfg)

    late = drawn[1].copy()
    pen = ImageDraw.Draw(late)
    pen.rectangle((0, 420, 640, 480), "white")
    pen.text((10, 425), "Seen in spring", "black", font=ImageFont.load_default(40))
    write_bytes(ws.blob(new := hashlib.sha256(data := saved(late, "JPEG")).hexdigest()), data)
    old = manifests.read(ws.downloads, "downloads").rows()
    more = old[0] | {"url_id": "f" * 16, "url": "http://127.0.0.1/late.jpg", "sha256": new, "bytes": len(data)}
    manifests.write(ws.downloads, [*old, more], Header("downloads", "download", "later"))
    manifests.write(
        ws.urls,
        [*manifests.read(ws.urls, "urls").rows(), manifests.read(ws.urls, "urls").rows()[0] | {"url_id": "f" * 16}],
        Header("urls", "scrape", "later"),
    )
    validate.validate(ws, cfg, progress=(second := Told()))
    assert 0 < _compared(second) <= len(files), "each picture at most once, with the new one"
    assert rows(ws, names | {new: "late"})["late"]["dup_of"] == by_name["drawn1"]
    split.split(ws, cfg)
    placed = {r["sha256"]: r for r in ws.current_dataset().rows()}
    for one, other in (("cut", "drawn0"), (new, "drawn1")):
        a, b = placed[by_name.get(one, one)], placed[by_name[other]]
        assert (a["split"], a["fold"], a["group_id"]) == (b["split"], b["fold"], b["group_id"])


def _compared(told: Told) -> int:
    return sum(n or 0 for what, n in told.begun if what == "comparing look-alikes")


def test_without_packaged_weights_copies_are_searched_by_hash_alone(tmp_path: Path) -> None:
    photo = draw("house", 9, width=640, height=480)
    files = {
        "whole": saved(photo, "JPEG"),
        "again": saved(photo.resize((480, 360)), "JPEG"),
        "cut": saved(photo.crop((90, 40, 560, 470)), "JPEG"),
    }
    ws, cfg, names = workspace(tmp_path, files)
    cfg = cfg.model_copy(update={"train": cfg.train.model_copy(update={"weights": "none"})})
    validate.validate(ws, cfg)
    seen = rows(ws, names)
    assert seen["again"]["group_id"] == seen["whole"]["group_id"] != seen["cut"]["group_id"]
    assert not (ws.cache / "features").exists()


def test_pictures_that_could_not_be_compared_are_compared_by_the_next_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(thumb: Path) -> NoReturn:
        raise OSError(f"{thumb}: input/output error")

    photo = draw("house", 9, width=640, height=480)
    files = {"whole": saved(photo, "JPEG"), "again": saved(photo.resize((480, 360)), "JPEG")}
    ws, cfg, names = workspace(tmp_path, files)
    monkeypatch.setattr(duplicates, "look_at", broken)
    assert "tried again by the next run" in validate.validate(ws, cfg).message
    assert not validate.is_current(ws, cfg)
    monkeypatch.undo()
    validate.validate(ws, cfg)
    seen = rows(ws, names)
    assert seen["again"]["dup_of"] == seen["whole"]["sha256"]
    assert validate.is_current(ws, cfg)
