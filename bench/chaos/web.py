"""The web of the chaos runs: planted pictures over real HTTP, a little slow, and every request counted."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from http.server import ThreadingHTTPServer

from keepset.demo.pictures import Planted
from keepset.demo.server import PlantedHandler

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


class _Handler(PlantedHandler):
    web: Web

    def do_GET(self) -> None:  # noqa: N802 - the name http.server uses
        if self.path != "/robots.txt":
            with self.web.lock:
                self.web.asked[self.path] += 1
            time.sleep(self.web.delay_s)
        super().do_GET()


@contextlib.contextmanager
def serving(delay_s: float = 0.1, port: int = 0) -> Iterator[Web]:
    """Port 0 takes a free one."""
    web = Web(delay_s)
    handler = type("Handler", (_Handler,), {"web": web, "pages": web.pages})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    web.base = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
