"""Pillow's own test images: hundreds of odd, broken and hostile files that its developers have met."""

from __future__ import annotations

import subprocess
import sys
import tarfile
from pathlib import Path

import PIL
import pytest
from PIL import Image

from keepset import manifests
from keepset.reasons import ImageReason
from keepset.validate import validate
from tests.processes import PATIENCE_S
from tests.test_hostile_images import workspace

_MOST_BYTES = 5_000_000


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    folder = tmp_path_factory.mktemp("pillow")
    command = [
        sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
        "--no-binary", "pillow", "--dest", str(folder), f"pillow=={PIL.__version__}",
    ]  # fmt: skip
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        pytest.skip("Pillow's source distribution cannot be had here (no network?)")
    found: dict[str, bytes] = {}
    with tarfile.open(next(folder.glob("*.tar.gz"))) as source:
        for member in source:
            inside = "/Tests/images/" in member.name and member.isfile() and member.size <= _MOST_BYTES
            if inside and (file := source.extractfile(member)):
                found[member.name.partition("/Tests/images/")[2]] = file.read()
    assert len(found) > 500
    return found


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:Invalid APNG:UserWarning")  # Pillow says so, and takes the picture
def test_each_has_an_outcome_and_what_is_good_has_a_thumbnail(tmp_path: Path, pictures: dict[str, bytes]) -> None:
    by_content = {data: name for name, data in pictures.items()}
    ws, cfg, names = workspace(tmp_path, {name: data for data, name in by_content.items()})
    validate(ws, cfg)
    rows = {names[r["sha256"]]: r for r in manifests.read(ws.images, "images").rows()}
    assert set(rows) == set(by_content.values())
    ok = [r for r in rows.values() if r["status"] == "ok"]
    assert len(ok) > 200
    for r in ok:
        with Image.open(ws.thumb(r["sha256"])) as thumb:
            assert max(thumb.size) <= 256
            thumb.load()
    reasons = {r["reason"] for r in rows.values()} - {None}
    assert reasons <= {str(r) for r in ImageReason} - {str(ImageReason.TIMEOUT), str(ImageReason.CRASHED)}
    plain = ("hopper.jpg", "hopper.webp", "hopper.bmp", "pil123p.png", "transparent.png", "16_bit_noise.tif")
    assert [rows[n]["status"] for n in plain[:-1]] == ["ok"] * 5
    assert rows[plain[-1]]["reason"] == "format_not_supported"
