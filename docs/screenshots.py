"""Take the pictures of these pages and of the README: ``python docs/screenshots.py [WORKSPACE]``.

Runs the demo's drawn pictures through the pipeline and the gallery, as the tutorial tells it, and photographs each step
in Chromium. A workspace whose first cleaning batch is still open can be given to save the run.
"""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from PIL import Image

IMAGES = Path(__file__).resolve().parent / "images"
SEED = 7
WIDE, PHONE = {"width": 1200, "height": 780}, {"width": 390, "height": 780}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        given = sys.argv[1:]
        root = Path(given[0]) if given else _run(Path(folder))
        with _gallery(root) as url, _browser() as browser:
            _tutorial(root, url, browser)


def _run(folder: Path) -> Path:
    """The demo's data set with its cleaning batch open."""
    from keepset.demo.pictures import plant
    from keepset.demo.server import serve

    planted = plant(SEED)
    with serve(planted) as base:
        lines = ['name = "demo"', f"seed = {SEED}", "[download]", f'allow_private = ["{base.removeprefix("http://")}"]']
        lines += ["per_host_rate = 200.0", "[train]", "epochs = 0"]
        for label in dict.fromkeys(p.label for p in planted):
            urls = "\n".join(base + p.path for p in planted if p.label == label)
            (folder / f"{label}.txt").write_text(urls)
            lines += [f"[classes.{label}]", f'lists = ["{label}.txt"]']
        (folder / "demo.toml").write_text("\n".join(lines))
        subprocess.run([sys.executable, "-m", "keepset", "run", "demo.toml"], cwd=folder, check=True)
    return folder / "demo"


@contextlib.contextmanager
def _gallery(root: Path) -> Iterator[str]:
    import uvicorn

    from keepset.web.app import create_gallery

    server = uvicorn.Server(uvicorn.Config(create_gallery(root), host="127.0.0.1", port=0, log_level="error"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    thread.join(10)


@contextlib.contextmanager
def _browser() -> Iterator[Any]:
    import shutil

    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_playwright() as p:
        browser = p.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


def _tutorial(root: Path, url: str, browser: Any) -> None:
    from keepset.review import list_batches
    from keepset.workspace import Workspace

    batch = list_batches(Workspace.open(root))[0]
    here = f"{url}/batches/{batch.id}"
    page = browser.new_page(viewport=WIDE)
    page.goto(url)
    _shoot(page, "home-waiting")
    page.goto(here)
    for _ in range(7):  # a few decisions, to show what they look like
        page.keyboard.press("Enter")
        page.wait_for_load_state("networkidle")
    for scheme in ("light", "dark"):
        page = browser.new_page(viewport=WIDE, color_scheme=scheme)
        page.goto(here)
        _shoot(page, "gallery" if scheme == "light" else "gallery-dark")
    page = browser.new_page(viewport=PHONE, color_scheme="light")
    page.goto(here)
    _shoot(page, "gallery-phone")
    page = browser.new_page(viewport=WIDE, color_scheme="light")
    page.goto(f"{here}?reason=label_issue")
    page.locator("main img").nth(2).click()
    page.wait_for_timeout(3000)
    _shoot(page, "full-view")
    page.goto(f"{here}/submit")
    page.fill("input[name=who]", "Ada")
    page.check("input[value=suggested]")
    if page.locator("input[name=confirm]").count():
        page.check("input[name=confirm]")
    page.wait_for_selector("#forecast h2", timeout=60_000)
    _shoot(page, "submit")
    page.click("button[value=approve]")
    page.wait_for_selector("#followup.done", timeout=900_000)
    _shoot(page, "after")
    page.goto(url)
    page.click("text=Report >> nth=0")
    page.wait_for_url("**/reports/*")
    _shoot(page, "report")
    _predictions(page, url)


def _predictions(page: Any, url: str) -> None:
    from keepset.demo.draw import draw, draw_on_white
    from keepset.demo.junk import draw_junk

    pictures = [draw("boat", 990_001), draw("house", 990_002), draw_on_white("apple", 990_003), draw_junk(2)]
    page.goto(f"{url}/predict")
    names = ["sloop.jpg", "cottage.jpg", "shop.jpg", "chart.jpg"]
    files = [{"name": n, "mimeType": "image/jpeg", "buffer": _jpeg(p)} for n, p in zip(names, pictures, strict=True)]
    page.set_input_files("input[type=file] >> nth=0", files)
    page.wait_for_selector(f"text={len(files)} of {len(files)} done", timeout=120_000)
    page.set_viewport_size({"width": WIDE["width"], "height": 1100})
    _shoot(page, "predict")


def _jpeg(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "JPEG", quality=90)
    return out.getvalue()


def _shoot(page: Any, name: str) -> None:
    page.wait_for_load_state("networkidle")
    page.evaluate("scrollTo(0, 0)")  # the picture in focus may have been scrolled to
    image = Image.open(io.BytesIO(page.screenshot()))
    image.save(IMAGES / f"{name}.webp", quality=82, method=6)
    print(f"wrote docs/images/{name}.webp, {(IMAGES / f'{name}.webp').stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
