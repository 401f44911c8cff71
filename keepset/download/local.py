"""Files of local folders: copied in like downloads, and looked at again where they have changed in place."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from keepset.files import refusals
from keepset.formats import sniff
from keepset.reasons import DownloadReason
from keepset.scrape.local import LOCAL

if TYPE_CHECKING:
    from keepset.download.fetch import Fetched

__all__ = ["changed", "copy_in", "stamp"]

Row = dict[str, Any]


def copy_in(row: Row, allowed: Sequence[Path], part: Path, facts: Fetched) -> Path:
    """A file of one of the ``allowed`` folders, copied.

    Its ``stamp`` goes where a server's ETag would. Raises ``Trouble``.
    """
    from keepset.download.answers import (
        Trouble,  # httpx comes with it: whoever only asks `changed` need not wait
    )

    begin, source = time.monotonic(), _path(row["url"]).resolve()
    facts.attempts, facts.headers = 1, {"etag": stamp(row["url"]) or ""}
    if not any(source.is_relative_to(f) for f in allowed):
        raise Trouble(
            DownloadReason.BLOCKED_SCHEME, "only files of the class's own folders and tables are read"
        )
    try:
        data = source.read_bytes()
    except OSError as e:
        raise Trouble(DownloadReason.NOT_FOUND, str(e)) from e
    facts.format = sniff(data[:64])
    if facts.format is None:
        raise Trouble(DownloadReason.NOT_AN_IMAGE, f"its first bytes are {data[:24]!r}")
    with refusals(part):
        part.write_bytes(data)
    facts.final_url, facts.bytes, facts.sha256 = row["url"], len(data), hashlib.sha256(data).hexdigest()
    facts.seconds = time.monotonic() - begin
    return part


def stamp(url: str) -> str | None:
    """What changes with a file's content: when it was written (ns) and its size. None if it is gone."""
    try:
        found = _path(url).stat()
    except OSError:
        return None
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


def changed(row: Row, known: Row) -> bool:
    """Whether a row of a local file is another file by now than when ``known`` was written; a file that is gone is not."""
    return row["source"] in LOCAL and (now := stamp(row["url"])) is not None and now != known["etag"]


def _path(url: str) -> Path:
    return Path(unquote(urlsplit(url).path))
