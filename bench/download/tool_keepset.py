"""Keepset's share of the comparison: LIST of URLs to checked pictures, thumbnails, hashes and manifests in OUT."""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urlsplit

from keepset import manifests
from keepset.config import parse_config
from keepset.download import download
from keepset.scrape import scrape
from keepset.validate import validate
from keepset.workspace import Workspace


def main(urls: Path, out: Path, stages: str = "scrape,download,validate") -> None:
    host = urlsplit(urls.read_text().split("\n", 1)[0]).netloc
    (out / "none.txt").write_text(f"http://{host}/missing/0.jpg\n")
    raw = {
        "classes": {"a": {"lists": [str(urls)]}, "b": {"lists": [str(out / "none.txt")]}},
        "scrape": {"max_per_class": 10_000_000},
        "download": {"allow_private": [host], "connections": 64, "per_host": 64, "per_host_rate": 1e5},
        "train": {"weights": "none"},  # copies by perceptual hash alone: the peers look for none
    }
    config = parse_config(raw, base=out)
    ws = Workspace.create(out / "ws", "bench")
    ws.save_config(config)
    done = [f(ws, config) for f in (scrape, download, validate) if f.__name__ in stages.split(",")]
    print(done[-1].message)
    if ws.images.exists():
        rows = manifests.read(ws.images, "images").rows()
        kept = sorted(r["url"] for r in rows if r["status"] == "ok")
        (out / "kept.txt").write_text("\n".join(kept))
        failed = [r for r in manifests.read(ws.downloads, "downloads").rows() if r["status"] != "ok"]
        silent = sum(not r["reason"] for r in [*failed, *(r for r in rows if r["status"] != "ok")])
        (out / "silent.txt").write_text(str(silent))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
