"""More data, or cleaner data? Right on data of which the answer is known."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from keepset.forecast.heads import Known
from keepset.interpret.datasize import DataSize, data_size_curve, fit_power_law
from keepset.interpret.doubts import Doubts
from keepset.interpret.gain import tried


def blobs(n: int, apart: float, noise_labels: float = 0.0, seed: int = 0, width: int = 24) -> DataSize:
    """Three clouds in ``width`` dimensions; the closer, the more images it takes to tell them apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    features = rng.normal(0, 1, (n, width)) + apart * np.eye(width)[labels]
    wrong = rng.random(n) < noise_labels
    labels = np.where(wrong, (labels + 1) % 3, labels)
    known = Known(features.astype(np.float32), np.arange(n) // 3 % 5, np.ones(n, bool), 3)
    return DataSize(known, labels, np.ones(n, bool), n, seed)


def test_the_fit_finds_a_curve_that_it_was_drawn_from() -> None:
    n = np.array([20.0, 40, 80, 160, 320])
    floor, scale, exponent = fit_power_law(n, 0.05 + 0.9 * n**-0.6)
    assert (floor, scale, exponent) == pytest.approx((0.05, 0.9, 0.6), abs=1e-6)
    assert fit_power_law(n, np.full(5, 0.2))[:2] == pytest.approx((0.2, 0.0))
    floor, scale, _ = fit_power_law(n, np.array([0.1, 0.12, 0.1, 0.13, 0.12]))  # it never rises with more images
    assert floor >= 0
    assert scale == 0


def test_close_clouds_want_more_data() -> None:
    found = data_size_curve(blobs(150, 1.6, width=48))
    assert found["saved"] > 0.1
    rates = [p["error_rate"] for p in found["points"]]
    assert rates[0] > 1.3 * rates[-1]
    assert found["twice"]["error_rate"] < rates[-1]
    assert all(p["low"] <= p["error_rate"] <= p["high"] for p in found["points"])
    assert found["twice"]["size"] == 2 * found["points"][-1]["size"]
    again = blobs(900, 1.6, seed=5, width=48)  # the promise, kept: with six times the images the error is lower
    assert data_size_curve(again)["points"][-1]["error_rate"] < rates[-1]


def test_wrong_labels_are_a_floor_that_no_data_lowers() -> None:
    found = data_size_curve(blobs(600, 8.0, noise_labels=0.15))
    assert found["saved"] < 0.1
    assert found["fit"]["floor"] > 0.1


def test_a_handful_draws_no_curve() -> None:
    found = data_size_curve(blobs(9, 3.0))
    assert found["points"] == []


def advice(data: DataSize, wrong: list[int], right: list[int]) -> dict[str, Any]:
    """With the pictures ``wrong`` surely doubted, and their ``right`` classes proposed."""
    chance, label = np.zeros(len(data.labels)), np.full(len(data.labels), -1)
    chance[wrong], label[wrong] = 0.9, right
    doubts = Doubts(chance, label)
    data = replace(data, judged=~doubts.wrong)
    return tried(data, doubts, data_size_curve(data))


def test_more_or_cleaner_data() -> None:
    clean = blobs(150, 1.6, width=48)
    more = advice(clean, [], [])
    assert more["answer"] == "more"
    assert "twice as many pictures would take the error on new pictures" in more["words"]
    noisy = blobs(240, 3.5, noise_labels=0.3)
    true = np.arange(240) % 3
    wrong = np.flatnonzero(noisy.labels != true)
    cleaner = advice(noisy, wrong.tolist(), true[wrong].tolist())
    assert cleaner["answer"] == "cleaner"
    assert cleaner["words"].startswith(f"Cleaner data: correcting the {len(wrong)} labels that look wrong")
    assert cleaner["cleaner"] > 0.3
    assert advice(blobs(300, 40.0), [], [])["answer"] == "neither"
    few = advice(blobs(9, 3.0), [], [])
    assert (few["answer"], few["words"]) == (
        "more",
        "More data: there are too few pictures to draw a curve over their number.",
    )


def test_a_part_of_a_large_data_set_speaks_for_the_whole() -> None:
    part = blobs(150, 1.6, width=48)
    whole = data_size_curve(replace(part, total=600))
    alone = data_size_curve(part)
    assert whole["error_rate"] < alone["error_rate"] == alone["points"][-1]["error_rate"]
    assert whole["twice"]["size"] == 4 * alone["twice"]["size"]
    assert whole["twice"]["error_rate"] < alone["twice"]["error_rate"]


def test_the_same_seed_gives_the_same_answer() -> None:
    assert data_size_curve(blobs(90, 2.0)) == data_size_curve(blobs(90, 2.0))
