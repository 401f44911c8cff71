"""Runs on one data set wait for each other; runs on different ones go side by side."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from prefect.logging import get_run_logger

from keepset.errors import WorkspaceBusy
from keepset.workspace import Workspace

__all__ = ["exclusive"]


@contextlib.contextmanager
def exclusive(ws: Workspace, name: str) -> Iterator[None]:
    """Hold the lock ``flow-<name>``; log that it waits if another run has it. What the block raises passes through."""
    with contextlib.ExitStack() as held:
        try:
            held.enter_context(ws.lock(f"flow-{name}", wait=False))
        except WorkspaceBusy:
            get_run_logger().info("Another run works on '%s' of this data set; waiting for it to end.", name)
            held.enter_context(ws.lock(f"flow-{name}"))
        yield
