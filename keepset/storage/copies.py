"""Local copies of what is on the object store: a cache that may be deleted at any time, even while in use.

``KEEPSET_CACHE/copies/s3/<bucket>/<key>`` is the copy of a file that never changes. Of a file that may change, the
copy's name begins with its etag, so that a copy is never taken for other content than its own: one request asks
the store whether that etag is still valid, and brings the new content if not.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

from keepset.errors import WorkspaceNotWritable
from keepset.settings import settings

if TYPE_CHECKING:
    from keepset.storage.paths import StoredPath

__all__ = [
    "copy_of",
    "final_copy",
    "forget",
    "forget_all_of_another",
    "local",
    "never_changes",
    "scratch_of",
    "staged",
    "uploading",
]

_IN_USE_S = 3600.0
"""An older copy may still be open in another process for so long."""
_NEVER_CHANGED = re.compile(
    r"(.*/)?(blobs/[0-9a-f]{2}/[0-9a-f]{64}|thumbs/[0-9a-f]{2}/[0-9a-f]{64}\.jpg|datasets/\d{6}\.parquet|"
    r"[^/]+\.jsonl/\d{10}|journal/[^/]+/\d{8}\.jsonl\.gz)"
)


def never_changes(path: StoredPath) -> bool:
    """Whether the file's name determines its content: a picture, a revision, a line of a log."""
    return _NEVER_CHANGED.fullmatch(path.key) is not None


def scratch_of(path: StoredPath) -> Path:
    """The folder of this machine for what must be a local file: caches, journals, locks, logs."""
    return _mine("scratch", path)


def copy_of(path: StoredPath, etag: str = "") -> Path:
    """The place of the local copy, whether there is one or not. ``etag``: of a file that may change."""
    place = _mine("copies", path)
    return place if never_changes(path) else place.with_name(f"{quote(etag, safe='')}.{place.name}")


def _mine(kind: str, path: StoredPath) -> Path:
    return settings().cache.joinpath(kind, path.parts[0].removesuffix(":"), *path.parts[1:])


def final_copy(path: StoredPath) -> Path | None:
    """The local copy of a file that never changes, if there is one."""
    return copy if never_changes(path) and (copy := copy_of(path)).exists() else None


def local(path: StoredPath) -> Path:
    """A local copy of what the file holds now. Raises ``FileNotFoundError``."""
    if (found := final_copy(path)) is not None:
        return found
    etag, known = _newest(path)
    part = staged(path)
    try:
        fresh = path.bucket.download(path.key, part, known=etag)
        if fresh is None:
            with contextlib.suppress(FileNotFoundError):
                os.utime(known)
                return known
            fresh = path.bucket.download(path.key, part)  # the copy was deleted a moment ago
        return _keep(path, part, str(fresh))
    finally:
        part.unlink(missing_ok=True)


def staged(path: StoredPath) -> Path:
    """A fresh local name beside the copy, for a file on its way from or to the store."""
    copy = copy_of(path)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        raise WorkspaceNotWritable.of_cache(e) from e
    return copy.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def uploading(path: StoredPath, *, exclusive: bool = False) -> Iterator[Path]:
    """Yield a local file to write; on success it is uploaded, and becomes the local copy.

    With ``exclusive``, raise ``FileExistsError`` if another writer was first.
    """
    part = staged(path)
    try:
        yield part
        etag = path.bucket.put(path.key, part, exclusive=exclusive)
        with contextlib.suppress(OSError):  # the copy saves one download, no more
            _keep(path, part, etag)
    finally:
        part.unlink(missing_ok=True)


def forget(path: StoredPath) -> None:
    for copy in (copy_of(path), *_all(path)):
        copy.unlink(missing_ok=True)


def forget_all_of_another(root: StoredPath, workspace_id: str) -> None:
    """Delete the copies and the scratch folder if they are of another workspace that once was at this place."""
    scratch = scratch_of(root)
    mark = scratch / "workspace-id"
    with contextlib.suppress(FileNotFoundError):
        if mark.read_text(encoding="ascii") == workspace_id:
            return
        for folder in (scratch, _mine("copies", root)):
            shutil.rmtree(folder, ignore_errors=True)
    scratch.mkdir(parents=True, exist_ok=True)
    part = mark.with_name(f"{mark.name}.{os.getpid()}")
    part.write_text(workspace_id, encoding="ascii")
    part.replace(mark)


def _keep(path: StoredPath, part: Path, etag: str) -> Path:
    copy = copy_of(path, etag)
    part.replace(copy)
    for other in _all(path):
        with contextlib.suppress(FileNotFoundError):
            if other != copy and time.time() - other.stat().st_mtime > _IN_USE_S:
                other.unlink()
    return copy


def _all(path: StoredPath) -> Iterator[Path]:
    """All copies of a file that may change."""
    folder = copy_of(path).parent
    if never_changes(path) or not folder.is_dir():
        return
    yield from (p for p in folder.iterdir() if p.name.partition(".")[2] == path.name and p.name[0] != ".")


def _newest(path: StoredPath) -> tuple[str, Path]:
    """Etag and place of the newest copy; ("", ...) if there is none."""
    found = max(_all(path), key=_changed, default=None)
    return (unquote(found.name.partition(".")[0]), found) if found else ("", copy_of(path))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
