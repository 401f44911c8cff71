"""Processes, threads and ports that tests of many topics start and wait for."""

from __future__ import annotations

import contextlib
import functools
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]
PATIENCE_S = 300.0
"""How long anything is waited for: only a hang takes as long, however busy the machine is."""


def wait_for(true: Callable[[], Any], what: str, patience_s: float = PATIENCE_S, every_s: float = 0.1) -> None:
    """Return as soon as ``true`` holds; an assertion names ``what`` after ``patience_s``."""
    deadline = time.monotonic() + patience_s
    while not true():
        assert time.monotonic() < deadline, f"waited {patience_s:.0f} s for {what}"
        time.sleep(every_s)


def free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])


@contextlib.contextmanager
def serving(handler: Any, address: str = "127.0.0.1", **facts: Any) -> Iterator[int]:
    """A server on loopback in a thread; ``facts`` become attributes of the handler's class. Yields its port."""
    made = type("Handler", (handler,), facts) if facts else handler
    server = ThreadingHTTPServer((address, 0), made)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Folder(SimpleHTTPRequestHandler):
    """It keeps no connection: once the server is closed, nothing is answered any more."""

    def log_message(self, *args: Any) -> None:
        pass


def serving_folder(folder: Path) -> contextlib.AbstractContextManager[int]:
    """The files of a folder on loopback; yields the port."""
    return serving(functools.partial(_Folder, directory=str(folder)))


class Silent(BaseHTTPRequestHandler):
    """A handler that keeps its connections and writes no log."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *args: Any) -> None:
        pass


def started(program: str, *arguments: object, **environment: str) -> subprocess.Popen[str]:
    """A Python program in a process of its own; it is spoken with line by line."""
    command = [sys.executable, "-c", program, *map(str, arguments)]
    here = os.environ | environment
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=here)


def ran(program: str, *arguments: object, ends: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    """The same, run to its end; ``ends``: the exit code that it must have."""
    command, here = [sys.executable, "-c", program, *map(str, arguments)], os.environ | environment
    done = subprocess.run(command, capture_output=True, text=True, env=here, timeout=PATIENCE_S, check=False)
    assert done.returncode == ends, done.stdout[-1000:] + done.stderr[-3000:]
    return done


def race(
    program: str, arguments: Sequence[Sequence[object]], environment: Mapping[str, str] | None = None
) -> list[str]:
    """One process per list of arguments; each prints "ready" and then reads a line. What each printed after that.

    ``{n}`` in a value of ``environment`` is the number of the process.
    """
    there = environment or {}
    running = [
        started(program, *words, **{k: v.format(n=n) for k, v in there.items()}) for n, words in enumerate(arguments)
    ]
    for p in running:
        assert p.stdout.readline() == "ready\n"
    for p in running:
        p.stdin.write("go\n")
        p.stdin.flush()
    said = [p.communicate(timeout=PATIENCE_S)[0].strip() for p in running]
    assert all(p.returncode == 0 for p in running), said
    return said


def kill_when(process: subprocess.Popen[Any], true: Callable[[], Any], what: str) -> None:
    """SIGKILL as soon as ``true`` holds; the process must be at work until then."""
    wait_for(lambda: true() or process.poll() is not None, what, every_s=0.02)
    assert process.poll() is None, "it ended before it could be killed"
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):  # not read to its end: a process of its own may hold it still
        if pipe is not None:
            pipe.close()
