"""What an expectation of a gate came to."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ExpectationResult"]


@dataclass(frozen=True)
class ExpectationResult:
    """One expectation: what was asked, what was observed, and what to do if it failed."""

    expectation: str
    passed: bool
    observed: str
    remedy: str
