"""Are planted shortcuts found, and is nothing found where none is?

    python -m bench.sources.planted [FOLDER of photos] [--sets 100]

Each picture of the pool is saved plain and in six changed forms, and measured once by the product's own code (validation,
then the edge of the thumbnail). A simulated set draws pictures without repetition, gives them labels at random, so that
nothing tells the class, and then takes the changed form for one class (a share ``strength`` of it, and a tenth as often in
the others). Without a folder the project's drawn pictures are the pool.
"""

from __future__ import annotations

import argparse
import hashlib
import io
import pickle
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont, ImageOps

from keepset.config.sections import ValidateConfig
from keepset.demo.draw import CLASSES, draw
from keepset.interpret.properties import Edge, columns, edges
from keepset.interpret.shortcuts import Tested, told_by
from keepset.validate.inspection import ImageJob, look

PROPERTY = {
    "site": {"site"}, "watermark": {"mark in a corner"}, "small mark": {"mark in a corner"},
    "JPEG quality": {"JPEG quality", "compression"}, "border": {"plain margin"},
    "size": {"size"}, "format": {"format"}, "darker": {"brightness"},
}  # fmt: skip
"""What has to be named for each planted shortcut."""
SITES = 5


@dataclass(frozen=True)
class Form:
    row: dict[str, Any]
    edge: Edge


def pool(folder: Path | None, most: int) -> list[Image.Image]:
    if folder is None:
        rng = np.random.default_rng(0)
        return [
            draw(CLASSES[i % 3], i, width=int(rng.integers(260, 700)), height=int(rng.integers(220, 520)))
            for i in range(most)
        ]
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png"))
    found = []
    for path in files[:: max(1, len(files) // most)][:most]:
        with Image.open(path) as im:
            im.draft("RGB", (400, 400))
            whole = ImageOps.exif_transpose(im).convert("RGB")
            whole.thumbnail((400, 400))
            found.append(whole)
    return found


def saved(im: Image.Image, kind: str = "JPEG", quality: int = 88) -> bytes:
    out = io.BytesIO()
    im.save(out, kind, **({"quality": quality} if kind != "PNG" else {}))
    return out.getvalue()


def marked(im: Image.Image, height: float) -> Image.Image:
    """A site's name in the bottom right corner, half transparent."""
    over = im.convert("RGBA")
    font = ImageFont.load_default(size=height)
    ink = Image.new("RGBA", im.size, (0, 0, 0, 0))
    ImageDraw.Draw(ink).text(
        (im.width - height * 0.6, im.height - height * 0.5), "© example", (255, 255, 255, 150), font, anchor="rs"
    )
    return Image.alpha_composite(over, ink).convert("RGB")


def forms(im: Image.Image, quality: int) -> dict[str, bytes]:
    w, h = im.size
    edge = max(3, round(min(w, h) * 0.04))
    return {
        "plain": saved(im, quality=quality),
        "watermark": saved(marked(im, max(w, h) * 0.05), quality=quality),
        "small mark": saved(marked(im, 22), quality=quality),  # of the same pixels, whatever the picture's size
        "JPEG quality": saved(im, quality=40),
        "border": saved(ImageOps.expand(im, edge, (255, 255, 255)), quality=quality),
        "size": saved(im.resize((max(70, round(w * 0.55)), max(70, round(h * 0.55)))), quality=quality),
        "format": saved(im, "WEBP", quality),
        "darker": saved(im.point(lambda v: round(v * 0.6)), quality=quality),
    }


def measured(pictures: list[Image.Image], work: Path) -> list[dict[str, Form]]:
    rng, out = np.random.default_rng(1), []
    for im in pictures:
        found = {}
        for name, data in forms(im, int(rng.integers(75, 96))).items():
            blob, thumb = work / "blob", work / "thumb"
            blob.write_bytes(data)
            row = look(ImageJob(hashlib.sha256(data).hexdigest(), blob, thumb, ValidateConfig()))
            if row["status"] == "ok":
                with Image.open(thumb) as small:
                    found[name] = Form(row, edges(np.asarray(small.convert("L"))))
        if len(found) == len(PROPERTY):  # the site is no form
            out.append(found)
    return out


def one_set(known: list[dict[str, Form]], kind: str, n: int, classes: int, strength: float, seed: int) -> list[Tested]:
    rng = np.random.default_rng([seed, n, classes])
    some = rng.permutation(len(known))[:n]
    labels = rng.integers(0, classes, len(some))
    changed = rng.random(len(some)) < np.where(labels == 0, strength, strength / 10)
    chosen = [known[i][kind if c and kind in known[i] else "plain"] for i, c in zip(some, changed, strict=True)]
    sites = [f"site{s}.example" for s in rng.integers(0, SITES, len(some))]
    if kind == "site":
        sites = ["own.example" if c else s for s, c in zip(sites, changed, strict=True)]
    found = columns([f.row for f in chosen], sites, [f.edge for f in chosen])
    return told_by(labels, found, np.stack([f.edge.corners for f in chosen]), seed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    parser.add_argument("--sets", type=int, default=100)
    parser.add_argument("--most", type=int, default=477)
    parser.add_argument("--keep", type=Path, help="file for the measured pool, so that it is measured once")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        kept = options.keep and options.keep.exists()
        known = (
            pickle.loads(options.keep.read_bytes())
            if kept
            else measured(pool(options.folder, options.most), Path(work))
        )
    if options.keep:
        options.keep.write_bytes(pickle.dumps(known))
    print(
        f"{len(known)} pictures\n\n| planted | strength | pictures | classes | found | named | least AUC |\n|---|---|---|---|---|---|---|",
        flush=True,
    )
    for n, classes, strengths in ((150, 3, (1.0,)), (230, 6, (1.0, 0.7))):
        for kind in ("none", *PROPERTY):
            for strength in strengths if kind != "none" else (0.0,):
                sets = options.sets * (4 if kind == "none" else 1)
                found = [one_set(known, kind, n, classes, strength, seed) for seed in range(sets)]
                worst = [next((t for t in f if t.found), None) for f in found]
                names = Counter(t.name for t in worst if t)
                right = sum(any(t.found and t.name in PROPERTY.get(kind, ()) for t in f) for f in found)
                area = min((t.auc for t in worst if t), default=float("nan"))
                print(f"| {kind} | {strength:.0%} | {n} | {classes} | {names.total() / sets:.1%} | {right / sets:.1%} | {area:.2f} | {dict(names)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
