"""The web of the chaos runs: planted pictures over real HTTP, a little slow, and every request counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keepset.demo.pictures import Planted

__all__ = ["Web", "serving"]


class Web:
    """Pages by path, and how often each was asked for while somebody counted."""

    def __init__(self, delay_s: float) -> None:
        self.delay_s, self.base = delay_s, ""
        self.pages: dict[str, Planted] = {}
        self.asked: Counter[str] = Counter()
        self.lock = threading.Lock()

    def add(self, prefix: str, planted: Sequence[Planted]) -> None:
        self.pages |= {prefix + p.path: p for p in planted}

    def forget(self, prefix: str) -> None:
        """What the undisturbed run asked for does not count."""
        with self.lock:
            for path in [p for p in self.asked if p.startswith(prefix)]:
                del self.asked[path]

    def counts(self, prefix: str) -> dict[str, int]:
        with self.lock:
            return {p: n for p, n in self.asked.items() if p.startswith(prefix)}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    web: Web

    def do_GET(self) -> None:
        page = self.web.pages.get(self.path)
        if self.path != "/robots.txt":
            with self.web.lock:
                self.web.asked[self.path] += 1
            time.sleep(self.web.delay_s)
        body = page.body if page else b"not found"
        self.send_response(page.http_status if page else 404)
        self.send_header("Content-Type", page.content_type if page else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # its client was killed
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server uses
        pass


@contextlib.contextmanager
def serving(delay_s: float = 0.1, port: int = 0) -> Iterator[Web]:
    """Port 0 takes a free one."""
    web = Web(delay_s)
    server = ThreadingHTTPServer(("127.0.0.1", port), type("Handler", (_Handler,), {"web": web}))
    web.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
