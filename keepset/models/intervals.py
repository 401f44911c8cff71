"""How sure a share of a few images is."""

from __future__ import annotations

__all__ = ["Z", "wilson"]

Z = 1.959963984540054
"""Normal quantile of a two-sided 95 % interval."""


def wilson(found: int, n: int, z: float = Z) -> tuple[float, float]:
    """Score interval of a share (Wilson, JASA 22, 1927); (0, 1) without data."""
    if n == 0:
        return 0.0, 1.0
    p, zz = found / n, z * z
    mid, half = p + zz / (2 * n), z * (p * (1 - p) / n + zz / (4 * n * n)) ** 0.5
    return max(0.0, (mid - half) / (1 + zz / n)), min(1.0, (mid + half) / (1 + zz / n))
