"""Memory of validation as it goes through 100,000 images: a curve, not only a peak.

    python -m bench.validate.memory [--counts 5000 100000]

The pictures are small and all different, so that it is the bookkeeping that is measured: what one picture takes while
it is decoded does not depend on how many there are. Downloads are made up, blobs are on disk.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from PIL import Image

from bench.download.measuring import run
from keepset import manifests
from keepset.config import parse_config
from keepset.manifests import Header
from keepset.workspace import Workspace

SIDE = 40
_CHILD = """
import sys
from pathlib import Path
from keepset.validate import validate
from keepset.workspace import Workspace
ws = Workspace.open(Path(sys.argv[1]))
print(validate(ws, ws.config()).message)
"""


def make(root: Path, count: int) -> Workspace:
    """A workspace with ``count`` downloaded pictures: soft random shapes, JPEG, about 1 kB each."""
    (root / "none.txt").write_text("http://127.0.0.1:9/none.jpg\n")
    lists = {"lists": [str(root / "none.txt")]}
    config = parse_config({"classes": {"a": lists, "b": {"pages": ["http://127.0.0.1:9/"]}}}, base=root)
    ws = Workspace.create(root / "ws", "bench")
    ws.save_config(config)
    rng = np.random.default_rng(7)
    now = datetime.now(UTC)
    with manifests.writing(ws.urls, "urls") as urls, manifests.writing(ws.downloads, "downloads") as downloads:
        for start in range(0, count, 4096):
            made = [_picture(rng) for _ in range(min(4096, count - start))]
            known = [_keep(ws, data) | {"url_id": f"{start + i:016x}"} for i, data in enumerate(made)]
            urls.add([_url(k) | {"rank": 0, "discovered_at": now} for k in known])
            facts = {"attempts": 1, "format": "jpeg"}
            downloads.add([k | facts | {"url": _url(k)["url"], "label": "a", "status": "ok"} for k in known])
        urls.commit(Header("urls", "scrape", "bench"))
        downloads.commit(Header("downloads", "download", "bench"))
    return ws


def _picture(rng: np.random.Generator) -> bytes:
    soft = Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize(
        (SIDE, SIDE), Image.Resampling.BICUBIC
    )
    out = io.BytesIO()
    soft.save(out, "JPEG", quality=80)
    return out.getvalue()


def _keep(ws: Workspace, data: bytes) -> dict[str, object]:
    sha = hashlib.sha256(data).hexdigest()
    blob = ws.blob(sha)
    blob.parent.mkdir(parents=True, exist_ok=True)
    blob.write_bytes(data)
    return {"sha256": sha, "bytes": len(data)}


def _url(known: dict[str, object]) -> dict[str, object]:
    url_id = known["url_id"]
    return {"url_id": url_id, "url": f"http://127.0.0.1:9/{url_id}.jpg", "label": "a", "status": "ok", "source": "list"}


def main(counts: list[int]) -> None:
    print("| images | CPU s | CPU ms an image | peak MB | main process: MB at a tenth of its time, two tenths ... |")
    print("|---|---|---|---|---|")
    for count in counts:
        with tempfile.TemporaryDirectory() as folder:
            ws = make(Path(folder), count)
            cost = run([sys.executable, "-c", _CHILD, str(ws.root)])
            print(
                f"| {count} | {cost.cpu_s:.0f} | {cost.cpu_s / count * 1000:.2f} | {cost.peak_mb:.0f} | "
                f"{', '.join(f'{mb:.0f}' for mb in cost.tenths())} | {cost.output.strip()}",
                flush=True,
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[5_000, 100_000])
    main(**vars(parser.parse_args()))
