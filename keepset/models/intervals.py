"""How sure a share of a few images is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt

__all__ = ["Z", "clustered", "effective", "wilson"]

LIKENESS = 0.1
"""How alike the pictures of one cluster are taken to be at least (intraclass correlation), where too little was seen to tell."""

Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


def wilson(found: int, n: int) -> tuple[float, float]:
    """Score interval of a share (Wilson, JASA 22, 1927); (0, 1) without data."""
    if n == 0:
        return 0.0, 1.0
    p, zz = found / n, Z * Z
    mid, half = p + zz / (2 * n), Z * (p * (1 - p) / n + zz / (4 * n * n)) ** 0.5
    return max(0.0, (mid - half) / (1 + zz / n)), min(1.0, (mid + half) / (1 + zz / n))


def effective(groups: npt.NDArray[Any]) -> float:
    """So many clusters of one size say as much as these: (sum of sizes)^2 / sum of squares (Kish, 1965)."""
    import numpy as np

    sizes = np.unique(groups, return_counts=True)[1].astype(float)
    return float(sizes.sum() ** 2 / (sizes**2).sum()) if len(sizes) else 0.0


def clustered(wrong: npt.NDArray[Any], groups: npt.NDArray[Any]) -> tuple[float, float]:
    """95 % interval of a share among pictures that come in clusters, for pictures of further clusters.

    Exact binomial limits with as many independent pictures as these are worth (Korn and Graubard, Survey Methodology 24,
    1998): the variance between clusters is the linearised one of a ratio, with a t quantile of as many degrees of freedom
    as there are effective clusters, less one, and not less than that of a ``LIKENESS`` within clusters. ``wrong`` [n] holds 0 or 1, ``groups`` [n] the cluster of each. (0, 1) with
    fewer than two clusters.
    """
    import numpy as np
    from scipy import stats

    of = np.unique(groups, return_inverse=True)[1]
    sizes = np.bincount(of).astype(float)
    n, k = float(len(wrong)), len(sizes)
    if k < 2:
        return 0.0, 1.0
    found = np.bincount(of, np.asarray(wrong, float))
    p = found.sum() / n
    alone = n / (1 + LIKENESS * ((sizes**2).sum() / n - 1))
    quantile = float(stats.t.ppf(0.975, max(1.0, effective(groups) - 1))) / Z
    variance = k / (k - 1) * float(((found - p * sizes) ** 2).sum()) / n**2 * quantile**2
    worth = min(alone, p * (1 - p) / variance) if variance > 0 else alone
    x = p * worth
    low = float(stats.beta.ppf(0.025, x, worth - x + 1)) if x > 0 else 0.0
    high = float(stats.beta.ppf(0.975, x + 1, worth - x)) if x < worth else 1.0
    return low, high
