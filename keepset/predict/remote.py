"""Pictures behind URLs, fetched with the downloader's guards: public addresses only, capped, with a deadline."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from keepset import __version__
from keepset.config import DownloadConfig
from keepset.errors import StageError

__all__ = ["fetched", "is_url"]


def is_url(given: str) -> bool:
    return given.lower().startswith(("http://", "https://"))


@contextlib.contextmanager
def fetched(url: str, config: DownloadConfig | None = None) -> Iterator[Path]:
    """A temporary file with the picture behind ``url``. Raises ``StageError`` with the reason and its remedy."""
    from keepset.download.fetch import Fetcher, Trouble
    from keepset.reasons import REMEDIES

    with tempfile.TemporaryDirectory(prefix="keepset-") as folder:
        fetcher = Fetcher(config or DownloadConfig(), Path(folder), f"keepset/{__version__}", seed=0)

        async def fetch() -> Path:
            try:
                return (await fetcher.fetch(url, "picture"))[1]
            finally:
                await fetcher.close()

        try:
            path = asyncio.run(fetch())
        except Trouble as e:
            message = f"{url} was not fetched: {e.reason} ({e.detail})."
            raise StageError(message, REMEDIES.get(e.reason, "Look at it in a browser.")) from e
        yield path
