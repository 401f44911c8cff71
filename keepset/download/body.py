"""A picture's body on its way to disk: counted, hashed, held to its limits, and written in large pieces."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import TracebackType
from typing import Self

from keepset.config import DownloadConfig
from keepset.download.answers import Trouble
from keepset.download.unpacking import PIECE
from keepset.files import refusals
from keepset.images.formats import foreign, sniff
from keepset.reasons import DownloadReason as Reason

__all__ = ["ResponseBody"]

_HEAD = 512
"""Bytes that tell the format: an XML declaration and comments may come before the first tag of an SVG."""


class ResponseBody:
    """``with ResponseBody(part, config, sha1) as body``: ``take`` each piece, then ``check``. Raises ``Trouble``.

    ``sha1`` is what the source promised. Raises ``WorkspaceNotWritable`` if the disk refuses.
    """

    def __init__(self, part: Path, config: DownloadConfig, sha1: str | None) -> None:
        self.part, self.config, self.sha1 = part, config, sha1
        self.size = 0
        self.head = b""
        self._waiting = bytearray()
        self._digest = hashlib.sha256()
        self._promised = hashlib.sha1(usedforsecurity=False) if sha1 else None

    def __enter__(self) -> Self:
        with refusals(self.part):
            self._file = self.part.open("wb", buffering=0)
        return self

    def __exit__(self, kind: type[BaseException] | None, e: BaseException | None, where: TracebackType | None) -> None:
        self._file.close()

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()

    def take(self, piece: bytes, wired: int) -> None:
        """The next piece; ``wired``: bytes that came over the wire so far, packed as they came.

        A network's pieces have a few kilobytes each; hashing and writing them one by one costs as much as receiving.
        """
        self.size += len(piece)
        if self.size > self.config.max_bytes:
            packed = wired < self.size / 2
            reason = Reason.DECOMPRESSION if packed else Reason.TOO_LARGE
            raise Trouble(reason, f"more than {self.config.max_bytes} bytes")
        self._waiting += piece
        if len(self._waiting) >= PIECE:
            self._put()

    def check(self, promised_size: int | None) -> str:
        """What format it is. Raises ``Trouble`` if it is not whole, not a picture, or not the one promised."""
        self._put()
        if self.size == 0:
            raise Trouble(Reason.EMPTY, "0 bytes")
        if promised_size is not None and self.size < promised_size:
            raise Trouble(Reason.TRUNCATED, f"{self.size} of {promised_size} bytes came")
        found = sniff(self.head)
        if found is None:
            if other := foreign(self.head):
                raise Trouble(Reason.FORMAT, f"it is {other}")
            raise Trouble(Reason.NOT_AN_IMAGE, f"its first bytes are {self.head[:24]!r}")
        if self._promised and self.sha1 and self._promised.hexdigest() != self.sha1.lower():
            detail = f"its sha1 is {self._promised.hexdigest()}, {self.sha1} was promised"
            raise Trouble(Reason.CHECKSUM, detail)
        return found

    def _put(self) -> None:
        piece = self._waiting
        self.head = self.head or bytes(piece[:_HEAD])
        self._digest.update(piece)
        if self._promised:
            self._promised.update(piece)
        with refusals(self.part):
            self._file.write(piece)
        self._waiting = bytearray()
