"""Keepset's own modules as programs: always those of this installation, whatever is in the current folder.

``python -m`` puts the current folder first on the module path. A user's own ``tasks.py`` or ``flows/`` there would be
imported instead of ours.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

__all__ = ["HOME", "environment", "program", "spell"]

HOME = Path(__file__).resolve().parents[2]
"""The folder that holds ``keepset``, ``tasks``, ``flows`` and ``deployments``: a checkout, or site-packages."""


def program(module: str, *arguments: str) -> list[str]:
    """The command that runs ``module``; start it with ``environment()``."""
    return [sys.executable, "-P", "-m", module, *arguments]


def environment(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment and ``more``, for a program and for all that it starts in turn."""
    path = [str(HOME), *filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))]
    ours = {"PYTHONSAFEPATH": "1", "PYTHONPATH": os.pathsep.join(dict.fromkeys(path))}
    return os.environ | ours | dict(more or {})


def spell(*words: object) -> str:
    """A command to be printed: quoted where a shell needs it, so that it can be pasted."""
    return shlex.join(str(w) for w in words)
