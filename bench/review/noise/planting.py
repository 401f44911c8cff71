"""Web noise planted among clean photos, by seed, with what is true of it in the files that ``truth.py`` describes."""

from __future__ import annotations

import csv
import io
import json
import random
import shutil
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

from PIL import Image

from bench.review.noise.base import Base, Reserve, opened
from bench.review.noise.boards import BOARDS
from bench.review.noise.changes import COPIES, INNOCENT, burst, crop, fragment
from bench.review.noise.collages import COLLAGES
from bench.review.noise.cutting import cut_out
from bench.review.noise.drawings import DRAWINGS
from bench.review.noise.ink import Subject
from bench.review.noise.pages import PAGES

__all__ = ["JUNK", "VERSION", "Condition", "Planted", "planted"]

Make = Callable[[random.Random, Subject], Image.Image]

VERSION = 4
"""Raised when the same seed gives other pictures."""

_MOST = 0.65  # of the junk is in one class, the rest anywhere
_OTHER = ("blank", "placeholder", "logo")


def _fragment(rng: random.Random, s: Subject) -> Image.Image:
    return fragment(rng, s.photo(rng))


def _elsewhere(rng: random.Random, s: Subject) -> Image.Image:
    """A part of one of the photos that scikit-learn and matplotlib bring along: a temple, a flower, an officer."""
    import matplotlib
    from sklearn.datasets import load_sample_image

    name = rng.choice(["china.jpg", "flower.jpg", "grace_hopper.jpg"])
    if name == "grace_hopper.jpg":
        photo = opened(Path(matplotlib.get_data_path()) / "sample_data" / name)
    else:
        photo = Image.fromarray(load_sample_image(name))
    return crop(rng, photo if rng.random() < 0.5 else crop(rng, photo))


JUNK: dict[str, tuple[str, Make]] = {
    "fragment": ("subject absent", _fragment),
    "elsewhere": ("subject absent", _elsewhere),
    **{name: ("drawing", make) for name, make in DRAWINGS.items()},
    **{name: ("other" if name in _OTHER else "text/graphic", make) for name, make in (PAGES | BOARDS).items()},
    **{name: ("collage", make) for name, make in COLLAGES.items()},
}


@dataclass(frozen=True)
class Condition:
    """Shares of the clean photos that are in the set. ``foreign``: pictures of a class that the set has not, in one that
    it has. Copies are added, bursts and innocents take the place of their photo."""

    name: str
    junk: float = 0.0
    swaps: float = 0.0
    pairwise: bool = False
    foreign: float = 0.0
    copies: float = 0.03
    bursts: float = 0.02
    innocents: float = 0.1
    per_class: int = 100
    seed: int = 1


@dataclass(frozen=True)
class Planted:
    """The folder of class folders and the files about it."""

    folder: Path
    truth: Path
    pairs: Path
    innocents: Path


@dataclass
class _Set:
    """A set in the making: pictures are numbered as they come, by class."""

    folder: Path
    seed: str
    labels: list[str]
    truth: list[tuple[str, ...]] = field(default_factory=list)
    pairs: list[tuple[str, ...]] = field(default_factory=list)
    innocents: list[tuple[str, ...]] = field(default_factory=list)
    count: int = 0

    def rng(self, *what: object) -> random.Random:
        return random.Random(":".join(map(str, (self.seed, *what))))

    def _name(self, label: str, suffix: str) -> str:
        self.count += 1
        (self.folder / label).mkdir(parents=True, exist_ok=True)
        return f"{label}/{self.count:05d}{suffix}"

    def copy(self, label: str, source: Path) -> str:
        file = self._name(label, source.suffix)
        shutil.copyfile(source, self.folder / file)
        return file

    def save(self, label: str, image: Image.Image, rng: random.Random, *, drawn: bool = False) -> str:
        """As a site would: mostly JPEG, drawn pictures often PNG."""
        kind = rng.random()
        suffix, options = ".jpg", {"quality": rng.randint(55, 95)}
        if kind < (0.35 if drawn else 0.04):
            suffix, options = ".png", {}
        elif kind < (0.42 if drawn else 0.08):
            suffix, options = ".webp", {"quality": rng.randint(50, 90)}
        body = io.BytesIO()
        image.save(body, {"jpg": "JPEG", "png": "PNG", "webp": "WEBP"}[suffix[1:]], **options)
        file = self._name(label, suffix)
        (self.folder / file).write_bytes(body.getvalue())
        return file


def planted(base: Base, condition: Condition, root: Path) -> Planted:
    """The set in ``root``; one that is there already, of the same photos and condition, is taken as it is."""
    made = Planted(root / condition.name, root / "truth.csv", root / "pairs.csv", root / "innocents.csv")
    facts = json.dumps({"version": VERSION, "base": base.key(), **asdict(condition)})
    done = root / "made.json"
    if done.exists() and done.read_text(encoding="utf-8") == facts:
        return made
    shutil.rmtree(root, ignore_errors=True)
    root.mkdir(parents=True)
    seed = f"{condition.name}:{condition.seed}"
    reserve = Reserve(base, condition.per_class, seed)
    labels = sorted(base.files)
    foreign = random.Random(f"{seed}:foreign").choice(labels) if condition.foreign else ""
    s = _Set(made.folder, seed, [c for c in labels if c != foreign])
    _photos(s, reserve, condition)
    n = s.count
    _foreign(s, reserve, foreign, round(condition.foreign * n))
    _junk(s, reserve, round(condition.junk * n))
    _write(made.truth, ("file", "verdict", "sure", "kind", "note"), s.truth)
    _write(made.pairs, ("file_a", "file_b", "sure", "kind", "note"), s.pairs)
    _write(made.innocents, ("file", "kind"), s.innocents)
    done.write_text(facts, encoding="utf-8")
    return made


def _write(path: Path, columns: tuple[str, ...], rows: list[tuple[str, ...]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as f:
        csv.writer(f).writerows([columns, *sorted(rows)])


def _photos(s: _Set, reserve: Reserve, c: Condition) -> None:
    """The clean photos: as they are, under a wrong label, in odd light, twice, or with a copy."""
    every = [(label, path) for label in s.labels for path in reserve.used[label]]
    s.rng("order").shuffle(every)
    n = len(every)
    swaps, odd, bursts, copies = (round(share * n) for share in (c.swaps, c.innocents, c.bursts, c.copies))
    jobs = ["swap"] * swaps + ["burst"] * bursts + ["copy"] * copies
    changes = _in_turn(s, "copies", COPIES, copies)
    kinds = _in_turn(s, "innocents", INNOCENT, odd)
    for i, (label, path) in enumerate(every):
        rng = s.rng(i)
        if kinds and (image := _innocent(rng, path, kinds[-1])) is not None:
            s.innocents.append((s.save(label, image, rng), kinds.pop()))
            continue
        if kinds:
            kinds.insert(0, kinds.pop())  # of this photo nothing can be cut out; the next kind, with the next photo
        if not jobs:
            s.copy(label, path)
        elif (job := jobs.pop()) == "swap":
            _swap(s, rng, label, path, c.pairwise)
        elif job == "burst":
            one, two = (s.save(label, burst(rng, opened(path)), rng) for _ in range(2))
            s.pairs.append((one, two, "no", "burst", ""))
        else:
            change = changes.pop()
            one, two = s.copy(label, path), s.save(label, COPIES[change](rng, opened(path)), rng)
            s.pairs.append((one, two, "yes", "copy", change))


def _innocent(rng: random.Random, path: Path, kind: str) -> Image.Image | None:
    """None if the subject is to be cut out of its photo and cannot be."""
    photo = opened(path)
    if kind != "on white":
        return INNOCENT[kind](rng, photo)
    cut = cut_out(photo, well=True)
    return INNOCENT[kind](rng, cut) if cut is not None else None


def _in_turn(s: _Set, what: str, kinds: Iterable[str], n: int) -> list[str]:
    """``n`` kinds, each as often as the others."""
    names: list[str] = []
    while len(names) < n:
        names += s.rng(what, len(names)).sample(sorted(kinds), len(list(kinds)))
    return names[:n]


def _swap(s: _Set, rng: random.Random, label: str, path: Path, pairwise: bool) -> None:
    step = 1 if pairwise else rng.randint(1, len(s.labels) - 1)
    wrong = s.labels[(s.labels.index(label) + step) % len(s.labels)]
    s.truth.append((s.copy(wrong, path), "wrong_label", "yes", "swap", label))


def _foreign(s: _Set, reserve: Reserve, foreign: str, n: int) -> None:
    """Photos of the class that is not in the set, all in one class of it."""
    if n:
        into = s.rng("into").choice(s.labels)
        for path in (reserve.used[foreign] + reserve.kept[foreign])[:n]:
            s.truth.append((s.copy(into, path), "wrong_label", "yes", "foreign class", foreign))


def _junk(s: _Set, reserve: Reserve, n: int) -> None:
    """Most of it in one class, as searches have it: of the bears' junk the toys have nearly all."""
    labels = s.rng("junk").sample(s.labels, len(s.labels))
    for i, name in enumerate(_in_turn(s, "junk", JUNK, n)):
        rng = s.rng("junk", i)
        label = labels[0] if rng.random() < _MOST else rng.choice(labels)
        other = rng.choice([c for c in s.labels if c != label])
        kind, make = JUNK[name]
        file = s.save(label, make(rng, reserve.subject(label, other)), rng, drawn=kind != "subject absent")
        s.truth.append((file, "junk", "yes", kind, name))
