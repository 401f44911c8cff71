"""How much of what searches bring along does a look at its thumbnail keep away, and how many good pictures with it?

    python -m bench.sources.prefilter [FOLDER TRUTH.csv [PAIRS.csv]] [--drawn] [--width 330] [--seeds 3] [--states clean]

Part of the clean photos is the data set (``HAND`` of each class), which the product's own stages take in; the rest is new, as
it is and changed into odd but innocent pictures. Noise of ``bench.review.noise`` is planted beside it: junk, copies of pictures
that are here, frames of the same scene, and pictures that are here under another class. Each becomes a thumbnail of a search
(``--width`` pixels wide, JPEG 75), goes through the product's decoder and is judged by ``keepset.prefilter.Judge``.

*clean*: the data set has no junk; *dirty*: 8 % of it is junk that nobody has looked at; *cleaned*: people deleted that junk.
Without FOLDER: the bears in ``KEEPSET_PHOTOS``; ``--drawn``: the demo's pictures.
"""

from __future__ import annotations

import argparse
import io
import random
import shutil
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from bench.review.noise.__main__ import OUT, base_of
from bench.review.noise.base import Base, Reserve, drawn_base, opened
from bench.review.noise.changes import COPIES, INNOCENT, burst
from bench.review.noise.planting import JUNK, _innocent
from keepset import manifests
from keepset.config import RunConfig, ValidateConfig, load_config
from keepset.importing import config_text, find_pictures
from keepset.manifests import Header
from keepset.models.intervals import wilson
from keepset.pipeline import build
from keepset.pipeline.engine import Engine
from keepset.prefilter import Judge
from keepset.stages import SILENT
from keepset.validate.inspection import ImageJob, look
from keepset.workspace import Workspace

HAND, DIRT = 0.6, 0.08
GOOD = ("new", "innocent")
STATES = ("clean", "dirty", "cleaned")


@dataclass(frozen=True)
class Candidate:
    """What a search brings: its class, what it is, and the files of the whole picture and the thumbnail."""

    label: str
    kind: str
    note: str
    full: bytes
    thumb: bytes
    size: tuple[int, int]


def main() -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("base", nargs="*", type=Path, metavar="FOLDER TRUTH.csv [PAIRS.csv]")
    parser.add_argument("--drawn", action="store_true", help="the demo's pictures")
    parser.add_argument("--width", type=int, default=330, help="of a thumbnail, pixels")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--states", default=",".join(STATES), help="some of these")
    parser.add_argument("--work", type=Path, help="keep the workspaces here")
    args = parser.parse_args()
    base = drawn_base(OUT / "drawn", 130) if args.drawn else base_of(args.base)
    found: dict[str, list[tuple[Candidate, str]]] = defaultdict(list)
    states = args.states.split(",")
    spent, count = 0.0, 0
    for seed in range(args.seeds):
        hand, candidates, dirt = _drawn(base, seed, args.width)
        for state in states:
            with tempfile.TemporaryDirectory(prefix="prefilter-", dir=args.work) as root:
                ws, config = _workspace(Path(root), hand, dirt if state != "clean" else {}, deleted=state == "cleaned")
                begin = time.process_time()
                said = _judged(ws, config, candidates, Path(root))
                spent, count = spent + time.process_time() - begin, count + len(candidates)
            found[state] += zip(candidates, said, strict=True)
            print(f"seed {seed}, {state}: {Counter(s.partition(':')[0] for s in said)}", flush=True)
    print(
        f"\n{base.name}, thumbnails {args.width} pixels wide: {1000 * spent / count:.0f} CPU ms per thumbnail, judge included\n"
    )
    for state in states:
        print(*_table(state, found[state]), sep="\n", end="\n\n")
    return 0


Files = dict[str, list[tuple[str, bytes]]]


def _drawn(base: Base, seed: int, width: int) -> tuple[Files, list[Candidate], Files]:
    """The pictures that are here, what a search brings, and junk to be among those that are here; by class."""
    rng = random.Random(f"prefilter-{seed}")
    labels = sorted(base.files)
    every = {label: rng.sample(base.files[label], len(base.files[label])) for label in labels}
    mine = {label: files[: round(HAND * len(files))] for label, files in every.items()}
    rest = [(label, p) for label in labels for p in every[label][len(mine[label]) :]]
    hand: Files = {label: [(p.name, p.read_bytes()) for p in files] for label, files in mine.items()}
    candidates = [_candidate(rng, label, "new", "", opened(p), width) for label, p in rest]
    kinds = sorted(INNOCENT)
    for i, (label, p) in enumerate(rest):
        if (odd := _innocent(rng, p, kinds[i % len(kinds)])) is not None:
            candidates.append(_candidate(rng, label, "innocent", kinds[i % len(kinds)], odd, width))
    here = [(label, p) for label in labels for p in mine[label]]
    for i, (label, p) in enumerate(rng.sample(here, min(len(here), 120))):
        name = sorted(COPIES)[i % len(COPIES)]
        candidates.append(_candidate(rng, label, "copy", name, COPIES[name](rng, opened(p)), width))
    for label, p in rng.sample(here, 40):
        candidates.append(_candidate(rng, label, "same scene", "", burst(rng, opened(p)), width))
        other = rng.choice([c for c in labels if c != label])
        candidates.append(_candidate(rng, other, "other class", label, opened(p), width))
    reserve = Reserve(base, 10**6, f"prefilter-{seed}")
    dirt: Files = {label: [] for label in labels}
    made = list(_junk(rng, reserve, labels, 4 * len(JUNK)))
    for label, name, image in made[: 3 * len(JUNK)]:
        candidates.append(_candidate(rng, label, "junk", f"{JUNK[name][0]}", image, width))
    for i, (label, _, image) in enumerate(made[3 * len(JUNK) :][: round(DIRT * len(here))]):
        dirt[label].append((f"dirt{i}.jpg", _jpeg(image, 88)))
    return hand, candidates, dirt


def _junk(rng: random.Random, reserve: Reserve, labels: list[str], n: int) -> Iterator[tuple[str, str, Image.Image]]:
    for i in range(n):
        name = list(JUNK)[i % len(JUNK)]
        label = rng.choice(labels)
        other = rng.choice([c for c in labels if c != label])
        yield label, name, JUNK[name][1](rng, reserve.subject(label, other)).convert("RGB")


def _candidate(rng: random.Random, label: str, kind: str, note: str, image: Image.Image, width: int) -> Candidate:
    scale = min(1.0, width / image.width)
    small = image.resize((round(image.width * scale), max(1, round(image.height * scale))), Image.Resampling.LANCZOS)
    return Candidate(label, kind, note, _jpeg(image, rng.randint(60, 95)), _jpeg(small, 75), image.size)


def _jpeg(image: Image.Image, quality: int) -> bytes:
    body = io.BytesIO()
    image.convert("RGB").save(body, "JPEG", quality=quality)
    return body.getvalue()


def _workspace(root: Path, hand: Files, dirt: Files, *, deleted: bool) -> tuple[Workspace, RunConfig]:
    for label, files in hand.items():
        (root / "hand" / label).mkdir(parents=True)
        for name, data in [*files, *dirt.get(label, ())]:
            (root / "hand" / label / name).write_bytes(data)
    found, path = find_pictures(root / "hand"), root / "hand.toml"
    path.write_text(config_text(found, path), encoding="utf-8")
    config = load_config(path)
    ws = Workspace.create(root / "ws", "hand")
    ws.save_config(config)
    for _ in build(ws, config, engine=Engine()):
        pass
    if deleted:
        _delete_dirt(ws)
    return ws, config


def _delete_dirt(ws: Workspace) -> None:
    """As an approved batch would."""
    dirty = {r["sha256"] for r in manifests.each(ws.images, "images", ("sha256", "url")) if "/dirt" in r["url"]}
    rows = ws.current_dataset().rows()
    gone = {"active": False, "changed_in": 2, "changed_by": "b0001-00000000"}
    extra = {"revision": 2, "before": 1, "cause": "batch:b0001-00000000"}
    manifests.write(
        ws.dataset(2),
        [r | gone if r["sha256"] in dirty else r for r in rows],
        Header("dataset", "clean", "x", extra=extra),
    )


def _judged(ws: Workspace, config: RunConfig, candidates: list[Candidate], root: Path) -> list[str]:
    judge, folder = Judge(ws, config, SILENT), root / "thumbs"
    folder.mkdir()
    rows, out = [], ["unread"] * len(candidates)
    for i, c in enumerate(candidates):
        (folder / f"{i}").write_bytes(c.thumb)
        job = ImageJob(str(i), folder / f"{i}", folder / f"{i}.jpg", ValidateConfig(min_side=100))
        if look(job)["status"] == "ok":
            row = {"label": c.label, "width": c.size[0], "height": c.size[1]}
            rows.append((i, (row, folder / f"{i}.jpg")))
    for start in range(0, len(rows), 256):
        some = rows[start : start + 256]
        for (i, _), verdict in zip(some, judge.verdicts([r for _, r in some]), strict=True):  # type: ignore[misc]
            out[i] = f"{verdict.reason}: {verdict.detail}" if verdict else "fetched"
    shutil.rmtree(folder)
    return out


def _table(state: str, found: list[tuple[Candidate, str]]) -> Iterator[str]:
    yield f"| {state} | pictures | as copies | as junk | not fetched |\n|---|---|---|---|---|"
    kinds = [*GOOD, "same scene", "other class", "copy", "junk"]
    kinds += [f"junk: {k}" for k in sorted({c.note for c, _ in found if c.kind == "junk"})]
    for kind in kinds:
        said = [s for c, s in found if kind in (c.kind, f"{c.kind}: {c.note}")]
        copies, bad = (sum(s.startswith(f"prefiltered_{r}") for s in said) for r in ("copy", "junk"))
        yield f"| {kind} | {len(said)} | {copies} | {bad} | {100 * (copies + bad) / max(1, len(said)):.1f} % |"
    good = [s for c, s in found if c.kind in GOOD]
    lost = sum(s.startswith("prefiltered") for s in good)
    large = [(c, s) for c, s in found if c.size[0] * c.size[1] >= 640 * 480]
    saved = sum(len(c.full) for c, s in large if s.startswith("prefiltered"))
    cost, whole = sum(len(c.thumb) for c, _ in large), sum(len(c.full) for c, _ in large)
    yield f"\ngood pictures lost: {lost} of {len(good)} ({100 * lost / len(good):.2f} %; at most {100 * wilson(lost, len(good))[1]:.1f} %)"
    yield f"bytes of {len(large)} pictures of 640 x 480 and more (mean {whole / len(large) / 1000:.0f} kB): {saved / whole:.0%} saved, "
    yield f"{cost / whole:.0%} spent on thumbnails"


if __name__ == "__main__":
    sys.exit(main())
