"""A load generator that costs little beside what it measures: raw HTTP/1.1 over kept-alive sockets."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

BOUNDARY = "keepset-bench"


@dataclass
class Result:
    """``seconds``: of each answered request; ``statuses``: how many of each, 0 for a lost connection."""

    wall: float = 0.0
    seconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def answered(self) -> int:
        return self.statuses[200]


def requests(port: int, pictures: Sequence[bytes]) -> list[bytes]:
    """One multipart request a picture."""
    found = []
    for data in pictures:
        part = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n'
        body = part.encode() + b"Content-Type: image/jpeg\r\n\r\n" + data + f"\r\n--{BOUNDARY}--\r\n".encode()
        head = (
            f"POST /api/predict HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Length: {len(body)}\r\n"
            f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n\r\n"
        )
        found.append(head.encode() + body)
    return found


def drive(port: int, payloads: Sequence[bytes], clients: int, seconds: float) -> Result:
    """``clients`` connections that ask again as soon as they are answered, for ``seconds``."""
    return asyncio.run(_drive(port, payloads, clients, seconds))


async def _drive(port: int, payloads: Sequence[bytes], clients: int, seconds: float) -> Result:
    result, begin = Result(), time.perf_counter()
    await asyncio.gather(*(_client(port, payloads, i, begin + seconds, result) for i in range(clients)))
    result.wall = time.perf_counter() - begin
    return result


async def _client(port: int, payloads: Sequence[bytes], i: int, until: float, result: Result) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    begin = 0.0
    while begin < until:  # at least once
        begin = time.perf_counter()
        try:
            writer.write(payloads[i % len(payloads)])
            await writer.drain()
            status = await _answer(reader)
        except (OSError, asyncio.IncompleteReadError):
            status = 0
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
        took = time.perf_counter() - begin
        result.statuses[status] += 1
        if status == 200:
            result.seconds.append(took)
        elif status == 503:
            await asyncio.sleep(1)
        begin, i = begin + took, i + 1
    writer.close()


async def _answer(reader: asyncio.StreamReader) -> int:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
    await reader.readexactly(length)
    return int(head[9:12])
