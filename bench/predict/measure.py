"""Keepset's prediction against torch eager and a plain Starlette + torch app, on this machine, in one run.

    python bench/predict/measure.py WORKSPACE [--photos FOLDER] [--seconds 5] [--repeats 3] [--out bench/out/predict.json]

WORKSPACE has a model in use. Without photos, pictures are drawn. Prints the tables of docs/benchmarks-predict.md.
CPU time and memory (PSS) are of the server's whole process tree; the load generator is not counted.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import platform
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
from load import drive, requests

HERE = Path(__file__).parent
TICK = os.sysconf("SC_CLK_TCK")
KEEPSET = "import sys; from keepset.cli.gallery_server import serve; from pathlib import Path; serve(Path(sys.argv[1]), '127.0.0.1', int(sys.argv[2]))"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--photos", type=Path)
    parser.add_argument("--seconds", type=float, default=5.0, help="of each row")
    parser.add_argument("--repeats", type=int, default=3, help="the two servers take turns")
    parser.add_argument("--out", type=Path, default=HERE.parent / "out" / "predict.json")
    given = parser.parse_args()
    web, phone = _web(given.photos), _phone()
    found: dict[str, Any] = {
        "machine": f"{_cpu()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "web_kb": statistics.mean(map(len, web)) / 1000,
        "phone_kb": len(phone[0]) / 1000,
        "in_process": {n: _in_process(given.workspace, pics) for n, pics in (("web", web), ("phone", phone))},
    }
    servers = {"keepset": [sys.executable, "-c", KEEPSET], "plain": [sys.executable, str(HERE / "plain_app.py")]}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in servers}
    for _ in range(given.repeats):
        for name, command in servers.items():
            runs[name].append(_server(command, given.workspace, {"web": web, "phone": phone}, given.seconds))
    found |= runs
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=1))
    _print(found)


# -- pictures --------------------------------------------------------------------------------------


def _web(photos: Path | None) -> list[bytes]:
    if photos:
        paths = sorted(p for p in photos.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".webp"))
        return [p.read_bytes() for p in paths[:: max(1, len(paths) // 64)][:64]]
    return [_drawn(i, 800, 600) for i in range(32)]


def _phone() -> list[bytes]:
    """12 megapixels, drawn, with noise: a JPEG of about 4 MB."""
    return [_drawn(i, 4000, 3000) for i in range(8)]


def _drawn(i: int, width: int, height: int) -> bytes:
    import numpy as np
    from PIL import Image

    from keepset.demo.draw import CLASSES, draw

    base = np.asarray(draw(CLASSES[i % len(CLASSES)], i, width=800, height=600).resize((width, height)))
    noisy = base + np.random.default_rng(i).normal(0, 6, base.shape)
    out = io.BytesIO()
    Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(out, "JPEG", quality=88)
    return out.getvalue()


# -- one process, one picture after the other ------------------------------------------------------


def _in_process(workspace: Path, pictures: list[bytes]) -> dict[str, Any]:
    import torch
    from plain_app import Plain

    from keepset import load

    keepset, plain = load(workspace), Plain(workspace)
    found = {"keepset": _timed(keepset.predict, pictures)}
    for threads in (1, os.cpu_count() or 1):
        torch.set_num_threads(threads)
        found[f"torch, threads: {threads}"] = _timed(plain.predict, pictures)
    return found


def _timed(predict: Callable[[bytes], Any], pictures: Sequence[bytes]) -> dict[str, float]:
    for one in pictures[:5]:
        predict(one)
    n, took, cpu = 3 * len(pictures), list[float](), time.process_time()
    for i in range(n):
        begin = time.perf_counter()
        predict(pictures[i % len(pictures)])
        took.append(time.perf_counter() - begin)
    return {**_quantiles(took), "cpu_ms": (time.process_time() - cpu) / n * 1e3, "per_s": n / sum(took)}


def _quantiles(took: list[float]) -> dict[str, float]:
    if len(took) < 2:
        return {"p50_ms": float("nan"), "p99_ms": float("nan")}
    cut = statistics.quantiles(took, n=100)
    return {"p50_ms": cut[49] * 1e3, "p99_ms": cut[98] * 1e3}


# -- servers ---------------------------------------------------------------------------------------


def _server(command: list[str], workspace: Path, sets: dict[str, list[bytes]], seconds: float) -> dict[str, Any]:
    starts = [_start(command, workspace, sets["web"][0]) for _ in range(3)]
    for process, _, _ in starts[:-1]:
        _end(process)
    process, port, _ = starts[-1]
    found: dict[str, Any] = {"start_s": min(s for _, _, s in starts), "load": {}}
    try:
        for name, pictures in sets.items():
            payloads = requests(port, pictures)
            drive(port, payloads, 2, 2.0)
            for clients in (1, 8, 64):
                found["load"][f"{name} {clients}"] = _loaded(process.pid, port, payloads, clients, seconds)
            found[f"memory_mb {name}"] = _memory(process.pid)
        found["load"]["web 400"] = _loaded(process.pid, port, requests(port, sets["web"]), 400, seconds)
        found["memory_mb overload"] = _memory(process.pid)
    finally:
        _end(process)
    return found


def _loaded(pid: int, port: int, payloads: list[bytes], clients: int, seconds: float) -> dict[str, Any]:
    print(f"{clients} clients ...", file=sys.stderr, flush=True)
    before = _cpu_s(pid)
    result = drive(port, payloads, clients, seconds)
    cpu = _cpu_s(pid) - before
    return {
        **_quantiles(result.seconds),
        "per_s": result.answered / result.wall,
        "cpu_ms": cpu / max(1, result.answered) * 1e3,
        "statuses": {str(k): n for k, n in result.statuses.items()},
    }


def _start(command: list[str], workspace: Path, picture: bytes) -> tuple[subprocess.Popen[bytes], int, float]:
    """From the start of the process to its first answer to a picture."""
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = int(s.getsockname()[1])
    payload, begin = requests(port, [picture]), time.perf_counter()
    process = subprocess.Popen([*command, str(workspace), str(port)], stderr=subprocess.DEVNULL)
    while True:
        try:
            if drive(port, payload, 1, 0.0).answered:
                return process, port, time.perf_counter() - begin
        except OSError:
            time.sleep(0.01)


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    process.wait(20)


def _tree(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children")
    found = [int(c) for t in Path(f"/proc/{pid}/task").glob("*/children") for c in t.read_text().split()]
    assert children.exists(), "this kernel does not list children"
    return [pid, *(p for c in found for p in _tree(c))]


def _cpu_s(pid: int) -> float:
    total = 0.0
    for p in _tree(pid):
        fields = Path(f"/proc/{p}/stat").read_text().rsplit(") ", 1)[1].split()
        total += sum(map(int, fields[11:15])) / TICK  # with children that have ended
    return total


def _memory(pid: int) -> float:
    """Proportional set size of the tree, MB: shared pages count once."""
    total = 0
    for p in _tree(pid):
        lines = Path(f"/proc/{p}/smaps_rollup").read_text().splitlines()
        total += next(int(x.split()[1]) for x in lines if x.startswith("Pss:"))
    return total / 1000


def _cpu() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((x.split(":")[1].strip() for x in lines if x.startswith("model name")), platform.machine())


# -- tables ----------------------------------------------------------------------------------------


def _print(found: dict[str, Any]) -> None:
    print(f"{found['machine']}; web pictures {found['web_kb']:.0f} kB, phone pictures {found['phone_kb']:.0f} kB\n")
    print("| one process | pictures | p50 ms | p99 ms | images/s | CPU ms an image |\n|---|---|---|---|---|---|")
    for kind, rows in found["in_process"].items():
        for name, r in rows.items():
            print(f"| {name} | {kind} | {r['p50_ms']:.1f} | {r['p99_ms']:.1f} | {r['per_s']:.0f} | {r['cpu_ms']:.1f} |")
    for server in ("keepset", "plain"):
        print(f"\n{server}, median (lowest to highest) of {len(found[server])} runs")
        print(
            "| pictures, clients | p50 ms | p99 ms | images/s | CPU ms an image | statuses |\n|---|---|---|---|---|---|"
        )
        for name in found[server][0]["load"]:
            rows = [run["load"][name] for run in found[server]]
            cells = [_spread([r[k] for r in rows]) for k in ("p50_ms", "p99_ms", "per_s", "cpu_ms")]
            print(f"| {name} | {' | '.join(cells)} | {_summed(rows)} |")
    print("\n| CPU an image, keepset of plain | median | lowest to highest |\n|---|---|---|")
    for name in found["keepset"][0]["load"]:
        pairs = zip(found["keepset"], found["plain"], strict=True)
        ratios = [k["load"][name]["cpu_ms"] / p["load"][name]["cpu_ms"] for k, p in pairs]
        print(f"| {name} | {statistics.median(ratios):.2f} | {min(ratios):.2f} to {max(ratios):.2f} |")
    for server in ("keepset", "plain"):
        for key in ("start_s", *(k for k in found[server][0] if k.startswith("memory"))):
            print(f"{server}: {key} {_spread([run[key] for run in found[server]], 2 if key == 'start_s' else 0)}")


def _spread(values: list[float], digits: int = 1) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def _summed(rows: list[dict[str, Any]]) -> dict[str, int]:
    found: dict[str, int] = {}
    for r in rows:
        for status, n in r["statuses"].items():
            found[status] = found.get(status, 0) + n
    return found


if __name__ == "__main__":
    main()
