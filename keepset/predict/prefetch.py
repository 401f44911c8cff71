"""Pictures behind URLs for a batch: fetched ahead by a thread, as politely as the downloader does it."""

from __future__ import annotations

import asyncio
import hashlib
import queue
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from keepset.config import DownloadConfig
from keepset.download.lanes import host_of
from keepset.predict.intake import Refused

__all__ = ["Arrived", "arriving"]

AHEAD = 64
"""Files that may wait on disk for a decoder."""
Arrived = tuple[str, Path | Refused]


@contextmanager
def arriving(urls: Iterable[str], config: DownloadConfig, parts: Path) -> Iterator[Iterator[Arrived]]:
    """Yield an iterator of (url, file or why there is none), in the order in which they come.

    Hosts take turns within their rates; robots.txt, redirects, addresses, sizes and deadlines are minded as in
    ``keepset download``. The caller deletes the files.
    """
    found: queue.Queue[Arrived | BaseException | None] = queue.Queue(AHEAD)
    stop = threading.Event()

    def run() -> None:
        try:
            asyncio.run(_fetch_all(urls, config, parts, found, stop))
            _put(found, None, stop)
        except BaseException as e:
            _put(found, e, stop)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield _taken(found)
    finally:
        stop.set()
        thread.join()


def _taken(found: queue.Queue[Arrived | BaseException | None]) -> Iterator[Arrived]:
    while (one := found.get()) is not None:
        if isinstance(one, BaseException):
            raise one
        yield one


def _put(
    found: queue.Queue[Arrived | BaseException | None], one: Arrived | BaseException | None, stop: threading.Event
) -> None:
    while not stop.is_set():
        try:
            found.put(one, timeout=0.2)
            return
        except queue.Full:
            continue


async def _fetch_all(
    urls: Iterable[str],
    config: DownloadConfig,
    parts: Path,
    found: queue.Queue[Arrived | BaseException | None],
    stop: threading.Event,
) -> None:
    from keepset.download.fetch import Fetcher, Trouble, user_agent
    from keepset.download.turns import Turns

    fetcher = Fetcher(config, parts, user_agent(""))
    turns: Turns[str] = Turns(
        ((host_of({"source": "", "url": u}), u) for u in urls), per_host=config.per_host, rate=config.per_host_rate
    )
    free = asyncio.Semaphore(min(config.connections, AHEAD))

    async def one(host: str, url: str) -> None:
        try:
            name = hashlib.sha256(url.encode("utf-8", "surrogatepass")).hexdigest()
            answer: Arrived = (url, await fetcher.take(url, name))
        except Trouble as e:
            answer = (url, Refused(e.reason, f"not fetched: {e.detail}"))
        finally:
            turns.done(host)
        await asyncio.to_thread(_put, found, answer, stop)
        free.release()

    try:
        async with asyncio.TaskGroup() as group:
            await free.acquire()
            while not stop.is_set() and (turn := await turns.take()) is not None:
                group.create_task(one(*turn))
                await free.acquire()
    finally:
        await fetcher.close()
