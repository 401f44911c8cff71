"""Files of local folders: copied in like downloads, and looked at again where they have changed in place."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from keepset.manifests.rows import UrlRow
from keepset.reasons import LOCAL_SOURCES
from keepset.reasons import DownloadReason as Reason
from keepset.storage.journal import JournalRow
from keepset.storage.localfiles import path_of

if TYPE_CHECKING:
    from keepset.config import DownloadConfig
    from keepset.download.fetch import Fetched

__all__ = ["changed", "copy_in", "stamp"]

_PIECE = 2**20


def copy_in(row: UrlRow, allowed: Sequence[Path], part: Path, config: DownloadConfig, facts: Fetched) -> Path:
    """A file of one of the ``allowed`` folders, copied; a link in one of them is its owner's word for what it leads to.

    Its ``stamp`` goes where a server's ETag would. Raises ``Trouble``.
    """
    from keepset.download.answers import (
        Trouble,  # aiohttp comes with it: who only asks `changed` need not wait
    )
    from keepset.download.body import ResponseBody

    begin, source = time.monotonic(), path_of(row["url"])
    facts.attempts, facts.headers = facts.attempts + 1, {"etag": stamp(row["url"]) or ""}
    if not _is_in(source, allowed):
        raise Trouble(Reason.OUTSIDE, "only files of the class's own folders and tables are read")
    try:
        with _opened(source) as file, ResponseBody(part, config, None) as body:
            while piece := file.read(_PIECE):
                body.take(piece, body.size + len(piece))
            facts.format = body.check(None)
    except Trouble:
        part.unlink(missing_ok=True)
        raise
    except PermissionError as e:
        raise Trouble(Reason.FORBIDDEN, f"{e.strerror} (a local file)") from e
    except OSError as e:
        raise Trouble(Reason.NOT_FOUND, f"{e.strerror or e} (a local file)") from e
    facts.final_url, facts.bytes, facts.sha256 = row["url"], body.size, body.sha256
    facts.seconds = time.monotonic() - begin
    return part


def _is_in(source: Path, folders: Sequence[Path]) -> bool:
    """By the path as given, or by what it leads to: a list of ours may hold either."""
    named = Path(os.path.normpath(source))
    if any(named.is_relative_to(os.path.normpath(f)) for f in folders):
        return True
    real = source.resolve()
    return any(real.is_relative_to(f.resolve()) for f in folders)


def _opened(source: Path) -> Any:
    """Raises ``OSError``; a pipe or device is none of the folder's pictures, and would never end."""
    file = os.fdopen(os.open(source, os.O_RDONLY | os.O_NONBLOCK), "rb", buffering=0)
    if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
        file.close()
        raise OSError("not a regular file")
    return file


def stamp(url: str) -> str | None:
    """What changes with a file's content: when it was written (ns) and its size. None if it is gone."""
    try:
        found = path_of(url).stat()
    except OSError:
        return None
    return f'"{found.st_mtime_ns:x}-{found.st_size:x}"'


def changed(row: UrlRow, known: JournalRow) -> bool:
    """Whether a row of a local file is another file by now than when ``known`` was written; a file that is gone is not."""
    return row["source"] in LOCAL_SOURCES and (now := stamp(row["url"])) is not None and now != known["etag"]
