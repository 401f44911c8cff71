"""The label scorers against their definitions, done the slow way."""

from __future__ import annotations

import numpy as np
import pytest

from keepset.review.scores import PENALTIES, combine, ridge_out_of_group, self_confidence


def blobs(
    n: int, d: int, classes: int, noise: float, seed: int = 0
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.random.Generator]:
    """Features [n, d], true labels, labels with 10 % flips."""
    rng = np.random.default_rng(seed)
    true = np.arange(n) % classes
    x = rng.normal(0, noise, (n, d))
    x[np.arange(n), true] += 1.0
    y = true.copy()
    bad = rng.choice(n, n // 10, replace=False)
    y[bad] = (y[bad] + 1) % classes
    return x, true, y, rng


def slow_ridge(x: np.ndarray, y: np.ndarray, groups: list[str], classes: int) -> np.ndarray:
    """Leave each group out and fit the rest anew, with the same centring of the penalised part."""
    x = x / np.linalg.norm(x, axis=1, keepdims=True)
    x = x - x.mean(axis=0)
    t = np.eye(classes)[y]
    unit = (x**2).sum() / len(x)
    best, least = np.zeros_like(t), np.inf
    for p in PENALTIES:
        out = np.zeros_like(t)
        for g in set(groups):
            test = np.array([h == g for h in groups])
            a, b = x[~test], t[~test]
            design = np.hstack([a, np.ones((len(a), 1))])
            penalty = np.eye(design.shape[1]) * p * unit
            penalty[-1, -1] = 0.0  # the intercept is free
            w = np.linalg.solve(design.T @ design + penalty, design.T @ b)
            out[test] = np.hstack([x[test], np.ones((test.sum(), 1))]) @ w
        loss = ((out - t) ** 2).sum()
        if loss < least:
            best, least = out, loss
    return best


@pytest.mark.parametrize(("n", "d"), [(40, 90), (60, 12)])
@pytest.mark.parametrize("piece", [7, 8192])
def test_ridge_equals_leaving_each_group_out(
    n: int, d: int, piece: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keepset.review.scores._PIECE", piece)
    x, _, y, _ = blobs(n, d, 3, 0.2)
    groups = [str(i // 3) if i < 15 else f"s{i}" for i in range(n)]
    fast = ridge_out_of_group(x, y, groups, 3)
    np.testing.assert_allclose(fast, slow_ridge(x, y, groups, 3), atol=1e-8)


def test_a_copy_with_the_same_wrong_label_does_not_vouch() -> None:
    x, true, _, rng = blobs(60, 20, 3, 0.15)
    y = true.copy()
    x[1] = x[0] + rng.normal(0, 1e-3, 20)
    y[:2] = (true[0] + 1) % 3
    alone = [str(i) for i in range(60)]
    together = ["pair", "pair", *alone[2:]]
    apart = ridge_out_of_group(x, y, alone, 3)[0, y[0]]
    grouped = ridge_out_of_group(x, y, together, 3)[0, y[0]]
    assert grouped < apart


def test_self_confidence_is_the_probability_of_the_given_label() -> None:
    probs = np.array([[0.7, 0.2, 0.1], [0.1, 0.1, 0.8]])
    np.testing.assert_allclose(self_confidence(np.array([0, 1]), probs), [0.7, 0.1])


def test_the_combined_score_ranks_flips_first_and_is_half_at_a_tie() -> None:
    x, true, y, rng = blobs(300, 30, 3, 0.25, seed=1)
    logits = rng.normal(0, 1, (300, 3))
    logits[np.arange(300), true] += 3
    probs = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    ridge = ridge_out_of_group(x, y, [str(i) for i in range(300)], 3)
    scores = combine([str(i) for i in range(300)], y, probs, ridge)
    worst = np.argsort(-scores.score)[:30]
    assert (y[worst] != true[worst]).mean() > 0.9
    assert ((scores.score >= 0) & (scores.score <= 1)).all()
    tie = combine(["a"], np.array([0]), np.array([[0.5, 0.5]]), np.array([[0.4, 0.4]]))
    assert tie.score[0] == pytest.approx(0.5)


def test_the_same_input_gives_the_same_scores() -> None:
    x, _, y, _ = blobs(50, 20, 3, 0.2)
    groups = [str(i) for i in range(50)]
    one, two = ridge_out_of_group(x, y, groups, 3), ridge_out_of_group(x.copy(), y.copy(), groups, 3)
    assert one.tobytes() == two.tobytes()
