"""Duplicate groups: exact pairs by hash, checked on the thumbnails, and nothing chained that is not a copy."""

from __future__ import annotations

import csv
import hashlib
import io
import itertools
import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont, ImageOps

from keepset.config import ValidateConfig
from keepset.demo.draw import CLASSES, draw
from keepset.duplicates import (
    Kinship,
    Look,
    PairVerdict,
    Pictures,
    group,
    judge,
    look_alikes,
    look_at,
    near_pairs,
    nearest_pairs,
)
from keepset.validate.inspection import ImageJob, PixelJob, look, pixel_digest
from tests.factories import saved

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


def test_a_hundred_thousand_hashes_are_not_compared_each_with_each() -> None:
    hashes = np.unique(noisy_hashes(100_000, 1, clusters=60_000))
    start = time.process_time()
    found = sum(len(piece) for piece in near_pairs(hashes, 4))
    spent = time.process_time() - start
    print(f"near_pairs: 100,000 hashes, 4 bits: {spent:.2f} CPU s, {found} pairs")
    assert found > 5_000
    assert spent < 4  # each with each takes much longer


def grouped(folder: Path, *files: bytes, every_pair: bool = True) -> tuple[list[str], Facts]:
    """Really look at the files, then group them; returns their sha256 in order, and the groups."""
    rows = []
    for data in files:
        sha = hashlib.sha256(data).hexdigest()
        blob = folder / sha
        blob.write_bytes(data)
        row = look(ImageJob(sha, blob, folder / f"{sha}.jpg", ValidateConfig()))
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

    def judging(pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], PairVerdict]:
        return {(i, j): v for i, j in pairs if (v := judge(looks[i], looks[j]))}

    plain, pairs = look_alikes(shas, pictures.phash, lambda s: folder / f"{s}.jpg", ValidateConfig().near_bits)
    if every_pair:
        pairs = list(itertools.combinations(range(len(shas)), 2))
    found = group(pictures, plain, pairs, judging, digests)
    alone = {"dup_of": None, "dup_kind": None}
    return shas, {s: found.get(s, {"group_id": s, **alone}) for s in shas}


def test_same_pixels_in_two_containers_are_exact(tmp_path: Path) -> None:
    photo = draw(CLASSES[0], 1, width=200, height=160)
    (a, b, c), facts = grouped(tmp_path, saved(photo, "PNG"), saved(photo, "BMP"), saved(draw(CLASSES[1], 2), "PNG"))
    kinds = sorted(str(facts[s]["dup_kind"]) for s in (a, b))
    assert kinds == ["None", "exact"]
    assert facts[a]["group_id"] == facts[b]["group_id"] != facts[c]["group_id"]
    assert facts[a]["dup_of"] is None or facts[a]["dup_of"] == b
    assert facts[c]["dup_kind"] is None


def test_a_smaller_recompressed_copy_is_near_and_names_the_better_one(tmp_path: Path) -> None:
    photo = draw(CLASSES[0], 4, width=400, height=300)
    (big, small), facts = grouped(tmp_path, saved(photo, quality=92), saved(photo.resize((300, 225)), quality=60))
    assert facts[big]["dup_of"] is None
    assert facts[small]["dup_of"] == big
    assert facts[small]["dup_kind"] == "near"


def test_a_mirrored_copy_is_found_and_uniform_pictures_do_not_chain(tmp_path: Path) -> None:
    photo = draw(CLASSES[0], 5, width=200, height=160)
    plain = [Image.new("RGB", (200, 160), (v, v, v)) for v in (20, 90, 160, 230)]
    files = [saved(p, "PNG") for p in (photo, ImageOps.mirror(photo), *plain)]
    shas, facts = grouped(tmp_path, *files)
    assert facts[shas[0]]["group_id"] == facts[shas[1]]["group_id"]
    assert sorted(str(facts[s].get("dup_how")) for s in shas[:2]) == ["None", "mirrored"]
    assert len({facts[s]["group_id"] for s in shas}) == len(shas) - 1


def test_different_drawings_are_not_duplicates(tmp_path: Path) -> None:
    files = [saved(draw(CLASSES[i % 3], 50 + i, width=200, height=160)) for i in range(24)]
    shas, facts = grouped(tmp_path, *files)
    assert {facts[s]["dup_kind"] for s in shas} == {None}


# -- what the web does to pictures -----------------------------------------------------------------


def part(image: Image.Image, share: float, x: float = 0.5, y: float = 0.5) -> Image.Image:
    """A crop of ``share`` of the area, of the same aspect; ``x`` and ``y`` are where, 0 to 1."""
    w, h = (round(side * share**0.5) for side in image.size)
    left, top = round((image.width - w) * x), round((image.height - h) * y)
    return image.crop((left, top, left + w, top + h))


def captioned(image: Image.Image) -> Image.Image:
    out = image.copy()
    pen = ImageDraw.Draw(out)
    top = round(image.height * 0.86)
    pen.rectangle((0, top, image.width, image.height), "black")
    font = ImageFont.load_default(round(image.height * 0.08))
    pen.text((10, top + 4), "WHAT EVERYBODY LIKES, No. 7", "white", font=font)
    return out


def with_logo(image: Image.Image) -> Image.Image:
    out = image.copy()
    pen = ImageDraw.Draw(out)
    side = round(image.height * 0.18)
    pen.ellipse((8, 8, 8 + side, 8 + side), "crimson")
    pen.text((14, 8 + side / 3), "NEWS", "white", font=ImageFont.load_default(round(side * 0.3)))
    return out


def moved(image: Image.Image) -> Image.Image:
    """Another frame: the camera a little off, and what is in the middle has leaned aside."""
    pixels = np.asarray(image)
    h, w = pixels.shape[:2]
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    lean = 0.07 * h * np.exp(-((x - w / 2) ** 2 + (y - h / 2) ** 2) / (2 * (0.3 * h) ** 2))
    return Image.fromarray(
        cv2.remap(pixels, 1.02 * x + lean - 4, 1.02 * y - lean, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    )


DONE: dict[str, tuple[Callable[[Image.Image], Image.Image], str]] = {
    "cropped to 90 %": (lambda i: part(i, 0.9, 0.2), "crop, 90 %"),
    "cropped to 70 %": (lambda i: part(i, 0.7, 0.9), "crop, 70 %"),
    "cropped to half": (lambda i: part(i, 0.5), "crop, 50 %"),
    "mirrored": (ImageOps.mirror, "mirrored"),
    "mirrored crop": (lambda i: ImageOps.mirror(part(i, 0.6, 0.4)), "crop, 60 %; mirrored"),
    "caption": (captioned, "caption or logo added"),
    "logo": (with_logo, "caption or logo added"),
    "border": (lambda i: ImageOps.expand(i, 24, "white"), "border added"),
    "recoloured": (lambda i: ImageOps.grayscale(i).convert("RGB"), "other colours"),
    "squeezed": (lambda i: i.resize((round(i.width * 0.85), i.height)), ""),
    "small and coarse": (lambda i: i.resize((i.width // 3, i.height // 3)), ""),
}


def looked_at(folder: Path, image: Image.Image, quality: int = 80) -> Look:
    path = folder / f"{len(list(folder.iterdir()))}.jpg"
    image.thumbnail((256, 256))
    image.save(path, quality=quality)
    return look_at(path)


@pytest.mark.parametrize("way", DONE)
def test_each_way_a_picture_is_copied_is_found_and_named(way: str, tmp_path: Path) -> None:
    """The percentage may be a little off: drawings have their patterns in few places."""
    change, said = DONE[way]
    for label in CLASSES:
        photo = draw(label, 70, width=640, height=480)
        verdict = judge(looked_at(tmp_path, photo.copy()), looked_at(tmp_path, change(photo)))
        assert verdict is not None, label
        assert verdict.kinship == Kinship.COPY
        words = verdict.words()
        if "crop" in said:
            share = float(words.partition(" %")[0].removeprefix("crop, "))
            assert abs(share - float(said.partition(" %")[0].removeprefix("crop, "))) <= 4
            words, said_rest = words.partition(" %")[2], said.partition(" %")[2]
            assert words == said_rest
        else:  # at the seam with dark corners a white border can look written on as well
            assert words in (said, f"{said}; caption or logo added") if way == "border" else words == said


def test_a_verdict_reads_the_same_from_both_sides_and_survives_json(tmp_path: Path) -> None:
    photo = draw("house", 71, width=640, height=480)
    whole, cut = looked_at(tmp_path, photo.copy()), looked_at(tmp_path, part(photo, 0.6, 0.1))
    there, back = judge(whole, cut), judge(cut, whole)
    assert there.fuller() == 1 == -back.fuller()
    assert there.turned().fuller() == -1
    assert PairVerdict.from_dict(json.loads(json.dumps(there.as_dict()))) == there


def test_the_uncropped_picture_is_the_one_that_is_kept_even_with_fewer_pixels(tmp_path: Path) -> None:
    photo = draw("house", 72, width=640, height=480)
    (whole, cut), facts = grouped(
        tmp_path, saved(photo, quality=70), saved(part(photo, 0.6).resize((800, 600)), quality=95)
    )
    assert facts[cut]["dup_of"] == whole
    assert facts[cut]["dup_how"].startswith("crop, 6")


def test_another_frame_of_a_scene_shares_the_group_but_is_no_copy(tmp_path: Path, photos: Path) -> None:
    files = []
    for name in ("black/00000003.jpg", "grizzly/00000175.jpg", "teddys/00000075.jpg"):
        with Image.open(photos / "bears" / name) as image:
            photo = image.convert("RGB")
        photo.thumbnail((800, 800))
        files += [saved(photo), saved(moved(photo))]
    shas, facts = grouped(tmp_path, *files)
    for a, b in zip(shas[::2], shas[1::2], strict=True):
        assert facts[a]["group_id"] == facts[b]["group_id"]
        assert [(facts[s]["dup_kind"], facts[s]["dup_of"]) for s in (a, b)] == [("scene", None)] * 2
    assert len({facts[s]["group_id"] for s in shas}) == 3


def test_real_copies_are_found_and_bursts_and_lookalikes_are_not_called_copies(tmp_path: Path, photos: Path) -> None:
    with (photos / "truth" / "bears_pairs.csv").open() as f:
        pairs = [(r["file_a"], r["file_b"], r["sure"] == "yes") for r in csv.DictReader(f)]
    alike = ("65", "155"), ("31", "2"), ("51", "49"), ("12", "65"), ("100", "42")  # the nearest hashes
    teddys = [tuple(f"teddys/{int(n):08d}.jpg" for n in pair) for pair in alike]
    looks = {}

    def of(name: str) -> Look:
        with Image.open(photos / "bears" / name) as image:
            return looks.setdefault(name, looked_at(tmp_path, image.convert("RGB")))

    for a, b, sure in pairs:
        verdict = judge(of(a), of(b))
        assert (verdict is not None and verdict.kinship == Kinship.COPY) == sure, (a, b)
    for a, b in teddys:
        assert judge(of(a), of(b)) is None, (a, b)


def test_a_copy_of_a_copy_names_only_what_it_was_compared_with() -> None:
    """a and b are copies, b and c are, a and c are not: c must not be deleted as a copy of a."""
    copy = PairVerdict(Kinship.COPY, False, (1.0, 1.0), (False, False), (False, False), False)
    said = {(0, 1): copy, (1, 2): copy}
    asked: list[tuple[int, int]] = []

    def judging(pairs: Sequence[tuple[int, int]]) -> dict[tuple[int, int], PairVerdict]:
        asked.extend(pairs)
        return {p: said[p] for p in pairs if p in said}

    size = np.array([300, 200, 100], np.int32)
    pictures = Pictures(["a", "b", "c"], np.zeros(3, np.uint64), size, size, size.astype(np.int64))
    facts = group(pictures, [], [(0, 1), (1, 2)], judging, lambda wanted: {})
    assert (0, 2) in asked
    assert {f["group_id"] for f in facts.values()} == {"a"}
    assert [facts[s]["dup_of"] for s in "abc"] == [None, "a", None]
    assert [facts[s]["dup_kind"] for s in "abc"] == ["scene", "near", "scene"]


# -- the search by features ------------------------------------------------------------------------


def clustered(n: int, seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((12, 64), np.float32)
    rows = centres[rng.integers(0, 12, n)] + 0.7 * rng.standard_normal((n, 64), np.float32)
    rows[1::2] = rows[0 : n - n % 2 : 2] + 0.3 * rng.standard_normal((n // 2, 64), np.float32)
    return np.maximum(rows, 0)


def test_nearest_pairs_are_those_of_brute_force() -> None:
    rows = clustered(400, 1)
    found = nearest_pairs(lambda a, b: rows[a:b], len(rows))
    x = rows - rows.mean(0)
    x /= np.linalg.norm(x, axis=1, keepdims=True)
    close = x @ x.T
    np.fill_diagonal(close, -1)
    wanted = {
        (min(i, int(j)), max(i, int(j)))
        for i in range(len(x))
        for j in np.argsort(-close[i])[:10]
        if close[i, j] >= 0.3
    }
    assert set(map(tuple, found.tolist())) == wanted
    assert len(found) == len(wanted)


def test_many_images_are_searched_by_cells_and_lose_next_to_none() -> None:
    rows = clustered(12_000, 2)
    start = time.process_time()
    found = {tuple(p) for p in nearest_pairs(lambda a, b: rows[a:b], len(rows)).tolist()}
    print(f"nearest_pairs: 12,000 images: {time.process_time() - start:.1f} CPU s, {len(found)} pairs")
    planted = [(i, i + 1) in found for i in range(0, 12_000, 2)]
    assert np.mean(planted) > 0.99
    assert len(found) <= 12_000 * 10


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_images_have_few_pairs(n: int) -> None:
    rows = clustered(2, 3)
    assert len(nearest_pairs(lambda a, b: rows[a:b], n)) <= 1


def test_a_large_jpeg_and_its_png_are_exact_though_the_jpeg_was_decoded_small(tmp_path: Path) -> None:
    jpeg = saved(draw(CLASSES[0], 3, width=1200, height=900), quality=90)
    with Image.open(io.BytesIO(jpeg)) as image:
        png = saved(image, "PNG")
        image.putpixel((600, 450), (0, 255, 0))
        touched = saved(image, "PNG")
    (a, b, c), facts = grouped(tmp_path, jpeg, png, touched)
    best = next(s for s in (a, b, c) if facts[s]["dup_of"] is None)
    assert len({facts[s]["group_id"] for s in (a, b, c)}) == 1
    assert facts[a]["pixel_hash"] == facts[b]["pixel_hash"] != facts[c]["pixel_hash"]
    for s in {a, b, c} - {best}:
        same = facts[s]["pixel_hash"] == facts[best]["pixel_hash"]
        assert facts[s]["dup_kind"] == ("exact" if same else "near")


def test_blank_pictures_group_by_colour_in_linear_time(tmp_path: Path) -> None:
    colours = [(v, 40, 200 - v) for v in range(0, 200, 20)]
    files = [saved(Image.new("RGB", (64 + i, 64), c), "PNG") for c in colours for i in range(8)]
    shas, facts = grouped(tmp_path, *files)
    assert len({facts[s]["group_id"] for s in shas}) == len(colours)
