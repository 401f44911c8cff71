"""Each remedy is done as it says, and helps."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from keepset import manifests
from keepset.config import parse_config
from keepset.download import download
from keepset.reasons import PREFILTERED, REMEDIES, DownloadReason, ImageReason
from keepset.scrape import scrape
from keepset.validate import validate
from keepset.workspace import Workspace
from tests.download_fixtures import PICTURE, hostile_web
from tests.factories import saved
from tests.test_download import outcomes, workspace
from tests.test_hostile_images import JPEG, PHOTO, rows
from tests.test_hostile_images import workspace as downloaded

IMAGES: list[tuple[ImageReason, bytes, dict[str, Any], dict[str, Any]]] = [
    (ImageReason.TOO_SMALL, saved(PHOTO.resize((20, 20)), "PNG"), {}, {"min_side": 16}),
    (ImageReason.ASPECT, saved(PHOTO.resize((1000, 40)), "PNG"), {}, {"max_aspect": 30.0}),
    (ImageReason.TOO_MANY_PIXELS, JPEG, {"max_pixels": 1000}, {"max_pixels": 100_000}),
    (ImageReason.FORMAT, saved(PHOTO, "BMP"), {"formats": ["jpeg"]}, {"formats": ["jpeg", "bmp"]}),
    (ImageReason.TOO_MANY_FRAMES, saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90)]), {"max_frames": 1},
     {"max_frames": 2}),
    (ImageReason.TIMEOUT, saved(Image.effect_noise((3000, 3000), 99), "PNG"), {"timeout_s": 0.01}, {"timeout_s": 60.0}),
]  # fmt: skip


@pytest.mark.parametrize(("reason", "data", "tight", "mended"), IMAGES, ids=[str(i[0]) for i in IMAGES])
def test_what_validation_refuses_is_taken_once_the_setting_is_raised(
    tmp_path: Path, reason: ImageReason, data: bytes, tight: dict[str, Any], mended: dict[str, Any]
) -> None:
    ws, config, names = downloaded(tmp_path, {"one": data})
    for section, found in ((tight, reason), (mended, None)):
        limits = type(config.validate_).model_validate(section)
        validate(ws, config.model_copy(update={"validate_": limits}))
        assert rows(ws, names)["one"]["reason"] == found
    assert f"[validate] {next(iter(mended))}" in REMEDIES["images"][reason]


def test_what_the_download_refuses_comes_once_the_setting_is_changed(tmp_path: Path) -> None:
    with hostile_web() as (base, _):
        ws, config = workspace(tmp_path, [f"{base}/good/1"], "127.0.0.1:1", max_bytes=100)
        steps: list[tuple[str, dict[str, Any]]] = [
            ("blocked_address", {"allow_private": (base.removeprefix("http://"),)}),
            ("too_large", {"max_bytes": 1_000_000}),
        ]
        for reason, change in steps:
            download(ws, config, retry_failed=True)
            assert outcomes(ws, base) == {"/good/1": reason}
            assert f"[download] {next(iter(change))}" in REMEDIES["downloads"][reason]
            config = config.model_copy(update={"download": config.download.model_copy(update=change)})
        download(ws, config, retry_failed=True)
        assert outcomes(ws, base) == {"/good/1": "ok"}


def test_a_failure_is_asked_for_again_only_where_the_remedy_says_so() -> None:
    """A changed setting alone asks for nothing again."""
    for reason, remedy in REMEDIES["downloads"].items():
        changes = "[download]" in remedy or "`folders`" in remedy or "_PROXY" in remedy
        assert not changes or "--retry-failed" in remedy or reason in {DownloadReason.FORMAT, *PREFILTERED}, reason


def test_what_is_wrong_with_a_file_of_a_folder_is_over_once_the_file_is_right(tmp_path: Path) -> None:
    (tmp_path / "bears").mkdir()
    (tmp_path / "more").mkdir()
    empty, gone, page = (tmp_path / "bears" / n for n in ("empty.jpg", "gone.jpg", "page.jpg"))
    empty.touch()
    gone.write_bytes(PICTURE)
    page.write_text("<html>")
    (tmp_path / "more" / "one.jpg").write_bytes(PICTURE)

    def run(*folders: str) -> dict[str, str]:
        config = parse_config({"classes": {"a": {"folders": folders}, "b": {"urls": ["null"]}}}, base=tmp_path)
        scrape(ws, config)
        if gone.exists() and not done:
            gone.unlink()  # between listing and copying
        download(ws, config)
        found = manifests.read(ws.downloads, "downloads").rows()
        done.append("once")
        return {Path(r["url"]).name: str(r["reason"]) for r in found if r["reason"]}

    ws, done = Workspace.create(tmp_path / "ws", "x"), list[str]()
    assert run("bears") == {
        "empty.jpg": DownloadReason.EMPTY,
        "gone.jpg": DownloadReason.NOT_FOUND,
        "page.jpg": DownloadReason.NOT_AN_IMAGE,
    }
    for file in (empty, gone, page):
        file.write_bytes(PICTURE + file.name.encode())
    assert run("bears") == {}
    (tmp_path / "more" / "two.jpg").write_bytes(PICTURE)
    config = parse_config({"classes": {"a": {"folders": ["more"]}, "b": {"urls": ["null"]}}}, base=tmp_path)
    scrape(ws, config)  # listed, and then the folder is taken out of the config
    assert set(run("bears").values()) == {DownloadReason.OUTSIDE}
    assert "folders" in REMEDIES["downloads"][DownloadReason.OUTSIDE]
    config = parse_config({"classes": {"a": {"folders": ["bears", "more"]}, "b": {"urls": ["null"]}}}, base=tmp_path)
    scrape(ws, config)
    download(ws, config, retry_failed=True)
    assert {r["reason"] for r in manifests.read(ws.downloads, "downloads").rows()} == {None}
