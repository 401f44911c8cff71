from __future__ import annotations

import io
from collections import Counter

import httpx
import pytest
from PIL import Image, ImageChops, ImageOps, ImageStat

from keepset.demo.draw import CLASSES, SOLD, draw, draw_on_white
from keepset.demo.junk import draw_cartoon, draw_collage, draw_junk
from keepset.demo.pictures import Plant, plant
from keepset.demo.server import serve
from tests.processes import PATIENCE_S


@pytest.mark.parametrize("label", CLASSES)
def test_same_seed_same_picture(label: str) -> None:
    assert draw(label, 3).tobytes() == draw(label, 3).tobytes()
    assert draw(label, 3).tobytes() != draw(label, 4).tobytes()
    assert draw(label, 3, width=64, height=48).size == (64, 48)


def test_every_other_kind_is_drawn_by_its_seed_too() -> None:
    size = {"width": 64, "height": 48}
    drawn = [[draw_junk(i, **size) for i in range(8)]]
    drawn += [[draw_cartoon(label, i, **size) for i in (1, 2)] for label in CLASSES]
    drawn += [[draw_on_white(label, i, **size) for i in (1, 2)] for label in SOLD]
    for same_kind in drawn:
        assert len({image.tobytes() for image in same_kind}) == len(same_kind)
    assert draw_cartoon("boat", 1, **size).tobytes() == drawn[2][0].tobytes()
    sheet = draw_collage([draw(label, 1, **size) for label in (*CLASSES, "boat")], **size)
    assert sheet.getpixel((0, 0)) == sheet.getpixel((32, 24)) == (255, 255, 255)


def test_a_thing_on_white_stands_on_white() -> None:
    image = draw_on_white("apple", 1)
    assert min(min(image.getpixel(corner)) for corner in ((2, 2), (317, 2))) > 235  # type: ignore[type-var, arg-type]
    assert min(image.getpixel((160, 130))) < 200  # type: ignore[type-var, arg-type]


def test_what_is_planted_is_what_it_says() -> None:
    planted = plant(seed=1, per_class=12)
    kinds = Counter(p.kind for p in planted)
    assert kinds[Plant.NOTHING] == 36
    assert set(kinds) == set(Plant)
    assert len({p.path for p in planted}) == len(planted)
    by_kind, at = {p.kind: p for p in planted}, {p.path: p for p in planted}
    assert by_kind[Plant.WRONG_LABEL].truth != by_kind[Plant.WRONG_LABEL].label
    whole, part = (_image(p.body) for p in (at["/house/003.jpg"], by_kind[Plant.CROP]))
    assert (part.width, part.height) == (whole.width * 7 // 8, whole.height * 7 // 8 + 1)
    turned = ImageOps.mirror(_image(at[by_kind[Plant.MIRRORED].path.replace("turned", "004")].body))
    assert _difference(turned, _image(by_kind[Plant.MIRRORED].body)) < 3
    bodies = Counter(p.body for p in planted)
    assert bodies[by_kind[Plant.EXACT_COPY].body] == 2
    with Image.open(io.BytesIO(by_kind[Plant.SAME_PIXELS].body)) as png:
        same = [p for p in planted if p.kind == Plant.NOTHING and _pixels(p.body) == png.convert("RGB").tobytes()]
    assert len(same) == 1
    with pytest.raises(OSError, match="truncated"):
        _pixels(by_kind[Plant.BROKEN].body)
    assert plant(seed=1, per_class=12) == planted


def _image(body: bytes) -> Image.Image:
    return Image.open(io.BytesIO(body)).convert("RGB")


def _difference(a: Image.Image, b: Image.Image) -> float:
    return float(ImageStat.Stat(ImageChops.difference(a, b).convert("L")).mean[0])


def _pixels(body: bytes) -> bytes:
    with Image.open(io.BytesIO(body)) as image:
        return image.convert("RGB").tobytes()


def test_the_server_answers_as_planted() -> None:
    planted = plant(seed=1, per_class=12)
    with serve(planted) as base, httpx.Client(base_url=base, trust_env=False, timeout=PATIENCE_S) as client:
        for p in planted[::5]:
            answer = client.get(p.path)
            assert (answer.status_code, answer.content) == (p.http_status, p.body)
        assert client.get("/nothing/here").status_code == 404
