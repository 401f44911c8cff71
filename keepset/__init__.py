"""Keepset builds an image classifier from images on the web and keeps it good.

The domain in plain Python: one module or package a stage, no Prefect import anywhere.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from keepset.machine import extras

if TYPE_CHECKING:
    from keepset.notebook import open_dataset as open  # noqa: A004 - as in h5py.File, PIL.Image.open
    from keepset.predict import load

if sys.platform == "win32":
    raise ImportError("Keepset runs on Linux and macOS. On Windows, install it in WSL 2 (run `wsl --install` first).")

extras.install()

__all__ = ["__version__", "load", "open"]

__version__ = "0.1.0"


def __dir__() -> list[str]:
    """What people use: without it, completion offers everything but these."""
    return [*__all__, "__doc__", "__file__", "__name__", "__path__", "__spec__"]


def __getattr__(name: str) -> Any:
    """``load`` and ``open`` on first use, so that ``import keepset`` stays instant."""
    if name == "load":
        from keepset.predict import load

        return load
    if name == "open":
        from keepset.notebook import open_dataset

        return open_dataset
    raise AttributeError(f"module 'keepset' has no attribute {name!r}")
