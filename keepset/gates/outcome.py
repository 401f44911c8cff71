"""What an expectation of a gate came to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(frozen=True)
class Outcome:
    """One expectation: what was asked, what was observed, and what to do if it failed."""

    expectation: str
    passed: bool
    observed: str
    remedy: str
