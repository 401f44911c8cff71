"""Duplicate groups: exact pairs by hash, checked on the thumbnails, and nothing chained that is not a copy."""

from __future__ import annotations

import hashlib
import io
import itertools
import time
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from keepset.config import ValidateConfig
from keepset.demo.draw import CLASSES, draw
from keepset.duplicates import group, near_pairs
from keepset.validate.look import Job, look

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
    hashes = noisy_hashes(n, seed)
    plain = [int(h) for h in hashes]
    wanted = {
        (i, j) for i, j in itertools.combinations(range(n), 2) if (plain[i] ^ plain[j]).bit_count() <= bits
    }
    found = list(near_pairs(hashes, bits))
    assert set(found) == wanted
    assert len(found) == len(wanted)


def test_a_hundred_thousand_hashes_within_seconds() -> None:
    hashes = noisy_hashes(100_000, 1, clusters=60_000)
    start = time.process_time()
    found = sum(1 for _ in near_pairs(hashes, 4))
    spent = time.process_time() - start
    print(f"near_pairs: 100,000 hashes, 4 bits: {spent:.2f} CPU s, {found} pairs")
    assert found > 5_000
    assert spent < 3.0


def encoded(image: Image.Image, form: str = "JPEG", **how: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **how)
    return out.getvalue()


def grouped(folder: Path, *files: bytes) -> tuple[list[str], Facts]:
    """Really look at the files, then group them; returns their sha256 in order, and the groups."""
    rows, shas = [], []
    for data in files:
        sha = hashlib.sha256(data).hexdigest()
        blob = folder / sha
        blob.write_bytes(data)
        row = look(Job(sha, blob, folder / f"{sha}.webp", ValidateConfig()))
        assert row["status"] == "ok", row
        rows.append(row)
        shas.append(sha)
    return shas, group(rows, {s: folder / f"{s}.webp" for s in shas}, ValidateConfig().near_bits)


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
