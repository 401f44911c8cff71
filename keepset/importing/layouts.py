"""What a folder tree is: a folder per class, sides with classes inside (or the other way round), or neither.

The layouts of torchvision, Hugging Face, fast.ai and Kaggle are known. A tree that could be read in two ways is refused.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from keepset.errors import ConfigError, SourceError
from keepset.images.formats import sniff
from keepset.reasons import Split
from keepset.scrape.sides import side_of
from keepset.storage.localfiles import shown, visible, walk
from keepset.text import label_of, many

__all__ = ["LocalPictures", "labelled_tables", "quoted", "read_tree"]

_PICTURE = re.compile(r"\.(jpe?g|jpe|jfif|png|gif|webp|bmp|avif|hei[cf]|tiff?|jp2|jxl|svg)", re.IGNORECASE)
_DEEPEST = 5  # folders with nothing but one folder inside that are looked through


@dataclass
class LocalPictures:
    """Where each class's pictures are, and what a person should know (``notes``).

    ``given``: the folders of each side. ``counts``: files by class and side, "" where no side is given.
    """

    source: Path
    folders: dict[str, list[Path]] = field(default_factory=dict)
    table: Path | None = None
    given: dict[Split, list[Path]] = field(default_factory=dict)
    counts: dict[str, Counter[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def classes(self) -> list[str]:
        return sorted(self.counts)

    @property
    def sides(self) -> set[str]:
        """The sides that are given."""
        return {side for of in self.counts.values() for side in of if side}

    def add(self, label: str, side: Split | None, folder: Path) -> None:
        self.folders.setdefault(label, []).append(folder)
        self.counts.setdefault(label, Counter())[str(side or "")] += sum(1 for _ in walk(folder))


def read_tree(found: LocalPictures, labels: dict[str, str]) -> None:
    """Recognise the folder tree ``found.source``. ``labels``: class by folder name, where an export says so.

    Raises ``ConfigError`` for a tree whose classes are not clear.
    """
    try:
        _Reader(found, labels).read()
    except OSError as e:
        where = shown(e.filename or found.source)
        raise ConfigError(f"{where} cannot be read: {e.strerror}.", "Give this user read access.") from e


class _Reader:
    def __init__(self, found: LocalPictures, labels: dict[str, str]) -> None:
        self.found, self.source, self.labels = found, found.source, labels
        self.seen: dict[Path, tuple[list[Path], list[Path], int]] = {}

    def read(self) -> None:
        top = self.inner(self.source)
        if top != self.source:
            self.found.notes.append(f"The classes are looked for in {self.name(top)}.")
        full, empty = self.sorted_out(top)
        sided = {p: side for p in full if (side := side_of(p.name)) is not None}
        splits = {p: self.class_folders(p) for p in sided}
        flat = [p for p in sided if not splits[p]]
        if any(splits.values()):
            self.sides(top, full, {p: folders for p, folders in splits.items() if folders}, flat)
        elif len(flat) > 1 or (flat and len(full) == 1):
            raise self.unlabelled(flat)
        elif not self.inverted(full):
            self.flat(full, flat)
        for p in empty:
            inside = list(walk(p))
            why = inside[0].problem if len(inside) == 1 and inside[0].path == p else None
            what = f"({why})" if why else "holds no picture and" if inside else "is empty and"
            self.found.notes.append(f"{self.name(p)} {what} is left out.")
        self.loose_pictures(top)

    # -- the layouts -------------------------------------------------------------------------------

    def sides(self, top: Path, full: list[Path], splits: dict[Path, list[Path]], flat: list[Path]) -> None:
        """train/cats, train/dogs, valid/cats ..."""
        side = {p: s for p in splits if (s := side_of(p.name)) is not None}
        others = [p for p in full if side_of(p.name) is None]
        if unclear := [p for p in flat if side_of(p.name) != Split.TEST]:
            raise self.unlabelled(unclear)
        names = {self.label(f) for folders in splits.values() for f in folders}
        if Split.TRAIN not in side.values():
            beside = [p for p in others if self.label(p) in names]
            if len(beside) < 2:
                raise ConfigError(
                    f"{shown(self.source)} has {self.names(splits)}, but no folder train.",
                    "Name the folder of the training pictures train, or import a folder that has one folder per class.",
                )
            self.add(None, beside)
            others = [p for p in others if p not in beside]
        self.left_out(flat, "holds pictures without class folders, so their classes are unknown; it is left out")
        self.left_out(others, "is none of train, valid and test; it is left out")
        trained = {self.label(f) for p, folders in splits.items() if side[p] == Split.TRAIN for f in folders}
        trained = trained or set(self.found.folders)
        for p, folders in splits.items():
            known = [f for f in folders if self.label(f) in trained]
            if not known:
                raise ConfigError(
                    f"{self.name(p)} holds the classes {self.names(folders)}, of which the training pictures have none.",
                    "Give a class the same folder name on every side, or take the folder out.",
                )
            self.left_out(
                [f for f in folders if f not in known], "is a class that has no training pictures; it is left out"
            )
            self.add(side[p], known)
            self.loose_pictures(self.inner(p))
            self.found.given.setdefault(side[p], []).append(p)

    def inverted(self, full: list[Path]) -> bool:
        """cats/train, cats/valid, dogs/train ..."""
        inside = {p: {f: side_of(f.name) for f in self.class_folders(p)} for p in full}
        split = [p for p, folders in inside.items() if folders and None not in folders.values() and not self.loose(p)]
        if all(len(set(inside[p].values())) < 2 for p in split):
            return False
        if rest := [p for p in full if p not in split]:
            raise ConfigError(
                f"{self.names(split)} are divided into train and valid or test, {self.names(rest)} not.",
                "Divide all classes or none, then import again.",
            )
        for p in full:
            for folder, side in inside[p].items():
                self.found.add(self.label(p), side, folder)
                if side is not None:
                    self.found.given.setdefault(side, []).append(folder)
        return True

    def flat(self, full: list[Path], sided: list[Path]) -> None:
        """cats, dogs ..."""
        nested = {p: self.class_folders(p) for p in full if not self.loose(p)}
        names: Counter[str] = Counter(self.label(f) for folders in nested.values() for f in folders)
        same = [p for p, folders in nested.items() if sum(names[self.label(f)] > 1 for f in folders) > 1]
        if len(same) > 1:
            raise ConfigError(
                f"In {shown(self.source)}, the folders {self.names(same)} hold folders of the same names "
                f"({self.names(nested[same[0]])}): it is not clear which of them are the classes.",
                f"Import the one that holds the classes: keepset import {quoted(same[0])}",
            )
        for p, folders in nested.items():
            if len(folders) > 1:
                self.found.notes.append(
                    f"All pictures in the folders of {self.name(p)} ({self.names(folders)}) become the class "
                    f"'{self.label(p)}'. For one class per folder, import {self.name(p)}."
                )
        self.found.notes += [
            f"The folder {self.name(p)} is taken as a class, not as a side of the split." for p in sided
        ]
        self.add(None, full)

    # -- what they share ---------------------------------------------------------------------------

    def add(self, side: Split | None, folders: Iterable[Path]) -> None:
        for f in folders:
            self.found.add(self.label(f), side, f)

    def loose_pictures(self, folder: Path) -> None:
        if loose := self.loose(folder):
            self.found.notes.append(
                f"{many(loose, 'picture')} directly in {self.name(folder)}, in no class folder: left out."
            )

    def left_out(self, folders: list[Path], why: str) -> None:
        for p in folders:
            n = sum(1 for _ in walk(p))
            self.found.notes.append(f"{self.name(p)} ({many(n, 'file')}) {why}.")

    def label(self, folder: Path) -> str:
        label = self.labels.get(folder.name) or label_of(shown(folder.name))
        if not label:
            raise ConfigError(f"The folder {shown(folder)!r} has no visible name.", "Rename it as its class.")
        return label

    def name(self, path: Path) -> str:
        return shown(path.relative_to(self.source)) if path != self.source else shown(path)

    def names(self, folders: Iterable[Path]) -> str:
        every = [shown(p.name) for p in folders]
        return ", ".join(every[:5]) + (f" and {len(every) - 5} more" if len(every) > 5 else "")

    def class_folders(self, folder: Path) -> list[Path]:
        return self.sorted_out(self.inner(folder))[0]

    def sorted_out(self, folder: Path) -> tuple[list[Path], list[Path]]:
        """The visible folders inside: those with pictures, and those without."""
        return self.contents(folder)[:2]

    def loose(self, folder: Path) -> int:
        """How many pictures lie directly in the folder."""
        return self.contents(folder)[2]

    def contents(self, folder: Path) -> tuple[list[Path], list[Path], int]:
        if folder not in self.seen:
            inside, files = [], 0
            for p in visible(folder):
                if p.is_dir():
                    inside.append(p)
                else:
                    files += _is_picture(p)
            full = [p for p in inside if _has_pictures(p)]
            self.seen[folder] = full, [p for p in inside if p not in full], files
        return self.seen[folder]

    def inner(self, folder: Path) -> Path:
        """The folder, or the one inside it where archives wrap folders into each other (``train/train/cats``)."""
        for _ in range(_DEEPEST):
            full, _empty = self.sorted_out(folder)
            if len(full) != 1 or self.loose(folder) or not self.sorted_out(full[0])[0] or self.loose(full[0]):
                return folder
            folder = full[0]
        return folder

    def unlabelled(self, folders: list[Path]) -> ConfigError:
        tables = labelled_tables(self.source) or [t for p in folders for t in labelled_tables(self.inner(p))]
        remedy = (
            f"Import the table that gives the classes: keepset import {quoted(tables[0])}"
            if tables
            else "Put the pictures of each class into a folder of its own, such as train/cats and train/dogs; or write a "
            "CSV with the columns name and label, and import that."
        )
        return ConfigError(
            f"In {shown(self.source)}, {self.names(folders)} hold pictures without class folders, so their classes are "
            "unknown.",
            remedy,
        )


def quoted(path: Path) -> str:
    """A path as a shell takes it."""
    return shlex.quote(shown(path))


def labelled_tables(folder: Path) -> list[Path]:
    """Tables directly in the folder that name pictures and their classes."""
    from keepset.tables import open_table

    found = []
    for path in visible(folder):
        if path.suffix.lower() in (".csv", ".tsv", ".jsonl", ".json", ".xlsx", ".parquet") and path.is_file():
            try:
                table = open_table(path)
            except SourceError:
                continue
            if table.find("label") is not None and table.find("name") is not None:
                found.append(path)
    return found


def _has_pictures(folder: Path) -> bool:
    return any(_is_picture(e.path) for e in walk(folder) if e.problem is None)


def _is_picture(path: Path) -> bool:
    if _PICTURE.fullmatch(path.suffix):
        return True
    if not path.is_file():  # opening a pipe would wait for ever
        return False
    try:
        with path.open("rb") as f:
            return sniff(f.read(64)) is not None
    except OSError:
        return False
