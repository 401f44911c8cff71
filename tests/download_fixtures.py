"""A hostile and flaky web on loopback: each path misbehaves in its own way, and counts how often it was asked."""

from __future__ import annotations

import contextlib
import gzip
import time
from collections import Counter
from collections.abc import Iterator
from urllib.parse import urlsplit

from keepset.demo.draw import draw
from tests.factories import jpeg
from tests.processes import Silent, serving

PICTURE = jpeg(draw("apple", 1, width=120, height=90))


class Web(Silent):
    asked: Counter[str]

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/robots.txt":  # not counted: the counter is of pictures
            self.answer(b"User-agent: *\nDisallow: /private*.jpg$\n", Content_Type="text/plain")
            return
        self.asked[self.path] += 1
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            getattr(self, "on_" + path.strip("/").split("/")[0].replace("-", "_"), self.on_missing)()

    def answer(self, body: bytes, code: int = 200, length: int | None = None, **headers: str) -> None:
        self.send_response(code)
        for k, v in ({"Content_Type": "image/jpeg"} | headers).items():
            self.send_header(k.replace("_", "-"), v)
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        self.wfile.write(body)

    def on_missing(self) -> None:
        self.answer(b"not here", 404)

    def on_good(self) -> None:
        self.answer(PICTURE + self.path.encode())  # trailing bytes make each picture a file of its own

    def on_signed(self) -> None:
        right = urlsplit(self.path).query == "sig=a%2Bb%3D&size=1"
        self.answer(PICTURE if right else b"wrong signature", 200 if right else 403)

    def on_flaky(self) -> None:
        first = self.asked[self.path] == 1
        self.answer(b"busy" if first else PICTURE, 503 if first else 200, **({"Retry_After": "0"} if first else {}))

    def on_cut(self) -> None:
        self.answer(PICTURE[:500], length=len(PICTURE))
        self.close_connection = True

    def on_html(self) -> None:
        self.answer(b"<!doctype html><title>moved</title>")

    def on_empty(self) -> None:
        self.answer(b"")

    def on_forbidden(self) -> None:
        self.answer(b"", 403)

    def on_optout(self) -> None:
        self.answer(PICTURE, X_Robots_Tag="noai")

    def on_versioned(self) -> None:
        """A picture with an ETag; after the third request it is another one."""
        version = "v1" if self.asked[self.path] < 3 else "v2"
        if self.headers.get("If-None-Match") == f'"{version}"':
            self.asked["304"] += 1
            self.answer(b"", 304, ETag=f'"{version}"')
        else:
            self.answer(PICTURE + version.encode(), ETag=f'"{version}"')

    def on_limited(self) -> None:
        """Too many requests, the first time."""
        first = self.asked[self.path] == 1
        self.answer(b"" if first else PICTURE, 429 if first else 200, Retry_After="1")

    def on_later(self) -> None:
        self.answer(b"", 503, Retry_After="86400")

    def on_elsewhere(self) -> None:
        self.answer(b"", 302, Location=urlsplit(self.path).query)

    def on_loop(self) -> None:
        self.answer(b"", 302, Location=self.path)

    def on_tofile(self) -> None:
        self.answer(b"", 302, Location="file:///etc/passwd")

    def on_toprivate(self) -> None:
        self.answer(b"", 302, Location="http://169.254.169.254/latest/meta-data/")

    def on_endless(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(PICTURE)
        for _ in range(10_000):
            self.wfile.write(b"\0" * 65_536)

    def on_drip(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", "100000")
        self.end_headers()
        for i in range(200):
            self.wfile.write(PICTURE[i : i + 1])
            self.wfile.flush()
            time.sleep(0.1)

    def on_bomb(self) -> None:
        self.answer(gzip.compress(PICTURE + b"\0" * 50_000_000), Content_Encoding="gzip")


@contextlib.contextmanager
def hostile_web(address: str = "127.0.0.1") -> Iterator[tuple[str, Counter[str]]]:
    """Yield the base URL and the counter of requests by path. ``address``: "" for all of this machine's."""
    asked: Counter[str] = Counter()
    with serving(Web, address, asked=asked) as port:
        yield f"http://127.0.0.1:{port}", asked
