"""What the rate finder reads off a curve."""

from __future__ import annotations

import numpy as np
import pytest

from keepset.train.finder import DEFAULT, SANE, advice

LRS = np.geomspace(1e-4, 1.0, 16)


def test_the_valley_lies_on_the_fall_before_the_explosion() -> None:
    losses = np.array([0.36, 0.34, 0.30, 0.22, 0.10, 0.05, 0.02, 0.06, 60.0, 25.0])  # it falls again from far above
    found = advice(LRS[: len(losses)], losses)
    assert found["valley"] == pytest.approx(LRS[3])
    assert found["chosen"] == pytest.approx(LRS[3])
    assert found["lrs"] == LRS[: len(losses)].tolist()


@pytest.mark.parametrize(("shift", "end"), [(1e-3, SANE[0]), (1e3, SANE[1])])
def test_the_advice_is_kept_sane(shift: float, end: float) -> None:
    losses = np.linspace(1.0, 0.1, 10)
    assert advice(LRS[:10] * shift, losses)["chosen"] == end


@pytest.mark.parametrize("losses", [np.linspace(0.1, 2.0, 9), np.array([0.1, np.nan, 1.0, 1.0, 1.0, 1.0]), np.ones(3)])
def test_a_curve_that_says_nothing_gives_the_default(losses: np.ndarray) -> None:
    found = advice(LRS[: len(losses)], losses)
    assert (found["valley"], found["chosen"]) == (None, DEFAULT)
