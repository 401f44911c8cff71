"""Serve the demo's planted pictures over real HTTP on loopback."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from keepset.demo.pictures import Planted

__all__ = ["PlantedHandler", "serve"]


@contextlib.contextmanager
def serve(planted: Sequence[Planted], port: int = 0) -> Iterator[str]:
    """Serve ``planted`` on 127.0.0.1 and yield the base URL; port 0 takes a free one."""
    handler = type("Handler", (PlantedHandler,), {"pages": {p.path: p for p in planted}})
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class PlantedHandler(BaseHTTPRequestHandler):
    """Answers with ``pages`` by path, and 404 for all else."""

    protocol_version = "HTTP/1.1"
    pages: Mapping[str, Planted]

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        body = page.body if page else b"not found"
        self.send_response(page.http_status if page else 404)
        self.send_header("Content-Type", page.content_type if page else "text/plain")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.wfile.write(body)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):  # a client that goes away is no trouble
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server uses
        pass
