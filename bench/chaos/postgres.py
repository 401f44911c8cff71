"""A real PostgreSQL of its own: Debian's programs, a temporary data folder, loopback only, an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

__all__ = ["Postgres", "postgres", "programs"]

USER = "postgres"


def programs() -> Path | None:
    """The folder of ``initdb`` and ``postgres``, the newest version; None if there is none."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda p: int(p.parts[-3]))
    found = shutil.which("initdb")
    return versions[-1].parent if versions else Path(found).resolve().parent if found else None


class Postgres:
    """A running server; ``url`` is what SQLAlchemy takes."""

    def __init__(self, bin_folder: Path, data: Path, port: int) -> None:
        self.bin, self.data, self.port = bin_folder, data, port
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql+asyncpg://keepset@127.0.0.1:{self.port}/postgres"

    def start(self) -> None:
        command = [str(self.bin / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        command += ["-c", "listen_addresses=127.0.0.1", "-c", f"unix_socket_directories={self.data}"]
        with (self.data.parent / "postgres.log").open("ab") as log:
            self.process = subprocess.Popen(_as_user(command), stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 60
        while not self._ready():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError((self.data.parent / "postgres.log").read_text())
            time.sleep(0.2)

    def _ready(self) -> bool:
        command = [str(self.bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port), "-U", "keepset"]
        return subprocess.run(command, check=False).returncode == 0

    def stop(self) -> None:
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGINT)  # PostgreSQL's fast shutdown
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


@contextlib.contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Start one under ``folder``, keeping what is there. Raises ``FileNotFoundError`` without PostgreSQL."""
    bin_folder = programs()
    if bin_folder is None:
        raise FileNotFoundError("There is no PostgreSQL on this machine: apt-get install postgresql.")
    folder.mkdir(parents=True, exist_ok=True)
    data = folder / "data"
    if os.geteuid() == 0:
        shutil.chown(folder, USER, USER)
    if not (data / "PG_VERSION").exists():
        command = [str(bin_folder / "initdb"), "-D", str(data), "-U", "keepset", "-A", "trust", "--no-sync"]
        subprocess.run(_as_user(command), check=True, stdout=subprocess.DEVNULL)
    server = Postgres(bin_folder, data, _free_port())
    try:
        server.start()
        yield server
    finally:
        server.stop()


def _as_user(command: Sequence[str]) -> list[str]:
    """PostgreSQL refuses to run as root."""
    if os.geteuid() != 0:
        return list(command)
    return ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", *command]


def _free_port() -> int:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return int(s.getsockname()[1])
