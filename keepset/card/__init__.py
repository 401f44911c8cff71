"""The data set card: what is in a revision, where it came from, whom to credit, and what was left out and why."""

from __future__ import annotations

from keepset.card.counting import facts

__all__ = ["facts"]
