"""Which of the data set's addresses are gone, moved or changed, and where else a picture can be found.

Each address is asked once, politely, and only for its headers. The data set itself loses nothing: its pictures are here.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from typing import Any

from keepset import manifests
from keepset.config import RunConfig
from keepset.download.answers import Trouble, check_status
from keepset.download.fetch import Fetcher, FetchRequest, user_agent
from keepset.download.lanes import host_of
from keepset.download.turns import Turns
from keepset.errors import ConfigError
from keepset.reasons import DownloadReason, ItemStatus
from keepset.stages import SILENT, Progress
from keepset.tables import is_web_address
from keepset.workspace import Workspace

__all__ = ["Address", "RotReport", "State", "look"]


class State(StrEnum):
    SAME = "same"  # as far as the headers tell
    MOVED = "moved"  # it redirects to another address than it did
    CHANGED = "changed"  # another file is there
    GONE = "gone"
    REFUSED = "refused"  # by its host, robots.txt, or an opt-out
    NO_ANSWER = "no_answer"  # it may be back tomorrow


@dataclass(frozen=True)
class Address:
    """One address: what was found, and where else the picture is. ``elsewhere``: other addresses of the same file that
    answer, then a copy in the archive that was named; ``landing_page``: where a person may look."""

    url: str
    sha256: str
    label: str
    state: State
    detail: str
    landing_page: str = ""
    elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True)
class RotReport:
    """``pictures``: in use, and found on the web; ``lost``: those of which no address is left."""

    addresses: tuple[Address, ...]
    pictures: int
    lost: tuple[str, ...]
    counts: Mapping[str, int] = field(default_factory=dict)

    @property
    def bad(self) -> list[Address]:
        return [a for a in self.addresses if a.state != State.SAME]

    def as_dict(self) -> dict[str, Any]:
        return {
            "counts": dict(self.counts),
            "pictures": self.pictures,
            "lost": list(self.lost),
            "addresses": [asdict(a) for a in self.bad],
        }


Row = dict[str, Any]


def look(ws: Workspace, config: RunConfig, *, archive: str = "", progress: Progress = SILENT) -> RotReport:
    """Ask for every address of a picture in use. ``archive``: a prefix before which an archive has copies, such as
    ``https://web.archive.org/web/``. Raises ``ConfigError`` if that is no web address, ``ManifestMissing`` before the first split."""
    if archive and not is_web_address(archive):
        raise ConfigError(f"'{archive[:100]}' is not a web address.", "Write one such as https://web.archive.org/web/.")
    rows = list(_addresses(ws))
    progress.start("asking for addresses", len(rows))
    found = asyncio.run(_Asking(ws, config, progress, archive).all(rows))
    alive: dict[str, list[str]] = {}
    for row, (state, _, _) in zip(rows, found, strict=True):
        if state in (State.SAME, State.MOVED):
            alive.setdefault(row["sha256"], []).append(row["url"])
    pages = _landing_pages(ws, {r["sha256"] for r in rows})
    addresses = tuple(
        Address(
            r["url"], r["sha256"], r["label"], state, detail, pages.get(r["sha256"], ""),
            (*(u for u in alive.get(r["sha256"], ()) if u != r["url"]), *((copy,) if copy else ())),
        )
        for r, (state, detail, copy) in zip(rows, found, strict=True)
    )  # fmt: skip
    pictures = {r["sha256"] for r in rows}
    saved = alive.keys() | {a.sha256 for a in addresses if a.elsewhere}
    return RotReport(
        addresses, len(pictures), tuple(sorted(pictures - saved)), Counter(str(a.state) for a in addresses)
    )


def _addresses(ws: Workspace) -> Iterator[Row]:
    """Addresses on the web that led to pictures in use."""
    active = {r["sha256"] for r in manifests.each(ws.newest(), "dataset", ("sha256", "active")) if r["active"]}
    columns = ("url_id", "url", "label", "status", "sha256", "bytes", "final_url", "etag", "last_modified")
    for r in manifests.each(ws.downloads, "downloads", columns):
        if r["status"] == ItemStatus.OK and r["sha256"] in active and not r["url"].startswith("file:"):
            yield r


def _landing_pages(ws: Workspace, shas: set[str]) -> dict[str, str]:
    rows = manifests.picked(ws.images, "images", ("sha256", "landing_page"), shas)
    return {r["sha256"]: r["landing_page"] or "" for r in rows}


Verdict = tuple[State, str, str]
"""State, detail, and the address of a copy in the archive."""


class _Asking:
    def __init__(self, ws: Workspace, config: RunConfig, progress: Progress, archive: str) -> None:
        self.ws, self.config, self.progress, self.archive = ws, config.download, progress, archive
        self.agent = user_agent(config.scrape.contact)
        self.found: dict[int, Verdict] = {}

    async def all(self, rows: list[Row]) -> list[Verdict]:
        self.fetcher = Fetcher(self.config, self.ws.journal / "parts", self.agent)
        items = ((host_of(r | {"source": "list"}), (i, r)) for i, r in enumerate(rows))
        self.turns = Turns(items, per_host=self.config.per_host, rate=self.config.per_host_rate)
        self.fetcher.waits = self.turns.waits
        try:
            await self.turns.each(self._one, self.config.connections)
        finally:
            await self.fetcher.close()
        return [self.found[i] for i in range(len(rows))]

    async def _one(self, host: str, item: tuple[int, Row], free: asyncio.Semaphore) -> None:
        number, row = item
        try:
            state, detail = await self._state(row)
            copy = await self._archived(row["url"]) if state in (State.GONE, State.CHANGED) else ""
        finally:
            free.release()
            self.turns.done(host)
        self.found[number] = (state, detail, copy)
        self.progress.advance()

    async def _state(self, row: Row) -> tuple[State, str]:
        wanted = FetchRequest(row["url"], "", None, row["etag"], row["last_modified"])
        try:
            status, final, headers = await self.fetcher.glance(wanted)
            check_status(0 if status == 304 else status, headers, final)
        except Trouble as e:
            return _of_trouble(e)
        if status == 304:
            return State.SAME, ""
        if headers.get("content-type", "").startswith("text/html"):
            return State.GONE, "a web page answers instead"
        size, etag = headers.get("content-length", ""), headers.get("etag")
        same_size = not size.isdecimal() or "content-encoding" in headers or int(size) == row["bytes"]
        if not same_size or (row["etag"] and etag and etag != row["etag"] and not etag.startswith("W/")):
            return State.CHANGED, f"{size} bytes, it had {row['bytes']}" if not same_size else "another version (ETag)"
        return (State.SAME, "") if final == (row["final_url"] or final) else (State.MOVED, f"to {final}")

    async def _archived(self, url: str) -> str:
        if not self.archive:
            return ""
        address = f"{self.archive.rstrip('/')}/{url}"
        try:
            status, final, headers = await self.fetcher.glance(FetchRequest(address, ""))
        except Trouble:
            return ""
        return final if status == 200 and headers.get("content-type", "").startswith("image/") else ""


_REFUSED = {
    DownloadReason.FORBIDDEN, DownloadReason.ROBOTS, DownloadReason.OPTED_OUT, DownloadReason.BLOCKED_ADDRESS,
    DownloadReason.HTTP_CLIENT, DownloadReason.BLOCKED_SCHEME,
}  # fmt: skip


def _of_trouble(e: Trouble) -> tuple[State, str]:
    if e.reason == DownloadReason.NOT_FOUND:
        return State.GONE, e.detail
    return (State.REFUSED if e.reason in _REFUSED else State.NO_ANSWER), f"{e.reason}: {e.detail}"
