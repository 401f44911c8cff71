"""An HTTP proxy before an S3 server that fails on purpose: it answers 503, cuts the line, or loses the answer."""

from __future__ import annotations

import contextlib
import http.client
import random
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from urllib.parse import urlsplit

from tests.processes import PATIENCE_S, Silent, serving

__all__ = ["Fault", "flaky", "sometimes"]

Fault = str
"""``busy``: 503 SlowDown, nothing done. ``cut``: the line is cut, nothing done. ``lost``: done, but the line is cut
before the answer. ``half``: done, and half of the answer's body comes. ``denied``: 403 AccessDenied. ``deaf``: done without its conditions. "": no fault."""


def sometimes(share: float, seed: int) -> Callable[[str, str], Fault]:
    """Of all requests, this share gets one of the faults that a retry heals."""
    rng, lock = random.Random(seed), threading.Lock()

    def choose(method: str, path: str) -> Fault:
        with lock:
            return rng.choice(("busy", "cut", "lost", "half")) if rng.random() < share else ""

    return choose


@contextlib.contextmanager
def flaky(server: str, choose: Callable[[str, str], Fault]) -> Iterator[tuple[str, Counter[str]]]:
    """Yield the proxy's address, and a count of what it did: faults by name, and requests by method."""
    seen: Counter[str] = Counter()
    facts = {"target": urlsplit(server).netloc, "choose": staticmethod(choose), "seen": seen}
    with serving(_Proxy, **facts) as port:
        yield f"http://127.0.0.1:{port}", seen


class _Proxy(Silent):
    target: str
    choose: Callable[[str, str], Fault]
    seen: Counter[str]

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault = self.choose(self.command, self.path)
        self.seen[self.command] += 1
        self.seen[fault or "well"] += 1
        if fault == "cut":
            self._cut()
        elif fault == "busy":
            self._error(503, "SlowDown")
        elif fault == "denied":
            self._error(403, "AccessDenied")
        else:
            self._answer(*self._ask(body, deaf=fault == "deaf"), fault)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = _pass_on  # noqa: N815 - the names http.server uses

    def _ask(self, body: bytes, *, deaf: bool) -> tuple[int, list[tuple[str, str]], bytes]:
        connection = http.client.HTTPConnection(self.target, timeout=PATIENCE_S)
        try:
            connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
            for name, value in self.headers.items():
                if name.lower() not in (
                    "connection",
                    "expect",
                    "if-none-match" if deaf else "",
                    "if-match" if deaf else "",
                ):
                    connection.putheader(name, value)
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.getheaders(), answer.read()
        finally:
            connection.close()

    def _answer(self, status: int, headers: list[tuple[str, str]], body: bytes, fault: Fault) -> None:
        if fault == "lost":
            self._cut()
            return
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in ("connection", "transfer-encoding"):
                self.send_header(name, value)
        self.end_headers()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            if fault == "half" and len(body) > 1:
                self.wfile.write(body[: len(body) // 2])
                self._cut()
            elif self.command != "HEAD":
                self.wfile.write(body)

    def _error(self, status: int, code: str) -> None:
        body = f"<Error><Code>{code}</Code><Message>{code}, on purpose</Message></Error>".encode()
        self.send_response_only(status)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def _cut(self) -> None:
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def handle(self) -> None:
        with contextlib.suppress(ConnectionResetError, BrokenPipeError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name http.server uses
        pass
