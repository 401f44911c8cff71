"""The web that the benches ask: a process of its own, whose time counts for nobody.

    python -m bench.download.server PORT photos N     N photos at /photo/<i>.jpg
    python -m bench.download.server PORT flaky N      the same with 100 ms latency, and trouble for some numbers
    python -m bench.download.server PORT tiny 0       /tiny/<i>.jpg: 1.5 kB each, all different; /missing/<i>.jpg: 404

``/asked`` answers how often each path was asked for, as JSON.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from collections import Counter
from functools import partial
from pathlib import Path

from bench.download.pictures import photos

__all__ = ["trouble"]

PHOTOS = Path(__file__).resolve().parents[1] / "out" / "photos"
_HTML = b"<!doctype html><title>gone</title>" + b"<p>Nothing here.</p>" * 50


def trouble(i: int) -> str:
    """What is wrong with picture ``i`` of the flaky web: 2 % 404, 1 % each of the others, 0.3 % stalls."""
    if i % 300 == 299:
        return "stall"
    return {7: "missing", 57: "missing", 23: "busy_once", 41: "cut", 77: "html"}.get(i % 100, "")


class Web:
    def __init__(self, kind: str, count: int) -> None:
        self.kind, self.asked = kind, Counter[str]()
        self.photos = photos(count, PHOTOS) if count else []
        self.tiny = _small()

    async def talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                path = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
                await self.answer(path, writer)
                await writer.drain()
        writer.close()

    async def answer(self, path: str, writer: asyncio.StreamWriter) -> None:
        if path == "/asked":
            return send(writer, 200, json.dumps(self.asked).encode(), "application/json")
        if path == "/robots.txt":
            return send(writer, 404, b"")
        self.asked[path] += 1
        number = int(path.rpartition("/")[2].removesuffix(".jpg"))
        if path.startswith("/missing"):
            return send(writer, 404, b"")
        if path.startswith("/tiny"):
            return send(writer, 200, self.tiny + path.encode())
        wrong = trouble(number) if self.kind == "flaky" else ""
        if self.kind == "flaky":
            await asyncio.sleep(0.1)
        return await self.photo(path, number, wrong, writer)

    async def photo(self, path: str, number: int, wrong: str, writer: asyncio.StreamWriter) -> None:
        body = self.photos[number]
        if wrong == "missing":
            send(writer, 404, b"")
        elif wrong == "busy_once" and self.asked[path] == 1:
            send(writer, 503, b"")
        elif wrong == "html":
            send(writer, 200, _HTML)
        elif wrong in ("cut", "stall"):
            send(writer, 200, body[: len(body) // 2], length=len(body))
            await writer.drain()
            if wrong == "stall":
                await asyncio.sleep(600)
            writer.close()
            raise ConnectionError
        else:
            send(writer, 200, body)


def send(
    writer: asyncio.StreamWriter, status: int, body: bytes, kind: str = "image/jpeg", length: int | None = None
) -> None:
    size = len(body) if length is None else length
    writer.write(f"HTTP/1.1 {status} x\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\n\r\n".encode() + body)


def _small() -> bytes:
    import io

    from PIL import Image

    out = io.BytesIO()
    Image.effect_noise((48, 48), 60).save(out, "JPEG", quality=80)
    return out.getvalue()


async def main(port: int, kind: str, count: int) -> None:
    web = await asyncio.to_thread(partial(Web, kind, count))
    server = await asyncio.start_server(web.talk, "127.0.0.1", port, backlog=512)
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
