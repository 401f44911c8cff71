"""How fast a batch opens in a real Chromium, how long a key takes to be painted, and how much memory the gallery holds."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.scale import made_up
from bench.scale.rows import merge_download, merge_validate, split
from keepset.review import Batch, list_batches, review
from keepset.workspace import Workspace

__all__ = ["CHROMIUM", "Cost", "Opened", "chromium", "everything", "opened", "serving"]

CHROMIUM = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_KEYS = 15
_PAINTED = """async (key) => {
  const card = document.querySelector(".card[tabindex='0']"), before = card.dataset.action, begin = performance.now();
  card.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true}));
  while (card.dataset.action === before) await new Promise((r) => setTimeout(r));
  await new Promise((r) => requestAnimationFrame(() => setTimeout(r)));
  return performance.now() - begin;
}"""
"""Milliseconds from a key to the frame that shows the mark."""


@dataclass(frozen=True)
class Cost:
    """Seconds until the answer, and the server's CPU seconds, which a busy machine changes less."""

    wall_s: float
    cpu_s: float

    def __str__(self) -> str:
        return f"{self.wall_s:.3f} s ({self.cpu_s:.3f} CPU s)"


@dataclass(frozen=True)
class Opened:
    """What answers cost: the first of a new server, a page, pictures by likeness, tiles in the learned order after some marks
    (means of several); the first paint (s), a key to its paint (ms, median and worst), and peak memory of the server, MB."""

    first: Cost
    page: Cost
    like: Cost
    learned: Cost
    paint_s: float
    key_ms: float
    key_worst_ms: float
    peak_mb: float


def everything(root: Path, n: int) -> Batch:
    """A batch of ``n`` made-up images; all share one thumbnail."""
    if not (root / "done").exists():
        shutil.rmtree(root, ignore_errors=True)
        ws = made_up.scraped(root, n)
        made_up.fill_download_journal(ws, n)
        merge_download(ws)
        made_up.fill_validate_journal(ws, n)
        merge_validate(ws)
        split(ws)
        made_up.trained(ws)
        _review(ws)
        (root / "done").touch()
    ws = Workspace.open(root)
    batch = list_batches(ws)[-1]
    _thumbnails(ws, batch.candidates().table["sha256"].to_pylist()[:600])
    return batch


def _review(ws: Workspace) -> None:
    from keepset.review import graphics

    made = np.random.default_rng(1).random((88, made_up.WIDTHS[0]), np.float32)
    graphics.self_made_features = lambda *_: made
    review(ws, ws.config(), everything=True)


def _thumbnails(ws: Workspace, shas: list[str]) -> None:
    from PIL import Image

    for sha in shas:
        path = ws.thumb(sha)
        if not path.exists():
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.effect_mandelbrot((256, 192), (-2, -1.5, 1, 1.5), 50).convert("RGB").save(path, "JPEG")


@contextlib.contextmanager
def serving(root: Path) -> Iterator[tuple[str, int]]:
    """The product's own ``keepset web`` in a process of its own: its address and process id."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "keepset", "web", "-w", str(root), "--port", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}", server.pid
    finally:
        server.terminate()
        server.wait(30)


@contextlib.contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=CHROMIUM)
        yield browser
        browser.close()


def opened(batch: Batch) -> Opened:
    """Marks a few pictures of ``batch`` and takes them back."""
    import httpx

    shas = batch.candidates().table["sha256"].to_pylist()
    with serving(batch.ws.root) as (url, pid), httpx.Client(timeout=120) as http, chromium() as browser:
        here = f"{url}/batches/{batch.id}"
        first = _cost(pid, [lambda: http.get(here)])
        pages = _cost(pid, [lambda n=n: http.get(f"{here}?page={n}") for n in range(2, 12)])
        page = browser.new_page(viewport={"width": 1400, "height": 900})
        page.goto(here)
        page.wait_for_load_state("networkidle")
        paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime") / 1000
        keys = []
        for i in range(_KEYS):
            with page.expect_response("**/marks?*"):
                keys.append(page.evaluate(_PAINTED, "x" if i % 3 else "k"))
        http.get(f"{here}?like={shas[0]}")
        like = _cost(pid, [lambda s=s: http.get(f"{here}?like={s}") for s in shas[:10]])
        asked = {"json": {"kept": shas[:60], "count": 60}, "headers": {"Origin": url}}
        learned = _cost(pid, [lambda: http.post(f"{here}/more", **asked)] * 10)
        for _ in range(_KEYS):
            with page.expect_response("**/undo?*"):
                page.keyboard.press("u")
        status = Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    peak = int(re.search(r"VmHWM:\s+(\d+)", status)[1]) / 1024  # type: ignore[index]
    return Opened(first, pages, like, learned, paint, statistics.median(keys), max(keys), peak)


def _cost(pid: int, asks: Sequence[Callable[[], Any]]) -> Cost:
    """The mean of some requests."""
    begin, used = time.perf_counter(), _cpu(pid)
    for ask in asks:
        ask().raise_for_status()
    return Cost((time.perf_counter() - begin) / len(asks), (_cpu(pid) - used) / len(asks))


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
