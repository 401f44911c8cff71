"""A path on an object store that the rest of the code uses like any other path.

``str`` of it is its URL, and goes into messages, command lines and flow parameters. ``os.fspath`` of it is a local copy
of the file, fetched if need be: so Pillow, Arrow, safetensors and onnxruntime read it without knowing. Files are
written whole, through ``keepset.files``.
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Generator
from pathlib import Path, PosixPath, PurePath
from typing import TYPE_CHECKING, Any, Self

from keepset.errors import WorkspaceError

if TYPE_CHECKING:
    from keepset.storage.s3 import Bucket, Facts

__all__ = ["StoredPath", "locate"]

_SCHEME = "s3:"
_NEVER_CHANGED = re.compile(
    r"blobs/[0-9a-f]{2}/[0-9a-f]{64}|thumbs/[0-9a-f]{2}/[0-9a-f]{64}\.jpg|datasets/\d{6}\.parquet|"
    r"[^/]+\.jsonl/\d{10}|journal/[^/]+/\d{8}\.jsonl\.gz"
)


def locate(place: str | PurePath) -> Path:
    """The place that a person names: a folder, or ``s3://bucket/prefix``. Raises ``WorkspaceError``.

    ``Path`` makes ``s3:/bucket`` of ``s3://bucket``; that is understood too.
    """
    if isinstance(place, StoredPath):
        return place
    scheme, colon, rest = str(place).partition(":/")
    if not colon or "/" in scheme or len(scheme) < 2:
        return Path(place).expanduser().resolve()
    parts = [p for p in rest.split("/") if p]
    if scheme != "s3" or not parts or ".." in parts:
        raise WorkspaceError(
            f"{scheme}://{rest.lstrip('/')} is no place for a workspace.",
            "Give a folder, or s3://BUCKET/PREFIX on an S3-compatible store.",
        )
    return StoredPath(_SCHEME, *parts)


class StoredPath(PosixPath):
    """``s3://bucket/key``. Its parts are ``("s3:", bucket, *key)``; make one with ``locate``.

    What one request answers is asked of the store each time, so two machines see the same state. Pictures,
    thumbnails and revisions never change once they are there, and a local copy of one needs no asking.
    """

    __slots__ = ()

    def __str__(self) -> str:
        if self.parts[:1] != (_SCHEME,):  # relative to another one
            return "/".join(self.parts)
        return "s3://" + "/".join(self.parts[1:])

    def __fspath__(self) -> str:
        from keepset.storage.copies import local

        return str(local(self))

    def __repr__(self) -> str:
        return f"StoredPath({str(self)!r})"

    @property
    def key(self) -> str:
        return "/".join(self.parts[2:])

    @property
    def bucket(self) -> Bucket:
        from keepset.storage.s3 import bucket

        return bucket(self.parts[1])

    @property
    def never_changes(self) -> bool:
        """Whether the file's content is settled by its name: a picture, a revision, a line of a log."""
        return any(_NEVER_CHANGED.fullmatch("/".join(self.parts[-n:])) for n in (2, 3))

    # -- places ------------------------------------------------------------------------------------

    def absolute(self) -> Self:
        return self

    def expanduser(self) -> Self:
        return self

    def resolve(self, strict: bool = False) -> Self:
        return self

    def is_absolute(self) -> bool:
        return True

    # -- questions ---------------------------------------------------------------------------------

    def exists(self, **_: Any) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self, **_: Any) -> bool:
        return self._copied() is not None or self.facts() is not None

    def is_dir(self, **_: Any) -> bool:
        return self.bucket.has_any(f"{self.key}/" if self.key else "")

    def stat(self, **_: Any) -> os.stat_result:
        """Size, time of the last change, and an inode number that is another one when the content is."""
        if (copy := self._copied()) is not None:
            return copy.stat()
        facts = self.facts()
        if facts is None:
            raise FileNotFoundError(2, "No such object", str(self))
        when, inode = facts.modified.timestamp(), int.from_bytes(facts.etag.encode()[:7], "big")
        plain = (0o100644, inode, 0, 1, 0, 0, facts.size, int(when), int(when), int(when))
        # The store's clock ticks in seconds; what is kept under a time of change must see two changes within one.
        return os.stat_result(plain, {"st_mtime": when, "st_mtime_ns": int(when) * 10**9 + inode % 10**9})

    def iterdir(self) -> Generator[Self, None, None]:
        prefix = f"{self.key}/" if self.key else ""
        return (self / name for name in self.bucket.children(prefix))

    def facts(self) -> Facts | None:
        return self.bucket.head(self.key) if self.key else None

    def _copied(self) -> Path | None:
        """The local copy of a file that never changes, if there is one."""
        from keepset.storage.copies import copy_of

        copy = copy_of(self) if self.never_changes else None
        return copy if copy is not None and copy.exists() else None

    # -- reading and writing -----------------------------------------------------------------------

    def open(self, mode: str = "r", *options: Any, **more: Any) -> Any:
        if set(mode) & set("wax+"):
            raise io.UnsupportedOperation(f"{self} is written whole, through keepset.files")
        return Path(os.fspath(self)).open(mode, *options, **more)

    def read_bytes(self) -> bytes:
        return Path(os.fspath(self)).read_bytes()

    def read_text(self, encoding: str | None = None, errors: str | None = None, **_: Any) -> str:
        return Path(os.fspath(self)).read_text(encoding, errors)

    def write_bytes(self, data: Any) -> int:
        self.bucket.put(self.key, bytes(data))
        return len(data)

    def write_text(self, data: str, encoding: str | None = None, *_: Any, **__: Any) -> int:
        return self.write_bytes(data.encode(encoding or "utf-8"))

    def mkdir(self, mode: int = 0o777, parents: bool = False, exist_ok: bool = False) -> None:
        """An object store has no folders to make."""

    def unlink(self, missing_ok: bool = False) -> None:
        from keepset.storage.copies import forget

        if not missing_ok and self.facts() is None:
            raise FileNotFoundError(2, "No such object", str(self))
        self.bucket.delete(self.key)
        forget(self)

    def replace(self, target: Any) -> Self:
        """Copied, then deleted: a kill in between leaves both."""
        to = self.with_name(PurePath(target).name) if not isinstance(target, StoredPath) else target
        self.bucket.copy(self.key, to.key)
        self.unlink()
        return to  # type: ignore[return-value]

    rename = replace

    def glob(self, *_: Any, **__: Any) -> Any:
        raise io.UnsupportedOperation(f"{self}: list one folder at a time with iterdir")

    rglob = glob
