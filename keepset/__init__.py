"""Keepset builds an image classifier from images on the web and keeps it good.

The domain in plain Python: one module or package a stage, no Prefect import anywhere.
"""

from __future__ import annotations

__all__ = ["__version__"]

__version__ = "0.1.0"
