"""fastai's share: download_images, verify_images, unlink what failed, resize_images to 256 pixels."""

from __future__ import annotations

import sys
from pathlib import Path


def main(urls: Path, out: Path) -> None:
    from fastai.vision.utils import download_images, get_image_files, resize_images, verify_images

    wanted = urls.read_text().split()
    # Its file names come from a counter, so each picture is told apart by asking for it under its own name.
    download_images(out / "full", urls=wanted, max_pics=len(wanted), n_workers=64, preserve_filename=True)
    files = get_image_files(out / "full")
    for bad in verify_images(files):
        bad.unlink()
    resize_images(out / "full", max_size=256, dest=out / "small", max_workers=2)
    base = wanted[0].rpartition("/")[0]
    kept = sorted(f"{base}/{p.name}" for p in get_image_files(out / "small"))
    (out / "kept.txt").write_text("\n".join(kept))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
