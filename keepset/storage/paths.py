"""A path on an object store that the rest of the code uses like any other path.

``str`` of it is its URL, and goes into messages, command lines and flow parameters. ``os.fspath`` of it is a local copy
of the file, fetched if need be: so Pillow, Arrow, safetensors and onnxruntime read it without knowing. Files are
written whole, through ``keepset.files``.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Generator
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING, Any, Self

from keepset.errors import WorkspaceError
from keepset.storage import copies

if TYPE_CHECKING:
    from keepset.storage.bucket import Bucket, Facts

__all__ = ["StoredPath", "locate"]

_SCHEMES = ("s3", "gs", "az")


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
    if scheme not in _SCHEMES or not parts or ".." in parts:
        raise WorkspaceError(
            f"{scheme}://{rest.lstrip('/')} cannot be a workspace.",
            "Give a folder, or s3://BUCKET/PREFIX (gs:// for Google, az:// for Azure).",
        )
    return StoredPath(f"{scheme}:", *parts)


if TYPE_CHECKING:
    _Base = Path  # so that no signature has to name both
else:
    _Base = PurePosixPath  # so that a method of Path that is not below is an AttributeError, not a file on this disk


class StoredPath(_Base):
    """``s3://bucket/key``. Its parts are ``("s3:", bucket, *key)``; make one with ``locate``.

    What one request answers is asked of the store each time, so two machines see the same state. Pictures,
    thumbnails and revisions never change once they are there, and a local copy of one needs no asking.
    """

    __slots__ = ()

    def __str__(self) -> str:
        if self.parts[:1] and self.parts[0][-1] == ":":
            return f"{self.parts[0]}//" + "/".join(self.parts[1:])
        return "/".join(self.parts)  # relative to another one

    def __fspath__(self) -> str:
        return str(copies.local(self))

    @property
    def key(self) -> str:
        return "/".join(self.parts[2:])

    @property
    def bucket(self) -> Bucket:
        from keepset.storage.bucket import bucket

        return bucket(self.parts[0].removesuffix(":"), self.parts[1])

    def resolve(self, strict: bool = False) -> Self:
        return self

    # -- questions ---------------------------------------------------------------------------------

    def exists(self, **_: Any) -> bool:
        return self.is_file() or self.is_dir()

    def is_file(self, **_: Any) -> bool:
        return copies.final_copy(self) is not None or self.facts() is not None

    def is_dir(self, **_: Any) -> bool:
        return self.bucket.has_any(self._prefix)

    def stat(self, **_: Any) -> os.stat_result:
        """Size, time of the last change, and an inode number that is another one when the content is."""
        if (copy := copies.final_copy(self)) is not None:
            return copy.stat()
        facts = self.facts()
        if facts is None:
            raise FileNotFoundError(2, "No such object", str(self))
        when = facts.modified.timestamp()
        inode = int.from_bytes(hashlib.blake2b(facts.etag.encode(), digest_size=7).digest(), "big")
        plain = (0o100644, inode, 0, 1, 0, 0, facts.size, int(when), int(when), int(when))
        # The store's clock ticks in seconds; what is kept under a time of change must see two changes within one.
        return os.stat_result(plain, {"st_mtime": when, "st_mtime_ns": int(when) * 10**9 + inode % 10**9})

    def iterdir(self) -> Generator[Self, None, None]:
        return (self / name for name in self.bucket.children(self._prefix))

    def facts(self) -> Facts | None:
        return self.bucket.head(self.key) if self.key else None

    @property
    def _prefix(self) -> str:
        return f"{self.key}/" if self.key else ""

    # -- reading and writing -----------------------------------------------------------------------

    def open(self, mode: str = "r", *options: Any, **more: Any) -> Any:
        if set(mode) & set("wax+"):
            raise io.UnsupportedOperation(f"{self} is written whole, through keepset.files")
        return copies.local(self).open(mode, *options, **more)

    def read_bytes(self) -> bytes:
        return copies.local(self).read_bytes()

    def read_text(self, encoding: str | None = None, errors: str | None = None, **_: Any) -> str:
        return copies.local(self).read_text(encoding, errors)

    def unlink(self, missing_ok: bool = False) -> None:
        if not missing_ok and self.facts() is None:
            raise FileNotFoundError(2, "No such object", str(self))
        self.bucket.delete(self.key)
        copies.forget(self)

    def rename(self, target: Any) -> Self:
        """Copied, then deleted: a kill in between leaves both."""
        target.bucket.put(target.key, copies.local(self))
        self.unlink()
        return target  # type: ignore[no-any-return]
