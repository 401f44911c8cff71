"""Pictures behind URLs, fetched with the downloader's guards: public addresses only, capped, with a deadline."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from keepset.config import DownloadConfig
from keepset.errors import ConfigError, KeepsetError
from keepset.machine.extras import need
from keepset.predict.intake import DEFAULT_LIMITS, Limits, Refused
from keepset.reasons import DownloadReason

__all__ = ["is_url", "own_servers", "read", "read_now"]

DEADLINE_S = 20.0


def is_url(given: str) -> bool:
    return given.lower().startswith(("http://", "https://"))


def own_servers(workspace: Path) -> tuple[str, ...]:
    """Servers of one's own (host:port) that the downloader may use are fine for prediction too."""
    need("web")

    from keepset.workspace import Workspace

    try:
        return Workspace.open(workspace).config().download.allow_private
    except (KeepsetError, ValueError):  # predicting needs no run config, and none that is in order
        return ()


def read_now(url: str, limits: Limits = DEFAULT_LIMITS, allow_private: tuple[str, ...] = ()) -> bytes:
    """``read``, for callers without an event loop."""
    return asyncio.run(read(url, limits, allow_private))


async def read(url: str, limits: Limits = DEFAULT_LIMITS, allow_private: tuple[str, ...] = ()) -> bytes:
    """The bytes behind ``url``, tried once. Raises ``Refused`` with the downloader's reason.

    ``allow_private`` holds host:port that may be fetched although the address is not public.
    """
    need("web")

    from keepset.download.fetch import Fetcher, Trouble, user_agent

    config = DownloadConfig(
        deadline_s=DEADLINE_S, retries=0, robots=False, max_bytes=limits.max_bytes, allow_private=allow_private
    )
    with tempfile.TemporaryDirectory(prefix="keepset-") as folder:
        try:
            fetcher = Fetcher(config, Path(folder), user_agent(""))
        except ConfigError as e:  # the environment's proxy: it concerns this picture only
            raise Refused(DownloadReason.PROXY, f"not fetched: {e.message} {e.remedy}") from e
        try:
            return (await fetcher.take(url, "picture")).read_bytes()
        except Trouble as e:
            raise Refused(e.reason, f"not fetched: {e.detail}") from e
        finally:
            await fetcher.close()
