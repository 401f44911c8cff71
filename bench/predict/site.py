"""The exported site against Python: same pixels, same class, size, time; in Chromium, at last without a server.

    python -m bench.predict.site WORKSPACE --photos FOLDER [--pictures 1000] [--exact]

WORKSPACE has a model in use. The pictures are the photos as they are, and made of them: PNG, WebP, every EXIF orientation
at odd sizes, 12 megapixels of a phone. ``--exact`` measures a site of any size with float32 weights; without it, the site
that `keepset export site` writes. Prints a row of docs/benchmarks-predict.md. CPU time is of Chromium's whole process tree.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import io
import json
import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

import keepset.site as site_of
from keepset.images.pixels import decode
from keepset.predict import Outcome, load
from keepset.site import SiteOptions, export_site
from keepset.workspace import Workspace

_ARGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_TICK = os.sysconf("SC_CLK_TCK")
_ASK = """async ([name, pixels]) => {
  const file = await (await fetch("pictures/" + name)).blob();
  if (pixels) {
    globalThis.facts ??= await (await fetch("site.json")).json();
    const got = await (await import(location.origin + "/worker.js")).prepared(file, globalThis.facts);
    return btoa(Array.from(got, (x) => String.fromCharCode(x)).join(""));
  }
  globalThis.worker ??= new Worker("worker.js", { type: "module" });
  const begin = performance.now();
  const answer = await new Promise((done, refuse) => {
    globalThis.worker.onmessage = ({ data }) => data.id && (data.error ? refuse(new Error(data.error)) : done(data.answer));
    globalThis.worker.postMessage({ id: 1, file });
  });
  return { ...answer, ms: performance.now() - begin };
}"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--photos", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1000)
    parser.add_argument("--exact", action="store_true")
    parser.add_argument("--runtime", type=Path)
    given = parser.parse_args()
    ws = Workspace.open(given.workspace)
    if given.exact:
        site_of.MOST = 10**9
    with tempfile.TemporaryDirectory() as folder:
        to = Path(folder) / "site"
        done = export_site(ws, to, SiteOptions(all_pictures=True, runtime=given.runtime))
        pictures = dict(_pictures(sorted(p for p in given.photos.rglob("*") if p.is_file()), given.pictures))
        (to / "pictures").mkdir()
        for name, data in pictures.items():
            (to / "pictures" / name).write_bytes(data)
        print(json.dumps(done.summary | _measured(to, pictures, given.workspace), indent=1))


def _pictures(photos: list[Path], count: int) -> Iterator[tuple[str, bytes]]:
    """Of ten: five as they are, one PNG, one WebP, two turned at odd sizes, one of a few of 12 megapixels or drawn smaller."""
    rng = np.random.default_rng(0)
    for i in range(count):
        data = photos[i % len(photos)].read_bytes()
        if i < min(len(photos), count // 2):
            yield f"{i:04}-web", data
            continue
        image, kind, out = decode(data), ("png", "webp", "turned", "turned", "phone")[i % 5], io.BytesIO()
        if kind == "phone" and i % 50 != 4:
            kind = "small"
        share = {"phone": 4000 / image.width, "small": 300 / image.width}.get(kind, rng.uniform(0.4, 1.6))
        image = image.resize((max(40, int(image.width * share)), max(40, int(image.height * share))))
        if kind in ("png", "webp"):
            image.save(out, kind, **({"quality": 85} if kind == "webp" else {}))
        else:
            exif = Image.Exif()
            exif[0x0112] = int(rng.integers(1, 9))
            image.save(out, "JPEG", quality=88, exif=exif)
        yield f"{i:04}-{kind}", out.getvalue()


def _measured(to: Path, pictures: dict[str, bytes], workspace: Path) -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    model = load(workspace)
    names = list(pictures)
    server, url = _served(to)
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=shutil.which("chromium"), args=_ARGS)
        page, begin, cpu = browser.new_page(), time.monotonic(), _cpu()
        page.goto(url)
        _try_sample(page)
        first = {"first_answer_s": time.monotonic() - begin, "first_answer_cpu_s": _cpu() - cpu}
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        page.close()
        page = browser.new_context(bypass_csp=True, service_workers="block").new_page()
        page.goto(url + "about.html")  # has no worker of its own
        page.evaluate(_ASK, [names[0], False])
        cpu = _cpu()
        answers = {name: page.evaluate(_ASK, [name, False]) for name in names}
        each = (_cpu() - cpu) / len(names)
        pixels = {n: page.evaluate(_ASK, [n, True]) for n in names[:: max(1, len(names) // 140)]}
        page.close()
        page = browser.new_page()
        page.goto(url)
        page.evaluate("navigator.serviceWorker.ready.then(() => true)")
        server.shutdown()
        server.server_close()
        page.goto(url)
        _try_sample(page)
        browser.close()
    return first | {
        "cpu_ms_each": 1000 * each, "median_ms": float(np.median([a["ms"] for a in answers.values()])),
        "offline": True, **_agreement(model, pictures, answers), "pixels": _pixels(model, pictures, pixels),
    }  # fmt: skip


def _try_sample(page: Any) -> None:
    page.locator(".sample").first.click()
    page.locator(".answer:not(.waiting):not(.failed)").first.wait_for(timeout=120_000)


def _agreement(model: Any, pictures: dict[str, bytes], answers: dict[str, Any]) -> dict[str, Any]:
    same = unsure = unfamiliar = similar = 0
    off, others = [], []
    for name, data in pictures.items():
        python, site = model.predict(data), answers[name]
        found = dict(site["probabilities"])
        same += python.label == site["probabilities"][0][0]
        unsure += (python.outcome == Outcome.UNSURE) == site["unsure"]
        unfamiliar += python.unfamiliar == site["unfamiliar"]
        similar += [model.reference[s["at"]] for s in site["similar"]] == [sha for sha, _ in python.similar]
        off.append(max(abs(found[k] - v) for k, v in python.probabilities.items()))
        if python.label != site["probabilities"][0][0]:
            others.append([name, python.probability])
    return {
        "n": len(pictures), "same_class": same, "same_unsure": unsure, "same_unfamiliar": unfamiliar,
        "same_similar": similar, "probability_off_mean": float(np.mean(off)), "probability_off_max": max(off),
        "another_class": others,
    }  # fmt: skip


def _pixels(model: Any, pictures: dict[str, bytes], found: dict[str, str]) -> dict[str, Any]:
    """By kind: pictures, the mean and largest difference of a byte, and the share of bytes that differ by more than one."""
    kinds: dict[str, list[Any]] = {}
    for name, text in found.items():
        got = np.frombuffer(base64.b64decode(text), np.uint8).astype(int)
        off = np.abs(got - model.prepare(pictures[name]).astype(int).ravel())
        kinds.setdefault(name.partition("-")[2], []).append([off.mean(), off.max(), (off > 1).mean()])
    return {
        k: {
            "n": len(v),
            "mean": float(np.mean(v, 0)[0]),
            "max": int(np.max(v, 0)[1]),
            "over_one": float(np.mean(v, 0)[2]),
        }
        for k, v in kinds.items()
    }


def _served(folder: Path) -> tuple[http.server.ThreadingHTTPServer, str]:
    class Silent(http.server.SimpleHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Silent, directory=folder))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


def _cpu() -> float:
    """CPU seconds of all of Chromium's processes below this one."""
    parents, used = {}, {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            head, _, rest = stat.read_text().rpartition(") ")
        except OSError:
            continue
        fields = rest.split()
        pid = int(head.split()[0])
        parents[pid], used[pid] = int(fields[1]), (int(fields[11]) + int(fields[12])) / _TICK
        if "chrom" not in head:
            used[pid] = 0.0
    ours = {os.getpid()}
    while more := {pid for pid, parent in parents.items() if parent in ours} - ours:
        ours |= more
    return sum(used.get(pid, 0.0) for pid in ours)


if __name__ == "__main__":
    main()
