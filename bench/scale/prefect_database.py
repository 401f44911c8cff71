"""What Prefect's own database keeps of a run: rows and bytes a flow run and a shard, on SQLite.

    python -m bench.scale.prefect_database [--shards 10 110]

A real Prefect server, the real flow ``build_dataset`` on pictures of a folder, with one picture a shard. The same flow
is run with few shards and with many; the difference is what a shard costs.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
import os
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

from keepset.demo.draw import draw

PICTURE = (64, 48)
PORT = 41_237


def corpus(folder: Path, n: int) -> Path:
    """Two classes of ``n`` small pictures altogether, and a config with one picture a shard of downloading."""
    for i in range(n):
        path = folder / ("apple", "boat")[i % 2] / f"{i}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw(("apple", "boat")[i % 2], i, width=PICTURE[0], height=PICTURE[1]).save(path)
    config = folder / "run.toml"
    config.write_text(
        'name = "bench"\n[classes.apple]\nfolders = ["apple"]\n[classes.boat]\nfolders = ["boat"]\n'
        f"[download]\nshard_size = 1\n[validate]\nshard_size = {n}\n[gates]\nmin_images_per_class = 2\n"
        "max_duplicates = 1.0\n"
    )
    return config


@contextlib.contextmanager
def server(home: Path) -> Iterator[dict[str, str]]:
    """Yield the environment of a process that talks to it."""
    environment = os.environ | {
        "PREFECT_HOME": str(home), "PREFECT_API_URL": f"http://127.0.0.1:{PORT}/api",
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{home / 'prefect.db'}",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "DO_NOT_TRACK": "1", "GX_ANALYTICS_ENABLED": "false",
        "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "true", "PREFECT_LOGGING_LEVEL": "WARNING",
    }  # fmt: skip
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(PORT)]
    with (home / "server.log").open("wb") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 120
        while True:
            with contextlib.suppress(httpx.HTTPError):
                if httpx.get(f"http://127.0.0.1:{PORT}/api/health", timeout=2, trust_env=False).is_success:
                    break
            assert time.monotonic() < deadline, "the server did not start"
            time.sleep(0.3)
        yield environment
    finally:
        process.terminate()
        process.wait()


def counts(home: Path) -> dict[str, int]:
    """Rows by table, and the bytes of the database once it is packed."""
    with contextlib.closing(sqlite3.connect(home / "prefect.db", timeout=60)) as db:
        names = [r[0] for r in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        found = {n: db.execute(f'SELECT count(*) FROM "{n}"').fetchone()[0] for n in names}
        copy = home / "packed.db"
        copy.unlink(missing_ok=True)
        db.execute("VACUUM INTO ?", (str(copy),))
    stored = sum(p.stat().st_size for p in (home / "storage").rglob("*") if p.is_file())
    return found | {"bytes": copy.stat().st_size, "bytes of results": stored}


def run_flow(folder: Path, config: Path, environment: dict[str, str]) -> float:
    code = (
        "import sys; from flows.build_dataset import build_dataset\n"
        "build_dataset(sys.argv[1], config=sys.argv[2] or None)"
    )
    begin = time.monotonic()
    subprocess.run(
        [sys.executable, "-c", code, str(folder / "ws"), str(config)], env=environment, check=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(5)  # events are written a little later
    return time.monotonic() - begin - 5


def main(few: int, many: int) -> None:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name) / "home"
        home.mkdir()
        with server(home) as environment:
            configs = [corpus(Path(name) / str(n), n) for n in (few, many)]
            steps = [counts(home)]
            for n, config in zip((few, many), configs, strict=True):
                seconds = run_flow(config.parent, config, environment)
                steps.append(counts(home) | {"seconds": round(seconds)})
                print(f"{n} shards: {seconds:.1f} s", flush=True)
            run_flow(configs[0].parent, configs[0], environment)  # nothing to do
            steps.append(counts(home))
    grown = [{k: b.get(k, 0) - a.get(k, 0) for k in b} for a, b in itertools.pairwise(steps)]
    per_shard = {k: (grown[1][k] - grown[0][k]) / (many - few) for k in grown[1]}
    print("\n| | a run with nothing to do | a run without its shards | each shard |\n|---|---|---|---|")
    for k in sorted(grown[1]):
        if k != "seconds" and (grown[1][k] or grown[2].get(k)):
            print(
                f"| {k} | {grown[2].get(k, 0)} | {grown[0][k] - few * per_shard[k]:.0f} | {per_shard[k]:.2f} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--shards", type=int, nargs=2, default=[10, 110])
    main(*parser.parse_args().shards)
