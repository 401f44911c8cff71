"""A body as it comes over the wire: unpacked a piece at a time, so that no bomb is ever in memory, and not too slow."""

from __future__ import annotations

import time
import zlib
from collections.abc import AsyncIterator, Iterator

import aiohttp

from keepset.download.answers import Trouble
from keepset.reasons import DownloadReason as Reason

__all__ = ["PIECE", "Pieces"]

PIECE = 262_144
_SLOW_AFTER_S = 10.0


class Pieces:
    """``async for piece in Pieces(response, slowest)``: ``bytes`` of at most ``PIECE``; raises ``Trouble``.

    ``wired`` counts the bytes that came over the wire so far. Less than ``slowest`` of them a second, over 10 s, is
    given up.
    """

    def __init__(self, response: aiohttp.ClientResponse, slowest: int) -> None:
        self.response, self.slowest, self.wired = response, slowest, 0
        coding = response.headers.get("content-encoding", "")
        self.codings = [c for c in (c.strip().lower() for c in coding.split(",")) if c not in ("", "identity")]

    async def __aiter__(self) -> AsyncIterator[bytes]:
        unpacker = _Unpacker(self.codings) if self.codings else None
        begin = time.monotonic()
        async for raw in self.response.content.iter_chunked(PIECE):
            self.wired += len(raw)
            if unpacker is None:
                yield raw
            else:
                for piece in unpacker.unpacked(raw):
                    yield piece
            took = time.monotonic() - begin
            if took > _SLOW_AFTER_S and self.wired / took < self.slowest:
                raise Trouble(Reason.TOO_SLOW, f"{self.wired / took:.0f} bytes/s")
        if unpacker is not None and not unpacker.whole:
            raise Trouble(Reason.TRUNCATED, "the packed body ends early")


class _Unpacker:
    """gzip (of several members too) and deflate (with zlib's header or, as some servers send it, without)."""

    def __init__(self, codings: list[str]) -> None:
        if len(codings) > 1 or codings[0] not in ("gzip", "x-gzip", "deflate"):
            raise Trouble(Reason.PROTOCOL, f"packed as {', '.join(codings)}, which was not asked for")
        self.gzip = codings[0] != "deflate"
        self.inflater: zlib._Decompress | None = None

    @property
    def whole(self) -> bool:
        return self.inflater is None or self.inflater.eof

    def unpacked(self, raw: bytes) -> Iterator[bytes]:
        try:
            while raw:
                if self.inflater is None or (self.inflater.eof and self.gzip and raw.startswith(b"\x1f\x8b")):
                    self.inflater = zlib.decompressobj(_window(raw, gzip=self.gzip))
                if self.inflater.eof:
                    return  # padding, or junk after the end
                while True:
                    piece = self.inflater.decompress(raw, PIECE)
                    raw = self.inflater.unconsumed_tail
                    if piece:
                        yield piece
                    if self.inflater.eof or (not raw and len(piece) < PIECE):
                        break
                raw = self.inflater.unused_data if self.inflater.eof else b""
        except zlib.error as e:
            raise Trouble(Reason.PROTOCOL, f"it cannot be unpacked: {e}") from e


def _window(raw: bytes, *, gzip: bool) -> int:
    if gzip:
        return 16 + zlib.MAX_WBITS
    return zlib.MAX_WBITS if raw[0] & 0x0F == 8 else -zlib.MAX_WBITS
