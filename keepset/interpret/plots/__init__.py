"""The report's plots: small SVGs that take their colours from the page, so that one file is right in light and dark.

Each is a function from plain numbers to one ``<svg>``. They are 400 units wide, so that their 12.5-unit letters stay
readable on a phone; lines are labelled where they end rather than in a legend.
"""

from __future__ import annotations

from keepset.interpret.plots.calibration import reliability
from keepset.interpret.plots.classes import confusion
from keepset.interpret.plots.growth import data_size, mistakes_over_revisions
from keepset.interpret.plots.training import history, lr_find

__all__ = ["confusion", "data_size", "history", "lr_find", "mistakes_over_revisions", "reliability"]
