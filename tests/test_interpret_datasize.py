"""Would more data help? Right on data of which the answer is known."""

from __future__ import annotations

import numpy as np
import pytest

from keepset.interpret.datasize import DataSize, data_size_curve, fit_power_law


def blobs(n: int, apart: float, noise_labels: float = 0.0, seed: int = 0, width: int = 24) -> DataSize:
    """Three clouds in ``width`` dimensions; the closer, the more images it takes to tell them apart."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    features = rng.normal(0, 1, (n, width)) + apart * np.eye(width)[labels]
    wrong = rng.random(n) < noise_labels
    labels = np.where(wrong, (labels + 1) % 3, labels)
    return DataSize(features.astype(np.float32), labels, np.arange(n) // 3 % 5, 3, seed)


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
    assert found["answer"] == "yes"
    assert found["words"].startswith("Yes: with twice as many training images")
    rates = [p["error_rate"] for p in found["points"]]
    assert rates[0] > 1.3 * rates[-1]
    assert found["twice"]["error_rate"] < rates[-1]
    assert all(p["low"] <= p["error_rate"] <= p["high"] for p in found["points"])
    assert found["twice"]["size"] == 2 * found["points"][-1]["size"]
    again = blobs(900, 1.6, seed=5, width=48)  # the promise, kept: with six times the images the error is lower
    assert data_size_curve(again)["points"][-1]["error_rate"] < rates[-1]


def test_wrong_labels_are_a_floor_that_no_data_lowers() -> None:
    found = data_size_curve(blobs(600, 8.0, noise_labels=0.15))
    assert found["answer"] == "no"
    assert found["words"].startswith("Hardly")
    assert found["fit"]["floor"] > 0.1


def test_without_a_mistake_nothing_more_is_promised() -> None:
    found = data_size_curve(blobs(300, 40.0))
    assert found["answer"] == "no"
    assert "no mistake is left" in found["words"]


def test_a_handful_draws_no_curve() -> None:
    found = data_size_curve(blobs(9, 3.0))
    assert found["points"] == []
    assert "too few images" in found["words"]


def test_the_same_seed_gives_the_same_answer() -> None:
    assert data_size_curve(blobs(90, 2.0)) == data_size_curve(blobs(90, 2.0))
