from __future__ import annotations

import io
from collections import Counter

import httpx
import pytest
from PIL import Image

from keepset.demo.draw import CLASSES, draw, draw_junk
from keepset.demo.pictures import Plant, plant
from keepset.demo.server import serve


@pytest.mark.parametrize("label", CLASSES)
def test_same_seed_same_picture(label: str) -> None:
    assert draw(label, 3).tobytes() == draw(label, 3).tobytes()
    assert draw(label, 3).tobytes() != draw(label, 4).tobytes()
    assert draw(label, 3, width=64, height=48).size == (64, 48)


def test_junk_is_none_of_the_classes() -> None:
    kinds = {draw_junk(i, width=64, height=48).tobytes() for i in range(6)}
    assert len(kinds) == 6


def test_what_is_planted_is_what_it_says() -> None:
    planted = plant(seed=1, per_class=12)
    kinds = Counter(p.kind for p in planted)
    assert kinds[Plant.NOTHING] == 36
    assert set(kinds) == set(Plant)
    assert len({p.path for p in planted}) == len(planted)
    by_kind = {p.kind: p for p in planted}
    assert by_kind[Plant.WRONG_LABEL].truth != by_kind[Plant.WRONG_LABEL].label
    bodies = Counter(p.body for p in planted)
    assert bodies[by_kind[Plant.EXACT_COPY].body] == 2
    with Image.open(io.BytesIO(by_kind[Plant.SAME_PIXELS].body)) as png:
        same = [p for p in planted if p.kind == Plant.NOTHING and _pixels(p.body) == png.convert("RGB").tobytes()]
    assert len(same) == 1
    with pytest.raises(OSError, match="truncated"):
        _pixels(by_kind[Plant.BROKEN].body)
    assert plant(seed=1, per_class=12) == planted


def _pixels(body: bytes) -> bytes:
    with Image.open(io.BytesIO(body)) as image:
        return image.convert("RGB").tobytes()


def test_the_server_answers_as_planted() -> None:
    planted = plant(seed=1, per_class=12)
    with serve(planted) as base, httpx.Client(base_url=base, trust_env=False) as client:
        for p in planted[::5]:
            answer = client.get(p.path)
            assert (answer.status_code, answer.content) == (p.http_status, p.body)
        assert client.get("/nothing/here").status_code == 404
