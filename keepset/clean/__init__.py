"""Applying what a person approved, the way back, and the one thing that unlinks pictures."""

from keepset.clean.applying import clean
from keepset.clean.purging import purge
from keepset.clean.restoring import restore

__all__ = ["clean", "purge", "restore"]
