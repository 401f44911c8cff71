"""Duplicate groups: exact pairs by hash, checked on the thumbnails, and nothing chained that is not a copy."""

from __future__ import annotations

import hashlib
import io
import itertools
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from keepset.config import ValidateConfig
from keepset.demo.draw import CLASSES, draw
from keepset.duplicates import Pictures, Verdict, group, judge, look_alikes, look_at, near_pairs
from keepset.validate.look import Job, PixelJob, look, pixel_digest

Facts = dict[str, dict[str, Any]]


def noisy_hashes(n: int, seed: int, *, clusters: int = 20) -> np.ndarray:
    """``n`` random hashes, two thirds of them a few bits off one of ``clusters`` others."""
    rng = np.random.default_rng(seed)
    hashes = rng.integers(0, 2**64, n, dtype=np.uint64)
    for i in range(clusters, n, 3):
        hashes[i] = hashes[i % clusters]
        for bit in rng.integers(0, 64, rng.integers(0, 8)):
            hashes[i] ^= np.uint64(1) << np.uint64(bit)
    return hashes


@settings(max_examples=40, deadline=None)
@given(n=st.integers(0, 90), seed=st.integers(0, 2**32), bits=st.integers(0, 8))
def test_near_pairs_are_those_of_brute_force(n: int, seed: int, bits: int) -> None:
    hashes = np.unique(noisy_hashes(n, seed))
    plain = [int(h) for h in hashes]
    pairs = itertools.combinations(range(len(plain)), 2)
    wanted = {(i, j) for i, j in pairs if (plain[i] ^ plain[j]).bit_count() <= bits}
    found = [(i, j) for piece in near_pairs(hashes, bits) for i, j in piece]
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_a_hundred_thousand_hashes_within_half_a_second() -> None:
    hashes = np.unique(noisy_hashes(100_000, 1, clusters=60_000))
    start = time.process_time()
    found = sum(len(piece) for piece in near_pairs(hashes, 4))
    spent = time.process_time() - start
    print(f"near_pairs: 100,000 hashes, 4 bits: {spent:.2f} CPU s, {found} pairs")
    assert found > 5_000
    assert spent < 0.5


def encoded(image: Image.Image, form: str = "JPEG", **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **how)
    return out.getvalue()


def grouped(folder: Path, *files: bytes, every_pair: bool = True) -> tuple[list[str], Facts]:
    """Really look at the files, then group them; returns their sha256 in order, and the groups."""
    rows = []
    for data in files:
        sha = hashlib.sha256(data).hexdigest()
        blob = folder / sha
        blob.write_bytes(data)
        row = look(Job(sha, blob, folder / f"{sha}.jpg", ValidateConfig()))
        assert row["status"] == "ok", row
        rows.append(row)
    shas = [r["sha256"] for r in rows]
    pictures = Pictures(
        shas,
        np.array([r["phash"] for r in rows], np.uint64),
        *(np.array([r[c] for r in rows], np.int32) for c in ("width", "height")),
        np.array([r["bytes"] for r in rows], np.int64),
    )

    def digests(wanted: list[str]) -> dict[str, str]:
        return {s: str(pixel_digest(PixelJob(s, folder / s))) for s in wanted}

    looks = [look_at(folder / f"{s}.jpg") for s in shas]

    def judging(pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Verdict]:
        return {(i, j): v for i, j in pairs if (v := judge(looks[i], looks[j]))}

    plain, pairs = look_alikes(
        shas, pictures.phash, lambda s: folder / f"{s}.jpg", ValidateConfig().near_bits
    )
    if every_pair:
        pairs = list(itertools.combinations(range(len(shas)), 2))
    found = group(pictures, plain, pairs, judging, digests)
    alone = {"dup_of": None, "dup_kind": None}
    return shas, {s: found.get(s, {"group_id": s, **alone}) for s in shas}


def test_same_pixels_in_two_containers_are_exact(tmp_path: Path) -> None:
    photo = draw(CLASSES[0], 1, width=200, height=160)
    (a, b, c), facts = grouped(
        tmp_path, encoded(photo, "PNG"), encoded(photo, "BMP"), encoded(draw(CLASSES[1], 2), "PNG")
    )
    kinds = sorted(str(facts[s]["dup_kind"]) for s in (a, b))
    assert kinds == ["None", "exact"]
    assert facts[a]["group_id"] == facts[b]["group_id"] != facts[c]["group_id"]
    assert facts[a]["dup_of"] is None or facts[a]["dup_of"] == b
    assert facts[c]["dup_kind"] is None


def test_a_jpeg_and_its_png_are_one_group(tmp_path: Path) -> None:
    jpeg = encoded(draw(CLASSES[0], 3, width=200, height=160), quality=90)
    with Image.open(io.BytesIO(jpeg)) as image:
        png = encoded(image, "PNG")
    (a, b), facts = grouped(tmp_path, jpeg, png)
    assert [facts[s]["dup_kind"] for s in (a, b)].count("exact") == 1


def test_a_smaller_recompressed_copy_is_near_and_names_the_better_one(tmp_path: Path) -> None:
    photo = draw(CLASSES[0], 4, width=400, height=300)
    (big, small), facts = grouped(
        tmp_path, encoded(photo, quality=92), encoded(photo.resize((300, 225)), quality=60)
    )
    assert facts[big]["dup_of"] is None
    assert facts[small]["dup_of"] == big
    assert facts[small]["dup_kind"] == "near"


def test_mirrored_and_uniform_pictures_do_not_chain(tmp_path: Path) -> None:
    photo = draw(CLASSES[0], 5, width=200, height=160)
    plain = [Image.new("RGB", (200, 160), (v, v, v)) for v in (20, 90, 160, 230)]
    files = [encoded(p, "PNG") for p in (photo, ImageOps.mirror(photo), *plain)]
    shas, facts = grouped(tmp_path, *files)
    assert len({facts[s]["group_id"] for s in shas}) == len(shas)


def test_different_drawings_are_not_duplicates(tmp_path: Path) -> None:
    files = [encoded(draw(CLASSES[i % 3], 50 + i, width=200, height=160)) for i in range(24)]
    shas, facts = grouped(tmp_path, *files)
    assert sum(facts[s]["dup_of"] is not None for s in shas) <= 1


def test_a_large_jpeg_and_its_png_are_exact_though_the_jpeg_was_decoded_small(tmp_path: Path) -> None:
    jpeg = encoded(draw(CLASSES[0], 3, width=1200, height=900), quality=90)
    with Image.open(io.BytesIO(jpeg)) as image:
        png = encoded(image, "PNG")
        image.putpixel((600, 450), (0, 255, 0))
        touched = encoded(image, "PNG")
    (a, b, c), facts = grouped(tmp_path, jpeg, png, touched)
    best = next(s for s in (a, b, c) if facts[s]["dup_of"] is None)
    assert len({facts[s]["group_id"] for s in (a, b, c)}) == 1
    assert facts[a]["pixel_hash"] == facts[b]["pixel_hash"] != facts[c]["pixel_hash"]
    for s in {a, b, c} - {best}:
        same = facts[s]["pixel_hash"] == facts[best]["pixel_hash"]
        assert facts[s]["dup_kind"] == ("exact" if same else "near")


def test_blank_pictures_group_by_colour_in_linear_time(tmp_path: Path) -> None:
    colours = [(v, 40, 200 - v) for v in range(0, 200, 20)]
    files = [encoded(Image.new("RGB", (64 + i, 64), c), "PNG") for c in colours for i in range(8)]
    shas, facts = grouped(tmp_path, *files)
    assert len({facts[s]["group_id"] for s in shas}) == len(colours)
