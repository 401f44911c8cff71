"""CPU time an image of validation with thumbnail and hash, against fastai's verify_images and resize_images.

    PYTHONPATH=. bench/.venv/bin/python bench/validate/look.py <folder of photos>

The photos are scaled to 0.53 megapixels and saved as JPEG (quality 88, about 97 kB), the size found on the web.
fastai runs in this process too (max_workers=0); its resize is to 256 pixels, as ours.
"""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image

from keepset.config import ValidateConfig
from keepset.validate.inspection import ImageJob, look

COUNT = 200


def corpus(source: Path, folder: Path) -> list[Path]:
    made = []
    for n, path in enumerate(sorted(p for p in source.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg"))[:COUNT]):
        with Image.open(path) as opened:
            image = opened.convert("RGB")
        scale = (530_000 / (image.width * image.height)) ** 0.5
        image = image.resize((round(image.width * scale), round(image.height * scale)), Image.Resampling.BICUBIC)
        made.append(folder / f"{n}.jpg")
        image.save(made[-1], quality=88)
    return made


def spent(work: Callable[[], object]) -> float:
    begin = sum(os.times()[:4])
    work()
    return sum(os.times()[:4]) - begin


def main(source: Path) -> None:
    limits = ValidateConfig()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        files = corpus(source, folder / "in")
        ours, theirs = [], []
        for turn in range(3):
            ours.append(
                spent(lambda: [look(ImageJob(p.stem, p, folder / "t" / f"{p.stem}.jpg", limits)) for p in files])
            )
            theirs.append(spent(lambda t=turn: fastai(files, folder / f"f{t}")))
    for what, best in (("keepset look", min(ours)), ("fastai verify + resize", min(theirs))):
        print(f"{what}: {1000 * best / len(files):.2f} ms CPU an image, {len(files) / best:.0f} images/s a core")
    print(f"fastai / keepset: {min(theirs) / min(ours):.2f}")


def fastai(files: list[Path], out: Path) -> None:
    from fastai.vision.utils import resize_images, verify_images

    verify_images(files)
    resize_images(files[0].parent, max_workers=0, max_size=256, dest=out)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
