"""Artifacts in Prefect's UI: a server that is away costs the artifact, never the work."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
from prefect.exceptions import PrefectException
from prefect.logging import get_run_logger

__all__ = ["show"]


def show(publish: Callable[..., Any], *args: Any, **options: Any) -> Any:
    """Call one of ``prefect.artifacts``' functions; None, and a line in the log, if the server does not take it."""
    try:
        return publish(*args, **options)
    except (httpx.HTTPError, OSError, PrefectException) as e:
        get_run_logger().warning("Not shown in Prefect's UI (%s): %s", type(e).__name__, options.get("key", ""))
        return None
