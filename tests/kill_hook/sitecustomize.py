"""Found by every Python of a stack that was started with this folder on its path: dies, or kills, at given steps.

``KEEPSET_TEST_KILLS`` names a folder with one file a kill: ``<victim>@<file name>``. The first process of the stack
that is about to publish a file of that name in the workspace (rename, link, or append) takes the kill's file away and
kills the victim with SIGKILL: ``self`` is that very process, else a part of the stack by its name in ``stack.json``;
if that is dead from the kill before, it is waited for, so that each death is one of a living part.
"""

from __future__ import annotations

import json
import os
import runpy
import signal
import sys
import time
from pathlib import Path
from typing import Any


def _watch(event: str, args: tuple[Any, ...]) -> None:
    if event in ("os.rename", "os.link"):
        target = str(args[1])
    elif event == "open" and isinstance(args[2], int) and args[2] & os.O_APPEND:
        target = str(args[0])
    else:
        return
    for kill in Path(_FOLDER).glob(f"*@{Path(target).name}"):
        try:
            kill.unlink()  # one kill each, whoever comes first
        except FileNotFoundError:
            continue
        _kill(kill.name.partition("@")[0])


def _kill(victim: str) -> None:
    if victim == "self":
        os.kill(os.getpid(), signal.SIGKILL)
    until = time.monotonic() + PATIENCE_S
    while time.monotonic() < until:
        pid = json.loads(_text(_STACK))["pids"].get(victim)
        if pid and _lives(pid):
            os.kill(pid, signal.SIGKILL)
            return
        time.sleep(0.1)
    os._exit(99)  # a victim that does not come back is a failure of the stack


def _lives(pid: int) -> bool:
    try:
        return _text(f"/proc/{pid}/stat").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _text(path: str | Path) -> str:
    return Path(path).read_text()


PATIENCE_S = 120.0
_STACK = Path(os.environ.get("PREFECT_HOME", "")).parent / "stack.json"
_FOLDER = os.environ.get("KEEPSET_TEST_KILLS", "")
# The supervisor itself has no PREFECT_HOME; the other parts and all flow runs do.
if _FOLDER and os.environ.get("PREFECT_HOME"):
    sys.addaudithook(_watch)
runpy.run_path(str(Path(__file__).resolve().parents[2] / "bench" / "chaos" / "hooks" / "sitecustomize.py"))
