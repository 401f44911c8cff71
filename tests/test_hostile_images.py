"""Validation of every kind of file that a web of strangers sends, in its real worker processes."""

from __future__ import annotations

import hashlib
import io
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from keepset import manifests
from keepset.files import write_bytes
from keepset.images.header import count_scans
from keepset.images.pixels import decode
from keepset.manifests import Header
from keepset.predict.intake import Refused, open_image
from keepset.validate import validate
from keepset.validate.pool import Lost, run_jobs
from keepset.workspace import Workspace
from tests.factories import EPOCH, config, saved

RNG = np.random.default_rng(0)
PHOTO = Image.fromarray(RNG.integers(0, 255, (12, 16, 3), np.uint8)).resize((160, 120), Image.Resampling.BICUBIC)


def huge_png(width: int, height: int) -> bytes:
    """A PNG that says it is huge; its pixels compress to a few hundred kB."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = zlib.compress(b"\0" * min(50_000_000, (width + 1) * height), 9)
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def many_scans(n: int) -> bytes:
    """A progressive JPEG whose last scan is repeated until it has ``n``."""
    data = saved(PHOTO, "JPEG", progressive=True)
    last = data.rindex(b"\xff\xda")
    return data[:-2] + data[last:-2] * (n - count_scans(data)) + data[-2:]


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(PHOTO, "JPEG", exif=exif.tobytes())


JPEG, BMP = saved(PHOTO, "JPEG"), saved(PHOTO, "BMP")
GOOD = {
    "jpeg": JPEG, "png": saved(PHOTO, "PNG"), "gif": saved(PHOTO.convert("P"), "GIF"),
    "webp": saved(PHOTO, "WEBP"), "bmp": saved(PHOTO, "BMP"), "avif": saved(PHOTO, "AVIF"),
    "cmyk": saved(PHOTO.convert("CMYK"), "JPEG"), "progressive": saved(PHOTO, "JPEG", progressive=True),
    "rgba": saved(PHOTO.convert("RGBA"), "PNG"), "exif": rotated(),
    "comment": saved(PHOTO, "JPEG", comment=b"<script>alert(1)</script>" + b"\xff\xda" * 150),
    "animated": saved(PHOTO, "GIF", save_all=True, append_images=[PHOTO.rotate(90), PHOTO.rotate(180)]),
}  # fmt: skip
BAD = {
    "empty": (b"", "empty_file"), "html": (b"<!doctype html><p>moved", "not_an_image"),
    "svg": (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "format_not_supported"), "zeros": (b"\0" * 5000, "not_an_image"),
    "scans": (many_scans(150), "too_many_scans"), "huge": (huge_png(20_000, 20_000), "too_many_pixels"),
    "tiny": (saved(PHOTO.resize((8, 8)), "PNG"), "too_small"),
    "thin": (saved(PHOTO.resize((1000, 40)), "PNG"), "extreme_aspect"),
    "broken_png": (GOOD["png"][:900] + b"\0\xff\0\xff" + GOOD["png"][904:], "broken"),  # EXIF was looked for first, once
    "header": (JPEG[:30], "truncated"), "bmp_head": (b"BM" + b"\xff" * 60, "truncated"),
    "tiff": (saved(PHOTO, "TIFF"), "format_not_supported"),
    "wide_bmp": (BMP[:18] + b"\x81\xff\xff\xff" + BMP[22:], "too_many_pixels"),  # 4294967169 pixels wide, it says
}  # fmt: skip


def workspace(tmp_path: Path, files: dict[str, bytes]) -> tuple[Workspace, Any, dict[str, str]]:
    """A workspace whose downloads are ``files``; returns sha256 -> name as well."""
    cfg = config(tmp_path)
    ws = Workspace.create(tmp_path / "ws", "x")
    urls, downloads, names = [], [], {}
    for i, (name, data) in enumerate(files.items()):
        sha = hashlib.sha256(data).hexdigest()
        names[sha] = name
        write_bytes(ws.blob(sha), data)
        common = {"url_id": f"{i:016x}", "url": f"http://127.0.0.1/{name}.jpg", "label": "apple", "status": "ok"}
        urls.append({**common, "source": "list", "rank": i, "discovered_at": EPOCH})
        downloads.append({**common, "sha256": sha, "bytes": len(data), "attempts": 1})
    manifests.write(ws.urls, urls, Header("urls", "scrape", "f"))
    manifests.write(ws.downloads, downloads, Header("downloads", "download", "f"))
    return ws, cfg, names


def rows(ws: Workspace, names: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {names[r["sha256"]]: r for r in manifests.read(ws.images, "images").rows()}


def test_good_files_of_all_kinds_and_bad_ones_with_their_reason(tmp_path: Path) -> None:
    files = GOOD | {k: v for k, (v, _) in BAD.items()}
    ws, cfg, names = workspace(tmp_path, files)
    assert validate(ws, cfg).changed
    found = rows(ws, names)
    assert {n: found[n]["reason"] for n in GOOD} == dict.fromkeys(GOOD)
    assert {n: found[n]["reason"] for n in BAD} == {n: reason for n, (_, reason) in BAD.items()}
    assert (found["exif"]["width"], found["exif"]["height"]) == (120, 160)
    assert found["animated"]["warnings"] == ["animated_first_frame"]
    assert found["animated"]["frames"] == 3
    for n in GOOD:
        thumb = ws.thumb(found[n]["sha256"]).read_bytes()
        assert thumb[:3] == b"\xff\xd8\xff"
        assert b"<script>" not in thumb  # what is served was drawn by us
    assert all(ws.blob(s).exists() for s in names)  # nothing is deleted
    again = validate(ws, cfg)
    assert not again.changed
    ws.images.unlink()  # the journal still knows: nothing is decoded again
    ws.thumb(found["jpeg"]["sha256"]).touch()
    before = {p: p.stat().st_mtime_ns for p in (ws.root / "thumbs").rglob("*.jpg")}
    assert validate(ws, cfg).changed
    assert {p: p.stat().st_mtime_ns for p in before} == before


def ftyp(*brands: bytes) -> bytes:
    """The head of an ISO media file of those brands, the major one first."""
    return struct.pack(">I", 16 + 4 * len(brands[1:])) + b"ftyp" + brands[0] + b"\0\0\0\0" + b"".join(brands[1:])


FOREIGN = {
    "HEIC": ftyp(b"heic", b"mif1", b"heic"), "MP4": ftyp(b"isom", b"iso2"), "TIFF": saved(PHOTO, "TIFF"),
    "JPEG 2000": b"\0\0\0\x0cjP  \r\n\x87\n", "JPEG XL": b"\xff\x0a" + bytes(40), "PDF": b"%PDF-1.7",
    "SVG": b"\xef\xbb\xbf<?xml version='1.0'?>\n<!-- made by hand -->\n<svg xmlns='http://www.w3.org/2000/svg'/>",
    "PSD": b"8BPS\0\1" + bytes(20), "ICO": b"\0\0\1\0\1\0" + bytes(20), "WebM": b"\x1aE\xdf\xa3" + bytes(20),
}  # fmt: skip


def test_a_format_that_is_not_read_is_named_and_its_conversion_is_taken(tmp_path: Path) -> None:
    mif1 = bytearray(GOOD["avif"])
    mif1[8:12] = b"mif1"  # as some cameras and encoders write AVIF
    cut = {"no end": JPEG[:-2], "no end, grey": saved(PHOTO.convert("L"), "JPEG")[:-2]}
    ws, cfg, names = workspace(tmp_path, FOREIGN | {"avif": bytes(mif1), **cut})
    validate(ws, cfg)
    found = rows(ws, names)
    assert {n: found[n]["reason"] for n in FOREIGN} == dict.fromkeys(FOREIGN, "format_not_supported")
    assert all(n in found[n]["detail"] for n in FOREIGN)
    assert (found["avif"]["status"], found["avif"]["format"]) == ("ok", "avif")
    assert {n: found[n]["warnings"] for n in cut} == {n: ["sloppy_jpeg"] for n in cut}
    for name in FOREIGN:  # the prediction says the same
        with pytest.raises(Refused, match=f"{name}.*Convert it to JPEG") as caught:
            open_image(FOREIGN[name], shortest=64)
        assert caught.value.reason == "format_not_supported"
    with Image.open(io.BytesIO(FOREIGN["TIFF"])) as tiff:  # what the remedy says
        converted = saved(tiff, "PNG")
    assert open_image(converted, shortest=64).size == PHOTO.size


def test_what_validation_takes_everything_else_decodes_to_the_same_size(tmp_path: Path) -> None:
    """One decoder for all: training, prediction and thumbnails never meet a file that they cannot read. And nothing that
    is cut short is taken, and nothing breaks the run.
    """
    rng, files = np.random.default_rng(2), dict(GOOD)
    for kind, good in GOOD.items():
        for i in range(6):
            data = bytearray(good)
            for at in rng.integers(2, len(data), 3 + 3 * (i % 4)):
                data[at] = int(rng.integers(256))
            files[f"{kind}-{i}"] = bytes(data)
        files[f"{kind}-tail"], files[f"{kind}-cut"] = good + b"junk", good[:-2]
    cut = {f"{kind} {i}/10": GOOD[kind][: len(GOOD[kind]) * i // 10] for kind in ("jpeg", "png", "webp", "progressive")
           for i in range(1, 10)}  # fmt: skip
    ws, cfg, names = workspace(tmp_path, files | cut)
    validate(ws, cfg)
    found = rows(ws, names)
    assert len(found) == len(names) > 100
    assert all(r["status"] == "ok" or r["reason"] for r in found.values())
    assert "decoder_crashed" not in {r["reason"] for r in found.values()}
    assert {found[n]["reason"] for n in cut} <= {"truncated", "broken", "not_an_image"}
    good_ones = {n: r for n, r in found.items() if r["status"] == "ok"}
    assert len(good_ones) > 2 * len(GOOD)
    for name, row in good_ones.items():
        assert decode(files[name]).size == (row["width"], row["height"])
        assert min(decode(files[name], shortest=64).size) >= 64
        assert min(open_image(files[name], shortest=64).size) >= 64


def _misbehave(job: str) -> str:
    if job == "hang":
        time.sleep(60)
    if job == "die":
        os._exit(7)
    if job == "eat":
        return f"ate {len(bytearray(8 * 2**30))}"
    return job.upper()


def test_a_job_that_hangs_or_dies_or_eats_memory_takes_nothing_else_with_it() -> None:
    jobs = ["a", "hang", "b", "die", "c", "eat", "d"]
    found = dict(run_jobs(_misbehave, jobs, workers=2, timeout_s=3.0, memory_mb=512))
    assert {k: v for k, v in found.items() if isinstance(v, str)} == {k: k.upper() for k in "abcd"}
    lost = {k: v.why for k, v in found.items() if isinstance(v, Lost)}
    assert lost == {"hang": "timeout", "die": "crashed", "eat": "crashed"}
