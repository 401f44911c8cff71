"""A workspace on an S3 server against one on disk: pictures a second, CPU seconds, and requests a picture.

    python -m bench.storage.against_disk [--blobs 2000] [--kilobytes 40] [--pictures 120]

The server is moto's, one Python process on this machine: it is slower than any real one and shares the CPU with the
client, but answers without delay. What carries over to a real store is the client's CPU time and the number of
requests; the last column tells what a real store's time for each answer would make of them, 32 being asked at a time.
"""

from __future__ import annotations

import argparse
import contextlib
import hashlib
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx

from keepset.config import RunConfig, load_config
from keepset.demo.draw import CLASSES
from keepset.demo.pictures import plant
from keepset.demo.server import serve
from keepset.files import move_in
from keepset.settings import settings
from keepset.storage import locate
from keepset.storage.carrying import AT_ONCE, bring, delivered, landing
from keepset.workspace import Workspace

ANSWER_S = 0.03


@dataclass
class Store:
    """The server: its log has a line for each request."""

    log: Path

    def requests(self) -> int:
        return sum(b'HTTP/1.1"' in line for line in self.log.read_bytes().splitlines())


@contextlib.contextmanager
def store(folder: Path) -> Iterator[Store]:
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    log = folder / "server.log"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        while not _answers(port):
            time.sleep(0.05)
        os.environ |= {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
            "AWS_ACCESS_KEY_ID": "bench",
            "AWS_SECRET_ACCESS_KEY": "bench",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        httpx.put(f"http://127.0.0.1:{port}/bench").raise_for_status()
        yield Store(log)
    finally:
        process.kill()
        process.wait()


def _answers(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


@dataclass(frozen=True)
class Took:
    wall_s: float
    cpu_s: float
    requests: int


def timed(server: Store, work: Callable[[], object]) -> Took:
    asked, cpu, begin = server.requests(), time.process_time(), time.perf_counter()
    work()
    return Took(time.perf_counter() - begin, time.process_time() - cpu, server.requests() - asked)


def another_machine(cache: Path) -> None:
    os.environ["KEEPSET_CACHE"] = str(cache)
    settings.cache_clear()


def carry(server: Store, disk: Workspace, remote: Workspace, n: int, size: int, folder: Path) -> None:
    """Blobs in, and out again on a machine that has none of them."""
    blobs = [os.urandom(size) for _ in range(n)]
    shas = [hashlib.sha256(b).hexdigest() for b in blobs]

    def write(ws: Workspace) -> None:
        def parts() -> Iterator[tuple[Path, Path]]:
            for sha, data in zip(shas, blobs, strict=True):
                part = landing(ws.blob(sha)) if ws is remote else folder / sha
                part.write_bytes(data)
                if ws is disk:
                    move_in(part, ws.blob(sha))
                yield part, ws.blob(sha)

        for _ in delivered(parts(), lambda item: item):
            pass

    def read(ws: Workspace) -> None:
        for path, sha in zip(bring(ws.blob(s) for s in shas), shas, strict=True):
            assert hashlib.sha256(path.read_bytes()).hexdigest() == sha

    print(f"\n{n} blobs of {size / 1000:.0f} kB, {AT_ONCE} at a time")
    for what, work in (("write", write), ("read", read)):
        for name, ws in (("disk", disk), ("store", remote)):
            if what == "read" and ws is remote:
                another_machine(folder / "other")
            _show(f"{what} {name}", timed(server, lambda: work(ws)), n)  # noqa: B023 - called at once


def stages(server: Store, disk: Workspace, remote: Workspace, config: RunConfig, n: int) -> None:
    from keepset.download import download
    from keepset.scrape import scrape
    from keepset.split import split
    from keepset.validate import validate

    print(f"\n{n} pictures, stage by stage")
    for stage in (scrape, download, validate, split):
        for name, ws in (("disk", disk), ("store", remote)):
            _show(f"{stage.__name__} {name}", timed(server, lambda: stage(ws, config)), n)  # noqa: B023
    again = timed(server, lambda: [s(remote, config) for s in (scrape, download, validate, split)])
    _show("all four again, nothing new", again, n)


def _show(what: str, took: Took, n: int) -> None:
    real = took.requests * ANSWER_S / AT_ONCE
    print(
        f"{what:28} {n / took.wall_s:9.0f} /s {took.wall_s:7.2f} s {1000 * took.cpu_s / n:7.2f} ms CPU each "
        f"{took.requests:6} requests {took.requests / n:6.2f} each   {real:6.2f} s at {1000 * ANSWER_S:.0f} ms"
    )


def _config(folder: Path, base: str, paths: dict[str, list[str]]) -> RunConfig:
    lines = ['name = "bench"', "seed = 1"]
    for label, found in paths.items():
        (folder / f"{label}.txt").write_text("".join(f"{base}{p}\n" for p in found))
        lines += [f"[classes.{label}]", f'lists = ["{label}.txt"]']
    lines += ["[download]", f'allow_private = ["{base.removeprefix("http://")}"]']
    lines += ["per_host = 32", "per_host_rate = 100000.0"]
    (folder / "run.toml").write_text("\n".join(lines) + "\n")
    return load_config(folder / "run.toml")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--blobs", type=int, default=2000)
    parser.add_argument("--kilobytes", type=int, default=40)
    parser.add_argument("--pictures", type=int, default=120, help="a class")
    options = parser.parse_args()
    planted = [p for p in plant(seed=1, per_class=options.pictures) if p.http_status == 200]
    paths = {label: [p.path for p in planted if p.label == label] for label in CLASSES}
    with tempfile.TemporaryDirectory() as name, serve(planted) as base, store(Path(name)) as server:
        folder = Path(name)
        another_machine(folder / "cache")
        config = _config(folder, base, paths)
        disk = Workspace.create(folder / "disk", "bench")
        remote = Workspace.create(locate("s3://bench/ws"), "bench")
        carry(server, disk, remote, options.blobs, options.kilobytes * 1000, folder)
        another_machine(folder / "cache")
        disk = Workspace.create(folder / "disk2", "bench")
        remote = Workspace.create(locate("s3://bench/ws2"), "bench")
        stages(server, disk, remote, config, len(planted))


if __name__ == "__main__":
    main()
