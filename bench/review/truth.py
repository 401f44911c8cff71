"""What people said of the pictures of a folder: two CSV files, and what they mean for the images of a data set.

``TRUTH.csv`` has the columns file, verdict (junk or wrong_label), sure (yes or no), kind, note; a picture that it does
not name is right. ``PAIRS.csv`` has file_a, file_b, sure, kind (copy or burst). Files are named relative to the folder
of class folders, with ``/``.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from keepset.errors import ConfigError

__all__ = ["KINDS", "Pair", "Standing", "Truth", "Verdict", "kind_of", "linked", "read_truth", "standing"]

KINDS = ("drawing", "text/graphic", "collage", "subject absent", "foreign class", "swap", "other")
_VERDICTS = {"junk", "wrong_label"}
_JUNK = (
    ("collage", ("collage", "montage", "before/after", "composite")),
    ("drawing", ("drawing", "cartoon", "clip", "render", "illustration", "painting")),
    ("text/graphic", ("text", "graphic", "banner", "poster", "slide", "cover", "logo", "map", "chart", "screenshot")),
    ("subject absent", ("absent", "no subject", "without")),
)


@dataclass(frozen=True)
class Verdict:
    """What is wrong with one file; ``kind`` is one of ``KINDS``."""

    file: str
    sure: bool
    kind: str
    note: str = ""


@dataclass(frozen=True)
class Pair:
    """Two files of one picture (``copy``) or of one scene (``burst``)."""

    a: str
    b: str
    sure: bool
    kind: str

    @property
    def is_copy(self) -> bool:
        return self.kind != "burst"


@dataclass(frozen=True)
class Truth:
    verdicts: list[Verdict]
    pairs: list[Pair] = field(default_factory=list)

    def files(self) -> set[str]:
        return {v.file for v in self.verdicts} | {f for p in self.pairs for f in (p.a, p.b)}


@dataclass(frozen=True)
class Standing:
    """What the truth says of the images of a data set: ``bad`` by kind, and those that count neither way."""

    bad: dict[str, str]
    ignored: set[str]


def read_truth(truth: Path, pairs: Path | None, classes: Iterable[str]) -> Truth:
    """Read both files. Raises ``ConfigError`` naming the file and line of what cannot be read."""
    classes = list(classes)
    verdicts = [_verdict(r, where, classes) for where, r in _rows(truth, ("file", "verdict", "sure", "kind"))]
    found = _rows(pairs, ("file_a", "file_b", "sure", "kind")) if pairs else ()
    said = [Pair(r["file_a"], r["file_b"], _sure(r, where), r["kind"].lower()) for where, r in found]
    return Truth(verdicts, said)


def _rows(path: Path, columns: tuple[str, ...]) -> Iterator[tuple[str, dict[str, str]]]:
    if not path.is_file():
        raise ConfigError(f"There is no {path}.", f"Give a CSV file with the columns {', '.join(columns)}.")
    with path.open(newline="", encoding="utf-8-sig") as f:
        reader = csv.DictReader(f)
        if missing := [c for c in columns if c not in (reader.fieldnames or ())]:
            raise ConfigError(f"{path} has no column {', '.join(missing)}.", f"Columns: {', '.join(columns)}.")
        for row in reader:
            yield f"{path}, line {reader.line_num}", {k: (v or "").strip() for k, v in row.items() if k}


def _sure(row: Mapping[str, str], where: str) -> bool:
    if row["sure"] not in ("yes", "no"):
        raise ConfigError(f"{where}: sure is '{row['sure']}'.", "It must be yes or no.")
    return row["sure"] == "yes"


def _verdict(row: Mapping[str, str], where: str, classes: list[str]) -> Verdict:
    if row["verdict"] not in _VERDICTS:
        raise ConfigError(f"{where}: the verdict is '{row['verdict']}'.", "It must be junk or wrong_label.")
    label = row["file"].split("/")[-2] if "/" in row["file"] else ""
    kind = kind_of(row["verdict"], row["kind"], row.get("note", ""), label, classes)
    return Verdict(row["file"], _sure(row, where), kind, row.get("note", ""))


def kind_of(verdict: str, kind: str, note: str, label: str, classes: Iterable[str]) -> str:
    """One of ``KINDS`` for a row. A wrong label is a swap if ``kind`` names another class of the set."""
    said = kind.lower()
    if said in KINDS:
        return said
    if verdict == "wrong_label":
        others = [_words(c) for c in classes if c != label]
        named = [_words(part) for part in re.split(r"[/,;|]| or ", said)]
        return "swap" if any(o <= n for o in others for n in named if o) else "foreign class"
    for text in (said, note.lower()):
        for name, hints in _JUNK:
            if any(h in text for h in hints):
                return name
    return "other"


def _words(text: str) -> set[str]:
    """Lower-case words without the s of a plural."""
    return {w[:-1] if len(w) > 3 and w.endswith("s") else w for w in re.findall(r"[^\W_]+", text.lower())}


def standing(truth: Truth, shas: Mapping[str, str], labels: Mapping[str, str], order: list[str]) -> Standing:
    """What the truth says of the images in use.

    ``shas``: sha256 by file; ``labels``: class by sha256, of the images in use; ``order``: these, the better picture
    first. A file that another class folder holds too speaks only of the label under which it is used. Left out are what
    the labellers were not sure of, both pictures of a pair they were not sure of, and all but the better picture of
    copies; what is surely bad is bad even so.
    """
    bad: dict[str, str] = {}
    ignored: set[str] = set()
    for v in truth.verdicts:
        sha = shas.get(v.file, "")
        if sha not in labels or (v.kind in ("swap", "foreign class") and labels[sha] != v.file.split("/")[-2]):
            continue
        if v.sure:
            bad[sha] = v.kind
        else:
            ignored.add(sha)
    known = [(p, shas[p.a], shas[p.b]) for p in truth.pairs if {shas.get(p.a), shas.get(p.b)} <= set(labels)]
    for p, a, b in known:
        if not p.sure:
            ignored |= {a, b}
    place = {sha: i for i, sha in enumerate(order)}
    for group in linked((a, b) for p, a, b in known if p.sure and p.is_copy):
        ignored |= set(sorted(group, key=place.__getitem__)[1:])
    return Standing(bad, ignored - set(bad))


def linked(pairs: Iterable[tuple[str, str]]) -> list[set[str]]:
    """What hangs together through pairs, in sets of two or more."""
    found: list[set[str]] = []
    for a, b in pairs:
        near = [s for s in found if a in s or b in s]
        found = [s for s in found if s not in near] + [{a, b}.union(*near)]
    return [s for s in found if len(s) > 1]
