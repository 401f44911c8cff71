"""Disjoint sets of positions."""

from __future__ import annotations

from collections import defaultdict

import numpy as np

__all__ = ["Sets"]


class Sets:
    """Sets of the positions 0 to n - 1, joined one by one (union by the smaller position, path halving)."""

    def __init__(self, n: int) -> None:
        self.parent = np.arange(n)

    def root(self, i: int) -> int:
        """The smallest position of the set that ``i`` is in."""
        parent = self.parent
        while parent[i] != i:
            parent[i] = parent[parent[i]]
            i = int(parent[i])
        return i

    def join(self, i: int, j: int) -> None:
        a, b = sorted((self.root(i), self.root(j)))
        self.parent[b] = a

    def groups(self) -> list[list[int]]:
        """The sets of two and more."""
        roots = np.array([self.root(i) for i in range(len(self.parent))], dtype=np.intp)
        shared = np.flatnonzero(np.bincount(roots, minlength=len(roots))[roots] > 1) if len(roots) else roots
        found: dict[int, list[int]] = defaultdict(list)
        for i in shared.tolist():
            found[int(roots[i])].append(i)
        return list(found.values())
