"""A real S3 server (moto's, a process of its own) and fresh buckets on it; and a proxy before it that fails at times."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.processes import PATIENCE_S, free_port, wait_for

LOGIN = {"AWS_ACCESS_KEY_ID": "keepset", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_DEFAULT_REGION": "us-east-1"}

SERVER = """
import sys, threading
from moto.s3.responses import S3Response
from moto.server import main
put, turn = S3Response._key_response_put, threading.Lock()
def in_turn(*args):
    with turn:
        return put(*args)
S3Response._key_response_put = in_turn
main(sys.argv[1:])
"""
"""moto looks whether a key is there, then writes it: of two threads that do so at once, both win. On S3 one does."""


@pytest.fixture(scope="session")
def s3_server() -> Iterator[str]:
    """Address of the server."""
    pytest.importorskip("obstore")
    port = free_port()
    command = [sys.executable, "-c", SERVER, "-H", "127.0.0.1", "-p", str(port)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        wait_for(lambda: process.poll() is not None or _answers(port), "moto to start", 60, 0.05)
        assert process.poll() is None
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@pytest.fixture
def s3(s3_server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """URL of a fresh bucket; the environment names the server, and a fresh cache."""
    for name in [n for n in os.environ if n.startswith("AWS_")]:
        monkeypatch.delenv(name)
    for name, value in (LOGIN | {"AWS_ENDPOINT_URL": s3_server}).items():
        monkeypatch.setenv(name, value)
    another_machine(monkeypatch, tmp_path / "cache")
    name = f"keepset-{secrets.token_hex(4)}"
    assert httpx.put(f"{s3_server}/{name}", timeout=PATIENCE_S).status_code == 200  # moto checks no signatures
    return f"s3://{name}"


def moved(folder: Path, url: str) -> Path:
    """A workspace on disk, put on the store as it is. Returns its root there."""
    from keepset.files import write_bytes
    from keepset.storage import locate

    root = locate(url)
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        if file.relative_to(folder).parts[0] not in ("journal", "cache", "locks", "logs", "audit.jsonl"):
            write_bytes(root.joinpath(*file.relative_to(folder).parts), file.read_bytes())
    return root


def another_machine(monkeypatch: pytest.MonkeyPatch, cache: Path) -> None:
    """From here on nothing local is known: what another machine would see."""
    from keepset.settings import settings

    monkeypatch.setenv("KEEPSET_CACHE", str(cache))
    settings.cache_clear()
