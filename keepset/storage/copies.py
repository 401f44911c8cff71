"""Local copies of what is on the object store: a cache that may be deleted at any time, even while in use.

``KEEPSET_CACHE/copies/s3/<bucket>/<key>`` is the copy of a file that never changes. Of a file that may change, the
copy's name begins with its etag, so that a copy is never taken for another content than its own: one request asks
the store whether it stands, and brings the new content if not.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from keepset.settings import settings

if TYPE_CHECKING:
    from keepset.storage.paths import StoredPath

__all__ = ["copy_of", "forget", "forget_all_of_another", "local", "scratch_of", "staged", "uploading"]

_IN_USE_S = 3600.0
"""An older copy may still be open in another process for so long."""


def scratch_of(path: StoredPath) -> Path:
    """The folder of this machine for what must be a local file: caches, journals, locks, logs."""
    return settings().cache / "scratch" / "s3" / Path(*path.parts[1:])


def copy_of(path: StoredPath, etag: str = "") -> Path:
    """Where the local copy lies, or would. ``etag``: of a file that may change."""
    place = settings().cache / "copies" / "s3" / Path(*path.parts[1:])
    return place if path.never_changes else place.with_name(f"{quote(etag, safe='')}.{place.name}")


def local(path: StoredPath) -> Path:
    """A local copy of what the file holds now. Raises ``FileNotFoundError``."""
    known = copy_of(path)
    if path.never_changes:
        if known.exists():
            return known
        etag, known = "", known
    else:
        etag, known = _newest(path)
    part = staged(path)
    try:
        found = path.bucket.download(path.key, part, known=etag)
        if found is None:
            with contextlib.suppress(FileNotFoundError):
                os.utime(known)
                return known
            found = path.bucket.download(path.key, part)  # the copy was deleted a moment ago
        return _keep(path, part, str(found))
    finally:
        part.unlink(missing_ok=True)


def staged(path: StoredPath) -> Path:
    """A fresh local name beside the copy, for a file on its way from or to the store."""
    copy = copy_of(path)
    try:
        copy.parent.mkdir(parents=True, exist_ok=True)
    except OSError as e:
        from keepset.storage.s3 import cache_trouble

        raise cache_trouble(e) from e
    return copy.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}.part")


@contextlib.contextmanager
def uploading(path: StoredPath, *, exclusive: bool = False) -> Iterator[Path]:
    """Yield a local file to write; on success it is uploaded, and becomes the local copy.

    With ``exclusive``, raise ``FileExistsError`` if another writer was first.
    """
    part = staged(path)
    try:
        yield part
        etag = path.bucket.upload(part, path.key, exclusive=exclusive)
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
        for folder in (scratch, settings().cache / "copies" / "s3" / Path(*root.parts[1:])):
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
    if path.never_changes or not folder.is_dir():
        return
    yield from (p for p in folder.iterdir() if p.name.partition(".")[2] == path.name and p.name[0] != ".")


def _newest(path: StoredPath) -> tuple[str, Path]:
    """Etag and place of the newest copy; ("", ...) if there is none."""
    from urllib.parse import unquote

    found = max(_all(path), key=_changed, default=None)
    return (unquote(found.name.partition(".")[0]), found) if found else ("", copy_of(path))


def _changed(path: Path) -> float:
    try:
        return path.stat().st_mtime
    except FileNotFoundError:
        return 0.0
