"""A workspace with an open batch, served by the real app on loopback."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from keepset.web.app import create_app


@contextlib.contextmanager
def served(root: Path, token: str = "") -> Iterator[str]:
    """The app in a thread on a free loopback port; yields its address."""
    config = uvicorn.Config(create_app(root, token=token), host="127.0.0.1", port=0, log_level="error")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    until = time.monotonic() + 20
    while not server.started and time.monotonic() < until:
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join(10)
